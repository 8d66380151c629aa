"""Counts: a fall or a rush of how many come, in all series at once.

Theory of operation. What is expected of a bucket is the median of the last few *blocks* (single buckets, or twelve
seconds of them), each divided by its hour's ordinary factor, times the factor of the bucket's own hour. The factors are
learned for the hours of the week after the first week, and believed by as much as weeks have shown them. Whatever
lasts longer than half of those blocks is the new level: a final whistle is not told for long.

Over the last bucket (of seconds also the last 3 and the last 24) the logarithm of seen over expected is held against
the *usual*: a high quantile of the series' own such deviations in the last days, each direction by itself, in a
forgotten histogram. An alarm needs half as much again as the usual, at least a given fall or rise, and evidence by
Poisson's law that no installation would see by chance: ln(buckets of 1,000 series in a month). A series that jumps by
itself is thus asked for more, and by how much nobody has to set.

What comes back to where it was before an alarm is the end of that, and no alarm of its own.

The level of recent medians, the quantile of the series' own deviations and the ratio to them are the parts of what is
known as robust online anomaly detection (e.g. J. Hochenbaum, O. Vallis, A. Kejariwal, arXiv:1704.07706, 2017, for
median and hybrid scales).
"""

from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np
import numpy.typing as npt

from prikkfri.assurance.detection.shares import SECONDS_PER_MONTH, Flags, Floats

HOURS = 168
"""Of a week."""
EDGES = np.geomspace(0.05, 8.0, 41)
"""Of the histogram of deviations (logarithms)."""
_VALUES = np.append(EDGES, EDGES[-1] * 1.1)[::-1]


@dataclass(frozen=True, kw_only=True)
class CountSettings:
    bucket_seconds: float = 1.0
    series: int = 1_000
    false_alarms_per_month: float = 1.0
    """By Poisson's law alone, in all series together."""
    usual_quantile: float = 0.99
    usual_times: float = 1.5
    """A deviation so many times the usual one may be told ..."""
    least: float = 0.55
    """... when its logarithm is at least this in one bucket; of 3 seconds four fifths of it, of 24 less than half."""
    blocks: int = 5
    hourly_blocks: int = 3
    block_seconds: float = 12.0
    calm_buckets: int = 5
    """An alarm is over when for so many buckets nothing deviates."""
    returns_within_buckets: int = 60
    refit_buckets: int = 10
    known_buckets: int = 100
    """The usual is not known before."""
    shrink_weeks: float = 3.0
    """So many weeks with no difference between the hours are put beside what was seen."""

    @cached_property
    def threshold(self) -> float:
        buckets = self.series * SECONDS_PER_MONTH / self.bucket_seconds
        return max(1.0, log(buckets / self.false_alarms_per_month))

    @cached_property
    def windows(self) -> tuple[tuple[int, float], ...]:
        """In buckets, each with the least deviation that is told."""
        if self.bucket_seconds >= 60:
            return ((1, self.least),)
        lengths = dict.fromkeys(max(1, round(seconds / self.bucket_seconds)) for seconds in (1, 3, 24))
        return tuple(zip(lengths, (self.least, 0.8 * self.least, 0.45 * self.least), strict=False))

    @cached_property
    def levels(self) -> int:
        return self.hourly_blocks if self.bucket_seconds >= 3_600 else self.blocks

    @cached_property
    def block(self) -> int:
        return max(1, round(self.block_seconds / self.bucket_seconds))

    @cached_property
    def memory_buckets(self) -> float:
        return max(2 * 86_400 / self.bucket_seconds, 500.0)


class Counts:
    """What is remembered of all series; one owner steps it, bucket by bucket."""

    def __init__(self, series: int, settings: CountSettings) -> None:
        self._settings = settings
        longest = max(length for length, _ in settings.windows)
        self._came, self._promised = np.zeros((longest, series)), np.zeros((longest, series))
        self._sums = np.zeros((len(settings.windows), 2, series))
        self._blocks = np.zeros((settings.levels, series))
        self._part = np.zeros(series)
        self._level = np.zeros(series)
        self._buckets = 0
        self._histogram = np.zeros((len(settings.windows), 2, len(EDGES) + 1, series))
        self._usual = np.full((len(settings.windows), 2, series), np.inf)
        self._weight, self._whole = 1.0, 0.0
        self._season = _Season(series, settings)
        self._before = np.zeros(series)
        self._told_at = np.full(series, -(1 << 60))
        self.expected = np.zeros(series)
        """Of the last bucket."""

    def step(self, count: npt.ArrayLike, time: float) -> npt.NDArray[np.int8]:
        """Takes one bucket of all series, which began at `time`; tells which deviate: 1 above, -1 below, 0 none."""
        settings, x = self._settings, np.asarray(count, dtype=float)
        factor = self._season.factor(time)
        self.expected = self._level * factor
        known = self._buckets >= settings.levels * settings.block
        self._slide(x)
        found = np.zeros(len(x), dtype=np.int8)
        if known:
            self._weight *= 2 ** (1 / settings.memory_buckets)
            self._whole += self._weight
            for number, (_, least) in enumerate(settings.windows):
                seen, expected = np.maximum(self._sums[number], 0.0)  # what is added and taken away leaves crumbs
                found = np.where(found, found, self._deviating(number, least, seen, expected))
            found = np.where(self._returned(x, found), np.int8(0), found)
        self._learn(x, factor, time)
        return found

    def _slide(self, x: Floats) -> None:
        """The windows, one bucket on."""
        rows = len(self._came)
        at = self._buckets % rows
        for number, (length, _) in enumerate(self._settings.windows):
            gone = (self._buckets - length) % rows
            self._sums[number] += (x - self._came[gone], self.expected - self._promised[gone])
        self._came[at], self._promised[at] = x, self.expected

    def _deviating(self, number: int, least: float, seen: Floats, expected: Floats) -> npt.NDArray[np.int8]:
        settings = self._settings
        deviation = np.log((seen + 1) / (expected + 1))
        above = deviation > 0
        usual = np.where(above, self._usual[number, 0], self._usual[number, 1])
        # Where next to nobody is expected, one is: a first visitor is no rush.
        mean = np.where(above, expected + 1, expected)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(seen > 0, seen * np.log(seen / mean), 0.0)
        evidence = logs - (seen - mean)
        size = np.abs(deviation)
        alarming = (size > np.maximum(settings.usual_times * usual, least)) & (evidence >= settings.threshold)
        (far,) = np.nonzero(size >= EDGES[0])
        direction = (~above[far]).astype(np.intp)
        self._histogram[number, direction, np.searchsorted(EDGES, size[far]), far] += self._weight
        return np.where(alarming, np.where(above, 1, -1), 0).astype(np.int8)

    def _returned(self, x: Floats, found: npt.NDArray[np.int8]) -> Flags:
        lately = self._buckets - self._told_at <= self._settings.returns_within_buckets
        back = lately & (np.abs(np.log((x + 1) / (self._before + 1))) < self._settings.least)
        new = (found != 0) & ~lately
        self._before = np.where(new, self.expected, self._before)
        self._told_at = np.where(new, self._buckets, self._told_at)
        return back

    def _learn(self, x: Floats, factor: Floats, time: float) -> None:
        settings = self._settings
        self._part += x / factor
        self._buckets += 1
        if self._buckets % settings.block == 0:
            number = self._buckets // settings.block
            self._blocks[(number - 1) % settings.levels] = self._part / settings.block
            self._part = np.zeros_like(self._part)
            self._level = np.sort(self._blocks, axis=0)[settings.levels // 2]
        self._season.learn(x, time)
        if self._buckets % settings.refit_buckets < len(x):
            self._refit()

    def _refit(self) -> None:
        settings = self._settings
        # Each time some series' turn, so that no second costs more than another.
        turn = slice(self._buckets % settings.refit_buckets, None, settings.refit_buckets)
        beyond = np.cumsum(self._histogram[:, :, ::-1, turn], axis=2)
        index = (beyond <= (1 - settings.usual_quantile) * self._whole).sum(axis=2)
        enough = self._buckets >= settings.known_buckets + settings.levels * settings.block
        self._usual[..., turn] = _VALUES[np.minimum(index, len(EDGES))] if enough else np.inf
        if self._weight > 1e100:
            self._histogram /= self._weight
            self._whole /= self._weight
            self._weight = 1.0


class _Season:
    """The ordinary factor of each hour of the week."""

    def __init__(self, series: int, settings: CountSettings) -> None:
        self._settings = settings
        self._relative, self._factor = np.ones((HOURS, series)), np.ones((HOURS, series))
        self._weeks = np.zeros(HOURS)
        self._mean = np.zeros(series)
        self._sum, self._buckets = np.zeros(series), 0
        self._hour, self._hours = -1, 0

    def factor(self, time: float) -> Floats:
        hours = time / 3_600
        if self._settings.bucket_seconds >= 3_600:
            return np.asarray(self._factor[int(hours) % HOURS])
        # From the middle of one hour to that of the next, so that no level jumps as the clock strikes.
        since = (hours - 0.5) % HOURS
        part = since % 1
        return np.asarray(self._factor[int(since)] * (1 - part) + self._factor[(int(since) + 1) % HOURS] * part)

    def learn(self, x: Floats, time: float) -> None:
        hour = int(time // 3_600) % HOURS
        if hour != self._hour and self._buckets:
            self._whole_hour(self._sum / self._buckets)
            self._sum, self._buckets = np.zeros_like(self._sum), 0
        self._hour = hour
        self._sum += x
        self._buckets += 1

    def _whole_hour(self, count: Floats) -> None:
        hour, weeks = self._hour, self._weeks[self._hour]
        self._hours += 1
        self._mean = self._mean + (count - self._mean) / min(self._hours, HOURS)
        relative = (count + 1) / (self._mean + 1)
        self._relative[hour] += (relative - self._relative[hour]) * (0.4 if weeks else 1.0)
        self._weeks[hour] += 1
        if self._hours >= HOURS:
            believed = (self._weeks / (self._weeks + self._settings.shrink_weeks))[:, None]
            self._factor = np.maximum(self._relative, 0.02) ** believed
