"""What canaries say of the ways of an incident, carried on: where and when messages went astray, or that none did.

`impact.misdelivery_scopes` and `impact.proven` say what is asked; here it costs what is new. Of what comes after the
incident's beginning only its time is kept, in order; what came before is kept whole, since there it matters what
followed what.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from math import inf

from prikkfri.assurance.impact import Scope, all_flown, on_the_way, over_before, way_of
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.segments import Segment, segment_of


class RouteEvidence:
    """Of one place and beginning of an incident; with another it is begun anew. One owner has it."""

    def __init__(self, segments: Sequence[Segment], since: float) -> None:
        self.segments = tuple(segments)
        self.since = since
        self._before: dict[tuple[float, str, int, str], StoredOutcome] = {}
        """What was told of the time up to the beginning, by its place."""
        self._astray: dict[Segment, array[float]] = {}
        """By way: when canaries spoke against it, each moment once and in order."""
        self._flown: dict[Segment, array[float]] = {}
        """By where they flew: when."""
        self._over: tuple[Mapping[str, float], tuple[float, float]] | None = None
        """By link when a fault that was over was last seen, and by which times that is so; None: to be reckoned."""

    def take(self, rows: Iterable[StoredOutcome]) -> None:
        """What canaries say of routes, in any order and as often as it comes."""
        for row in rows:
            outcome = row.outcome
            if not on_the_way(outcome, self.segments):
                continue
            if outcome.time <= self.since:
                self._before[row.place] = row
                self._over = None
            _put(self._flown.setdefault(segment_of(outcome), array("d")), outcome.time)
            if outcome.verdict == "broken":
                _put(self._astray.setdefault(way_of(outcome), array("d")), outcome.time)

    def scopes(self, *, earlier: float, until: float) -> tuple[Scope, ...]:
        """Each way on which messages went astray, with its time, by what was told of the time from `earlier` on."""
        over = self._over_before(earlier, until if until <= self.since else inf)
        found = []
        for way, times in self._astray.items():
            first = max(bisect_left(times, earlier), bisect_right(times, over.get(way.get("link"), -inf)))
            end = bisect_left(times, until)
            if first < end:
                found.append(Scope((way,), times[first], times[end - 1]))
        return tuple(found)

    def _over_before(self, earlier: float, until: float) -> Mapping[str, float]:
        if self._over is None or self._over[1] != (earlier, until):
            before = sorted(
                (row for row in self._before.values() if earlier <= row.outcome.time < until), key=lambda row: row.place
            )
            self._over = over_before((row.outcome for row in before), self.since), (earlier, until)
        return self._over[0]

    def proven(self, *, until: float) -> bool:
        """Whether canaries flew on each of its ways from its beginning on, so that their silence says something."""
        flew = [where for where, times in self._flown.items() if _any_in(times, self.since, until)]
        return all_flown(flew, self.segments)


def _put(times: "array[float]", time: float) -> None:
    place = bisect_left(times, time)
    if place == len(times) or times[place] != time:
        times.insert(place, time)


def _any_in(times: Sequence[float], since: float, until: float) -> bool:
    return bisect_left(times, since) < bisect_left(times, until)
