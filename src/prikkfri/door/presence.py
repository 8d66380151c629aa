"""Who is still there: everybody is told when to ask again, and whoever has left does not.

The front waits for those who were told to ask later than their turn comes after all, and hurries past those who are
gone. Both go by counts of a tenth of a second, never by who it is.
"""

from bisect import insort
from math import inf

STEP_SECONDS = 0.1
LATE_SECONDS = 0.75
"""Whoever asks so much later than told is late; and still gets in."""
SOON_SECONDS = 0.3
"""Whoever is due so soon may be called before: that is not noticeable."""
LOWEST_MAX = 8
MEASURED_SECONDS = 1.25
KNOWN_MIN = 20
"""Of fewer that were due nothing is concluded."""
GONE_SHARE = 0.5
"""When fewer than these of those due come, a crowd has left."""
DUE_SECONDS_MAX = 600.0


class Dues:
    def __init__(self) -> None:
        self._due: dict[int, int] = {}
        self._came: dict[int, int] = {}
        self._lowest: dict[int, list[float]] = {}
        """The positions nearest to their turn, so many at most, of those told to ask in a step and not come yet."""

    @property
    def bytes_held(self) -> int:
        """Two counts and some positions for each step, in dictionaries and lists."""
        return len(self._due) * (3 * 104 + 120 + LOWEST_MAX * 32)

    def tell(self, position: float, due: float) -> None:
        step = int(due / STEP_SECONDS)
        self._due[step] = self._due.get(step, 0) + 1
        lowest = self._lowest.setdefault(step, [])
        insort(lowest, position)
        del lowest[LOWEST_MAX:]

    def landed(self, position: float, due: float) -> None:
        """Somebody asked who was told to ask at `due`."""
        step = int(due / STEP_SECONDS)
        if step in self._due:
            self._came[step] = self._came.get(step, 0) + 1
            if position in self._lowest[step]:
                self._lowest[step].remove(position)

    def limit(self, now: float, seconds: float) -> float:
        """The position that the front must not pass yet, since its holder was told to ask noticeably later; of dues
        that lie further ahead than `seconds` none is waited for."""
        later, last = int((now + SOON_SECONDS) / STEP_SECONDS), int((now + seconds) / STEP_SECONDS)
        steps = (self._lowest.get(step) for step in range(later, last))
        return min((lowest[0] for lowest in steps if lowest), default=inf)

    def present(self, now: float) -> float:
        """The share of those lately due who came; 1 while too little is known."""
        last = int((now - LATE_SECONDS) / STEP_SECONDS)
        steps = range(last - int(MEASURED_SECONDS / STEP_SECONDS), last)
        due = sum(self._due.get(step, 0) for step in steps)
        came = sum(self._came.get(step, 0) for step in steps)
        return min(1.0, (came + 0.5) / (due + 0.5)) if due >= KNOWN_MIN else 1.0

    def forget(self, now: float) -> None:
        """What is over, and what a clock that was set back has left in the far future."""
        over, far = int((now - 5.0) / STEP_SECONDS), int((now + DUE_SECONDS_MAX) / STEP_SECONDS) + 1
        for step in [step for step in self._due if not over <= step <= far]:
            del self._due[step], self._lowest[step]
            self._came.pop(step, None)
