"""All SQL of restored snapshots: which were noticed, and the messages that waited in them."""
# ruff: noqa: S608

from collections.abc import Sequence
from typing import NamedTuple

from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.restored import Restore
from prikkfri.storage import Queries, Transaction

_COLUMNS = ", ".join(Restore._fields)


class WaitingMessage(NamedTuple):
    id: str
    state: str
    message_class: str
    expires_at: float


async def newest(queries: Queries) -> Restore | None:
    row = await queries.fetch_one(f"SELECT {_COLUMNS} FROM sms_restore ORDER BY number DESC LIMIT 1")
    return Restore(*row) if row else None


async def accepted(queries: Queries) -> int:
    """How many messages were taken on while nothing was sent, of all times."""
    row = await queries.fetch_one("SELECT COALESCE(SUM(accepted), 0) FROM sms_restore")
    assert row is not None
    return int(row[0])


async def put(tx: Transaction, restore: Restore) -> None:
    await tx.execute(
        f"INSERT INTO sms_restore ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in Restore._fields)})"
        f" ON CONFLICT (number) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in Restore._fields)}",
        restore._asdict(),
    )


async def count_accepted(tx: Transaction, messages: int) -> None:
    await tx.execute(
        "UPDATE sms_restore SET accepted = accepted + :messages WHERE number = (SELECT MAX(number) FROM sms_restore)",
        {"messages": messages},
    )


async def find(
    tx: Transaction, state: DeliveryState, number: int, *, after: tuple[float, str], limit: int
) -> tuple[list[str], tuple[float, str] | None]:
    """Notes of messages in a state that they waited in a snapshot: their classes, and where to go on (None: the end).

    Goes by expiry and id; one that is noted already is not told again.
    """
    rows = await tx.fetch(
        f"SELECT expires_at, id FROM sms_message WHERE ended_at = 0 AND state = '{state}' AND expires_at >= :at"
        " AND (expires_at > :at OR id > :id) ORDER BY expires_at, id LIMIT :limit",
        {"at": after[0], "id": after[1], "limit": limit},
    )
    classes: list[str] = []
    for _, message in rows:
        classes += [
            row[0]
            for row in await tx.fetch(
                "UPDATE sms_message SET restored = :number WHERE id = :id AND restored <> :number"
                " RETURNING message_class",
                {"id": message, "number": number},
            )
        ]
    return classes, (rows[-1][0], rows[-1][1]) if len(rows) == limit else None


async def waited(queries: Queries, *, limit: int) -> list[WaitingMessage]:
    """Messages that waited in a snapshot, have not ended, and have not been gone through."""
    rows = await queries.fetch(
        "SELECT id, state, message_class, expires_at FROM sms_message WHERE restored > 0 AND ended_at = 0"
        " ORDER BY id LIMIT :limit",
        {"limit": limit},
    )
    return [WaitingMessage(*row) for row in rows]


async def let_go(tx: Transaction, ids: Sequence[str]) -> None:
    """From now on they are messages as any other, but that they may have arrived though they expire."""
    sql = "UPDATE sms_message SET restored = -restored WHERE id = :id AND restored > 0"
    await tx.execute_many(sql, [{"id": each} for each in ids])
