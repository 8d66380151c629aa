"""The hash threads and the line before them: nobody is hashed who has left.

Whoever waits is a turn. When its task is cancelled, because the client has gone, the turn leaves the line at once: it
counts no more and no thread takes it up. A thread is handed its next turn in the moment in which the last one's end is
known, before anybody's answer is made of that; and turns go to threads and back by one queue and one call, since an
executor's futures cost more than all else that is done here.
"""

import asyncio
import os
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
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


class _Turn:
    """Of one who waits for a thread, or is being hashed."""

    __slots__ = ("ended", "timer", "work")

    def __init__(self, work: Callable[[], Any], ended: "asyncio.Future[HashResult[Any] | None]") -> None:
        self.work = work
        self.ended = ended
        """With None when it waited for too long."""
        self.timer: asyncio.TimerHandle | None = None


_Lane = OrderedDict[_Turn, None]


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
        self._with_pass: _Lane = OrderedDict()
        self._without: _Lane = OrderedDict()
        self._started: dict[_Turn, float] = {}
        self._last = deque([0.0, 0.0], maxlen=2)
        self._called: SimpleQueue[_Turn | None] = SimpleQueue()
        self._hashing: list[threading.Thread] = []

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
        loop = asyncio.get_running_loop()
        turn, lane = _Turn(work, loop.create_future()), self._with_pass if with_pass else self._without
        lane[turn] = None
        self._call_next()
        if turn not in self._started:  # those with a pass may keep coming
            turn.timer = loop.call_later(2 * self._queue_seconds_max, self._waited_too_long, turn, lane)
        try:
            ended = await turn.ended
        except asyncio.CancelledError:
            lane.pop(turn, None)
            self._stop_timer(turn)
            now = self._clock.monotonic()
            self._patience = admission.left(self._patience, now - came, now)
            self.counters.left += 1
            raise
        if ended is None:
            self.counters.refused += 1
            return Overload(self.load.wait_s(with_pass=with_pass))
        return ended

    def close(self) -> None:
        """Waits for the hashes that are under way; nobody else is called."""
        self._with_pass.clear()
        self._without.clear()
        for _ in self._hashing:
            self._called.put(None)
        for thread in self._hashing:
            thread.join()
        self._hashing.clear()

    def _call_next(self) -> None:
        while self._running < self._threads and (lane := self._with_pass or self._without):
            turn, _ = lane.popitem(last=False)
            self._stop_timer(turn)
            if turn.ended.done():  # its task is cancelled, and does not know yet
                continue
            self._running += 1
            self._started[turn] = self._clock.monotonic()
            if len(self._hashing) < self._running:
                self._hashing.append(threading.Thread(target=self._hash, name="hash", daemon=True))
                self._hashing[-1].start()
            self._called.put(turn)

    def _waited_too_long(self, turn: _Turn, lane: _Lane) -> None:
        del lane[turn]
        if not turn.ended.done():
            turn.ended.set_result(None)

    @staticmethod
    def _stop_timer(turn: _Turn) -> None:
        if turn.timer is not None:
            turn.timer.cancel()
            turn.timer = None

    def _hash(self) -> None:
        """A hash thread's life."""
        _yield_to_others()
        while (turn := self._called.get()) is not None:
            result: Any = None
            failed: BaseException | None = None
            started = self._clock.monotonic()
            try:
                result = turn.work()
            except BaseException as error:  # whoever waits is told, and the thread goes on
                failed = error
            seconds = self._clock.monotonic() - started
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                turn.ended.get_loop().call_soon_threadsafe(self._done, turn, result, failed, seconds)

    def _done(self, turn: _Turn, result: object, failed: BaseException | None, seconds: float) -> None:
        self._running -= 1
        del self._started[turn]
        if failed is None:
            self._hash_s = admission.measured(self._hash_s, seconds)
            self._last.append(seconds)
            self.counters.hashes += 1
            self.counters.hash_seconds += seconds
        self._call_next()
        if turn.ended.done():  # they have left
            return
        if failed is None:
            turn.ended.set_result(HashResult(result))
        else:
            turn.ended.set_exception(failed)


def _yield_to_others() -> None:
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
