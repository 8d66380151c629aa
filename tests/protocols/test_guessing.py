"""How often a secret may be guessed: by name, by network, at once or one after the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols import guessing
from prikkfri.protocols.guessing import FailureCounter, Guesses, Limit, Limits, acquaintance
from prikkfri.protocols.networks import Networks, network_of

LIMITS = Limits()


def stranger(name: str, network: str) -> dict[guessing.Key, Limit]:
    return guessing.stranger(name, network, LIMITS)


def after_failure(
    buckets: dict[guessing.Key, FailureCounter], tried: dict[guessing.Key, Limit], now: float
) -> dict[guessing.Key, FailureCounter]:
    buckets = buckets | guessing.reserved(buckets, tried, now)
    return guessing.settled(buckets, tried, now, failed=True)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 200)), max_size=80))
def test_failures_are_limited_over_any_stretch_of_time(events: list[tuple[bool, float]]) -> None:
    buckets: dict[guessing.Key, FailureCounter] = {}
    tried = stranger("kari@example.no", "192.0.2.1")
    now, failed = 0.0, []
    for tries_now, pause in events:
        now += pause
        if tries_now and guessing.retry_after(buckets, tried, now) is None:
            buckets |= after_failure(buckets, tried, now)
            failed.append(now)
    limit = LIMITS.name_and_network
    for i, start in enumerate(failed):
        within = [at for at in failed[i:] if at <= start + limit.drains_in_s]
        assert len(within) <= 2 * limit.failures_max


def test_a_guesser_elsewhere_does_not_lock_the_owner_out_and_one_address_is_limited() -> None:
    buckets: dict[guessing.Key, FailureCounter] = {}
    guesser = stranger("kari@example.no", "203.0.113.9")
    while guessing.retry_after(buckets, guesser, 0.0) is None:
        buckets |= after_failure(buckets, guesser, 0.0)
    assert guessing.retry_after(buckets, stranger("kari@example.no", "192.0.2.1"), 0.0) is None
    for number in range(3_000):
        buckets |= after_failure(buckets, stranger(f"{number}@example.no", "203.0.113.9"), 0.0)
    assert guessing.retry_after(buckets, stranger("new@example.no", "203.0.113.9"), 0.0)
    assert guessing.retry_after(buckets, guesser, 900.0) is None


def failed(buckets: dict[guessing.Key, FailureCounter], login: str, address: str, times: int, now: float) -> None:
    for _ in range(times):
        buckets |= after_failure(buckets, stranger(login, address), now)


def test_one_login_is_not_guessed_from_many_addresses() -> None:
    buckets: dict[guessing.Key, FailureCounter] = {}
    for number in range(49):
        failed(buckets, "kari@example.no", f"192.0.2.{number}", 1, 0.0)
    fresh = stranger("kari@example.no", "198.51.100.1")
    assert guessing.retry_after(buckets, fresh, 0.0) is None
    failed(buckets, "kari@example.no", "192.0.2.200", 1, 0.0)
    assert guessing.retry_after(buckets, fresh, 0.0) == 18.0  # fifty in a quarter of an hour
    assert guessing.retry_after(buckets, fresh, 18.0) is None
    assert guessing.retry_after(buckets, stranger("ola@example.no", "192.0.2.1"), 0.0) is None


@pytest.mark.parametrize(
    ("failures", "now", "wait"),
    [
        ([], 0.0, None),
        ([("kari", "home", 5)], 0.0, None),
        ([("kari", "home", 6)], 0.0, 50.0),
        ([("kari", "home", 6)], 20.0, 30.0),
        ([("kari", "home", 6)], 50.0, None),
        ([("kari", "home", 12)], 0.0, 350.0),
        ([("ola", "home", 2_999)], 0.0, None),
        ([("ola", "home", 3_000)], 0.0, 0.3),
        ([("kari", "away", 50)], 0.0, 18.0),
        ([("kari", "home", 6), ("kari", "away", 44)], 0.0, 50.0),  # the longest of the waits: all must have room
        ([("kari", "home", 7), ("kari", "away", 49)], 0.0, 126.0),
    ],
)
def test_a_try_waits_until_every_bucket_has_room(
    failures: list[tuple[str, str, int]], now: float, wait: float | None
) -> None:
    buckets: dict[guessing.Key, FailureCounter] = {}
    for login, address, times in failures:
        failed(buckets, login, address, times, 0.0)
    found = guessing.retry_after(buckets, stranger("kari", "home"), now)
    assert found == (None if wait is None else pytest.approx(wait))


def test_a_bucket_that_has_drained_is_empty_and_not_less() -> None:
    buckets: dict[guessing.Key, FailureCounter] = {}
    failed(buckets, "kari", "home", 6, 0.0)
    failed(buckets, "kari", "home", 6, 100_000.0)
    assert guessing.retry_after(buckets, stranger("kari", "home"), 100_000.0) == 50.0


def test_waiting_as_long_as_told_is_enough() -> None:
    buckets: dict[guessing.Key, FailureCounter] = {}
    tried = stranger("kari@example.no", "192.0.2.1")
    for _ in range(6):
        buckets |= after_failure(buckets, tried, 10.0)
    wait = guessing.retry_after(buckets, tried, 10.0)
    assert wait == 50.0
    assert guessing.retry_after(buckets, tried, 10.0 + wait) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 60)), max_size=60))
def test_tries_at_once_do_not_pass_the_limit_and_those_that_were_right_leave_nothing(
    events: list[tuple[int, float]],
) -> None:
    """0, 1: begin; 2: the oldest ends wrong; 3: it ends right."""
    tried = {("name and network", "kari", "home"): Limit(6, 300)}
    guesses, now, open_, failures = Guesses(buckets_max=10), 0.0, 0, 0.0
    for what, pause in events:
        now += pause
        failures = max(0.0, failures - pause * 6 / 300)
        if what < 2:
            taken = guesses.reserve(tried, now) is None
            assert taken == (failures + open_ + 1 <= 6) or abs(failures + open_ + 1 - 6) < 1e-6
            open_ += taken
        elif open_:
            guesses.settle(tried, now, failed=what == 2)
            open_, failures = open_ - 1, failures + (what == 2)
    for _ in range(open_):
        guesses.settle(tried, now, failed=False)
    wait_s = guessing.retry_after({("name and network", "kari", "home"): FailureCounter(failures, now)}, tried, now)
    assert guesses.reserve(tried, now) == (wait_s if wait_s is None else pytest.approx(wait_s, abs=1e-6))


def test_each_try_gives_back_its_own_place_and_one_that_was_forgotten_gives_back_none() -> None:
    tried = {("name", "kari", ""): Limit(2, 300)}
    guesses = Guesses(buckets_max=1)
    assert [guesses.reserve(tried, 0.0) is None for _ in range(3)] == [True, True, False]
    guesses.settle(tried, 0.0, failed=False)
    assert [guesses.reserve(tried, 0.0) is None for _ in range(2)] == [True, False]
    other = {("name", "ola", ""): Limit(2, 300)}
    assert guesses.reserve(other, 0.0) is None  # and of kari's nothing is known any more
    guesses.settle(tried, 0.0, failed=False)
    assert [guesses.reserve(other, 0.0) is None for _ in range(2)] == [True, False]


def test_what_strangers_fill_does_not_keep_out_who_is_known() -> None:
    guesses = Guesses(buckets_max=1_000)
    for number in range(60):
        tried = stranger("kari", f"192.0.2.{number}")
        if guesses.reserve(tried, 0.0) is None:
            guesses.settle(tried, 0.0, failed=True)
    assert guesses.reserve(stranger("kari", "198.51.100.1"), 0.0)
    known = acquaintance("kari", "d-1", LIMITS)
    for _ in range(6):
        assert guesses.reserve(known, 0.0) is None  # known, and not trusted without end
    assert guesses.reserve(known, 0.0) and guesses.reserve(acquaintance("kari", "d-2", LIMITS), 0.0) is None


def test_no_name_is_taken_for_a_network_and_of_a_long_one_little_is_kept() -> None:
    assert len({*stranger("", "home"), *stranger("home", ""), *acquaintance("home", "", LIMITS)}) == 7
    assert {name for _, name, _ in stranger("x" * 9_000, "home")} == {"x" * 254, ""}


def test_who_was_right_is_not_remembered_and_of_the_others_the_newest_are() -> None:
    guesses = Guesses(buckets_max=2)
    one, another, third = ({("name", name, ""): Limit(1, 300)} for name in ("one", "another", "third"))
    for tried, failed in ((one, True), (another, False), (third, True)):
        assert guesses.reserve(tried, 0.0) is None
        guesses.settle(tried, 0.0, failed=failed)
    assert guesses.reserve(one, 0.0) and guesses.reserve(third, 0.0)
    guesses.reserve(another, 0.0)
    assert guesses.reserve(one, 0.0) is None  # forgotten: memory is bounded


def test_one_subscribers_addresses_count_as_one() -> None:
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("nowhere") == "nowhere"


@pytest.mark.parametrize(
    ("address", "within"),
    [("10.1.2.3", True), ("10.2.2.3", False), ("::ffff:10.1.2.3", True), ("::1", True), ("::2", False), ("", False)],
)
def test_an_address_is_within_a_network_or_is_it(address: str, within: bool) -> None:
    assert Networks(("10.1.0.0/16", "::1")).hold(address) is within
