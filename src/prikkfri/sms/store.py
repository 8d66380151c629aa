"""All SQL of the messages. Each function that moves a message names the states it may come from (`messages.before`).

What is put into the SQL's text are the names of columns and states below; every value is a parameter.
"""
# ruff: noqa: S608

from collections.abc import Sequence
from functools import cache

from msgspec import structs

from prikkfri.sms.messages import ENDED, RECEIPT_STATES, DueReceipt, Ending, Message, State, before, message_id
from prikkfri.sms.routing import Exposed, Stop
from prikkfri.sms.trail import Facts, Step
from prikkfri.storage import Queries, Transaction

_FIELDS = Message.__struct_fields__
COLUMNS = ", ".join(_FIELDS)
FACTS = ", ".join(Facts.__dataclass_fields__)
_INSERT = (
    f"INSERT INTO sms_message ({COLUMNS}, state, reason, next_hop_id, attempted_at, sent_at, ended_at, receipt,"
    f" receipt_state, receipt_at) VALUES ({', '.join(f':{field}' for field in _FIELDS)},"
    " 'waiting', '', '', 0, 0, 0, '', 0, 0)"
)


@cache
def _from(state: State) -> str:
    return ", ".join(f"'{known}'" for known in before(state))


_ENDING = ", ".join(Ending._fields)
_STOP = ", ".join(Stop._fields)


async def insert(tx: Transaction, messages: Sequence[Message]) -> None:
    await tx.execute_many(_INSERT, [structs.asdict(message) for message in messages])


async def claim(tx: Transaction, target: str, *, limit: int, now: float) -> list[Message]:
    """Takes what is due for a party and marks it SENDING, so that a crash leaves doubt and never a loss.

    Over a stopped route only canaries go: from the commit that stops it on, nobody's message is claimed for it.
    """
    rows = await tx.fetch(
        "UPDATE sms_message SET state = 'sending', attempts = attempts + 1, attempted_at = :now WHERE id IN"
        " (SELECT id FROM sms_message WHERE target = :target AND state = 'waiting' AND due_at <= :now"
        # In here, or those whose time is up would take the places of those who still wait.
        " AND expires_at > :now AND (message_class = 'canary' OR NOT EXISTS"
        " (SELECT 1 FROM sms_route WHERE link = :link AND state = 'stopped'))"
        f" ORDER BY due_at LIMIT :limit) RETURNING {COLUMNS}",
        {"target": target, "link": target.removeprefix("link:"), "limit": limit, "now": now},
    )
    # By its id the tenth part would come before the second.
    return sorted((Message(*row) for row in rows), key=lambda each: (each.due_at, each.submission, each.part))


async def is_full(queries: Queries, target: str, *, limit: int) -> bool:
    """Whether at least `limit` messages wait for a party."""
    row = await queries.fetch_one(
        "SELECT 1 FROM sms_message WHERE target = :target AND state = 'waiting' LIMIT 1 OFFSET :others",
        {"target": target, "others": max(limit - 1, 0)},
    )
    return row is not None


async def release(tx: Transaction, ids: Sequence[str]) -> None:
    """Gives back what was claimed and never written to the wire."""
    await tx.execute_many(
        "UPDATE sms_message SET state = 'waiting', attempts = attempts - 1 WHERE id = :id AND state = 'sending'",
        [{"id": message} for message in ids],
    )


async def mark_sent(tx: Transaction, sent: Sequence[tuple[str, str]], *, now: float) -> None:
    """Stores the next hop's own ids: (message id, its id)."""
    await tx.execute_many(
        "UPDATE sms_message SET state = 'sent', reason = '', next_hop_id = :next_hop_id, sent_at = :now"
        f" WHERE id = :id AND state IN ({_from(State.SENT)})",
        [{"id": message, "next_hop_id": next_hop_id, "now": now} for message, next_hop_id in sent],
    )


async def put_off(tx: Transaction, message: str, *, due_at: float, reason: str) -> None:
    await tx.execute(
        "UPDATE sms_message SET state = 'waiting', reason = :reason, due_at = :due_at"
        f" WHERE id = :id AND state IN ({_from(State.WAITING)})",
        {"id": message, "due_at": due_at, "reason": reason},
    )


async def mark_in_doubt(tx: Transaction, ids: Sequence[str], *, due_at: float) -> None:
    """`due_at`: when the doubt is to be decided at the earliest."""
    await tx.execute_many(
        "UPDATE sms_message SET state = 'in-doubt', reason = 'no-answer', due_at = :due_at"
        f" WHERE id = :id AND state IN ({_from(State.IN_DOUBT)})",
        [{"id": message, "due_at": due_at} for message in ids],
    )


async def doubt_what_was_sending(tx: Transaction, *, due_at: float) -> list[Message]:
    """After a crash: what the last process had claimed may or may not have reached the wire."""
    await tx.execute("UPDATE sms_message SET receipt = 'waiting' WHERE receipt = 'sending'")
    rows = await tx.fetch(
        "UPDATE sms_message SET state = 'in-doubt', reason = 'restart', due_at = :due_at WHERE state = 'sending'"
        f" RETURNING {COLUMNS}",
        {"due_at": due_at},
    )
    return [Message(*row) for row in rows]


async def left_waiting(queries: Queries, target: str, *, accepted_after: float, limit: int) -> list[Message]:
    """One message of each submission that waits for a party since after then, the newest first."""
    # Each by its own partial index: of both states in one, SQLite would read the whole table.
    waiting, in_doubt = (
        f"SELECT {COLUMNS} FROM sms_message WHERE target = :target AND state = '{state}' AND accepted_at > :after"
        " AND part = 1"
        for state in (State.WAITING, State.IN_DOUBT)
    )
    rows = await queries.fetch(
        f"{waiting} UNION ALL {in_doubt} ORDER BY accepted_at DESC LIMIT :limit",
        {"target": target, "after": accepted_after, "limit": limit},
    )
    return [Message(*row) for row in rows]


async def settled_doubts(queries: Queries, target: str, *, limit: int, now: float) -> list[tuple[str, str]]:
    """(id, origin) of what has been in doubt long enough."""
    return [
        (row[0], row[1])
        for row in await queries.fetch(
            "SELECT id, origin FROM sms_message WHERE target = :target AND state = 'in-doubt'"
            " AND due_at <= :now LIMIT :limit",
            {"target": target, "now": now, "limit": limit},
        )
    ]


async def end(tx: Transaction, message: str, state: State, *, reason: str, now: float) -> Ending | None:
    """Ends a message and erases its body; None when it was not in a state to end so.

    The receipt of a submission of one message is due at once; `end_submission` sees to longer ones.
    """
    return await _end(tx, "id = :id", {"id": message}, state, reason=reason, now=now)


async def end_by_receipt(
    tx: Transaction, target: str, next_hop_id: str, recipient: str, state: State, *, reason: str, now: float
) -> Ending | None:
    return await _end(
        tx,
        "target = :target AND next_hop_id = :next_hop_id AND next_hop_id <> '' AND recipient = :recipient",
        {"target": target, "next_hop_id": next_hop_id, "recipient": recipient},
        state,
        reason=reason,
        now=now,
    )


async def _end(
    tx: Transaction, where: str, which: dict[str, object], state: State, *, reason: str, now: float
) -> Ending | None:
    sealed = "sealed" if state is State.QUARANTINED else "NULL"
    row = await tx.fetch_one(
        f"UPDATE sms_message SET state = :state, reason = :reason, ended_at = :now, sealed = {sealed},"
        " receipt = CASE WHEN parts = 1 AND (registered = 1 OR (registered = 2 AND :badly = 1))"
        " THEN 'waiting' ELSE '' END, receipt_state = :told, receipt_at = :now"
        f" WHERE {where} AND state IN ({_from(state)}) RETURNING {_ENDING}",
        {
            **which,
            "state": str(state),
            "reason": reason,
            "now": now,
            "badly": int(state is not State.DELIVERED),
            "told": int(RECEIPT_STATES[state]),
        },
    )
    return Ending._make((*row[:-2], State(row[-2]), row[-1])) if row else None


async def end_submission(tx: Transaction, submission: str, *, now: float) -> State | None:
    """What a submission of several messages came to, and its one receipt made due; None while one is still open."""
    rows = await tx.fetch("SELECT state FROM sms_message WHERE submission = :id AND parts > 1", {"id": submission})
    states = {State(row[0]) for row in rows}
    if not states <= ENDED:
        return None
    badly = states - {State.DELIVERED}
    state = min(badly) if badly else State.DELIVERED
    await tx.execute(
        "UPDATE sms_message SET receipt_state = :told, receipt_at = :now, receipt ="
        " CASE WHEN registered = 1 OR (registered = 2 AND :badly = 1) THEN 'waiting' ELSE '' END WHERE id = :id",
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


async def overdue(
    queries: Queries, *, limit: int, waiting_before: float, sent_before: float
) -> list[tuple[str, State]]:
    """(id, state) of open messages whose time is up."""
    rows = await queries.fetch(
        "SELECT id, state FROM sms_message WHERE state IN ('waiting', 'in-doubt', 'sent') AND expires_at <= :waiting"
        " AND (state <> 'sent' OR expires_at <= :sent) ORDER BY expires_at LIMIT :limit",
        {"waiting": waiting_before, "sent": sent_before, "limit": limit},
    )
    return [(row[0], State(row[1])) for row in rows]


async def claim_receipts(tx: Transaction, origin: str, *, limit: int, now: float) -> list[DueReceipt]:
    rows = await tx.fetch(
        "UPDATE sms_message SET receipt = 'sending' WHERE id IN (SELECT id FROM sms_message WHERE origin = :origin"
        " AND receipt = 'waiting' AND receipt_at <= :now ORDER BY receipt_at LIMIT :limit)"
        " RETURNING id, sender, recipient, receipt_state, accepted_at, ended_at, user_reference",
        {"origin": origin, "limit": limit, "now": now},
    )
    return sorted((DueReceipt(*row) for row in rows), key=lambda receipt: receipt.ended_at)


async def receipts_given(tx: Transaction, ids: Sequence[str], *, now: float) -> None:
    await tx.execute_many(
        "UPDATE sms_message SET receipt = 'given', receipt_at = :now WHERE id = :id",
        [{"id": message, "now": now} for message in ids],
    )


async def put_off_receipts(tx: Transaction, ids: Sequence[str], *, due_at: float) -> None:
    await tx.execute_many(
        "UPDATE sms_message SET receipt = 'waiting', receipt_at = :due_at WHERE id = :id AND receipt = 'sending'",
        [{"id": message, "due_at": due_at} for message in ids],
    )


async def add_events(tx: Transaction, events: Sequence[tuple[str, Step]]) -> None:
    """What befell messages beside the ordinary course: (message id, step)."""
    await tx.execute_many(
        "INSERT INTO sms_event (message, time, event, detail) VALUES (:message, :time, :event, :detail)",
        [{"message": message, "time": s.time, "event": s.event, "detail": s.detail} for message, s in events],
    )


async def facts(queries: Queries, submission: str) -> list[Facts]:
    """All messages of a submission in order, empty when there is none of that id."""
    rows = await queries.fetch(
        f"SELECT {FACTS} FROM sms_message WHERE id = :id OR (submission = :id AND parts > 1) ORDER BY part",
        {"id": submission},
    )
    return [Facts(*row) for row in rows]


async def events(queries: Queries, messages: Sequence[str]) -> list[Step]:
    steps: list[Step] = []
    for message in messages:
        rows = await queries.fetch(
            "SELECT time, event, detail FROM sms_event WHERE message = :id ORDER BY time", {"id": message}
        )
        steps += [Step(*row) for row in rows]
    return steps


async def routes(queries: Queries) -> dict[str, Stop]:
    """By link, each route that was ever stopped."""
    rows = await queries.fetch(f"SELECT link, {_STOP} FROM sms_route")
    return {row[0]: Stop(*row[1:]) for row in rows}


async def put_route(tx: Transaction, link: str, stop: Stop) -> None:
    await tx.execute(
        f"INSERT INTO sms_route (link, {_STOP}) VALUES (:link, {', '.join(f':{name}' for name in Stop._fields)})"
        f" ON CONFLICT (link) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in Stop._fields)}",
        {"link": link, **stop._asdict()},
    )


async def move(tx: Transaction, source: str, target: str, *, limit: int) -> list[str]:
    """Gives messages that wait for one party to another; returns their ids. Canaries stay where they are."""
    rows = await tx.fetch(
        "UPDATE sms_message SET target = :target WHERE id IN (SELECT id FROM sms_message WHERE target = :source"
        " AND state = 'waiting' AND message_class <> 'canary' LIMIT :limit) RETURNING id",
        {"source": source, "target": target, "limit": limit},
    )
    return [row[0] for row in rows]


async def waiting(queries: Queries, target: str) -> int:
    """How many messages wait for a party, canaries left out."""
    [[count]] = await queries.fetch(
        "SELECT COUNT(*) FROM sms_message WHERE target = :target AND state = 'waiting' AND message_class <> 'canary'",
        {"target": target},
    )
    return int(count)


async def exposed(
    queries: Queries, target: str, *, since: float, until: float, validity_seconds_max: float, limit: int
) -> list[Exposed]:
    """The messages that went to a link in a time, oldest first; canaries are nobody's."""
    rows = await queries.fetch(
        "SELECT submission, MIN(attempted_at), sender, recipient, message_class, origin, MIN(state) FROM sms_message"
        # Ids begin with the time of acceptance: this takes the primary key, not the whole table.
        " WHERE id >= :first AND id < :last AND target = :target AND message_class <> 'canary'"
        " AND attempted_at >= :since AND attempted_at < :until"
        " AND (sent_at > 0 OR state IN ('sending', 'in-doubt', 'unreported'))"
        " GROUP BY submission, sender, recipient, message_class, origin ORDER BY 2 LIMIT :limit",
        {
            "first": message_id(max(since - validity_seconds_max, 0.0), b""),
            "last": message_id(until + 1.0, b""),
            "target": target,
            "since": since,
            "until": until,
            "limit": limit,
        },
    )
    return [Exposed(*row) for row in rows]


async def erase(tx: Transaction, *, ended_before: float, limit: int) -> int:
    """Deletes messages that ended long ago, with their events; returns how many."""
    rows = await tx.fetch(
        "DELETE FROM sms_message WHERE id IN (SELECT id FROM sms_message WHERE ended_at > 0 AND ended_at <= :before"
        " AND state <> 'quarantined' LIMIT :limit) RETURNING id",
        {"before": ended_before, "limit": limit},
    )
    await tx.execute_many("DELETE FROM sms_event WHERE message = :id", [{"id": row[0]} for row in rows])
    return len(rows)
