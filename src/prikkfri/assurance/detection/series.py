"""Detection: from the counts of one series to alarms.

Theory of operation. Two tests run on each series, bucket by bucket, each against the *recent level* of that series: an
exponentially forgotten average that learns only while nothing is suspected.

*A rising share of broken promises.* Of n promises settled in a bucket, b were broken. The worst share that is still
called ordinary is ``q = max(floor, slack * level)``. For each of a few alternatives ``p > q`` (odds of q times 4, 20,
400: five in a hundred of one partner, half, everything) the log-likelihood ratio

    L = b ln(p/q) + (n - b) ln((1 - p)/(1 - q))

is summed by ``S := max(0, S + L)``: Page's CUSUM (E. S. Page, Biometrika 41, 1954), which is the likelihood-ratio test
of "the share rose to p at some past moment, not yet ended" (G. Lorden, Ann. Math. Stat. 42, 1971). The alarm is raised
when S reaches h; the share rose where S last stood at zero.

*A plunge of the promises kept.* The same sum over the Poisson likelihood of the count x, with the worst ordinary rate
``q = ordinary_fall * level`` and the alternative ``p = plunge * level``: ``L = (x ln(p/q) - (p - q)) / dispersion``.
The dispersion is ``1 + level * v``, where v is the learned variance of x/level beyond Poisson's. The level of this
test is the lower of two: a quick average, which follows half-time and final whistle (those halve a crowd in minutes, a
fault in seconds), and the median of the last minutes, which a burst of seconds does not move: what comes after it is
no plunge. A series that has fallen for good is ordinary again when the median has come down.

*The threshold.* Lorden's theorem: as long as the true share is at most q, the mean time to a false alarm of one such
sum is at least exp(h) buckets, whatever the volume. With ``sums`` of them per bucket, ``h = ln(sums * buckets_per_year
/ false_alarms_per_year)`` keeps the whole installation below the stated rate. It is a bound for the share (a test
simulates it); for the plunge it holds as far as traffic is overdispersed Poisson around at least ``ordinary_fall``
of its level, which is checked on a month of real football crowds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, log
from statistics import median
from typing import Literal

import msgspec
from msgspec import structs

from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import ORDINARY_SHARES, Bucket

SERIES_MAX = 2_000
"""Series that are watched in one installation."""
SECONDS_PER_YEAR = 365.25 * 86_400
ODDS_RATIOS = (4.0, 20.0, 400.0)
HEAVIEST_ENDING = 1
"""An alarm stands by no heavier alternative: that of a refusal of everybody would end with a second of rest."""
VOLUME_WINDOWS = 3
"""Over so many lengths a fall is looked for (`counts.py`)."""
TESTS = len(ODDS_RATIOS) + 5 + VOLUME_WINDOWS
"""That may raise an alarm in each series: these, that of a plunge, the e-detector of all shares (`shares.py`), that of
silence (`silence.py`), that of slowness (`slowness.py`), and that of a fall over each length (`volumes.py`); and in all
services together that of contacts (`contacts.py`)."""

_EVERYTHING = Segment()

Kind = Literal["share", "plunge", "contacts", "slow", "told"]
"""`told`: no test of ours, but a role that saw it with its own eyes and acted."""
HINTS: frozenset[Kind] = frozenset({"plunge", "contacts", "slow"})
"""Of these none says that a promise was broken: alone they confirm nothing, and nobody outside hears of them."""
CONTACT_STEP = "contact"
"""The step of the segment in which an alarm of contacts with customer service is."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    bucket_seconds: float = 1.0
    false_alarms_per_year: float = 1.0
    """In the whole installation."""
    series: int = SERIES_MAX
    """Series that are watched, at the most: the bound is stated for all of them, however few there are."""
    share_floor: float = 0.005
    """Shares up to this are ordinary in any series."""
    share_slack: float = 1.5
    """Shares up to this times the level are ordinary: shares drift more than a fair coin does."""
    share_half_life_seconds: float = 3_600.0
    share_prior_promises: float = 200.0
    """What the floor, or what is ordinary at the step (`ORDINARY_SHARES`), weighs in the level while little is seen."""
    volume_half_life_seconds: float = 60.0
    volume_ordinary_fall: float = 0.5
    """A fall to this part of the level is ordinary ..."""
    volume_plunge: float = 0.25
    """... and a fall to this part or less is what the test looks for."""
    volume_stretches: int = 9
    """Stretches, each as long as the half-life, whose median is the other level."""
    warm_up_buckets: int = 300
    """Buckets before the level of the volume is believed."""

    @cached_property
    def stretch_buckets(self) -> int:
        return max(1, round(self.volume_half_life_seconds / self.bucket_seconds))

    def prior_share(self, segment: Segment) -> float:
        """The share that is taken for ordinary in a series of which nothing has been seen."""
        known = ORDINARY_SHARES.get((segment.get("service"), segment.get("step")), 0.0)
        return max(self.share_floor, known)

    @property
    def false_alarms_per_month(self) -> float:
        """Of each test, in the whole installation."""
        return self.false_alarms_per_year / TESTS / 12

    @cached_property
    def threshold(self) -> float:
        """h, in nats: see the theory of operation."""
        sums = self.series * TESTS
        return max(1.0, log(sums * SECONDS_PER_YEAR / self.bucket_seconds / self.false_alarms_per_year))


@dataclass(frozen=True)
class Alarm:
    kind: Kind
    segment: Segment
    raised_at: float
    since: float
    """When it most likely began: where the sum last stood at zero."""
    level: float
    """The ordinary share (`share`, `slow`), or the ordinary count a second (`plunge`)."""
    seen: float
    """The same figure since `since`."""
    promises: float
    """Settled since `since` (`share`), or expected and not kept (`plunge`)."""
    evidence: float
    """The log-likelihood ratio, in nats."""
    threshold: float
    text: str = ""
    """What was told; of a silence, for how long nothing has come; of contacts, how many."""

    @property
    def sentence(self) -> str:
        if self.kind == "told":
            return f"{self.segment}: {self.text}"
        if self.kind == "contacts":
            return f"{self.segment}: {self.text} ({self.promises:.0f} active, threshold {self.threshold:.0f})"
        if self.kind == "slow":
            return (
                f"{self.segment}: {self.seen:.1%} slow of {self.promises:.0f} kept, ordinarily {self.level:.2%}"
                f" (threshold {self.threshold:.0f})"
            )
        if self.kind == "share":
            return (
                f"{self.segment}: {self.seen:.1%} broken of {self.promises:.0f} promises, ordinarily {self.level:.2%}"
                f" (evidence {self.evidence:.0f}, threshold {self.threshold:.0f})"
            )
        if self.text:
            return f"{self.segment}: {self.text} ({self.promises:.0f} expected, threshold {self.threshold:.0f})"
        return (
            f"{self.segment}: {self.seen:.2g} kept a second, ordinarily {self.level:.2g}"
            f" (evidence {self.evidence:.0f}, threshold {self.threshold:.0f})"
        )


@dataclass(frozen=True)
class Sum:
    """One CUSUM: its height, and what it was made of since it last stood at zero."""

    height: float = 0.0
    since: float = 0.0
    expected: float = 0.0
    """Promises settled, or the count that the level promised."""
    seen: float = 0.0
    """Promises broken, or the count that came."""

    def added(self, evidence: float, bucket: Bucket, expected: float, seen: float) -> "Sum":
        if self.height + evidence <= 0:
            return Sum()
        since = self.since if self.height > 0 else bucket.time
        return Sum(self.height + evidence, since, self.expected + expected, self.seen + seen)

    def capped(self, height: float) -> "Sum":
        """No higher than `height`, so that it comes down as soon as the fault has gone."""
        return self if self.height <= height else replace(self, height=height)


class Level(msgspec.Struct, frozen=True):
    """What is ordinary in a series of late; weights are exponentially forgotten."""

    settled: float = 0.0
    broken: float = 0.0
    volume: float = 0.0
    """Kept promises a bucket."""
    variance: float = 0.0
    """Of kept/volume, beyond Poisson's."""
    buckets: int = 0
    stretches: tuple[float, ...] = ()
    """Kept promises a bucket in each of the last whole stretches, the newest last."""
    stretch: float = 0.0
    """Kept promises in the stretch that is not whole yet ..."""
    stretch_buckets: int = 0
    """... and its buckets so far."""

    @property
    def steady(self) -> float:
        """Kept promises a bucket, as a plunge is measured against."""
        return min(self.volume, median(self.stretches)) if self.stretches else self.volume

    def counted(self, kept: float, settings: Settings) -> "Level":
        """With one more bucket in the stretches, whatever is suspected."""
        if self.stretch_buckets + 1 < settings.stretch_buckets:
            return structs.replace(self, stretch=self.stretch + kept, stretch_buckets=self.stretch_buckets + 1)
        whole = (self.stretch + kept) / settings.stretch_buckets
        stretches = (*self.stretches, whole)[-settings.volume_stretches :]
        return structs.replace(self, stretches=stretches, stretch=0.0, stretch_buckets=0)

    def share(self, settings: Settings, prior_share: float = 0.0) -> float:
        """`prior_share` (the floor, if that is more) is what it is before anything has been seen."""
        prior = settings.share_prior_promises
        return (self.broken + prior * max(prior_share, settings.share_floor)) / (self.settled + prior)


_UNKNOWN = Level()


@dataclass(frozen=True)
class SeriesState:
    """All that is remembered of one series."""

    segment: Segment
    level: Level = _UNKNOWN
    shares: tuple[Sum, ...] = (Sum(),) * len(ODDS_RATIOS)
    plunge: Sum = Sum()
    raised: tuple[Alarm, ...] = ()
    """Alarms that stand: while one does, the level of its test does not learn."""
    alternative: int = -1
    """Of the share's alarm that stands: by which of `shares` it stands; -1: not known yet."""


def step(state: SeriesState, bucket: Bucket, settings: Settings) -> tuple[SeriesState, tuple[Alarm, ...]]:
    """Takes one bucket; returns the new state and the alarms that it raised.

    Buckets come in order, one each `bucket_seconds`, empty ones too: silence is what a plunge is made of.
    """
    threshold, raised_at = settings.threshold, bucket.time + settings.bucket_seconds
    shares = _share_sums(state, bucket, settings)
    plunge = _plunge_sum(state, bucket, settings)
    # Of equals the heaviest: its evidence is used up the soonest.
    highest = max(range(len(shares)), key=lambda number: (shares[number].height, number))
    share = shares[highest]
    standing = {alarm.kind for alarm in state.raised}
    alarms: list[Alarm] = []
    if share.height >= threshold and "share" not in standing:
        level = state.level.share(settings, settings.prior_share(state.segment))
        alarms.append(share_alarm(share, state.segment, raised_at, level, threshold))
    if plunge.height >= threshold and "plunge" not in standing:
        alarms.append(plunge_alarm(plunge, state.segment, raised_at, threshold))
    # An alarm stands until the evidence for it is used up: until as much speaks for "ordinary" as spoke against it. A
    # share's is that of the alternative by which it was raised. By a slighter one it would stand for an hour after a
    # heavy fault in little traffic, and what fails anew meanwhile would raise nothing.
    standing |= {alarm.kind for alarm in alarms}
    by = min(highest, HEAVIEST_ENDING) if state.alternative < 0 else state.alternative
    heights = {"share": shares[by].height if "share" in standing else share.height, "plunge": plunge.height}
    over = {kind for kind, height in heights.items() if height == 0}
    raised = tuple(alarm for alarm in (*state.raised, *alarms) if alarm.kind not in over)
    calm = share.height < threshold / 4
    if "share" in standing & over:
        shares = (Sum(),) * len(shares)  # whatever they hold is of what has ended
    learned = _learned(state.level, bucket, settings, share=calm, volume=plunge.height == 0)
    return SeriesState(
        state.segment,
        learned,
        shares=tuple(each.capped(threshold) for each in shares),
        plunge=plunge.capped(threshold),
        raised=raised,
        alternative=by if "share" in standing - over else -1,
    ), tuple(alarms)


def detect(series: Iterable[Bucket], settings: Settings, segment: Segment = _EVERYTHING) -> list[Alarm]:
    """All alarms of a recorded series, whose buckets are `settings.bucket_seconds` apart."""
    state = SeriesState(segment)
    found: list[Alarm] = []
    for bucket in series:
        state, alarms = step(state, bucket, settings)
        found += alarms
    return found


def _share_sums(state: SeriesState, bucket: Bucket, settings: Settings) -> tuple[Sum, ...]:
    if not bucket.settled:
        return state.shares
    level = state.level.share(settings, settings.prior_share(state.segment))
    ordinary = min(0.5, max(settings.share_floor, settings.share_slack * level))
    sums = []
    for previous, ratio in zip(state.shares, ODDS_RATIOS, strict=True):
        odds = ratio * ordinary / (1 - ordinary)
        risen = odds / (1 + odds)
        evidence = bucket.broken * log(risen / ordinary) + bucket.kept * log((1 - risen) / (1 - ordinary))
        sums.append(previous.added(evidence, bucket, bucket.settled, bucket.broken))
    return tuple(sums)


def _plunge_sum(state: SeriesState, bucket: Bucket, settings: Settings) -> Sum:
    level = state.level
    steady = level.steady
    if level.buckets < settings.warm_up_buckets or steady <= 0:
        return Sum()
    ordinary, fallen = settings.volume_ordinary_fall * steady, settings.volume_plunge * steady
    dispersion = 1 + level.variance * steady
    evidence = (bucket.kept * log(fallen / ordinary) - (fallen - ordinary)) / dispersion
    return state.plunge.added(evidence, bucket, steady, bucket.kept)


def _learned(level: Level, bucket: Bucket, settings: Settings, *, share: bool, volume: bool) -> Level:
    settled, broken = level.settled, level.broken
    if share:
        keep = exp(-log(2) * settings.bucket_seconds / settings.share_half_life_seconds)
        settled, broken = settled * keep + bucket.settled, broken * keep + bucket.broken
    mean, variance, buckets = level.volume, level.variance, level.buckets
    if volume:
        # In the warm-up a plain average, so that the first bucket does not weigh for minutes.
        new = max(1 - exp(-log(2) * settings.bucket_seconds / settings.volume_half_life_seconds), 1 / (buckets + 1))
        if mean > 0:
            beyond = ((bucket.kept - mean) ** 2 - mean) / mean**2
            # The variance learns ten times slower than the level, and one wild bucket counts for at most a doubling.
            variance = max(0.0, variance + max(new / 10, 1 / (buckets + 1)) * (min(beyond, 1.0) - variance))
        mean, buckets = mean + new * (bucket.kept - mean), buckets + 1
    learned = structs.replace(level, settled=settled, broken=broken, volume=mean, variance=variance, buckets=buckets)
    return learned.counted(bucket.kept, settings)


def share_alarm(highest: Sum, segment: Segment, raised_at: float, level: float, threshold: float) -> Alarm:
    return Alarm(
        kind="share",
        segment=segment,
        raised_at=raised_at,
        since=highest.since,
        level=level,
        seen=highest.seen / highest.expected,
        promises=highest.expected,
        evidence=highest.height,
        threshold=threshold,
    )


def plunge_alarm(plunge: Sum, segment: Segment, raised_at: float, threshold: float) -> Alarm:
    seconds = raised_at - plunge.since
    return Alarm(
        kind="plunge",
        segment=segment,
        raised_at=raised_at,
        since=plunge.since,
        level=plunge.expected / seconds,
        seen=plunge.seen / seconds,
        promises=plunge.expected - plunge.seen,
        evidence=plunge.height,
        threshold=threshold,
    )
