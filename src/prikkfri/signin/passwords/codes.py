"""Codes by SMS: who may have another one, what is kept of it, and what the message says."""

import hashlib
import hmac
from collections.abc import Sequence

from prikkfri.protocols.guessing import Key, Limit
from prikkfri.signin.passwords.limits import PasswordLimits

DIGITS = 8
CODES = 10**DIGITS
"""So many there are."""

TEXTS = {
    "nb": "{code} er koden din for å velge passord hos {operator}. Den gjelder i {minutes} minutter."
    " Gi den aldri til andre. Har du ikke bedt om den, kan du se bort fra den.",
    "sv": "{code} är din kod för att välja lösenord hos {operator}. Den gäller i {minutes} minuter."
    " Ge den aldrig till någon. Bad du inte om den? Bortse från den.",
    "en": "{code} is your code to choose a password with {operator}. It is good for {minutes} minutes."
    " Never give it to anybody. If you did not ask for it, do nothing.",
}


def code_of(drawn: int) -> str:
    """The code of a number drawn evenly below `CODES`."""
    return f"{drawn:0{DIGITS}d}"


def plain(written: str) -> str:
    """A code as it was sent, of one as people copy it: with blanks or a hyphen in it."""
    return "".join(written.split()).replace("-", "")


def code_hash(key: bytes, subscriber_id: str, device: str, code: str) -> bytes:
    """What is kept. Keyed, since whoever reads the database could try all codes: the key is not in it."""
    return hmac.digest(key, "\0".join((subscriber_id, device, code)).encode(), hashlib.sha256)


def may_have_another(made: Sequence[float], now: float, limits: PasswordLimits) -> bool:
    """Whether somebody who got codes at these times may get one more: they cost, and each is a chance to guess."""
    return all(
        sum(at > now - seconds for at in made) < most
        for seconds, most in ((3_600.0, limits.codes_per_hour), (86_400.0, limits.codes_per_day))
    )


def pause(drawn: float, limits: PasswordLimits) -> float:
    """How long a sender waits for its moment, of a number drawn evenly between 0 and 1."""
    return drawn * limits.delay_seconds_max


def asked_from(name: str, network: str, limits: PasswordLimits) -> dict[Key, Limit]:
    """The buckets that somebody who asks for a code looks into; an unknown name counts like a known one."""
    return {("name and network", name, network): limits.name_and_network, ("network", "", network): limits.network}


def guessed_from(network: str, limits: PasswordLimits) -> dict[Key, Limit]:
    """The same for a code or a link that was wrong. One code is counted where it is kept."""
    return {("guess", "", network): limits.network}


def message_text(code: str, operator: str, language: str, minutes: int) -> str:
    return TEXTS[language].format(code=code, operator=operator, minutes=minutes)
