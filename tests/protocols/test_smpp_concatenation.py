import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import LocalProtocolError, RemoteProtocolError
from prikkfri.protocols.smpp.concatenation import (
    ESM_CLASS_HEADER,
    PARTS_MAX,
    Part,
    Reassembly,
    fits_one,
    read_part,
    split,
)
from prikkfri.protocols.smpp.pdu import ShortMessage, Tag
from prikkfri.protocols.smpp.text import decode_parts, decode_text, encode_text

texts = st.one_of(
    st.text(alphabet="a€[]{}~^|\\\f@æ", min_size=150, max_size=900),
    st.text(alphabet="aж😀👩‍👩‍👧é\u0301", min_size=60, max_size=500),
)


@given(texts, st.integers(0, 0xFFFF), st.booleans(), st.randoms(use_true_random=False))
def test_parts_put_together_in_any_order_are_the_text(text: str, reference: int, wide: bool, random) -> None:
    coding, octets = encode_text(text)
    pieces = [
        ShortMessage(octets=piece, esm_class=ESM_CLASS_HEADER, data_coding=coding)
        for piece in split(octets, coding, reference, wide=wide)
    ]
    random.shuffle(pieces)
    reassembly = Reassembly()
    whole = None
    for piece in pieces:
        assert whole is None
        part, rest = read_part(piece)
        assert part is not None
        assert part.reference == (reference if wide else reference & 0xFF)
        decode_text(coding, rest)  # no pair is broken: each part reads by itself
        assert len(piece.octets) <= (160 if coding == 0 else 140)
        whole = reassembly.add("a", "b", part, coding, rest, now=0.0)
    assert whole is not None
    assert decode_parts(whole) == text
    assert len(reassembly) == 0


def test_the_book_room_in_a_message() -> None:
    assert fits_one(b"x" * 160, 0)
    assert not fits_one(b"x" * 161, 0)
    assert fits_one(b"x" * 140, 8)
    assert not fits_one(b"x" * 142, 8)
    assert len(split(b"x" * 306, 0, 1)) == 2
    assert len(split(b"x" * 307, 0, 1)) == 3
    assert split(b"x" * 161, 0, 7)[1] == bytes((5, 0, 3, 7, 2, 2)) + b"x" * 8
    assert split(b"x" * 161, 0, 0x0807, wide=True)[0][:7] == bytes((6, 8, 4, 8, 7, 2, 1))


def test_no_more_parts_than_a_header_can_count() -> None:
    assert len(split(b"x" * 153 * PARTS_MAX, 0, 1)) == PARTS_MAX
    with pytest.raises(LocalProtocolError):
        split(b"x" * (153 * PARTS_MAX + 1), 0, 1)


def test_parts_of_different_senders_and_recipients_never_mix() -> None:
    reassembly = Reassembly()
    first, second = Part(1, 2, 1), Part(1, 2, 2)
    assert reassembly.add("bank", "kari", first, 0, b"your code ", 0.0) is None
    assert reassembly.add("shop", "kari", second, 0, b"is cheap", 0.0) is None
    assert reassembly.add("bank", "ola", second, 0, b"for ola", 0.0) is None
    assert reassembly.add("bank", "kari", second, 0, b"is 1234", 0.0) == ((0, b"your code "), (0, b"is 1234"))


def test_a_part_that_comes_twice_counts_once_and_old_ones_are_forgotten() -> None:
    reassembly = Reassembly(messages_max=2, age_seconds_max=60.0)
    assert reassembly.add("a", "b", Part(1, 2, 1), 0, b"one", 0.0) is None
    assert reassembly.add("a", "b", Part(1, 2, 1), 0, b"uno", 0.0) is None
    assert reassembly.add("a", "b", Part(1, 2, 2), 0, b"two", 0.0) == ((0, b"one"), (0, b"two"))
    assert reassembly.add("a", "b", Part(2, 2, 1), 0, b"old", 0.0) is None
    assert reassembly.add("a", "b", Part(2, 2, 2), 0, b"new", 61.0) is None
    for reference in range(10):
        reassembly.add("x", "y", Part(reference, 2, 1), 0, b"", 62.0)
    assert len(reassembly) == 2


def test_sar_parameters_and_message_payload_are_read() -> None:
    sar = ((Tag.SAR_REFERENCE, b"\x01\x02"), (Tag.SAR_TOTAL, b"\x03"), (Tag.SAR_SEQUENCE, b"\x02"))
    assert read_part(ShortMessage(octets=b"abc", tlvs=sar)) == (Part(0x0102, 3, 2), b"abc")
    assert read_part(ShortMessage(tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),))) == (None, b"long")


@given(
    st.integers(0, 255),
    st.binary(max_size=40),
    st.lists(st.tuples(st.sampled_from([0x20C, 0x20E, 0x20F, 0x424]), st.binary(max_size=4))).map(tuple),
)
def test_any_message_is_a_part_or_whole_or_a_remote_error(esm_class: int, octets: bytes, tlvs) -> None:
    try:
        part, _ = read_part(ShortMessage(octets=octets, esm_class=esm_class, tlvs=tlvs))
    except RemoteProtocolError:
        return
    assert part is None or 1 <= part.number <= part.total
