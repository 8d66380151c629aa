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

A series that cannot be seen for a bucket is taken to do what is expected of it; one that begins later is known later.

The level of recent medians, the quantile of the series' own deviations and the ratio to them are the parts of what is
known as robust online anomaly detection (e.g. J. Hochenbaum, O. Vallis, A. Kejariwal, arXiv:1704.07706, 2017, for
median and hybrid scales).
"""

from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from prikkfri.assurance.detection.shares import SECONDS_PER_MONTH, Flags, Floats

HOURS = 168
"""Of a week."""
EDGES = np.geomspace(0.05, 8.0, 41)
"""Of the histogram of deviations (logarithms)."""
_VALUES = np.append(EDGES, EDGES[-1] * 1.1)[::-1]
NOBODY = 1e-6
"""What is added and taken away leaves crumbs, which are less."""


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
    weekly: bool = True
    """False: the hour of the week is left out. Between one minute and the next it changes nothing."""

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
        self._born = np.zeros(series)
        """By how many buckets each series is younger than the first."""
        self._histogram = np.zeros((len(settings.windows), 2, len(EDGES) + 1, series))
        self._deviated = np.zeros(series, dtype=bool)
        """Those in whose histogram there is anything."""
        self._usual = np.full((len(settings.windows), 2, series), np.inf)
        self._weight, self._whole = 1.0, np.zeros(series)
        self._season = _Season(series, settings) if settings.weekly else None
        self._before = np.zeros(series)
        self._told_at = np.full(series, -np.inf)
        self.expected = np.zeros(series)
        """Of the last bucket."""

    @property
    def windows(self) -> Floats:
        """(window, seen or expected, series): the sums over the last buckets, as `CountSettings.windows` has them."""
        return np.asarray(np.maximum(self._sums, 0.0))

    def grow(self, series: int) -> None:
        """So many further series, of which nothing is known, behind those that are there.

        Only where the hours of the week are left out.
        """
        assert self._season is None
        new = Counts(series, self._settings)
        new._born += self._buckets
        for name in (*_ARRAYS, "expected"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(new, name)], axis=-1))

    def step(
        self, count: npt.ArrayLike, time: float, *, seen: Flags | None = None, lasting: Flags | None = None
    ) -> npt.NDArray[np.int8]:
        """Takes one bucket of all series, which began at `time`; tells which deviate: 1 above, -1 below, 0 none.

        `seen`: those that could be seen (None: all); `lasting`: those in which what was told before lasts still, so
        that its end will be the return from it.
        """
        settings, x = self._settings, np.asarray(count, dtype=float)
        factor = 1.0 if self._season is None else self._season.factor(time)
        self.expected = self._level * factor
        if seen is not None:
            x = np.where(seen, x, self.expected)
        known = self._buckets - self._born >= settings.levels * settings.block
        self._slide(x)
        found = np.zeros(len(x), dtype=np.int8)
        if known.any():
            self._weight *= 2 ** (1 / settings.memory_buckets)
            self._whole += self._weight * known
            (some,) = np.nonzero(known & (self._sums[-1].max(axis=0) > NOBODY))
            if seen is not None:
                some = some[seen[some]]
            for number, (_, least) in enumerate(settings.windows):
                told = found[some]
                found[some] = np.where(told, told, self._deviating(number, least, some))
            found = np.where(self._returned(x, found, lasting), np.int8(0), found)
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

    def _deviating(self, number: int, least: float, some: npt.NDArray[np.intp]) -> npt.NDArray[np.int8]:
        settings = self._settings
        seen, expected = np.maximum(self._sums[number][:, some], 0.0)
        deviation = np.log((seen + 1) / (expected + 1))
        above = deviation > 0
        usual = np.where(above, self._usual[number, 0, some], self._usual[number, 1, some])
        # Where next to nobody is expected, one is: a first visitor is no rush.
        evidence = evidence_of(seen, np.where(above, expected + 1, expected))
        size = np.abs(deviation)
        alarming = (size > np.maximum(settings.usual_times * usual, least)) & (evidence >= settings.threshold)
        (far,) = np.nonzero(size >= EDGES[0])
        direction = (~above[far]).astype(np.intp)
        self._histogram[number, direction, np.searchsorted(EDGES, size[far]), some[far]] += self._weight
        self._deviated[some[far]] = True
        return np.where(alarming, np.where(above, 1, -1), 0).astype(np.int8)

    def _returned(self, x: Floats, found: npt.NDArray[np.int8], lasting: Flags | None) -> Flags:
        if lasting is not None:
            self._told_at = np.where(lasting, self._buckets, self._told_at)
        lately = self._buckets - self._told_at <= self._settings.returns_within_buckets
        back = lately.copy()
        back[lately] = np.abs(np.log((x[lately] + 1) / (self._before[lately] + 1))) < self._settings.least
        new = (found != 0) & ~lately
        self._before = np.where(new, self.expected, self._before)
        self._told_at = np.where(new, self._buckets, self._told_at)
        return back

    def _learn(self, x: Floats, factor: Floats | float, time: float) -> None:
        settings = self._settings
        self._part += x / factor
        self._buckets += 1
        if self._buckets % settings.block == 0:
            number = self._buckets // settings.block
            self._blocks[(number - 1) % settings.levels] = self._part / settings.block
            self._part = np.zeros_like(self._part)
            self._level = np.sort(self._blocks, axis=0)[settings.levels // 2]
        if self._season is not None:
            self._season.learn(x, time)
        if self._buckets % settings.refit_buckets < len(x):
            self._refit()

    def _refit(self) -> None:
        settings = self._settings
        # Each time some series' turn, so that no second costs more than another.
        turn = np.arange(self._buckets % settings.refit_buckets, len(self._born), settings.refit_buckets)
        turn = turn[self._buckets - self._born[turn] >= settings.known_buckets + settings.levels * settings.block]
        self._usual[..., turn] = _VALUES[-1]
        some = turn[self._deviated[turn]]
        beyond = np.cumsum(self._histogram[:, :, ::-1, some], axis=2)
        index = (beyond <= (1 - settings.usual_quantile) * self._whole[some]).sum(axis=2)
        self._usual[..., some] = _VALUES[np.minimum(index, len(EDGES))]
        if self._weight > 1e100:
            self._histogram /= self._weight
            self._whole /= self._weight
            self._weight = 1.0


def evidence_of(seen: Floats, mean: Floats) -> Floats:
    """By Poisson's law, in nats: the chance of as many or more (as few or fewer) than `seen` is at most exp(-this)."""
    logs = np.zeros_like(seen)
    some = seen > 0
    with np.errstate(divide="ignore"):
        logs[some] = seen[some] * np.log(seen[some] / mean[some])
    return np.asarray(logs - (seen - mean))


_WINDOWS = ("_came", "_promised", "_usual")
_PLAIN = ("_blocks", "_part", "_level", "_born", "_before", "_told_at")
_ARRAYS = (*_WINDOWS, *_PLAIN, "_sums", "_histogram", "_deviated", "_whole")


class KeptCounts(msgspec.Struct):
    """Numbers as bytes; the histograms as parts of their whole, in half precision."""

    buckets: int
    arrays: dict[str, bytes]


def kept(counts: Counts) -> KeptCounts:
    """As bytes, but for the hours of the week, which are learnt of recordings only."""
    arrays = {name: getattr(counts, name).astype(np.float32).tobytes() for name in _WINDOWS}
    arrays |= {name: getattr(counts, name).tobytes() for name in _PLAIN}
    whole = np.maximum(counts._whole, counts._weight)
    arrays["_histogram"] = (counts._histogram / whole).astype(np.float16).tobytes()
    arrays["_whole"] = (counts._whole / counts._weight).tobytes()
    return KeptCounts(counts._buckets, arrays)


def restored(document: KeptCounts, series: int, settings: CountSettings) -> Counts:
    """Those of `series` series that were `kept`."""
    counts = Counts(series, settings)
    found: dict[str, Any] = {}
    for name, numbers in document.arrays.items():
        kind = np.float32 if name in _WINDOWS else np.float16 if name == "_histogram" else np.float64
        shape = getattr(counts, name).shape
        found[name] = np.frombuffer(numbers, dtype=kind).reshape(shape).astype(float)
    for name, array in found.items():
        setattr(counts, name, array)
    counts._buckets = document.buckets
    counts._histogram *= np.maximum(counts._whole, 1.0)
    counts._deviated = np.asarray(counts._histogram.any(axis=(0, 1, 2)))
    last = [(counts._buckets - back) % len(counts._came) for back in range(1, len(counts._came) + 1)]
    for number, (length, _) in enumerate(settings.windows):
        rows = last[:length]
        counts._sums[number] = counts._came[rows].sum(axis=0), counts._promised[rows].sum(axis=0)
    return counts


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
