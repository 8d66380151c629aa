import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.text import DataCoding, decode_parts, decode_text, encode_text


@given(st.text())
def test_every_text_comes_back_letter_for_letter(text: str) -> None:
    assert decode_text(*encode_text(text)) == text


@pytest.mark.parametrize("text", ["`", "ç", "\x1b", "\t", "😀", "e\u0301", "￾"])
def test_other_letters_go_as_ucs2(text: str) -> None:
    assert encode_text(text) == (DataCoding.UCS_2, text.encode("utf-16-be"))


@given(st.integers(0, 255), st.binary())
def test_any_octets_are_text_or_a_remote_error(coding: int, octets: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode_text(coding, octets).encode("utf-8")


def test_a_pair_cut_by_another_sender_is_read_whole() -> None:
    smile = "a😀b".encode("utf-16-be")
    assert decode_parts([(8, smile[:4]), (8, smile[4:])]) == "a😀b"
    assert decode_parts([(0, b"\x1b"), (0, b"e"), (8, "ж".encode("utf-16-be"))]) == "€ж"
