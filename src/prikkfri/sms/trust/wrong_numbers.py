"""People who got what was not for them, and what networks hand in that we never sent them: how it is heard.

Whoever writes `wrong number` to the short code for that, or says so on a page, is a hint, and so is a message that a
partner hands in under the name of one of our accounts. A canary of ours that a network hands in for another number is
more: nobody else knows its token.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

from prikkfri.config import Sms
from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.networks import Allowance
from prikkfri.protocols.smpp.concatenation import payload
from prikkfri.protocols.smpp.pdu import ShortMessage
from prikkfri.protocols.smpp.text import decode_text
from prikkfri.sms.canaries.phones import START, digits, token_of
from prikkfri.sms.submission import Rules

DAY_SECONDS = 86_400.0
OF_NUMBER_A_DAY = 1
"""What one phone says again tells nothing new."""
OF_NETWORK_A_DAY = 5
ALL_A_MINUTE = 60
"""Whoever they are: more say no more."""
_STARTS = (START.encode(), START.encode("utf-16-be"))
_WORDS = re.compile(
    r"\W*(feil\W*(nummer|nr|mottaker|person)|fel\W*(nummer|nr|mottagare|person)|wrong\W*(number|person)"
    r"|ikke\W+til\W+meg|inte\W+till?\W+mig|not\W+for\W+me)\b",
    re.IGNORECASE,
)


def says_wrong_number(text: str) -> bool:
    """In Norwegian, Swedish or English, at the beginning of what somebody writes."""
    return _WORDS.match(text) is not None


@dataclass(frozen=True)
class ComplaintRules:
    """What of that which networks hand in is listened to."""

    code: str = ""
    """The short code to which people write; empty: there is none."""
    our_names: Collection[str] = ()
    """Senders that are our accounts' alone: letters as they are written, numbers as digits."""

    @classmethod
    def of(cls, settings: Sms) -> Self:
        names = {name for account in settings.accounts for name in (*account.senders, *account.short_codes)}
        return cls(settings.wrong_number_code, frozenset(digits(name) for name in names if name != "*"))


NOTHING_HEARD = ComplaintRules()


@dataclass
class BatchHints:
    """What a batch of a network's messages hints at."""

    in_our_name: int = 0
    canaries: list[tuple[str, str]] = field(default_factory=list)
    """(destination, token) of each canary that was handed in."""
    wrong_numbers: list[str] = field(default_factory=list)
    """Who has written that they got a message which was not for them."""


def note_hints(heard: BatchHints, message: ShortMessage, rules: Rules, listening: ComplaintRules) -> bool:
    """Notes what a message from a network hints at; True when it was for us, and goes nowhere else."""
    if listening.code and message.destination == listening.code:
        if says_wrong_number(_text(message)):
            heard.wrong_numbers.append(digits(message.source))
        return True
    if rules.routes.neighbour(rules.party) is not None:
        heard.in_our_name += digits(message.source) in listening.our_names
    if any(start in payload(message) for start in _STARTS) and (token := token_of(_text(message))):
        heard.canaries.append((digits(message.destination), token))
    return False


def _text(message: ShortMessage) -> str:
    try:
        return decode_text(message.data_coding, payload(message))
    except (RemoteProtocolError, UnicodeDecodeError, ValueError):
        return ""


class Complainants:
    """Who has said that a message was not for them: each number once a day, so many of a network, so many in all."""

    def __init__(self) -> None:
        self._numbers = Allowance(burst=OF_NUMBER_A_DAY, per_second=OF_NUMBER_A_DAY / DAY_SECONDS)
        self._networks = Allowance(burst=OF_NETWORK_A_DAY, per_second=OF_NETWORK_A_DAY / DAY_SECONDS)
        self._all = Allowance(burst=ALL_A_MINUTE, per_second=ALL_A_MINUTE / 60)

    def takes(self, number: str, address: str, now: float) -> bool:
        """`address`: whence it was said by page; empty: by the phone itself, whose network vouches for its number."""
        if self._all.take("all", now) is not None:
            return False
        if address and self._networks.take(address, now) is not None:
            return False
        return self._numbers.take(f"number {number}", now) is None
