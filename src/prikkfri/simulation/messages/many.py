"""Many worlds, on all cores, and what they come to."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from prikkfri.clock import Clock
from prikkfri.simulation.messages.drawing import TABLE, Table, draw
from prikkfri.simulation.messages.oracle import Figures, judge
from prikkfri.simulation.messages.running import WHOLE, Parts, run
from prikkfri.simulation.virtual.processes import in_order


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One world."""

    seed: int
    events: int
    """Messages that were handed in, or would have been."""
    figures: Figures
    faults: Mapping[str, int]
    """How often each kind happened."""
    findings: tuple[str, ...]
    """What is wrong, in words; empty: nothing."""
    digest: str


def judged(seed: int, table: Table = TABLE, parts: Parts = WHOLE) -> Judgement:
    """One world, from its seed to the judgement."""
    world = draw(seed, table)
    book, told = run(world, parts)
    figures, wrong = judge(book, told.rows)
    if told.unsettled:
        wrong.append(f"did not settle: {told.unsettled}")
    wrong += [f"nobody waited for it: {each}" for each in told.unexpected]
    return Judgement(
        seed=seed, events=len(world.written), figures=figures, faults=told.faults, findings=tuple(wrong),
        digest=told.digest,
    )  # fmt: skip


def worlds(seed: int, events: int) -> range:
    """The seeds of as many worlds as hand in so many messages."""
    return range(seed, seed + max(1, -(-events // TABLE.messages)))


def each_of(seeds: Sequence[int], *, processes: int | None = None) -> Iterator[Judgement]:
    return in_order(judged, seeds, processes=processes)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The keys of the JSON document."""

    seed: int
    events: int
    accepted: int
    delivered: int
    failed_openly: int
    cancelled: int
    in_doubt: int
    quarantined: int
    handed_over: int
    waiting: int
    restored: int
    lost: int
    misdelivered: int
    out_of_order: int
    duplicated_sensitive: int
    duplicated_ordinary_unlisted: int
    faults: Mapping[str, int]
    seconds: float
    trace_digest: str

    @property
    def adds_up(self) -> bool:
        """Whether all that was accepted is somewhere."""
        return self.accepted == (
            self.delivered + self.failed_openly + self.cancelled + self.in_doubt + self.quarantined + self.handed_over
            + self.waiting + self.restored
        )  # fmt: skip

    @property
    def holds(self) -> bool:
        """Nothing lost, nothing to a stranger, nothing out of order, nothing twice but what is told."""
        wrong = (
            self.lost, self.misdelivered, self.out_of_order, self.duplicated_sensitive,
            self.duplicated_ordinary_unlisted,
        )  # fmt: skip
        return self.adds_up and not any(wrong)

    @property
    def bound(self) -> float:
        """Nothing to a stranger in so many leaves at most this share of them to be so, at 95 % (the rule of three)."""
        return 3 / self.accepted if self.accepted else 1.0


def result(found: Sequence[Judgement], *, seed: int, seconds: float) -> Result:
    total = sum((each.figures for each in found), Figures())
    faults: Counter[str] = Counter()
    for each in found:
        faults.update(each.faults)
    digest = hashlib.sha256("".join(each.digest for each in found).encode()).hexdigest()
    return Result(
        seed=seed, events=sum(each.events for each in found), **asdict(total), faults=dict(sorted(faults.items())),
        seconds=round(seconds, 1), trace_digest=digest,
    )  # fmt: skip


def simulate(
    seed: int, events: int, *, clock: Clock, say: Callable[[Judgement], None] = lambda judged: None
) -> tuple[Result, list[Judgement]]:
    """Worlds from `seed` on, until so many messages have been handed in; `say` hears of each."""
    began = clock.monotonic()
    found: list[Judgement] = []
    for each in each_of(worlds(seed, events)):
        found.append(each)
        say(each)
    return result(found, seed=seed, seconds=clock.monotonic() - began), found
