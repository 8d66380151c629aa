"""Who is still there: everybody is told when to ask again, and whoever has left does not.

The front hurries past those who are gone, by counts of a tenth of a second; and it passes no more of those whose
answers are held back, and who are known to be there, than can be let in.
"""

from bisect import bisect_left, insort
from math import inf

STEP_SECONDS = 0.1
LATE_SECONDS = 0.75
"""Whoever asks so much later than told is late; and still gets in."""
STANDBY_LATE_SECONDS = 0.2
"""Whoever is held back and has not asked again so long after they should have is gone."""
MEASURED_SECONDS = 1.25
KNOWN_MIN = 20
"""Of fewer that were due nothing is concluded."""
GONE_SHARE = 0.5
"""When fewer than these of those due come, a crowd has left."""
DUE_SECONDS_MAX = 600.0


class Standby:
    """Those whose answers are held back: they are known to be there, until they were to ask again."""

    def __init__(self) -> None:
        self._until: dict[float, float] = {}
        self._positions: list[float] = []

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def bytes_held(self) -> int:
        """A number in a list and two in a dictionary for each."""
        return len(self._positions) * (32 + 136)

    def add(self, position: float, until: float) -> None:
        if position not in self._until:
            insort(self._positions, position)
        self._until[position] = until

    def discard(self, position: float) -> None:
        if self._until.pop(position, None) is not None:
            del self._positions[bisect_left(self._positions, position)]

    def forget(self, now: float) -> None:
        """Those who were to ask and did not."""
        for position in [each for each, until in self._until.items() if until + STANDBY_LATE_SECONDS < now]:
            self.discard(position)

    def after(self, people: float, position: float = -inf) -> float:
        """The position of the first of them from `position` on who is not among the next `people`; endless: all are."""
        at = bisect_left(self._positions, position) + max(0, int(people))
        return self._positions[at] if at < len(self._positions) else inf


class Dues:
    def __init__(self) -> None:
        self._due: dict[int, int] = {}
        self._came: dict[int, int] = {}

    @property
    def bytes_held(self) -> int:
        """Two counts for each step, in dictionaries."""
        return len(self._due) * 2 * 104

    def tell(self, due: float) -> None:
        step = int(due / STEP_SECONDS)
        self._due[step] = self._due.get(step, 0) + 1

    def landed(self, due: float) -> None:
        """Somebody asked who was told to ask at `due`."""
        step = int(due / STEP_SECONDS)
        if step in self._due:
            self._came[step] = self._came.get(step, 0) + 1

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
            del self._due[step]
            self._came.pop(step, None)
