"""The decisions of sign-in that need no server: admission, slowed guessing, kinds of clients."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.signin import admission, tries
from prikkfri.signin.admission import Load
from prikkfri.signin.clients import client_kind
from prikkfri.signin.credentials import costs_the_same, hash_password, matches
from prikkfri.signin.tries import Bucket

loads = st.builds(
    Load,
    threads=st.integers(1, 128),
    hash_s=st.floats(0.001, 10),
    running=st.integers(0, 128),
    waiting_with_pass=st.integers(0, 30_000),
    waiting_without=st.integers(0, 30_000),
)


@given(loads, st.booleans(), st.booleans(), st.floats(0.5, 60), st.lists(st.floats(0, 100), max_size=30))
def test_whoever_is_admitted_waits_no_longer_than_the_limit(
    load: Load, with_pass: bool, waiting_room: bool, seconds_max: float, left_after: list[float]
) -> None:
    patience = admission.patience_of(seconds_max)
    for waited in left_after:
        patience = admission.left(patience, waited, 100.0)
    answer = admission.retry_after(load, patience, 100.0, with_pass=with_pass, waiting_room=waiting_room)
    wait = load.wait_s(with_pass=with_pass)
    if answer is None:
        assert wait <= seconds_max
        assert load.waiting_with_pass + load.waiting_without < admission.WAITING_MAX
    else:
        assert answer == wait
    if with_pass:
        ordinary = admission.retry_after(load, patience, 100.0, with_pass=False, waiting_room=waiting_room)
        assert answer is None or ordinary is not None  # a pass never does harm


def test_the_line_shortens_to_half_of_peoples_patience_and_comes_back() -> None:
    two_seconds_long = Load(threads=2, hash_s=0.04, running=2, waiting_with_pass=99, waiting_without=0)
    patience = admission.patience_of(4.0)

    def admitted(now: float) -> bool:
        return admission.retry_after(two_seconds_long, patience, now, with_pass=True, waiting_room=True) is None

    assert admitted(0.0)
    for _ in range(40):
        patience = admission.left(patience, 1.0, 0.0)
    assert 1.0 <= patience.now(0.0) < 1.2
    assert not admitted(0.0)
    assert admitted(admission.PATIENCE_BACK_SECONDS)


@given(st.lists(st.floats(0.0001, 1_000), min_size=1, max_size=200))
def test_the_measured_cost_stays_within_what_was_measured_and_one_pause_moves_it_little(samples: list[float]) -> None:
    mean = 0.05
    for sample in samples:
        before = mean
        mean = admission.measured(mean, sample)
        assert min(before, sample) <= mean <= before * 2


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 200)), max_size=80))
def test_failures_are_limited_over_any_stretch_of_time(events: list[tuple[bool, float]]) -> None:
    buckets: dict[tries.Key, Bucket] = {}
    tried = tries.limits("kari@example.no", "192.0.2.1")
    now, failed = 0.0, []
    for tries_now, pause in events:
        now += pause
        if tries_now and tries.retry_after(buckets, tried, now) is None:
            buckets |= tries.after_failure(buckets, tried, now)
            failed.append(now)
    limit = tries.SAME_LOGIN_AND_ADDRESS
    for i, start in enumerate(failed):
        within = [at for at in failed[i:] if at <= start + limit.drains_in_s]
        assert len(within) <= 2 * limit.failures_max


def test_a_guesser_elsewhere_does_not_lock_the_owner_out_and_one_address_is_limited() -> None:
    buckets: dict[tries.Key, Bucket] = {}
    guesser = tries.limits("kari@example.no", "203.0.113.9")
    while tries.retry_after(buckets, guesser, 0.0) is None:
        buckets |= tries.after_failure(buckets, guesser, 0.0)
    assert tries.retry_after(buckets, tries.limits("kari@example.no", "192.0.2.1"), 0.0) is None
    for number in range(3_000):
        buckets |= tries.after_failure(buckets, tries.limits(f"{number}@example.no", "203.0.113.9"), 0.0)
    assert tries.retry_after(buckets, tries.limits("new@example.no", "203.0.113.9"), 0.0)
    assert tries.retry_after(buckets, guesser, 900.0) is None


def test_waiting_as_long_as_told_is_enough() -> None:
    buckets: dict[tries.Key, Bucket] = {}
    tried = tries.limits("kari@example.no", "192.0.2.1")
    for _ in range(6):
        buckets |= tries.after_failure(buckets, tried, 10.0)
    wait = tries.retry_after(buckets, tried, 10.0)
    assert wait == 50.0
    assert tries.retry_after(buckets, tried, 10.0 + wait) is None


@pytest.mark.parametrize(
    ("user_agent", "kind"),
    [
        ("Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 Chrome/76 TV Safari/537.36", "television"),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/87 Safari/537.36", "television"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", "phone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "computer"),
        ("curl/8.5.0", "other"),
        ("", "other"),
    ],
)
def test_clients_are_told_apart_coarsely(user_agent: str, kind: str) -> None:
    assert client_kind(user_agent) == kind


def test_a_hash_is_verified_and_rubbish_matches_nothing() -> None:
    hashed = hash_password("passord", b"0123456789abcdef")
    assert costs_the_same(hashed) and matches("passord", hashed) and not matches("Passord", hashed)
    assert not matches("passord", "$argon2id$v=19$m=19456,t=2,p=1$rubbish")
    assert not matches("passord", "")
    assert not costs_the_same("$2b$12$abcdefghijklmnopqrstuv") and not costs_the_same(hashed.replace("t=2", "t=3"))
