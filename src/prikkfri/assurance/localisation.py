"""Localisation: where the fault is, and what is cleared.

Theory of operation. A *cell* counts promises, settled and broken, of one combination of dimension values. For a segment
with n promises and share p, let q be the share of everything outside it, drawn towards the whole with the weight of
`SMOOTHING` of all promises, so that a handful of lucky promises outside proves nothing. The evidence that the fault is
inside is the log-likelihood ratio of "p inside" against "q inside, as outside" (a binomial scan statistic after
M. Kulldorff, Communications in Statistics 26, 1997):

    evidence = n * (p ln(p/q) + (1 - p) ln((1 - p)/(1 - q)))     where p > q, else 0

The scan takes the single value with the most evidence and goes down: a further value is added as long as the evidence
*grows*, which it does only when what is left behind is no worse than the rest. It then looks again without the
promises of that segment, and places a second and third only if they are broken as badly and were not so before.

*Cleared* is a value whose promises outside the placed segments are broken no more than usual, and were enough to have
shown the fault if it had been there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log

from prikkfri.assurance.segments import Segment, Value

SMOOTHING = 0.02
EVIDENCE_MIN = 8.0
"""Nats: a segment whose evidence is less is not placed; e**8 is three thousand to one."""
CLEARING_EVIDENCE_MIN = 4.0
"""Nats by which "usual" must beat "as broken as the placed segment" before a value is cleared."""
ORDINARY_SLACK = 1.5
"""Shares up to this times the usual one are ordinary."""
FURTHER_SHARE_MIN = 0.7
"""A second segment is broken nearly as badly as the first ..."""
FURTHER_EVIDENCE_MIN = 0.3
"""... and on at least this part of its evidence."""
VALUES_MAX = 3
SEGMENTS_MAX = 3


@dataclass(frozen=True)
class Cell:
    """Promises of one combination of dimension values."""

    segment: Segment
    settled: float
    broken: float


@dataclass(frozen=True)
class Placed:
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
class Cleared:
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
    placed: tuple[Placed, ...] = ()
    """The worst first; empty when no segment stands out."""
    cleared: tuple[Cleared, ...] = ()

    @property
    def several(self) -> bool:
        return len(self.placed) > 1


def place(now: Sequence[Cell], before: Sequence[Cell] = ()) -> Placement:
    """Where the fault is in the cells of `now`, compared with what was usual `before`."""
    usual = _total(before)
    placed: list[Placed] = []
    rest = list(now)
    while rest and len(placed) < SEGMENTS_MAX:
        found = _worst(rest, before)
        if found is None or found.evidence < EVIDENCE_MIN or (placed and not _as_bad(found, placed[0])):
            break
        placed.append(found)
        rest = [cell for cell in rest if not found.segment.holds(cell.segment)]
    if not placed:
        return Placement()
    usual_share = usual[1] / usual[0] if usual[0] else min(each.outside for each in placed)
    return Placement(tuple(placed), tuple(_cleared(rest, before, placed, usual_share)))


def _worst(cells: Sequence[Cell], before: Sequence[Cell]) -> Placed | None:
    settled, broken = _total(cells)
    segment, inside, evidence = Segment(), list(cells), 0.0
    totals = (settled, broken)
    while len(segment.values) < VALUES_MAX:
        best: tuple[float, Value, tuple[float, float]] | None = None
        for value, counted in _by_value(inside, segment).items():
            gained = _evidence(counted, (settled, broken))
            if gained > evidence * (1 + 1e-9) and (best is None or gained > best[0]):
                best = (gained, value, counted)
        if best is None:
            break
        evidence, value, totals = best
        segment = Segment.of(dict((*segment.values, value)))
        inside = [cell for cell in inside if value in cell.segment.values]
    if not segment.values:
        return None
    outside = (broken - totals[1]) / (settled - totals[0]) if settled > totals[0] else 0.0
    known = _total(cell for cell in before if segment.holds(cell.segment))
    usual = known[1] / known[0] if known[0] else None
    return Placed(segment, *totals, outside=outside, usual=usual, evidence=evidence)


def _as_bad(further: Placed, first: Placed) -> bool:
    return (
        further.share >= FURTHER_SHARE_MIN * first.share
        and further.evidence >= FURTHER_EVIDENCE_MIN * first.evidence
        and (further.usual is None or further.share > ORDINARY_SLACK * further.usual)
    )


def _cleared(
    rest: Sequence[Cell], before: Sequence[Cell], placed: Sequence[Placed], usual_share: float
) -> Iterator[Cleared]:
    known = _by_value(before, Segment())
    named = {value for each in placed for value in each.segment.values}
    fault = max(each.share for each in placed)
    for value, (settled, broken) in sorted(_by_value(rest, Segment()).items()):
        if value in named or settled <= 0:
            continue
        past = known.get(value, (0.0, 0.0))
        usual = past[1] / past[0] if past[0] else usual_share
        ordinary = ORDINARY_SLACK * max(usual, usual_share)
        # Would the fault have shown here? How much less likely is this count if the value were broken like the fault.
        against_fault = settled * _divergence(broken / settled, fault) if broken / settled < fault else 0.0
        risen = settled * _divergence(broken / settled, ordinary) if broken / settled > ordinary else 0.0
        if against_fault >= CLEARING_EVIDENCE_MIN and risen < CLEARING_EVIDENCE_MIN:
            yield Cleared(Segment((value,)), settled, broken, usual)


def _by_value(cells: Iterable[Cell], segment: Segment) -> dict[Value, tuple[float, float]]:
    """Settled and broken by each value of the dimensions that `segment` does not name."""
    named = {name for name, _ in segment.values}
    counts: dict[Value, tuple[float, float]] = {}
    for cell in cells:
        for value in cell.segment.values:
            if value[0] not in named:
                settled, broken = counts.get(value, (0.0, 0.0))
                counts[value] = (settled + cell.settled, broken + cell.broken)
    return counts


def _total(cells: Iterable[Cell]) -> tuple[float, float]:
    settled = broken = 0.0
    for cell in cells:
        settled, broken = settled + cell.settled, broken + cell.broken
    return settled, broken


def _evidence(inside: tuple[float, float], whole: tuple[float, float]) -> float:
    if inside[0] <= 0:
        return 0.0
    weight = SMOOTHING * whole[0]
    outside = (whole[1] - inside[1] + weight * whole[1] / whole[0]) / (whole[0] - inside[0] + weight)
    share = inside[1] / inside[0]
    return inside[0] * _divergence(share, outside) if share > outside else 0.0


def _divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence of two shares, in nats."""
    q = min(max(q, 1e-9), 1 - 1e-9)
    return (p * log(p / q) if p > 0 else 0.0) + ((1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0)
