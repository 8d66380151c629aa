"""One look at an incident, as a function: what it may conclude from its outcomes, and what not yet."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs
from outcome_history import OutcomeHistory
from response_house import SIGN_IN, tried

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, Incident, Load, apply_fact, earlier_faults, open_incident
from prikkfri.assurance.programmes import Programme
from prikkfri.assurance.recovery import Criteria
from prikkfri.assurance.response.evaluation import BEFORE_SECONDS, Evaluation, EvaluationContext, evaluate, until
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import EXPECTATIONS, Expectation
from prikkfri.journal import Outcome

BEGAN = 10_000.0
ALARM = Alarm("share", SIGN_IN, BEGAN + 5, BEGAN, 0.005, 1.0, 40.0, 30.0, 25.0)
HOLD_SECONDS = 30.0
GROUNDS = EvaluationContext(
    standing=(),
    blind=False,
    contacts=None,
    criteria=Criteria(hold_seconds=HOLD_SECONDS),
)
CONFIRMED = Fact("evidence", BEGAN + 10)
RECOVERING = (CONFIRMED, Fact("improving", BEGAN + 70))
RESOLVED = (*RECOVERING, Fact("proven", BEGAN + 100, text="well"))


def incident(*facts: Fact, alarm: Alarm = ALARM, **more: Any) -> Incident:
    found = open_incident("i", alarm, BEGAN + 5)
    for fact in facts:
        found = apply_fact(found, fact)
    return replace(found, **more)


def sign_ins(start: float, end: float, *, kept: bool = True, each: float = 0.5, **more: Any) -> list[Outcome]:
    """Somebody tries every half second."""
    return [tried(start + n * each, kept=kept, **more) for n in range(int((end - start) / each))]


BEFORE = sign_ins(BEGAN - 60, BEGAN)
FAULT = sign_ins(BEGAN, BEGAN + 60, kept=False)


def seen(found: Incident, outcomes: Sequence[Outcome], at: float, **grounds: Any) -> Evaluation:
    ordered = sorted(outcomes, key=lambda outcome: outcome.time)
    expectations, holder = grounds.pop("expectations", EXPECTATIONS), grounds.pop("holder", None)
    history = OutcomeHistory(ordered, BEGAN + at, expectations, holder)
    return evaluate(found, history, replace(GROUNDS, **grounds), now=BEGAN + at)


def test_what_is_proven_over_ended_with_its_last_broken_promise_and_its_list_there() -> None:
    who = [tried(BEGAN + 1, "a"), tried(BEGAN + 60, "last")]
    proven = seen(incident(*RECOVERING), [*BEFORE, *FAULT, *who, *sign_ins(BEGAN + 61, BEGAN + 121)], 121.0)
    assert (proven.incident.state, proven.incident.resolved_at) == ("resolved", BEGAN + 121)
    assert proven.incident.ended_at == BEGAN + 60 and proven.just_resolved
    assert proven.impact.scope.since == BEGAN and BEGAN + 60 < proven.impact.scope.until < BEGAN + 60.01
    assert [hit.customer for hit in proven.impact.hits] == ["a", "last"]
    again = seen(proven.incident, [*BEFORE, *FAULT, *who, *sign_ins(BEGAN + 61, BEGAN + 122)], 122.0)
    assert (again.just_resolved, again.impact.digest, again.incident) == (False, proven.impact.digest, proven.incident)


def test_what_a_person_said_to_be_over_is_frozen_by_the_next_look() -> None:
    said = incident(CONFIRMED, Fact("all-clear", BEGAN + 90, "Kari"))
    taken = seen(said, [*BEFORE, *FAULT], 91.0)
    assert taken.just_resolved and taken.incident.ended_at == BEGAN + 59.5
    # Of what nobody's promise was broken, the word is the end.
    assert seen(said, BEFORE, 91.0).incident.ended_at == BEGAN + 90


@pytest.mark.parametrize(
    ("well_seconds", "grounds", "state"),
    [
        (29.9, {}, "recovering"),
        (30.0, {}, "resolved"),
        (40, {"blind": True}, "recovering"),
        (40, {"contacts": [(0.0, 20.0), (60.0, 11.0)]}, "recovering"),
        (40, {"contacts": [(0.0, 20.0), (60.0, 10.0)]}, "resolved"),
    ],
)
def test_it_is_over_when_all_has_been_well_for_long_enough(
    well_seconds: float, grounds: dict[str, Any], state: str
) -> None:
    well = sign_ins(BEGAN + 60, BEGAN + 60 + well_seconds)
    assert seen(incident(*RECOVERING), [*BEFORE, *FAULT, *well], 60.0 + well_seconds, **grounds).incident.state == state


FELL = replace(ALARM, kind="plunge", level=2.0, seen=0.0)


@pytest.mark.parametrize("crowd_seconds", [0, 120, 400])
def test_it_is_not_over_while_fewer_than_before_the_crowd_get_it_when_that_is_all_that_is_known(
    crowd_seconds: int,
) -> None:
    """Nobody's promise was broken: a person confirmed a fall."""
    quiet = sign_ins(BEGAN - 600, BEGAN - crowd_seconds)
    before = [*quiet, *sign_ins(BEGAN - crowd_seconds, BEGAN, each=0.1)]
    fell = incident(Fact("confirm", BEGAN + 10, "Kari"), Fact("improving", BEGAN + 70), alarm=FELL)
    few = sign_ins(BEGAN + 1, BEGAN + 160, each=1.1)
    assert seen(fell, [*before, *few], 160.0).incident.state == "recovering"
    enough = sign_ins(BEGAN + 1, BEGAN + 160, each=0.95)
    assert seen(fell, [*before, *enough], 160.0).incident.state == "resolved"
    # What was usual is counted from the first who got it on; who asked long before was no part of it.
    assert seen(fell, [*sign_ins(BEGAN - 10, BEGAN), *few], 160.0).incident.state == "recovering"


@pytest.mark.parametrize(("broken", "share"), [(0, 0.5), (1, 0.005), (3, 0.015)])
def test_the_share_of_a_fault_that_is_known_by_a_fall_is_what_was_broken_of_all_since(
    broken: int, share: float
) -> None:
    """No alarm of a fall names a share: where nothing was broken, half is what the proof is led against."""
    since = [tried(BEGAN + n, kept=n % 60 != 30 or n >= 60 * broken) for n in range(200)]
    fell = incident(Fact("confirm", BEGAN + 10, "Kari"), alarm=replace(FELL, seen=0.9))
    alarmed = incident(*RECOVERING, alarm=replace(ALARM, seen=0.4))
    for found, at_the_time in ((fell, share), (alarmed, 0.4)):
        shares = seen(found, [*BEFORE, *since], 200.0).recovery.checks[0]
        assert shares.text == f"{broken / 200:.2%} of 200 failed, {at_the_time:.1%} during the fault"


@pytest.mark.parametrize("crowd_seconds", [0, 120, 600])
def test_a_fault_that_is_over_is_so_although_the_crowd_has_left(crowd_seconds: int) -> None:
    """One comes every two seconds, where twenty came before; whoever comes gets it."""
    crowd = sign_ins(BEGAN - crowd_seconds, BEGAN, each=0.05)
    fault = sign_ins(BEGAN, BEGAN + 60, kept=False, each=0.05)
    few = sign_ins(BEGAN + 60, BEGAN + 180, each=2.0)
    before = seen(incident(CONFIRMED), [*crowd, *fault], 61.0)
    assert before.incident.state == "confirmed" and before.recovery.waits_for.startswith("shares back (no promise")
    after = seen(incident(*RECOVERING), [*crowd, *fault, *few], 180.0)
    assert (after.incident.state, after.recovery.waits_for) == ("resolved", "")
    # One of them who does not get it is no part of the fault; all of them are.
    broken = sign_ins(BEGAN + 150, BEGAN + 180, kept=False, each=2.0)
    assert seen(incident(*RECOVERING), [*crowd, *fault, *few, *broken], 180.0).incident.state == "confirmed"


def test_what_fails_as_often_as_it_always_does_is_no_fault() -> None:
    usual = [*BEFORE, *sign_ins(BEGAN - 60, BEGAN, each=3.0, kept=False)]
    well = [*sign_ins(BEGAN + 60, BEGAN + 160), *sign_ins(BEGAN + 60, BEGAN + 160, each=3.0, kept=False)]
    assert seen(incident(*RECOVERING), [*usual, *FAULT, *well], 160.0).incident.state == "resolved"
    assert seen(incident(*RECOVERING), [*BEFORE, *FAULT, *well], 160.0).incident.state != "resolved"


def test_what_failed_in_the_fault_before_was_not_usual() -> None:
    """Three in ten failed until five minutes before, and fail again: that is not over while they do."""
    bad = [*sign_ins(BEGAN - 300, BEGAN - 200, each=1.0), *sign_ins(BEGAN - 300, BEGAN - 200, each=2.0, kept=False)]
    still = [*sign_ins(BEGAN + 60, BEGAN + 160), *sign_ins(BEGAN + 60, BEGAN + 160, each=2.0, kept=False)]
    outcomes = [*bad, *BEFORE, *FAULT, *still]
    before = [(SIGN_IN, BEGAN - 300, BEGAN - 200.0)]
    assert seen(incident(*RECOVERING), outcomes, 160.0, earlier=before).incident.state != "resolved"
    for other in (
        [(SIGN_IN, BEGAN - 500, BEGAN - 301.0)],
        [(SIGN_IN, BEGAN - 199.0, BEGAN - 100.0)],
        [(Segment.of({"service": "messages"}), BEGAN - 300, BEGAN - 200.0)],
        [],
    ):
        assert seen(incident(*RECOVERING), outcomes, 160.0, earlier=other).incident.state == "resolved"


def test_faults_before_it_are_those_of_its_service_that_were_confirmed_and_no_person_said_to_be_nothing() -> None:
    one, since = incident(CONFIRMED), BEGAN - 400
    other = replace(incident(*RESOLVED), id="o", since=since, ended_at=BEGAN - 300)
    assert earlier_faults(one, [one, other]) == ((SIGN_IN, since, BEGAN - 300),)
    assert earlier_faults(one, [replace(other, ended_at=None)]) == ((SIGN_IN, since, BEGAN),)
    for none in (
        replace(other, service="messages"),
        replace(other, dismissed=True),
        replace(other, confirmed_at=None),
        replace(other, since=BEGAN),
    ):
        assert earlier_faults(one, [none]) == ()


def test_when_it_gets_better_that_is_seen_and_when_it_breaks_again_too() -> None:
    well = sign_ins(BEGAN + 60, BEGAN + 90)
    better = seen(incident(CONFIRMED), [*BEFORE, *FAULT, *well], 90.0)
    assert better.incident.state == "recovering" and better.recovery.improving
    broken = sign_ins(BEGAN + 90, BEGAN + 100, kept=False)
    worse = seen(incident(*RECOVERING), [*BEFORE, *FAULT, *well, *broken], 100.0)
    assert worse.incident.state == "confirmed"
    assert [entry.kind for entry in worse.incident.timeline][-1] == "relapse"


@pytest.mark.parametrize(
    ("facts", "at", "state"),
    [
        (RESOLVED, 100.0 + HOLD_SECONDS - 1, "resolved"),  # the judgement rests on what was before
        (RESOLVED, 100.0 + HOLD_SECONDS, "confirmed"),
        ((CONFIRMED, Fact("dismiss", BEGAN + 100, "Kari")), 100.0 + HOLD_SECONDS, "resolved"),
        ((CONFIRMED, Fact("all-clear", BEGAN + 100, "Kari")), 100.0 + HOLD_SECONDS, "confirmed"),
    ],
)
def test_what_was_said_to_be_over_and_is_not_is_open_again(facts: Sequence[Fact], at: float, state: str) -> None:
    broken = sign_ins(BEGAN + 101, BEGAN + at, kept=False)
    after = seen(incident(*facts), [*BEFORE, *FAULT, *sign_ins(BEGAN + 60, BEGAN + 101), *broken], at).incident
    assert after.state == state
    assert after.reopened == (state == "confirmed") and (after.ended_at is None) == (state == "confirmed")


def opened_channel(at: float, by: str = "rule:fallback") -> Outcome:
    return Outcome(
        time=at, service="television", step="open-channel", layer="streams", verdict="kept",
        reason="sign-in does not answer", dimensions={"channel": "sport", "by": by},
    )  # fmt: skip


def test_what_was_done_helps_what_is_known_and_confirms_no_suspicion() -> None:
    outcomes = [*BEFORE, *FAULT[:4], opened_channel(BEGAN + 2)]
    assert seen(incident(), outcomes, 3.0).incident.state == "suspected"
    helped = seen(incident(CONFIRMED), outcomes, 3.0).incident
    assert (helped.state, helped.timeline[-1].who) == ("mitigated", "rule:fallback")


def test_a_suspicion_is_confirmed_by_those_hit_and_else_taken_back_by_the_data() -> None:
    well = sign_ins(BEGAN + 1, BEGAN + 120)
    nobody = seen(incident(), [*BEFORE, *well], 120.0).incident
    assert (nobody.state, nobody.confirmed_at, nobody.resolved_by) == ("resolved", None, "data")
    # While its alarm stands, it is not taken back, whatever else is well.
    assert seen(incident(), [*BEFORE, *well], 14.0, standing=(ALARM,)).incident.state == "suspected"
    few = [tried(BEGAN + 2, f"c{n}") for n in range(9)]
    assert seen(incident(), [*BEFORE, *few], 70.0).incident.state == "suspected"
    many = [*few, tried(BEGAN + 2, "tenth")]
    assert seen(incident(), [*BEFORE, *many], 70.0).incident.state == "confirmed"
    assert seen(incident(), BEFORE, 15.0, standing=(ALARM,)).incident.state == "confirmed"


def test_where_it_is_is_placed_while_it_lasts_and_stands_once_it_gets_better() -> None:
    places = {"client": "television"}, {"client": "phone"}
    before = [each for place in places for each in sign_ins(BEGAN - 300, BEGAN, dimensions=place)]
    during = sign_ins(BEGAN, BEGAN + 60, kept=False, dimensions=places[0])
    others = sign_ins(BEGAN, BEGAN + 60, dimensions=places[1])
    found = seen(incident(CONFIRMED), [*before, *during, *others], 60.0).incident
    assert [segment.get("client") for segment in found.segments] == ["television"]
    assert any(entry.kind == "placed" for entry in found.timeline)
    better = apply_fact(found, Fact("improving", BEGAN + 60))
    later = sign_ins(BEGAN + 60, BEGAN + 70, kept=False, dimensions=places[1])
    assert seen(better, [*before, *during, *others, *later], 70.0).incident.placement == found.placement
    assert seen(found, [*before, *during, *others, *later], 70.0).incident.placement != found.placement


def test_it_began_with_the_first_who_asked_in_vain() -> None:
    asked = [
        tried(BEGAN - 30 + n, verdict="asked", reason="", layer="door", promise=f"p{n}", device=f"d{n}")
        for n in range(10)
    ]
    early = [outcome for outcome in BEFORE if outcome.time < BEGAN - 30]
    assert seen(incident(CONFIRMED), [*early, *asked, *FAULT], 60.0).incident.since == BEGAN - 30


def test_an_incident_that_is_over_reaches_to_its_end_and_an_open_one_to_the_present() -> None:
    assert until(incident(CONFIRMED), BEGAN + 500) == BEGAN + 500
    assert until(incident(*RESOLVED), BEGAN + 500) == BEGAN + 500
    assert BEGAN + 60 < until(incident(*RESOLVED, ended_at=BEGAN + 60), BEGAN + 500) < BEGAN + 60.1
    assert until(incident(CONFIRMED, ended_at=BEGAN + 60), BEGAN + 500) == BEGAN + 500
    assert BEFORE_SECONDS == 600.0


SPORT = Segment.of({"service": "television", "layer": "streams", "channel": "sport"})
GONE = Alarm("told", SPORT, BEGAN, BEGAN, 0.0, 1.0, 0.0, 0.0, 0.0, "the picture has gone")


def picture(at: float, gone: str = "slate", channel: str = "sport") -> Outcome:
    return Outcome(
        time=at, service="television", step="picture", layer="streams", verdict="broken" if gone else "kept",
        reason=gone, dimensions={"channel": channel},
    )  # fmt: skip


def start(at: float, customer: str, *, kept: bool, channel: str = "sport") -> Outcome:
    return Outcome(
        time=at, service="television", step="start-playback", layer="streams", verdict="kept" if kept else "broken",
        reason="" if kept else "slate", customer=customer, dimensions={"channel": channel},
    )  # fmt: skip


def test_a_picture_that_stays_away_is_an_incident_and_over_once_it_has_been_back_for_long_enough() -> None:
    suspected = open_incident("i", GONE, BEGAN)
    away = [picture(BEGAN)]
    assert seen(suspected, away, 9.0).incident.state == "suspected"
    confirmed = seen(suspected, away, 10.0).incident
    assert confirmed.state == "confirmed" and confirmed.segments == (SPORT,)
    assert seen(confirmed, away, 600.0).incident.state == "confirmed", "however quiet it is"
    back = [*away, picture(BEGAN + 600, "")]
    better = seen(confirmed, back, 610.0)
    assert better.incident.state == "recovering"
    assert (better.recovery.checks[0].name, better.recovery.checks[0].met) == ("picture back", True)
    assert "is back, stable for 10 s (30 s required)" in better.recovery.sentence
    assert seen(better.incident, back, 600.0 + HOLD_SECONDS - 1).incident.state == "recovering"
    over = seen(better.incident, back, 600.0 + HOLD_SECONDS)
    assert over.incident.state == "resolved" and over.just_resolved and over.impact.hits == ()
    again = seen(better.incident, [*back, picture(BEGAN + 615)], 616.0)
    assert again.incident.state == "confirmed" and "no picture on sport" in again.recovery.sentence
    # What cannot be seen is not over.
    assert seen(better.incident, back, 700.0, blind=True).incident.state == "recovering"


def test_a_picture_that_was_away_for_a_moment_was_nothing() -> None:
    back = [picture(BEGAN), picture(BEGAN + 5, "")]
    nothing = seen(open_incident("i", GONE, BEGAN), back, 5.0 + HOLD_SECONDS).incident
    assert (nothing.state, nothing.confirmed_at) == ("resolved", None)


def test_those_who_came_to_the_slate_are_hit_and_with_other_signs_the_promises_must_be_kept_again_too() -> None:
    usual = [start(BEGAN - 100 + n, f"u{n}", kept=True) for n in range(100)]
    vain = [start(BEGAN + n, f"v{n}", kept=False) for n in range(60)]
    others = [start(BEGAN - 100 + n, f"o{n}", kept=True, channel="news") for n in range(170)]
    share = replace(ALARM, segment=Segment.of({"service": "television", "step": "start-playback", "layer": "streams"}))
    both = replace(incident(CONFIRMED, alarm=GONE), alarms=(GONE, share))
    told = [*usual, *others, picture(BEGAN), *vain, picture(BEGAN + 60, "")]
    seen_now = seen(both, told, 90.0)  # the last one's grace is over
    assert {hit.customer for hit in seen_now.impact.hits} == {f"v{n}" for n in range(60)}
    assert seen_now.incident.state == "confirmed", "nobody has started since"
    well = [start(BEGAN + 60 + n / 4, f"w{n}", kept=True) for n in range(160)]
    better = seen(seen_now.incident, [*told, *well], 100.0).incident
    assert better.state == "recovering"
    assert seen(better, [*told, *well], 100.0).incident.state == "resolved"
    still_away = [each for each in told if each.time != BEGAN + 60 or each.step != "picture"]
    assert seen(seen_now.incident, [*still_away, *well], 100.0).incident.state == "confirmed"


def test_a_crowd_that_has_left_is_no_incident_and_is_taken_back_once_that_is_ordinary() -> None:
    fell = replace(ALARM, kind="plunge", level=2.0, seen=0.01)
    few = [tried(BEGAN + 60 * n, kept=True) for n in range(1, 10)]
    still = seen(incident(alarm=fell), [*BEFORE, *few], 500.0, standing=(fell,)).incident
    assert still.state == "suspected"
    after = seen(incident(alarm=fell), [*BEFORE, *few], 600.0).incident
    assert (after.state, after.confirmed_at, after.resolved_by) == ("resolved", None, "data")


def delivered(partner: str, broken: int, total: int = 300) -> list[Outcome]:
    known = {"service": "messages", "step": "deliver", "layer": "link", "dimensions": {"partner": partner}}
    return [
        tried(BEGAN + n * 60 / total, kept=n % total >= broken, device=f"{partner}-{n}", **known) for n in range(total)
    ]


def partner(name: str) -> Segment:
    return Segment.of({"service": "messages", "step": "deliver", "layer": "link", "partner": name})


def test_each_cause_has_its_victims_on_the_list_and_no_other_incidents() -> None:
    outcomes = [*delivered("A", 300), *delivered("B", 90), *delivered("C", 1), *delivered("D", 0)]
    found = open_incident("i", replace(ALARM, segment=partner("A")), BEGAN + 5)
    both = seen(found, outcomes, 380.0)
    assert {hit.device[0] for hit in both.impact.hits} == {"A", "B"} and both.impact.seen == 390
    alone = seen(found, outcomes, 380.0, others=(partner("B"),))
    assert {hit.device[0] for hit in alone.impact.hits} == {"A"} and alone.impact.seen == 300


def accounts(start: float, end: float, name: str, *, each: float, kept: bool = True) -> list[Outcome]:
    known = {"service": "messages", "step": "submit", "layer": "sms-centre", "dimensions": {"account": name}}
    return sign_ins(start, end, kept=kept, each=each, **known)


@pytest.mark.parametrize(
    ("large", "small", "state"),
    [
        # Every tenth of the small one is still broken; of both together that is one in a hundred.
        (
            0.1,
            [each for at in range(60, 120, 10) for each in ((at, at + 9, True), (at + 9, at + 10, False))],
            "confirmed",
        ),
        (0.1, [(60, 120, True)], "resolved"),
        (0.1, [], "recovering"),  # nobody comes there
        (None, [(60, 120, True)], "recovering"),  # nor does the small one speak for the large one
    ],
)
def test_of_two_places_each_is_judged_by_what_it_showed_itself(
    large: float | None, small: list[tuple[float, float, bool]], state: str
) -> None:
    before = [*accounts(BEGAN - 300, BEGAN, "large", each=0.1), *accounts(BEGAN - 300, BEGAN, "small", each=1.0)]
    fault = [
        *accounts(BEGAN, BEGAN + 60, "large", each=0.1, kept=False),
        *accounts(BEGAN, BEGAN + 60, "small", each=1.0, kept=False),
    ]
    others = accounts(BEGAN - 300, BEGAN + 60, "other", each=0.5)
    alarm = replace(ALARM, segment=Segment.of({"service": "messages", "step": "submit", "layer": "sms-centre"}))
    placed = seen(incident(CONFIRMED, alarm=alarm), [*before, *fault, *others], 60.0).incident
    assert [place.get("account") for place in placed.segments] == ["large", "small"]
    since = [] if large is None else accounts(BEGAN + 60, BEGAN + 120, "large", each=large)
    for start, end, kept in small:
        since += accounts(BEGAN + start, BEGAN + end, "small", each=1.0, kept=kept)
    recovering = apply_fact(placed, Fact("improving", BEGAN + 90))
    found = seen(recovering, [*before, *fault, *others, *since], 120.0)
    assert found.incident.state == state, found.recovery.sentence
    assert found.recovery.over is (state == "resolved")


@pytest.mark.parametrize("astray", [True, False])
def test_of_what_is_placed_nowhere_each_series_that_alarmed_is_judged_by_itself(astray: bool) -> None:
    """Else a few canaries that say that messages go astray are watered down by all the messages that arrive."""
    deliver = {"service": "messages", "step": "deliver", "layer": "link"}
    route = {"service": "messages", "step": "route", "layer": "link"}
    told: list[Outcome] = []
    for second in range(-300, 240):
        for index in range(20):
            kept = second < 0 or index or second % 25  # a few more than before
            told.append(tried(BEGAN + second + index / 20, f"s-{second}-{index}", kept=bool(kept), **deliver))
        for link in range(20) if second % 5 == 0 else ():
            bad = link == 7 and second >= 0 and (astray or second < 60)
            canary = Outcome(
                time=BEGAN + second,
                verdict="broken" if bad else "kept",
                reason="misdelivery" if bad else "",
                promise=f"c-{second}-{link}",
                dimensions={"link": f"way-{link}"},
                **route,
            )  # type: ignore[arg-type]
            told.append(canary)
    alarms = (
        replace(ALARM, segment=Segment.of(deliver), seen=0.004, level=0.0002),
        replace(ALARM, segment=Segment.of(route), seen=0.05, level=0.0002),
        replace(ALARM, segment=Segment.of({**route, "link": "way-7"}), seen=1.0, level=0.0002),
    )
    found = incident(*RECOVERING[:2], alarm=alarms[0])
    judged = seen(replace(found, alarms=alarms), told, 240.0)
    assert len(judged.incident.segments) == 2 and not judged.incident.placement.placed
    assert judged.recovery.over is not astray, judged.recovery.sentence


@pytest.mark.parametrize(
    ("came_to", "stop", "state"),
    [
        ("sport", BEGAN + 100, "resolved"),
        ("sport", BEGAN - 599, "resolved"),  # it ended while the traffic was taken that is ordinary
        ("sport", BEGAN - 601, "recovering"),
        ("sport", BEGAN + 161, "recovering"),  # it is still on
        ("news", BEGAN + 100, "recovering"),  # they came for something else
    ],
)
def test_after_the_programme_that_people_came_for_a_fall_is_over_when_those_who_come_get_it(
    came_to: str, stop: float, state: str
) -> None:
    before = sign_ins(BEGAN - 600, BEGAN)
    watching = [
        replace_step(each, "start-playback", layer="streams", dimensions={"channel": came_to}) for each in before
    ]
    later = [replace_step(each, "start-playback", layer="streams", dimensions={"channel": "other"}) for each in before]
    later = [structs.replace(each, time=each.time + 600.0) for each in later]
    fell = incident(Fact("confirm", BEGAN + 10, "Kari"), Fact("improving", BEGAN + 70), alarm=FELL)
    few = sign_ins(BEGAN + 1, BEGAN + 160, each=1.1)
    on = {"sport": (Programme("Match", BEGAN - 3_600, stop),)}
    found = seen(fell, [*before, *watching, *later, *few], 160.0, programmes=on)
    assert found.incident.state == state
    assert ("“Match” ended" in found.recovery.sentence) == (state == "resolved")


def replace_step(outcome: Outcome, step: str, **more: Any) -> Outcome:
    return structs.replace(outcome, step=step, **more)


def test_every_turn_is_told_with_its_figures() -> None:
    well = sign_ins(BEGAN + 60, BEGAN + 90)
    better = seen(incident(CONFIRMED), [*BEFORE, *FAULT, *well], 90.0)
    assert better.incident.timeline[-1].text == better.recovery.sentence != ""
    over = seen(incident(*RECOVERING), [*BEFORE, *FAULT, *sign_ins(BEGAN + 60, BEGAN + 121)], 121.0)
    assert "proven" in [entry.kind for entry in over.incident.timeline]
    assert [entry.text for entry in over.incident.timeline if entry.kind == "proven"] == [over.recovery.sentence]
    worse = seen(incident(*RECOVERING), [*BEFORE, *FAULT, *well, *sign_ins(BEGAN + 90, BEGAN + 100, kept=False)], 100.0)
    assert [entry.text for entry in worse.incident.timeline if entry.kind == "relapse"] == [worse.recovery.sentence]


def test_a_device_is_listed_by_who_held_it_and_all_who_asked_are_counted() -> None:
    """Those whose promises were kept, too; and while something was done about it, it is still being placed."""
    nameless = sign_ins(BEGAN, BEGAN + 60, kept=False, customer="", device="d-1")
    others = [tried(BEGAN + n, f"C{n}", kept=True) for n in range(9)]
    found = seen(incident(CONFIRMED), [*BEFORE, *nameless, *others], 200.0, holder=lambda device, at: "C-held")
    assert [hit.customer for hit in found.impact.hits] == ["C-held"]
    assert (found.incident.hit, found.incident.asked) == (1, 10)
    mitigated = incident(CONFIRMED, Fact("mitigate", BEGAN + 20, "Kari"))
    assert mitigated.state == "mitigated" and not mitigated.placement.placed
    streams = [structs.replace(each, step="start-playback", layer="streams", verdict="kept", reason="")
               for each in (*BEFORE, *FAULT)]  # fmt: skip
    assert seen(mitigated, [*BEFORE, *FAULT, *streams], 60.0).incident.placement.placed


def test_what_is_as_bad_as_before_is_no_cause_and_what_an_alarm_saw_alike_everywhere_is_one() -> None:
    """Before it the same partners were asked; A is at fault, always-bad B is not, and E to G fail alike by a third."""
    before = [*delivered("B", 90), *(each for name in "ACDEFG" for each in delivered(name, 0))]
    before = [structs.replace(each, time=each.time - 120.0, device=f"{each.device}-b") for each in before]
    alike = [each for name in "CDEFG" for each in delivered(name, 90)]
    outcomes = [*before, *delivered("A", 300), *delivered("B", 90), *alike]
    found = open_incident("i", replace(ALARM, segment=partner("A")), BEGAN + 5)
    assert partner("B") not in seen(found, outcomes, 380.0).incident.segments
    everything = Segment.of({"service": "messages", "step": "deliver", "layer": "link"})
    with_fall = replace(found, alarms=(*found.alarms, replace(ALARM, kind="plunge", segment=everything)))
    with_share = replace(found, alarms=(*found.alarms, replace(ALARM, segment=everything)))
    hit = [seen(each, outcomes, 380.0).impact.seen for each in (found, with_fall, with_share)]
    assert hit[0] == hit[1] and hit[2] >= 300 + 5 * 90 > 300


@pytest.mark.parametrize("elsewhere", [0, 90])
def test_what_is_as_bad_as_before_is_no_cause_where_it_stands_out_nor_where_it_is_alike(elsewhere: int) -> None:
    """All but A is broken as it was before: B by a third, and so are, or are not, C and D."""
    others = [*delivered("B", 90), *delivered("C", elsewhere), *delivered("D", elsewhere)]
    before = [structs.replace(each, time=each.time - 240.0, device=f"{each.device}-b")
              for each in (*delivered("A", 0), *others)]  # fmt: skip
    everything = Segment.of({"service": "messages", "step": "deliver", "layer": "link"})
    found = open_incident("i", replace(ALARM, segment=partner("A")), BEGAN + 5)
    found = replace(found, alarms=(*found.alarms, replace(ALARM, segment=everything)))
    after = seen(found, [*before, *delivered("A", 300), *others], 380.0).incident
    assert [segment.get("partner") for segment in after.segments] == ["A"]


def test_what_has_fallen_is_taken_back_when_it_has_been_so_for_the_time_to_be_held() -> None:
    fell = replace(ALARM, kind="plunge", level=2.0, seen=0.01)
    states = [seen(incident(alarm=fell), BEFORE, 5.0 + after).incident.state for after in (29.9, HOLD_SECONDS)]
    assert states == ["suspected", "resolved"]


@pytest.mark.parametrize(
    ("rates", "ordinary"),
    [
        ((1, 20, 1, 20), "1"),
        ((2, 16, 1, 4), "2"),  # of four minutes one is the quietest quarter, and each is counted from its first second
    ],
)
def test_what_is_ordinary_is_the_quietest_quarter_of_the_minutes_before(rates: Sequence[int], ordinary: str) -> None:
    fell = incident(Fact("confirm", BEGAN + 10, "Kari"), alarm=FELL)
    few = sign_ins(BEGAN + 1, BEGAN + 100, each=1.1)
    minutes = [sign_ins(BEGAN - 240 + 60 * n, BEGAN - 180 + 60 * n, each=1 / rate) for n, rate in enumerate(rates)]
    said = seen(fell, [*(each for minute in minutes for each in minute), *few], 100.0).recovery.sentence
    assert f"ordinarily {ordinary};" in said and "failed, 50.0% during the fault" in said
    assert "the ordinary traffic is not known" in seen(fell, few, 100.0).recovery.sentence


def test_whom_people_came_for_is_counted_from_ten_minutes_before_up_to_the_beginning() -> None:
    came = [replace_step(tried(at, kept=True), "start-playback", layer="streams", dimensions={"channel": channel})
            for at, channel in ((BEGAN - BEFORE_SECONDS, "sport"), (BEGAN, "news"))]  # fmt: skip
    fell = incident(Fact("confirm", BEGAN + 10, "Kari"), Fact("improving", BEGAN + 70), alarm=FELL)
    on = {"sport": (Programme("Match", BEGAN - 3_600, BEGAN + 100),)}
    few = sign_ins(BEGAN + 1, BEGAN + 160, each=1.1)
    found = seen(fell, [*sign_ins(BEGAN - 590, BEGAN), *came, *few], 160.0, programmes=on)
    assert "“Match” ended 60 s ago" in found.recovery.sentence


def test_a_picture_that_nothing_is_told_of_in_the_time_looked_at_is_back_since_the_beginning() -> None:
    found = seen(open_incident("i", GONE, BEGAN), [], 12.0)
    assert "is back, stable for 12 s (30 s required)" in found.recovery.sentence


MEASURED = (40.0, BEGAN - 1)
"""A capacity, and when it was measured."""


def entered(at: float, times: int) -> list[Outcome]:
    return [replace_step(tried(at, kept=True), "enter", layer="door")] * times


def test_the_load_is_the_crowd_of_the_two_minutes_before_it_up_to_its_opening_and_is_taken_once() -> None:
    too_early, too_late = entered(BEGAN - 120.001, 50), entered(BEGAN + 5, 50)
    came = [*BEFORE, *FAULT, *too_early, *entered(BEGAN - 120, 20), *too_late]
    found = seen(incident(CONFIRMED), came, 60.0, capacity=MEASURED).incident
    assert (found.since, found.load) == (BEGAN, Load("signin", 4.0, *MEASURED))
    assert seen(found, [*came, *entered(BEGAN - 60, 50)], 61.0, capacity=(7.0, BEGAN)).incident.load == found.load
    assert seen(incident(CONFIRMED), came, 60.0).incident.load is None, "the capacity is not known"


def test_how_long_an_answer_may_take_is_as_it_was_set_for_those_hit_and_for_whether_they_are_few() -> None:
    """One phone gets nothing while others do: no incident, from the moment when its time is over."""
    asked = {"service": "messages", "step": "deliver", "layer": "link", "dimensions": {"partner": "A"}}
    off = tried(BEGAN + 1, verdict="asked", reason="", promise="p", device="off", **asked)
    others = [tried(BEGAN + n, kept=True, promise=f"p{n}", device=f"d{n}", **asked) for n in range(200)]
    alarm = replace(ALARM, segment=partner("A"))

    def after(grace_seconds: float, at: float, **grounds: Any) -> Evaluation:
        expectations = {**EXPECTATIONS, ("messages", "deliver"): Expectation(grace_seconds, repeatable=False)}
        known = [off, *others[: int(at)]]
        return seen(incident(alarm=alarm), known, at, expectations=expectations, **grounds)

    few, none = after(38.0, 40.0, standing=(alarm,)), after(40.0, 40.0, standing=(alarm,))
    assert (few.impact.seen, few.incident.state) == (1, "suspected")
    assert (none.impact.seen, none.incident.state) == (0, "recovering") and none.incident.confirmed_at is not None
    assert ("of 41 failed" in few.recovery.sentence, "of 40 failed" in none.recovery.sentence) == (True, True)
    over = after(38.0, 200.0).incident
    assert (over.state, over.confirmed_at) == ("resolved", None), "one phone that is off confirms nothing"
