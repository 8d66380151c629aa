"""The archive of households to whom everything was answered in time: columns, in place of what was told of them.

Theory of operation. Of most people the only thing that is ever asked is how many they are: they asked, and got it in
time. What such a household comes to for any scope follows from when each of its promises was asked and kept and where,
and when else something was told of it (`in_time` says which households are such, and why that is so). So it is kept
as a few numbers, and what was told of it stays in the journal. By the hashes of its promises, device and customers it
is found when something more is told of it; then it is read again and is a household like any other. Two of one hash
are read where one would have done.

What was kept and names nobody (that a message was taken on) is counted and never found again: of that the moment and
the place are kept.

What happens to the archive can be recorded (`records.py`): whoever does the same in the same order has the same one.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from prikkfri.assurance.impact import ROUTE, Scope
from prikkfri.assurance.response.promises import Flags, Floats, Numbers, PlaceTable, PromiseColumns, SettledPromise
from prikkfri.assurance.response.records import ArchiveRecord, DropRecord, ForgetRecord, PutRecord
from prikkfri.assurance.segments import Segment, segment_of
from prikkfri.assurance.tally import JOIN, Expectation, asking_of, counts, expectation, own_layer
from prikkfri.journal import Outcome

ROWS_MAX = 10_000
"""Of one household."""
TAGS_AT_ONCE = 65_536
"""So many are sorted among the others at a time."""
RUN_TAGS_MAX = 1_000_000
"""Runs are not made longer: to make one of two takes room for both."""
NOBODY = -1
"""In place of a household's number: a row that is no one's any more."""
NOT_ASKED = -1
"""In place of where it was asked: the promise is told of by its answer alone."""
NOT_KEPT = -1
"""In place of where it was kept: a row of something else that was told of a promise, at the moment `asked`."""
RECALLED_AT_ONCE_MAX = 2_000
"""Of those who are recalled because what was told of them is forgotten in part."""

Hashes = npt.NDArray[np.uint32]
Expectations = Mapping[tuple[str, str], Expectation]


class JournalPlace(NamedTuple):
    """Where an outcome stands."""

    stream: str
    incarnation: str
    position: int


class PlacedMoment(msgspec.Struct, frozen=True, gc=False):
    """That something was told of somebody."""

    at: float
    place: Segment


class KeptPromise(msgspec.Struct, frozen=True, gc=False):
    """A promise that was kept in time."""

    at: float
    asked: float
    """When that was asked which its answer settled; of one whose asking is not told, the same."""
    place: Segment
    """Of its answer."""
    asked_at: Segment | None
    """Where that was asked; None when no asking was told."""
    others: tuple[PlacedMoment, ...] = ()
    """What else was told of it before: that they joined, or that it was asked before that."""

    @property
    def told(self) -> Iterable[PlacedMoment]:
        """All that was told of it."""
        yield PlacedMoment(self.at, self.place)
        if self.asked_at is not None:
            yield PlacedMoment(self.asked, self.asked_at)
        yield from self.others

    @property
    def first(self) -> float:
        """When the first thing was told of it."""
        return min((self.asked, *(each.at for each in self.others)))


@dataclass(frozen=True, slots=True)
class ArchivedHousehold:
    promises: tuple[KeptPromise, ...]
    first: JournalPlace
    """Of any of its outcomes: by that its device is known again, or else its customer."""
    tags: frozenset[str]
    """Its promises, device and customers."""


class PromisesInTime(msgspec.Struct, frozen=True, gc=False):
    """All that was promised to one person, to whom everything was answered in time. A struct of tuples: there are as
    many as there are households in memory, and the collector need not go through them."""

    promises: tuple[KeptPromise, ...]
    name: str
    """The device, or else the customer."""
    customer: str
    """Empty: none is told."""
    ids: tuple[str, ...]
    """Of the promises."""

    @property
    def settled(self) -> list[SettledPromise]:
        """By when that was known."""
        found = [SettledPromise(each.at, each.asked, each.place, kept=True) for each in self.promises]
        return sorted(found, key=lambda each: (each.at, each.asked))

    def asked(self, scope: Scope) -> bool:
        """Whether they asked in the scope."""
        return any(
            each.at >= scope.since and each.first < scope.until and _lies_in(each.place, scope.segments)
            for each in self.promises
        )

    def answered(self, segments: Sequence[Segment], *, since: float) -> bool:
        """Whether a promise of the segments was kept since then."""
        return any(each.at >= since and _lies_in(each.place, segments) for each in self.promises)

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> bool:
        """Whether something was told of them at these steps (none: at any)."""
        return any(
            since <= told.at < until and (not steps or told.place.get("step") in steps)
            for each in self.promises
            for told in each.told
        )

    def tags(self, held_by: Set[str]) -> frozenset[str] | None:
        """By what it is known, whose device these customers are known to have held; None: it is not one person, or
        they are known by what is a promise, too."""
        names = {self.name, self.customer, *held_by} - {""}
        if len(held_by | {self.customer} - {""}) > 1 or not names.isdisjoint(self.ids):
            return None
        return frozenset((*names, *self.ids))


def in_time(outcomes: Sequence[Outcome], expectations: Expectations) -> PromisesInTime | None:
    """Of a household (`outcomes` oldest first) to whom everything was answered in time what can be archived.

    None for any other. It is one person by one name, who is not made up; each promise is kept once, after all that was
    told of it and within the grace time of each asking, or joining, of it; and roles saw nothing else of it: then no
    scope, no later moment and nobody's device make anything else of it than that it asked and got it.
    """
    who = customer_told = ""
    told: dict[str, list[Outcome]] = {}
    """By promise what was told of it before it was kept; nothing once it is."""
    kept: list[KeptPromise] = []
    real = False
    for outcome in outcomes:
        step, promise, customer = outcome.step, outcome.promise, outcome.customer
        name = outcome.device or customer
        if outcome.verdict == "broken" or outcome.reason or not outcome.observed:
            return None
        if not name or (who and name != who) or (customer_told and customer and customer != customer_told):
            return None
        who, customer_told = name, customer_told or customer
        if not (counts(outcome) or (step == JOIN and outcome.verdict == "asked")):
            return None
        if step == ROUTE or own_layer(outcome.service, outcome.layer):  # canaries' are asked for one by one
            return None
        real = real or (step != JOIN and (step != "enter" or bool(promise)))
        before = told.get(promise) if promise else None
        if before is not None and not before:
            return None
        if outcome.verdict == "asked":
            if not promise:
                return None
            told.setdefault(promise, []).append(outcome)
            continue
        if any(outcome.time > each.time + _grace_seconds(each, expectations) for each in before or ()):
            return None
        kept.append(_kept(outcome, before or ()))
        if promise:
            told[promise] = []
    if not kept or not (real or customer_told) or any(told.values()):
        return None
    if sum(1 + len(each.others) for each in kept) > ROWS_MAX:
        return None
    return PromisesInTime(tuple(kept), who, customer_told, tuple(told))


def _lies_in(place: Segment, segments: Sequence[Segment]) -> bool:
    return any(segment.holds(place) for segment in segments)


def _grace_seconds(asking: Outcome, expectations: Expectations) -> float:
    return expectation(asking_of(asking) if asking.step == JOIN else asking, expectations).grace_seconds


def _kept(outcome: Outcome, before: Sequence[Outcome]) -> KeptPromise:
    """`before`: what was told of the promise until then, oldest first. Its answer settles what was asked last, and a
    joining where nothing else was."""
    place = segment_of(outcome)
    if not before:
        return KeptPromise(outcome.time, outcome.time, place, None)
    last = max(range(len(before)), key=lambda index: (before[index].step != JOIN, before[index].time, index))
    asking = before[last]
    others = tuple(PlacedMoment(each.time, segment_of(each)) for each in (*before[:last], *before[last + 1 :]))
    return KeptPromise(outcome.time, asking.time, place, segment_of(asking), others)


def is_unnamed(outcomes: Sequence[Outcome]) -> bool:
    """Whether that is all: something was kept, and names neither anybody nor a promise."""
    if len(outcomes) != 1:
        return False
    [each] = outcomes
    named = each.device or each.customer or each.promise
    plainly = each.verdict == "kept" and not each.reason and each.observed and counts(each) and each.step != ROUTE
    return plainly and not named and not own_layer(each.service, each.layer)


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
    """One owner changes it. Its rows are promises, each before what else was told of it, those of a household one after
    the other."""

    def __init__(self) -> None:
        self.records: list[ArchiveRecord] | None = None
        """What has been done to it since whoever keeps that took it away; None: nobody does."""
        self.recorded_bytes = 0
        self._places = PlaceTable()
        self._places_recorded = 0
        self._rows = _Columns(
            at=np.float64, asked=np.float64, first=np.float64, place=np.int32, asked_at=np.int32, number=np.int32
        )
        self._unnamed = _Columns(at=np.float64, place=np.int32)
        self._households = _Columns(start=np.int32, rows=np.int16, stream=np.int16, position=np.int64)
        self._streams: dict[tuple[str, str], int] = {}
        self._free: deque[int] = deque()
        """Numbers that stand for nobody; tags may still lead to them, which then is one reading too many."""
        self._torn: dict[int, None] = {}
        """Households of which something was forgotten that belongs to what was not: they are to be recalled."""
        self._tags = TagIndex()
        self._nobodys_rows = 0

    def __len__(self) -> int:
        """Households."""
        return self._households.length - len(self._free)

    def __bool__(self) -> bool:
        return len(self) > 0 or self._unnamed.length > 0

    def put(self, households: Sequence[ArchivedHousehold], unnamed: Sequence[PlacedMoment] = ()) -> None:
        if not households and not unnamed:
            return
        place, streams = self._places.number, self._streams
        known_streams = len(streams)
        at, asked, first, where, where_asked, rows = _table(households, place)
        stream = [streams.setdefault((each.first.stream, each.first.incarnation), len(streams)) for each in households]
        unnamed_place = [place(each.place) for each in unnamed]
        record = PutRecord.of(
            places=self._places.segments[self._places_recorded :],
            streams=list(streams)[known_streams:],
            numbers=self._numbers(len(households)),
            rows=rows,
            stream=stream,
            position=[each.first.position for each in households],
            tags=[len(each.tags) for each in households],
            hashes=[tag_hash(tag) for each in households for tag in each.tags],
            at=at,
            asked=asked,
            first=first,
            place=where,
            asked_at=where_asked,
            unnamed_at=[each.at for each in unnamed],
            unnamed_place=unnamed_place,
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
        self._households.add(start=[0] * fresh, rows=[0] * fresh, stream=[0] * fresh, position=[0] * fresh)
        return [self._free.popleft() for _ in range(count)]

    def _fill(self, record: PutRecord) -> None:
        numbers, many, known = record["numbers"], record["rows"], self._households
        known["start"][numbers] = self._rows.length + np.cumsum(many, dtype=np.int64) - many
        for name in ("rows", "stream", "position"):
            known[name][numbers] = record[name]
        self._tags.add(record["hashes"], np.repeat(numbers, record["tags"]))
        told = {name: record[name] for name in ("at", "asked", "first", "place", "asked_at")}
        self._rows.add(number=np.repeat(numbers, many), **told)
        self._unnamed.add(at=record["unnamed_at"], place=record["unnamed_place"])

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
                if not (there and self._households["rows"][record.number]):
                    raise ValueError("a household is not there")
                self._drop(record.number)
            else:
                self._forget(record.before)

    def find(self, tags: Collection[str]) -> dict[int, JournalPlace]:
        """Where an outcome of each household stands that one of these tags belongs to, by the household's number; and
        of some of those who are to be recalled in any case."""
        if not len(self):
            return {}
        streams, known = list(self._streams), self._households
        return {
            number: JournalPlace(*streams[int(known["stream"][number])], int(known["position"][number]))
            for number in self._tags.find(tags).union(islice(self._torn, RECALLED_AT_ONCE_MAX))
            if known["rows"][number]
        }

    def take(self, number: int) -> tuple[SettledPromise, ...]:
        """Takes a household out: the promises by which it was known."""
        start, many = int(self._households["start"][number]), int(self._households["rows"][number])
        found = self._settled(np.arange(start, start + many))
        self._drop(number)
        self._note(DropRecord(number))
        return found

    def _settled(self, rows: npt.NDArray[np.intp]) -> tuple[SettledPromise, ...]:
        rows = rows[self._rows["place"][rows] != NOT_KEPT]
        at, asked, place = (self._rows[name][rows].tolist() for name in ("at", "asked", "place"))
        known = self._places.segments
        return tuple(SettledPromise(a, b, known[p], kept=True) for a, b, p in zip(at, asked, place, strict=True))

    def _drop(self, number: int) -> None:
        start, many = int(self._households["start"][number]), int(self._households["rows"][number])
        self._rows["number"][start : start + many] = NOBODY
        self._households["rows"][number] = 0
        self._free.append(number)
        self._torn.pop(number, None)
        self._nobodys_rows += many
        if self._nobodys_rows > max(self._rows.length // 3, TAGS_AT_ONCE):
            self._compact(self._rows["number"] != NOBODY)

    def _compact(self, stay: Flags) -> None:
        """Leaves out rows; households of which none is left are there no more."""
        self._rows.keep(stay)
        self._nobodys_rows = 0
        numbers = self._rows["number"]
        count = np.bincount(numbers, minlength=self._households.length)
        emptied = np.flatnonzero((self._households["rows"] > 0) & (count == 0))
        self._free.extend(emptied.tolist())
        self._households["rows"][:] = count
        begins = np.flatnonzero(np.diff(numbers, prepend=NOBODY))
        self._households["start"][numbers[begins]] = begins

    def forget(self, before: float) -> tuple[SettledPromise, ...]:
        """Forgets what was told before a moment: the promises that were kept before it.

        Those of whom something was told before it that belongs to what was kept since are found in any case from now
        on, until they are taken out.
        """
        there = (self._rows["number"] != NOBODY) & (self._rows["at"] < before)
        gone = self._settled(np.flatnonzero(there))
        unnamed = self._unnamed["at"] < before
        known = self._places.segments
        moments, places = self._unnamed["at"][unnamed].tolist(), self._unnamed["place"][unnamed].tolist()
        gone += tuple(
            SettledPromise(at, at, known[place], kept=True) for at, place in zip(moments, places, strict=True)
        )
        self._forget(before)
        self._note(ForgetRecord(before))
        return gone

    def _forget(self, before: float) -> None:
        at, first, number = self._rows["at"], self._rows["first"], self._rows["number"]
        there = number != NOBODY
        torn = np.unique(number[there & (at >= before) & (first < before)])
        self._compact(there & (at >= before))
        self._unnamed.keep(self._unnamed["at"] >= before)
        self._torn = {each: None for each in (*self._torn, *torn.tolist()) if self._households["rows"][each]}

    # What they come to.

    def promises(self) -> PromiseColumns:
        """All of them, in no order."""
        there = (self._rows["number"] != NOBODY) & (self._rows["place"] != NOT_KEPT)
        at, asked, place = (self._rows[name][there] for name in ("at", "asked", "place"))
        unnamed_at, unnamed_place = self._unnamed["at"], self._unnamed["place"]
        at, asked = np.concatenate((at, unnamed_at)), np.concatenate((asked, unnamed_at))
        place = np.concatenate((place, unnamed_place))
        return PromiseColumns(self._places, at, asked, place, np.ones(len(at), np.bool_))

    def moments(self, before: float) -> Iterable[tuple[Segment, bool, Floats]]:
        """By place when something was asked there (False), and when it was kept (True)."""
        there = self._rows["number"] != NOBODY
        for of, place, moment, kept in (
            (self._rows, "asked_at", "asked", False),
            (self._rows, "place", "at", True),
            (self._unnamed, "place", "at", True),
        ):
            chosen = (of[place] >= 0) & (of[moment] < before)
            chosen = chosen & there if of is self._rows else chosen
            places, moments = of[place][chosen], of[moment][chosen]
            in_turn = np.argsort(places, kind="stable")
            moments = moments[in_turn]
            ends = np.cumsum(np.bincount(places, minlength=len(self._places.segments))).tolist()
            for segment, start, end in zip(self._places.segments, [0, *ends], ends, strict=False):
                if start < end:
                    yield segment, kept, moments[start:end]

    def asked(self, scope: Scope) -> int:
        """How many asked in the scope."""
        at, first = self._rows["at"], self._rows["first"]
        return self._households_of((at >= scope.since) & (first < scope.until) & self._kept_in(scope.segments))

    def answered(self, segments: Sequence[Segment], *, since: float) -> int:
        """For how many a promise of the segments was kept since then."""
        return self._households_of((self._rows["at"] >= since) & self._kept_in(segments))

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        """Of how many something was told at these steps (none: at any)."""
        at, asked = self._rows["at"], self._rows["asked"]
        ours = np.array([not steps or place.get("step") in steps for place in (*self._places.segments, Segment())])
        ours[-1] = False  # where it was asked when no asking was told, or kept when it was not
        kept = (at >= since) & (at < until) & ours[self._rows["place"]]
        return self._households_of(kept | ((asked >= since) & (asked < until) & ours[self._rows["asked_at"]]))

    def _kept_in(self, segments: Sequence[Segment]) -> Flags:
        lying = np.append(self._places.first_holder(segments) >= 0, False)  # at last where nothing is kept
        found: Flags = lying[self._rows["place"]]
        return found

    def _households_of(self, rows: Flags) -> int:
        theirs = np.zeros(self._households.length + 1, np.bool_)
        theirs[self._rows["number"][rows]] = True
        theirs[NOBODY] = False
        return int(np.count_nonzero(theirs))


def _table(
    households: Sequence[ArchivedHousehold], place: Callable[[Segment], int]
) -> tuple[list[float], list[float], list[float], list[int], list[int], list[int]]:
    """Columns of their rows (at, asked, first, place, asked at), and how many each household has."""
    at, asked, first = list[float](), list[float](), list[float]()
    where, where_asked, rows = list[int](), list[int](), list[int]()
    for household in households:
        before = len(at)
        for promise in household.promises:
            at.append(promise.at)
            asked.append(promise.asked)
            first.append(promise.first)
            where.append(place(promise.place))
            where_asked.append(NOT_ASKED if promise.asked_at is None else place(promise.asked_at))
            for told in promise.others:
                at.append(told.at)
                asked.append(told.at)
                first.append(told.at)
                where.append(NOT_KEPT)
                where_asked.append(place(told.place))
        rows.append(len(at) - before)
    return at, asked, first, where, where_asked, rows


def tags_of(outcomes: Iterable[Outcome]) -> set[str]:
    """By what a household is known."""
    return set(chain.from_iterable((each.promise, each.device, each.customer) for each in outcomes)) - {""}
