"""The hash threads and the line before them: nobody is hashed who has left.

Whoever waits is a future. When its task is cancelled, because the client has gone, the future is cancelled at once:
it counts no more towards the line and no thread takes it up.
"""

import asyncio
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from prikkfri.clock import Clock
from prikkfri.signin import admission
from prikkfri.signin.admission import Load

T = TypeVar("T")

NICENESS = 5
"""Hashing yields to the loop that refuses, and to the playout on the same machine: who is in stays in."""


@dataclass(frozen=True, slots=True)
class Overload:
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class HashResult(Generic[T]):
    result: T


@dataclass
class Counters:
    hashes: int = 0
    hash_seconds: float = 0.0
    refused: int = 0
    left: int = 0


class HashPool:
    def __init__(self, *, threads: int, queue_seconds_max: float, waiting_room: bool, clock: Clock) -> None:
        """`threads`: 0 for as many as there are cores."""
        self.counters = Counters()
        self._threads = threads or len(os.sched_getaffinity(0))
        self._clock = clock
        self._queue_seconds_max = queue_seconds_max
        self._waiting_room = waiting_room
        self._hash_s = 0.05
        self._patience = admission.patience_of(queue_seconds_max)
        self._running = 0
        self._with_pass: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._without: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._started: dict[asyncio.Future[Any], float] = {}
        self._last = deque([0.0, 0.0], maxlen=2)
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="hash", initializer=_yield_to_others)

    @property
    def load(self) -> Load:
        return Load(self._threads, self._hash_s, self._running, len(self._with_pass), len(self._without))

    def wait_s(self) -> float:
        """How long somebody who comes now with a pass will wait, if hashes take as long as the last ones have.

        The mean follows slowly when a machine becomes slow at once. The last two count whole, the shorter of them, so
        that one pause is none; and so does the one that is under way, when it is longer already.
        """
        under_way_s = self._clock.monotonic() - min(self._started.values()) if self._started else 0.0
        load = self.load
        return replace(load, hash_s=max(load.hash_s, under_way_s, min(self._last))).wait_s(with_pass=True)

    def refusal(self, *, with_pass: bool) -> Overload | None:
        """What `run` would say now, before any other work is done for the client."""
        retry_after_s = admission.retry_after(
            self.load, self._patience, self._clock.monotonic(), with_pass=with_pass, waiting_room=self._waiting_room
        )
        if retry_after_s is None:
            return None
        self.counters.refused += 1
        return Overload(retry_after_s)

    async def run(self, work: Callable[[], T], *, with_pass: bool = False) -> HashResult[T] | Overload:
        """Waits for a thread and runs `work` (one hash) there; a refusal comes at once, or when the wait got too long.

        Cancelled while it waits, it is never hashed.
        """
        if refusal := self.refusal(with_pass=with_pass):
            return refusal
        came = self._clock.monotonic()
        try:
            if not await self._turn(self._with_pass if with_pass else self._without):
                self.counters.refused += 1
                return Overload(self.load.wait_s(with_pass=with_pass))
            running = asyncio.get_running_loop().run_in_executor(self._executor, self._timed, work)
            self._started[running] = self._clock.monotonic()
            running.add_done_callback(self._done)
            result, _ = await asyncio.shield(running)
        except asyncio.CancelledError:
            now = self._clock.monotonic()
            self._patience = admission.left(self._patience, now - came, now)
            self.counters.left += 1
            raise
        return HashResult(result)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _turn(self, lane: OrderedDict[asyncio.Future[None], None]) -> bool:
        """Waits in a lane; True: a thread is ours, False: those with a pass kept coming for too long."""
        turn = asyncio.get_running_loop().create_future()
        lane[turn] = None
        self._call_next()
        try:
            async with asyncio.timeout(2 * self._queue_seconds_max):
                await turn
        except BaseException as reason:
            lane.pop(turn, None)
            if turn.done() and not turn.cancelled():
                self._running -= 1  # called and left in the same moment: the thread goes to the next
                self._call_next()
            if isinstance(reason, TimeoutError):
                return False
            raise
        return True

    def _call_next(self) -> None:
        while self._running < self._threads and (lane := self._with_pass or self._without):
            turn, _ = lane.popitem(last=False)
            if not turn.cancelled():
                self._running += 1
                turn.set_result(None)

    def _done(self, running: "asyncio.Future[tuple[T, float]]") -> None:
        self._running -= 1
        del self._started[running]
        if not running.cancelled() and not running.exception():
            _, seconds = running.result()
            self._hash_s = admission.measured(self._hash_s, seconds)
            self._last.append(seconds)
            self.counters.hashes += 1
            self.counters.hash_seconds += seconds
        self._call_next()

    def _timed(self, work: Callable[[], T]) -> tuple[T, float]:
        started = self._clock.monotonic()
        result = work()
        return result, self._clock.monotonic() - started


def _yield_to_others() -> None:
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
