"""All SQL that makes messages and changes their states, each change as the life-cycle tables have it.

What is put into the SQL's text are the names of columns and states; every value is a parameter. What the rooms read,
and what is theirs alone, stands in a `store.py` of their own.
"""
# ruff: noqa: S608

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from msgspec import structs

from prikkfri.sms.delivery import VALIDITY_SECONDS_MIN
from prikkfri.sms.lifecycle import (
    ENDINGS,
    MESSAGE,
    RECEIPT,
    RESTORED,
    DeliveryState,
    Event,
    ReceiptEvent,
    out_of_time,
    put_first,
)
from prikkfri.sms.messages import RECEIPT_STATES, Ending, Message
from prikkfri.sms.receipt_ids import fold
from prikkfri.sms.trail import Step
from prikkfri.storage import Parameters, Queries, Transaction, named_row_sets, named_sets, named_values

_FIELDS = Message.__struct_fields__
COLUMNS = ", ".join(_FIELDS)
_INSERT = (
    f"INSERT INTO sms_message ({COLUMNS}, state, reason, next_hop_id, next_hop_key, sent_at, ended_at,"
    f" receipt, receipt_state, receipt_at) VALUES ({', '.join(f':{field}' for field in _FIELDS)},"
    f" '{MESSAGE.first}', '', '', '', 0, 0, '{RECEIPT.first}', 0, 0)"
)
_CLAIM = MESSAGE.change(Event.CLAIM)
_RELEASE = MESSAGE.change(Event.RELEASE)
_TAKE = MESSAGE.change(Event.TAKE)
_PUT_OFF = MESSAGE.change(Event.PUT_OFF)
_RECALL = MESSAGE.change(Event.RECALL)
_DOUBT = MESSAGE.change(Event.DOUBT)
_MOVE = MESSAGE.change(Event.MOVE)
_RECEIPT_DUE = RECEIPT.change(ReceiptEvent.DUE)
_RECEIPT_CLAIM_AT_ONCE = RECEIPT.change(ReceiptEvent.CLAIM_AT_ONCE)
_RECEIPT_PUT_OFF = RECEIPT.change(ReceiptEvent.PUT_OFF)
RECEIPT_WANTED = "(registered = 1 OR (registered = 2 AND :badly = 1))"
"""Whether a sender wants to hear of an end."""
_DUE_AT_ONCE = f"parts = 1 AND {RECEIPT_WANTED}"
_ENDING = ", ".join(Ending.__struct_fields__)
ORDER = "due_at, accepted_at, part"
"""In which messages leave a party: what is due at one moment as it was accepted, a long one by its parts."""
LOOKED_PAST_MAX = 1_000
"""How many messages whose time is up a claim looks past, until housekeeping has ended them."""


async def insert(tx: Transaction, messages: Sequence[Message]) -> None:
    await tx.execute_many(_INSERT, [structs.asdict(message) for message in messages])
    await count_waiting(tx, [(message.target, message.message_class) for message in messages], 1)


async def count_waiting(tx: Transaction, rows: Iterable[Sequence[object]], by: int) -> None:
    """Carries how many messages wait for each party, canaries left out: (target, class) of each that came or went."""
    changed: dict[str, int] = {}
    for target, message_class in rows:
        if message_class != "canary":
            changed[str(target)] = changed.get(str(target), 0) + 1
    await tx.execute_many(
        "INSERT INTO sms_waiting (target, messages) VALUES (:target, :change) ON CONFLICT (target) DO UPDATE"
        " SET messages = sms_waiting.messages + excluded.messages",
        [{"target": target, "change": count * by} for target, count in changed.items()],
    )


async def newest(queries: Queries) -> float:
    """When the newest message was accepted, by the clock of then; 0.0 when there is none. Ids sort by time."""
    row = await queries.fetch_one("SELECT accepted_at FROM sms_message ORDER BY id DESC LIMIT 1")
    return row[0] if row else 0.0


async def claim(tx: Transaction, target: str, *, limit: int, now: float, after: str = "") -> list[Message]:
    """Takes what is due for a party and marks it SENDING, so that a crash leaves doubt and never a loss.

    The origins take turns, so that one's million does not hold up another's ten: first comes the one behind `after`,
    whose turn was last, and each takes what room it finds. Messages are returned origin after origin, those of one in
    their order. Over a stopped route only canaries go: from the commit that stops it on, nobody's message is claimed
    for it.
    """
    kind, _, link = target.partition(":")
    stopped = kind == "link" and await tx.fetch_one(
        "SELECT 1 FROM sms_route WHERE link = :link AND state = 'stopped'", {"link": link}
    )
    ids: list[str] = []
    served: list[str] = []
    if stopped:
        ids = await _due(tx, target, " AND message_class = 'canary'", {}, limit=limit, now=now)
    else:
        while (
            len(ids) < limit and (origin := await _next_turn(tx, target, served[-1] if served else after)) is not None
        ):
            if served[:1] == [origin]:
                break
            served.append(origin)
            ids += await _due(tx, target, " AND origin = :origin", {"origin": origin}, limit=limit - len(ids), now=now)
    if not ids:
        return []
    claimed: list[Message] = []
    for listed, named in named_sets(ids):
        rows = await tx.fetch(
            f"UPDATE sms_message SET {_CLAIM.put}, attempts = attempts + 1, attempted_at = :now WHERE id IN ({listed})"
            f" RETURNING {COLUMNS}",
            {"now": now, **named},
        )
        claimed += [Message(*row) for row in rows]
    await count_waiting(tx, [(message.target, message.message_class) for message in claimed], -1)
    turns = {origin: turn for turn, origin in enumerate(served)}
    return sorted(claimed, key=lambda each: (turns.get(each.origin, 0), *_place(each)))


def _place(message: Message) -> tuple[float, float, str, int]:
    return message.due_at, message.accepted_at, message.submission, message.part


async def _next_turn(tx: Transaction, target: str, after: str) -> str | None:
    """The origin behind another of what waits for a party, the first behind the last; None: nothing waits.

    Found in an index: what waits for each is not looked at.
    """
    for passed in dict.fromkeys((after, "")):
        if found := await tx.fetch_one(
            f"SELECT origin FROM sms_message WHERE target = :target AND {_CLAIM.where} AND origin > :passed"
            " ORDER BY origin LIMIT 1",
            {"target": target, "passed": passed},
        ):
            return str(found[0])
    return None


async def _due(
    tx: Transaction, target: str, which: str, parameters: dict[str, object], *, limit: int, now: float
) -> list[str]:
    """Ids of what is due for a party, in the order in which it leaves."""
    # Each of both kinds has an index of its own: of what may not go nothing is looked at. Rows come out of the inner
    # query in its order, on both engines: sorted once more, all that may be looked past would be read for each claim.
    rows = await tx.fetch(
        f"SELECT id FROM (SELECT id, {ORDER}, expires_at FROM sms_message"
        f" WHERE target = :target AND {_CLAIM.where}{which} AND due_at <= :now ORDER BY {ORDER} LIMIT :looked) AS due"
        " WHERE expires_at >= :alive LIMIT :limit",
        {
            "target": target,
            "looked": limit + LOOKED_PAST_MAX,
            "limit": limit,
            "now": now,
            "alive": now + VALIDITY_SECONDS_MIN,
            **parameters,
        },
    )
    return [row[0] for row in rows]


async def release(tx: Transaction, ids: Sequence[str]) -> None:
    """Gives back what was claimed and never written to the wire."""
    for listed, named in named_sets(ids):
        back = await tx.fetch(
            f"UPDATE sms_message SET {_RELEASE.put}, attempts = attempts - 1 WHERE id IN ({listed})"
            f" AND {_RELEASE.where} RETURNING target, message_class",
            named,
        )
        await count_waiting(tx, back, 1)


async def mark_sent(tx: Transaction, sent: Sequence[tuple[str, str]], *, now: float) -> None:
    """Stores the next hop's own ids: (message id, its id); of two for one message the first."""
    first = [(message, hop, fold(hop)) for message, hop in dict(reversed(sent)).items()]
    for listed, named in named_row_sets(first):
        await tx.execute_many(
            f"UPDATE sms_message SET {_TAKE.put}, reason = '', next_hop_id = given.column2,"
            f" next_hop_key = given.column3, sent_at = :now FROM (VALUES {listed}) AS given"
            f" WHERE id = given.column1 AND {_TAKE.where}",
            [{"now": now, **named}],
        )


async def put_off(tx: Transaction, message: str, *, due_at: float, reason: str, is_attempt: bool = True) -> None:
    """`is_attempt` false: it does not count that it was tried."""
    back = await tx.fetch(
        f"UPDATE sms_message SET {_PUT_OFF.put}, reason = :reason, due_at = :due_at, attempts = attempts - :uncounted"
        f" WHERE id = :id AND {_PUT_OFF.where} RETURNING target, message_class",
        {"id": message, "due_at": due_at, "reason": reason, "uncounted": int(not is_attempt)},
    )
    await count_waiting(tx, back, 1)


async def claims(queries: Queries, ids: Iterable[str]) -> dict[str, tuple[str, float]]:
    """For whom each is, and when it was claimed last."""
    found: dict[str, tuple[str, float]] = {}
    for listed, named in named_sets(ids):
        rows = await queries.fetch(f"SELECT id, target, attempted_at FROM sms_message WHERE id IN ({listed})", named)
        found |= {str(identity): (str(target), float(at)) for identity, target, at in rows}
    return found


async def recall(tx: Transaction, ids: Iterable[str], target: str) -> list[str]:
    """Those of these that wait are not to be sent again: `target` has them, or had. Returns their ids."""
    back: list[str] = []
    for listed, named in named_sets(ids):
        which = f"id IN ({listed}) AND {_RECALL.where}"
        rows = await tx.fetch(f"SELECT id, target, message_class FROM sms_message WHERE {which}", named)
        await tx.execute(
            f"UPDATE sms_message SET {_RECALL.put}, target = :target WHERE {which}", {"target": target, **named}
        )
        await count_waiting(tx, [row[1:] for row in rows], -1)
        back += [row[0] for row in rows]
    return back


async def mark_in_doubt(
    tx: Transaction, ids: Sequence[str], *, ended_session: Collection[str] = (), due_at: float
) -> None:
    """`due_at`: when the doubt is to be decided at the earliest; `ended_session`: those that may be why it ended."""
    await tx.execute_many(
        f"UPDATE sms_message SET {_DOUBT.put}, reason = 'no-answer', due_at = :due_at, doubts = doubts + 1,"
        f" sessions_ended = sessions_ended + :ended WHERE id = :id AND {_DOUBT.where}",
        [{"id": message, "due_at": due_at, "ended": int(message in ended_session)} for message in ids],
    )


async def doubt_what_was_sending(tx: Transaction, *, due_at: float) -> list[Message]:
    """After a crash: what the last process had claimed may or may not have reached the wire."""
    await tx.execute(f"UPDATE sms_message SET {_RECEIPT_PUT_OFF.put} WHERE {_RECEIPT_PUT_OFF.where}")
    rows = await tx.fetch(
        f"UPDATE sms_message SET {_DOUBT.put}, reason = 'restart', due_at = :due_at, doubts = doubts + 1"
        f" WHERE {_DOUBT.where}"
        f" RETURNING {COLUMNS}",
        {"due_at": due_at},
    )
    return [Message(*row) for row in rows]


async def move(
    tx: Transaction, source: str, target: str, *, limit: int, among: Collection[str] | None = None
) -> list[str]:
    """Gives messages that wait for one party to another, the first first; returns their ids. Canaries stay.

    `among`: of these alone, at least one; None: of all.
    """
    assert among is None or among
    listed, named = named_values([*among]) if among else ("", {})
    which = f" AND id IN ({listed})" if among else ""
    rows = await tx.fetch(
        f"UPDATE sms_message SET {_MOVE.put}, target = :target WHERE id IN (SELECT id FROM sms_message"
        f" WHERE target = :source AND {_MOVE.where} AND message_class <> 'canary'{which} ORDER BY due_at LIMIT :limit)"
        " RETURNING id, target, message_class",
        {"source": source, "target": target, "limit": limit, **named},
    )
    moved = [row[1:] for row in rows]
    await count_waiting(tx, moved, 1)
    await count_waiting(tx, [(source, message_class) for _, message_class in moved], -1)
    return [row[0] for row in rows]


async def end(
    tx: Transaction, ends: Sequence[tuple[str, DeliveryState, str]], *, now: float, takers: Collection[str] = ()
) -> list[Ending]:
    """Ends messages, (id, state, reason) each, and erases their bodies; returns, in this order, those that ended.

    One that was not in a state to end so is let be. The receipt of a submission of one message is due at once, and
    claimed already if its sender is one of `takers`; `end_submission` sees to longer ones.
    """
    alike: dict[tuple[DeliveryState, str], list[str]] = {}
    for message, state, reason in ends:
        alike.setdefault((state, reason), []).append(message)
    ended: dict[str, Ending] = {}
    for (state, reason), ids in alike.items():
        if state is DeliveryState.EXPIRED:  # the only end of what waits
            await _wait_no_more(tx, ids)
        found = await _end_those(tx, ids, state, reason=reason, now=now, takers=takers)
        ended |= {ending.id: ending for ending in found}
    return [ended[message] for message in dict.fromkeys(message for message, _, _ in ends) if message in ended]


async def end_overdue(tx: Transaction, state: DeliveryState, *, before: float, limit: int, now: float) -> list[Ending]:
    """Ends those of one open state whose time was up by then, the longest overdue first: twice `limit` at most.

    Of what waited in a restored snapshot nobody can say that it did not arrive.
    """
    final = out_of_time(state)
    overdue = (
        f"id IN (SELECT id FROM sms_message WHERE ended_at = 0 AND state = '{state}'"
        " AND expires_at <= :before ORDER BY expires_at LIMIT :limit)"
    )
    which: dict[str, object] = {"before": before, "limit": limit}
    ended = []
    if state is DeliveryState.WAITING:
        unknown = f"{overdue} AND restored <> 0"
        ended = await _end(tx, unknown, which, DeliveryState.UNREPORTED, event=Event.GIVE_UP, reason=RESTORED, now=now)
    ended += await _end(
        tx, overdue, which, final, reason="in-doubt" if state is DeliveryState.IN_DOUBT else str(final), now=now
    )
    if state is DeliveryState.WAITING:
        await count_waiting(tx, [(ending.target, ending.message_class) for ending in ended], -1)
    return ended


async def give_up(tx: Transaction, ids: Sequence[str], *, now: float) -> list[Ending]:
    """Ends those that waited in a restored snapshot and may have been sent, though nothing here says so."""
    await _wait_no_more(tx, ids)
    return await _end_those(tx, ids, DeliveryState.UNREPORTED, event=Event.GIVE_UP, reason=RESTORED, now=now)


async def _wait_no_more(tx: Transaction, ids: Sequence[str]) -> None:
    """Those of them that wait are about to end."""
    for listed, named in named_sets(ids):
        waited = await tx.fetch(
            f"SELECT target, message_class FROM sms_message WHERE id IN ({listed})"
            f" AND state = '{DeliveryState.WAITING}'",
            named,
        )
        await count_waiting(tx, waited, -1)


async def _end_those(
    tx: Transaction,
    ids: Sequence[str],
    state: DeliveryState,
    *,
    reason: str,
    now: float,
    event: Event | None = None,
    takers: Collection[str] = (),
) -> list[Ending]:
    """In no order."""
    ended = []
    for listed, named in named_sets(ids):
        which = f"id IN ({listed})"
        ended += await _end(tx, which, named, state, reason=reason, now=now, event=event, takers=takers)
    return ended


@lru_cache(maxsize=256)
def _ending(where: str, event: Event, *, erases: bool, takers: str) -> str:
    """The statement that ends those of which `where` tells; each ending would else write it anew."""
    change = MESSAGE.change(event)
    sealed = "NULL" if erases else "sealed"
    due = [(_RECEIPT_DUE, _DUE_AT_ONCE)]
    if takers:
        due.insert(0, (_RECEIPT_CLAIM_AT_ONCE, f"{_DUE_AT_ONCE} AND origin IN ({takers})"))
    return (
        f"UPDATE sms_message SET {change.put}, reason = :reason, ended_at = :now, sealed = {sealed},"
        f" {put_first(*due)}, receipt_state = :told, receipt_at = :now"
        f" WHERE {where} AND {change.where} RETURNING {_ENDING}"
    )


async def _end(
    tx: Transaction,
    where: str,
    which: Parameters,
    state: DeliveryState,
    *,
    reason: str,
    now: float,
    event: Event | None = None,
    takers: Collection[str] = (),
) -> list[Ending]:
    listed, named = named_values([*takers], "taker") if takers else ("", {})
    rows = await tx.fetch(
        _ending(where, event or ENDINGS[state], erases=state is not DeliveryState.QUARANTINED, takers=listed),
        {
            **which,
            **named,
            "reason": reason,
            "now": now,
            "badly": int(state is not DeliveryState.DELIVERED),
            "told": int(RECEIPT_STATES[state]),
        },
    )
    return [Ending(*(*row[:8], state, *row[9:])) for row in rows]


async def add_events(tx: Transaction, events: Sequence[tuple[str, Step]]) -> None:
    """What befell messages beside the ordinary course: (message id, step)."""
    await tx.execute_many(
        "INSERT INTO sms_event (message, time, event, detail) VALUES (:message, :time, :event, :detail)",
        [{"message": message, "time": s.time, "event": s.event, "detail": s.detail} for message, s in events],
    )
