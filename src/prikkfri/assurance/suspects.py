"""Suspects: which combinations of values hold the fault of one minute in a table of counts, best first.

Theory of operation. Every group (see `lattice`) of up to four values is weighed. A leaf of n promises tells as much as
n / (1 + (n - 1) r) independent ones, r being the overdispersion: a hundred thousand promises of one leaf, which fail
together, prove no more than five hundred. With what is left of the counts,

    score = n KL(p || q) * evenness ** 0.5        where p > q, else 0

q is the largest of the shares that would explain p if the fault lay elsewhere: that of everything outside now, of
everything outside before, and of what the group leaves of each group that is wider by one value. The last holds a
narrow group against its neighbours and not against the crowd: when they are as bad, the wider one is meant. Evenness is
the least part of the lift that remains when one further value is taken out of the group: when it goes with that value,
the narrower one is meant. (The ripple effect of the literature, from both sides: docs/decisions/localisation.md.)

The best group is placed when it has become worse than it was itself. Others of the same dimensions are placed too when
they stand out without its leaves, nearly as badly. What is broken alike everywhere is in none of the values that are
known: nothing is placed, and nothing is cleared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from prikkfri.assurance.lattice import Counts, Floats, Indices, Lattice, lattice, shares
from prikkfri.assurance.localisation import CLEARING_EVIDENCE_MIN, Cell, ClearedValue, FaultSegment

SUSPECTS_MAX = 10
CAUSES_MAX = 5
REST_MIN = 1e-6
"""Less than this is nothing, and left by rounding."""
SCORE_MIN = 4.0
"""What scores less is chance, and no suspect."""
RISE_MIN = 16.0
"""Nats by which a group is worse than it was itself before it is placed."""
FURTHER_SCORE_MIN = 0.2
"""A further cause stands out by at least this part of the first one's score ..."""
FURTHER_SHARE_MIN = 0.5
"""... and is broken by at least this part of its share."""


@dataclass(frozen=True)
class Reading:
    """One way to read a table."""

    smoothing: float = 0.05
    """What lies outside is drawn to the whole by this part of its weight."""
    overdispersion: float = 0.002
    evenness: float = 0.5
    """The power of the evenness."""
    neighbours: bool = True
    """Whether a group is held against what it leaves of the wider ones, and what narrower ones leave of it."""
    excess: float = 0.0
    """The power of the promises broken above what is expected."""


BEST = Reading()
PLAIN = Reading(overdispersion=0.0, neighbours=False, excess=1.0)
"""Evidence and size alone: a second opinion for the list of suspects."""


@dataclass(frozen=True)
class Location:
    """Where the fault of a minute is."""

    placed: tuple[FaultSegment, ...] = ()
    """The best first; empty when the fault, if there is one, is in none of the values that are known."""
    suspects: tuple[FaultSegment, ...] = ()
    """What is placed, and then what it might be instead or beside it."""
    cleared: tuple[ClearedValue, ...] = ()


@dataclass(frozen=True)
class _Weighed:
    counts: Counts
    """By group, as many as they tell as much as."""
    usual: Floats | None
    """The share of each group before, and where little is known of it that of all; None when nothing is."""
    score: Floats
    best: Indices
    """Groups in the order of their scores, as many as may be asked for; none without a score."""


def locate(now: Sequence[Cell], before: Sequence[Cell] = (), *, reading: Reading = BEST) -> Location:
    """Where the fault in the cells of `now` is, compared with what was usual `before`."""
    table = lattice(now, before)
    if not len(table.leaf) or not table.leaves.broken.sum():
        return Location()
    first = last = _weighed(table, table.leaves, reading)
    left = table.leaves
    placed: list[int] = []
    while len(placed) < CAUSES_MAX and _stands_out(table, first, last):
        placed.append(int(last.best[0]))
        left = left.without(table.holds(placed[-1]))
        last = _weighed(table, left, reading)
    plain = _weighed(table, table.leaves, PLAIN)
    listed = _listed(placed, first.best, plain.best, last.best)
    # The plain reading takes the counts as they are.
    suspects = tuple(_placed(table, plain.counts, first.score, group) for group in listed)
    return Location(suspects[: len(placed)], suspects, tuple(_cleared(table, plain.counts, first, placed, listed)))


def _weighed(table: Lattice, leaves: Counts, reading: Reading) -> _Weighed:
    effective = leaves.deflated(reading.overdispersion)
    counts = table.summed(effective)
    share = counts.share
    now, before = (
        _outside(settled, broken, float(all_settled.sum()), float(all_broken.sum()), reading.smoothing)
        for settled, broken, all_settled, all_broken in (
            (counts.settled, counts.broken, effective.settled, effective.broken),
            (counts.settled_before, counts.broken_before, effective.settled_before, effective.broken_before),
        )
    )
    outside = np.maximum(now, before)
    explained, evenness = outside, np.ones(len(share))
    if reading.neighbours:
        explained, evenness = _among_neighbours(table, counts, outside, reading.smoothing)
    evidence = np.where(share > explained, counts.settled * divergence(share, explained), 0.0)
    excess = np.maximum(counts.broken - counts.settled * np.minimum(outside, share), 0.0)
    score = evidence * evenness**reading.evenness * excess**reading.excess
    # Of equals the one of fewer values, which lies further ahead.
    scoring = np.flatnonzero(score >= SCORE_MIN)
    best = scoring[np.argsort(-score[scoring], kind="stable")][: SUSPECTS_MAX + CAUSES_MAX]
    return _Weighed(counts, _usual(counts, effective, reading.smoothing), score, best)


def _among_neighbours(table: Lattice, counts: Counts, outside: Floats, smoothing: float) -> tuple[Floats, Floats]:
    """The share that would explain each group, and its evenness, by what narrow groups leave of wide ones."""
    explained, evenness = outside.copy(), np.ones(len(outside))
    narrow, wide = table.narrow, table.wide
    share, settled = counts.share[wide], counts.settled[wide]
    rest = settled - counts.settled[narrow]
    broken, weight = counts.broken[wide] - counts.broken[narrow], smoothing * settled
    np.maximum.at(explained, narrow, shares(broken + weight * outside[narrow], rest + weight))
    lift = share - outside[wide]
    told = np.flatnonzero((lift > 0) & (counts.settled[narrow] > 0) & (rest > REST_MIN))
    share, rest, broken, weight, wide = share[told], rest[told], broken[told], weight[told], wide[told]
    left = shares(broken + weight * share, rest + weight) - outside[wide]
    np.minimum.at(evenness, wide, np.clip(left / lift[told], 0.0, 1.0))
    return explained, evenness


def _outside(settled: Floats, broken: Floats, all_settled: float, all_broken: float, smoothing: float) -> Floats:
    """The share outside each group, drawn to that of everything."""
    if not all_settled:
        return np.zeros(len(settled))
    return shares(all_broken - broken + smoothing * all_broken, all_settled - settled + smoothing * all_settled)


def _stands_out(table: Lattice, first: _Weighed, last: _Weighed) -> bool:
    """Whether the best of what is left is placed."""
    if not len(last.best):
        return False
    group, model = last.best[0], first.best[0]
    if _rise(last, int(group)) < RISE_MIN:
        return False
    return bool(
        last is first
        or (
            table.combination[group] == table.combination[model]
            and last.score[group] >= FURTHER_SCORE_MIN * first.score[model]
            and last.counts.share[group] >= FURTHER_SHARE_MIN * first.counts.share[model]
        )
    )


def _usual(counts: Counts, leaves: Counts, smoothing: float) -> Floats | None:
    """Drawn to the share of all by a part of what is to be expected of a group of its size."""
    known, now = float(leaves.settled_before.sum()), float(leaves.settled.sum())
    if not known or not now:
        return None
    weight = smoothing * counts.settled * known / now
    whole = float(leaves.broken_before.sum()) / known
    return shares(counts.broken_before + weight * whole, counts.settled_before + weight)


def _rise(weighed: _Weighed, group: int) -> float:
    """Nats by which a group is worse than it was itself; without end where nothing is known of before."""
    share = weighed.counts.share[group]
    if weighed.usual is None:
        return inf
    usual = weighed.usual[group]
    return float(weighed.counts.settled[group] * divergence(share, usual)) if share > usual else 0.0


def _listed(placed: Sequence[int], best: Indices, plain: Indices, last: Indices) -> list[int]:
    """What is placed, the two best, the best by the second opinion, the best of what is left; and so on in turn."""
    listed = list(placed)

    def add(groups: Indices, up_to: int) -> None:
        for group in groups.tolist():
            if len(listed) >= up_to:
                return
            if group not in listed:
                listed.append(group)

    add(best, 2)
    while (length := len(listed)) < SUSPECTS_MAX:
        for groups in (plain, last, best):
            add(groups, min(len(listed) + 1, SUSPECTS_MAX))
        if len(listed) == length:
            break
    return listed


def _placed(table: Lattice, counts: Counts, score: Floats, group: int) -> FaultSegment:
    settled, broken = float(counts.settled[group]), float(counts.broken[group])
    all_settled, all_broken = float(table.leaves.settled.sum()), float(table.leaves.broken.sum())
    before = float(counts.settled_before[group])
    return FaultSegment(
        table.segment(group),
        settled,
        broken,
        outside=(all_broken - broken) / (all_settled - settled) if all_settled > settled else 0.0,
        usual=float(counts.broken_before[group]) / before if before else None,
        evidence=float(score[group]),
    )


def _cleared(
    table: Lattice, counts: Counts, weighed: _Weighed, placed: Sequence[int], listed: Sequence[int]
) -> Iterator[ClearedValue]:
    """Single values of which nothing is suspected, nothing was broken with the fault, and which would have shown it."""
    if not placed or weighed.usual is None:
        return
    suspected = {value for group in listed for value in table.segment(group).values}
    failed = np.zeros(len(table.segments), dtype=np.bool_)
    for group in placed:
        failed |= table.holds(group) & (table.leaves.broken > 0)
    fault = min(float(counts.share[group]) for group in placed)  # the mildest shows least
    told, share_of = weighed.counts, weighed.counts.share
    for group in np.flatnonzero(np.array([len(each) == 1 for each in table.combinations])[table.combination]).tolist():
        segment, settled = table.segment(group), float(told.settled[group])
        if segment.values[0] in suspected or not settled or (failed & table.holds(group)).any():
            continue
        share = share_of[group]
        shown = share < fault and settled * float(divergence(share, fault)) > CLEARING_EVIDENCE_MIN
        if shown and _rise(weighed, group) < CLEARING_EVIDENCE_MIN:
            usual = float(weighed.usual[group])
            yield ClearedValue(segment, float(counts.settled[group]), float(counts.broken[group]), usual)


def divergence(p: Floats | float, q: Floats | float) -> Floats:
    """Kullback-Leibler divergence of shares, in nats."""
    p, q = np.asarray(p, dtype=np.float64), np.clip(np.asarray(q, dtype=np.float64), 1e-9, 1 - 1e-9)
    rest = 1.0 - p
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(p > 0, p * np.log(p / q), 0.0) + np.where(
            rest > 0, rest * np.log(rest / (1.0 - q)), 0.0
        )
    return found
