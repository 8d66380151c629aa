"""All SQL of placing: what waits for a party, message by message."""
# ruff: noqa: S608

from typing import NamedTuple

from prikkfri.sms.store import ORDER
from prikkfri.storage import Queries

Place = tuple[float, float, int, str]
"""How far a look at what waits has come: when a message is due and was accepted, its part and its id."""
START: Place = (0.0, 0.0, 0, "")
_WAITS = "target = :target AND state = 'waiting'"


class WaitingMessage(NamedTuple):
    """A message that waits; `waiting` follows the order of these fields."""

    id: str
    due_at: float
    recipient: str
    origin: str
    accepted_at: float
    part: int

    @property
    def place(self) -> Place:
        return self.due_at, self.accepted_at, self.part, self.id


async def waiting(queries: Queries, target: str, *, after: Place, limit: int) -> list[WaitingMessage]:
    """Those that wait for a party behind a place, in the order in which they leave; canaries left out."""
    rows = await queries.fetch(
        f"SELECT {', '.join(WaitingMessage._fields)} FROM sms_message WHERE {_WAITS} AND message_class <> 'canary'"
        # The first finds the place in the index, whose last column is not the id. What PostgreSQL does not know when it
        # plans (SELECT) it does not take for so little that it would read and sort all of it.
        f" AND ({ORDER}) >= ((SELECT :due_at), (SELECT :accepted_at), (SELECT :part))"
        f" AND ({ORDER}, id) > ((SELECT :due_at), (SELECT :accepted_at), (SELECT :part), (SELECT :id))"
        f" ORDER BY {ORDER}, id LIMIT :limit",
        {**dict(zip(("due_at", "accepted_at", "part", "id"), after, strict=True)), "target": target, "limit": limit},
    )
    return [WaitingMessage(*row) for row in rows]


async def is_waiting(queries: Queries, target: str) -> bool:
    """Whether anything waits for a party, canaries left out."""
    row = await queries.fetch_one(
        "SELECT 1 FROM sms_waiting WHERE target = :target AND messages > 0", {"target": target}
    )
    return row is not None


async def is_due(queries: Queries, target: str, *, now: float) -> bool:
    """Whether something waits for a party that may be claimed."""
    row = await queries.fetch_one(
        f"SELECT 1 FROM sms_message WHERE {_WAITS} AND due_at <= :now ORDER BY due_at LIMIT 1",
        {"target": target, "now": now},
    )
    return row is not None
