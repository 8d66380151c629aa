import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import LocalProtocolError, RemoteProtocolError
from prikkfri.protocols.smpp.pdu import (
    NOTHING,
    RESPONSE,
    TLVS_MAX,
    Bind,
    BindResponse,
    Command,
    MessageResponse,
    Pdu,
    ShortMessage,
    Status,
    Tag,
    decode,
    decode_body,
    encode,
)


def strings(octets_max: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=octets_max)


octet = st.integers(0, 255)
tlvs = st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=300)), max_size=4).map(tuple)
short_messages = st.builds(
    ShortMessage,
    source=strings(20),
    destination=strings(20),
    octets=st.binary(max_size=254),
    data_coding=octet,
    esm_class=octet,
    registered_delivery=octet,
    source_ton=octet,
    source_npi=octet,
    destination_ton=octet,
    destination_npi=octet,
    service_type=strings(5),
    protocol_id=octet,
    priority=octet,
    schedule=strings(16),
    validity=strings(16),
    replace_if_present=octet,
    default_message_id=octet,
    tlvs=tlvs,
)
binds = st.builds(Bind, strings(15), strings(32), strings(12), octet, octet, octet, strings(40))
pdus = st.one_of(
    st.tuples(st.sampled_from([4, 5]), short_messages),
    st.tuples(st.sampled_from([1, 2, 9]), binds),
    st.tuples(st.sampled_from([4 | RESPONSE, 5 | RESPONSE]), st.builds(MessageResponse, strings(64), tlvs)),
    st.tuples(st.sampled_from([1 | RESPONSE, 2 | RESPONSE, 9 | RESPONSE]), st.builds(BindResponse, strings(64), tlvs)),
    st.tuples(st.sampled_from([6, 0x15, 6 | RESPONSE, 0x15 | RESPONSE, RESPONSE]), st.just(NOTHING)),
).flatmap(
    lambda kind: st.builds(
        Pdu, st.just(int(kind[0])), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.just(kind[1])
    )
)


@given(pdus)
def test_what_is_written_is_read_back(pdu: Pdu) -> None:
    assert decode(encode(pdu)) == pdu


@given(st.sampled_from(list(Command)), st.binary(max_size=400))
def test_any_octets_are_a_body_or_a_remote_error(command: Command, octets: bytes) -> None:
    try:
        decode_body(command, octets)
    except RemoteProtocolError as error:
        assert error.status in set(Status)


@given(pdus, st.data())
def test_a_damaged_pdu_is_a_pdu_or_a_remote_error(pdu: Pdu, data: st.DataObject) -> None:
    octets = bytearray(encode(pdu))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(octet)
    cut = bytes(octets[: data.draw(st.integers(0, len(octets)))])
    with contextlib.suppress(RemoteProtocolError):
        decode(cut)


def test_a_submit_as_the_book_lays_it_out() -> None:
    # Written by hand from section 4.4.1, so that encoder and decoder cannot err alike.
    octets = (
        b"\x00\x00\x00\x46\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x2a"
        b"CMT\x00\x05\x00Shop\x00\x01\x014790000001\x00\x40\x00\x01\x00000001000000000R\x00\x01\x00\x08\x00\x04\xd8\x3d\xde\x00"
    )
    assert len(octets) == 0x46
    pdu = decode(octets)
    assert pdu == Pdu(
        4,
        0,
        42,
        ShortMessage(
            source="Shop",
            destination="4790000001",
            octets="😀".encode("utf-16-be"),
            data_coding=8,
            esm_class=0x40,
            registered_delivery=1,
            source_ton=5,
            destination_ton=1,
            destination_npi=1,
            service_type="CMT",
            priority=1,
            validity="000001000000000R",
        ),
    )
    assert encode(pdu) == octets


def test_optional_parameters_are_kept_in_order_and_found_by_tag() -> None:
    message = ShortMessage(tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 60_000), (0x1400, b""), (0x1400, b"second")))
    read = decode(encode(Pdu(4, 0, 1, message))).body
    assert isinstance(read, ShortMessage)
    assert read.tlvs == message.tlvs
    assert read.tlv(0x1400) == b""
    assert read.tlv(0x1401) is None


@pytest.mark.parametrize(
    "message",
    [
        ShortMessage(source="x" * 21),
        ShortMessage(destination="47\0"),
        ShortMessage(source="Łódź"),
        ShortMessage(octets=b"x" * 255),
        ShortMessage(data_coding=256),
        ShortMessage(validity="0" * 17),
        ShortMessage(tlvs=((0x424, b"x" * 65_536),)),
    ],
)
def test_what_does_not_fit_is_not_sent(message: ShortMessage) -> None:
    with pytest.raises(LocalProtocolError):
        encode(Pdu(4, 0, 1, message))


def test_optional_parameters_have_a_limit() -> None:
    message = ShortMessage(tlvs=((0x1400, b""),) * (TLVS_MAX + 1))
    with pytest.raises(RemoteProtocolError):
        decode(encode(Pdu(4, 0, 1, message)))


def test_neither_password_nor_body_shows_in_a_repr() -> None:
    assert "hemmelig" not in repr(Bind("a", "hemmelig"))
    shown = repr(ShortMessage(source="4790000001", destination="4790000002", octets=b"your code is 1234"))
    assert "1234" not in shown
    assert "9000000" not in shown
