"""Whom to wake when their turn has come: their questions are held back until then, which saves a way to and fro."""

from bisect import bisect_left, insort
from collections.abc import Callable
from itertools import count


class TurnCalls:
    """By position. Steps are as many as are called."""

    def __init__(self) -> None:
        self._positions: list[tuple[float, int]] = []
        self._calls: dict[tuple[float, int], Callable[[], None]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._positions)

    def add(self, position: float, call: Callable[[], None]) -> tuple[float, int]:
        """What to discard it by."""
        entry = (position, next(self._numbers))
        insort(self._positions, entry)
        self._calls[entry] = call
        return entry

    def discard(self, entry: tuple[float, int]) -> None:
        if self._calls.pop(entry, None) is not None:
            del self._positions[bisect_left(self._positions, entry)]

    def call(self, below: float) -> None:
        """Those whose positions lie below it, each once, in their order."""
        called = bisect_left(self._positions, (below, -1))
        entries = self._positions[:called]
        del self._positions[:called]
        for entry in entries:
            self._calls.pop(entry)()
