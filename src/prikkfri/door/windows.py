"""The crowd as windows of people who came at the same time: how many stand in each, and not who.

A window lasts `WINDOW_SECONDS`, or until a quarter of a second's capacity has come: inside it a keyed lottery decides,
so that a faster line gains nothing, and nobody is drawn behind somebody who came noticeably later. A position is the
number of a window and the lot in it; numbers follow the clock, so that none is used twice after a crash.
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

WINDOW_SECONDS = 0.25
NUMBERS_PER_SECOND = 64
"""More windows than so many in a second run ahead of the clock."""
LOTTERY_SECONDS = 0.25
"""Of capacity, at most, that one window holds."""
NEWCOMER_SECONDS = 2.0
"""Whoever has not come back after so long is not counted any more."""


class Windows:
    """Open windows, oldest first. Steps are as long as there are windows: at most four for a second of arrivals, and
    four for a second of capacity."""

    def __init__(self, front: float) -> None:
        self.front = front
        """Positions below it are called."""
        self.back = 0.0
        """Who waits and has come back for their place, as of the last step."""
        self._numbers: list[int] = []
        self._joined: list[int] = []
        self._back: list[int] = []
        """Of those who joined, who has come back for their place."""
        self._opened_at = -1e18
        self._known_until = -1
        """The last window that was known before a crash."""
        self._young = 0
        """Where the windows begin whose people need not have come back yet, as of the last step."""
        self._before: list[float] = [0.0]
        """How many stand before each window, by the count of the last step."""

    @property
    def waiting(self) -> float:
        """Behind the front, as of the last step."""
        return max(0.0, self._before[-1] - self._passed())

    @property
    def number_of_windows(self) -> int:
        return len(self._numbers)

    def joined(self, lot: float, now: float, capacity_per_second: float, *, least: float = 0.0) -> float:
        """One more; their position, which is not below `least`."""
        closed = not self._numbers or self._is_closed(now, LOTTERY_SECONDS * capacity_per_second)
        if closed or self._numbers[-1] < least:
            self._open(max(self._next(), int(now * NUMBERS_PER_SECOND), int(least)), now)
        self._joined[-1] += 1
        self._before[-1] += 1
        return self._numbers[-1] + lot

    def joined_at(self, position: float, now: float) -> None:
        """One more, whose position was drawn; counted with the next step."""
        self._joined[self._window(int(position), now)] += 1

    def came_back(self, position: float, now: float) -> None:
        """Somebody is back for their place; a position that a crash has made us forget is known from then on."""
        number = int(position)
        at = bisect_right(self._numbers, number) - 1
        if position >= self.front or (at >= 0 and self._numbers[at] == number):
            at = self._window(number, now)
            self._back[at] += 1
            self._joined[at] = max(self._joined[at], self._back[at])

    def came_back_before(self, position: float, now: float) -> None:
        """Somebody who had come back before a crash, and may not be counted in what is known from then: whoever is
        missing among those who joined is, and whoever stands behind all that is known."""
        number = int(position)
        at = bisect_right(self._numbers, number) - 1
        if number > self._known_until:
            self.came_back(position, now)
        elif at >= 0 and self._numbers[at] == number and self._back[at] < self._joined[at]:
            self._back[at] += 1

    def counted(self, now: float) -> None:
        """Counts anew, and forgets the windows that the front has passed."""
        passed = bisect_right(self._numbers, self.front - 1)
        if passed:
            for column in (self._numbers, self._joined, self._back):
                del column[:passed]
        self._young = young = bisect_right(self._numbers, (now - NEWCOMER_SECONDS) * NUMBERS_PER_SECOND)
        counts = self._back[:young] + self._joined[young:]
        self._before = list(accumulate(counts, initial=0.0))
        self.back = max(0.0, sum(self._back) - self._passed())

    def ahead(self, position: float) -> float:
        """How many stand between the front and a position."""
        return max(0.0, self._rank(position) - self._passed())

    def at(self, people: float) -> float:
        """The position that has so many people between it and the front; endless: fewer than that wait."""
        rank = self._passed() + people
        if rank >= self._before[-1]:
            return float("inf")
        window = bisect_right(self._before, rank) - 1
        inside = (rank - self._before[window]) / (self._before[window + 1] - self._before[window])
        return max(self.front, self._numbers[window] + inside)

    def end(self) -> float:
        """Beyond the last position that was given."""
        return float(self._next())

    @property
    def bytes_held(self) -> int:
        """Four numbers for each window, each with its place in a list."""
        return len(self._numbers) * 4 * (8 + 32)

    def state(self) -> list[tuple[int, ...]]:
        """Of each window that anybody stands in: its number, who is back, and, where more may still come back, who
        joined."""
        joined = self._back[: self._young] + self._joined[self._young :]
        rows = zip(self._numbers, self._back, joined, strict=True)
        return [(number, back, *([whole] if whole > back else [])) for number, back, whole in rows if whole]

    def restore(self, state: Iterable[tuple[int, ...]]) -> None:
        """Raises `ValueError` for what is no such state."""
        self._numbers, self._back, self._joined = [], [], []
        for number, back, *joined in sorted(state):
            self._numbers.append(number)
            self._back.append(back)
            self._joined.append(max([back, *joined]))
        self._known_until = self._numbers[-1] if self._numbers else -1

    def _is_closed(self, now: float, people_max: float) -> bool:
        """Whether whoever comes now stands in a window after the last one."""
        if self._joined[-1] >= max(1.0, people_max) or self._numbers[-1] + 1 <= self.front:
            return True
        return not 0 <= now - self._opened_at < WINDOW_SECONDS

    def _open(self, number: int, now: float) -> None:
        self._numbers.append(number)
        self._joined.append(0)
        self._back.append(0)
        self._before.append(self._before[-1])
        self._opened_at = now

    def _window(self, number: int, now: float) -> int:
        """Where the window of that number is; it is made when it is not known. Who comes now does not get into it."""
        at = bisect_right(self._numbers, number) - 1
        if at >= 0 and self._numbers[at] == number:
            return at
        if at == len(self._numbers) - 1:
            self._open(number, now - WINDOW_SECONDS)
            return at + 1
        for column in (self._numbers, self._joined, self._back):
            column.insert(at + 1, 0)
        self._numbers[at + 1] = number
        self._before.insert(at + 1, self._before[at + 1])
        return at + 1

    def _next(self) -> int:
        behind_front = -int(-self.front // 1)
        return max(behind_front, self._numbers[-1] + 1 if self._numbers else 0)

    def _passed(self) -> float:
        return self._rank(self.front)

    def _rank(self, position: float) -> float:
        at = bisect_right(self._numbers, int(position)) - 1
        if at < 0:
            return 0.0
        inside = min(1.0, position - self._numbers[at])
        return self._before[at] + inside * (self._before[at + 1] - self._before[at])
