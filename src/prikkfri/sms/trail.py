"""The trail of a message: what happened to it, step by step; never its body, numbers masked."""

from collections.abc import Sequence
from dataclasses import dataclass

from prikkfri.sms.addresses import mask_address
from prikkfri.sms.lifecycle import ENDED, DeliveryState
from prikkfri.sms.routing import Party


@dataclass(frozen=True)
class Step:
    time: float
    event: str
    detail: str = ""


@dataclass(frozen=True)
class Trail:
    id: str
    state: DeliveryState
    sender: str
    recipient: str
    account: str
    """The party that handed it in, when that is an account."""
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Facts:
    """What a message's row tells; `store.FACTS` follows the order of these fields. Times are 0 until they come."""

    id: str
    part: int
    parts: int
    origin: str
    target: str
    message_class: str
    sender: str
    recipient: str
    state: DeliveryState
    reason: str
    attempts: int
    accepted_at: float
    attempted_at: float
    sent_at: float
    ended_at: float
    expires_at: float
    receipt: str
    receipt_at: float


def _steps(facts: Facts) -> list[Step]:
    origin, target = Party.parse(facts.origin), Party.parse(facts.target)
    part = f"part {facts.part} of {facts.parts}: " if facts.parts > 1 else ""
    steps = [
        Step(
            facts.accepted_at,
            "accepted",
            f"{part}from {origin.kind} {origin.name}, class {facts.message_class}, for {target.kind} {target.name}",
        )
    ]
    if facts.attempts:
        steps.append(Step(facts.attempted_at, "attempted", f"{part}attempt {facts.attempts}"))
    if facts.sent_at:
        steps.append(Step(facts.sent_at, "sent", f"{part}taken by {target.kind} {target.name}"))
    if facts.state in ENDED:
        steps.append(Step(facts.ended_at, facts.state, part + facts.reason))
    if facts.receipt == "given":
        steps.append(Step(facts.receipt_at, "receipt-given", f"to {origin.kind} {origin.name}"))
    return steps


def build_trail(messages: Sequence[Facts], events: Sequence[Step]) -> Trail:
    """`messages`: those of one submission, at least one, in order; `events`: what else is known of them."""
    first = messages[0]
    states = [facts.state for facts in messages]
    # Of several parts the one that is furthest behind tells most; ended badly tells more than ended well.
    order = [
        DeliveryState.WAITING,
        DeliveryState.SENDING,
        DeliveryState.IN_DOUBT,
        DeliveryState.SENT,
        DeliveryState.QUARANTINED,
        DeliveryState.REJECTED,
    ]
    order += [DeliveryState.UNDELIVERABLE, DeliveryState.EXPIRED, DeliveryState.UNREPORTED, DeliveryState.DELIVERED]
    origin = Party.parse(first.origin)
    steps = [step for facts in messages for step in _steps(facts)] + list(events)
    return Trail(
        id=first.id,
        state=min(states, key=order.index),
        sender=mask_address(first.sender),
        recipient=mask_address(first.recipient),
        account=origin.name if origin.kind == "account" else "",
        steps=tuple(sorted(steps, key=lambda step: step.time)),
    )
