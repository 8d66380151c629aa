"""The file that customers come in, as programs, spreadsheets and people write it."""

import csv
import io
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import UsageError
from prikkfri.protocols import cat
from prikkfri.subscribers.customer_file import (
    COLUMNS,
    LINE_CHARACTERS_MAX,
    RECORD_LINES_MAX,
    Entry,
    Record,
    RefusedRecord,
    entry,
    header,
    header_of,
)
from prikkfri.subscribers.customer_file import records as records_of
from prikkfri.subscribers.subscriptions import STILL, Subscriber, Subscription

OSLO = ZoneInfo("Europe/Oslo")
HEADER = header(",".join(COLUMNS), "FILE.csv")
NO_DATE = "is not a date (2024-05-31 or 31.05.2024)"
UNREAD = "name has letters that cannot be read; save the file as CSV UTF-8"
UNCLOSED = "a quote is opened and not closed, or closed within a field"
GOOD = "S1,Kari Nordmann,kari@example.no,mobile,Frihet,912 34 567,2021-05-01,"


def read(*lines: str) -> list[Entry | RefusedRecord]:
    found = records_of((line if line.endswith("\n") else line + "\n" for line in lines), HEADER)
    return [f if isinstance(f, RefusedRecord) else entry(f, HEADER, region="NO", timezone=OSLO) for f in found]


def reasons(*lines: str) -> list[tuple[int, str]]:
    return [(refused.record.line, refused.reason) for refused in read(*lines) if isinstance(refused, RefusedRecord)]


def test_a_row_is_a_person_and_a_subscription() -> None:
    (made,) = read(GOOD)
    assert isinstance(made, Entry)
    assert made.subscriber == Subscriber("S1", "Kari Nordmann", "kari@example.no")
    assert made.subscription == Subscription("S1", "mobile", "Frihet", "+4791234567", 1619820000.0, STILL)


def test_dates_begin_at_midnight_where_the_operator_is_and_moments_are_moments() -> None:
    (made,) = read("S1,A,,television,sport,,2021-12-01,2021-12-01T12:00:00Z")
    assert isinstance(made, Entry)
    assert (made.subscription.starts, made.subscription.ends) == (1638313200.0, 1638360000.0)


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("31.05.2024", "2024-05-31"),
        ("1.5.2024", "2024-05-01"),
        ("01.12.2024 00:00", "2024-12-01"),
        ("1.12.2024 9:05", "2024-12-01T09:05"),
        ("01.12.2024 23:59:58", "2024-12-01T23:59:58"),
        ("01.12.2024T23:59", "2024-12-01T23:59"),
    ],
)
def test_a_date_may_be_written_as_spreadsheets_do(written: str, iso: str) -> None:
    (made,) = read(f"S1,A,,television,sport,,{written},")
    assert isinstance(made, Entry)
    assert made.subscription.starts == datetime.fromisoformat(iso).replace(tzinfo=OSLO).timestamp()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("S1,A,,mobile,P,91234567", "has 6 fields where the first line has 8"),
        (GOOD + ",", "has 9 fields where the first line has 8"),
        (",A,,mobile,P,91234567,2021-05-01,", "subscriber_id is empty"),
        ("S1, ,,mobile,P,91234567,2021-05-01,", "name is empty"),
        ("S1,A,,mobile,,91234567,2021-05-01,", "product is empty"),
        ("S1,A,,telephone,P,91234567,2021-05-01,", "kind must be mobile, broadband or television"),
        ("S1,A,a@b@c,mobile,P,91234567,2021-05-01,", "email is not an address"),
        ("S1,A,kari@,mobile,P,91234567,2021-05-01,", "email is not an address"),
        ("S1,A,@x.no,mobile,P,91234567,2021-05-01,", "email is not an address"),
        ("S1,A,k n@x.no,mobile,P,91234567,2021-05-01,", "email is not an address"),
        ("S1,A,,mobile,P,,2021-05-01,", "msisdn is empty"),
        ("S1,A,,broadband,P,91234567,2021-05-01,", "a broadband subscription has no msisdn"),
        ("S1,A,,mobile,P,9123,2021-05-01,", "msisdn is not a telephone number"),
        ("S1,A,,mobile,P,91234567,,", "from is empty"),
        ("S1,A,,mobile,P,91234567,31.04.2021,", f"from {NO_DATE}"),
        ("S1,A,,mobile,P,91234567,01/05/2021,", f"from {NO_DATE}"),
        ("S1,A,,mobile,P,91234567,01.05.21,", f"from {NO_DATE}"),
        ("S1,A,,mobile,P,91234567,44317,", f"from {NO_DATE}"),
        ("S1,A,,mobile,P,91234567,001.05.2021,", f"from {NO_DATE}"),
        ("S1,A,,mobile,P,91234567,1.5.2021 24:00,", f"from {NO_DATE}"),
        ("S1,A,,mobile,P,91234567,1.5.2021T12:00Z,", f"from {NO_DATE}"),
        ("S1,A,,mobile,P,91234567,2021-05-01,soon", f"to {NO_DATE}"),
        ("S1,A,,mobile,P,91234567,2021-05-01,2021-05-01", "to is not after from"),
        ("S1,A\x00,,mobile,P,91234567,2021-05-01,", "name has control characters"),
        ("S1,A\u200b,,mobile,P,91234567,2021-05-01,", "name has control characters"),
        ("S1,Bj\udcf8rn,,mobile,P,91234567,2021-05-01,", UNREAD),
        ("S1,\udc80,,mobile,P,91234567,2021-05-01,", UNREAD),
        ("S1,Bj\ufffdrn,,mobile,P,91234567,2021-05-01,", UNREAD),
        ("S1,\udcff,,mobile,P,91234567,2021-05-01,", UNREAD),
        (f"S1,{'A' * 255},,mobile,P,91234567,2021-05-01,", "name is longer than 254 characters"),
        (f"S1,{'A' * 254},,mobile,{'P' * 255},91234567,2021-05-01,", "product is longer than 254 characters"),
        ('S1,"A",mobile', "has 3 fields where the first line has 8"),
        ("X", "has 1 fields where the first line has 8"),
        (f"{'S' * 65},A,,mobile,P,91234567,2021-05-01,", "subscriber_id is longer than 64 characters"),
        (f"S1,A,,television,{'p' * 65},,2021-05-01,", "product of television is longer than 64 characters"),
        (f"S1,A,,{'x' * LINE_CHARACTERS_MAX}", f"longer than {LINE_CHARACTERS_MAX} characters"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_reason(line: str, reason: str) -> None:
    assert reasons(GOOD, line, GOOD) == [(3, reason)]


@pytest.mark.parametrize(
    "line",
    [
        f"{'S' * 64},{'A' * 254},,television,{'p' * 64},,2021-05-01,",
        f"S1,A,{'k' * 250}@x.y,broadband,{'p' * 254},,2021-05-01,",
        "S1,A,,mobile,P,91234567,2021-05-01,2021-05-02",
        "S1,A,,mobile,P,91234567,2021-05-01T00:00:00,2021-05-01T00:00:01",
        "S1,A\u00a0B,,mobile,P,91234567,2021-05-01," + " " * 3_000,
        GOOD.ljust(LINE_CHARACTERS_MAX - 1) + "\n",
    ],
)
def test_a_row_at_its_limits_is_taken(line: str) -> None:
    (made,) = read(line)
    assert isinstance(made, Entry)


def test_whoever_is_taken_in_can_be_given_a_playback_token() -> None:
    (made,) = read(f"{'S' * 64},A,,television,{'p' * 64},,2021-05-01,")
    assert isinstance(made, Entry)
    key, subscription = ec.generate_private_key(ec.SECP256R1()), made.subscription
    assert cat.issue(key, "kid", "signin", subscription.subscriber_id, [subscription.product], 1e9, 60.0, b"id")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_header_tells_delimiter_and_order(delimiter: str) -> None:
    names = ["remark", *reversed(COLUMNS)]
    found = header(delimiter.join(names) + "\r\n", "FILE.csv")
    assert found.delimiter == delimiter
    assert found.wanted([name.upper() for name in names]) == tuple(name.upper() for name in COLUMNS)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "lacks subscriber_id, name"),
        ('"subscriber_id"x,name', "lacks subscriber_id, name"),
        (
            "subscriber_id,name,email,kind,product,msisdn,from",
            "must name the columns subscriber_id,name,email,kind,product,msisdn,from,to, and lacks to (CSV in UTF-8)",
        ),
        (",".join(COLUMNS) + ",from,name", "names from, name more than once; keep one"),
    ],
)
def test_a_file_without_its_columns_is_refused_in_one_line(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^FILE.csv: ") as refused:
        header(line, "FILE.csv")
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_field_in_quotes_may_hold_delimiters_quotes_and_line_endings() -> None:
    made = read('S1,"Nordmann, ""Kari""\r\n', 'Anne",,television,sport,,2021-05-01,\n', GOOD)
    assert [m.record.line for m in made] == [2, 4]
    assert isinstance(made[0], Entry)
    assert made[0].subscriber.name == 'Nordmann, "Kari" Anne'


def test_what_a_line_ends_with_is_read_as_it_stands() -> None:
    assert list(records_of(iter(["S1,BOX\r\n"]), HEADER)) == [Record(2, ["S1", "BOX"])]


def test_a_field_in_quotes_spreads_over_so_many_lines_and_no_more_and_over_none_of_another_record() -> None:
    spread = ['S1,"A\n', *["B\n"] * (RECORD_LINES_MAX - 2), 'C",,television,sport,,2021-05-01,\n']
    assert [type(made) for made in read(*spread)] == [Entry]
    assert reasons(spread[0], "B", *spread[1:])[0] == (2, UNCLOSED)
    assert reasons('S1,"A\n', 'B",,television\n', GOOD)[0] == (2, UNCLOSED)  # in two lines, and not of eight fields


def test_a_quote_that_is_never_closed_takes_no_other_row_with_it() -> None:
    lines = [GOOD.replace("Kari", '"Kari', 1), *[GOOD] * 100]
    assert reasons(*lines) == [(2, UNCLOSED)]
    assert len(read(*lines)) == 101
    stray = GOOD.replace("S1,", 'S1,"')
    assert reasons(stray, GOOD, stray, GOOD) == [(line, UNCLOSED) for line in (2, 4)]
    assert reasons(GOOD.replace("Kari", '"Kari"', 1)) == [(2, UNCLOSED)]


def test_blank_lines_are_passed_over_and_counted() -> None:
    assert [made.record.line for made in read("\n", GOOD, ",,,,,,,\n", GOOD)] == [3, 5]


fields = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=8, max_size=8)


@given(st.lists(fields, max_size=6))
def test_whatever_a_csv_writer_writes_is_read_back(rows: list[list[str]]) -> None:
    rows = [row for row in rows if "".join(row).strip(" ,\t\r\n")]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    lines = io.StringIO(text.getvalue(), newline="")
    found = list(records_of(iter(lines), HEADER))
    assert [record.fields for record in found if isinstance(record, Record)] == rows


@given(st.lists(st.text('a",;\r\n\t0@\x00é', max_size=30), max_size=40))
def test_rubbish_is_refused_or_read_and_each_line_is_accounted_for_once(lines: list[str]) -> None:
    found = read(*lines)
    numbers = [made.record.line for made in found]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("row", ["S1,A,,television,sport,,2021-05-01", '"S1",A,"",television,sport,,"2021-05-01"'])
def test_a_last_field_that_is_empty_may_be_left_out_with_its_delimiter(row: str) -> None:
    (made,) = read(row + "\r\n")
    assert isinstance(made, Entry) and made.subscription.ends == STILL
    for ending in ("\r\n", "\n", "\r"):
        (found,) = records_of(iter([row + ending]), HEADER)
        assert isinstance(found, Record) and len(found.fields) == len(COLUMNS)
    # What a file ends in without a line ending may be half a row.
    (cut,) = records_of(iter([row]), HEADER)
    assert isinstance(cut, Record) and len(cut.fields) == len(COLUMNS) - 1


def test_only_what_may_be_empty_may_be_left_out() -> None:
    names = [*("to", "subscriber_id", "name", "kind", "product", "from"), *("msisdn", "remark", "email", "note")]
    laid_out = header(",".join(names), "FILE.csv")
    assert laid_out.fields_min == 6
    lines = [
        "2022-01-01,S1,A,broadband,fibre,2021-01-01\n",
        ",S1,A,broadband,fibre\n",
        '"",S1,"A\n',
        '",b,f,2021-01-01,\n',
    ]
    found = list(records_of(iter(lines), laid_out))
    assert [len(each.fields) for each in found if isinstance(each, Record)] == [10, 5, 10]
    made = [entry(each, laid_out, region="NO", timezone=OSLO) for each in found if isinstance(each, Record)]
    assert isinstance(made[0], Entry)
    assert isinstance(made[1], RefusedRecord) and made[1].reason == "has 5 fields where the first line has 10"


@pytest.mark.parametrize("line", ["sep=;\r\n", "SEP=;\n", '"sep=;"\n', "sep=;;;;\n", "sep=\t\n", "sep=\n"])
def test_a_line_that_tells_spreadsheets_what_divides_the_fields_is_passed_over(line: str) -> None:
    lines = iter([line, ";".join(COLUMNS) + "\n", "S1;A;;television;sport;;2021-05-01;\n", "S1;A\n"])
    laid_out = header_of(lines, "FILE.csv")
    assert laid_out.delimiter == ";"
    assert [each.line for each in records_of(lines, laid_out) if isinstance(each, Record)] == [3, 4]


def test_a_file_without_such_a_line_begins_with_its_columns() -> None:
    lines = iter([";".join(COLUMNS) + "\n", GOOD])
    laid_out = header_of(lines, "FILE.csv")
    assert (laid_out.delimiter, laid_out.line) == (";", 1) and list(lines) == [GOOD]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["sep=|\n", "|".join(COLUMNS)], "FILE.csv: sep=|: divide the fields by a comma, a semicolon or a tab"),
        (["sep=;\n"], "FILE.csv: the first line must name the columns"),
        (["sep=;;x\n", ";".join(COLUMNS)], "FILE.csv: the first line must name the columns"),
        ([], "FILE.csv: the first line must name the columns"),
        (["PK\x03\x04\x14"], "FILE.csv: this is a spreadsheet's own kind of file; save it as CSV UTF-8"),
        (["\udcd0\udccf\x11\udce0\udca1"], "FILE.csv: this is a spreadsheet's own kind of file; save it as CSV UTF-8"),
        (["ÐÏ\x11à¡"], "FILE.csv: this is a spreadsheet's own kind of file; save it as CSV UTF-8"),
    ],
)
def test_what_is_no_file_of_customers_is_refused_with_the_mend(lines: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        header_of(iter(lines), "FILE.csv")
    assert str(refused.value).startswith(said)


def test_a_last_field_that_is_empty_is_a_field_whatever_divides_them() -> None:
    laid_out = header("\t".join(COLUMNS) + "\r\n", "FILE.csv")
    (found,) = records_of(iter(["S1\tA\t\ttelevision\tsport\t\t2021-12-01\t\r\n"]), laid_out)
    assert isinstance(found, Record) and len(found.fields) == len(COLUMNS)
    made = entry(found, laid_out, region="NO", timezone=OSLO)
    assert isinstance(made, Entry) and (made.subscription.msisdn, made.subscription.ends) == ("", STILL)
