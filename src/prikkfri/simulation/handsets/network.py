"""The phones and what is on their screens: messages in, put together and read as a phone does; messages out."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER, Reassembly, fits_one, read_part, split
from prikkfri.protocols.smpp.pdu import ShortMessage
from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.protocols.smpp.text import decode_parts, encode_text

SCREEN_ENTRIES_MAX = 5_000
_INTERNATIONAL, _NETWORK = 1, 3


@dataclass
class Entry:
    """One message on a phone's screen."""

    id: str
    direction: Literal["in", "out"]
    other: str
    """Whom it is from, or to."""
    text: str
    time: float
    parts: int = 1
    state: Literal["received", "sending", "sent", "failed"] = "received"
    centre_id: str = ""
    """The id that the message centre gave a message out."""


@dataclass
class Phone:
    msisdn: str
    """Digits with country code, without `+`."""
    name: str
    """Empty: in somebody's pocket, and not on the page."""
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=SCREEN_ENTRIES_MAX))
    references: int = 0


class Phones:
    def __init__(self, phones: Iterable[tuple[str, str]]) -> None:
        """`phones`: number (with or without `+`) and name of each."""
        self.by_number = {number.lstrip("+"): Phone(number.lstrip("+"), name) for number, name in phones}
        self._reassembly = Reassembly()

    def receive(
        self, message: ShortMessage, identity: str, now: float
    ) -> tuple[MessageState, Phone | None, Entry | None]:
        """What becomes of a message, the phone that it is for, and what then shows on it once all parts are there."""
        phone = self.by_number.get(message.destination)
        if phone is None:
            return MessageState.UNDELIVERABLE, None, None
        try:
            part, octets = read_part(message)
            whole: tuple[tuple[int, bytes], ...] | None = ((message.data_coding, octets),)
            if part is not None:
                whole = self._reassembly.add(
                    message.source, message.destination, part, message.data_coding, octets, now
                )
            if whole is None:
                return MessageState.DELIVERED, phone, None
            text = decode_parts(whole)
        except RemoteProtocolError:
            return MessageState.REJECTED, phone, None
        entry = Entry(identity, "in", message.source, text, now, parts=part.total if part else 1)
        phone.entries.append(entry)
        return MessageState.DELIVERED, phone, entry

    def send(
        self, phone: Phone, recipient: str, text: str, identity: str, now: float
    ) -> tuple[Entry, list[ShortMessage]]:
        """A message typed on a phone: what shows on it, and what goes over the air.

        Raises UnicodeEncodeError on a lone surrogate, LocalProtocolError when the text is too long.
        """
        recipient = recipient.strip().lstrip("+")
        coding, octets = encode_text(text)
        pieces: tuple[bytes, ...] = (octets,)
        if not fits_one(octets, coding):
            phone.references = (phone.references + 1) % 256
            pieces = split(octets, coding, phone.references)
        messages = [
            ShortMessage(
                source=phone.msisdn,
                destination=recipient,
                octets=piece,
                data_coding=coding,
                esm_class=ESM_CLASS_HEADER if len(pieces) > 1 else 0,
                source_ton=_INTERNATIONAL,
                source_npi=1,
                destination_ton=_INTERNATIONAL if len(recipient) > 6 else _NETWORK,
                destination_npi=1,
            )
            for piece in pieces
        ]
        entry = Entry(identity, "out", recipient, text, now, parts=len(pieces), state="sending")
        phone.entries.append(entry)
        return entry, messages
