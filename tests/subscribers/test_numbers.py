"""Numbers at the edges: the short way gives what the library gives, and nobody's number is shown whole."""

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prikkfri.subscribers.numbers import (
    WRITTEN_CHARACTERS_MAX,
    by_phonenumbers,
    country_code,
    e164,
    if_plain,
    mask_number,
)

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
CODES = sorted(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)

digits = st.text("0123456789", min_size=1, max_size=16)
written = st.one_of(
    st.builds("{}{}{}".format, st.sampled_from(["+", "00", "", "0", "+ ", " +"]), st.sampled_from(CODES), digits),
    digits,
    st.text("+0123456789 -().;x٣ ", max_size=WRITTEN_CHARACTERS_MAX + 2),
)


@settings(max_examples=1_500)
@given(written, st.sampled_from(REGIONS) | st.sampled_from(["NO", "SE"]))
@example("994881385200", "FI")  # 99 is a prefix for calls abroad there
@example("+54 9 11 2345 6789", "AR")  # its 9 is moved
@example("+390612345678", "IT")  # its 0 stays
@example("4791234567", "NO")  # a country code without +
@example("02800", "NO")
@example("00461234", "NO")
@example("+47٩١٢٣٤٥٦٧", "NO")  # digits, and not those of E.164
@example("0701234567", "SE")
def test_the_short_way_gives_what_the_library_gives(text: str, region: str) -> None:
    assert e164(text, region) == by_phonenumbers(text, region)


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("912 34 567", "NO", "+4791234567"),
        ("+47 912 34 567", "SE", "+4791234567"),
        ("070 123 45 67", "SE", "+46701234567"),
        ("+46 70 123 45 67", "NO", "+46701234567"),
        ("+46 (0)70 123 45 67", "NO", None),
        ("00461234", "NO", None),
        ("4791234567", "NO", None),
        ("9123", "NO", None),
        ("Kirken", "NO", None),
    ],
)
def test_what_is_plainly_written_takes_the_short_way_and_nothing_else_does(
    text: str, region: str, number: str | None
) -> None:
    assert if_plain(text, region) == number


def test_no_more_is_read_than_anybody_would_write_for_a_number() -> None:
    assert by_phonenumbers("91234567".rjust(WRITTEN_CHARACTERS_MAX), "NO") == "+4791234567"
    assert by_phonenumbers("91234567".rjust(WRITTEN_CHARACTERS_MAX + 1), "NO") is None


@pytest.mark.parametrize("code", CODES)
def test_the_short_way_is_right_for_every_country_and_length(code: str) -> None:
    for length in range(1, 16):
        for lead in "0123456789":
            text = f"+{code}{lead}{'23456789123456'[: length - 1]}"
            assert e164(text, "NO") == by_phonenumbers(text, "NO")


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("912 34 567", "NO", "+4791234567"),
        ("+47 91 23 45 67", "SE", "+4791234567"),
        ("0047 912 34 567", "NO", "+4791234567"),
        ("070-123 45 67", "SE", "+46701234567"),
        ("+46 (0)70 123 45 67", "NO", "+46701234567"),
        ("9123", "NO", None),
        ("91234567890", "NO", None),
        ("", "NO", None),
        ("Kirken", "NO", None),
        ("912 34 567 ext. 9", "NO", None),
        ("9" * 10_000, "NO", None),
        ("+4791234567", "nowhere", "+4791234567"),
    ],
)
def test_what_people_write_becomes_e164(text: str, region: str, expected: str | None) -> None:
    assert e164(text, region) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+4791234567", "+47 ••••• 567"),
        ("+46701234567", "+46 •••••• 567"),
        ("+35840123456", "+358 ••••• 456"),
        ("91234567", "••••• 567"),
        ("+47912345", "+47 ••••••"),
        ("", ""),
    ],
)
def test_a_masked_number_shows_country_and_three_digits(number: str, expected: str) -> None:
    assert mask_number(number) == expected


@given(st.text(max_size=30))
def test_masking_never_shows_more_than_half_of_anything(text: str) -> None:
    shown = mask_number(text).removeprefix(f"+{country_code(text)}").strip()
    assert sum(character != "•" for character in shown.replace(" ", "")) <= max(0, len(text) / 2)


def test_the_country_of_a_number_is_told_by_its_first_digits() -> None:
    numbers = {"+12025550123": "1", "+79161234567": "7", "+4791234567": "47", "+35812345678": "358", "+35312345": "353"}
    assert {number: country_code(number) for number in numbers} == numbers
    assert [country_code(text) for text in ("", "+", "4791234567", "+999123", "+0")] == [""] * 5
