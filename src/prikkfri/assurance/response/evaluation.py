"""One look at an incident: from its outcomes to where it is, who was hit, and whether it is over.

Nothing is read or written here, so that a look of many seconds can be had in another thread while people work on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from prikkfri.assurance import incidents, plain, recovery, status
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Impact, Scope
from prikkfri.assurance.incidents import Fact, Incident, Load
from prikkfri.assurance.loads import LAYERS, STEPS
from prikkfri.assurance.localisation import place, with_alarmed
from prikkfri.assurance.programmes import Programmes, last_ended, most_come_to
from prikkfri.assurance.recovery import Recovery
from prikkfri.assurance.response import assessing
from prikkfri.assurance.response.history import History
from prikkfri.assurance.response.promises import PromiseColumns
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Bucket
from prikkfri.journal import Outcome

BEFORE_SECONDS = 600.0
"""What is usual is taken from so long before an incident."""
QUIET_STRETCH_BUCKETS = 60
LOAD_STRETCH_SECONDS = 5.0
LOAD_BEFORE_SECONDS = 120.0
"""A line fills before anybody has waited too long."""


@dataclass(frozen=True, kw_only=True)
class EvaluationContext:
    """What a look goes by, beside the outcomes."""

    standing: tuple[Alarm, ...]
    """The alarms that stand now."""
    blind: bool
    """Some stream cannot be read just now."""
    contacts: Sequence[tuple[float, float]] | None
    """Contacts with customer service, by (time, count); None when no such signal is taken in."""
    criteria: recovery.Criteria
    programmes: Programmes = field(default_factory=dict)
    """What is on, as playout last told."""
    others: tuple[Segment, ...] = ()
    """Places of other incidents, which this one is not about."""
    earlier: tuple[tuple[Segment, float, float], ...] = ()
    """Places of faults before it, each from its beginning to its last broken promise: nothing there was usual."""
    capacity: tuple[float, float] | None = None
    """What the service was measured to take a second when the incident began, and when that was; None: not known."""


@dataclass(frozen=True)
class Evaluation:
    """An incident as it is after a look."""

    incident: Incident
    recovery: Recovery
    impact: Impact
    just_resolved: bool
    """By the data just now, or by a person since the last look: its list is to be frozen."""


def evaluate(incident: Incident, history: History, grounds: EvaluationContext, *, now: float) -> Evaluation:
    """`history`: of the incident's service from `BEFORE_SECONDS` before it began up to `now`."""
    promises = history.promises()
    ours = assessing.outside(promises, grounds.others)
    incident = _loaded(_placed(incident, ours, grounds, now), history, grounds)
    if incident.state != "suspected":
        # A rule that acts on what it sees is one sign, not two: it does not confirm what it has raised itself.
        for fact in assessing.done(history.acts, incident):
            incident = incidents.apply_fact(incident, fact)
    pictures = assessing.pictures(history.acts)
    judged = _with_pictures(
        incident,
        _judge(incident, promises, _ended(incident, history, grounds, now), grounds, now),
        pictures,
        grounds,
        now,
    )
    made = impact_of(incident, history, now=now)
    hits = made.seen
    if incidents.about_arriving(incident) and incidents.of_few(
        *history.people(incident.segments, since=incident.since)
    ):
        hits = 0
    else:
        gone = [alarm for alarm in incident.alarms if _gone(assessing.picture_channel(alarm), pictures)]
        incident = incidents.confirm_standing(incident, (*grounds.standing, *gone), now)
    incident = incidents.confirm_hits(incident, hits, now)
    quiet = not {alarm.segment for alarm in incident.alarms} & {alarm.segment for alarm in grounds.standing}
    # What has fallen for good is ordinary again when its alarm has gone: the crowd has left.
    left = incidents.only_hinted(incident) and now - incident.opened_at >= grounds.criteria.hold_seconds
    if quiet and (judged.over or left):
        incident = incidents.take_back(incident, hits, judged.sentence, now)
    incident = _moved(incident, judged, now, settled_after_seconds=grounds.criteria.hold_seconds)
    just_resolved = incident.state == "resolved" and incident.ended_at is None
    if just_resolved:
        last_broken = assessing.last_broken(promises, incident.segments, since=incident.since)
        incident = replace(incident, ended_at=last_broken or incident.resolved_at)
        made = impact_of(incident, history, now=now)
    steps = status.steps_of(incident.segments)
    asked = history.asking(steps, since=incident.since, until=until(incident, now))
    incident = replace(incident, hit=made.seen, asked=max(asked, made.seen))
    return Evaluation(incident, judged, made, just_resolved)


def until(incident: Incident, now: float) -> float:
    """Up to the last broken promise of an incident that is over; else the present."""
    return now if incident.open or incident.ended_at is None else incident.ended_at + 0.001


def impact_of(incident: Incident, history: History, *, now: float) -> Impact:
    """Who was hit by it, as known now."""
    segments = () if incidents.only_slow(incident) else incident.segments  # what is late was kept
    return history.impact(Scope(segments, incident.since, until(incident, now)))


def _usually(promises: PromiseColumns, grounds: EvaluationContext) -> PromiseColumns:
    """Without what lies in the faults before."""
    for theirs, since, until in grounds.earlier:
        promises = assessing.without_fault(promises, theirs, since=since, until=until)
    return promises


def _placed(incident: Incident, promises: PromiseColumns, grounds: EvaluationContext, now: float) -> Incident:
    """Once it is getting better the place stands: later minutes would only water it down."""
    if incident.state not in ("suspected", "confirmed", "mitigated"):
        return incident
    alarms = [each for each in incident.alarms if each.kind not in incidents.LATE_HINTS] or incident.alarms
    since = min(assessing.rose(promises, alarm) for alarm in alarms)
    usual = assessing.cells(_usually(promises, grounds), since=since - BEFORE_SECONDS, until=since)
    counted = assessing.cells(promises, since=since, until=now)
    alarmed = [alarm.segment for alarm in incident.alarms if alarm.kind == "share"]
    placement = with_alarmed(place(counted, usual, all_causes=True), alarmed, counted, usual)
    if placement.placed:
        incident = incidents.record_placement(incident, placement, now)
        since = assessing.rose_first(promises, alarms, incident.segments)
    if placement.several:
        worse: list[Segment] = []
        for each in placement.placed:
            since = min(since, assessing.rose_beside(promises, each, worse, incident.alarms) or since)
            worse.append(each.segment)
    return replace(incident, since=assessing.began(promises, incident.segments, since=since))


def _loaded(incident: Incident, history: History, grounds: EvaluationContext) -> Incident:
    """With the crowd that came up to its opening and the capacity of that time: assessed once, and never again.

    What the machines take under a fault, and who comes after it has begun, is no cause of it.
    """
    layer = LAYERS.get(incident.service)
    if incident.load is not None or grounds.capacity is None or layer is None:
        return incident
    since, until = incident.since - LOAD_BEFORE_SECONDS, incident.opened_at
    came = sorted(history.crowd(STEPS[layer], since, until))
    peak = assessing.peak_of(came, over_seconds=LOAD_STRETCH_SECONDS)
    return replace(incident, load=Load(layer, peak, *grounds.capacity))


def _ended(incident: Incident, history: History, grounds: EvaluationContext, now: float) -> tuple[str, float] | None:
    """The programme that people had come for before the incident, if it has ended since then; and when."""
    since = incident.since - BEFORE_SECONDS
    channel = most_come_to(history.viewers(since, incident.since))
    programme = last_ended(grounds.programmes.get(channel, ()), since=since, now=now)
    return (programme.title, programme.stop) if programme is not None else None


def _judge(
    incident: Incident,
    promises: PromiseColumns,
    ended: tuple[str, float] | None,
    grounds: EvaluationContext,
    now: float,
) -> Recovery:
    """The whole, and each of several places by what it showed itself."""
    placed = incident.placement.placed
    shares = [each.share for each in placed] or [alarm.seen for alarm in incident.alarms if alarm.kind == "share"]
    known = _evidence(incident.segments, promises, max(shares, default=0.0), incident.since, grounds, now)
    known = replace(known, ended=ended, contacts=grounds.contacts)
    whole = recovery.judge(known, grounds.criteria, now=now)
    parts = _parts(incident)
    if grounds.blind or len(parts) < 2:
        return whole
    places = []
    for (segment, share), theirs in zip(parts, assessing.parted(promises, [lies for lies, _ in parts]), strict=True):
        alone = _evidence((segment,), theirs, share, incident.since, grounds, now)
        # Who comes, and to what, is asked of the whole: in a part of it that is chance.
        judged = recovery.judge(replace(alone, usual_rate=None), grounds.criteria, now=now)
        places.append((plain.place(segment), judged))
    return recovery.in_each_place(whole, places, grounds.criteria)


def _parts(incident: Incident) -> list[tuple[Segment, float]]:
    """Where it is, and what share was broken in each: where it is placed, or else where its alarms are."""
    if placed := incident.placement.placed:
        return [(each.segment, each.share) for each in placed]
    seen = {alarm.segment: alarm.seen for alarm in incident.alarms if alarm.kind == "share"}
    return [(segment, seen.get(segment, 0.0)) for segment in incident.segments]


def _evidence(
    segments: Sequence[Segment],
    promises: PromiseColumns,
    share: float,
    since: float,
    grounds: EvaluationContext,
    now: float,
) -> recovery.Evidence:
    """What is known of the segments, of which at least `share` was broken since the fault began."""
    promises = assessing.lying_in(promises, segments)

    def counted(since: float, until: float) -> list[Bucket]:
        return assessing.buckets(promises, segments, since=since, until=until, seconds=1.0)

    earlier = since - BEFORE_SECONDS
    during = counted(since, now)
    usually = _usually(promises, grounds)
    return recovery.Evidence(
        buckets=during,
        bucket_seconds=1.0,
        usual_share=assessing.usual_share(usually, segments, since=earlier, until=since),
        fault_share=max(share, _share(during)) or 0.5,
        usual_rate=_expected_rate(counted(earlier, since)),
        traffic_decides=not any(bucket.broken for bucket in during),
        blind_since=now if grounds.blind else None,
    )


def _gone(channel: str, pictures: Mapping[str, Outcome]) -> bool:
    return channel in pictures and pictures[channel].verdict == "broken"


def _with_pictures(
    incident: Incident, judged: Recovery, pictures: Mapping[str, Outcome], grounds: EvaluationContext, now: float
) -> Recovery:
    channels = {alarm: channel for alarm in incident.alarms if (channel := assessing.picture_channel(alarm))}
    if not channels or grounds.blind:
        return judged
    back = [pictures[each].time for each in channels.values() if each in pictures and not _gone(each, pictures)]
    return recovery.with_pictures(
        judged,
        [channel for channel in channels.values() if _gone(channel, pictures)],
        grounds.criteria,
        back_since=max(back, default=incident.since),
        alone=len(channels) == len(incident.alarms),
        now=now,
    )


def _expected_rate(before: Sequence[Bucket]) -> float | None:
    """Kept a second, as may be expected when no crowd comes: the quietest quarter of the stretches before.

    Only from the first kept promise on: before that there was nothing to be usual. None when there was none.
    """
    first = next((index for index, bucket in enumerate(before) if bucket.kept), len(before))
    known = before[first:]
    stretches = [known[at : at + QUIET_STRETCH_BUCKETS] for at in range(0, len(known), QUIET_STRETCH_BUCKETS)]
    rates = sorted(sum(bucket.kept for bucket in stretch) / len(stretch) for stretch in stretches)
    return rates[len(rates) // 4] if rates else None


def _moved(incident: Incident, judged: Recovery, now: float, *, settled_after_seconds: float) -> Incident:
    """The incident after what the data says of its recovery.

    What was resolved is judged again after `settled_after_seconds`: before that the judgement rests on broken promises
    from before the all-clear. (An alarm reopens it at once.)
    """
    if judged.over and incident.state == "recovering":
        return incidents.apply_fact(incident, Fact("proven", now, text=judged.sentence))
    if judged.improving and incidents.accepts(incident, "improving") and incident.state != "suspected":
        return incidents.apply_fact(incident, Fact("improving", now, text=judged.sentence))
    if incident.resolved_at is not None and now - incident.resolved_at < settled_after_seconds:
        return incident
    if judged.broken and incident.state in ("recovering", "resolved") and not incident.dismissed:
        return incidents.apply_fact(incident, Fact("relapse", now, text=judged.sentence))
    return incident


def _share(buckets: Sequence[Bucket]) -> float:
    settled = sum(bucket.settled for bucket in buckets)
    return sum(bucket.broken for bucket in buckets) / settled if settled else 0.0
