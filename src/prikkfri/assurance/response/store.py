"""All SQL of incident response: incidents, the list of those hit, credits, contacts."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import msgspec
from msgspec import structs

from prikkfri.assurance.answers import Answer
from prikkfri.assurance.impact import Hit, Impact, ListChange, Scope
from prikkfri.assurance.incidents import Incident
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.storage import Queries, Row, Snapshot, Transaction, fetch_in, fetch_pages, in_parts, insert_new

ROWS_AT_ONCE = 2_000
"""A list is written every few seconds at the most, and read in less."""


@dataclass(frozen=True)
class CreditRecord:
    """A credit that has been given."""

    credit: ServiceCredit
    given_by: str
    given_at: float
    told_message: str
    """The id of the message that told the customer; empty: not told."""
    told_at: float


@dataclass(frozen=True)
class Contact:
    """Somebody who turned to customer service."""

    id: str
    at: float
    service: str
    kind: str
    channel: str


@dataclass(frozen=True)
class FrozenList:
    """The list as it was when the incident was resolved."""

    digest: str
    at: float


@dataclass(frozen=True)
class ListSummary:
    """What can be said of a list without reading it."""

    hit: int
    """Those whom a role saw."""
    made_at: float
    digest: str
    incomplete: str
    """Why it may lack somebody; empty when it does not."""
    frozen: FrozenList
    """Its digest is empty while the incident has not been resolved."""


class ListedHit(NamedTuple):
    """One customer on the list of one incident."""

    incident: str
    asked_at: float
    got_at: float | None
    amount: int
    currency: str


async def save_incident(transaction: Transaction, incident: Incident) -> None:
    await transaction.execute(
        "INSERT INTO incident (id, service, state, opened_at, document, answers)"
        " VALUES (:id, :service, :state, :opened_at, :document, '[]') ON CONFLICT (id)"
        " DO UPDATE SET state = excluded.state, document = excluded.document",
        {
            "id": incident.id,
            "service": incident.service,
            "state": incident.state,
            "opened_at": incident.opened_at,
            "document": msgspec.json.encode(incident).decode(),
        },
    )


async def save_answers(transaction: Transaction, identifier: str, answers: Sequence[Answer]) -> None:
    """Keeps the answer sheet as it stands, for whoever reads without asking the running role."""
    await transaction.execute(
        "UPDATE incident SET answers = :answers WHERE id = :id",
        {"id": identifier, "answers": msgspec.json.encode(answers).decode()},
    )


async def answers(queries: Queries, identifier: str) -> list[Answer]:
    row = await queries.fetch_one("SELECT answers FROM incident WHERE id = :id", {"id": identifier})
    return msgspec.json.decode(row[0], type=list[Answer]) if row else []


async def incident(queries: Queries, identifier: str) -> Incident | None:
    row = await queries.fetch_one("SELECT document FROM incident WHERE id = :id", {"id": identifier})
    return msgspec.json.decode(row[0], type=Incident) if row else None


async def incidents(queries: Queries, *, most: int) -> list[Incident]:
    """The newest first."""
    rows = await queries.fetch(
        "SELECT document FROM incident ORDER BY opened_at DESC, id DESC LIMIT :most", {"most": most}
    )
    return [msgspec.json.decode(row[0], type=Incident) for row in rows]


async def save_impact(
    transaction: Transaction,
    identifier: str,
    impact: Impact,
    incomplete: str,
    now: float,
    *,
    change: ListChange | None = None,
) -> None:
    """Replaces the list of those hit; what it was frozen at stays.

    `change`: from the list that is stored, where that is known: long lists are written by what has changed.
    """
    if change is None:
        await transaction.execute("DELETE FROM incident_hit WHERE incident = :id", {"id": identifier})
    found = change if change is not None else ListChange.between({}, impact.hits)
    for gone in in_parts(found.gone, ROWS_AT_ONCE):
        await transaction.execute_many(
            "DELETE FROM incident_hit WHERE incident = :incident AND person = :person",
            [{"incident": identifier, "person": person} for person in gone],
        )
        await asyncio.sleep(0)
    for written in in_parts(found.written, ROWS_AT_ONCE):
        await transaction.execute_many(
            "INSERT INTO incident_hit (incident, person, customer, device, service, step, first_asked, tries,"
            " unanswered, last_reason, kept_later_at, observed) VALUES (:incident, :person, :customer, :device,"
            " :service, :step, :first_asked, :tries, :unanswered, :last_reason, :kept_later_at, :observed)"
            " ON CONFLICT (incident, person) DO UPDATE SET customer = excluded.customer, device = excluded.device,"
            " service = excluded.service, step = excluded.step, first_asked = excluded.first_asked,"
            " tries = excluded.tries, unanswered = excluded.unanswered, last_reason = excluded.last_reason,"
            " kept_later_at = excluded.kept_later_at, observed = excluded.observed",
            [{"incident": identifier, "person": hit.key, **structs.asdict(hit)} for hit in written],
        )
        await asyncio.sleep(0)
    await transaction.execute(
        "INSERT INTO incident_impact (incident, made_at, digest, asked, unsettled, unconfirmed, since, until,"
        " incomplete, frozen_digest, frozen_at) VALUES (:id, :now, :digest, :asked, :unsettled, :unconfirmed, :since,"
        " :until, :incomplete, '', 0)"
        " ON CONFLICT (incident) DO UPDATE SET made_at = excluded.made_at, digest = excluded.digest,"
        " asked = excluded.asked, unsettled = excluded.unsettled, unconfirmed = excluded.unconfirmed,"
        " since = excluded.since, until = excluded.until, incomplete = excluded.incomplete",
        {
            "id": identifier,
            "now": now,
            "digest": impact.digest,
            "asked": impact.asked,
            "unsettled": impact.unsettled,
            "unconfirmed": impact.unconfirmed,
            "since": impact.scope.since,
            "until": impact.scope.until,
            "incomplete": incomplete,
        },
    )


async def freeze_impact(transaction: Transaction, identifier: str, now: float) -> None:
    """Keeps the digest of the list as it is now, beside those to come."""
    await transaction.execute(
        "UPDATE incident_impact SET frozen_digest = digest, frozen_at = :now WHERE incident = :id",
        {"id": identifier, "now": now},
    )


async def impact_of(queries: Snapshot, incident: Incident) -> tuple[Impact, str, FrozenList] | None:
    """The list as last made, why it may be incomplete, and what it was frozen at."""
    row = await queries.fetch_one(
        "SELECT since, until, asked, unsettled, unconfirmed, digest, incomplete, frozen_digest, frozen_at"
        " FROM incident_impact WHERE incident = :id",
        {"id": incident.id},
    )
    if row is None:
        return None
    since, until, asked, unsettled, unconfirmed, digest, incomplete, frozen_digest, frozen_at = row
    hits = await hits_of(queries, incident.id)
    impact = Impact(Scope(incident.segments, since, until), tuple(hits), asked, unsettled, digest, unconfirmed)
    return impact, incomplete, FrozenList(frozen_digest, frozen_at)


async def listed(queries: Queries, identifier: str) -> ListSummary | None:
    """The figures of the list without the list."""
    row = await queries.fetch_one(
        "SELECT (SELECT COUNT(*) FROM incident_hit h WHERE h.incident = i.incident AND h.observed), made_at, digest,"
        " incomplete, frozen_digest, frozen_at FROM incident_impact i WHERE incident = :id",
        {"id": identifier},
    )
    return ListSummary(row[0], row[1], row[2], row[3], FrozenList(row[4], row[5])) if row else None


async def hits_of(queries: Snapshot, identifier: str) -> list[Hit]:
    """By person; read in pages, while the list may be written anew."""
    return [_hit(row[1:]) async for page in _hit_pages(queries, identifier) for row in page]


async def first_hits(queries: Queries, identifier: str, *, most: int) -> tuple[list[Hit], int]:
    """The first of those hit, by person, and how many there are."""
    rows = await queries.fetch(
        "SELECT customer, device, service, step, first_asked, tries, unanswered, last_reason, kept_later_at, observed"
        " FROM incident_hit WHERE incident = :id ORDER BY person LIMIT :most",
        {"id": identifier, "most": most},
    )
    count = await queries.fetch_one("SELECT COUNT(*) FROM incident_hit WHERE incident = :id", {"id": identifier})
    return [_hit(row) for row in rows], count[0] if count else 0


def _hit_pages(queries: Queries, identifier: str) -> AsyncIterator[list[Row]]:
    return fetch_pages(
        queries,
        "SELECT person, customer, device, service, step, first_asked, tries, unanswered, last_reason, kept_later_at,"
        " observed FROM incident_hit WHERE incident = :id AND person > :after ORDER BY person LIMIT :most",
        {"id": identifier},
        key=0,
    )


def _hit(row: Row) -> Hit:
    customer, device, service, step, first_asked, tries, unanswered, last_reason, kept_later_at, observed = row
    return Hit(
        customer, device, service, step, first_asked, tries, unanswered, last_reason, kept_later_at, bool(observed)
    )


async def incidents_that_hit(queries: Queries, customer: str, *, most: int = 20) -> list[ListedHit]:
    """Was this customer hit, in which incidents, and what was given for it? The newest first.

    What only their own device told counts once a person has given something for it.
    """
    rows = await queries.fetch(
        "SELECT h.incident, h.first_asked, h.kept_later_at, COALESCE(c.amount, 0), COALESCE(c.currency, '')"
        " FROM incident_hit h LEFT JOIN service_credit c ON c.incident = h.incident AND c.customer = h.customer"
        " WHERE h.customer = :customer AND h.customer <> '' AND"
        " (h.observed OR c.amount IS NOT NULL) ORDER BY h.first_asked DESC LIMIT :most",
        {"customer": customer, "most": most},
    )
    return [ListedHit(*row) for row in rows]


async def give_credits(
    transaction: Transaction, credits: Iterable[ServiceCredit], *, given_by: str, now: float
) -> list[ServiceCredit]:
    """Gives those that have not been given; returns them. The key in the database is what makes it once."""
    given: list[ServiceCredit] = []
    for some in in_parts(credits, ROWS_AT_ONCE):
        by_key = {credit.key: credit for credit in some}
        added = await insert_new(
            transaction,
            "INSERT INTO service_credit (credit_key, incident, customer, amount, currency, policy, reason, given_by,"
            " given_at, told_message, told_at) VALUES :rows ON CONFLICT (credit_key) DO NOTHING RETURNING credit_key",
            ("key", "incident", "customer", "amount", "currency", "policy", "reason"),
            (vars(credit) for credit in by_key.values()),
            {"given_by": given_by, "given_at": now, "told_message": "", "told_at": 0.0},
        )
        new = {key for (key,) in added}
        given += [credit for key, credit in by_key.items() if key in new]
    return given


async def credits_of(queries: Queries, identifier: str) -> list[CreditRecord]:
    """By key; read in pages."""
    pages = fetch_pages(
        queries,
        "SELECT credit_key, incident, customer, amount, currency, policy, reason, given_by, given_at, told_message,"
        " told_at FROM service_credit WHERE incident = :id AND credit_key > :after ORDER BY credit_key LIMIT :most",
        {"id": identifier},
        key=0,
    )
    return [CreditRecord(ServiceCredit(*row[:7]), *row[7:]) async for page in pages for row in page]


async def credited_amounts(queries: Queries, *, since: float, until: float, currency: str, but: str) -> dict[str, int]:
    """What each customer was given for the incidents opened in a time, but for one of them."""
    rows = await queries.fetch(
        "SELECT customer, CAST(SUM(amount) AS BIGINT) FROM service_credit WHERE incident IN"
        " (SELECT id FROM incident WHERE opened_at >= :since AND opened_at < :until AND id <> :but)"
        " AND currency = :currency GROUP BY customer",
        {"since": since, "until": until, "currency": currency, "but": but},
    )
    return {customer: amount for customer, amount in rows}


async def mark_notified(transaction: Transaction, key: str, message: str, now: float) -> None:
    await transaction.execute(
        "UPDATE service_credit SET told_message = :message, told_at = :now WHERE credit_key = :key",
        {"key": key, "message": message, "now": now},
    )


async def add_contacts(transaction: Transaction, contacts: Iterable[Contact]) -> list[Contact]:
    """Takes contacts in; one that is known by its id changes nothing. Returns those that were new."""
    added: list[Contact] = []
    for contact in contacts:
        new = await transaction.execute(
            "INSERT INTO contact (id, at, service, kind, channel) VALUES (:id, :at, :service, :kind, :channel)"
            " ON CONFLICT (id) DO NOTHING",
            asdict(contact),
        )
        added += [contact] * new
    return added


async def contacts_since(queries: Queries, since: float, *, most: int) -> list[Contact]:
    """The first of those from then on, in order."""
    rows = await queries.fetch(
        "SELECT id, at, service, kind, channel FROM contact WHERE at >= :since ORDER BY at, id LIMIT :most",
        {"since": since, "most": most},
    )
    return [Contact(*row) for row in rows]


async def contact_counts(
    queries: Queries, service: str, *, since: float, period_seconds: float
) -> list[tuple[float, float]]:
    """Contacts about a service by (start of period, count), in order; empty periods are left out."""
    rows = await queries.fetch(
        "SELECT at FROM contact WHERE service = :service AND at >= :since ORDER BY at",
        {"service": service, "since": since},
    )
    found: dict[float, float] = {}
    for (at,) in rows:
        start = since + (at - since) // period_seconds * period_seconds
        found[start] = found.get(start, 0) + 1
    return sorted(found.items())


async def named_devices(queries: Queries, *, after: str = "", most: int) -> list[str]:
    """Devices by which somebody is on a list without a name, and that have got a holder since; in order."""
    rows = await queries.fetch(
        "SELECT device FROM device_named WHERE device > :after ORDER BY device LIMIT :most",
        {"after": after, "most": most},
    )
    return [device for (device,) in rows]


async def nameless_on(queries: Queries, devices: Collection[str]) -> dict[str, set[str]]:
    """By device the incidents on whose lists it stands without a name."""
    rows = await fetch_in(
        queries, "SELECT device, incident FROM incident_hit WHERE device IN (:values) AND customer = ''", devices
    )
    found: dict[str, set[str]] = {}
    for device, incident in rows:
        found.setdefault(device, set()).add(incident)
    return found


async def holders_of(queries: Queries, devices: Collection[str]) -> list[tuple[str, str, float, float]]:
    """Who held these devices: device, customer, first and last seen."""
    rows = await fetch_in(
        queries,
        "SELECT device, customer, first_seen, last_seen FROM device_holder WHERE device IN (:values)",
        devices,
    )
    return [(name, customer, first, last) for name, customer, first, last in rows]


async def forget_named(transaction: Transaction, devices: Iterable[str]) -> None:
    await transaction.execute_many(
        "DELETE FROM device_named WHERE device = :device", [{"device": device} for device in devices]
    )


async def late_incidents(queries: Queries) -> list[str]:
    """Those of whose time outcomes have come late, and whose lists are to be made anew."""
    return [incident for (incident,) in await queries.fetch("SELECT incident FROM incident_late ORDER BY incident")]


async def forget_late(transaction: Transaction, identifier: str) -> None:
    await transaction.execute("DELETE FROM incident_late WHERE incident = :id", {"id": identifier})


async def save_watch(transaction: Transaction, counted_to: float, document: str) -> None:
    """Keeps what is known of all series up to a moment, in place of what was kept before."""
    await transaction.execute(
        "INSERT INTO watch (id, counted_to, document) VALUES (1, :counted_to, :document) ON CONFLICT (id)"
        " DO UPDATE SET counted_to = excluded.counted_to, document = excluded.document",
        {"counted_to": counted_to, "document": document},
    )


async def watch(queries: Queries) -> tuple[float, str] | None:
    row = await queries.fetch_one("SELECT counted_to, document FROM watch WHERE id = 1")
    return (row[0], row[1]) if row else None
