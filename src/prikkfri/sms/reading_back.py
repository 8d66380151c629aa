"""Whether a PDU that is about to be written is the message that was sealed, or the receipt that is due.

It is read by a parser of its own (`protocols.smpp.reading_back`), its numbers by the rule by which its reader reads
them, and compared with what stands in the store and under the seal, and not with what the encoder was given.
"""

import re
from typing import final

import msgspec

from prikkfri.protocols.smpp.reading_back import DecodedPdu, beside_text, read, text_of
from prikkfri.sms.addresses import Numbering, read_recipient

_HEADER_BIT = 0x40
_RECEIPT = 0x04
_RECEIPTED_ID, _MESSAGE_STATE, _REFERENCE = 0x001E, 0x0427, 0x0204
_STATES = {2: b"DELIVRD", 3: b"EXPIRED", 4: b"DELETED", 5: b"UNDELIV", 7: b"UNKNOWN", 8: b"REJECTD"}
_TOLD = re.compile(rb"id:(\S+) sub:\S+ dlvrd:\S+ submit date:\d+ done date:\d+ stat:([A-Z]{7}) ", re.ASCII)


class ExpectedPdu(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a PDU is to say."""

    command: int
    recipient: str
    """As it is stored."""
    recipient_kind: tuple[int, int]
    sender: str
    sender_kind: tuple[int, int]


@final
class ExpectedMessage(ExpectedPdu, frozen=True, kw_only=True, gc=False):
    numbering: Numbering
    """How its reader reads numbers."""
    octets: bytes
    """As it was sealed; so are the next."""
    esm_class: int
    coding: int
    protocol_id: int
    priority: int
    service_type: str
    parameters: tuple[tuple[int, bytes], ...]
    """And the reference, by which it is known again."""
    takes_parameters: bool
    """Whether its reader does; if not, it need not be told of any."""
    registered: int
    validity: str


@final
class ExpectedReceipt(ExpectedPdu, frozen=True, kw_only=True, gc=False):
    message: str
    """The id of which it tells."""
    state: int
    reference: bytes | None
    """The sender's own."""
    takes_parameters: bool


def difference(pdu: bytes, sequence: int, wanted: ExpectedMessage | ExpectedReceipt) -> str:
    """In what a PDU is not what it is to be; empty: in nothing."""
    found = read(pdu)
    if found is None:
        return "form"
    if found.command != wanted.command or found.status or found.sequence != sequence:
        return "header"
    if not _is_for(found, wanted) or found.destination_kind != wanted.recipient_kind:
        return "recipient"
    if found.source != wanted.sender.encode("latin-1") or found.source_kind != wanted.sender_kind:
        return "sender"
    if found.schedule or found.replaces or found.default_id:
        return "scheduling"
    return _of_message(found, wanted) if type(wanted) is ExpectedMessage else _of_receipt(found, wanted)


def _is_for(found: DecodedPdu, wanted: ExpectedMessage | ExpectedReceipt) -> bool:
    written = found.destination.decode("latin-1")
    if type(wanted) is ExpectedReceipt:
        return written == wanted.recipient  # a sender may be letters
    read_as = read_recipient(written, found.destination_kind[0], wanted.numbering)
    return read_as is not None and read_as.text == written == wanted.recipient


def _of_message(found: DecodedPdu, wanted: ExpectedMessage) -> str:
    as_sealed = (
        found.octets == wanted.octets and found.esm_class == wanted.esm_class and found.parameters == wanted.parameters
    )
    if not as_sealed and (field := _of_another_form(found, wanted)):
        return field
    if found.coding != wanted.coding:
        return "coding"
    if found.registered != wanted.registered:
        return "receipts"
    if found.validity != wanted.validity.encode("latin-1"):
        return "validity"
    same_kind = (
        found.protocol_id == wanted.protocol_id
        and found.priority == wanted.priority
        and found.service_type == wanted.service_type.encode("latin-1")
    )
    return "" if same_kind else "kind"


def _of_another_form(found: DecodedPdu, wanted: ExpectedMessage) -> str:
    """The text may travel in several forms: its octets or a parameter, a header or parameters that mark a part."""
    text = text_of(found.esm_class, found.octets, found.parameters)
    if text != text_of(wanted.esm_class, wanted.octets, wanted.parameters):
        return "text"
    # Only what marks a part may be a header in one and parameters in the other.
    marked = text.part is not None and found.esm_class ^ wanted.esm_class == _HEADER_BIT
    if found.esm_class != wanted.esm_class and not marked:
        return "class"
    parameters, sealed = beside_text(found.parameters), beside_text(wanted.parameters)
    same = parameters == sealed if wanted.takes_parameters else set(parameters) <= set(sealed)
    return "" if same else "parameters"


def _of_receipt(found: DecodedPdu, wanted: ExpectedReceipt) -> str:
    if found.esm_class != _RECEIPT or found.registered or found.validity:
        return "class"
    told, identity = _TOLD.match(found.octets), wanted.message.encode("latin-1")
    if told is None or told.groups() != (identity, _STATES.get(wanted.state, b"")):
        return "text"
    if not wanted.takes_parameters:
        return "parameters" if found.parameters else ""
    named = dict(found.parameters)
    said = (named.get(_RECEIPTED_ID), named.get(_MESSAGE_STATE), named.get(_REFERENCE))
    return "" if said == (identity + b"\0", bytes((wanted.state,)), wanted.reference) else "parameters"
