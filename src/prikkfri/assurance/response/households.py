"""Households: outcomes that hang together by a promise, a device or a customer, and how they come together.

Whatever comes in, in any order, is put to its household, or makes one of several; those that have changed by it are
`stale` until somebody has gone through them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from math import inf
from operator import attrgetter
from typing import NamedTuple

import msgspec

from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.response.archive import PromisesInTime
from prikkfri.assurance.response.promises import SettledPromise
from prikkfri.journal import Outcome

HolderRow = tuple[str, str, float, float]
"""A device, who was seen on it, from and until when."""

_place = attrgetter("place")


class PackedRow(NamedTuple):
    """An outcome, without what a great many others say alike."""

    stream: int
    position: int
    kind: int
    time: float
    customer: str
    device: str
    promise: str


class OutcomePacker:
    """Outcomes as octets, a sixth of what they are as objects; what many say alike is kept once, and has a number."""

    def __init__(self) -> None:
        self._streams: list[tuple[str, str]] = []
        self._stream_numbers: dict[tuple[str, str], int] = {}
        self._kinds: list[Outcome] = []
        self._kind_numbers: dict[tuple[object, ...], int] = {}

    def packed(self, rows: Iterable[StoredOutcome]) -> bytes:
        return _encoder.encode([self._row(each) for each in rows])

    def _row(self, row: StoredOutcome) -> PackedRow:
        o, stream = row.outcome, (row.stream, row.incarnation)
        if (number := self._stream_numbers.get(stream)) is None:
            number = self._stream_numbers[stream] = len(self._streams)
            self._streams.append(stream)
        kind = (o.service, o.step, o.layer, o.verdict, o.reason, o.observed, *o.dimensions.items())
        if (known := self._kind_numbers.get(kind)) is None:
            known = self._kind_numbers[kind] = len(self._kinds)
            self._kinds.append(o)
        return PackedRow(number, row.position, known, o.time, o.customer, o.device, o.promise)

    def places(self, packed: bytes) -> Iterator[tuple[str, str, int]]:
        """Stream, incarnation and position of each."""
        return ((*self._streams[each.stream], each.position) for each in _decoder.decode(packed))

    def rows(self, packed: bytes) -> tuple[StoredOutcome, ...]:
        return tuple(self._taken(each) for each in _decoder.decode(packed))

    def _taken(self, row: PackedRow) -> StoredOutcome:
        like, (stream, incarnation) = self._kinds[row.kind], self._streams[row.stream]
        outcome = Outcome(
            time=row.time, service=like.service, step=like.step, layer=like.layer, verdict=like.verdict,
            reason=like.reason, customer=row.customer, device=row.device, promise=row.promise,
            observed=like.observed, dimensions=like.dimensions,
        )  # fmt: skip
        return StoredOutcome(stream, row.position, outcome, incarnation)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[PackedRow])


class Household(msgspec.Struct, eq=False, gc=False):
    """Outcomes that hang together, and what they come to. A struct of tuples: none of the collector's business."""

    packer: OutcomePacker
    told: tuple[StoredOutcome, ...] | bytes = ()
    """As octets when nothing has come in for long."""
    count: int = 0
    """So many outcomes."""
    into: "Household | None" = None
    """The one that it has become one with: it is itself no more."""
    sorted: bool = True
    settled: tuple[SettledPromise, ...] = ()
    in_time: PromisesInTime | None = None
    """When everything was answered in time, as was seen when it was gone through last."""
    changes_at: float = inf
    """When time alone may change what they come to."""
    ended_at: float = -inf
    """The last moment that they speak of: the last outcome, or the end of a grace time."""

    @property
    def packed(self) -> bool:
        return isinstance(self.told, bytes)

    @property
    def rows(self) -> tuple[StoredOutcome, ...]:
        return self.packer.rows(self.told) if isinstance(self.told, bytes) else self.told

    @rows.setter
    def rows(self, rows: tuple[StoredOutcome, ...]) -> None:
        self.told, self.count = rows, len(rows)

    def pack(self) -> None:
        if not isinstance(self.told, bytes):
            self.told = self.packer.packed(sorted(self.told, key=_place))
            self.sorted, self.in_time = True, None

    def add(self, rows: tuple[StoredOutcome, ...]) -> None:
        known = self.rows
        # As a rule what comes is younger than what is there.
        in_turn = len(rows) == 1 and (not known or known[-1].outcome.time < rows[0].outcome.time)
        self.sorted = self.sorted and in_turn
        self.rows = known + rows

    @property
    def outcomes(self) -> list[Outcome]:
        """Oldest first."""
        if not self.sorted:
            self.rows = tuple(sorted(self.rows, key=_place))
            self.sorted = True
        return [row.outcome for row in self.rows]


class Households:
    """Those of one service, and how each is found. One owner changes them."""

    def __init__(self) -> None:
        self.known: dict[Household, None] = {}
        self._packer = OutcomePacker()
        self.stale: set[Household] = set()
        """Those to be gone through, and those that have become one with another."""
        self.rows = 0
        """How many outcomes they have that are objects ..."""
        self.packed_rows = 0
        """... and how many that are packed."""
        self._by_promise: dict[str, Household] = {}
        self._by_device: dict[str, Household] = {}
        self._by_customer: dict[str, Household] = {}
        self._held: dict[str, tuple[HolderRow, ...]] = {}
        """By device who is known to have held it."""
        self._to_look_up: set[str] = set()

    # Who has held a device.

    def to_look_up(self, devices: Iterable[str]) -> list[str]:
        """Of which devices it is to be asked who held them, when these come in."""
        return sorted(self._to_look_up | {device for device in devices if device not in self._held})

    def look_up_again(self, devices: Iterable[str]) -> None:
        self._to_look_up.update(device for device in devices if device in self._held)

    def hold(self, devices: Collection[str], held: Iterable[HolderRow]) -> set[str]:
        """Who has held these devices, as far as is known; the customers of those of which that is news."""
        found: dict[str, set[HolderRow]] = {device: set() for device in devices}
        for row in held:
            found[row[0]].add(row)
        customers: set[str] = set()
        for device, rows in found.items():
            before, now = self._held.get(device), tuple(sorted(rows))
            if now == before:
                continue
            self._held[device] = now
            customers.update(customer for _, customer, _, _ in now)
            if (household := _at(self._by_device, device)) is not None:
                self.stale.add(household)
                self._tie(household, device)
        self._to_look_up.difference_update(devices)
        return customers

    def held(self, household: Household) -> Iterable[HolderRow]:
        """Who has held its devices."""
        devices = {row.outcome.device for row in household.rows}
        return chain.from_iterable(self._held.get(device, ()) for device in devices)

    # How they come together.

    def put(self, row: StoredOutcome) -> None:
        outcome = row.outcome
        tags = self._tags_of(outcome)
        household: Household | None = None
        for by, tag in tags:
            if (known := _at(by, tag)) is not None:
                household = known if household is None else self._one(household, known)
        if household is None:
            household = Household(self._packer)
        self._unpack(household)
        self.rows += 1
        self.known[household] = None
        household.add((row,))
        self.stale.add(household)
        for by, tag in tags:
            by.setdefault(tag, household)
        if outcome.device:
            self._tie(household, outcome.device)

    def put_back(self, rows: Sequence[StoredOutcome], settled: tuple[SettledPromise, ...]) -> None:
        """A household that was let go of; `settled`: what it came to then."""
        household = Household(self._packer, settled=settled)
        self.known[household] = None
        self.stale.add(household)
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
        large, small = (a, b) if a.count >= b.count else (b, a)
        self._unpack(large)
        self._unpack(small)
        small.into = large
        large.add(small.rows)
        small.rows = ()
        self.known[large] = None
        self.stale |= {large, small}
        return large

    # How they are kept, and how they go.

    def places(self) -> Iterator[tuple[str, str, int]]:
        """Where each of their outcomes stands: stream, incarnation and position."""
        for household in self.known:
            if isinstance(household.told, bytes):
                yield from self._packer.places(household.told)
            else:
                yield from ((row.stream, row.incarnation, row.position) for row in household.told)

    def pack(self, household: Household) -> None:
        """Makes octets of its outcomes, until more come in."""
        if not household.packed:
            household.pack()
            self.rows -= household.count
            self.packed_rows += household.count

    def _unpack(self, household: Household) -> None:
        if household.packed:
            household.rows = household.rows
            self.rows += household.count
            self.packed_rows -= household.count

    def forget(self, since: float) -> None:
        """Forgets what was told for a time before that."""
        for household in list(self.known):
            if any(row.outcome.time < since for row in household.rows):
                self._forget(household, since)

    def _forget(self, household: Household, since: float) -> None:
        self._unpack(household)
        old = [row.outcome for row in household.rows if row.outcome.time < since]
        household.rows = tuple(row for row in household.rows if row.outcome.time >= since)
        self.rows -= len(old)
        self.stale.add(household)
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

    def release(self, household: Household, tags: Iterable[str]) -> None:
        """Lets go of one that is known by these tags."""
        self._unpack(household)
        for tag in tags:
            for by in (self._by_promise, self._by_device, self._by_customer):
                if _at(by, tag) is household:
                    del by[tag]
        for row in household.rows:
            self._held.pop(row.outcome.device, None)
            self._to_look_up.discard(row.outcome.device)
        self.rows -= len(household.rows)
        household.rows, household.settled, household.in_time, household.changes_at = (), (), None, inf
        del self.known[household]


def _at(by: dict[str, Household], tag: str) -> Household | None:
    """The household that is known by this, as it is now."""
    known = found = by.get(tag)
    while found is not None and found.into is not None:
        found = found.into
    if found is not None and found is not known:
        by[tag] = found
    return found
