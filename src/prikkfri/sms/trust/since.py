"""Since when messages go astray on a route: the change point of its canaries."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

from prikkfri.sms.canaries.verdicts import Verdict
from prikkfri.sms.trust.evidence import SHARES, factors

SINCE_NATS = 7.0
"""So much less likely may an earlier beginning be, and is still not excluded: one in a thousand."""
_CERTAIN = -1e9


@dataclass(frozen=True)
class FaultOnset:
    """When messages began to go astray."""

    earliest: float
    """It cannot be excluded from here on."""
    likeliest: float


def _nats(verdict: str) -> tuple[float, ...]:
    return tuple(log(factor) if factor else _CERTAIN for factor in factors(Verdict(verdict)))


_NATS = {str(verdict): _nats(verdict) for verdict in Verdict}


def change_point(verdicts: Sequence[tuple[float, str]]) -> FaultOnset | None:
    """Since when, from (time sent, verdict) in that order; None when no canary went astray.

    The likeliest beginning is the canary from which on the mean over all shares of the likelihood ratio is highest;
    it may have begun as far back as that falls by `SINCE_NATS` at most.
    """
    totals = [0.0] * len(SHARES)
    sums: list[tuple[float, float]] = []
    for sent_at, verdict in reversed(verdicts):
        totals = [total + nats for total, nats in zip(totals, _NATS[verdict], strict=True)]
        most = max(totals)
        sums.append((sent_at, most + log(sum([exp(total - most) for total in totals]) / len(SHARES))))
    best = max((reached for _, reached in sums), default=0.0)
    if best <= 0:
        return None
    likeliest = max(sent_at for sent_at, reached in sums if reached == best)
    earliest = min(sent_at for sent_at, reached in sums if reached >= best - SINCE_NATS and sent_at <= likeliest)
    # The fault began after the canary before, which was sent and came home.
    before = [sent_at for sent_at, _ in verdicts if sent_at < earliest]
    return FaultOnset(max(before, default=earliest), likeliest)
