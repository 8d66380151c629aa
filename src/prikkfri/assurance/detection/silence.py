"""Silence: a source that always speaks at this hour and has said nothing for far longer than it ever keeps quiet.

Theory of operation. The day has *parts* of two hours (of UTC). Of each part that was watched whole its rate and its
longest silence are learnt: the lowest rate and the longest silence of a week, and those of the week before. Seven days
are thus known before anything is told, a quiet Sunday among them, and never more than two weeks are kept. Where nothing
came in one of those parts nothing is expected in it.

A silence is told when two things hold. By Poisson's law, at the lowest rates of the parts that it lasted through, it
is as improbable as the threshold of all other tests asks: exp(-expected). And it is twice as long as any at these hours
in all that is remembered: traffic comes in clumps, and of n silences of one kind the longest to come is longer than all
before with a chance of 1/(n + 1), whatever their distribution. Both are asked of the part itself and of its neighbours,
so that an hour of summer time, or a crowd that comes a little later, changes nothing.

Time that was not seen is none: neither silence nor knowledge. What has been quiet for `LASTS_SECONDS` is gone for good;
it is forgotten, and must speak for a week again.

This sees what the plunge (`series.py`) cannot: in less than some promise in three seconds its level has come down
before there is evidence enough.
"""

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from prikkfri.assurance.detection.series import Alarm, Settings
from prikkfri.assurance.detection.shares import Flags, Floats
from prikkfri.assurance.segments import Segment

PART_SECONDS = 7_200
PARTS = 86_400 // PART_SECONDS
DAYS = 7
"""So many days make a remembered week of a part."""
WATCHED_PART = 0.98
"""Of a part that counts as watched whole."""
LONGER = 2.0
"""Than any silence at these hours."""
LASTS_SECONDS = 6 * 3_600.0
"""What is quiet for so long is the new ordinary."""

Weeks = npt.NDArray[np.float32]
"""(this week, the week before) x parts x series."""


@dataclass(frozen=True)
class Silences:
    """What is remembered of all series, in seconds and promises a second."""

    part: int
    """The number of the part that runs, since 1970 ..."""
    until: float
    """... and up to when it was counted."""
    watched: Floats
    came: Floats
    longest: Floats
    """In the part that runs."""
    quiet: Floats
    """How long nothing has come; 0: something came just now."""
    since: Floats
    expected: Floats
    """Promises, since then."""
    stand: Flags
    """An alarm stands."""
    days: Weeks
    low: Weeks
    """Infinite in a week that has just begun; 0 while no week is known."""
    long: Weeks
    rate: Floats
    """The lowest rate of this part and its neighbours ..."""
    usual: Floats
    """... and their longest silence."""


def fresh(series: int, time: float = 0.0) -> Silences:
    zeros, weeks = np.zeros(series), np.zeros((2, PARTS, series), dtype=np.float32)
    low = weeks.copy()
    low[0] = inf
    return Silences(
        part=int(time // PART_SECONDS),
        until=time,
        watched=zeros,
        came=zeros,
        longest=zeros,
        quiet=zeros,
        since=zeros,
        expected=zeros,
        stand=np.zeros(series, dtype=bool),
        days=weeks,
        low=low,
        long=weeks.copy(),
        rate=zeros,
        usual=zeros,
    )


def grown(silences: Silences, series: int) -> Silences:
    """With so many further series behind those that are there."""
    more = fresh(series)
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(silences, name), getattr(more, name)], axis=-1) for name in _ARRAYS
    }
    return replace(silences, **arrays)


def step(
    before: Silences, settled: Floats, time: float, settings: Settings, *, seen: Flags, falls: Flags
) -> tuple[Silences, Flags]:
    """Takes one bucket of all series, which began at `time`; tells in which an alarm is raised.

    `seen`: the series whose sources could be read; `falls`: those in which silence is a sign of a fault.
    """
    seconds = settings.bucket_seconds
    if abs(time - before.until) > seconds / 2:
        before = _paused(before)
    part = int(time // PART_SECONDS)
    if part != before.part:
        before = _next_part(before, part)
    spoke = settled > 0
    goes_on = seen & ~spoke
    quiet = np.where(spoke, 0.0, before.quiet + seconds * goes_on)
    expected = np.where(spoke, 0.0, before.expected + seconds * before.rate * goes_on)
    lasts = quiet >= LASTS_SECONDS
    tells = falls & ~lasts & (expected >= settings.threshold) & (quiet >= LONGER * before.usual)
    raised = goes_on & ~before.stand & tells
    # A part in which an alarm stood says nothing of what is usual: it is never whole.
    after = replace(
        before,
        until=time + seconds,
        watched=np.where(before.stand | raised, -inf, before.watched + seconds * seen),
        came=before.came + settled * seen,
        longest=np.maximum(before.longest, quiet),
        quiet=quiet,
        since=np.where(goes_on & (before.quiet == 0), time, before.since),
        expected=expected,
        stand=(before.stand | raised) & (quiet > 0) & ~lasts,
    )
    return (_forgotten(after, lasts) if lasts.any() else after), raised


def alarm(silences: Silences, number: int, segment: Segment, settings: Settings) -> Alarm:
    """The alarm of a series in which one was just raised."""
    quiet, expected = float(silences.quiet[number]), float(silences.expected[number])
    return Alarm(
        kind="plunge",
        segment=segment,
        raised_at=silences.until,
        since=float(silences.since[number]),
        level=expected / quiet,
        seen=0.0,
        promises=expected,
        evidence=expected,
        threshold=settings.threshold,
        text=f"nothing for {_spoken(quiet)}, of late at these hours never for more than "
        f"{_spoken(float(silences.usual[number]))}",
    )


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _paused(silences: Silences) -> Silences:
    """Nobody counted for a while: how long it has been quiet is not known, and no alarm of before stands."""
    zeros = np.zeros_like(silences.quiet)
    return replace(silences, quiet=zeros, expected=zeros, stand=np.zeros_like(silences.stand))


def _next_part(before: Silences, part: int) -> Silences:
    """The part that ran is over; what it was goes into its week."""
    days, low, long = before.days.copy(), before.low.copy(), before.long.copy()
    at = before.part % PARTS
    (whole,) = np.nonzero(before.watched >= WATCHED_PART * PART_SECONDS)
    days[0, at, whole] += 1
    low[0, at, whole] = np.minimum(low[0, at, whole], before.came[whole] / np.maximum(before.watched[whole], 1.0))
    long[0, at, whole] = np.maximum(long[0, at, whole], before.longest[whole])
    full = whole[days[0, at, whole] >= DAYS]
    days[1, at, full], low[1, at, full], long[1, at, full] = days[0, at, full], low[0, at, full], long[0, at, full]
    days[0, at, full], low[0, at, full], long[0, at, full] = 0, inf, 0
    zeros = np.zeros_like(before.watched)
    learned = replace(before, part=part, watched=zeros, came=zeros, longest=zeros, days=days, low=low, long=long)
    return _expecting(learned)


def _expecting(silences: Silences) -> Silences:
    around = [(silences.part + beside) % PARTS for beside in (-1, 0, 1)]
    return replace(
        silences,
        rate=silences.low[:, around].min(axis=(0, 1)).astype(float),
        usual=silences.long[:, around].max(axis=(0, 1)).astype(float),
    )


def _forgotten(silences: Silences, gone: Flags) -> Silences:
    """Of those that are gone for good nothing is known."""
    new = fresh(len(gone))
    kept: dict[str, Any] = {
        name: np.where(gone, getattr(new, name), getattr(silences, name))
        for name in ("expected", "days", "low", "long", "rate", "usual")
    }
    return replace(silences, **kept)


# What is kept over a restart: numbers as bytes, since a week of each series is many of them.

_RUNNING = ("watched", "came", "longest", "quiet", "since", "expected")
_WEEKS = ("days", "low", "long")
_ARRAYS = (*_RUNNING, "stand", *_WEEKS, "rate", "usual")


class KeptSilences(msgspec.Struct):
    part: int
    until: float
    arrays: dict[str, bytes]


def kept(silences: Silences) -> KeptSilences:
    arrays = {name: np.asarray(getattr(silences, name)).tobytes() for name in (*_RUNNING, "stand", *_WEEKS)}
    return KeptSilences(silences.part, silences.until, arrays)


def restored(document: KeptSilences, series: int) -> Silences:
    """Those of `series` series that were kept."""
    found: dict[str, Any] = {}
    new = fresh(series)
    for name, numbers in document.arrays.items():
        like = getattr(new, name)
        found[name] = np.frombuffer(numbers, dtype=like.dtype).reshape(like.shape).copy()
    return _expecting(replace(new, part=document.part, until=document.until, **found))
