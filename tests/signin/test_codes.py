"""Codes: how many, how they are written, and what is kept of them."""

import pytest

from prikkfri.signin.passwords import codes
from prikkfri.signin.passwords.limits import PasswordLimits

LIMITS = PasswordLimits(codes_per_hour=2, codes_per_day=3)


def test_a_code_has_eight_digits_whatever_was_drawn() -> None:
    assert [codes.code_of(drawn) for drawn in (0, 7, codes.CODES - 1)] == ["00000000", "00000007", "99999999"]
    assert codes.plain(" 1234\u00a05678 ") == codes.plain("1234-5678") == "12345678"


@pytest.mark.parametrize(
    ("ago", "another"),
    [
        ((), True),
        ((0,), True),
        ((0, 3_599), False),
        ((0, 3_600), True),
        ((0, 3_600, 86_399), False),
        ((0, 3_600, 86_400), True),
        ((3_600, 7_200, 10_800), False),
    ],
)
def test_a_customer_may_have_so_many_an_hour_and_a_day(ago: tuple[float, ...], another: bool) -> None:
    assert codes.may_have_another([1e9 - each for each in ago], 1e9, LIMITS) is another


def test_a_moment_lies_anywhere_up_to_the_longest_pause_and_is_none_where_there_is_to_be_none() -> None:
    assert [codes.pause(drawn, LIMITS) for drawn in (0.0, 0.5, 1.0)] == [0.0, 0.25, 0.5]
    assert codes.pause(1.0, PasswordLimits(delay_seconds_max=0.0)) == 0.0


def test_what_is_kept_is_of_one_customer_one_device_one_code_and_one_key() -> None:
    kept = codes.code_hash(b"key", "s-1", "d-1", "12345678")
    assert len(kept) == 32
    others = (
        codes.code_hash(b"yek", "s-1", "d-1", "12345678"),
        codes.code_hash(b"key", "s-2", "d-1", "12345678"),
        codes.code_hash(b"key", "s-1", "d-2", "12345678"),
        codes.code_hash(b"key", "s-1", "d-1", "12345679"),
        codes.code_hash(b"key", "s-1d-1", "", "12345678"),
    )
    assert len({kept, *others}) == 6


def test_whoever_asks_and_whoever_guesses_is_counted_apart_and_by_network() -> None:
    assert codes.asked_from("kari", "10.0.0.1", LIMITS) == {
        ("name and network", "kari", "10.0.0.1"): LIMITS.name_and_network,
        ("network", "", "10.0.0.1"): LIMITS.network,
    }
    assert codes.guessed_from("10.0.0.1", LIMITS) == {("guess", "", "10.0.0.1"): LIMITS.network}


@pytest.mark.parametrize("language", ["nb", "sv", "en"])
def test_a_message_begins_with_the_code_and_is_one_sms(language: str) -> None:
    text = codes.message_text("12345678", "Fjordnett AS", language, 10)
    assert text.startswith("12345678 ") and "Fjordnett AS" in text and " 10 minut" in text
    assert len(text) <= 160
