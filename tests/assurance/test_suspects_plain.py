"""Suspects against the same rules written down one group after the other: no arrays, no numbers instead of values."""

import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import inf, log

import pytest

from prikkfri.assurance.localisation import CLEARING_EVIDENCE_MIN, Cell
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.suspects import BEST, CAUSES_MAX, PLAIN, RISE_MIN, SCORE_MIN, SUSPECTS_MAX, Reading, locate

SMOOTHING, OVERDISPERSION = 0.05, 0.002
Counts = list[float]
"""Settled, broken, settled before, broken before."""


def share(broken: float, settled: float) -> float:
    return broken / settled if settled > 0 else 0.0


def nats(p: float, q: float) -> float:
    q = min(max(q, 1e-9), 1 - 1e-9)
    return (p * log(p / q) if p else 0.0) + ((1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0)


def added(some: Sequence[Counts]) -> Counts:
    return [sum(each[column] for each in some) for column in range(4)]


class Plain:
    def __init__(self, leaves: dict[Segment, Counts], reading: Reading) -> None:
        self.reading = reading
        self.leaves = {
            leaf: [*self.worth(*counts[:2]), *self.worth(*counts[2:])]  # type: ignore[arg-type]
            for leaf, counts in leaves.items()
        }
        groups = {
            Segment(values) for leaf in leaves for size in range(1, 5) for values in combinations(leaf.values, size)
        }
        self.counts = {
            group: added([counts for leaf, counts in self.leaves.items() if group.holds(leaf)]) for group in groups
        }
        self.all = added(list(self.leaves.values()))
        self.scores = {group: self.score(group) for group in groups}
        self.best = sorted(
            (group for group in groups if self.scores[group] >= SCORE_MIN),
            key=lambda g: (-round(self.scores[g], 6), len(g.values)),
        )

    def worth(self, settled: float, broken: float) -> Counts:
        part = 1 / (1 + max(settled - 1, 0) * self.reading.overdispersion)
        return [settled * part, broken * part]

    def share(self, group: Segment) -> float:
        return share(self.counts[group][1], self.counts[group][0])

    def outside(self, group: Segment) -> float:
        def drawn(settled: float, broken: float, every: float, every_broken: float) -> float:
            return share(every_broken - broken + SMOOTHING * every_broken, every - settled + SMOOTHING * every)

        own = self.counts[group]
        return max(drawn(*own[:2], *self.all[:2]), drawn(*own[2:], *self.all[2:]))  # type: ignore[call-arg]

    def wider(self, group: Segment) -> Iterator[Segment]:
        if len(group.values) > 1:
            yield from (Segment(values) for values in combinations(group.values, len(group.values) - 1))

    def score(self, group: Segment) -> float:
        (settled, broken), outside = self.counts[group][:2], self.outside(group)
        explained, evenness = outside, 1.0
        if self.reading.neighbours:
            for wide in self.wider(group):
                whole, weight = self.counts[wide], SMOOTHING * self.counts[wide][0]
                left = whole[1] - broken + weight * outside, whole[0] - settled + weight
                explained = max(explained, share(*left))
            lift = self.share(group) - outside
            for narrow in (each for each in self.counts if group in self.wider(each)):
                some, weight = self.counts[narrow], SMOOTHING * settled
                rest = settled - some[0]
                if lift > 0 and some[0] > 0 and rest > 1e-6:
                    left_share = share(broken - some[1] + weight * self.share(group), rest + weight)
                    evenness = min(evenness, max((left_share - outside) / lift, 0.0))
        p = self.share(group)
        evidence = settled * nats(p, explained) if p > explained else 0.0
        excess = max(broken - settled * min(outside, p), 0.0)
        return evidence * evenness**self.reading.evenness * excess**self.reading.excess

    def usual(self, group: Segment) -> float:
        settled, _, before, broken_before = self.counts[group]
        weight = SMOOTHING * settled * self.all[2] / self.all[0]
        return share(broken_before + weight * share(self.all[3], self.all[2]), before + weight)

    def rise(self, group: Segment) -> float:
        if not self.all[2] or not self.all[0]:
            return inf
        p, usual = self.share(group), self.usual(group)
        return self.counts[group][0] * nats(p, usual) if p > usual else 0.0


def placed(leaves: dict[Segment, Counts], reading: Reading, said: Sequence[Segment]) -> list[Segment]:
    """Of equals the one that was said."""
    first = last = Plain(leaves, reading)
    found: list[Segment] = []
    while len(found) < CAUSES_MAX and last.best:
        group = said[len(found)] if len(found) < len(said) else last.best[0]
        if last.scores.get(group, 0.0) < last.scores[last.best[0]] * (1 - 1e-9):
            group = last.best[0]
        if last.rise(group) < RISE_MIN:
            break
        model = found[0] if found else group
        if found and not (
            [name for name, _ in group.values] == [name for name, _ in model.values]
            and last.scores[group] >= 0.2 * first.scores[model]
            and last.share(group) >= 0.5 * first.share(model)
        ):
            break
        found.append(group)
        leaves = {leaf: [0.0] * 4 if group.holds(leaf) else counts for leaf, counts in leaves.items()}
        last = Plain(leaves, reading)
    return found


def cleared(
    leaves: dict[Segment, Counts], weighed: Plain, at_fault: Sequence[Segment], suspected: Sequence[Segment]
) -> set[Segment]:
    if not at_fault or not weighed.all[2]:
        return set()
    failed = [leaf for leaf, counts in leaves.items() if counts[1] and any(each.holds(leaf) for each in at_fault)]
    fault = min(weighed.share(each) for each in at_fault)
    return {
        single
        for single, counts in weighed.counts.items()
        if len(single.values) == 1
        and counts[0]
        and not any(single.holds(leaf) for leaf in failed)
        and not any(single.holds(each) for each in suspected)
        and weighed.share(single) < fault
        and counts[0] * nats(weighed.share(single), fault) > CLEARING_EVIDENCE_MIN
        and weighed.rise(single) < CLEARING_EVIDENCE_MIN
    }


def drawn(seed: int) -> tuple[list[Cell], list[Cell]]:
    """Up to four dimensions, not all of which every cell has, and up to three segments that are worse than before."""
    rng = random.Random(seed)
    names = ("link", "class", "service", "x")[: rng.choice((1, 2, 3, 4))]
    sizes = {name: rng.randint(2, (12, 7, 3, 3)[len(names) - 1]) for name in names}
    missing = rng.choice((0.0, 0.1))
    leaves = list(
        {
            Segment.of(
                {n: f"{n[0]}{rng.randrange(sizes[n])}" for n in names if n == names[0] or rng.random() > missing}
            )
            for _ in range(40)
        }
    )
    leaves.sort()
    rng.shuffle(leaves)
    one = rng.choice(leaves)
    chosen = rng.sample(one.values, rng.randint(1, len(one.values)))
    faults = [
        Segment.of({n: rng.choice((v, f"{n[0]}{rng.randrange(sizes[n])}")) for n, v in chosen})
        for _ in range(rng.randint(1, 3))
    ]
    worse, usual = rng.choice((0.06, 0.3, 0.9)), rng.choice((0.0, 0.01, 0.05))
    now, before = [], []
    for leaf in leaves:
        settled = rng.choice((1, 20, 300, 5_000))
        p = worse * rng.uniform(0.7, 1) if any(each.holds(leaf) for each in faults) else usual
        now.append(Cell(leaf, settled, round(p * settled * rng.uniform(0.7, 1.3)) if p < 0.7 else settled))
        if rng.random() > 0.1:
            before.append(Cell(leaf, 5 * settled, round(usual * 5 * settled * rng.uniform(0.5, 2))))
    return now, before if rng.random() > 0.2 else []


@pytest.mark.parametrize("reading", [BEST, PLAIN], ids=["best", "plain"])
@pytest.mark.parametrize("seed", [*range(40), 90])
def test_what_is_placed_suspected_and_cleared_is_what_the_rules_say_of_each_group(seed: int, reading: Reading) -> None:
    now, before = drawn(seed)
    leaves: dict[Segment, Counts] = {}
    for cell, column in [*((each, 0) for each in now), *((each, 2) for each in before)]:
        counts = leaves.setdefault(cell.segment, [0.0] * 4)
        counts[column] += cell.settled
        counts[column + 1] += cell.broken
    weighed = Plain(leaves, reading)
    found = locate(now, before, reading=reading)

    said = [each.segment for each in found.placed]
    at_fault = placed(leaves, reading, said)
    assert said == at_fault
    suspected = [each.segment for each in found.suspects]
    assert len(suspected) == len(set(suspected)) <= SUSPECTS_MAX
    assert suspected[: len(at_fault)] == at_fault
    scores = [weighed.scores[each] for each in weighed.best[:2]]
    assert sorted((each.evidence for each in found.suspects), reverse=True)[: len(scores)] == pytest.approx(scores)
    opinion = Plain(leaves, PLAIN)
    if opinion.best and len(suspected) > 2:
        second = max(opinion.scores[each] for each in suspected[: max(len(at_fault), 2) + 1])
        assert second == pytest.approx(opinion.scores[opinion.best[0]])
    assert len(suspected) == SUSPECTS_MAX or set(weighed.best) <= set(suspected)
    whole = added(list(leaves.values()))
    for each in found.suspects:
        own = added([counts for leaf, counts in leaves.items() if each.segment.holds(leaf)])
        assert (each.settled, each.broken) == (own[0], own[1])
        assert each.outside == pytest.approx(share(whole[1] - own[1], whole[0] - own[0]))
        assert each.usual == (pytest.approx(own[3] / own[2]) if own[2] else None)
        assert each.evidence == pytest.approx(weighed.scores[each.segment], rel=1e-6, abs=1e-6)
    assert {each.segment for each in found.cleared} == cleared(leaves, weighed, at_fault, suspected)
    for clear in found.cleared:
        own = added([counts for leaf, counts in leaves.items() if clear.segment.holds(leaf)])
        assert (clear.settled, clear.broken) == (own[0], own[1])
        assert clear.usual == pytest.approx(weighed.usual(clear.segment))
