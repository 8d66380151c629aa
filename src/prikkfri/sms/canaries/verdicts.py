"""What became of one canary.

Theory of operation. A network that hands messages to wrong phones tells us that it has delivered them. The only one
who knows better is the phone. So we send messages to phones of our own, each with a token that only it carries, and
the phones tell which tokens they got. A canary says that messages go astray when its token turns up on another phone,
or when the network says "delivered" while its phone, which we hear from, has nothing. All else (lost, refused, late,
no receipt) is trouble of another kind, and nobody's privacy. What the canaries of a route come to is told by
`trust.evidence`.

What comes of our own absence (`absences`) is no word on a route: what ran out of time here while we could not send,
and what came while we could not hear of it, is *void*. Since all routes meet it at once, it would hide the one on
which messages go astray. That a canary went astray, or came home in time, it proves all the same.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from prikkfri.sms.canaries.absences import NEVER_AWAY, Absences
from prikkfri.sms.lifecycle import ENDED, DeliveryState

SILENT_GRACES = 3.0
"""A phone from which nothing is heard for so many grace times says nothing about the way."""
AWAY_GRACES_MAX = 10.0
"""While we are away ourselves it has longer, by so many grace times at most."""


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
    """No network ever took it, although one of our links was there."""
    NO_LINK = "no-link"
    """It could not leave, since none of several links was there: that is our own side."""
    VOID = "void"
    """We were away ourselves while it was to leave, or to be told of: nothing is known."""
    UNTOLD = "untold"
    """Its phone is not heard from: nothing is known."""


ASTRAY = frozenset({Verdict.WRONG_PHONE, Verdict.MISSING})
OUT_OF_TIME = frozenset({DeliveryState.EXPIRED, DeliveryState.UNREPORTED})
"""States in which a message ends here, by its time, and not by a network's word."""


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
    made_at: float = 0.0


@dataclass(frozen=True)
class JudgedCanary:
    canary: Canary
    verdict: Verdict
    receipted: bool
    """Whether the network told of its delivery."""


def judge(
    canary: Canary,
    heard_at: float,
    *,
    grace_seconds: float,
    now: float,
    receipted_seconds: float = inf,
    heard_before: float = inf,
    absences: Absences = NEVER_AWAY,
    unlinked: Absences = NEVER_AWAY,
) -> JudgedCanary | None:
    """What became of a canary; None while that is open. `heard_at`: when its phone was last heard from.

    `receipted_seconds`: what the network says is delivered is on its phone already, and only our hearing of it takes
    time. `heard_before`: when the phone of one that has arrived was last heard from before it told; 0: not known.
    `absences`: ours; `unlinked`: when none of several links was there.
    """
    receipted = canary.state is DeliveryState.DELIVERED
    if canary.stray_at:
        return JudgedCanary(canary, Verdict.WRONG_PHONE, receipted)
    if canary.arrived_at:
        due = (canary.sent_at or canary.attempted_at) + grace_seconds
        if canary.state not in ENDED and now <= due + _away(absences, canary.attempted_at, now, grace_seconds):
            return None  # its receipt has the same time to come
        if canary.arrived_at <= due:
            return JudgedCanary(canary, Verdict.ARRIVED, receipted)
        # Of a phone that was not heard from between, nobody knows when it came.
        return JudgedCanary(canary, Verdict.LATE if heard_before > due else Verdict.VOID, receipted)
    if canary.state in ENDED and not receipted:
        if canary.sent_at:
            return JudgedCanary(canary, Verdict.REFUSED, receipted)
        return JudgedCanary(canary, _unsent(canary, absences, unlinked, grace_seconds), receipted)
    taken_at = max(canary.sent_at, canary.ended_at)
    due = taken_at + (min(grace_seconds, receipted_seconds) if receipted else grace_seconds)
    if not taken_at or now <= due:
        return None
    if heard_at <= due:
        silent = now > due + SILENT_GRACES * grace_seconds + _away(absences, due, now, grace_seconds)
        return JudgedCanary(canary, Verdict.UNTOLD, receipted) if silent else None
    return JudgedCanary(canary, Verdict.MISSING if receipted else Verdict.LOST, receipted)


def _away(absences: Absences, since: float, now: float, grace_seconds: float) -> float:
    return min(absences.seconds(since, now), AWAY_GRACES_MAX * grace_seconds)


def _unsent(canary: Canary, absences: Absences, unlinked: Absences, grace_seconds: float) -> Verdict:
    """What is said of one that no network took: of its link only if it had a grace time in which it could leave."""
    if canary.state not in OUT_OF_TIME:
        return Verdict.UNSENT
    had = canary.ended_at - canary.made_at
    for away, verdict in ((absences, Verdict.VOID), (unlinked, Verdict.NO_LINK)):
        seconds = away.seconds(canary.made_at, canary.ended_at)
        if seconds and had - seconds < grace_seconds:
            return verdict
    return Verdict.UNSENT
