"""How often canaries fly: seldom while nothing is suspected, as often as phones can take while something is.

And so while a route that was found out is being proven again: what waits behind it waits for that.

How often one looks may depend on all that has been seen: each canary's e-value has the mean 1 at most whatever made it
fly (`evidence`). So the first sign is followed by as many canaries as there is room for, and what began it need not be
proof.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from prikkfri.sms.canaries.verdicts import Canary
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.trust.evidence import Evidence

SUSPICION_NATS = 1.5
"""One canary that is not on its phone, until some dozens are."""
NOT_THERE_SECONDS = 3.0
"""So long after the network said "delivered" we wonder why a phone that we hear from has nothing."""
HINTED_SECONDS = 60.0
"""So long after a hint we look closer."""
PHONE_SECONDS = 2.0
"""What a modem needs for one message: no phone gets more."""
MORE_PER_HOUR_MAX = 3_000
"""Canaries of a route beyond those that fly always; a crowd that lies costs no more."""


@dataclass(frozen=True)
class Allowance:
    """How many more canaries a route may fly than always, at `at`."""

    left: float = MORE_PER_HOUR_MAX
    at: float = 0.0

    def now(self, now: float) -> "Allowance":
        gained = max(now - self.at, 0.0) / 3600 * MORE_PER_HOUR_MAX
        return Allowance(min(self.left + gained, MORE_PER_HOUR_MAX), now)


WHOLE = Allowance()


def is_missed(canary: Canary, heard_at: float, now: float) -> bool:
    """Whether a canary that nobody has judged yet may be astray; `heard_at`: when its phone was last heard from."""
    if canary.verdict or canary.arrived_at or canary.state is not DeliveryState.DELIVERED:
        return False
    return min(heard_at, now) > canary.ended_at + NOT_THERE_SECONDS


def is_suspicious(evidence: Evidence, *, missed: bool, hinted_at: float, now: float) -> bool:
    """Whether to look closer at a route.

    `missed`: a canary may be astray; `hinted_at`: when the last hint came, or 0.
    """
    hinted = bool(hinted_at) and now < hinted_at + HINTED_SECONDS
    return (
        missed
        or evidence.suspicion_nats(hints=False) >= SUSPICION_NATS
        or (hinted and evidence.suspicion_nats(hints=True) >= SUSPICION_NATS)
    )


def any_missed(canaries: Iterable[tuple[Canary, float]], now: float) -> bool:
    """Of canaries, each with when its phone was last heard from."""
    return any(is_missed(canary, heard_at, now) for canary, heard_at in canaries)


def quick_seconds(phones: int, always_seconds: float) -> float:
    """Between two canaries of a route while something is suspected."""
    return min(PHONE_SECONDS / phones, always_seconds)


def flying_seconds_max(canaries: int, *, always_seconds: float, phones: int, allowance: Allowance) -> float:
    """So many canaries of a route have flown by then, when they fly as often as its phones and allowance let them."""
    more_per_second = MORE_PER_HOUR_MAX / 3600
    beyond = (canaries - allowance.left) / (1 / always_seconds + more_per_second)
    return max(canaries * quick_seconds(phones, always_seconds), beyond)


def pause(
    *, always_seconds: float, phones: int, suspicious: bool, allowance: Allowance, now: float
) -> tuple[float, Allowance]:
    """Seconds until the next canary of a route, and what is left of its allowance."""
    allowance = allowance.now(now)
    seconds = quick_seconds(phones, always_seconds)
    costs = 1 - seconds / always_seconds
    if not suspicious or allowance.left < costs:
        return always_seconds, allowance
    return seconds, Allowance(allowance.left - costs, now)
