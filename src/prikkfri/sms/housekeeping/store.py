"""All SQL of housekeeping: what waits too long or too much, and what is past its time."""
# ruff: noqa: S608

from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.store import COLUMNS
from prikkfri.storage import Queries, Transaction


async def is_full(queries: Queries, target: str, *, limit: int) -> bool:
    """Whether at least `limit` messages wait for a party, canaries left out."""
    row = await queries.fetch_one(
        "SELECT 1 FROM sms_waiting WHERE target = :target AND messages >= :limit",
        {"target": target, "limit": max(limit, 1)},
    )
    return row is not None


async def left_waiting(queries: Queries, target: str, *, accepted_after: float, limit: int) -> list[Message]:
    """One message of each submission that waits for a party since after then, the newest first.

    Among the newest `limit` of either state: what waits behind them is not looked at.
    """
    # Each by its own partial index: of both states in one, SQLite would read the whole table. None is due before it
    # was accepted.
    newest = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {COLUMNS} FROM sms_message WHERE target = :target AND state = '{state}'"
        f" AND due_at > :after ORDER BY due_at DESC LIMIT :limit) AS found"
        for state in (DeliveryState.WAITING, DeliveryState.IN_DOUBT)
    )
    rows = await queries.fetch(
        f"SELECT {COLUMNS} FROM ({newest}) AS newest WHERE accepted_at > :after AND part = 1"
        " ORDER BY accepted_at DESC LIMIT :limit",
        {"target": target, "after": accepted_after, "limit": limit},
    )
    return [Message(*row) for row in rows]


async def settled_doubts(queries: Queries, target: str, *, limit: int, now: float) -> list[tuple[str, str, str, int]]:
    """(id, origin, class, times in doubt) of what has been in doubt long enough."""
    return [
        (row[0], row[1], row[2], row[3])
        for row in await queries.fetch(
            "SELECT id, origin, message_class, doubts FROM sms_message WHERE target = :target AND state = 'in-doubt'"
            " AND due_at <= :now ORDER BY due_at LIMIT :limit",
            {"target": target, "now": now, "limit": limit},
        )
    ]


async def erase(tx: Transaction, *, ended_before: float, limit: int) -> int:
    """Deletes messages that ended long ago, with their events; returns how many."""
    rows = await tx.fetch(
        "DELETE FROM sms_message WHERE id IN (SELECT id FROM sms_message WHERE ended_at > 0 AND ended_at <= :before"
        " AND state <> 'quarantined' ORDER BY ended_at LIMIT :limit) RETURNING id",
        {"before": ended_before, "limit": limit},
    )
    await tx.execute_many("DELETE FROM sms_event WHERE message = :id", [{"id": row[0]} for row in rows])
    return len(rows)
