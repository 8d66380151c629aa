"""Time as an argument: decisions take `now`; only the shell holds a clock, and waits by it."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio  # each method loads it: commands that only tell the time start without it


class Clock(Protocol):
    def now(self) -> float:
        """Wall-clock time: seconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards, from an arbitrary start: for durations."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def timeout(self, seconds: float | None) -> "asyncio.Timeout":
        """`async with` it: TimeoutError in whoever is inside for longer; None is without limit."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> "asyncio.TimerHandle": ...


class LoopWaits:
    """What waits, waits by the running loop: in real seconds on a real one, in virtual seconds on a virtual one."""

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> "asyncio.Timeout":
        import asyncio

        return asyncio.timeout(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> "asyncio.TimerHandle":
        import asyncio

        return asyncio.get_running_loop().call_later(seconds, callback)


class SystemClock(LoopWaits):
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


SYSTEM_CLOCK = SystemClock()


class ManualClock(LoopWaits):
    """A clock that moves only when told to. Whoever sleeps by it sleeps by the loop."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += seconds


BEHIND_SECONDS_MAX = 3_600.0
"""A clock that is put back by more was wrong before: what it said then is nothing to hold to."""
START_SECONDS_MIN = 0.1


class SteadyClock:
    """Another clock that is not put back: while that is behind what was told, time goes by at half its pace.

    So what is kept in the order of time keeps it, and what was due stays due; until then all lasts up to twice as long.
    What goes forth goes forth at once.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told = self._at = 0.0

    def now(self) -> float:
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        if self._told - BEHIND_SECONDS_MAX <= wall < self._told:
            wall = max(wall, self._told + (monotonic - self._at) / 2)
        self._told, self._at = wall, monotonic
        return wall

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def timeout(self, seconds: float | None) -> "asyncio.Timeout":
        return self._clock.timeout(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> "asyncio.TimerHandle":
        return self._clock.call_later(seconds, callback)

    def goes_on_from(self, moment: float) -> None:
        """What was told before this process: seconds since 1970 UTC. What is less ahead than a start takes is none."""
        if moment > self._clock.now() + START_SECONDS_MIN:
            self._told, self._at = max(self._told, moment), self._clock.monotonic()
