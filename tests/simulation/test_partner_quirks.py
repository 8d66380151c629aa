"""What a partner writes when it leaves the book: octet for octet, and only where its switches say so."""

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs
from test_misdelivery_partners import KARI, linked, message, partner

from prikkfri.clock import ManualClock
from prikkfri.protocols.smpp.pdu import (
    HEADER,
    Command,
    MessageResponse,
    ShortMessage,
    Tag,
    decode,
    decode_body,
    encode_body,
)
from prikkfri.protocols.smpp.receipt import MessageState, is_receipt, parse_receipt
from prikkfri.protocols.smpp.session import PeerResponse
from prikkfri.simulation.partners.quirks import (
    BY_THE_BOOK,
    AnswerForm,
    IdStyle,
    Quirks,
    receipt_body,
    response_octets,
)
from prikkfri.simulation.partners.server import application

SENT = structs.replace(message(KARI), tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\x01\x02"),))
NUMBER = 0xAB


def receipt(quirks: Quirks, state: MessageState = MessageState.DELIVERED) -> ShortMessage:
    found = decode_body(Command.DELIVER_SM, receipt_body(quirks, NUMBER, state, SENT, 0.0))
    assert isinstance(found, ShortMessage)
    return found


@pytest.mark.parametrize("state", MessageState)
def test_with_all_switches_off_it_is_by_the_book(state: MessageState) -> None:
    told = receipt(BY_THE_BOOK, state)
    read = parse_receipt(told)
    assert is_receipt(told)
    assert (read.message_id, read.state, read.error) == ("00000000000000ab", state, "000")
    assert (told.source, told.destination) == (KARI, "Legevakt")
    assert told.tlv(Tag.USER_MESSAGE_REFERENCE) == b"\x01\x02"
    in_words = structs.replace(told, tlvs=())
    assert parse_receipt(in_words).state is state
    assert decode(response_octets(BY_THE_BOOK, 7, 0, "ab")).body == MessageResponse("ab")


@pytest.mark.parametrize(
    ("style", "written"),
    [
        (IdStyle(), "00000000000000ab"),
        (IdStyle(digits=0, upper=True), "AB"),
        (IdStyle(10, 0), "171"),
        (IdStyle(10, 10), "0000000171"),
    ],
)
def test_an_id_is_written_to_a_base_with_zeros_and_in_a_case(style: IdStyle, written: str) -> None:
    assert style.write(NUMBER) == written


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("by-the-book", b"ab\0"),
        ("without-nul", b"ab"),
        ("two-nuls", b"ab\0\0"),
        ("cut-parameter", b"ab\0\x04\x24\0\x10two"),
        ("unreadable", b"\x01\x02"),
        ("no-body", b""),
    ],
)
def test_an_answer_has_the_body_that_it_is_to_have(form: AnswerForm, body: bytes) -> None:
    octets = response_octets(Quirks(answer_form=form), 7, 0x58, "ab")
    assert HEADER.unpack_from(octets) == (len(octets), Command.SUBMIT_SM_RESP, 0x58, 7)
    assert octets[HEADER.size :] == body


@pytest.mark.parametrize(
    ("where", "parameter", "text"),
    [("both", True, True), ("parameter", True, False), ("text", False, True), ("neither", False, False)],
)
def test_id_and_state_stand_where_they_are_to_stand(where: Any, parameter: bool, text: bool) -> None:
    told = receipt(Quirks(id_in=where, state_in=where))
    assert (told.tlv(Tag.RECEIPTED_MESSAGE_ID) is not None, told.tlv(Tag.MESSAGE_STATE) is not None) == (
        parameter,
        parameter,
    )
    assert (b"id:" in told.octets, b"stat:" in told.octets) == (text, text)


def test_each_part_of_a_receipt_can_be_written_in_its_own_way() -> None:
    told = receipt(
        Quirks(
            text_id=IdStyle(10, 0), behind_id=",", words={"DELIVERED": "Delivered"}, error="12345", text="id:1",
            state_octet=9, network_error=258, marked=False, brings_reference=False, empty_parameter=True,
        )
    )  # fmt: skip
    assert told.octets.startswith(b"id:171,sub:001 dlvrd:001 submit date:7001010000 done date:7001010000 ")
    assert told.octets.endswith(b" stat:Delivered err:12345 text:id:1")
    assert told.esm_class == 0
    assert told.tlvs == (
        (Tag.RECEIPTED_MESSAGE_ID, b""), (Tag.MESSAGE_STATE, b"\x09"), (Tag.NETWORK_ERROR_CODE, b"\x03\x01\x02"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("addresses", "source", "ton", "destination"),
    [
        ("as-sent", KARI, 0, "Legevakt"),
        ("swapped", "Legevakt", 0, KARI),
        ("national", KARI[2:], 2, "Legevakt"),
        ("national-unmarked", KARI[2:], 0, "Legevakt"),
        ("empty", "", 0, ""),
    ],
)
def test_numbers_stand_as_they_are_to_stand(addresses: Any, source: str, ton: int, destination: str) -> None:
    told = receipt(Quirks(addresses=addresses))
    assert (told.source, told.source_ton, told.destination) == (source, ton, destination)


def test_a_receipt_travels_as_it_is_to_travel() -> None:
    plain, carried = receipt(BY_THE_BOOK), receipt(Quirks(carrier="message_payload"))
    assert (carried.octets, carried.tlv(Tag.MESSAGE_PAYLOAD)) == (b"", plain.octets)
    wide = receipt(Quirks(wide=True))
    assert (wide.data_coding, wide.octets.decode("utf-16-be")) == (8, plain.octets.decode())
    little, marked = (receipt(Quirks(wide=True, wide_order=each)) for each in ("little", "little-marked"))
    assert (little.data_coding, little.octets.decode("utf-16-le")) == (8, plain.octets.decode())
    assert marked.octets == b"\xff\xfe" + little.octets
    too_long = receipt(Quirks(wide=True, text="x" * 100))  # more than fits in short_message
    assert (too_long.octets, len(too_long.tlv(Tag.MESSAGE_PAYLOAD) or b"") > 254) == (b"", True)
    data = receipt_body(Quirks(carrier="data_sm"), NUMBER, MessageState.DELIVERED, SENT, 0.0)
    assert data.startswith(b"\0\0\0" + KARI.encode() + b"\0\0\0Legevakt\0\x04\0\0\x04\x24")
    assert plain.octets in data


async def test_a_rate_holds_and_the_same_lots_are_drawn() -> None:
    network, clock = partner(), ManualClock(0.0)
    network.clock = clock
    network.quirks = Quirks(throughput_per_second_max=2)
    async with linked(network) as link:
        statuses = []
        for _ in range(3):
            link.connection.session.ask(Command.SUBMIT_SM, receipt_free(), "submit", 0.0)
            link.connection.flush()
            answered = await link.event()
            assert isinstance(answered, PeerResponse)
            statuses.append(answered.status)
        assert statuses == [0, 0, 0x58]
    assert (network.refused, len(network.deliveries)) == (1, 2)


def receipt_free() -> bytes:
    return encode_body(structs.replace(SENT, registered_delivery=0))


async def test_no_more_may_bind_than_it_lets() -> None:
    network = partner()
    network.quirks = Quirks(binds_max=1)
    assert (network.room_for(0), network.room_for(1)) == (True, False)
    async with linked(network) as link:
        assert await link.submit(KARI) is MessageState.DELIVERED


async def test_the_world_switches_quirks_over_http_and_at_the_start() -> None:
    network, wanted = partner(), Quirks(answer_id=IdStyle(10, 0), words={"DELIVERED": "delivrd"}, id_in="text")
    transport = httpx.ASGITransport(application(network))
    async with httpx.AsyncClient(transport=transport, base_url="http://nordtel") as http:
        assert (await http.put("/quirks", json=asdict(wanted))).json() == asdict(wanted)
    assert network.quirks == wanted == msgspec.json.decode(json.dumps(asdict(wanted)), type=Quirks)


def test_a_partner_does_not_start_with_a_quirk_that_there_is_not() -> None:
    command = [sys.executable, "-m", "prikkfri.simulation.partners", "--quirks", '{"id_in": "nowhere"}', "--name=x"]
    done = subprocess.run([*command, "--smpp-port=1", "--http-port=1", "1=a"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "argument --quirks: invalid" in done.stderr
