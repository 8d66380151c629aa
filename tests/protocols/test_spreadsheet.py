"""No cell that somebody opens in a spreadsheet is a formula, and what was meant comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.spreadsheet import cell, strip_mark


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"), ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"), ("\r=1", "'\r=1"), ("+", "'+"), ("+4791234567", "+4791234567"), ("Kari", "Kari"), ("", ""),
        ("'Kari", "'Kari"), ("a=b", "a=b"),
    ],
)  # fmt: skip
def test_a_formula_is_marked_as_text_and_a_number_is_none(text: str, written: str) -> None:
    assert cell(text) == written
    assert strip_mark(written) == text


def test_what_is_no_text_stays_as_it_is() -> None:
    assert [cell(value) for value in (-1, 2.5, None)] == [-1, 2.5, None]


@given(st.text(alphabet="=+-@'\t\rab1", max_size=6))
def test_no_cell_begins_a_formula(text: str) -> None:
    written = cell(text)
    assert isinstance(written, str) and not written.startswith(("=", "-", "@", "\t", "\r"))
    assert not written.startswith("+") or written.lstrip("+").isdigit()
    assert strip_mark(written) in (text, text[1:])
