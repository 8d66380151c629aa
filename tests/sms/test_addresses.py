"""Who a message is from and to: one form for each, on the wire, in the seal and in the routes."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from prikkfri.sms.addresses import Numbering, is_number, mask_address, read_recipient, read_sender

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


NORWAY, SWEDEN = Numbering("NO"), Numbering("SE")
MOBILES = {
    region: number
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if (number := phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE))
}


def e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]


def test_a_number_of_each_region_is_the_same_however_its_type_says_that_it_is_written() -> None:
    for region, number in MOBILES.items():
        wanted = (e164(number), *NUMBER)
        national = phonenumbers.national_significant_number(number)
        dialled = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        assert read_recipient(national, 2, Numbering(region)) == wanted, region
        for written in (national, "".join(filter(str.isdigit, dialled))):
            assert read_recipient(written, 0, Numbering(region)) == wanted, (region, written)
        for elsewhere in (NORWAY, SWEDEN, Numbering("US"), Numbering("NO", national_first=False), Numbering()):
            for written, ton in ((wanted[0], 1), ("+" + wanted[0], 0), ("00" + wanted[0], 0), ("+" + wanted[0], 2)):
                assert read_recipient(written, ton, elsewhere) == wanted, (region, written, ton, elsewhere)


@given(st.sampled_from(sorted(MOBILES)), st.sampled_from([7, 8, 9, 10, 11]), st.integers(0, 10**11), st.data())
def test_what_is_not_said_is_a_valid_number_of_the_region_or_else_international(
    region: str, length: int, drawn: int, data: st.DataObject
) -> None:
    """Half of them begin as a number of some region does, so that both ways are taken."""
    begin = e164(MOBILES[data.draw(st.sampled_from(sorted(MOBILES)))])[: data.draw(st.integers(0, 5))]
    digits = (begin + str(drawn).zfill(length))[:length]
    found = read_recipient(digits, 0, Numbering(region))
    if digits.startswith("00"):
        return
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is not None and phonenumbers.is_valid_number(number):
        assert found == (e164(number), *NUMBER)
    else:
        assert found == (None if digits.startswith("0") else (digits, *NUMBER))
    # Who always writes the country code is read so; and who says it is, whatever else the digits could be.
    plain = None if digits.startswith("0") else (digits, *NUMBER)
    assert read_recipient(digits, 0, Numbering(region, national_first=False)) == plain
    assert read_recipient(digits, 1, Numbering(region)) == plain


@pytest.mark.parametrize(
    ("written", "ton", "numbering", "text"),
    [
        ("46789012", 0, NORWAY, "4746789012"),  # not somebody in Sweden
        ("46789012", 2, NORWAY, "4746789012"),
        ("46789012", 4, NORWAY, "4746789012"),
        ("46789012", 1, NORWAY, "46789012"),
        ("46789012", 0, Numbering("NO", national_first=False), "46789012"),
        ("46789012", 2, Numbering("NO", national_first=False), "4746789012"),
        ("4746789012", 0, NORWAY, "4746789012"),
        ("4746789012", 2, NORWAY, "4746789012"),  # there is no other way to read it
        ("0701234567", 0, SWEDEN, "46701234567"),
        ("0701234567", 2, SWEDEN, "46701234567"),
        ("0701234567", 1, SWEDEN, None),
        ("0701234567", 2, NORWAY, None),
        ("123456789", 2, NORWAY, None),
        ("12345678", 2, NORWAY, "4712345678"),  # of the right length; its network knows whether it is in use
        ("12345678", 0, NORWAY, "12345678"),
        ("46789012", 2, Numbering(), None),
        ("46789012", 5, NORWAY, None),
        ("46789012", 7, NORWAY, None),
        ("02800", 0, NORWAY, "4702800"),
        ("02800", 2, NORWAY, "4702800"),
        ("02800", 1, NORWAY, "02800"),
        ("2010", 2, NORWAY, "2010"),
        ("123456", 2, NORWAY, "123456"),
        ("211234", 0, Numbering("GL"), "299211234"),
        ("46789012", 0, Numbering("nowhere"), "46789012"),
        ("+46789012", 0, NORWAY, "46789012"),
        ("46701234", 0, NORWAY, "4746701234"),
    ],
)
def test_the_type_of_a_number_says_how_it_is_read(written: str, ton: int, numbering: Numbering, text: str) -> None:
    found = read_recipient(written, ton, numbering)
    assert (found.text if found else None) == text
    if found:
        assert (found.ton, found.npi) == (NUMBER if len(found.text) > 6 else SHORT_CODE)
        # What was read once is the same when it is read again: it is kept so, sealed so and written so.
        assert read_recipient(found.text) == found


@pytest.mark.parametrize(
    ("written", "ton", "found"),
    [
        ("46789012", 0, ("4746789012", *NUMBER)),
        ("46789012", 2, ("4746789012", *NUMBER)),
        ("46789012", 5, ("4746789012", *NUMBER)),  # who reads digits cannot tell that they are letters
        ("46789012", 1, ("46789012", *NUMBER)),
        ("123456789", 2, None),
        ("46789012", 7, None),
        ("Shop", 7, None),
        ("Shop", 1, ("Shop", *LETTERS)),
        ("Shop", 2, ("Shop", *LETTERS)),
        ("Shop", 5, ("Shop", *LETTERS)),
        ("", 5, None),
        ("twelveletter", 5, None),
        ("2010", 0, ("2010", *SHORT_CODE)),
        ("2010", 1, ("2010", *SHORT_CODE)),
        ("2010", 2, ("2010", *SHORT_CODE)),
        ("2010", 3, ("2010", *SHORT_CODE)),
        ("2010", 4, ("2010", 4, 0)),
        ("2010", 5, ("2010", 5, 0)),
        ("2010", 6, ("2010", 6, 0)),
    ],
)
def test_a_sender_is_what_it_says_as_far_as_it_can_be(written: str, ton: int, found: tuple[str, int, int]) -> None:
    assert read_sender(written, ton, NORWAY) == found


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
    assert mask_address(text) == shown
    assert is_number(text) is (shown != text)
