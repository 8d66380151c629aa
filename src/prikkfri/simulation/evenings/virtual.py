"""Virtual time: a loop on which waiting costs nothing, and what would run in another thread runs at once.

The real shells run on it as they are. Nothing here waits for the world outside, so that a run is the same every time.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class _Leap(selectors.SelectSelector):
    """Where the loop would wait, time leaps."""

    leap: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for something that nobody will bring")
        if timeout > 0:
            self.leap(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is virtual; `clock` tells it to others."""

    def __init__(self, begins: float) -> None:
        self._virtual_seconds = 0.0
        selector = _Leap()
        selector.leap = self._leap
        super().__init__(selector)
        self.clock = VirtualClock(self, begins)

    def _leap(self, seconds: float) -> None:
        self._virtual_seconds += seconds

    def time(self) -> float:
        return self._virtual_seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class VirtualClock:
    """The time of a virtual loop, as seconds since 1970."""

    def __init__(self, loop: VirtualLoop, begins: float) -> None:
        self._loop = loop
        self._begins = begins

    def now(self) -> float:
        return self._begins + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()
