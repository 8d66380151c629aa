"""Localisation: where the fault is, and what is cleared.

Theory of operation. A *cell* counts promises, settled and broken, of one combination of dimension values. For a segment
with n promises and share p, let q be the share of everything outside it: drawn towards the whole with the weight of
`SMOOTHING` of all promises, and at least what is usual there and what is ordinary at the steps inside (phones are
off, and nothing of that shows at other steps), so that a lucky minute outside proves nothing. The evidence that the
fault is inside is the log-likelihood ratio of "p inside" against "q inside, as outside" (a binomial scan statistic
after M. Kulldorff, Communications in Statistics 26, 1997):

    evidence = n * (p ln(p/q) + (1 - p) ln((1 - p)/(1 - q)))     where p > q, else 0

The scan takes the single value with the most evidence and goes down: a further value is added as long as the evidence
*grows*, which it does only when what is left behind is no worse than the rest. What is found must also be worse than
it was before itself. The scan then looks again without the promises of that segment, and places a second and third
only if they are broken nearly as badly: of one cause. Where all causes are asked for, it goes on until what remains is
ordinary: of several the mildest has its victims, too.

*Cleared* is a value that holds no promise that was broken in a placed segment, whose promises are broken no more than
usual, and were enough to have shown the fault if it had been there.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from math import log

from prikkfri.assurance.segments import Segment, Value
from prikkfri.assurance.tally import ORDINARY_SHARES

SMOOTHING = 0.05
EVIDENCE_MIN = 8.0
"""Nats: a segment whose evidence is less is not placed; e**8 is three thousand to one."""
CLEARING_EVIDENCE_MIN = 4.0
"""Nats by which "usual" must beat "as broken as the placed segment" before a value is cleared."""
ORDINARY_SLACK = 1.5
"""Shares up to this times the usual one are ordinary."""
FURTHER_SHARE_MIN = 0.7
"""A second segment of one cause is broken nearly as badly as the first ..."""
FURTHER_EVIDENCE_MIN = 0.3
"""... and on at least this part of its evidence."""
CAUSE_EVIDENCE_MIN = 16.0
"""Nats of a further cause, whatever the first: it is looked for again and again."""
SHARE_FLOOR = 0.005
"""Shares up to this are ordinary anywhere."""
VALUES_MAX = 3
SEGMENTS_MAX = 3
"""Of one cause ..."""
CAUSES_MAX = 50
"""... and of all."""


@dataclass(frozen=True)
class Cell:
    """Promises of one combination of dimension values."""

    segment: Segment
    settled: float
    broken: float


@dataclass(frozen=True)
class FaultSegment:
    """A segment at fault."""

    segment: Segment
    settled: float
    broken: float
    outside: float
    """The share broken outside it."""
    usual: float | None
    """Its own share before; None when nothing is known of before."""
    evidence: float
    """Nats."""

    @property
    def share(self) -> float:
        return self.broken / self.settled

    @property
    def sentence(self) -> str:
        before = "" if self.usual is None else f", {self.usual:.1%} before"
        return f"{self.segment}: {self.share:.1%} of {self.settled:.0f} broken, {self.outside:.1%} outside it{before}"


@dataclass(frozen=True)
class ClearedValue:
    """A value that is not at fault, with the figure that says so."""

    segment: Segment
    settled: float
    broken: float
    usual: float

    @property
    def share(self) -> float:
        return self.broken / self.settled

    @property
    def sentence(self) -> str:
        return f"{self.segment}: {self.share:.1%} of {self.settled:.0f} broken, usually {self.usual:.1%}"


@dataclass(frozen=True)
class Placement:
    placed: tuple[FaultSegment, ...] = ()
    """The worst first; empty when no segment stands out."""
    cleared: tuple[ClearedValue, ...] = ()

    @property
    def several(self) -> bool:
        return len(self.placed) > 1


def place(now: Sequence[Cell], before: Sequence[Cell] = (), *, all_causes: bool = False) -> Placement:
    """Where the fault is in the cells of `now`, compared with what was usual `before`."""
    placed: list[FaultSegment] = []
    rest = list(now)
    while rest and len(placed) < (CAUSES_MAX if all_causes else SEGMENTS_MAX):
        found = _worst(rest, before)
        if found is None or (placed and not _as_bad(found, placed[0]) and not (all_causes and _further(found))):
            break
        placed.append(found)
        rest = [cell for cell in rest if not found.segment.holds(cell.segment)]
    if not placed:
        return Placement()
    known = _total(before)
    usual = known.share if known.settled else min(each.outside for each in placed)
    failed = [cell for cell in now if cell.broken and any(each.segment.holds(cell.segment) for each in placed)]
    touched = {value for cell in failed for value in cell.segment.values}
    return Placement(tuple(placed), tuple(_cleared(rest, before, placed, usual, touched)))


@dataclass(frozen=True)
class _Count:
    settled: float = 0.0
    broken: float = 0.0

    @property
    def share(self) -> float:
        return self.broken / self.settled if self.settled else 0.0

    def __sub__(self, other: "_Count") -> "_Count":
        return _Count(self.settled - other.settled, self.broken - other.broken)

    def towards(self, share: float, weight: float) -> float:
        """Its share, drawn towards another with the weight of so many promises."""
        settled = self.settled + weight
        return (self.broken + weight * share) / settled if settled else share

    def evidence(self, share: float) -> float:
        """Nats by which its own share, if it is higher, explains it better than `share` does."""
        return self.settled * _divergence(self.share, share) if self.share > share else 0.0


_NOTHING = _Count()


def _preference(value: Value) -> tuple[bool, bool, Value]:
    """Of values that hold the same promises, the layer is what people mend, and the step only where it shows."""
    return value[0] != "layer", value[0] == "step", value


def _worst(cells: Sequence[Cell], before: Sequence[Cell]) -> FaultSegment | None:
    """The segment with the most evidence that was not as bad before; None when none has enough."""
    whole, usual = _total(cells), _total(before)
    segment, count, known, evidence = Segment(), whole, usual, 0.0
    inside, inside_before = list(cells), list(before)
    while len(segment.values) < VALUES_MAX:
        best: tuple[float, Value] | None = None
        counts, counts_before = _by_value(inside), _by_value(inside_before)
        at_steps = _by_value(_on_any_evening(inside))
        weight, weight_before = SMOOTHING * whole.settled, SMOOTHING * usual.settled
        for value in sorted(counts, key=_preference):
            candidate = counts[value]
            outside = (whole - candidate).towards(whole.share, weight)
            outside_before = (usual - counts_before.get(value, _NOTHING)).towards(usual.share, weight_before)
            gained = candidate.evidence(max(outside, outside_before, at_steps[value].share))
            if gained > evidence * (1 + 1e-9) and (best is None or gained > best[0]):
                best = (gained, value)
        if best is None:
            break
        evidence, value = best
        segment = Segment.of(dict((*segment.values, value)))
        count, known = counts[value], counts_before.get(value, _NOTHING)
        inside = [cell for cell in inside if value in cell.segment.values]
        inside_before = [cell for cell in inside_before if value in cell.segment.values]
    ordinary = known.towards(usual.share, SMOOTHING * usual.settled)
    if evidence < EVIDENCE_MIN or count.evidence(ordinary) < EVIDENCE_MIN:
        return None
    return FaultSegment(
        segment,
        count.settled,
        count.broken,
        outside=(whole - count).share,
        usual=known.share if known.settled else None,
        evidence=evidence,
    )


def _as_bad(further: FaultSegment, first: FaultSegment) -> bool:
    return (
        further.share >= FURTHER_SHARE_MIN * first.share
        and further.evidence >= FURTHER_EVIDENCE_MIN * first.evidence
        and _risen(further)
    )


def _further(found: FaultSegment) -> bool:
    return found.evidence >= CAUSE_EVIDENCE_MIN and _risen(found)


def _risen(found: FaultSegment) -> bool:
    return found.usual is None or found.share > ORDINARY_SLACK * found.usual


def with_alarmed(
    placement: Placement, alarmed: Iterable[Segment], now: Sequence[Cell], before: Sequence[Cell] = ()
) -> Placement:
    """With the alarmed segments of which more is broken than the placed ones and what is usual explain.

    What is broken alike everywhere stands out nowhere, and breaks promises all the same.
    """
    placed = list(placement.placed)
    for segment in alarmed:
        if not placed or len(placed) >= CAUSES_MAX or any(each.segment.holds(segment) for each in placed):
            continue
        rest = [cell for cell in now if not any(each.segment.holds(cell.segment) for each in placed)]
        count, known = _total(_inside(rest, segment)), _total(_inside(before, segment))
        usual = known.towards(_total(before).share, SMOOTHING * _total(before).settled)
        evidence = count.evidence(ORDINARY_SLACK * max(usual, SHARE_FLOOR))
        if evidence >= CAUSE_EVIDENCE_MIN:
            outside = (_total(rest) - count).share
            share = known.share if known.settled else None
            placed.append(FaultSegment(segment, count.settled, count.broken, outside, share, evidence))
    named = [each.segment for each in placed[len(placement.placed) :]]
    if not named:
        return placement
    failed = {
        value for segment in named for cell in _inside(now, segment) if cell.broken for value in cell.segment.values
    }
    cleared = tuple(each for each in placement.cleared if not failed & set(each.segment.values))
    return Placement(tuple(placed), cleared)


def _inside(cells: Iterable[Cell], segment: Segment) -> list[Cell]:
    return [cell for cell in cells if segment.holds(cell.segment)]


def _cleared(
    rest: Sequence[Cell], before: Sequence[Cell], placed: Sequence[FaultSegment], usual: float, touched: Set[Value]
) -> Iterator[ClearedValue]:
    """`touched`: the values of what was broken in the placed segments; nothing of that is cleared."""
    known = _by_value(before)
    named = touched | {value for each in placed for value in each.segment.values}
    fault = min(each.share for each in placed)  # the mildest shows least
    for value, count in sorted(_by_value(rest).items()):
        if value in named or not count.settled:
            continue
        own_usual = known[value].share if value in known else usual
        risen = count.evidence(ORDINARY_SLACK * max(own_usual, usual))
        # Would the fault have shown here? By so much is the count less likely if it were broken like the fault.
        against_fault = count.settled * _divergence(count.share, fault)
        shown = count.share < fault and against_fault > CLEARING_EVIDENCE_MIN
        if shown and risen < CLEARING_EVIDENCE_MIN:
            yield ClearedValue(Segment((value,)), count.settled, count.broken, own_usual)


def _by_value(cells: Iterable[Cell]) -> dict[Value, _Count]:
    """The counts of each value of each dimension."""
    sums: dict[Value, list[float]] = {}
    for cell in cells:
        for value in cell.segment.values:
            counted = sums.setdefault(value, [0.0, 0.0])
            counted[0] += cell.settled
            counted[1] += cell.broken
    return {value: _Count(*counted) for value, counted in sums.items()}


def _on_any_evening(cells: Iterable[Cell]) -> Iterator[Cell]:
    """As many promises, broken as they are at their steps where nothing is known yet."""
    for cell in cells:
        step = cell.segment.get("service"), cell.segment.get("step")
        yield Cell(cell.segment, cell.settled, cell.settled * ORDINARY_SHARES.get(step, 0.0))


def _total(cells: Sequence[Cell]) -> _Count:
    return _Count(sum(cell.settled for cell in cells), sum(cell.broken for cell in cells))


def _divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence of two shares, in nats."""
    q = min(max(q, 1e-9), 1 - 1e-9)
    return (p * log(p / q) if p > 0 else 0.0) + ((1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0)
