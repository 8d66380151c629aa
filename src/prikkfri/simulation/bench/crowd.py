"""What a benchmark of signing in makes of what people went through: points of a curve, and how soon it recovers."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from prikkfri.simulation.bench.machine import quantile

GOODPUT_SHARE_MIN, GOODPUT_SHARE_MIN_TOGETHER = 0.90, 0.80
WASTED_SHARE_MAX = 0.01
RECOVERY_SECONDS_MAX = 5.0
PSS_MB_MAX = 200.0
"""The goals, on a quiet machine."""
AGREE_SHARE = 0.05
"""By more than this the limit before and after a point may not differ, or the machine was another one meanwhile."""
STEP_SECONDS = 0.25
RECOVERED_SHARE = 0.9


@dataclass(frozen=True)
class Visitor:
    """One person of a crowd, by their own watch."""

    at: float
    got_at: float = 0.0
    """0: they left before they got in."""


@dataclass(frozen=True)
class FetchResult:
    """What somebody inside fetched: playlists and a segment."""

    at: float
    ms: float
    trouble: str = ""


@dataclass(frozen=True)
class Point:
    load_x: float
    """How many times the hash limit came."""
    offered_per_s: float
    goodput_per_s: float
    """Those who got in before they gave up."""
    goodput_share: float
    """Of the hash limit just before and just after."""
    wasted_share: float
    """Of all hashes, those for somebody who was gone."""
    p50_s: float
    p99_s: float
    """Of those who got in: how long it took them."""
    inside_failed: int
    inside_p99_ms: float
    limit_before_per_s: float
    limit_after_per_s: float

    @property
    def valid(self) -> bool:
        low, high = sorted((self.limit_before_per_s, self.limit_after_per_s))
        return high - low <= AGREE_SHARE * high


def point(
    load_x: float,
    came: Sequence[Visitor],
    fetched: Sequence[FetchResult],
    *,
    begins: float,
    ends: float,
    hashes: int,
    limits: tuple[float, float],
) -> Point:
    """`begins` to `ends`: the stretch that counts, in which the load had settled; hashes are those of all `came`."""
    seconds, limit = ends - begins, statistics.fmean(limits)
    theirs = [each for each in came if begins <= each.at < ends]
    waits = [each.got_at - each.at for each in came if each.got_at and begins <= each.got_at < ends]
    useful = sum(bool(each.got_at) for each in came)
    inside = [each for each in fetched if begins <= each.at < ends]
    return Point(
        load_x=load_x,
        offered_per_s=round(len(theirs) / seconds, 1),
        goodput_per_s=round(len(waits) / seconds, 1),
        goodput_share=round(len(waits) / seconds / limit, 3) if limit else 0.0,
        wasted_share=round(max(0, hashes - useful) / hashes, 4) if hashes else 0.0,
        p50_s=round(quantile(waits, 0.5), 2),
        p99_s=round(quantile(waits, 0.99), 2),
        inside_failed=sum(bool(each.trouble) for each in inside),
        inside_p99_ms=round(quantile([each.ms for each in inside], 0.99), 1),
        limit_before_per_s=round(limits[0], 1),
        limit_after_per_s=round(limits[1], 1),
    )


def middle(points: Sequence[Point]) -> Point:
    """The one with the median goodput among those that are valid; among all where none is."""
    ordered = sorted(
        [each for each in points if each.valid] or points, key=lambda each: (each.goodput_share, each.wasted_share)
    )
    return ordered[(len(ordered) - 1) // 2]


def recovery_s(came: Sequence[Visitor], *, left_at: float, ends: float) -> float | None:
    """How long after a crowd has left at once as many get in as come, a second long; None: not before `ends`."""
    begins = left_at
    while begins + 1.0 <= ends:
        coming = sum(begins <= each.at < begins + 1.0 for each in came)
        getting_in = sum(begins <= each.got_at < begins + 1.0 for each in came if each.got_at)
        if coming and getting_in >= RECOVERED_SHARE * coming:
            return round(begins - left_at, 2)
        begins += STEP_SECONDS
    return None


def goals(
    points: Sequence[Point], recovered_s: float | None, pss_mb: float, *, together: bool
) -> list[tuple[str, bool]]:
    """What is wanted on a quiet machine, and whether it was reached."""
    share = GOODPUT_SHARE_MIN_TOGETHER if together else GOODPUT_SHARE_MIN
    full = [each for each in points if each.load_x >= 1]
    return [
        ("the limit agrees before and after each point", all(each.valid for each in points)),
        (f"goodput {share:.0%} of the hash limit", all(each.goodput_share >= share for each in full)),
        (
            f"{WASTED_SHARE_MAX:.0%} of hashes for people gone",
            all(each.wasted_share <= WASTED_SHARE_MAX for each in points),
        ),
        ("nobody inside fails", not any(each.inside_failed for each in points)),
        (
            f"recovery within {RECOVERY_SECONDS_MAX:g} s",
            recovered_s is not None and recovered_s <= RECOVERY_SECONDS_MAX,
        ),
        (f"door and signin {PSS_MB_MAX:g} MB", pss_mb <= PSS_MB_MAX),
    ]
