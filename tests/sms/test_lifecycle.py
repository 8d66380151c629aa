"""The life cycles of messages and receipts: every state with every event, and the store's statements held to them."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from message_table import BASE, NOW, STATES, Row, crossed, effect

from prikkfri.sms import store
from prikkfri.sms.lifecycle import (
    ENDED,
    ENDINGS,
    MESSAGE,
    RECEIPT,
    DeliveryState,
    Event,
    ReceiptEvent,
    ReceiptState,
    out_of_time,
    put_first,
)
from prikkfri.sms.quarantine import store as quarantine
from prikkfri.sms.receipts import store as receipts
from prikkfri.storage import Database, Transaction

# What each event makes of a message, state by state; a dot: nothing.
MESSAGES = """
                 claim    release  move     take  put-off  recall    doubt     deliver    fail           reject    expire   unreport    quarantine         free     discard  give-up
waiting          sending  .        waiting  .     .        in-doubt  .         .          .              .         expired  .           .                  .        .        unreported
sending          .        waiting  .        sent  waiting  .         in-doubt  delivered  .              rejected  .        .           quarantined        .        .        .
sent             .        .        .        .     .        .         .         delivered  undeliverable  rejected  expired  unreported  .                  .        .        .
in-doubt         .        .        .        sent  waiting  .         .         delivered  undeliverable  rejected  expired  unreported  .                  .        .        unreported
quarantined      .        .        .        .     .        .         .         .          .              .         .        .           .                  waiting  rejected  .
delivered        .        .        .        .     .        .         .         .          .              .         .        .           .                  .        .        .
undeliverable    .        .        .        .     .        .         .         .          .              .         .        .           .                  .        .        .
rejected         .        .        .        .     .        .         .         .          .              .         .        .           .                  .        .        .
expired          .        .        .        .     .        .         .         .          .              .         .        .           .                  .        .        .
unreported       .        .        .        .     .        .         .         .          .              .         .        .           .                  .        .        .
"""  # noqa: E501
RECEIPTS = """
           due      claim-at-once  claim    give   put-off
none       waiting  sending        .        .      .
waiting    .        .              sending  .      .
sending    .        .              .        given  waiting
given      .        .              .        .      .
"""
RECEIPT_STATES = tuple(str(state) for state in ReceiptState)


def drawn(table: str) -> dict[tuple[str, str], str | None]:
    (*events,), *lines = (line.split() for line in table.strip().splitlines())
    return {
        (state.replace("none", ""), event): None if reached == "." else reached
        for state, *following in lines
        for event, reached in zip(events, following, strict=True)
    }


@pytest.mark.parametrize(
    ("lifecycle", "states", "events", "table"),
    [(MESSAGE, DeliveryState, Event, MESSAGES), (RECEIPT, ReceiptState, ReceiptEvent, RECEIPTS)],
    ids=["message", "receipt"],
)
def test_every_event_in_every_state_has_the_end_that_is_drawn(
    lifecycle: Any, states: Any, events: Any, table: str
) -> None:
    assert {(str(s), str(e)): lifecycle.after(s, e) for s in states for e in events} == drawn(table)
    assert set(lifecycle.steps) == set(events)


def test_a_message_and_its_receipt_begin_where_their_tables_begin() -> None:
    assert (MESSAGE.first, RECEIPT.first) == (DeliveryState.WAITING, ReceiptState.NONE)


def test_each_end_has_one_event_and_whose_time_is_up_ends_by_where_it_is() -> None:
    assert set(ENDINGS) == set(ENDED)
    assert {state: MESSAGE.steps[event][1] for state, event in ENDINGS.items()} == {state: state for state in ENDED}
    assert [out_of_time(state) for state in (DeliveryState.WAITING, DeliveryState.SENT, DeliveryState.IN_DOUBT)] == [
        DeliveryState.EXPIRED, DeliveryState.UNREPORTED, DeliveryState.UNREPORTED
    ]  # fmt: skip
    for state in DeliveryState:  # whatever may be overdue can end so
        if MESSAGE.after(state, Event.EXPIRE):
            assert MESSAGE.after(state, ENDINGS[out_of_time(state)])


def test_a_change_is_put_into_sql_by_its_table() -> None:
    claim, put_off = MESSAGE.change(Event.CLAIM), MESSAGE.change(Event.PUT_OFF)
    assert (claim.put, claim.where) == ("state = 'sending'", "state = 'waiting'")
    assert (put_off.put, put_off.where) == ("state = 'waiting'", "state IN ('sending', 'in-doubt')")
    assert MESSAGE.transitions(DeliveryState)[DeliveryState.SENT] == ENDED - {DeliveryState.QUARANTINED}
    assert MESSAGE.transitions(DeliveryState)[DeliveryState.WAITING] == {
        DeliveryState.SENDING,
        DeliveryState.IN_DOUBT,
        DeliveryState.EXPIRED,
        DeliveryState.UNREPORTED,
    }  # to be moved is no way on
    due = RECEIPT.change(ReceiptEvent.DUE).put_where("parts = 1")
    assert due == "receipt = CASE WHEN receipt = '' AND (parts = 1) THEN 'waiting' ELSE receipt END"
    first = put_first(
        (RECEIPT.change(ReceiptEvent.CLAIM_AT_ONCE), "parts = 1"), (RECEIPT.change(ReceiptEvent.DUE), "1")
    )
    assert first == (
        "receipt = CASE WHEN receipt = '' AND (parts = 1) THEN 'sending'"
        " WHEN receipt = '' AND (1) THEN 'waiting' ELSE receipt END"
    )


# The statements: each is asked of messages in every state.

Statement = Callable[[Transaction, list[str]], Awaitable[Any]]


def ending(state: DeliveryState, *takers: str) -> Statement:
    async def end(tx: Transaction, ids: list[str]) -> None:
        await store.end(tx, [(each, state, "") for each in ids], now=NOW, takers=takers)

    return end


async def put_off(tx: Transaction, ids: list[str]) -> None:
    for each in ids:
        await store.put_off(tx, each, due_at=NOW, reason="")


async def free(tx: Transaction, ids: list[str]) -> None:
    for each in ids:
        await quarantine.free(tx, each, "link:syd", now=NOW)


async def discard(tx: Transaction, ids: list[str]) -> None:
    for each in ids:
        await quarantine.discard_message(tx, each, now=NOW)


STATEMENTS: list[tuple[Event, Statement]] = [
    (Event.CLAIM, lambda tx, ids: store.claim(tx, "link:nord", limit=10_000, now=NOW)),
    (Event.RELEASE, lambda tx, ids: store.release(tx, ids)),
    (Event.MOVE, lambda tx, ids: store.move(tx, "link:nord", "held:nord", limit=10_000)),
    (Event.TAKE, lambda tx, ids: store.mark_sent(tx, [(each, "net") for each in ids], now=NOW)),
    (Event.PUT_OFF, put_off),
    (Event.RECALL, lambda tx, ids: store.recall(tx, ids, "link:syd")),
    (Event.DOUBT, lambda tx, ids: store.mark_in_doubt(tx, ids, due_at=NOW)),
    (Event.DOUBT, lambda tx, ids: store.doubt_what_was_sending(tx, due_at=NOW)),
    *((event, ending(state)) for state, event in ENDINGS.items()),
    (Event.FREE, free),
    (Event.DISCARD, discard),
    (Event.GIVE_UP, lambda tx, ids: store.give_up(tx, ids, now=NOW)),
]
RECEIPT_STATEMENTS: list[tuple[ReceiptEvent, Statement]] = [
    (ReceiptEvent.CLAIM, lambda tx, ids: receipts.claim_receipts(tx, "account:shop", limit=10_000, now=NOW)),
    (ReceiptEvent.GIVE, lambda tx, ids: receipts.mark_receipts_delivered(tx, ids, now=NOW)),
    (ReceiptEvent.PUT_OFF, lambda tx, ids: receipts.put_off_receipts(tx, ids, due_at=NOW)),
    (ReceiptEvent.PUT_OFF, lambda tx, ids: store.doubt_what_was_sending(tx, due_at=NOW)),
]


async def run(database: Database, rows: list[Row], statement: Statement) -> list[tuple[Row, Row]]:
    """Each row before and after."""
    found = await effect(database, rows, lambda tx: statement(tx, [row["id"] for row in rows]))
    assert found.before.keys() == found.after.keys()
    return [(row, found.after[identity]) for identity, row in found.before.items()]


@pytest.mark.parametrize(("event", "statement"), STATEMENTS, ids=[str(event) for event, _ in STATEMENTS])
async def test_a_statement_changes_states_as_the_table_says(
    database: Database, event: Event, statement: Statement
) -> None:
    for before, after in await run(database, crossed(state=STATES), statement):
        reached = MESSAGE.after(DeliveryState(before["state"]), event)
        assert after["state"] == (reached or before["state"]), before["state"]
        assert (after == before) is (reached is None), before["state"]


@pytest.mark.parametrize(("event", "statement"), RECEIPT_STATEMENTS, ids=[str(e) for e, _ in RECEIPT_STATEMENTS])
async def test_a_statement_changes_receipts_as_the_table_says(
    database: Database, event: ReceiptEvent, statement: Statement
) -> None:
    for before, after in await run(database, crossed(receipt=RECEIPT_STATES, state=["delivered"]), statement):
        reached = RECEIPT.after(ReceiptState(before["receipt"]), event)
        assert after["receipt"] == (reached or before["receipt"]), before["receipt"]
        assert (after == before) is (reached is None), before["receipt"]


async def test_a_receipt_falls_due_as_the_table_says_and_only_where_it_is_wanted(database: Database) -> None:
    async def end_whole(tx: Transaction, ids: list[str]) -> None:
        for each in ids:
            await receipts.end_submission(tx, each, now=NOW)

    wanted = {"registered": (0, 1), "receipt": RECEIPT_STATES}
    alone = await run(database, crossed(**wanted, state=["sent"]), ending(DeliveryState.EXPIRED))
    parts = await run(database, crossed(**wanted, state=["expired"], parts=[2]), end_whole)
    taken = await run(
        database, crossed(**wanted, state=["sent"]), ending(DeliveryState.EXPIRED, "account:none", BASE["origin"])
    )
    others = await run(database, crossed(**wanted, state=["sent"]), ending(DeliveryState.EXPIRED, "account:none"))
    for event, changed in ((ReceiptEvent.DUE, alone + parts + others), (ReceiptEvent.CLAIM_AT_ONCE, taken)):
        for before, after in changed:
            reached = RECEIPT.after(ReceiptState(before["receipt"]), event) if before["registered"] else None
            assert after["receipt"] == (reached or before["receipt"])


def test_every_event_has_a_statement_and_no_statement_names_a_state_that_it_sets() -> None:
    assert {event for event, _ in STATEMENTS} == set(Event)
    assert {event for event, _ in RECEIPT_STATEMENTS} | {ReceiptEvent.DUE, ReceiptEvent.CLAIM_AT_ONCE} == set(
        ReceiptEvent
    )
    sources = sorted(Path(str(store.__file__)).parent.rglob("*.py"))
    for source in sources:
        text = source.read_text(encoding="utf-8")
        for written in re.findall(r"UPDATE sms_message SET.*?(?=WHERE)", text, re.DOTALL):
            assert not re.search(r"\b(state|receipt) = ", written), (source.name, written)
