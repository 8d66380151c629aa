"""What is in quarantine as a person sees it (masked, without any body), and what stands against its release."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.sms.addresses import mask_address
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.network_receipts import NetworkReceipt
from prikkfri.sms.routing import Party, Routes, find_route
from prikkfri.sms.sealing import KeyGone, SealBroken, Sealer
from prikkfri.sms.trail import Step

BY_MAX = 64


class HeldMessage(NamedTuple):
    message: Message
    reason: str
    held_at: float


class HeldReceipt(NamedTuple):
    receipt: NetworkReceipt
    state: str
    reason: str
    changed_at: float
    changed_by: str


class Hindrance(StrEnum):
    """Why something cannot be released."""

    TEXT_GONE = "text-gone"
    SEAL_BROKEN = "seal-broken"
    NO_ROUTE = "no-route"
    TOO_LATE = "too-late"
    FITS_NOTHING = "fits-no-message"


WHY_NOT = {
    Hindrance.TEXT_GONE: "its text is gone, since the key to it is: it can only be discarded",
    Hindrance.SEAL_BROKEN: "the seal does not open for this recipient: it can only be discarded",
    Hindrance.NO_ROUTE: "no network takes messages to this number now",
    Hindrance.TOO_LATE: "the time in which it was to be delivered is over: it can only be discarded",
    Hindrance.FITS_NOTHING: "it fits no message still",
}


@dataclass(frozen=True)
class Entry:
    """Numbers are masked; of a body nothing is here."""

    id: str
    kind: str
    """`message` or `receipt`."""
    link: str
    """Over which it was to go, or came; for a message to an account, that account."""
    held_at: float
    reason: str
    sender: str
    recipient: str
    detail: str
    """Of a message its class and who handed it in; of a receipt its id, state and error as they were told."""


@dataclass(frozen=True)
class ReleaseCheck:
    entry: Entry
    hindrance: str
    """Empty: it can be released; else why it cannot."""
    goes_to: str
    """By the routes of today, for a message."""
    steps: tuple[Step, ...] = ()
    """What has happened to a message."""


@dataclass(frozen=True)
class QuarantineResult:
    """What was done with an entry, or (`hindrance`) why it was not."""

    hindrance: str = ""


def message_entry(held: HeldMessage) -> Entry:
    message = held.message
    origin = Party.parse(message.origin)
    return Entry(
        message.id,
        "message",
        Party.parse(message.target).name,
        held.held_at,
        held.reason,
        mask_address(message.sender),
        mask_address(message.recipient),
        f"class {message.message_class}, from {origin.kind} {origin.name}",
    )


def receipt_entry(held: HeldReceipt) -> Entry:
    receipt = held.receipt
    return Entry(
        receipt.id,
        "receipt",
        receipt.link,
        held.changed_at,
        held.reason,
        mask_address(receipt.destination),
        mask_address(receipt.source),
        receipt_words(receipt),
    )


def receipt_words(receipt: NetworkReceipt) -> str:
    says = MessageState(receipt.told).name if receipt.told else f"unknown state {receipt.word or 'none'}"
    other = f" ({receipt.other_id} in its text)" if receipt.other_id else ""
    return f"id {receipt.next_hop_id or 'none'}{other}, {says}, error {receipt.error}"


def way_out(message: Message, sealer: Sealer, routes: Routes, now: float) -> Party | Hindrance:
    """Where a message goes that is released now. Its seal and the routes are read again; nothing is made up for it."""
    if message.sealed is None:
        return Hindrance.SEAL_BROKEN
    try:
        sealer.open(message.sealed, message.binding)
    except KeyGone:
        return Hindrance.TEXT_GONE
    except SealBroken:
        return Hindrance.SEAL_BROKEN
    if message.expires_at <= now:
        return Hindrance.TOO_LATE
    if Party.parse(message.origin).kind == "canary":
        return Party.parse(message.target)  # it proves that link and no other
    route = find_route(routes, message.recipient, Party.parse(message.origin))
    return route.party if route else Hindrance.NO_ROUTE


def released_step(by: str, now: float, to: Party) -> Step:
    return Step(now, "released", f"from quarantine by {by}, to {to.kind} {to.name}")


def discarded_step(by: str, now: float, held: HeldMessage) -> Step:
    return Step(now, "discarded", f"by {by}; {DeliveryState.QUARANTINED} for {held.reason} before")
