"""What the drawn people write: each text tells, wherever it is cut, which message it is and whose phone it is for."""

import hashlib
import random
import re
from dataclasses import dataclass
from functools import lru_cache

GSM, UCS2 = 0, 8
_TWO = {"€": 0x65, "[": 0x3C, "]": 0x3E, "{": 0x28, "}": 0x29, "~": 0x3D}
_ONE = {"@": 0x00, "é": 0x05, "Ø": 0x0B, "ø": 0x0C, "Å": 0x0E, "å": 0x0F, "Æ": 0x1C, "æ": 0x1D, "§": 0x5F}
"""3GPP TS 23.038, 6.2.1: where the alphabet is not ASCII's, as far as anybody here writes it."""
_ODD = {GSM: "æøåÆØÅé@§€[]{}~", UCS2: "æøåžЯ中€🙂"}
_MARK = re.compile(r"<([0-9a-z]{6})\.([0-9a-f]{8})>")


@dataclass(frozen=True, slots=True)
class WrittenMessage:
    """A message as it was written: the judge's truth."""

    number: int
    account: str
    sender: str
    recipient: str
    """Digits, E.164 without `+`."""
    sensitive: bool
    text: str
    coding: int
    at: float
    """Virtual seconds when it is handed in."""
    over: str = "smpp"


@lru_cache(maxsize=20_000)
def mark(number: int, recipient: str) -> str:
    """A nonce, and a MAC over it and whose phone it is for."""
    nonce = _base36(number)
    proof = hashlib.blake2s(f"{nonce} {recipient}".encode(), key=b"the judge alone", digest_size=4).hexdigest()
    return f"<{nonce}.{proof}>"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits.rjust(6, "0")


def compose(chance: random.Random, number: int, recipient: str, coding: int, marks: int) -> str:
    """As long as so many marks, or a few more, with odd letters between: each part of it has a whole mark."""
    text, odd = "", _ODD[coding]
    while marks > 0 or 0 < octets_of_last_part(text, coding) < _LAST_PART_OCTETS_MIN[coding]:
        text += mark(number, recipient)
        for _ in range(3):
            text += odd[int(chance.random() * len(odd))]
        marks -= 1
    return text


PART_OCTETS = {GSM: 153, UCS2: 134}
"""What of a long message goes in a part, beside a header with a reference of 8 bits."""
_WHOLE_OCTETS = {GSM: 160, UCS2: 140}
_LAST_PART_OCTETS_MIN = {GSM: 50, UCS2: 100}


def goes_in_one(octets: bytes, coding: int) -> bool:
    return len(octets) <= _WHOLE_OCTETS[coding]


def octets_of_last_part(text: str, coding: int) -> int:
    """At least; 0 for what goes in one."""
    octets = encode(text, coding)
    if goes_in_one(octets, coding):
        return 0
    whole, rest = divmod(len(octets), PART_OCTETS[coding])
    # Each cut may fall in a letter of two, and leave it to the next part.
    over = rest + 2 * whole - PART_OCTETS[coding]
    return max(over if over > 0 else rest, 1)


def marks_in(text: str) -> list[tuple[int, str]]:
    """Number and proof of each whole mark."""
    return [(int(nonce, 36), proof) for nonce, proof in _MARK.findall(text)]


def proof_of(number: int, recipient: str) -> str:
    return mark(number, recipient)[8:16]


def encode(text: str, coding: int) -> bytes:
    if coding == UCS2:
        return text.encode("utf-16-be")
    for letter, escaped in _ESCAPED.items():
        if letter in text:
            text = text.replace(letter, escaped)
    return text.encode("latin-1").translate(_WRITTEN)


_ESCAPED = {letter: f"\x1b{chr(octet)}" for letter, octet in _TWO.items()}
_WRITTEN = bytes(_ONE.get(chr(octet), octet) for octet in range(256))
_BACK_ONE = {octet: ord(letter) for letter, octet in _ONE.items()}
_BACK_TWO = {octet: letter for letter, octet in _TWO.items()}
_READ = bytes(_BACK_ONE.get(octet, octet) for octet in range(256))
_ESCAPE = b"\x1b"


def decode(octets: bytes, coding: int) -> str:
    if coding == UCS2:
        return octets.decode("utf-16-be", "replace")
    plain, *escaped = octets.split(_ESCAPE)
    text = plain.translate(_READ).decode("latin-1")
    for each in escaped:
        if each:  # else it was cut off there
            text += _BACK_TWO.get(each[0], "?") + each[1:].translate(_READ).decode("latin-1")
    return text
