"""Whether a route is to be trusted: condemned by the evidence, excused by a person, proven again by good canaries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log

from prikkfri.sms.canaries.verdicts import ASTRAY, Verdict
from prikkfri.sms.trust.evidence import (
    MISSING_ORDINARILY,
    NOTHING,
    WEIGHTS,
    Evidence,
    Hint,
    start_alternatives,
    weigh,
    weigh_hints,
)

PROVING_NATS = 5.0
"""So likely are good canaries alone to be those of an honest route (A. Wald, 1945: wrongly once in 150 times)."""
PROVEN_SHARE_MAX = 0.05
"""A route is proven by no fewer canaries than this share would need, however many went astray: 100."""


@dataclass(frozen=True)
class Trust:
    """What is known of one route."""

    evidence: Evidence = NOTHING
    condemned: bool = False
    """Messages went astray on this way, and it has not been proven again since."""
    excused: bool = False
    """A person has opened it all the same, and nothing new has condemned it."""
    share: float = PROVEN_SHARE_MAX
    """Of which it has to be proven that no such share goes astray: what it was condemned for."""
    proof: float = 0.0
    """Nats for that, since it was condemned and since the last canary that did."""
    enough_at: float = 0.0
    """When that was enough. What is astray shows later than what has come home: for so long it is waited for."""
    proven_at: float = 0.0
    """When it was last proven again: what canaries said before is of a fault that is over."""
    judged: int = 0
    astray: int = 0
    hints: Mapping[Hint, int] = field(default_factory=dict)
    """How many have come since it was opened last."""
    changes: int = 0
    """How often anything has changed here: of two that are known the one with more is the newer."""

    @property
    def to_be_stopped(self) -> bool:
        return self.condemned and not self.excused

    @property
    def being_proven(self) -> bool:
        """It is condemned, and the last of its canaries that says anything has come home."""
        return self.condemned and self.proof > 0

    @property
    def canaries_to_prove(self) -> int:
        """So many good ones in a row prove it from now on; 0: there is nothing to prove."""
        if not self.condemned or self.enough_at:
            return 0
        return ceil((PROVING_NATS - self.proof) / _good_nats(self.share))


UNKNOWN = Trust()
"""Nothing has been seen yet."""


def observe(
    trust: Trust,
    phone: str,
    verdict: Verdict,
    earlier: str = "",
    *,
    sent_at: float,
    now: float,
    settling_seconds: float = 0.0,
) -> Trust:
    """Takes a verdict; `earlier`: what had been decided of the same canary before, when more came to light.

    `settling_seconds`: so long after its sending it is known of a canary that it is astray.
    """
    known = Verdict(earlier) if earlier else None
    evidence = weigh(start_alternatives(trust.evidence, now), phone, verdict, known, sent_at=sent_at)
    bad = verdict in ASTRAY
    proof = trust.proof
    if verdict is Verdict.ARRIVED:
        proof += _good_nats(trust.share)
    found = replace(
        trust,
        evidence=evidence,
        proof=0.0 if bad else proof,
        judged=trust.judged + (known is None),
        astray=trust.astray + (bad and known not in ASTRAY),
        changes=trust.changes + 1,
    )
    if bad:
        return _condemned_by(replace(found, enough_at=0.0))
    if not trust.condemned or proof < PROVING_NATS:
        return found
    enough_at = trust.enough_at or now
    if now < enough_at + settling_seconds:
        return replace(found, enough_at=enough_at)
    return replace(found, condemned=False, evidence=_anew(evidence), enough_at=0.0, proven_at=now)


def observe_hints(trust: Trust, hints: Mapping[Hint, int], *, messages: int, seconds: float, now: float) -> Trust:
    """Takes the hints that came while so many messages went and so much time passed, perhaps none."""
    evidence = weigh_hints(start_alternatives(trust.evidence, now), hints, messages=messages, seconds=seconds)
    counted = {hint: trust.hints.get(hint, 0) + hints.get(hint, 0) for hint in {*trust.hints, *hints}}
    found = replace(trust, evidence=evidence, hints=counted, changes=trust.changes + 1)
    return _condemned_by(found) if any(hints.values()) else found


def _condemned_by(trust: Trust) -> Trust:
    """What is good never condemns: asked when something bad has come.

    What still comes of it tells no shares apart: the sums of all of them end at the same height.
    """
    if trust.to_be_stopped or not trust.evidence.condemns:
        return trust
    share = min(trust.evidence.likeliest_share, PROVEN_SHARE_MAX)
    return replace(trust, condemned=True, excused=False, share=share, proof=0.0)


def _good_nats(share: float) -> float:
    """What a canary that has come home says against such a share."""
    return log((1 - MISSING_ORDINARILY) / (1 - share))


def usable(trust: Trust) -> Trust:
    """A trust as it was stored; evidence for other alternatives than those of today begins anew."""
    if all(len(each) == len(WEIGHTS) for each in trust.evidence.sums.values()) and "" in trust.evidence.sums:
        return trust
    return replace(trust, evidence=_anew(trust.evidence))


def _anew(evidence: Evidence) -> Evidence:
    """What is known of phones stays known."""
    return Evidence(started_at=evidence.started_at, gaps=evidence.gaps)


def reopen(trust: Trust) -> Trust:
    """A person says that the way may be used again: only what comes from now on stops it anew."""
    evidence = _anew(trust.evidence)
    return replace(trust, evidence=evidence, excused=True, hints={}, changes=trust.changes + 1)


def replay_verdicts(verdicts: Sequence[tuple[float, float, str, str]], opened_at: float) -> Trust:
    """The trust after (time decided, time sent, phone, verdict) in that order.

    `opened_at`: when a person last opened it, or 0.

    For routes of which no trust is stored yet.
    """
    trust = Trust()
    for decided_at, sent_at, phone, verdict in verdicts:
        if opened_at and decided_at > opened_at:
            trust, opened_at = reopen(trust), 0.0
        trust = observe(trust, phone, Verdict(verdict), sent_at=sent_at, now=decided_at)
    return reopen(trust) if opened_at else trust
