"""Status: what the public may be told of incidents, in three languages; never more than is known, never less.

A suspicion is not told, and neither is what hardly anybody has noticed: how bad a thing is, is weighed by the customers
who were hit and by their share of those who asked.

From confirmation until the proof that it is over a component is not operational, whatever the
last minute looks like. A promise of ours to the public (the expected solution, the next word) that has passed is shown
as overdue by itself. Partners, numbers and causes are not named here: a person may, in words of their own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal

from prikkfri.assurance import plain
from prikkfri.assurance.incidents import Entry, Incident, State, displayed_state
from prikkfri.assurance.segments import Segment

Texts = Mapping[str, str]
"""A text by language: `nb`, `sv`, `en`."""
Severity = Literal["operational", "partial_outage", "major_outage"]
Stage = Literal["investigating", "identified", "monitoring", "resolved"]
"""Statuspage's words for an incident."""

HIT_LEAST = 10
"""So many customers have to be hit before the public is told: fewer are called."""
SOME_SHARE = 0.01
"""From this share of the customers who asked on, it fails for some ..."""
MAJOR_SHARE = 0.5
"""... and from this share on for most."""
TOLD_AFTER_SECONDS = 86_400.0
"""A resolved incident stays on the page for this long."""
LANGUAGES = ("nb", "sv", "en")

_STAGE: Mapping[State, Stage] = {
    "confirmed": "investigating",
    "mitigated": "identified",
    "recovering": "monitoring",
    "resolved": "resolved",
    "reviewed": "resolved",
}
_SIGN_IN: Texts = {"nb": "problemer med innlogging", "sv": "problem med inloggning", "en": "problems with signing in"}
_WHAT: Mapping[str, Texts] = {
    "television": {"nb": "problemer med TV", "sv": "problem med tv", "en": "problems with television"},
    "messages": {"nb": "problemer med tekstmeldinger", "sv": "problem med sms", "en": "problems with text messages"},
    "": {"nb": "problemer med en tjeneste", "sv": "problem med en tjänst", "en": "problems with a service"},
}
_MAJOR: Texts = {"nb": "store", "sv": "stora", "en": "major"}
"""Before it when it fails for most."""
_SIGN_IN_STEPS = frozenset({"enter", "sign-in", "playback-token"})
_STEPS_OF_LAYER: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("television", "signin"): ("sign-in",),
    ("television", "door"): ("enter", "playback-token"),
    ("television", "streams"): ("start-playback", "switch-channel", "watch"),
}
"""What a customer asks of a layer: when the layer is at fault, these fail and no others."""
_EXTENT: Mapping[Severity, Texts] = {
    "operational": {"nb": "", "sv": "", "en": ""},
    "partial_outage": {"nb": "Noen er rammet.", "sv": "Några är drabbade.", "en": "Some are affected."},
    "major_outage": {"nb": "Mange er rammet.", "sv": "Många är drabbade.", "en": "Many are affected."},
}
_TOLD: Mapping[Stage, Texts] = {
    "investigating": {
        "nb": "Vi kjenner til problemet og arbeider med å løse det.",
        "sv": "Vi känner till problemet och arbetar med att lösa det.",
        "en": "We are aware of the problem and working to fix it.",
    },
    "identified": {
        "nb": "En midlertidig løsning er på plass. Vi arbeider videre.",
        "sv": "En tillfällig lösning är på plats. Vi arbetar vidare.",
        "en": "A workaround is in place. We are still working on it.",
    },
    "monitoring": {
        "nb": "Det ser ut til å virke igjen. Vi følger med til det er stabilt.",
        "sv": "Det ser ut att fungera igen. Vi följer läget tills det är stabilt.",
        "en": "It seems to work again. We are monitoring it until it is stable.",
    },
    "resolved": {"nb": "Problemet er løst.", "sv": "Problemet är löst.", "en": "The problem is fixed."},
}
_AGAIN: Texts = {
    "nb": "Problemet er tilbake.",
    "sv": "Problemet är tillbaka.",
    "en": "The problem is back.",
}
_UNPROVEN: Texts = {
    "nb": "Vi mener at problemet er løst, og følger fortsatt med.",
    "sv": "Vi anser att problemet är löst och följer fortfarande läget.",
    "en": "We believe that the problem is fixed, and are still monitoring it.",
}
_SOLUTION: Texts = {
    "nb": "Ventes løst kl. {at}.",
    "sv": "Väntas vara löst kl. {at}.",
    "en": "Expected to be solved by {at}.",
}
_NO_SOLUTION: Texts = {
    "nb": "Når det er løst, vet vi ikke ennå.",
    "sv": "När det är löst vet vi inte än.",
    "en": "When it will be solved is not known yet.",
}
_SOLUTION_OVERDUE: Texts = {
    "nb": "Det skulle vært løst kl. {at}. Det er det ikke.",
    "sv": "Det skulle ha varit löst kl. {at}. Det är det inte.",
    "en": "It was to be solved by {at}. It is not.",
}
_NEXT: Texts = {"nb": "Neste oppdatering kl. {at}.", "sv": "Nästa uppdatering kl. {at}.", "en": "Next update by {at}."}
_NEXT_OVERDUE: Texts = {
    "nb": "Oppdateringen som var lovet kl. {at}, er forsinket.",
    "sv": "Uppdateringen som utlovades kl. {at} är försenad.",
    "en": "The update promised for {at} is late.",
}


@dataclass(frozen=True)
class Update:
    """One thing told about an incident."""

    at: float
    stage: Stage
    body: Texts


@dataclass(frozen=True)
class Statement:
    """All that the public is told about an incident."""

    id: str
    service: str
    steps: tuple[str, ...]
    """Empty: the whole service."""
    severity: Severity
    stage: Stage
    state: str
    """Our own word for it."""
    title: Texts
    since: float
    updated_at: float
    resolved_at: float | None
    expected_solution_at: float | None
    next_update_at: float | None
    solution_overdue: bool
    next_update_overdue: bool
    updates: tuple[Update, ...]
    """The newest first."""

    @property
    def over(self) -> bool:
        return self.stage == "resolved"


def weigh(hit: int, asked: int) -> Severity:
    """How bad it is for the public that so many customers were hit of those who asked."""
    if hit < HIT_LEAST or hit < SOME_SHARE * asked:
        return "operational"
    return "major_outage" if hit >= MAJOR_SHARE * asked else "partial_outage"


def statements(incidents: Iterable[Incident], *, now: float, zone: tzinfo) -> tuple[Statement, ...]:
    """What the public is told at `now`, the newest incident first; times in the texts are those of `zone`."""
    lately = [each for each in incidents if is_public(each) and weight(each) != "operational" and _of_late(each, now)]
    lately.sort(key=lambda incident: incident.opened_at, reverse=True)
    return tuple(_statement(incident, now, zone) for incident in lately)


def what(incident: Incident) -> Texts:
    """What an incident is, in a few words for the public."""
    problems = _what(incident.service, steps_of(incident.segments))
    if weight(incident) == "major_outage":
        problems = {language: f"{_MAJOR[language]} {problems[language]}" for language in LANGUAGES}
    return {language: plain.capital(problems[language]) for language in LANGUAGES}


def is_public(incident: Incident) -> bool:
    """Whether the public, or one of those hit, may be told of it: not of a suspicion, nor of what was nothing."""
    return incident.confirmed_at is not None and not incident.dismissed


def open_statements(told: Sequence[Statement], service: str, steps: Sequence[str]) -> list[Statement]:
    """What is not over of a component that stands on these steps of a service (none: all of them)."""
    return [
        each
        for each in told
        if not each.over and each.service == service and (not steps or not each.steps or set(steps) & set(each.steps))
    ]


def _of_late(incident: Incident, now: float) -> bool:
    return incident.open or now - (incident.resolved_at or now) < TOLD_AFTER_SECONDS


def _statement(incident: Incident, now: float, zone: tzinfo) -> Statement:
    steps = steps_of(incident.segments)
    stage = _STAGE.get(incident.state, "investigating")
    solution, following = incident.expected_solution_at, incident.next_update_at
    solution_overdue = incident.open and solution is not None and now > solution
    next_overdue = incident.open and following is not None and now > following
    updates = _updates(incident, zone)
    if solution is not None and solution_overdue:
        updates.append(Update(solution, stage, _at(_SOLUTION_OVERDUE, solution, zone)))
    if following is not None and next_overdue:
        updates.append(Update(following, stage, _at(_NEXT_OVERDUE, following, zone)))
    updates.sort(key=lambda update: update.at, reverse=True)
    return Statement(
        id=incident.id,
        service=incident.service,
        steps=steps,
        severity=weight(incident),
        stage=stage,
        state=displayed_state(incident),
        title=what(incident),
        since=incident.since,
        updated_at=updates[0].at if updates else incident.opened_at,
        resolved_at=incident.resolved_at,
        expected_solution_at=solution,
        next_update_at=following,
        solution_overdue=solution_overdue,
        next_update_overdue=next_overdue,
        updates=tuple(updates),
    )


def steps_of(segments: Iterable[Segment]) -> tuple[str, ...]:
    """The steps that fail when these segments do; none: all of their service."""
    steps: set[str] = set()
    for segment in segments:
        layer = (segment.get("service"), segment.get("layer"))
        found = (segment.get("step"),) if segment.get("step") else _STEPS_OF_LAYER.get(layer)
        if not found:
            return ()
        steps.update(found)
    return tuple(sorted(steps))


def weight(incident: Incident) -> Severity:
    """How bad an incident is for the public; `operational`: not so bad that it is told of.

    A word of ours goes before what can be counted: when a person has confirmed it, or a role saw it with its own eyes
    and acted, it fails for some at least.
    """
    weighed = weigh(incident.hit, incident.asked)
    said = any(entry.kind == "confirm" for entry in incident.timeline) or any(a.kind == "told" for a in incident.alarms)
    return "partial_outage" if said and weighed == "operational" else weighed


def _what(service: str, steps: Sequence[str]) -> Texts:
    if service == "television" and steps and set(steps) <= _SIGN_IN_STEPS:
        return _SIGN_IN
    return _WHAT.get(service, _WHAT[""])


def _updates(incident: Incident, zone: tzinfo) -> list[Update]:
    """One for each entry of the timeline that the public is told of: changed stages, and estimates."""
    updates: list[Update] = []
    before: Entry | None = None
    for entry in incident.timeline:
        stage = _STAGE.get(entry.state)
        changed = before is None or stage != _STAGE.get(before.state)
        if stage and (changed or entry.kind == "estimate"):
            again = changed and before is not None and before.state in ("resolved", "recovering")
            updates.append(Update(entry.at, stage, _body(incident, entry, stage, again, zone)))
        before = entry
    return updates


def _body(incident: Incident, entry: Entry, stage: Stage, again: bool, zone: tzinfo) -> Texts:
    told: Texts = _UNPROVEN if entry.kind == "all-clear" else _TOLD[stage]
    parts = [_AGAIN, told] if again and stage == "investigating" else [told]
    if stage == "investigating":
        parts.append(_EXTENT[weight(incident)])
    if entry.kind == "estimate":
        parts.append(_NO_SOLUTION if entry.solution_at is None else _at(_SOLUTION, entry.solution_at, zone))
        if entry.next_update_at is not None:
            parts.append(_at(_NEXT, entry.next_update_at, zone))
    return {language: " ".join(part[language] for part in parts) for language in LANGUAGES}


def _at(texts: Texts, moment: float, zone: tzinfo) -> Texts:
    at = datetime.fromtimestamp(moment, zone).strftime("%H:%M")
    return {language: text.format(at=at) for language, text in texts.items()}
