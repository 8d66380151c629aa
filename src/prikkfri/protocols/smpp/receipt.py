"""The delivery receipt: what became of a message, carried in a `deliver_sm` or `data_sm` (4.6.1, 5.3.2.35, appendix B).

The parameters receipted_message_id and message_state count where they say something; else the text is read, whose
layout the specification calls typical and each network varies.
"""

import re
from enum import IntEnum

import msgspec

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER, payload, split_header
from prikkfri.protocols.smpp.pdu import ID_OCTETS_MAX, ShortMessage, Tag
from prikkfri.protocols.smpp.text import DataCoding, alphabet
from prikkfri.protocols.smpp.times import format_minute

REGISTERED_ANY = 0x03
"""The bits of registered_delivery that ask for a receipt: 1 of any end, 2 of a bad one only."""
_ESM_CLASS_TYPE, _ESM_CLASS_RECEIPT = 0x3C, 0x04


class MessageState(IntEnum):
    """5.2.28."""

    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8


_WORDS = {
    MessageState.ENROUTE: "ENROUTE",
    MessageState.DELIVERED: "DELIVRD",
    MessageState.EXPIRED: "EXPIRED",
    MessageState.DELETED: "DELETED",
    MessageState.UNDELIVERABLE: "UNDELIV",
    MessageState.ACCEPTED: "ACCEPTD",
    MessageState.UNKNOWN: "UNKNOWN",
    MessageState.REJECTED: "REJECTD",
}
_STATES = {word: state for state, word in _WORDS.items()} | {
    "BUFFERED": MessageState.ENROUTE,
    "BUFFRED": MessageState.ENROUTE,
    "SCHEDULED": MessageState.ENROUTE,
    "DELIVERD": MessageState.DELIVERED,
    "DELIVERED": MessageState.DELIVERED,
    "DELIVRED": MessageState.DELIVERED,
    "FAILED": MessageState.UNDELIVERABLE,
    "SKIPPED": MessageState.UNDELIVERABLE,
    "UNDELIVERABLE": MessageState.UNDELIVERABLE,
    "UNDELIVERED": MessageState.UNDELIVERABLE,
    "UNDELIVRD": MessageState.UNDELIVERABLE,
    "ACCEPTED": MessageState.ACCEPTED,
    "REJECTED": MessageState.REJECTED,
}
"""By the words of the book, and as partners write them."""
_OCTETS = {int(state): state for state in MessageState} | {
    0: MessageState.ENROUTE,  # SMPP 5.0, 4.7.15: scheduled
    9: MessageState.UNDELIVERABLE,  # and skipped
}
_DELIVERED, _UCS_2 = MessageState.DELIVERED, DataCoding.UCS_2
FINAL = frozenset(_WORDS) - {MessageState.ENROUTE, MessageState.ACCEPTED}
WORD_LETTERS_MAX = 32
ERROR_LETTERS_MAX = 64
_TOLD_OCTETS_MAX = 2_048
"""In a payload of 64 KB nobody tells of a message."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    message_id: str
    """Of the parameter, else of the text; empty where the user_message_reference alone says which message."""
    state: MessageState | None
    """None: it says nothing of it that anybody knows; `word` is then what it says."""
    error: str = "000"
    """The network's own letters or digits for what went wrong, as they are written."""
    word: str = ""
    """A word, or the number of message_state, that nobody knows, as it is written; empty where the state is known."""
    other_id: str = ""
    """The id of the text where the parameter says another: often the same number to another base."""


# What follows is the first words of the message, which its sender chose: they say nothing of its end.
_TEXT_BODY = re.compile(r"text\s*:.*", re.IGNORECASE | re.DOTALL)
_TEXT_ID = re.compile(rf"\bid:([^\s,;\0]{{1,{ID_OCTETS_MAX}}}+)(?![^\s,;\0])", re.IGNORECASE | re.ASCII)
_TEXT_STATE = re.compile(rf"\bstat:([^\s,;\0]{{1,{WORD_LETTERS_MAX}}})", re.IGNORECASE | re.ASCII)
_TEXT_ERROR = re.compile(rf"\berr:([^\s,;\0]{{1,{ERROR_LETTERS_MAX}}})", re.IGNORECASE | re.ASCII)
_TEXT_FURTHER = re.compile(r"\b(?:sub|dlvrd|submit date|done date|err):", re.IGNORECASE | re.ASCII)
_WIDE = re.compile(rb"\0[iI]\0[dD]\0:")


def is_receipt(message: ShortMessage) -> bool:
    """Whether it tells of a message rather than being one: by its type, by a parameter, or by all of its text.

    Partners leave out the type. What begins with `id:` and says `stat:` and one more of the fields of appendix B is
    nobody's letter; a receipt that is taken for one goes to somebody's phone.
    """
    if is_marked(message):
        return True
    told = _told(message)
    begins = told.lstrip("\ufeff \r\n")[:3].lower() == "id:"
    return begins and all(pattern.search(told) for pattern in (_TEXT_ID, _TEXT_STATE, _TEXT_FURTHER))


def is_marked(message: ShortMessage) -> bool:
    """Whether it is the network that says so: by its type or a parameter, which no phone writes."""
    if message.esm_class & _ESM_CLASS_TYPE == _ESM_CLASS_RECEIPT:
        return True
    return message.tlv(Tag.RECEIPTED_MESSAGE_ID) is not None or message.tlv(Tag.MESSAGE_STATE) is not None


def parse_receipt(message: ShortMessage) -> Receipt:
    """Raises RemoteProtocolError when nothing in it says which message it tells of."""
    told = _told(message)
    found = _TEXT_ID.search(told)
    in_text = found[1] if found else ""
    identity = _parameter_id(message) or in_text
    if not (identity or message.tlv(Tag.USER_MESSAGE_REFERENCE)):
        raise RemoteProtocolError("a receipt that names no message")
    state, word = _state(message, told)
    return Receipt(identity, state, _error(message, told), word, in_text if in_text != identity else "")


def _told(message: ShortMessage) -> str:
    """What the network says in words; nothing of the message that it tells of."""
    octets = payload(message)[:_TOLD_OCTETS_MAX]
    if message.esm_class & ESM_CLASS_HEADER:
        try:
            octets = split_header(octets)[1]
        except RemoteProtocolError:
            return ""
    wide = alphabet(message.data_coding) is _UCS_2 or (b"\0" in octets and _WIDE.search(octets))
    return _TEXT_BODY.sub("", octets.decode("utf-16-be", "replace") if wide else octets.decode("latin-1"))


def _parameter_id(message: ShortMessage) -> str:
    value = (message.tlv(Tag.RECEIPTED_MESSAGE_ID) or b"").partition(b"\0")[0].strip()
    return value.decode("latin-1") if len(value) <= ID_OCTETS_MAX else ""


def _state(message: ShortMessage, told: str) -> tuple[MessageState | None, str]:
    octet = message.tlv(Tag.MESSAGE_STATE) or b""
    if len(octet) == 1 and (state := _OCTETS.get(octet[0])):
        return state, ""
    if found := _TEXT_STATE.search(told):
        state = _STATES.get(found[1].upper())
        return state, "" if state else found[1]
    return None, octet.hex()


def _error(message: ShortMessage, told: str) -> str:
    found = _TEXT_ERROR.search(told)
    written = found[1] if found else ""
    if written.strip("0"):
        return written
    code = message.tlv(Tag.NETWORK_ERROR_CODE) or b""  # 5.3.2.31: an octet for the kind of network, two for its code
    if len(code) == 3 and any(code[1:]):
        return f"{int.from_bytes(code[1:]):03}"
    return written or "000"


def format_receipt(receipt: Receipt, *, submitted: float, done: float) -> bytes:
    """The text of appendix B; `Text:` stays empty, since a body is for its recipient alone. Times in seconds UTC."""
    assert receipt.state is not None
    delivered = int(receipt.state is _DELIVERED)
    return (
        f"id:{receipt.message_id} sub:001 dlvrd:{delivered:03} submit date:{format_minute(submitted)} "
        f"done date:{format_minute(done)} stat:{_WORDS[receipt.state]} err:{receipt.error} Text:"
    ).encode("latin-1")


def receipt_message(receipt: Receipt, message: ShortMessage, *, submitted: float, done: float) -> ShortMessage:
    """The `deliver_sm` that tells the sender of `message` what became of it; its user_message_reference comes back."""
    assert receipt.state is not None
    reference = message.tlv(Tag.USER_MESSAGE_REFERENCE)
    return ShortMessage(
        source=message.destination,
        destination=message.source,
        octets=format_receipt(receipt, submitted=submitted, done=done),
        esm_class=_ESM_CLASS_RECEIPT,
        source_ton=message.destination_ton,
        source_npi=message.destination_npi,
        destination_ton=message.source_ton,
        destination_npi=message.source_npi,
        service_type=message.service_type,
        tlvs=(
            (Tag.RECEIPTED_MESSAGE_ID, receipt.message_id.encode("latin-1") + b"\0"),
            (Tag.MESSAGE_STATE, bytes((receipt.state,))),
            *(((Tag.USER_MESSAGE_REFERENCE, reference),) if reference else ()),
        ),
    )
