"""What a batch of a party's events comes to, before anything of it is stored or answered."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import compress

import msgspec

from prikkfri.errors import RemoteProtocolError
from prikkfri.journal import Outcome
from prikkfri.protocols.smpp.byte_order import high_octet_first
from prikkfri.protocols.smpp.concatenation import REFERENCES, Part, PartReferences, References
from prikkfri.protocols.smpp.pdu import NOTHING, Body, Command, MessageResponse, ShortMessage, Status, Tag
from prikkfri.protocols.smpp.receipt import FINAL, Receipt, is_marked, is_receipt, parse_receipt
from prikkfri.protocols.smpp.session import (
    LOST,
    OUT_OF_BOUNDS,
    Event,
    PeerResponse,
    Request,
    ResponseTimeout,
    SessionEnd,
    UnreadableResponse,
)
from prikkfri.sms import outcomes
from prikkfri.sms.delivery import REFUSALS, RefusalKind, Retry, after_refusal, status_reason
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.loops import Turns
from prikkfri.sms.messages import DueReceipt, Message, message_id
from prikkfri.sms.sealing import NONCE_OCTETS, Sealer
from prikkfri.sms.submission import AcceptedSubmission, Order, Refusal, Rules, TokenBucket, decide, sealed_messages
from prikkfri.sms.trail import Step
from prikkfri.sms.transit import LOOP, STATUSES
from prikkfri.sms.trust.wrong_numbers import NOTHING_HEARD, BatchHints, ComplaintRules, note_hints

ID_ENTROPY_OCTETS = 5
_DRAWN_OCTETS = ID_ENTROPY_OCTETS + NONCE_OCTETS
"""Of chance, for each message: its id's, then the nonce of its first envelope."""
ENDED_TWICE = "ended-its-session-twice"


_OK = Status.OK
_TOLD_BY = (Command.DELIVER_SM, Command.DATA_SM)


class ReceiptDelivery(msgspec.Struct, frozen=True, gc=False):
    """A network's receipt: what became of a message."""

    request: Request
    receipt: Receipt
    recipient: str
    """Whom the message went to, says the network; some swap the two."""
    sender: str
    """Empty where the network's own mark is missing."""
    reference: int | None
    """The user_message_reference, where the network gives it back."""


class BatchContext(msgspec.Struct, frozen=True):
    """What reading a batch needs beside the events."""

    rules: Rules
    sealer: Sealer
    partners: outcomes.Partners
    entropy: Callable[[int], bytes]
    """So many random octets."""
    now: float
    is_away: Callable[[str], bool]
    """Whether a party, as text, is an account for which nobody takes messages just now."""
    references: References = msgspec.field(default_factory=References)
    part_references: PartReferences = msgspec.field(default_factory=PartReferences)
    turns: Turns = msgspec.field(default_factory=Turns)
    order: Order = msgspec.field(default_factory=Order)
    listening: ComplaintRules = NOTHING_HEARD
    """What of that which networks hand in hints at misdelivery."""
    refusals: Mapping[int, RefusalKind] = msgspec.field(default_factory=lambda: REFUSALS)
    """What the party's statuses mean."""


class HeardResponses(msgspec.Struct, kw_only=True):
    """What a party's answers come to."""

    sent: list[tuple[str, str]] = []
    """(message id, the id that the next hop gave it)."""
    put_off: list[tuple[str, Retry]] = []
    ended: list[tuple[str, DeliveryState, str]] = []


class BatchResult(HeardResponses):
    bucket: TokenBucket
    messages: list[Message] = []
    outcomes: list[Outcome] = []
    answers: list[tuple[Request, Status, Body]] = []
    """To be given when all else here is stored."""
    told: list[ReceiptDelivery] = []
    late: HeardResponses = msgspec.field(default_factory=HeardResponses)
    """The same of answers that came when nobody waited for them any more."""
    late_claims: dict[str, float] = {}
    """By message when that had been claimed of which such an answer speaks."""
    in_doubt: list[str] = []
    ended_session: list[str] = []
    """Of those in doubt the one by which the peer may have ended the session: it is the first without an answer."""
    receipts_given: list[str] = []
    receipts_put_off: list[str] = []
    events: list[tuple[str, Step]] = []
    refused: int = 0
    turned_back: list[str] = []
    """Why, of each message of a network that is not sent on: the reasons of `transit`."""
    taken: int = 0
    """How many of ours the party took: messages and receipts."""
    throttled: bool = False
    """The party asked us to slow down."""
    receipts: list[Receipt] = []
    """All that came, those of messages still on their way too."""
    receipts_unnamed: int = 0
    """Of which message they tell nobody can say."""
    heard: BatchHints = msgspec.field(default_factory=BatchHints)
    """What hints at misdelivery."""
    unbind: Request | None = None
    over: SessionEnd | None = None

    @property
    def taken_late(self) -> set[str]:
        """Messages that were taken, as an answer tells for which nobody waited any more."""
        delivered = (message for message, state, _ in self.late.ended if state is DeliveryState.DELIVERED)
        return {*(message for message, _ in self.late.sent), *delivered}


def read_events(events: Sequence[Event], bucket: TokenBucket, batch: BatchContext) -> BatchResult:
    intake = BatchResult(bucket)
    submitted: list[tuple[Request, ShortMessage]] = []
    told: list[tuple[Request, ShortMessage]] = []
    for event in events:
        if type(event) is Request:  # not `isinstance`: that a struct is none of several kinds is slow to find out
            body = event.body
            if isinstance(body, ShortMessage):
                message = high_octet_first(body, little=batch.rules.ucs2_little)
                is_told = event.command in _TOLD_BY and is_receipt(message)
                (told if is_told else submitted).append((event, message))
            elif event.command == Command.UNBIND:
                intake.unbind = event
            else:  # a bind when bound; the session lets none through
                intake.answers.append((event, Status.ALREADY_BOUND, NOTHING))
        elif type(event) is PeerResponse:
            context = event.context
            if type(context) is Message:
                heard = intake.late if event.late else intake
                _read_answer(intake, heard, context, event.status, event.body, batch)
                if event.late:
                    intake.late_claims[context.id] = context.attempted_at
            elif type(context) is DueReceipt:
                _read_receipt_answer(intake, context, event.status, batch)
        elif isinstance(event, ResponseTimeout):
            _doubt(intake, event.context, batch, "no answer in time")
        elif isinstance(event, UnreadableResponse):
            _doubt(intake, event.context, batch, "an answer that cannot be read")
        elif isinstance(event, SessionEnd):
            intake.over, reason = event, event.reason
            for number, context in enumerate(event.in_doubt):
                _doubt(intake, context, batch, reason, ended_it=number == 0 and reason in (LOST, OUT_OF_BOUNDS))
    for request, message in told:
        _read_receipt(intake, request, message, batch)
    if submitted:
        _read_messages(intake, submitted, batch)
    return intake


def _read_messages(intake: BatchResult, submitted: list[tuple[Request, ShortMessage]], batch: BatchContext) -> None:
    if batch.rules.party.kind == "link":
        hinting = [note_hints(intake.heard, message, batch.rules, batch.listening) for _, message in submitted]
        for request, _ in compress(submitted, hinting):
            intake.answers.append((request, _OK, MessageResponse()))
        submitted = [each for each, hints in zip(submitted, hinting, strict=True) if not hints]
    answers = hand_in(intake, [message for _, message in submitted], batch)
    for (request, _), (status, identity) in zip(submitted, answers, strict=True):
        intake.answers.append((request, status, MessageResponse(identity)))


def hand_in(intake: BatchResult, messages: Sequence[ShortMessage], batch: BatchContext) -> list[tuple[Status, str]]:
    """Takes messages on or refuses them: of each the status and the id for the sender (empty when refused).

    Each step is taken for all before the next: a machine that goes through all steps for one message forgets them
    before it comes to the next message, and takes half as long again.
    """
    rules, now = batch.rules, batch.now
    drawn = batch.entropy(_DRAWN_OCTETS * len(messages))
    chance = [drawn[start : start + _DRAWN_OCTETS] for start in range(0, len(drawn), _DRAWN_OCTETS)]
    decisions = _decide(intake, messages, chance, batch)
    identities = [message_id(now, each[:ID_ENTROPY_OCTETS]) for each in chance]
    accepted = [
        (identity, decision, [each[ID_ENTROPY_OCTETS:], *[batch.entropy(NONCE_OCTETS) for _ in decision.envelopes[1:]]])
        for decision, identity, each in zip(decisions, identities, chance, strict=True)
        if not isinstance(decision, Refusal)
    ]
    stored = sealed_messages(accepted, rules, sealer=batch.sealer, order=batch.order, now=now)
    intake.messages += stored
    reasons = [decision.reason if isinstance(decision, Refusal) else "" for decision in decisions]
    told = {
        reason: outcomes.submitted(rules.party, rules.message_class, batch.partners, reason=reason, now=now)
        for reason in set(reasons)
    }
    intake.outcomes += [told[reason] for reason in reasons]
    away = set(filter(batch.is_away, {message.target for message in stored}))
    intake.outcomes += [
        outcomes.asked(message, batch.partners, now=now, bound=message.target not in away)
        for message in stored
        if message.part == 1
    ]
    refusals = [decision for decision in decisions if isinstance(decision, Refusal)]
    intake.refused += len(refusals)
    intake.turned_back += [refusal.reason for refusal in refusals if refusal.reason in STATUSES]
    return [
        (decision.status, "") if isinstance(decision, Refusal) else (_OK, identity)
        for decision, identity in zip(decisions, identities, strict=True)
    ]


def _decide(
    intake: BatchResult, messages: Sequence[ShortMessage], chance: Sequence[bytes], batch: BatchContext
) -> list[AcceptedSubmission | Refusal]:
    rules, now = batch.rules, batch.now
    decisions: list[AcceptedSubmission | Refusal] = []
    for message, each in zip(messages, chance, strict=True):
        left = intake.bucket.take(rules.throughput_per_second_max, now)
        if left is None:
            decisions.append(Refusal(Status.THROTTLED, "throttled"))
        else:
            intake.bucket = left
            reference = partial(_reference, batch, each[0])
            decisions.append(decide(message, rules, reference=reference, now=now))
    if rules.party.kind == "link":
        return [_once_more(decision, message, batch) for decision, message in zip(decisions, messages, strict=True)]
    return decisions


def _reference(batch: BatchContext, first: int, sender: str, recipient: str, part: Part | None) -> int:
    """What marks the parts of a text: what its sender has chosen unless a phone would mix it with another's."""
    party, now = batch.rules.party, batch.now
    if part is not None:
        chosen = part.reference
        return batch.part_references.of(party.name, sender, recipient, part, now) if party.kind == "account" else chosen
    apart = batch.part_references.apart(now)
    for _ in range(REFERENCES):
        reference = apart + batch.references.next(sender, recipient, first=first)
        if batch.part_references.takes(sender, recipient, reference, now):
            break
    return reference


def _once_more(
    decision: AcceptedSubmission | Refusal, message: ShortMessage, batch: BatchContext
) -> AcceptedSubmission | Refusal:
    """What came from a network and is to go to one goes only so often: else it is a loop that no link can see."""
    if isinstance(decision, Refusal) or decision.target.kind == "account":
        return decision
    goes = batch.turns.take(decision.sender.text, decision.recipient.text, message, batch.now)
    return decision if goes else Refusal(STATUSES[LOOP], LOOP)


def _read_receipt(intake: BatchResult, request: Request, message: ShortMessage, batch: BatchContext) -> None:
    try:
        receipt = parse_receipt(message)
    except RemoteProtocolError:
        intake.receipts_unnamed += 1
        intake.answers.append((request, Status.PERMANENT_APPLICATION_ERROR, MessageResponse()))
        return
    intake.receipts.append(receipt)
    if receipt.state is not None and receipt.state not in FINAL:
        intake.answers.append((request, Status.OK, MessageResponse()))  # still on its way: nothing to settle
        return
    reference = message.tlv(Tag.USER_MESSAGE_REFERENCE)
    intake.told.append(
        ReceiptDelivery(
            request,
            receipt,
            # As it is written: a partner abroad writes its own country's numbers without the code, and not ours.
            message.source,
            # A person who writes a receipt by hand chooses whom it goes to, and not whom it comes from.
            message.destination if is_marked(message) else "",
            int.from_bytes(reference) if reference else None,
        )
    )


def _read_answer(
    intake: BatchResult, heard: HeardResponses, message: Message, status: int, body: Body, batch: BatchContext
) -> None:
    """`heard`: to which it is added what becomes of the message."""
    if status == _OK:
        intake.taken += 1
        if message.target.startswith("account:"):
            heard.ended.append((message.id, DeliveryState.DELIVERED, ""))
        else:
            heard.sent.append((message.id, body.message_id if isinstance(body, MessageResponse) else ""))
            _hand_over(intake, message, batch)
        return
    intake.throttled |= batch.refusals.get(status) is RefusalKind.THROTTLED
    decision = after_refusal(status, message.attempts, message.due_at, batch.now, batch.refusals)
    if isinstance(decision, Retry):
        heard.put_off.append((message.id, decision))
        intake.events.append((message.id, Step(batch.now, "refused-for-now", decision.reason)))
    else:
        heard.ended.append((message.id, decision.state, decision.reason))


def _read_receipt_answer(intake: BatchResult, receipt: DueReceipt, status: int, batch: BatchContext) -> None:
    if status == _OK:
        intake.taken += 1
        intake.receipts_given.append(receipt.id)
        return
    intake.throttled |= batch.refusals.get(status) is RefusalKind.THROTTLED
    if isinstance(after_refusal(status, 1, batch.now, batch.now, batch.refusals), Retry):
        intake.receipts_put_off.append(receipt.id)
    else:
        intake.receipts_given.append(receipt.id)  # it has been told, and does not want to know
        intake.events.append((receipt.id, Step(batch.now, "receipt-refused", status_reason(status))))


def _hand_over(intake: BatchResult, message: Message, batch: BatchContext, reason: str = "") -> None:
    if message.goes_to_network:
        intake.outcomes.append(outcomes.handed_over(message, batch.partners, reason=reason))


def _doubt(intake: BatchResult, context: object, batch: BatchContext, reason: str, *, ended_it: bool = False) -> None:
    """`ended_it`: what the peer may have ended the session by. Nothing ends a third one."""
    if isinstance(context, Message):
        intake.events.append((context.id, Step(batch.now, "in-doubt", reason)))
        _hand_over(intake, context, batch, "in-doubt")
        if ended_it and context.sessions_ended:
            intake.ended.append((context.id, DeliveryState.QUARANTINED, ENDED_TWICE))
            return
        intake.in_doubt.append(context.id)
        if ended_it:
            intake.ended_session.append(context.id)
    elif isinstance(context, DueReceipt):
        intake.receipts_put_off.append(context.id)  # to hear of it twice does no harm
