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


class CountWindow:
    """The counts of the last periods as they are stored, of which only what was added to is read again.

    `since` and `until` are starts of periods. One owner changes it.
    """

    def __init__(self) -> None:
        self._periods: dict[int, list[Count]] = {}
        """By their start, in order."""
        self._known_from = 0
        self._known_to = 0

    def add(self, second: int) -> None:
        """Something was stored in the period that starts then, or later."""
        self._known_to = min(self._known_to, second)

    def forget(self) -> None:
        """Nobody knows what is stored."""
        self._known_to = 0

    def to_read(self, *, since: int, until: int) -> int:
        """From when on to `until` it has to be read; what is added from now on is read again by the next."""
        known_to = self._known_to if since >= self._known_from else since  # a clock was put back
        self._known_from, self._known_to = since, until
        return max(since, min(known_to, until))

    def completed(self, read: Iterable[Count], *, since: int, read_from: int) -> list[Count]:
        """All since `since`, with what was `read` from `read_from` on; oldest first."""
        self._periods = {second: known for second, known in self._periods.items() if since <= second < read_from}
        for each in read:
            self._periods.setdefault(each.second, []).append(each)
        return [each for known in self._periods.values() for each in known]


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
