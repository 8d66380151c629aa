"""The waiting room's promises, held to in simulated evenings."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting_crowd import busy_share, evening_of

from prikkfri.door import waiting_room
from prikkfri.door.waiting_room import Capacity, Line

CAPACITY = 20.0


def test_on_a_calm_evening_everyone_is_let_in_at_once() -> None:
    evening = evening_of({(2, 60): 0.5 * CAPACITY}, capacity=CAPACITY, seconds=62)
    assert len(evening.people) > 500
    assert {person.let_in == person.arrived for person in evening.people} == {True}


@pytest.mark.parametrize("seed", range(3))
def test_a_kick_off_is_let_in_at_capacity_in_order_and_after_the_wait_that_was_told(seed: int) -> None:
    evening = evening_of({(2, 32): 5 * CAPACITY}, capacity=CAPACITY, seconds=170, seed=seed)
    assert len(evening.people) > 2_900
    assert all(person.signed_in for person in evening.people)
    assert busy_share(evening, 5, 140) > 0.98
    assert evening.longest_wait_at_signin_s < 4.0
    for person in evening.people:
        assert person.let_in is not None
        if person.told_wait_s is not None:
            waited = person.let_in - person.arrived
            assert abs(waited - person.told_wait_s) < 4
    last = 0.0
    for person in evening.people:  # in the order of their arrival, but for the second between two questions
        assert person.let_in is not None
        assert person.let_in > last - 1.5
        last = max(last, person.let_in)


@pytest.mark.parametrize("leaving", [0.2, 0.5, 0.7])
def test_those_who_give_up_do_not_idle_the_machines(leaving: float) -> None:
    evening = evening_of({(2, 62): 6 * CAPACITY}, capacity=CAPACITY, leaving=leaving, seconds=80)
    assert busy_share(evening, 15, 75) > 0.97
    assert evening.longest_wait_at_signin_s < 4.0


@pytest.mark.parametrize(("claimed", "used"), [(0.7, 0.75), (1.3, 0.99)])
def test_a_wrong_report_of_capacity_is_corrected_by_the_wait_at_signin(claimed: float, used: float) -> None:
    evening = evening_of({(2, 62): 4 * CAPACITY}, capacity=CAPACITY, claimed=claimed * CAPACITY, seconds=120)
    assert busy_share(evening, 10, 120) > used
    assert evening.longest_wait_at_signin_s < 4.5


def test_while_signin_is_dead_the_line_stands_and_nobody_loses_their_place() -> None:
    evening = evening_of({(2, 30): 3 * CAPACITY}, capacity=CAPACITY, dead=(15, 60), seconds=140)
    still = evening.silent[100:]  # signin counts as silent some seconds after it died
    assert len(set(still)) == 1
    assert all(person.signed_in for person in evening.people)
    assert evening.longest_wait_at_signin_s < 60 - 15 + 6
    after = sorted((p for p in evening.people if p.let_in and p.let_in > 60), key=lambda p: p.let_in or 0)
    assert all(a.arrived <= b.arrived + 5 for a, b in itertools.pairwise(after))


def test_silence_is_told_with_its_beginning_and_no_wait_is_invented() -> None:
    line = waiting_room.opened(0, 0.0, 100.0)
    line, number = waiting_room.joined(line)
    assert (line.silent_since, waiting_room.place(line, number).wait_s) == (100.0, None)
    line = waiting_room.moved(waiting_room.heard(line, Capacity(CAPACITY, 0.0), 101.0), 101.1)
    assert line.silent_since is None
    assert waiting_room.let_in(line, number, waited=True) is not None
    line = waiting_room.moved(line, 105.0)
    assert line.silent_since == 101.0
    line, newcomer = waiting_room.joined(line)
    assert newcomer < line.front and waiting_room.let_in(line, newcomer, waited=False) is None


def test_a_number_that_the_line_forgot_in_a_crash_keeps_its_place() -> None:
    line = waiting_room.remembered(waiting_room.opened(10, 5.0, 0.0), 17)
    line, newcomer = waiting_room.joined(line)
    assert newcomer == 18


def line_of(**facts: Any) -> Line:
    """A line of a hundred that signin, just heard, takes up by twenty a second."""
    known: dict[str, Any] = {"next_number": 100, "front": 0.0, "moved_at": 0.0, "capacity": Capacity(20, 1.0)}
    return Line(**known | facts)


def test_the_front_stays_where_it_is_when_signin_can_take_much_less_than_before() -> None:
    """Whoever was called stays called: a front that ran ahead of the line at high capacity stands beyond it at low."""
    line = waiting_room.moved(line_of(next_number=0, capacity=Capacity(100, 0.0)), 1.0)
    assert line.front == 100  # ahead by one second of capacity
    line = waiting_room.heard(line, Capacity(0.5, 5.0), 1.0)
    for now in (1.1, 2.0, 3.9):
        line = waiting_room.moved(line, now)
        assert line.front == 100
    line, number = waiting_room.joined(line)
    assert number < line.front
    assert waiting_room.let_in(line, number, waited=True) is not None


def test_a_door_that_was_frozen_goes_on_as_if_two_seconds_had_passed() -> None:
    two = waiting_room.moved(line_of(next_number=1_000), 2.0)
    for frozen in (2.1, 3.0):
        assert replace(waiting_room.moved(line_of(next_number=1_000), frozen), moved_at=2.0) == two
    assert two.front == 60  # forty, and half as many more, since nobody has come for a pass
    thawed = waiting_room.heard(line_of(next_number=1_000, silent_since=0.0), Capacity(20, 1.0), 60.0)
    assert waiting_room.moved(thawed, 60.0).front == two.front


@pytest.mark.parametrize(
    ("facts", "now", "changed"),
    [
        # At the rate of signin: faster while its passes are not fetched (10 of at most 20: by a quarter), ...
        ({}, 0.5, {"front": 12.5, "passes": 10.0, "pace": 25 / 30, "called": 12.5}),
        # ... slower while more were fetched than expected, and not at all when very many were.
        ({"passes": -10.0}, 0.5, {"front": 10.0, "passes": 0.0, "pace": 20 / 30, "called": 10.0}),
        ({"passes": -20.0}, 0.5, {"front": 7.5, "passes": -10.0, "pace": 15 / 30, "called": 7.5}),
        ({"passes": -60.0}, 0.5, {"passes": -50.0}),
        # No more than a second's capacity ahead of the line, nor passes of more than that.
        ({"next_number": 5}, 2.0, {"front": 25.0, "passes": 20.0, "pace": 8.0 / 2, "called": 5.0}),
        ({"next_number": 5, "capacity": Capacity(2, 1.0)}, 2.0,
         {"front": 6.0, "passes": 3.0, "pace": 3 * 2 / 15, "called": 5.0}),
        # Signin's own line is too short, too long, far too long.
        ({"capacity": Capacity(20, 0.0), "passes": -11.5}, 0.5,
         {"front": 11.5, "passes": 0.0, "pace": 23 / 30, "called": 11.5}),
        ({"capacity": Capacity(20, 3.0), "passes": -7.0}, 0.5,
         {"front": 7.0, "passes": 0.0, "pace": 14 / 30, "called": 7.0}),
        ({"capacity": Capacity(20, 8.0), "pace": 3.0}, 0.5, {}),
        # What was measured fades over fifteen seconds; a clock that was set back moves nothing.
        ({"capacity": None, "called": 30.0, "came": 15.0, "pace": 3.0}, 1.5, {"called": 27.0, "came": 13.5}),
        ({"called": 30.0, "came": 15.0, "moved_at": 7.0}, 0.5, {}),
        # Of those called not all come: by so much faster are they called. Two seconds' worth of them is still to come.
        ({"called": 41.0, "came": 0.0, "passes": -10.0}, 0.5,
         {"front": 20.0, "passes": 0.0, "pace": 40 / 30, "called": 20 + 41 * (1 - 0.5 / 15)}),
        ({"called": 9_000.0, "came": 90.0, "passes": -10.0}, 0.5,
         {"front": 50.0, "passes": 0.0, "pace": 100 / 30, "called": 50 + 9_000 * (1 - 0.5 / 15),
          "came": 90 * (1 - 0.5 / 15)}),
        ({"called": 10.0, "came": 20.0, "passes": -10.0}, 0.5,
         {"front": 10.0, "passes": 0.0, "pace": 20 / 30, "called": 10 + 10 * (1 - 0.5 / 15),
          "came": 20 * (1 - 0.5 / 15)}),
        # Silent since it was last heard, when that is longer ago than three seconds: nothing moves.
        ({"moved_at": 2.0}, 3.0, {"front": 30.0, "passes": 20.0, "pace": 30 / 15, "called": 30.0}),
        ({"moved_at": 2.0, "heard_at": 0.5}, 3.6, {"silent_since": 0.5}),
        ({"silent_since": 1.0, "moved_at": 2.0, "heard_at": 0.5}, 9.6, {}),
    ],
)  # fmt: skip
def test_the_line_moves_by_what_signin_can_take(facts: dict[str, Any], now: float, changed: dict[str, Any]) -> None:
    line = line_of(**facts)
    expected = replace(line, moved_at=now, **changed)
    moved = waiting_room.moved(line, now)
    assert {name: getattr(moved, name) for name in NUMBERS} == pytest.approx(
        {name: getattr(expected, name) for name in NUMBERS}
    )
    assert (moved.capacity, moved.silent_since) == (expected.capacity, expected.silent_since)


NUMBERS = ("next_number", "front", "moved_at", "pace", "passes", "heard_at", "called", "came")


@pytest.mark.parametrize(
    ("facts", "number", "waited", "changed"),
    [
        ({"front": 10.0, "passes": 1.0}, 9, False, {"passes": 0.0}),
        ({"front": 10.0, "passes": 1.0}, 9, True, {"passes": 0.0, "came": 1.0}),
        ({"front": 10.0, "passes": 0.75}, 9, False, None),  # whoever comes now does not get in before those who wait
        ({"front": 10.0, "passes": 0.75}, 9, True, {"passes": -0.25, "came": 1.0}),
        ({"front": 10.0, "passes": -40.0}, 9, True, {"passes": -41.0, "came": 1.0}),
        ({"front": 10.0, "passes": 5.0}, 10, True, None),
        ({"front": 10.5, "passes": 5.0}, 10, True, {"passes": 4.0, "came": 1.0}),
        ({"front": 10.0, "passes": 5.0, "silent_since": 1.0}, 9, True, None),
        ({"front": 10.0, "passes": 5.0, "silent_since": 0.0}, 9, False, None),
    ],
)
def test_who_is_let_in(facts: dict[str, Any], number: int, waited: bool, changed: dict[str, Any] | None) -> None:
    line = line_of(**facts)
    let_in = waiting_room.let_in(line, number, waited=waited)
    assert let_in == (None if changed is None else replace(line, **changed))


@pytest.mark.parametrize(
    ("facts", "number", "place"),
    [
        ({"front": 4.5, "pace": 2.0}, 10, (6, 3.25, 1.0)),  # those about to be called ask every second
        ({"front": 4.5, "pace": 2.0, "next_number": 20_004}, 10, (6, 3.25, 3.25)),  # or so seldom that all can ask
        ({"front": 4.5, "pace": 2.0, "next_number": 5_004}, 50, (46, 23.25, 23.25 / 4)),
        ({"front": 4.5, "pace": 2.0, "next_number": 9_004}, 50, (46, 23.25, 8.9995)),
        ({"front": 4.5, "pace": 2.0, "next_number": 90_004}, 90_000, (89_996, 44_998.25, 60.0)),
        ({"front": 4.0, "pace": 2.0}, 4, (1, 0.5, 1.0)),
        ({"front": 4.0, "pace": 0.125}, 4, (1, 8.0, 2.0)),
        ({"front": 9.0, "pace": 2.0}, 4, (1, 0.5, 1.0)),  # called, and no pass is left
        ({"front": 4.5}, 10, (6, None, 1.0)),
        ({"front": 4.5, "pace": 2.0, "silent_since": 1.0}, 10, (6, None, 1.0)),
        ({"front": 0.0, "pace": 2.0, "silent_since": 1.0, "next_number": 30_000}, 10, (11, None, 30.0)),
        ({"front": 0.0, "silent_since": 1.0, "next_number": 90_000}, 10, (11, None, 60.0)),
    ],
)
def test_where_somebody_stands_and_when_to_ask_again(
    facts: dict[str, Any], number: int, place: tuple[int, float | None, float]
) -> None:
    found = waiting_room.place(line_of(**facts), number)
    assert (found.ahead, found.wait_s) == place[:2]
    assert found.poll_after_s == pytest.approx(place[2])


def test_a_wait_is_foretold_by_what_signin_says_until_the_line_has_a_pace_of_its_own() -> None:
    waiting = line_of(pace=7.0)
    assert waiting_room.heard(waiting, Capacity(30, 0.5), 9.0) == replace(
        waiting, capacity=Capacity(30, 0.5), heard_at=9.0
    )
    assert waiting_room.heard(line_of(pace=7.0, front=100.0), Capacity(30, 0.5), 9.0).pace == 30
    first = waiting_room.heard(waiting_room.opened(100, 3.5, 8.0), Capacity(30, 0.5), 9.0)
    assert first == Line(100, 3.5, 8.0, pace=30.0, capacity=Capacity(30, 0.5), heard_at=9.0)


@pytest.mark.parametrize(("saved", "left"), [(80.0, 20.0), (20.0, 20.0), (5.0, 5.0), (-40.0, -40.0)])
def test_what_signin_could_take_before_gives_no_passes_that_it_cannot_take_now(saved: float, left: float) -> None:
    line = line_of(capacity=Capacity(100, 0.0), passes=saved)
    assert waiting_room.heard(line, Capacity(20, 1.0), 1.0).passes == left


def test_a_number_shown_is_remembered_only_when_it_is_news() -> None:
    line = line_of()
    assert waiting_room.remembered(line, 99) == waiting_room.remembered(line, 5) == line
    assert waiting_room.remembered(line, 100) == replace(line, next_number=101)


steps = st.lists(
    st.one_of(
        st.just(("join", 0.0, 0.0)),
        st.tuples(
            st.just("hear"), st.sampled_from([0.0, 1.0, 3.0, 50.0]), st.sampled_from([0.0, 0.5, 3.0, 20.0, 400.0])
        ),
        st.tuples(st.just("wait"), st.sampled_from([-5.0, 0.1, 1.0, 2.0, 2.9, 4.0, 60.0]), st.just(0.0)),
        st.tuples(st.just("poll"), st.just(0.0), st.floats(0, 1000)),
    ),
    max_size=60,
)


@given(steps)
def test_whatever_happens_the_front_never_goes_back_and_stays_near_the_line(
    steps: list[tuple[str, float, float]],
) -> None:
    now, line, handed_out = 1000.0, waiting_room.opened(0, 0.0, 1000.0), 0
    for kind, seconds, rate in steps:
        before = line
        if kind == "join":
            line, number = waiting_room.joined(line)
            assert number == handed_out
            handed_out += 1
        elif kind == "hear":
            line = waiting_room.heard(line, Capacity(rate, seconds), now)
        elif kind == "poll":
            number = int(rate) % (handed_out + 1)
            let_in = waiting_room.let_in(line, number, waited=True)
            assert let_in is None or (number < line.front and line.silent_since is None)
            line = let_in or line
        else:
            now += seconds  # clocks are set back, too
            line = waiting_room.moved(line, now)
            assert line.front - before.front <= 1.5 * before.rate * min(max(seconds, 0.0), 2.0) + 1e-6
        ahead = max(waiting_room.AHEAD_MIN, (line.capacity.per_second if line.capacity else 0.0))
        assert line.passes <= line.ahead_max
        assert before.front <= line.front <= max(line.next_number + ahead, before.front)
        assert line.rate >= 0 and line.pace >= 0 and 0 < line.coming <= 1 and 0 <= line.waiting <= line.next_number
        if handed_out:
            place = waiting_room.place(line, handed_out - 1)
            assert 0 <= place.ahead <= line.next_number + 1
            assert waiting_room.POLL_SECONDS_MIN <= place.poll_after_s <= waiting_room.POLL_SECONDS_MAX
