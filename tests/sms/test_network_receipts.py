"""Receipts of networks: which message each is about, and what becomes of those that fit none, or none yet."""

from typing import Any

import pytest
from message_table import NOW
from msgspec import structs
from msgspec.structs import replace
from sms_house import HURRIED, NUMBER, House, Peer
from waiting import eventually

from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status, Tag, encode_body
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, parse_receipt
from prikkfri.protocols.smpp.session import Request
from prikkfri.sms.intake import ReceiptDelivery
from prikkfri.sms.lifecycle import NETWORK_RECEIPT, DeliveryState, NetworkReceiptEvent, NetworkReceiptState
from prikkfri.sms.messages import reference_of
from prikkfri.sms.network_receipts import (
    HELD_OF_ONE_ID_MAX,
    HeldIndex,
    KnownMessage,
    NetworkReceipt,
    ReceiptMatch,
    as_kept,
    contradiction,
    contradicts,
    find,
    is_named,
    next_try,
    receipt_id,
)
from prikkfri.sms.receipt_ids import ALL, Habit, Match, MismatchReason, Reading
from prikkfri.sms.receipts import store
from prikkfri.storage import Database, Queries, Transaction

EARLY_SECONDS = HURRIED.early_receipt_seconds
OTHER = "4790000002"


def receipt(**fields: Any) -> NetworkReceipt:
    kept = NetworkReceipt("r1", "nord", "net-1", "", -1, NUMBER, "Shop", 2, "", "000", NOW, NOW, 0)
    return structs.replace(kept, **fields)


def known(message: str = "m", key: str = "net-1", recipient: str = NUMBER, state: str = "sent") -> KnownMessage:
    return KnownMessage(message, key, recipient, state, NOW - 10)


# Decisions.


def test_a_receipt_is_about_the_message_of_its_id_and_its_number() -> None:
    assert find(receipt(), [known()], ALL) == ReceiptMatch("m", DeliveryState.SENT, NOW - 10, Match("m", Reading.SAME))
    assert find(receipt(), [known(state="delivered")], ALL) == ReceiptMatch(
        "m", DeliveryState.DELIVERED, NOW - 10, Match("m", Reading.SAME)
    )
    assert find(receipt(), [], ALL) is MismatchReason.NO_MESSAGE
    assert find(receipt(), [known(recipient=OTHER)], ALL) is MismatchReason.OTHER_NUMBER
    swapped = receipt(source="Shop", destination=NUMBER, next_hop_id="0255")
    assert find(swapped, [known(key="ff")], ALL) == ReceiptMatch(
        "m", DeliveryState.SENT, NOW - 10, Match("m", Reading.DECIMAL)
    )
    assert find(swapped, [known(key="ff")], (Reading.SAME,)) is MismatchReason.NO_MESSAGE
    both = receipt(next_hop_id="none", other_id="NET-1")
    assert find(both, [known()], ALL) == ReceiptMatch("m", DeliveryState.SENT, NOW - 10, Match("m", Reading.SAME))


def test_of_several_that_fit_the_open_one_is_meant_and_of_none_that_is_open_all_has_been_told() -> None:
    ended = [known("m1", state="delivered"), known("m3", state="expired"), known("m2", state="unreported")]
    assert find(receipt(), [*ended, known("m0")], ALL) == ReceiptMatch(
        "m0", DeliveryState.SENT, NOW - 10, Match("m0", Reading.SAME)
    )
    assert find(receipt(), ended, ALL) == ReceiptMatch("m3", DeliveryState.EXPIRED, NOW - 10, Match("m3", None))
    assert find(receipt(), [*ended, known("m4", recipient=OTHER)], ALL) == ReceiptMatch(
        "m3", DeliveryState.EXPIRED, NOW - 10, Match("m3", None)
    )
    assert find(receipt(), [*ended, known("m4"), known("m5", state="in-doubt")], ALL) is MismatchReason.SEVERAL


def test_a_receipt_contradicts_another_end_that_has_been_told_and_no_open_or_untold_one() -> None:
    for told, state, is_one in (
        (MessageState.UNDELIVERABLE, DeliveryState.DELIVERED, True),
        (MessageState.DELIVERED, DeliveryState.QUARANTINED, True),
        (MessageState.DELIVERED, DeliveryState.EXPIRED, True),
        (MessageState.DELIVERED, DeliveryState.DELIVERED, False),
        (MessageState.DELIVERED, DeliveryState.UNREPORTED, False),
        (MessageState.DELIVERED, DeliveryState.SENT, False),
        (MessageState.DELIVERED, DeliveryState.IN_DOUBT, False),
        (0, DeliveryState.DELIVERED, False),
    ):
        receipt = NetworkReceipt("r", "nord", "ff", "", -1, NUMBER, "", int(told), "", "042", NOW, NOW, 0)
        found = contradiction(receipt, ReceiptMatch("m", state, NOW, Match("m", None)))
        assert bool(found) is is_one
        if is_one and told == MessageState.UNDELIVERABLE:
            assert found == "link nord tells undeliverable (042) of its id ff; it was delivered"


def test_a_misfit_is_delivered_and_not_delivered_of_one_message() -> None:
    delivered, undelivered, unknown = (receipt(told=told) for told in (2, 5, 0))
    ends = (
        DeliveryState.DELIVERED,
        DeliveryState.UNDELIVERABLE,
        DeliveryState.REJECTED,
        DeliveryState.EXPIRED,
        DeliveryState.UNREPORTED,
        DeliveryState.SENT,
    )
    for told, misfits in (
        (delivered, {DeliveryState.UNDELIVERABLE, DeliveryState.REJECTED}),
        (undelivered, {DeliveryState.DELIVERED}),
        (receipt(told=8), {DeliveryState.DELIVERED}),
        (receipt(told=3), set()),  # it ran out of time there: of that more than one may be told
        (unknown, set()),
    ):
        assert {end for end in ends if contradicts(told, ReceiptMatch("m", end, NOW, Match("m", None)))} == misfits


def test_a_receipt_names_a_message_by_the_reference_that_it_was_given() -> None:
    message = "0018bcfe568000102030405"
    found = ReceiptMatch(message, DeliveryState.SENT, NOW, Match(message, Reading.SAME))
    assert is_named(receipt(reference=reference_of(message)), found)
    assert not is_named(receipt(reference=reference_of(message) + 1), found)
    assert not is_named(receipt(reference=reference_of(message)), MismatchReason.NO_MESSAGE)


def test_what_was_told_is_kept_as_it_was_told() -> None:
    told = ReceiptDelivery(
        Request(Command.DELIVER_SM, 7, ShortMessage()), Receipt("A1", None, "042", "GONE", "161"), "47", "S", 9
    )
    kept = as_kept(told, "nord", "r9", NOW)
    assert kept == NetworkReceipt("r9", "nord", "A1", "161", 9, "47", "S", 0, "GONE", "042", NOW, NOW, 0)
    assert (kept.state, kept.identities) == (None, ("A1", "161"))
    plain = as_kept(replace(told, receipt=Receipt("", MessageState.EXPIRED), reference=None), "nord", "r9", NOW)
    assert (plain.told, plain.state, plain.identities, plain.reference) == (3, MessageState.EXPIRED, (), -1)


def test_ids_of_receipts_sort_by_their_coming() -> None:
    came = [(NOW, 0), (NOW, 1), (NOW, 255), (NOW, 65_536), (NOW + 0.001, 0), (NOW + 3_600, 0)]
    ids = [receipt_id(now, number, b"\xff\x00") for now, number in came]
    assert ids == sorted(set(ids))
    assert receipt_id(NOW, 2**24 + 5, b"ab") == receipt_id(NOW, 5, b"ab") == "r18bcfe56800000005" + "6162"


def test_a_receipt_is_looked_at_once_soon_and_then_when_its_time_is_up() -> None:
    times = {"soon_seconds": 0.25, "early_seconds": 120.0}
    assert next_try(receipt(), NOW + 1, **times) == NOW + 1.25
    assert next_try(receipt(tries=1), NOW + 1, **times) == NOW + 120
    assert next_try(receipt(tries=7), NOW + 119.9, **times) == NOW + 120
    assert next_try(receipt(tries=1), NOW + 121, **times) == NOW + 121


# The table.

STATES = tuple(str(state) for state in NetworkReceiptState)


async def kept_states(database: Database, work: Any) -> dict[str, str]:
    """What becomes of receipts in each state, by the state that they had."""

    async def run(tx: Transaction) -> dict[str, str]:
        for state in STATES:
            await store.add_network_receipt(tx, receipt(id=state), reason="")
            await tx.execute(
                "UPDATE sms_network_receipt SET state = :state WHERE id = :id", {"state": state, "id": state}
            )
        for state in STATES:
            await work(tx, state)
        rows = await tx.fetch("SELECT id, state FROM sms_network_receipt")
        await tx.execute("DELETE FROM sms_network_receipt")
        return {row[0]: row[1] for row in rows}

    return await database.write(run)


async def test_a_receipt_is_held_as_its_table_says_and_what_is_not_waiting_is_not_looked_at(
    database: Database,
) -> None:
    async def hold(tx: Transaction, identity: str) -> None:
        await store.hold_network_receipt(tx, identity, reason="why", now=NOW + 5)

    hold_event = NetworkReceiptEvent.HOLD
    assert await kept_states(database, hold) == {
        str(state): str(NETWORK_RECEIPT.after(state, hold_event) or state) for state in NetworkReceiptState
    }
    seen: list[NetworkReceipt] = []

    async def look(tx: Transaction, identity: str) -> None:
        await store.try_later(tx, identity, due_at=NOW + 9)
        await store.make_due(tx, "nord", ["net-1"], now=NOW + 3)
        seen[:] = await store.due_network_receipts(tx, limit=10, now=NOW + 3)

    await kept_states(database, look)
    assert seen == [receipt(id="waiting", due_at=NOW + 3, tries=1)]


async def test_receipts_fall_due_in_their_order_and_an_answer_makes_its_own_due(database: Database) -> None:
    async def work(tx: Transaction) -> list[Any]:
        waiting = [
            receipt(id="r4", due_at=NOW + 2),
            receipt(id="r2", due_at=NOW + 1),
            receipt(id="r1", due_at=NOW + 1, tries=3),
            receipt(id="r3", next_hop_id="x", other_id="0NET-7", due_at=NOW + 9),
            receipt(id="r5", link="syd", due_at=NOW + 9),
        ]
        for each in waiting:
            await store.add_network_receipt(tx, each, reason="")

        async def due(now: float, limit: int = 10) -> list[str]:
            return [each.id for each in await store.due_network_receipts(tx, limit=limit, now=now)]

        seen: list[Any] = [await due(NOW + 0.9), await due(NOW + 1), await due(NOW + 1, limit=1), await due(NOW + 2)]
        seen += [await store.one_before(tx, "nord", "0NET-1"), await store.one_before(tx, "nord", "net-7")]
        await store.make_due(tx, "nord", ["net-7"], now=NOW + 0.5)
        seen.append(await due(NOW + 0.5))
        await store.try_later(tx, "r3", due_at=NOW + 4)
        await store.settle_network_receipt(tx, "r1")
        await store.hold_network_receipt(tx, "r2", reason="", now=NOW)
        seen += [await due(NOW + 10), await store.count_kept(tx)]
        await store.make_due(tx, "nord", ["net-1"], now=NOW + 50)  # what is due already keeps its place
        return [*seen, await due(NOW + 10)]

    assert await database.write(work) == [
        [],
        ["r1", "r2"],
        ["r1"],
        ["r1", "r2", "r4"],
        (NOW + 2, 0),
        None,
        ["r3"],
        ["r4", "r3", "r5"],
        {"nord": (2, 1), "syd": (1, 0)},
        ["r4", "r3", "r5"],
    ]


async def test_habits_are_kept_by_link_and_the_discarded_are_erased_in_time(database: Database) -> None:
    async def work(tx: Transaction) -> list[Any]:
        await store.put_habit(tx, "nord", Habit(1, 2, 3, 4))
        await store.put_habit(tx, "syd", Habit(5))
        await store.put_habit(tx, "nord", Habit(6, 7, 8, 9))
        for number, state in enumerate(("waiting", "held", "discarded", "discarded", "discarded")):
            await store.add_network_receipt(tx, receipt(id=f"r{number}", came_at=NOW + number), reason="")
            sql = "UPDATE sms_network_receipt SET state = :state WHERE id = :id"
            await tx.execute(sql, {"state": state, "id": f"r{number}"})
        erased = [await store.erase_discarded(tx, discarded_before=NOW + 3, limit=limit) for limit in (1, 10, 10)]
        return [erased, await tx.fetch("SELECT id FROM sms_network_receipt ORDER BY id")]

    assert await database.write(work) == [[1, 1, 0], [("r0",), ("r1",), ("r4",)]]

    async def look(queries: Queries) -> dict[str, Habit]:
        return await store.habits(queries)

    assert await database.read(look) == {"nord": Habit(6, 7, 8, 9), "syd": Habit(5)}


# Over the wire.


async def sent(at: House, link: Peer, client: Peer, identity: str, to: str = NUMBER) -> ShortMessage:
    """A message that the network has taken by this id."""
    await client.submit(destination=to)
    request, message = await link.message()
    link.take_message(request, identity)
    await at.until(f"SELECT COUNT(*) FROM sms_message WHERE next_hop_id = '{identity}'", 1)
    return message


async def told(link: Peer, identity: str, *, source: str = NUMBER, destination: str = "Shop", word: str = "DELIVRD",
               more: tuple[tuple[int, bytes], ...] = ()) -> int:  # fmt: skip
    octets = f"id:{identity} sub:001 dlvrd:001 stat:{word} err:000 text:".encode()
    message = ShortMessage(source=source, destination=destination, octets=octets, esm_class=4, tlvs=more)
    link.ask(Command.DELIVER_SM, message)
    return (await link.answered()).status


async def test_receipts_that_fit_nothing_hold_up_nobody(house: Any) -> None:
    """The window of the network's end is 50: were each held for a while, the phone's message would wait behind them."""
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        for number in range(60):
            assert await told(link, f"none-{number}") == Status.OK
        await at.nothing_more_for_account(client, link)
        assert await at.fetch("SELECT COUNT(*), MIN(state) FROM sms_network_receipt") == [(60, "waiting")]
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT COUNT(*) FROM sms_network_receipt WHERE state = 'held'", 60)
        await eventually(lambda: at.centre.counters()["receipts_unmatched_total"] == 60)


@pytest.mark.parametrize(
    ("given", "written", "fields"),
    [
        ("ff", "255", {}),
        ("ff", "0000000255", {"source": "Shop", "destination": "+4790000001"}),
        ("255", "FF", {"source": "", "destination": ""}),
        ("0AB", "ab", {"source": "90000001"}),
        ("ff", "1", {"more": ((Tag.RECEIPTED_MESSAGE_ID, b"255\0"),)}),
        ("ff", "255", {"more": ((Tag.RECEIPTED_MESSAGE_ID, b"\0"),)}),
    ],
)
async def test_an_id_is_known_in_whatever_way_it_is_written(
    house: Any, given: str, written: str, fields: dict[str, Any]
) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await sent(at, link, client, given)
        assert await told(link, written, **fields) == Status.OK
        await at.until("SELECT state FROM sms_message", "delivered")


async def test_of_two_early_receipts_the_first_counts_and_the_answer_brings_it_at_once(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit()
        request, _ = await link.message()
        assert await told(link, "0255", word="UNDELIV") == Status.OK
        at.clock.advance(3.0)
        await at.until("SELECT MAX(tries) FROM sms_network_receipt", 2)
        assert await told(link, "255", word="DELIVRD") == Status.OK
        link.take_message(request, "ff")  # the clock stands: nothing else is due
        await at.until("SELECT COUNT(*) FROM sms_network_receipt", 0)
        assert await at.fetch("SELECT state FROM sms_message") == [("undeliverable",)]


async def early_and_held(at: House, link: Peer, client: Peer, identity: str, **fields: Any) -> Any:
    """What the network was asked; it has told what became of that, and is long in saying which id it has."""
    await client.submit(registered_delivery=1)
    request, _ = await link.message()
    assert await told(link, identity, **fields) == Status.OK
    at.clock.advance(EARLY_SECONDS)
    await at.until("SELECT state FROM sms_network_receipt", "held")
    return request


@pytest.mark.parametrize(("identity", "given"), [("net-1", "NET-1"), ("255", "0ff")])
async def test_an_answer_finds_a_receipt_that_was_held_before_it_came(house: Any, identity: str, given: str) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        request = await early_and_held(at, link, client, identity)
        link.take_message(request, given)
        await at.until("SELECT state FROM sms_message", "delivered")
        assert await at.fetch("SELECT COUNT(*) FROM sms_network_receipt") == [(0,)]
        [message] = [row[0] for row in await at.fetch("SELECT id FROM sms_message")]
        released = [each for each in (await at.centre.trail(message)).steps if each.event == "receipt-released"]
        assert [step.detail for step in released] == ["its answer came late"]
        await eventually(lambda: at.centre.counters()['link_receipts_held{link="nord"}'] == 0)
        _, receipt = await client.message()
        assert parse_receipt(receipt).state is MessageState.DELIVERED


async def test_a_receipt_for_another_number_stays_held_when_the_answer_comes(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        request = await early_and_held(at, link, client, "net-1", source="4790000002")
        link.take_message(request, "net-1")
        await at.until("SELECT state FROM sms_message", "sent")
        assert await at.fetch("SELECT state FROM sms_network_receipt") == [("held",)]
        await eventually(lambda: at.centre.counters()["receipts_unmatched_total"] == 1)


async def test_a_receipt_that_came_before_its_message_is_about_another_one(house: Any) -> None:
    """Partners begin their ids anew."""
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        assert await told(link, "net-1") == Status.OK
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT state FROM sms_network_receipt", "held")
        await sent(at, link, client, "net-1")
        assert await at.fetch("SELECT state FROM sms_message") == [("sent",)]
        assert await at.fetch("SELECT state FROM sms_network_receipt") == [("held",)]


async def test_a_receipt_of_what_nobody_was_told_the_end_of_is_found_by_its_answer(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client("clinic")
        request = await early_and_held(at, link, client, "net-1")
        at.clock.advance(60.0, on_the_wire=True)
        await at.until("SELECT state FROM sms_message", "in-doubt")
        at.clock.advance(60.0)
        await at.until("SELECT state FROM sms_message", "unreported")
        link.take_message(request, "net-1")
        await at.until("SELECT COUNT(*) FROM sms_network_receipt", 0)
        assert await at.fetch("SELECT state FROM sms_message") == [("unreported",)]


async def test_a_receipt_that_was_held_is_found_by_an_answer_after_a_restart(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await early_and_held(at, link, client, "net-1")
    async with house() as at:
        link = await at.bound_link()
        at.clock.advance(60.0)
        request, _ = await link.message()  # sent again
        link.take_message(request, "net-1")  # by its reference the network knows that it has it
        await at.until("SELECT state FROM sms_message", "delivered")
        assert await at.fetch("SELECT COUNT(*) FROM sms_network_receipt") == [(0,)]


def test_what_is_held_is_found_by_each_of_its_ids_until_it_is_held_no_more() -> None:
    index = HeldIndex()
    index.add("nord", "r2", ("0A1", "7"))
    index.add("nord", "r1", ("a1", ""))
    index.add("nord", "r1", ("a1", ""))
    assert index.find("nord", ["a1"]) == ["r1", "r2"] and index.find("nord", ["a1", "7"]) == ["r1", "r2"]
    assert index.find("nord", ["7"]) == ["r2"] and index.find("nord", ["", "8"]) == index.find("syd", ["a1"]) == []
    index.remove("nord", "r2", ("0A1", "7"))
    assert index.find("nord", ["a1", "7"]) == ["r1"] and "nord" in index and "syd" not in index
    index.remove("nord", "r1", ("a1", ""))
    index.remove("nord", "r1", ("a1", ""))
    assert index.find("nord", ["a1"]) == [] and "nord" not in index
    for number in range(100):
        index.add("nord", f"r{number:02}", ("a1",))
    assert index.find("nord", ["a1"]) == [f"r{number:02}" for number in range(HELD_OF_ONE_ID_MAX)]


async def test_a_repeat_is_acknowledged_and_counted_and_a_contradiction_is_kept_as_evidence(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        await sent(at, link, client, "ff")
        for _ in range(2):
            assert await told(link, "ff") == Status.OK
        await at.until("SELECT state FROM sms_message", "delivered")
        assert await at.fetch("SELECT COUNT(*) FROM sms_event WHERE event = 'contradicted'") == [(0,)]
        for _ in range(3):
            assert await told(link, "ff", word="UNDELIV") == Status.OK
        [identity] = [row[0] for row in await at.fetch("SELECT id FROM sms_message WHERE state = 'delivered'")]
        trail = await at.centre.trail(identity)
        assert [step.detail for step in trail.steps if step.event == "contradicted"] == [
            "link nord tells undeliverable (000) of its id ff; it was delivered"
        ]
        counters = at.centre.counters()
        assert counters["receipts_contradicted_total"] == 3
        assert counters['link_receipts_repeated_total{link="nord"}'] == 4
        for number in range(8):  # a partner that says ever something else fills nothing
            assert await told(link, "0" * number + "ff", word="EXPIRED") == Status.OK
        assert await at.fetch("SELECT COUNT(*) FROM sms_event WHERE event = 'contradicted'") == [(5,)]
        assert await at.fetch("SELECT state FROM sms_message") == [("delivered",)]


async def test_receipts_that_come_together_are_taken_as_if_each_had_come_alone(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        for identity in ("ff", "fe", "fd"):
            await sent(at, link, client, identity)
        words = [("ff", "DELIVRD"), ("none", "DELIVRD"), ("fe", "UNDELIV"), ("00FF", "UNDELIV"), ("fd", "DELIVRD")]
        for identity, word in words:
            octets = f"id:{identity} sub:001 dlvrd:001 stat:{word} err:000 text:".encode()
            body = encode_body(ShortMessage(source=NUMBER, destination="Shop", octets=octets, esm_class=4))
            link.connection.session.ask(Command.DELIVER_SM, body, identity, 0.0)
        link.connection.flush()
        assert [(await link.answered()).status for _ in words] == [Status.OK] * len(words)
        assert await at.fetch("SELECT next_hop_id, state FROM sms_message ORDER BY next_hop_id") == [
            ("fd", "delivered"), ("fe", "undeliverable"), ("ff", "delivered"),
        ]  # fmt: skip
        assert await at.fetch("SELECT next_hop_id, state FROM sms_network_receipt") == [("none", "waiting")]
        assert await at.fetch("SELECT COUNT(*) FROM sms_event WHERE event = 'contradicted'") == [(1,)]


async def test_a_receipt_is_about_a_message_of_its_own_link_and_id_and_number(house: Any) -> None:
    async with house(beside={"prefixes": ("46",)}) as at:
        link, client = await at.bound_link(), await at.bound_client()
        other = await at.other.bound()
        await sent(at, link, client, "ff")
        assert await told(other, "ff") == Status.OK
        assert await told(link, "ff", source="4790000077") == Status.OK
        assert await told(link, "fe") == Status.OK
        await at.until("SELECT COUNT(*) FROM sms_network_receipt", 3)
        assert await at.fetch("SELECT state FROM sms_message") == [("sent",)]
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT COUNT(*) FROM sms_network_receipt WHERE state = 'held'", 3)
        assert await at.fetch("SELECT state FROM sms_message") == [("sent",)]
        assert await told(link, "ff") == Status.OK
        await at.until("SELECT state FROM sms_message", "delivered")


async def test_an_answer_is_one_only_over_the_session_that_asked(house: Any) -> None:
    """Not over another link, nor over the same link bound anew, whatever its sequence number."""
    async with house(beside={"prefixes": ("46",)}) as at:
        link, client = await at.bound_link(), await at.bound_client()
        other = await at.other.bound()
        await client.submit()
        request, _ = await link.message()
        other.answer(request, Status.OK, MessageResponse("theirs"))
        other.ask(Command.DELIVER_SM, ShortMessage(source="4670000001", destination="2010", octets=b"hei"))
        assert (await other.answered()).status == Status.OK  # the answer before it has been read
        link.cut()
        await at.until("SELECT state FROM sms_message WHERE recipient = '4790000001'", "in-doubt")
        again = await at.network.bound()
        again.answer(request, Status.OK, MessageResponse("late"))
        again.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"hei"))
        assert (await again.answered()).status == Status.OK
        found = await at.fetch("SELECT state, next_hop_id FROM sms_message WHERE recipient = '4790000001'")
        assert found == [("in-doubt", "")]


async def test_receipts_that_wait_are_there_after_a_restart(house: Any) -> None:
    async with house() as at:
        link = await at.network.bound()
        assert await told(link, "early") == Status.OK
        assert await told(link, "never") == Status.OK
        await at.change("UPDATE sms_network_receipt SET due_at = due_at + 3600")
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await sent(at, link, client, "early")
        await at.until("SELECT state FROM sms_message", "delivered")
        await at.change("UPDATE sms_network_receipt SET due_at = due_at - 3600")
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT state FROM sms_network_receipt", "held")


async def test_what_a_link_has_taught_is_kept_and_one_that_changes_its_ways_loses_nothing(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        for number in range(10, 20):
            await sent(at, link, client, f"{number:x}", to=f"47900000{number}")
            assert await told(link, f"{number}", source=f"47900000{number}") == Status.OK
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'delivered'", 10)
        assert await at.fetch("SELECT same, decimals, hexadecimals, missed FROM sms_link_habit") == [(0, 10, 0, 0)]
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await sent(at, link, client, "300")
        await told(link, "300")  # to base sixteen all at once: by what was learnt, that is 12c
        await at.until("SELECT COUNT(*) FROM sms_network_receipt", 1)
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT COUNT(*) FROM sms_network_receipt", 0)
        assert await at.fetch("SELECT state FROM sms_message WHERE next_hop_id = '300'") == [("delivered",)]
        assert await at.fetch("SELECT same, decimals FROM sms_link_habit") == [(1, 0)]


async def test_what_a_link_is_set_to_is_the_only_way(house: Any) -> None:
    async with house(receipt_ids="same") as at:
        link, client = await at.network.bound(), await at.bound_client()
        await sent(at, link, client, "ff")
        await told(link, "255")
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT state FROM sms_network_receipt", "held")
        await told(link, "00FF")
        await at.until("SELECT state FROM sms_message", "delivered")


async def test_more_than_may_be_kept_are_refused_for_now_and_what_fits_is_not(house: Any) -> None:
    async with house(receipts_kept_max=2) as at:
        link, client = await at.network.bound(), await at.bound_client()
        await sent(at, link, client, "net-1")
        statuses = [await told(link, f"none-{number}") for number in range(3)]
        assert statuses == [Status.OK, Status.OK, Status.TEMPORARY_APPLICATION_ERROR]
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT COUNT(*) FROM sms_network_receipt WHERE state = 'held'", 2)
        assert await told(link, "none-4") == Status.TEMPORARY_APPLICATION_ERROR
        assert await told(link, "net-1") == Status.OK
        await at.until("SELECT state FROM sms_message", "delivered")


async def test_a_word_that_nobody_knows_is_kept_with_its_message_counted_and_told_once(
    house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await sent(at, link, client, "net-1")
        for word in ("Gone", "LOST", "Gone", *(f"W{number}" for number in range(9))):
            assert await told(link, "net-1", word=word) == Status.OK
        [(identity, state)] = await at.fetch("SELECT id, state FROM sms_message")
        assert state == "sent"
        trail = await at.centre.trail(identity)
        words = [step.detail for step in trail.steps if step.event == "unknown-state"]
        assert words == ["Gone", "LOST", "W0", "W1", "W2"]
        assert at.centre.counters()['receipts_unknown_state_total{link="nord",word="Gone"}'] == 2
        assert sum("'Gone'" in each.getMessage() for each in caplog.records) == 1
        # One that fits no message is kept as every other.
        assert await told(link, "none", word="Gone") == Status.OK
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT word FROM sms_network_receipt WHERE state = 'held'", "Gone")
        assert await told(link, "net-1") == Status.OK
        await at.until("SELECT state FROM sms_message", "delivered")
        assert await told(link, "net-1", word="LATE") == Status.OK
        assert "LATE" not in str(await at.centre.trail(identity))
