"""Evenings drawn by lot: the draw, the world with its truth, the oracle, and virtual time."""

import asyncio
from dataclasses import fields, replace
from typing import Any

import pytest

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Hit
from prikkfri.assurance.incidents import open_incident
from prikkfri.assurance.segments import Segment
from prikkfri.simulation.evenings import oracle
from prikkfri.simulation.evenings.drawing import STREAMS, TABLE, UNDISTURBED, Evening, Fault, draw, rows
from prikkfri.simulation.evenings.judging import (
    APART_SECONDS,
    Figures,
    Judgement,
    Result,
    goal_holds,
    judge,
    result,
)
from prikkfri.simulation.evenings.oracle import expected
from prikkfri.simulation.evenings.running import EveningRecord
from prikkfri.simulation.evenings.world import Promise, World, lies_in, world
from prikkfri.simulation.virtual.loop import VirtualLoop

PARTNER = {"service": "messages", "step": "deliver", "layer": "link", "partner": "partner-0"}
WATCHING = {"service": "television", "step": "start-playback", "layer": "streams", "channel": "sport"}
BEGINS = 1_000_000.0


def short(*faults: Fault, **known: Any) -> Evening:
    usual = replace(
        draw(3), begins=BEGINS, seconds=120.0, per_second=15.0, messages_part=0.5, partners=2, viewers=200, phones=100,
        faults=faults, disturbance=UNDISTURBED, crowd_at=0.0, leaving_at=0.0, ordinary_broken=0.0, phones_off=0.0,
    )  # fmt: skip
    return replace(usual, **known)


def fault(place: dict[str, str], share: float = 1.0, kind: Any = "refused") -> Fault:
    return Fault(place=place, kind=kind, share=share, spells=((30.0, 60.0),))


def test_a_seed_is_an_evening_and_another_seed_another() -> None:
    assert draw(7) == draw(7) != draw(8)
    assert draw(7).seed == 7


def test_every_line_of_the_table_is_printed() -> None:
    assert [name for name, _ in rows()] == [field.name.replace("_", " ") for field in fields(TABLE)]
    assert dict(rows())["outcomes least"] == "20,000"


def test_every_kind_of_evening_is_drawn() -> None:
    evenings = [draw(seed) for seed in range(400)]
    quiet = sum(not each.faults for each in evenings)
    assert 0.2 < quiet / len(evenings) < 0.4
    assert {each.partners for each in evenings} == set(TABLE.partners)
    assert {len(each.faults) for each in evenings} >= {0, 1, 2, 3}
    assert any(fault.place["step"] == "enter" for each in evenings for fault in each.faults)
    assert {f.kind for each in evenings for f in each.faults} == {"refused", "silent", "slow"}
    assert {f.share for each in evenings for f in each.faults} == set(TABLE.broken_share)
    assert {act.kind for each in evenings for act in each.acts} == {"confirm", "dismiss", "all-clear"}
    assert any(each.disturbance.restarts for each in evenings) and any(each.disturbance.none for each in evenings)
    assert all(each.per_second * each.seconds >= TABLE.outcomes_least for each in evenings)


def test_a_fault_comes_again_half_an_hour_later_on_an_evening_that_is_long_enough_and_has_no_more_outcomes() -> None:
    evenings = [draw(seed) for seed in range(400)]
    again = [each for each in evenings if len(each.faults) > 1 and each.faults[0].place == each.faults[-1].place]
    assert 0.05 < len(again) / sum(bool(each.faults) for each in evenings) < 0.15
    for each in again:
        first, second = each.faults[0], each.faults[-1]
        (later,) = {round(b - a, 6) for one, two in zip(first.spells, second.spells, strict=True)
                    for a, b in zip(one, two, strict=True)}  # fmt: skip
        assert TABLE.again_after[0] <= later <= TABLE.again_after[1]
        assert (second.kind, second.share) == (first.kind, first.share)
        assert each.seconds >= second.spells[-1][1] + TABLE.again_rest
        assert each.per_second * each.seconds == pytest.approx(1.06 * TABLE.outcomes_least)
    longest = 60.0 * TABLE.minutes[1]
    assert all(each.seconds <= longest for each in evenings if each not in again)


def test_half_of_the_stops_are_those_of_a_machine_that_loses_power() -> None:
    stops = [stop for seed in range(400) for stop in draw(seed).disturbance.restarts]
    assert 0.4 < sum(stop.killed for stop in stops) / len(stops) < 0.6


def test_what_is_broken_lies_in_the_fault_and_is_all_that_was_asked_there() -> None:
    happened = world(short(fault(PARTNER)))
    broken = [each for each in happened.promises if each.got is None]
    assert broken and all(each.faults == {0} and lies_in(each.place, PARTNER) for each in broken)
    asked = [
        each for each in happened.promises if lies_in(each.place, PARTNER) and BEGINS + 30 <= each.asked < BEGINS + 60
    ]
    assert asked == broken


def test_what_disturbs_changes_what_is_written_and_not_what_happens() -> None:
    evening = short(fault(WATCHING, share=0.5))
    skew = {**dict.fromkeys(STREAMS, 0.0), "playout": 2.0}
    disturbed = replace(evening, disturbance=replace(UNDISTURBED, skew=skew, doubled_part=0.1, late_part=0.1))
    plain, other = world(evening), world(disturbed)
    assert plain.promises == other.promises
    assert len(other.written) > len(plain.written)
    times, skewed = ({each.outcome.time for each in w.written if each.stream == "playout"} for w in (plain, other))
    assert skewed == {time + 2.0 for time in times}
    assert [each.at for each in other.written] == sorted(each.at for each in other.written)


def test_a_door_that_lets_nobody_in_names_nobody_and_nobody_gets_to_sign_in() -> None:
    place = {"service": "television", "step": "enter", "layer": "door"}
    happened = world(short(fault(place)))
    shut = [each for each in happened.promises if each.place == place and BEGINS + 30 <= each.asked < BEGINS + 60]
    assert shut and all(each.got is None and not each.person for each in shut)
    for written in happened.written:
        if written.outcome.step in ("join", "sign-in") and written.outcome.verdict == "asked":
            assert not BEGINS + 30 <= written.outcome.time < BEGINS + 60
    (causes,) = expected(happened).causes
    assert causes.place == place and not causes.hit


def test_devices_that_lie_change_nothing_that_was_promised_and_are_marked() -> None:
    lying = replace(UNDISTURBED, lies_at=30.0)
    plain, other = world(short()), world(short(disturbance=lying))
    assert plain.promises == other.promises
    lies = [each.outcome for each in other.written if not each.outcome.observed]
    assert len(lies) == TABLE.liars and not any(each.observed or each.verdict == "kept" for each in lies)
    assert {bool(each.customer) for each in lies} == {True, False}
    assert not lying.none and any(draw(seed).disturbance.lies_at for seed in range(100))


def test_a_role_that_is_held_up_writes_it_all_at_once() -> None:
    stalled = replace(UNDISTURBED, stalled=("sms", 40.0, 55.0))
    written = world(short(disturbance=stalled)).written
    assert not any(each.stream == "sms" and 40.0 <= each.at - BEGINS < 55.0 for each in written)
    assert sum(each.stream == "sms" and each.at == BEGINS + 55.0 for each in written) > 10


def promise(asked: float, *, got: float | None = None, told: tuple[float, ...] = (), **known: Any) -> Promise:
    usual = Promise(WATCHING, "s-1", "start-playback", BEGINS + asked, None, (), frozenset())
    told = tuple(BEGINS + each for each in told)
    return replace(usual, got=None if got is None else BEGINS + got, told=told, **known)


def hit(*promises: Promise, place: dict[str, str] = WATCHING, seconds: float = 180.0) -> list[str]:
    evening = short(fault(place), seconds=seconds)
    return sorted(cause_hit for cause in expected(World(evening, [], list(promises))).causes for cause_hit in cause.hit)


BROKEN = {"told": (40.0,), "faults": frozenset({0})}


def test_whoever_is_refused_by_the_fault_is_hit() -> None:
    assert hit(promise(40.0, **BROKEN)) == ["s-1"]


@pytest.mark.parametrize(("again", "expected_hit"), [(68.9, []), (71.1, ["s-1"]), (38.9, ["s-1"])])
def test_a_later_try_makes_good_within_the_grace_time(again: float, expected_hit: list[str]) -> None:
    assert hit(promise(40.0, **BROKEN), promise(again, got=again)) == expected_hit


@pytest.mark.parametrize(("before", "expected_hit"), [(38.9, ["s-1"]), (39.1, []), (40.9, []), (41.1, [])])
def test_whether_an_earlier_try_was_answered_before_they_asked_again_no_clocks_tell(
    before: float, expected_hit: list[str]
) -> None:
    tries = [promise(35.0, got=before), promise(40.0, **BROKEN)]
    assert hit(*tries) == expected_hit
    missed = expected(World(short(fault(WATCHING)), [], tries)).missed
    assert [each.sure for each in missed] == {38.9: [True], 39.1: [False], 40.9: [False], 41.1: []}[before]


def test_nothing_makes_good_for_a_message() -> None:
    to_phone = {"place": PARTNER, "person": "+1", "asked_for": "deliver"}
    assert hit(promise(40.0, **BROKEN, **to_phone), promise(41.0, got=42.0, **to_phone), place=PARTNER) == ["+1"]


def test_hit_is_also_who_is_broken_by_something_else_in_the_segment_meanwhile() -> None:
    others = [promise(at, told=(at,), person=who) for at, who in ((45.0, "s-2"), (39.0, "s-3"), (70.0, "s-4"))]
    assert hit(promise(40.0, **BROKEN), promise(55.0, told=(55.0,), faults=frozenset({0})), *others) == ["s-1", "s-2"]


def test_a_fault_began_when_the_first_was_told_so_or_asked_what_nobody_answered() -> None:
    of_it = {"faults": frozenset({0})}
    silent = [promise(35.0, **of_it), promise(20.0, got=21.0)]
    refused = [promise(30.0, told=(40.0, 45.0), **of_it)]
    for promises, began, first in ((silent, 35.0, 65.0), (refused, 40.0, 40.0), (silent + refused, 35.0, 40.0)):
        (cause,) = expected(World(short(fault(WATCHING)), [], promises)).causes
        assert (cause.began - BEGINS, cause.first - BEGINS) == (began, first)


def test_who_never_came_back_may_be_made_up() -> None:
    assert hit(promise(40.0, **BROKEN, unsure=True)) == []


@pytest.mark.parametrize(("seconds", "expected_hit"), [(91.0, []), (91.1, ["s-1"])])
def test_whose_grace_time_ends_after_the_last_look_is_asked_of_nobody(seconds: float, expected_hit: list[str]) -> None:
    assert hit(promise(40.0, **BROKEN), seconds=seconds) == expected_hit


def causes(count: int, among: int, *, seconds: float = 60.0) -> list[oracle.Cause]:
    broken = [
        promise(30.0 + n * seconds / count, told=(30.0 + n * seconds / count,), faults=frozenset({0}))
        for n in range(count)
    ]
    kept = [promise(30.0 + n * seconds / among, got=30.0 + n * seconds / among) for n in range(among - count)]
    return list(expected(World(short(fault(WATCHING)), [], broken + kept)).causes)


def test_a_fault_is_of_stated_size_from_thirty_broken_and_five_in_a_hundred_on() -> None:
    (found,) = causes(30, 600)
    assert found.due == BEGINS + 30.0 + oracle.STATED_SECONDS + oracle.SETTLING_SECONDS
    assert [each.due for each in causes(29, 600)] == [None]
    assert [each.due for each in causes(30, 700)] == [None]


def test_a_slower_segment_shows_it_later() -> None:
    (found,) = causes(30, 30, seconds=290.0)
    assert found.due == pytest.approx(found.breaks[-1] + oracle.SETTLING_SECONDS)


AGAIN = 1_500.0


def met_twice(*listed: tuple[float, list[str]], gap: float = AGAIN) -> Judgement:
    """The same fault twice, that thirty meet each time (s-0 to s-29); `listed`: incidents by when, and their lists."""
    first = fault(WATCHING)
    second = replace(first, spells=((30.0 + gap, 60.0 + gap),))
    promises = [
        promise(30.0 + n + gap * time, told=(30.0 + n + gap * time,), person=f"s-{n}", faults=frozenset({time}))
        for time in (0, 1) for n in range(30)
    ]  # fmt: skip
    promises.append(promise(800.0, told=(800.0,), person="s-99"))
    told = EveningRecord()
    for at, names in listed:
        moment = BEGINS + at
        alarm = Alarm("share", Segment.of(WATCHING), moment, moment, 0.0, 1.0, 30.0, 20.0, 20.0)
        incident = replace(open_incident(f"of {at}", alarm, moment), confirmed_at=moment, resolved_at=moment + 200.0)
        told.incidents.append(incident)
        told.hits[incident.id] = [
            Hit(name, "", "television", "start-playback", moment, 1, 1, "no-source", None, True) for name in names
        ]
    return judge(World(short(first, second, seconds=gap + 600.0), [], promises), told)


EVERYBODY = [f"s-{n}" for n in range(30)]


def test_each_of_two_lists_is_of_its_own_time() -> None:
    right = met_twice((40.0, EVERYBODY), (40.0 + AGAIN, EVERYBODY))
    assert right.findings == ()
    assert (right.figures.faults, right.figures.found, right.figures.hit_true) == (2, 2, 2 * len(EVERYBODY))
    forgotten = met_twice((40.0, EVERYBODY), (40.0 + AGAIN, EVERYBODY[:-2]))
    assert (forgotten.figures.hit_missed, forgotten.figures.hit_wrongly_listed) == (2, 0)
    between = met_twice((40.0, [*EVERYBODY, "s-99"]), (40.0 + AGAIN, EVERYBODY))
    assert (between.figures.hit_missed, between.figures.hit_wrongly_listed) == (0, 1)


def test_a_second_fault_that_nobody_noticed_is_not_found_and_all_its_people_are_missing() -> None:
    figures = met_twice((40.0, EVERYBODY)).figures
    assert (figures.faults, figures.found, figures.hit_missed) == (2, 1, len(EVERYBODY))


@pytest.mark.parametrize(("between", "occasions"), [(APART_SECONDS, 1), (APART_SECONDS + 0.1, 2)])
def test_faults_that_follow_each_other_closely_have_one_list(between: float, occasions: int) -> None:
    figures = met_twice((40.0, EVERYBODY), gap=29.0 + between).figures
    assert (figures.hit_true, figures.hit_missed) == (30 * occasions, 30 * (occasions - 1))


def test_the_goal() -> None:
    held = result([], seed=1, seconds=1.0, trace_digest="")
    assert held.holds
    well = replace(held, faults=5, found=5, placed_right=4, placed_coarser=1, hit_true=9, false_incidents=1)
    assert well.holds
    for name in ("found_late", "false_public_statements", "placed_wrong", "hit_missed", "hit_wrongly_listed",
                 "credited_twice", "over_too_early", "false_incidents"):  # fmt: skip
        assert not replace(well, **{name: getattr(well, name) + 1}).holds, name
    assert not replace(well, found=4).holds
    right, wrong = (
        Judgement(seed=1, figures=Figures(), findings=words, digest="") for words in ((), ("not credited",))
    )
    assert goal_holds(well, [right, wrong]) is (well.false_incidents > 0) and goal_holds(well, [right])
    assert not goal_holds(well, [right, wrong, wrong])
    assert not replace(well, placed_right=3, placed_coarser=2).holds


def test_the_keys_of_the_document() -> None:
    assert [field.name for field in fields(Result)] == [
        "seed", "evenings", "outcomes", "faults", "found", "found_late", "false_incidents", "false_public_statements",
        "placed_right", "placed_coarser", "placed_wrong", "hit_true", "hit_missed", "hit_wrongly_listed",
        "credited_twice", "over_too_early", "seconds", "trace_digest",
    ]  # fmt: skip
    assert Figures(found=1, faults=2) + Figures(found=3) == Figures(found=4, faults=2)


def test_an_hour_of_virtual_time_passes_at_once() -> None:
    loop = VirtualLoop(begins=BEGINS)

    async def waiting() -> tuple[float, str]:
        said = await asyncio.to_thread(lambda: "at once")
        await asyncio.sleep(3_600.0)
        return loop.clock.now(), said

    try:
        now, said = loop.run_until_complete(waiting())
    finally:
        loop.close()
    assert (now, said) == (pytest.approx(BEGINS + 3_600.0), "at once")


def test_whoever_waits_for_what_never_comes_is_told() -> None:
    loop = VirtualLoop(begins=BEGINS)
    never = loop.create_future()
    try:
        with pytest.raises(RuntimeError, match="nobody will bring"):
            loop.run_until_complete(never)
    finally:
        never.cancel()
        loop.close()
