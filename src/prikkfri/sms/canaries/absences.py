"""When we were away ourselves: a database that could not be reached, a process that stood still.

Theory of operation. Whoever can look and store does so every so often, and each time is *there*. Where that comes
later than it should, the time between is an absence. In it nothing leaves, and what partners and phones tell is not
heard; nothing of that says anything of them. So a time that somebody is given stands still while we are away.
"""

from dataclasses import dataclass
from math import inf

AWAY_SECONDS_MIN = 1.0
"""By so much may we be late, and were there all the same."""
ABSENCES_KEPT_MAX = 200


@dataclass(frozen=True)
class Absences:
    """Of one who should be there every `every_seconds`; what was before the first time is an absence, too."""

    there_at: float
    """When we were there last."""
    every_seconds: float
    spells: tuple[tuple[float, float], ...] = ()
    """From and until when we were away, the newest last."""

    @classmethod
    def since_start(cls, now: float, *, every_seconds: float) -> "Absences":
        """Of a process that starts now: what was before, it has not seen."""
        return cls(now, every_seconds, ((-inf, now),))

    def there(self, now: float) -> "Absences":
        """With one more time at which we were there."""
        spells = self.spells
        if self._is_away(now):
            spells = (*spells, (self.there_at, now))[-ABSENCES_KEPT_MAX:]
        return Absences(now, self.every_seconds, spells)

    def seconds(self, since: float, until: float) -> float:
        """For how long of a time we were away."""
        spells = (*self.spells, (self.there_at, until)) if self._is_away(until) else self.spells
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in spells)

    def _is_away(self, now: float) -> bool:
        return now - self.there_at > self.every_seconds + AWAY_SECONDS_MIN


NEVER_AWAY = Absences(inf, 0.0)
