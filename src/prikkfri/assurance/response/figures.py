"""What all households of an incident come to: who is hit, for how many a promise was kept, how many asked.

It is kept, and corrected by the change of each household, until another question is asked.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from math import inf
from typing import Generic, TypeVar

from prikkfri.assurance.impact import Hit, Impact, ImpactPart, Scope, hit_line, holder_of, impact_part, list_digest
from prikkfri.assurance.response import assessing
from prikkfri.assurance.response.archive import HouseholdArchive, PromisesInTime
from prikkfri.assurance.response.assessing import Expectations
from prikkfri.assurance.response.households import HolderRow, Household, Households
from prikkfri.assurance.segments import Segment

T = TypeVar("T", bound=tuple[object, ...] | ImpactPart | int)

_NOBODY = ImpactPart((), 0, 0, 0)
_ASKED = ImpactPart((), 1, 0, 0)
"""One person, who got it in time."""


def _in_time(household: Household, held: Iterable[HolderRow]) -> PromisesInTime | None:
    """What was promised to one person to whom everything was answered in time, in place of its outcomes."""
    known = household.in_time
    return known if known is not None and known.tags({customer for _, customer, _, _ in held}) is not None else None


class _Figures(Generic[T]):
    """What each household comes to for one question."""

    def __init__(self, count: Callable[[T, int], None]) -> None:
        """`count` hears what is to be counted (1), and what is to be counted no more (-1)."""
        self.key: object = None
        self.of: dict[Household, T] = {}
        self.stale: set[Household] = set()
        self._count = count

    def bring_up(self, key: object, households: Iterable[Household], ask: Callable[[Household], T]) -> None:
        """Asks those that have changed; all of them when the question is another one."""
        if key != self.key:
            self.stale.update(households)
        self.key = None  # should anything fail, it is not known what is counted: all are asked again
        changed = []
        for household in self.stale:
            before, now = self.of.get(household), ask(household) if household.count else None
            if now != before:
                changed.append((household, before, now))
        # Of two that became one, one may say now what the other said before.
        for household, before, _ in changed:
            if before is not None:
                self._count(before, -1)
                del self.of[household]
        for household, _, now in changed:
            if now is not None:
                self._count(now, 1)
                self.of[household] = now
        self.stale.clear()
        self.key = key

    def drop(self, household: Household) -> None:
        """What a household comes to is not counted here any more."""
        self.stale.discard(household)
        before = self.of.pop(household, None)
        if before is not None and self.key is not None:
            self._count(before, -1)


class HouseholdFigures:
    """Of households and of those in the archive; `now` is set by whoever has gone through what has changed."""

    def __init__(self, households: Households, archive: HouseholdArchive, expectations: Expectations) -> None:
        self.now = -inf
        self._households = households
        self._archive = archive
        self._expectations = expectations
        self._hits: dict[str, tuple[Hit, bytes]] = {}
        self._listed: list[str] = []
        """The persons of it in order, without those who came or went since it was made."""
        self._listed_anew: set[str] = set()
        self._sums = [0, 0, 0]
        self._list = _Figures[ImpactPart](self._count_listed)
        self._persons = [0, 0]
        self._people = _Figures[tuple[int, int]](self._count_people)
        self._asked = 0
        self._asking = _Figures[int](self._count_asking)

    def change(self, household: Household) -> None:
        """A household is to be asked again."""
        for figures in (self._list, self._people, self._asking):
            if figures.key is not None:
                figures.stale.add(household)

    def drop(self, household: Household) -> None:
        """A household is counted no more: it went into the archive."""
        for figures in (self._list, self._people, self._asking):
            figures.drop(household)

    def impact(self, scope: Scope) -> Impact:
        until = None if scope.until == self.now else scope.until

        def part(household: Household) -> ImpactPart:
            if household.ended_at < scope.since:
                return _NOBODY
            held = tuple(self._households.held(household))
            if (known := _in_time(household, held)) is not None:
                return _ASKED if known.asked(scope) else _NOBODY
            holder = holder_of(held)
            outcomes, expectations = household.outcomes, self._expectations
            return impact_part(outcomes, scope, now=self.now, holder=holder, expectations=expectations)

        if self._list.key is None:
            self._list.of.clear()
            self._hits.clear()
            self._sums, self._listed, self._listed_anew = [0, 0, 0], [], set()
        self._list.bring_up((scope.segments, scope.since, until), self._households.known, part)
        if self._listed_anew:
            stay = (person for person in self._listed if person not in self._listed_anew)
            self._listed = sorted(chain(stay, sorted(self._listed_anew & self._hits.keys())))  # two runs are merged
            self._listed_anew.clear()
        asked, unsettled, unconfirmed = self._sums
        hits = [self._hits[person] for person in self._listed]
        digest = list_digest(scope, (line for _, line in hits))
        asked += self._archive.asked(scope)
        return Impact(scope, tuple(hit for hit, _ in hits), asked, unsettled, digest, unconfirmed)

    def _count_listed(self, part: ImpactPart, sign: int) -> None:
        for index, figure in enumerate((part.asked, part.unsettled, part.unconfirmed)):
            self._sums[index] += sign * figure
        for hit in part.hits:
            person = hit.key
            self._listed_anew.add(person)
            if sign < 0:
                del self._hits[person]
            else:
                self._hits[person] = (hit, hit_line(hit))

    def people(self, segments: Sequence[Segment], *, since: float) -> tuple[int, int]:
        def counted(household: Household) -> tuple[int, int]:
            if household.ended_at < since:
                return (0, 0)
            if (known := _in_time(household, self._households.held(household))) is not None:
                return (0, int(known.answered(segments, since=since)))
            outcomes, now = household.outcomes, self.now
            return assessing.people(outcomes, segments, since=since, now=now, expectations=self._expectations)

        if self._people.key is None:
            self._people.of.clear()
            self._persons = [0, 0]
        self._people.bring_up((tuple(segments), since), self._households.known, counted)
        return self._persons[0], self._persons[1] + self._archive.answered(segments, since=since)

    def _count_people(self, of: tuple[int, int], sign: int) -> None:
        for index, figure in enumerate(of):
            self._persons[index] += sign * figure

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        def counted(household: Household) -> int:
            if household.ended_at < since:
                return 0
            if (known := _in_time(household, self._households.held(household))) is not None:
                return int(known.asking(steps, since=since, until=until))
            return assessing.asking(household.outcomes, steps, since=since, until=until)

        if self._asking.key is None:
            self._asking.of.clear()
            self._asked = 0
        key = tuple(steps), since, None if until == self.now else until
        self._asking.bring_up(key, self._households.known, counted)
        return self._asked + self._archive.asking(steps, since=since, until=until)

    def _count_asking(self, of: int, sign: int) -> None:
        self._asked += sign * of
