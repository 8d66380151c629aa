"""All SQL that makes messages and changes their states, each change as the life-cycle tables have it.

What is put into the SQL's text are the names of columns and states; every value is a parameter. What the rooms read,
and what is theirs alone, stands in a `store.py` of their own.
"""
# ruff: noqa: S608

from collections.abc import Collection, Sequence

from msgspec import structs

from prikkfri.sms.lifecycle import ENDINGS, MESSAGE, RECEIPT, Event, ReceiptEvent, State
from prikkfri.sms.messages import RECEIPT_STATES, Ending, Message
from prikkfri.sms.receipt_ids import fold
from prikkfri.sms.trail import Step
from prikkfri.storage import Transaction

_FIELDS = Message.__struct_fields__
COLUMNS = ", ".join(_FIELDS)
_INSERT = (
    f"INSERT INTO sms_message ({COLUMNS}, state, reason, next_hop_id, next_hop_key, attempted_at, sent_at, ended_at,"
    f" receipt, receipt_state, receipt_at) VALUES ({', '.join(f':{field}' for field in _FIELDS)},"
    f" '{MESSAGE.first}', '', '', '', 0, 0, 0, '{RECEIPT.first}', 0, 0)"
)
_CLAIM = MESSAGE.change(Event.CLAIM)
_RELEASE = MESSAGE.change(Event.RELEASE)
_TAKE = MESSAGE.change(Event.TAKE)
_PUT_OFF = MESSAGE.change(Event.PUT_OFF)
_DOUBT = MESSAGE.change(Event.DOUBT)
_MOVE = MESSAGE.change(Event.MOVE)
_RECEIPT_DUE = RECEIPT.change(ReceiptEvent.DUE)
_RECEIPT_PUT_OFF = RECEIPT.change(ReceiptEvent.PUT_OFF)
RECEIPT_WANTED = "(registered = 1 OR (registered = 2 AND :badly = 1))"
"""Whether a sender wants to hear of an end."""
_RECEIPT_DUE_AT_ONCE = _RECEIPT_DUE.put_where(f"parts = 1 AND {RECEIPT_WANTED}")
_ENDING = ", ".join(Ending._fields)


async def insert(tx: Transaction, messages: Sequence[Message]) -> None:
    await tx.execute_many(_INSERT, [structs.asdict(message) for message in messages])


async def claim(tx: Transaction, target: str, *, limit: int, now: float) -> list[Message]:
    """Takes what is due for a party and marks it SENDING, so that a crash leaves doubt and never a loss.

    Over a stopped route only canaries go: from the commit that stops it on, nobody's message is claimed for it.
    """
    rows = await tx.fetch(
        f"UPDATE sms_message SET {_CLAIM.put}, attempts = attempts + 1, attempted_at = :now WHERE id IN"
        f" (SELECT id FROM sms_message WHERE target = :target AND {_CLAIM.where} AND due_at <= :now"
        # In here, or those whose time is up would take the places of those who still wait.
        " AND expires_at > :now AND (message_class = 'canary' OR NOT EXISTS"
        " (SELECT 1 FROM sms_route WHERE link = :link AND state = 'stopped'))"
        f" ORDER BY due_at LIMIT :limit) RETURNING {COLUMNS}",
        {"target": target, "link": target.removeprefix("link:"), "limit": limit, "now": now},
    )
    # By its id the tenth part would come before the second.
    return sorted((Message(*row) for row in rows), key=lambda each: (each.due_at, each.submission, each.part))


async def release(tx: Transaction, ids: Sequence[str]) -> None:
    """Gives back what was claimed and never written to the wire."""
    await tx.execute_many(
        f"UPDATE sms_message SET {_RELEASE.put}, attempts = attempts - 1 WHERE id = :id AND {_RELEASE.where}",
        [{"id": message} for message in ids],
    )


async def mark_sent(tx: Transaction, sent: Sequence[tuple[str, str]], *, now: float) -> None:
    """Stores the next hop's own ids: (message id, its id)."""
    await tx.execute_many(
        f"UPDATE sms_message SET {_TAKE.put}, reason = '', next_hop_id = :hop, next_hop_key = :hop_key, sent_at = :now"
        f" WHERE id = :id AND {_TAKE.where}",
        [{"id": message, "hop": hop, "hop_key": fold(hop), "now": now} for message, hop in sent],
    )


async def put_off(tx: Transaction, message: str, *, due_at: float, reason: str) -> None:
    await tx.execute(
        f"UPDATE sms_message SET {_PUT_OFF.put}, reason = :reason, due_at = :due_at"
        f" WHERE id = :id AND {_PUT_OFF.where}",
        {"id": message, "due_at": due_at, "reason": reason},
    )


async def mark_in_doubt(tx: Transaction, ids: Sequence[str], *, due_at: float) -> None:
    """`due_at`: when the doubt is to be decided at the earliest."""
    await tx.execute_many(
        f"UPDATE sms_message SET {_DOUBT.put}, reason = 'no-answer', due_at = :due_at"
        f" WHERE id = :id AND {_DOUBT.where}",
        [{"id": message, "due_at": due_at} for message in ids],
    )


async def doubt_what_was_sending(tx: Transaction, *, due_at: float) -> list[Message]:
    """After a crash: what the last process had claimed may or may not have reached the wire."""
    await tx.execute(f"UPDATE sms_message SET {_RECEIPT_PUT_OFF.put} WHERE {_RECEIPT_PUT_OFF.where}")
    rows = await tx.fetch(
        f"UPDATE sms_message SET {_DOUBT.put}, reason = 'restart', due_at = :due_at WHERE {_DOUBT.where}"
        f" RETURNING {COLUMNS}",
        {"due_at": due_at},
    )
    return [Message(*row) for row in rows]


async def move(
    tx: Transaction, source: str, target: str, *, limit: int, among: Collection[str] | None = None
) -> list[str]:
    """Gives messages that wait for one party to another; returns their ids. Canaries stay where they are.

    `among`: of these alone, at least one; None: of all.
    """
    ids = {f"id{number}": message for number, message in enumerate(among or ())}
    which = "" if among is None else f" AND id IN ({', '.join(f':{name}' for name in ids)})"
    rows = await tx.fetch(
        f"UPDATE sms_message SET {_MOVE.put}, target = :target WHERE id IN (SELECT id FROM sms_message"
        f" WHERE target = :source AND {_MOVE.where} AND message_class <> 'canary'{which} LIMIT :limit) RETURNING id",
        {"source": source, "target": target, "limit": limit, **ids},
    )
    return [row[0] for row in rows]


async def end(tx: Transaction, message: str, state: State, *, reason: str, now: float) -> Ending | None:
    """Ends a message and erases its body; None when it was not in a state to end so.

    The receipt of a submission of one message is due at once; `end_submission` sees to longer ones.
    """
    change = MESSAGE.change(ENDINGS[state])
    sealed = "sealed" if state is State.QUARANTINED else "NULL"
    row = await tx.fetch_one(
        f"UPDATE sms_message SET {change.put}, reason = :reason, ended_at = :now, sealed = {sealed},"
        f" {_RECEIPT_DUE_AT_ONCE}, receipt_state = :told, receipt_at = :now"
        f" WHERE id = :id AND {change.where} RETURNING {_ENDING}",
        {
            "id": message,
            "reason": reason,
            "now": now,
            "badly": int(state is not State.DELIVERED),
            "told": int(RECEIPT_STATES[state]),
        },
    )
    return Ending._make((*row[:-2], State(row[-2]), row[-1])) if row else None


async def add_events(tx: Transaction, events: Sequence[tuple[str, Step]]) -> None:
    """What befell messages beside the ordinary course: (message id, step)."""
    await tx.execute_many(
        "INSERT INTO sms_event (message, time, event, detail) VALUES (:message, :time, :event, :detail)",
        [{"message": message, "time": s.time, "event": s.event, "detail": s.detail} for message, s in events],
    )
