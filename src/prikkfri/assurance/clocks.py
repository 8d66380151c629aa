"""Clocks: whether a role's clock is further from ours than the house can bear, by the times of what it writes.

What is decided in the future was told by a clock that is ahead. What has just been written and was decided long ago was
told by a clock that is behind, when it is so for page after page: one page may have waited for its disk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from prikkfri.assurance.tally import CLOCKS_APART_SECONDS_MAX

UNDERWAY_SECONDS_MAX = 1.5
"""An outcome is on its way from its role to here for no longer."""
PAGES_MIN = 3
HELD_SECONDS = 10.0


@dataclass(frozen=True)
class RoleClock:
    """What the pages of one stream have said of its role's clock."""

    sign: int = 0
    """1: ahead of ours by too much, -1: behind, 0: neither."""
    since: float = 0.0
    pages: int = 0
    wrong: bool = False
    """It has been so for long enough to be told."""


def seen(before: RoleClock, times: Sequence[float], now: float, *, current: bool) -> RoleClock:
    """With one more page; `times` are those of what the role saw itself.

    `current`: the stream had been read to its end a moment before. What has waited to be read says nothing.
    """
    if not times:
        return before
    sign = _sign(off_seconds(times, now), current)
    if sign is None:
        return before
    if sign != before.sign:
        return RoleClock(sign, now, 1)
    pages = before.pages + 1
    held = sign != 0 and pages >= PAGES_MIN and now - before.since >= HELD_SECONDS
    return RoleClock(sign, before.since, pages, before.wrong or held)


def off_seconds(times: Sequence[float], now: float) -> float:
    """By how much a clock seems to be ahead of ours (below 0: behind): of one behind, by its newest outcome."""
    middle, newest = median(times) - now, max(times) - now
    return max(middle, 0.0) or min(newest, 0.0)


def _sign(seconds: float, current: bool) -> int | None:
    if seconds > CLOCKS_APART_SECONDS_MAX:
        return 1
    if not current:
        return None
    return -1 if seconds < -CLOCKS_APART_SECONDS_MAX - UNDERWAY_SECONDS_MAX else 0


def sentence(role: str, seconds: float) -> str:
    """What the people on duty are told."""
    where = "behind" if seconds < 0 else "ahead of"
    return f"the clock of {role} is about {abs(seconds):.0f} s {where} ours: times that it tells are wrong by as much"
