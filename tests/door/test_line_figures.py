"""What the line tells, in figures: who steers it, who asks when, what a door that starts anew has to know."""

import random
from dataclasses import asdict, replace
from itertools import pairwise

import msgspec
import pytest

from prikkfri.door import forecast
from prikkfri.door.steering import ROOM_WINDOWS, Order, OrderRequest, Steering, apply_order
from prikkfri.door.waiting_room import FASTER_UNMEASURED, UNDER_WAY_SECONDS, Attendance, Capacity, Line, Place

START = 1_000_000.0
NUMBER = int((START - 60) * 64)
CALM = Capacity(100.0, 0.5, 0)


def line_of(people: int = 0, *, per_second: float = 10.0, spent: float | None = None) -> Line:
    """A line that signin has just been heard for, in which so many have stood for a while."""
    line = Line(float(NUMBER), START, [(NUMBER, people)] if people else [])
    line.heard(Capacity(per_second, 0.7, spent), START)
    return line


def steered(line: Line, kind: str, now: float = START, **more: object) -> None:
    wanted = OrderRequest(kind, "Kari", line.steering.number, sure=True, **more)  # type: ignore[arg-type]
    after = apply_order(line.steering, wanted, now=now, rate_max=1_000.0)
    assert isinstance(after, Steering), after
    line.steer(after, now)


def calm(now: float, *, spent: float) -> Capacity:
    return Capacity(100.0, 0.5, spent)


def test_passes_that_were_given_and_spent_are_told_as_they_fade_and_those_that_are_out() -> None:
    line = Line(float(NUMBER), START)
    line.heard(CALM, START)
    line.moved(START + 1)
    assert [line.at_once() for _ in range(90)] == [True] * 90
    line.heard(calm(START + 1, spent=30), START + 1)
    told = line.measure()
    assert (told.passes_out, told.given_per_second, told.spent_per_second) == (90, 0.0, 2.0)
    line.heard(calm(START + 2.5, spent=30), START + 2.5)
    assert line.measure().passes_out == 90
    line.heard(calm(START + 3, spent=30), START + 3)  # what was given until 1.5 s and the wait before it is due
    told, faded = line.measure(), 30 * (1 - 1.5 / 15) * (1 - 0.5 / 15)
    assert told.passes_out == int(90 - faded) and told.given_per_second == pytest.approx(90 / 15)
    assert told.spent_per_second == pytest.approx(faded / 15)
    assert told.unspent_share == pytest.approx(1 - (faded + 101) / (90 + 101))
    assert (told.waiting, told.machine_per_second, told.wait_s, told.absent_share) == (0, 100.0, 0.0, 0.0)
    assert told.silent_since is None
    line.heard(calm(START + 5, spent=120), START + 5)
    assert line.measure().passes_out == 0, "more were spent than are known to have been given"
    line.moved(START + 9)
    silent = line.measure()
    assert (silent.silent_since, silent.machine_per_second, silent.wait_s) == (START + 5, 0.0, None)


def test_those_called_who_do_not_come_are_a_share_of_those_called() -> None:
    line = line_of(10_000)
    for half in range(1, 60):
        line.moved(START + half / 2)
        line.heard(Capacity(10.0, 0.7, None), START + half / 2)
    assert 0.5 < line.measure().absent_share <= 0.9
    assert line.measure().waiting == int(line.waiting) > 5_000


def test_whoever_gets_in_while_everybody_does_has_a_pass_and_is_counted_once() -> None:
    line = line_of(5, spent=0)
    steered(line, "open")
    assert line.at_once() and line.at_once() and line.let_in(line.front + 9) and line.let_in(line.front)
    assert line.measure().passes_out == 4 and line.called_below() == float("inf")


def test_a_front_calls_those_before_it_at_once_and_whoever_stands_at_it_with_the_next_step() -> None:
    line = line_of(5)
    assert line.let_in(line.front - 0.5) and not line.let_in(line.front)
    line.moved(START + 1)
    assert line.let_in(line.front)


def test_no_more_are_let_in_in_debt_than_may_come_in_a_second() -> None:
    line = line_of(50)
    assert [line.let_in(line.front - 0.5) for _ in range(12)] == [True] * 10 + [False] * 2
    assert line.passes == -10


def called(line: Line, seconds: float, *, come: float) -> int:
    """The line moves, and of those called so many come; how many passes they got."""
    came, got = 0.0, 0
    for step in range(1, int(seconds * 5) + 1):
        before, now = line.waiting, START + step / 5
        line.moved(now)
        came += come * (before - line.waiting)
        while came >= 1:
            assert line.let_in(line.front - 1)
            came, got = came - 1, got + 1
        if step % 5 == 0:
            line.heard(Capacity(10.0, 0.7, None), now)
    return got


@pytest.mark.parametrize(
    ("seconds", "owed", "people"),
    [(0.1, 0, 1.05), (0.1, 1, 1.0), (0.1, 6, 0.5), (0.1, 10, 0.1), (0.5, 0, 6.25), (0.5, 5, 5.0), (1.0, 0, 14.0),
     (0.2, 12, 0.0), (2.0, 0, 14.0)],
)  # fmt: skip
def test_a_front_moves_by_the_rate_by_half_of_what_is_left_more_and_by_all_that_is_owed_less(
    seconds: float, owed: int, people: float
) -> None:
    """At ten a second, of a door that was frozen by one second's; by two fifths more at most before it is measured."""
    line = line_of(1_000)
    for _ in range(min(owed, 10)):
        assert line.let_in(line.front - 0.5)
    if owed > 10:
        line.heard(Capacity(5.0, 0.7, None), START)
    line.moved(START + seconds)
    assert 1_000 - line.waiting == pytest.approx(people, rel=1e-4)


def test_a_front_may_move_faster_once_it_was_seen_what_signin_takes() -> None:
    line = line_of(1_000, spent=0)
    line.heard(Capacity(10.0, 0.7, 10), START + 1)
    line.moved(START + 1)
    assert 1_000 - line.waiting == pytest.approx(15.0, rel=1e-4)


def test_each_who_comes_is_one_of_those_called() -> None:
    line = line_of(10_000)
    called(line, 2.4, come=0.0)
    shares = [line.coming]
    for _ in range(3):
        assert line.let_in(line.front - 1)
        shares.append(line.coming)
    one = shares[0] / (1 + UNDER_WAY_SECONDS * 10)
    assert 0.1 < shares[0] < 0.9 and [b - a for a, b in pairwise(shares)] == pytest.approx([one] * 3)


@pytest.mark.parametrize("come", [0.4, 0.8])
def test_a_wait_is_shorter_by_the_share_of_those_who_do_not_come(come: float) -> None:
    line = line_of(100_000)
    assert called(line, 40.0, come=come) == pytest.approx(400, rel=0.15), "as many get in as if all had come"
    assert line.wait_s(999) == pytest.approx(100 * come, rel=0.15)
    assert line.coming == pytest.approx(come, rel=0.15)


def test_with_one_who_waits_nobody_gets_in_at_once_and_whoever_comes_waits() -> None:
    line = line_of()
    line.moved(START + 1)
    assert line.passes == 10 and line.wait_of_whoever_comes_s() == 0.0
    for _ in range(9):
        assert line.at_once()
    assert line.passes == 1 and line.wait_of_whoever_comes_s() == 0.0
    line.joined(0.5, START + 1)
    assert line.waiting == 1 and not line.at_once()
    assert line.wait_of_whoever_comes_s() == forecast.wait_s(1, 10.0, 1.0, 0.0) > 0
    other = line_of()
    other.moved(START + 1)
    for _ in range(10):
        assert other.at_once()
    assert other.passes == 0 and other.wait_of_whoever_comes_s() == forecast.wait_s(1, 10.0, 1.0, 0.0)


def test_a_wait_is_that_of_those_before_and_oneself_also_where_one_a_second_gets_in() -> None:
    for per_second in (10.0, 1.0):
        line = line_of(100, per_second=per_second)
        assert line.wait_s(9) == forecast.wait_s(10, per_second, 1.0, 0.0) == pytest.approx(10 / per_second)
    assert line_of(100, per_second=0.0).wait_s(9) is None


def test_while_the_line_stands_the_more_wait_the_later_each_asks() -> None:
    for people, seconds in ((5, 1.0), (1_500, 1.5), (30_000, 30.0), (1_000_000, 120.0)):
        line = line_of(people)
        steered(line, "pause", reason="fault")
        assert line.place(line.front) == Place(1, None, seconds, False)


@pytest.mark.parametrize(("per_second", "ahead", "held"), [(8.0, 29, True), (8.0, 30, False), (80.0, 99, True)])
def test_an_answer_is_held_back_where_the_next_question_would_come_within_a_second_and_a_half(
    per_second: float, ahead: int, held: bool
) -> None:
    """0.4 of 30/8 s are 1.5 s."""
    line = line_of(128, per_second=per_second)
    position, empty = line.front + ahead / 128, line.state_bytes
    place, due = line.told(position, START)
    assert place.ahead == ahead + 1 and place.held is held
    assert due == START + place.poll_after_s + (0.0 if held else 0.1)
    told = line.state_bytes
    assert told > empty
    line.landed(position, due)
    assert (line.state_bytes < told) is held, "nobody is held any more"


def test_what_a_door_that_starts_anew_has_to_know() -> None:
    line = line_of(7)
    unmoved = Attendance()
    assert line.state() == {"front": float(NUMBER), "windows": [(NUMBER, 7)], "coming": asdict(unmoved)}
    again = Line(line.state()["front"], START + 5, line.state()["windows"], unmoved)
    assert (again.waiting, again.state(), again.name) == (7, line.state(), int(START + 5))


def test_a_door_that_starts_anew_knows_how_many_of_those_called_come() -> None:
    line = line_of(5_000, per_second=20.0)
    for step in range(1, 161):
        line.moved(START + step / 20)
        if step % 20 == 0:
            line.heard(Capacity(20.0, 0.0, 0.0), START + step / 20)
    assert line.coming < 0.2, "nobody came"
    kept = line.state()
    again = Line(kept["front"], START + 10, kept["windows"], msgspec.convert(kept["coming"], Attendance))
    assert abs(again.coming - line.coming) < 0.02 and again.state()["coming"] == kept["coming"]
    assert Line(kept["front"], START + 10, kept["windows"]).coming == 1.0
    line.steer(replace(Steering(), order=Order("open")), START + 10)
    line.moved(START + 10.1)
    assert line.state()["coming"] is None, "where nobody waits nothing changes that would have to be written down"


def test_turns_are_told_from_the_front_to_the_end() -> None:
    line = Line(NUMBER - 100.0, START, [(NUMBER, 100)])
    line.heard(Capacity(10.0, 0.7, None), START)
    turns = line.turns()
    assert turns[0] == (NUMBER - 100.0, 0, line.wait_s(0)) and turns[-1] == (NUMBER + 1.0, 100, line.wait_s(100))
    assert turns[1:-1] == [(NUMBER + 0.5, 50, line.wait_s(50))]


@pytest.mark.parametrize(("before", "per_second"), [(0, 10.0), (1, 10.0), (5, 10.0), (50, 9.96)])
def test_with_a_room_both_sides_of_its_edge_are_told_behind_those_before_it(before: int, per_second: float) -> None:
    line = line_of(before, per_second=per_second)
    steered(line, "schedule", opens_at=START + 60)
    room = line.steering.closed_room
    assert room is not None
    for lot in range(4):
        line.joined_room(room.first + lot + 0.5, START)
        line.came_back(room.first + lot + 0.5, START)
    line.moved(START + 0.06)
    stand = line.waiting - 4
    turns = line.turns()
    assert [turn[0] for turn in turns] == sorted(turn[0] for turn in turns) and turns[0][0] == line.front
    edge = [(ahead, wait_s) for position, ahead, wait_s in turns if position == room.first]
    inside = (int(stand), line.wait_s(stand))
    assert inside in edge and len(edge) >= 1 + (stand > 0)
    if stand > 0:
        assert edge[0] == (int(stand), pytest.approx((stand + 1) / per_second, rel=0.2))
    else:
        assert all(wait_s >= 59 for _, wait_s in edge), "nobody is called there sooner"
    opens_in = START + 60 - (START + 0.06)
    assert inside[1] == pytest.approx(opens_in + 1 / per_second) and line.wait_of_whoever_comes_s() >= opens_in  # type: ignore[operator]


def test_in_a_room_each_asks_after_its_opening_by_what_is_behind_that_and_in_a_long_one_by_their_lot() -> None:
    line = line_of()
    steered(line, "schedule", opens_at=START + 400)
    room = line.steering.closed_room
    assert room is not None
    far = room.first + ROOM_WINDOWS / 2
    for _ in range(100):
        line.joined_room(far, START)
        line.came_back(far, START)
    for seconds, asks in ((100.0, 300 + 0.4 * 0.1), (99.0, 301 - 150.0)):
        line.heard(Capacity(10.0, 0.7, None), START + seconds)
        line.moved(START + seconds)
        assert line.place(far).poll_after_s == pytest.approx(asks, abs=0.01)
        line = line_of()
        steered(line, "schedule", opens_at=START + 400)
    line.heard(Capacity(10.0, 0.7, None), START + 399.5)
    line.moved(START + 399.5)
    room = line.steering.closed_room
    assert room is not None and line.wait_s(0) == pytest.approx(0.5 + 0.1)


def test_a_line_that_nobody_has_been_heard_for_lets_nobody_in_and_one_that_was_just_heard_nobody_yet() -> None:
    line = Line(float(NUMBER), START)
    assert (line.stands, line.passes, line.per_second, line.silent_since) == (True, 0.0, 0.0, START)
    assert not line.at_once() and not line_of().at_once()


def test_signin_is_silent_when_it_was_heard_longer_ago_than_three_seconds() -> None:
    line = line_of()
    line.moved(START + 3.0)
    assert line.silent_since is None and line.passes == 10.0
    line.moved(START + 3.0625)
    assert line.silent_since == START and line.stands


def test_a_step_has_a_least_length_and_no_moment_counts_twice_or_backwards() -> None:
    line = Line(0.0, 0.0, [(0, 100)])
    line.heard(Capacity(10.0, 0.7, None), 0.0)
    line.moved(0.0499)
    assert line.passes == 0.0
    line.moved(0.05)
    assert line.passes == 0.5
    line.moved(0.05)
    line.moved(-7.0)
    assert line.passes == 0.5
    other = line_of()
    other.moved(START + 1)
    position = other.joined(0.5, START + 1)
    other.came_back(position, START + 1)
    before = other.wait_of_whoever_comes_s()
    other.moved(START + 1)
    assert other.wait_of_whoever_comes_s() == before
    other.moved(START + 1.0625)
    assert other.wait_of_whoever_comes_s() > before  # type: ignore[operator]


def test_a_door_that_stood_still_for_a_second_and_a_half_counts_nobody_as_absent_for_two_more() -> None:
    line = line_of(10_000)
    line.moved(START + 1.5)
    for step in range(1, 9):
        line.moved(START + 1.5 + step / 4)
        line.heard(Capacity(10.0, 0.7, None), START + 1.5 + step / 4)
        assert line.coming == 1.0
    line.moved(START + 3.75)
    assert line.coming < 1.0


@pytest.mark.parametrize("come", [0, 1, 2])
def test_what_is_foretold_follows_from_those_called_and_come_of_late(come: int) -> None:
    """Some two of those called in each step come, or one, or none; of what is given some is not spent."""
    line, spent, least, share = line_of(100_000, spent=0), 0.0, 1.0, 1.0
    fit, observed_at, new, called_of_late, came_of_late = forecast.Fit(), START, [0.0, 0.0], 0.0, 0.0
    for step in range(1, 60):
        now = START + step / 4
        before = line.waiting
        line.moved(now)
        called_of_late, came_of_late = called_of_late * (1 - 0.25 / 3), came_of_late * (1 - 0.25 / 3)
        rate, under_way = line.per_second, UNDER_WAY_SECONDS * line.per_second
        known, called_now = now - START > 2.0, before - line.waiting
        assert called_now <= FASTER_UNMEASURED * rate / share * 0.25 + 0.01, (
            "the turns do not come before the questions"
        )
        if known:
            called_of_late, new[0] = called_of_late + called_now, new[0] + called_now
        if now - observed_at >= 1.0:
            fit, observed_at, new = forecast.observed(fit, *new, under_way, now - observed_at), now, [0.0, 0.0]
        share, trend = fit.level(under_way) * line.spending, fit.trend * line.spending
        assert line.wait_s(99) == pytest.approx(forecast.wait_s(100, rate, share, trend))
        early = 0.15 * rate / share
        window = line.waiting / (NUMBER + 1 - line.front)
        if line.passes > 0:
            assert not line.let_in(line.front + (early + 0.05) / window)
        for number in range(come):
            early_too = number or step % 2
            got = line.let_in(line.front + (early - 0.05) / window if early_too else line.front - 0.1)
            assert got or line.passes <= -line.ahead_max
            came_of_late, new[1] = came_of_late + got * known, new[1] + got * known
            spent += 0.7 * got
        assert line.coming == pytest.approx(
            max(0.1, min(1.0, (came_of_late + 1 + under_way) / (called_of_late + 1 + under_way)))
        )
        least = min(least, line.coming)
        if step % 4 == 0:
            line.heard(Capacity(10.0, 0.1, spent), now)
    assert (least < 1, line.spending < 1) == (True, come > 0)


def test_a_front_goes_to_the_end_and_no_further_and_in_front_of_a_room_waits_for_those_who_have_just_joined() -> None:
    line = line_of(5)
    line.moved(START + 1)
    assert line.front == NUMBER + 1
    position = line.joined(0.5, START + 1)
    steered(line, "schedule", START + 1, opens_at=START + 61)
    line.moved(START + 1.75)
    assert line.front == (START + 0.25) * 64 < position
    line.moved(START + 2.75)
    assert position < line.front <= line.steering.closed_room.first  # type: ignore[union-attr]


def test_a_room_begins_behind_all_whose_moment_has_come_and_when_everybody_gets_in_the_front_is_behind_it() -> None:
    line = line_of(5)
    steered(line, "schedule", opens_at=START + 60)
    room = line.steering.closed_room
    assert room is not None and room.first == START * 64
    steered(line, "open")
    assert line.front == room.ends
    other = line_of(5)
    steered(other, "open")
    assert other.front == NUMBER + 1


@pytest.mark.parametrize("people", [0, 1_000_000])
def test_what_signin_can_take_is_what_it_says_and_what_it_did_while_it_was_busy(people: int) -> None:
    """A report that it is idle while people wait makes more of them come, up to twice as many."""
    lots, line = random.Random(5), line_of(people, spent=0)
    before, heard_at, measured, push, spent = Capacity(10.0, 0.7, 0), START, 0.0, 1.0, 0.0
    for _ in range(120):
        now = heard_at + lots.choice((0.0, 0.5, 1.0, 2.0, 3.5))
        line.moved(now)
        for _ in range(lots.choice((0, 0, 3, 8, 30))):
            line.let_in(line.front - 1)
        spent = lots.choice((0.0, *[spent + took for took in (0.0, 5.0, 9.0, 11.0, 40.0)] * 3))
        said = Capacity(
            lots.choice((0.5, 5.0, 10.0)), lots.choice((0.0, 0.15, 0.2, 0.7, 3.0)), lots.choice((*[spent] * 9, None))
        )
        silent, passes, low = now - heard_at > 3.0, line.passes, line.passes < line.ahead_max / 2
        line.heard(said, now)
        done = 0.0
        if now > heard_at and before.spent is not None and said.spent is not None and said.spent >= before.spent:
            done = (said.spent - before.spent) / (now - heard_at)
            if min(before.waiting_s, said.waiting_s) > 0.15 and not silent:
                known = measured or done
                measured = known + (0.7 if abs(done - known) > 0.15 * known else 0.2) * (done - known)
        measured = measured if people and said.spent is not None else 0.0
        push = min(push * 1.3, 2.0) if people and said.waiting_s <= 0.15 and low else 1.0
        able = max(said.per_second, min(done, 3 * said.per_second))
        if measured:
            able = min(3 * able, measured if said.waiting_s > 0.15 else max(measured, able))
        assert line.per_second == line.measured_per_second == pytest.approx(able)
        correction = max(0.0, 1 + 0.5 * (0.7 - said.waiting_s))
        assert line.passes_per_second == pytest.approx(able * push * correction / line.spending)
        assert line.passes == min(passes, line.ahead_max)
        before, heard_at = said, now


def test_a_measurement_within_a_seventh_is_no_news_and_one_who_waits_is_enough_for_one() -> None:
    line = line_of(1_000, spent=0)
    line.heard(Capacity(10.0, 0.7, 10), START + 1)
    line.heard(Capacity(10.0, 0.7, 21.5), START + 2)
    assert line.per_second == pytest.approx(10.3)
    line.heard(Capacity(10.0, 0.7, 42.5), START + 4)
    assert line.per_second == pytest.approx(10.34)
    place = line.place(line.front + 0.5)
    assert place.poll_after_s == pytest.approx(0.8 * place.wait_s)  # type: ignore[operator]
    one = line_of(1, spent=0)
    one.heard(Capacity(10.0, 0.7, 5), START + 1)
    assert one.per_second == 5.0
    one.heard(Capacity(10.0, 0.15, 5), START + 2)
    assert one.per_second == 10.0, "whoever is not busy can do what they say"


@pytest.mark.parametrize(("people", "seconds", "push"), [(1, 0.0, 1.3), (100, 0.4, 1.3), (100, 0.5, 1.0)])
def test_an_idle_signin_is_pushed_while_less_than_half_a_second_of_passes_is_left(
    people: int, seconds: float, push: float
) -> None:
    line = line_of(people)
    line.moved(START + seconds)
    line.heard(Capacity(10.0, 0.1, None), START + seconds)
    assert line.passes_per_second == pytest.approx(10.0 * push * 1.3)


def test_whoever_joins_stands_behind_a_room_that_has_begun_and_waits_at_least_until_it_opens() -> None:
    line = line_of()
    assert int(line.joined(0.25, START + 0.5)) == (START + 0.5) * 64
    steered(line, "schedule", START + 0.5, opens_at=START + 60.5)
    line.moved(START + 0.5625)
    assert line.wait_of_whoever_comes_s() == pytest.approx(60 - 0.0625)
    room = line.steering.closed_room
    assert room is not None and line.joined(0.25, START + 0.625) >= room.ends


def test_of_those_held_back_no_more_are_called_than_there_are_passes() -> None:
    line = line_of(100)
    for number in range(10):
        place, _ = line.told(line.front + number / 100, START)
        assert place.held
    first = line.front
    line.moved(START + 0.25)
    assert line.front == first + 2 / 100, "two passes and a half"
    line.moved(START + 0.375)
    people = 2 + 1.25 * (1 + 0.5 * 0.375)
    assert line.front == pytest.approx(first + people / 100, abs=1e-6), "and three more for those behind them"


def crowd_that_left(joins: list[float], until: float) -> tuple[Line, list[float]]:
    """A line of 5,000 of whom nobody asks, beside others who join then; their positions."""
    line = Line(float(NUMBER), START, [(NUMBER + window, 50) for window in range(100)])
    line.heard(Capacity(10.0, 0.7, None), START)
    for window in range(100):
        for share in range(200):
            line.told(NUMBER + window + share / 200, START)
    came: list[float] = []
    for step in range(1, int(until * 16) + 1):
        now = START + step / 16
        came += [line.joined(0.5, now) for _ in range(joins.count(step / 16))]
        line.moved(now)
        if step % 16 == 0:
            line.heard(Capacity(10.0, 0.7, None), now)
    return line, came


@pytest.mark.parametrize(
    ("joined", "until", "hurries"),
    [(1.75, 2.0, False), (1.75, 2.125, True), (0.0625, 2.5, False), (0.125, 2.5, True), (9.0, 3.0, False)],
)
def test_a_crowd_has_left_where_somebody_came_within_two_seconds_and_the_door_has_run_for_longer(
    joined: float, until: float, hurries: bool
) -> None:
    line, _ = crowd_that_left([joined], until)
    assert (line.front > NUMBER + 2) is hurries


def test_behind_a_crowd_that_left_those_who_came_since_are_called_one_after_the_other() -> None:
    joins = [step / 16 for step in range(1, 96)] * 20
    line, _ = crowd_that_left(joins, 3.5)
    assert line.front == (START + 0.0625) * 64, "two seconds before it was noticed"
    line, came = crowd_that_left(joins, 6.0)
    called = sum(position < line.front for position in came)
    assert 0 < called < 0.5 * len(came)
