"""Virtual time: a loop on which waiting costs nothing, and what would run in another thread runs at once.

The real shells run on it as they are. Nothing here waits for the world outside, so that a run is the same every time.
`DrawnLoop` draws what is chance elsewhere: which task of those that are ready goes first, and how long a thread takes.
"""

import asyncio
import contextvars
import heapq
import random
from asyncio import events
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import cache
from typing import Any

from prikkfri.clock import LoopWaits


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is virtual; `clock` tells it to others."""

    def __init__(self, begins: float) -> None:
        self._virtual_seconds = 0.0
        super().__init__()
        self.clock = VirtualClock(self, begins)

    def time(self) -> float:
        return self._virtual_seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        _run(future, function, arguments)
        return future

    def _run_once(self) -> None:
        """The loop's own, without a look at the world outside: time leaps to the next call when none is ready."""
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not scheduled:
                raise RuntimeError("everybody waits for something that nobody will bring")
            self._virtual_seconds += max(0.0, scheduled[0]._when - self._virtual_seconds)
        until = self._virtual_seconds + self._clock_resolution  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._when < until:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It goes when its time comes."""


class VirtualClock(LoopWaits):
    """The time of a virtual loop, as seconds since 1970."""

    def __init__(self, loop: VirtualLoop, begins: float) -> None:
        self._loop = loop
        self._begins = begins

    def now(self) -> float:
        return self._begins + self._loop._virtual_seconds

    def monotonic(self) -> float:
        return self._loop._virtual_seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the clock: the time of day jumps, durations do not."""
        self._begins += seconds


class NeverEnds(Exception):
    """A world that goes on and on."""


class Life:
    """A process of the world: what was begun in it, and whatever that begins, ends with it in the midst of anything."""

    def __init__(self, loop: "DrawnLoop", name: str) -> None:
        self.name = name
        self.dead = False
        self.steps = 0
        """What it has done so far: calls that the loop made for it."""
        self.ends_at_step = 0
        """The one that it does not come to; 0: it goes on."""
        self.ended: Callable[[], None] = lambda: None
        """Called when it has been killed."""
        self._loop = loop
        self._context = contextvars.copy_context()
        self._context.run(_LIFE.set, self)
        self.first: asyncio.Task[Any]
        """What was begun first."""
        self._remains: list[object] = []

    def task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work, context=self._context)
        if not self._remains:
            self.first = task
        self._remains.append(task)
        return task

    def kill(self) -> None:
        """Nothing of it happens any more: no answer, no cleaning up, no `finally`."""
        if self.dead:
            return
        self.dead = True
        # What hung on it is kept: a task that the collector takes would clean up after itself.
        self._remains += asyncio.all_tasks(self._loop)
        self._loop.forget(self)
        self.ended()


class _Numbered(asyncio.Task[Any]):
    """Sets of tasks, as a group of them has one, are gone through in an order of their own, not of their addresses."""

    def __init__(self, work: Any, number: int, **known: Any) -> None:
        self._number = number
        super().__init__(work, **known)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


_LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


def life_of(context: contextvars.Context | None) -> Life | None:
    """Whose it is; without a context, who calls."""
    return _LIFE.get() if context is None else context.get(_LIFE)


class _Handle(events.Handle):
    """The loop's own, made in one step."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., Any], args: Any, loop: "DrawnLoop", context: contextvars.Context | None
    ) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback, self._args = callback, args
        self._cancelled = False
        self._repr = self._source_traceback = None

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None  # type: ignore[assignment]


class _Timer(_Handle, events.TimerHandle):
    __slots__ = ()

    def __init__(
        self, when: float, callback: Callable[..., Any], args: Any, loop: "DrawnLoop",
        context: contextvars.Context | None,
    ) -> None:  # fmt: skip
        super().__init__(callback, args, loop, context)
        self._when = when
        self._scheduled = False


class DrawnLoop(VirtualLoop):
    """The same for the same seed: of the tasks that are ready any may be first, and a thread takes its time."""

    def __init__(self, begins: float, chance: random.Random, *, calls_max: int = 0) -> None:
        """Raises `NeverEnds` when it has made so many calls; 0: however many."""
        super().__init__(begins)
        self._chance = chance
        self._calls, self._calls_max = 0, calls_max
        self._timers: list[tuple[float, _Timer]] = []
        """A heap."""
        self.thread_seconds: Callable[[], float] = lambda: 0.0
        """How long the next work of a thread takes."""
        self._tasks_begun = 0
        self.set_task_factory(self._numbered)
        self.set_exception_handler(self._unexpected)
        self.unexpected: list[str] = []
        """What failed, and nobody waited for."""

    def _numbered(
        self, loop: asyncio.AbstractEventLoop, work: Any, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:
        self._tasks_begun += 1
        return _Numbered(work, self._tasks_begun, loop=loop, context=context)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        life = _LIFE.get() if context is None else context.get(_LIFE)
        if life is not None:
            life.steps += 1
            if life.steps == life.ends_at_step:
                life.kill()
            if life.dead:
                return _nothing(self)
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        life = _LIFE.get() if context is None else context.get(_LIFE)
        if life is not None and life.dead:
            return _never(self, when)
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._virtual_seconds + delay, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        self.call_later(self.thread_seconds(), _run, future, function, arguments)
        return future

    def _run_once(self) -> None:
        """The loop's own, without a look at the world outside: time leaps to the next call when none is ready."""
        ready, timers = self._ready, self._timers  # type: ignore[attr-defined]
        while timers and timers[0][1]._cancelled:
            heapq.heappop(timers)
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                raise RuntimeError("everybody waits for something that nobody will bring")
            self._virtual_seconds = max(self._virtual_seconds, timers[0][0])
        now = self._virtual_seconds
        while timers and timers[0][0] <= now:
            ready.append(heapq.heappop(timers)[1])
        calls = len(ready)
        if calls > 1:
            self._shuffle(ready)
        self._calls += calls
        if self._calls_max and self._calls > self._calls_max:
            raise NeverEnds(f"after {self._calls} calls and {self._virtual_seconds:.0f} s it goes on still")
        for _ in range(calls):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.call_exception_handler({"message": "a callback failed", "exception": error})

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It goes when its time comes."""

    def _shuffle(self, ready: Any) -> None:
        """Any order of tasks is as good as another; what one connection or future calls, it calls in its order."""
        places = [place for place, handle in enumerate(ready) if _is_of_a_task(handle._callback.__class__)]
        if len(places) < 2:
            return
        handles = [ready[place] for place in places]
        self._chance.shuffle(handles)
        for place, handle in zip(places, handles, strict=True):
            ready[place] = handle

    def forget(self, life: Life) -> None:
        """What waits to be called for a life is never called."""
        for handle in (*self._ready, *(timer for _, timer in self._timers)):  # type: ignore[attr-defined]
            if handle._context is not None and life_of(handle._context) is life:
                handle.cancel()

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None:
            return  # a task that the collector took: of the dead, or of a world that has ended
        self.unexpected.append(f"{context['message']}: {error!r}")


@cache
def _is_of_a_task(kind: type) -> bool:
    """Whether such a callback goes on with a task."""
    return kind.__name__ in ("TaskStepMethWrapper", "TaskWakeupMethWrapper")


def _run(future: asyncio.Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        result = function(*arguments)
    except Exception as error:
        if not future.done():
            future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)


def _nothing(loop: asyncio.AbstractEventLoop) -> asyncio.Handle:
    handle = events.Handle(lambda: None, (), loop)
    handle.cancel()
    return handle


def _never(loop: asyncio.AbstractEventLoop, when: float) -> asyncio.TimerHandle:
    handle = events.TimerHandle(when, lambda: None, (), loop)
    handle._scheduled = False  # type: ignore[attr-defined]
    handle._cancelled = True
    return handle
