"""Incidents: a period in which a promise is broken for a segment, its states as a table, its timeline.

Theory of operation. An incident is moved by *facts*: what the data says (an alarm, evidence enough, shares back, held)
and what people and rules do (mitigate, declare over, review). `TRANSITIONS` is all that there is to the states; a fact
that is not in it leaves the state as it is and still stands in the timeline.

    suspected -> confirmed -> mitigated -> recovering -> resolved -> reviewed
                     ^------------------------' |            |
                     ^--------------------------+------------'   by the data, when it was said to be over too early

A suspicion that the data takes back is resolved without ever having been confirmed: nobody outside hears of it.

One thing gone wrong raises alarms in many series. Those of one service that follow upon each other join one incident;
where it is, is then a matter of localisation, not of which alarm came first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from prikkfri.assurance import plain
from prikkfri.assurance.detection import CONTACT_STEP, HINTS, Alarm
from prikkfri.assurance.detection import Kind as AlarmKind
from prikkfri.assurance.impact import ROUTE
from prikkfri.assurance.localisation import ClearedValue, Placement
from prikkfri.assurance.segments import Segment

CANARY = "canary"
"""The step at which it is told whether one has arrived."""
State = Literal["suspected", "confirmed", "mitigated", "recovering", "resolved", "reviewed"]
Kind = Literal[
    "alarm",  # a series says so (again)
    "evidence",  # more than one alarm, or one that stood long enough
    "confirm",  # a person says so
    "dismiss",  # a person says that it is nothing
    "mitigate",  # something was done that helps those hit: a channel opened, a route stopped
    "act",  # something was done
    "improving",  # shares and traffic are back where they were
    "relapse",  # ... and broken again
    "proven",  # back for long enough: recovery says that it is over
    "all-clear",  # a person says that it is over
    "review",  # looked back on
    "estimate",  # a person gives the expected solution or the time of the next word
    "note",
    "placed",  # localisation says where
    "listed",  # the list of those hit was made
    "told",  # the public or those hit were told
    "credited",
    "doubted",  # later proof took credited customers off the list, or put them back
]

TRANSITIONS: Mapping[tuple[State, Kind], State] = {
    ("suspected", "evidence"): "confirmed",
    ("suspected", "confirm"): "confirmed",
    ("suspected", "mitigate"): "mitigated",
    ("suspected", "proven"): "resolved",
    ("suspected", "dismiss"): "resolved",
    ("suspected", "all-clear"): "resolved",
    ("confirmed", "mitigate"): "mitigated",
    ("confirmed", "improving"): "recovering",
    ("confirmed", "dismiss"): "resolved",
    ("confirmed", "all-clear"): "resolved",
    ("mitigated", "improving"): "recovering",
    ("mitigated", "all-clear"): "resolved",
    ("recovering", "relapse"): "confirmed",
    ("recovering", "alarm"): "confirmed",
    ("recovering", "proven"): "resolved",
    ("recovering", "all-clear"): "resolved",
    ("resolved", "relapse"): "confirmed",
    ("resolved", "alarm"): "confirmed",
    ("resolved", "review"): "reviewed",
}
OPEN: frozenset[State] = frozenset({"suspected", "confirmed", "mitigated", "recovering"})
CONFIRMED: frozenset[State] = frozenset({"confirmed", "mitigated", "recovering"})
"""States in which the public is told."""

TOLD_BY_RECEIPTS = frozenset({"account", "class", "region"})
"""Only promises are told apart by these that a network's receipt keeps, also where the message went astray."""

JOIN_HOLDS = 3.0
"""An alarm of the same service joins an incident that is open, or was resolved within so many times the time for which
all has to be well before one is."""
CONFIRM_SECONDS = 10.0
"""One alarm of broken promises confirms an incident when it has stood this long; two signs confirm it at once."""
HITS_CONFIRM = 10
"""So many customers who did not get it are no suspicion."""
FEW = 2
"""So many phones to which messages fail ..."""
OTHERS_FOR_EACH = 5
"""... while so many times as many people get theirs, are off, and no incident."""
ROLES_OF_SERVICE: Mapping[str, frozenset[str]] = {
    "television": frozenset({"viewer", "signin", "playout", "door"}),
    "messages": frozenset({"sms"}),
}
DISMISSED_SECONDS = 4 * 3_600.0
"""What a person called nothing stays nothing for so long ..."""
WORSE_SHARE = 0.1
"""... unless the share that is broken rises by so much, or it is found in another place."""
SEGMENTS_MAX = 50
ENTRIES_MAX = 10_000
LATE_HINTS: frozenset[AlarmKind] = frozenset({"contacts", "slow"})
"""Of what has failed they do not tell since when."""
DATA = "data"
"""Who, when it was no person: what the system itself saw."""


@dataclass(frozen=True)
class Fact:
    """Something that happened to an incident."""

    kind: Kind
    at: float
    who: str = DATA
    """`data`, `rule:NAME`, or the name of a person."""
    text: str = ""
    solution_at: float | None = None
    """Of an `estimate`: when it is expected to be solved."""
    next_update_at: float | None = None
    """Of an `estimate`: when the public gets the next word."""


@dataclass(frozen=True)
class Entry:
    """A line of the timeline."""

    at: float
    who: str
    kind: Kind
    text: str
    state: State
    """The state after it."""
    solution_at: float | None = None
    next_update_at: float | None = None


@dataclass(frozen=True)
class Load:
    """The crowd against what the machines were measured to take, at the layer at fault, when it began to fail."""

    layer: str
    peak_per_second: float
    capacity_per_second: float
    measured_at: float
    """When the capacity was measured."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    id: str
    service: str
    state: State
    since: float
    """When it most likely began."""
    opened_at: float
    """When the system saw it."""
    alarms: tuple[Alarm, ...]
    """One for each series and kind, the first."""
    placement: Placement = field(default_factory=Placement)
    ended_at: float | None = None
    """When the last broken promise of it was made, as known when it was resolved."""
    confirmed_at: float | None = None
    resolved_at: float | None = None
    resolved_by: str = ""
    unproven: bool = False
    """A person said that it was over; the data did not, yet."""
    dismissed: bool = False
    """A person said that it was nothing."""
    load: Load | None = None
    """As first assessed, and never again: what comes later is no cause of it. None: not known."""
    dismissed_share: float = 0.0
    """The share that was broken when a person said so."""
    hit: int = 0
    """How many stand on its list, as last looked at ..."""
    asked: int = 0
    """... of how many who asked for what it is about, wherever they are."""
    doubted: int = 0
    """Credited customers who stand on its list no more: for a person to look at."""
    reopened: int = 0
    expected_solution_at: float | None = None
    next_update_at: float | None = None
    timeline: tuple[Entry, ...] = ()

    @property
    def open(self) -> bool:
        return self.state in OPEN

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Where it is: the placed segments of its service; until placed, the broadest series that alarmed."""
        if self.placement.placed:
            places = (dict(each.segment.values) for each in self.placement.placed)
            return tuple(Segment.of({**place, "service": self.service}) for place in places)
        series = tuple(dict.fromkeys(alarm.segment for alarm in self.alarms))
        # That people call says of nothing where it is: only of a suspicion that has nothing else.
        series = tuple(each for each in series if each.get("step") != CONTACT_STEP) or series
        return tuple(each for each in series if not any(other != each and other.holds(each) for other in series))


def open_incident(identifier: str, alarm: Alarm, now: float) -> Incident:
    """A new incident, suspected on one alarm."""
    incident = Incident(
        id=identifier,
        service=alarm.segment.get("service"),
        state="suspected",
        since=alarm.since,
        opened_at=now,
        alarms=(alarm,),
    )
    return _noted(incident, Fact("alarm", now, text=alarm.sentence))


def joins(incident: Incident, alarm: Alarm, *, within_seconds: float) -> bool:
    """Whether an alarm is about this incident, which was resolved within this time if it is not open.

    What is far from it (in another place, and long after its last sign) is an incident of its own.
    A crowd that has got in, and goes, is no relapse; and what was nothing can have none: the public would hear of it
    on one alarm.
    """
    if alarm.segment.get("service") != incident.service or incident.state == "reviewed":
        return False
    was_one = incident.confirmed_at is not None and not incident.dismissed
    lately = incident.resolved_at is not None and alarm.raised_at - incident.resolved_at < within_seconds
    goes_on = incident.open or (was_one and lately and alarm.kind not in HINTS)
    return goes_on and _near(incident, alarm, within_seconds)


def _told_of(segment: Segment) -> Segment:
    """Where canaries say something it is of their way, whether of one of them or of what all come to."""
    return segment.replaced("step", ROUTE) if segment.get("step") == CANARY else segment


def _near(incident: Incident, alarm: Alarm, within_seconds: float) -> bool:
    last = max(each.raised_at for each in incident.alarms)
    in_place = any(_told_of(place).meets(_told_of(alarm.segment)) for place in incident.segments)
    return in_place or alarm.raised_at - last < within_seconds


def of_others(incident: Incident, known: Iterable[Incident]) -> tuple[Segment, ...]:
    """The places of other incidents of its service, which nothing of its own lies in: they are none of its causes."""
    ours = [alarm.segment for alarm in incident.alarms]
    theirs = (
        place
        for other in known
        if other.id != incident.id and other.service == incident.service and not other.dismissed
        for place in other.segments
    )
    return tuple(place for place in theirs if not any(place.meets(segment) for segment in ours))


def earlier_faults(incident: Incident, known: Iterable[Incident]) -> tuple[tuple[Segment, float, float], ...]:
    """Places of other faults of its service that had begun before it, each with its time: nothing there was usual.

    What a person said to be nothing is usual.
    """
    return tuple(
        (place, other.since, other.ended_at if other.ended_at is not None else incident.since)
        for other in known
        if other.id != incident.id and other.service == incident.service and other.since < incident.since
        if other.confirmed_at is not None and not other.dismissed
        for place in other.segments
    )


def knows(incident: Incident, alarm: Alarm, *, within_seconds: float) -> bool:
    """Whether an alarm is one that the incident has taken already: it was raised again from the same outcomes."""
    same = any(
        (each.segment, each.kind) == (alarm.segment, alarm.kind)
        and abs(each.raised_at - alarm.raised_at) <= within_seconds
        for each in incident.alarms
    )
    return same or any(entry.text.endswith(alarm.sentence) for entry in incident.timeline)


def stays_dismissed(incident: Incident, alarm: Alarm, *, within_seconds: float) -> bool:
    """Whether an alarm tells of nothing but what a person has dismissed: neither new nor worse.

    One fault raises alarms in many series: in those that meet its own it may do so up to `within_seconds` after the
    dismissal, in those that lie within its own for `DISMISSED_SECONDS`.
    """
    if not incident.dismissed or incident.resolved_at is None or alarm.segment.get("service") != incident.service:
        return False
    after = alarm.raised_at - incident.resolved_at
    known = {each.kind for each in incident.alarms}
    if after >= DISMISSED_SECONDS or (alarm.kind not in HINTS and alarm.kind not in known):
        return False
    if alarm.kind == "share" and alarm.seen > incident.dismissed_share + WORSE_SHARE:
        return False
    places = (*incident.segments, *(each.segment for each in incident.alarms))
    siblings = after < within_seconds and any(place.meets(alarm.segment) for place in places)
    return siblings or any(place.holds(alarm.segment) for place in places)


def displayed_state(incident: Incident) -> str:
    """The one word for how an incident stands, on every surface: its state, or `dismissed`."""
    return "dismissed" if incident.dismissed else incident.state


def describe_state(incident: Incident) -> str:
    """The word, and what must be said with it to people."""
    unproven = incident.unproven and not incident.open and not incident.dismissed
    return displayed_state(incident) + (", not proven" if unproven else "")


def in_order(incident: Incident) -> tuple[tuple[Entry, str], ...]:
    """The timeline in the order of time (some things are heard of later), with the word for the state after each line.

    What was learnt last comes last of one moment.
    """
    lines: list[tuple[Entry, str]] = []
    dismissed = False
    for entry in incident.timeline:
        dismissed = (dismissed or entry.kind == "dismiss") and entry.state not in OPEN
        lines.append((entry, "dismissed" if dismissed else entry.state))
    return tuple(sorted(lines, key=lambda line: line[0].at))


def document(incident: Incident) -> dict[str, Any]:
    """An incident for whoever reads JSON: its state is the word that people read, its timeline in the order of time."""
    told: dict[str, Any] = msgspec.to_builtins(replace(incident, timeline=()))
    timeline = [msgspec.to_builtins(entry) | {"state": stood} for entry, stood in in_order(incident)]
    return told | {"state": displayed_state(incident), "timeline": timeline}


def record_alarm(incident: Incident, alarm: Alarm, now: float) -> Incident:
    """Takes one more alarm: a second sign confirms, and one after an all-clear reopens."""
    if alarm.kind in HINTS and incident.state == "recovering":
        return _noted(incident, Fact("alarm", now, text=alarm.sentence))
    known = any((each.segment, each.kind) == (alarm.segment, alarm.kind) for each in incident.alarms)
    late = alarm.kind in LATE_HINTS
    if not known and len(incident.alarms) < SEGMENTS_MAX:
        # One that reopens began anew: it does not move the beginning of the whole.
        since = min(incident.since, alarm.since) if incident.state != "resolved" and not late else incident.since
        incident = replace(incident, alarms=(*incident.alarms, alarm), since=since)
    incident = apply_fact(incident, Fact("alarm", now, text=alarm.sentence))
    # When fewer come, all series that count them fall alike: that is one sign.
    signs = {(each.kind, None if each.kind == "plunge" else each.segment.base) for each in incident.alarms}
    proof = any(kind not in HINTS for kind, _ in signs)
    if incident.state == "suspected" and len(signs) > 1 and proof:
        incident = apply_fact(incident, Fact("evidence", now, text=f"{len(signs)} signs that count different promises"))
    return incident


def about_arriving(incident: Incident) -> bool:
    """Whether all that was seen is that messages fail to arrive at phones."""
    return all(a.kind == "share" and a.segment.get("step") == "deliver" for a in incident.alarms)


def of_few(failing: int, getting: int) -> bool:
    """Whether messages fail to arrive at a phone or two while others get theirs: those phones are off, and no more.

    `failing`, `getting`: people for whom a promise was broken, or kept, in the incident's place since it began.
    """
    return 0 < failing <= FEW and getting >= OTHERS_FOR_EACH * failing


def confirm_standing(incident: Incident, standing: Iterable[Alarm], now: float) -> Incident:
    """Confirms a suspicion whose alarm has not gone away; `standing` are the alarms that stand now.

    A fall alone confirms nothing, however long it stands: fewer who come is no promise broken, as far as anybody knows.
    Programmes end, and nights are quiet. Nor does that more people call, who may call about their bill, or that more is
    kept late.
    """
    if incident.state != "suspected":
        return incident
    ours = {(alarm.segment, alarm.kind) for alarm in incident.alarms}
    kinds = {alarm.kind for alarm in standing if (alarm.segment, alarm.kind) in ours}
    if kinds - HINTS and now - incident.opened_at >= CONFIRM_SECONDS:
        return apply_fact(incident, Fact("evidence", now, text=f"has stood for {now - incident.opened_at:.0f} s"))
    return incident


def confirm_silence(incident: Incident, roles: Iterable[str], now: float) -> Incident:
    """Confirms a suspicion when roles that the service stands on do not answer."""
    ours = sorted(ROLES_OF_SERVICE.get(incident.service, frozenset()) & set(roles))
    if incident.state == "suspected" and ours:
        return apply_fact(incident, Fact("evidence", now, text=f"no answer from {', '.join(ours)}"))
    return incident


def confirm_hits(incident: Incident, hits: int, now: float) -> Incident:
    """Confirms a suspicion when that many customers have not got what they asked for."""
    if incident.state == "suspected" and hits >= HITS_CONFIRM and any(a.kind == "share" for a in incident.alarms):
        return apply_fact(incident, Fact("evidence", now, text=f"{hits} customers hit"))
    return incident


def only_hinted(incident: Incident) -> bool:
    """Whether all that is known is that fewer come, that more call, or that more is late."""
    return all(alarm.kind in HINTS for alarm in incident.alarms)


def only_slow(incident: Incident) -> bool:
    """Whether all that is known is that promises are kept later than is expected."""
    return all(alarm.kind == "slow" for alarm in incident.alarms)


def take_back(incident: Incident, hits: int, sentence: str, now: float) -> Incident:
    """A suspicion after the data says that all is well: nothing, unless customers were hit meanwhile."""
    if incident.state != "suspected":
        return incident
    if hits and any(alarm.kind == "share" for alarm in incident.alarms):
        return apply_fact(incident, Fact("evidence", now, text=f"{hits} customers were hit"))
    return apply_fact(incident, Fact("proven", now, text=sentence))


def is_misdelivery(incident: Incident) -> bool:
    """Whether canaries prove that messages come to strangers: no promise tells it, which a network's receipts keep.

    Canaries that are late, or lost, have a step of their own, and are no word on that.
    """
    segments = (*incident.segments, *(alarm.segment for alarm in incident.alarms))
    return incident.service == "messages" and any(each.get("step") == ROUTE for each in segments)


def cleared_values(incident: Incident) -> list[ClearedValue]:
    """What is cleared and holds nothing that failed: "television" is not, while its sign-in is broken.

    What an alarm has named has failed, whatever the placing makes of it later. Where messages go astray, receipts say
    all the same that they were delivered: nothing is cleared for which only they speak.
    """
    failed = (*incident.segments, *(alarm.segment for alarm in incident.alarms))
    cleared = [each for each in incident.placement.cleared if not any(each.segment.holds(ours) for ours in failed)]
    return [each for each in cleared if not _is_told_by_receipts(each.segment)] if is_misdelivery(incident) else cleared


def _is_told_by_receipts(segment: Segment) -> bool:
    return segment.get("step") == "deliver" or any(name in TOLD_BY_RECEIPTS for name, _ in segment.values)


def record_placement(incident: Incident, placement: Placement, now: float) -> Incident:
    """Takes a new placement; the timeline has a line when the place or what is cleared has changed."""
    changed = [p.segment for p in incident.placement.placed] != [p.segment for p in placement.placed]
    known = {each.segment for each in cleared_values(incident)}
    incident = replace(incident, placement=placement)
    newly_cleared = {each.segment for each in cleared_values(incident)} - known
    if changed and placement.placed:
        text = "; ".join(f"{plain.place(p.segment)}, {p.share:.0%} of {p.settled:.0f} failed" for p in placement.placed)
        incident = _noted(incident, Fact("placed", now, text=text))
    elif newly_cleared and placement.placed:
        text = plain.not_affected(
            dict.fromkeys(plain.place_in(incident.service, segment) for segment in sorted(newly_cleared))
        )
        incident = _noted(incident, Fact("placed", now, text=text))
    return incident


def accepts(incident: Incident, kind: Kind) -> bool:
    """Whether a fact of this kind moves the incident."""
    return (incident.state, kind) in TRANSITIONS


def apply_fact(incident: Incident, fact: Fact) -> Incident:
    """The incident after a fact; its timeline has it in any case."""
    before, after = incident.state, TRANSITIONS.get((incident.state, fact.kind), incident.state)
    incident = replace(incident, state=after)
    if after in CONFIRMED and incident.confirmed_at is None:
        incident = replace(incident, confirmed_at=fact.at)
    if fact.kind == "estimate":
        incident = replace(incident, expected_solution_at=fact.solution_at, next_update_at=fact.next_update_at)
    if after == "resolved" != before:
        incident = replace(
            incident,
            resolved_at=fact.at,
            resolved_by=fact.who,
            unproven=fact.kind == "all-clear",
            dismissed=fact.kind == "dismiss",
            dismissed_share=_share(incident) if fact.kind == "dismiss" else 0.0,
        )
    if before == "resolved" and after in OPEN:
        incident = replace(
            incident, resolved_at=None, resolved_by="", ended_at=None, dismissed=False, reopened=incident.reopened + 1
        )
    return _noted(incident, fact)


def _share(incident: Incident) -> float:
    """The largest share that is known to be broken in it."""
    alarms = (alarm.seen for alarm in incident.alarms if alarm.kind == "share")
    return max((*alarms, *(placed.share for placed in incident.placement.placed)), default=0.0)


def _noted(incident: Incident, fact: Fact) -> Incident:
    if len(incident.timeline) >= ENTRIES_MAX:
        return incident
    entry = Entry(fact.at, fact.who, fact.kind, fact.text, incident.state, fact.solution_at, fact.next_update_at)
    return replace(incident, timeline=(*incident.timeline, entry))


def record_doubts(incident: Incident, count: int, now: float) -> Incident:
    """The incident with so many credited who stand on its list no more; the timeline says when that changes."""
    if count == incident.doubted:
        return incident
    text = f"{count} credited customers stand on the list no more: a person must look; nothing is taken back by itself"
    if not count:
        text = "all credited customers stand on the list again"
    return _noted(replace(incident, doubted=count), Fact("doubted", now, text=text))


def recurrences(incident: Incident, history: Sequence[Incident]) -> tuple[Incident, ...]:
    """Earlier incidents of the same service in a place that meets this one's, the newest first."""
    found = [
        earlier
        for earlier in history
        if earlier.id != incident.id
        and not earlier.dismissed
        and earlier.service == incident.service
        and earlier.opened_at < incident.opened_at
        and any(ours.meets(theirs) for ours in incident.segments for theirs in earlier.segments)
    ]
    return tuple(sorted(found, key=lambda earlier: earlier.opened_at, reverse=True))
