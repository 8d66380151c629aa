"""Settled promises, a great many of them, as columns: each a few bytes, and counted without an object for any.

The places that they lie in are few; each is kept once and has a number.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar, overload

import msgspec
import numpy as np
import numpy.typing as npt

from prikkfri.assurance.segments import Segment

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

Item = TypeVar("Item", bound=np.generic)

ROWS_AT_ONCE = 4_096
"""Of columns that are gone through one by one."""
OBJECTS_REMEMBERED_MAX = 65_536


class SettledPromise(msgspec.Struct, frozen=True, gc=False):
    """One promise as kept or broken, and when that was known. A struct, since a look makes one for each promise."""

    at: float
    asked: float
    """When it was made; of one whose asking is not told, the same."""
    segment: Segment
    kept: bool


class PlaceTable:
    """Places by their number."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self._numbers: dict[Segment, int] = {}
        self._by_object: dict[int, tuple[int, Segment]] = {}
        """A place is one object, as a rule; who is kept keeps their number."""

    def number(self, segment: Segment) -> int:
        if (known := self._by_object.get(id(segment))) is not None:
            return known[0]
        number = self._numbers.setdefault(segment, len(self.segments))
        if number == len(self.segments):
            self.segments.append(segment)
        if len(self._by_object) >= OBJECTS_REMEMBERED_MAX:
            self._by_object.clear()
        self._by_object[id(segment)] = (number, segment)
        return number

    def first_holder(self, segments: Sequence[Segment]) -> Numbers:
        """By place which of the segments is the first that holds it; -1: none."""
        found = (next((i for i, each in enumerate(segments) if each.holds(place)), -1) for place in self.segments)
        return np.fromiter(found, np.int32, len(self.segments))


class PromiseColumns(Sequence[SettledPromise]):
    """Settled promises as one array for each thing that is known of them; nobody changes it."""

    __slots__ = ("asked", "at", "kept", "place", "places")

    def __init__(self, places: PlaceTable, at: Floats, asked: Floats, place: Numbers, kept: Flags) -> None:
        self.places = places
        self.at = at
        self.asked = asked
        self.place = place
        self.kept = kept

    @classmethod
    def of(cls, promises: Iterable[SettledPromise], places: PlaceTable | None = None) -> "PromiseColumns":
        """In their order. What is columns already stays as it is."""
        if isinstance(promises, PromiseColumns) and places in (None, promises.places):
            return promises
        table = places if places is not None else PlaceTable()
        known = promises if isinstance(promises, Sequence) else list(promises)
        return cls(
            table,
            np.fromiter((each.at for each in known), np.float64, len(known)),
            np.fromiter((each.asked for each in known), np.float64, len(known)),
            np.fromiter((table.number(each.segment) for each in known), np.int32, len(known)),
            np.fromiter((each.kept for each in known), np.bool_, len(known)),
        )

    def where(self, chosen: Flags | slice | npt.NDArray[np.intp]) -> "PromiseColumns":
        """Those that are chosen, in their order, or in that of their indices."""
        return PromiseColumns(self.places, self.at[chosen], self.asked[chosen], self.place[chosen], self.kept[chosen])

    def lying_in(self, segments: Sequence[Segment]) -> Flags:
        """Of each whether it lies in one of the segments."""
        chosen: Flags = (self.places.first_holder(segments) >= 0)[self.place]
        return chosen

    def by_place(self) -> list[tuple[Segment, int, int]]:
        """Each place that one of them lies in, how many do and how many of those are broken; the first met first."""
        many = len(self.places.segments)
        settled = np.bincount(self.place, minlength=many)
        broken = np.bincount(self.place[~self.kept], minlength=many)
        first = np.empty(many, np.int64)
        first[self.place[::-1]] = np.arange(len(self) - 1, -1, -1)  # of several the last that is written stays
        there = np.flatnonzero(settled)
        there = there[np.argsort(first[there])]
        return [
            (self.places.segments[place], all_of_it, failed)
            for place, all_of_it, failed in zip(
                there.tolist(), settled[there].tolist(), broken[there].tolist(), strict=True
            )
        ]

    def __len__(self) -> int:
        return len(self.at)

    @overload
    def __getitem__(self, index: int) -> SettledPromise: ...

    @overload
    def __getitem__(self, index: slice) -> "PromiseColumns": ...

    def __getitem__(self, index: int | slice) -> "SettledPromise | PromiseColumns":
        if isinstance(index, slice):
            return self.where(index)
        place = self.places.segments[self.place[index]]
        return SettledPromise(float(self.at[index]), float(self.asked[index]), place, bool(self.kept[index]))

    def __iter__(self) -> Iterator[SettledPromise]:
        for start in range(0, len(self), ROWS_AT_ONCE):
            yield from self._rows(start, start + ROWS_AT_ONCE)

    def __reversed__(self) -> Iterator[SettledPromise]:
        for end in range(len(self), 0, -ROWS_AT_ONCE):
            yield from reversed(self._rows(max(end - ROWS_AT_ONCE, 0), end))

    def _rows(self, start: int, end: int) -> list[SettledPromise]:
        columns, segments = self.where(slice(start, end)), self.places.segments
        figures = (columns.at.tolist(), columns.asked.tolist(), columns.place.tolist(), columns.kept.tolist())
        return [SettledPromise(at, asked, segments[p], kept) for at, asked, p, kept in zip(*figures, strict=True)]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return NotImplemented if not isinstance(other, Sequence) else False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def in_order(promises: Iterable[SettledPromise]) -> list[SettledPromise]:
    """Oldest first, and of one moment always the same."""
    return sorted(promises, key=_order)


def _order(each: SettledPromise) -> tuple[float, float, bool, Segment]:
    return each.at, each.asked, each.kept, each.segment


class OrderedPromises:
    """Settled promises `in_order`, of which some go and others come; one owner changes it."""

    def __init__(self) -> None:
        self._places = PlaceTable()
        self._columns = PromiseColumns.of((), self._places)
        """With room at the end."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def columns(self) -> PromiseColumns:
        """As they are now; good until some go or come."""
        return self._columns.where(slice(self._length))

    def fill(self, promises: PromiseColumns) -> None:
        """Takes in what is in no order; there were none so far."""
        assert not self._length
        places = promises.places.segments
        rank = np.empty(len(places), np.int32)
        rank[sorted(range(len(places)), key=places.__getitem__)] = np.arange(len(places), dtype=np.int32)
        order = np.lexsort((rank[promises.place], promises.kept, promises.asked, promises.at))
        found = promises.where(order)
        numbers = np.array([self._places.number(place) for place in places], np.int32)
        self._columns = PromiseColumns(self._places, found.at, found.asked, numbers[found.place], found.kept)
        self._length = len(found)

    def replace(self, gone: Sequence[SettledPromise], new: Sequence[SettledPromise]) -> None:
        """Takes those that are `gone` out, of which each is there, and puts the `new` in.

        It costs what stands from the oldest of them on.
        """
        if not gone and not new:
            return
        known = self.columns
        first = int(np.searchsorted(known.at, min(each.at for each in chain(gone, new))))
        known = known.where(slice(first, None))
        known = known.where(_all_but(known, in_order(gone))) if gone else known
        coming = in_order(new)
        at = _places_of(known, coming) + np.arange(len(coming))
        self._length = first + len(known) + len(coming)
        self._make_room(self._length)
        stay = np.ones(len(known) + len(coming), np.bool_)
        stay[at] = False
        added = PromiseColumns.of(coming, self._places)
        for target, old, fresh in zip(_arrays(self._columns), _arrays(known), _arrays(added), strict=True):
            old = old.copy()  # what is written may lie where it is read
            tail = target[first : self._length]
            tail[stay] = old
            tail[at] = fresh

    def _make_room(self, length: int) -> None:
        if length > (room := len(self._columns)):
            more = max(length - room, room // 10, ROWS_AT_ONCE)
            known = self._columns
            known.at = _longer(known.at, more)  # one after the other, so that there is one twice
            known.asked = _longer(known.asked, more)
            known.place = _longer(known.place, more)
            known.kept = _longer(known.kept, more)


def _longer(column: npt.NDArray[Item], more: int) -> npt.NDArray[Item]:
    return np.concatenate((column, np.empty(more, column.dtype)))


def _arrays(columns: PromiseColumns) -> tuple[npt.NDArray[Any], ...]:
    return columns.at, columns.asked, columns.place, columns.kept


def _places_of(known: PromiseColumns, sought: Sequence[SettledPromise]) -> npt.NDArray[np.int64]:
    """Before how many of `known`, which are in order, each of those `sought` does not belong."""
    moments = np.fromiter((each.at for each in sought), np.float64, len(sought))
    first, last = (np.searchsorted(known.at, moments, side) for side in ("left", "right"))
    found = first.tolist()
    for index in np.flatnonzero(first < last).tolist():  # of one moment there are few
        each = sought[index]
        asked = known.asked[first[index] : last[index]]
        low, high = (int(first[index] + np.searchsorted(asked, each.asked, side)) for side in ("left", "right"))
        if low < high:
            low = bisect_left(range(high), _order(each), low, key=lambda at: _order(known[at]))
        found[index] = low
    return np.array(found, np.int64)


def _all_but(known: PromiseColumns, gone: Sequence[SettledPromise]) -> Flags:
    """Of `known`, which are in order: without those, of which each is there."""
    stay = np.ones(len(known), np.bool_)
    for each, place in zip(gone, _places_of(known, gone).tolist(), strict=True):
        while not stay[place]:  # of those that are alike in everything, the next
            place += 1
        assert known[place] == each
        stay[place] = False
    return stay
