"""Slowness: promises that are kept, and later than is expected at their step; in each series where it is known.

Theory of operation. Of a promise whose asking was read it is known how long it took. Of those kept in a bucket a share
was slow; it is watched by the test of broken ones (`shares.py`), each series against its own recent share. It is a hint
and no broken promise: it opens a suspicion, and lists nobody.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from prikkfri.assurance.detection import shares
from prikkfri.assurance.detection.series import Alarm, Settings
from prikkfri.assurance.detection.shares import ShareSettings
from prikkfri.assurance.segments import Segment

ORDINARY = 0.01
"""The share that is taken for ordinary before anything is known."""
PRIOR_PROMISES = 500.0


class Slowness:
    """What is known of all series in which promises were timed; one owner steps it, bucket by bucket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tested = _tested(settings)
        self._numbers: dict[Segment, int] = {}
        self._shares = shares.fresh(0, self._tested)
        self._raised: dict[Segment, Alarm] = {}

    @property
    def standing(self) -> tuple[Alarm, ...]:
        """The alarms that stand now."""
        return tuple(alarm for _, alarm in sorted(self._raised.items()))

    def step(self, timed: Mapping[Segment, tuple[float, float]], time: float) -> list[Alarm]:
        """Takes one bucket, which began at `time`: of each series the promises kept that were timed, and those of
        them that were slow. Returns the alarms that are raised."""
        new = [series for series in timed if series not in self._numbers]
        if new := new[: self._settings.series - len(self._numbers)]:
            self._numbers |= {series: len(self._numbers) + at for at, series in enumerate(new)}
            self._shares = shares.grown(self._shares, shares.fresh(len(new), self._tested, [ORDINARY] * len(new)))
        if not timed:  # where nothing is kept nothing speaks for or against anything
            return []
        kept, slow = np.zeros(len(self._numbers)), np.zeros(len(self._numbers))
        for series, (all_of_them, late) in timed.items():
            if (number := self._numbers.get(series)) is not None:
                kept[number], slow[number] = all_of_them, late
        before = self._shares
        self._shares, raised = shares.step(before, kept, slow, time, self._tested)
        if not (raised.any() or self._raised):
            return []
        self._raised = {
            series: alarm for series, alarm in self._raised.items() if self._shares.standing[self._numbers[series]]
        }
        segments = list(self._numbers)
        alarms = [
            self._alarm(number, segments[number], float(before.fit.share[number]), time)
            for number in np.flatnonzero(raised).tolist()
        ]
        self._raised |= {alarm.segment: alarm for alarm in alarms}
        return alarms

    def _alarm(self, number: int, segment: Segment, level: float, time: float) -> Alarm:
        since, of, seen = shares.best(self._shares, number)
        return Alarm(
            kind="slow",
            segment=segment,
            raised_at=time + self._settings.bucket_seconds,
            since=since,
            level=level,
            seen=seen / of,
            promises=of,
            evidence=self._tested.threshold,
            threshold=self._tested.threshold,
        )


def _tested(settings: Settings) -> ShareSettings:
    return ShareSettings(
        bucket_seconds=settings.bucket_seconds,
        series=settings.series,
        false_alarms_per_month=settings.false_alarms_per_month,
        half_life_seconds=settings.share_half_life_seconds,
        floor=ORDINARY,
        prior_promises=PRIOR_PROMISES,
    )


class KeptSlowness(msgspec.Struct):
    series: list[Segment]
    shares: dict[str, list[float]]
    raised: list[Alarm]


def kept(slowness: Slowness) -> KeptSlowness:
    return KeptSlowness(list(slowness._numbers), shares.kept(slowness._shares), list(slowness._raised.values()))


def restored(document: KeptSlowness, settings: Settings) -> Slowness:
    slowness = Slowness(settings)
    slowness._numbers = {series: number for number, series in enumerate(document.series)}
    slowness._raised = {alarm.segment: alarm for alarm in document.raised}
    if document.series:
        slowness._shares = shares.restored(document.shares)
    return slowness
