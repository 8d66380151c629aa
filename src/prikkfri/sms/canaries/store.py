"""All SQL of the canaries. What the network told of one is in its message; a row here holds the rest."""
# ruff: noqa: S608

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import msgspec

from prikkfri.sms.canaries.verdicts import Canary
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.trust.routes import Trust, usable
from prikkfri.storage import Queries, Row, Transaction

_CANARY = (
    "SELECT c.token, c.message, c.link, c.phone, m.state, m.attempted_at, m.sent_at, m.ended_at, c.arrived_at,"
    " c.stray_at, c.verdict FROM sms_canary c JOIN sms_message m ON m.id = c.message"
)


def _canary(row: Row) -> Canary:
    token, message, link, phone, state, *rest = row
    return Canary(token, message, link, phone, DeliveryState(state), *rest)


async def add(tx: Transaction, token: str, message: str, *, link: str, phone: str, now: float) -> None:
    await tx.execute(
        "INSERT INTO sms_canary (token, message, link, phone, made_at, arrived_at, stray_at, stray_on, verdict,"
        " decided_at) VALUES (:token, :message, :link, :phone, :now, 0, 0, '', '', 0)",
        {"token": token, "message": message, "link": link, "phone": phone, "now": now},
    )


async def mark_reported(tx: Transaction, phone: str, tokens: Sequence[str], *, now: float) -> list[Canary]:
    """Notes which tokens a phone has; returns the canaries that are another phone's, told for the first time."""
    strays = []
    for token in tokens:
        await tx.execute(
            "UPDATE sms_canary SET arrived_at = :now WHERE token = :token AND phone = :phone AND arrived_at = 0",
            {"token": token, "phone": phone, "now": now},
        )
        astray = await tx.execute(
            "UPDATE sms_canary SET stray_at = :now, stray_on = :phone WHERE token = :token AND phone <> :phone"
            " AND stray_at = 0",
            {"token": token, "phone": phone, "now": now},
        )
        if astray and (row := await tx.fetch_one(f"{_CANARY} WHERE c.token = :token", {"token": token})):
            strays.append(_canary(row))
    return strays


async def undecided(queries: Queries, *, limit: int) -> list[Canary]:
    """The oldest first."""
    rows = await queries.fetch(f"{_CANARY} WHERE c.verdict = '' ORDER BY c.made_at LIMIT :limit", {"limit": limit})
    return [_canary(row) for row in rows]


async def decide(tx: Transaction, canary: Canary, verdict: str, *, now: float) -> bool:
    """Stores a verdict; False when another has been stored since the canary was read."""
    changed = await tx.execute(
        "UPDATE sms_canary SET verdict = :verdict, decided_at = :now WHERE token = :token AND verdict = :before",
        {"token": canary.token, "verdict": verdict, "before": canary.verdict, "now": now},
    )
    return changed > 0


class DecidedCanary(NamedTuple):
    made_at: float
    decided_at: float
    phone: str
    verdict: str


async def verdicts(queries: Queries, link: str, *, limit: int, before: float = inf) -> list[DecidedCanary]:
    """A link's newest decided canaries that were made `before`, in the order in which they were made."""
    rows = await queries.fetch(
        "SELECT made_at, decided_at, phone, verdict FROM sms_canary WHERE link = :link AND verdict <> ''"
        " AND made_at < :before ORDER BY made_at DESC LIMIT :limit",
        {"link": link, "limit": limit, "before": before},
    )
    return [DecidedCanary(*row) for row in reversed(rows)]


async def mark_returned(tx: Transaction, token: str, destination: str, *, now: float) -> Canary | None:
    """A network hands a canary in, for another number than its phone's; None: that is not so, or was told before."""
    astray = await tx.execute(
        "UPDATE sms_canary SET stray_at = :now, stray_on = :destination WHERE token = :token AND phone <> :destination"
        " AND stray_at = 0",
        {"token": token, "destination": destination, "now": now},
    )
    row = await tx.fetch_one(f"{_CANARY} WHERE c.token = :token", {"token": token}) if astray else None
    return _canary(row) if row else None


async def trust(queries: Queries, link: str) -> Trust | None:
    row = await queries.fetch_one("SELECT trust FROM sms_trust WHERE link = :link", {"link": link})
    return usable(msgspec.json.decode(row[0], type=Trust)) if row else None


async def put_trust(tx: Transaction, link: str, trust: Trust) -> None:
    await tx.execute(
        "INSERT INTO sms_trust (link, trust) VALUES (:link, :trust)"
        " ON CONFLICT (link) DO UPDATE SET trust = excluded.trust",
        {"link": link, "trust": msgspec.json.encode(trust).decode()},
    )


async def erase(tx: Transaction, *, made_before: float, limit: int) -> int:
    """Deletes old canaries with their messages; returns how many."""
    rows = await tx.fetch(
        "DELETE FROM sms_canary WHERE token IN (SELECT token FROM sms_canary WHERE made_at <= :before ORDER BY made_at"
        " LIMIT :limit) RETURNING message",
        {"before": made_before, "limit": limit},
    )
    for table, column in (("sms_message", "id"), ("sms_event", "message")):
        await tx.execute_many(f"DELETE FROM {table} WHERE {column} = :id", [{"id": row[0]} for row in rows])
    return len(rows)
