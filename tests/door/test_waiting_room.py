"""The line's promises, through its own words: who is let in, in which order, and what a wait is foretold from."""

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.door.forecast import Fit, observed, wait_s
from prikkfri.door.presence import Dues, Standby
from prikkfri.door.turns import TurnCalls
from prikkfri.door.waiting_room import Capacity, Line
from prikkfri.door.windows import Windows

START = 1_000.0


def line_of(people: int = 0, *, per_second: float = 10.0) -> Line:
    """A line that signin has just been heard for, in which so many have stood for a while."""
    number = int((START - 60) * 64)
    line = Line(float(number), START, [(number, people)] if people else [])
    line.heard(Capacity(per_second, 0.7, 0), START)
    return line


def test_on_a_calm_evening_everyone_is_let_in_at_once_and_a_second_of_capacity_may_come_together() -> None:
    line = line_of()
    line.moved(START + 1)
    assert [line.at_once() for _ in range(11)] == [True] * 10 + [False]


def test_nobody_is_let_in_at_once_while_somebody_waits_or_signin_is_silent() -> None:
    line = line_of(5)
    line.moved(START + 0.1)
    assert not line.at_once()
    silent = line_of()
    silent.moved(START + 1)
    silent.moved(START + 3.1)
    assert silent.silent_since == START and not silent.at_once()
    assert silent.place(silent.joined(0.5, START + 3.1)).wait_s is None
    assert silent.turns() == [] and silent.wait_of_whoever_comes_s() is None


def test_the_front_moves_at_the_rate_of_signin_and_calls_in_order() -> None:
    line = line_of(100)
    first, middle, last = (line.front + share for share in (0.0, 0.5, 0.99))
    line.moved(START + 1)
    assert line.let_in(first) and not line.let_in(middle) and not line.let_in(last)
    assert 9 < 100 - line.waiting < 15.1  # by half as many more, since nobody has come for a pass yet
    assert line.place(middle).ahead < line.place(last).ahead


def test_a_front_never_passes_whoever_cannot_have_come_back_yet() -> None:
    line = line_of()
    position = line.joined(0.5, START)
    line.moved(START + 1)
    assert line.front <= position
    line.came_back(position, START + 1.1)
    line.moved(START + 1.6)
    assert line.front > position and line.let_in(position)


def test_each_is_told_to_ask_again_before_the_turn_and_early_while_only_signins_word_is_known() -> None:
    line = line_of(100)
    place, due = line.told(line.front + 0.5, START)
    assert (
        place.wait_s
        and place.poll_after_s == pytest.approx(0.4 * place.wait_s)
        and due == START + place.poll_after_s + 0.1
    )


def test_halved_capacity_is_in_the_wait_within_five_seconds_and_so_is_a_word_that_was_too_low() -> None:
    line, now, spent = line_of(1_000_000, per_second=100.0), START, 0.0
    waits = []
    for second in range(1, 40):
        able = 100.0 if second < 20 else 50.0
        now += 1
        spent += able
        line.moved(now)
        line.heard(Capacity(60.0, 1.0, spent), now)
        waits.append((second, line.per_second))
    assert waits[4][1] == pytest.approx(100, rel=0.02)
    assert waits[18][1] == pytest.approx(100, rel=0.02)
    assert waits[23][1] == pytest.approx(50, rel=0.1)


def test_passes_that_are_not_spent_are_made_up_for() -> None:
    line, now = line_of(100_000, per_second=100.0), START
    spent = 0.0
    for _ in range(40):
        now += 1
        line.moved(now)
        for _ in range(100):
            line.let_in(0.0)
        spent += 70.0
        line.heard(Capacity(100.0, 0.1, spent), now)
    assert line.spending == pytest.approx(0.7, abs=0.08)
    assert line.passes_per_second > 100 / 0.8


def test_a_signin_that_has_started_anew_is_not_taken_for_one_that_spends_less() -> None:
    line = line_of(100)
    line.heard(Capacity(10.0, 0.7, 10.0), START + 1)
    line.heard(Capacity(10.0, 0.7, 3.0), START + 2)
    assert line.spending == 1.0 and line.per_second == 10.0


def test_after_a_crowd_has_left_the_front_hurries_to_those_who_came_since() -> None:
    number = int((START - 60) * 64)
    line = Line(float(number), START, [(number + window, 50) for window in range(100)])
    line.heard(Capacity(10.0, 0.7, 0), START)
    for window in range(100):
        for share in range(200):
            line.told(number + window + share / 200, START)
    came = [line.joined(0.5, START + step / 10) for step in range(1, 50)]
    for step in range(1, 50):
        now = START + step / 10
        line.moved(now)
        line.joined(0.5, now)
        if step % 10 == 0:
            line.heard(Capacity(10.0, 0.0, 0), now)
    assert line.front >= number + 100
    assert not all(line.front > position for position in came)


def test_a_door_that_stood_still_itself_takes_nobody_for_gone() -> None:
    line = line_of(5_000)
    for share in range(100):
        line.told(line.front + share / 100, START)
    line.joined(0.5, START + 59)
    line.moved(START + 60)
    line.heard(Capacity(10.0, 0.0, 0), START + 60)
    line.joined(0.5, START + 60)
    line.moved(START + 60.1)
    assert line.waiting > 4_900


@given(st.lists(st.tuples(st.sampled_from(["join", "back", "wait", "hear", "ask"]), st.floats(0, 5)), max_size=60))
def test_whatever_happens_the_front_never_goes_back_and_stays_at_the_line(steps: list[tuple[str, float]]) -> None:
    line, now = Line(START * 64, START), START
    positions: list[float] = []
    for kind, number in steps:
        front = line.front
        if kind == "join":
            positions.append(line.joined(int(number * 3_000) / 16_384, now))
        elif kind == "back" and positions:
            line.came_back(positions[int(number) % len(positions)], now)
        elif kind == "wait":
            now += number - 0.5  # clocks are set back, too
            line.moved(now)
        elif kind == "hear":
            line.heard(Capacity(number * 20, 5 - number, None if number < 1 else number * 100), now)
        elif positions:
            position = positions[int(number) % len(positions)]
            if not line.let_in(position):
                place, due = line.told(position, now)
                assert place.ahead >= 1 and 0.25 <= place.poll_after_s <= 120 and due > now
        assert line.front >= front
        assert line.passes <= line.ahead_max and line.waiting >= 0
        assert 0.1 <= line.coming <= 1 and 0.1 <= line.spending <= 1 and line.rate >= 0
        turns = line.turns()
        assert turns == sorted(turns), "whoever stands further back waits longer"
    assert positions == sorted(positions, key=int), "whoever came later stands in the same window or a later one"


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.floats(0, 1))
def test_a_position_and_the_number_before_it_are_each_others_inverse(people: list[int], share: float) -> None:
    windows = Windows(0.0)
    windows.restore([(10 * number, many) for number, many in enumerate(people)])
    windows.counted(1e6)
    before = share * sum(people) * 0.999
    assert windows.ahead(windows.at(before)) == pytest.approx(before, abs=1e-6)
    assert windows.at(sum(people)) == float("inf") and windows.waiting == sum(people)


def test_a_window_closes_after_a_quarter_of_a_second_or_of_its_capacity() -> None:
    windows = Windows(START * 64)
    numbers = [int(windows.joined(0.5, START + at, 1_000.0)) for at in (0.0, 0.24, 0.25, 0.25, 0.49, 0.5)]
    assert numbers == [64_000, 64_000, 64_016, 64_016, 64_016, 64_032]
    windows = Windows(START * 64)
    numbers = [int(windows.joined(0.5, START + at, 8.0)) for at in (0.0, 0.125, 0.125, 0.125, 0.125, 0.125)]
    assert numbers == [64_000, 64_000, 64_008, 64_008, 64_009, 64_009]


def test_a_position_that_was_forgotten_in_a_crash_keeps_its_place() -> None:
    windows = Windows(0.0)
    for position in (700.5, 300.25, 500.75, 300.5):
        windows.came_back(position, 20.0)
    windows.counted(1e6)
    assert [round(windows.ahead(position), 3) for position in (300.0, 500.0, 700.0, 701.0)] == [0, 2, 3, 4]
    assert windows.joined(0.5, 20.0, 1.0) > 1280
    assert windows.state() == [(300, 2), (500, 1), (700, 1), (1_280, 0, 1)]


def test_a_forgotten_position_is_put_between_those_that_are_known_and_shifts_nobody_before_the_next_count() -> None:
    windows, now = Windows(64_000.0), 1_010.0
    windows.restore([(64_010, 4), (64_030, 2)])
    windows.counted(now)
    windows.came_back(64_020.5, now)
    places = (64_010.5, 64_020.5, 64_030.5, 64_031.0)
    assert [windows.ahead(place) for place in places] == [2, 4, 5, 6]
    windows.came_back(64_000.0, now)  # the front itself has not been called yet
    windows.came_back(63_999.9, now)
    assert [windows.ahead(place) for place in places] == [2, 4, 5, 6]
    windows.counted(now)
    assert [windows.ahead(place) for place in places] == [3, 5.5, 7, 8]
    assert windows.state() == [(64_000, 1), (64_010, 4), (64_020, 1), (64_030, 2)]


def test_nobody_who_comes_later_stands_in_the_last_window_that_was_forgotten() -> None:
    for later in (0.0, 0.3):
        windows = Windows(64_000.0)
        windows.came_back(64_700.5, 1_000.0)
        assert windows.joined(0.25, 1_000.0 + later, 100.0) == 64_701.25
    beyond = Windows(64_000.0)
    beyond.joined(0.5, 1_000.0, 100.0)
    beyond.came_back(64_700.5, 1_000.1)
    assert beyond.joined(0.25, 1_000.2, 100.0) == 64_701.25
    between = Windows(64_000.0)
    last = between.joined(0.5, 1_000.0, 100.0)
    between.front = 63_000.0
    between.came_back(63_500.5, 1_000.1)
    assert between.joined(0.25, 1_000.2, 100.0) == last - 0.25, "a window before it closes none"


def test_whoever_joins_is_counted_at_once_and_nobody_before_that() -> None:
    windows = Windows(64_000.5)
    assert (windows.back, windows.waiting, windows.end()) == (0, 0, 64_001)
    assert Windows(0.0).end() == 0
    for at in (0.0, 0.1, 0.3, 0.4, 0.6):
        windows.joined(0.5, 1_000.1 + at, 100.0)
    assert (windows.number_of_windows, windows.waiting, windows.back) == (3, 5, 0)
    assert windows.ahead(windows.end()) == 5
    windows.counted(1_000.8)
    assert (windows.waiting, windows.back) == (5, 0)


def test_a_window_stands_until_the_front_has_passed_all_of_it_and_counts_for_what_is_left() -> None:
    windows = Windows(100.5)
    windows.restore([(98, 3), (99, 3), (100, 4), (120, 2)])
    windows.counted(1e6)
    assert (windows.number_of_windows, windows.back, windows.waiting) == (2, 4, 4)
    assert [windows.ahead(place) for place in (100.75, 101.0, 110.0, 120.5)] == [1, 2, 2, 3]
    windows.front = 101.0
    windows.counted(1e6)
    assert windows.state() == [(120, 2)]


def test_nobody_stands_in_a_window_that_is_full_or_that_the_front_has_passed() -> None:
    windows = Windows(64_000.0)
    assert [windows.joined(0.5, 1_000.0, 1.0) for _ in range(3)] == [64_000.5, 64_001.5, 64_002.5]
    windows = Windows(64_000.0)
    windows.joined(0.5, 1_000.0, 1_000.0)
    windows.front = 64_000.9
    assert windows.joined(0.95, 1_000.0, 1_000.0) == 64_000.95
    windows.front = 64_001.0
    assert windows.joined(0.5, 1_000.0, 1_000.0) == 64_001.5


def test_whoever_does_not_come_back_is_not_counted_after_two_seconds() -> None:
    windows = Windows(START * 64)
    windows.joined(0.1, START, 1_000)
    back = windows.joined(0.2, START, 1_000)
    windows.came_back(back, START + 1)
    windows.counted(START + 1)
    assert (windows.waiting, windows.back) == (2, 1)
    windows.counted(START + 3)
    assert (windows.waiting, windows.back) == (1, 1)


def test_who_is_present_shows_by_who_asks_when_told() -> None:
    dues = Dues()
    assert dues.present(START) == 1.0
    for _ in range(40):
        dues.tell(START)
    assert dues.present(START + 0.5) == 1.0  # they may be late
    for _ in range(10):
        dues.landed(START)
    assert dues.present(START + 1.0) == pytest.approx(10.5 / 40.5)
    dues.forget(START + 10)
    assert dues.bytes_held == 0


def test_of_few_nothing_is_concluded_nor_of_those_due_long_ago_and_no_more_are_there_than_were_due() -> None:
    dues = Dues()
    for _ in range(40):
        dues.tell(START - 3.0)  # none of them came
    for _ in range(19):
        dues.tell(START)
    assert dues.present(START + 1.0) == 1.0
    dues.tell(START)
    assert dues.present(START + 1.0) == pytest.approx(0.5 / 20.5)
    for _ in range(25):
        dues.landed(START)
    assert dues.present(START + 1.0) == 1.0


@pytest.mark.parametrize(
    ("due", "now", "known"),
    [(START, START + 5.05, True), (START, START + 5.25, False),
     (START + 600.15, START, True), (START + 600.25, START, False)],
)  # fmt: skip
def test_what_is_five_seconds_over_or_lies_ten_minutes_ahead_is_forgotten(due: float, now: float, known: bool) -> None:
    dues = Dues()
    dues.tell(due)
    dues.forget(now)
    assert (dues.bytes_held > 0) is known


POSITIONS = st.integers(0, 12).map(float)


@given(
    st.lists(st.tuples(POSITIONS, st.sampled_from(["add", "discard"]), st.floats(0, 3)), max_size=30),
    st.floats(-2, 6),
    POSITIONS,
    st.floats(0, 4),
)
def test_on_standby_are_those_held_back_until_they_were_to_ask(
    changes: list[tuple[float, str, float]], people: float, front: float, now: float
) -> None:
    standby, plain = Standby(), dict[float, float]()
    for position, change, until in changes:
        if change == "add":
            standby.add(position, until)
            plain[position] = until
        else:
            standby.discard(position)
            plain.pop(position, None)
    standby.forget(now)
    there = sorted(position for position, until in plain.items() if until + 0.2 >= now)
    assert len(standby) == len(there) and (standby.bytes_held > 0) is bool(there)
    behind = [position for position in there if position >= front][max(0, int(people)) :]
    assert standby.after(people, front) == (behind[0] if behind else math.inf)
    assert standby.after(0) == (there[0] if there else math.inf)


def test_what_was_observed_fades_and_grows_older() -> None:
    fit = observed(observed(observed(Fit(), 10.0, 10.0, 0.0, 1.0), 20.0, 18.0, 0.0, 2.0), 4.0, 3.0, 0.0, 3.0)
    first, second = 10 * math.exp(-5 / 120), 20 * math.exp(-3 / 120)
    assert replace(fit, called=0, missing=0) == Fit(
        weight=pytest.approx(first + second + 4),
        time=pytest.approx(-5 * first - 3 * second),
        share=pytest.approx(first + 0.9 * second + 3),
        time_squared=pytest.approx(25 * first + 9 * second),
        time_share=pytest.approx(-5 * first - 3 * 0.9 * second),
    )
    assert fit.called == pytest.approx(10 * math.exp(-5 / 3) + 20 * math.exp(-1) + 4)


def coming_by_chance(fit: Fit, share: float, seconds: int, lots: random.Random) -> Fit:
    """Forty are called each second, and each comes by chance."""
    for _ in range(seconds):
        fit = observed(fit, 40.0, float(sum(lots.random() < share for _ in range(40))), 12.0, 1.0)
    return fit


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_chance_is_no_news_and_what_is_foretold_rests_on_minutes(share: float, seed: int) -> None:
    fit = coming_by_chance(Fit(), share, 20, random.Random(seed))  # that not all come is news at first
    memory_s = fit.memory_s
    fit = coming_by_chance(fit, share, 200, random.Random(seed + 100))
    assert fit.memory_s == min(120.0, memory_s + 200)
    assert fit.level(12.0) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.2), (0.2, 0.9), (1.0, 0.05), (0.6, 0.1)])
def test_when_clearly_fewer_or_more_come_what_was_before_is_forgotten_within_seconds(
    before: float, after: float
) -> None:
    fit = coming_by_chance(Fit(), before, 180, random.Random(1))
    fit = coming_by_chance(fit, after, 10, random.Random(2))
    assert fit.memory_s < 20
    assert fit.level(0.0) == pytest.approx(after, abs=0.2)
    for _ in range(200):
        assert 5.0 <= fit.memory_s <= 120.0
        fit = coming_by_chance(fit, 0.5 + 0.5 * (fit.memory_s < 6), 1, random.Random(3))


def test_a_share_is_never_more_than_all_and_is_known_from_the_first_who_fades() -> None:
    assert Fit(weight=10.0, share=12.0).level(0) == 1.0
    assert Fit(weight=0.5, share=0.25).level(0) == pytest.approx(0.5)


@given(st.floats(0.3, 1.0), st.floats(-0.0008, 0.0))
def test_a_share_and_its_trend_are_found_again(share: float, trend: float) -> None:
    fit, truth = Fit(), share + 0.1
    for second in range(240):
        truth = max(0.1, min(1.0, share + trend * (second - 239)))
        fit = observed(fit, 200.0, 200.0 * truth, 0.0, 1.0)
    assert fit.level(0) == pytest.approx(truth, abs=0.03)
    assert -0.002 <= fit.trend <= 0.0003


def test_a_short_history_foretells_no_trend_and_none_foretells_that_all_come() -> None:
    assert (Fit().level(5), Fit().trend) == (1.0, 0.0)
    fit = observed(observed(Fit(), 10, 10, 0, 1), 10, 5, 0, 1)
    assert abs(fit.trend) < 1e-5
    assert fit.level(0) == pytest.approx(0.75, abs=0.01)
    assert fit.level(20) == pytest.approx(0.875, abs=0.01)


def test_a_wait_follows_from_people_rate_share_and_trend() -> None:
    assert wait_s(400, 40, 1.0, 0.0) == 10
    assert wait_s(400, 40, 0.5, 0.0) == 5
    assert wait_s(4_000, 40, 0.9, -0.001) == pytest.approx(0.9 / 0.001 * (1 - 2.718281828 ** (-0.1)))
    assert wait_s(1e12, 1, 1.0, 0.0) == 6 * 3_600


def test_past_those_known_to_be_there_the_front_goes_only_as_there_are_passes() -> None:
    line = line_of(400)
    line.capacity = None
    line.heard(Capacity(10.0, 0.7, 0), START)
    first = int((START - 60) * 64)
    there = sorted(first + share / 100 for share in range(100))
    for position in there:
        line.told(position, START)
    now, given = START, 0
    for _ in range(40):
        now += 0.05
        line.moved(now)
        given += sum(line.let_in(position) for position in there if position < line.called_below())
        assert given <= 10 * (now - START) * 2 + 10


def test_whoever_is_called_late_is_let_in_as_there_are_passes_and_stays_first() -> None:
    """The front has gone past a hundred who were thought to be gone, and who all ask at once."""
    line = line_of(100)
    late = [int((START - 60) * 64) + share / 100 for share in range(100)]
    now = START
    while line.front <= late[-1]:
        now += 0.1
        if now % 1 < 0.1:
            line.heard(Capacity(10.0, 0.7, 0), now)
        line.moved(now)
    got_in = [position for position in late if line.let_in(position)]
    assert 10 <= len(got_in) <= 21 and got_in == late[: len(got_in)]  # a second's passes, and a second's debt
    for position in late[len(got_in) :]:
        place, _ = line.told(position, now)
        assert place.held and place.ahead == 1
    assert line.called_below() <= late[len(got_in)]
    line.heard(Capacity(10.0, 0.7, 0), now)
    line.moved(now + 0.3)
    below = line.called_below()
    assert late[len(got_in)] < below <= late[len(got_in) + 10]


@given(st.lists(st.tuples(POSITIONS, st.booleans()), max_size=20), POSITIONS)
def test_whose_turn_has_come_is_called_once_in_their_order_and_whoever_has_gone_is_not(
    people: list[tuple[float, bool]], below: float
) -> None:
    turns, called = TurnCalls(), list[tuple[float, int]]()
    entries = [
        turns.add(position, lambda who=(position, number): called.append(who))  # type: ignore[misc]
        for number, (position, _) in enumerate(people)
    ]
    for entry, (_, goes) in zip(entries, people, strict=True):
        if goes:
            turns.discard(entry)
    turns.call(below)
    due = sorted((position, number) for number, (position, goes) in enumerate(people) if position < below and not goes)
    assert called == due
    turns.call(below)
    for entry in entries:
        turns.discard(entry)
    assert called == due and len(turns) == 0
