"""What a message handed in shall become: accepted, or refused by a status and a reason."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import msgspec
from msgspec import structs

from prikkfri.config import SHORT_CODE_DIGITS_MAX
from prikkfri.errors import LocalProtocolError, RemoteProtocolError
from prikkfri.protocols.smpp import concatenation
from prikkfri.protocols.smpp.pdu import SHORT_MESSAGE_OCTETS_MAX, ShortMessage, Status, Tag
from prikkfri.protocols.smpp.receipt import REGISTERED_ANY
from prikkfri.protocols.smpp.text import DataCoding, encode_text
from prikkfri.protocols.smpp.times import parse_time
from prikkfri.sms import transit
from prikkfri.sms.addresses import (
    INTERNATIONAL,
    RECIPIENT_TONS,
    SENDER_TONS,
    Address,
    Numbering,
    read_recipient,
    read_sender,
)
from prikkfri.sms.messages import Message
from prikkfri.sms.routing import Party, Routes, find_route
from prikkfri.sms.sealing import Binding, Envelope, Sealer

TEXT_LETTERS_MAX = 4_000
_ESM_CLASS_MODE = 0x03
_STORED_MODES = frozenset({0x00, 0x03})
"""Store and forward, by default or said: what is handed in is ours to deliver. Datagram (1) and transaction (2) are
other promises (5.2.12)."""
_ESM_CLASS_KEPT = 0xC0  # user data header and reply path; the rest is between the sender and us
_OURS_TO_SET = frozenset({Tag.MESSAGE_PAYLOAD, Tag.USER_MESSAGE_REFERENCE, Tag.RECEIPTED_MESSAGE_ID, Tag.MESSAGE_STATE})

_REFERENCE_OCTETS = 2
_PART_TAGS = frozenset({Tag.SAR_REFERENCE, Tag.SAR_TOTAL, Tag.SAR_SEQUENCE})


@dataclass(frozen=True)
class Refusal:
    status: Status
    reason: str


@dataclass(frozen=True)
class Doubt:
    """Whether a message was taken on nobody can tell yet."""

    message: str
    """The id that it has if it was."""


class TokenBucket(msgspec.Struct, frozen=True, gc=False):
    """How much a party may still do: filled by its rate, at most one second's worth, or `burst` if that is more."""

    tokens: float
    at: float

    def take(self, rate: float, now: float, *, burst: float = 1.0) -> "TokenBucket | None":
        """The bucket with one token less, None when it is empty."""
        tokens = min(self.tokens + max(now - self.at, 0.0) * rate, max(rate, burst))
        return TokenBucket(tokens - 1.0, now) if tokens >= 1.0 else None

    def seconds_until_token(self, rate: float, now: float) -> float:
        """How long until there is one."""
        return max((1.0 - self.tokens) / rate - (now - self.at), 0.0) if rate > 0 else 3_600.0


class Rules(msgspec.Struct, frozen=True):
    """What holds for the party that hands in."""

    party: Party
    routes: Routes
    full: frozenset[Party] = frozenset()
    """Parties for whom no more may wait."""
    message_class: str = "ordinary"
    senders: tuple[str, ...] | None = None
    """None: any."""
    validity_seconds_max: float = 259_200.0
    life_seconds_max: float = math.inf
    """From when it is due: what a sensitive message says is of no use for long, and does harm for longer."""
    throughput_per_second_max: float = 1e9
    ascii_is_gsm: bool = False
    """Whether octets under data_coding 1 are of the GSM alphabet in truth."""
    numbering: Numbering = INTERNATIONAL
    ucs2_little: bool = False
    """Whether it writes the low octet of UCS-2 first."""


class AcceptedSubmission(msgspec.Struct, frozen=True, gc=False):
    """A submission that may be stored: one envelope for each message."""

    target: Party
    sender: Address
    recipient: Address
    envelopes: tuple[Envelope, ...]
    registered: int
    due_at: float
    expires_at: float
    user_reference: int | None = None


def text_message(sender: str, recipient: str, text: str) -> ShortMessage | Refusal:
    """A text handed in by other ways than SMPP, as if it had come by it; its trail tells what became of it."""
    if not text or len(text) > TEXT_LETTERS_MAX:
        return Refusal(Status.INVALID_MESSAGE_LENGTH, "text-length")
    try:
        coding, octets = encode_text(text)
    except UnicodeEncodeError:
        return Refusal(Status.INVALID_MESSAGE_LENGTH, "not-text")
    return ShortMessage(sender, recipient, data_coding=coding, tlvs=((Tag.MESSAGE_PAYLOAD, octets),))


def decide(
    message: ShortMessage, rules: Rules, *, reference: Callable[[str, str, concatenation.Part | None], int], now: float
) -> AcceptedSubmission | Refusal:
    """`reference` is asked, by sender and recipient, what marks the parts of a text: of that of which this is a part,
    or (None) of one that has to be split. From 256 on it has 16 bits."""
    if rules.party.kind == "account" and (asked_too_much := _unsupported(message)):
        return asked_too_much
    recipient = _recipient(message, rules)
    if isinstance(recipient, Refusal):
        return recipient
    sender = _sender(message, rules)
    if isinstance(sender, Refusal):
        return sender
    if reason := transit.refused(message, rules.routes, rules.party, recipient.text):
        return Refusal(transit.STATUSES[reason], reason)
    route = find_route(rules.routes, recipient.text, rules.party)
    if route is None:
        return Refusal(Status.INVALID_DESTINATION, "no-route")
    if route.party in rules.full:
        return Refusal(Status.QUEUE_FULL, "queue-full")
    try:
        due_at = parse_time(message.schedule, now) or now
    except RemoteProtocolError:
        return Refusal(Status.INVALID_SCHEDULE, "bad-schedule")
    try:
        asked = parse_time(message.validity, now)
    except RemoteProtocolError:
        return Refusal(Status.INVALID_VALIDITY, "bad-validity")
    latest = min(now + rules.validity_seconds_max, max(due_at, now) + rules.life_seconds_max)
    expires_at = min(asked or latest, latest)
    if expires_at <= max(now, due_at):
        return Refusal(Status.INVALID_VALIDITY, "expires-before-due")
    if rules.ascii_is_gsm and message.data_coding == DataCoding.ASCII:
        message = structs.replace(message, data_coding=int(DataCoding.GSM))
    envelopes = _envelopes(message, sender, partial(reference, sender.text, recipient.text))
    if isinstance(envelopes, Refusal):
        return envelopes
    registered = message.registered_delivery & REGISTERED_ANY
    told = message.tlv(Tag.USER_MESSAGE_REFERENCE)
    reference_told = int.from_bytes(told) if told and len(told) <= _REFERENCE_OCTETS else None
    return AcceptedSubmission(route.party, sender, recipient, envelopes, registered, due_at, expires_at, reference_told)


def _unsupported(message: ShortMessage) -> Refusal | None:
    """What an account may ask for by the book and we do not do; to take the message on all the same would be a lie."""
    if message.esm_class & _ESM_CLASS_MODE not in _STORED_MODES:
        return Refusal(Status.INVALID_ESM_CLASS, "no-such-mode")
    if message.replace_if_present:
        return Refusal(Status.INVALID_REPLACE_FLAG, "no-replacing")
    if message.default_message_id:
        return Refusal(Status.INVALID_DEFAULT_MESSAGE, "no-default-message")
    if message.octets and message.tlv(Tag.MESSAGE_PAYLOAD):  # 4.4.1: of two texts one would be lost
        return Refusal(Status.INVALID_MESSAGE_LENGTH, "two-texts")
    return None


def _recipient(message: ShortMessage, rules: Rules) -> Address | Refusal:
    text, ton = message.destination, message.destination_ton
    if ton not in RECIPIENT_TONS:
        return Refusal(Status.INVALID_DESTINATION_TON, "bad-recipient")
    # Somebody's short code is that, although a phone of the region may have the same few digits.
    numbering = INTERNATIONAL if text in rules.routes.short_codes else rules.numbering
    return read_recipient(text, ton, numbering) or Refusal(Status.INVALID_DESTINATION, "bad-recipient")


def _sender(message: ShortMessage, rules: Rules) -> Address | Refusal:
    if message.source_ton not in SENDER_TONS:
        return Refusal(Status.INVALID_SOURCE_TON, "bad-sender")
    numbering = INTERNATIONAL if message.source in rules.routes.short_codes else rules.numbering
    sender = read_sender(message.source, message.source_ton, numbering)
    if sender is None or (rules.senders is not None and sender.text not in _names(rules.senders, rules.numbering)):
        return Refusal(Status.INVALID_SOURCE, "bad-sender")
    return sender


@lru_cache(maxsize=1_024)
def _names(senders: tuple[str, ...], numbering: Numbering) -> frozenset[str]:
    """What senders may be called who were named, in the form in which a sender is read."""
    read = [read_sender(name, 0, numbering) for name in senders]
    short = {name for name in senders if len(name) <= SHORT_CODE_DIGITS_MAX}
    return frozenset(short | {address.text for address in read if address})


def _envelopes(
    message: ShortMessage, sender: Address, reference: Callable[[concatenation.Part | None], int]
) -> tuple[Envelope, ...] | Refusal:
    try:
        part, _ = concatenation.read_part(message)
    except RemoteProtocolError:
        return Refusal(Status.INVALID_ESM_CLASS, "bad-header")
    pieces: tuple[bytes, ...] = ()
    if part is not None and (marked := reference(part)) != part.reference:
        if part.wide or marked < concatenation.REFERENCES:
            message = concatenation.with_reference(message, marked)
        else:
            pieces = concatenation.cut_anew(message, marked)
    octets = concatenation.payload(message)
    dropped = _OURS_TO_SET if part is not None else _OURS_TO_SET | _PART_TAGS
    whole = Envelope(
        octets,
        message.data_coding,
        message.esm_class & _ESM_CLASS_KEPT,
        sender.ton,
        message.source_npi or sender.npi,
        message.protocol_id,
        message.priority,
        message.service_type,
        tuple(tlv for tlv in message.tlvs if tlv[0] not in dropped) if message.tlvs else (),
    )
    has_header = message.esm_class & concatenation.ESM_CLASS_HEADER
    is_one = part is not None or has_header or concatenation.fits_one(octets, message.data_coding)
    if is_one and len(octets) > SHORT_MESSAGE_OCTETS_MAX:
        return Refusal(Status.INVALID_MESSAGE_LENGTH, "too-long")
    if is_one and not pieces:
        return (whole,)
    if not is_one:
        marked = reference(None)
        try:
            pieces = concatenation.split(octets, message.data_coding, marked, wide=marked >= concatenation.REFERENCES)
        except LocalProtocolError:
            return Refusal(Status.INVALID_MESSAGE_LENGTH, "too-long")
    return tuple(
        structs.replace(whole, octets=piece, esm_class=whole.esm_class | concatenation.ESM_CLASS_HEADER)
        for piece in pieces
    )


class Order:
    """Places in the order of acceptance, as moments at which messages are due: what shares a moment keeps its order.

    What is due later keeps its place too, as the moment at which it was accepted. A place lies up to `EARLY_SECONDS`
    before its moment, so that nothing waits for it; places are `STEP_SECONDS` apart, which a float of seconds since
    1970 still tells apart.
    """

    EARLY_SECONDS = 0.01
    STEP_SECONDS = 5e-7

    def __init__(self) -> None:
        self._last = 0.0

    def place(self, now: float) -> float:
        first, following = now - self.EARLY_SECONDS, self._last + self.STEP_SECONDS
        # A clock that was put back begins anew, as does what comes more than 20,000 times at one moment.
        self._last = following if first <= following <= now else first
        return self._last


def sealed_messages(
    accepted: Iterable[tuple[str, AcceptedSubmission, Sequence[bytes]]],
    rules: Rules,
    *,
    sealer: Sealer,
    order: Order,
    now: float,
) -> list[Message]:
    """The messages to store of what was accepted.

    With each the id that its sender is given, and one fresh nonce for each of its envelopes.
    """
    origin, message_class = str(rules.party), rules.message_class
    placed = [
        (identity, submission, number, envelope, nonce, place)
        for identity, submission, nonces in accepted
        for place in (order.place(now),)
        for number, (envelope, nonce) in enumerate(zip(submission.envelopes, nonces, strict=True), 1)
    ]
    bindings = [
        Binding(
            identity if number == 1 else f"{identity}-{number}",
            origin,
            submission.sender.text,
            submission.recipient.text,
            number,
            submission.expires_at,
            message_class,
        )
        for identity, submission, number, *_ in placed
    ]
    sealed = [
        sealer.seal(envelope, binding, nonce)
        for binding, (_, _, _, envelope, nonce, _) in zip(bindings, placed, strict=True)
    ]
    return [
        Message(
            id=binding.message_id,
            submission=identity,
            part=number,
            parts=len(submission.envelopes),
            origin=origin,
            target=str(submission.target),
            message_class=message_class,
            sender=binding.sender,
            recipient=binding.recipient,
            sealed=octets,
            registered=submission.registered,
            accepted_at=place + Order.EARLY_SECONDS,
            due_at=submission.due_at if submission.due_at > now else place,
            expires_at=submission.expires_at,
            user_reference=submission.user_reference,
        )
        for (identity, submission, number, _, _, place), binding, octets in zip(placed, bindings, sealed, strict=True)
    ]
