"""Many evenings, on all cores: one evening is one seed, and independent of every other."""

import gc
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from prikkfri.clock import Clock
from prikkfri.simulation.evenings.drawing import TABLE, Evening, Table, drawn
from prikkfri.simulation.evenings.judging import Judged, Result, judge, result
from prikkfri.simulation.evenings.running import WHOLE, Parts, run
from prikkfri.simulation.evenings.world import world


def evening(seed: int, parts: Parts = WHOLE, table: Table = TABLE) -> Judged:
    """One evening, from its seed to the judgement."""
    return played(drawn(seed, table), parts)


def played(plan: Evening, parts: Parts = WHOLE) -> Judged:
    happened = world(plan)
    told = run(happened, parts=parts)
    twin = run(world(plan, disturbed=False), parts=parts, disturbed=False) if plan.twin else None
    return judge(happened, told, twin=twin)


def judged(seeds: Sequence[int], *, processes: int | None = None) -> Iterator[Judged]:
    """In the order of the seeds."""
    count = min(processes or len(os.sched_getaffinity(0)), len(seeds))
    if count <= 1:
        yield from map(evening, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_left_to_the_parent) as pool:
        try:
            yield from pool.map(evening, seeds)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _left_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(50_000, 20, 100)  # an evening makes many small things that refer to nothing
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """Whoever is killed leaves nobody working for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def simulate(
    seed: int, evenings: int, *, clock: Clock, say: Callable[[Judged], None] = lambda judged: None
) -> tuple[Result, list[Judged]]:
    """Evenings `seed` to `seed + evenings - 1`; `say` hears of each."""
    began = clock.monotonic()
    found: list[Judged] = []
    for each in judged(range(seed, seed + evenings)):
        found.append(each)
        say(each)
    digest = hashlib.sha256("".join(each.digest for each in found).encode()).hexdigest()
    return result(found, seed=seed, seconds=clock.monotonic() - began, trace_digest=digest), found
