"""The ticket of the waiting room: a place in the line that its holder keeps, sealed (HMAC-SHA256) against bettering."""

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass

from prikkfri.protocols.admission_pass import AFRESH_SECONDS
from prikkfri.protocols.possession import HOLDER_LENGTH

TAG_BYTES = 16
ID_BYTES = 12
PROMISE_PREFIX = "enter-"
"""Of the promise that a ticket stands for, and that its pass carries on."""
LIFETIME_SECONDS = AFRESH_SECONDS
"""Old tickets would be a stock of places at the front."""

LOTS = 1 << 14
"""So many different lots: a position is a large number and the lot its fraction, in one double."""
LOTTERY_SECONDS = 0.25
"""For so long a device keeps its lot, however often it joins."""

_layout = struct.Struct(f">dddI{ID_BYTES}s24s{HOLDER_LENGTH}s")
_LENGTH = ((_layout.size + TAG_BYTES) * 4 + 2) // 3


@dataclass(frozen=True, slots=True)
class Ticket:
    position: float
    joined_at: float
    ticket_id: bytes
    """12 random bytes: two may have the same position."""
    device: str
    holder: str
    """Who alone gets a pass for it, see `possession`."""
    counted_by: int = 0
    """The line that has counted its holder, by the second in which that was opened; 0: joined, and not come back yet.
    A place in the line is for those who come back for it."""
    due: float = 0.0
    """When its holder was told to ask again."""

    @property
    def promise(self) -> str:
        return f"{PROMISE_PREFIX}{base64.urlsafe_b64encode(self.ticket_id).decode()}"


def lot(device: str, now: float, key: bytes) -> float:
    """In the lottery of those who join at the same time, at least 0 and less than 1."""
    drawn = hmac.digest(key, b"lot %d %s" % (now // LOTTERY_SECONDS, device.encode()), hashlib.sha256)
    return int.from_bytes(drawn[:4], "big") % LOTS / LOTS


def sealed(ticket: Ticket, key: bytes) -> str:
    content = _layout.pack(
        ticket.position,
        ticket.joined_at,
        ticket.due,
        ticket.counted_by,
        ticket.ticket_id,
        ticket.device.encode(),
        ticket.holder.encode(),
    )
    return base64.urlsafe_b64encode(content + _tag(content, key)).rstrip(b"=").decode()


def opened(text: str, key: bytes, now: float) -> Ticket | None:
    """None for one that is not ours, was altered, or is older than `LIFETIME_SECONDS`."""
    if len(text) != _LENGTH:
        return None
    try:
        signed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    content, tag = signed[: _layout.size], signed[_layout.size :]
    if not hmac.compare_digest(tag, _tag(content, key)):
        return None
    position, joined_at, due, counted_by, ticket_id, device, holder = _layout.unpack(content)
    if now - joined_at > LIFETIME_SECONDS:
        return None
    return Ticket(position, joined_at, ticket_id, device.decode(), holder.decode(), counted_by, due)


def _tag(content: bytes, key: bytes) -> bytes:
    return hmac.digest(key, content, hashlib.sha256)[:TAG_BYTES]
