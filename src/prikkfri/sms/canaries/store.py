"""All SQL of the canaries. What the network told of one is in its message; a row here holds the rest."""
# ruff: noqa: S608

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

import msgspec

from prikkfri.sms.canaries.verdicts import Canary, JudgedCanary
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.trust.routes import Trust, usable
from prikkfri.storage import Queries, Row, Transaction, named_sets

_CANARY = (
    "SELECT c.token, c.message, c.link, c.phone, m.state, m.attempted_at, m.sent_at, m.ended_at, c.arrived_at,"
    " c.stray_at, c.verdict, c.made_at FROM sms_canary c JOIN sms_message m ON m.id = c.message"
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


async def mark_reported(tx: Transaction, said: Sequence[tuple[str, str]], *, now: float) -> list[Canary]:
    """Notes who has got which canary, by (phone, token); returns those that are new on another phone.

    What many phones tell takes few statements.
    """
    own: dict[str, str] = {}
    for listed, named in named_sets(sorted({token for _, token in said})):
        own.update(await tx.fetch(f"SELECT token, phone FROM sms_canary WHERE token IN ({listed})", named))
    for listed, named in named_sets(sorted({token for phone, token in said if own.get(token) == phone})):
        await tx.execute(
            f"UPDATE sms_canary SET arrived_at = :now WHERE token IN ({listed}) AND arrived_at = 0",
            named | {"now": now},
        )
    strays = []
    for phone, token in said:
        if own.get(token, phone) != phone and (astray := await _mark_astray(tx, token, phone, now=now)) is not None:
            strays.append(astray)
    return strays


async def undecided(queries: Queries, *, limit: int) -> list[Canary]:
    """The oldest first."""
    rows = await queries.fetch(f"{_CANARY} WHERE c.verdict = '' ORDER BY c.made_at LIMIT :limit", {"limit": limit})
    return [_canary(row) for row in rows]


async def decide(tx: Transaction, judged: Iterable[JudgedCanary], *, now: float) -> list[JudgedCanary]:
    """Stores verdicts, each once; returns those that stand, since none was stored after the canary was read."""
    by_change: dict[tuple[str, str], dict[str, JudgedCanary]] = {}
    for each in judged:
        by_change.setdefault((each.verdict, each.canary.verdict), {}).setdefault(each.canary.token, each)
    stand = []
    for (verdict, before), theirs in by_change.items():
        for listed, named in named_sets(theirs):
            rows = await tx.fetch(
                f"UPDATE sms_canary SET verdict = :verdict, decided_at = :now WHERE token IN ({listed})"
                " AND verdict = :before RETURNING token",
                {**named, "verdict": verdict, "before": before, "now": now},
            )
            changed = {token for (token,) in rows}
            stand += [each for token, each in theirs.items() if token in changed]
    return stand


class DecidedCanary(NamedTuple):
    made_at: float
    sent_at: float
    """When it left, as far as is known: it may have been made long before. 0: it never did."""
    decided_at: float
    phone: str
    verdict: str


async def verdicts(queries: Queries, link: str, *, limit: int, before: float = inf) -> list[DecidedCanary]:
    """A link's newest decided canaries that were made `before`, in the order in which they were made."""
    rows = await queries.fetch(
        "SELECT c.made_at, m.attempted_at, c.decided_at, c.phone, c.verdict FROM sms_canary c"
        " JOIN sms_message m ON m.id = c.message WHERE c.link = :link AND c.verdict <> '' AND c.made_at < :before"
        " ORDER BY c.made_at DESC LIMIT :limit",
        {"link": link, "limit": limit, "before": before},
    )
    return [DecidedCanary(*row) for row in reversed(rows)]


async def mark_returned(tx: Transaction, token: str, destination: str, *, now: float) -> Canary | None:
    """A network hands a canary in, for another number than its phone's; None: that is not so, or was told before."""
    return await _mark_astray(tx, token, destination, now=now)


async def _mark_astray(tx: Transaction, token: str, destination: str, *, now: float) -> Canary | None:
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
