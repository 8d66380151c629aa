"""All SQL of placing: what waits for a party, message by message."""
# ruff: noqa: S608

from typing import NamedTuple

from prikkfri.storage import Queries


class Waiting(NamedTuple):
    """A message that waits; `waiting` follows the order of these fields."""

    id: str
    due_at: float
    recipient: str
    origin: str


async def waiting(queries: Queries, target: str, *, after: tuple[float, str], limit: int) -> list[Waiting]:
    """Those that wait for a party behind a (time, id), in their order; canaries left out."""
    rows = await queries.fetch(
        f"SELECT {', '.join(Waiting._fields)} FROM sms_message WHERE target = :target AND state = 'waiting'"
        " AND message_class <> 'canary' AND due_at >= :at AND (due_at > :at OR id > :id)"
        " ORDER BY due_at, id LIMIT :limit",
        {"target": target, "at": after[0], "id": after[1], "limit": limit},
    )
    return [Waiting(*row) for row in rows]
