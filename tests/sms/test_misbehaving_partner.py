"""The centre against a partner that leaves the book in the ways in which real ones do.

What does not hold yet is marked as such, strictly: whoever mends it takes the mark away.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from sms_house import NUMBER, PASSWORD, House, Peer
from waiting import eventually

from prikkfri.clock import SystemClock
from prikkfri.protocols.smpp.pdu import MessageResponse, Status
from prikkfri.protocols.smpp.receipt import MessageState, is_receipt, parse_receipt
from prikkfri.simulation.handsets.network import Phones
from prikkfri.simulation.partners.network import Fault, PartnerNetwork
from prikkfri.simulation.partners.quirks import BY_THE_BOOK, AnswerForm, IdStyle, Quirks

NOBODY = "4790000009"
"""A number of the network that no phone has: what is sent to it is undeliverable."""
ELSEWHERE = "4670000001"
DECIMAL, SHORT_DECIMAL, PADDED = IdStyle(10, 0), IdStyle(10, 20), IdStyle(16, 30)
UPPER, BARE = IdStyle(upper=True), IdStyle(digits=0)


class Partnered(NamedTuple):
    house: House
    partner: PartnerNetwork

    async def state_of(self, message: str) -> str:
        [[state]] = await self.house.fetch(f"SELECT state FROM sms_message WHERE id = '{message}'")
        return str(state)

    async def told(self, message: str) -> str:
        """The state of a message once its receipt has come to something, good or bad."""
        house, partner = self

        async def is_over() -> str:
            state = await self.state_of(message)
            if state == "sent":
                house.clock.advance(6)  # what fits nothing yet is looked at again no longer
            refused = any(partner.answers[status] for status in partner.answers if status != Status.OK)
            unmatched = house.centre.counters()["receipts_unmatched_total"]
            further = len(await house.fetch("SELECT id FROM sms_message")) > 1
            open_still = state in ("waiting", "sending", "sent") and not (refused or unmatched or further)
            return "" if open_still else state

        return await eventually(is_over, what="the receipt to come to something")

    async def next_is_delivered(self, client: Peer) -> None:
        """Whatever came before has been dealt with: a message of now, by the book, has its receipt."""
        self.partner.quirks = BY_THE_BOOK
        identity = await submitted(client)
        await self.house.until(f"SELECT state FROM sms_message WHERE id = '{identity}'", "delivered")

    async def all_delivered(self, messages: int) -> None:
        """Lets the time pass that refusals for now ask for, until so many messages are delivered."""

        async def are_delivered() -> bool:
            found = dict(await self.house.fetch("SELECT state, COUNT(*) FROM sms_message GROUP BY state"))
            if not found.get("sending"):  # or else what is on the wire would have no answer in time
                self.house.clock.advance(1, on_the_wire=True)
            return found == {"delivered": messages}

        await eventually(are_delivered, what="all messages to be delivered")


@asynccontextmanager
async def partnered(
    house: Any, quirks: Quirks = BY_THE_BOOK, *, binds: int = 1, **changes: Any
) -> AsyncIterator[Partnered]:
    listening = socket.create_server(("127.0.0.1", 0))
    phones = Phones([(NUMBER, "Kari")])
    partner = PartnerNetwork(phones, password=PASSWORD, clock=SystemClock(), name="Fjordmobil", seed=1, quirks=quirks)
    running = asyncio.create_task(partner.run([listening]))
    nord = {"port": listening.getsockname()[1], "binds": binds, **changes}
    try:
        async with house(nord=nord, region="NO") as at:
            await eventually(lambda: at.centre.counters()["links_bound"], what="the link to be bound")
            yield Partnered(at, partner)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        listening.close()


async def submitted(client: Peer, **fields: Any) -> str:
    status, identity = await client.submit(**{"registered_delivery": 1, **fields})
    assert status == Status.OK
    return identity


# receipts

RECEIPTS = {
    "by the book": Quirks(),
    "id in the parameter alone": Quirks(id_in="parameter"),
    "id in the text alone": Quirks(id_in="text"),
    "state in the text alone": Quirks(state_in="text"),
    "state in the parameter alone": Quirks(state_in="parameter"),
    "capitals everywhere": Quirks(answer_id=UPPER, parameter_id=UPPER, text_id=UPPER),
    "to base ten everywhere": Quirks(answer_id=DECIMAL, parameter_id=DECIMAL, text_id=DECIMAL),
    "the text alone to base ten": Quirks(text_id=DECIMAL),
    "small letters in the answer, capitals in the receipt": Quirks(parameter_id=UPPER, text_id=UPPER),
    "hexadecimal in the answer, decimal in the receipt": Quirks(parameter_id=DECIMAL, text_id=DECIMAL),
    "decimal in the answer, hexadecimal in the receipt": Quirks(answer_id=DECIMAL),
    "zeros before it in the text": Quirks(answer_id=BARE, id_in="text", text_id=PADDED),
    "hexadecimal, and twenty digits in the text": Quirks(answer_id=BARE, id_in="text", text_id=SHORT_DECIMAL),
    "an empty parameter beside a good text": Quirks(empty_parameter=True),
    "a comma behind the id": Quirks(id_in="text", behind_id=","),
    "a newline behind the id": Quirks(id_in="text", behind_id="\n"),
    "an error of five digits": Quirks(error="00000"),
    "a receipt's words in the customer's text": Quirks(text="id:1 stat:REJECTD err:999"),
    "a receipt's words in the customer's text and nowhere else": Quirks(
        text="id:1 stat:REJECTD err:999", id_in="parameter", state_in="parameter"
    ),
    "no reference": Quirks(brings_reference=False),
    "the receipt before the answer": Quirks(receipt_first=True),
    "a national number": Quirks(addresses="national"),
    "a national number that does not say so": Quirks(addresses="national-unmarked"),
    "numbers the other way round": Quirks(addresses="swapped"),
    "no numbers": Quirks(addresses="empty"),
    "UCS-2 beside parameters": Quirks(wide=True),
    "UCS-2 alone": Quirks(wide=True, id_in="text", state_in="text"),
    "UCS-2 alone, the low octet first, as its mark says": Quirks(
        wide=True, wide_order="little-marked", id_in="text", state_in="text"
    ),
    "UCS-2 with the low octet first, beside parameters": Quirks(wide=True, wide_order="little"),
    "in message_payload beside parameters": Quirks(carrier="message_payload"),
    "in message_payload alone": Quirks(carrier="message_payload", id_in="text", state_in="text"),
    "without its mark": Quirks(marked=False),
    "without its mark, in words alone": Quirks(marked=False, id_in="text", state_in="text"),
    **{word: Quirks(state_in="text", words={"DELIVERED": word}) for word in ("delivrd", "DELIVERED", "DELIVERD")},
}


@pytest.mark.parametrize("quirks", RECEIPTS.values(), ids=RECEIPTS)
async def test_a_receipt_ends_its_message_however_it_is_written(house: Any, quirks: Quirks) -> None:
    async with partnered(house, quirks) as at:
        client = await at.house.bound_client()
        identity = await submitted(client, source="2010")
        assert await at.told(identity) == "delivered"
        request, told = await client.message()
        assert is_receipt(told)
        receipt = parse_receipt(told)
        assert (receipt.message_id, receipt.state, told.source) == (identity, MessageState.DELIVERED, NUMBER)
        client.answer(request, body=MessageResponse())
        assert len(at.partner.deliveries) == 1


@pytest.mark.parametrize("order", ["little", "little-marked"])
async def test_a_receipt_with_the_low_octet_first_is_read_where_its_link_says_so(house: Any, order: Any) -> None:
    quirks = Quirks(wide=True, wide_order=order, id_in="text", state_in="text", marked=False)
    async with partnered(house, quirks, ucs2_byte_order="little") as at:
        identity = await submitted(await at.house.bound_client())
        assert await at.told(identity) == "delivered"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("undeliv", "undeliverable"),
        ("REJECTD", "rejected"),
        ("UNDELIVERABLE", "undeliverable"),
        ("FAILED", "undeliverable"),
        ("SKIPPED", "undeliverable"),
        ("REJECTED", "rejected"),
    ],
)
async def test_the_words_for_a_bad_end_are_known(house: Any, word: str, state: str) -> None:
    async with partnered(house, Quirks(state_in="text", words={"UNDELIVERABLE": word})) as at:
        client = await at.house.bound_client()
        assert await at.told(await submitted(client, destination=NOBODY)) == state


@pytest.mark.parametrize(
    "word",
    [
        "ENROUTE",
        "ACCEPTD",
        "BUFFRED",
        "MYSTERY",
    ],
)
async def test_a_word_that_ends_nothing_is_acknowledged_and_the_message_stays_open(house: Any, word: str) -> None:
    quirks = Quirks(state_in="text", words={"DELIVERED": word})
    async with partnered(house, quirks) as at:
        client = await at.house.bound_client()
        identity = await submitted(client)
        await eventually(lambda: at.partner.answers, what="the receipt to be answered")
        assert dict(at.partner.answers) == {Status.OK: 1}
        await at.next_is_delivered(client)
        assert await at.state_of(identity) == "sent"


@pytest.mark.parametrize(
    ("quirks", "reason", "counted"),
    [
        (Quirks(error="001"), "network-001", "network-001"),
        (Quirks(error="00027"), "network-00027", "network-027"),
        (Quirks(error="A1"), "network-A1", "network-other"),
        (Quirks(error="0x000400A1"), "network-0x000400A1", "network-other"),
        (Quirks(network_error=4660), "network-4660", "network-other"),
    ],
)
async def test_the_networks_own_error_is_kept_as_it_is_written_and_counted_as_one_of_few(
    house: Any, quirks: Quirks, reason: str, counted: str
) -> None:
    async with partnered(house, quirks) as at:
        client = await at.house.bound_client()
        identity = await submitted(client, destination=NOBODY)
        assert await at.told(identity) == "undeliverable"
        assert await at.house.fetch(f"SELECT reason FROM sms_message WHERE id = '{identity}'") == [(reason,)]
        assert {each.reason for each in await at.house.outcomes("deliver") if each.verdict == "broken"} == {counted}


async def test_nothing_of_a_state_is_read_out_of_the_customers_text(house: Any) -> None:
    quirks = Quirks(id_in="parameter", state_in="neither", text="id:1 stat:REJECTD err:999")
    async with partnered(house, quirks) as at:
        client = await at.house.bound_client()
        identity = await submitted(client)
        await eventually(lambda: at.partner.answers, what="the receipt to be answered")
        await at.next_is_delivered(client)
        assert await at.state_of(identity) == "sent"


@pytest.mark.parametrize("where", ["both", "text"])
async def test_a_receipt_may_come_in_data_sm(house: Any, where: Any) -> None:
    async with partnered(house, Quirks(carrier="data_sm", id_in=where, state_in=where)) as at:
        client = await at.house.bound_client()
        identity = await submitted(client)

        async def is_delivered() -> bool:
            return await at.state_of(identity) == "delivered"

        await eventually(is_delivered)


async def test_a_receipt_that_fits_nothing_holds_nothing_up(house: Any) -> None:
    """The partner sends one at a time."""
    async with partnered(house, Quirks(stray=1.0, window=1)) as at:
        client = await at.house.bound_client()
        await submitted(client)
        await eventually(lambda: at.partner.deliveries, what="the message to arrive")
        at.partner.type_message(at.partner.phones.by_number[NUMBER], "2010", "STOPP")
        await eventually(lambda: at.partner.answers[Status.OK] == 3)


# answers


@pytest.mark.parametrize("form", ["by-the-book", "without-nul", "two-nuls", "cut-parameter"])
async def test_an_id_is_read_as_far_as_it_goes(house: Any, form: AnswerForm) -> None:
    async with partnered(house, Quirks(answer_form=form)) as at:
        client = await at.house.bound_client()
        assert await at.told(await submitted(client)) == "delivered"
        assert at.house.centre.counters()["messages_in_doubt_total"] == 0


async def test_an_id_may_be_longer_than_the_book_allows(house: Any) -> None:
    longest = IdStyle(digits=65)
    async with partnered(house, Quirks(answer_id=longest, parameter_id=longest, text_id=longest)) as at:
        client = await at.house.bound_client()
        identity = await submitted(client)
        # Its receipt may have come by the next look: taken it was, by the id that was given.
        await at.house.until(f"SELECT LENGTH(next_hop_id) FROM sms_message WHERE id = '{identity}'", 65)
        assert at.house.centre.counters()["messages_in_doubt_total"] == 0


async def test_a_receipt_may_bring_such_an_id(house: Any) -> None:
    longest = IdStyle(digits=65)
    async with partnered(house, Quirks(answer_id=longest, parameter_id=longest, text_id=longest)) as at:
        client = await at.house.bound_client()
        assert await at.told(await submitted(client)) == "delivered"


async def test_an_answer_without_an_id_leaves_that_one_message_in_doubt_and_the_session_stands(house: Any) -> None:
    async with partnered(house, Quirks(answer_form="unreadable", brings_reference=False)) as at:
        at.partner.fault = Fault(lose_receipts=1.0)
        client = await at.house.bound_client()
        doubtful = await submitted(client)
        await at.house.until(f"SELECT state FROM sms_message WHERE id = '{doubtful}'", "in-doubt")
        at.partner.fault = Fault()
        await at.next_is_delivered(client)
        assert await at.state_of(doubtful) == "in-doubt"
        assert at.house.centre.counters()["messages_in_doubt_total"] == 1


@pytest.mark.parametrize("form", ["without-nul", "two-nuls", "cut-parameter", "unreadable", "no-body"])
async def test_a_refusal_for_now_is_that_whatever_its_body(house: Any, form: AnswerForm) -> None:
    async with partnered(house, Quirks(refuse=1.0, refuse_status=Status.THROTTLED, answer_form=form)) as at:
        client = await at.house.bound_client()
        identity = await submitted(client)
        await at.house.until("SELECT COUNT(*) FROM sms_event WHERE event = 'refused-for-now'", 1)
        at.partner.quirks = BY_THE_BOOK
        await at.all_delivered(1)
        assert await at.state_of(identity) == "delivered"
        assert (at.partner.refused, len(at.partner.deliveries)) == (1, 1)
        assert at.house.centre.counters()["messages_in_doubt_total"] == 0


@pytest.mark.parametrize(("status", "reason"), [(0x45, "smpp-45"), (0x400, "smpp-400")])
async def test_a_refusal_that_no_table_calls_one_for_now_ends_the_message(house: Any, status: int, reason: str) -> None:
    async with partnered(house, Quirks(refuse=1.0, refuse_status=status)) as at:
        client = await at.house.bound_client()
        identity = await submitted(client)
        await at.house.until(f"SELECT state FROM sms_message WHERE id = '{identity}'", "rejected")
        assert await at.house.fetch("SELECT reason FROM sms_message") == [(reason,)]


async def test_a_message_without_an_answer_is_in_doubt_and_the_others_go_on(house: Any) -> None:
    async with partnered(house, Quirks(silent=1.0)) as at:
        at.partner.fault = Fault(lose_receipts=1.0)
        client = await at.house.bound_client()
        silent = await submitted(client)
        await eventually(lambda: at.partner.deliveries, what="it to arrive all the same")
        at.partner.quirks, at.partner.fault = BY_THE_BOOK, Fault()
        assert await submitted(client)
        at.house.clock.advance(60, on_the_wire=True)
        await at.house.until(f"SELECT state FROM sms_message WHERE id = '{silent}'", "in-doubt")
        await at.house.until("SELECT COUNT(*) FROM sms_message WHERE state = 'delivered'", 1)


async def test_what_is_in_doubt_is_sent_again_once_and_then_reported(house: Any) -> None:
    async with partnered(house, Quirks(answer_form="unreadable")) as at:
        at.partner.fault = Fault(lose_receipts=1.0)
        client = await at.house.bound_client()
        identity = await submitted(client)

        async def is_over() -> bool:
            if await at.state_of(identity) == "in-doubt":
                at.house.clock.advance(61)
            return len(at.partner.deliveries) > 2 or await at.state_of(identity) == "unreported"

        await eventually(is_over, what="the doubt to be decided")
        assert len(at.partner.deliveries) == 2


async def test_slow_answers_lose_nothing_and_double_nothing(house: Any) -> None:
    async with partnered(house, Quirks(answer_seconds=0.02, receipt_first=True)) as at:
        client = await at.house.bound_client()
        for number in range(15):
            await submitted(client, octets=b"%d" % number, registered_delivery=0)
        await at.house.until("SELECT COUNT(*) FROM sms_message WHERE state = 'delivered'", 15)
        assert sorted(int(each.text) for each in at.partner.deliveries) == list(range(15))


async def test_to_be_throttled_is_no_attempt(house: Any) -> None:
    messages, rate = 15, 5
    async with partnered(house) as at:
        at.partner.clock = at.house.clock
        at.partner.quirks = Quirks(throughput_per_second_max=rate)
        client = await at.house.bound_client()
        for _ in range(messages):
            await submitted(client, registered_delivery=0)
        await at.all_delivered(messages)
        assert at.partner.refused > 0
        assert await at.house.fetch("SELECT MAX(attempts) FROM sms_message") == [(1,)]


async def test_refusals_for_now_and_slow_answers_at_a_rate_lose_nothing_and_double_nothing(house: Any) -> None:
    quirks = Quirks(refuse=0.3, refuse_status=Status.QUEUE_FULL, answer_form="without-nul")
    async with partnered(house, quirks) as at:
        client = await at.house.bound_client()
        for number in range(20):
            await submitted(client, octets=b"%d" % number, registered_delivery=0)
        await at.all_delivered(20)
        assert at.partner.refused > 0
        assert sorted(int(each.text) for each in at.partner.deliveries) == list(range(20))


# what a partner hands in


async def test_a_partner_is_given_no_free_transit(house: Any) -> None:
    async with partnered(house, Quirks(transit=1.0, transit_to=NOBODY)) as at:
        client = await at.house.bound_client()
        await submitted(client)
        await eventually(lambda: sum(at.partner.answers.values()) == 2, what="both to be answered")
        assert len(await at.house.fetch("SELECT id FROM sms_message")) == 1
        assert at.partner.answers[Status.OK] == 1


async def test_what_no_network_takes_is_refused_to_a_partner(house: Any) -> None:
    async with partnered(house, Quirks(transit=1.0, transit_to=ELSEWHERE)) as at:
        client = await at.house.bound_client()
        await submitted(client)
        await eventually(lambda: sum(at.partner.answers.values()) == 2, what="both to be answered")
        assert at.partner.answers[Status.INVALID_DESTINATION] == 1


async def test_a_loop_is_cut(house: Any) -> None:
    async with partnered(house, Quirks(loop=1.0, loops_max=8)) as at:
        client = await at.house.bound_client()
        await submitted(client)
        await eventually(
            lambda: at.partner.looped == at.partner.quirks.loops_max or set(at.partner.answers) - {Status.OK},
            what="the loop to be cut",
        )
        assert at.partner.looped < 3


@pytest.mark.parametrize(("binds", "let", "bound"), [(1, 1, 1), (3, 1, 1), (3, 0, 3)])
async def test_a_link_is_bound_as_often_as_its_partner_lets_it(house: Any, binds: int, let: int, bound: int) -> None:
    async with partnered(house, Quirks(binds_max=let, answer_seconds=0.01), binds=binds) as at:
        await eventually(lambda: at.house.centre.counters()["link_binds_bound"] == bound, what="every bind")
        client = await at.house.bound_client()
        for number in range(10):
            await submitted(client, octets=b"%d" % number, registered_delivery=0)
        await at.house.until("SELECT COUNT(*) FROM sms_message WHERE state = 'delivered'", 10)
        assert sorted(int(each.text) for each in at.partner.deliveries) == list(range(10))
        assert at.house.centre.counters()["link_binds_bound"] == bound
