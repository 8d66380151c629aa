"""Volumes: how many come, live and in all series at once; a fall opens a suspicion, a rush is told and is no incident.

Theory of operation. `counts.py` tells which series deviate from what they were a minute ago, by more than they do of
themselves and more than Poisson's law lets happen by chance. A *fall* is asked more than that: the same must hold
against the median of the last minutes that `series.py` keeps, so that what comes after a burst is none. What is settled
is counted, broken or not: that more is broken is another test's matter.

A fall or a rush stands for as long as the longest window, and then until that window is back near what was expected
before it began; a fall also until that is the level, and a rush at most `LASTS_SECONDS`: it is no rush any more then.
"""

from dataclasses import dataclass
from math import exp

import msgspec
import numpy as np

from prikkfri.assurance.detection import counts
from prikkfri.assurance.detection.counts import Counts, CountSettings, evidence_of
from prikkfri.assurance.detection.series import Alarm, Settings
from prikkfri.assurance.detection.shares import Flags, Floats
from prikkfri.assurance.segments import Segment

LASTS_SECONDS = 900.0
NEAR = 0.25
"""The logarithm of seen over expected within which a fall or a rush is over."""

NOBODY_A_SECOND = 1e-3
"""What is said to have been expected where nobody was."""


@dataclass(frozen=True)
class Rush:
    """Far more come than of late."""

    segment: Segment
    since: float
    expected: float
    """A second."""
    seen: float
    """A second, of late."""


class Volumes:
    """What is remembered of all series; one owner steps it, bucket by bucket."""

    def __init__(self, series: int, settings: Settings) -> None:
        self._settings = settings
        self._tested = _tested(settings)
        self._counts = Counts(series, self._tested)
        none = np.zeros(series)
        self._fell, self._fell_at = none, none.copy()
        """What was expected a second when a fall began (0: none stands), and when that was; the same of a rush."""
        self._rushed, self._rushed_at = none.copy(), none.copy()

    @property
    def falls(self) -> Flags:
        """Where a fall stands."""
        return self._fell > 0

    def grow(self, series: int) -> None:
        """So many further series, of which nothing is known, behind those that are there."""
        self._counts.grow(series)
        for name in _STANDING:
            setattr(self, name, np.append(getattr(self, name), np.zeros(series)))

    def step(
        self, settled: Floats, time: float, *, median: Floats, seen: Flags, falls: Flags, stands: Flags
    ) -> list[tuple[int, int, float]]:
        """Takes one bucket of all series, which began at `time`.

        `median`: how many are kept in a bucket of the last minutes; `seen`: the series whose sources could be read;
        `falls`: those in which a fall is a sign of a fault; `stands`: those in which another test has told one that
        stands. Returns where one has begun: the number of the series, the window that shows it best, and its nats.
        """
        end, seconds = time + self._settings.bucket_seconds, self._settings.bucket_seconds
        lasting = stands | self.falls | (self._rushed > 0)
        signs = self._counts.step(settled, time, seen=seen, lasting=lasting if lasting.any() else None)
        began: list[tuple[int, int, float]] = []
        for number in np.flatnonzero((signs < 0) & falls & ~self.falls).tolist():
            window, evidence = self._best(number, float(median[number]))
            if window >= 0:
                began.append((number, window, evidence))
                self._fell[number], self._fell_at[number] = self._counts.expected[number] / seconds, time
        (rising,) = np.nonzero((signs > 0) & ~lasting)
        self._rushed[rising] = np.maximum(self._counts.expected[rising] / seconds, NOBODY_A_SECOND)
        self._rushed_at[rising] = time
        self._end(end, median)
        return began

    def alarm(self, number: int, window: int, evidence: float, end: float, segment: Segment) -> Alarm:
        """The alarm of a fall that has just begun; `end`: of the bucket."""
        length = self._tested.windows[window][0] * self._settings.bucket_seconds
        seen, expected = (float(each) for each in self._counts.windows[window, :, number])
        return Alarm(
            kind="plunge",
            segment=segment,
            raised_at=end,
            since=end - length,
            level=expected / length,
            seen=seen / length,
            promises=expected,
            evidence=evidence,
            threshold=self._tested.threshold,
            text=f"{seen / length:.3g} a second come, {expected / length:.3g} of late",
        )

    def rushes(self, segments: tuple[Segment, ...]) -> list[Rush]:
        """Those that stand, of the series that `segments` are."""
        (some,) = np.nonzero(self._rushed)
        length = self._tested.windows[-1][0] * self._settings.bucket_seconds
        seen = self._counts.windows[-1, 0]
        return [
            Rush(segments[number], float(self._rushed_at[number]), float(self._rushed[number]), seen[number] / length)
            for number in some.tolist()
        ]

    def _best(self, number: int, median: float) -> tuple[int, float]:
        """The window that speaks most for a fall below what both levels expect, and its nats; -1 where none does."""
        found, most = -1, self._tested.threshold
        for window, (length, least) in enumerate(self._tested.windows):
            seen, expected = self._counts.windows[window, :, number]
            mean = min(float(expected), median * length)
            if (seen + 1) > (mean + 1) * exp(-least):
                continue
            nats = float(evidence_of(np.array([seen]), np.array([mean]))[0])
            if nats >= most:
                found, most = window, nats
        return found, most

    def _end(self, now: float, median: Floats) -> None:
        """What is over stands no more."""
        if not (self._fell.any() or self._rushed.any()):
            return
        length = self._tested.windows[-1][0] * self._settings.bucket_seconds
        rate = self._counts.windows[-1, 0] / length
        usual = np.minimum(self._fell, median / self._settings.bucket_seconds)
        back = (now - self._fell_at > length) & (rate >= usual * exp(-NEAR))
        self._fell = np.where(back, 0.0, self._fell)
        calm = (now - self._rushed_at > length) & (rate <= self._rushed * exp(NEAR))
        self._rushed = np.where(calm | (now - self._rushed_at > LASTS_SECONDS), 0.0, self._rushed)


_STANDING = ("_fell", "_fell_at", "_rushed", "_rushed_at")


def _tested(settings: Settings) -> CountSettings:
    return CountSettings(
        bucket_seconds=settings.bucket_seconds,
        series=settings.series,
        false_alarms_per_month=settings.false_alarms_per_month,
        weekly=False,
    )


class KeptVolumes(msgspec.Struct):
    counts: counts.KeptCounts
    standing: dict[str, list[float]]


def kept(volumes: Volumes) -> KeptVolumes:
    return KeptVolumes(counts.kept(volumes._counts), {name: getattr(volumes, name).tolist() for name in _STANDING})


def restored(document: KeptVolumes, settings: Settings) -> Volumes:
    series = len(document.standing[_STANDING[0]])
    volumes = Volumes(series, settings)
    volumes._counts = counts.restored(document.counts, series, volumes._tested)
    for name, numbers in document.standing.items():
        setattr(volumes, name, np.array(numbers, dtype=float))
    return volumes
