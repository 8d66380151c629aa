"""A mapping whose entries run out, each at its own time: those that do are found without looking at those that do not.

Entries lie in seconds by their end, the seconds in a heap. An entry that is taken out leaves its second at once, so
that what is settled long before it would have run out costs nothing later, however long nothing may run out.
"""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import islice
from math import floor
from typing import Generic, TypeVar, overload

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class ExpiryMap(Mapping[K, V], Generic[K, V]):
    """Its entries stand in the order in which they were first put in; one owner changes it."""

    def __init__(self) -> None:
        self._entries: dict[K, tuple[V, float]] = {}
        self._ending_in: dict[int, dict[K, None]] = {}
        self._seconds: list[int] = []
        """A heap. A second in which nothing ends any more may stand in it."""

    def __getitem__(self, key: K) -> V:
        return self._entries[key][0]

    @overload
    def get(self, key: K, /) -> V | None: ...

    @overload
    def get(self, key: K, /, default: V | T) -> V | T: ...

    def get(self, key: K, /, default: object = None) -> object:
        """As of any mapping, without raising and catching: most of what is asked for is not there."""
        known = self._entries.get(key)
        return default if known is None else known[0]

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, value: V, end: float) -> None:
        """In place of what was there; it runs out when it is `end`."""
        if (known := self._entries.get(key)) is not None:
            self._leave_second(key, known[1])
        self._entries[key] = (value, end)
        second = floor(end)
        if (ending := self._ending_in.get(second)) is None:
            ending = self._ending_in[second] = {}
            heappush(self._seconds, second)
        ending[key] = None

    def take(self, key: K) -> V | None:
        """Takes an entry out; None when there is none."""
        if (known := self._entries.pop(key, None)) is None:
            return None
        self._leave_second(key, known[1])
        return known[0]

    def run_out(self, now: float) -> list[tuple[K, V]]:
        """Takes out what has run out by `now`."""
        over: list[tuple[K, V]] = []
        while self._seconds and self._seconds[0] <= now:
            ending = self._ending_in.get(self._seconds[0], {})
            ended = [key for key in ending if self._entries[key][1] <= now]
            over += ((key, self._entries[key][0]) for key in ended)
            for key in ended:
                self.take(key)
            if ending:
                break  # the second that runs
            heappop(self._seconds)
        return over

    def oldest(self, most: int) -> list[tuple[K, V]]:
        """Takes out as many of those that stand first."""
        found = [(key, self._entries[key][0]) for key in islice(self._entries, max(most, 0))]
        for key, _ in found:
            self.take(key)
        return found

    def _leave_second(self, key: K, end: float) -> None:
        ending = self._ending_in[floor(end)]
        del ending[key]
        if not ending:
            del self._ending_in[floor(end)]
