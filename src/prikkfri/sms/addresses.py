"""Who a message is from and to, in the form that the wire, the seal and the routes share.

A number is digits with its country code and no `+`; a short code is three to six digits; a sender may be letters.
"""

import re
from typing import NamedTuple

from prikkfri.subscribers import numbers

_RECIPIENT = re.compile(r"(?:\+|00)?([1-9][0-9]{6,14})|([0-9]{3,6})", re.ASCII)
_LETTERS = re.compile(r"(?=.*[A-Za-z])[\x20-\x7e]{1,11}", re.ASCII)
_INTERNATIONAL, _NETWORK, _LETTERED = 1, 3, 5
_ISDN = 1


class Address(NamedTuple):
    """An address with its type of number and numbering plan (SMPP 3.4, 5.2.5 and 5.2.6)."""

    text: str
    ton: int
    npi: int


def read_recipient(text: str) -> Address | None:
    """A phone's number or a short code; None when it is neither."""
    match = _RECIPIENT.fullmatch(text)
    if match is None:
        return None
    if match[1]:
        return Address(match[1], _INTERNATIONAL, _ISDN)
    return Address(match[2], _NETWORK, 0)


def read_sender(text: str) -> Address | None:
    """A number, a short code, or at most eleven letters; None when it is none of them."""
    found = read_recipient(text)
    if found is None and _LETTERS.fullmatch(text):
        found = Address(text, _LETTERED, 0)
    return found


def is_number(text: str) -> bool:
    """Whether an address is a phone's number, not a short code or letters."""
    return len(text) > 6 and text.isdecimal()


def masked(text: str) -> str:
    """A number as people may see it; what is no number is shown as it is."""
    return numbers.masked(f"+{text}") if is_number(text) else text
