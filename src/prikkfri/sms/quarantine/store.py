"""All SQL of the quarantine: messages in it stay where they are, sealed; receipts stand in a table of their own."""
# ruff: noqa: S608

from prikkfri.sms.lifecycle import (
    MESSAGE,
    NETWORK_RECEIPT,
    DeliveryState,
    Event,
    NetworkReceiptEvent,
    NetworkReceiptState,
)
from prikkfri.sms.messages import Message
from prikkfri.sms.network_receipts import NetworkReceipt
from prikkfri.sms.quarantine.entries import HeldMessage, HeldReceipt
from prikkfri.sms.receipts.store import NETWORK_RECEIPT_COLUMNS
from prikkfri.sms.store import COLUMNS, count_waiting
from prikkfri.storage import Queries, Transaction

_FREE = MESSAGE.change(Event.FREE)
_DISCARD = MESSAGE.change(Event.DISCARD)
_DISCARD_RECEIPT = NETWORK_RECEIPT.change(NetworkReceiptEvent.DISCARD)
_QUARANTINED = f"state = '{DeliveryState.QUARANTINED}'"
_MESSAGES = f"SELECT {COLUMNS}, reason, ended_at FROM sms_message WHERE {_QUARANTINED}"
_ALL_RECEIPTS = f"SELECT {NETWORK_RECEIPT_COLUMNS}, state, reason, changed_at, changed_by FROM sms_network_receipt"
_RECEIPTS = f"{_ALL_RECEIPTS} WHERE state = '{NetworkReceiptState.HELD}'"


def _held_message(row: tuple[object, ...]) -> HeldMessage:
    return HeldMessage(Message(*row[:-2]), row[-2], row[-1])  # type: ignore[arg-type]


def _held_receipt(row: tuple[object, ...]) -> HeldReceipt:
    return HeldReceipt(NetworkReceipt(*row[:-4]), *row[-4:])  # type: ignore[arg-type]


async def messages(queries: Queries, *, party: str, limit: int) -> list[HeldMessage]:
    """Those in quarantine, the newest first; `party` empty: for all."""
    only = "AND target = :party" if party else ""
    rows = await queries.fetch(
        f"{_MESSAGES} {only} ORDER BY ended_at DESC LIMIT :limit",
        {"limit": limit, "party": party},
    )
    return [_held_message(row) for row in rows]


async def message(queries: Queries, identity: str) -> HeldMessage | None:
    row = await queries.fetch_one(f"{_MESSAGES} AND id = :id", {"id": identity})
    return _held_message(row) if row else None


async def receipts(queries: Queries, *, link: str, limit: int) -> list[HeldReceipt]:
    """Those that are held, the newest first; `link` empty: of all."""
    only = "AND link = :link" if link else ""
    rows = await queries.fetch(
        f"{_RECEIPTS} {only} ORDER BY changed_at DESC LIMIT :limit",
        {"limit": limit, "link": link},
    )
    return [_held_receipt(row) for row in rows]


async def receipt(queries: Queries, identity: str) -> HeldReceipt | None:
    """Also one that was discarded not long ago."""
    row = await queries.fetch_one(f"{_ALL_RECEIPTS} WHERE id = :id", {"id": identity})
    found = _held_receipt(row) if row else None
    return found if found and found.state != NetworkReceiptState.WAITING else None


async def free(tx: Transaction, identity: str, target: str, *, now: float) -> None:
    """The message waits for a party as if it had just come."""
    freed = await tx.fetch(
        f"UPDATE sms_message SET {_FREE.put}, target = :target, reason = 'released', due_at = :now, ended_at = 0"
        f" WHERE id = :id AND {_FREE.where} RETURNING target, message_class",
        {"id": identity, "target": target, "now": now},
    )
    await count_waiting(tx, freed, 1)


async def discard_message(tx: Transaction, identity: str, *, now: float) -> None:
    """Its body is erased."""
    await tx.execute(
        f"UPDATE sms_message SET {_DISCARD.put}, reason = 'discarded', sealed = NULL, ended_at = :now"
        f" WHERE id = :id AND {_DISCARD.where}",
        {"id": identity, "now": now},
    )


async def discard_receipt(tx: Transaction, identity: str, *, by: str, now: float) -> bool:
    """False when it is not held any more."""
    rows = await tx.fetch(
        f"UPDATE sms_network_receipt SET {_DISCARD_RECEIPT.put}, changed_at = :now, changed_by = :by"
        f" WHERE id = :id AND {_DISCARD_RECEIPT.where} RETURNING id",
        {"id": identity, "by": by, "now": now},
    )
    return bool(rows)


async def discard_receipts(tx: Transaction, link: str, *, by: str, now: float, limit: int) -> int:
    """All of a link, `limit` at most; returns how many these were."""
    rows = await tx.fetch(
        f"UPDATE sms_network_receipt SET {_DISCARD_RECEIPT.put}, changed_at = :now, changed_by = :by WHERE id IN"
        f" (SELECT id FROM sms_network_receipt WHERE {_DISCARD_RECEIPT.where} AND link = :link ORDER BY changed_at"
        " LIMIT :limit) RETURNING id",
        {"link": link, "by": by, "now": now, "limit": limit},
    )
    return len(rows)
