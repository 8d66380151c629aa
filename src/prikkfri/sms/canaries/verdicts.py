"""What became of one canary, and what the canaries of a link come to: is its way to be trusted?

Theory of operation. A network that hands messages to wrong phones tells us that it has delivered them. The only one
who knows better is the phone. So we send messages to phones of our own, each with a token that only it carries, and
the phones tell which tokens they got. A canary says that messages go astray when its token turns up on another phone,
or when the network says "delivered" while its phone, which we hear from, has nothing. All else (lost, refused, late,
no receipt) is trouble of another kind, and nobody's privacy.

*The verdict on a way* is Page's CUSUM of the log-likelihood ratio of "5 % go astray" against "1 in 1,000 do":

    a canary on its phone            ln(0.95 / 0.999)     = -0.05 nats
    said to be delivered, not there  ln(0.05 / 0.001)     =  3.9
    its token on another phone       ln(0.01 / 0.000001)  =  9.2

The sum never falls below zero, and the way is condemned when it reaches `CONDEMNING_NATS`: two canaries on wrong
phones, one and two not there, or five not there among some hundred. By G. Lorden (Ann. Math. Stat. 42, 1971) a way on
which 1 in 1,000 go astray is condemned at most once in exp(16) = 8.9 million canaries: once in 1.4 years of one every
5 s. A way on which 5 % go astray is condemned after 110 canaries in the mean (95 in 100 times within 225) when none of
the strangers' phones is ours, so after 9 minutes at one every 5 s; docs/decisions/canaries.md has the table, and a
test draws it again.

*Since when* is the change point: the canary from which on the sum of the ratios is highest. How much earlier it may
have begun is a likelihood interval: as far back as the ratio falls by `SINCE_NATS` at most (one in a thousand).
*Proven again* is a way by `PROVING_NATS` of good canaries since the last bad one, 100 of them (A. Wald, 1945: wrongly
at most once in 150 times).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import log

from prikkfri.sms.lifecycle import ENDED, State

ASTRAY_ORDINARILY = 0.001
ASTRAY_AT_FAULT = 0.05
CONDEMNING_NATS = 16.0
SINCE_NATS = 7.0
PROVING_NATS = 5.0
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


NATS = {
    Verdict.ARRIVED: log((1 - ASTRAY_AT_FAULT) / (1 - ASTRAY_ORDINARILY)),
    Verdict.MISSING: log(ASTRAY_AT_FAULT / ASTRAY_ORDINARILY),
    Verdict.WRONG_PHONE: log(0.01 / 0.000001),
}
"""What a verdict weighs; what is not named weighs nothing."""
ASTRAY = frozenset({Verdict.WRONG_PHONE, Verdict.MISSING})


@dataclass(frozen=True)
class Canary:
    """A canary as it is known; times are 0 until they come."""

    token: str
    message: str
    link: str
    phone: str
    """Digits, as on the wire."""
    state: State
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
class Judged:
    canary: Canary
    verdict: Verdict
    receipted: bool
    """Whether the network told of its delivery."""


def judge(canary: Canary, heard_at: float, *, grace_seconds: float, now: float) -> Judged | None:
    """What became of a canary; None while that is open. `heard_at`: when its phone was last heard from."""
    receipted = canary.state is State.DELIVERED
    if canary.stray_at:
        return Judged(canary, Verdict.WRONG_PHONE, receipted)
    if canary.arrived_at:
        due = (canary.sent_at or canary.attempted_at) + grace_seconds
        if canary.state not in ENDED and now <= due:
            return None  # its receipt has the same time to come
        return Judged(canary, Verdict.LATE if canary.arrived_at > due else Verdict.ARRIVED, receipted)
    if canary.state in ENDED and not receipted:
        return Judged(canary, Verdict.REFUSED if canary.sent_at else Verdict.UNSENT, receipted)
    taken_at = max(canary.sent_at, canary.ended_at)
    due = taken_at + grace_seconds
    if not taken_at or now <= due:
        return None
    if heard_at <= due:
        silent = now > due + SILENT_GRACES * grace_seconds
        return Judged(canary, Verdict.UNTOLD, receipted) if silent else None
    return Judged(canary, Verdict.MISSING if receipted else Verdict.LOST, receipted)


@dataclass(frozen=True)
class Trust:
    """What the canaries of one link have come to."""

    evidence: float = 0.0
    """Nats for "5 % go astray"."""
    condemned: bool = False
    """Messages went astray on this way, and it has not been proven again since."""
    excused: bool = False
    """A person has opened it all the same, and nothing new has condemned it."""
    proof: float = 0.0
    """Nats for "they do not", since the last one that did."""
    judged: int = 0
    astray: int = 0

    @property
    def to_be_stopped(self) -> bool:
        return self.condemned and not self.excused


def observe(trust: Trust, verdict: Verdict, earlier: str = "") -> Trust:
    """Takes a verdict; `earlier`: what had been decided of the same canary before, when more came to light."""
    known = Verdict(earlier) if earlier else None
    weight = NATS.get(verdict, 0.0) - (NATS.get(known, 0.0) if known else 0.0)
    evidence = min(max(0.0, trust.evidence + weight), CONDEMNING_NATS)
    bad = verdict in ASTRAY
    proof = 0.0 if bad else trust.proof - NATS.get(verdict, 0.0)
    condemned_now = bad and evidence >= CONDEMNING_NATS
    condemned = trust.condemned or condemned_now
    if condemned and proof >= PROVING_NATS:
        condemned, evidence = False, 0.0
    return Trust(
        evidence,
        condemned,
        trust.excused and not condemned_now,
        proof,
        trust.judged + (known is None),
        trust.astray + (bad and known not in ASTRAY),
    )


def opened(trust: Trust) -> Trust:
    """A person says that the way may be used again: only what comes from now on stops it anew."""
    return replace(trust, evidence=0.0, excused=True)


def remembered(verdicts: Sequence[tuple[float, str]], opened_at: float) -> Trust:
    """The trust after (time decided, verdict) in that order; `opened_at`: when a person last opened it, or 0."""
    trust = Trust()
    for decided_at, verdict in (*verdicts, (float("inf"), "")):
        if opened_at and decided_at > opened_at:
            trust, opened_at = opened(trust), 0.0
        if verdict:
            trust = observe(trust, Verdict(verdict))
    return trust


@dataclass(frozen=True)
class Since:
    """When messages began to go astray."""

    earliest: float
    """It cannot be excluded from here on."""
    likeliest: float


def change_point(verdicts: Sequence[tuple[float, str]]) -> Since | None:
    """Since when, from (time sent, verdict) in that order; None when no canary went astray."""
    best, total, sums = 0.0, 0.0, []
    for sent_at, verdict in reversed(verdicts):
        total += NATS.get(Verdict(verdict), 0.0)
        sums.append((sent_at, total))
        best = max(best, total)
    if best <= 0:
        return None
    likeliest = max(sent_at for sent_at, reached in sums if reached == best)
    earliest = min(sent_at for sent_at, reached in sums if reached >= best - SINCE_NATS and sent_at <= likeliest)
    # The fault began after the canary before, which was sent and came home.
    before = [sent_at for sent_at, _ in verdicts if sent_at < earliest]
    return Since(max(before, default=earliest), likeliest)
