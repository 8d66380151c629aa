"""A message is for whoever held its recipient's number when it was accepted."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs
from sms_house import HURRIED, NUMBER, House, Opener, Peer
from waiting import eventually

from prikkfri.errors import StorageUnavailable
from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status, Tag
from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.sms.holders import NumberHolder, bound_messages, number_holder, to_be_bound
from prikkfri.sms.messages import Message

OTHER = "4790000002"
M = Message("m", "m", 1, 1, "account:shop", "link:nord", "ordinary", "Shop", NUMBER, None, 1, 0.0, 0.0, 9.0)


def test_only_numbers_that_go_to_networks_are_bound_each_once() -> None:
    messages = [
        M, M, structs.replace(M, recipient=OTHER, target="held:nord"),
        structs.replace(M, recipient="4790000003", target="account:shop"), structs.replace(M, recipient="2010"),
    ]  # fmt: skip
    assert to_be_bound(messages) == [NUMBER, OTHER]
    mine = structs.replace(M, holder="s-1")
    assert bound_messages([M, mine]) == [mine]


@pytest.mark.parametrize(
    ("holder", "now", "found"),
    [
        ("s-1", {NUMBER: "s-1"}, NumberHolder.SAME), ("s-1", {NUMBER: "s-2"}, NumberHolder.ANOTHERS),
        ("s-1", {}, NumberHolder.NOBODYS),
        ("s-1", {OTHER: "s-1"}, NumberHolder.NOBODYS),
        ("", {NUMBER: "s-2"}, NumberHolder.SAME), ("", {}, NumberHolder.SAME),
    ],
)  # fmt: skip
def test_hands_are_another_s_nobody_s_or_the_same(holder: str, now: Mapping[str, str], found: NumberHolder) -> None:
    assert number_holder(structs.replace(M, holder=holder), now) is found


class Subscribers:
    """Who holds which number, as a test says."""

    def __init__(self, **held: str) -> None:
        self.held: dict[str, str] = {number.removeprefix("n"): holder for number, holder in held.items()}
        self.asked: list[set[str]] = []
        self.error: Exception | None = None

    async def __call__(self, numbers: Collection[str]) -> Mapping[str, str]:
        self.asked.append(set(numbers))
        if self.error is not None:
            raise self.error
        return {number: self.held[number] for number in numbers if number in self.held}


@pytest.fixture
def subscribers() -> Subscribers:
    return Subscribers(n4790000001="s-1")


async def waiting(at: House, **fields: Any) -> str:
    """A message that is accepted while its link is not bound."""
    client = await at.bound_client()
    status, identity = await client.submit(destination=NUMBER, registered_delivery=1, **fields)
    assert status == Status.OK
    client.cut()
    return str(identity)


async def holder_of(at: House, message: str) -> str:
    return str((await at.fetch(f"SELECT holder FROM sms_message WHERE id = '{message}'"))[0][0])


async def taken(link: Peer, identity: str = "n1") -> ShortMessage:
    request, message = await link.message()
    link.take_message(request, identity)
    return message


async def test_whose_number_is_still_theirs_gets_the_message(house: Opener, subscribers: Subscribers) -> None:
    async with house(holders=subscribers) as at:
        message = await waiting(at)
        assert await holder_of(at, message) == "s-1"
        link = await at.bound_link()
        assert (await taken(link)).destination == NUMBER
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "sent")
        assert subscribers.asked == [{NUMBER}, {NUMBER}]
        await at.nothing_more_for(link, await at.bound_client())


async def test_what_is_claimed_when_its_link_is_stopped_while_it_is_asked_who_holds_its_number_does_not_leave_by_it(
    house: Opener,
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    class Slow(Subscribers):
        async def __call__(self, numbers: Collection[str]) -> Mapping[str, str]:
            if self.asked:  # the first asks when the message is accepted
                asked.set()
                await answered.wait()
            return await super().__call__(numbers)

    async with house(holders=Slow(n4790000001="s-1")) as at:
        message = await waiting(at)
        link = await at.network.bound()
        await asked.wait()
        assert await at.canaries.switch("nord", "stopped", who="Kari")
        answered.set()
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "waiting")
        assert link.connection.arrived(1) == []
        assert await at.canaries.switch("nord", "open", who="Kari")
        assert (await taken(link)).destination == NUMBER
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "sent")


async def test_whose_number_is_somebody_else_s_by_now_is_not_delivered_but_reported(
    house: Opener, subscribers: Subscribers
) -> None:
    async with house(holders=subscribers) as at:
        message = await waiting(at)
        subscribers.held[NUMBER] = "s-2"
        link, client = await at.bound_link(), await at.bound_client()
        request, receipt = await client.message()
        client.answer(request, body=MessageResponse())
        assert receipt.tlv(Tag.RECEIPTED_MESSAGE_ID) == message.encode() + b"\0"
        assert receipt.tlv(Tag.MESSAGE_STATE) == bytes((MessageState.REJECTED,))
        await at.nothing_more_for(link, client)
        found = await at.fetch(f"SELECT state, reason, sealed IS NULL FROM sms_message WHERE id = '{message}'")
        assert found[0][:2] == ("rejected", "number-changed-hands") and found[0][2]
        trail = await at.centre.trail(message)
        detail = "its number is another subscriber's than when it was accepted"
        assert trail is not None and (detail, "changed-hands") in [(step.detail, step.event) for step in trail.steps]
        [told] = [each for each in await at.outcomes("deliver") if each.promise == message and each.verdict == "broken"]
        assert (told.layer, told.reason) == ("sms-centre", "number-changed-hands")
        await eventually(lambda: at.centre.counters()["messages_changed_hands_total"] == 1)
        assert (await at.fetch("SELECT SUM(messages) FROM sms_waiting"))[0][0] == 0
        # Accepted from now on, it is for whoever holds it now.
        await client.submit(destination=NUMBER)
        assert (await taken(link)).destination == NUMBER


async def test_what_is_sent_again_after_a_doubt_is_asked_about_again(house: Opener, subscribers: Subscribers) -> None:
    async with house(holders=subscribers, in_doubt_seconds=1.0) as at:
        message = await waiting(at)
        link = await at.bound_link()
        await link.message()
        link.cut()
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "in-doubt")
        subscribers.held[NUMBER] = "s-2"
        again = await at.bound_link()
        at.clock.advance(100.0)
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "rejected")
        await at.nothing_more_for(again, await at.bound_client("clinic"))


async def test_what_cannot_be_reported_now_is_reported_later(
    house: Opener, subscribers: Subscribers, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(holders=subscribers) as at:
        message = await waiting(at)
        subscribers.held[NUMBER] = "s-2"
        at.engine.held_where = "SELECT 1 FROM sms_message WHERE state = 'sending'"
        link = await at.network.bound()
        await at.engine.waiting.wait()  # it is claimed
        at.engine.refusal = StorageUnavailable("the disk is full")
        at.engine.held_where = ""
        at.engine.go_on.set()
        kept = "link:nord: cannot put aside what is not to be sent: the disk is full"
        await eventually(lambda: kept in caplog.text)
        at.clock.advance(HURRIED.storage_pause_seconds)
        await eventually(lambda: caplog.text.count(kept) == 2)
        at.engine.refusal = None
        at.clock.advance(HURRIED.storage_pause_seconds)
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "rejected")
        # Over the same connection: given up, it would have put in doubt what it had not been answered.
        clinic = await at.bound_client("clinic")
        await clinic.submit(destination="4790000077")
        assert (await taken(link)).destination == "4790000077"


async def test_a_number_that_was_given_up_goes_as_before_and_its_network_knows(
    house: Opener, subscribers: Subscribers
) -> None:
    async with house(holders=subscribers) as at:
        message = await waiting(at)
        del subscribers.held[NUMBER]
        link = await at.bound_link()
        assert (await taken(link)).destination == NUMBER
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "sent")


async def test_a_number_that_was_ported_is_routed_anew(house: Opener, subscribers: Subscribers) -> None:
    """By now the whole number is a prefix of another link's, as a ported one is."""
    async with house(holders=subscribers) as at:
        message = await waiting(at)
    del subscribers.held[NUMBER]
    async with house(holders=subscribers, beside={"prefixes": (NUMBER,)}) as at:
        link, other = await at.bound_link(), await at.other.bound()
        assert (await taken(other)).destination == NUMBER
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "sent")
        assert await at.fetch(f"SELECT target FROM sms_message WHERE id = '{message}'") == [("link:syd",)]
        trail = await at.centre.trail(message)
        detail = "nobody of ours holds its number any more; it goes by syd"
        assert trail is not None and (detail, "routed-anew") in [(step.detail, step.event) for step in trail.steps]
        assert (await at.fetch("SELECT SUM(messages) FROM sms_waiting"))[0][0] == 0
        await at.nothing_more_for(link, await at.bound_client())


async def test_a_number_of_which_we_know_nothing_is_nobody_s_and_nothing_changes(
    house: Opener, subscribers: Subscribers
) -> None:
    subscribers.held.clear()
    async with house(holders=subscribers) as at:
        message = await waiting(at)
        assert await holder_of(at, message) == ""
        subscribers.held[NUMBER] = "s-2"
        link = await at.bound_link()
        assert (await taken(link)).destination == NUMBER
        await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "sent")
        assert len(subscribers.asked) == 1  # nobody is asked about it again


async def test_who_is_for_an_account_is_bound_to_nobody(house: Opener, subscribers: Subscribers) -> None:
    async with house(holders=subscribers) as at:
        link, client = await at.bound_link(), await at.bound_client()
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"hei"))
        assert (await link.answered()).status == Status.OK
        request, _ = await client.message()
        client.answer(request, body=MessageResponse())
        assert subscribers.asked == []


@pytest.mark.parametrize("when", ["at acceptance", "at sending"])
async def test_where_nobody_can_tell_messages_go_on_and_it_is_said(
    house: Opener, subscribers: Subscribers, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(holders=subscribers) as at:
        if when == "at acceptance":
            subscribers.error = StorageUnavailable("away")
        message = await waiting(at)
        subscribers.error = StorageUnavailable("away")
        assert await holder_of(at, message) == ("" if when == "at acceptance" else "s-1")
        link = await at.bound_link()
        assert (await taken(link)).destination == NUMBER
        assert at.centre.counters()["holders_unknown_total"] == 1
        assert caplog.text.count("who holds a number cannot be told") == 1
        asked = len(subscribers.asked)
        client = await at.bound_client()
        await client.submit(destination=NUMBER)  # and for a while nobody is asked
        await taken(link, "n2")
        assert len(subscribers.asked) == asked and at.centre.counters()["holders_unknown_total"] == 2
        subscribers.error = None
        at.clock.advance(HURRIED.holders_pause_seconds, on_the_wire=True)
        await client.submit(destination=NUMBER)
        await taken(link, "n3")
        assert len(subscribers.asked) == asked + 2


async def test_whoever_does_not_answer_is_not_waited_for(house: Opener) -> None:
    async def silent(numbers: Collection[str]) -> Mapping[str, str]:
        await eventually(lambda: False, seconds_max=3_600.0)
        return {}

    async with house(holders=silent, timing=replace(HURRIED, holders_seconds_max=0.01)) as at:
        link, client = await at.bound_link(), await at.bound_client()
        assert (await client.submit(destination=NUMBER))[0] == Status.OK
        assert (await taken(link)).destination == NUMBER


async def test_a_pair_keeps_its_order_while_it_is_asked(house: Opener) -> None:
    """Of one sender and recipient nothing overtakes what is being asked about, by whichever bind; others do."""
    asked: list[Collection[str]] = []
    answers = asyncio.Event()

    async def slow(numbers: Collection[str]) -> Mapping[str, str]:
        asked.append(numbers)
        if len(asked) == 2:
            await answers.wait()
        return {NUMBER: "s-1"} if len(asked) <= 2 else {}

    seen: list[tuple[str, bytes]] = []

    async def take(link: Peer) -> None:
        while True:
            request, message = await link.message()
            seen.append((message.destination, message.octets))
            link.take_message(request, f"n{len(seen)}")

    slowly = replace(HURRIED, holders_seconds_max=60.0)
    async with house(holders=slow, timing=slowly, link_changes={"binds": 2}) as at:
        links = [await at.network.bound(), await at.network.bound()]
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 2)
        taking = [asyncio.create_task(take(link)) for link in links]
        client = await at.bound_client()
        await client.submit(destination=NUMBER, octets=b"first")
        await eventually(lambda: len(asked) == 2)
        await client.submit(destination=NUMBER, octets=b"second")
        await client.submit(destination=OTHER, octets=b"other")
        await eventually(lambda: seen == [(OTHER, b"other")])
        answers.set()
        await eventually(lambda: seen == [(OTHER, b"other"), (NUMBER, b"first"), (NUMBER, b"second")])
        for each in taking:
            each.cancel()
        await asyncio.gather(*taking, return_exceptions=True)


async def test_each_that_changed_hands_is_counted(house: Opener, subscribers: Subscribers) -> None:
    async with house(holders=subscribers) as at:
        client = await at.bound_client()
        for so_many in (1, 2):
            subscribers.held[NUMBER] = "s-1"
            _, message = await client.submit(destination=NUMBER)
            subscribers.held[NUMBER] = "s-2"
            link = await at.bound_link()
            await at.until(f"SELECT state FROM sms_message WHERE id = '{message}'", "rejected")
            await at.nothing_more_for(link, client)
            assert at.centre.counters()["messages_changed_hands_total"] == so_many
            link.cut()
            await eventually(lambda: not at.centre.counters()["links_bound"])


async def test_what_was_found_of_a_message_is_known_until_those_before_it_have_been_asked_about(house: Opener) -> None:
    """The second is asked about by another bind, and answered first; it stands behind the first all the same."""
    asked: list[Collection[str]] = []
    answers = asyncio.Event()

    async def ask(numbers: Collection[str]) -> Mapping[str, str]:
        asked.append(numbers)
        if (number := len(asked)) == 2:
            await answers.wait()
        return {NUMBER: "s-1" if number < 4 else "s-2"}  # by then it is another's

    slowly = replace(HURRIED, holders_seconds_max=60.0)
    async with house(holders=ask, timing=slowly, link_changes={"binds": 2}) as at:
        links = [await at.network.bound(), await at.network.bound()]
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 2)
        client = await at.bound_client()
        await client.submit(destination=NUMBER, octets=b"first")
        await eventually(lambda: len(asked) == 2)
        _, second = await client.submit(destination=NUMBER, octets=b"second")
        await eventually(lambda: len(asked) == 4)
        await at.until(f"SELECT state FROM sms_message WHERE id = '{second}'", "sending")
        answers.set()
        await at.until(f"SELECT state FROM sms_message WHERE id = '{second}'", "rejected")
        arrived = [event for link in links for event in link.connection.arrived(10)]
        assert [event.body.octets for event in arrived] == [b"first"]  # type: ignore[union-attr]


async def test_what_is_routed_anew_takes_nothing_else_along(house: Opener, subscribers: Subscribers) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slow(numbers: Collection[str]) -> Mapping[str, str]:
        asked.set()
        await answered.wait()
        return await subscribers(numbers)

    async with house(holders=subscribers) as at:
        ported = await waiting(at)
        later = await waiting(at, schedule="000001000000000R")
    subscribers.held.clear()
    slowly = replace(HURRIED, holders_seconds_max=60.0)
    async with house(holders=slow, timing=slowly, beside={"prefixes": (NUMBER,)}) as at:
        await at.network.bound()
        other = await at.other.bound()
        await asked.wait()
        await at.change(f"UPDATE sms_message SET due_at = 1.0 WHERE id = '{later}'")  # nobody claims it meanwhile
        answered.set()
        assert (await taken(other)).destination == NUMBER
        await at.until(f"SELECT state FROM sms_message WHERE id = '{ported}'", "sent")
        assert await at.fetch(f"SELECT target FROM sms_message WHERE id = '{ported}'") == [("link:syd",)]


async def test_what_a_network_handed_in_does_not_go_back_to_it_when_its_number_is_ported_there(
    house: Opener, subscribers: Subscribers
) -> None:
    async with house(holders=subscribers, beside={"transit": True}) as at:
        other = await at.other.bound()
        other.ask(Command.DELIVER_SM, ShortMessage(source="4690000001", destination=NUMBER, octets=b"hei"))
        assert (await other.answered()).status == Status.OK
    subscribers.held.clear()
    async with house(holders=subscribers, beside={"transit": True, "prefixes": (NUMBER,)}) as at:
        other, link = await at.other.bound(), await at.network.bound()
        assert (await taken(link)).destination == NUMBER
        assert other.connection.arrived(1) == []


async def test_an_account_with_the_name_of_a_stopped_link_gets_what_is_for_it(house: Opener) -> None:
    async with house(nord={"name": "shop"}) as at:
        link, client = await at.bound_link(), await at.bound_client()
        assert await at.canaries.switch("shop", "stopped", who="Kari")
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=b"hei"))
        assert (await link.answered()).status == Status.OK
        request, message = await client.message()
        client.answer(request, body=MessageResponse())
        assert message.octets == b"hei"


async def test_what_stands_behind_what_changed_hands_leaves_at_once(house: Opener, subscribers: Subscribers) -> None:
    seldom = replace(HURRIED, look_seconds=3_600.0)
    async with house(holders=subscribers, timing=seldom) as at:
        client = await at.bound_client()
        for number in (NUMBER, OTHER):
            assert (await client.submit(destination=number))[0] == Status.OK
        subscribers.held[NUMBER] = "s-2"
        assert (await taken(await at.network.bound())).destination == OTHER
