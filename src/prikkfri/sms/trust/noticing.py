"""The smallest share of misdelivered messages that a route's present evidence would show in a given time.

In the mean, when what goes astray never lands on a phone of ours and nobody says a word: the first canary astray comes
after 1 / (share x rate); then they fly faster, and as many are needed as the sum takes to reach its limit, the last on
its way for a while and with its grace. `prikkfri simulate sms --misdelivering-partner` measures it with the real
decisions.
"""

from dataclasses import dataclass
from math import exp, inf, log

from prikkfri.sms.trust.evidence import (
    CONDEMNING_NATS,
    MISSING_ORDINARILY,
    SHARES,
    STRAYS_ON_OURS,
    UNHINTED,
)
from prikkfri.sms.trust.flying import NOT_THERE_SECONDS

MINUTES = (1, 10, 60)
MIXTURE_NATS = log(len(SHARES) / UNHINTED)
"""What it costs that neither the share nor what hints say of it is known."""
LEFT_OUT_STRAYS = 2.5
"""So many of those that it takes are on the phone that has most of them, and do not count without it."""
LOOKED_CLOSELY = 250
"""Canaries that fly fast after one is missed, in the mean: the smaller the share the more fly as always."""
ON_ITS_WAY_SECONDS = 4.0
"""Until a canary is on its phone, its receipt is back and the phone tells; the first and the last of them take it."""
_STEPS = 60


@dataclass(frozen=True)
class CanarySchedule:
    """How closely a route is looked at now."""

    per_second: float
    """Canaries of which something is learnt."""
    quick_per_second: float
    """The same once something is suspected."""
    phones: int
    """That are heard from."""
    grace_seconds: float


@dataclass(frozen=True)
class DetectableShare:
    """The smallest share that is noticed in so many minutes; None: not even all messages astray would be."""

    minutes: int
    share: float | None


def settling_seconds(grace_seconds: float, receipted_seconds: float) -> float:
    """So long after its sending it is known of a canary, in the mean, that it is not on its phone."""
    return ON_ITS_WAY_SECONDS + min(grace_seconds, receipted_seconds)


def seconds_to_notice(share: float, looking: CanarySchedule) -> float:
    """In the mean; infinite when nothing is learnt, or the share is no more than is ordinary."""
    missing = share * (1 - STRAYS_ON_OURS)
    if looking.per_second <= 0 or looking.phones < 1 or missing <= MISSING_ORDINARILY:
        return inf
    at_home = 1 - share
    nats = share * log(missing / MISSING_ORDINARILY)
    if at_home:
        nats += at_home * log(at_home / (1 - MISSING_ORDINARILY))
    if nats <= 0:
        return inf
    needed = (CONDEMNING_NATS + MIXTURE_NATS) / nats
    if looking.phones > 1:
        needed += max(needed / (looking.phones - 1), LEFT_OUT_STRAYS / share)
    more = needed - 1 / share  # it takes some: one of them says less than half of what is needed
    closely = 1 - exp(-LOOKED_CLOSELY * share)
    quick = max(looking.quick_per_second, looking.per_second)
    first = 1 / (share * looking.per_second) + ON_ITS_WAY_SECONDS + NOT_THERE_SECONDS
    last = ON_ITS_WAY_SECONDS + looking.grace_seconds
    return first + more * (closely / quick + (1 - closely) / looking.per_second) + last


def detectable_shares(looking: CanarySchedule) -> tuple[DetectableShare, ...]:
    return tuple(DetectableShare(minutes, _smallest(minutes * 60.0, looking)) for minutes in MINUTES)


def _smallest(seconds: float, looking: CanarySchedule) -> float | None:
    low, high = MISSING_ORDINARILY, 1.0
    if seconds_to_notice(high, looking) > seconds:
        return None
    for _ in range(_STEPS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if seconds_to_notice(middle, looking) <= seconds else (middle, high)
    return high
