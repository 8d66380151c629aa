"""The sums of `series.py` in all series at once: the same figures, one number for each series.

What one series is asked, and why, stands there; `series.step` is what this must agree with. Of a series that cannot be
read nothing moves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import exp, log

import numpy as np
import numpy.typing as npt

from prikkfri.assurance.detection.series import (
    HEAVIEST_ENDING,
    ODDS_RATIOS,
    Alarm,
    Level,
    SeriesState,
    Settings,
    Sum,
    plunge_alarm,
    share_alarm,
)
from prikkfri.assurance.detection.shares import Flags, Floats
from prikkfri.assurance.segments import Segment

Numbers = npt.NDArray[np.int64]
_ROWS = len(ODDS_RATIOS) + 1
_PLUNGE = len(ODDS_RATIOS)
"""The row of the plunge; those before it are of the shares."""


@dataclass(frozen=True)
class Sums:
    """All that is remembered of all series, but for the alarms that stand; `Level` and `Sum` say what is what."""

    settled: Floats
    broken: Floats
    volume: Floats
    variance: Floats
    buckets: Numbers
    stretches: Floats
    """One row for each stretch, the newest last; rows before the first whole one are infinite."""
    stretch: Floats
    stretch_buckets: Numbers
    median: Floats
    """Of the stretches; infinite before the first is whole."""
    prior: Floats
    """The share that is taken for ordinary before anything is seen."""
    height: Floats
    """One row for each alternative of a share, then one for the plunge; so are the three below."""
    since: Floats
    expected: Floats
    seen: Floats
    shares_stand: Flags
    """An alarm of this kind stands, whichever test raised it."""
    plunges_stand: Flags
    alternative: Numbers
    """By which alternative a share's alarm stands; -1: not known yet, or none does."""


def fresh(segments: Iterable[Segment], settings: Settings) -> Sums:
    return of([SeriesState(segment) for segment in segments], settings)


def of(states: Sequence[SeriesState], settings: Settings) -> Sums:
    """The states of single series as one."""
    levels = [state.level for state in states]
    sums = [(*state.shares, state.plunge) for state in states]
    most = settings.volume_stretches
    stretches = np.full((most, len(states)), np.inf)
    for number, level in enumerate(levels):
        if known := level.stretches[-most:]:
            stretches[-len(known) :, number] = known
    standing = [{alarm.kind for alarm in state.raised} for state in states]

    def rows(name: str) -> Floats:
        return np.array([[getattr(each, name) for each in theirs] for theirs in sums], dtype=float).reshape(-1, _ROWS).T

    return Sums(
        settled=np.array([level.settled for level in levels], dtype=float),
        broken=np.array([level.broken for level in levels], dtype=float),
        volume=np.array([level.volume for level in levels], dtype=float),
        variance=np.array([level.variance for level in levels], dtype=float),
        buckets=np.array([level.buckets for level in levels], dtype=np.int64),
        stretches=stretches,
        stretch=np.array([level.stretch for level in levels], dtype=float),
        stretch_buckets=np.array([level.stretch_buckets for level in levels], dtype=np.int64),
        median=_medians(stretches),
        prior=np.array([settings.prior_share(state.segment) for state in states], dtype=float),
        height=rows("height"),
        since=rows("since"),
        expected=rows("expected"),
        seen=rows("seen"),
        shares_stand=np.array(["share" in kinds for kinds in standing], dtype=bool),
        plunges_stand=np.array(["plunge" in kinds for kinds in standing], dtype=bool),
        # Kept before it was known by which alternative an alarm stands: by none that would hold it up for an hour.
        alternative=np.array(
            [
                HEAVIEST_ENDING if "share" in kinds and state.alternative < 0 else state.alternative
                for state, kinds in zip(states, standing, strict=True)
            ],
            dtype=np.int64,
        ),
    )


def grown(sums: Sums, more: Sums) -> Sums:
    """With further series behind those that are there."""
    return Sums(
        *(np.concatenate([getattr(sums, each.name), getattr(more, each.name)], axis=-1) for each in fields(Sums))
    )


def each_series(sums: Sums, segments: Iterable[Segment], raised: Mapping[int, tuple[Alarm, ...]]) -> list[SeriesState]:
    """Each series by itself, with the alarms that stand in it by its number."""
    levels = zip(
        sums.settled.tolist(), sums.broken.tolist(), sums.volume.tolist(), sums.variance.tolist(),
        sums.buckets.tolist(), (tuple(v for v in row if v < np.inf) for row in sums.stretches.T.tolist()),
        sums.stretch.tolist(), sums.stretch_buckets.tolist(), strict=True,
    )  # fmt: skip
    rows = np.stack([sums.height, sums.since, sums.expected, sums.seen], axis=-1).swapaxes(0, 1).tolist()
    found = []
    for number, (segment, level, figures) in enumerate(zip(segments, levels, rows, strict=True)):
        *shares, plunge = (Sum(*each) for each in figures)
        by = int(sums.alternative[number])
        found.append(SeriesState(segment, Level(*level), tuple(shares), plunge, raised.get(number, ()), by))
    return found


def step(
    before: Sums,
    kept: Floats,
    broken: Floats,
    time: float,
    settings: Settings,
    *,
    segments: Sequence[Segment],
    seen: Flags,
    falls: Flags,
    learns: Flags | bool = True,
) -> tuple[Sums, list[tuple[int, Alarm]]]:
    """Takes one bucket of all series, which began at `time`; returns the alarms that it raised, by number of series.

    `seen`: the series that move; `falls`: those in which a plunge is believed; `learns`: those of which what is settled
    tells what share is ordinary.
    """
    prior = settings.share_prior_promises
    level = (before.broken + prior * before.prior) / (before.settled + prior)
    after = _added(before, kept, broken, level, time, settings, falls)
    share, plunge = _highest(after.height), after.height[_PLUNGE]
    threshold = settings.threshold
    new_shares = seen & (share >= threshold) & ~before.shares_stand
    new_plunges = seen & (plunge >= threshold) & ~before.plunges_stand
    raised_at = time + settings.bucket_seconds
    alarms: list[tuple[int, Alarm]] = []
    for number in np.flatnonzero(new_shares | new_plunges).tolist():
        if new_shares[number]:
            row = int(_heaviest(after.height[:_PLUNGE, [number]])[0])
            found = share_alarm(_sum(after, row, number), segments[number], raised_at, float(level[number]), threshold)
            alarms.append((number, found))
        if new_plunges[number]:
            alarms.append((number, plunge_alarm(_sum(after, _PLUNGE, number), segments[number], raised_at, threshold)))
    after = _learned(after, kept, broken, settings, share=(share < threshold / 4) & learns, volume=plunge == 0)
    stand, alternative = before.shares_stand | new_shares, np.full_like(before.alternative, -1)
    rows = (after.height, after.since, after.expected, after.seen)  # made in this step, and so changed in place
    (stands,) = np.nonzero(stand)
    if stands.size:
        by = before.alternative[stands]
        by = np.where(by < 0, np.minimum(_heaviest(after.height[:_PLUNGE, stands]), HEAVIEST_ENDING), by)
        over = after.height[by, stands] <= 0
        for each in rows:
            each[:_PLUNGE, stands[over]] = 0.0
        alternative[stands] = np.where(over, -1, by)
        stand[stands[over]] = False
    np.minimum(after.height, threshold, out=after.height)
    after = replace(
        after,
        shares_stand=stand,
        plunges_stand=(before.plunges_stand | new_plunges) & (plunge > 0),
        alternative=alternative,
    )
    return after if seen.all() else _where(seen, after, before), alarms


def _highest(height: Floats) -> Floats:
    """Of the sums of the shares of each series."""
    highest: Floats = height[0]
    for row in height[1:_PLUNGE]:
        highest = np.maximum(highest, row)
    return highest


def _heaviest(heights: Floats) -> Numbers:
    """The row of the highest, of equals the heaviest."""
    return np.asarray(_PLUNGE - 1 - heights[::-1].argmax(axis=0))


def _sum(sums: Sums, row: int, number: int) -> Sum:
    return Sum(*(float(each[row, number]) for each in (sums.height, sums.since, sums.expected, sums.seen)))


def _added(
    before: Sums, kept: Floats, broken: Floats, level: Floats, time: float, settings: Settings, falls: Flags
) -> Sums:
    """With the bucket in the sums, however high that makes them."""
    after = replace(
        before,
        height=before.height.copy(),
        since=before.since.copy(),
        expected=before.expected.copy(),
        seen=before.seen.copy(),
    )
    (some,) = np.nonzero(kept + broken)  # where nothing is settled nothing speaks for or against a share
    ordinary = np.minimum(0.5, np.maximum(settings.share_floor, settings.share_slack * level[some]))
    for row, ratio in enumerate(ODDS_RATIOS if some.size else ()):
        odds = ratio * ordinary / (1 - ordinary)
        risen = odds / (1 + odds)
        evidence = broken[some] * np.log(risen / ordinary) + kept[some] * np.log((1 - risen) / (1 - ordinary))
        _add(after, row, some, evidence, kept[some] + broken[some], broken[some], time)
    steady = np.minimum(before.volume, before.median)
    believed = falls & (before.buckets >= settings.warm_up_buckets) & (steady > 0)
    for each in (after.height, after.since, after.expected, after.seen):
        each[_PLUNGE, ~believed] = 0.0
    (some,) = np.nonzero(believed)
    if some.size:
        steady, came = steady[some], kept[some]
        apart = log(settings.volume_plunge / settings.volume_ordinary_fall)
        fell = (settings.volume_plunge - settings.volume_ordinary_fall) * steady
        evidence = (came * apart - fell) / (1 + before.variance[some] * steady)
        _add(after, _PLUNGE, some, evidence, steady, came, time)
    return after


def _add(
    sums: Sums, row: int, some: npt.NDArray[np.intp], evidence: Floats, expected: Floats, counts: Floats, time: float
) -> None:
    """Adds a bucket to some sums of a row, in place: its nats, what was settled or expected, and what was broken or
    came."""
    height = sums.height[row, some]
    risen = height + evidence
    goes_on = risen > 0
    sums.height[row, some] = np.where(goes_on, risen, 0.0)
    sums.since[row, some] = np.where(goes_on, np.where(height > 0, sums.since[row, some], time), 0.0)
    sums.expected[row, some] = np.where(goes_on, sums.expected[row, some] + expected, 0.0)
    sums.seen[row, some] = np.where(goes_on, sums.seen[row, some] + counts, 0.0)


def _learned(sums: Sums, kept: Floats, broken: Floats, settings: Settings, *, share: Flags, volume: Flags) -> Sums:
    keep = exp(-log(2) * settings.bucket_seconds / settings.share_half_life_seconds)
    mean, buckets = sums.volume, sums.buckets
    first = 1 / (buckets + 1)
    new = np.maximum(1 - exp(-log(2) * settings.bucket_seconds / settings.volume_half_life_seconds), first)
    known = mean > 0
    some = np.where(known, mean, 1.0)
    beyond = np.minimum(((kept - mean) ** 2 - mean) / some**2, 1.0)
    variance = np.maximum(0.0, sums.variance + np.maximum(new / 10, first) * (beyond - sums.variance))
    return _counted(
        replace(
            sums,
            settled=np.where(share, sums.settled * keep + (kept + broken), sums.settled),
            broken=np.where(share, sums.broken * keep + broken, sums.broken),
            volume=np.where(volume, mean + new * (kept - mean), mean),
            variance=np.where(volume & known, variance, sums.variance),
            buckets=np.where(volume, buckets + 1, buckets),
        ),
        kept,
        settings,
    )


def _counted(sums: Sums, kept: Floats, settings: Settings) -> Sums:
    """With one more bucket in the stretches, whatever is suspected."""
    stretch, length = sums.stretch + kept, sums.stretch_buckets + 1
    (whole,) = np.nonzero(length >= settings.stretch_buckets)
    if not whole.size:
        return replace(sums, stretch=stretch, stretch_buckets=length)
    stretches, median = sums.stretches.copy(), sums.median.copy()
    stretches[:-1, whole] = stretches[1:, whole]
    stretches[-1, whole] = stretch[whole] / settings.stretch_buckets
    median[whole] = _medians(stretches[:, whole])
    stretch[whole], length[whole] = 0.0, 0
    return replace(sums, stretch=stretch, stretch_buckets=length, stretches=stretches, median=median)


def _medians(stretches: Floats) -> Floats:
    if not stretches.shape[1]:
        return np.zeros(0)
    known = np.isfinite(stretches).sum(axis=0)
    ordered, series = np.sort(stretches, axis=0), np.arange(stretches.shape[1])
    low, high = ordered[np.maximum(known - 1, 0) // 2, series], ordered[known // 2, series]
    return np.where(known > 0, (low + high) / 2, np.inf)


def _where(seen: Flags, after: Sums, before: Sums) -> Sums:
    return Sums(*(np.where(seen, getattr(after, each.name), getattr(before, each.name)) for each in fields(Sums)))
