"""Tables that leave the house and come into it as CSV: those hit, credits, messages exposed; contacts."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from prikkfri.assurance.impact import ExposedMessage, Hit
from prikkfri.assurance.response.store import Contact, CreditRecord
from prikkfri.protocols.iso8601 import iso
from prikkfri.protocols.spreadsheet import cell

CONTACT_COLUMNS = ("id", "at", "service", "kind", "channel")
CONTACTS_MAX = 10_000
"""Rows of one file."""
FIELD_CHARACTERS_MAX = 200
AHEAD_SECONDS_MAX = 300.0
"""A contact may be from a clock that is so far ahead of ours."""


def hits_csv(hits: Iterable[Hit], zone: tzinfo) -> str:
    """Those hit, with the evidence; times are those of `zone`, with their offset."""
    head = ("customer", "device", "service", "step", "first_asked", "tries", "unanswered", "last_reason",
            "kept_later_at", "observed")  # fmt: skip
    rows = (
        (
            hit.customer, hit.device, hit.service, hit.step, iso(hit.first_asked, zone), hit.tries, hit.unanswered,
            hit.last_reason, "" if hit.kept_later_at is None else iso(hit.kept_later_at, zone),
            "observed" if hit.observed else "reported",
        )
        for hit in hits
    )  # fmt: skip
    return _csv(head, rows)


def credits_csv(given: Iterable[CreditRecord], zone: tzinfo) -> str:
    """Credits for billing: the amount in the smallest unit, the key that makes each one once."""
    head = ("key", "incident", "customer", "amount_minor", "currency", "policy", "reason", "given_by", "given_at")
    rows = (
        (c.key, c.incident, c.customer, c.amount, c.currency, c.policy, c.reason, each.given_by, given_at)
        for each in given
        for c, given_at in ((each.credit, iso(each.given_at, zone)),)
    )
    return _csv(head, rows)


def exposed_csv(exposed: Iterable[ExposedMessage], zone: tzinfo, *, headed: bool = True) -> str:
    """The messages that went the wrong way; no bodies. `headed` False: a further part of them."""
    head = ("message", "recipient", "customer", "account", "class", "sent_at", "verdict") if headed else ()
    rows = (
        (e.message, e.recipient, e.customer, e.account, e.message_class, iso(e.sent_at, zone), e.verdict)
        for e in exposed
    )
    return _csv(head, rows)


def _csv(head: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    if head:
        writer.writerow(head)
    writer.writerows([cell(value) for value in row] for row in rows)
    return written.getvalue()


@dataclass(frozen=True)
class Contacts:
    """What a file of contacts came to."""

    found: tuple[Contact, ...]
    refused: tuple[tuple[int, str], ...]
    """Line of the file and what is wrong with it."""


def contacts_of(text: str, *, now: float, zone: tzinfo) -> Contacts:
    """Contacts with customer service from CSV with a header of `CONTACT_COLUMNS` in any order.

    `at` is ISO 8601 (without an offset: in `zone`) or seconds since 1970.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    found: list[Contact] = []
    refused: list[tuple[int, str]] = []
    try:
        head = [name.strip().lower() for name in next(rows, [])]
        if missing := [name for name in CONTACT_COLUMNS if head.count(name) != 1]:
            return Contacts((), ((1, f"the header must name {', '.join(missing)} once"),))
        for row in rows:
            if not any(field.strip() for field in row):
                continue
            if len(found) >= CONTACTS_MAX:
                refused.append((rows.line_num, f"at most {CONTACTS_MAX} contacts in one file; the rest was not read"))
                break
            contact = _contact(dict(zip(head, row, strict=False)), len(row) == len(head), now, zone)
            if isinstance(contact, Contact):
                found.append(contact)
            else:
                refused.append((rows.line_num, contact))
    except csv.Error as error:
        refused.append((rows.line_num, f"not CSV: {error}; the rest was not read"))
    return Contacts(tuple(found), tuple(refused))


def _contact(row: dict[str, str], whole: bool, now: float, zone: tzinfo) -> Contact | str:
    """The contact, or what is wrong with the row."""
    if not whole:
        return "not as many fields as the header has"
    fields = {name: row[name].strip() for name in CONTACT_COLUMNS}
    if empty := [name for name in ("id", "at", "service") if not fields[name]]:
        return f"{empty[0]} is empty"
    if long := [name for name, field in fields.items() if len(field) > FIELD_CHARACTERS_MAX or "\x00" in field]:
        return f"{long[0]} is longer than {FIELD_CHARACTERS_MAX} characters, or no text"
    at = _time_of(fields["at"], zone)
    if at is None:
        return "at is neither a time by ISO 8601 nor seconds since 1970"
    if at > now + AHEAD_SECONDS_MAX:
        return "at is in the future"
    return Contact(fields["id"], at, fields["service"], fields["kind"], fields["channel"])


def _time_of(text: str, zone: tzinfo) -> float | None:
    try:
        seconds = float(text)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        return None
