"""What became of one canary.

Theory of operation. A network that hands messages to wrong phones tells us that it has delivered them. The only one
who knows better is the phone. So we send messages to phones of our own, each with a token that only it carries, and
the phones tell which tokens they got. A canary says that messages go astray when its token turns up on another phone,
or when the network says "delivered" while its phone, which we hear from, has nothing. All else (lost, refused, late,
no receipt) is trouble of another kind, and nobody's privacy. What the canaries of a route come to is told by
`trust.evidence`.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from prikkfri.sms.lifecycle import ENDED, DeliveryState

SILENT_GRACES = 3.0
"""A phone from which nothing is heard for so many grace times says nothing about the way."""


class Verdict(StrEnum):
    ARRIVED = "arrived"
    LATE = "late"
    WRONG_PHONE = "wrong-phone"
    MISSING = "not-on-its-phone"
    """The network says that it was delivered; its phone, which we hear from, has nothing."""
    LOST = "lost"
    """Neither on its phone nor said to be delivered."""
    REFUSED = "refused"
    """The network said that it did not deliver it."""
    UNSENT = "unsent"
    """No network ever took it."""
    UNTOLD = "untold"
    """Its phone is not heard from: nothing is known."""


ASTRAY = frozenset({Verdict.WRONG_PHONE, Verdict.MISSING})


@dataclass(frozen=True)
class Canary:
    """A canary as it is known; times are 0 until they come."""

    token: str
    message: str
    link: str
    phone: str
    """Digits, as on the wire."""
    state: DeliveryState
    """What the network has told, as with any message."""
    attempted_at: float
    sent_at: float
    ended_at: float
    arrived_at: float
    """When its own phone told that it had it."""
    stray_at: float
    """When another phone told that."""
    verdict: str = ""
    """Empty until it is decided."""


@dataclass(frozen=True)
class JudgedCanary:
    canary: Canary
    verdict: Verdict
    receipted: bool
    """Whether the network told of its delivery."""


def judge(
    canary: Canary, heard_at: float, *, grace_seconds: float, now: float, receipted_seconds: float = inf
) -> JudgedCanary | None:
    """What became of a canary; None while that is open. `heard_at`: when its phone was last heard from.

    `receipted_seconds`: what the network says is delivered is on its phone already, and only our hearing of it takes
    time.
    """
    receipted = canary.state is DeliveryState.DELIVERED
    if canary.stray_at:
        return JudgedCanary(canary, Verdict.WRONG_PHONE, receipted)
    if canary.arrived_at:
        due = (canary.sent_at or canary.attempted_at) + grace_seconds
        if canary.state not in ENDED and now <= due:
            return None  # its receipt has the same time to come
        return JudgedCanary(canary, Verdict.LATE if canary.arrived_at > due else Verdict.ARRIVED, receipted)
    if canary.state in ENDED and not receipted:
        return JudgedCanary(canary, Verdict.REFUSED if canary.sent_at else Verdict.UNSENT, receipted)
    taken_at = max(canary.sent_at, canary.ended_at)
    due = taken_at + (min(grace_seconds, receipted_seconds) if receipted else grace_seconds)
    if not taken_at or now <= due:
        return None
    if heard_at <= due:
        silent = now > due + SILENT_GRACES * grace_seconds
        return JudgedCanary(canary, Verdict.UNTOLD, receipted) if silent else None
    return JudgedCanary(canary, Verdict.MISSING if receipted else Verdict.LOST, receipted)
