"""What is about to be written is read back by a parser that has nothing of the one that writes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER, read_part, split
from prikkfri.protocols.smpp.pdu import Command, Pdu, ShortMessage, Tag, encode
from prikkfri.protocols.smpp.reading_back import DecodedPdu, Text, beside_text, read, text_of

OCTET = st.integers(0, 255)
WORDS = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=5)
NUMBERS = st.text("0123456789", max_size=20)
MESSAGES = st.builds(
    ShortMessage,
    source=NUMBERS, destination=NUMBERS, octets=st.binary(max_size=254), data_coding=OCTET, esm_class=OCTET,
    registered_delivery=OCTET, source_ton=OCTET, source_npi=OCTET, destination_ton=OCTET, destination_npi=OCTET,
    service_type=WORDS, protocol_id=OCTET, priority=OCTET, schedule=WORDS, validity=WORDS, replace_if_present=OCTET,
    default_message_id=OCTET,
    tlvs=st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=300)), max_size=3).map(tuple),
)  # fmt: skip
ONE = encode(Pdu(Command.SUBMIT_SM, 0, 7, ShortMessage("Shop", "4790000001", b"hei", tlvs=((0x1401, b"xy"),))))


@given(MESSAGES, st.sampled_from((Command.SUBMIT_SM, Command.DELIVER_SM)), OCTET, st.integers(0, 0xFFFFFFFF))
def test_whatever_is_written_is_read_as_it_was_meant(m: ShortMessage, command: Command, status: int, n: int) -> None:
    assert read(encode(Pdu(command, status, n, m))) == DecodedPdu(
        command, status, n, m.service_type.encode("latin-1"), (m.source_ton, m.source_npi), m.source.encode(),
        (m.destination_ton, m.destination_npi), m.destination.encode(), m.esm_class, m.protocol_id, m.priority,
        m.schedule.encode("latin-1"), m.validity.encode("latin-1"), m.registered_delivery, m.replace_if_present,
        m.data_coding, m.default_message_id, m.octets, m.tlvs,
    )  # fmt: skip


@given(st.integers(0, len(ONE) - 1))
def test_what_is_cut_short_is_nothing(end: int) -> None:
    assert read(ONE[:end]) is None
    renumbered = struct.pack(">I", end) + ONE[4:end]
    assert read(renumbered) is None or end == len(ONE) - 6  # where the parameters begin


def test_what_is_longer_than_it_says_is_nothing() -> None:
    assert read(ONE + b"\0") is None
    assert read(struct.pack(">I", len(ONE) + 1) + ONE[4:] + b"\0") is None


@given(st.binary(max_size=80))
def test_any_octets_are_something_or_nothing(octets: bytes) -> None:
    read(octets)
    read(struct.pack(">I", len(octets) + 4) + octets)
    for esm_class in (0, ESM_CLASS_HEADER):
        text_of(esm_class, octets, ())


@given(st.binary(min_size=200, max_size=600), st.integers(0, 65_535), st.booleans(), st.sampled_from((0, 4, 8)))
def test_a_part_says_which_it_is_however_it_travels(octets: bytes, reference: int, wide: bool, coding: int) -> None:
    together = b""
    pieces = split(octets, coding, reference, wide=wide)
    for number, piece in enumerate(pieces, 1):
        text = text_of(ESM_CLASS_HEADER, piece, ())
        shown = reference if wide else reference & 0xFF
        assert (text.part, text.further) == ((shown, len(pieces), number), ())
        part, body = read_part(ShortMessage(octets=piece, esm_class=ESM_CLASS_HEADER))
        assert part is not None and body == text.octets
        told = ((0x020C, shown.to_bytes(2)), (0x020E, bytes((len(pieces),))), (0x020F, bytes((number,))))
        assert text_of(0, body, told) == text == text_of(0, b"", ((int(Tag.MESSAGE_PAYLOAD), body), *told))
        together += text.octets
    assert together == octets


@pytest.mark.parametrize(
    ("header", "part", "further"),
    [
        (b"\x05\x00\x03\x07\x02\x01", (7, 2, 1), ()),
        (b"\x06\x08\x04\x01\x07\x02\x01", (0x107, 2, 1), ()),
        (b"\x09\x24\x02\x01\x02\x00\x03\x07\x02\x01", (7, 2, 1), ((0x24, b"\x01\x02"),)),
        (b"\x0a\x00\x03\x07\x02\x01\x00\x03\x08\x02\x01", (7, 2, 1), ((0, b"\x08\x02\x01"),)),
        (b"\x04\x00\x02\x07\x02", None, ((0, b"\x07\x02"),)),
        (b"\x00", None, ()),
        (b"\x02\x24\x00", None, ((0x24, b""),)),
    ],
)
def test_a_header_is_read_element_by_element(
    header: bytes, part: tuple[int, int, int] | None, further: tuple[tuple[int, bytes], ...]
) -> None:
    assert text_of(ESM_CLASS_HEADER, header + b"hei", ()) == Text(b"hei", part, further)
    assert text_of(0, header + b"hei", ()) == Text(header + b"hei", None, ())


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"\x05", b"\x05\x00\x03\x07\x02", b"\x05\x00\x04\x07\x02\x01x", b"\x01\x00x", b"\x01\x00",
        b"\x02\x00",
    ],
)  # fmt: skip
def test_a_header_that_is_cut_short_is_text(octets: bytes) -> None:
    assert text_of(ESM_CLASS_HEADER, octets, ()) == Text(octets, None, ())


def test_what_says_nothing_of_the_text_is_kept_apart() -> None:
    ours = ((0x1401, b"x"), (0x0204, b"\0\1"))
    assert (
        beside_text(((0x0424, b"text"), ours[0], (0x020C, b"\0\1"), (0x020E, b"\2"), (0x020F, b"\1"), ours[1])) == ours
    )
    assert text_of(0, b"hei", ((0x020C, b"\0\1"), (0x020E, b"\2"))) == Text(b"hei", None, ())
    assert text_of(0, b"hei", ((0x0424, b"other"),)) == Text(b"hei", None, ())
    assert text_of(0, b"", ((0x0424, b"one"), (0x0424, b"two"))) == Text(b"one", None, ())
