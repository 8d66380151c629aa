"""Telephone numbers: E.164 (`+4791234567`) inside, whatever people write at the edges, masked where they are shown."""

from dataclasses import dataclass
from functools import cache

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat, ValidationResult

WRITTEN_CHARACTERS_MAX = 40
MASKED_DIGITS_SHOWN = 3


def e164(written: str, region: str) -> str | None:
    """The number that somebody in `region` (`NO`, `SE`) wrote, in E.164; None when it cannot be a number.

    Country and length decide, not whether the range is in use: numbering plans change faster than programs.
    """
    return if_plain(written, region) or by_phonenumbers(written, region)


def mask_number(msisdn: str) -> str:
    """A number as it may be shown: `+4791234567` becomes `+47 ••••• 567`."""
    code = country_code(msisdn)
    national = msisdn[1 + len(code) :] if code else msisdn
    shown = national[-MASKED_DIGITS_SHOWN:] if len(national) > 2 * MASKED_DIGITS_SHOWN else ""
    hidden = "•" * (len(national) - len(shown))
    return " ".join(part for part in (f"+{code}" if code else "", hidden, shown) if part)


def country_code(msisdn: str) -> str:
    """`47` of `+4791234567`; empty when it is not a number in E.164 of a country that exists."""
    if msisdn[:1] == "+":
        for length in (1, 2, 3):  # no country code is the beginning of another
            if (code := msisdn[1 : 1 + length]) in _country_codes():
                return code
    return ""


def by_phonenumbers(written: str, region: str) -> str | None:
    """What `e164` returns, by the full rules of the library: 22 us on the machine where the short way takes under 1."""
    if len(written) > WRITTEN_CHARACTERS_MAX:
        return None
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE
    if number.extension or not possible:
        return None
    formatted: str = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return formatted


@dataclass(frozen=True)
class _Plan:
    """As much of a country's numbering plan as is needed for numbers about which there is no question."""

    country_code: str
    lengths: frozenset[int]
    """Digits that a national number may have."""
    trunk_prefix: str
    """Dialled before a national number (`0` in Sweden) and no part of it; empty where there is none."""

    def has(self, national: str) -> bool:
        """Whether these digits are a whole national number and nothing else."""
        return len(national) in self.lengths and not (self.trunk_prefix and national.startswith(self.trunk_prefix))


def if_plain(written: str, region: str) -> str | None:
    """The number, when it is plainly written and in a country with plain rules; None: ask the library."""
    digits = written.replace(" ", "")
    if not digits.isascii():
        return None
    if digits[:1] == "+":
        code = country_code(digits)
        plan, national = _plan(code), digits[1 + len(code) :]
        return digits if plan and national.isdigit() and plan.has(national) else None
    plan = _domestic_plan(region)
    if plan and digits.isdigit() and not digits.startswith(("00", plan.country_code)):
        national = digits.removeprefix(plan.trunk_prefix)
        return f"+{plan.country_code}{national}" if plan.has(national) else None
    return None


@cache
def _country_codes() -> frozenset[str]:
    return frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)


@cache
def _plan(code: str) -> _Plan | None:
    """The plan of a country code, None where digits have to be rewritten (Argentina's 9, Mexico's 1)."""
    if not code:
        return None
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    if metadata is None or metadata.general_desc is None or metadata.national_prefix_transform_rule:
        return None
    trunk_prefix = metadata.national_prefix_for_parsing or ""
    if trunk_prefix and not trunk_prefix.isdigit():
        return None
    return _Plan(code, frozenset(metadata.general_desc.possible_length), trunk_prefix)


@cache
def _domestic_plan(region: str) -> _Plan | None:
    """The plan for numbers written without a country code, None where a call abroad does not begin with 00."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    if metadata is None or metadata.country_code is None or metadata.international_prefix != "00":
        return None
    plan = _plan(str(metadata.country_code))
    # Regions that share a country code (Svalbard, the Isle of Man) have rules of their own.
    main = phonenumbers.region_code_for_country_code(metadata.country_code)
    return plan if main == region else None
