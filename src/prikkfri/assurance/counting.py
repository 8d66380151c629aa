"""Counting: how many promises were kept and broken in each period, by service, step, layer and reason."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from prikkfri.assurance.tally import counts
from prikkfri.journal import Outcome

PERIOD_SECONDS = 5
"""The finest that counts are kept: a quarter of an hour is read once a second while somebody watches."""
KINDS_IN_A_PAGE_MAX = 500
"""Past this many kinds the rest are one, `other`. What devices report has as many of its own: its words are theirs to
choose, and must not hide what roles saw."""
TIME_MAX = 1e11
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


class Count(NamedTuple):
    """`outcomes` of one kind in the period that starts at `second` (since 1970 UTC)."""

    second: int
    service: str
    step: str
    layer: str
    verdict: str
    reason: str
    observed: bool
    outcomes: int


def plausible_time(time: float, now: float) -> float:
    """`time`, or `now` when a writer's clock or a device gave what cannot be one."""
    return time if 0 <= time < TIME_MAX else now


def count(outcomes: Iterable[Outcome], now: float) -> list[Count]:
    """The counts that a page of outcomes adds, one for each period and kind."""
    kinds: dict[bool, set[tuple[str, str, str, str, str, bool]]] = {True: set(), False: set()}
    counted: Counter[tuple[int, str, str, str, str, str, bool]] = Counter()
    for outcome in outcomes:
        if not counts(outcome):
            continue
        kind = (
            _slug(outcome.service),
            _slug(outcome.step),
            _slug(outcome.layer),
            outcome.verdict,
            _slug(outcome.reason),
            outcome.observed,
        )
        known = kinds[outcome.observed]
        if kind not in known and len(known) >= KINDS_IN_A_PAGE_MAX:
            kind = ("other", "other", "other", outcome.verdict, "", outcome.observed)
        known.add(kind)
        second = int(plausible_time(outcome.time, now)) // PERIOD_SECONDS * PERIOD_SECONDS
        counted[(second, *kind)] += 1
    return [Count(*key, outcomes) for key, outcomes in sorted(counted.items())]


@lru_cache(maxsize=4_096)
def _slug(text: str) -> str:
    return text if not text or _SLUG.fullmatch(text) else "other"
