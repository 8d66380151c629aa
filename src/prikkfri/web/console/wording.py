"""The console's words and figures: how what is known is said to the people on duty."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from prikkfri.assurance import plain
from prikkfri.assurance.answers import Answer, name_of
from prikkfri.assurance.controls import DetectableShare, LineControl
from prikkfri.assurance.detection.volumes import Rush
from prikkfri.assurance.incidents import Entry, Incident, Kind, describe_state
from prikkfri.assurance.loads import LayerLoad
from prikkfri.assurance.overview import WINDOW_SECONDS, Breakage, Overview, Row
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.status import steps_of
from prikkfri.protocols import money
from prikkfri.subscribers.numbers import mask_number
from prikkfri.subscribers.profile import masked_email
from prikkfri.subscribers.subscriptions import Subscription
from prikkfri.web.status_page.words import zone_said

__all__ = ["masked_email"]

WINDOW_TEXT = f"{WINDOW_SECONDS // 60} minutes"
ID_CHARACTERS_SHOWN = 4
_NUMBER = re.compile(r"\+?\d(?:[ ().-]*\d){6,}")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def number(value: float) -> str:
    """`31,204`."""
    return f"{value:,.0f}"


HINTS = {
    "people": "people say that a message was not for them",
    "receipts": "receipts that do not fit",
    "returned": "messages handed in under our accounts' names",
    "partner": "complaints of the partner",
}


def hint(kind: str) -> str:
    """What hints that messages go astray, after a number."""
    return HINTS.get(kind, kind)


def noticed(shares: Sequence[DetectableShare]) -> str:
    """`8.01 % in 1 min, 1.17 % in 10 min, none in 60 min`; where nothing at all would be noticed, that."""
    if all(each.share is None for each in shares):
        return "none, however large"
    return ", ".join(f"{'none' if each.share is None else share(each.share)} in {each.minutes} min" for each in shares)


def share(value: float | None) -> str:
    """A share as per cent, never rounded to nothing or to everything; `–` when there is none."""
    if value is None:
        return "–"
    percent = value * 100
    if 0 < percent < 0.01:
        return "< 0.01 %"
    if 99.99 < percent < 100:
        return "> 99.99 %"
    digits = 0 if percent in (0, 100) else 2 if percent < 1 or percent > 99 else 1
    return f"{percent:.{digits}f} %"


def rate(value: float) -> str:
    """A number of times in a second: `12`, `3.4`, `0.05`."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 or value == 0 else f"{value:.2f}"


def load_name(layer: str) -> str:
    """`Sign-in`, `The message centre`."""
    return capital(plain.layer(layer))


def load(seen: LayerLoad) -> str:
    """`12 a second now, at most 40 in 15 minutes; 10 % and 33 % of the measured 120`."""
    crowd = f"{rate(seen.per_second)} a second now, at most {rate(seen.peak_per_second)} in {WINDOW_TEXT}"
    capacity = seen.capacity_per_second
    if not capacity:
        return f"{crowd}; capacity not measured yet"
    now, most = seen.per_second / capacity, seen.peak_per_second / capacity
    return f"{crowd}; {now:.0%} and {most:.0%} of the measured {rate(capacity)}"


RUSHES_SHOWN_MAX = 3


def rush(seen: Rush, now: float, zone: ZoneInfo) -> str:
    """`Sign-in: 84 a second, 12 expected, since 20:58`."""
    where, since = capital(plain.place(seen.segment)), clock_time(seen.since, now, zone)
    return f"{where}: {rate(seen.seen)} a second, {rate(seen.expected)} expected, since {since}"


def seconds(value: float) -> str:
    """A span that may be very short or long, in seconds as they are."""
    return f"{value:,.0f} s" if value >= 100 else f"{value:.3g} s"


def clock_time(moment: float, now: float, zone: ZoneInfo) -> str:
    """`21:03` today, `19 Aug 21:03` on another day."""
    then, today = datetime.fromtimestamp(moment, zone), datetime.fromtimestamp(now, zone)
    return f"{then:%H:%M}" if then.date() == today.date() else f"{then.day} {then:%b %H:%M}"


def precise_time(moment: float, zone: ZoneInfo) -> str:
    """`19 Aug 21:03:07.250`."""
    then = datetime.fromtimestamp(moment, zone)
    return f"{then.day} {then:%b %H:%M:%S}.{then.microsecond // 1000:03d}"


def second_time(moment: float, now: float, zone: ZoneInfo) -> str:
    """`21:03:07` today, `19 Aug 21:03:07` on another day."""
    return f"{clock_time(moment, now, zone)}:{datetime.fromtimestamp(moment, zone):%S}"


def field_time(moment: float | None, zone: ZoneInfo) -> str:
    """As a field for a time takes it; empty when there is none."""
    return "" if moment is None else f"{datetime.fromtimestamp(moment, zone):%Y-%m-%dT%H:%M}"


def amount(minor: int, currency: str) -> str:
    """`kr 1,960.00`, from the smallest unit."""
    return money.format_amount(minor, currency, "en")


def age(seconds: float) -> str:
    """`3 s`, `4 min`, `2 h`, `5 d`."""
    for limit, size, unit in ((100, 1, "s"), (100 * 60, 60, "min"), (48 * 3_600, 3_600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def masked_id(text: str) -> str:
    """An id with only its end shown: enough to tell two apart, too little to look one up."""
    return f"…{text[-ID_CHARACTERS_SHOWN:]}" if len(text) > ID_CHARACTERS_SHOWN else "…" if text else ""


def masked_value(text: str) -> str:
    """A text with whatever in it could be somebody's number masked, however they wrote it."""
    return _NUMBER.sub(lambda number: mask_number(number[0]), text)


def masked_number(msisdn: str) -> str:
    return mask_number(msisdn)


def period(held: Subscription, zone: ZoneInfo) -> str:
    """`since 1 Jan 2024`, `1 Jan 2024 to 3 Feb 2025`."""
    since = _day(held.starts, zone)
    return f"since {since}" if math.isinf(held.ends) else f"{since} to {_day(held.ends, zone)}"


def _day(moment: float, zone: ZoneInfo) -> str:
    then = datetime.fromtimestamp(moment, zone)
    return f"{then.day} {then:%b %Y}"


def step_name(step: str) -> str:
    return plain.step(step)


def reason_name(reason: str) -> str:
    return plain.reason(reason)


def incident_name(incident: Incident) -> str:
    """What it is, for a line of a list: `Sign-in`, `Delivery of messages, partner Telia`."""
    return name_of(incident)


def message_state(state: str) -> str:
    """What became of a text message, or a step of its trail: `Delivered`, `In doubt`."""
    return capital(state.replace("-", " "))


def sentence(seen: Overview, zone: ZoneInfo) -> str:
    """The one sentence that comes first."""
    if seen.breakages:
        return capital("; ".join(_broken(b, seen.at, zone) for b in seen.breakages)) + "."
    if seen.silent_roles:
        names = " and ".join(role.role for role in seen.silent_roles)
        since = clock_time(min(role.since for role in seen.silent_roles), seen.at, zone)
        have = "has" if len(seen.silent_roles) == 1 else "have"
        return f"No promise is known to be broken, but {names} {have} not answered since {since}."
    if seen.blind:
        names = " and ".join(stream for stream, _ in seen.blind)
        since = clock_time(min(since for _, since in seen.blind), seen.at, zone)
        return f"What happens now is not known: nothing current has been read from {names} since {since}."
    if not seen.kept and not seen.broken:
        return f"Nobody has asked for anything in the last {WINDOW_TEXT}."
    if not seen.broken:
        return f"All promises kept in the last {WINDOW_TEXT}."
    kept = share(seen.kept / (seen.kept + seen.broken))
    return f"{kept} of promises kept in the last {WINDOW_TEXT}; {number(seen.broken)} broken."


def _broken(breakage: Breakage, now: float, zone: ZoneInfo) -> str:
    since = clock_time(breakage.since, now, zone)
    return f"{breakage.step} broken since {since if breakage.certain else f'before {since}'}"


def particulars(
    seen: Overview, zone: ZoneInfo, *, incidents: Iterable[Incident] = (), line: LineControl | None = None
) -> list[str]:
    """What stands beside the sentence: how bad, and what never failed; nothing of what `incidents` say has failed; and
    what people have ordered of the line.

    What nobody answered is in no count of broken promises, and yet it is what an incident is about.
    """
    beside = [(each.service, steps_of(each.segments)) for each in incidents]
    told = [
        f"{breakage.step}: {number(breakage.recent_broken)} of {number(breakage.recent_settled)} in the last minute"
        f" ({share(breakage.recent_broken / breakage.recent_settled)})"
        for breakage in seen.breakages
    ]
    failed = {(row.service, row.step) for row in seen.rows if row.broken}
    for service, steps in beside:
        failed |= {(r.service, r.step) for r in seen.rows if r.service == service and (not steps or r.step in steps)}
    whole = dict.fromkeys(row.step for row in seen.rows if row.kept and (row.service, row.step) not in failed)
    if whole and (seen.broken or beside):
        told.append("kept throughout: " + ", ".join(whole))
    if line is not None and line.order.kind != "auto":
        told.append(f"waiting room: {line_state(line, seen.at, zone)}")
    if known := seen.known_devices.came:
        told.append(f"known devices that never saw a line: {share(seen.known_devices.share)} of {number(known)}")
    if seen.breakages or beside:
        told += [f"{stream} not read since {clock_time(since, seen.at, zone)}" for stream, since in seen.blind]
        told += [f"{role.role} does not answer" for role in seen.silent_roles]
    return told


def reasons(row: Row) -> str:
    """Why promises were broken, then why customers were declined by their own doing."""
    told = [f"{reason} {number(times)}" for reason, times in row.reasons]
    told += [f"own error: {reason} {number(times)}" for reason, times in row.own_reasons]
    return ", ".join(told)


def state_name(incident: Incident) -> str:
    """The state of an incident, and what must be said with it."""
    return capital(describe_state(incident))


def state_tone(incident: Incident) -> str:
    """How it is marked: `broken` only while the fault is there and known."""
    if incident.dismissed:
        return "unknown"
    if incident.open:
        return "broken" if incident.state == "confirmed" else "warning"
    return "warning" if incident.unproven else "kept"


def who(name: str) -> str:
    """Who a line of the timeline is by."""
    return plain.who(name)


def place_name(segment: Segment) -> str:
    return plain.place(segment)


def zone_name(zone: ZoneInfo) -> str:
    return zone_said(zone.key, "en")


def line_state(line: LineControl, now: float, zone: ZoneInfo) -> str:
    """What is ordered of the line, since when and by whom; or how it does by itself."""
    order = line.order
    if order.kind == "auto":
        if line.line.silent_since is not None:
            return f"stands still: sign-in is silent since {second_time(line.line.silent_since, now, zone)}"
        return "moves by itself"
    told = {
        "rate": f"{order.per_second:g} people a second",
        "pause": f"paused ({order.reason})",
        "drain": "nobody new joins",
        "open": "open: everybody is let in at once",
    }[order.kind]
    since = f"{second_time(order.at, now, zone)}, {age(now - order.at)} ago"
    return f"{told}, ordered by {order.by} at {since}"


def line_tone(line: LineControl) -> str:
    stands = line.order.kind == "pause" or (line.order.kind != "open" and line.line.silent_since is not None)
    return "broken" if stands else "kept" if line.order.kind == "auto" else "warning"


def evidence(answer: Answer) -> tuple[list[str], list[str]]:
    """What is shown beside an answer, and what is folded: thresholds, proofs and digests, which only a proof needs."""
    if answer.number in FACTS:
        return [each for each in answer.evidence if DIGEST not in each], [e for e in answer.evidence if DIGEST in e]
    return [], [*answer.evidence]


def entry_text(entry: Entry, incident: Incident) -> tuple[str, str]:
    """A line of the timeline as it is said, and its figures to be folded; empty when there are none."""
    alarm = next((each for each in incident.alarms if entry.text.endswith(each.sentence)), None)
    if entry.kind != "alarm":
        return entry.text, ""
    if alarm is None:  # a later one in the same series: only its sentence is kept
        return "", entry.text
    where = plain.place(alarm.segment)
    if alarm.kind == "told":
        return f"{where}: {alarm.text}", ""
    if alarm.kind == "contacts":
        return alarm.text, entry.text
    said = (
        f"{alarm.seen:.0%} fail" if alarm.kind == "share" else f"{alarm.seen:.2g} a second where {alarm.level:.2g} come"
    )
    return f"{where}: {said}", entry.text


FACTS = frozenset({5, 6, 7, 11})
"""Answers whose evidence people read: who, what was done, what was given."""
DIGEST = "digest of the list"


def entry_name(kind: Kind) -> str:
    return _ENTRIES[kind]


_ENTRIES: dict[Kind, str] = {
    "alarm": "Alarm:",
    "evidence": "Confirmed:",
    "confirm": "Confirmed.",
    "dismiss": "Found to be nothing:",
    "mitigate": "Workaround:",
    "act": "Done:",
    "improving": "Improving:",
    "relapse": "Broken again:",
    "proven": "Proven over:",
    "all-clear": "Said to be over:",
    "review": "Reviewed:",
    "estimate": "Estimate:",
    "note": "Note:",
    "placed": "Where:",
    "listed": "Listed:",
    "told": "Notified:",
    "credited": "Credited:",
    "doubted": "Credited in doubt:",
}
