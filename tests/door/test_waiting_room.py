"""The waiting room's promises, held to in simulated evenings."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting_crowd import busy_share, evening_of

from prikkfri.door import waiting_room
from prikkfri.door.waiting_room import Capacity

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


steps = st.lists(
    st.tuples(
        st.sampled_from(["join", "hear", "wait", "poll"]),
        st.floats(0, 100, allow_nan=False),
        st.floats(0, 1000, allow_nan=False),
    ),
    max_size=60,
)


@given(steps)
def test_whatever_happens_the_front_never_goes_back_and_stays_near_the_line(
    steps: list[tuple[str, float, float]],
) -> None:
    now, line, handed_out = 1000.0, waiting_room.opened(0, 0.0, 1000.0), 0
    for kind, seconds, rate in steps:
        before = line.front
        if kind == "join":
            line, number = waiting_room.joined(line)
            assert number == handed_out
            handed_out += 1
        elif kind == "hear":
            line = waiting_room.heard(line, Capacity(rate, seconds), now)
        elif kind == "poll":
            line = waiting_room.let_in(line, int(rate) % (handed_out + 1), waited=True) or line
        else:
            now += seconds - 5  # clocks are set back, too
            line = waiting_room.moved(line, now)
        ahead = max(waiting_room.AHEAD_MIN, (line.capacity.per_second if line.capacity else 0.0))
        assert before <= line.front <= max(line.next_number + ahead, before)
        assert line.rate >= 0 and line.pace >= 0 and 0 < line.coming <= 1
        if handed_out:
            place = waiting_room.place(line, handed_out - 1)
            assert 0 <= place.ahead <= line.next_number + 1
            assert place.poll_after_s <= waiting_room.POLL_SECONDS_MAX
