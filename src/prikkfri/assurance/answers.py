"""Answers: the answer sheet, eleven questions that a spokesperson is asked, each with its evidence or "not known yet".

One structure for the console, the command line and the report; it decides what is said, they decide how it looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from prikkfri.assurance import plain
from prikkfri.assurance.impact import ExposureFigures, Impact
from prikkfri.assurance.incidents import (
    Incident,
    Load,
    cleared_values,
    displayed_state,
    in_order,
    is_misdelivery,
    only_slow,
)
from prikkfri.assurance.notices import Notice, sensitive_count
from prikkfri.assurance.recovery import Recovery
from prikkfri.assurance.remedies import Trial
from prikkfri.assurance.segments import Segment
from prikkfri.protocols import money

QUESTIONS = (
    "What failed, since when?",
    "What never failed?",
    "Was it load?",
    "Where: which layer, partner, direction, region; one or several?",
    "How many were hit, and who exactly?",
    "Is anyone exposed to harm, and to which?",
    "What was done, by whom, when, and did it help?",
    "When will it be solved, when is the next update?",
    "Is it over, and how do we know?",
    "Has it happened before?",
    "What do those hit get, and have they got it?",
)
NOT_KNOWN = "Not known yet."
NEVER_KNOWN = "Not known."
"""The same of an incident that is over, where nothing more comes."""
SETTLED_WHEN_OVER = frozenset({2, 3, 4})
"""What never failed, load and place; those hit, and what they get, may still become known."""
CLEARED_SHOWN = 6
DONE_SHOWN = 12


@dataclass(frozen=True)
class Answer:
    number: int
    """1 to 11."""
    question: str
    text: str
    """One sentence or two."""
    evidence: tuple[str, ...] = ()
    """Figures, with their uncertainty."""
    known: bool = True


@dataclass(frozen=True, kw_only=True)
class IncidentFacts:
    """All that is known of an incident; what is None is not known."""

    incident: Incident
    impact: Impact | None = None
    incomplete: str = ""
    """Why the list may lack somebody: a spool that overflowed, a stream that is behind. Empty: it does not."""
    load: Load | None = None
    exposed: ExposureFigures | None = None
    """None: nothing proves the way, so nobody can say; none: nobody."""
    notices: Sequence[Notice] = ()
    recovery: Recovery | None = None
    history: Sequence[Incident] | None = None
    """Earlier incidents of this place, the newest first; None: the history was not looked into."""
    remedy: Trial | None = None
    """What the policy gives."""
    credited: int | None = None
    """Credits that have been given."""
    told: int | None = None
    """Customers who have been told."""


def answer_sheet(known: IncidentFacts, *, now: float, zone: tzinfo) -> tuple[Answer, ...]:
    """The eleven answers as of `now`; times in the texts are those of `zone`."""

    def unknown(number: int) -> str:
        return NEVER_KNOWN if number in SETTLED_WHEN_OVER and not known.incident.open else NOT_KNOWN

    answers = (
        _what_failed(known, zone),
        _what_never_failed(known),
        _was_it_load(known, zone),
        _where(known),
        _how_many(known),
        _exposed(known, now, zone),
        _what_was_done(known, zone),
        _when_solved(known, now, zone),
        _is_it_over(known, zone),
        _before(known, zone),
        _what_they_get(known),
    )
    return tuple(
        Answer(number, question, text or unknown(number), tuple(evidence), known=bool(text))
        for number, (question, (text, evidence)) in enumerate(zip(QUESTIONS, answers, strict=True), 1)
    )


def name_of(incident: Incident) -> str:
    """What failed, in a few words that begin a sentence."""
    return _name(incident.segments)


def headline(known: IncidentFacts, zone: tzinfo) -> str:
    """One sentence for the top of a page: what, since when, what is cleared, how many."""
    return sentence(known.incident, None if known.impact is None else known.impact.seen, zone)


def sentence(incident: Incident, hit: int | None, zone: tzinfo) -> str:
    """The headline from less: `hit` is how many stand on the list, None before it was made."""
    name, since = _name(incident.segments), _clock(incident.since, zone)
    if incident.state == "suspected":
        what = "slow" if only_slow(incident) else "broken"
        parts = [f"{name} may be {what} since {since}, not confirmed"]
    elif incident.open:
        parts = [f"{name} broken since {since}"]
    elif incident.dismissed:
        return f"{name} seemed broken from {since}; {incident.resolved_by} found that it was nothing"
    else:
        parts = [f"{name} failed from {since} to {_clock(_ended_at(incident), zone)}"]
    if cleared := _cleared_names(incident):
        parts.append(plain.not_affected(cleared[:2], over=not incident.open))
    if is_misdelivery(incident):
        parts.append("messages may have come to strangers")
    if hit or (hit is not None and not is_misdelivery(incident)):
        parts.append(f"{hit:,} hit")
    return "; ".join(parts)


_Said = tuple[str, Sequence[str]]
"""The text (empty: not known) and its evidence."""


def _what_failed(known: IncidentFacts, zone: tzinfo) -> _Said:
    incident = known.incident
    name, since = _name(incident.segments), _clock(incident.since, zone)
    if incident.state == "suspected":
        what = "have been slow" if only_slow(incident) else "have failed"
        text = f"{name} may {what} since {since}; nobody and nothing has confirmed it."
    elif incident.open:
        text = f"{name} has failed since {since}."
    elif incident.dismissed:
        text = f"{name} seemed to fail from {since} on; it was nothing."
    else:
        text = f"{name} failed from {since} to {_clock(_ended_at(incident), zone)}."
    seen_after = incident.opened_at - incident.since
    evidence = [alarm.sentence for alarm in incident.alarms[:CLEARED_SHOWN]]
    return text, [*evidence, f"seen by the system {seen_after:.0f} s after it most likely began"]


def _what_never_failed(known: IncidentFacts) -> _Said:
    cleared = cleared_values(known.incident)
    if not cleared:
        return "", ()
    names = _cleared_names(known.incident)
    shown = [*names[:CLEARED_SHOWN], *([f"{len(names) - CLEARED_SHOWN} more"] if len(names) > CLEARED_SHOWN else [])]
    return f"{plain.capital(plain.not_affected(shown, over=not known.incident.open))}.", [
        each.sentence for each in cleared[:CLEARED_SHOWN]
    ]


def _was_it_load(known: IncidentFacts, zone: tzinfo) -> _Said:
    load = known.load
    if load is None or load.capacity_per_second <= 0:
        return "", ()
    part = load.peak_per_second / load.capacity_per_second
    verdict = "Yes" if part >= 1 else "Close to it" if part >= 0.8 else "No"
    text = f"{verdict}: {plain.layer(load.layer)} was asked for at most {part:.0%} of its measured capacity."
    return text, [
        f"{load.peak_per_second:.3g} a second at the peak, {load.capacity_per_second:.3g} measured"
        f" ({_moment(load.measured_at, zone)})"
    ]


def _where(known: IncidentFacts) -> _Said:
    placement = known.incident.placement
    if not placement.placed:
        seen = [alarm for alarm in known.incident.alarms if alarm.kind == "told"]
        names = plain.listed(dict.fromkeys(plain.place(alarm.segment) for alarm in seen))
        return (f"As a role saw it itself: {names}." if seen else ""), [alarm.sentence for alarm in seen]
    several = f"{len(placement.placed)} places" if placement.several else "One place"
    text = f"{several}: {'; '.join(plain.place(each.segment) for each in placement.placed)}."
    return text, [each.sentence for each in placement.placed]


def _how_many(known: IncidentFacts) -> _Said:
    impact = known.impact
    if impact is None:
        return "", ()
    devices = sum(1 for hit in impact.hits if hit.observed and not hit.customer)
    text = f"{impact.seen:,} of {impact.asked:,} who asked; the list names each."
    if not impact.asked:
        text = "Nobody who is known: nobody asked there meanwhile."
    if not impact.seen and is_misdelivery(known.incident):
        text = "Nobody is known to have missed a message; the next answer says what may have gone astray."
    evidence = [f"digest of the list {impact.digest[:16]}"]
    if devices:
        evidence.append(f"{devices:,} of them are devices whose holder is not known yet")
    if impact.unsettled:
        evidence.append(f"{impact.unsettled:,} more still wait within the grace time")
    if reported := len(impact.hits) - impact.seen:
        evidence.append(f"{reported:,} more are known only from what their device reported")
    if impact.unconfirmed:
        evidence.append(f"{impact.unconfirmed:,} devices may be made up (never came back) and are on no list")
    if known.incomplete:
        evidence.append(f"the list may lack somebody: {known.incomplete}")
    return text, evidence


def _exposed(known: IncidentFacts, now: float, zone: tzinfo) -> _Said:
    if known.exposed is None:
        return "", ["no canary proves this way, so whether messages went to strangers cannot be seen"]
    if not known.exposed:
        return "Nobody, as far as the journal shows.", ()
    messages, sensitive = known.exposed.messages, sensitive_count(known.exposed)
    text = f"{messages:,} messages went that way and may have been read by strangers; {sensitive:,} sensitive."
    evidence = ["which of them a stranger saw is not known; no body is kept in this list"]
    for notice in known.notices:
        state = "overdue" if notice.overdue(now) else f"due {_moment(notice.due_at, zone)}"
        evidence.append(f"notice to {notice.to}: {state} ({notice.basis})")
    return text, evidence


def _what_was_done(known: IncidentFacts, zone: tzinfo) -> _Said:
    done = [entry for entry, _ in in_order(known.incident) if entry.kind in ("mitigate", "act", "told", "credited")]
    if not done:
        return "Nothing yet." if known.incident.open else "Nothing is on record.", ()
    last = done[-1]
    helped = {
        "recovering": "It seems to have helped.",
        "resolved": "It has been over since then.",
        "reviewed": "It has been over since then.",
    }.get(known.incident.state, "Whether it helped does not show yet.")
    measures = f"{len(done)} measures, the last" if len(done) > 1 else "One measure,"
    text = f"{measures} by {plain.who(last.who)} at {_clock(last.at, zone)}. {helped}"
    return text, [
        f"{_clock(entry.at, zone)} {plain.who(entry.who)}: {entry.text or entry.kind}" for entry in done[-DONE_SHOWN:]
    ]


def _when_solved(known: IncidentFacts, now: float, zone: tzinfo) -> _Said:
    incident = known.incident
    if incident.dismissed:
        return "There was nothing to solve.", ()
    if not incident.open:
        return f"It was solved at {_clock(incident.resolved_at or now, zone)}.", ()
    if incident.expected_solution_at is None and incident.next_update_at is None:
        return "", ()
    parts = []
    for name, at in (("expected solution", incident.expected_solution_at), ("next update", incident.next_update_at)):
        late = f", overdue by {(now - at) / 60:.0f} min" if at is not None and now > at else ""
        parts.append(f"{name} {'not known yet' if at is None else _clock(at, zone)}{late}")
    return f"{plain.capital('; '.join(parts))}.", ()


def _is_it_over(known: IncidentFacts, zone: tzinfo) -> _Said:
    incident, recovery = known.incident, known.recovery
    evidence = [f"{check.name}: {check.figures}" for check in recovery.checks] if recovery else []
    if incident.reopened:
        evidence.append(f"it was said to be over {_times(incident.reopened)} before, and was not")
    if incident.dismissed:
        return (
            f"{plain.capital(displayed_state(incident))}: {incident.resolved_by} found that it was nothing.",
            evidence,
        )
    if not incident.open:
        proof = "said a person; the data had not proven it" if incident.unproven else "by the data"
        return f"Yes, since {_clock(incident.resolved_at or incident.opened_at, zone)}, {proof}.", evidence
    if recovery is None:
        return "", ()
    waits = f" It waits for: {recovery.waits_for}." if recovery.waits_for else ""
    if recovery.improving:
        return f"Not yet certain: it has been well for {recovery.held_seconds:.0f} s.{waits}", evidence
    return f"No.{waits}", evidence


def _before(known: IncidentFacts, zone: tzinfo) -> _Said:
    if known.history is None:
        return "", ()
    if not known.history:
        return "Not in the history that we have.", ()
    text = f"Yes, {_times(len(known.history))} in this place; the last began {_moment(known.history[0].since, zone)}."
    return text, [f"{earlier.id}: {_name(earlier.segments)}" for earlier in known.history[:CLEARED_SHOWN]]


def _what_they_get(known: IncidentFacts) -> _Said:
    remedy = known.remedy
    if remedy is None:
        return "", ()
    evidence = [f"{count:,} get nothing: {reason}" for reason, count in sorted(remedy.left_out.items())]
    if not remedy.credits:
        return "Nothing, by the policy.", evidence
    first = remedy.credits[0]
    given = "none is given yet" if not known.credited else f"{known.credited:,} {_are(known.credited)} given"
    total = money.format_amount(remedy.total, first.currency, "en")
    together = "gets" if remedy.customers == 1 else "get"
    total = total if remedy.customers == 1 else f"{total} together"
    text = f"{remedy.customers:,} {together} {total} ({first.policy}); {given}."
    if remedy.over_cap:
        evidence.append("the sum is above the policy's cap: a person must release it")
    told = known.told or 0
    evidence.append(f"{told:,} {'has' if told == 1 else 'have'} been told")
    return text, evidence


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _cleared_names(incident: Incident) -> list[str]:
    return [*dict.fromkeys(plain.place_in(incident.service, each.segment) for each in cleared_values(incident))]


def _ended_at(incident: Incident) -> float:
    """Of one that is over: the last broken promise where that is known, else when it was said to be over."""
    return incident.ended_at or incident.resolved_at or incident.opened_at


def _name(segments: Sequence[Segment]) -> str:
    return plain.capital(plain.listed(dict.fromkeys(plain.place(segment) for segment in segments))) or "Something"


def _clock(at: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%H:%M:%S")


def _moment(at: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M")
