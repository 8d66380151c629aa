import csv
import io
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.impact import ExposedMessage, Hit
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response.store import Contact, CreditRecord
from prikkfri.assurance.response.tables import (
    AHEAD_SECONDS_MAX,
    CONTACTS_MAX,
    FIELD_CHARACTERS_MAX,
    contacts_of,
    credits_csv,
    exposed_csv,
    hits_csv,
)

OSLO = ZoneInfo("Europe/Oslo")
NINE = 1_534_791_600.0  # 20 August 2018, 21:00 in Oslo
HEAD = "id,at,service,kind,channel\n"


def hit(customer: str = "c1", reason: str = "overloaded") -> Hit:
    return Hit(customer, "+4791234567", "messages", "deliver", NINE, 2, 1, reason, NINE + 60.25, False)


def test_a_hit_stands_with_its_evidence() -> None:
    (row,) = csv.DictReader(io.StringIO(hits_csv([hit()], OSLO)))
    assert row["customer"] == "c1" and row["device"] == "+4791234567" and row["observed"] == "reported"
    assert (row["first_asked"], row["kept_later_at"]) == (
        "2018-08-20T21:00:00.000+02:00",
        "2018-08-20T21:01:00.250+02:00",
    )


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30))
def test_a_reason_that_a_device_reports_is_a_text_in_every_spreadsheet(reason: str) -> None:
    (row,) = csv.DictReader(io.StringIO(hits_csv([hit(reason=reason)], OSLO), newline=""))
    shown = row["last_reason"]
    assert shown.removeprefix("'") == reason.removeprefix("'")
    assert not shown.startswith(("=", "-", "@", "\t", "\r")) and (shown[:1] != "+" or shown.lstrip("+").isdigit())


@pytest.mark.parametrize(
    ("text", "shown"), [("+4791234567", "+4791234567"), ("++47", "++47"), ("+X1", "'+X1"), ("+", "'+"), ("a=1", "a=1")]
)
def test_only_a_number_may_begin_with_a_plus(text: str, shown: str) -> None:
    (row,) = csv.DictReader(io.StringIO(hits_csv([hit(reason=text)], OSLO)))
    assert row["last_reason"] == shown


def test_every_column_of_those_hit_stands_under_its_name() -> None:
    known = Hit("c1", "d1", "television", "sign-in", NINE, 3, 2, "overloaded", None, True)
    (row,) = csv.DictReader(io.StringIO(hits_csv([known], OSLO)))
    assert row == {
        "customer": "c1", "device": "d1", "service": "television", "step": "sign-in",
        "first_asked": "2018-08-20T21:00:00.000+02:00", "tries": "3", "unanswered": "2", "last_reason": "overloaded",
        "kept_later_at": "", "observed": "observed",
    }  # fmt: skip


def test_billing_gets_the_amount_in_the_smallest_unit_and_the_key_that_makes_it_once() -> None:
    credit = ServiceCredit("7:c1", "7", "c1", 4_950, "NOK", "kick-off", "=1+1")
    (row,) = csv.DictReader(io.StringIO(credits_csv([CreditRecord(credit, "rule:policy", NINE, "m-1", NINE)], OSLO)))
    assert row == {
        "key": "7:c1", "incident": "7", "customer": "c1", "amount_minor": "4950", "currency": "NOK",
        "policy": "kick-off", "reason": "'=1+1", "given_by": "rule:policy", "given_at": "2018-08-20T21:00:00.000+02:00",
    }  # fmt: skip


def test_what_was_exposed_stands_under_its_name() -> None:
    (row,) = csv.DictReader(
        io.StringIO(exposed_csv([ExposedMessage("m1", "+4791234567", "c1", "clinic", "code", NINE, "kept")], OSLO))
    )
    assert row == {
        "message": "m1", "recipient": "+4791234567", "customer": "c1", "account": "clinic", "class": "code",
        "sent_at": "2018-08-20T21:00:00.000+02:00", "verdict": "kept",
    }  # fmt: skip


def test_contacts_come_by_either_clock() -> None:
    rows = (
        f"1,2018-08-20T21:00,television,sign-in,telephone\n2,2018-08-20T19:00:00Z,television,,\n3,{NINE},television,,\n"
    )
    contacts = contacts_of("\ufeff" + HEAD + rows, now=NINE, zone=OSLO)
    assert [contact.at for contact in contacts.found] == [NINE] * 3 and contacts.refused == ()


def test_columns_stand_in_any_order_and_all_must_be_there() -> None:
    found = contacts_of(f"at,channel,ID ,kind,service,more\n{NINE},chat,7,x,messages,\n", now=NINE, zone=OSLO).found
    assert (found[0].id, found[0].channel, found[0].service) == ("7", "chat", "messages")
    missing = contacts_of("id,at,kind\n", now=NINE, zone=OSLO)
    assert missing.refused == ((1, "the header must name service, channel once"),)


def test_bad_rows_are_refused_with_a_reason_and_the_rest_is_taken() -> None:
    rows = [",0,television,,", "1,,television,,", "1,nan,television,,", "1,-5,television,,", f"1,{NINE + 600},tv,,"]
    rows += ["1,0", "x" * 201 + ",0,tv,,", "1,0,tv,,"]
    contacts = contacts_of(HEAD + "\n".join(rows), now=NINE, zone=OSLO)
    assert [line for line, _ in contacts.refused] == [2, 3, 4, 5, 6, 7, 8]
    assert len(contacts.found) == 1


def test_a_refused_row_says_what_is_wrong_with_it_and_limits_are_the_last_that_is_allowed() -> None:
    long = "x" * FIELD_CHARACTERS_MAX
    ahead = NINE + AHEAD_SECONDS_MAX
    rows = [
        ",0,tv,,",
        "1,,tv,,",
        "1,0,,,",
        "1,0",
        "1,0,tv,,,",
        f"1,{ahead + 1},tv,,",
        f"1,0,tv,{long}x,",
        "1,never,tv,,",
        "1,0,tv,,a\x00b",
    ]
    contacts = contacts_of(HEAD + "\n".join([*rows, f"{long},{ahead},{long},{long},{long}"]), now=NINE, zone=OSLO)
    assert contacts.found == (Contact(long, ahead, long, long, long),)
    assert [text for _, text in contacts.refused] == [
        "id is empty", "at is empty", "service is empty", *["not as many fields as the header has"] * 2,
        "at is in the future", f"kind is longer than {FIELD_CHARACTERS_MAX} characters, or no text",
        "at is neither a time by ISO 8601 nor seconds since 1970",
        f"channel is longer than {FIELD_CHARACTERS_MAX} characters, or no text",
    ]  # fmt: skip
    unfinished = contacts_of(HEAD + '1,0,tv,,\n2,0,tv,"', now=NINE, zone=OSLO)
    assert [contact.id for contact in unfinished.found] == ["1"]
    ((line, text),) = unfinished.refused
    assert line == 3 and text.startswith("not CSV:")
    assert (
        contacts_of("", now=NINE, zone=OSLO).refused
        and contacts_of("id,id,at,service,kind,channel", now=NINE, zone=OSLO).refused
    )


def test_blank_lines_and_spaces_around_a_field_are_nothing() -> None:
    contacts = contacts_of(HEAD + "\n  , ,,,\n 7 , 0 , tv , a b , \n", now=NINE, zone=OSLO)
    assert contacts.found == (Contact("7", 0.0, "tv", "a b", ""),) and contacts.refused == ()


def test_a_file_has_a_limit() -> None:
    contacts = contacts_of(HEAD + "".join(f"{n},0,tv,,\n" for n in range(CONTACTS_MAX + 5)), now=NINE, zone=OSLO)
    assert [contact.id for contact in contacts.found] == [str(n) for n in range(CONTACTS_MAX)]
    assert contacts.refused == ((CONTACTS_MAX + 2, "at most 10000 contacts in one file; the rest was not read"),)
    whole = contacts_of(HEAD + "".join(f"{n},0,tv,,\n" for n in range(CONTACTS_MAX)), now=NINE, zone=OSLO)
    assert len(whole.found) == CONTACTS_MAX and whole.refused == ()


@given(st.text(max_size=200))
def test_any_text_is_read_to_its_end_without_a_crash(text: str) -> None:
    for whole in (text, HEAD + text):
        contacts = contacts_of(whole, now=NINE, zone=OSLO)
        assert all(contact.id and contact.service and contact.at <= NINE + 300 for contact in contacts.found)
