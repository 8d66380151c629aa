"""What the roles tell of what was done about an incident."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from msgspec import structs

from prikkfri.assurance.detection import Alarm, Kind
from prikkfri.assurance.incidents import apply_fact, open_incident
from prikkfri.assurance.localisation import FaultSegment
from prikkfri.assurance.response.assessing import (
    began,
    buckets,
    cells,
    done,
    last_broken,
    parted,
    peak_per_second,
    people,
    picture_channel,
    pictures,
    rose,
    rose_beside,
    rose_first,
    settled,
    sign,
    usual_share,
)
from prikkfri.assurance.response.promises import SettledPromise
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Expectation
from prikkfri.journal import Outcome

NORD = Segment.of({"service": "messages", "step": "route", "layer": "link", "link": "nord"})
INCIDENT = open_incident("i", Alarm("share", NORD, 1_002.0, 1_000.0, 0.0, 1.0, 5.0, 30.0, 25.0), 1_002.0)


def switch(time: float, step: str = "stop-route", link: str = "nord", by: str = "rule:canaries") -> Outcome:
    dimensions = {"link": link, "partner": link.title(), "direction": "out", "by": by}
    return Outcome(
        time=time, service="messages", step=step, layer="sms-centre", verdict="kept", reason="misdelivery",
        dimensions=dimensions,
    )  # fmt: skip


def test_what_was_done_on_the_way_stands_in_the_timeline_once() -> None:
    told = [switch(1_001.0), switch(1_050.0, "open-route", by="Kari")]
    facts = done(told, INCIDENT)
    assert [(fact.kind, fact.at, fact.who, fact.text) for fact in facts] == [
        ("mitigate", 1_001.0, "rule:canaries", "stopped the route over nord (Nord): misdelivery"),
        ("act", 1_050.0, "Kari", "opened the route over nord (Nord)"),
    ]
    incident = INCIDENT
    for fact in facts:
        incident = apply_fact(incident, fact)
    assert incident.state == "mitigated"
    assert done(told, incident) == []


def test_of_what_was_done_as_much_is_said_as_is_known() -> None:
    messages = Segment.of({"service": "messages"})
    incident = open_incident("i", Alarm("share", messages, 1_002.0, 1_000.0, 0.0, 1.0, 5.0, 30.0, 25.0), 1_002.0)
    bare = structs.replace(switch(1_001.0), dimensions={}, reason="")
    [fact] = done([bare], incident)
    assert (fact.who, fact.text) == ("", "stopped the route over  ()")


def test_what_was_done_elsewhere_or_before_is_no_part_of_it() -> None:
    assert done([switch(990.0), switch(1_001.0, link="syd"), switch(1_001.0, "deliver")], INCIDENT) == []


def test_a_channel_that_was_opened_helps_those_who_cannot_sign_in() -> None:
    sign_in = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
    incident = open_incident("i", Alarm("plunge", sign_in, 1_010.0, 1_000.0, 5.0, 0.0, 50.0, 30.0, 25.0), 1_010.0)
    acts = [channel(1_003.0, "open-channel", "rule:fallback", "sign-in does not answer"), channel(1_200.0, by="Kari")]
    assert [(fact.kind, fact.who, fact.text) for fact in done(acts, incident)] == [
        ("mitigate", "rule:fallback", "opened the channel sport to everybody: sign-in does not answer"),
        ("act", "Kari", "closed the channel sport again"),
    ]
    assert cells(settled(acts, now=2_000.0), since=0.0, until=2_000.0) == []  # no promise to anybody


def channel(time: float, step: str = "close-channel", by: str = "", reason: str = "") -> Outcome:
    return Outcome(
        time=time, service="television", step=step, layer="streams", verdict="kept", reason=reason,
        dimensions={"channel": "sport", "by": by},
    )  # fmt: skip


def asking(time: float, promise: str, step: str = "sign-in") -> Outcome:
    return Outcome(
        time=time, service="television", step=step, layer="door", verdict="asked", promise=promise, device="d-1"
    )  # fmt: skip


def got(time: float, promise: str) -> Outcome:
    return Outcome(
        time=time, service="television", step="sign-in", layer="signin", verdict="kept", promise=promise, customer="s"
    )  # fmt: skip


def test_it_began_when_the_first_asked_whom_nobody_answered() -> None:
    outcomes = [asking(990.0, "a"), got(991.0, "a"), *(asking(1_000.0 + n, f"b{n}") for n in range(10))]
    sign_in = Segment.of({"service": "television", "layer": "signin"})
    # Each is known to be broken 60 s later, and so is the fault.
    assert began(settled(outcomes, now=1_100.0), (sign_in,), since=1_062.0) == 1_002.0
    assert began(settled(outcomes, now=1_100.0), (sign_in,), since=1_060.0) == 1_000.0


def test_what_was_asked_while_others_still_got_it_says_nothing() -> None:
    outcomes = [asking(900.0, "early"), asking(950.0, "a"), got(955.0, "a"), asking(957.0, "b")]
    sign_in = Segment.of({"service": "television", "layer": "signin"})
    assert began(settled(outcomes, now=1_100.0), (sign_in,), since=960.0) == 957.0
    assert began(settled(outcomes[:3], now=1_100.0), (sign_in,), since=960.0) == 960.0
    streams = Segment.of({"service": "television", "layer": "streams"})
    assert began(settled(outcomes, now=1_100.0), (streams,), since=960.0) == 960.0


@pytest.mark.parametrize("behind", [0.15, 4.9, 12.0])
def test_what_was_kept_by_a_clock_that_is_behind_is_kept(behind: float) -> None:
    outcomes = [got(1_000.0 - behind, "a"), asking(1_000.0, "a"), asking(1_001.0, "a"), asking(1_002.0, "b")]
    told = settled(outcomes, now=1_100.0)
    assert [(each.asked, each.kept) for each in told] == [(1_000.0 - behind, True), (1_002.0, False)]
    everywhere = (Segment.of({"service": "television"}),)
    assert people([outcomes[0], outcomes[1]], everywhere, since=0.0, now=1_100.0) == (0, 1)


def test_what_is_told_twice_is_one_promise() -> None:
    late = got(1_061.0, "a")
    assert [each.kept for each in settled([asking(1_000.0, "a"), late, late], now=1_100.0)] == [False]
    assert len(settled([got(1_001.0, "b"), got(1_001.0, "b")], now=1_100.0)) == 1


def test_in_a_line_the_first_who_waited_too_long_asked_before_others_got_it() -> None:
    sign_in = Segment.of({"service": "television", "layer": "signin"})
    waits = [(1_000.0 + n, 6.0 * n) for n in range(30)]  # each one longer than the one before
    outcomes = [asking(at, f"p{n}") for n, (at, _) in enumerate(waits)]
    outcomes += [got(at + wait, f"p{n}") for n, (at, wait) in enumerate(waits)]
    told = settled(sorted(outcomes, key=lambda outcome: outcome.time), now=1_300.0)
    first_too_late = next(at for at, wait in waits if wait > 60)
    assert began(told, (sign_in,), since=first_too_late + 60) == first_too_late


def test_the_peak_is_that_of_the_busiest_stretch_wherever_it_begins() -> None:
    outcomes = [asking(1_000.0 + n / 10, f"p{n}", "enter") for n in range(40)]
    outcomes += [asking(1_003.9 + n / 100, f"q{n}", "enter") for n in range(100)]
    assert peak_per_second(outcomes, step="enter", over_seconds=1.0) == pytest.approx(102, abs=8)
    assert peak_per_second([], step="enter", over_seconds=1.0) == 0
    assert peak_per_second(outcomes, step="sign-in", over_seconds=1.0) == 0


def test_the_rule_that_opened_a_channel_is_a_sign_and_a_person_who_did_is_none() -> None:
    told = sign(channel(1_003.0, "open-channel", "rule:fallback", "sign-in does not answer"))
    assert told is not None and (told.kind, told.raised_at) == ("told", 1_003.0)
    assert told.sentence.endswith("sign-in does not answer, as playout sees it")
    assert told.segment == SIGN_IN
    assert sign(channel(1_003.0, "open-channel", "Kari")) is None
    assert sign(channel(1_003.0, "close-channel", "rule:fallback", "people get in again")) is None
    assert sign(channel(1_003.0, "open-channel", "rule:fallback", "the line before sign-in is too long")) is None


def picture(at: float, channel: str = "sport", reason: str = "slate", *, observed: bool = True) -> Outcome:
    return Outcome(
        time=at, service="television", step="picture", layer="streams", verdict="broken" if reason else "kept",
        reason=reason, dimensions={"channel": channel}, observed=observed,
    )  # fmt: skip


def test_a_picture_that_has_gone_is_a_sign_and_one_that_is_back_is_none() -> None:
    told = sign(picture(1_003.0))
    assert told is not None and (told.kind, told.since, picture_channel(told)) == ("told", 1_003.0, "sport")
    assert told.sentence.endswith("the picture has gone (slate), as playout sees it")
    assert told.segment.holds(Segment.of({"service": "television", "step": "start-playback", "layer": "streams",
                                          "channel": "sport"}))  # fmt: skip
    nameless = sign(structs.replace(picture(1_003.0), dimensions={}))
    assert nameless is not None and nameless.segment.get("channel") == ""
    assert sign(picture(1_003.0, reason="")) is None and sign(picture(1_003.0, observed=False)) is None
    others = (sign(switch(1_001.0)), sign(channel(1.0, "open-channel", "rule:fallback", "sign-in does not answer")))
    assert [other and picture_channel(other) for other in others] == ["", ""]
    last = pictures([picture(1.0), picture(2.0, "news"), picture(3.0, reason=""), picture(4.0, observed=False)])
    assert {name: (each.time, each.verdict) for name, each in last.items()} == {
        "sport": (3.0, "kept"), "news": (2.0, "broken"),
    }  # fmt: skip


def test_who_got_it_too_late_did_not_get_it() -> None:
    outcomes = [asking(1_000.0, "a"), got(1_059.0, "a"), asking(1_001.0, "b"), got(1_070.0, "b")]
    told = settled(sorted(outcomes, key=lambda outcome: outcome.time), now=1_100.0)
    assert [(each.at, each.kept) for each in told] == [(1_059.0, True), (1_061.0, False)]


def test_the_end_of_an_earlier_fault_is_not_the_end_of_this_one() -> None:
    sign_in = Segment.of({"service": "television", "layer": "signin"})
    told = settled([asking(500.0, "a"), asking(1_000.0, "b")], now=1_100.0)
    assert last_broken(told, (sign_in,), since=990.0) == 1_060.0
    assert last_broken(told, (sign_in,), since=1_060.0) == 1_060.0
    assert last_broken(told, (sign_in,), since=1_070.0) is None


def test_the_rule_that_stopped_a_route_is_a_sign_too() -> None:
    told = sign(switch(1_001.0))
    assert told is not None
    assert told.segment == NORD
    assert told.sentence.endswith("misdelivery, as the message centre sees it by its canaries")
    assert sign(switch(1_001.0, by="Kari")) is None
    assert sign(switch(1_001.0, "open-route")) is None


def refused(time: float, reason: str = "overloaded", **more: object) -> Outcome:
    known = {"service": "television", "step": "sign-in", "layer": "signin", "device": "d-1", "time": time}
    return Outcome(**{**known, "verdict": "broken", "reason": reason, **more})  # type: ignore[arg-type]


def test_a_customers_own_error_is_neither_kept_nor_broken() -> None:
    told = [refused(1_000.0, "wrong-credentials"), asking(1_001.0, "a"), refused(1_002.0, "expired", promise="a")]
    assert settled(told, now=2_000.0) == []
    # The same word of a message is ours.
    expired = refused(1_003.0, "expired", service="messages", step="deliver", layer="sms-centre")
    assert [each.kept for each in settled([expired, refused(1_004.0)], now=2_000.0)] == [False, False]


def test_whoever_mistyped_tried_again_and_came_back_without_an_answer_was_not_answered() -> None:
    """The list has them; an incident of which the first was such a one began after that (seed 981847502)."""
    wrong = [asking(1_000.0, "a"), refused(1_001.0, "wrong-credentials", promise="a")]
    back = [*wrong, asking(1_014.0, "a", "return")]
    assert settled(wrong, now=2_000.0) == settled(back, now=1_059.0) == []
    assert settled(back, now=2_000.0) == settled([asking(1_000.0, "a")], now=2_000.0)
    assert [(each.at, each.kept) for each in settled([*back, got(1_020.0, "a")], now=2_000.0)] == [(1_020.0, True)]
    assert [(each.at, each.kept) for each in settled([*back, got(1_070.0, "a")], now=2_000.0)] == [(1_060.0, False)]
    # And whoever tried again, did not come back, and got it too late (seed 107143000).
    assert [(each.at, each.kept) for each in settled([*wrong, got(1_070.0, "a")], now=2_000.0)] == [(1_060.0, False)]
    assert [each.kept for each in settled([*wrong, got(1_020.0, "a")], now=2_000.0) if not each.kept] == []
    again = [*back, refused(1_020.0, "wrong-credentials", promise="a")]
    assert settled(again, now=2_000.0) == []
    late = [asking(1_000.0, "a"), refused(1_070.0, "wrong-credentials", promise="a"), asking(1_080.0, "a", "return")]
    assert [(each.at, each.kept) for each in settled(late, now=2_000.0)] == [(1_060.0, False)]


def test_a_promise_is_broken_when_its_grace_time_is_over_and_not_before() -> None:
    (only,) = settled([asking(1_000.0, "a")], now=1_060.0)
    assert (only.at, only.asked, only.kept) == (1_060.0, 1_000.0, False)
    assert only.segment == Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
    assert settled([asking(1_000.0, "a")], now=1_059.9) == []
    in_time = [asking(1_000.0, "a"), got(1_060.0, "a")]
    assert [(each.at, each.asked, each.kept) for each in settled(in_time, now=2_000.0)] == [(1_060.0, 1_000.0, True)]
    # An asking that no promise ties to anything says nothing by itself; nor is it anybody else's.
    assert settled([asking(1_000.0, ""), got(1_001.0, "")], now=2_000.0)[0].asked == 1_001.0
    assert len(settled([asking(1_000.0, "")], now=2_000.0)) == 0


def test_what_is_settled_comes_in_the_order_in_which_it_was_known() -> None:
    told = settled([asking(1_000.0, "a"), got(1_030.0, "b"), asking(1_031.0, "c"), got(1_200.0, "d")], now=1_300.0)
    assert [each.at for each in told] == [1_030.0, 1_060.0, 1_091.0, 1_200.0]


SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


def test_counts_are_those_of_a_time_its_end_left_out() -> None:
    told = settled([refused(999.9), refused(1_000.0), got(1_004.9, "a"), got(1_005.0, "b"), refused(1_019.9),
                    refused(1_020.0), refused(1_010.0, layer="streams")], now=2_000.0)  # fmt: skip
    assert {(str(c.segment), c.settled, c.broken) for c in cells(told, since=1_000.0, until=1_020.0)} == {
        ("service=television, step=sign-in, layer=signin", 4, 2),
        ("service=television, step=sign-in, layer=streams", 1, 1),
    }
    counted = buckets(told, (SIGN_IN,), since=1_000.0, until=1_020.0, seconds=5.0)
    assert [(b.time, b.kept, b.broken) for b in counted] == [
        (1_000.0, 1, 1), (1_005.0, 1, 0), (1_010.0, 0, 0), (1_015.0, 0, 1),
    ]  # fmt: skip
    assert buckets(told, (SIGN_IN,), since=1_020.0, until=1_000.0, seconds=5.0) == []
    # What lies in two places that overlap is counted once.
    twice = buckets(told, (SIGN_IN, SIGN_IN.without("step")), since=1_000.0, until=1_020.0, seconds=20.0)
    assert [(b.kept, b.broken) for b in twice] == [(2, 2)]


def test_people_are_counted_once_by_what_they_got_and_what_they_did_not() -> None:
    outcomes = [
        refused(999.0, device="d-early"),
        refused(1_000.0, device="d-1"), refused(1_001.0, device="d-1"), got(1_002.0, "x"),
        refused(1_003.0, device="", customer="s-2"), refused(1_004.0, device=""),
        refused(1_005.0, "wrong-credentials", device="d-3"), refused(1_006.0, device="d-4", layer="streams"),
        asking(1_007.0, "b"),
    ]  # fmt: skip
    assert people(outcomes, (SIGN_IN,), since=1_000.0, now=0.0) == (2, 1)


def test_the_peak_counts_a_stretch_without_its_end() -> None:
    outcomes = [asking(1_000.0 + n, f"p{n}", "enter") for n in range(11)]
    assert peak_per_second(outcomes, step="enter", over_seconds=5.0) == 1.0
    assert peak_per_second(outcomes[:1], step="enter", over_seconds=5.0) == 0.2
    uneven = [asking(1_000.0 + at, f"p{at}", "enter") for at in (0.0, 1.0, 2.0, 5.5, 5.6)]
    assert peak_per_second(uneven, step="enter", over_seconds=5.0) == 0.8


def test_what_was_done_at_the_very_beginning_counts_and_each_kind_for_itself() -> None:
    told = [switch(1_000.0), switch(1_000.0, "open-route", by="Kari")]
    assert [fact.kind for fact in done(told, INCIDENT)] == ["mitigate", "act"]
    after = apply_fact(INCIDENT, done(told[:1], INCIDENT)[0])
    assert [fact.kind for fact in done(told, after)] == ["act"]


def test_a_sign_says_when_and_of_what_and_nothing_of_how_many() -> None:
    told = sign(switch(1_001.0))
    assert told == Alarm("told", NORD, 1_001.0, 1_001.0, 0.0, 1.0, 0.0, 0.0, 0.0, text=told.text if told else "")
    assert sign(switch(1_001.0, by="rule:anything")) is not None
    nameless = Outcome(
        time=1.0, service="messages", step="stop-route", layer="sms-centre", verdict="kept", dimensions={"by": "rule:x"}
    )
    of_no_link = sign(nameless)
    assert of_no_link is not None and of_no_link.segment.get("link") == ""


def test_the_grace_time_and_the_step_it_is_carried_to_are_those_of_the_operator() -> None:
    expectations = {("television", "sign-in"): Expectation(5.0, carried_to="enter", carried_layer="door")}
    (only,) = settled([asking(1_000.0, "a")], now=1_005.0, expectations=expectations)
    assert only.at == 1_005.0
    assert only.segment == Segment.of({"service": "television", "step": "enter", "layer": "door"})
    late = settled([asking(1_000.0, "a"), got(1_006.0, "a")], now=1_100.0, expectations=expectations)
    assert [(each.at, each.kept, each.segment) for each in late] == [(1_005.0, False, only.segment)]


@pytest.mark.parametrize(
    ("broken_asked", "kept_asked", "kept_at", "expected"),
    [
        (90.0, 80.0, 85.0, 90.0),
        (90.0, 90.0, 95.0, 100.0),  # asked in the same moment as what was kept: it still worked
        (90.0, 95.0, 99.9, 100.0),
        (90.0, 95.0, 100.0, 90.0),  # kept from then on is no longer before
        (0.5, None, None, 0.5),
        (110.0, 80.0, 85.0, 100.0),
    ],
)
def test_it_began_with_the_first_asked_after_the_last_that_was_kept(
    broken_asked: float, kept_asked: float | None, kept_at: float | None, expected: float
) -> None:
    told = [SettledPromise(120.0, broken_asked, SIGN_IN, kept=False)]
    if kept_asked is not None and kept_at is not None:
        told.append(SettledPromise(kept_at, kept_asked, SIGN_IN, kept=True))
    told.append(SettledPromise(99.0, 98.0, SIGN_IN, kept=False))  # broken before the fault, as now and then happens
    assert began(told, (SIGN_IN,), since=100.0) == expected


def test_what_devices_report_and_who_only_joins_weighs_nothing_and_acts_for_nobody() -> None:
    known = {"service": "messages", "step": "deliver", "layer": "link", "device": "d-1", "observed": False}
    told = [Outcome(time=1_001.0 + n, verdict="broken", reason="lost", **known) for n in range(9)]  # type: ignore[arg-type]
    told += [Outcome(time=1_020.0, verdict="kept", **known)]  # type: ignore[arg-type]
    told += [structs.replace(switch(1_030.0), observed=False)]
    told += [Outcome(time=1_040.0, service="television", step="join", layer="door", verdict="asked", promise="p")]
    assert settled(told, now=9_999.0) == [] and done(told, INCIDENT) == []
    assert people(told, [Segment.of({"service": "messages"})], since=0.0, now=0.0) == (0, 0)
    assert [sign(outcome) for outcome in told] == [None] * len(told)
    assert peak_per_second(told, step="deliver", over_seconds=1.0) == 0


def test_who_joined_and_signed_in_late_was_answered_too_late() -> None:
    joined = Outcome(
        time=1_000.0, service="television", step="join", layer="door", verdict="asked", promise="p",
        dimensions={"for": "sign-in"},
    )  # fmt: skip
    known = {"service": "television", "step": "sign-in", "layer": "signin", "verdict": "kept", "promise": "p"}

    def found(at: float) -> list[tuple[float, float, bool]]:
        answered = Outcome(time=at, **known)  # type: ignore[arg-type]
        return [(each.at, each.asked, each.kept) for each in settled([joined, answered], now=9_999.0)]

    assert found(1_059.0) == [(1_059.0, 1_000.0, True)]
    assert found(1_061.0) == [(1_060.0, 1_000.0, False)]


def test_what_waits_for_an_account_is_nobodys_broken_promise_unless_the_centre_breaks_it() -> None:
    def told(verdict: str, layer: str, reason: str = "", at: float = 1_000.0) -> Outcome:
        known = {"service": "messages", "step": "deliver", "promise": "m", "device": "+4720100000"}
        return Outcome(time=at, verdict=verdict, layer=layer, reason=reason, **known)  # type: ignore[arg-type]

    everything = [Segment.of({"service": "messages"})]
    waits = told("asked", "account", "account-not-bound")
    for then in ((), (told("kept", "account", at=9_000.0),), (told("broken", "account", "smpp-0b", 1_001.0),)):
        assert settled([waits, *then], now=10_000.0) == []
        assert people([waits, *then], everything, since=0.0, now=10_000.0)[0] == 0
    held = told("broken", "sms-centre", "misdirected", 1_001.0)
    assert [each.kept for each in settled([waits, held], now=10_000.0)] == [False]
    # Nobody answered in time: broken for whoever it was for.
    unanswered = told("asked", "link")
    assert people([unanswered], everything, since=0.0, now=1_300.0) == (1, 0)
    assert people([unanswered], everything, since=0.0, now=1_299.0) == (0, 0)


LINK = Segment.of({"service": "messages", "step": "deliver", "layer": "link"})


def risen(
    since: float, raised_at: float = 1_010.0, kind: Literal["share", "plunge"] = "share", **known: float
) -> Alarm:
    figures = {"level": 0.05, "seen": 0.5, "promises": 0.0, "evidence": 30.0, "threshold": 26.0, **known}
    return Alarm(kind=kind, segment=LINK, since=since, raised_at=raised_at, **figures)


def delivered(*broken: float, kept: Sequence[float] = (), place: Segment = LINK) -> list[SettledPromise]:
    told = [*((at, False) for at in broken), *((at, True) for at in kept)]
    return [SettledPromise(at, at, place, well) for at, well in sorted(told)]


FAULT = (1_000.0, 1_002.0, 1_004.0, 1_006.0)


@pytest.mark.parametrize(
    ("kept_between", "began_at"), [(0, 945.0), (7, 945.0), (8, 1_000.0), (200, 1_000.0)]
)  # 0.62 nats for each that was kept, and 1.90 against for the one that was not
def test_what_was_broken_before_an_ordinary_stretch_is_not_the_beginning(kept_between: int, began_at: float) -> None:
    promises = delivered(945.0, *FAULT, kept=[950.0 + n / 10 for n in range(kept_between)])
    assert rose(promises, risen(since=945.0)) == began_at


def test_the_beginning_is_sought_in_the_series_alone_and_from_shortly_before_its_sum_to_its_alarm() -> None:
    def began_with(*other: SettledPromise) -> float:
        return rose(sorted([*delivered(*FAULT), *other], key=lambda each: each.at), risen(since=1_001.0))

    assert began_with() == 1_000.0
    assert began_with(*delivered(881.0)) == 881.0
    assert began_with(*delivered(880.9)) == 1_000.0
    assert began_with(*delivered(990.0, place=Segment.of({"service": "messages", "step": "submit"}))) == 1_000.0
    # What comes after the alarm says nothing of when it began.
    kept = [1_006.5 + n / 100 for n in range(50)]
    assert began_with(*delivered(1_009.0, 1_009.9, kept=kept)) == 1_009.0
    assert began_with(*delivered(1_010.0, 1_010.9, kept=kept)) == 1_000.0


@pytest.mark.parametrize(
    ("before", "kept_between", "began_at"),
    [
        (5, 2, 600.0),  # eight nats, of 1.90 for each, and 0.62 against for each that was kept between
        (5, 3, 1_000.0),  # less is what any evening brings
        (4, 0, 1_000.0),
        (20, 19, 600.0),
        (20, 20, 1_000.0),  # twelve against are an ordinary stretch, whatever was before it
    ],
)
def test_what_was_counted_late_began_when_it_was_broken(before: int, kept_between: int, began_at: float) -> None:
    """Long before its sum left zero: after a restart all of it comes at once."""
    early = [600.0 + n for n in range(before)]
    promises = delivered(*early, *FAULT, kept=[950.0 + n / 10 for n in range(kept_between)])
    assert rose(promises, risen(since=1_001.0)) == began_at


def test_what_lies_just_at_the_edge_of_what_is_looked_at_first_belongs_to_it() -> None:
    def began_with(*before: float, kept: int = 0) -> float:
        ordinary = [950.0 + n / 10 for n in range(kept)]
        return rose(delivered(*before, *FAULT, kept=ordinary), risen(since=1_001.0))

    edge = [941.0] * 5
    assert began_with(880.0, *edge) == 941.0, "one more, further back, is what any evening brings"
    assert began_with(*edge, *edge, kept=20) == 941.0, "an ordinary stretch ends it further back only"
    # Where nothing is broken nearby, it began as far back as it was broken.
    assert rose(delivered(600.0, 601.0, 602.0), risen(since=1_001.0)) == 600.0


@pytest.mark.parametrize(("kept_between", "began_at"), [(12, 981.0), (15, 981.0), (40, 1_000.0)])
def test_a_fault_that_comes_and_goes_began_with_its_first_spell(kept_between: int, began_at: float) -> None:
    """The alarm came in a later spell, and saw six broken of six: that all are broken, no spell before it bears."""
    spells = (981.0, 982.0, 983.0, 1_000.0, 1_001.0, 1_002.0, 1_003.0, 1_004.0, 1_005.0)
    promises = delivered(*spells, kept=[984.0 + n / 10 for n in range(kept_between)])
    assert rose(promises, risen(since=999.0, level=0.004, seen=1.0)) == began_at


def test_a_part_tells_of_no_time_before_the_whole_rose_because_that_explains_nearly_as_much() -> None:
    """One was broken in the part long before, as on any evening, and there were few promises in it until the fault."""
    part = Segment.of({**dict(LINK.values), "link": "nord"})
    rest = Segment.of({**dict(LINK.values), "link": "syd"})
    quiet = [952.0 + 3 * n for n in range(9)]
    promises = [
        *delivered(945.0, *(1_000.0 + 2 * n for n in range(8)), kept=quiet, place=part),
        *delivered(*(1_001.0 + 2 * n for n in range(8)), kept=[900.0 + n for n in range(100)], place=rest),
    ]
    promises.sort(key=lambda each: each.at)
    whole = replace(risen(since=1_000.0, level=0.01, seen=0.9), segment=LINK)
    narrow = replace(risen(since=945.0, level=0.01, seen=0.4), segment=part)
    assert (rose(promises, whole), rose(promises, narrow)) == (1_000.0, 945.0)
    assert rose_first(promises, [whole, narrow], [LINK]) == 1_000.0
    assert rose_first(promises, [whole, narrow], [part]) == 945.0, "where only the part is at fault it tells of itself"
    assert rose_first(promises, [narrow], [LINK]) == 945.0, "and where nothing else tells"
    # What began in the part was at fault there before the whole could show it.
    sooner = sorted([*promises, *delivered(*(946.0 + n for n in range(6)), place=part)], key=lambda each: each.at)
    assert rose_first(sooner, [whole, narrow], [LINK]) == 945.0


@pytest.mark.parametrize(("after", "began_at"), [(0, 1_000.0), (20, 960.0)])
def test_what_comes_after_the_alarm_tells_that_fewer_are_broken_than_it_saw(after: int, began_at: float) -> None:
    """It saw six broken of seven; of all it is a third, and so the two and fourteen kept before them are of it."""
    first = delivered(960.0, 966.0, kept=[968.0 + 2 * n for n in range(14)])
    seen = delivered(*(1_000.0 + n for n in range(6)), kept=[1_005.5])
    later = delivered(*(1_010.0 + 5 * n for n in range(after // 2)), kept=[1_011.0 + 2 * n for n in range(after)])
    promises = [*first, *seen, *later]
    assert rose(promises, risen(since=1_000.0, level=0.013, seen=0.857)) == began_at


BY_NORD = Segment.of({**dict(LINK.values), "link": "nord"})
ALL_LINKS = FaultSegment(LINK, settled=100.0, broken=20.0, outside=0.0, usual=0.05, evidence=30.0)


def beside(promises: list[SettledPromise], *, worse: Sequence[Segment] = (BY_NORD,), **known: float) -> float | None:
    found = rose_beside(
        sorted(promises, key=lambda each: each.at), ALL_LINKS, worse, [risen(1_000.0, **{"level": 0.01, **known})]
    )
    return found


def test_the_mild_began_before_the_worse_that_its_alarm_saw() -> None:
    mild = delivered(*range(700, 1_100, 20), kept=[700.0 + 2.5 * n for n in range(160)])
    worse = delivered(*range(1_000, 1_100, 2), place=BY_NORD)
    quiet = delivered(110.0, 400.0, kept=[100.0 + 5 * n for n in range(120)])
    everything = sorted([*quiet, *mild, *worse], key=lambda each: each.at)
    assert rose(everything, risen(since=1_000.0, level=0.01)) == 880.0, "it saw both together"
    assert beside(everything) == 700.0
    assert beside([*quiet, *worse, *delivered(*FAULT)]) == 1_000.0, "of the worse alone nothing is said of the mild"
    assert beside([*everything, *delivered(690.0, place=BY_NORD)]) == 700.0
    # A place that holds this one, too, is no other: it leaves nothing beside it.
    assert beside(everything, worse=[LINK.without("step")]) is None


@pytest.mark.parametrize(("at", "kept_between", "began_at"), [
    (939.9, 6, 939.9),  # 0.15 nats for each that was kept, and 0.98 against for the one that was not
    (939.9, 7, 1_000.0),  # as likely, but further away than clocks explain
    (940.0, 7, 940.0),
    (940.0, 27, 940.0),
    (940.0, 28, 1_000.0),
])  # fmt: skip
def test_beside_another_cause_the_likeliest_beginning_is_taken_and_what_is_as_likely_shortly_before_it(
    at: float, kept_between: int, began_at: float
) -> None:
    assert beside(delivered(at, *FAULT, kept=[950.0 + n / 10 for n in range(kept_between)]), level=0.05) == began_at


def test_beside_another_cause_nothing_tells_of_what_is_ordinary_or_was_seen_by_no_share() -> None:
    assert beside(delivered(*FAULT)) == 1_000.0
    assert beside(delivered(*FAULT), level=0.2 / 1.5) is None
    assert beside(delivered(*FAULT), level=0.13) == 1_000.0
    assert beside(delivered(kept=FAULT)) is None
    assert rose_beside(delivered(*FAULT), ALL_LINKS, (), [risen(1_000.0, kind="plunge")]) is None
    # The alarm may be of more or of less than the place; of another step it is none of its own.
    for alarmed, found in ((LINK.without("step"), 1_000.0), (BY_NORD, 1_000.0), (SIGN_IN, None)):
        told = Alarm("share", alarmed, 1_010.0, 1_000.0, 0.05, 0.5, 0.0, 30.0, 26.0)
        assert rose_beside(delivered(*FAULT), ALL_LINKS, (), [told]) == found


@pytest.mark.parametrize(
    ("place", "kept", "broken", "usual"),
    [
        (SIGN_IN, 0, 0, 0.0),
        (SIGN_IN, 9, 1, 0.1),
        (LINK, 0, 0, 0.05),  # nothing is known of before: phones are off
        (LINK, 100, 0, 10 / 300),
        (LINK, 190, 10, 20 / 400),
        (LINK, 60, 40, 0.4),
    ],
)
def test_what_was_usual_in_a_place_is_drawn_to_what_is_ordinary_at_its_steps(
    place: Segment, kept: int, broken: int, usual: float
) -> None:
    before = delivered(*[100.0] * broken, kept=[199.9] * kept, place=place)
    during = delivered(99.9, 99.9, 200.0, 200.0, place=place)
    elsewhere = delivered(*[150.0] * 50, place=Segment.of({"service": "music", "step": "deliver"}))
    found = usual_share([*before, *during, *elsewhere], [place], since=100.0, until=200.0)
    assert found == pytest.approx(usual)
    assert usual_share(elsewhere, [place], since=100.0, until=200.0) == 0.0


def test_where_the_counts_say_nothing_it_began_as_the_alarm_says() -> None:
    assert rose([], risen(since=1_001.0)) == 1_001.0
    assert rose(delivered(*FAULT), risen(since=1_001.0, kind="plunge")) == 1_001.0
    assert rose(delivered(*FAULT), risen(since=1_001.0, seen=0.075)) == 1_001.0
    assert rose(delivered(*FAULT), risen(since=1_001.0, seen=1.5 * 0.05)) == 1_001.0
    assert rose(delivered(*FAULT), risen(since=1_001.0, seen=0.076)) == 1_000.0
    assert rose(delivered(*FAULT), risen(since=1_001.0, seen=0.7, level=0.6)) == 1_000.0
    assert rose(delivered(*FAULT), risen(since=1_001.0, seen=1.0)) == 1_000.0


def test_who_waits_for_an_account_does_not_hide_who_asked_after_them() -> None:
    known = {"service": "messages", "step": "deliver", "verdict": "asked"}
    told = [Outcome(time=1.0, promise=layer, layer=layer, **known) for layer in ("account", "link")]  # type: ignore[arg-type]
    assert [each.at for each in settled(told, now=9_999.0)] == [301.0]


def test_a_picture_of_no_channel_is_of_no_named_channel() -> None:
    nameless = structs.replace(picture(1_000.0), dimensions={})
    told = sign(nameless)
    assert told is not None
    assert told.segment.get("channel") == ""
    assert list(pictures([nameless])) == [""]


@pytest.mark.parametrize(
    ("kind", "layer", "channel"),
    [("told", "streams", "sport"), ("told", "signin", ""), ("share", "streams", ""), ("share", "signin", "")],
)
def test_only_what_playout_told_of_its_streams_is_a_picture(kind: Kind, layer: str, channel: str) -> None:
    segment = Segment.of({"service": "television", "layer": layer, "channel": "sport"})
    assert picture_channel(Alarm(kind, segment, 2.0, 1.0, 0.0, 1.0, 5.0, 30.0, 25.0)) == channel


def test_who_asked_before_it_and_was_unanswered_in_it_is_hit_at_the_step_that_should_have_answered() -> None:
    carried = {("television", "enter"): Expectation(60.0, carried_to="sign-in", carried_layer="elsewhere")}
    told, there = [asking(100.0, "p", "enter")], [Segment.of({"step": "sign-in", "layer": "elsewhere"})]
    for since, hit in ((150.0, 1), (160.0, 1), (160.1, 0)):
        assert people(told, there, since=since, now=200.0, expectations=carried) == (hit, 0)
    soon = {("television", "sign-in"): Expectation(0.5)}
    assert people([asking(0.0, "p")], [Segment()], since=0.0, now=0.0, expectations=soon) == (0, 0), "before any time"


def test_what_lies_in_several_places_is_the_first_one_s() -> None:
    places = [Segment.of({"service": "messages", "partner": p, "account": a}) for p, a in ("Ax", "Ay", "Bx", "By")]
    promises = [SettledPromise(at, at, places[int(at) % 4], kept=True) for at in map(float, range(8))]
    partner, account = Segment.of({"partner": "A"}), Segment.of({"account": "x"})
    assert [[each.at for each in part] for part in parted(promises, [partner, account])] == [[0, 1, 4, 5], [2, 6]]
    assert [len(part) for part in parted(promises, [account, partner, Segment()])] == [4, 2, 2]
