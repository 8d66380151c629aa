"""The ticket of the waiting room: a place in the line that its holder keeps, sealed (HMAC-SHA256) against bettering."""

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass

TAG_BYTES = 16
ID_BYTES = 12
PROMISE_PREFIX = "enter-"
"""Of the promise that a ticket stands for, and that its pass carries on."""
LIFETIME_SECONDS = 6 * 3_600.0
"""Old tickets would be a stock of places at the front."""

_layout = struct.Struct(f">Qd{ID_BYTES}s24s")
_NO_NUMBER = 2**64 - 1
_LENGTH = ((_layout.size + TAG_BYTES) * 4 + 2) // 3


@dataclass(frozen=True, slots=True)
class Ticket:
    number: int | None
    """None: joined, and not come back yet. A place in the line is for those who come back for it."""
    joined_at: float
    ticket_id: bytes
    """12 random bytes: the line may forget a number in a crash and give it twice."""
    device: str

    @property
    def promise(self) -> str:
        return f"{PROMISE_PREFIX}{base64.urlsafe_b64encode(self.ticket_id).decode()}"


def sealed(ticket: Ticket, key: bytes) -> str:
    number = _NO_NUMBER if ticket.number is None else ticket.number
    content = _layout.pack(number, ticket.joined_at, ticket.ticket_id, ticket.device.encode())
    return base64.urlsafe_b64encode(content + _tag(content, key)).rstrip(b"=").decode()


def opened(text: str, key: bytes, now: float) -> Ticket | None:
    """None for one that is not ours, was altered, or is older than `LIFETIME_SECONDS`."""
    if len(text) != _LENGTH:
        return None
    try:
        signed = base64.urlsafe_b64decode(text + "=")
    except ValueError:
        return None
    content, tag = signed[: _layout.size], signed[_layout.size :]
    if not hmac.compare_digest(tag, _tag(content, key)):
        return None
    number, joined_at, ticket_id, device = _layout.unpack(content)
    if now - joined_at > LIFETIME_SECONDS:
        return None
    return Ticket(None if number == _NO_NUMBER else number, joined_at, ticket_id, device.decode())


def _tag(content: bytes, key: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)[:TAG_BYTES]
