"""The letters of short messages one by one, against tables that nobody here has generated from the code."""

import pytest
import smpplib.gsm
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.text import DataCoding, alphabet, decode_parts, decode_text, encode_gsm, encode_text

# 3GPP TS 23.038, 6.2.1, as Unicode code points, written down from the standard: septets 0x00 to 0x7F, eight a line.
# Septet 0x1B is the escape to the extension table; 0 here.
STANDARD = [
    0x0040, 0x00A3, 0x0024, 0x00A5, 0x00E8, 0x00E9, 0x00F9, 0x00EC,  # commercial at, pound, dollar, yen, e e u i
    0x00F2, 0x00C7, 0x000A, 0x00D8, 0x00F8, 0x000D, 0x00C5, 0x00E5,  # o, C cedilla, LF, O o stroke, CR, A a ring
    0x0394, 0x005F, 0x03A6, 0x0393, 0x039B, 0x03A9, 0x03A0, 0x03A8,  # Delta, low line, Phi Gamma Lambda Omega Pi Psi
    0x03A3, 0x0398, 0x039E, 0x0000, 0x00C6, 0x00E6, 0x00DF, 0x00C9,  # Sigma Theta Xi, escape, AE ae, sharp s, E acute
    0x0020, 0x0021, 0x0022, 0x0023, 0x00A4, 0x0025, 0x0026, 0x0027,  # space ! " # currency % & '
    0x0028, 0x0029, 0x002A, 0x002B, 0x002C, 0x002D, 0x002E, 0x002F,  # ( ) * + , - . /
    0x0030, 0x0031, 0x0032, 0x0033, 0x0034, 0x0035, 0x0036, 0x0037,  # 0 to 7
    0x0038, 0x0039, 0x003A, 0x003B, 0x003C, 0x003D, 0x003E, 0x003F,  # 8 9 : ; < = > ?
    0x00A1, 0x0041, 0x0042, 0x0043, 0x0044, 0x0045, 0x0046, 0x0047,  # inverted exclamation mark, A to G
    0x0048, 0x0049, 0x004A, 0x004B, 0x004C, 0x004D, 0x004E, 0x004F,  # H to O
    0x0050, 0x0051, 0x0052, 0x0053, 0x0054, 0x0055, 0x0056, 0x0057,  # P to W
    0x0058, 0x0059, 0x005A, 0x00C4, 0x00D6, 0x00D1, 0x00DC, 0x00A7,  # X Y Z, A O umlaut, N tilde, U umlaut, section
    0x00BF, 0x0061, 0x0062, 0x0063, 0x0064, 0x0065, 0x0066, 0x0067,  # inverted question mark, a to g
    0x0068, 0x0069, 0x006A, 0x006B, 0x006C, 0x006D, 0x006E, 0x006F,  # h to o
    0x0070, 0x0071, 0x0072, 0x0073, 0x0074, 0x0075, 0x0076, 0x0077,  # p to w
    0x0078, 0x0079, 0x007A, 0x00E4, 0x00F6, 0x00F1, 0x00FC, 0x00E0,  # x y z, a o umlaut, n tilde, u umlaut, a grave
]  # fmt: skip
# 6.2.1.1: form feed, circumflex, braces, backslash, [ ~ ] |, euro.
STANDARD_EXTENSION = {
    0x0A: 0x000C, 0x14: 0x005E, 0x28: 0x007B, 0x29: 0x007D, 0x2F: 0x005C,
    0x3C: 0x005B, 0x3D: 0x007E, 0x3E: 0x005D, 0x40: 0x007C, 0x65: 0x20AC,
}  # fmt: skip
ESCAPE = 0x1B
BASIC_LETTERS = {septet: chr(point) for septet, point in enumerate(STANDARD) if septet != ESCAPE}
EXTENSION_LETTERS = {septet: chr(point) for septet, point in STANDARD_EXTENSION.items()}
OCTETS = {
    **{letter: bytes((septet,)) for septet, letter in BASIC_LETTERS.items()},
    **{letter: bytes((ESCAPE, septet)) for septet, letter in EXTENSION_LETTERS.items()},
}


def test_the_standard_has_137_letters() -> None:
    assert len(STANDARD) == 128
    assert len(OCTETS) == 127 + 10


def test_each_letter_is_written_as_the_standard_says_and_read_back() -> None:
    assert {letter: encode_gsm(letter) for letter in OCTETS} == OCTETS
    assert {letter: encode_text(letter) for letter in OCTETS} == {
        letter: (DataCoding.GSM, octets) for letter, octets in OCTETS.items()
    }
    assert {decode_text(0, octets): octets for octets in OCTETS.values()} == OCTETS


def test_a_letter_beside_one_of_the_extension_is_written_as_alone() -> None:
    """The quick way through the basic table is left as soon as one letter is not in it."""
    assert {letter: encode_gsm("€" + letter) for letter in OCTETS} == {
        letter: b"\x1b\x65" + octets for letter, octets in OCTETS.items()
    }


def test_no_other_letter_is_taken_for_one_of_the_alphabet() -> None:
    surrogates = range(0xD800, 0xE000)
    taken = set()
    for point in (*(at for at in range(0x3000) if at not in surrogates), *range(0xF900, 0x10000), 0x1F600, 0x10FFFF):
        try:
            encode_gsm(chr(point))
        except UnicodeEncodeError:
            continue
        taken.add(chr(point))
    assert taken == set(OCTETS)


def test_each_pair_of_escape_and_septet_reads_as_the_standard_says() -> None:
    """6.2.1.1: an unknown pair shows the letter of the basic table; another escape, or nothing, shows a space."""
    shown = {septet: decode_text(0, bytes((0x61, ESCAPE, septet, 0x62))) for septet in range(128)}
    assert shown == {
        septet: "a" + (EXTENSION_LETTERS.get(septet) or BASIC_LETTERS.get(septet, " ")) + "b" for septet in range(128)
    }
    assert decode_text(0, bytes((0x61, ESCAPE))) == "a "


def test_what_has_more_than_seven_bits_is_no_letter_of_the_alphabet() -> None:
    for octet in range(128, 256):
        with pytest.raises(RemoteProtocolError):
            decode_text(0, bytes((0x61, octet)))
        with pytest.raises(RemoteProtocolError):
            decode_text(0, bytes((ESCAPE, octet)))


# smpplib knows neither the section sign, where it has a grave accent, nor the form feed.
KNOWN_TO_SMPPLIB = sorted(set(OCTETS) - {"§", "\f"})


def test_a_foreign_table_agrees_letter_by_letter() -> None:
    assert {letter: smpplib.gsm.gsm_encode(letter) for letter in KNOWN_TO_SMPPLIB} == {
        letter: encode_gsm(letter) for letter in KNOWN_TO_SMPPLIB
    }


@given(st.text(alphabet=KNOWN_TO_SMPPLIB))
def test_a_foreign_codec_writes_the_same_octets(text: str) -> None:
    assert encode_text(text) == (DataCoding.GSM, smpplib.gsm.gsm_encode(text))


@given(st.text(alphabet=sorted(OCTETS)))
def test_letters_of_the_alphabet_take_no_ucs_2(text: str) -> None:
    octets = b"".join(OCTETS[letter] for letter in text)
    assert encode_text(text) == (DataCoding.GSM, octets)
    assert decode_text(0, octets) == text


def test_ascii_and_latin_1_are_the_first_code_points() -> None:
    for octet in range(256):
        assert decode_text(3, bytes((octet,))) == chr(octet)
        if octet < 128:
            assert decode_text(1, bytes((octet,))) == chr(octet)
        else:
            with pytest.raises(RemoteProtocolError):
                decode_text(1, bytes((octet,)))


def test_ucs_2_is_big_endian_and_needs_whole_pairs() -> None:
    assert decode_text(8, b"\x04\x36\x00a") == "жa"
    assert decode_text(8, b"\xd8\x3d\xde\x00") == "😀"
    assert encode_text("ж😀") == (8, b"\x04\x36\xd8\x3d\xde\x00")
    for cut in (b"\x04", b"\xd8\x3d", b"\xde\x00\x00a", b"\xd8\x3d\x00a"):
        with pytest.raises(RemoteProtocolError):
            decode_text(8, cut)


@pytest.mark.parametrize(
    "coding", [2, 4, 5, 6, 7, 9, 10, 14, 15, 0x14, 0x17, 0x1C, 0x20, 0x3F, 0x44, 0x60, 0x80, 0xBF, 0xF4, 0xF8, 255]
)
def test_other_codings_are_not_guessed_at(coding: int) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_text(coding, b"a")


# 3GPP TS 23.038, 4: what class a message has and what is to be done with it changes nothing of its letters.
GSM_CODINGS = [0, *range(0x10, 0x14), *range(0x40, 0x44), *range(0x50, 0x54), *range(0xC0, 0xE0), *range(0xF0, 0xF4)]
UCS_2_CODINGS = [8, *range(0x18, 0x1C), *range(0x48, 0x4C), *range(0x58, 0x5C), *range(0xE0, 0xF0)]


def test_a_class_changes_nothing_of_the_letters() -> None:
    for coding in range(256):
        wanted = DataCoding.GSM if coding in GSM_CODINGS else DataCoding.UCS_2 if coding in UCS_2_CODINGS else None
        if coding in (1, 3):
            wanted = DataCoding(coding)
        assert alphabet(coding) is wanted, hex(coding)
    for coding in GSM_CODINGS:
        assert decode_text(coding, b"\0\x1b\x65") == "@€"
    for coding in UCS_2_CODINGS:
        assert decode_text(coding, b"\x04\x36") == "ж"


def test_neighbours_of_different_codings_are_each_read_by_their_own() -> None:
    assert decode_parts([(0, b"\0"), (3, b"@"), (8, b"\0@"), (0, b"\x1b"), (0, b"\x65\0")]) == "@@@€@"
