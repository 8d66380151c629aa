"""The decisions of sign-in that need no server: admission, slowed guessing, kinds of clients."""

from collections.abc import Callable

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.signin import admission
from prikkfri.signin.admission import Load
from prikkfri.signin.clients import client_kind
from prikkfri.signin.credentials import costs_the_same, hash_password, matches

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


@pytest.mark.parametrize(
    ("running", "waiting", "with_pass", "wait_s"),
    [
        (1, (9, 5), True, 0.0),  # a thread is free
        (2, (0, 0), True, 0.02),
        (2, (9, 5), True, 0.2),  # goes before those without a pass
        (2, (9, 5), False, 0.3),
        (3, (0, 5), True, 0.02),
    ],
)
def test_the_wait_is_of_those_who_go_before(
    running: int, waiting: tuple[int, int], with_pass: bool, wait_s: float
) -> None:
    load = Load(2, 0.04, running, *waiting)
    assert load.wait_s(with_pass=with_pass) == pytest.approx(wait_s)
    assert load.per_second == 50


@pytest.mark.parametrize(
    ("waiting", "seconds", "with_pass", "waiting_room", "taken"),
    [
        # One thread, a hash a second: whoever comes waits as many seconds as wait before, and one.
        ((3, 0), 8.0, True, True, True),
        ((4, 0), 8.0, True, True, False),  # half of people's patience, and no more
        ((0, 0), 8.0, False, True, True),  # of that a quarter while there is a waiting room
        ((0, 1), 8.0, False, True, False),
        ((1, 0), 8.0, False, True, False),
        ((0, 3), 8.0, False, False, True),
        ((0, 4), 8.0, False, False, False),
        ((0, 100), 8.0, True, True, True),
        ((0, 20_000), 1e9, True, True, False),
        ((10_000, 10_000), 1e9, True, True, False),
        ((9_999, 10_000), 1e9, True, True, True),
    ],
)
def test_who_may_wait_in_the_line(
    waiting: tuple[int, int], seconds: float, with_pass: bool, waiting_room: bool, taken: bool
) -> None:
    load, patience = Load(1, 1.0, 1, *waiting), admission.Patience(seconds, seconds)
    answer = admission.retry_after(load, patience, 0.0, with_pass=with_pass, waiting_room=waiting_room)
    assert answer == (None if taken else load.wait_s(with_pass=with_pass))


def test_however_impatient_people_are_a_short_line_remains() -> None:
    patience = admission.Patience(0.01, 8.0)
    for waiting, taken in ((1, True), (2, False)):
        answer = admission.retry_after(Load(1, 0.1, 1, waiting, 0), patience, 0.0, with_pass=True, waiting_room=True)
        assert (answer is None) is taken


def test_patience_is_learned_from_those_who_leave_and_forgotten_in_a_minute() -> None:
    patience = admission.patience_of(4.0)
    assert (patience.now(0.0), patience.now(100.0)) == (8.0, 8.0)
    patience = admission.left(patience, 3.0, 100.0)
    assert patience.now(100.0) == 7.0
    assert patience.now(103.0) == pytest.approx(7.4)
    patience = admission.left(patience, 3.4, 103.0)
    assert patience.now(103.0) == pytest.approx(6.6)
    assert admission.left(patience, 1_000.0, 103.0).now(103.0) == 8.0
    assert patience.now(163.0) == 8.0


@pytest.mark.parametrize(("newest_s", "mean_s"), [(0.15, 0.06), (0.05, 0.05), (0.5, 0.095), (60.0, 0.095), (0, 0.045)])
def test_a_hash_counts_a_tenth_in_the_mean_and_a_pause_at_most_tenfold(newest_s: float, mean_s: float) -> None:
    assert admission.measured(0.05, newest_s) == pytest.approx(mean_s)


@given(st.lists(st.floats(0.0001, 1_000), min_size=1, max_size=200))
def test_the_measured_cost_stays_within_what_was_measured_and_one_pause_moves_it_little(samples: list[float]) -> None:
    mean = 0.05
    for sample in samples:
        before = mean
        mean = admission.measured(mean, sample)
        assert min(before, sample) <= mean <= before * 2


@pytest.mark.parametrize(
    ("user_agent", "kind"),
    [
        ("Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 Chrome/76 TV Safari/537.36", "television"),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/87 Safari/537.36", "television"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", "phone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "computer"),
        ("Mozilla/5.0 (Linux; Android 9; AFTMM) AppleWebKit/537.36 Mobile Safari/537.36", "television"),
        ("Mozilla/5.0 (Linux; Android 10; BRAVIA 4K) AppleWebKit/537.36", "television"),
        ("AppleTV11,1/11.1", "television"),
        ("Mozilla/5.0 (Linux; Android TV 12) GoogleTV", "television"),
        ("Mozilla/5.0 (Web0S; Linux) AppleWebKit", "television"),
        ("LG webOS.TV-2023", "television"),
        ("Tizen", "television"),
        ("Mozilla/5.0 SmartTV", "television"),
        ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X)", "phone"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8)", "phone"),
        ("IPHONE", "phone"),
        ("Mozilla/5.0 (Mobile; rv:109.0) Gecko", "phone"),
        ("mozilla/5.0 " + "x" * 500 + " iphone", "computer"),  # nobody reads so far
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


def test_the_hash_is_what_was_decided_and_a_keyboard_makes_no_difference() -> None:
    hashed = hash_password("nytt påssord", b"0123456789abcdef")
    parameters = argon2.extract_parameters(hashed)
    assert (parameters.type, parameters.version) == (argon2.Type.ID, 19)
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19_456, 2, 1)
    assert (parameters.salt_len, parameters.hash_len) == (16, 32)
    assert argon2.PasswordHasher().verify(hashed, "nytt p\u00e5ssord")
    assert matches("nytt pa\u030assord", hashed)
    assert hash_password("nytt pa\u030assord", b"0123456789abcdef") == hashed


@pytest.mark.parametrize(
    ("altered", "same"),
    [
        (lambda hashed: hashed, True),
        (lambda hashed: hashed + "A" * (256 - len(hashed)), True),
        (lambda hashed: hashed + "A" * (257 - len(hashed)), False),
        (lambda hashed: hashed + "é", False),
        (lambda hashed: " " + hashed, False),
        (lambda hashed: hashed.replace("argon2id", "argon2i"), False),
        (lambda hashed: hashed.replace("m=19456", "m=19457"), False),
        (lambda hashed: hashed.replace("p=1", "p=11"), False),
        (lambda hashed: hashed.replace("v=19", "v=16"), False),
        (lambda hashed: "", False),
    ],
)
def test_only_a_hash_of_our_cost_may_be_taken_in(altered: Callable[[str], str], same: bool) -> None:
    hashed = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA"
    assert costs_the_same(altered(hashed)) is same


@pytest.mark.parametrize(
    ("threads", "running", "waiting", "hash_s", "together"),
    [
        (1, 1, 1, 0.02, 3),
        (1, 1, 0, 0.02, 1),  # nobody waits for a thread
        (1, 0, 1, 0.02, 1),
        (1, 1, 5, 0.025, 3),
        (1, 1, 5, 0.026, 2),  # the third would come too late
        (1, 1, 5, 0.05, 2),
        (1, 1, 5, 0.051, 1),
        (2, 2, 1, 0.05, 3),
        (8, 8, 9, 0.01, 3),
    ],
)
def test_sessions_wait_for_each_other_under_pressure_as_many_as_come_in_time(
    threads: int, running: int, waiting: int, hash_s: float, together: int
) -> None:
    for with_pass in (0, waiting):
        load = Load(threads, hash_s, running, with_pass, waiting - with_pass)
        assert admission.gathering(load, 3, 0.05) == together
