"""Shares and counts of one series by itself, reckoned with plain numbers as their theories of operation say."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from math import exp, inf, lgamma, log, sqrt

import numpy as np
import numpy.typing as npt

from prikkfri.assurance.detection.counts import EDGES, CountSettings
from prikkfri.assurance.detection.shares import LIFTS, ShareSettings

RISES = [float(lift) for lift in LIFTS[:, 0]]
BOUNDS = [float(edge) for edge in EDGES]
WEEK_HOURS = 168


def likelihood(broken: float, settled: float, share: float, clumping: float) -> float:
    """The logarithm of the beta-binomial probability, but for what does not depend on the share."""
    weight = 1 / clumping - 1
    alpha, beta = share * weight, (1 - share) * weight
    return lgamma(alpha + broken) - lgamma(alpha) + lgamma(beta + settled - broken) - lgamma(beta)


@dataclass
class PageSum:
    height: float = 0.0
    since: float = 0.0
    of: float = 0.0
    seen: float = 0.0


class PlainShares:
    def __init__(self, settings: ShareSettings, prior: float) -> None:
        self.settings = settings
        self.settled = settings.prior_promises
        self.broken = self.settled * prior
        self.excess = self.together = self.noise = 0.0
        self.last = (0.0, 0.0)
        self.size = 0.0
        self.products = [0.0] * len(RISES)
        self.sums = [PageSum() for _ in RISES]
        self.stands_by: int | None = None
        self.buckets = 0
        self.fit()

    def fit(self) -> None:
        settings = self.settings
        found = (self.excess + settings.clump_margin * sqrt(self.noise)) / max(self.together, 1e-9)
        self.clumping = min(max(found, settings.clump_least), settings.clump_most)
        wild, z = 1 + self.clumping * self.size, settings.margin
        spread = z * sqrt(self.broken * wild + (z * wild) ** 2 / 4)
        bound = (self.broken + z * z / 2 * wild + spread) / self.settled
        self.share, self.bound = self.broken / self.settled, min(max(bound, settings.floor), 0.5)

    def step(self, n: float, b: float, time: float) -> bool:
        settings = self.settings
        risen = [self.bound + rise * (1 - self.bound) for rise in RISES]
        ordinary = likelihood(b, n, self.bound, self.clumping)
        ratios = [likelihood(b, n, share, self.clumping) - ordinary for share in risen]
        self.products = [(1 + each) * exp(min(ratio, 300)) for each, ratio in zip(self.products, ratios, strict=True)]
        heights = [each.height + ratio for each, ratio in zip(self.sums, ratios, strict=True)]
        speaks = sum(self.products) / len(RISES) >= exp(settings.threshold) and max(heights) > 0
        raised = speaks and self.stands_by is None
        stood = self.stands_by is not None
        if raised:
            self.stands_by = heights.index(max(heights))
        if self.stands_by is not None and heights[self.stands_by] <= 0:
            self.stands_by = None
        over = stood and self.stands_by is None
        self.products = [0.0 if over else min(each, exp(settings.threshold)) for each in self.products]
        for number, height in enumerate(heights):
            before = self.sums[number]
            if height > 0 and not over:
                since = before.since if before.height > 0 else time
                self.sums[number] = PageSum(min(height, settings.threshold), since, before.of + n, before.seen + b)
            else:
                self.sums[number] = PageSum()
        self.learn(n, b, calm=max(heights) < settings.suspicion)
        self.buckets += 1
        if self.buckets % settings.refit_buckets == 0:
            self.fit()
        return raised

    def learn(self, n: float, b: float, *, calm: bool) -> None:
        settings, (last_n, last_b) = self.settings, self.last
        keep = 0.5 ** (settings.bucket_seconds / settings.half_life_seconds)
        if calm:
            self.settled, self.broken = self.settled * keep + n, self.broken * keep + b
        pairs = max(n + last_n, 1)
        share = (b + last_b) / pairs
        expected = 2 * share * (1 - share) * n * last_n / pairs
        most_by_chance = sqrt(2 * (self.bound * n) ** 2 + self.bound * n)
        excess = 2 * ((b * last_n - last_b * n) / pairs) ** 2 - expected
        excess = min(excess, settings.jump_most * (1 + self.clumping * n) * most_by_chance)
        self.excess = self.excess * keep + excess
        self.together = self.together * keep + expected * max(n - 1, 0)
        self.noise = self.noise * keep**2 + 2 * expected**2 + expected
        self.last = (n, b)
        self.size = self.size + 0.02 * (n - self.size) if self.size else n


@dataclass
class Season:
    """What each hour of the week is to the mean of a week."""

    relative: list[float] = field(default_factory=lambda: [1.0] * WEEK_HOURS)
    weeks: list[int] = field(default_factory=lambda: [0] * WEEK_HOURS)
    factors: list[float] = field(default_factory=lambda: [1.0] * WEEK_HOURS)
    mean: float = 0.0
    hours: int = 0
    hour: int = -1
    counts: list[float] = field(default_factory=list)

    def factor(self, time: float, *, hourly: bool) -> float:
        if hourly:
            return self.factors[int(time / 3_600) % WEEK_HOURS]
        middle = time / 3_600 - 0.5
        first, part = int(middle // 1), middle % 1
        return self.factors[first % WEEK_HOURS] * (1 - part) + self.factors[(first + 1) % WEEK_HOURS] * part

    def learn(self, x: float, time: float, shrink_weeks: float) -> None:
        hour = int(time // 3_600) % WEEK_HOURS
        if hour != self.hour and self.counts:
            count, known = sum(self.counts) / len(self.counts), self.weeks[self.hour]
            self.hours += 1
            self.mean += (count - self.mean) / min(self.hours, WEEK_HOURS)
            learned = (count + 1) / (self.mean + 1)
            self.relative[self.hour] += (learned - self.relative[self.hour]) * (0.4 if known else 1.0)
            self.weeks[self.hour] += 1
            if self.hours >= WEEK_HOURS:
                believed = [weeks / (weeks + shrink_weeks) for weeks in self.weeks]
                self.factors = [max(each, 0.02) ** b for each, b in zip(self.relative, believed, strict=True)]
            self.counts = []
        self.hour = hour
        self.counts.append(x)


class PlainCounts:
    def __init__(self, settings: CountSettings, number: int) -> None:
        """`number`: of the series; when its usual deviations are reckoned anew depends on it."""
        self.settings, self.number = settings, number
        self.season = Season()
        self.past: list[tuple[float, float]] = []
        """(came, expected) of each bucket."""
        self.relative: list[float] = []
        self.deviations: dict[tuple[int, bool], list[tuple[int, int]]] = {}
        """(which of the bounds it reaches up to, bucket), by window and whether it is above."""
        self.weighed: list[int] = []
        self.usual: dict[tuple[int, bool], float] = {}
        self.level = self.expected = self.before = 0.0
        self.told_at = -inf

    def step(self, x: float, time: float) -> int:
        settings, bucket = self.settings, len(self.past)
        factor = self.season.factor(time, hourly=settings.bucket_seconds >= 3_600)
        self.expected = self.level * factor
        self.past.append((x, self.expected))
        found = 0
        if bucket >= settings.levels * settings.block:
            self.weighed.append(bucket)
            told = [self.deviates(number, bucket) for number in range(len(settings.windows))]
            found = next((each for each in told if each), 0)
            lately = bucket - self.told_at <= settings.returns_within_buckets
            back = lately and abs(log((x + 1) / (self.before + 1))) < settings.least
            if found and not lately:
                self.before, self.told_at = self.expected, bucket
            found = 0 if back else found
        self.relative.append(x / factor)
        if len(self.relative) % settings.block == 0:
            ends = [len(self.relative) - n * settings.block for n in range(settings.levels)]
            blocks = [sum(self.relative[max(end - settings.block, 0) : max(end, 0)]) / settings.block for end in ends]
            self.level = sorted(blocks)[settings.levels // 2]
        self.season.learn(x, time, settings.shrink_weeks)
        if (bucket + 1) % settings.refit_buckets == self.number % settings.refit_buckets:
            self.refit(bucket)
        return found

    def deviates(self, window: int, bucket: int) -> int:
        length, least = self.settings.windows[window]
        seen, expected = (sum(each) for each in zip(*self.past[-length:], strict=True))
        deviation = log((seen + 1) / (expected + 1))
        above, size = deviation > 0, abs(deviation)
        mean = expected + above
        evidence = (seen * log(seen / mean) if seen else 0.0) - (seen - mean)
        if size >= BOUNDS[0]:
            self.deviations.setdefault((window, above), []).append((bisect_left(BOUNDS, size), bucket))
        usual = self.usual.get((window, above), inf)
        enough = size > max(self.settings.usual_times * usual, least) and evidence >= self.settings.threshold
        return (1 if above else -1) if enough else 0

    def refit(self, bucket: int) -> None:
        settings = self.settings
        if bucket + 1 < settings.known_buckets + settings.levels * settings.block:
            return
        most = (1 - settings.usual_quantile) * float(self.weights(self.weighed, bucket).sum())
        tops = [*BOUNDS, BOUNDS[-1] * 1.1]
        for side, found in self.deviations.items():
            numbers, at = zip(*found, strict=True)
            weights = np.bincount(numbers, weights=self.weights(at, bucket), minlength=len(tops)).tolist()
            beyond = [sum(weights[number:]) for number in range(len(tops))]
            self.usual[side] = max([tops[number] for number in range(len(tops)) if beyond[number] > most], default=0.0)
        for side in product(range(len(settings.windows)), (True, False)):
            self.usual[side] = max(self.usual.get(side, 0.0), tops[0])

    def weights(self, at: Sequence[int], bucket: int) -> npt.NDArray[np.float64]:
        return np.asarray(0.5 ** ((bucket - np.array(at, dtype=float)) / self.settings.memory_buckets))
