"""What an evaluation asks of an incident's outcomes, and how that is carried on from one look to the next.

Theory of operation. Outcomes hang together by a promise, a device or a customer: those that do are a *household*.
Which promises are settled, who is hit and who has asked is known of a household from its own outcomes alone. What
comes in, early, late or in any order, is put to its household, and only that is gone through again; so is one at the
moments at which time alone changes it (a grace time ends). What all households come to is kept and corrected by the
change of each. The place of an incident and its beginning are asked of every household; where they move, all are gone
through once.

Where there are many, those of whom nothing else is to be asked than that they got it in time go into the archive
(`archive.py`), and come back when more is told of them.

`OutcomeHistory` is the same from nothing, of outcomes in a list.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain
from math import inf
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

import msgspec
import numpy as np

from prikkfri.assurance.impact import (
    ROUTE,
    Hit,
    Holder,
    Impact,
    ImpactPart,
    Scope,
    hit_line,
    holder_of,
    impact,
    impact_part,
    list_digest,
)
from prikkfri.assurance.loads import STEPS
from prikkfri.assurance.programmes import channel_come_to
from prikkfri.assurance.response import assessing
from prikkfri.assurance.response.archive import (
    ArchivedHousehold,
    HouseholdArchive,
    JournalPlace,
    archivable,
    tags_of,
)
from prikkfri.assurance.response.assessing import Expectations
from prikkfri.assurance.response.promises import Floats, OrderedPromises, PromiseColumns, SettledPromise, in_order
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.store import StoredOutcome
from prikkfri.assurance.tally import JOIN, asking_of, expectation, is_promise
from prikkfri.journal import Outcome
from prikkfri.streaming.pictures import PICTURE

AHEAD_SECONDS = 1.0
"""What is told for a later moment than so far ahead is not yet taken in."""

CROWD_STEPS = frozenset(STEPS.values())
HolderRow = tuple[str, str, float, float]
"""A device, who was seen on it, from and until when."""
T = TypeVar("T", bound=tuple[object, ...] | ImpactPart | int)


_NOBODY = ImpactPart((), 0, 0, 0)
_NO_MOMENTS: Floats = np.empty(0)
_place = attrgetter("place")


class History(Protocol):
    """What is known of an incident's service from some time before it began up to now."""

    @property
    def acts(self) -> Sequence[Outcome]:
        """What was done about a fault, and what became of pictures; oldest first."""

    @property
    def routes(self) -> Sequence[Outcome]:
        """What canaries say of routes."""

    def promises(self) -> PromiseColumns:
        """Those that are settled, oldest first."""

    def impact(self, scope: Scope) -> Impact:
        """Who was hit."""

    def people(self, segments: Sequence[Segment], *, since: float) -> tuple[int, int]:
        """For how many a promise was broken since then, and for how many one was kept."""

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        """How many asked at these steps."""

    def crowd(self, step: str, since: float, until: float) -> Sequence[float]:
        """When each came to a step where a crowd is counted; of the time before the incident was opened."""

    def viewers(self, since: float, until: float) -> Mapping[str, int]:
        """How many began to watch each channel; of the time before the incident was opened."""

    @property
    def whole(self) -> bool:
        """Whether all outcomes are in memory."""

    def between(self, since: float, until: float) -> list[Outcome]:
        """All of them, oldest first; asked of one that is whole."""


@dataclass(frozen=True)
class OutcomeHistory:
    """The history that a list of outcomes tells, from nothing."""

    outcomes: Sequence[Outcome]
    """Oldest first."""
    now: float
    expectations: Expectations
    holder: Holder | None = None

    @property
    def acts(self) -> Sequence[Outcome]:
        return [outcome for outcome in self.outcomes if _is_act(outcome)]

    @property
    def routes(self) -> Sequence[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.step == ROUTE]

    def promises(self) -> PromiseColumns:
        settled = assessing.settled(self.outcomes, now=self.now, expectations=self.expectations)
        return PromiseColumns.of(in_order(settled))

    def impact(self, scope: Scope) -> Impact:
        return impact(self.outcomes, scope, now=self.now, holder=self.holder, expectations=self.expectations)

    def people(self, segments: Sequence[Segment], *, since: float) -> tuple[int, int]:
        return assessing.people(self.outcomes, segments, since=since, now=self.now, expectations=self.expectations)

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        return assessing.asking(self.outcomes, steps, since=since, until=until)

    def crowd(self, step: str, since: float, until: float) -> Sequence[float]:
        return [o.time for o in self.outcomes if since <= o.time < until and o.step == step and is_promise(o)]

    def viewers(self, since: float, until: float) -> Mapping[str, int]:
        came = (channel_come_to(outcome) for outcome in self.outcomes if since <= outcome.time < until)
        return Counter(channel for channel in came if channel is not None)

    @property
    def whole(self) -> bool:
        return True

    def between(self, since: float, until: float) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if since <= outcome.time < until]


class Household(msgspec.Struct, eq=False, gc=False):
    """Outcomes that hang together, and what they come to. A struct of tuples: none of the collector's business."""

    rows: tuple[StoredOutcome, ...] = ()
    into: "Household | None" = None
    """The one that it has become one with: it is itself no more."""
    sorted: bool = True
    settled: tuple[SettledPromise, ...] = ()
    changes_at: float = inf
    """When time alone may change what they come to."""
    ended_at: float = -inf
    """The last moment that they speak of: the last outcome, or the end of a grace time."""

    def add(self, rows: tuple[StoredOutcome, ...]) -> None:
        # As a rule what comes is younger than what is there.
        in_turn = len(rows) == 1 and (not self.rows or self.rows[-1].outcome.time < rows[0].outcome.time)
        self.sorted = self.sorted and in_turn
        self.rows += rows

    @property
    def outcomes(self) -> list[Outcome]:
        """Oldest first."""
        if not self.sorted:
            self.rows = tuple(sorted(self.rows, key=_place))
            self.sorted = True
        return [row.outcome for row in self.rows]


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
            before, now = self.of.get(household), ask(household) if household.rows else None
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


class IncidentHistory:
    """The history of one incident's service, carried on. One owner has it; what it is asked is as of `now`."""

    def __init__(self, *, since: float, usual_until: float, expectations: Expectations, live_max: float = inf) -> None:
        """Outcomes from `since` on are taken in; crowds and viewers are of the time before `usual_until`.

        When more than `live_max` outcomes are in memory, households go into the archive, those first that have been
        quiet for longest.
        """
        self.since = since
        self.usual_until = usual_until
        self.now = -inf
        self.rows = 0
        """How many of those taken in are in memory."""
        self._live_max = live_max
        self._archive = HouseholdArchive()
        self._quiet: dict[Household, None] = {}
        """Those that may be archived, the one first that changed first."""
        self._tags_met: set[str] = set()
        """Of what was told of who holds which device since households were last recalled."""
        self._recalled: dict[int, JournalPlace] = {}
        self._expectations = expectations
        self._households: dict[Household, None] = {}
        self._by_promise: dict[str, Household] = {}
        self._by_device: dict[str, Household] = {}
        self._by_customer: dict[str, Household] = {}
        self._held: dict[str, tuple[HolderRow, ...]] = {}
        """By device who is known to have held it."""
        self._to_look_up: set[str] = set()
        self._ahead: list[StoredOutcome] = []
        """Told for a moment that has not come."""
        self._stale: set[Household] = set()
        self._changes: list[tuple[float, int, Household]] = []
        """A heap of when each changes by itself."""
        self._number = 0
        self._promises = OrderedPromises()
        self._acts, self._routes = _Rows(), _Rows()
        self._crowds, self._viewers = _Moments(), _Moments()
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

    # What comes in.

    def take(self, rows: Iterable[StoredOutcome]) -> None:
        """Outcomes of the service that have been stored, in any order, each once; those before `since` are left out."""
        self._ahead += (row for row in rows if row.outcome.time >= self.since)

    def devices_to_look_up(self, now: float) -> list[str]:
        """The devices of which it is to be asked who held them, before `advance(now)`; `hold` tells it."""
        new = {row.outcome.device for row in self._ahead if row.outcome.time < now + AHEAD_SECONDS} - {""}
        return sorted(self._to_look_up | {device for device in new if device not in self._held})

    def joined(self, devices: Collection[str]) -> None:
        """Something was told of who holds these devices."""
        self._to_look_up.update(device for device in devices if device in self._held)
        if self._archive:
            self._tags_met.update(devices)

    def to_recall(self, now: float) -> list[JournalPlace]:
        """Where an outcome stands of each archived household of which more is told, before `advance(now)`.

        What has been taken in of all that they tell goes to `recall`; then it is asked again, until there is nothing.
        """
        if not self._archive:
            return []
        due = (row.outcome for row in self._ahead if row.outcome.time < now + AHEAD_SECONDS)
        tags = tags_of(due) | self._tags_met
        self._tags_met.clear()
        self._recalled = self._archive.find(tags)
        return list(self._recalled.values())

    def recall(self, rows: Iterable[StoredOutcome]) -> None:
        """Takes the households that were `to_recall` out of the archive; `rows`: all that has been taken in of them.

        What is told of them and is not come by its turn may be among them.
        """
        told = {_journal_place(row): row for row in rows}
        waiting = {_journal_place(row) for row in self._ahead}
        by_name: dict[str, list[StoredOutcome]] = {}
        for place, row in told.items():
            if row.outcome.time >= self.since and place not in waiting:
                by_name.setdefault(_name(row), []).append(row)
        for number, place in self._recalled.items():
            settled = tuple(promise.settled for promise in self._archive.take(number))
            known = told.get(place)
            self._recall(by_name.pop(_name(known), []) if known is not None else [], settled)
        self._recalled = {}

    def _recall(self, rows: Sequence[StoredOutcome], settled: tuple[SettledPromise, ...]) -> None:
        household = Household(settled=settled)
        self._households[household] = None
        self._stale.add(household)
        self.rows += len(rows)
        for row in rows:
            household.add((row,))
            tags = self._tags_of(row.outcome)
            for by, tag in tags:
                known = _at(by, tag)
                household = household if known is None else self._one(household, known)
            for by, tag in tags:
                by.setdefault(tag, household)
        self._to_look_up.update(device for row in rows if (device := row.outcome.device) and device not in self._held)

    def hold(self, devices: Collection[str], held: Iterable[HolderRow]) -> None:
        """Who has held these devices, as far as is known."""
        found: dict[str, set[HolderRow]] = {device: set() for device in devices}
        for row in held:
            found[row[0]].add(row)
        for device, rows in found.items():
            before, now = self._held.get(device), tuple(sorted(rows))
            if now == before:
                continue
            self._held[device] = now
            if self._archive:
                self._tags_met.update(customer for _, customer, _, _ in now)
            if (household := _at(self._by_device, device)) is not None:
                self._stale.add(household)
                self._tie(household, device)
        self._to_look_up.difference_update(devices)

    def begin_at(self, since: float) -> None:
        """Takes a later beginning; what was before it is forgotten. (Of an earlier one `take` is told the rest.)"""
        if since > self.since:
            self._ahead = [row for row in self._ahead if row.outcome.time >= since]
            for household in list(self._households):
                if any(row.outcome.time < since for row in household.rows):
                    self._forget(household, since)
            for known in (self._acts, self._routes, self._crowds, self._viewers):
                known.forget(since)
            if self._archive:
                were, are = self._archive.forget(since)
                self._promises.replace([each.settled for each in were], [each.settled for each in are])
        self.since = since

    def advance(self, now: float) -> None:
        """Takes in what was told up to `now`."""
        if now < self.now:  # a clock was set back: what had run out may not have
            self._stale.update(self._households)
        self.now = now
        due = [row for row in self._ahead if row.outcome.time < now + AHEAD_SECONDS]
        if due:
            self._ahead = [row for row in self._ahead if row.outcome.time >= now + AHEAD_SECONDS]
            self.rows += len(due)
            for row in due:
                self._put(row)
            self._count_usual(row.outcome for row in due if row.outcome.time < self.usual_until)
            self._acts.add(row for row in due if _is_act(row.outcome))
            self._routes.add(row for row in due if row.outcome.step == ROUTE)
        while self._changes and self._changes[0][0] <= now:
            at, _, household = heappop(self._changes)
            if household.changes_at == at:
                self._stale.add(household)
        self._settle()
        if self.rows > self._live_max:
            self._put_away()

    def _put_away(self) -> None:
        """Archives households until no more than half of what there is room for is in memory, or none can be."""
        found = []
        for household in list(self._quiet):
            if self.rows <= self._live_max / 2:
                break
            del self._quiet[household]
            if household.into is None and (archived := self._archived(household)) is not None:
                found.append(archived)
                self._release(household, archived.tags)
        self._archive.put(found)

    def _archived(self, household: Household) -> ArchivedHousehold | None:
        devices = {row.outcome.device for row in household.rows}
        held_by = {held[1] for held in chain.from_iterable(self._held.get(device, ()) for device in devices)}
        known = archivable(household.outcomes, held_by, self._expectations)
        if known is None or household.rows[-1].outcome.time > self.now:
            return None
        promises, tags = known
        return ArchivedHousehold(promises, _journal_place(household.rows[0]), tags)

    def _release(self, household: Household, tags: Iterable[str]) -> None:
        for figures in (self._list, self._people, self._asking):
            figures.drop(household)
        for tag in tags:
            for by in (self._by_promise, self._by_device, self._by_customer):
                if _at(by, tag) is household:
                    del by[tag]
        for row in household.rows:
            self._held.pop(row.outcome.device, None)
            self._to_look_up.discard(row.outcome.device)
        self.rows -= len(household.rows)
        household.rows, household.settled, household.changes_at = (), (), inf
        del self._households[household]

    def _count_usual(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.step in CROWD_STEPS and is_promise(outcome):
                self._crowds.add(outcome.step, outcome.time)
            if (channel := channel_come_to(outcome)) is not None:
                self._viewers.add(channel, outcome.time)

    def _put(self, row: StoredOutcome) -> None:
        outcome = row.outcome
        tags = self._tags_of(outcome)
        household: Household | None = None
        for by, tag in tags:
            if (known := _at(by, tag)) is not None:
                household = known if household is None else self._one(household, known)
        if household is None:
            household = Household()
        self._households[household] = None
        household.add((row,))
        self._stale.add(household)
        for by, tag in tags:
            by.setdefault(tag, household)
        if outcome.device:
            self._tie(household, outcome.device)

    def _tags_of(self, outcome: Outcome) -> list[tuple[dict[str, Household], str]]:
        found = (
            (self._by_promise, outcome.promise),
            (self._by_device, outcome.device),
            (self._by_customer, outcome.customer),
        )
        return [(by, tag) for by, tag in found if tag]

    def _tie(self, household: Household, device: str) -> None:
        """Makes whoever has held a device of the household one with it."""
        for _, customer, _, _ in self._held.get(device, ()):
            if (known := _at(self._by_customer, customer)) is None:
                self._by_customer[customer] = household
            else:
                household = self._one(household, known)

    def _one(self, a: Household, b: Household) -> Household:
        """Two households as one."""
        if a is b:
            return a
        large, small = (a, b) if len(a.rows) >= len(b.rows) else (b, a)
        small.into = large
        large.add(small.rows)
        small.rows = ()
        self._households[large] = None
        self._stale |= {large, small}
        return large

    def _forget(self, household: Household, since: float) -> None:
        old = [row.outcome for row in household.rows if row.outcome.time < since]
        household.rows = tuple(row for row in household.rows if row.outcome.time >= since)
        self.rows -= len(old)
        self._stale.add(household)
        left = [row.outcome for row in household.rows]
        for by, gone, kept in (
            (self._by_promise, {o.promise for o in old}, {o.promise for o in left}),
            (self._by_device, {o.device for o in old}, {o.device for o in left}),
            (self._by_customer, {o.customer for o in old}, {o.customer for o in left}),
        ):
            if left and by is self._by_customer:
                continue  # they may hold a device of those who are left
            for tag in gone - kept:
                by.pop(tag, None)
                if by is self._by_device:
                    self._held.pop(tag, None)
                    self._to_look_up.discard(tag)

    # What it comes to.

    def _settle(self) -> None:
        """Goes through the households that have changed."""
        gone: list[SettledPromise] = []
        new: list[SettledPromise] = []
        for household in self._stale:
            outcomes = household.outcomes
            settled = tuple(assessing.settled(outcomes, now=self.now, expectations=self._expectations))
            if settled != household.settled:
                left = list(household.settled)
                for each in settled:
                    if each in left:
                        left.remove(each)
                    else:
                        new.append(each)
                gone += left
                household.settled = settled
            self._wait_for(household, outcomes)
            for figures in (self._list, self._people, self._asking):
                if figures.key is not None:
                    figures.stale.add(household)
            self._quiet.pop(household, None)
            if household.rows:
                self._quiet[household] = None
            else:
                self._households.pop(household, None)
        self._stale.clear()
        self._promises.replace(gone, new)

    def _wait_for(self, household: Household, outcomes: Iterable[Outcome]) -> None:
        """Looks at the household again when a grace time of it ends, or a moment comes for which something was told."""
        moments = [at for outcome in outcomes for at in self._moments(outcome)]
        household.ended_at = max(moments, default=-inf)
        household.changes_at = min((at for at in moments if at >= self.now), default=inf)
        if household.changes_at < inf:
            self._number += 1
            heappush(self._changes, (household.changes_at, self._number, household))

    def _moments(self, outcome: Outcome) -> Iterable[float]:
        yield outcome.time
        if outcome.verdict != "kept":
            yield outcome.time + expectation(outcome, self._expectations).grace_seconds
            if outcome.step == JOIN:
                yield outcome.time + expectation(asking_of(outcome), self._expectations).grace_seconds

    @property
    def acts(self) -> Sequence[Outcome]:
        return self._acts.outcomes

    @property
    def routes(self) -> Sequence[Outcome]:
        return self._routes.outcomes

    def promises(self) -> PromiseColumns:
        return self._promises.columns

    def impact(self, scope: Scope) -> Impact:
        until = None if scope.until == self.now else scope.until

        def part(household: Household) -> ImpactPart:
            if household.ended_at < scope.since:
                return _NOBODY
            devices = {row.outcome.device for row in household.rows}
            holder = holder_of(chain.from_iterable(self._held.get(device, ()) for device in devices))
            outcomes, expectations = household.outcomes, self._expectations
            return impact_part(outcomes, scope, now=self.now, holder=holder, expectations=expectations)

        if self._list.key is None:
            self._list.of.clear()
            self._hits.clear()
            self._sums, self._listed, self._listed_anew = [0, 0, 0], [], set()
        self._list.bring_up((scope.segments, scope.since, until), self._households, part)
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
            outcomes, now = household.outcomes, self.now
            return assessing.people(outcomes, segments, since=since, now=now, expectations=self._expectations)

        if self._people.key is None:
            self._people.of.clear()
            self._persons = [0, 0]
        self._people.bring_up((tuple(segments), since), self._households, counted)
        return self._persons[0], self._persons[1] + self._archive.answered(segments, since=since)

    def _count_people(self, of: tuple[int, int], sign: int) -> None:
        for index, figure in enumerate(of):
            self._persons[index] += sign * figure

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        def counted(household: Household) -> int:
            if household.ended_at < since:
                return 0
            return assessing.asking(household.outcomes, steps, since=since, until=until)

        if self._asking.key is None:
            self._asking.of.clear()
            self._asked = 0
        key = tuple(steps), since, None if until == self.now else until
        self._asking.bring_up(key, self._households, counted)
        return self._asked + self._archive.asking(steps, since=since, until=until)

    def _count_asking(self, of: int, sign: int) -> None:
        self._asked += sign * of

    def crowd(self, step: str, since: float, until: float) -> Sequence[float]:
        found: list[float] = self._crowds.between(since, until).get(step, _NO_MOMENTS).tolist()
        return found

    def viewers(self, since: float, until: float) -> Mapping[str, int]:
        return {channel: len(moments) for channel, moments in self._viewers.between(since, until).items()}

    @property
    def archived(self) -> int:
        """How many households are in the archive."""
        return len(self._archive)

    @property
    def whole(self) -> bool:
        return not self._archive

    def between(self, since: float, until: float) -> list[Outcome]:
        assert self.whole
        rows = [row for household in self._households for row in household.rows if since <= row.outcome.time < until]
        return [row.outcome for row in sorted(rows, key=_place)]


def _name(row: StoredOutcome) -> str:
    return row.outcome.device or row.outcome.customer


def _journal_place(row: StoredOutcome) -> JournalPlace:
    return JournalPlace(row.stream, row.incarnation, row.position)


def _at(by: dict[str, Household], tag: str) -> Household | None:
    """The household that is known by this, as it is now."""
    known = found = by.get(tag)
    while found is not None and found.into is not None:
        found = found.into
    if found is not None and found is not known:
        by[tag] = found
    return found


class _Rows:
    """Some of the outcomes, oldest first."""

    def __init__(self) -> None:
        self._rows: list[StoredOutcome] = []
        self.outcomes: Sequence[Outcome] = ()

    def add(self, rows: Iterable[StoredOutcome]) -> None:
        if new := list(rows):
            self._rows = sorted([*self._rows, *new], key=_place)
            self.outcomes = [row.outcome for row in self._rows]

    def forget(self, before: float) -> None:
        self._rows = [row for row in self._rows if row.outcome.time >= before]
        self.outcomes = [row.outcome for row in self._rows]


class _Moments:
    """When it was that outcomes said the same, by what they said: of a great many no more than that is kept."""

    def __init__(self) -> None:
        self._by_name: dict[str, array[float]] = {}

    def add(self, name: str, at: float) -> None:
        if (known := self._by_name.get(name)) is None:
            known = self._by_name[name] = array("d")
        known.append(at)

    def forget(self, before: float) -> None:
        self._by_name = {name: array("d", moments.tobytes()) for name, moments in self.between(before, inf).items()}

    def between(self, since: float, until: float) -> dict[str, Floats]:
        found = {name: np.array(moments) for name, moments in self._by_name.items()}
        inside = {name: moments[(moments >= since) & (moments < until)] for name, moments in found.items()}
        return {name: moments for name, moments in inside.items() if len(moments)}


def _is_act(outcome: Outcome) -> bool:
    return outcome.step in assessing.DONE or outcome.step == PICTURE
