"""Delivery: what is written to the wire, and what to do about each answer. See docs/decisions for messages in doubt."""

from collections.abc import Callable
from dataclasses import dataclass

from prikkfri.errors import ProtocolError
from prikkfri.protocols.smpp.pdu import Command, ShortMessage, Status, Tag, decode_body, encode_body
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, receipt_message
from prikkfri.protocols.smpp.times import format_relative
from prikkfri.sms.addresses import Address, read_recipient, read_sender
from prikkfri.sms.lifecycle import State
from prikkfri.sms.messages import DueReceipt, Message, reference_of
from prikkfri.sms.routing import Party
from prikkfri.sms.sealing import SealBroken, Sealer

RETRY_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0)
"""Pauses after each refusal for now; the last one repeats until the message expires."""
RECONNECT_SECONDS = 0.25
RECONNECT_SECONDS_MAX = 30.0
_FOR_NOW = frozenset(
    {
        Status.SYSTEM_ERROR,
        Status.QUEUE_FULL,
        Status.THROTTLED,
        Status.TEMPORARY_APPLICATION_ERROR,
        Status.INVALID_BIND_STATUS,
    }
)


class Misdirected(Exception):
    """The bytes for the wire are not the message that was sealed: it must not leave the house."""


def wire_body(
    message: Message,
    sealer: Sealer,
    party: Party,
    *,
    now: float,
    encode: Callable[[ShortMessage], bytes] = encode_body,
) -> bytes:
    """The body of the PDU that carries a message to a party. Raises Misdirected rather than guess (law 1).

    `encode` is not trusted: what it wrote is read back.
    """
    if message.target != str(party):
        raise Misdirected("claimed for another party")
    recipient = read_recipient(message.recipient)
    if recipient is None or message.sealed is None:
        raise Misdirected("no recipient, or nothing sealed")
    try:
        envelope = sealer.open(message.sealed, message.binding)
    except SealBroken:
        raise Misdirected("the seal does not open for this recipient") from None
    towards_network = party.kind == "link"
    outgoing = ShortMessage(
        source=message.sender,
        destination=recipient.text,
        octets=envelope.octets,
        data_coding=envelope.data_coding,
        esm_class=envelope.esm_class,
        registered_delivery=int(towards_network),
        source_ton=envelope.sender_ton,
        source_npi=envelope.sender_npi,
        destination_ton=recipient.ton,
        destination_npi=recipient.npi,
        service_type=envelope.service_type,
        protocol_id=envelope.protocol_id,
        priority=envelope.priority,
        validity=format_relative(message.expires_at - now) if towards_network else "",
        tlvs=(*envelope.tlvs, (Tag.USER_MESSAGE_REFERENCE, reference_of(message.id).to_bytes(2))),
    )
    try:
        body = encode(outgoing)
        read_back = decode_body(Command.SUBMIT_SM, body)
    except ProtocolError as error:
        raise Misdirected(f"cannot be encoded: {error}") from None
    if read_back != outgoing or read_back.destination != message.recipient:
        raise Misdirected("the bytes read back differ from the message")
    return body


def receipt_body(due: DueReceipt) -> bytes:
    """The body of the PDU that tells a sender what became of its submission."""
    told = Receipt(due.id, MessageState(due.state))
    sender = read_sender(due.sender) or Address(due.sender, 0, 0)
    recipient = read_sender(due.recipient) or Address(due.recipient, 0, 0)
    submitted = ShortMessage(
        source=sender.text,
        destination=recipient.text,
        source_ton=sender.ton,
        source_npi=sender.npi,
        destination_ton=recipient.ton,
        destination_npi=recipient.npi,
        tlvs=() if due.user_reference is None else ((Tag.USER_MESSAGE_REFERENCE, due.user_reference.to_bytes(2)),),
    )
    return encode_body(receipt_message(told, submitted, submitted=due.accepted_at, done=due.ended_at))


@dataclass(frozen=True)
class Ended:
    state: State
    reason: str


@dataclass(frozen=True)
class Retry:
    due_at: float
    reason: str


def status_reason(status: int) -> str:
    return f"smpp-{status:02x}"


def after_refusal(status: int, attempts: int, now: float) -> Ended | Retry:
    """What to do about a refusal; `attempts` counts the one that was refused."""
    if status not in _FOR_NOW:
        return Ended(State.REJECTED, status_reason(status))
    pause = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
    return Retry(now + pause, status_reason(status))


def at_once(room: int, window: int, binds: int) -> int:
    """How many messages one of several binds takes at once: its part of a window, so that the others get theirs."""
    return min(room, -(-window // max(binds, 1)))


def reconnect_pause(failures: int, spread: float, *, first_seconds: float = RECONNECT_SECONDS) -> float:
    """Seconds before the next try to connect; `spread` from 0 to 1 keeps many links from coming back in step."""
    return min(first_seconds * 2.0 ** min(failures, 10), RECONNECT_SECONDS_MAX) * (0.75 + spread / 2)
