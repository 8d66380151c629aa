"""The delivery receipt: what became of a message, carried in a `deliver_sm` (4.6.1, 5.3.2.35, appendix B).

The parameters receipted_message_id and message_state count where present; else the text is read, whose layout the
specification calls typical and each network varies.
"""

import re
from enum import IntEnum

import msgspec

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.pdu import ShortMessage, Tag
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
_STATES = {word: state for state, word in _WORDS.items()}
FINAL = frozenset(_WORDS) - {MessageState.ENROUTE, MessageState.ACCEPTED}


class Receipt(msgspec.Struct, frozen=True, gc=False):
    message_id: str
    state: MessageState
    error: str = "000"
    """The network's own three letters or digits for what went wrong."""


_TEXT_BODY = re.compile(rb"\btext:.*", re.IGNORECASE | re.DOTALL)
_TEXT_ID = re.compile(rb"\bid:([^ ]{1,64})", re.IGNORECASE)
_TEXT_STATE = re.compile(rb"\bstat:([A-Z]{1,8})\b", re.IGNORECASE)
_TEXT_ERROR = re.compile(rb"\berr:([0-9A-Z]{1,3})\b", re.IGNORECASE)


def is_receipt(message: ShortMessage) -> bool:
    return message.esm_class & _ESM_CLASS_TYPE == _ESM_CLASS_RECEIPT


def parse_receipt(message: ShortMessage) -> Receipt:
    """Raises RemoteProtocolError when neither parameters nor text say which message and what became of it."""
    told = _TEXT_BODY.sub(b"", message.octets)  # the first words of the message itself say nothing of its end
    identity = message.tlv(Tag.RECEIPTED_MESSAGE_ID)
    if identity is not None:
        identity = identity.partition(b"\0")[0]
    elif found := _TEXT_ID.search(told):
        identity = found[1]
    state_octet = message.tlv(Tag.MESSAGE_STATE)
    state = None
    if state_octet is not None and len(state_octet) == 1 and 1 <= state_octet[0] <= 8:
        state = MessageState(state_octet[0])
    elif found := _TEXT_STATE.search(told):
        state = _STATES.get(found[1].decode("ascii").upper())
    if not identity or len(identity) > 64 or state is None:
        raise RemoteProtocolError("a receipt without message id or state")
    error = _TEXT_ERROR.search(told)
    return Receipt(identity.decode("latin-1"), state, error[1].decode("ascii") if error else "000")


def format_receipt(receipt: Receipt, *, submitted: float, done: float) -> bytes:
    """The text of appendix B; `Text:` stays empty, since a body is for its recipient alone. Times in seconds UTC."""
    delivered = int(receipt.state is MessageState.DELIVERED)
    return (
        f"id:{receipt.message_id} sub:001 dlvrd:{delivered:03} submit date:{format_minute(submitted)} "
        f"done date:{format_minute(done)} stat:{_WORDS[receipt.state]} err:{receipt.error} Text:"
    ).encode("latin-1")


def receipt_message(receipt: Receipt, message: ShortMessage, *, submitted: float, done: float) -> ShortMessage:
    """The `deliver_sm` that tells the sender of `message` what became of it; its user_message_reference comes back."""
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
