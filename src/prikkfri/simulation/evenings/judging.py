"""Judging: what assurance told of an evening, held against what the oracle expects of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

from prikkfri.assurance.incidents import Incident
from prikkfri.simulation.evenings.drawing import Evening, Place
from prikkfri.simulation.evenings.oracle import (
    AFTER_SECONDS,
    BEFORE_SECONDS,
    Cause,
    Expectation,
    expected,
)
from prikkfri.simulation.evenings.running import CREDIT, HOLD_SECONDS, TIMES, EveningRecord
from prikkfri.simulation.evenings.world import World, lies_in

CONFIRMED_SECONDS = 15.0
"""One alarm alone is confirmed when it has stood for 10 s, at the next look."""
ALIKE = 0.98
"""Two segments are one when they share so much of the promises of that time: a partner, and its only link."""
PLACED_RIGHT_LEAST = 0.8
FALSE_INCIDENTS_MAX = 1
OVER_HOLDS = 3.0
"""Over is proven at the latest after so many times the time to be held ..."""
OVER_SECONDS = 90.0
"""... and a few looks, ..."""
OVER_KEPT = 150
"""... when so many promises of the segment were kept meanwhile: with few who come, nothing is stated."""
APART_SECONDS = 600.0
"""Faults of a service that are so much apart are met one after the other: each has its own incident and list."""
SERVICE_OF_COMPONENT = {"sign-in": "television", "watch": "television", "messages": "messages"}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What evenings come to, one or many. Faults are those of stated size."""

    outcomes: int = 0
    faults: int = 0
    found: int = 0
    found_late: int = 0
    false_incidents: int = 0
    false_public_statements: int = 0
    placed_right: int = 0
    placed_coarser: int = 0
    placed_wrong: int = 0
    hit_true: int = 0
    hit_missed: int = 0
    hit_wrongly_listed: int = 0
    credited_twice: int = 0
    over_too_early: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One evening."""

    seed: int
    figures: Figures
    findings: tuple[str, ...]
    """What is wrong, in words; empty: nothing."""
    digest: str
    drawn: str = ""
    """What it was, in words."""


@dataclass
class _Judge:
    world: World
    told: EveningRecord
    expected: Expectation
    findings: list[str] = field(default_factory=list)

    @property
    def begins(self) -> float:
        return self.world.evening.begins

    def second(self, moment: float | None) -> str:
        return "never" if moment is None else f"{moment - self.begins:.0f} s"

    def note(self, text: str) -> None:
        self.findings.append(text)


def judge(world: World, told: EveningRecord, *, twin: EveningRecord | None = None) -> Judgement:
    """`twin`: what was told of the same evening without what disturbed it."""
    judging = _Judge(world, told, expected(world))
    figures = Figures(outcomes=told.outcomes)
    confirmed = [each for each in told.incidents if each.confirmed_at is not None]
    false = [each for each in confirmed if _is_false(judging, each)]
    true = [each for each in confirmed if each not in false]
    for each in false:
        judging.note(f"false incident of {each.service}, opened at {judging.second(each.opened_at)}: {_where(each)}")
    figures += Figures(
        false_incidents=len(false), false_public_statements=_false_statements(judging, {each.id for each in false})
    )
    services = sorted({cause.service for cause in judging.expected.causes} | {each.service for each in true})
    for service in services:
        figures += _of_service(judging, service, [each for each in true if each.service == service])
    twice = _credited_twice(told)
    if twice:
        judging.note(f"credited more than once: {len(twice)}, such as {twice[0]}")
    if twin is not None:
        _compare(judging, told, twin)
    figures += Figures(credited_twice=len(twice))
    return Judgement(
        seed=world.evening.seed,
        figures=figures,
        findings=tuple(judging.findings),
        digest=told.digest,
        drawn=said(world.evening),
    )


def said(evening: Evening) -> str:
    """What was drawn, in a line."""
    disturbance = evening.disturbance
    parts = [str(fault) for fault in evening.faults] or ["no fault"]
    parts += [
        f"assurance {'killed' if each.killed else 'stopped'} for {each.away_seconds:g} s at {each.at:.0f} s"
        for each in disturbance.restarts
    ]
    if any(disturbance.skew.values()):
        parts.append("clocks " + ", ".join(f"{name} {skew:+.1f}" for name, skew in disturbance.skew.items()))
    if disturbance.stalled:
        name, since, until = disturbance.stalled
        parts.append(f"{name} written late, {since:.0f} to {until:.0f} s")
    parts += [name for name, is_so in (("late", disturbance.late_part), ("doubled", disturbance.doubled_part)) if is_so]
    parts += ["shuffled"] if disturbance.shuffled else []
    parts += [f"{act.kind} by a person at {act.at:.0f} s" for act in evening.acts]
    return "; ".join(parts)


def _where(incident: Incident) -> str:
    return " + ".join(str(segment) for segment in incident.segments)


def _confirmed_by_person(judging: _Judge, incident: Incident) -> bool:
    return any(name == incident.id and kind == "confirm" for _, name, kind in judging.told.acts)


def _is_false(judging: _Judge, incident: Incident) -> bool:
    """Nothing was broken beyond the ordinary when it was confirmed, at least not in its service."""
    if incident.confirmed_at is None or _confirmed_by_person(judging, incident):
        return False
    margin = judging.expected.margin_seconds
    return not any(
        cause.first - margin <= incident.confirmed_at and incident.since <= cause.last + AFTER_SECONDS
        for cause in judging.expected.of(incident.service)
    )


def _false_statements(judging: _Judge, false: set[str]) -> int:
    found: set[str] = set()
    service_of = {each.id: each.service for each in judging.told.incidents}
    for published in judging.told.published:
        told = {name for name, _, _ in published.incidents}
        for name in told & false - found:
            found.add(name)
            judging.note(f"told the public of a false incident at {judging.second(published.at)}")
        for component in published.failing:
            service = SERVICE_OF_COMPONENT[component]
            margin = judging.expected.margin_seconds
            real = any(
                cause.first - margin <= published.at <= cause.last + AFTER_SECONDS
                for cause in judging.expected.of(service)
            )
            explained = any(service_of[name] == service for name in told)
            if not real and not explained and component not in found:
                found.add(component)
                judging.note(f"told the public that {component} fails at {judging.second(published.at)}")
    return len(found)


# One service.


def _of_service(judging: _Judge, service: str, incidents: Sequence[Incident]) -> Figures:
    dismissed = {name for _, name, kind in judging.told.acts if kind == "dismiss"}
    causes = judging.expected.of(service)
    stated = [cause for cause in causes if cause.due is not None]
    # What becomes of what a person has dismissed is that person's matter.
    if any(each.id in dismissed for each in judging.told.incidents if each.service == service):
        stated = []
    figures = Figures(faults=len(stated))
    for cause in stated:
        figures += _found(judging, cause, incidents)
    figures += _listed(judging, causes, stated, incidents)
    for incident in incidents:
        figures += _over(judging, incident, stated)
    occasions = _occasions(causes)
    for occasion in occasions:
        of_it = _of_occasion(occasion, incidents) if len(occasions) > 1 else incidents
        _over_late(judging, service, occasion.causes, of_it)
    if stated:
        _credited(judging, stated, incidents)
    return figures


def _covering(cause: Cause, incidents: Sequence[Incident]) -> list[Incident]:
    return [
        each
        for each in incidents
        if each.opened_at <= cause.last + AFTER_SECONDS and (each.resolved_at or cause.first) >= cause.first
    ]


def _found(judging: _Judge, cause: Cause, incidents: Sequence[Incident]) -> Figures:
    assert cause.due is not None
    covering = _covering(cause, incidents)
    what = f"fault {cause.number + 1} ({_said(cause.place)})"
    if not covering:
        judging.note(f"{what}: not found, due at {judging.second(cause.due)}, {len(cause.breaks)} broken")
        return Figures()
    margin = judging.expected.margin_seconds
    due = _with_away(cause.due, cause.first, judging.told.away) + margin
    first = min(covering, key=lambda each: each.opened_at)
    late = first.opened_at > due or _confirmed_late(judging, cause, first, due)
    if late:
        judging.note(
            f"{what}: found late, opened at {judging.second(first.opened_at)}, confirmed at"
            f" {judging.second(first.confirmed_at)}, due at {judging.second(due)}"
        )
    return Figures(found=1, found_late=int(late)) + _placed(judging, what, cause, covering)


def _confirmed_late(judging: _Judge, cause: Cause, incident: Incident, due: float) -> bool:
    """What a person has declared over before it was confirmed is to be found again as if it began then."""
    if incident.confirmed_at is None:
        return False
    over = [
        at
        for at, name, kind in judging.told.acts
        if (name, kind) == (incident.id, "all-clear") and at < incident.confirmed_at
    ]
    if over:
        again = cause.due_after(over[-1])
        if again is None:
            return False
        due = max(due, _with_away(again, over[-1], judging.told.away) + judging.expected.margin_seconds)
    return incident.confirmed_at > due + CONFIRMED_SECONDS


def _with_away(due: float, since: float, away: Sequence[tuple[float, float]]) -> float:
    """Later by as long as assurance was away meanwhile, and a while in which it reads what it has missed."""
    for left, back in away:
        if left < due and back > since:
            due += back - max(left, since) + 5.0
    return due


def _said(place: Place) -> str:
    return ", ".join(f"{name}={value}" for name, value in place.items() if name != "service")


def _placed(judging: _Judge, what: str, cause: Cause, covering: Sequence[Incident]) -> Figures:
    """By the promises that were asked while it lasted: do the two segments hold the same ones?"""
    # A place is one value for all its promises: so few are compared.
    cells = Counter(
        tuple(each.place.items())
        for each in judging.world.promises
        if each.place["service"] == cause.service and cause.first - 120.0 <= each.asked <= cause.last
    )
    segments = [dict(segment.values) for each in covering for segment in each.segments]
    ours = {cell for cell in cells if lies_in(dict(cell), cause.place)}
    held = [{cell for cell in cells if lies_in(dict(cell), segment)} for segment in segments]
    together = [set().union(*({c for c in cells if lies_in(dict(c), dict(s.values))} for s in each.segments))
                for each in covering]  # fmt: skip

    def size(chosen: set[tuple[tuple[str, str], ...]]) -> int:
        return sum(cells[cell] for cell in chosen)

    if any(size(ours & each) >= ALIKE * size(ours | each) for each in (*held, *together)):
        return Figures(placed_right=1)
    if any(size(ours & each) >= ALIKE * size(ours) for each in (*held, *together)):
        return Figures(placed_coarser=1)
    judging.note(f"{what}: placed wrong, at {'; '.join(_where(each) for each in covering)}")
    return Figures(placed_wrong=1)


# The list.


def _person(customer: str, device: str) -> str:
    return customer or device.replace("d-", "s-", 1)


@dataclass(frozen=True)
class _Occasion:
    """Faults of a service at one time: who was hit by them has to be on a list of that time."""

    causes: tuple[Cause, ...]

    @property
    def last(self) -> float:
        return max(cause.last for cause in self.causes)


def _occasions(causes: Sequence[Cause]) -> list[_Occasion]:
    """Apart are those of which the second began when the first had long been proven over."""
    found: list[_Occasion] = []
    for cause in sorted(causes, key=lambda each: each.first):
        if found and cause.first <= found[-1].last + APART_SECONDS:
            found[-1] = _Occasion((*found[-1].causes, cause))
        else:
            found.append(_Occasion((cause,)))
    return found


def _of_occasion(occasion: _Occasion, incidents: Sequence[Incident]) -> list[Incident]:
    return [each for each in incidents if any(each in _covering(cause, [each]) for cause in occasion.causes)]


def _listed(
    judging: _Judge, causes: Sequence[Cause], stated: Sequence[Cause], incidents: Sequence[Incident]
) -> Figures:
    """Each list by the faults of its time; where there was one occasion all are of that."""
    occasions = _occasions(causes)
    by_occasion = [_of_occasion(each, incidents) if len(occasions) > 1 else list(incidents) for each in occasions]
    figures, wrong, listed = Figures(), set[str](), set[str]()
    for incident in incidents:
        theirs = _persons(judging, incident)
        met = [occasion for occasion, of_it in zip(occasions, by_occasion, strict=True) if incident in of_it]
        listed |= theirs
        wrong |= theirs - _may_be_listed(judging, causes, met or occasions, incidents)
    for occasion, of_it in zip(occasions, by_occasion, strict=True):
        there = set[str]().union(*(_persons(judging, each) for each in of_it))
        ours = [cause for cause in stated if cause in occasion.causes]
        must = frozenset[str]().union(*(cause.hit for cause in ours))
        missed = sorted(must - there)
        if missed:
            by_cause = ", ".join(f"{len(set(missed) & cause.hit)} of fault {cause.number + 1}" for cause in ours)
            judging.note(
                f"{causes[0].service}: {len(missed)} of {len(must)} hit are missing ({by_cause}), such as {missed[0]}"
            )
        figures += Figures(hit_true=len(must), hit_missed=len(missed))
    if wrong:
        service = incidents[0].service
        judging.note(f"{service}: {len(wrong)} of {len(listed)} are wrongly listed, such as {min(wrong)}")
    return figures + Figures(hit_wrongly_listed=len(wrong))


def _persons(judging: _Judge, incident: Incident) -> set[str]:
    return {_person(hit.customer, hit.device) for hit in judging.told.hits[incident.id] if hit.observed}


def _may_be_listed(
    judging: _Judge, causes: Sequence[Cause], met: Sequence[_Occasion], incidents: Sequence[Incident]
) -> set[str]:
    """Who was truly let down, from the first of the occasions to the last."""
    margin = judging.expected.margin_seconds
    during = [cause for occasion in met for cause in occasion.causes]
    since = min((cause.began for cause in during), default=0.0) - BEFORE_SECONDS - margin
    away = sum(back - left for left, back in judging.told.away)
    until = max((cause.last for cause in during), default=0.0) + AFTER_SECONDS + margin + away
    # A place that is coarser than the fault is what was said: who was let down there is listed as said.
    places = [cause.place for cause in causes]
    places += [
        segment
        for incident in incidents
        for segment in (dict(each.values) for each in incident.segments)
        if any(lies_in(place, segment) for place in places)
    ]
    return {
        each.promise.person
        for each in judging.expected.missed
        if each.promise.asked <= until
        and each.promise.deadline >= since
        and any(lies_in(each.promise.place, place) for place in places)
    }


# Over.


def _over(judging: _Judge, incident: Incident, stated: Sequence[Cause]) -> Figures:
    margin = judging.expected.margin_seconds
    early = 0
    segments = [dict(segment.values) for segment in incident.segments]
    for entry in incident.timeline:
        if entry.kind != "proven" or entry.state != "resolved":
            continue
        for cause in stated:
            still = sum(moment > entry.at + margin for moment in cause.breaks)
            theirs = any(lies_in(cause.place, each) for each in segments)
            if still and theirs and _told_of(incident, cause, entry.at - margin):
                early += 1
                judging.note(
                    f"fault {cause.number + 1}: over too early, at {judging.second(entry.at)}; {still} were broken"
                    f" after that, up to {judging.second(cause.last)}"
                )
    return Figures(over_too_early=early)


def _told_of(incident: Incident, cause: Cause, moment: float) -> bool:
    """Whether an alarm of it was there by then, or was due: of another fault that has only begun nothing is said."""
    alarmed = any(
        alarm.raised_at <= moment and all(cause.place.get(name, value) == value for name, value in alarm.segment.values)
        for alarm in incident.alarms
    )
    return cause.first <= moment and (alarmed or (cause.due is not None and cause.due <= moment))


def _over_late(judging: _Judge, service: str, causes: Sequence[Cause], incidents: Sequence[Incident]) -> None:
    """Not proven to be over, though it has been for long and many came and got it."""
    last = max(cause.last for cause in causes)
    due = last + OVER_HOLDS * HOLD_SECONDS + OVER_SECONDS + judging.expected.margin_seconds
    due += sum(back - left for left, back in judging.told.away if back > last)
    kept = sum(
        each.got is not None and last < each.got < due and any(lies_in(each.place, cause.place) for cause in causes)
        for each in judging.world.promises
    )
    late = [
        each for each in incidents if (each.resolved_at is None or each.resolved_at > due) and each.opened_at < last
    ]
    if late and kept >= OVER_KEPT and due < judging.world.evening.ends:
        judging.note(
            f"{service}: over at {judging.second(late[0].resolved_at)}, due at {judging.second(due)}; {kept} were kept"
        )


# Money.


def _credited_twice(told: EveningRecord) -> list[str]:
    together: Counter[str] = Counter()
    for given in told.credits:
        together[given.credit.customer] += given.credit.amount
    return sorted(customer for customer, amount in together.items() if amount > CREDIT)


def _credited(judging: _Judge, stated: Sequence[Cause], incidents: Sequence[Incident]) -> None:
    """Everybody hit who is known by name, once all of it is proven to be over and looked at for the last time."""
    service = stated[0].service
    ends = judging.world.evening.ends
    until = ends - TIMES.after_seconds - 60.0
    proven = [each for each in incidents if each.resolved_at and not each.unproven and each.resolved_at < until]
    if service != "television" or len(proven) < len(incidents):
        return
    known = {
        each.person
        for each in judging.world.promises
        if each.got is not None and each.place["step"] == "sign-in" and each.got < ends - 60.0
    }
    must: frozenset[str] = frozenset().union(*(cause.hit for cause in stated))
    listed = {_person(hit.customer, hit.device) for each in incidents for hit in judging.told.hits[each.id]}
    credited = {given.credit.customer for given in judging.told.credits}
    if lacking := sorted((must & known & listed) - credited):
        judging.note(
            f"{len(lacking)} who were hit, are listed and known by name are not credited, such as {lacking[0]}"
        )


def _compare(judging: _Judge, told: EveningRecord, twin: EveningRecord) -> None:
    """The same incidents and credits, whatever disturbed the evening; where a person met the same of it."""
    if [kind for _, _, kind in told.acts] != [kind for _, _, kind in twin.acts]:
        return

    def counted(of: EveningRecord) -> Mapping[str, int]:
        return Counter(each.service for each in of.incidents if each.confirmed_at is not None)

    must: frozenset[str] = frozenset().union(*(cause.hit for cause in judging.expected.causes if cause.due is not None))
    if counted(told) != counted(twin):
        judging.note(f"incidents {dict(counted(told))}, undisturbed {dict(counted(twin))}")
    credited, without = ({g.credit.customer for g in of.credits} & must for of in (told, twin))
    if credited != without:
        judging.note(f"credits of {len(credited)} of those hit, undisturbed of {len(without)}")


# Many.


@dataclass(frozen=True, kw_only=True)
class Result:
    """The keys of the JSON document."""

    seed: int
    evenings: int
    outcomes: int
    faults: int
    found: int
    found_late: int
    false_incidents: int
    false_public_statements: int
    placed_right: int
    placed_coarser: int
    placed_wrong: int
    hit_true: int
    hit_missed: int
    hit_wrongly_listed: int
    credited_twice: int
    over_too_early: int
    seconds: float
    trace_digest: str

    @property
    def holds(self) -> bool:
        """The goal, as far as it is figures."""
        nothing = (
            self.false_public_statements, self.hit_missed, self.hit_wrongly_listed, self.credited_twice,
            self.over_too_early, self.found_late, self.placed_wrong,
        )  # fmt: skip
        return (
            not any(nothing)
            and self.found == self.faults
            and self.placed_right >= PLACED_RIGHT_LEAST * self.found
            and self.false_incidents <= FALSE_INCIDENTS_MAX
        )


def goal_holds(found: Result, judged: Sequence[Judgement]) -> bool:
    """Whether the figures are those of the goal, and nothing else is wrong on any evening but a false incident."""
    return found.holds and sum(bool(each.findings) for each in judged) <= found.false_incidents


def result(judged: Sequence[Judgement], *, seed: int, seconds: float, trace_digest: str) -> Result:
    total = sum((each.figures for each in judged), Figures())
    return Result(
        seed=seed, evenings=len(judged), **asdict(total), seconds=round(seconds, 1), trace_digest=trace_digest
    )  # fmt: skip
