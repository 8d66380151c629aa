"""A message table full of neighbours, and what one statement of the store does to it.

`neighbours` has the row that a statement is about, every row that differs from it in one column and every row that
differs in two: a condition that is missing, or bound wrongly, takes one too many or too few of them.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.routes import store as routes_store
from prikkfri.sms.routing import RouteOutage
from prikkfri.storage import Database, Transaction

NOW = 1_700_000_000.0
STATES = tuple(str(state) for state in DeliveryState)
Row = dict[str, Any]
GONE: Row = {}
"""What an oracle says of a row that is deleted."""

BASE: Row = {
    "id": "",
    "submission": "",
    "part": 1,
    "parts": 1,
    "origin": "account:shop",
    "target": "link:nord",
    "message_class": "ordinary",
    "sender": "Shop",
    "recipient": "4790000001",
    "sealed": b"sealed",
    "registered": 1,
    "accepted_at": NOW - 100,
    "due_at": NOW - 100,
    "expires_at": NOW + 1_000,
    "attempts": 1,
    "state": "waiting",
    "reason": "before",
    "next_hop_id": "net-1",
    "next_hop_key": "net-1",
    "attempted_at": NOW - 50,
    "sent_at": NOW - 49,
    "ended_at": 0.0,
    "receipt": "",
    "receipt_state": 0,
    "receipt_at": 0.0,
    "user_reference": 258,
    "doubts": 0,
    "sessions_ended": 0,
    "restored": 0,
    "holder": "",
}
OTHERS: dict[str, tuple[Any, ...]] = {
    "state": STATES,
    "target": ("link:nord", "link:syd", "held:nord", "account:shop"),
    "origin": ("account:shop", "account:clinic", "canary:nord"),
    "message_class": ("ordinary", "log-in-code", "canary"),
    "recipient": ("4790000001", "4790000002"),
    "next_hop_id": ("net-1", "net-2", ""),
    "due_at": (NOW - 100, NOW, NOW + 0.5),
    "expires_at": (NOW + 1_000, NOW + 1, NOW + 0.5, NOW, NOW - 3_600, NOW - 3_599),
    "receipt": ("", "waiting", "sending", "given"),
    "receipt_at": (0.0, NOW, NOW + 0.5),
    "registered": (0, 1, 2),
    "ended_at": (0.0, NOW - 200, NOW - 100, NOW - 99.5),
}


def numbered(rows: Sequence[Row]) -> list[Row]:
    """With ids of their own, that sort in no order that matters."""
    found = []
    for number, row in enumerate(rows):
        identity = row["id"] or f"{number * 7_919 % 100_003:05d}"
        found.append({**row, "id": identity, "submission": row["submission"] or identity})
    return found


def neighbours(**base: Any) -> list[Row]:
    middle = {**BASE, **base}
    steps = [(column, value) for column, values in OTHERS.items() for value in values if value != middle[column]]
    single = [{**middle, column: value} for column, value in steps]
    double = [
        {**middle, column: value, other: another}
        for (column, value), (other, another) in combinations(steps, 2)
        if column != other
    ]
    return numbered([middle, *single, *double])


def crossed(**columns: Sequence[Any]) -> list[Row]:
    """A row for each combination of values."""
    return numbered([{**BASE, **dict(zip(columns, values, strict=True))} for values in product(*columns.values())])


def message(row: Mapping[str, Any]) -> Message:
    return Message(*(row[field] for field in Message.__struct_fields__))


async def fill(tx: Transaction, rows: Sequence[Row]) -> None:
    names = ", ".join(BASE)
    await tx.execute_many(
        f"INSERT INTO sms_message ({names}) VALUES ({', '.join(f':{name}' for name in BASE)})", list(rows)
    )
    await tx.execute("DELETE FROM sms_waiting")
    await tx.execute(f"INSERT INTO sms_waiting (target, messages) {COUNTED}")


COUNTED = (
    "SELECT target, COUNT(*) FROM sms_message WHERE state = 'waiting' AND message_class <> 'canary' GROUP BY target"
)


async def carried_counts_hold(tx: Transaction) -> None:
    """How much waits for whom is carried beside the messages by each statement that changes it."""
    carried = await tx.fetch("SELECT target, messages FROM sms_waiting WHERE messages <> 0")
    assert dict(carried) == dict(await tx.fetch(COUNTED))


async def read(tx: Transaction) -> dict[str, Row]:
    return {
        row[0]: dict(zip(BASE, row, strict=True))
        for row in await tx.fetch(f"SELECT {', '.join(BASE)} FROM sms_message")
    }


@dataclass
class Effect:
    result: Any
    before: dict[str, Row]
    after: dict[str, Row]

    def must_be(self, oracle: Callable[[Row], Row | None]) -> None:
        """`oracle` says of each row what is new in it, None where it must stay as it was."""
        touched = 0
        for identity, row in self.before.items():
            new = oracle(row)
            touched += new is not None
            wanted = None if new is GONE else {**row, **(new or {})}
            assert self.after.get(identity) == wanted, f"of {row}"
        assert self.after.keys() <= self.before.keys()
        assert 0 < touched < len(self.before), "a table of which all or nothing is meant shows nothing"

    def untouched(self) -> None:
        assert self.after == self.before


class _Undone(Exception):
    pass


async def effect(
    database: Database,
    rows: Sequence[Row],
    work: Callable[[Transaction], Awaitable[Any]],
    *,
    routes: Mapping[str, str] | None = None,
) -> Effect:
    """What `work` does to a table of these messages, and to nothing else afterwards: all of it is undone.

    `routes`: the state of each route that was ever stopped.
    """
    found: list[Effect] = []

    async def run(tx: Transaction) -> None:
        await fill(tx, rows)
        for link, state in (routes or {}).items():
            await routes_store.put_route(tx, link, RouteOutage(state, 1.0, "Kari", "r", 1.0, 0.0, 0.0))
        before = await read(tx)
        result = await work(tx)
        await carried_counts_hold(tx)
        found[:] = [Effect(result, before, await read(tx))]
        raise _Undone

    with contextlib.suppress(_Undone):
        await database.write(run)
    return found[0]
