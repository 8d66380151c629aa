"""Many evenings, on all cores: one evening is one seed, and independent of every other."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

from prikkfri.clock import Clock
from prikkfri.simulation.evenings.drawing import TABLE, Evening, Table, draw
from prikkfri.simulation.evenings.judging import Judgement, Result, judge, result
from prikkfri.simulation.evenings.running import WHOLE, Parts, run
from prikkfri.simulation.evenings.world import world
from prikkfri.simulation.virtual.processes import in_order


def evening(seed: int, parts: Parts = WHOLE, table: Table = TABLE) -> Judgement:
    """One evening, from its seed to the judgement."""
    return played(draw(seed, table), parts)


def played(plan: Evening, parts: Parts = WHOLE) -> Judgement:
    happened = world(plan)
    told = run(happened, parts=parts)
    twin = run(world(plan, disturbed=False), parts=parts, disturbed=False) if plan.twin else None
    return judge(happened, told, twin=twin)


def judged(seeds: Sequence[int], *, processes: int | None = None) -> Iterator[Judgement]:
    """In the order of the seeds."""
    return in_order(evening, seeds, processes=processes)


def simulate(
    seed: int, evenings: int, *, clock: Clock, say: Callable[[Judgement], None] = lambda judged: None
) -> tuple[Result, list[Judgement]]:
    """Evenings `seed` to `seed + evenings - 1`; `say` hears of each."""
    began = clock.monotonic()
    found: list[Judgement] = []
    for each in judged(range(seed, seed + evenings)):
        found.append(each)
        say(each)
    digest = hashlib.sha256("".join(each.digest for each in found).encode()).hexdigest()
    return result(found, seed=seed, seconds=clock.monotonic() - began, trace_digest=digest), found
