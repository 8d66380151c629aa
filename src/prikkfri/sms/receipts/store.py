"""All SQL of receipts: those that networks give us, and the one that each submission's sender gets."""
# ruff: noqa: S608

from collections.abc import Sequence

from prikkfri.sms.lifecycle import ENDED, RECEIPT, ReceiptEvent, State
from prikkfri.sms.messages import RECEIPT_STATES, DueReceipt
from prikkfri.sms.store import RECEIPT_WANTED
from prikkfri.storage import Queries, Transaction

_DUE = RECEIPT.change(ReceiptEvent.DUE).put_where(RECEIPT_WANTED)
_CLAIM = RECEIPT.change(ReceiptEvent.CLAIM)
_GIVE = RECEIPT.change(ReceiptEvent.GIVE)
_PUT_OFF = RECEIPT.change(ReceiptEvent.PUT_OFF)


async def end_submission(tx: Transaction, submission: str, *, now: float) -> State | None:
    """What a submission of several messages came to, and its one receipt made due; None while one is still open."""
    rows = await tx.fetch("SELECT state FROM sms_message WHERE submission = :id AND parts > 1", {"id": submission})
    states = {State(row[0]) for row in rows}
    if not states <= ENDED:
        return None
    badly = states - {State.DELIVERED}
    state = min(badly) if badly else State.DELIVERED
    await tx.execute(
        f"UPDATE sms_message SET {_DUE}, receipt_state = :told, receipt_at = :now WHERE id = :id",
        {"id": submission, "told": int(RECEIPT_STATES[state]), "badly": int(bool(badly)), "now": now},
    )
    return state


async def find_in_doubt(queries: Queries, target: str, recipient: str) -> list[str]:
    """Messages in doubt towards a recipient: what a receipt without a known id may be about."""
    rows = await queries.fetch(
        "SELECT id FROM sms_message WHERE target = :target AND state = 'in-doubt' AND recipient = :recipient LIMIT 200",
        {"target": target, "recipient": recipient},
    )
    return [row[0] for row in rows]


async def is_known_id(queries: Queries, target: str, next_hop_id: str, recipient: str) -> bool:
    """Whether a receipt repeats what has been told of a message that has ended."""
    row = await queries.fetch_one(
        "SELECT 1 FROM sms_message WHERE target = :target AND next_hop_id = :next_hop_id AND next_hop_id <> ''"
        " AND recipient = :recipient LIMIT 1",
        {"target": target, "next_hop_id": next_hop_id, "recipient": recipient},
    )
    return row is not None


async def claim_receipts(tx: Transaction, origin: str, *, limit: int, now: float) -> list[DueReceipt]:
    rows = await tx.fetch(
        f"UPDATE sms_message SET {_CLAIM.put} WHERE id IN (SELECT id FROM sms_message WHERE origin = :origin"
        f" AND {_CLAIM.where} AND receipt_at <= :now ORDER BY receipt_at LIMIT :limit)"
        " RETURNING id, sender, recipient, receipt_state, accepted_at, ended_at, user_reference",
        {"origin": origin, "limit": limit, "now": now},
    )
    return sorted((DueReceipt(*row) for row in rows), key=lambda receipt: receipt.ended_at)


async def receipts_given(tx: Transaction, ids: Sequence[str], *, now: float) -> None:
    await tx.execute_many(
        f"UPDATE sms_message SET {_GIVE.put}, receipt_at = :now WHERE id = :id AND {_GIVE.where}",
        [{"id": message, "now": now} for message in ids],
    )


async def put_off_receipts(tx: Transaction, ids: Sequence[str], *, due_at: float) -> None:
    await tx.execute_many(
        f"UPDATE sms_message SET {_PUT_OFF.put}, receipt_at = :due_at WHERE id = :id AND {_PUT_OFF.where}",
        [{"id": message, "due_at": due_at} for message in ids],
    )
