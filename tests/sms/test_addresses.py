"""Who a message is from and to: one form for each, on the wire, in the seal and in the routes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.sms.addresses import is_number, masked, read_recipient, read_sender

NUMBER, SHORT_CODE, LETTERS = (1, 1), (3, 0), (5, 0)
"""Type of number and numbering plan (SMPP 3.4, 5.2.5 and 5.2.6)."""


@pytest.mark.parametrize(
    ("written", "text", "kind"),
    [
        ("+4790000001", "4790000001", NUMBER),
        ("004790000001", "4790000001", NUMBER),
        ("4790000001", "4790000001", NUMBER),
        ("1234567", "1234567", NUMBER),
        ("+123456789012345", "123456789012345", NUMBER),
        ("00" + "9" * 15, "9" * 15, NUMBER),
        ("2010", "2010", SHORT_CODE),
        ("110", "110", SHORT_CODE),
        ("001", "001", SHORT_CODE),
        ("123456", "123456", SHORT_CODE),
        ("004712", "004712", SHORT_CODE),
    ],
)
def test_a_recipient_has_one_form(written: str, text: str, kind: tuple[int, int]) -> None:
    assert read_recipient(written) == read_sender(written) == (text, *kind)


@pytest.mark.parametrize(
    "written",
    ["", "Shop", "+0790000001", "12", "+12", "0123456", "04790000001", "0004790000001",
     "+123456", "00123456", "+" + "1" * 16, "1" * 16, "4790000001x",
     "x4790000001", "++4790000001", "+004790000001", "٤٧٩٠٠٠٠٠٠١", "47 900 00 001", "4790000001\n", "2010\n", "+2010"],
)  # fmt: skip
def test_what_is_no_number_is_no_recipient(written: str) -> None:
    assert read_recipient(written) is None


@given(st.integers(1_000_000, 10**15 - 1).map(str), st.sampled_from(["", "+", "00"]))
def test_every_way_to_write_a_number_is_the_same_number(digits: str, before: str) -> None:
    assert read_recipient(before + digits) == (digits, *NUMBER)
    assert is_number(digits)


@pytest.mark.parametrize("written", ["Shop", "a", "Shop 24", "24-7 Shop", "ElevenChars", " a ", "~a!", "9A"])
def test_a_sender_may_be_eleven_letters(written: str) -> None:
    assert read_sender(written) == (written, *LETTERS)
    assert read_recipient(written) is None


@pytest.mark.parametrize(
    "written", ["", " ", "twelveletter", "Størk", "12", "24-7", "a\nb", "a\x7f", "a\x1f", "\0a", "4790000001234567"]
)
def test_a_sender_may_not_be_anything(written: str) -> None:
    assert read_sender(written) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4790000001", "+47 ••••• 001"),
        ("46701234567", "+46 •••••• 567"),
        ("1234567", "+1 ••••••"),
        ("123456", "123456"),
        ("2010", "2010"),
        ("Shop", "Shop"),
        ("Shop 24x7xx", "Shop 24x7xx"),
    ],
)
def test_numbers_are_masked_and_names_are_not(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert is_number(text) is (shown != text)
