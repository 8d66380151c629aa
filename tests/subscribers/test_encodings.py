"""In which encoding a file of customers is: UTF-8, and what spreadsheets write by themselves."""

import contextlib
import io
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import UsageError
from prikkfri.subscribers.customer_file import COLUMNS, Entry, Record, RefusedRecord, entry, header_of, records
from prikkfri.subscribers.encodings import encoding_of

LINE = ";".join(COLUMNS) + "\r\n"
ROW = "S1;{};;television;sport;;31.05.2024\r\n"
NAMES = ["Bjørn", "Ærlig", "Åse", "Øye", "Ström", "Håkansson"]


def pieces(document: bytes, size: int) -> list[bytes]:
    return [document[start : start + size] for start in range(0, len(document), size)]


def read(document: bytes, size: int = 1_000) -> list[Entry | RefusedRecord]:
    encoding = encoding_of(pieces(document, size))
    with io.TextIOWrapper(io.BytesIO(document), encoding=encoding.name, errors=encoding.errors, newline="") as lines:
        header = header_of(lines, "FILE.csv")
        found = list(records(lines, header))
    zone = ZoneInfo("Europe/Oslo")
    return [entry(f, header, region="NO", timezone=zone) if isinstance(f, Record) else f for f in found]


def names(document: bytes, size: int = 1_000) -> list[str]:
    return [made.subscriber.name for made in read(document, size) if isinstance(made, Entry)]


@pytest.mark.parametrize("size", [1, 2, 3, 64, 65, 10_000])
@pytest.mark.parametrize("sep", ["", "sep=;\r\n"])
@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
def test_what_spreadsheets_write_is_read(written: str, found: str, sep: str, size: int) -> None:
    document = (sep + LINE + "".join(map(ROW.format, NAMES))).encode(written)
    if size >= 3:  # a mark and the beginning are looked for in the first piece
        assert encoding_of(pieces(document, size)).name == found
        assert names(document, size) == NAMES


def test_utf_16_with_its_mark_is_read_in_either_order() -> None:
    text = "\ufeff" + LINE + ROW.format("Bjørn")
    assert names(text.encode("utf-16-le")) == names(text.encode("utf-16-be")) == ["Bjørn"]


@pytest.mark.parametrize(
    ("pieces", "name"),
    [
        ([], "utf-8"),
        ([b""], "utf-8"),
        ([b"abc"], "utf-8"),
        ([b"a\0b\0"], "utf-16-le"),
        ([b"\0a\0b"], "utf-16-be"),
        ([b"a"], "utf-8"),
        ([b"a\0\0b"], "utf-8"),
        ([b"a\0\0\0"], "utf-8"),
        ([b"\0"], "utf-8"),
        ([b"a\0b\0" * 16 + b"\x01\x02"], "utf-16-le"),
        ([b"a\0b\0" * 15 + b"a\0bc"], "utf-8"),
        ([b"a\xc3", b"\xb8b"], "utf-8"),
        ([b"a\xf8", b"\xb8b"], "cp1252"),
        ([b"a\xf0\x9f", b"\x99\x82"], "utf-8"),
        ([b"a", b"\xc3"], "cp1252"),
        ([b"\xf8", b"\xc3\xb8"], "utf-8"),
        ([b"\xc3\xb8", b"\xf8"], "utf-8"),
        ([b"a\x80"], "cp1252"),
        ([b"\xef\xbb", b"\xbfa"], "utf-8"),
    ],
)
def test_the_encoding_follows_from_the_bytes(pieces: list[bytes], name: str) -> None:
    assert encoding_of(pieces).name == name


def test_no_more_is_taken_of_a_file_than_it_needs() -> None:
    for first in (b"\xef\xbb\xbfa", b"\xff\xfea\0", b"a\0b\0", "ø".encode()):
        taken = iter([first, b"never"])
        encoding_of(taken)
        assert next(taken) == b"never"


def test_bytes_that_are_no_character_cost_their_own_row_and_no_other() -> None:
    good, bad = ROW.format("Bjørn").encode(), ROW.format("Bj?rn").encode()
    for document in (
        LINE.encode() + good + bad.replace(b"?", b"\xf8") + good,
        LINE.encode() + (good + bad.replace(b"?", b"\x81") + good).replace("ø".encode(), b"\xf8"),
        (LINE + ROW.format("Bjørn")).encode("utf-16-le")
        + ROW.format("Bj?rn").encode("utf-16-le").replace(b"?\0", b"\0\xd8")
        + ROW.format("Bjørn").encode("utf-16-le"),
    ):
        one, two, three = read(document)
        assert isinstance(one, Entry) and isinstance(three, Entry) and one.subscriber.name == "Bjørn"
        assert isinstance(two, RefusedRecord)
        assert two.reason == "name has letters that cannot be read; save the file as CSV UTF-8"


PIECES = st.sampled_from(
    [LINE, ROW, "sep=;\n", '"', ";", "\r", "\n", "S1", "ø", "\ufeff", "\0", "31.05.2024", "\ufffd"]
)
DOCUMENTS = st.binary(max_size=300) | st.builds(
    lambda mark, parts, encoding, cut: (mark + "".join(parts).encode(encoding, errors="replace"))[: -cut or None],
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04"]),
    st.lists(PIECES, max_size=15).map(lambda parts: [LINE, *parts]) | st.lists(PIECES, max_size=6),
    st.sampled_from(["utf-8", "cp1252", "utf-16-le", "utf-16-be", "utf-16"]),
    st.integers(0, 3),
)


@given(DOCUMENTS, st.integers(1, 300))
def test_any_bytes_are_read_or_refused(document: bytes, size: int) -> None:
    with contextlib.suppress(UsageError):
        read(document, size)
