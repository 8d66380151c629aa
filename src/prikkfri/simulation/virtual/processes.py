"""Many runs on all cores: one run is one seed, and independent of every other."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_order(work: Callable[[int], T], seeds: Sequence[int], *, processes: int | None = None) -> Iterator[T]:
    """What `work` makes of each, in the order of the seeds. `work` is a function of a module."""
    count = min(processes or len(os.sched_getaffinity(0)), len(seeds))
    if count <= 1:
        yield from map(work, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_left_to_the_parent) as pool:
        try:
            yield from pool.map(work, seeds)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _left_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(50_000, 20, 100)  # a run makes many small things that refer to nothing
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """Whoever is killed leaves nobody working for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
