"""All SQL of the quarantine of receipts; a message in quarantine stays where it is, sealed."""

from prikkfri.storage import Transaction


async def hold_receipt(
    tx: Transaction, link: str, next_hop_id: str, state: int, recipient: str, *, reason: str, now: float
) -> None:
    await tx.execute(
        "INSERT INTO sms_quarantined_receipt (link, next_hop_id, state, recipient, reason, held_at)"
        " VALUES (:link, :next_hop_id, :state, :recipient, :reason, :now)",
        {
            "link": link,
            "next_hop_id": next_hop_id,
            "state": state,
            "recipient": recipient,
            "reason": reason,
            "now": now,
        },
    )
