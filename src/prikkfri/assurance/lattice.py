"""Lattice: every combination of values that occurs in a table of counts, and which lies in which.

A *leaf* is a combination of values of all dimensions; a *group* is the leaves that share values of some of them. Groups
lie in one flat array, combination after combination, so that a look over all of them is a few operations on arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from prikkfri.assurance.localisation import Cell
from prikkfri.assurance.segments import Segment, Value

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

DEPTH_MAX = 4
"""Values of one group."""
LATTICE_MAX = 4_000_000
"""Leaves times combinations of dimensions; where there would be more, groups are of fewer values (32 MB an array)."""

RANGE_MAX = 65_536
"""Up to so many possible groups of one combination are counted off; more are sorted."""


@dataclass(frozen=True)
class Counts:
    """Promises settled and broken by leaf or by group, of a minute and of what came before it."""

    settled: Floats
    broken: Floats
    settled_before: Floats
    broken_before: Floats

    @property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.settled, self.broken, self.settled_before, self.broken_before

    @property
    def share(self) -> Floats:
        return shares(self.broken, self.settled)

    def without(self, leaves: Flags) -> "Counts":
        return Counts(*(np.where(leaves, 0.0, each) for each in self.arrays))

    def deflated(self, overdispersion: float) -> "Counts":
        """As many independent promises as these tell as much as."""
        now = 1.0 / (1.0 + np.maximum(self.settled - 1.0, 0.0) * overdispersion)
        before = 1.0 / (1.0 + np.maximum(self.settled_before - 1.0, 0.0) * overdispersion)
        return Counts(self.settled * now, self.broken * now, self.settled_before * before, self.broken_before * before)


@dataclass(frozen=True)
class Lattice:
    leaves: Counts
    segments: tuple[Segment, ...]
    """The narrowest segment of each leaf."""
    combinations: tuple[tuple[str, ...], ...]
    """The dimensions of each combination, fewer first."""
    groups: Indices
    """By combination and leaf; the number of all groups for what has no value of one of the dimensions."""
    leaf: Indices
    """By group, one of its leaves."""
    combination: Indices
    """By group."""
    narrow: Indices
    wide: Indices
    """Pairs of groups: `narrow[i]` lies in `wide[i]`, which names one value less."""

    def summed(self, leaves: Counts) -> Counts:
        """By group."""
        size, flat = len(self.leaf), self.groups.ravel()
        repeat = len(self.combinations)
        sums = [np.bincount(flat, np.tile(each, repeat), size + 1)[:size].astype(np.float64) for each in leaves.arrays]
        return Counts(*sums)

    def holds(self, group: int) -> Flags:
        """Which leaves lie in it."""
        held: Flags = self.groups[self.combination[group]] == group
        return held

    def segment(self, group: int) -> Segment:
        own = self.segments[self.leaf[group]]
        return Segment.of({name: own.get(name) for name in self.combinations[self.combination[group]]})


def lattice(now: Sequence[Cell], before: Sequence[Cell]) -> Lattice:
    """Of the cells of a minute, whose values are all that is named, and of the minutes before it."""
    leaves, rows = _counted(now, before)
    codes, names = _codes(leaves)
    order = np.lexsort(codes[::-1]) if codes else np.arange(len(leaves))
    codes, rows = [each[order] for each in codes], rows[order]
    depth = DEPTH_MAX
    while depth > 1 and len(leaves) * sum(1 for _ in _combinations(len(names), depth)) > LATTICE_MAX:
        depth -= 1
    chosen = list(_combinations(len(names), depth))
    groups = np.empty((len(chosen), len(leaves)), dtype=np.int64)
    leaf_of, combination = [], []
    counts: dict[tuple[int, ...], int] = {(): 1}
    numbers: dict[tuple[int, ...], Indices] = {(): np.zeros(len(leaves), dtype=np.int64)}
    size = 0
    for number, dimensions in enumerate(chosen):
        wider, last = dimensions[:-1], codes[dimensions[-1]]
        cardinality = int(last.max()) + 1
        having = np.flatnonzero((numbers[wider] >= 0) & (last >= 0))
        code = numbers[wider][having] * cardinality + last[having]
        found, count = _numbered(code, counts[wider] * cardinality)
        numbers[dimensions], counts[dimensions] = np.full(len(leaves), -1, dtype=np.int64), count
        numbers[dimensions][having] = found
        groups[number] = np.where(numbers[dimensions] < 0, -1, numbers[dimensions] + size)
        some = np.empty(count, dtype=np.int64)
        some[found] = having
        leaf_of.append(some)
        combination.append(np.full(count, number, dtype=np.int64))
        size += count
    groups[groups < 0] = size
    leaf = np.concatenate(leaf_of) if leaf_of else np.empty(0, dtype=np.int64)
    of = np.concatenate(combination) if combination else np.empty(0, dtype=np.int64)
    narrow, wide = _links(chosen, groups, leaf, of)
    return Lattice(
        Counts(*rows.T),
        tuple(Segment(leaves[at]) for at in order.tolist()),
        tuple(tuple(names[dimension] for dimension in each) for each in chosen),
        groups,
        leaf,
        of,
        narrow,
        wide,
    )


def shares(broken: Floats, settled: Floats) -> Floats:
    """Parts of promises; 0 of none."""
    found: Floats = broken / np.where(settled > 0, settled, np.inf)
    return found


def _counted(now: Sequence[Cell], before: Sequence[Cell]) -> tuple[list[tuple[Value, ...]], Floats]:
    """Each leaf once, with its counts. A tuple that comes again as the same object is not hashed again: tables are long
    and their leaves few."""
    number: dict[tuple[Value, ...], int] = {}
    met: dict[int, int] = {}
    at: list[int] = []
    for cell in (cells := [*now, *before]):
        values = cell.segment.values
        if (leaf := met.get(id(values))) is None:
            leaf = met[id(values)] = number.setdefault(values, len(number))
        at.append(leaf)
    where, size, split = np.array(at, dtype=np.int64), len(number), len(now)
    settled = np.array([cell.settled for cell in cells], dtype=np.float64)
    broken = np.array([cell.broken for cell in cells], dtype=np.float64)
    columns = [
        np.bincount(where[part], counts[part], size)
        for part in (slice(split), slice(split, None))
        for counts in (settled, broken)
    ]
    return list(number), np.column_stack(columns)


def _codes(leaves: Sequence[tuple[Value, ...]]) -> tuple[list[Indices], list[str]]:
    """The values of each dimension as numbers in their order, by leaf; -1 where a leaf has none."""
    columns: dict[str, list[str | None]] = {}
    for number, leaf in enumerate(leaves):
        for name, value in leaf:
            column = columns.get(name)
            if column is None:
                column = columns[name] = []
            if len(column) < number:
                column.extend([None] * (number - len(column)))
            column.append(value)
    codes = []
    for name in (names := sorted(columns)):
        column = columns[name]
        column.extend([None] * (len(leaves) - len(column)))
        rank: dict[str | None, int] = {None: -1}
        rank.update((value, at) for at, value in enumerate(sorted({each for each in column if each is not None})))
        codes.append(np.array([rank[value] for value in column], dtype=np.int64))
    return codes, names


def _numbered(codes: Indices, range_of: int) -> tuple[Indices, int]:
    """Codes below `range_of` as numbers without gaps, in the same order; and how many there are."""
    if range_of > RANGE_MAX:
        known, numbers = np.unique(codes, return_inverse=True)
        return numbers.astype(np.int64), len(known)
    met = np.zeros(range_of, dtype=np.bool_)
    met[codes] = True
    rank = np.cumsum(met, dtype=np.int64)
    return rank[codes] - 1, int(rank[-1])


def _combinations(dimensions: int, depth: int) -> list[tuple[int, ...]]:
    return [each for size in range(1, depth + 1) for each in combinations(range(dimensions), size)]


def _links(
    chosen: Sequence[tuple[int, ...]], groups: Indices, leaf: Indices, combination: Indices
) -> tuple[Indices, Indices]:
    number = {dimensions: at for at, dimensions in enumerate(chosen)}
    narrow, wide = [], []
    for at, dimensions in enumerate(chosen):
        if len(dimensions) == 1:
            continue
        inside = np.flatnonzero(combination == at)
        for left in range(len(dimensions)):
            wider = number[dimensions[:left] + dimensions[left + 1 :]]
            narrow.append(inside)
            wide.append(groups[wider, leaf[inside]])
    if not narrow:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.concatenate(narrow), np.concatenate(wide)
