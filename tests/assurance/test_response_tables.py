import csv
import io
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.impact import Exposed, Hit
from prikkfri.assurance.response.tables import CONTACTS_MAX, contacts_of, exposed_csv, hits_csv

OSLO = ZoneInfo("Europe/Oslo")
NINE = 1_534_791_600.0  # 20 August 2018, 21:00 in Oslo
HEAD = "id,at,service,kind,channel\n"


def hit(customer: str = "c1", reason: str = "overloaded") -> Hit:
    return Hit(customer, "+4791234567", "messages", "deliver", NINE, 2, 1, reason, NINE + 60.25, False)


def test_a_hit_stands_with_its_evidence() -> None:
    (row,) = csv.DictReader(io.StringIO(hits_csv([hit()])))
    assert row["customer"] == "c1" and row["device"] == "+4791234567" and row["observed"] == "reported"
    assert (row["first_asked"], row["kept_later_at"]) == ("2018-08-20T19:00:00.000Z", "2018-08-20T19:01:00.250Z")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30))
def test_a_reason_that_a_device_reports_is_a_text_in_every_spreadsheet(reason: str) -> None:
    (row,) = csv.DictReader(io.StringIO(hits_csv([hit(reason=reason)]), newline=""))
    shown = row["last_reason"]
    assert shown.removeprefix("'") == reason.removeprefix("'")
    assert not shown.startswith(("=", "-", "@", "\t", "\r")) and (shown[:1] != "+" or shown.lstrip("+").isdigit())


def test_what_was_exposed_has_no_body() -> None:
    text = exposed_csv([Exposed("m1", "+4791234567", "c1", "clinic", "code", NINE, "kept")])
    assert text.splitlines()[0] == "message,recipient,customer,account,class,sent_at,verdict"


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


def test_a_file_has_a_limit() -> None:
    contacts = contacts_of(HEAD + "".join(f"{n},0,tv,,\n" for n in range(CONTACTS_MAX + 5)), now=NINE, zone=OSLO)
    assert len(contacts.found) == CONTACTS_MAX and len(contacts.refused) == 1


@given(st.text(max_size=200))
def test_any_text_is_read_to_its_end_without_a_crash(text: str) -> None:
    for whole in (text, HEAD + text):
        contacts = contacts_of(whole, now=NINE, zone=OSLO)
        assert all(contact.id and contact.service and contact.at <= NINE + 300 for contact in contacts.found)
