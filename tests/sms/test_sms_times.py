"""What becomes of messages as time passes and in what numbers they come: the centre with its clock in a test's hand."""

import asyncio
from dataclasses import replace
from typing import Any

from message_table import BASE, Row, fill, numbered
from sms_house import HURRIED, PASSWORD
from waiting import eventually

from prikkfri.config import Account
from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status, Tag
from prikkfri.protocols.smpp.receipt import MessageState, parse_receipt
from prikkfri.protocols.smpp.session import SessionEnd
from prikkfri.sms.authentication import Rejection
from prikkfri.sms.submission import Refusal

NUMBER = "4790000001"
MOVED_AT_ONCE = 500
ENDED_AT_ONCE = 500


async def sent(at: Any, **fields: Any) -> tuple[Any, Any, ShortMessage, str]:
    """A message that the network has taken as `net-1`."""
    link, client = await at.bound_link(), await at.bound_client()
    _, identity = await client.submit(**fields)
    request, message = await link.message()
    link.take_message(request, "net-1")
    await at.until(f"SELECT state FROM sms_message WHERE id = '{identity}'", "sent")
    return link, client, message, identity


async def rows(at: Any, *messages: Row) -> None:
    await at.database.write(lambda tx: fill(tx, numbered([{**BASE, **message} for message in messages])))


async def test_a_message_of_which_no_word_comes_back_is_unreported_an_hour_after_its_time(house: Any) -> None:
    async with house() as at:
        link, client, _, identity = await sent(at, validity="000000010000000R", registered_delivery=1)
        at.clock.advance(2 * 3_600 - 0.5)
        await at.nothing_more_for_account(client, link)
        assert (await at.fetch(f"SELECT state FROM sms_message WHERE id = '{identity}'")) == [("sent",)]
        at.clock.advance(0.5)
        _, receipt = await client.message()
        assert parse_receipt(receipt).state is MessageState.UNKNOWN
        [broken] = [o for o in await at.outcomes("deliver") if o.verdict == "broken" and o.promise == identity]
        assert (broken.reason, broken.layer) == ("unreported", "link")


async def test_in_doubt_a_message_is_sent_again_once_and_then_reported(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        at.clock.advance(600.0)  # the link has been bound for long
        _, identity = await client.submit(registered_delivery=1)
        for _ in range(2):
            _, message = await link.message()
            assert message.destination == NUMBER
            at.clock.advance(60.0, on_the_wire=True)
            await at.until(f"SELECT state FROM sms_message WHERE id = '{identity}'", "in-doubt")
            at.clock.advance(60.0)
        _, receipt = await client.message()
        assert (parse_receipt(receipt).message_id, parse_receipt(receipt).state) == (identity, MessageState.UNKNOWN)
        await at.nothing_more_for(link, await at.bound_client())
        assert await at.fetch(f"SELECT state, reason, attempts FROM sms_message WHERE id = '{identity}'") == [
            ("unreported", "in-doubt", 2)
        ]


async def test_a_doubt_that_outlives_its_message_ends_as_a_doubt(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        await client.submit(validity="000000010000000R")
        await link.message()
        link.cut()
        await at.until("SELECT state FROM sms_message", "in-doubt")
        await at.network.binds.get()  # nobody answers the bind: no receipt could come, and nothing is decided
        at.clock.advance(3_600)
        await at.until("SELECT state FROM sms_message", "unreported")
        assert await at.fetch("SELECT reason FROM sms_message") == [("in-doubt",)]


async def test_an_answer_that_does_not_come_is_waited_for_and_then_for_a_receipt(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        at.clock.advance(600.0)  # the link has been bound for long
        await client.submit()
        await link.message()
        at.clock.advance(60.0, on_the_wire=True)
        await at.until(f"SELECT state FROM sms_message WHERE recipient = '{NUMBER}'", "in-doubt")
        at.clock.advance(59.0)
        await at.nothing_more_for(link, client)
        at.clock.advance(1.0)
        _, message = await link.message()
        assert message.destination == NUMBER


async def test_a_receipt_that_comes_again_is_answered_and_changes_nothing(house: Any) -> None:
    async with house() as at:
        link, _, message, identity = await sent(at)
        link.tell(message, "net-1", MessageState.UNDELIVERABLE)
        assert (await link.answered()).status == Status.OK
        before = await at.fetch(f"SELECT * FROM sms_message WHERE id = '{identity}'")
        link.tell(message, "net-1", MessageState.DELIVERED)
        assert (await link.answered()).status == Status.OK
        assert await at.fetch(f"SELECT * FROM sms_message WHERE id = '{identity}'") == before
        assert await at.fetch("SELECT 1 FROM sms_network_receipt") == []
        [broken] = [o for o in await at.outcomes("deliver") if o.verdict in ("broken", "kept")]
        assert (broken.verdict, broken.reason[:8]) == ("broken", "network-")
        counted = at.centre.counters()
        assert (counted["messages_failed_total"], counted["messages_delivered_total"]) == (1, 0)


async def test_a_receipt_says_when_its_message_was_handed_in_and_when_it_ended(house: Any) -> None:
    async with house() as at:
        link, client, message, identity = await sent(at, registered_delivery=1)
        at.clock.advance(120.0)
        link.tell(message, "net-1")
        _, receipt = await client.message()
        text = receipt.octets.decode()
        assert f"id:{identity}" in text
        assert "submit date:2311142213 done date:2311142215" in text
        assert (receipt.source, receipt.destination) == (NUMBER, "Shop")
        assert (receipt.source_ton, receipt.destination_ton) == (1, 5)


async def test_who_only_hands_in_is_given_nothing_and_loses_nothing(house: Any) -> None:
    async with house() as at:
        link, sender = await at.network.bound(), await at.bound_client(command=Command.BIND_TRANSMITTER)
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"STOPP"))
        assert (await link.answered()).status == Status.OK
        assert (await sender.submit())[0] == Status.OK
        assert await at.fetch("SELECT state, attempts FROM sms_message WHERE recipient = '2010'") == [("waiting", 0)]
        receiver = await at.bound_client(command=Command.BIND_RECEIVER)
        _, message = await receiver.message()
        assert message.octets == b"STOPP"


async def test_no_more_is_on_its_way_at_once_than_the_window_has_room_for(house: Any) -> None:
    async with house(window=3) as at:
        client = await at.bound_client()
        for _ in range(5):
            assert (await client.submit())[0] == Status.OK
        link = await at.bound_link()
        first = [await link.message() for _ in range(3)]
        assert await at.fetch("SELECT COUNT(*) FROM sms_message WHERE state = 'waiting'") == [(2,)]
        request, _ = first[0]
        link.take_message(request, "net-1")
        await link.message()
        assert await at.fetch("SELECT COUNT(*) FROM sms_message WHERE state = 'waiting'") == [(1,)]
        assert at.centre.counters()["messages_in_doubt_total"] == 0


async def test_all_that_waits_is_moved_when_a_route_is_stopped_and_freed_when_it_opens(house: Any) -> None:
    async with house() as at:
        count = MOVED_AT_ONCE + 1
        waiting: Row = {"state": "waiting", "message_class": "ordinary", "expires_at": at.clock.now() + 3_600}
        later = at.clock.now() + 60
        await rows(at, *[{**waiting, "due_at": later}] * count, {**waiting, "target": "link:syd"},
                   {**waiting, "message_class": "canary", "due_at": later}, {**waiting, "state": "sent"})  # fmt: skip
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="r")
        by_target = "SELECT target, COUNT(*) FROM sms_message GROUP BY target ORDER BY target"
        assert await at.fetch(by_target) == [("held:nord", count), ("link:nord", 2), ("link:syd", 1)]
        assert await at.centre.waiting("nord") == count
        events = "SELECT event, detail, COUNT(DISTINCT message) FROM sms_event GROUP BY event, detail ORDER BY event"
        assert await at.fetch(events) == [("held", "from link to held nord", count)]
        await at.centre.switch_route("nord", "open", who="Kari", reason="r")
        assert await at.fetch(by_target) == [("link:nord", count + 2), ("link:syd", 1)]
        assert (await at.fetch(events))[0] == ("freed", "from held to link nord", count)
        assert await at.centre.waiting("nord") == count


async def test_what_is_refused_after_its_route_was_stopped_goes_where_the_others_went(house: Any) -> None:
    async with house(instead="syd", window=2) as at:
        client, link, other = await at.bound_client(), await at.network.bound(), await at.other.bound()
        for destination in ("4790000001", "4790000002"):
            assert (await client.submit(destination=destination))[0] == Status.OK
        first, second = await link.message(), await link.message()
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="r")
        link.answer(first[0], Status.QUEUE_FULL)
        await at.until("SELECT COUNT(*) FROM sms_message WHERE target LIKE '%syd'", 1)
        at.clock.advance(1.0)
        request, message = await other.message()
        assert (message.destination, message.tlvs) == (first[1].destination, first[1].tlvs)
        other.take_message(request, "net-1")
        link.take_message(second[0], "net-2")
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'sent'", 2)
        trail = await at.centre.trail((await at.fetch("SELECT id FROM sms_message WHERE target LIKE '%syd'"))[0][0])
        assert "sent-another-way" in [step.event for step in trail.steps]


async def test_what_a_restart_left_half_moved_is_brought_where_the_routes_say(house: Any) -> None:
    waiting: Row = {"state": "waiting", "expires_at": 2e9, "due_at": 1.9e9}
    async with house() as at:
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="r")
        await rows(at, *[waiting] * 3)
        await at.until("SELECT COUNT(*) FROM sms_message WHERE target LIKE 'held%'", 3)
        await at.change("UPDATE sms_route SET state = 'open'")
    async with house() as at:
        await at.until("SELECT COUNT(*) FROM sms_message WHERE target LIKE 'link%'", 3)
        assert await at.centre.waiting("nord") == 3


async def test_however_many_expire_at_once_all_of_them_end(house: Any) -> None:
    async with house() as at:
        old: Row = {"state": "waiting", "expires_at": at.clock.now() - 1}
        await rows(at, *[old] * (ENDED_AT_ONCE + 1), {**old, "expires_at": at.clock.now() + 60})
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'expired'", ENDED_AT_ONCE + 1)
        assert await at.fetch("SELECT COUNT(*) FROM sms_message WHERE state = 'waiting'") == [(1,)]


async def test_what_waited_for_its_link_for_days_is_still_found_among_those_exposed(house: Any) -> None:
    async with house() as at:
        client = await at.bound_client()
        _, identity = await client.submit()
        at.clock.advance(71.9 * 3_600)
        link = await at.bound_link()
        request, _ = await link.message()
        link.take_message(request, "net-1")
        await at.until("SELECT state FROM sms_message", "sent")
        now = at.clock.now()
        [[listed]] = [page async for page in at.centre.exposed("nord", since=now, until=now + 1)]
        assert listed.message == identity


async def test_while_it_says_goodbye_the_centre_still_takes_what_it_is_told(house: Any) -> None:
    async with house(timing=replace(HURRIED, leave_seconds_max=60.0)) as at:
        link, client, message, _ = await sent(at)

        async def leave() -> None:
            unbind = await link.request()
            assert unbind.command == Command.UNBIND
            link.tell(message, "net-1")
            assert (await link.answered()).status == Status.OK
            link.answer(unbind)
            await client.say_goodbye()

        leaving = asyncio.create_task(leave())
    await leaving
    assert await at.fetch("SELECT state FROM sms_message") == [("delivered",)]


ACCOUNTS = (
    Account(
        system_id="shop",
        password=PASSWORD,
        senders=("Shop",),
        short_codes=("2010",),
        message_class="log-in-code",
        data_coding_1="gsm",
    ),
    Account(system_id="open", password="", message_class="log-in-code"),
    Account(system_id="slow", password=PASSWORD, senders=("*",), throughput_per_second_max=1.0),
    Account(system_id="aggregator", password=PASSWORD, senders=("*",), message_class="log-in-code"),
)


async def test_each_account_has_its_own_names_class_alphabet_and_password(house: Any) -> None:
    async with house(accounts=ACCOUNTS, validity_hours_max=2.0) as at:
        for wrong in (("open", ""), ("shop", ""), ("shop", PASSWORD[:-1]), ("shop", PASSWORD + "x"), ("", PASSWORD)):
            assert at.centre.authenticate(*wrong, address="127.0.0.1") == Rejection()
        link, client = await at.bound_link(), await at.bound_client()
        assert (await client.submit(source="Bank"))[0] == Status.INVALID_SOURCE
        refusal = await at.centre.submit(ACCOUNTS[1], "Bank", f"+{NUMBER}", "hei")  # no `senders`: in nobody's name
        assert isinstance(refusal, Refusal) and refusal.reason == "bad-sender"
        assert isinstance(await at.centre.submit(ACCOUNTS[3], "Anybody", f"+{NUMBER}", "hei"), str)
        link.take_message((await link.message())[0], "net-0")
        assert (await client.submit(source="2010"))[0] == Status.OK
        link.take_message((await link.message())[0], "net-00")
        await client.submit(data_coding=1)
        request, message = await link.message()
        assert (message.data_coding, message.validity) == (0, "000000001000000R"), "sensitive: ten minutes"
        assert {o.dimensions["class"] for o in await at.outcomes("submit")} == {"log-in-code"}
        link.take_message(request, "net-1")
        slow = at.centre.authenticate("slow", PASSWORD, address="127.0.0.1")
        assert isinstance(await at.centre.submit(slow, "Shop", f"+{NUMBER}", "hei"), str)
        refused = await at.centre.submit(slow, "Shop", f"+{NUMBER}", "hei")
        assert isinstance(refused, Refusal)
        assert refused.reason == "throttled"
        link_request, message = await link.message()
        assert message.validity == "000000020000000R"
        link.take_message(link_request, "net-2")
        shop = at.centre.authenticate("shop", PASSWORD, address="127.0.0.1")
        assert isinstance(await at.centre.submit(shop, "Shop", f"+{NUMBER}", "hei"), str)


async def test_what_befell_any_part_of_a_long_message_stands_in_its_trail(house: Any) -> None:
    async with house() as at:
        link, client = await at.bound_link(), await at.bound_client()
        _, identity = await client.submit(octets=b"", tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 200),))
        (first, _), (second, _) = [await link.message() for _ in range(2)]
        link.take_message(first, "net-1")
        link.answer(second, Status.SYSTEM_ERROR, MessageResponse())
        await at.until("SELECT COUNT(*) FROM sms_message WHERE reason = 'smpp-08'", 1)
        events = [step.event for step in (await at.centre.trail(identity)).steps]
        assert events.count("refused-for-now") == 1
        assert events.count("attempted") == 2


async def test_an_older_peer_is_not_told_what_it_does_not_expect(house: Any) -> None:
    async with house() as at:
        ours = ((Tag.SC_INTERFACE_VERSION, b"\x34"),)
        for version, told in ((0x33, ()), (0x34, ours), (0x50, ours)):
            _, answered = await at.asking_client(version=version)
            assert answered.body.tlvs == told
            assert answered.body.system_id == "prikkfri"


async def test_an_older_peer_hears_in_the_text_and_its_header_what_others_hear_in_parameters(house: Any) -> None:
    part = ((Tag.SAR_REFERENCE, b"\x12\x34"), (Tag.SAR_TOTAL, b"\2"), (Tag.SAR_SEQUENCE, b"\1"))
    async with house() as at:
        link, (client, _) = await at.bound_link(), await at.asking_client(version=0x33)
        _, identity = await client.submit(registered_delivery=1, tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\0\7"),))
        request, message = await link.message()
        link.take_message(request, "net-1")
        link.tell(message, "net-1")
        request, receipt = await client.message()
        client.answer(request, body=MessageResponse())
        assert (receipt.tlvs, receipt.esm_class) == ((), 4)
        assert f"id:{identity} ".encode() in receipt.octets
        await link.answered()
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"hei", tlvs=part))
        request, message = await client.message()
        assert (message.octets, message.esm_class) == (b"\6\x08\4\x12\x34\2\1hei", 0x40)
        assert message.tlvs == ()


async def test_more_connections_than_may_be_are_cut_at_once_and_one_that_left_makes_room(house: Any) -> None:
    async with house(connections_max=3) as at:  # the link's own is one
        await at.bound_link()
        first = await at.bound_client()
        await at.bound_client()
        for _ in range(2):
            _, cut = await at.asking_client()
            assert isinstance(cut, SessionEnd)
        first.cut()
        await eventually(lambda: at.centre.counters()["connections"] == 2)
        await at.bound_client()


async def test_what_can_go_goes_at_once_and_not_at_the_next_look(house: Any) -> None:
    async with house(timing=replace(HURRIED, look_seconds=600.0), window=1) as at:
        link, client = await at.bound_link(), await at.bound_client()
        for number in (1, 2):
            client.ask(Command.SUBMIT_SM, ShortMessage(source="Shop", destination=NUMBER, octets=b"x",
                                                       registered_delivery=1), number)  # fmt: skip
        for _ in range(2):
            assert (await client.answered()).status == Status.OK
        for number in (1, 2):
            request, message = await link.message()
            link.take_message(request, f"net-{number}")
        link.tell(message, "net-2")
        assert (await link.answered()).status == Status.OK
        request, receipt = await client.message()
        assert parse_receipt(receipt).state is MessageState.DELIVERED
        client.answer(request, body=MessageResponse())
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="r")

        async def note(tx: Any, message: str) -> None:
            await tx.execute("UPDATE sms_message SET reason = 'noted' WHERE id = :id", {"id": message})

        await at.centre.send_canary("nord", "4790000801", "canary", seconds=5.0, note=note)
        request, message = await link.message()
        assert message.destination == "4790000801"
        assert await at.fetch("SELECT reason FROM sms_message WHERE message_class = 'canary'") == [("noted",)]
        link.take_message(request, "net-3")
        assert (await client.submit(destination="4790000002"))[0] == Status.OK
        assert await at.fetch("SELECT target FROM sms_message WHERE recipient = '4790000002'") == [("held:nord",)]
        await at.centre.switch_route("nord", "open", who="Kari", reason="r")
        request, message = await link.message()
        assert message.destination == "4790000002"
        link.take_message(request, "net-4")
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"STOPP"))
        assert (await link.answered()).status == Status.OK
        _, message = await client.message()
        assert message.octets == b"STOPP"
