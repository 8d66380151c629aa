"""How what is known of an incident is carried on from one look to the next.

Theory of operation. Outcomes hang together by a promise, a device or a customer: those that do are a *household*
(`households.py`). Which promises are settled, who is hit and who has asked is known of a household from its own
outcomes alone. What comes in, early, late or in any order, is put to its household, and only that is gone through
again; so is one at the moments at which time alone changes it (a grace time ends). What all households come to is kept
and corrected by the change of each (`figures.py`). The place of an incident and its beginning are asked of every
household; where they move, all are gone through once.

Where there are many, those of whom nothing else is to be asked than that they got it in time go into the archive
(`archive.py`), and come back when more is told of them. The outcomes of the others are packed.
"""

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import chain
from math import inf
from operator import attrgetter

import numpy as np

from prikkfri.assurance.impact import Impact, Scope
from prikkfri.assurance.loads import STEPS
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.programmes import COMING, channel_come_to
from prikkfri.assurance.response import assessing
from prikkfri.assurance.response.archive import (
    ArchivedHousehold,
    HouseholdArchive,
    JournalPlace,
    PlacedMoment,
    in_time,
    is_unnamed,
    tags_of,
)
from prikkfri.assurance.response.assessing import Expectations
from prikkfri.assurance.response.figures import HouseholdFigures
from prikkfri.assurance.response.households import HolderRow, Household, Households
from prikkfri.assurance.response.promises import Floats, OrderedPromises, PromiseColumns, SettledPromise
from prikkfri.assurance.response.records import NO_CHECKSUM, ArchiveRecord, HistoryCheckpoint, packed_places
from prikkfri.assurance.segments import Segment, segment_of
from prikkfri.assurance.tally import JOIN, RETURN, asking_of, expectation, is_promise
from prikkfri.journal import Outcome

AHEAD_SECONDS = 1.0
"""What is told for a later moment than so far ahead is not yet taken in."""

PACKED_AS_ONE = 4
"""So many packed outcomes take about as much memory as one that is not."""

CROWD_STEPS = frozenset(STEPS.values())

_NO_MOMENTS: Floats = np.empty(0)
_place = attrgetter("place")


class IncidentHistory:
    """The history of one incident's service, carried on. One owner has it; what it is asked is as of `now`."""

    def __init__(self, *, since: float, usual_until: float, expectations: Expectations, live_max: float = inf) -> None:
        """Outcomes from `since` on are taken in; crowds and viewers are of the time before `usual_until`.

        When more than `live_max` outcomes are in memory as objects, households go into the archive or are packed,
        those first that have been quiet for longest.
        """
        self.since = since
        self.usual_until = usual_until
        self.now = -inf
        self.live_max = live_max
        self._archive = HouseholdArchive()
        self._quiet: dict[Household, None] = {}
        """Those that may be archived, the one first that changed first."""
        self._tags_met: set[str] = set()
        """Of what was told of who holds which device since households were last recalled."""
        self._recalled: dict[int, JournalPlace] = {}
        self._expectations = expectations
        self._households = Households()
        self._ahead: list[StoredOutcome] = []
        """Told for a moment that has not come."""
        self._changes: list[tuple[float, int, Household]] = []
        """A heap of when each changes by itself."""
        self._number = 0
        self._promises = OrderedPromises()
        self._acts = _Rows()
        self._crowds, self._viewers = _Moments(), _Moments()
        self._figures = HouseholdFigures(self._households, self._archive, expectations)

    @property
    def rows(self) -> int:
        """How many of those taken in are in memory; `PACKED_AS_ONE` that are packed count as one."""
        return self._households.rows + self._households.packed_rows // PACKED_AS_ONE

    @property
    def live(self) -> int:
        """How many of those taken in are in no archived household."""
        return len(self._ahead) + self._households.rows + self._households.packed_rows

    # Where it stands.

    def do_again(self, records: Iterable[ArchiveRecord]) -> None:
        """What was done to the archive of one that stood, before it is itself asked anything; at last `keep_records`.

        What is in no archived household is then taken in again. Raises `ValueError` where it does not fit.
        """
        self._archive.do_again(records)

    def keep_records(self) -> None:
        """From now on what is done to the archive is kept until it is taken away."""
        self._archive.records = []
        self._promises.fill(self._archive.promises())
        for place, kept, usual in self._archive.moments(self.usual_until):
            step, channels = place.get("step"), [value for name, value in place.values if name == "channel"]
            if step in CROWD_STEPS:
                self._crowds.extend(step, usual)
            if kept and step in COMING and channels:
                self._viewers.extend(channels[0], usual)

    def drop_records(self) -> None:
        """Nobody takes any away any more."""
        self._archive.records, self._archive.recorded_bytes = None, 0

    @property
    def recorded_bytes(self) -> int:
        """About so many are waiting to be taken away."""
        return self._archive.recorded_bytes

    def take_records(self) -> Sequence[ArchiveRecord]:
        """Takes away what has been done to the archive since the last time."""
        found, self._archive.records, self._archive.recorded_bytes = self._archive.records or (), [], 0
        return found

    def checkpoint(
        self, heads: Mapping[tuple[str, str], int], *, pieces: int, stands_on: bytes = NO_CHECKSUM
    ) -> HistoryCheckpoint:
        """Where it stands, having taken in all up to `heads`; `pieces`: so many were made of what was taken away."""
        places = chain(map(_journal_place, self._ahead), self._households.places())
        return HistoryCheckpoint(
            self.since,
            self.usual_until,
            [(stream, incarnation, position) for (stream, incarnation), position in sorted(heads.items())],
            packed_places(places),
            pieces,
            stands_on,
        )

    # What comes in.

    def take(self, rows: Iterable[StoredOutcome]) -> None:
        """Outcomes of the service that have been stored, in any order, each once; those before `since` are left out."""
        self._ahead += (row for row in rows if row.outcome.time >= self.since)

    def devices_to_look_up(self, now: float) -> list[str]:
        """The devices of which it is to be asked who held them, before `advance(now)`; `hold` tells it."""
        new = {row.outcome.device for row in self._ahead if row.outcome.time < now + AHEAD_SECONDS} - {""}
        return self._households.to_look_up(new)

    def joined(self, devices: Collection[str]) -> None:
        """Something was told of who holds these devices."""
        self._households.look_up_again(devices)
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

    def recall(self, found: Iterable[StoredOutcome], rows: Iterable[StoredOutcome]) -> None:
        """Takes the households that were `to_recall` out of the archive; `rows`: all that has been taken in of them.

        `found`: the outcomes at the places that were named, which may be of before `since`. What is told of them and
        is not come by its turn may be among the rows.
        """
        known = {_journal_place(row): _name(row) for row in found}
        told = {_journal_place(row): row for row in rows}
        waiting = {_journal_place(row) for row in self._ahead}
        by_name: dict[str, list[StoredOutcome]] = {}
        for place, row in told.items():
            if row.outcome.time >= self.since and place not in waiting:
                by_name.setdefault(_name(row), []).append(row)
        for number, place in self._recalled.items():
            settled = self._archive.take(number)
            self._households.put_back(by_name.pop(known[place], []) if place in known else [], settled)
        self._recalled = {}

    def hold(self, devices: Collection[str], held: Iterable[HolderRow]) -> None:
        """Who has held these devices, as far as is known."""
        customers = self._households.hold(devices, held)
        if self._archive:
            self._tags_met |= customers

    def begin_at(self, since: float) -> None:
        """Takes a later beginning; what was before it is forgotten. (Of an earlier one `take` is told the rest.)"""
        if since > self.since:
            self._ahead = [row for row in self._ahead if row.outcome.time >= since]
            self._households.forget(since)
            for known in (self._acts, self._crowds, self._viewers):
                known.forget(since)
            if self._archive:
                self._promises.replace(self._archive.forget(since), ())
        self.since = since

    def advance(self, now: float) -> None:
        """Takes in what was told up to `now`."""
        if now < self.now:  # a clock was set back: what had run out may not have
            self._households.stale.update(self._households.known)
        self.now = self._figures.now = now
        due = [row for row in self._ahead if row.outcome.time < now + AHEAD_SECONDS]
        if due:
            self._ahead = [row for row in self._ahead if row.outcome.time >= now + AHEAD_SECONDS]
            for row in due:
                self._households.put(row)
            self._count_usual(row.outcome for row in due if row.outcome.time < self.usual_until)
            self._acts.add(row for row in due if assessing.is_act(row.outcome))
        while self._changes and self._changes[0][0] <= now:
            at, _, household = heappop(self._changes)
            if household.changes_at == at:
                self._households.stale.add(household)
        self._settle()
        if self._households.rows > self.live_max:
            self._put_away()

    def _put_away(self) -> None:
        """Archives households, and packs those that cannot be, until half of what there is room for is free."""
        found, unnamed = list[ArchivedHousehold](), list[PlacedMoment]()
        for household in list(self._quiet):
            if self._households.rows <= self.live_max / 2:
                break
            del self._quiet[household]
            if household.into is not None:
                continue
            tags, outcomes = frozenset[str](), household.outcomes
            if is_unnamed(outcomes) and outcomes[0].time <= self.now:
                [kept] = outcomes
                unnamed.append(PlacedMoment(kept.time, segment_of(kept)))
            elif (archived := self._archived(household)) is not None:
                found.append(archived)
                tags = archived.tags
            else:
                self._households.pack(household)
                continue
            self._figures.drop(household)
            self._households.release(household, tags)
        self._archive.put(found, unnamed)

    def _archived(self, household: Household) -> ArchivedHousehold | None:
        known = household.in_time
        if known is None or household.outcomes[-1].time > self.now:
            return None
        tags = known.tags({customer for _, customer, _, _ in self._households.held(household)})
        return ArchivedHousehold(known.promises, _journal_place(household.rows[0]), tags) if tags else None

    def _count_usual(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.step in CROWD_STEPS and is_promise(outcome):
                self._crowds.add(outcome.step, outcome.time)
            if (channel := channel_come_to(outcome)) is not None:
                self._viewers.add(channel, outcome.time)

    # What it comes to.

    def _settle(self) -> None:
        """Goes through the households that have changed."""
        gone: list[SettledPromise] = []
        new: list[SettledPromise] = []
        for household in self._households.stale:
            outcomes = household.outcomes
            household.in_time = known = in_time(outcomes, self._expectations)
            settled = tuple(
                known.settled
                if known is not None
                else assessing.settled(outcomes, now=self.now, expectations=self._expectations)
            )
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
            self._figures.change(household)
            self._quiet.pop(household, None)
            if household.count:
                self._quiet[household] = None
            else:
                self._households.known.pop(household, None)
        self._households.stale.clear()
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
        if outcome.verdict != "kept" and outcome.step != RETURN:
            asking = asking_of(outcome) if outcome.step == JOIN else outcome
            yield outcome.time + expectation(asking, self._expectations).grace_seconds

    @property
    def acts(self) -> Sequence[Outcome]:
        return self._acts.outcomes

    def promises(self) -> PromiseColumns:
        return self._promises.columns

    def impact(self, scope: Scope) -> Impact:
        return self._figures.impact(scope)

    def people(self, segments: Sequence[Segment], *, since: float) -> tuple[int, int]:
        return self._figures.people(segments, since=since)

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        return self._figures.asking(steps, since=since, until=until)

    def crowd(self, step: str, since: float, until: float) -> Sequence[float]:
        found: list[float] = self._crowds.between(since, until).get(step, _NO_MOMENTS).tolist()
        return found

    def viewers(self, since: float, until: float) -> Mapping[str, int]:
        return {channel: len(moments) for channel, moments in self._viewers.between(since, until).items()}

    @property
    def archived(self) -> int:
        """How many households are in the archive."""
        return len(self._archive)


def _name(row: StoredOutcome) -> str:
    return row.outcome.device or row.outcome.customer


def _journal_place(row: StoredOutcome) -> JournalPlace:
    return JournalPlace(row.stream, row.incarnation, row.position)


class _Rows:
    """Some of the outcomes, oldest first."""

    def __init__(self) -> None:
        self._rows: list[StoredOutcome] = []
        self.outcomes: list[Outcome] = []

    def add(self, rows: Iterable[StoredOutcome]) -> None:
        new = sorted(rows, key=_place)
        if self._rows and new and new[0].place < self._rows[-1].place:
            self._rows, new = [], sorted((*self._rows, *new), key=_place)
            self.outcomes = []
        self._rows += new
        self.outcomes += (row.outcome for row in new)

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

    def extend(self, name: str, moments: Floats) -> None:
        self._by_name.setdefault(name, array("d")).frombytes(moments.tobytes())

    def forget(self, before: float) -> None:
        self._by_name = {name: array("d", moments.tobytes()) for name, moments in self.between(before, inf).items()}

    def between(self, since: float, until: float) -> dict[str, Floats]:
        found = {name: np.array(moments) for name, moments in self._by_name.items()}
        inside = {name: moments[(moments >= since) & (moments < until)] for name, moments in found.items()}
        return {name: moments for name, moments in inside.items() if len(moments)}
