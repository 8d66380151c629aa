"""Who a message is from and to, in the form that the wire, the seal and the routes share.

A number is digits with its country code and no `+`; a short code is three to six digits; a sender may be letters.

What stands on the wire says by its type of number (TON; SMPP 3.4, 5.2.5) how it is to be read: 1 with its country
code, 2 as people of the region write it, 5 letters. Where that is not said (0, or over HTTP), a valid number of the
region is one, and any other has its country code; `+` and `00` say that it has. Read the other way round, `46789012`,
a Norwegian phone, is somebody in Sweden.
"""

import re
from functools import cache, lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat

from prikkfri.config import SHORT_CODE_DIGITS_MAX
from prikkfri.subscribers import numbers

_WRITTEN = re.compile(r"(\+|00)?([0-9]{3,16})", re.ASCII)
_E164 = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_LETTERS = re.compile(r"(?=.*[A-Za-z])[\x20-\x7e]{1,11}", re.ASCII)
_INTERNATIONAL, _NATIONAL, _NETWORK, _SUBSCRIBER, _LETTERED, _ABBREVIATED = 1, 2, 3, 4, 5, 6
_ISDN = 1
RECIPIENT_TONS = frozenset({0, _INTERNATIONAL, _NATIONAL, _NETWORK, _SUBSCRIBER, _ABBREVIATED})
"""A phone is not called by letters, and what a reserved type means nobody can say."""
SENDER_TONS = RECIPIENT_TONS | {_LETTERED}
_KNOWN_MAX = 4_096


class Address(NamedTuple):
    """An address with its type of number and numbering plan (SMPP 3.4, 5.2.5 and 5.2.6)."""

    text: str
    ton: int
    npi: int


class Numbering(NamedTuple):
    """How numbers are read that do not bring their country code."""

    region: str = ""
    """`NO`, `SE`; empty: every number has its country code, and none can be read as national."""
    national_first: bool = True
    """Where it is not said what a number is: first as one of the region, or only as one with its country code."""


INTERNATIONAL = Numbering()


@lru_cache(_KNOWN_MAX)
def read_recipient(text: str, ton: int = 0, numbering: Numbering = INTERNATIONAL) -> Address | None:
    """A phone's number or a short code; None when it is neither, or not of that type.

    A number with its country code is taken by its shape alone: whether the range exists its network knows best.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None or ton not in RECIPIENT_TONS:
        return None
    before, digits = match.groups()
    if before == "+" or (before and len(text) > SHORT_CODE_DIGITS_MAX):
        return Address(digits, _INTERNATIONAL, _ISDN) if _E164.fullmatch(digits) else None
    is_short = len(text) <= SHORT_CODE_DIGITS_MAX
    national = None
    if ton == _NATIONAL or (ton != _INTERNATIONAL and numbering.national_first):
        # Of a short number only what is in use is a phone's: else it is a short code.
        national = _national(text, numbering.region, in_use=is_short or ton != _NATIONAL)
    if national:
        return Address(national, _INTERNATIONAL, _ISDN)
    if is_short:
        return Address(text, _NETWORK, 0)
    is_number = ton != _NATIONAL and _E164.fullmatch(text)
    return Address(text, _INTERNATIONAL, _ISDN) if is_number else None


@lru_cache(_KNOWN_MAX)
def read_sender(text: str, ton: int = 0, numbering: Numbering = INTERNATIONAL) -> Address | None:
    """A number, a short code, or at most eleven letters; None when it is none of them, or not of that type.

    Letters are letters whatever they are said to be; digits that are said to be letters are read as digits, since who
    reads them cannot tell. A short code stays of the type that it is said to be.
    """
    if ton not in SENDER_TONS:
        return None
    found = read_recipient(text, 0 if ton == _LETTERED else ton, numbering)
    if found is None and _LETTERS.fullmatch(text):
        return Address(text, _LETTERED, 0)
    if found and found.ton == _NETWORK and ton not in (0, _INTERNATIONAL, _NATIONAL):
        return found._replace(ton=ton)
    return found


def _national(digits: str, region: str, *, in_use: bool) -> str | None:
    """The number, with its country code, that these digits are in a region; None when they are none."""
    if not region or (in_use and len(digits) > _national_digits_max(region)):
        return None  # most numbers bring their country code: they do not have to ask the library
    return _by_plan(digits, region, in_use)


@lru_cache(_KNOWN_MAX)
def _by_plan(digits: str, region: str, in_use: bool) -> str | None:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    fits = phonenumbers.is_valid_number if in_use else phonenumbers.is_possible_number
    if not fits(number):
        return None
    text: str = phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]
    return text if _E164.fullmatch(text) else None


@cache
def _national_digits_max(region: str) -> int:
    metadata = PhoneMetadata.metadata_for_region(region, None)
    trunk = (metadata.national_prefix_for_parsing if metadata else "") or ""
    if metadata is None or metadata.general_desc is None or not (trunk + "0").isdigit():
        return 15
    return max(metadata.general_desc.possible_length) + len(trunk)


def is_number(text: str) -> bool:
    """Whether an address is a phone's number, not a short code or letters."""
    return len(text) > 6 and text.isdecimal()


def mask_address(text: str) -> str:
    """A number as people may see it; what is no number is shown as it is."""
    return numbers.mask_number(f"+{text}") if is_number(text) else text
