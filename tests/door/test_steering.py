"""What is ordered of the line: taken once, in order, within its bounds; nobody loses a place by it."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.door.steering import (
    RATE_MAX,
    RATE_MIN,
    ROOM_WINDOWS,
    Order,
    OrderRecord,
    OrderRefusal,
    OrderRequest,
    ScheduledRoom,
    Steering,
    advance,
    apply_order,
    describe_order,
    draw_position,
    public_notice,
    record_order,
)
from prikkfri.door.waiting_room import Capacity, Line

NOW = 1_000_000.0
KEY = b"k" * 32
LOTS = 1 << 14
DAY = 86_400.0


def wanted(kind: str, after: int = 0, **more: object) -> OrderRequest:
    return OrderRequest(kind, "Kari", after, **more)  # type: ignore[arg-type]


def order(steering: Steering, kind: str, *, now: float = NOW, rate_max: float = 10.0, **more: object) -> Steering:
    """After somebody who knows the last order, and is sure."""
    after = apply_order(steering, wanted(kind, steering.number, sure=True, **more), now=now, rate_max=rate_max)
    assert isinstance(after, Steering), after
    return after


def why(steering: Steering, order: OrderRequest, *, now: float = NOW, rate_max: float = 10.0) -> str:
    taken = apply_order(steering, order, now=now, rate_max=rate_max)
    return taken.why if isinstance(taken, OrderRefusal) else ""


orders = st.one_of(
    st.builds(lambda rate: ("rate", {"per_second": rate}), st.floats(RATE_MIN, 50.0)),
    st.builds(lambda reason: ("pause", {"reason": reason}), st.sampled_from(["fault", "maintenance", "other"])),
    st.sampled_from([("auto", {}), ("drain", {}), ("open", {}), ("withdraw", {})]),
    st.builds(lambda s: ("schedule", {"opens_at": NOW + s}), st.floats(30.0, 1_000.0)),
)


@given(st.lists(orders, max_size=8), orders)
def test_an_order_that_comes_twice_or_late_changes_nothing(before: list, last: tuple) -> None:  # type: ignore[type-arg]
    steering = Steering()
    for kind, more in before:
        steering = order(steering, kind, **more)
    said = wanted(last[0], steering.number, sure=True, **last[1])
    once = apply_order(steering, said, now=NOW, rate_max=10.0)
    assert isinstance(once, Steering)
    assert apply_order(once, said, now=NOW + 5, rate_max=10.0) is once
    assert once is steering or once.number == steering.number + 1
    other = order(once, "pause" if once.order.kind != "pause" else "drain", reason="other")
    late = apply_order(other, said, now=NOW + 10, rate_max=10.0)
    assert late is other or (isinstance(late, OrderRefusal) and late.why == "ordered-meanwhile")


def test_what_lets_in_more_than_signin_can_take_needs_somebody_who_is_sure() -> None:
    nothing = Steering()
    assert why(nothing, wanted("rate", per_second=10.0)) == ""
    assert why(nothing, wanted("rate", per_second=10.1)) == "not-sure"
    assert why(nothing, wanted("rate", per_second=10.1, sure=True)) == ""
    assert why(nothing, wanted("open")) == "not-sure" and why(nothing, wanted("open", sure=True)) == ""
    assert [why(nothing, wanted(kind)) for kind in ("drain", "auto", "withdraw")] == ["", "", ""]
    assert why(nothing, wanted("pause", reason="fault")) == ""


@pytest.mark.parametrize(
    ("said", "bad"),
    [
        (wanted("rate", per_second=RATE_MIN), False),
        (wanted("rate", per_second=RATE_MIN / 1.01), True),
        (wanted("rate", per_second=RATE_MAX, sure=True), False),
        (wanted("rate", per_second=RATE_MAX * 1.01, sure=True), True),
        (wanted("pause"), True),
        (wanted("pause", reason="lunch"), True),
        (wanted("schedule", opens_at=NOW + 30), False),
        (wanted("schedule", opens_at=NOW + 29.9), True),
        (wanted("schedule", opens_at=NOW + 3 * 3_600), False),
        (wanted("schedule", opens_at=NOW + 3 * 3_600 + 1), True),
        (wanted("schedule", opens_at=NOW + 3 * 3_600 + 1, room_from=NOW + 1), False),
        (wanted("schedule", opens_at=NOW + 40, room_from=NOW + 20), True),
        (wanted("schedule", opens_at=NOW + 40, room_from=NOW - 500), False),
        (wanted("schedule", opens_at=NOW + 31 * DAY, room_from=NOW + 31 * DAY - 60), False),
        (wanted("schedule", opens_at=NOW + 31 * DAY + 1, room_from=NOW + 31 * DAY - 60), True),
    ],
)
def test_an_order_has_its_bounds(said: OrderRequest, bad: bool) -> None:
    assert why(Steering(), said) == ("bad-order" if bad else "")


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        (wanted("rate"), "a rate is 0.1 to 100000 people a second; to let nobody in, pause"),
        (wanted("pause"), "a pause has a reason: fault, maintenance, other"),
        (wanted("schedule", opens_at=NOW), "a room opens 30 s to 3 h after it begins"),
        (wanted("schedule", opens_at=NOW + 32 * DAY, room_from=NOW + 32 * DAY - 60), "a room opens within 31 days"),
    ],
)
def test_what_is_wrong_with_an_order_is_said(said: OrderRequest, mend: str) -> None:
    assert apply_order(Steering(), said, now=NOW, rate_max=10.0) == OrderRefusal("bad-order", mend)


def test_one_order_stands_beside_one_room_each_with_who_gave_it_and_when() -> None:
    steering = order(order(Steering(), "pause", reason="fault"), "schedule", opens_at=NOW + 60, now=NOW + 1)
    assert steering.order == Order("pause", reason="fault", by="Kari", at=NOW)
    assert steering.room == ScheduledRoom(NOW + 1, NOW + 60, "Kari", NOW + 1)
    assert order(steering, "rate", per_second=2.0).room is steering.room
    assert order(steering, "auto", now=NOW + 9).order == Order("auto", by="Kari", at=NOW + 9)
    assert order(steering, "rate", per_second=2.0) != order(steering, "rate", per_second=3.0)
    assert order(steering, "pause", reason="other").order.reason == "other"


def test_a_room_begins_behind_all_who_stand_and_opens_at_its_moment() -> None:
    scheduled = order(Steering(), "schedule", room_from=NOW + 10, opens_at=NOW + 60)
    assert advance(scheduled, NOW + 9.9, 5.0, 7.0) is scheduled and scheduled.closed_room is None
    begun = advance(scheduled, NOW + 10, 5.0, 6.2)
    assert begun.closed_room and (begun.closed_room.first, begun.closed_room.ends) == (7.0, 7.0 + ROOM_WINDOWS)
    assert advance(scheduled, NOW + 10, 9.0, 6.2).room == replace(begun.closed_room, begins=9.0)
    assert [begun.closed_room.holds(at) for at in (6.9, 7.0, 7.0 + ROOM_WINDOWS - 0.1, 7.0 + ROOM_WINDOWS)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert advance(begun, NOW + 59.9, 99.0, 99.0) is begun
    assert advance(begun, NOW + 60, 99.0, 99.0).closed_room is None
    opened = advance(begun, NOW + 61, 99.0, 99.0)
    assert opened.closed_room is None and opened.room and opened.room.opened_at == NOW + 60
    assert advance(opened, NOW + 99, 0.0, 0.0) is opened
    at_once = advance(order(begun, "open"), NOW + 20, 0.0, 0.0)
    assert at_once.room and at_once.room.opened_at == NOW + 20


def test_people_in_a_room_stay_in_it_when_its_opening_is_moved_or_it_is_withdrawn() -> None:
    begun = advance(order(Steering(), "schedule", opens_at=NOW + 60), NOW, 5.0, 5.0)
    assert begun.room is not None
    later = order(begun, "schedule", opens_at=NOW + 90, now=NOW + 20)
    assert later.room == replace(begun.room, opens_at=NOW + 90)
    assert why(begun, wanted("schedule", 1, opens_at=NOW + 3 * 3_600 + 1), now=NOW + 60) == "bad-order"
    withdrawn = order(later, "withdraw", now=NOW + 30)
    assert withdrawn.room == replace(begun.room, opens_at=NOW + 90, opened_at=NOW + 30)
    assert order(withdrawn, "withdraw") is withdrawn
    unbegun = order(Steering(), "schedule", room_from=NOW + 10, opens_at=NOW + 60)
    assert order(unbegun, "withdraw").room is None
    assert order(unbegun, "schedule", room_from=NOW + 11, opens_at=NOW + 60).room == ScheduledRoom(
        NOW + 11, NOW + 60, "Kari", NOW
    )
    assert order(unbegun, "schedule", room_from=NOW + 10, opens_at=NOW + 60) is unbegun
    assert order(withdrawn, "schedule", opens_at=NOW + 90, now=NOW + 40).room == ScheduledRoom(
        NOW + 40, NOW + 90, "Kari", NOW + 40
    )


def device(number: int) -> str:
    return f"d-{number:022}"


@given(st.permutations(range(40)))
def test_a_lottery_is_a_permutation_whatever_the_order_of_coming(came: list[int]) -> None:
    room = ScheduledRoom(NOW, NOW + 60, "Kari", NOW, begins=64.0)
    places = {number: draw_position(room, device(number), KEY, LOTS) for number in came}
    assert len(set(places.values())) == 40 and all(room.holds(place) for place in places.values())
    assert places == {number: draw_position(room, device(number), KEY, LOTS) for number in range(40)}


def test_a_lottery_favours_neither_early_nor_late_and_is_another_for_each_room_and_key() -> None:
    room = ScheduledRoom(NOW, NOW + 60, "Kari", NOW, begins=64.0)
    order = sorted(range(2_000), key=lambda number: draw_position(room, device(number), KEY, LOTS))
    first_half = [number for number in order[:1_000] if number < 1_000]
    assert 440 < len(first_half) < 560  # 3.8 standard deviations
    windows = {int(draw_position(room, device(number), KEY, LOTS)) for number in range(2_000)}
    assert len(windows) > 0.95 * ROOM_WINDOWS
    elsewhere = [draw_position(replace(room, begins=65.0), device(number), KEY, LOTS) - 1 for number in range(9)]
    ours = [draw_position(room, device(number), KEY, LOTS) for number in range(9)]
    other_key = [draw_position(room, device(number), b"q" * 32, LOTS) for number in range(9)]
    assert not set(ours) & set(elsewhere) and not set(ours) & set(other_key)


def test_each_order_is_told_in_words_and_the_last_ones_are_kept() -> None:
    zone, nothing = ZoneInfo("Europe/Oslo"), Steering()
    for kind, more, text in (
        ("rate", {"per_second": 2.5}, "let 2.5 people a second in through the line"),
        ("pause", {"reason": "fault"}, "paused the line (fault)"),
        ("drain", {}, "let nobody new join the line"),
        ("open", {}, "opened the line: everybody is let in at once"),
        ("schedule", {"opens_at": NOW + 60}, "scheduled the waiting room to open at 1970-01-12 14:47:40"),
    ):
        assert describe_order(nothing, order(nothing, kind, **more), zone) == (kind, text)
    drained, scheduled = order(nothing, "drain"), order(nothing, "schedule", opens_at=NOW + 60)
    assert describe_order(drained, order(drained, "auto"), zone) == ("auto", "let the line move by itself again")
    withdrawal = ("withdraw", "withdrew the scheduled waiting room")
    assert describe_order(scheduled, order(scheduled, "withdraw"), zone) == withdrawal
    begun = advance(scheduled, NOW, 5.0, 5.0)
    assert describe_order(begun, order(begun, "withdraw"), zone) == withdrawal
    for number in range(25):
        nothing = record_order(nothing, OrderRecord(number, "Kari", "did something"))
    assert [taken.at for taken in nothing.history] == list(range(5, 25))


def test_people_who_wait_are_told_of_a_pause_an_opening_and_that_nobody_new_joins() -> None:
    nothing = Steering()
    assert public_notice(nothing, NOW) is None and public_notice(order(nothing, "open"), NOW) is None
    assert public_notice(order(nothing, "rate", per_second=1.0), NOW) is None
    assert public_notice(order(nothing, "drain"), NOW) == {"state": "drained", "since": NOW}
    scheduled = order(nothing, "schedule", opens_at=NOW + 60)
    assert public_notice(scheduled, NOW) is None
    begun = advance(scheduled, NOW, 5.0, 5.0)
    assert public_notice(begun, NOW + 20) == {"state": "scheduled", "opens_at": NOW + 60, "in_s": 40.0}
    assert public_notice(begun, NOW + 61) == {"state": "scheduled", "opens_at": NOW + 60, "in_s": 0.0}
    assert public_notice(order(begun, "drain"), NOW) == public_notice(begun, NOW)
    paused = order(begun, "pause", reason="maintenance")
    assert public_notice(paused, NOW) == {"state": "paused", "reason": "maintenance", "since": NOW}


# The line under orders.


def line_of(people: int = 0, *, per_second: float = 10.0) -> Line:
    """A line that signin has just been heard for, in which so many have stood for a while."""
    number = int((NOW - 60) * 64)
    line = Line(float(number), NOW, [(number, people)] if people else [])
    line.heard(Capacity(per_second, 0.7, 0), NOW)
    return line


def run(line: Line, since: float, until: float) -> float:
    """Signin is heard each second, the line moves ten times, and whoever is called comes."""
    now, waiting, came = since, line.waiting, 0
    while now < until - 1e-9:
        now += 0.1
        line.moved(now)
        while came + 0.5 < waiting - line.waiting:
            came += line.let_in(0.0)
        if int(now) != int(now - 0.1):
            line.heard(Capacity(10.0, 0.7, None), now)
    return now


def test_in_a_pause_nobody_gets_in_and_places_are_kept() -> None:
    line = line_of(100)
    line.moved(NOW + 1)
    called, front = line.front - 0.01, line.front
    line.steer(order(line.steering, "pause", reason="fault", now=NOW + 1), NOW + 1)
    now = run(line, NOW + 1, NOW + 20)
    assert not line.let_in(called) and line.front == front and not line.at_once()
    assert line.place(front + 0.3).wait_s is None and line.turns() == [] and line.wait_of_whoever_comes_s() is None
    assert line.passes_per_second == 0.0
    behind = line.joined(0.5, now)
    line.steer(order(line.steering, "auto"), now)
    line.moved(now + 0.1)
    assert line.let_in(called) and not line.let_in(behind) and line.front > front


def test_an_ordered_rate_takes_the_place_of_the_measured_one() -> None:
    line = line_of(1_000)
    line.steer(order(line.steering, "rate", per_second=4.0), NOW)
    assert (line.per_second, line.passes_per_second, line.measured_per_second, line.spending) == (4.0, 4.0, 10.0, 1.0)
    line.heard(Capacity(10.0, 5.0, None), NOW + 0.5)
    assert line.passes_per_second == 4.0  # whatever stands at signin
    run(line, NOW, NOW + 10)
    assert 30 < 1_000 - line.waiting < 56
    assert line.wait_s(99) == pytest.approx(25.0, rel=0.05)
    line.steer(order(line.steering, "rate", per_second=0.5), NOW + 10)
    assert line.passes <= line.ahead_max == 3.0
    line.moved(NOW + 14)
    assert line.passes_per_second == 0.0  # a silent signin stops it all the same


def test_an_idle_signin_is_not_pushed_while_people_steer() -> None:
    line = line_of(1_000)
    line.steer(order(line.steering, "pause", reason="fault"), NOW)
    for second in range(1, 9):
        line.heard(Capacity(10.0, 0.0, 0.0), NOW + second)
    line.steer(order(line.steering, "auto"), NOW + 8)
    assert line.passes_per_second == pytest.approx(13.5)


def test_while_it_is_open_everybody_gets_in_and_afterwards_nobody_owes_a_pass_for_it() -> None:
    line = line_of(100)
    ours = line.front + 0.9
    assert not line.let_in(ours)
    line.steer(order(line.steering, "open"), NOW)
    passes = line.passes
    assert line.let_in(ours) and line.at_once() and line.waiting == 0
    assert line.wait_of_whoever_comes_s() == 0.0 and line.wait_s(50) == 0.0
    line.moved(NOW + 4)
    assert line.silent_since == NOW and line.at_once() and line.let_in(ours)
    assert [line.at_once() for _ in range(50)] == [True] * 50 and line.passes == passes
    line.steer(order(line.steering, "auto"), NOW + 4)
    assert not line.at_once()
    line.heard(Capacity(10.0, 0.7, None), NOW + 5)
    line.moved(NOW + 5.1)
    assert line.let_in(ours) and line.at_once()
    assert line.joined(0.5, NOW + 6) > ours


def test_a_room_holds_those_who_come_until_it_opens_behind_those_before_it_and_before_those_after() -> None:
    line = line_of(50)
    early = line.front + 0.5
    line.steer(order(line.steering, "schedule", opens_at=NOW + 60), NOW)
    room = line.steering.closed_room
    assert room is not None and room.first > early
    inside = [draw_position(room, device(number), KEY, LOTS) for number in range(60)]
    for number, position in enumerate(inside):
        line.joined_room(position, NOW + number / 10)
        line.came_back(position, NOW + number / 10 + 1)
    line.moved(NOW + 0.1)
    now = run(line, NOW + 0.1, NOW + 10)
    assert line.let_in(early) and line.front == room.first  # those before it are through
    assert line.waiting == pytest.approx(60) and not line.at_once()
    assert not any(line.let_in(position) for position in inside)
    first, last = min(inside), max(inside)
    assert line.wait_s(0) == pytest.approx(50, abs=0.2) and line.place(last).wait_s == pytest.approx(56, abs=1.5)
    assert line.wait_of_whoever_comes_s() == pytest.approx(56, abs=0.5)
    turns = line.turns()
    assert turns == sorted(turns, key=lambda turn: turn[0]) and turns[0][2] == pytest.approx(50, abs=0.2)
    assert line.place(first).poll_after_s == pytest.approx(50, abs=1.5)  # by 0.4 of what is behind the opening
    now = run(line, now, NOW + 59.9)
    assert line.front == room.first and not line.let_in(first)
    now = run(line, now, NOW + 61)
    assert line.let_in(first) and not line.let_in(last)
    assert line.joined(0.0, now) >= room.ends
    run(line, now, NOW + 80)
    assert line.let_in(last)


def test_in_a_long_room_people_ask_seldom_and_those_drawn_last_ask_first_before_it_opens() -> None:
    line = line_of()
    line.steer(order(line.steering, "schedule", opens_at=NOW + 2_000), NOW)
    room = line.steering.closed_room
    assert room is not None
    half = room.first + ROOM_WINDOWS / 2
    line.joined_room(half, NOW)
    assert line.place(half).poll_after_s == 540.0
    line.moved(NOW + 1_600)
    line.heard(Capacity(10.0, 0.7, None), NOW + 1_600)
    assert line.place(room.first + ROOM_WINDOWS * 0.9).poll_after_s == pytest.approx(400 - 270, abs=0.5)
    assert line.place(half).poll_after_s == pytest.approx(400 - 150, abs=0.5)
    assert line.place(room.first).poll_after_s == pytest.approx(400, abs=0.5)
    line.moved(NOW + 1_800)
    line.heard(Capacity(10.0, 0.7, None), NOW + 1_800)
    assert line.place(half).poll_after_s == pytest.approx(200, abs=1)


def test_before_a_room_the_line_tells_the_waits_on_both_sides_of_its_edge() -> None:
    line = line_of(200)
    line.steer(order(line.steering, "schedule", opens_at=NOW + 300), NOW)
    room = line.steering.closed_room
    assert room is not None
    line.joined_room(room.first + 1, NOW)
    line.moved(NOW + 0.1)
    edge = [(ahead, wait_s) for position, ahead, wait_s in line.turns() if position == room.first]
    assert [ahead for ahead, _ in edge] == [198, 198] or [ahead for ahead, _ in edge] == [199, 199]
    assert edge[0][1] == pytest.approx(20, abs=1) and edge[1][1] == pytest.approx(300, abs=1)
    assert line.place(line.front + 0.5).wait_s == pytest.approx(10, abs=1)


steps = st.one_of(
    st.tuples(st.just("join"), st.integers(0, 5_000)),
    st.tuples(st.just("wait"), st.floats(0.2, 40.0)),
    st.tuples(st.just("order"), orders),
)


@settings(max_examples=20)
@given(st.lists(steps, max_size=10))
def test_no_order_loses_or_moves_a_place_and_all_get_in_in_the_end(plan: list[tuple[str, object]]) -> None:
    line, now = line_of(), NOW
    stand: list[tuple[float, object]] = []
    """Positions, each with the room that it was drawn in."""
    for what, more in plan:
        front = line.front
        if what == "wait":
            now = run(line, now, now + float(more))  # type: ignore[arg-type]
        elif what == "order":
            kind, facts = more  # type: ignore[misc]
            if "opens_at" in facts:
                facts = {"opens_at": now + facts["opens_at"] - NOW}
            said = wanted(kind, line.steering.number, sure=True, **facts)
            if isinstance(taken := apply_order(line.steering, said, now=now, rate_max=10.0), Steering):
                line.steer(taken, now)
        else:
            now += 0.3
            line.moved(now)
            room = line.steering.closed_room
            if line.at_once():
                continue
            if room is None:
                position = line.joined(0.5, now)
            else:
                position = draw_position(room, device(int(more)), KEY, LOTS)  # type: ignore[call-overload]
                line.joined_room(position, now)
            begins = room.begins if room else None
            # Behind all who came before, but for those who are drawn among each other.
            assert all(position > other for other, theirs in stand if begins is None or theirs != begins)
            line.came_back(position, now)
            stand.append((position, begins))
        assert line.front >= front
    line.steer(order(order(line.steering, "withdraw", now=now), "auto", now=now), now)
    run(line, now, now + 90)
    assert all(line.let_in(position) for position, _ in stand)
