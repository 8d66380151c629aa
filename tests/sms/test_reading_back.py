"""Nothing reaches the socket but the message that was sealed, whatever the encoder does; and what differs is held."""

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from sms_house import HURRIED, NUMBER, House, Opener

from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER
from prikkfri.protocols.smpp.pdu import HEADER, Command, MessageResponse, ShortMessage, Status, Tag, encode_body
from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.sms.addresses import INTERNATIONAL, Numbering
from prikkfri.sms.delivery import Misdirected, OutgoingPdu, receipt_body, wire_body
from prikkfri.sms.messages import DueReceipt, Message
from prikkfri.sms.reading_back import difference
from prikkfri.sms.routing import Party
from prikkfri.sms.sealing import Envelope, Sealer
from prikkfri.sms.shared.service import Wire

NOW = 1_700_000_000.0
SEALER = Sealer(os.urandom)
SEQUENCE = 7
PART = Envelope(b"\x05\x00\x03\x07\x02\x01hei", 0, ESM_CLASS_HEADER, 5, 0)
BY_PARAMETER = Envelope(
    b"hei", 8, 0, 5, 0, tlvs=((0x020C, b"\0\x07"), (0x1401, b"x"), (0x020E, b"\2"), (0x020F, b"\1"))
)
IN_PAYLOAD = Envelope(b"", 0, 0, 5, 0, tlvs=((int(Tag.MESSAGE_PAYLOAD), b"x" * 400),))
ENVELOPES = (PART, BY_PARAMETER, IN_PAYLOAD, Envelope(b"hei", 0, 0, 5, 0, 17, 2, "CMT"))
RECEIPT = DueReceipt("0018bcfe568000102030405", "2010", NUMBER, int(MessageState.DELIVERED), NOW - 60, NOW, 99)


def outgoing(envelope: Envelope = PART, *, target: str = "link:nord", **known: Any) -> OutgoingPdu:
    row = Message("0018bcfe568000102030405", "s", 1, 1, "account:shop", target, "ordinary", "Shop", NUMBER,
                  None, 1, NOW - 60, NOW, NOW + 3_600, 1)  # fmt: skip
    row = structs.replace(row, sealed=SEALER.seal(envelope, row.binding, bytes(12)))
    return wire_body(row, SEALER, Party.parse(target), now=NOW, **known)


def pdu(ready: OutgoingPdu, *, command: int | None = None, status: int = 0, sequence: int = SEQUENCE) -> bytes:
    command = ready.wanted.command if command is None else command
    return HEADER.pack(HEADER.size + len(ready.body), command, status, sequence) + ready.body


@pytest.mark.parametrize("parameters", [True, False])
@pytest.mark.parametrize("target", ["link:nord", "account:shop"])
@pytest.mark.parametrize("envelope", ENVELOPES)
def test_what_is_as_it_was_sealed_goes_however_its_parts_are_marked(
    envelope: Envelope, target: str, parameters: bool
) -> None:
    ready = outgoing(envelope, target=target, parameters=parameters)
    lost = envelope is IN_PAYLOAD and not parameters  # its text is in a parameter
    assert difference(pdu(ready), SEQUENCE, ready.wanted) == ("text" if lost else "")


@given(st.sampled_from(ENVELOPES), st.sampled_from(("link:nord", "account:shop")), st.data())
def test_no_bit_changes_unnoticed(envelope: Envelope, target: str, data: st.DataObject) -> None:
    ready = outgoing(envelope, target=target)
    octets = bytearray(pdu(ready))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert difference(bytes(octets), SEQUENCE, ready.wanted)


@pytest.mark.parametrize("envelope", [IN_PAYLOAD, Envelope(b"hei", 0, 0, 5, 0), Envelope(b"", 0, 0, 5, 0)])
def test_a_text_that_is_said_to_begin_with_a_header_and_has_none_is_noticed(envelope: Envelope) -> None:
    def wrong(message: ShortMessage) -> bytes:
        return encode_body(structs.replace(message, esm_class=ESM_CLASS_HEADER))

    ready = outgoing(envelope, encode=wrong)
    assert difference(pdu(ready), SEQUENCE, ready.wanted) == "class"


def test_another_command_status_or_sequence_is_noticed() -> None:
    ready = outgoing()
    for wrong in ({"command": Command.DELIVER_SM}, {"status": 1}, {"sequence": SEQUENCE + 1}):
        assert difference(pdu(ready, **wrong), SEQUENCE, ready.wanted) == "header"
    assert difference(pdu(ready), SEQUENCE + 1, ready.wanted) == "header"
    assert difference(pdu(ready), SEQUENCE, ready.wanted) == ""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"destination": "4790000002"}, "recipient"), ({"destination_ton": 0}, "recipient"),
        ({"destination_npi": 0}, "recipient"), ({"destination": "+" + NUMBER}, "recipient"),
        ({"destination": ""}, "recipient"),
        ({"source": "Bank"}, "sender"), ({"source_ton": 0}, "sender"), ({"source_npi": 1}, "sender"),
        ({"schedule": "x"}, "scheduling"), ({"replace_if_present": 1}, "scheduling"),
        ({"default_message_id": 1}, "scheduling"),
        ({"octets": b"\x05\x00\x03\x07\x02\x01hex"}, "text"), ({"octets": b"\x05\x00\x03\x08\x02\x01hei"}, "text"),
        ({"octets": b"\x05\x00\x03\x07\x02\x02hei"}, "text"), ({"esm_class": 0}, "text"),
        ({"data_coding": 8}, "coding"), ({"esm_class": ESM_CLASS_HEADER | 4}, "class"),
        ({"tlvs": ()}, "parameters"), ({"registered_delivery": 0}, "receipts"), ({"validity": ""}, "validity"),
        ({"protocol_id": 1}, "kind"), ({"priority": 1}, "kind"), ({"service_type": "x"}, "kind"),
    ],
)  # fmt: skip
def test_it_is_said_in_what_it_differs(change: dict[str, Any], field: str) -> None:
    def wrong(message: ShortMessage) -> bytes:
        return encode_body(structs.replace(message, **change))

    ready = outgoing(encode=wrong)
    assert difference(pdu(ready), SEQUENCE, ready.wanted) == field


def test_what_is_no_pdu_differs_in_its_form() -> None:
    assert difference(b"", SEQUENCE, outgoing().wanted) == "form"


def test_a_peer_that_takes_no_parameters_may_be_told_all_of_them() -> None:
    ready = outgoing(BY_PARAMETER)
    assert difference(pdu(ready), SEQUENCE, structs.replace(ready.wanted, takes_parameters=False)) == ""


def test_a_parameter_that_nobody_asked_for_is_noticed_also_of_a_peer_that_takes_none() -> None:
    def wrong(message: ShortMessage) -> bytes:
        return encode_body(structs.replace(message, tlvs=((0x1402, b"x"),)))

    ready = outgoing(parameters=False, encode=wrong)
    assert difference(pdu(ready), SEQUENCE, ready.wanted) == "parameters"


def test_a_number_is_read_as_its_reader_reads_it() -> None:
    """A phone in Sweden, written as its reader takes it for one in Norway."""
    norwegian = Numbering("NO")

    def unmarked(message: ShortMessage) -> bytes:
        return encode_body(structs.replace(message, destination_ton=0))

    swedish = Message("0018bcfe568000102030405", "s", 1, 1, "account:shop", "link:nord", "ordinary", "Shop",
                      "46789012", None, 1, NOW - 60, NOW, NOW + 3_600, 1)  # fmt: skip
    swedish = structs.replace(swedish, sealed=SEALER.seal(PART, swedish.binding, bytes(12)))
    right = wire_body(swedish, SEALER, Party("link", "nord"), now=NOW, numbering=norwegian)
    assert difference(pdu(right), SEQUENCE, right.wanted) == ""
    wrong = wire_body(swedish, SEALER, Party("link", "nord"), now=NOW, encode=unmarked, numbering=norwegian)
    wanted = structs.replace(wrong.wanted, recipient_kind=(0, 1))
    assert difference(pdu(wrong), SEQUENCE, wanted) == "recipient"
    wanted = structs.replace(wrong.wanted, recipient_kind=(0, 1), numbering=INTERNATIONAL)
    assert difference(pdu(wrong), SEQUENCE, wanted) == ""


@pytest.mark.parametrize("parameters", [True, False])
@pytest.mark.parametrize("state", [MessageState.DELIVERED, MessageState.EXPIRED, MessageState.UNDELIVERABLE,
                                   MessageState.UNKNOWN, MessageState.REJECTED])  # fmt: skip
def test_a_receipt_tells_what_is_due(state: MessageState, parameters: bool) -> None:
    for reference in (99, None):
        due = structs.replace(RECEIPT, state=int(state), user_reference=reference)
        ready = receipt_body(due, parameters=parameters)
        assert difference(pdu(ready), SEQUENCE, ready.wanted) == ""
        for wrong in (
            structs.replace(due, id="0018bcfe568000102030406"), structs.replace(due, state=int(MessageState.DELETED)),
            structs.replace(due, sender="2011"), structs.replace(due, recipient="4790000002"),
            *([structs.replace(due, user_reference=98)] if parameters else []),
        ):  # fmt: skip
            other = receipt_body(wrong, parameters=parameters)
            assert difference(pdu(other), SEQUENCE, ready.wanted)
    with_parameters = receipt_body(RECEIPT)
    assert difference(pdu(with_parameters), SEQUENCE, receipt_body(RECEIPT, parameters=False).wanted) == "parameters"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"esm_class": 0}, "class"), ({"registered_delivery": 1}, "class"), ({"validity": "x"}, "class"),
        ({"octets": b"id:1"}, "text"), ({"tlvs": ()}, "parameters"), ({"destination_ton": 1}, "recipient"),
    ],
)  # fmt: skip
def test_a_receipt_of_another_form_is_noticed(change: dict[str, Any], field: str) -> None:
    def wrong(message: ShortMessage) -> bytes:
        return encode_body(structs.replace(message, **change))

    ready = receipt_body(RECEIPT, encode=wrong)
    assert difference(pdu(ready), SEQUENCE, ready.wanted) == field


def test_a_receipt_that_does_not_fit_is_no_bytes() -> None:
    with pytest.raises(Misdirected, match="cannot be encoded"):
        receipt_body(structs.replace(RECEIPT, recipient="4" * 30))


# through the front door, with an encoder that has a fault

FAULTY = b"faulty"


class Encoder:
    """Writes as ours does, but for what bears `FAULTY`."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._last = b""
        self._buffer = bytearray(1_000)

    def __call__(self, message: ShortMessage) -> bytes:
        body = encode_body(message)
        last, self._last = self._last, body
        if message.octets != FAULTY:
            return body
        match self._fault:
            case "destination":
                return encode_body(structs.replace(message, destination=message.destination[:-1] + "9"))
            case "swapped bodies":
                return last
            case "shared buffer":
                self._buffer[: len(last)] = last
                return memoryview(self._buffer)[: len(last)].tobytes()
            case "truncated":
                place = body.index(message.octets) - 1
                return body[:place] + bytes((len(message.octets) - 1,)) + body[place + 1 :]
            case "payload":
                others = ((int(Tag.MESSAGE_PAYLOAD), b"another"), *message.tlvs)
                return encode_body(structs.replace(message, octets=b"", tlvs=others))
            case _:
                return body


async def kept_back(house: House, where: str) -> list[str]:
    """The ids of what is held, with why in each one's trail."""
    await house.until(f"SELECT COUNT(*) FROM sms_message WHERE state = 'quarantined' AND {where}", 1)
    [(identity, reason, sealed)] = await house.fetch(
        f"SELECT id, reason, sealed IS NOT NULL FROM sms_message WHERE state = 'quarantined' AND {where}"
    )
    assert reason == "misdirected" and sealed
    trail = await house.centre.trail(identity)
    assert trail is not None
    return [step.detail for step in trail.steps if step.event == "kept-back"]


@pytest.mark.parametrize("fault", ["destination", "swapped bodies", "shared buffer", "truncated", "payload"])
async def test_what_an_encoder_gets_wrong_never_reaches_a_network_and_what_follows_does(
    house: Opener, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(wire=Wire(encode=Encoder(fault))) as at:
        link, client = await at.bound_link(), await at.bound_client()
        assert (await client.submit(octets=b"before", destination="4790000003"))[0] == Status.OK
        request, _ = await link.message()
        link.take_message(request, "n1")
        status, identity = await client.submit(octets=FAULTY, destination="4790000001")
        assert status == Status.OK
        [why] = await kept_back(at, "recipient = '4790000001'")
        assert "differs in its" in why and f"message {identity} is in quarantine: {why}" in caplog.text
        [told] = [each for each in await at.outcomes("deliver") if each.verdict == "broken"]
        assert (told.layer, told.reason) == ("sms-centre", "misdirected")
        await at.nothing_more_for(link, client)


@pytest.mark.parametrize("fault", ["destination", "swapped bodies", "shared buffer", "truncated"])
async def test_nor_does_it_reach_an_account(house: Opener, fault: str) -> None:
    async with house(wire=Wire(encode=Encoder(fault))) as at:
        link, client = await at.bound_link(), await at.bound_client()
        for text in (b"before", FAULTY):
            link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination="2010", octets=text))
            assert (await link.answered()).status == Status.OK
            if text == b"before":
                request, _ = await client.message()
                client.answer(request, body=MessageResponse())
        [why] = await kept_back(at, "recipient = '2010'")
        assert "differs in its" in why
        await at.nothing_more_for_account(client, link)


async def test_what_stands_behind_it_leaves_at_once(house: Opener) -> None:
    seldom = replace(HURRIED, look_seconds=3_600.0)
    async with house(wire=Wire(encode=Encoder("destination")), timing=seldom) as at:
        client = await at.bound_client()
        for number, text in enumerate((b"before", FAULTY, b"after")):
            assert (await client.submit(octets=text, destination=f"479000000{number}"))[0] == Status.OK
        link = await at.network.bound()
        assert [(await link.message())[1].octets for _ in range(2)] == [b"before", b"after"]


async def test_no_connection_is_given_up_because_it_cannot_be_stored_that_a_receipt_waits(house: Opener) -> None:
    """As with a full disk. Claimed and forgotten, it would be told after the next restart, and not before."""
    wrong = [True]

    def encode(message: ShortMessage) -> bytes:
        body = encode_body(message)
        return body[:-1] + bytes((body[-1] ^ 1,)) if message.esm_class == 4 and wrong else body

    async with house(wire=Wire(encode=encode)) as at:
        link, client = await at.bound_link(), await at.bound_client()
        at.engine.fails_where = "SELECT 1 FROM sms_event WHERE event = 'receipt-kept-back'"
        _, identity = await client.submit(registered_delivery=1)
        request, _ = await link.message()
        link.answer(request, Status.INVALID_DESTINATION, MessageResponse())
        await at.engine.failed.wait()
        assert await at.fetch("SELECT receipt FROM sms_message") == [("sending",)]
        at.engine.fails_where = ""
        await at.until("SELECT receipt FROM sms_message", "waiting")
        assert await at.fetch("SELECT COUNT(*) FROM sms_event WHERE event = 'receipt-kept-back'") == [(1,)]
        wrong.clear()
        at.clock.advance(1_000.0)
        _, receipt = await client.message()
        assert receipt.tlv(Tag.RECEIPTED_MESSAGE_ID) == identity.encode() + b"\0"


async def test_a_receipt_that_would_tell_of_another_is_kept_back_and_told_later(
    house: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = [True]

    def encode(message: ShortMessage) -> bytes:
        if message.esm_class == 4 and wrong:
            others = tuple((tag, b"other\0" if tag == Tag.RECEIPTED_MESSAGE_ID else v) for tag, v in message.tlvs)
            return encode_body(structs.replace(message, tlvs=others))
        return encode_body(message)

    async with house(wire=Wire(encode=encode)) as at:
        link, client = await at.bound_link(), await at.bound_client()
        _, identity = await client.submit(registered_delivery=1)
        request, _ = await link.message()
        link.answer(request, Status.INVALID_DESTINATION, MessageResponse())
        await at.until("SELECT COUNT(*) FROM sms_event WHERE event = 'receipt-kept-back'", 1)
        assert await at.fetch("SELECT receipt FROM sms_message") == [("waiting",)]
        kept_back = await at.fetch("SELECT time, detail FROM sms_event WHERE event = 'receipt-kept-back'")
        [(tried_at, why)] = kept_back
        assert why == "what was to be written differed from what it was to tell"
        assert f"the receipt of {identity} is kept back: read back, it differs in its" in caplog.text
        assert await at.fetch("SELECT receipt_at FROM sms_message") == [(tried_at + HURRIED.receipt_retry_seconds,)]
        await at.nothing_more_for_account(client, link)
        wrong.clear()
        at.clock.advance(1_000.0)
        request, receipt = await client.message()
        assert receipt.tlv(Tag.RECEIPTED_MESSAGE_ID) == identity.encode() + b"\0"
        client.answer(request, body=MessageResponse())
        await at.until(f"SELECT receipt FROM sms_message WHERE id = '{identity}'", "given")


async def test_a_buffer_that_changes_after_it_was_looked_at_changes_nothing(house: Opener) -> None:
    """What is looked at is a copy: the same octets are what is written."""
    buffers: list[bytearray] = []

    def encode(message: ShortMessage) -> bytes:
        for each in buffers:
            each[:] = b"\xff" * len(each)
        buffers.append(bytearray(encode_body(message)))
        return buffers[-1]  # type: ignore[return-value]

    async with house(wire=Wire(encode=encode)) as at:
        link, client = await at.bound_link(), await at.bound_client()
        for number in range(4):
            await client.submit(octets=b"text %d" % number, destination=f"479000000{number}")
        for number in range(4):
            request, message = await link.message()
            assert (message.destination, message.octets) == (f"479000000{number}", b"text %d" % number)
            link.take_message(request, f"n{number}")
        assert at.centre.counters()["messages_quarantined_total"] == 0
