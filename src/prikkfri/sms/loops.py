"""A loop that no link can see: a message that goes out to a network, comes back by another, and goes out again."""

import hashlib
from collections import OrderedDict

from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER, payload
from prikkfri.protocols.smpp.pdu import ShortMessage, Tag
from prikkfri.sms.submission import TokenBucket

TURNS_MAX = 5
TURNS_PER_SECOND = 1 / 60


class Turns:
    """How often the same message has come in from networks to go out to networks.

    Partners keep no mark of ours on a message, so that it is known by what it says to whom. People do write the same
    again; a loop writes it without end. Bounded: beyond `kept_max` the message that was silent longest is forgotten.
    """

    def __init__(self, *, kept_max: int = 50_000) -> None:
        self._kept_max = kept_max
        self._known: OrderedDict[bytes, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def take(self, sender: str, recipient: str, message: ShortMessage, now: float) -> bool:
        """Whether it may go once more: `TURNS_MAX` times at once, and then one time a minute."""
        # Parts may say the same: which one it is, is of the message too.
        part = message.tlv(Tag.SAR_REFERENCE), message.tlv(Tag.SAR_SEQUENCE)
        kind = message.esm_class & ESM_CLASS_HEADER, message.data_coding
        key = hashlib.sha256(repr((sender, recipient, kind, part, payload(message))).encode()).digest()
        bucket = self._known.pop(key, TokenBucket(TURNS_MAX, now))
        left = bucket.take(TURNS_PER_SECOND, now, burst=TURNS_MAX)
        self._known[key] = left or bucket
        if len(self._known) > self._kept_max:
            self._known.popitem(last=False)
        return left is not None
