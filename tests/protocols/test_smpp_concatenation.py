import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.errors import LocalProtocolError, RemoteProtocolError
from prikkfri.protocols.smpp.concatenation import (
    ESM_CLASS_HEADER,
    PARTS_MAX,
    Part,
    PartReference,
    PartReferences,
    Reassembly,
    References,
    cut_anew,
    fits_one,
    payload,
    read_part,
    split,
    split_header,
    with_reference,
    without_parameters,
)
from prikkfri.protocols.smpp.pdu import ShortMessage, Tag
from prikkfri.protocols.smpp.text import decode_parts, decode_text, encode_gsm, encode_text

texts = st.one_of(
    st.text(alphabet="a€[]{}~^|\\\f@æ", min_size=150, max_size=900),
    st.text(alphabet="aж😀👩‍👩‍👧é\u0301", min_size=60, max_size=500),
)


GSM_CODINGS = (0, 0x10, 0x11, 0x12, 0x13, 0x40, 0xC8, 0xD0, 0xF0, 0xF1, 0xF2, 0xF3)
UCS_2_CODINGS = (8, 0x18, 0x19, 0x1A, 0x1B, 0x48, 0xE0)


@given(
    st.text(alphabet="a€[]æ", min_size=100, max_size=700),
    st.text(alphabet="aж😀👩‍", min_size=60, max_size=300),
    st.sampled_from(GSM_CODINGS),
    st.sampled_from(UCS_2_CODINGS),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_no_pair_is_cut_whatever_the_coding_and_what_is_joined_is_the_text(
    letters: str, emoji: str, gsm: int, ucs_2: int, wide: bool
) -> None:
    for text, coding, octets in ((letters, gsm, encode_gsm(letters)), (emoji, ucs_2, emoji.encode("utf-16-be"))):
        pieces = [piece[7 if wide else 6 :] for piece in split(octets, coding, 1, wide=wide)]
        assert "".join(decode_text(coding, piece) for piece in pieces) == text
        assert decode_parts([(coding, piece) for piece in pieces]) == text
        most = (152 if wide else 153) if coding == gsm else 132 if wide else 134
        assert all(most - 2 <= len(piece) <= most for piece in pieces[:-1])
        assert 0 < len(pieces[-1]) <= most


@given(st.lists(st.sampled_from([b"x", b"\x1b\x65", b"\x1b\x1b"]), min_size=100, max_size=400), st.booleans())
@settings(max_examples=40, deadline=None)
def test_escapes_in_a_row_are_cut_between_pairs(letters: list[bytes], wide: bool) -> None:
    for coding in (0, 1, 0xF1):
        pieces = [piece[7 if wide else 6 :] for piece in split(b"".join(letters), coding, 1, wide=wide)]
        ends, at = set(), 0
        for letter in letters:
            at += len(letter)
            ends.add(at)
        at = 0
        for piece in pieces:
            at += len(piece)
            assert at in ends
        assert b"".join(pieces) == b"".join(letters)


@given(st.text(alphabet="a€[]{}~^|\\\f@æ", min_size=150, max_size=300), st.sampled_from(GSM_CODINGS))
@settings(max_examples=40, deadline=None)
def test_160_letters_are_one_message_whatever_their_class(text: str, coding: int) -> None:
    octets = encode_gsm(text)
    assert fits_one(octets, coding) is (len(octets) <= 160)
    for other in (1, 3, 4, 8, 0x14, 0x18, 0xE0, 0xF4):
        assert fits_one(octets, other) is (len(octets) <= 140)


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
        assert part.wide is wide
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
    assert PARTS_MAX == 255
    assert len(split(b"x" * 153 * PARTS_MAX, 0, 1)) == PARTS_MAX
    with pytest.raises(LocalProtocolError, match="256 parts, more than 255"):
        split(b"x" * (153 * PARTS_MAX + 1), 0, 1)


def test_parts_of_different_senders_and_recipients_never_mix() -> None:
    reassembly = Reassembly()
    first, second = Part(1, 2, 1), Part(1, 2, 2)
    assert reassembly.add("bank", "kari", first, 0, b"your code ", 0.0) is None
    assert reassembly.add("shop", "kari", second, 0, b"is cheap", 0.0) is None
    assert reassembly.add("bank", "ola", second, 0, b"for ola", 0.0) is None
    assert reassembly.add("bank", "kari", second, 0, b"is 1234", 0.0) == ((0, b"your code "), (0, b"is 1234"))


def test_a_reference_of_8_bits_is_not_one_of_16() -> None:
    reassembly = Reassembly()
    assert reassembly.add("bank", "kari", Part(7, 2, 1), 0, b"your code ", 0.0) is None
    assert reassembly.add("bank", "kari", Part(7, 2, 2, wide=True), 0, b"is cheap", 0.0) is None
    assert reassembly.add("bank", "kari", Part(7, 2, 2), 0, b"is 1234", 0.0) == ((0, b"your code "), (0, b"is 1234"))
    assert len(reassembly) == 1


def test_references_are_counted_by_whom_a_phone_is_shown_and_by_phone() -> None:
    references = References()
    assert [references.next("bank", "kari", first=254) for _ in range(4)] == [254, 255, 0, 1]
    assert references.next("bank", "ola", first=9) == 9
    assert references.next("bank", "kari", first=77) == 2
    assert references.next("shop", "kari", first=0) == 0
    assert references.next("bank", "kari", first=77) == 3
    assert references.next("bank", "ola", first=30) == 10
    assert references.next("shop", "kari", first=256) == 1
    assert References().next("bank", "kari", first=256) == 0


def test_where_sender_and_recipient_meet_is_no_letter_of_theirs() -> None:
    assert References.slot("bank1", "2") != References.slot("bank", "12")


def test_references_go_on_where_they_were_and_what_has_gone_on_is_told_once() -> None:
    references = References()
    for pair, count in (("kari", 3), ("ola", 1)):
        for _ in range(count):
            references.next("bank", pair, first=254)
    kept = references.changed()
    assert kept == {References.slot("bank", "kari"): 0, References.slot("bank", "ola"): 254}
    assert references.changed() == {}
    references.next("bank", "ola", first=7)
    kept |= references.changed()
    later = References()
    later.recover(kept)
    assert later.changed() == {}
    assert [later.next("bank", name, first=99) for name in ("kari", "ola", "siri")] == [1, 0, 99]


def test_no_reference_comes_again_before_256_others_however_many_pairs_there_are() -> None:
    references = References()
    pairs = [("bank", str(number)) for number in range(50_000)]
    before = [references.next(*pair, first=0) for pair in pairs]
    after = [references.next(*pair, first=0) for pair in pairs]
    assert not any(first == then for first, then in zip(before, after, strict=True))
    assert len(references.changed()) <= References.SLOTS
    assert {References.slot(*pair) for pair in pairs} <= set(range(References.SLOTS))
    assert len({References.slot(*pair) for pair in pairs}) > 30_000, "they are spread"


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


def test_messages_cut_into_another_number_of_parts_never_mix() -> None:
    """A sender's references begin again after 256 messages, and what was given up waits still."""
    reassembly = Reassembly()
    assert reassembly.add("bank", "kari", Part(1, 2, 1), 0, b"your code ", 0.0) is None
    assert reassembly.add("bank", "kari", Part(1, 3, 2), 0, b"second of three", 0.0) is None
    assert reassembly.add("bank", "kari", Part(2, 2, 2), 0, b"of another", 0.0) is None
    assert reassembly.add("bank", "kari", Part(1, 2, 2), 0, b"is 1234", 0.0) == ((0, b"your code "), (0, b"is 1234"))
    assert len(reassembly) == 2


def test_a_message_grows_old_from_its_last_part_on() -> None:
    reassembly = Reassembly(age_seconds_max=60.0)
    for at, number in ((0.0, 1), (50.0, 2), (110.0, 3)):
        assert reassembly.add("a", "b", Part(1, 4, number), 8, b"%d" % number, at) is None
    whole = reassembly.add("a", "b", Part(1, 4, 4), 0, b"4", 170.0)
    assert whole == ((8, b"1"), (8, b"2"), (8, b"3"), (0, b"4"))


def test_what_has_waited_longest_for_its_next_part_is_given_up_first() -> None:
    reassembly = Reassembly(messages_max=2)
    for reference, number in ((1, 1), (2, 1), (1, 2), (3, 1)):  # 1 was heard of again: 2 goes
        assert reassembly.add("a", "b", Part(reference, 3, number), 0, b"%d" % number, 0.0) is None
    assert reassembly.add("a", "b", Part(1, 3, 3), 0, b"3", 0.0) == ((0, b"1"), (0, b"2"), (0, b"3"))
    assert len(reassembly) == 1
    assert reassembly.add("a", "b", Part(3, 3, 2), 0, b"", 0.0) is None
    assert len(reassembly) == 1  # 3 has waited on


# 3GPP TS 23.040, 9.2.3.24: length of the header, then elements of identifier, length and value.
def test_a_header_is_read_element_by_element() -> None:
    assert split_header(b"\x00text") == ((), b"text")
    assert split_header(b"\x05\x00\x03abctext") == (((0, b"abc"),), b"text")
    assert split_header(b"\x08\x24\x01\x01\x00\x03abctext") == (((0x24, b"\1"), (0, b"abc")), b"text")
    assert split_header(b"\x02\x24\x00") == (((0x24, b""),), b"")
    assert split_header(b"\x04\x05\x02\x0b\x84") == (((5, b"\x0b\x84"),), b"")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x01",
        b"\x05\x00\x03ab",
        b"\x01\x00",
        b"\x01\x00text",  # half an element
        b"\x05\x00\x04abctext",  # an element that reaches into the text
        b"\x06\x00\x03abc\x24text",
        b"\x07\x00\x03abc\x24\x01text",
    ],
)
def test_a_header_or_element_longer_than_what_holds_it_is_refused(octets: bytes) -> None:
    for read in (split_header, lambda octets: read_part(ShortMessage(octets=octets, esm_class=ESM_CLASS_HEADER))):
        with pytest.raises(RemoteProtocolError, match=r"user data header longer than|longer than its user data header"):
            read(octets)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (b"\x05\x00\x03\x07\x02\x01", Part(7, 2, 1)),
        (b"\x06\x08\x04\x01\x07\x02\x02", Part(0x0107, 2, 2, wide=True)),
        (b"\x05\x00\x03\xff\xff\xff", Part(255, 255, 255)),
        (b"\x07\x24\x00\x00\x03\x07\x02\x01", Part(7, 2, 1)),
        (b"\x06\x05\x04\x0b\x84\x00\x00", None),  # to a port: whole
        (b"\x06\x00\x04\x07\x02\x01\x00", None),  # elements of another length say nothing of parts
        (b"\x05\x08\x03\x07\x02\x01", None),
        (b"\x07\x08\x05\x00\x07\x02\x01\x00", None),
        (b"\x04\x00\x02\x07\x02", None),
        (b"\x00", None),
    ],
)
def test_a_header_says_which_part_a_message_is(header: bytes, part: Part | None) -> None:
    assert read_part(ShortMessage(octets=header + b"text", esm_class=0xC3)) == (part, b"text")
    tlvs = ((Tag.MESSAGE_PAYLOAD, header + b"text"),)
    assert read_part(ShortMessage(tlvs=tlvs, esm_class=ESM_CLASS_HEADER)) == (part, b"text")
    # Without the bit these octets are text.
    assert read_part(ShortMessage(octets=header + b"text", esm_class=0xBF)) == (None, header + b"text")


@pytest.mark.parametrize(("total", "number"), [(2, 0), (0, 0), (2, 3), (0, 1)])
def test_what_says_that_it_is_a_part_that_cannot_be_is_whole(total: int, number: int) -> None:
    tail = bytes((total, number))
    sar = ((Tag.SAR_REFERENCE, b"\0\1"), (Tag.SAR_TOTAL, tail[:1]), (Tag.SAR_SEQUENCE, tail[1:]))
    for message in (
        ShortMessage(octets=b"\x05\x00\x03\x07" + tail + b"x", esm_class=ESM_CLASS_HEADER),
        ShortMessage(octets=b"\x06\x08\x04\x00\x07" + tail + b"x", esm_class=ESM_CLASS_HEADER),
        ShortMessage(octets=b"x", tlvs=sar),
    ):
        assert read_part(message) == (None, b"x")
    # Another element may still say it.
    both = b"\x0a\x00\x03\x07" + tail + b"\x00\x03\x08\x02\x01x"
    assert read_part(ShortMessage(octets=both, esm_class=ESM_CLASS_HEADER)) == (Part(8, 2, 1), b"x")


def test_sar_parameters_of_another_length_are_refused_and_a_part_of_them_is_none() -> None:
    sar = {Tag.SAR_REFERENCE: b"\0\1", Tag.SAR_TOTAL: b"\2", Tag.SAR_SEQUENCE: b"\1"}
    for tag in sar:
        for wrong in (b"", b"\0\0\1"):
            with pytest.raises(RemoteProtocolError, match="sar parameters"):
                read_part(ShortMessage(octets=b"x", tlvs=tuple({**sar, tag: wrong}.items())))
        missing = tuple(each for each in sar.items() if each[0] != tag)
        assert read_part(ShortMessage(octets=b"x", tlvs=missing)) == (None, b"x")


def test_a_text_is_cut_before_what_must_stay_together() -> None:
    letters = b"x" * 152 + b"\x1b\x65" + b"y" * 20  # an escape pair on the border of 153
    assert [piece[6:] for piece in split(letters, 0, 1)] == [b"x" * 152, b"\x1b\x65" + b"y" * 20]
    letters = b"x" * 151 + b"\x1b\x65" + b"y" * 20
    assert [len(piece) - 7 for piece in split(letters, 0, 1, wide=True)] == [151, 22]
    assert [len(piece) - 6 for piece in split(b"\x1b" * 154, 3, 1)] == [134, 20]  # 0x1B is an escape in GSM alone
    for lead in (0xD8, 0xDB):
        pairs = b"\0x" * 66 + bytes((lead, 0)) + b"\xdc\x00" + b"\0y" * 9
        assert [len(piece) - 6 for piece in split(pairs, 8, 1)] == [132, 22]
        assert [len(piece) - 7 for piece in split(pairs, 8, 1, wide=True)] == [132, 22]  # 133 would cut a letter in two
        assert [len(piece) - 6 for piece in split(pairs, 4, 1)] == [134, 20]
    assert [len(piece) - 7 for piece in split(b"x" * 266, 3, 1, wide=True)] == [133, 133]
    assert [len(piece) - 6 for piece in split(b"x" * 305 + b"\x1b", 0, 1)] == [153, 153]  # nothing follows it
    assert [len(piece) - 6 for piece in split(b"\x1b" * 400, 0, 1)] == [152, 152, 96]  # of escapes alone
    for other in (0xD7, 0xDC):
        letters = b"\0x" * 66 + bytes((other, 0)) + b"\0y" * 9
        assert [len(piece) - 6 for piece in split(letters, 8, 1)] == [134, 18]
    assert [len(piece) - 6 for piece in split(b"\0x" * 134, 8, 1)] == [134, 134]


def test_sar_parameters_and_message_payload_are_read() -> None:
    sar = ((Tag.SAR_REFERENCE, b"\x01\x02"), (Tag.SAR_TOTAL, b"\x03"), (Tag.SAR_SEQUENCE, b"\x02"))
    assert read_part(ShortMessage(octets=b"abc", tlvs=sar)) == (Part(0x0102, 3, 2, wide=True), b"abc")
    assert read_part(ShortMessage(tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),))) == (None, b"long")
    # By the book only one of them is there (5.3.2.32); of two, short_message is the one.
    both = ShortMessage(octets=b"short", tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),))
    assert payload(both) == b"short"
    assert read_part(both) == (None, b"short")
    assert payload(ShortMessage()) == b""


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


def sar(reference: int, total: int, number: int) -> tuple[tuple[int, bytes], ...]:
    return (
        (Tag.SAR_REFERENCE, reference.to_bytes(2)),
        (Tag.SAR_TOTAL, bytes((total,))),
        (Tag.SAR_SEQUENCE, bytes((number,))),
    )


def test_a_part_says_in_a_header_which_it_is_where_parameters_are_not_known() -> None:
    part = ShortMessage(
        source="a", octets=b"hei", esm_class=0x80, tlvs=(*sar(0x1234, 3, 2), (Tag.MESSAGE_STATE, b"\2"))
    )
    told = without_parameters(part)
    assert told == ShortMessage(source="a", octets=b"\6\x08\4\x12\x34\3\2hei", esm_class=0x80 | ESM_CLASS_HEADER)
    assert read_part(told) == read_part(part)
    last = ShortMessage(octets=b"hei", tlvs=sar(0xFEDC, 255, 254))
    assert without_parameters(last).octets == b"\6\x08\4\xfe\xdc\xff\xfehei"


@pytest.mark.parametrize(("octets", "has_room"), [(247, True), (248, False)])
def test_a_part_beside_which_no_header_fits_keeps_its_parameters(octets: int, has_room: bool) -> None:
    part = ShortMessage(octets=b"x" * octets, tlvs=sar(1, 2, 1))
    told = without_parameters(part)
    assert (told != part, len(told.octets), told.tlvs == ()) == (has_room, octets + 7 * has_room, has_room)


@pytest.mark.parametrize("esm_class", [0, 4, ESM_CLASS_HEADER])
def test_what_is_whole_or_has_its_header_loses_its_parameters_alone(esm_class: int) -> None:
    octets = b"\5\0\3\1\2\1hei" if esm_class == ESM_CLASS_HEADER else b"hei"
    message = ShortMessage(octets=octets, esm_class=esm_class, tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"x\0"),))
    assert without_parameters(message) == ShortMessage(octets=octets, esm_class=esm_class)
    both = ShortMessage(octets=octets, esm_class=esm_class, tlvs=sar(1, 2, 1))
    assert without_parameters(both).octets.endswith(octets)
    assert read_part(without_parameters(both))[1] == b"hei"


BESIDE = st.sampled_from([(), ((0x05, b"\x0b\x84\x23\xf0"),), ((0x24, b"\1"), (0x25, b"\1"))])
"""Elements of a header: ports, a national alphabet."""


@given(texts, st.integers(0, 0xFF), st.integers(0x100, 0xFFFF), BESIDE, st.booleans())
def test_parts_cut_anew_are_the_text_whichever_come_first(
    text: str, reference: int, wide: int, beside: tuple[tuple[int, bytes], ...], backwards: bool
) -> None:
    coding, octets = encode_text(text)
    pieces = split(octets, coding, reference)
    before = b"".join(bytes((element, len(value))) + value for element, value in beside)
    cut = []
    for piece in pieces:
        whole = bytes((piece[0] + len(before),)) + before + piece[1:]
        message = ShortMessage(octets=whole, esm_class=ESM_CLASS_HEADER, data_coding=coding)
        cut += cut_anew(message, wide)
        assert all(len(each) < len(whole) or len(piece) < 20 for each in cut[-2:]), "it has room for the header"
    reassembly, found = Reassembly(), []
    for place, each in sorted(enumerate(cut, 1), reverse=backwards):
        part, rest = read_part(ShortMessage(octets=each, esm_class=ESM_CLASS_HEADER))
        assert part == Part(wide, 2 * len(pieces), place, wide=True)
        assert decode_text(coding, rest) in text, "no letter is cut in two"
        assert {*split_header(each)[0]} >= {*beside} and len(split_header(each)[0]) == len(beside) + 1
        found.append(reassembly.add("Shop", "47", part, coding, rest, 0.0))
    assert found[:-1] == [None] * (len(cut) - 1) and found[-1] is not None
    assert decode_parts(found[-1]) == text


@pytest.mark.parametrize(
    ("coding", "octets", "first"),
    [(0, b"x", b"x"), (0, b"\x1b\x65", b"\x1b\x65"), (0, b"xyz", b"xy"), (0, b"x\x1b\x65", b"x"),
     (8, b"\x04\x16", b"\x04\x16"), (8, "😀".encode("utf-16-be"), b""), (4, b"x" * 134, b"x" * 68), (0, b"", b"")],
)  # fmt: skip
def test_a_part_of_one_letter_cut_anew_has_it_in_one_of_two(coding: int, octets: bytes, first: bytes) -> None:
    message = ShortMessage(octets=b"\5\0\3\7\2\2" + octets, esm_class=ESM_CLASS_HEADER, data_coding=coding)
    assert cut_anew(message, 0x1234) == (
        b"\6\x08\4\x12\x34\4\3" + first, b"\6\x08\4\x12\x34\4\4" + octets[len(first) :],
    )  # fmt: skip


SHOP_TO_ANNA = ("Shop", "4790000001")


def test_two_origins_never_bear_one_reference_to_one_phone_while_both_are_known() -> None:
    known = PartReferences()
    assert known.of("a", *SHOP_TO_ANNA, Part(255, 2, 1), 0.0) == 255
    assert known.of("b", *SHOP_TO_ANNA, Part(255, 2, 1), 0.0) == 0, "the next that is free, and 255 is the last"
    assert known.of("c", *SHOP_TO_ANNA, Part(255, 3, 2), 0.0) == 1
    # Each text keeps its own, whatever comes between.
    assert known.of("b", *SHOP_TO_ANNA, Part(255, 2, 2), 5.0) == 0
    assert known.of("a", *SHOP_TO_ANNA, Part(255, 2, 2), 5.0) == 255
    # Of another width, to another phone or in another name it is another reference.
    assert known.of("b", *SHOP_TO_ANNA, Part(255, 2, 1, wide=True), 0.0) == 255
    assert known.of("d", "Shop", "4790000002", Part(255, 2, 1), 0.0) == 255
    assert known.of("d", "Bank", "4790000001", Part(255, 2, 1), 0.0) == 255
    assert known.of("e", *SHOP_TO_ANNA, Part(65_535, 2, 1, wide=True), 0.0) == 65_535
    assert known.of("f", *SHOP_TO_ANNA, Part(65_535, 2, 1, wide=True), 0.0) == 0


def test_who_counts_on_by_itself_keeps_what_it_has_chosen() -> None:
    known = PartReferences()
    for number in (1, 2, 1, 2, 1):  # the same reference again, for the next text
        assert known.of("a", *SHOP_TO_ANNA, Part(7, 2, number), 0.0) == 7
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 2, 1), 0.0) == 8
    assert known.of("b", *SHOP_TO_ANNA, Part(8, 2, 1), 0.0) == 9, "it does not know that its text before bears 8"
    assert known.of("a", *SHOP_TO_ANNA, Part(8, 2, 1), 0.0) == 10
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 2, 2), 0.0) == 8


def test_while_it_is_not_known_what_is_taken_texts_bear_references_that_no_other_history_has() -> None:
    known = PartReferences()
    assert known.of("a", *SHOP_TO_ANNA, Part(7, 2, 1), 0.0) == 7
    known.set_apart(3, until=50.0)
    assert known.apart(1.0) == 0x300
    assert known.of("a", *SHOP_TO_ANNA, Part(7, 2, 2), 1.0) == 7, "it is known whose this is"
    assert known.of("b", *SHOP_TO_ANNA, Part(255, 2, 1), 1.0) == 0x3FF
    assert known.of("c", *SHOP_TO_ANNA, Part(255, 2, 1), 1.0) == 0x300, "the next that is free, with the same octet"
    assert not known.takes(*SHOP_TO_ANNA, 0x3FF, 1.0)
    assert known.takes(*SHOP_TO_ANNA, 0x309, 1.0)
    # One that is wide already may be of any number; it is another than it was given, and than those above.
    assert known.of("c", *SHOP_TO_ANNA, Part(0xFE01, 2, 1, wide=True), 1.0) == 0x101
    assert known.of("c", *SHOP_TO_ANNA, Part(0xFF, 2, 1, wide=True), 1.0) == 0x400, "past 0x3FF"
    assert known.of("d", *SHOP_TO_ANNA, Part(200, PARTS_MAX // 2, 1), 1.0) == 0x3C8
    assert known.of("d", *SHOP_TO_ANNA, Part(200, PARTS_MAX // 2 + 1, 1), 1.0) == 200, "it has too many parts"
    assert known.apart(50.0) == 0
    assert known.of("b", *SHOP_TO_ANNA, Part(255, 2, 2), 60.0) == 0x3FF, "a text ends as it began"
    assert known.of("e", *SHOP_TO_ANNA, Part(255, 2, 1), 50.0) == 255


def test_when_all_are_taken_while_it_is_not_known_what_else_is_the_octet_stays() -> None:
    known = PartReferences()
    known.of("z", *SHOP_TO_ANNA, Part(9, 2, 1, wide=True), 0.0)
    known.set_apart(3, until=500.0)
    borne = [known.of(str(origin), *SHOP_TO_ANNA, Part(0, 2, 1), float(origin + 1)) for origin in range(256)]
    assert borne == list(range(0x300, 0x400))
    assert known.of("one more", *SHOP_TO_ANNA, Part(5, 2, 1), 300.0) == 0x300


def test_two_texts_of_one_sender_are_never_moved_to_one_reference() -> None:
    known = PartReferences()
    for reference in range(16):
        known.of("a", *SHOP_TO_ANNA, Part(reference, 4, 1), 0.0)
    moved = [known.of("b", *SHOP_TO_ANNA, Part(reference, 4, 1), 1.0) for reference in range(16)]
    assert sorted(moved) == list(range(16, 32))
    assert [known.of("b", *SHOP_TO_ANNA, Part(each, 4, 2), 1.0) for each in range(16)] == moved
    # Another total is another text, also of whoever chooses the reference again.
    assert known.of("b", *SHOP_TO_ANNA, Part(16, 3, 1), 1.0) == 32
    assert known.of("a", *SHOP_TO_ANNA, Part(3, 5, 1), 1.0) == 3


def test_what_is_a_day_old_is_free_again_and_only_so_many_are_known() -> None:
    known = PartReferences(messages_max=3, age_seconds_max=100.0)
    assert known.of("a", *SHOP_TO_ANNA, Part(7, 2, 1), 0.0) == 7
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 2, 1), 100.0) == 8
    assert known.of("c", *SHOP_TO_ANNA, Part(7, 2, 1), 100.5) == 7
    # A part of a text that was given up begins anew, where somebody else is by now.
    assert known.of("a", *SHOP_TO_ANNA, Part(7, 2, 2), 101.0) == 9
    for number in range(10):
        known.of("d", "Shop", f"479000001{number}", Part(1, 2, 1), 102.0)
    assert known.of("e", *SHOP_TO_ANNA, Part(7, 2, 1), 102.0) == 7, "all others are forgotten"


def test_a_text_keeps_what_its_first_part_bore_and_a_part_that_comes_again_begins_the_next() -> None:
    known = PartReferences(age_seconds_max=100.0)
    assert known.of("a", *SHOP_TO_ANNA, Part(7, 2, 1), 0.0) == 7
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 4, 1), 50.0) == 8
    # By now that of a is free again.
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 4, 2), 150.0) == 8
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 4, 3), 160.0) == 8
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 4, 3), 161.0) == 7


def test_a_text_that_goes_on_holds_its_reference_against_what_comes_later() -> None:
    known = PartReferences(age_seconds_max=100.0)
    assert known.of("a", *SHOP_TO_ANNA, Part(7, 2, 1), 0.0) == 7
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 2, 1), 0.0) == 8
    assert known.of("b", *SHOP_TO_ANNA, Part(8, 2, 1), 0.0) == 9
    assert known.of("b", *SHOP_TO_ANNA, Part(7, 2, 2), 60.0) == 8
    assert known.of("c", *SHOP_TO_ANNA, Part(8, 2, 1), 120.0) == 9


def test_as_many_texts_are_known_as_may_be() -> None:
    known = PartReferences(messages_max=2)
    assert [known.of(origin, *SHOP_TO_ANNA, Part(7, 2, 1), 0.0) for origin in "abcd"] == [7, 8, 9, 7]


def test_when_all_are_taken_the_text_that_was_silent_longest_gives_its_own() -> None:
    known = PartReferences()
    for origin in range(256):
        known.of(str(origin), *SHOP_TO_ANNA, Part(0, 2, 1), float(origin))
    known.of("0", *SHOP_TO_ANNA, Part(0, 2, 2), 300.0)
    assert known.of("one more", *SHOP_TO_ANNA, Part(5, 2, 1), 300.0) == 1
    assert not known.takes(*SHOP_TO_ANNA, 5, 300.0)
    assert next(each for each in range(6, 262) if known.takes(*SHOP_TO_ANNA, each % 256, 300.0)) == 258


def test_of_ours_each_is_taken_once_and_others_go_past_it() -> None:
    known = PartReferences()
    assert known.takes(*SHOP_TO_ANNA, 7, 0.0)
    assert known.takes(*SHOP_TO_ANNA, 7, 0.0), "after 256 others it is the same again"
    assert known.of("a", *SHOP_TO_ANNA, Part(7, 2, 1), 0.0) == 8
    assert not known.takes(*SHOP_TO_ANNA, 8, 0.0)
    assert known.takes(*SHOP_TO_ANNA, 8, 90_000.0)


PART = st.builds(Part, st.integers(0, 3), st.integers(2, 3), st.integers(1, 2), wide=st.booleans())
HANDED_IN = st.tuples(st.sampled_from("abc"), st.sampled_from(["47", "48"]), PART, st.booleans(), st.booleans())


@given(st.lists(HANDED_IN, max_size=40), st.integers(0, 2))
def test_a_new_process_goes_on_as_the_last_one_would_have(
    steps: list[tuple[str, str, Part, bool, bool]], octet: int
) -> None:
    """At any moment, from what was told to be kept, of each reference the last."""
    lasting, known = PartReferences(), PartReferences()
    for each in (lasting, known):
        each.set_apart(octet, until=20.0)
    kept: dict[tuple[str, str, bool, int], PartReference] = {}
    for moment, (origin, recipient, part, is_ours, begins_anew) in enumerate(steps):
        now = float(moment)
        if is_ours:
            ours = known.apart(now) + part.reference
            taken = [each.takes("Shop", recipient, ours, now) for each in (lasting, known)]
            assert taken[0] == taken[1]
        else:
            assert lasting.of(origin, "Shop", recipient, part, now) == known.of(origin, "Shop", recipient, part, now)
        kept.update({(each.sender, each.recipient, each.wide, each.reference): each for each in known.changed()})
        assert known.changed() == []
        if begins_anew:
            known = PartReferences()
            known.set_apart(octet, until=20.0)
            known.recover(sorted(kept.values(), key=lambda each: each.at))
            assert known.changed() == []


def test_a_wide_text_that_was_moved_goes_on_as_it_began_in_a_new_process() -> None:
    known, later = PartReferences(), PartReferences()
    for origin, moved in (("a", 7), ("b", 8)):
        assert known.of(origin, *SHOP_TO_ANNA, Part(7, 3, 1, wide=True), 1.0) == moved
    known.of("c", *SHOP_TO_ANNA, Part(7, 3, 1, wide=True), 1.0)
    later.recover(known.changed())
    assert later.of("b", *SHOP_TO_ANNA, Part(7, 3, 2, wide=True), 2.0) == 8
    assert later.of("a", *SHOP_TO_ANNA, Part(7, 3, 2, wide=True), 2.0) == 7


def test_what_is_kept_says_whose_a_reference_is_and_what_has_come() -> None:
    known = PartReferences()
    known.of("a", *SHOP_TO_ANNA, Part(7, 3, 1), 1.0)
    known.of("b", *SHOP_TO_ANNA, Part(7, 3, 2), 2.0)
    known.of("a", *SHOP_TO_ANNA, Part(7, 3, 3), 3.0)
    known.takes(*SHOP_TO_ANNA, 9, 4.0)
    assert known.changed() == [
        PartReference(*SHOP_TO_ANNA, wide=False, reference=7, origin="a", chosen=7, total=3, numbers=b"\1\3", at=3.0),
        PartReference(*SHOP_TO_ANNA, wide=False, reference=8, origin="b", chosen=7, total=3, numbers=b"\2", at=2.0),
        PartReference(*SHOP_TO_ANNA, wide=False, reference=9, origin="", chosen=9, total=0, numbers=b"\0", at=4.0),
    ]


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=20), st.booleans(), st.booleans())
def test_another_reference_changes_nothing_else(old: int, new: int, text: bytes, wide: bool, in_payload: bool) -> None:
    head = struct.pack(">BBBHBB", 6, 8, 4, old, 3, 2) if wide else bytes((5, 0, 3, old, 3, 2))
    octets = head + text
    message = ShortMessage("a", "1", b"" if in_payload else octets, esm_class=ESM_CLASS_HEADER)
    if in_payload:
        message = structs.replace(message, tlvs=((Tag.MESSAGE_PAYLOAD, octets), (0x1400, b"x")))
    changed = with_reference(message, new)
    part, rest = read_part(changed)
    assert (part, rest) == (Part(new, 3, 2, wide=wide), text)
    assert with_reference(changed, old) == message


def test_the_other_elements_of_a_header_and_parameters_stay_as_they_are() -> None:
    octets = bytes((9, 0x24, 2, 1, 1, 0, 3, 7, 2, 1)) + b"text"
    message = ShortMessage("a", "1", octets, esm_class=ESM_CLASS_HEADER)
    assert with_reference(message, 9).octets == bytes((9, 0x24, 2, 1, 1, 0, 3, 9, 2, 1)) + b"text"
    # Others as long as those that say which part it is, and one that says so at another length.
    others = bytes((5, 3, 1, 2, 3, 0x24, 4, 1, 2, 3, 4, 0, 4, 7, 2, 1, 1, 8, 3, 7, 2, 1))
    for old, new in (
        (bytes((0, 3, 7, 2, 1)), bytes((0, 3, 9, 2, 1))),
        (bytes((8, 4, 0, 7, 2, 1)), b"\x08\4\0\x09\2\1"),
    ):
        message = ShortMessage("a", "1", bytes((len(others + old),)) + others + old, esm_class=ESM_CLASS_HEADER)
        assert with_reference(message, 9).octets == bytes((len(others + new),)) + others + new
    sar = ((Tag.SAR_REFERENCE, b"\0\7"), (Tag.SAR_TOTAL, b"\2"), (Tag.SAR_SEQUENCE, b"\1"))
    changed = with_reference(ShortMessage("a", "1", b"text", tlvs=sar), 0x0102)
    assert changed == ShortMessage("a", "1", b"text", tlvs=((Tag.SAR_REFERENCE, b"\1\2"), *sar[1:]))
