"""The decisions hand in hand: from outcomes to alarm, place, list and proof, against a world that knows the truth."""

import random
from dataclasses import dataclass, field

import pytest

from prikkfri.assurance.detection import Settings
from prikkfri.assurance.impact import Scope, exposure, impact
from prikkfri.assurance.incidents import (
    Fact,
    Incident,
    apply_fact,
    confirm_standing,
    joins,
    open_incident,
    record_alarm,
    record_placement,
)
from prikkfri.assurance.localisation import Cell, Placement, place
from prikkfri.assurance.recovery import Criteria, Evidence, judge
from prikkfri.assurance.segments import Segment, segment_of
from prikkfri.assurance.tally import Bucket, own_error
from prikkfri.assurance.watching import Watch, advance
from prikkfri.journal import Outcome

SETTINGS = Settings()
HOLD = Criteria(hold_seconds=60.0)
EIGHT = 1_534_788_000.0


@dataclass(frozen=True)
class Settled:
    """An outcome as far as counting needs it."""

    time: float
    segment: Segment
    broken: bool


def settled(outcomes: list[Outcome]) -> list[Settled]:
    return [
        Settled(outcome.time, segment_of(outcome), outcome.verdict == "broken")
        for outcome in outcomes
        if outcome.verdict != "asked" and not own_error(outcome.service, outcome.reason)
    ]


def cells(known: list[Settled], since: float, until: float) -> list[Cell]:
    counts: dict[Segment, list[int]] = {}
    for each in known:
        if since <= each.time < until:
            count = counts.setdefault(each.segment, [0, 0])
            count[0] += 1
            count[1] += each.broken
    return [Cell(segment.without("service"), total, broken) for segment, (total, broken) in counts.items()]


@dataclass
class Duty:
    """What the service does with the decisions, second by second, and nothing else."""

    outcomes: list[Outcome] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    watch: Watch = field(default_factory=lambda: Watch(EIGHT))
    incidents: list[Incident] = field(default_factory=list)

    def second(self, now: float, arrived: list[Outcome]) -> None:
        self.outcomes += arrived
        self.settled += settled(arrived)
        self.watch, alarms = advance(self.watch, [("all", outcome) for outcome in arrived], SETTINGS, until=now)
        for alarm in alarms:
            known = next(
                (index for index, each in enumerate(self.incidents) if joins(each, alarm, within_seconds=900.0)), None
            )
            if known is None:
                self.incidents.append(open_incident(str(len(self.incidents) + 1), alarm, now))
            else:
                self.incidents[known] = record_alarm(self.incidents[known], alarm, now)
        for index, incident in enumerate(self.incidents):
            incident = confirm_standing(incident, self.watch.standing, now)
            if incident.open and int(now) % 10 == 0:
                incident = self.look(incident, now)
            self.incidents[index] = incident

    def look(self, incident: Incident, now: float) -> Incident:
        if incident.state in ("suspected", "confirmed", "mitigated"):
            before = cells(self.settled, incident.since - 300, incident.since)
            placement = place(cells(self.settled, max(incident.since, now - 120), now), before)
            incident = record_placement(incident, placement, now) if placement.placed else incident
        recovery = judge(self.evidence(incident, now), HOLD, now=now)
        if recovery.over and incident.state == "recovering":
            return apply_fact(incident, Fact("proven", now, text=recovery.sentence))
        if recovery.improving and incident.state in ("confirmed", "mitigated"):
            return apply_fact(incident, Fact("improving", now, text=recovery.sentence))
        if recovery.broken and incident.state == "recovering":
            return apply_fact(incident, Fact("relapse", now, text=recovery.sentence))
        return incident

    def evidence(self, incident: Incident, now: float) -> Evidence:
        counts: dict[int, list[int]] = {second: [0, 0] for second in range(int(now) - 120, int(now))}
        for each in reversed(self.settled):
            if each.time < now - 125:
                break
            if int(each.time) in counts and any(segment.holds(each.segment) for segment in incident.segments):
                counts[int(each.time)][each.broken] += 1
        buckets = [Bucket(float(second), kept, broken) for second, (kept, broken) in counts.items()]
        shares = [each.share for each in incident.placement.placed] or [alarm.seen for alarm in incident.alarms]
        return Evidence(buckets=buckets, bucket_seconds=1.0, usual_share=0.0, fault_share=max(shares))


@pytest.mark.parametrize("seed", range(2))
def test_kick_off(seed: int) -> None:
    """Sign-in answers nobody but with a refusal from 20:05 to 20:08; the streams are never at fault."""
    rng = random.Random(seed)
    duty = Duty()
    wants_in: list[tuple[float, str, int]] = []
    fault = (EIGHT + 300, EIGHT + 480)
    customer = 0
    for second in range(900):
        now = EIGHT + second
        arrived = [
            Outcome(
                time=now + rng.random(), service="television", step="start-playback", layer="streams", verdict="kept",
                customer=f"in-{rng.randrange(400)}", dimensions={"channel": rng.choice(("one", "sport"))},
            )
            for _ in range(10)
        ]  # fmt: skip
        for _ in range(min(12, 2 + second // 30)):
            customer += 1
            wants_in.append((now + rng.random(), f"C{customer}", 0))
        coming, wants_in = [w for w in wants_in if w[0] < now + 1], [w for w in wants_in if w[0] >= now + 1]
        for at, who, tries in coming:
            broken = fault[0] <= at < fault[1]
            wrong = not broken and rng.random() < 0.05
            arrived.append(
                Outcome(
                    time=at, service="television", step="sign-in", layer="signin", device=f"d-{who}",
                    customer="" if broken or wrong else who, verdict="broken" if broken or wrong else "kept",
                    reason="overloaded" if broken else "wrong-credentials" if wrong else "",
                    dimensions={"client": rng.choice(("television", "phone", "computer"))},
                )
            )  # fmt: skip
            if broken and tries < 4:
                wants_in.append((at + rng.uniform(5, 30), who, tries + 1))
        duty.second(now + 1, arrived)
    (incident,) = duty.incidents
    assert 0 <= incident.opened_at - fault[0] <= 5
    assert abs(incident.since - fault[0]) <= 2
    assert incident.confirmed_at is not None
    assert incident.confirmed_at - incident.opened_at <= 15
    assert [each.segment.get("layer") or each.segment.get("step") for each in incident.placement.placed] == ["signin"]
    assert "layer=streams" in {str(each.segment) for each in incident.placement.cleared}
    assert (incident.state, incident.unproven, incident.reopened) == ("resolved", False, 0)
    assert incident.resolved_at is not None
    assert fault[1] + HOLD.hold_seconds <= incident.resolved_at <= fault[1] + HOLD.hold_seconds + 40

    scope = Scope(incident.segments, incident.since, fault[1])
    listed = {hit.device.removeprefix("d-") for hit in impact(duty.outcomes, scope, now=EIGHT + 9_000).hits}
    assert listed == hit_by_the_rule(duty.outcomes, fault)


def hit_by_the_rule(outcomes: list[Outcome], fault: tuple[float, float]) -> set[str]:
    """Those with a refused try that no success of the same device followed within 60 s."""
    got: dict[str, list[float]] = {}
    for outcome in outcomes:
        if outcome.step == "sign-in" and outcome.verdict == "kept":
            got.setdefault(outcome.device, []).append(outcome.time)
    return {
        outcome.device.removeprefix("d-")
        for outcome in outcomes
        if outcome.reason == "overloaded"
        and fault[0] <= outcome.time < fault[1]
        and not any(outcome.time <= at <= outcome.time + 60 for at in got.get(outcome.device, []))
    }


@pytest.mark.parametrize("seed", range(2))
def test_misdelivery(seed: int) -> None:
    """One of three partners breaks 5 % of its messages for five minutes; one in five hundred breaks anywhere."""
    rng = random.Random(100 + seed)
    duty = Duty()
    fault = (EIGHT + 900, EIGHT + 1_200)  # what is ordinary is learned from a grace time after the start
    sent: set[str] = set()
    for second in range(1_500):
        now = EIGHT + second
        arrived = []
        for number in range(30):
            partner = rng.choice(("Telia", "Tele2", "Tre"))
            message = f"{second}-{number}"
            at = now + rng.random()
            bad = partner == "Telia" and fault[0] <= at < fault[1]
            broken = rng.random() < (0.05 if bad else 0.002)
            if bad:
                sent.add(message)
            dimensions = {"partner": partner, "direction": "out", "class": rng.choice(("ordinary", "code", "notice"))}
            arrived.append(
                Outcome(
                    time=at, service="messages", step="deliver", layer="link", promise=message,
                    device=f"+4790{second:04}{number:02}", verdict="broken" if broken else "kept",
                    reason="wrong-recipient" if broken else "", dimensions=dimensions,
                )
            )  # fmt: skip
        duty.second(now + 1, arrived)
    (incident,) = duty.incidents
    assert 0 < incident.opened_at - fault[0] <= 90
    assert abs(incident.since - fault[0]) <= 30
    assert incident.segments == (Segment.of({"service": "messages", "partner": "Telia"}),)
    assert {"partner=Tele2", "partner=Tre"} <= {str(each.segment) for each in incident.placement.cleared}
    assert (incident.state, incident.reopened) == ("resolved", 0)
    assert incident.resolved_at is not None
    assert incident.resolved_at >= fault[1] + HOLD.hold_seconds - 5

    exposed = {each.message for each in exposure(duty.outcomes, Scope(incident.segments, *fault))}
    assert exposed == sent


def test_an_ordinary_evening_raises_nothing() -> None:
    rng = random.Random(7)
    duty = Duty()
    for second in range(1_200):
        now = EIGHT + second
        rate = 5 + 40 * (300 < second < 600)
        arrived = [
            Outcome(
                time=now + rng.random(), service="television", step="sign-in", layer="signin", device=f"d-{second}-{n}",
                verdict="broken" if rng.random() < 0.08 else "kept", reason="wrong-credentials",
            )
            for n in range(rate)
        ]  # fmt: skip
        duty.second(now + 1, arrived)
    assert duty.incidents == []
    assert place(cells(duty.settled, EIGHT + 900, EIGHT + 1_200)) == Placement()
