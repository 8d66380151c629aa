"""Counting: in which period and under which words an outcome counts, whatever its writer made of time and words."""

import random
from collections import Counter
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.assurance.counting import (
    KINDS_IN_A_PAGE_MAX,
    PERIOD_SECONDS,
    TIME_MAX,
    Count,
    CountWindow,
    count,
    plausible_time,
)
from prikkfri.journal import Outcome

NOW = 1_700_000_003.0


def outcome(time: float = 1_534_788_004.9, verdict: str = "kept", **fields: object) -> Outcome:
    known = {"service": "television", "step": "sign-in", "layer": "signin"}
    return Outcome(time=time, verdict=verdict, **{**known, **fields})  # type: ignore[arg-type]


def test_outcomes_count_in_their_period_by_kind() -> None:
    broken = outcome(1_534_788_005.0, "broken", reason="overloaded")
    found = count([outcome(), broken, outcome(1_534_788_000.0), outcome(observed=False), broken], NOW)
    assert found == [
        Count(1_534_788_000, "television", "sign-in", "signin", "kept", "", False, 1),
        Count(1_534_788_000, "television", "sign-in", "signin", "kept", "", True, 2),
        Count(1_534_788_005, "television", "sign-in", "signin", "broken", "overloaded", True, 2),
    ]


def test_what_devices_report_hides_nothing_that_roles_saw() -> None:
    noise = [outcome(verdict="broken", reason=f"r{n}", observed=False) for n in range(2 * KINDS_IN_A_PAGE_MAX)]
    found = count([*noise, outcome(verdict="broken", reason="overloaded")], NOW)
    assert [(each.step, each.reason) for each in found if each.observed] == [("sign-in", "overloaded")]
    assert count([outcome(step="join", verdict="asked")], NOW) == []


def test_what_was_done_about_a_fault_is_not_counted() -> None:
    acts = [outcome(step=step) for step in ("open-channel", "close-channel", "stop-route", "open-route")]
    assert [(each.step, each.outcomes) for each in count([*acts, outcome()], NOW)] == [("sign-in", 1)]


@pytest.mark.parametrize("time", [nan, inf, -inf, -0.1, TIME_MAX, 1e300])
def test_a_time_that_cannot_be_one_is_the_present(time: float) -> None:
    assert plausible_time(time, NOW) == NOW
    assert [each.second for each in count([outcome(time)], NOW)] == [1_700_000_000]


@pytest.mark.parametrize("time", [0.0, 1_534_788_004.9, TIME_MAX - 1])
def test_a_time_that_can_be_one_stands(time: float) -> None:
    assert plausible_time(time, NOW) == time


@pytest.mark.parametrize(
    ("word", "counted"),
    [("", ""), ("sign-in", "sign-in"), ("a" * 40, "a" * 40), ("a" * 41, "other"), ("Ola Nordmann", "other"),
     ("+4790000000", "other"), ("4790000000", "4790000000"), ("-x", "other"), ("sign-in\n", "other"), ("\0", "other")],
)  # fmt: skip
def test_only_words_that_are_slugs_are_kept(word: str, counted: str) -> None:
    """A name or a number that somebody put in a reason must not stand on a page."""
    for field in ("service", "step", "layer", "reason"):
        (found,) = count([outcome(**{field: word})], NOW)
        assert getattr(found, field) == counted, field


def test_past_so_many_kinds_the_rest_is_one() -> None:
    made_up = [outcome(reason=f"r{n}", verdict="broken") for n in range(KINDS_IN_A_PAGE_MAX + 20)]
    known_again = outcome(reason="r0", verdict="broken")
    said = [outcome(reason=f"s{n}", verdict="broken", observed=False) for n in range(KINDS_IN_A_PAGE_MAX + 1)]
    reported = {each.reason: each for each in count([*said, *made_up], NOW) if not each.observed}
    assert len(reported) == KINDS_IN_A_PAGE_MAX + 1
    assert reported[""] == Count(1_534_788_000, "other", "other", "other", "broken", "", False, 1)
    seen = [each for each in count([*said, *made_up], NOW) if each.observed]
    assert seen == count(made_up, NOW), "what devices say takes no room from what roles see"
    found = {each.reason: each for each in count([*made_up, known_again], NOW)}
    assert len(found) == KINDS_IN_A_PAGE_MAX + 1
    assert found[""] == Count(1_534_788_000, "other", "other", "other", "broken", "", True, 20)
    assert found["r0"].outcomes == 2


@given(st.lists(st.integers(0, 23), max_size=20), st.integers(0, 20), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_however_the_pages_are_cut_and_shuffled_the_counts_add_up(
    numbers: list[int], cut: int, rng: random.Random
) -> None:
    outcomes = [
        outcome(1_534_788_000.0 + 4 * (n % 4), ("asked", "kept", "broken")[n % 3], observed=n % 8 < 4) for n in numbers
    ]
    whole = {each[:-1]: each.outcomes for each in count(outcomes, NOW)}
    mixed = rng.sample(outcomes, len(outcomes))
    parts: Counter[tuple[object, ...]] = Counter()
    for page in (mixed[:cut], mixed[cut:]):
        parts.update({each[:-1]: each.outcomes for each in count(page, NOW)})
    assert parts == whole
    assert sum(whole.values()) == len(outcomes)


@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(0, 60), st.sampled_from(["read", "fails", "meanwhile"]))))
@settings(max_examples=200)
def test_of_the_last_periods_all_is_known_that_is_stored_however_late_it_came(
    steps: list[tuple[int, int, str]],
) -> None:
    """Each step: so many periods later, something is stored that many periods before it, and all is read."""
    stored: Counter[int] = Counter()
    window, now = CountWindow(), 10_000

    def read(since: int, until: int) -> list[Count]:
        return [
            Count(at, "s", "t", "l", "kept", "", True, n) for at, n in sorted(stored.items()) if since <= at < until
        ]

    def store(at: int) -> None:
        stored[at] += 1
        window.add(at)

    for later, before, what in steps:
        now += later * PERIOD_SECONDS // 8 * PERIOD_SECONDS
        store(now - before * PERIOD_SECONDS)
        since, until = now - 20 * PERIOD_SECONDS, now + PERIOD_SECONDS
        first = window.to_read(since=since, until=until)
        found = read(first, until)
        if what == "fails":
            window.forget()
            continue
        if what == "meanwhile":  # by a page that was stored before it was read, or after
            store(now - before * PERIOD_SECONDS)
        assert window.completed(found, since=since, read_from=first) == read(since, until) or what == "meanwhile"
    window.add(now)
    first = window.to_read(since=now, until=now + PERIOD_SECONDS)
    assert window.completed(read(first, now + PERIOD_SECONDS), since=now, read_from=first) == read(now, now + 5)


def test_what_nothing_was_added_to_is_not_read_again() -> None:
    window = CountWindow()
    assert window.to_read(since=100, until=1_000) == 100
    known = [Count(at, "s", "t", "l", "kept", "", True, 1) for at in (100, 500, 995)]
    assert window.completed(known, since=100, read_from=100) == known
    window.add(990)
    assert window.to_read(since=105, until=1_005) == 990
    assert window.completed([known[2]], since=105, read_from=990) == known[1:]
    assert window.to_read(since=110, until=1_010) == 1_005
    assert window.completed([], since=110, read_from=1_005) == known[1:]
