import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.text import DataCoding, decode_parts, decode_text, encode_gsm, encode_text

BASIC = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ÄÖÑÜ§¿äöñüà"
EXTENSION = "\f^{}\\[~]|€"


@given(st.text())
def test_every_text_comes_back_letter_for_letter(text: str) -> None:
    assert decode_text(*encode_text(text)) == text


@given(st.text(alphabet=BASIC + EXTENSION))
def test_letters_of_the_gsm_tables_take_no_ucs2(text: str) -> None:
    coding, octets = encode_text(text)
    assert coding == DataCoding.GSM
    assert len(octets) == len(text) + sum(letter in EXTENSION for letter in text)
    assert max(octets, default=0) < 0x80


@pytest.mark.parametrize(
    ("letter", "octets"),
    [("@", b"\0"), ("€", b"\x1be"), ("[", b"\x1b<"), ("Å", b"\x0e"), ("§", b"\x5f"), ("à", b"\x7f")],
)
def test_gsm_octets_are_those_of_the_table(letter: str, octets: bytes) -> None:
    assert encode_gsm(letter) == octets


@pytest.mark.parametrize("text", ["`", "ç", "\x1b", "\t", "😀", "e\u0301", "￾"])
def test_other_letters_go_as_ucs2(text: str) -> None:
    assert encode_text(text) == (DataCoding.UCS_2, text.encode("utf-16-be"))


def test_unknown_extension_letters_show_the_basic_letter() -> None:
    assert decode_text(0, b"a\x1bAb") == "aAb"
    assert decode_text(0, b"a\x1b") == "a "
    assert decode_text(0, b"a\x1b\x1bb") == "a b"


@given(st.integers(0, 255), st.binary())
def test_any_octets_are_text_or_a_remote_error(coding: int, octets: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode_text(coding, octets).encode("utf-8")


def test_latin_1_and_ascii_are_read() -> None:
    assert decode_text(3, "blåbærsyltetøy".encode("latin-1")) == "blåbærsyltetøy"
    assert decode_text(1, b"plain`") == "plain`"


def test_a_pair_cut_by_another_sender_is_read_whole() -> None:
    smile = "a😀b".encode("utf-16-be")
    assert decode_parts([(8, smile[:4]), (8, smile[4:])]) == "a😀b"
    assert decode_parts([(0, b"\x1b"), (0, b"e"), (8, "ж".encode("utf-16-be"))]) == "€ж"
