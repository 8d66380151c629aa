"""What each statement of the message store does, and to whom not, on both engines."""

import random
from functools import partial
from typing import Any

import pytest
from message_table import BASE, GONE, NOW, STATES, Row, crossed, effect, fill, message, neighbours, numbered, read

from prikkfri.protocols.smpp.concatenation import PartReference
from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.sms import store
from prikkfri.sms.housekeeping import store as housekeeping
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import DueReceipt, Ending, Message, message_id
from prikkfri.sms.network_receipts import KnownMessage
from prikkfri.sms.placing import store as placing
from prikkfri.sms.receipts import store as receipts
from prikkfri.sms.receipts.store import KEYS_AT_ONCE, SAME_ID_MAX
from prikkfri.sms.routes import store as routes_store
from prikkfri.sms.routing import ExposedMessage, RouteOutage
from prikkfri.sms.submissions import store as submissions_store
from prikkfri.sms.trail import Step
from prikkfri.sms.trails import store as trails_store
from prikkfri.storage import Database, Transaction
from prikkfri.storage.sets import VALUES_AT_ONCE

MAY_COME_FROM: dict[DeliveryState, set[str]] = {
    DeliveryState.DELIVERED: {"sending", "sent", "in-doubt"},
    DeliveryState.REJECTED: {"sending", "sent", "in-doubt"},
    DeliveryState.UNDELIVERABLE: {"sent", "in-doubt"},
    DeliveryState.EXPIRED: {"waiting", "sent", "in-doubt"},
    DeliveryState.UNREPORTED: {"sent", "in-doubt"},
    DeliveryState.QUARANTINED: {"sending"},
}
"""Each end, and the states that it may be the end of."""
TOLD = {
    DeliveryState.DELIVERED: MessageState.DELIVERED,
    DeliveryState.REJECTED: MessageState.REJECTED,
    DeliveryState.UNDELIVERABLE: MessageState.UNDELIVERABLE,
    DeliveryState.EXPIRED: MessageState.EXPIRED,
    DeliveryState.UNREPORTED: MessageState.UNKNOWN,
    DeliveryState.QUARANTINED: MessageState.UNKNOWN,
}


def on(row: Row, **columns: Any) -> bool:
    return all(row[column] == value for column, value in columns.items())


# taking on


async def test_a_message_is_stored_as_it_was_taken_on_and_waits(database: Database) -> None:
    new = Message("new", "whole", 2, 3, "account:shop", "link:nord", "log-in-code", "Shop", "4790000001", b"\0x", 2,
                  NOW, NOW + 1, NOW + 2)  # fmt: skip
    found = await effect(database, crossed(state=STATES), lambda tx: store.insert(tx, [new]))
    assert found.after.pop("new") == {
        **{field: getattr(new, field) for field in Message.__struct_fields__},
        **{"state": "waiting", "reason": "", "next_hop_id": "", "next_hop_key": ""},
        **{"attempted_at": 0, "sent_at": 0, "ended_at": 0},
        **{"receipt": "", "receipt_state": 0, "receipt_at": 0, "attempts": 0, "doubts": 0},
        "sessions_ended": 0,
        "restored": 0,
    }
    found.untouched()


async def test_the_newest_is_the_last_by_its_id_wherever_it_lies_and_of_none_there_is_no_time(
    database: Database,
) -> None:
    assert await database.read(store.newest) == 0.0
    ids = ("0018bcfe5680", "0018bcfe5682", "0018bcfe5681")
    rows = [{**BASE, "id": each, "accepted_at": NOW + at, "state": "delivered"} for at, each in enumerate(ids)]
    assert (await effect(database, rows, store.newest)).result == NOW + 1


async def test_how_far_references_have_come_is_kept_by_slot_and_goes_on(database: Database) -> None:
    assert await database.read(submissions_store.references) == {}
    for last in ({7: 255, 65_535: 0}, {7: 3, 0: 9}, {}):
        await database.write(partial(submissions_store.put_references, last=last))
    assert await database.read(submissions_store.references) == {7: 3, 65_535: 0, 0: 9}


def taken(reference: int, at: float, **known: Any) -> PartReference:
    usual = {"sender": "Shop", "recipient": "47", "wide": False, "origin": "shop", "chosen": 7, "total": 2}
    return PartReference(reference=reference, at=at, **{**usual, "numbers": b"\1", **known})


async def test_whose_references_are_is_kept_until_no_phone_waits_any_more(database: Database) -> None:
    known = partial(submissions_store.part_references, since=0.0, limit=10)
    assert await database.read(known) == []
    first, second, wide = taken(7, 30.0), taken(8, 20.0, origin="bank"), taken(7, 10.0, wide=True, numbers=b"\0")
    elsewhere = [taken(7, 5.0, recipient="48"), taken(7, 6.0, sender="Bank")]
    for some in ([first, second], [wide, *elsewhere], []):
        await database.write(partial(submissions_store.put_part_references, taken=some))
    assert await database.read(known) == [*elsewhere, wide, second, first]
    assert await database.read(partial(known, since=20.0)) == [second, first]
    assert await database.read(partial(known, limit=2)) == [second, first], "the newest"
    gone_on = taken(7, 40.0, origin="", chosen=200, total=0, numbers=b"\1\2\xff")
    await database.write(partial(submissions_store.put_part_references, taken=[gone_on]))
    assert await database.read(known) == [*elsewhere, wide, second, gone_on]
    erase = partial(submissions_store.erase_part_references, before=20.0)
    assert [await database.write(partial(erase, limit=2)) for _ in range(3)] == [2, 1, 0]
    assert await database.read(known) == [second, gone_on]


# claiming


def due(row: Row, target: str = "link:nord") -> bool:
    return on(row, target=target, state="waiting") and row["due_at"] <= NOW <= row["expires_at"] - 1


def claimed(row: Row) -> Row:
    return {"state": "sending", "attempts": row["attempts"] + 1, "attempted_at": NOW}


async def test_what_is_due_and_has_not_expired_is_claimed_for_its_party_alone(database: Database) -> None:
    claim = partial(store.claim, target="link:nord", limit=10_000, now=NOW)
    for routes in ({}, {"nord": "open", "syd": "stopped", "link:nord": "stopped"}):
        found = await effect(database, neighbours(), claim, routes=routes)
        found.must_be(lambda row: claimed(row) if due(row) else None)
        mine = [row for row in found.after.values() if row["state"] == "sending" and row["attempted_at"] == NOW]
        mine.sort(key=lambda row: (row["origin"], row["due_at"], row["id"]))
        assert found.result == [message(row) for row in mine]


async def test_one_origins_many_do_not_hold_up_anothers_few(database: Database) -> None:
    rows = [{**BASE, "origin": "account:bulk", "due_at": NOW - 500 + number} for number in range(100)]
    rows += [{**BASE, "origin": "account:shop", "due_at": NOW - 5 + number} for number in range(3)]
    rows += [{**BASE, "origin": "account:late", "due_at": NOW + 5}]

    async def claim_in_turns(tx: Transaction) -> list[list[str]]:
        claims, after = [], ""
        for _ in range(5):
            claims.append(
                [
                    each.origin.split(":")[1]
                    for each in await store.claim(tx, "link:nord", limit=10, now=NOW, after=after)
                ]
            )
            after = f"account:{claims[-1][-1]}"
        return claims

    found = await effect(database, numbered(rows), claim_in_turns)
    bulk = ["bulk"] * 10
    assert found.result == [bulk, ["shop"] * 3 + ["bulk"] * 7, bulk, bulk, bulk]


@pytest.mark.parametrize("seed", range(4))
async def test_origins_take_turns_and_each_keeps_its_order(database: Database, seed: int) -> None:
    lots = random.Random(seed)
    origins = [f"account:{name}" for name in "abcde"]
    rows = numbered([
        {**BASE, "origin": lots.choice(origins[: 2 + seed]), "due_at": NOW - lots.choice([5, 3, 1, -1]),
         "accepted_at": NOW - 100 + number}
        for number in range(40)
    ])  # fmt: skip
    limit, after = lots.randint(1, 12), lots.choice(["", "account:b", "account:bb", "account:z"])
    found = await effect(database, rows, partial(store.claim, target="link:nord", limit=limit, now=NOW, after=after))
    turns = sorted(origins, key=lambda origin: (origin <= after, origin))
    ready = sorted((row for row in rows if row["due_at"] <= NOW), key=lambda row: (
        turns.index(row["origin"]), row["due_at"], row["accepted_at"]))  # fmt: skip
    assert [each.id for each in found.result] == [row["id"] for row in ready[:limit]]


async def test_over_a_stopped_route_only_canaries_are_claimed(database: Database) -> None:
    claim = partial(store.claim, target="link:nord", limit=10_000, now=NOW)
    found = await effect(database, neighbours(), claim, routes={"nord": "stopped", "syd": "open"})
    found.must_be(lambda row: claimed(row) if due(row) and on(row, message_class="canary") else None)
    assert {each.message_class for each in found.result} == {"canary"}


async def test_an_account_of_a_stopped_links_name_is_no_link(database: Database) -> None:
    claim = partial(store.claim, target="account:shop", limit=10_000, now=NOW)
    found = await effect(database, neighbours(), claim, routes={"shop": "stopped", "nord": "stopped"})
    found.must_be(lambda row: claimed(row) if due(row, "account:shop") else None)


async def test_who_has_been_due_longest_is_claimed_first_whatever_has_expired(database: Database) -> None:
    order = [5, 3, 9, 1, 7, 0, 2, 8]
    rows = [{**BASE, "due_at": NOW - 10 + late, "expires_at": NOW - 5 if late < 2 else NOW + 5} for late in order]
    claim = partial(store.claim, target="link:nord", limit=3, now=NOW)
    found = await effect(database, numbered(rows), claim)
    assert [each.due_at - NOW + 10 for each in found.result] == [2, 3, 5]
    found.must_be(lambda row: claimed(row) if row["due_at"] in (NOW - 8, NOW - 7, NOW - 5) else None)


async def test_a_party_is_full_when_as_much_waits_as_may(database: Database) -> None:
    rows = crossed(state=STATES, target=("link:nord", "link:syd"), due_at=(NOW, NOW + 5))
    limits = [("link:nord", 0, True), ("link:nord", 1, True), ("link:nord", 2, True), ("link:nord", 3, False)]
    for target, limit, full in (*limits, ("account:shop", 0, False), ("account:shop", 1, False)):
        found = await effect(database, rows, partial(housekeeping.is_full, target=target, limit=limit))
        assert found.result is full, (target, limit)
        found.untouched()
    for limit, full in ((1, True), (2, False)):
        one = crossed(state=["waiting"])
        assert (
            await effect(database, one, partial(housekeeping.is_full, target="link:nord", limit=limit))
        ).result is full


# what became of an attempt: each of these is asked of every row in the table, or of every second


def every_second(rows: list[Row]) -> list[str]:
    return [row["id"] for row in rows[::2]]


async def test_what_was_claimed_and_not_written_is_given_back_and_nothing_else(database: Database) -> None:
    rows = crossed(state=STATES, target=("link:nord", "link:syd"), attempts=(1, 4))
    asked = every_second(rows)
    found = await effect(database, rows, partial(store.release, ids=asked))
    found.must_be(
        lambda row: (
            {"state": "waiting", "attempts": row["attempts"] - 1}
            if row["id"] in asked and on(row, state="sending")
            else None
        )
    )


async def test_only_what_was_on_its_way_becomes_sent(database: Database) -> None:
    rows = crossed(state=STATES, target=("link:nord", "link:syd"), next_hop_id=("", "old"))
    asked = every_second(rows)
    sent = [(identity, f"00NET-{identity}") for identity in asked]
    twice = [*sent, *((identity, "second") for identity in asked)]  # the first is kept
    found = await effect(database, rows, partial(store.mark_sent, sent=twice, now=NOW))
    found.must_be(
        lambda row: (
            {
                "state": "sent",
                "reason": "",
                "next_hop_id": f"00NET-{row['id']}",
                "next_hop_key": f"net-{row['id']}",
                "sent_at": NOW,
            }
            if row["id"] in asked and row["state"] in ("sending", "in-doubt")
            else None
        )
    )


async def test_only_what_waits_is_recalled_for_whoever_has_it(database: Database) -> None:
    rows = crossed(state=STATES, target=("link:nord", "link:syd", "held:nord"), message_class=("ordinary", "canary"))
    asked = every_second(rows)
    found = await effect(database, rows, partial(store.recall, ids=asked, target="link:nord"))
    found.must_be(
        lambda row: (
            {"state": "in-doubt", "target": "link:nord"} if row["id"] in asked and row["state"] == "waiting" else None
        )
    )
    assert set(found.result) == {row["id"] for row in rows if row["id"] in asked and row["state"] == "waiting"}


async def test_only_what_was_on_its_way_is_put_off(database: Database) -> None:
    rows = crossed(state=STATES, target=("link:nord", "link:syd"), due_at=(NOW - 5, NOW + 5))
    asked = every_second(rows)

    async def put_off(tx: Transaction) -> None:
        for identity in asked:
            await store.put_off(tx, identity, due_at=NOW + 60, reason="smpp-58")

    found = await effect(database, rows, put_off)
    found.must_be(
        lambda row: (
            {"state": "waiting", "reason": "smpp-58", "due_at": NOW + 60}
            if row["id"] in asked and row["state"] in ("sending", "in-doubt")
            else None
        )
    )


async def test_what_came_too_fast_is_put_back_as_if_it_had_not_been_tried(database: Database) -> None:
    rows = crossed(state=STATES, attempts=(1, 4))
    put_off = partial(store.put_off, due_at=NOW - 5, reason="smpp-58", is_attempt=False)

    async def put_back(tx: Transaction) -> None:
        for row in rows:
            await put_off(tx, row["id"])

    found = await effect(database, rows, put_back)
    back = {"state": "waiting", "reason": "smpp-58", "due_at": NOW - 5}
    found.must_be(
        lambda row: {**back, "attempts": row["attempts"] - 1} if row["state"] in ("sending", "in-doubt") else None
    )


async def test_only_what_was_being_sent_comes_into_doubt(database: Database) -> None:
    rows = crossed(state=STATES, target=("link:nord", "link:syd"), due_at=(NOW - 5, NOW + 5))
    asked = every_second(rows)
    found = await effect(database, rows, partial(store.mark_in_doubt, ids=asked, due_at=NOW + 60))
    found.must_be(
        lambda row: (
            {"state": "in-doubt", "reason": "no-answer", "due_at": NOW + 60, "doubts": 1}
            if row["id"] in asked and on(row, state="sending")
            else None
        )
    )


async def test_by_whom_a_session_was_ended_and_how_often_a_message_was_in_doubt_is_counted(database: Database) -> None:
    rows = crossed(state=STATES, doubts=(0, 2), sessions_ended=(0, 1))
    asked = every_second(rows)
    doubt = partial(store.mark_in_doubt, ids=[row["id"] for row in rows], ended_session=asked, due_at=NOW + 60)
    found = await effect(database, rows, doubt)
    into = {"state": "in-doubt", "reason": "no-answer", "due_at": NOW + 60}
    found.must_be(
        lambda row: (
            {
                **into,
                "doubts": row["doubts"] + 1,
                "sessions_ended": row["sessions_ended"] + (row["id"] in asked),
            }
            if on(row, state="sending")
            else None
        )
    )


async def test_after_a_crash_all_that_was_being_sent_is_in_doubt_and_nothing_of_it_is_due(database: Database) -> None:
    rows = crossed(
        state=STATES, receipt=("", "waiting", "sending", "given"), target=("link:nord", "account:shop"), doubts=(0, 1)
    )

    async def restart(tx: Transaction) -> Any:
        doubtful = await store.doubt_what_was_sending(tx, due_at=NOW + 60)
        before = await read(tx)
        for target in ("link:nord", "account:shop"):
            claimed_now = await store.claim(tx, target, limit=10_000, now=NOW)
            assert {before[each.id]["state"] for each in claimed_now} == {"waiting"}
        return doubtful, before

    found = await effect(database, rows, restart)
    doubtful, found.after = found.result

    def expected(row: Row) -> Row | None:
        new: Row = {}
        if on(row, state="sending"):
            new |= {"state": "in-doubt", "reason": "restart", "due_at": NOW + 60, "doubts": row["doubts"] + 1}
        if on(row, receipt="sending"):
            new |= {"receipt": "waiting"}
        return new or None

    found.must_be(expected)
    was_sending = [row for row in found.after.values() if row["reason"] == "restart"]
    by_id = {each.id: each for each in doubtful}
    assert by_id == {row["id"]: message(row) for row in was_sending}


async def test_a_doubt_is_decided_when_its_time_has_come_for_its_party_alone(database: Database) -> None:
    rows = neighbours(state="in-doubt", doubts=2)
    found = await effect(
        database, rows, partial(housekeeping.settled_doubts, target="link:nord", limit=10_000, now=NOW)
    )
    found.untouched()
    assert sorted(found.result) == sorted(
        (row["id"], row["origin"], row["message_class"], row["doubts"])
        for row in rows
        if on(row, state="in-doubt", target="link:nord") and row["due_at"] <= NOW
    )
    few = await effect(database, rows, partial(housekeeping.settled_doubts, target="link:nord", limit=3, now=NOW))
    assert len(few.result) == 3


# ends


@pytest.mark.parametrize("state", MAY_COME_FROM)
async def test_a_message_ends_once_without_its_body_and_with_the_receipt_that_was_asked_for(
    database: Database, state: DeliveryState
) -> None:
    rows = crossed(state=STATES, registered=(0, 1, 2), parts=(1, 3))
    asked = [row["id"] for row in rows if row["registered"] or row["parts"] == 1]

    ends = [(identity, state, "why") for identity in asked]
    found = await effect(database, rows, partial(store.end, ends=ends, now=NOW))

    def expected(row: Row) -> Row | None:
        if row["id"] not in asked or row["state"] not in MAY_COME_FROM[state]:
            return None
        wanted = row["registered"] == 1 or (row["registered"] == 2 and state is not DeliveryState.DELIVERED)
        return {
            "state": str(state),
            "reason": "why",
            "ended_at": NOW,
            "sealed": b"sealed" if state is DeliveryState.QUARANTINED else None,  # a person may have to look into it
            "receipt": "waiting" if wanted and row["parts"] == 1 else "",
            "receipt_state": TOLD[state],
            "receipt_at": NOW,
        }

    found.must_be(expected)
    ended = [row for row in map(found.before.__getitem__, asked) if row["state"] in MAY_COME_FROM[state]]
    told = ("id", "submission", "parts", "origin", "target", "message_class", "sender", "recipient")
    after = [found.after[row["id"]] for row in ended]
    assert found.result == [
        Ending(*[row[name] for name in told], state, "why", row["receipt"], row["accepted_at"], NOW, 258)
        for row in after
    ]
    assert [ending.due_receipt for ending in found.result] == [
        DueReceipt(row["id"], row["sender"], row["recipient"], TOLD[state], row["accepted_at"], NOW, 258)
        for row in after
    ]
    assert all(ending.state is state for ending in found.result)


async def test_receipts_are_claimed_as_they_fall_due_for_those_senders_who_take_them_now(database: Database) -> None:
    origins = ("account:shop", "account:bank", "account:post", "link:nord")
    rows = crossed(state=["sent"], origin=origins, registered=(0, 1), parts=(1, 3))
    ends = [(row["id"], DeliveryState.DELIVERED, "") for row in rows]
    takers = ["account:bank", "account:post", "account:away"]
    found = await effect(database, rows, partial(store.end, ends=ends, now=NOW, takers=takers))
    due = [row for row in found.after.values() if row["registered"] and row["parts"] == 1]
    assert {(row["origin"], row["receipt"]) for row in due} == {
        ("account:shop", "waiting"), ("account:bank", "sending"), ("account:post", "sending"), ("link:nord", "waiting")
    }  # fmt: skip
    others = [row for row in found.after.values() if not row["registered"] or row["parts"] > 1]
    assert {row["receipt"] for row in others} == {""}
    assert [(ending.id, ending.receipt) for ending in found.result] == [
        (row["id"], found.after[row["id"]]["receipt"]) for row in rows
    ]


async def test_many_end_at_once_each_in_its_way_and_are_told_of_as_they_were_named(database: Database) -> None:
    """Also more than one statement takes."""
    rows = crossed(state=["sent", "waiting"], expires_at=[NOW + number for number in range(500)])
    ways = (DeliveryState.DELIVERED, DeliveryState.EXPIRED, DeliveryState.REJECTED)
    named = {row["id"]: ways[number % 3] for number, row in enumerate(rows)}
    backwards = [(identity, named[identity], f"why-{named[identity]}") for identity in reversed(named)]
    found = await effect(database, rows, partial(store.end, ends=backwards, now=NOW))
    ended = [identity for identity, state, _ in backwards if found.before[identity]["state"] in MAY_COME_FROM[state]]
    assert len(ended) > VALUES_AT_ONCE and [ending.id for ending in found.result] == ended
    assert {ending.id: (ending.state, ending.reason) for ending in found.result} == {
        identity: (named[identity], f"why-{named[identity]}") for identity in ended
    }


async def test_messages_are_known_by_the_folded_id_that_their_link_gave_the_newest_first(database: Database) -> None:
    rows = [row for row in neighbours(state="sent") if row["ended_at"] == 0.0][:60]
    rows += numbered([{**BASE, "next_hop_key": key, "target": target, "state": "delivered", "id": f"x{number:02}"}
                      for number, (key, target) in enumerate([("", "link:nord"), ("ff", "link:nord"),
                      *[("7", "link:nord")] * (SAME_ID_MAX + 1), ("ff", "link:syd")])])  # fmt: skip

    async def look(tx: Transaction) -> list[KnownMessage]:
        return await receipts.known(tx, "link:nord", ["ff", "7", "", "none"])

    found = await effect(database, rows, look)
    found.untouched()
    meant = [row for row in rows if row["target"] == "link:nord"]
    newest = sorted((row for row in meant if row["next_hop_key"] == "7"), key=lambda row: row["id"], reverse=True)
    wanted = [*(row for row in meant if row["next_hop_key"] == "ff"), *newest[:SAME_ID_MAX]]
    assert found.result == [
        KnownMessage(row["id"], row["next_hop_key"], row["recipient"], row["state"], row["sent_at"], row["origin"])
        for row in wanted
    ]


@pytest.mark.parametrize("more", [0, 1])
async def test_many_ids_are_known_at_once_as_each_is_alone_and_one_with_too_many_messages_is_left_to_be_asked_alone(
    database: Database, more: int
) -> None:
    """The last of them share a statement of their own: one that gets as many rows as it may could have got more."""
    keys = [f"id{number}" for number in range(KEYS_AT_ONCE + 3)]
    rows = numbered([
        *({**BASE, "next_hop_key": key, "target": "link:nord", "state": "sent", "id": key} for key in keys[1:-1]),
        {**BASE, "next_hop_key": "id1", "target": "link:syd", "state": "sent", "id": "elsewhere"},
        *({**BASE, "next_hop_key": "id2", "target": "link:nord", "state": "delivered", "id": f"x{n}"} for n in (2, 1)),
        *({**BASE, "next_hop_key": keys[-2], "target": "link:nord", "state": "sent", "id": f"y{n:02}"}
          for n in range(SAME_ID_MAX + more)),
    ])  # fmt: skip

    async def look(tx: Transaction) -> tuple[dict[str, list[KnownMessage]], dict[str, list[KnownMessage]]]:
        alone = {key: await receipts.known(tx, "link:nord", [key]) for key in keys}
        return await receipts.known_by_key(tx, "link:nord", keys), alone

    found = await effect(database, rows, look)
    found.untouched()
    together, alone = found.result
    assert len(alone["id2"]) == 3 and alone["id0"] == alone[keys[-1]] == []
    left_out = keys[KEYS_AT_ONCE:] if more else []
    assert together == {key: messages for key, messages in alone.items() if key not in left_out}


async def test_of_no_ids_nothing_is_asked(database: Database) -> None:
    found = await effect(database, [], lambda tx: receipts.known_by_key(tx, "link:nord", []))
    assert found.result == {}


PARTS: list[tuple[list[str], DeliveryState | None]] = [
    (["delivered", "delivered", "delivered"], DeliveryState.DELIVERED),
    (["delivered", "undeliverable", "delivered"], DeliveryState.UNDELIVERABLE),
    (["delivered", "quarantined", "delivered"], DeliveryState.QUARANTINED),
    (["unreported", "rejected", "delivered"], DeliveryState.REJECTED),
    (["expired", "expired", "expired"], DeliveryState.EXPIRED),
    (["delivered", "undeliverable", "rejected", "expired", "unreported", "quarantined"], DeliveryState.EXPIRED),
    (["delivered", "delivered", "sent"], None),
    (["in-doubt", "delivered", "undeliverable"], None),
    (["delivered", "waiting", "delivered"], None),
    (["delivered", "sending", "delivered"], None),
]


async def test_a_long_message_has_come_to_something_when_its_last_part_has_ended(database: Database) -> None:
    for states, outcome in PARTS:
        for registered in (0, 1, 2):
            await comes_to(database, states, outcome, registered)


async def comes_to(database: Database, states: list[str], outcome: DeliveryState | None, registered: int) -> None:
    def parts_of(submission: str, ended: list[str], parts: int) -> list[Row]:
        return [
            {**BASE, "id": f"{submission}-{number}" if number else submission, "submission": submission, "part": number,
             "parts": parts, "state": state, "registered": registered}
            for number, state in enumerate(ended)
        ]  # fmt: skip

    rows = [*parts_of("one", states, 3), *parts_of("two", ["waiting"] * 3, 3), *parts_of("alone", ["delivered"], 1)]
    found = await effect(database, rows, partial(receipts.end_submission, submission="one", now=NOW))
    assert found.result is outcome
    if outcome is None:
        found.untouched()
        return
    wanted = registered == 1 or (registered == 2 and outcome is not DeliveryState.DELIVERED)
    told = {"receipt": "waiting" if wanted else "", "receipt_state": TOLD[outcome], "receipt_at": NOW}
    found.must_be(lambda row: told if row["id"] == "one" else None)


async def test_a_receipt_without_an_id_may_be_of_what_is_in_doubt_towards_its_number(database: Database) -> None:
    find = partial(receipts.find_in_doubt, target="link:nord", recipient="4790000001")
    rows = [*neighbours(state="in-doubt", doubts=1), *({**row, "id": f"sure{row['id']}"} for row in neighbours())]
    doubtful = [row for row in rows if row["doubts"] and row["state"] in ("in-doubt", "waiting")]
    meant = {row["id"] for row in doubtful if on(row, target="link:nord", recipient="4790000001", ended_at=0.0)}
    most = receipts.IN_DOUBT_MAX
    found = await effect(database, rows, find)
    assert set(found.result) == (meant if len(meant) <= most else set())
    [one, *_] = [row for row in rows if row["id"] in meant]
    many = [{**one, "id": f"m{number}", "submission": f"m{number}"} for number in range(most)]
    assert len((await effect(database, many, find)).result) == most
    beyond = {**one, "id": "one more", "submission": "one more"}
    assert (await effect(database, [*many, beyond], find)).result == [], "whichever is left out may be meant as well"


async def test_what_is_overdue_ends_the_longest_overdue_first(database: Database) -> None:
    rows = neighbours(expires_at=NOW)
    ends = {
        DeliveryState.WAITING: (DeliveryState.EXPIRED, "expired"),
        DeliveryState.IN_DOUBT: (DeliveryState.UNREPORTED, "in-doubt"),
        DeliveryState.SENT: (DeliveryState.UNREPORTED, "unreported"),
    }
    for state, (final, reason) in ends.items():

        def over(row: Row, state: DeliveryState = state) -> bool:
            return on(row, state=state, ended_at=0.0) and row["expires_at"] <= NOW - 1

        end = partial(store.end_overdue, state=state, before=NOW - 1, now=NOW)
        found = await effect(database, rows, partial(end, limit=10_000))
        assert {ending.id for ending in found.result} == {row["id"] for row in rows if over(row)}
        assert {(ending.state, ending.reason) for ending in found.result} == {(final, reason)}
        changed = [(found.before[each], row) for each, row in found.after.items() if row != found.before[each]]
        assert {before["id"] for before, _ in changed} == {row["id"] for row in rows if over(row)}
        assert {(row["state"], row["reason"], row["ended_at"], row["sealed"]) for _, row in changed} == {
            (final, reason, NOW, None)
        }
        expiries = sorted(row["expires_at"] for row in rows if over(row))
        few = await effect(database, rows, partial(end, limit=2))
        assert sorted(few.before[ending.id]["expires_at"] for ending in few.result) == expiries[:2]


# receipts


async def test_receipts_are_claimed_for_their_account_when_they_are_due(database: Database) -> None:
    rows = neighbours(state="delivered", receipt="waiting", ended_at=NOW - 100)
    found = await effect(database, rows, partial(receipts.claim_receipts, origin="account:shop", limit=10_000, now=NOW))

    def is_due(row: Row) -> bool:
        return on(row, origin="account:shop", receipt="waiting") and row["receipt_at"] <= NOW

    found.must_be(lambda row: {"receipt": "sending"} if is_due(row) else None)
    wanted = [
        DueReceipt(
            row["id"],
            row["sender"],
            row["recipient"],
            row["receipt_state"],
            row["accepted_at"],
            row["ended_at"],
            row["user_reference"],
        )
        for row in rows
        if is_due(row)
    ]
    assert sorted(found.result, key=lambda each: each.id) == sorted(wanted, key=lambda each: each.id)
    assert [each.ended_at for each in found.result] == sorted(each.ended_at for each in wanted)


async def test_the_receipt_that_has_waited_longest_is_claimed_first(database: Database) -> None:
    rows = numbered([{**BASE, "receipt": "waiting", "receipt_at": NOW - late} for late in (1, 4, 2, 5, 3)])
    found = await effect(database, rows, partial(receipts.claim_receipts, origin="account:shop", limit=2, now=NOW))
    found.must_be(lambda row: {"receipt": "sending"} if row["receipt_at"] <= NOW - 4 else None)


async def test_a_receipt_is_given_or_put_off_by_its_message(database: Database) -> None:
    rows = crossed(state=STATES, receipt=("", "waiting", "sending", "given"), receipt_at=(0.0, NOW - 5))
    asked = [row["id"] for row in rows[::2] if row["receipt"] == "sending"]
    found = await effect(database, rows, partial(receipts.mark_receipts_delivered, ids=asked, now=NOW))
    found.must_be(lambda row: {"receipt": "given", "receipt_at": NOW} if row["id"] in asked else None)
    asked = every_second(rows)
    found = await effect(database, rows, partial(receipts.put_off_receipts, ids=asked, due_at=NOW + 15))
    found.must_be(
        lambda row: (
            {"receipt": "waiting", "receipt_at": NOW + 15}
            if row["id"] in asked and on(row, receipt="sending")
            else None
        )
    )


# trails


async def test_a_trail_has_all_parts_in_order_and_what_befell_them(database: Database) -> None:
    def part(number: int, submission: str, parts: int = 3) -> Row:
        return {**BASE, "id": f"{submission}-{number}" if number > 1 else submission, "submission": submission,
                "part": number, "parts": parts, "state": "sent"}  # fmt: skip

    rows = [*(part(number, "one") for number in (3, 1, 2)), *(part(number, "two") for number in (2, 3, 1))]
    # A single message whose id is also called a submission elsewhere belongs to nobody else.
    rows += [{**part(1, "three", 1)}, {**part(1, "four", 1), "submission": "one"}]

    async def look(tx: Transaction) -> Any:
        await store.add_events(
            tx, [("one", Step(3.0, "b", "x")), ("two", Step(0.0, "c")), ("one", Step(1.0, "a", "y"))]
        )
        await store.add_events(tx, [("one-2", Step(2.0, "d"))])
        return (
            [facts.id for facts in await trails_store.facts(tx, "one")],
            [facts.id for facts in await trails_store.facts(tx, "one-2")],
            await trails_store.facts(tx, "three"),
            await trails_store.facts(tx, "five"),
            await trails_store.events(tx, ["one", "one-2"]),
        )

    found = await effect(database, rows, look)
    found.untouched()
    of_one, of_part, [alone], nothing, events = found.result
    assert of_one == ["one", "one-2", "one-3"]
    assert of_part == ["one-2"]
    assert nothing == []
    assert events == [Step(1.0, "a", "y"), Step(3.0, "b", "x"), Step(2.0, "d")]
    assert {field: getattr(alone, field) for field in alone.__dataclass_fields__} == {
        field: found.before["three"][field] for field in alone.__dataclass_fields__
    }


# routes


async def test_a_route_is_remembered_whole_and_changed_alone(database: Database) -> None:
    stopped = RouteOutage("stopped", 5.0, "rule:canaries", "misdelivery", 4.0, 2.0, 3.0)
    other = RouteOutage("open", 9.0, "Kari", "opened", 8.0, 6.0, 7.0)
    later = RouteOutage("open", 19.0, "Ola", "opened again", 18.0, 16.0, 17.0)

    async def work(tx: Transaction) -> list[dict[str, RouteOutage]]:
        known = [await routes_store.routes(tx)]
        for link, stop in (("nord", stopped), ("syd", other), ("nord", later)):
            await routes_store.put_route(tx, link, stop)
            known.append(await routes_store.routes(tx))
        return known

    assert await database.write(work) == [
        {},
        {"nord": stopped},
        {"nord": stopped, "syd": other},
        {"nord": later, "syd": other},
    ]


async def test_what_waits_for_a_party_is_moved_and_canaries_stay(database: Database) -> None:
    rows = neighbours()
    found = await effect(database, rows, partial(store.move, source="link:nord", target="held:nord", limit=10_000))

    def moved(row: Row) -> bool:
        return on(row, target="link:nord", state="waiting") and row["message_class"] != "canary"

    found.must_be(lambda row: {"target": "held:nord"} if moved(row) else None)
    assert sorted(found.result) == sorted(row["id"] for row in rows if moved(row))
    few = await effect(database, rows, partial(store.move, source="link:nord", target="held:nord", limit=3))
    few.must_be(lambda row: {"target": "held:nord"} if row["id"] in few.result else None)
    assert len(few.result) == 3
    one = next(row["id"] for row in rows if moved(row))
    named = [one, next(row["id"] for row in rows if on(row, target="link:syd")), "nobody"]
    found = await effect(
        database, rows, partial(store.move, source="link:nord", target="link:syd", limit=10_000, among=named)
    )
    found.must_be(lambda row: {"target": "link:syd"} if row["id"] == one else None)
    assert found.result == [one]


async def test_what_waits_is_read_on_from_where_the_last_look_ended(database: Database) -> None:
    rows = neighbours()
    mine = [row for row in rows if on(row, target="link:nord", state="waiting") and row["message_class"] != "canary"]
    columns = ("due_at", "accepted_at", "part", "id")
    mine.sort(key=lambda row: [row[name] for name in columns])
    told = [placing.WaitingMessage(*(row[name] for name in placing.WaitingMessage._fields)) for row in mine]
    assert len({row["due_at"] for row in mine}) < len(mine), "some are due at one time"

    async def work(tx: Transaction) -> list[list[placing.WaitingMessage]]:
        every = [await placing.waiting(tx, "link:nord", after=placing.START, limit=10_000)]
        for each in told:
            every.append(await placing.waiting(tx, "link:nord", after=each.place, limit=2))
        return every

    found = await effect(database, rows, work)
    assert found.result[0] == told
    assert found.result[1:] == [told[number : number + 2] for number in range(1, len(told) + 1)]


async def test_whether_anything_waits_for_a_party_is_known_after_all_of_it_has_been_moved(database: Database) -> None:
    canary = {**BASE, "target": "link:vest", "message_class": "canary"}
    rows = [*crossed(state=STATES, target=("link:nord", "link:syd")), *numbered([{**canary, "id": "canary"}])]
    parties = ("link:nord", "link:syd", "held:nord", "link:vest", "link:fjord")

    async def waits(tx: Transaction) -> list[str]:
        return [party for party in parties if await placing.is_waiting(tx, party)]

    async def work(tx: Transaction) -> list[list[str]]:
        before = await waits(tx)
        await store.move(tx, "link:nord", "held:nord", limit=10_000)
        return [before, await waits(tx)]

    assert (await effect(database, rows, work)).result == [["link:nord", "link:syd"], ["link:syd", "held:nord"]]


async def test_something_is_due_from_its_moment_on_for_its_party_and_while_it_waits(database: Database) -> None:
    sent = crossed(state=[state for state in STATES if state != "waiting"])
    later = {**BASE, "target": "link:syd", "due_at": NOW, "message_class": "canary", "id": "later"}

    async def work(tx: Transaction) -> list[bool]:
        asked = (("link:nord", NOW), ("link:syd", NOW - 0.5), ("link:syd", NOW), ("link:syd", NOW + 0.5))
        return [await placing.is_due(tx, party, now=now) for party, now in asked]

    assert (await effect(database, [*sent, *numbered([later])], work)).result == [False, False, True, True]


async def test_what_waits_for_a_party_is_counted_without_canaries(database: Database) -> None:
    rows = neighbours()
    found = await effect(database, rows, partial(routes_store.waiting, target="link:nord"))
    assert found.result == len(
        [row for row in rows if on(row, target="link:nord", state="waiting") and row["message_class"] != "canary"]
    )
    nothing = await effect(database, rows, partial(routes_store.waiting, target="link:fjord"))
    assert nothing.result == 0


async def exposed_of(database: Database, rows: list[Row], *, limit: int = 10_000) -> list[ExposedMessage]:
    """All that is listed, read by pages of `limit`."""

    async def look(tx: Transaction) -> list[ExposedMessage]:
        listed: list[ExposedMessage] = []
        after: tuple[float, str] | None = (NOW, "")
        while after is not None:
            page, after = await routes_store.exposed(
                tx, "link:nord", since=NOW, until=NOW + 60, after=after, limit=limit
            )
            assert len(page) <= limit
            listed += page
        return listed

    found = await effect(database, rows, look)
    found.untouched()
    result: list[ExposedMessage] = found.result
    return result


def aged(number: int, accepted_at: float = NOW - 10) -> str:
    return message_id(accepted_at, number.to_bytes(5, "big"))


async def test_exposed_is_whatever_went_or_may_have_gone_over_the_link_in_the_time(database: Database) -> None:
    rows = crossed(
        state=STATES,
        target=("link:nord", "link:syd"),
        message_class=("ordinary", "canary"),
        attempted_at=(NOW - 0.5, NOW, NOW + 59.5, NOW + 60),
        sent_at=(0.0, NOW + 1),
        doubts=(0, 1),
    )
    for number, row in enumerate(rows):
        row["id"] = row["submission"] = aged(number)

    def is_exposed(row: Row) -> bool:
        gone = row["sent_at"] > 0 or row["doubts"] > 0 or row["state"] in ("sending", "in-doubt", "unreported")
        return on(row, target="link:nord", message_class="ordinary") and NOW <= row["attempted_at"] < NOW + 60 and gone

    listed = await exposed_of(database, rows)
    assert {each.message for each in listed} == {row["id"] for row in rows if is_exposed(row)}
    assert [each.sent_at for each in listed] == sorted(each.sent_at for each in listed)
    by_id = {row["id"]: row for row in rows}
    for each in listed:
        row = by_id[each.message]
        wanted = (row["id"], row["attempted_at"], row["sender"], row["recipient"], row["message_class"], row["origin"])
        assert each == (*wanted, row["state"])
    for page in (1, 7, len(listed), len(listed) + 1):
        assert await exposed_of(database, rows, limit=page) == listed


async def test_exposed_is_who_went_in_the_time_however_long_before_it_was_taken_on(database: Database) -> None:
    ages = {"oldest": NOW - 3_600, "older": NOW - 300_000, "newest": NOW + 59.9, "middle": NOW}
    rows = [
        {**BASE, "id": aged(number, at), "submission": name, "attempted_at": NOW + number, "state": "sent"}
        for number, (name, at) in enumerate(ages.items())
    ]
    assert [each.message for each in await exposed_of(database, rows)] == ["oldest", "older", "newest", "middle"]


async def test_a_long_message_is_exposed_once_from_its_first_part_on(database: Database) -> None:
    rows = [
        {**BASE, "id": f"{aged(1)}-{part}", "submission": aged(1), "part": part, "parts": 3, "state": state,
         "attempted_at": NOW + 10 - part}
        for part, state in ((1, "sent"), (2, "delivered"), (3, "undeliverable"))
    ]  # fmt: skip
    rows.append({**BASE, "id": aged(2), "submission": aged(2), "state": "sent", "attempted_at": NOW + 8})
    for page in (1, 2, 10):
        assert await exposed_of(database, rows, limit=page) == await exposed_of(database, rows)
    first, second = await exposed_of(database, rows)
    assert (first.message, first.sent_at, first.state) == (aged(1), NOW + 7, "delivered")
    assert second.message == aged(2)


# erasing


async def test_what_ended_long_ago_is_erased_with_its_events_and_quarantine_is_not(database: Database) -> None:
    rows = [row for row in neighbours(state="delivered", ended_at=NOW - 200) if row["state"] != "waiting"]

    async def erase(tx: Transaction) -> Any:
        await store.add_events(tx, [(row["id"], Step(1.0, "seen")) for row in rows])
        erased = await housekeeping.erase(tx, ended_before=NOW - 100, limit=10_000)
        return erased, {row[0] for row in await tx.fetch("SELECT message FROM sms_event")}

    found = await effect(database, rows, erase)

    def old(row: Row) -> bool:
        return 0 < row["ended_at"] <= NOW - 100 and row["state"] != "quarantined"

    found.must_be(lambda row: GONE if old(row) else None)
    erased, with_events = found.result
    assert erased == len([row for row in rows if old(row)])
    assert with_events == set(found.after)
    few = await effect(database, rows, partial(housekeeping.erase, ended_before=NOW - 100, limit=4))
    assert few.result == len(few.before) - len(few.after) == 4


async def test_what_was_claimed_once_is_not_claimed_again(database: Database) -> None:
    async def twice(tx: Transaction) -> Any:
        await fill(tx, [])
        first = await store.claim(tx, "link:nord", limit=3, now=NOW)
        return first, await store.claim(tx, "link:nord", limit=10, now=NOW)

    found = await effect(database, crossed(due_at=[NOW - each for each in range(5)]), twice)
    first, second = found.result
    assert (len(first), len(second)) == (3, 2)
    assert len({each.id for each in (*first, *second)}) == 5


async def test_what_is_left_waiting_for_an_account_is_told_once_for_each_submission_the_newest_first(
    database: Database,
) -> None:
    rows = crossed(
        target=["account:shop", "account:clinic"],
        state=STATES,
        part=[1, 2],
        accepted_at=[NOW - 3, NOW - 2, NOW - 1],
    )
    for row in rows:
        row["due_at"] = row["accepted_at"]  # a message that waits was due at once, or is due later

    def left(row: Row) -> bool:
        known = on(row, target="account:shop", part=1) and row["state"] in ("waiting", "in-doubt")
        return known and row["accepted_at"] > NOW - 3

    async def look(tx: Transaction, limit: int) -> Any:
        return await housekeeping.left_waiting(tx, "account:shop", accepted_after=NOW - 3, limit=limit)

    found = await effect(database, rows, partial(look, limit=100))
    found.untouched()
    assert {each.id for each in found.result} == {row["id"] for row in rows if left(row)}
    assert [each.accepted_at for each in found.result] == [NOW - 1] * 2 + [NOW - 2] * 2
    few = await effect(database, [row for row in rows if row["part"] == 1], partial(look, limit=3))
    assert [each.accepted_at for each in few.result] == [NOW - 1] * 2 + [NOW - 2]
