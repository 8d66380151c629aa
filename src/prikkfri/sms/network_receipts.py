"""What a network tells of a message: of which one, and how long a receipt waits that fits none yet."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.sms.intake import ReceiptDelivery
from prikkfri.sms.lifecycle import ENDED, DeliveryState
from prikkfri.sms.messages import network_state, reference_of
from prikkfri.sms.receipt_ids import ALL, Match, MismatchReason, Reading, fold, match

NO_REFERENCE = -1
HELD_OF_ONE_ID_MAX = 20
_STATES = {int(state): state for state in MessageState}
_DELIVERY_STATES = {str(state): state for state in DeliveryState}
_SEVERAL = MismatchReason.SEVERAL
_TOLD = frozenset({DeliveryState.DELIVERED, DeliveryState.UNDELIVERABLE, DeliveryState.REJECTED})
"""Ends that a network has told, and does not take back."""


class NetworkReceipt(msgspec.Struct, frozen=True, gc=False):
    """`store.NETWORK_RECEIPT` follows the order of these fields."""

    id: str
    """Sorts by the order in which they came."""
    link: str
    next_hop_id: str
    other_id: str
    """What the text says, where a parameter says something else."""
    reference: int
    """The user_message_reference, or NO_REFERENCE."""
    source: str
    destination: str
    told: int
    """The state by its number, 0: nobody knows what `word` is."""
    word: str
    error: str
    came_at: float
    due_at: float
    tries: int

    @property
    def identities(self) -> tuple[str, ...]:
        if not self.other_id:
            return (self.next_hop_id,) if self.next_hop_id else ()
        return (self.next_hop_id, self.other_id) if self.next_hop_id else (self.other_id,)

    @property
    def state(self) -> MessageState | None:
        return _STATES[self.told] if self.told else None


def as_kept(told: ReceiptDelivery, link: str, identity: str, now: float) -> NetworkReceipt:
    receipt = told.receipt
    reference = NO_REFERENCE if told.reference is None else told.reference
    return NetworkReceipt(
        identity,
        link,
        receipt.message_id,
        receipt.other_id,
        reference,
        told.recipient,
        told.sender,
        receipt.state or 0,
        receipt.word,
        receipt.error,
        now,
        now,
        0,
    )


def receipt_id(now: float, number: int, entropy: bytes) -> str:
    """Sorts by time, then by `number`, which counts on; `entropy` keeps those of two processes apart."""
    return f"r{int(now * 1000):011x}{number % 0x1000000:06x}{entropy.hex()}"


class HeldIndex:
    """Which receipts are held, by link and by the folded ids that they bear.

    Every answer of a link is looked up in it, however many are held. About 300 octets for each; of one id the first
    `HELD_OF_ONE_ID_MAX`.
    """

    def __init__(self) -> None:
        self._links: dict[str, dict[str, tuple[str, ...]]] = {}

    def __contains__(self, link: str) -> bool:
        return link in self._links

    def add(self, link: str, receipt: str, identities: Iterable[str]) -> None:
        by_key = self._links.setdefault(link, {})
        for key in {fold(each) for each in identities if each}:
            before = by_key.get(key, ())
            if receipt not in before and len(before) < HELD_OF_ONE_ID_MAX:
                by_key[key] = (*before, receipt)

    def find(self, link: str, keys: Iterable[str]) -> list[str]:
        """The receipts of a link that bear one of these folded ids, in the order in which they came."""
        by_key = self._links.get(link, {})
        return sorted({receipt for key in keys for receipt in by_key.get(key, ())})

    def remove(self, link: str, receipt: str, identities: Iterable[str]) -> None:
        by_key = self._links.get(link, {})
        for key in {fold(each) for each in identities if each}:
            left = tuple(each for each in by_key.pop(key, ()) if each != receipt)
            if left:
                by_key[key] = left
        if not by_key:
            self._links.pop(link, None)


class KnownMessage(msgspec.Struct, frozen=True, gc=False):
    """A message that a link has taken, by the folded id that it gave; `store.known` follows the order."""

    message: str
    key: str
    recipient: str
    state: str
    sent_at: float
    origin: str = ""


class IdentifiedMessage(NamedTuple):
    known: KnownMessage
    """By the id of the answer."""
    bears_it: bool
    """False: an answer to another attempt has given it another, or it had ended."""
    accepted_at: float


class ReceiptMatch(msgspec.Struct, frozen=True, gc=False):
    message: str
    state: DeliveryState
    sent_at: float
    match: Match
    origin: str = ""
    """The party that handed it in, as `kind:name`; empty: it is not known here."""

    @property
    def ended(self) -> bool:
        """What the receipt tells has been told."""
        return self.state in ENDED


def find(
    receipt: NetworkReceipt, known: Sequence[KnownMessage], ways: Sequence[Reading]
) -> ReceiptMatch | MismatchReason:
    """The message that a receipt is about. Where several fit, one that is still open goes before those that ended."""
    addresses = (receipt.source, receipt.destination)

    identities = receipt.identities
    found = match(identities, addresses, known, ways)
    if found is _SEVERAL:
        still_open = [each for each in known if _DELIVERY_STATES[each.state] not in ENDED]
        narrowed = match(identities, addresses, still_open, ways)
        if narrowed in (MismatchReason.NO_MESSAGE, MismatchReason.OTHER_NUMBER):
            over = [each for each in known if _DELIVERY_STATES[each.state] in ENDED]
            ended = max(over, key=lambda each: each.message)  # ids sort by time: the newest
            return ReceiptMatch(ended.message, _DELIVERY_STATES[ended.state], ended.sent_at, Match(ended.message, None))
        found = narrowed
    if not isinstance(found, Match):
        return found
    message = next(each for each in known if each.message == found.message)
    return ReceiptMatch(found.message, _DELIVERY_STATES[message.state], message.sent_at, found, message.origin)


def find_copy(receipt: NetworkReceipt, identified: IdentifiedMessage) -> ReceiptMatch | None:
    """The message of which a receipt is about one of several copies: sent again in doubt, it bears another's id.

    Only what agrees: that one copy was not delivered says nothing of the others.
    """
    found = find(receipt, [identified.known], ALL)
    if isinstance(found, MismatchReason):
        return None
    if found.ended:
        return None if contradiction(receipt, found) else found
    came = network_state(receipt.state) is DeliveryState.DELIVERED and found.state is not DeliveryState.WAITING
    return found if came else None


def contradiction(receipt: NetworkReceipt, found: ReceiptMatch) -> str:
    """What a receipt says of a message that has come to another end, in words for its trail; empty: it says no other.

    That its end was never told is none: what comes then is late.
    """
    state = network_state(receipt.state)
    if state is None or not found.ended or found.state in (state, DeliveryState.UNREPORTED):
        return ""
    return f"link {receipt.link} tells {state} ({receipt.error}) of its id {receipt.next_hop_id}; it was {found.state}"


def contradicts(receipt: NetworkReceipt, found: ReceiptMatch) -> bool:
    """Whether one receipt says that a message was delivered, and another that it was not."""
    told = network_state(receipt.state)
    return (
        told in _TOLD
        and found.state in _TOLD
        and (told is DeliveryState.DELIVERED) != (found.state is DeliveryState.DELIVERED)
    )


def is_named(receipt: NetworkReceipt, found: "ReceiptMatch | MismatchReason") -> bool:
    """Whether a receipt's reference is that of the message that it was found to be about by its id.

    Whoever gives one id to two messages may still echo our reference of each.
    """
    return isinstance(found, ReceiptMatch) and reference_of(found.message) == receipt.reference


def next_try(receipt: NetworkReceipt, now: float, *, soon_seconds: float, early_seconds: float) -> float:
    """When a receipt is looked at again that has just fitted nothing.

    Once soon, since an answer may be stored beside it at this moment; then, unless an answer that it waits for makes it
    due, when its time is up: to look more often would cost the more the more waits, and find nothing.
    """
    return now + soon_seconds if receipt.tries == 0 else max(now, receipt.came_at + early_seconds)
