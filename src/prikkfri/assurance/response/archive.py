"""The archive of households to whom everything was answered in time: columns, in place of what was told of them.

Theory of operation. Of most people the only thing that is ever asked is how many they are: they asked, and got it in
time. What such a household comes to for any scope follows from when each of its promises was asked and kept and where
(`archivable` says which households are such, and why that is so). So it is kept as a few numbers, and what was told of
it stays in the journal. By the hashes of its promises, device and customers it is found when something more is told of
it; then it is read again and is a household like any other. Two of one hash are read where one would have done.

What happens to the archive can be recorded (`records.py`): whoever does the same in the same order has the same one.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from prikkfri.assurance.impact import ROUTE, Scope
from prikkfri.assurance.response.promises import Flags, Floats, Numbers, PlaceTable, PromiseColumns, SettledPromise
from prikkfri.assurance.response.records import ArchiveRecord, DropRecord, ForgetRecord, PutRecord
from prikkfri.assurance.segments import Segment, segment_of
from prikkfri.assurance.tally import Expectation, counts, expectation, own_layer
from prikkfri.journal import Outcome

PROMISES_MAX = 10_000
"""Of one household."""
TAGS_AT_ONCE = 65_536
"""So many are sorted among the others at a time."""
RUN_TAGS_MAX = 1_000_000
"""Runs are not made longer: to make one of two takes room for both."""
NOBODY = -1
"""In place of a household's number: a row that is no one's any more."""
NOT_ASKED = -1
"""In place of where it was asked: the promise is told of by its answer alone."""

Hashes = npt.NDArray[np.uint32]
Expectations = Mapping[tuple[str, str], Expectation]


class JournalPlace(NamedTuple):
    """Where an outcome stands."""

    stream: str
    incarnation: str
    position: int


@dataclass(frozen=True)
class KeptPromise:
    """A promise that was kept in time."""

    at: float
    asked: float
    place: Segment
    """Of its answer."""
    asked_at: Segment | None
    """Where it was asked; None when no asking was told."""

    @property
    def settled(self) -> SettledPromise:
        return SettledPromise(self.at, self.asked, self.place, kept=True)

    @property
    def answer_alone(self) -> "KeptPromise":
        """Of which the asking is not told any more."""
        return KeptPromise(self.at, self.at, self.place, None)


@dataclass(frozen=True)
class ArchivedHousehold:
    promises: tuple[KeptPromise, ...]
    first: JournalPlace
    """Of any of its outcomes: by that its device is known again, or else its customer."""
    tags: frozenset[str]
    """Its promises, device and customers."""


def archivable(
    outcomes: Sequence[Outcome], held_by: Set[str], expectations: Expectations
) -> tuple[tuple[KeptPromise, ...], frozenset[str]] | None:
    """The promises and tags of a household (`outcomes` oldest first) to whom everything was answered in time.

    None for any other. It is one person by one name, who is not made up, each promise is asked at most once, before it
    is kept and within its grace time, and roles saw nothing else of it: then no scope, no later moment and nobody's
    device make anything else of it than that it asked and got it. `held_by`: who is known to have held its device.
    """
    who = {outcome.device or outcome.customer for outcome in outcomes}
    customers = {outcome.customer for outcome in outcomes} - {""} | held_by
    if len(who) != 1 or "" in who or len(customers) > 1:
        return None
    asked: dict[str, Outcome | None] = {}
    kept: list[KeptPromise] = []
    for outcome in outcomes:
        if outcome.verdict == "broken" or outcome.reason or not outcome.observed or not counts(outcome):
            return None
        if outcome.step == ROUTE:  # canaries' are asked for one by one
            return None
        if own_layer(outcome.service, outcome.layer) or (outcome.step == "enter" and not outcome.promise):
            return None
        asking: Outcome | None = None
        if outcome.verdict == "asked":
            if not outcome.promise or outcome.promise in asked:
                return None
            asked[outcome.promise] = outcome
            continue
        if outcome.promise:
            asking = asked.get(outcome.promise)
            if asking is None and outcome.promise in asked:
                return None
            asked[outcome.promise] = None
        if asking is not None and outcome.time > asking.time + expectation(asking, expectations).grace_seconds:
            return None
        place = segment_of(outcome)
        began = (asking.time, segment_of(asking)) if asking is not None else (outcome.time, None)
        kept.append(KeptPromise(outcome.time, began[0], place, began[1]))
    names = who | customers
    if not kept or len(kept) > PROMISES_MAX or any(asked.values()) or not names.isdisjoint(asked):
        return None
    return tuple(kept), frozenset(names | asked.keys())


class _Columns:
    """Arrays of one length that grows."""

    def __init__(self, **types: type[np.generic]) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {name: np.empty(0, each) for name, each in types.items()}
        self.length = 0

    def add(self, **new: Sequence[float] | npt.NDArray[Any]) -> None:
        count = len(next(iter(new.values())))
        room = len(next(iter(self._arrays.values())))
        if self.length + count > room:
            more = max(self.length + count - room, room // 10, TAGS_AT_ONCE // 16)
            for name, each in self._arrays.items():
                self._arrays[name] = np.concatenate((each, np.empty(more, each.dtype)))
        for name, values in new.items():
            self._arrays[name][self.length : self.length + count] = values
        self.length += count

    def keep(self, chosen: Flags) -> None:
        for name in self._arrays:
            self._arrays[name] = self[name][chosen]
        self.length = int(np.count_nonzero(chosen))

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[name][: self.length]


def tag_hash(tag: str) -> int:
    """The same in every process. Of three million the next meets one in 1,400 times: that costs a reading."""
    return crc32(tag.encode("utf-8", "replace"))


class TagIndex:
    """Which numbers stand for a tag, by the tags' hashes: a few that do not may be among them."""

    def __init__(self) -> None:
        self._fresh: dict[int, tuple[int, ...]] = {}
        self._runs: list[tuple[Hashes, Numbers]] = []
        """Sorted by hash; each much longer than the next, or as long as any is to be."""

    def add(self, hashes: Hashes, numbers: Numbers) -> None:
        """For each number the hash of a tag."""
        if len(hashes) >= TAGS_AT_ONCE // 16:
            self._sort_in(hashes, numbers)
            return
        for hashed, number in zip(hashes.tolist(), numbers.tolist(), strict=True):
            self._fresh[hashed] = (*self._fresh.get(hashed, ()), number)
        if len(self._fresh) >= TAGS_AT_ONCE:
            pairs = [(hashed, number) for hashed, theirs in self._fresh.items() for number in theirs]
            self._fresh = {}
            self._sort_in(
                np.fromiter((hashed for hashed, _ in pairs), np.uint32, len(pairs)),
                np.fromiter((number for _, number in pairs), np.int32, len(pairs)),
            )

    def _sort_in(self, hashes: Hashes, numbers: Numbers) -> None:
        run = _sorted_run(hashes, numbers)
        while self._runs and len(self._runs[-1][0]) < min(3 * len(run[0]), RUN_TAGS_MAX):
            before = self._runs.pop()
            run = _sorted_run(np.concatenate((before[0], run[0])), np.concatenate((before[1], run[1])))
        self._runs.append(run)

    def find(self, tags: Collection[str]) -> set[int]:
        hashes = [tag_hash(tag) for tag in tags]
        found = {number for hashed in hashes for number in self._fresh.get(hashed, ())}
        sought = np.sort(np.array(hashes, np.uint32))
        for known, numbers in self._runs:
            first, last = (np.searchsorted(known, sought, side) for side in ("left", "right"))
            for index in np.flatnonzero(first < last).tolist():
                found.update(numbers[first[index] : last[index]].tolist())
        return found


def _sorted_run(hashes: Hashes, numbers: Numbers) -> tuple[Hashes, Numbers]:
    order = np.argsort(hashes, kind="stable")
    return hashes[order], numbers[order]


class HouseholdArchive:
    """One owner changes it. Its rows are promises, those of a household one after the other."""

    def __init__(self) -> None:
        self.records: list[ArchiveRecord] | None = None
        """What has been done to it since whoever keeps that took it away; None: nobody does."""
        self.recorded_bytes = 0
        self._places = PlaceTable()
        self._places_recorded = 0
        self._rows = _Columns(at=np.float64, asked=np.float64, place=np.int32, asked_at=np.int32, number=np.int32)
        self._households = _Columns(start=np.int32, promises=np.int16, stream=np.int16, position=np.int64)
        self._streams: dict[tuple[str, str], int] = {}
        self._free: deque[int] = deque()
        """Numbers that stand for nobody; tags may still lead to them, which then is one reading too many."""
        self._tags = TagIndex()
        self._nobodys_rows = 0

    def __len__(self) -> int:
        return self._households.length - len(self._free)

    def put(self, households: Sequence[ArchivedHousehold]) -> None:
        if not households:
            return
        rows = list(chain.from_iterable(each.promises for each in households))
        place, streams = self._places.number, self._streams
        known_streams = len(streams)
        stream = [streams.setdefault((each.first.stream, each.first.incarnation), len(streams)) for each in households]
        where = [place(promise.place) for promise in rows]
        where_asked = [NOT_ASKED if promise.asked_at is None else place(promise.asked_at) for promise in rows]
        record = PutRecord.of(
            places=self._places.segments[self._places_recorded :],
            streams=list(streams)[known_streams:],
            numbers=self._numbers(len(households)),
            promises=[len(each.promises) for each in households],
            stream=stream,
            position=[each.first.position for each in households],
            tags=[len(each.tags) for each in households],
            hashes=[tag_hash(tag) for each in households for tag in each.tags],
            at=[promise.at for promise in rows],
            asked=[promise.asked for promise in rows],
            place=where,
            asked_at=where_asked,
        )
        self._places_recorded = len(self._places.segments)
        self._fill(record)
        self._note(record)

    def _note(self, record: ArchiveRecord) -> None:
        if self.records is not None:
            self.records.append(record)
            self.recorded_bytes += record.size_bytes

    def _numbers(self, count: int) -> list[int]:
        """For so many households numbers that stand for nobody."""
        fresh = max(count - len(self._free), 0)
        self._free.extend(range(self._households.length, self._households.length + fresh))
        self._households.add(start=[0] * fresh, promises=[0] * fresh, stream=[0] * fresh, position=[0] * fresh)
        return [self._free.popleft() for _ in range(count)]

    def _fill(self, record: PutRecord) -> None:
        numbers, many, known = record["numbers"], record["promises"], self._households
        known["start"][numbers] = self._rows.length + np.cumsum(many, dtype=np.int64) - many
        for name in ("promises", "stream", "position"):
            known[name][numbers] = record[name]
        self._tags.add(record["hashes"], np.repeat(numbers, record["tags"]))
        told = {name: record[name] for name in ("at", "asked", "place", "asked_at")}
        self._rows.add(number=np.repeat(numbers, many), **told)

    def do_again(self, records: Iterable[ArchiveRecord]) -> None:
        """Does what was done to another that was like this one. Raises `ValueError` where that one was another."""
        for record in records:
            if isinstance(record, PutRecord):
                record.check(places=len(self._places.segments), streams=len(self._streams))
                for values in record.places:
                    self._places.number(Segment(tuple(values)))
                self._places_recorded = len(self._places.segments)
                for stream in record.streams:
                    self._streams.setdefault(stream, len(self._streams))
                numbers = record["numbers"].tolist()
                if self._numbers(len(numbers)) != numbers:
                    raise ValueError("households have other numbers")
                self._fill(record)
            elif isinstance(record, DropRecord):
                there = 0 <= record.number < self._households.length
                if not (there and self._households["promises"][record.number]):
                    raise ValueError("a household is not there")
                self._drop(record.number)
            else:
                self._forget(record.before)

    def find(self, tags: Collection[str]) -> dict[int, JournalPlace]:
        """Where an outcome of each household stands that one of these tags belongs to, by the household's number."""
        if not len(self):
            return {}
        streams, known = list(self._streams), self._households
        return {
            number: JournalPlace(*streams[int(known["stream"][number])], int(known["position"][number]))
            for number in self._tags.find(tags)
            if known["promises"][number]
        }

    def take(self, number: int) -> list[KeptPromise]:
        """Takes a household out: the promises by which it was known."""
        start, many = int(self._households["start"][number]), int(self._households["promises"][number])
        found = [self._promise(row) for row in range(start, start + many)]
        self._drop(number)
        self._note(DropRecord(number))
        return found

    def _promise(self, row: int) -> KeptPromise:
        at, asked, place, asked_at = (self._rows[name][row] for name in ("at", "asked", "place", "asked_at"))
        known = self._places.segments
        where = None if asked_at == NOT_ASKED else known[int(asked_at)]
        return KeptPromise(float(at), float(asked), known[int(place)], where)

    def _drop(self, number: int) -> None:
        start, many = int(self._households["start"][number]), int(self._households["promises"][number])
        self._rows["number"][start : start + many] = NOBODY
        self._households["promises"][number] = 0
        self._free.append(number)
        self._nobodys_rows += many
        if self._nobodys_rows > max(self._rows.length // 3, TAGS_AT_ONCE):
            self._compact(self._rows["number"] != NOBODY)

    def _compact(self, stay: Flags) -> None:
        """Leaves out rows; households of which none is left are there no more."""
        self._rows.keep(stay)
        self._nobodys_rows = 0
        numbers = self._rows["number"]
        count = np.bincount(numbers, minlength=self._households.length)
        emptied = np.flatnonzero((self._households["promises"] > 0) & (count == 0))
        self._free.extend(emptied.tolist())
        self._households["promises"][:] = count
        begins = np.flatnonzero(np.diff(numbers, prepend=NOBODY))
        self._households["start"][numbers[begins]] = begins

    def forget(self, before: float) -> tuple[list[KeptPromise], list[KeptPromise]]:
        """Forgets what was told before a moment: the promises that were other for that, and what they are now."""
        at, asked, number = self._rows["at"], self._rows["asked"], self._rows["number"]
        old = (number != NOBODY) & (asked < before)
        was = [self._promise(row) for row in np.flatnonzero(old).tolist()]
        now = [self._promise(row).answer_alone for row in np.flatnonzero(old & (at >= before)).tolist()]
        self._forget(before)
        self._note(ForgetRecord(before))
        return was, now

    def _forget(self, before: float) -> None:
        at, asked, number = self._rows["at"], self._rows["asked"], self._rows["number"]
        answered_since = (number != NOBODY) & (asked < before) & (at >= before)
        asked[answered_since] = at[answered_since]
        self._rows["asked_at"][answered_since] = NOT_ASKED
        self._compact((number != NOBODY) & (at >= before))

    # What they come to.

    def promises(self) -> PromiseColumns:
        """All of them, in no order."""
        there = self._rows["number"] != NOBODY
        at, asked, place = (self._rows[name][there] for name in ("at", "asked", "place"))
        return PromiseColumns(self._places, at, asked, place, np.ones(len(at), np.bool_))

    def moments(self, before: float) -> Iterable[tuple[Segment, bool, Floats]]:
        """By place when something was asked there (False), and when it was kept (True)."""
        for name, moment, kept in (("asked_at", "asked", False), ("place", "at", True)):
            there = (self._rows["number"] != NOBODY) & (self._rows[name] != NOT_ASKED) & (self._rows[moment] < before)
            places, moments = self._rows[name][there], self._rows[moment][there]
            in_turn = np.argsort(places, kind="stable")
            moments = moments[in_turn]
            ends = np.cumsum(np.bincount(places, minlength=len(self._places.segments))).tolist()
            for place, start, end in zip(self._places.segments, [0, *ends], ends, strict=False):
                if start < end:
                    yield place, kept, moments[start:end]

    def asked(self, scope: Scope) -> int:
        """How many asked in the scope."""
        at, asked = self._rows["at"], self._rows["asked"]
        return self._households_of((at >= scope.since) & (asked < scope.until) & self._lying_in(scope.segments))

    def answered(self, segments: Sequence[Segment], *, since: float) -> int:
        """For how many a promise of the segments was kept since then."""
        return self._households_of((self._rows["at"] >= since) & self._lying_in(segments))

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        """Of how many something was told at these steps (none: at any)."""
        at, asked, asked_at = self._rows["at"], self._rows["asked"], self._rows["asked_at"]
        ours = np.array([not steps or place.get("step") in steps for place in (*self._places.segments, Segment())])
        ours[-1] = False  # where it was asked when no asking was told
        kept = (at >= since) & (at < until) & ours[self._rows["place"]]
        return self._households_of(kept | ((asked >= since) & (asked < until) & ours[asked_at]))

    def _lying_in(self, segments: Sequence[Segment]) -> Flags:
        found: Flags = (self._places.first_holder(segments) >= 0)[self._rows["place"]]
        return found

    def _households_of(self, rows: Flags) -> int:
        theirs = np.zeros(self._households.length + 1, np.bool_)
        theirs[self._rows["number"][rows]] = True
        theirs[NOBODY] = False
        return int(np.count_nonzero(theirs))


def tags_of(outcomes: Iterable[Outcome]) -> set[str]:
    """By what a household is known."""
    return set(chain.from_iterable((each.promise, each.device, each.customer) for each in outcomes)) - {""}
