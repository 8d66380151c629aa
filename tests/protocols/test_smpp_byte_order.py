"""UCS-2 with the low octet first: turned round where that is known, and never where it is not."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.smpp.byte_order import high_octet_first
from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER, payload
from prikkfri.protocols.smpp.pdu import ShortMessage, Tag, Tlv
from prikkfri.protocols.smpp.text import decode_text

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60).filter(
    lambda text: text[0] not in "\ufeff\ufffe"
)
CODINGS = st.sampled_from([0x08, 0x18, 0x48, 0xE0])
PARTS: dict[str, tuple[bytes, Sequence[Tlv]]] = {
    "8-bit reference": (b"\x05\x00\x03\x07\x02\x01", ()),
    "16-bit reference": (b"\x06\x08\x04\x00\x07\x02\x02", ()),
    "sar": (
        b"",
        ((Tag.SAR_REFERENCE, b"\x00\x07"), (Tag.SAR_TOTAL, b"\x02"), (Tag.SAR_SEQUENCE, b"\x01")),
    ),
}


def written(
    octets: bytes, *, carrier: str = "octets", coding: int = 8, header: bytes = b"", tlvs: Sequence[Tlv] = ()
) -> ShortMessage:
    whole, esm_class = header + octets, ESM_CLASS_HEADER if header else 0
    if carrier == "octets":
        return ShortMessage(octets=whole, data_coding=coding, esm_class=esm_class, tlvs=tuple(tlvs))
    further = ((Tag.MESSAGE_STATE, b"\x02"), (Tag.MESSAGE_PAYLOAD, whole), *tlvs)
    return ShortMessage(data_coding=coding, esm_class=esm_class, tlvs=further)


@pytest.mark.parametrize("carrier", ["octets", "message_payload"])
@given(text=TEXTS, coding=CODINGS)
def test_a_whole_text_comes_back_whichever_octet_was_first(carrier: str, text: str, coding: int) -> None:
    big, low_first = text.encode("utf-16-be"), text.encode("utf-16-le")
    for octets, little in ((BOM_UTF16_LE + low_first, False), (BOM_UTF16_LE + low_first, True), (low_first, True)):
        read = high_octet_first(written(octets, carrier=carrier, coding=coding), little=little)
        assert read == written(big, carrier=carrier, coding=coding)
        assert decode_text(coding, payload(read)) == text


@given(text=TEXTS, coding=CODINGS)
def test_a_right_text_is_never_touched(text: str, coding: int) -> None:
    by_the_book = written(text.encode("utf-16-be"), coding=coding)
    assert high_octet_first(by_the_book) is by_the_book
    marked = written(BOM_UTF16_BE + text.encode("utf-16-be"), coding=coding)
    assert high_octet_first(marked) is marked
    assert high_octet_first(marked, little=True) is marked


@pytest.mark.parametrize(("header", "tlvs"), PARTS.values(), ids=PARTS)
def test_parts_are_turned_by_their_link_alone_since_a_mark_stands_in_the_first(
    header: bytes, tlvs: Sequence[Tlv]
) -> None:
    for text in ("hei på deg", "椀搀"):
        for mark in (b"", BOM_UTF16_LE):
            part = written(mark + text.encode("utf-16-le"), header=header, tlvs=tlvs)
            assert high_octet_first(part) is part
            by_the_book = written(text.encode("utf-16-be"), header=header, tlvs=tlvs)
            assert high_octet_first(part, little=True) == by_the_book
        marked = written(BOM_UTF16_BE + text.encode("utf-16-be"), header=header, tlvs=tlvs)
        assert high_octet_first(marked, little=True) is marked


@pytest.mark.parametrize(
    "message",
    [
        written(b"\xff\xfeh\x00e"),
        written(b"h\x00e"),
        written(b"\xff\xfe"),
        written(b""),
        written(b"\xff\xfeh\x00", coding=0),
        written(b"\xff\xfeh\x00", coding=3),
        written(b"\xff\xfeh\x00", coding=4),
        written(b"\xff\xfeh\x00", header=b"\x06\x05\x04\x0b\x84\x23\xf0"),  # for a port: that is no text
        written(b"\xff\xfeh\x00", header=b"\x7f"),
    ],
)
@pytest.mark.parametrize("little", [False, True])
def test_what_is_no_text_of_ucs_2_is_left_alone(message: ShortMessage, little: bool) -> None:
    assert high_octet_first(message, little=little) is message


def test_a_mark_before_nothing_is_left_to_whoever_reads_it() -> None:
    both = ShortMessage(octets=BOM_UTF16_LE, data_coding=8, tlvs=((Tag.MESSAGE_PAYLOAD, b"\x00h"),))
    assert high_octet_first(both) is both
