"""Delivery: what is written to the wire, and what to do about each answer. See docs/decisions for messages in doubt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from prikkfri.config import SENSITIVE_CLASSES, Account, Link
from prikkfri.errors import ProtocolError
from prikkfri.protocols.smpp.concatenation import without_parameters
from prikkfri.protocols.smpp.pdu import Command, ShortMessage, Status, Tag, encode_body
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, receipt_message
from prikkfri.protocols.smpp.times import format_absolute, format_relative
from prikkfri.sms.addresses import INTERNATIONAL, Address, Numbering, read_recipient, read_sender
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import DueReceipt, Message, reference_of
from prikkfri.sms.reading_back import ExpectedMessage, ExpectedReceipt
from prikkfri.sms.routing import Party
from prikkfri.sms.sealing import KeyGone, SealBroken, Sealer

RETRY_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0)
"""Pauses after each refusal for now; the last one repeats until the message expires."""
VALIDITY_SECONDS_MIN = 1.0
"""The shortest time for which a network can be told to try: what has less left is not sent any more."""
STATUS = "smpp-"
"""Before the status of a refusal, where it is the reason of something."""
_SUBMIT, _DELIVER = Command.SUBMIT_SM, Command.DELIVER_SM
_STATES = {int(state): state for state in MessageState}
RECONNECT_SECONDS = 0.25
RECONNECT_SECONDS_MAX = 30.0


class RefusalKind(StrEnum):
    """What a network means by a status."""

    FOR_GOOD = "for-good"
    FOR_NOW = "for-now"
    THROTTLED = "throttled"
    """We are too fast: that says nothing of the message."""


REFUSALS: Mapping[int, RefusalKind] = {
    Status.INVALID_BIND_STATUS: RefusalKind.FOR_NOW,
    Status.SYSTEM_ERROR: RefusalKind.FOR_NOW,
    Status.QUEUE_FULL: RefusalKind.FOR_NOW,
    Status.THROTTLED: RefusalKind.THROTTLED,
    Status.TEMPORARY_APPLICATION_ERROR: RefusalKind.FOR_NOW,
}
"""By the book (5.1.3). Whatever is not here is for good: trying again would get the same answer for days."""


class Misdirected(Exception):
    """The bytes for the wire are not the message that was sealed: it must not leave the house."""


class TooLate(Exception):
    """Less is left of its time than a network can be told: it is not sent, and expires."""


def is_too_late(message: Message, now: float) -> bool:
    return message.expires_at - now < VALIDITY_SECONDS_MIN


class OutgoingPdu(msgspec.Struct, frozen=True, gc=False):
    body: bytes
    wanted: ExpectedMessage | ExpectedReceipt
    """What it has to say: nobody has looked yet whether it does."""


def wire_body(
    message: Message,
    sealer: Sealer,
    party: Party,
    *,
    now: float,
    parameters: bool = True,
    absolute: bool = False,
    numbering: Numbering = INTERNATIONAL,
    encode: Callable[[ShortMessage], bytes] = encode_body,
) -> OutgoingPdu:
    """The body of the PDU that carries a message to a party. Raises Misdirected rather than guess (law 1), TooLate.

    `parameters`: whether the party takes optional ones; `absolute`: whether it is told until when a message is valid,
    rather than for how long; `numbering`: how a link's numbers are read. `encode` is not trusted: what it wrote is to
    be read back.
    """
    if Party.parse(message.target) != party:
        raise Misdirected("claimed for another party")
    recipient = read_recipient(message.recipient)
    if recipient is None or message.sealed is None:
        raise Misdirected("no recipient, or nothing sealed")
    if is_too_late(message, now):
        raise TooLate
    try:
        envelope = sealer.open(message.sealed, message.binding)
    except KeyGone:
        raise Misdirected("there is no key for it") from None
    except SealBroken:
        raise Misdirected("the seal does not open for this recipient") from None
    towards_network = party.kind == "link"
    validity = _validity(message.expires_at, now, absolute=absolute) if towards_network else ""
    tlvs = (*envelope.tlvs, (Tag.USER_MESSAGE_REFERENCE, reference_of(message.id).to_bytes(2)))
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
        validity=validity,
        tlvs=tlvs,
    )
    try:
        body = encode(outgoing if parameters else without_parameters(outgoing))
    except ProtocolError as error:
        raise Misdirected(f"cannot be encoded: {error}") from None
    return OutgoingPdu(
        body,
        ExpectedMessage(
            command=_SUBMIT if towards_network else _DELIVER,
            recipient=message.recipient,
            recipient_kind=(recipient.ton, recipient.npi),
            sender=message.sender,
            sender_kind=(envelope.sender_ton, envelope.sender_npi),
            numbering=numbering if towards_network else INTERNATIONAL,
            octets=envelope.octets,
            esm_class=envelope.esm_class,
            coding=envelope.data_coding,
            protocol_id=envelope.protocol_id,
            priority=envelope.priority,
            service_type=envelope.service_type,
            parameters=tlvs,
            takes_parameters=parameters,
            registered=int(towards_network),
            validity=validity,
        ),
    )


def _validity(expires_at: float, now: float, *, absolute: bool) -> str:
    return format_absolute(expires_at, now) if absolute else format_relative(expires_at - now)


def receipt_body(
    due: DueReceipt, *, parameters: bool = True, encode: Callable[[ShortMessage], bytes] = encode_body
) -> OutgoingPdu:
    """The body of the PDU that tells a sender what became of its submission; its text says it all.

    Raises Misdirected. `encode` is not trusted.
    """
    told = Receipt(due.id, _STATES[due.state])
    sender = read_sender(due.sender) or Address(due.sender, 0, 0)
    recipient = read_sender(due.recipient) or Address(due.recipient, 0, 0)
    reference = None if due.user_reference is None else due.user_reference.to_bytes(2)
    submitted = ShortMessage(
        source=sender.text,
        destination=recipient.text,
        source_ton=sender.ton,
        source_npi=sender.npi,
        destination_ton=recipient.ton,
        destination_npi=recipient.npi,
        tlvs=() if reference is None else ((Tag.USER_MESSAGE_REFERENCE, reference),),
    )
    receipt = receipt_message(told, submitted, submitted=due.accepted_at, done=due.ended_at)
    try:
        body = encode(receipt if parameters else without_parameters(receipt))
    except ProtocolError as error:
        raise Misdirected(f"cannot be encoded: {error}") from None
    wanted = ExpectedReceipt(
        command=_DELIVER,
        recipient=due.sender,
        recipient_kind=(sender.ton, sender.npi),
        sender=due.recipient,
        sender_kind=(recipient.ton, recipient.npi),
        message=due.id,
        state=due.state,
        reference=reference,
        takes_parameters=parameters,
    )
    return OutgoingPdu(body, wanted)


@dataclass(frozen=True)
class AttemptEnd:
    state: DeliveryState
    reason: str


@dataclass(frozen=True)
class Retry:
    due_at: float
    reason: str
    is_attempt: bool = True
    """Whether what was refused counts as an attempt."""


def status_reason(status: int) -> str:
    return f"{STATUS}{status:02x}"


def after_refusal(
    status: int, attempts: int, due_at: float, now: float, refusals: Mapping[int, RefusalKind] = REFUSALS
) -> AttemptEnd | Retry:
    """What to do about a refusal; `attempts` counts the one that was refused, `due_at` is when it was due.

    What came too fast keeps its place among those that are due: the party waits, not the message.
    """
    refused = refusals.get(status, RefusalKind.FOR_GOOD)
    if refused is RefusalKind.FOR_GOOD:
        return AttemptEnd(DeliveryState.REJECTED, status_reason(status))
    if refused is RefusalKind.THROTTLED:
        return Retry(due_at, status_reason(status), is_attempt=False)
    pause = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
    return Retry(now + pause, status_reason(status))


def at_once(room: int, window: int, binds: int) -> int:
    """How many messages one of several binds takes at once: its part of a window, so that the others get theirs."""
    return min(room, -(-window // max(binds, 1)))


def is_sent_again(doubts: int, message_class: str, origin: Account | None) -> bool:
    """Whether a message of which no word came is sent again, rather than ended and told of.

    `doubts` counts this one; `origin` None: a network handed it in.
    """
    wanted = origin is None or origin.in_doubt == "resend"
    return wanted and doubts <= 1 and message_class not in {*SENSITIVE_CLASSES, "canary"}


def refusals_of(link: Link) -> Mapping[int, RefusalKind]:
    """What a link's statuses mean: by the book, but for what its settings say."""
    return (
        dict(REFUSALS)
        | dict.fromkeys(link.refused_for_good, RefusalKind.FOR_GOOD)
        | dict.fromkeys(link.refused_for_now, RefusalKind.FOR_NOW)
        | dict.fromkeys(link.refused_when_too_fast, RefusalKind.THROTTLED)
    )


def reconnect_pause(failures: int, spread: float, *, first_seconds: float = RECONNECT_SECONDS) -> float:
    """Seconds before the next try to connect; `spread` from 0 to 1 keeps many links from coming back in step."""
    return min(first_seconds * 2.0 ** min(failures, 10), RECONNECT_SECONDS_MAX) * (0.75 + spread / 2)
