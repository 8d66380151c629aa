"""The centre as its clients and networks meet it, on both engines."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from message_table import BASE
from msgspec import structs
from sms_house import ANSWER_SECONDS_MAX, HURRIED, SETTINGS
from waiting import eventually

from prikkfri.config import Account
from prikkfri.errors import FencedOut, InDoubt, StorageUnavailable
from prikkfri.protocols.smpp.concatenation import payload
from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status, Tag, encode_body
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, is_receipt, parse_receipt, receipt_message
from prikkfri.protocols.smpp.session import Request, SessionEnd
from prikkfri.protocols.smpp.text import decode_text
from prikkfri.sms.messages import reference_of
from prikkfri.sms.shared.service import Wire
from prikkfri.sms.submission import Refusal

NUMBER = "4790000001"
SECRET = b"your code is 483 201"


async def test_who_may_bind_is_asked_for_a_password_and_told_nothing_else(house: Any) -> None:
    async with house() as at:
        _, wrong = await at.client(password="guess")
        _, nobody = await at.client("nobody", password="guess")
        _, empty = await at.client("nobody", password="")
        assert wrong == nobody == empty == Status.INVALID_PASSWORD
        receiver = await at.bound_client(command=Command.BIND_RECEIVER)
        assert not receiver.connection.session.may_ask(Command.SUBMIT_SM)


async def test_a_wrong_password_is_answered_late_and_holds_up_nobody_else(house: Any) -> None:
    async with house(timing=replace(HURRIED, wrong_password_seconds=3_600.0)) as at:
        guessing = asyncio.create_task(at.client(password="guess"))
        await eventually(lambda: at.centre.counters()["binds_refused_total"])
        client = await at.bound_client()
        assert (await client.submit())[0] == Status.OK
        assert not guessing.done()
    assert (await guessing)[1] == -1  # the centre has left, and not said whether it was right


async def test_a_message_goes_all_the_way_and_its_receipt_comes_back(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        status, identity = await client.submit(octets=SECRET, registered_delivery=1)
        assert status == Status.OK
        request, message = await link.message()
        assert (message.source, message.destination, message.octets) == ("Shop", NUMBER, SECRET)
        link.take_message(request, "net-1")
        link.tell(message, "net-1")
        assert (await link.answered()).status == Status.OK

        receipt_request, receipt = await client.message()
        assert is_receipt(receipt)
        assert (receipt.source, receipt.destination) == (NUMBER, "Shop")
        told = parse_receipt(receipt)
        assert (told.message_id, told.state) == (identity, MessageState.DELIVERED)
        client.answer(receipt_request, body=MessageResponse())
        await at.until("SELECT receipt FROM sms_message", "given")
        counted = at.centre.counters()
        assert [counted[f"messages_{what}_total"] for what in ("delivered", "failed", "quarantined")] == [1, 0, 0]

        trail = await at.centre.trail(identity)
        assert trail is not None
        events = [step.event for step in trail.steps]
        assert events == ["accepted", "attempted", "sent", "delivered", "receipt-given"]
        assert "90000001" not in str(trail)
        [submitted] = await at.outcomes("submit")
        asked, gone, kept = await at.outcomes("deliver")
        assert (submitted.verdict, asked.verdict, gone.verdict, kept.verdict) == ("kept", "asked", "asked", "kept")
        assert (asked.layer, gone.layer, gone.promise) == ("sms-centre", "link", identity)
        assert asked.promise == kept.promise == identity
        assert kept.dimensions == {
            "class": "ordinary",
            "account": "shop",
            "link": "nord",
            "partner": "Fjordmobil",
            "direction": "out",
        }


async def test_an_answer_means_that_the_message_is_stored_and_sealed(house: Any, tmp_path: Path) -> None:
    async with house() as at:  # the link is not bound: the message rests
        client = await at.bound_client()
        status, identity = await client.submit(octets=SECRET)
        assert status == Status.OK
        [(stored, state, sealed)] = await at.fetch("SELECT id, state, sealed FROM sms_message")
        assert (stored, state) == (identity, "waiting")
        assert SECRET not in bytes(sealed)
        for file in tmp_path.glob("sms.db*"):
            assert SECRET not in file.read_bytes()


async def test_a_body_is_erased_when_its_message_has_ended(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit(octets=SECRET)
        request, message = await link.message()
        link.take_message(request, "net-1")
        link.tell(message, "net-1")
        await at.until("SELECT state FROM sms_message", "delivered")
        assert await at.fetch("SELECT sealed FROM sms_message") == [(None,)]


async def test_what_the_database_cannot_take_is_not_acknowledged(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client()
        at.engine.refusal = StorageUnavailable("the disk is full")
        status, identity = await client.submit()
        assert (status, identity) == (Status.QUEUE_FULL, "")
        at.engine.refusal = None
        status, identity = await client.submit()
        assert status == Status.OK
        assert [row[0] for row in await at.fetch("SELECT id FROM sms_message")] == [identity]
        assert [outcome.verdict for outcome in await at.outcomes("submit")] == ["kept"]


async def test_a_commit_in_doubt_is_answered_by_nobody_and_ends_the_centre(house: Any) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with house(timing=replace(HURRIED, look_seconds=60.0)) as at:
            client = await at.bound_client()
            await client.submit()  # whatever else was to be written is
            at.engine.lost = InDoubt("lost while committing")
            client.ask(Command.SUBMIT_SM, ShortMessage(source="Shop", destination=NUMBER, octets=b"hei"))
            while not isinstance(event := await client.event(), SessionEnd):
                assert isinstance(event, Request)  # an unbind perhaps, and no answer
    assert caught.group_contains(InDoubt)


TEXT = "Kommer du i kveld? 😊 椀"


@pytest.mark.parametrize(
    ("order", "written"),
    [
        ("big", TEXT.encode("utf-16-be")),
        ("big", b"\xff\xfe" + TEXT.encode("utf-16-le")),
        ("little", TEXT.encode("utf-16-le")),
        ("little", b"\xff\xfe" + TEXT.encode("utf-16-le")),
    ],
    ids=["by the book", "marked", "of the link", "of the link and marked"],
)
@pytest.mark.parametrize("carrier", ["octets", "message_payload"])
async def test_a_text_of_a_network_arrives_whichever_octet_was_first(
    house: Any, order: str, written: bytes, carrier: str
) -> None:
    async with house(nord={"ucs2_byte_order": order}) as at:
        link, client = await at.bound_link(), await at.bound_client()
        carried = {"octets": written} if carrier == "octets" else {"tlvs": ((Tag.MESSAGE_PAYLOAD, written),)}
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", data_coding=8, **carried))
        _, message = await client.message()
        assert decode_text(message.data_coding, payload(message)) == TEXT


async def test_who_is_fenced_out_refuses_what_was_submitted_since_nothing_was_kept_and_ends(house: Any) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with house(timing=replace(HURRIED, look_seconds=60.0)) as at:
            client = await at.bound_client()
            await client.submit()  # whatever else was to be written is
            at.engine.refusal = FencedOut("another process writes")
            assert await client.submit() == (Status.SYSTEM_ERROR, "")
            while not isinstance(await client.event(), SessionEnd):
                pass
    assert caught.group_contains(FencedOut)


async def test_an_answer_of_the_network_is_kept_until_the_database_takes_it(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit()
        request, message = await link.message()
        at.engine.refusal = StorageUnavailable("the disk is full")
        link.take_message(request, "net-1")
        link.tell(message, "net-1")
        assert (await link.answered()).status == Status.TEMPORARY_APPLICATION_ERROR
        at.engine.refusal = None
        await at.until("SELECT next_hop_id FROM sms_message", "net-1")
        link.tell(message, "net-1")
        assert (await link.answered()).status == Status.OK
        await at.until("SELECT state FROM sms_message", "delivered")


async def test_a_receipt_waits_for_its_account_to_come_back(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client(command=Command.BIND_TRANSMITTER)
        _, identity = await client.submit(registered_delivery=1)
        client.cut()
        request, message = await link.message()
        link.take_message(request, "net-1")
        link.tell(message, "net-1", MessageState.UNDELIVERABLE)
        await at.until("SELECT state FROM sms_message", "undeliverable")
        receiver = await at.bound_client(command=Command.BIND_RECEIVER)
        _, receipt = await receiver.message()
        assert parse_receipt(receipt).message_id == identity
        assert parse_receipt(receipt).state is MessageState.UNDELIVERABLE
        receiver.cut()  # before it has answered: told again
        again = await at.bound_client(command=Command.BIND_RECEIVER)
        await at.until("SELECT receipt FROM sms_message", "waiting")
        at.clock.advance(15.0)
        _, receipt = await again.message()
        assert parse_receipt(receipt).message_id == identity
        [_, _, broken] = await at.outcomes("deliver")
        assert (broken.verdict, broken.layer, broken.device) == ("broken", "link", f"+{NUMBER}")


@pytest.mark.parametrize(("registered", "state", "told"), [(0, 5, False), (2, 2, False), (2, 5, True), (1, 2, True)])
async def test_receipts_are_given_to_those_who_asked(house: Any, registered: int, state: int, told: bool) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit(registered_delivery=registered)
        request, message = await link.message()
        link.take_message(request, "net-1")
        link.tell(message, "net-1", MessageState(state))
        if told:
            _, receipt = await client.message()
            assert parse_receipt(receipt).state == state
        else:
            await at.until("SELECT ended_at > 0 FROM sms_message", True)
            assert (await link.answered()).status == Status.OK
            await at.nothing_more_for_account(client, link)


async def test_a_long_message_has_one_receipt_when_all_its_parts_have_ended(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        long = ((Tag.MESSAGE_PAYLOAD, b"x" * 400),)
        _, identity = await client.submit(octets=b"", tlvs=long, registered_delivery=1)
        parts = [await link.message() for _ in range(3)]
        for number, (request, _) in enumerate(parts):
            link.take_message(request, f"net-{number}")
        states = [MessageState.DELIVERED, MessageState.UNDELIVERABLE, MessageState.DELIVERED]
        for number, ((_, message), state) in enumerate(zip(parts, states, strict=True)):
            await at.nothing_more_for_account(client, link)
            link.tell(message, f"net-{number}", state)
            assert (await link.answered()).status == Status.OK
        request, receipt = await client.message()
        assert parse_receipt(receipt).message_id == identity
        assert parse_receipt(receipt).state is MessageState.UNDELIVERABLE
        client.answer(request, body=MessageResponse())
        await at.nothing_more_for_account(client, link)
        found = [outcome for outcome in await at.outcomes("deliver") if outcome.dimensions["direction"] == "out"]
        assert {outcome.promise for outcome in found} == {identity}
        assert [outcome.verdict for outcome in found if outcome.layer == "sms-centre"] == ["asked"]
        assert [outcome.verdict for outcome in found if outcome.verdict != "asked"] == ["broken"]


async def test_an_accounts_own_reference_comes_back_in_its_receipt_and_the_network_sees_ours(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        mine = ((Tag.USER_MESSAGE_REFERENCE, b"\x01\x02"),)
        for tlvs, octets in ((mine, b"hei"), ((), b"hei"), ((*mine, (Tag.MESSAGE_PAYLOAD, b"x" * 161)), b"")):
            _, identity = await client.submit(registered_delivery=1, octets=octets, tlvs=tlvs)
            parts = [await link.message() for _ in range(1 if octets else 2)]
            for number, (request, _) in enumerate(parts):
                link.take_message(request, f"{identity}/{number}")
            for number, (_, message) in enumerate(parts):
                ours = reference_of(f"{identity}-{number + 1}" if number else identity)
                assert message.tlv(Tag.USER_MESSAGE_REFERENCE) == ours.to_bytes(2)
                link.tell(message, f"{identity}/{number}")
                assert (await link.answered()).status == Status.OK
            request, receipt = await client.message()
            assert parse_receipt(receipt).message_id == identity
            assert receipt.tlv(Tag.USER_MESSAGE_REFERENCE) == (b"\x01\x02" if tlvs else None)
            client.answer(request, body=MessageResponse())


async def test_what_we_do_not_do_is_refused_over_the_wire(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client()
        asked = ({"esm_class": 1}, {"esm_class": 2}, {"replace_if_present": 1}, {"default_message_id": 1})
        assert [await client.submit(**fields) for fields in asked] == [(0x43, ""), (0x43, ""), (0x54, ""), (0x63, "")]
        assert await at.fetch("SELECT id FROM sms_message") == []


async def test_receipts_are_known_whatever_their_type_and_by_data_sm(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        for number in range(3):
            assert (await client.submit(registered_delivery=1))[0] == Status.OK
            request, _ = await link.message()
            link.take_message(request, f"net-{number}")
            await at.until(f"SELECT state FROM sms_message WHERE next_hop_id = 'net-{number}'", "sent")
        text = b"id:net-%d,sub:001 dlvrd:001 stat:Delivered err:000 text:id:net-2 stat:FAILED"
        empty = ((Tag.RECEIPTED_MESSAGE_ID, b"\0"), (Tag.MESSAGE_STATE, b""))
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="Shop", octets=text % 0, tlvs=empty))
        assert (await link.answered()).status == Status.OK
        data = b"\0\1\1%b\0\5\0Shop\0\0\0\0\x04\x24%b%b" % (NUMBER.encode(), len(text % 1).to_bytes(2), text % 1)
        link.connection.session.ask(Command.DATA_SM, data, None, 0.0)
        link.connection.flush()
        assert (await link.answered()).status == Status.OK
        for _ in range(2):
            request, receipt = await client.message()
            assert parse_receipt(receipt).state is MessageState.DELIVERED
            client.answer(request, body=MessageResponse())
        # A word that nobody knows settles nothing, and is not refused.
        unknown = ShortMessage(source=NUMBER, destination="Shop", octets=b"id:net-2 stat:Foo err:000", esm_class=4)
        link.ask(Command.DELIVER_SM, unknown)
        assert (await link.answered()).status == Status.OK
        rows = await at.fetch("SELECT next_hop_id, state FROM sms_message ORDER BY next_hop_id")
        assert rows == [("net-0", "delivered"), ("net-1", "delivered"), ("net-2", "sent")]


async def test_parts_leave_in_their_order_and_two_accounts_with_one_name_share_its_references(house: Any) -> None:
    async with house(window=50) as at:
        link, clients = await at.network.bound(), [await at.bound_client(name) for name in ("shop", "clinic")]
        marks = []
        for client in (*clients, *clients):
            letters = b"x" * (153 * 12)
            assert (await client.submit(octets=b"", tlvs=((Tag.MESSAGE_PAYLOAD, letters),)))[0] == Status.OK
            parts = [await link.message() for _ in range(12)]
            assert [message.octets[4:6] for _, message in parts] == [bytes((12, n)) for n in range(1, 13)]
            marks += {message.octets[3] for _, message in parts}
            for request, _ in parts:
                link.take_message(request, f"net-{request.sequence}")
        assert marks == [(marks[0] + n) % 256 for n in range(4)]


async def test_a_burst_to_one_phone_leaves_in_the_order_in_which_it_was_accepted(house: Any) -> None:
    """Pipelined, so that many share a transaction and a moment; the window lets a few out at a time."""
    async with house(window=7) as at:
        link, client = await at.network.bound(), await at.bound_client()
        texts = [f"message {number}".encode() for number in range(60)]
        for burst in (texts[start : start + 10] for start in range(0, len(texts), 10)):
            for text in burst:
                client.ask(Command.SUBMIT_SM, ShortMessage(source="Shop", destination=NUMBER, octets=text))
            for _ in burst:
                await client.answered()
        left = []
        for _ in texts:
            request, message = await link.message()
            left.append(message.octets)
            link.take_message(request, f"net-{request.sequence}")
        assert left == texts


async def test_parts_that_end_together_are_told_of_once(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client()
        long = ((Tag.MESSAGE_PAYLOAD, b"x" * 400),)
        _, identity = await client.submit(octets=b"", tlvs=long, registered_delivery=1, validity="000000000001000R")
        at.clock.advance(1.0)
        request, receipt = await client.message()
        assert parse_receipt(receipt).message_id == identity
        client.answer(request, body=MessageResponse())
        assert await at.fetch("SELECT DISTINCT state FROM sms_message") == [("expired",)]
        [_, broken] = await at.outcomes("deliver")
        assert (broken.verdict, broken.reason, broken.promise) == ("broken", "expired", identity)


async def test_a_refusal_for_now_is_tried_again_and_one_for_good_ends(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit()
        request, _ = await link.message()
        link.answer(request, Status.SYSTEM_ERROR, MessageResponse())
        await at.until("SELECT reason FROM sms_message", "smpp-08")
        await at.nothing_more_for(link, client)  # its time has not come
        at.clock.advance(1.0)
        request, message = await link.message()
        assert message.destination == NUMBER
        link.answer(request, Status.INVALID_DESTINATION, MessageResponse())
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'rejected'", 1)
        [broken] = [outcome for outcome in await at.outcomes("deliver") if outcome.verdict == "broken"]
        assert (broken.verdict, broken.reason) == ("broken", "smpp-0b")


async def test_who_is_throttled_is_left_alone_for_a_while_by_all_messages(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit()
        request, _ = await link.message()
        link.answer(request, Status.THROTTLED, MessageResponse())
        await at.until("SELECT reason FROM sms_message", "smpp-58")
        assert (await client.submit(destination="4790000002"))[0] == Status.OK
        # Whoever is not left alone gets what is for others at once.
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"hei"))
        assert (await link.answered()).status == Status.OK
        await client.message()
        assert await at.fetch("SELECT attempts FROM sms_message WHERE recipient = '4790000002'") == [(0,)]
        assert await at.fetch("SELECT attempts, state FROM sms_message WHERE reason = 'smpp-58'") == [(0, "waiting")]
        at.clock.advance(1.0, on_the_wire=True)
        # Who was refused so has lost neither an attempt nor its place, and shows whether more may follow.
        request, message = await link.message()
        assert message.destination == NUMBER
        assert await at.fetch("SELECT state FROM sms_message WHERE recipient = '4790000002'") == [("waiting",)]
        link.take_message(request, "net-1")
        assert (await link.message())[1].destination == "4790000002"


async def test_a_links_own_table_says_what_its_refusals_mean(house: Any) -> None:
    async with house(
        link_changes={"refused_for_now": (0x45,), "refused_for_good": (0x08,), "refused_when_too_fast": (0x400,)}
    ) as at:
        link, client = await at.network.bound(), await at.bound_client()
        states = {}
        for status in (0x45, 0x08, 0x400):
            assert (await client.submit(destination=f"4790000{status:03d}"))[0] == Status.OK
            request, message = await link.message()
            link.answer(request, status, MessageResponse())
            await at.until(f"SELECT COUNT(*) FROM sms_message WHERE reason = 'smpp-{status:02x}'", 1)
            [states[status]] = await at.fetch(
                f"SELECT state, attempts FROM sms_message WHERE recipient = '{message.destination}'"
            )
        if states[0x400] == ("sending", 0):
            states[0x400] = ("waiting", 0)  # claimed again, it waits for the link's pause to be over
        assert states == {0x45: ("waiting", 1), 0x08: ("rejected", 1), 0x400: ("waiting", 0)}


async def test_a_link_is_sent_no_more_than_its_rate(house: Any) -> None:
    async with house(link_changes={"throughput_per_second_max": 20.0}) as at:
        link, client = await at.network.bound(), await at.bound_client()
        for _ in range(5):
            assert (await client.submit())[0] == Status.OK
        for count in (2, 4):
            for _ in range(2):
                request, _ = await link.message()
                link.take_message(request, f"net-{request.sequence}")
            await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'sent'", count)
            link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"hei"))
            assert (await link.answered()).status == Status.OK
            assert await at.fetch("SELECT COUNT(*) FROM sms_message WHERE attempts > 0 AND target LIKE 'link%'") == [
                (count,)
            ]
            at.clock.advance(0.1, on_the_wire=True)
        await link.message()


EARLY_SECONDS = HURRIED.early_receipt_seconds
IN_DOUBT_SECONDS = 60.0


async def in_doubt(at: Any, account: str) -> tuple[Any, ShortMessage, str]:
    """A message was written, and the link broke before its answer came."""
    link, client = await at.network.bound(), await at.bound_client(account)
    _, identity = await client.submit(registered_delivery=1)
    _, message = await link.message()
    link.cut()
    await at.until("SELECT state FROM sms_message", "in-doubt")
    return client, message, identity


async def test_in_doubt_a_message_is_sent_again_when_no_receipt_tells_more(house: Any) -> None:
    async with house() as at:
        client, message, identity = await in_doubt(at, "shop")
        at.clock.advance(10 * IN_DOUBT_SECONDS)  # nothing could tell us while the link was away
        link = await at.bound_link()
        await at.nothing_more_for(link, client)
        at.clock.advance(IN_DOUBT_SECONDS)
        request, again = await link.message()
        assert again.octets == message.octets
        # The network can tell by the same reference that it is the same message.
        assert again.tlv(Tag.USER_MESSAGE_REFERENCE) == message.tlv(Tag.USER_MESSAGE_REFERENCE)
        link.take_message(request, "net-2")
        await at.until(f"SELECT state FROM sms_message WHERE id = '{identity}'", "sent")
        trail = await at.centre.trail(identity)
        assert [step.event for step in trail.steps if "doubt" in step.event + step.detail] == [
            "in-doubt",
            "to-be-sent-again",
        ]
        assert at.centre.counters()["messages_in_doubt_total"] == 1


async def test_in_doubt_a_message_is_reported_where_twice_would_be_worse(house: Any) -> None:
    async with house() as at:
        client, _, identity = await in_doubt(at, "clinic")
        link = await at.bound_link()
        at.clock.advance(IN_DOUBT_SECONDS)
        _, receipt = await client.message()
        assert parse_receipt(receipt).message_id == identity
        assert parse_receipt(receipt).state is MessageState.UNKNOWN
        await at.nothing_more_for(link, await at.bound_client())
        [broken] = [outcome for outcome in await at.outcomes("deliver") if outcome.verdict == "broken"]
        assert (broken.verdict, broken.reason) == ("broken", "in-doubt")


async def test_a_message_that_ends_its_session_twice_is_quarantined_and_the_next_one_passes(house: Any) -> None:
    async with house() as at:
        client, message, identity = await in_doubt(at, "shop")
        link = await at.bound_link()
        at.clock.advance(IN_DOUBT_SECONDS)
        _, again = await link.message()
        assert again.octets == message.octets
        link.cut()
        await at.until(f"SELECT state FROM sms_message WHERE id = '{identity}'", "quarantined")
        _, receipt = await client.message()
        assert (parse_receipt(receipt).message_id, parse_receipt(receipt).state) == (identity, MessageState.UNKNOWN)
        link = await at.network.bound()
        at.clock.advance(2 * IN_DOUBT_SECONDS)
        await at.nothing_more_for(link, await at.bound_client())
        [held] = await at.fetch("SELECT reason, sealed IS NOT NULL FROM sms_message WHERE state = 'quarantined'")
        assert held == ("ended-its-session-twice", True)
        assert at.centre.counters()["messages_quarantined_total"] == 1


async def test_a_log_in_code_in_doubt_is_reported_whatever_its_account_says(house: Any) -> None:
    clinic = replace(SETTINGS.accounts[1], in_doubt="resend")
    assert clinic.message_class == "log-in-code"
    async with house(accounts=(SETTINGS.accounts[0], clinic)) as at:
        client, _, identity = await in_doubt(at, "clinic")
        link = await at.bound_link()
        at.clock.advance(IN_DOUBT_SECONDS)
        _, receipt = await client.message()
        assert (parse_receipt(receipt).message_id, parse_receipt(receipt).state) == (identity, MessageState.UNKNOWN)
        await at.nothing_more_for(link, await at.bound_client())


async def test_a_receipt_settles_a_doubt(house: Any) -> None:
    async with house() as at:
        client, message, identity = await in_doubt(at, "shop")
        link = await at.bound_link()
        link.tell(message, "net-1")  # an id that we were never told; the reference says which message it is
        assert (await link.answered()).status == Status.OK
        request, receipt = await client.message()
        assert parse_receipt(receipt).state is MessageState.DELIVERED
        client.answer(request, body=MessageResponse())
        at.clock.advance(2 * IN_DOUBT_SECONDS)
        await at.nothing_more_for(link, client)
        assert "doubt-settled" in [step.event for step in (await at.centre.trail(identity)).steps]


async def test_a_doubt_that_a_receipt_settles_is_known_by_its_id_to_the_next_that_came_with_it(house: Any) -> None:
    async with house(receipt_ids="decimal") as at:
        _, message, _ = await in_doubt(at, "shop")
        link = await at.bound_link()
        for identity, about in (("ff", message), ("255", structs.replace(message, tlvs=()))):
            receipt = receipt_message(Receipt(identity, MessageState.DELIVERED), about, submitted=0.0, done=0.0)
            link.connection.session.ask(Command.DELIVER_SM, encode_body(receipt), identity, 0.0)
        link.connection.flush()
        assert [(await link.answered()).status for _ in range(2)] == [Status.OK] * 2
        assert await at.fetch("SELECT state FROM sms_message") == [("delivered",)]
        assert await at.fetch("SELECT COUNT(*) FROM sms_network_receipt") == [(0,)]


async def test_of_two_messages_that_were_given_one_id_a_receipt_is_about_the_one_whose_reference_it_bears(
    house: Any,
) -> None:
    """The answer to the first was lost; the partner gives its id again, to the next one for the same phone."""
    async with house() as at:
        client, first, in_question = await in_doubt(at, "shop")
        link = await at.bound_link()
        _, following = await client.submit()
        request, second = await link.message()
        link.take_message(request, "net-1")
        await at.until(f"SELECT state FROM sms_message WHERE id = '{following}'", "sent")
        link.tell(first, "net-1", MessageState.UNDELIVERABLE)
        await at.until(f"SELECT state FROM sms_message WHERE id = '{in_question}'", "undeliverable")
        assert await at.fetch(f"SELECT state FROM sms_message WHERE id = '{following}'") == [("sent",)]
        link.tell(second, "net-1")
        await at.until(f"SELECT state FROM sms_message WHERE id = '{following}'", "delivered")


async def test_where_two_in_doubt_have_one_reference_a_receipt_settles_neither(house: Any) -> None:
    async with house() as at:
        _, message, identity = await in_doubt(at, "clinic")
        twin = next(f"{number:x}" for number in range(1 << 23) if reference_of(f"{number:x}") == reference_of(identity))
        others = ", ".join(column for column in BASE if column not in ("id", "submission"))
        await at.change(
            f"INSERT INTO sms_message (id, submission, {others}) SELECT '{twin}', '{twin}', {others} FROM sms_message"
        )
        link = await at.bound_link()
        link.tell(message, "net-1")
        await at.until("SELECT COUNT(*) FROM sms_network_receipt", 1)
        assert await at.fetch("SELECT state FROM sms_message") == [("in-doubt",), ("in-doubt",)]


async def test_another_message_with_a_like_receipt_settles_no_doubt(house: Any) -> None:
    async with house() as at:
        _, message, _ = await in_doubt(at, "clinic")
        link = await at.bound_link()
        elsewhere = ShortMessage(source="Shop", destination="4790000002", tlvs=message.tlvs)
        link.tell(elsewhere, "net-1")
        other = ShortMessage(source="Shop", destination=NUMBER, tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\0\1"),))
        link.tell(other, "net-1")
        await at.nothing_more_for_account(await at.bound_client(), link)
        await at.until("SELECT COUNT(*) FROM sms_network_receipt", 2)
        assert await at.fetch(f"SELECT state FROM sms_message WHERE recipient = '{NUMBER}'") == [("in-doubt",)]
        at.clock.advance(IN_DOUBT_SECONDS)
        await at.until(f"SELECT state FROM sms_message WHERE recipient = '{NUMBER}'", "unreported")
        at.clock.advance(EARLY_SECONDS - IN_DOUBT_SECONDS)
        await at.until("SELECT COUNT(*) FROM sms_network_receipt WHERE state = 'held'", 2)


async def test_what_was_being_sent_when_the_process_died_is_in_doubt_and_not_sent_at_once(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client()
        _, sending = await client.submit()
        _, waiting = await client.submit(destination="4790000002")
    async with house() as at:
        pass
    async with house() as at:
        await at.change(f"UPDATE sms_message SET state = 'sending', attempts = 1 WHERE id = '{sending}'")
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        request, message = await link.message()
        assert message.destination == "4790000002"
        link.take_message(request, "net-1")
        await at.nothing_more_for(link, client)
        await at.until(f"SELECT state FROM sms_message WHERE id = '{waiting}'", "sent")
        assert await at.fetch(f"SELECT state, reason FROM sms_message WHERE id = '{sending}'") == [
            ("in-doubt", "restart")
        ]
        perhaps = [outcome for outcome in await at.outcomes("deliver") if outcome.reason == "in-doubt"]
        assert [(outcome.promise, outcome.layer, outcome.verdict) for outcome in perhaps] == [
            (sending, "link", "asked")
        ]
        at.clock.advance(IN_DOUBT_SECONDS)
        _, message = await link.message()
        assert message.destination == NUMBER


async def test_what_differed_once_is_not_written_behind_what_followed_it_while_its_quarantine_cannot_be_stored(
    house: Any,
) -> None:
    flipped: list[bytes] = []

    def encode(message: ShortMessage) -> bytes:
        body = encode_body(message)
        if message.octets != b"one" or flipped:
            return body
        flipped.append(body)
        return body[:-1] + bytes((body[-1] ^ 1,))

    async with house(wire=Wire(encode=encode)) as at:
        link, client = await at.network.bound(), await at.bound_client()
        at.engine.fails_where = "SELECT 1 FROM sms_message WHERE state = 'quarantined'"
        _, first = await client.submit(octets=b"one")
        await at.engine.failed.wait()
        await client.submit(octets=b"two")
        assert (await link.message())[1].octets == b"two"
        at.engine.fails_where = ""
        await at.until(f"SELECT state FROM sms_message WHERE id = '{first}'", "quarantined")
        await at.nothing_more_for(link, client)
    assert flipped


async def test_a_receipt_may_overtake_the_answer_that_names_its_message(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit()
        request, message = await link.message()
        link.tell(message, "net-1")
        assert (await link.answered()).status == Status.OK  # at once, since it is kept
        await at.nothing_more_for_account(client, link)
        at.clock.advance(EARLY_SECONDS - 0.1)
        link.take_message(request, "net-1")
        await at.until(f"SELECT state FROM sms_message WHERE recipient = '{NUMBER}'", "delivered")
        await at.until("SELECT COUNT(*) FROM sms_network_receipt", 0)


async def test_a_receipt_for_another_number_changes_nothing_and_is_held(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit(registered_delivery=1)
        request, _ = await link.message()
        link.take_message(request, "net-1")
        link.tell(ShortMessage(source="Shop", destination="4790000002"), "net-1")
        assert (await link.answered()).status == Status.OK
        await at.nothing_more_for_account(client, link)
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT state FROM sms_network_receipt", "held")
        [held] = await at.fetch("SELECT link, next_hop_id, source, reason FROM sms_network_receipt")
        assert held == ("nord", "net-1", "4790000002", "fits-another-number")
        assert await at.fetch(f"SELECT state FROM sms_message WHERE recipient = '{NUMBER}'") == [("sent",)]
        await eventually(lambda: at.centre.counters()["receipts_unmatched_total"] == 1)
        await at.nothing_more_for_account(client, link)


async def test_a_receipt_without_a_number_is_of_no_message_whose_reference_it_does_not_give_back(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        references: list[bytes] = []
        for identity in ("net-1", "net-2", "net-3"):
            await client.submit()
            request, message = await link.message()
            references.append(message.tlv(Tag.USER_MESSAGE_REFERENCE) or b"")
            link.take_message(request, identity)

        async def tell(identity: str, reference: bytes) -> None:
            text = f"id:{identity} sub:001 dlvrd:001 stat:DELIVRD err:000 text:".encode()
            tlvs = ((Tag.USER_MESSAGE_REFERENCE, reference),)
            link.ask(Command.DELIVER_SM, ShortMessage(octets=text, esm_class=4, tlvs=tlvs), "receipt")
            assert (await link.answered()).status == Status.OK

        states = "SELECT state FROM sms_message ORDER BY next_hop_id"
        await tell("net-1", b"\0\1")  # who gives ours back is not known yet: some write what they like
        await tell("net-2", references[1])
        await tell("net-3", references[0])  # it is another's, which another link has told
        await at.until("SELECT state FROM sms_network_receipt", "waiting")
        assert await at.fetch(states) == [("delivered",), ("delivered",), ("sent",)]
        at.clock.advance(EARLY_SECONDS)
        await at.until("SELECT state FROM sms_network_receipt", "held")
        assert await at.fetch("SELECT reason FROM sms_network_receipt") == [("names-another-reference",)]
        await tell("net-3", references[2])
        await at.until("SELECT state FROM sms_message WHERE next_hop_id = 'net-3'", "delivered")


async def test_a_row_whose_recipient_was_changed_never_leaves_the_house(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client()
        _, first = await client.submit(octets=SECRET, registered_delivery=1)
        await client.submit(octets=b"hello", destination="4790000002")
        await at.change(f"UPDATE sms_message SET recipient = '4790000009' WHERE id = '{first}'")
        link = await at.network.bound()
        _, message = await link.message()
        assert message.octets == b"hello"
        await at.until(f"SELECT state FROM sms_message WHERE id = '{first}'", "quarantined")
        await eventually(lambda: at.centre.counters()["messages_quarantined_total"] == 1)
        _, receipt = await client.message()
        assert parse_receipt(receipt).state is MessageState.UNKNOWN
        broken = [outcome for outcome in await at.outcomes("deliver") if outcome.verdict == "broken"]
        assert [(outcome.reason, outcome.layer) for outcome in broken] == [("misdirected", "sms-centre")]
        [(sealed,)] = await at.fetch(f"SELECT sealed FROM sms_message WHERE id = '{first}'")
        assert sealed is not None  # kept for a human to look into
        await at.nothing_more_for(link, await at.bound_client("clinic"))


async def test_what_no_link_takes_expires_openly(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client()
        await client.submit(validity="000000000001000R", registered_delivery=1)
        at.clock.advance(1.0)
        _, receipt = await client.message()
        assert parse_receipt(receipt).state is MessageState.EXPIRED
        [_, broken] = await at.outcomes("deliver")
        assert (broken.verdict, broken.reason, broken.layer) == ("broken", "expired", "sms-centre")


async def test_a_phone_reaches_a_short_code_and_what_has_no_route_is_refused(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"STOPP"))
        assert (await link.answered()).status == Status.OK
        request, message = await client.message()
        assert (message.source, message.destination, message.octets) == (NUMBER, "2010", b"STOPP")
        client.answer(request, body=MessageResponse())
        await at.until("SELECT state FROM sms_message", "delivered")
        [_, kept] = await at.outcomes("deliver")
        assert kept.dimensions["direction"] == "in"
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2999", octets=b"?"))
        assert (await link.answered()).status == Status.INVALID_DESTINATION
        assert [outcome.reason for outcome in await at.outcomes("submit")] == ["", "no-route"]


async def test_an_account_gets_only_what_is_for_it(house: Any) -> None:
    async with house() as at:
        link, other = await at.network.bound(), await at.bound_client("clinic")
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"STOPP"))
        assert (await link.answered()).status == Status.OK
        await at.nothing_more_for_account(other, link, "2020")
        _, message = await (await at.bound_client()).message()
        assert message.octets == b"STOPP"


async def test_an_account_that_sends_too_fast_is_slowed(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client("slow")
        statuses = [(await client.submit())[0] for _ in range(5)]
        assert statuses == [Status.OK] * 2 + [Status.THROTTLED] * 3
        at.clock.advance(0.5)
        assert [(await client.submit())[0] for _ in range(2)] == [Status.OK, Status.THROTTLED]
        assert {outcome.reason for outcome in await at.outcomes("submit")} == {"", "throttled"}


async def test_what_waits_has_a_limit_that_is_told(house: Any) -> None:
    async with house(waiting_max=2) as at:
        client = await at.bound_client()

        async def is_full() -> bool:
            """What cannot be taken on for another reason is told of the limit first."""
            return (await client.submit(schedule="never"))[0] == Status.QUEUE_FULL

        assert (await client.submit())[0] == Status.OK
        at.clock.advance(5.0)
        assert (await client.submit())[0] == Status.OK
        at.clock.advance(5.0)
        await eventually(is_full)
        assert (await client.submit())[0] == Status.QUEUE_FULL
        link = await at.network.bound()
        for number in range(2):
            request, _ = await link.message()
            link.take_message(request, f"net-{number}")
        at.clock.advance(5.0)
        await eventually(lambda: not_so(is_full))
        assert (await client.submit())[0] == Status.OK
        reasons = [outcome.reason for outcome in await at.outcomes("submit") if outcome.reason != "bad-schedule"]
        assert (reasons[0], reasons[-1], set(reasons)) == ("", "", {"", "queue-full"})


async def not_so(condition: Any) -> bool:
    return not await condition()


async def test_what_is_held_has_the_same_limit(house: Any) -> None:
    async with house(waiting_max=1) as at:
        client = await at.bound_client()
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="r")
        assert (await client.submit())[0] == Status.OK
        at.clock.advance(5.0)

        async def is_full() -> bool:
            return (await client.submit(schedule="never"))[0] == Status.QUEUE_FULL

        await eventually(is_full)


async def test_what_came_before_an_unbind_is_answered_before_it(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client()
        client.ask(Command.SUBMIT_SM, ShortMessage(source="Shop", destination=NUMBER, octets=b"hei"), "message")
        client.connection.session.unbind(0.0)
        client.connection.flush()
        assert (await client.answered()).context == "message"
        assert await client.event() == SessionEnd("unbound", ())


async def test_the_centre_leaves_with_a_goodbye_and_comes_back_to_what_it_left(house: Any) -> None:
    async with house(timing=replace(HURRIED, leave_seconds_max=60.0)) as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit(octets=b"first")
        request, _ = await link.message()
        link.take_message(request, "net-1")
        await at.until("SELECT state FROM sms_message", "sent")
        # It waits for who says goodbye, and no longer than that.
        goodbyes = asyncio.gather(link.say_goodbye(), client.say_goodbye())
    await goodbyes
    async with house() as at:
        link = await at.network.bound()
        link.tell(ShortMessage(source="Shop", destination=NUMBER), "net-1")
        assert (await link.answered()).status == Status.OK
        await at.until("SELECT state FROM sms_message", "delivered")


async def test_what_is_claimed_while_the_centre_leaves_is_given_back(house: Any) -> None:
    async with house(timing=replace(HURRIED, leave_seconds_max=60.0)) as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit(schedule="000000000010000R")
        at.engine.commits_left = 0
        at.clock.advance(10.0)

        async def leave() -> None:
            await asyncio.gather(link.say_goodbye(), client.say_goodbye())
            at.engine.go_on.set()

        leaving = asyncio.create_task(leave())
    await leaving
    assert await at.fetch("SELECT state, attempts FROM sms_message") == [("waiting", 0)]


async def test_nothing_is_written_once_the_centre_has_said_goodbye(house: Any) -> None:
    """Its answer might come too late: what was claimed goes back, also while the peer is still there."""
    async with house(timing=replace(HURRIED, leave_seconds_max=60.0)) as at:
        link, client = await at.network.bound(), await at.bound_client()
        at.engine.held_where = "SELECT 1 FROM sms_message WHERE state = 'sending'"
        handing_in = asyncio.create_task(client.submit())
        await at.engine.waiting.wait()  # claimed, and not committed yet

        async def leave() -> None:
            try:
                unbind = await link.request()
                assert unbind.command == Command.UNBIND
                behind = asyncio.create_task(at.change("UPDATE sms_event SET detail = detail"))
                await asyncio.sleep(0)
                at.engine.go_on.set()
                await behind  # the claim is committed by now
                await at.until("SELECT state FROM sms_message", "waiting")
                assert not link.connection.ended
                await handing_in
                link.answer(unbind)
                await client.say_goodbye()
            finally:
                at.engine.go_on.set()  # or nobody ever leaves

        leaving = asyncio.create_task(leave())
    await leaving
    assert await at.fetch("SELECT state, attempts FROM sms_message") == [("waiting", 0)]


async def test_what_is_claimed_while_its_link_breaks_goes_over_the_next_one(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        await client.submit(schedule="000000000010000R")
        at.engine.commits_left = 0
        at.clock.advance(10.0)
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await at.engine.waiting.wait()
        for _ in range(2):
            await at.client(password="guess")  # takes longer than it takes until the link looks
        link.cut()
        await at.client(password="guess")  # and longer than until the centre knows of the cut
        at.engine.go_on.set()
        link = await at.network.bound()
        _, message = await link.message()
        assert message.destination == NUMBER
        assert await at.fetch("SELECT state, attempts FROM sms_message") == [("sending", 1)]


async def test_that_nothing_can_be_claimed_is_said_and_it_is_claimed_later(
    house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        await client.submit(schedule="000000000010000R")
        at.engine.refusal = StorageUnavailable("the disk is full")
        await eventually(lambda: "link:nord: cannot claim: the disk is full" in caplog.text)
        at.engine.refusal = None
        at.clock.advance(10.0)
        _, message = await link.message()
        assert message.destination == NUMBER


async def test_what_cannot_be_given_back_at_the_goodbye_is_in_doubt_and_it_is_said(
    house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(timing=replace(HURRIED, leave_seconds_max=60.0)) as at:
        link, client = await at.network.bound(), await at.bound_client()
        at.engine.held_where = "SELECT 1 FROM sms_message WHERE state = 'sending'"
        handing_in = asyncio.create_task(client.submit())
        await at.engine.waiting.wait()  # claimed, and not committed yet

        async def leave() -> None:
            try:
                unbind = await link.request()
                at.engine.refusal = StorageUnavailable("the disk is full")
                at.engine.go_on.set()
                await eventually(lambda: "link:nord: cannot give back: the disk is full" in caplog.text)
                at.engine.refusal = None
                await handing_in
                link.answer(unbind)
                await client.say_goodbye()
            finally:
                at.engine.go_on.set()  # or nobody ever leaves

        leaving = asyncio.create_task(leave())
    await leaving
    assert await at.fetch("SELECT state FROM sms_message") == [("sending",)]


async def test_a_link_comes_back_after_a_refused_bind_and_after_a_cut(house: Any) -> None:
    async with house() as at:
        await at.network.bound(Status.BIND_FAILED)
        link = await at.network.bound()
        link.cut()
        await at.network.bound()


async def test_texts_by_the_api_are_taken_or_refused_with_a_reason(house: Any) -> None:
    async with house() as at:
        account = at.centre.authenticate("shop", "secret12", address="127.0.0.1")
        assert isinstance(account, Account)
        link = await at.network.bound()
        identity = await at.centre.submit(account, "Shop", f"+{NUMBER}", "Hei på deg 😀")
        request, message = await link.message()
        assert message.octets == "Hei på deg 😀".encode("utf-16-be")
        link.take_message(request, "net-1")
        await at.until(f"SELECT state FROM sms_message WHERE id = '{identity}'", "sent")
        for to, text, reason in (
            ("+4512345678", "hei", "no-route"),
            ("x", "hei", "bad-recipient"),
            (NUMBER, "", "text-length"),
        ):
            refused = await at.centre.submit(account, "Shop", to, text)
            assert isinstance(refused, Refusal)
            assert refused.reason == reason


async def test_old_trails_are_erased(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        _, identity = await client.submit()
        request, _ = await link.message()
        link.answer(request, Status.INVALID_DESTINATION, MessageResponse())
        await at.until("SELECT state FROM sms_message", "rejected")
    at.clock.advance(29.9 * 86_400)
    async with house(timing=replace(HURRIED, erase_every_seconds=0.0)) as at:
        await at.nothing_more_for(await at.network.bound(), await at.bound_client())
        assert await at.centre.trail(identity) is not None
        at.clock.advance(0.2 * 86_400)
        await at.until(f"SELECT COUNT(*) FROM sms_message WHERE id = '{identity}'", 0)
        assert await at.centre.trail(identity) is None


def told_of(outcomes: Any) -> list[tuple[str, str, str]]:
    return [(outcome.layer, outcome.verdict, outcome.reason) for outcome in outcomes]


async def test_what_waits_for_an_account_that_nobody_has_bound_is_told_as_the_accounts_own(house: Any) -> None:
    not_bound = ("account", "asked", "account-not-bound")
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        for count, octets in enumerate((b"taken", b"left"), 1):
            link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=octets))
            assert (await link.answered()).status == Status.OK
            request, _ = await client.message()
            if count == 1:
                client.answer(request, body=MessageResponse())
                await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'delivered'", 1)
        asked = ("sms-centre", "asked", "")
        assert told_of(await at.outcomes("deliver")) == [asked, ("account", "kept", ""), asked]
        client.cut()
        await eventually(lambda: at.centre.counters()["connections"] == 1)
        [*_, left] = await at.outcomes("deliver")
        assert told_of([left]) == [not_bound]
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"late"))
        assert (await link.answered()).status == Status.OK
        [*_, late] = await at.outcomes("deliver")
        assert told_of([late]) == [not_bound] and late.promise != left.promise
        at.clock.advance(80 * 3_600.0)
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state IN ('expired', 'unreported')", 2)
        ended = told_of(await at.outcomes("deliver"))[-2:]
        assert sorted(ended) == [("account", "broken", "account-not-bound"), ("account", "broken", "in-doubt")]


async def test_whoever_only_sends_takes_nothing_and_a_restart_tells_what_waits(house: Any) -> None:
    async with house() as at:
        link, _ = await at.bound_link(), await at.bound_client(command=Command.BIND_TRANSMITTER)
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"hei"))
        assert (await link.answered()).status == Status.OK
        first = await at.outcomes("deliver")
        assert told_of(first) == [("account", "asked", "account-not-bound")]
    async with house() as at:
        await at.bound_link()
        again = await at.outcomes("deliver")
        assert told_of(again) == told_of(first) * 2 and {each.promise for each in again} == {first[0].promise}
