"""How long it takes until so many people have been called.

Of those called not all come, and the longer people have waited, the fewer do: so what is foretold is a share with a
trend, fitted by weighted least squares over the last minutes. The trend is drawn towards none as strongly as little is
known (ridge regression): a short history foretells no more than its level. When clearly more or fewer come than were
foretold, the minutes before say nothing of now: the memory is halved with each second of such news, and grows again
with time (a variable forgetting factor; Fortescue, Kershenbaum and Ydstie, Automatica 17, 1981).
"""

import math
from dataclasses import dataclass

MEMORY_SECONDS_MIN, MEMORY_SECONDS_MAX = 5.0, 120.0
"""Over which an observation fades."""
TREND_USUAL = 0.06
"""Over a whole memory, a trend that is nothing unusual: the standard deviation of the prior."""
TREND_MIN, TREND_MAX = -0.24, 0.036
"""Over a whole memory."""
NEWS_SECONDS = 3.0
"""Over which those who come are compared with those foretold."""
NEWS_DEVIATIONS = 4.0
"""From so many standard deviations on it is news."""
NEWS_SHARE = 0.02
"""By which a share with a trend is off by itself, however many are called."""
NEWS_UNDER_WAY = 0.2
"""The share of those under way by which a comparison may be off, since they come a little later."""
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
    memory_s: float = MEMORY_SECONDS_MAX
    """Over which an observation fades now."""
    called: float = 0.0
    missing: float = 0.0
    """Those called in the last seconds, and how many fewer of them came than were foretold."""

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
        noise = max(0.01, mean * (1 - mean)) / (TREND_USUAL / self.memory_s) ** 2
        return min(TREND_MAX / self.memory_s, max(TREND_MIN / self.memory_s, together / (spread + noise)))


def observed(fit: Fit, called: float, came: float, under_way: float, elapsed: float) -> Fit:
    """After `called` of whom `came`, `elapsed` seconds after the last observation; of those called so many are under
    way at any time."""
    foretold = min(1.0, max(SHARE_MIN, fit.level(under_way) + fit.trend * elapsed))
    fade = math.exp(-elapsed / NEWS_SECONDS)
    lately, missing = fit.called * fade + called, fit.missing * fade + called * foretold - came
    by_chance = lately * max(0.02, foretold * (1 - foretold)) + 4
    by_the_fit = (NEWS_SHARE * lately) ** 2 + (NEWS_UNDER_WAY * under_way * (1 - foretold)) ** 2
    deviation = math.sqrt(by_chance + by_the_fit)
    kept = 1.0
    if fit.weight > 0 and abs(missing) > NEWS_DEVIATIONS * deviation:
        kept, missing = max(0.5, MEMORY_SECONDS_MIN / fit.memory_s), 0.0
    memory_s = fit.memory_s * kept if kept < 1 else min(MEMORY_SECONDS_MAX, fit.memory_s + elapsed)
    fade = kept * math.exp(-elapsed / memory_s)
    weight, time, share = fit.weight * fade, fit.time * fade, fit.share * fade
    squared = (fit.time_squared * fade) - 2 * elapsed * time + elapsed**2 * weight
    return Fit(
        weight=weight + called,
        time=time - elapsed * weight,
        share=share + came,
        time_squared=squared,
        time_share=fit.time_share * fade - elapsed * share,
        memory_s=memory_s,
        called=lately,
        missing=missing,
    )


def wait_s(people: float, per_second: float, share: float, trend: float) -> float:
    """Until so many have been called, of whom `share` come now, when those who come are taken up at a rate."""
    level_s = people * share / per_second
    bent = trend * people / per_second
    if abs(bent) > 1e-9:
        level_s *= math.expm1(min(bent, 50.0)) / bent
    return min(level_s, WAIT_SECONDS_MAX)
