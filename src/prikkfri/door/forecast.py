"""How long it takes until so many people have been called.

Of those called not all come, and the longer people have waited, the fewer do: so what is foretold is a share with a
trend, fitted by weighted least squares over the last minutes. The trend is drawn towards none as strongly as little is
known (ridge regression): a short history foretells no more than its level.
"""

import math
from dataclasses import dataclass, replace

LEVEL_SECONDS = 120.0
"""Over which an observation fades."""
TREND_USUAL = 0.0005
"""A trend a second that is nothing unusual: the standard deviation of the prior."""
TREND_MIN, TREND_MAX = -0.002, 0.0003
SHARE_MIN = 0.05
WAIT_SECONDS_MAX = 6 * 3_600.0


@dataclass(frozen=True, slots=True)
class Fit:
    """Sums over observations, times counted from the last one."""

    weight: float = 0.0
    time: float = 0.0
    share: float = 0.0
    time_squared: float = 0.0
    time_share: float = 0.0

    def level(self, under_way: float) -> float:
        """The share now, when so many of those called may still come; 1 before anything was observed."""
        if self.weight <= 0:
            return 1.0
        mean = (self.share + under_way) / (self.weight + under_way)
        return min(1.0, max(SHARE_MIN, mean - self.trend * self.time / self.weight))

    @property
    def trend(self) -> float:
        """How the share changes in a second."""
        if self.weight <= 0:
            return 0.0
        mean_time, mean = self.time / self.weight, self.share / self.weight
        spread = self.time_squared - self.weight * mean_time**2
        together = self.time_share - self.weight * mean_time * mean
        noise = max(0.01, mean * (1 - mean)) / TREND_USUAL**2
        return min(TREND_MAX, max(TREND_MIN, together / (spread + noise)))


def observed(fit: Fit, called: float, came: float, elapsed: float) -> Fit:
    """After `called` of whom `came`, `elapsed` seconds after the last observation."""
    fade = math.exp(-elapsed / LEVEL_SECONDS)
    weight, time, share = fit.weight * fade, fit.time * fade, fit.share * fade
    squared = (fit.time_squared * fade) - 2 * elapsed * time + elapsed**2 * weight
    return replace(
        fit,
        weight=weight + called,
        time=time - elapsed * weight,
        share=share + came,
        time_squared=squared,
        time_share=fit.time_share * fade - elapsed * share,
    )


def wait_s(people: float, per_second: float, share: float, trend: float) -> float:
    """Until so many have been called, of whom `share` come now, when those who come are taken up at a rate."""
    level_s = people * share / per_second
    bent = trend * people / per_second
    if abs(bent) > 1e-9:
        level_s *= math.expm1(min(bent, 50.0)) / bent
    return min(level_s, WAIT_SECONDS_MAX)
