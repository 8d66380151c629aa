"""All SQL of receipts: those that networks give us, and the one that each submission's sender gets."""
# ruff: noqa: S608

from collections.abc import Collection, Iterable, Sequence

from msgspec import structs

from prikkfri.sms.lifecycle import (
    ENDED,
    NETWORK_RECEIPT,
    RECEIPT,
    DeliveryState,
    NetworkReceiptEvent,
    NetworkReceiptState,
    ReceiptEvent,
)
from prikkfri.sms.messages import RECEIPT_STATES, DueReceipt
from prikkfri.sms.network_receipts import IdentifiedMessage, KnownMessage, NetworkReceipt
from prikkfri.sms.receipt_ids import Habit, fold
from prikkfri.sms.store import RECEIPT_WANTED
from prikkfri.storage import Queries, Transaction, named_sets, named_values

IN_DOUBT_MAX = 1_000
"""To one number."""
SAME_ID_MAX = 20
"""Of the messages to which a link gave one id, the newest."""
KEYS_AT_ONCE = 64
WORDS_KEPT_MAX = CONTRADICTIONS_KEPT_MAX = 5
"""Of each message."""

_DUE = RECEIPT.change(ReceiptEvent.DUE).put_where(RECEIPT_WANTED)
_CLAIM = RECEIPT.change(ReceiptEvent.CLAIM)
_GIVE = RECEIPT.change(ReceiptEvent.GIVE)
_PUT_OFF = RECEIPT.change(ReceiptEvent.PUT_OFF)
_HOLD = NETWORK_RECEIPT.change(NetworkReceiptEvent.HOLD)
_FIELDS = NetworkReceipt.__struct_fields__
NETWORK_RECEIPT_COLUMNS = ", ".join(_FIELDS)
_WAITS = f"state = '{NetworkReceiptState.WAITING}'"
_HELD = f"state = '{NetworkReceiptState.HELD}'"


async def end_submission(tx: Transaction, submission: str, *, now: float) -> DeliveryState | None:
    """What a submission of several messages came to, and its one receipt made due; None while one is still open."""
    rows = await tx.fetch("SELECT state FROM sms_message WHERE submission = :id AND parts > 1", {"id": submission})
    states = {DeliveryState(row[0]) for row in rows}
    if not states <= ENDED:
        return None
    badly = states - {DeliveryState.DELIVERED}
    state = min(badly) if badly else DeliveryState.DELIVERED
    await tx.execute(
        f"UPDATE sms_message SET {_DUE}, receipt_state = :told, receipt_at = :now WHERE id = :id",
        {"id": submission, "told": int(RECEIPT_STATES[state]), "badly": int(bool(badly)), "now": now},
    )
    return state


async def find_in_doubt(queries: Queries, target: str, recipient: str) -> list[str]:
    """Messages towards a recipient that are in doubt, or wait to be sent again after one.

    They are what a receipt without a known id may be about. None when there are more than `IN_DOUBT_MAX`: then one that
    is left out may be meant as well.
    """
    rows = await queries.fetch(
        "SELECT id FROM sms_message WHERE target = :target AND recipient = :recipient AND doubts > 0 AND ended_at = 0"
        f" AND state IN ('{DeliveryState.IN_DOUBT}', '{DeliveryState.WAITING}') ORDER BY id DESC LIMIT :most",
        {"target": target, "recipient": recipient, "most": IN_DOUBT_MAX + 1},
    )
    return [row[0] for row in rows] if len(rows) <= IN_DOUBT_MAX else []


async def known(queries: Queries, target: str, keys: Iterable[str]) -> list[KnownMessage]:
    """The messages to which a link gave an id that folds to one of these keys."""
    rows: list[tuple[object, ...]] = []
    for key in keys:
        rows += await queries.fetch(
            "SELECT id, next_hop_key, recipient, state, sent_at, origin FROM sms_message WHERE target = :target"
            " AND next_hop_key = :key AND next_hop_key <> '' ORDER BY id DESC LIMIT :most",
            {"target": target, "key": key, "most": SAME_ID_MAX},
        )
    return [KnownMessage(*row) for row in rows]  # type: ignore[arg-type]


async def known_by_key(queries: Queries, target: str, keys: Sequence[str]) -> dict[str, list[KnownMessage]]:
    """`known` for many keys in few statements. One is left out that has to be asked for alone: it has too many."""
    found: dict[str, list[KnownMessage]] = {}
    for start in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[start : start + KEYS_AT_ONCE]
        listed, named = named_values(some)
        most = len(some) + SAME_ID_MAX
        rows = await queries.fetch(
            "SELECT id, next_hop_key, recipient, state, sent_at, origin FROM sms_message WHERE target = :target"
            f" AND next_hop_key IN ({listed}) AND next_hop_key <> '' LIMIT :most",
            {"target": target, "most": most, **named},
        )
        if len(rows) < most:  # else there may be more, and these need not be the newest
            by_key: dict[str, list[KnownMessage]] = {key: [] for key in some}
            for row in sorted(rows, reverse=True):
                by_key[row[1]].append(KnownMessage(*row))
            found |= {key: messages[:SAME_ID_MAX] for key, messages in by_key.items()}
    return found


async def add_unknown_state(tx: Transaction, message: str, word: str, *, now: float) -> None:
    """Keeps with a message what a network said of it that nobody knows."""
    rows = await tx.fetch(
        "SELECT detail FROM sms_event WHERE message = :message AND event = 'unknown-state'", {"message": message}
    )
    if len(rows) < WORDS_KEPT_MAX and (word,) not in rows:
        await tx.execute(
            "INSERT INTO sms_event (message, time, event, detail) VALUES (:message, :now, 'unknown-state', :word)",
            {"message": message, "now": now, "word": word},
        )


async def add_contradiction(tx: Transaction, message: str, what: str, *, now: float) -> None:
    """Keeps with a message what a network said against what it has come to: evidence for whoever is to judge."""
    rows = await tx.fetch(
        "SELECT detail FROM sms_event WHERE message = :message AND event = 'contradicted'", {"message": message}
    )
    if len(rows) < CONTRADICTIONS_KEPT_MAX and (what,) not in rows:
        await tx.execute(
            "INSERT INTO sms_event (message, time, event, detail) VALUES (:message, :now, 'contradicted', :what)",
            {"message": message, "now": now, "what": what},
        )


async def add_network_receipt(tx: Transaction, receipt: NetworkReceipt, *, reason: str) -> None:
    await tx.execute(
        f"INSERT INTO sms_network_receipt ({NETWORK_RECEIPT_COLUMNS}, next_hop_key, other_key, state, reason,"
        f" changed_at, changed_by) VALUES ({', '.join(f':{field}' for field in _FIELDS)}, :next_hop_key, :other_key,"
        f" '{NETWORK_RECEIPT.first}', :reason, :came_at, '')",
        {
            **structs.asdict(receipt),
            "next_hop_key": fold(receipt.next_hop_id),
            "other_key": fold(receipt.other_id),
            "reason": reason,
        },
    )


async def one_before(queries: Queries, link: str, next_hop_id: str) -> tuple[float, int] | None:
    """(due_at, tries) of the last receipt with this id that waits already: what comes after it goes with it."""
    row = await queries.fetch_one(
        "SELECT due_at, tries FROM sms_network_receipt WHERE link = :link AND next_hop_key = :key"
        f" AND {_WAITS} ORDER BY id DESC LIMIT 1",
        {"link": link, "key": fold(next_hop_id)},
    )
    return (row[0], row[1]) if row else None


async def due_network_receipts(queries: Queries, *, limit: int, now: float) -> list[NetworkReceipt]:
    rows = await queries.fetch(
        f"SELECT {NETWORK_RECEIPT_COLUMNS} FROM sms_network_receipt WHERE {_WAITS} AND due_at <= :now"
        " ORDER BY due_at, id LIMIT :limit",
        {"now": now, "limit": limit},
    )
    return [NetworkReceipt(*row) for row in rows]


async def make_due(tx: Transaction, link: str, keys: Collection[str], *, now: float) -> None:
    """An answer has come: receipts that wait for it have waited long enough."""
    for column in ("next_hop_key", "other_key"):
        await tx.execute_many(
            f"UPDATE sms_network_receipt SET due_at = :now WHERE link = :link AND {column} = :key AND {_WAITS}"
            " AND due_at > :now",
            [{"link": link, "key": key, "now": now} for key in keys],
        )


async def try_later(tx: Transaction, receipt: str, *, due_at: float) -> None:
    await tx.execute(
        f"UPDATE sms_network_receipt SET due_at = :due_at, tries = tries + 1 WHERE id = :id AND {_WAITS}",
        {"id": receipt, "due_at": due_at},
    )


async def hold_network_receipt(tx: Transaction, receipt: str, *, reason: str, now: float) -> None:
    await tx.execute(
        f"UPDATE sms_network_receipt SET {_HOLD.put}, reason = :reason, changed_at = :now"
        f" WHERE id = :id AND {_HOLD.where}",
        {"id": receipt, "reason": reason, "now": now},
    )


async def held_ids(queries: Queries) -> list[tuple[str, str, str, str]]:
    """(link, receipt, its id and the other) of all that are held: once, when the centre starts."""
    return await queries.fetch(
        f"SELECT link, id, next_hop_id, other_id FROM sms_network_receipt WHERE {_HELD} ORDER BY changed_at, id"
    )


async def held_network_receipts(queries: Queries, ids: Sequence[str]) -> list[NetworkReceipt]:
    """Those of these that are held still, in the order in which they came."""
    rows: list[tuple[object, ...]] = []
    for listed, named in named_sets(ids):
        rows += await queries.fetch(
            f"SELECT {NETWORK_RECEIPT_COLUMNS} FROM sms_network_receipt WHERE id IN ({listed}) AND {_HELD}", named
        )
    return [NetworkReceipt(*row) for row in sorted(rows)]  # type: ignore[arg-type]


async def identified(queries: Queries, message: str, given: str) -> IdentifiedMessage | None:
    """The message to which an answer has just given an id; None when it is erased by now."""
    row = await queries.fetch_one(
        "SELECT recipient, state, sent_at, origin, next_hop_key, accepted_at FROM sms_message WHERE id = :id",
        {"id": message},
    )
    if row is None:
        return None
    key = fold(given)
    return IdentifiedMessage(KnownMessage(message, key, *row[:4]), row[4] == key, row[5])


async def settle_network_receipt(tx: Transaction, receipt: str) -> None:
    """Its message is found: what it told stands there."""
    await tx.execute("DELETE FROM sms_network_receipt WHERE id = :id", {"id": receipt})


async def count_kept(queries: Queries) -> dict[str, tuple[int, int]]:
    """By link, how many receipts wait and how many are held. As long as all of them: once, when the centre starts."""
    rows = await queries.fetch(
        "SELECT link, SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), SUM(CASE WHEN state = 'held' THEN 1 ELSE 0"
        " END) FROM sms_network_receipt GROUP BY link"
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


async def habits(queries: Queries) -> dict[str, Habit]:
    rows = await queries.fetch("SELECT link, same, decimals, hexadecimals, missed FROM sms_link_habit")
    return {row[0]: Habit(*row[1:]) for row in rows}


async def put_habit(tx: Transaction, link: str, habit: Habit) -> None:
    await tx.execute_many(
        "INSERT INTO sms_link_habit (link, same, decimals, hexadecimals, missed)"
        " VALUES (:link, :same, :decimal, :hexadecimal, :missed) ON CONFLICT (link) DO UPDATE SET"
        " same = excluded.same, decimals = excluded.decimals, hexadecimals = excluded.hexadecimals,"
        " missed = excluded.missed",
        [{"link": link, "same": habit.same, "decimal": habit.decimal, "hexadecimal": habit.hexadecimal,
          "missed": habit.missed}],
    )  # fmt: skip


async def erase_discarded(tx: Transaction, *, discarded_before: float, limit: int) -> int:
    """Deletes receipts that were discarded long ago; returns how many."""
    rows = await tx.fetch(
        "DELETE FROM sms_network_receipt WHERE id IN (SELECT id FROM sms_network_receipt WHERE state = 'discarded'"
        " AND changed_at <= :before ORDER BY changed_at LIMIT :limit) RETURNING id",
        {"before": discarded_before, "limit": limit},
    )
    return len(rows)


async def claim_receipts(tx: Transaction, origin: str, *, limit: int, now: float) -> list[DueReceipt]:
    rows = await tx.fetch(
        f"UPDATE sms_message SET {_CLAIM.put} WHERE id IN (SELECT id FROM sms_message WHERE origin = :origin"
        f" AND {_CLAIM.where} AND receipt_at <= :now ORDER BY receipt_at LIMIT :limit)"
        " RETURNING id, sender, recipient, receipt_state, accepted_at, ended_at, user_reference",
        {"origin": origin, "limit": limit, "now": now},
    )
    return sorted((DueReceipt(*row) for row in rows), key=lambda receipt: receipt.ended_at)


async def mark_receipts_delivered(tx: Transaction, ids: Sequence[str], *, now: float) -> None:
    for listed, named in named_sets(ids):
        await tx.execute_many(
            f"UPDATE sms_message SET {_GIVE.put}, receipt_at = :now WHERE id IN ({listed}) AND {_GIVE.where}",
            [{**named, "now": now}],
        )


async def put_off_receipts(tx: Transaction, ids: Sequence[str], *, due_at: float) -> None:
    for listed, named in named_sets(ids):
        await tx.execute_many(
            f"UPDATE sms_message SET {_PUT_OFF.put}, receipt_at = :due_at WHERE id IN ({listed}) AND {_PUT_OFF.where}",
            [{**named, "due_at": due_at}],
        )
