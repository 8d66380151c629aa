"""When we were away ourselves: a database that could not be reached, a process that stood still.

Theory of operation. Whoever can look and store does so every so often, and each time is *there*. Where that comes
later than it should, the time between is an absence. In it nothing leaves, and what partners and phones tell is not
heard; nothing of that says anything of them. So a time that somebody is given stands still while we are away.
"""

from dataclasses import dataclass, replace
from math import inf

LATE_SECONDS_MAX = 1.0
"""By so much may we be late, and were there all the same ..."""
LATE_GRACES_MAX = 0.1
"""... or by so much of a grace time, where that is less."""
ABSENCES_KEPT_MAX = 200


@dataclass(frozen=True)
class Absences:
    """Of one who is there at least every `pause_seconds_max`."""

    there_at: float
    """When we were there last."""
    pause_seconds_max: float
    spells: tuple[tuple[float, float], ...] = ()
    """From and until when we were away, the newest last."""

    @classmethod
    def since_start(cls, now: float, *, every_seconds: float, grace_seconds: float) -> "Absences":
        """Of a process that starts now and looks so often: what was before, it has not seen."""
        late = min(LATE_SECONDS_MAX, LATE_GRACES_MAX * grace_seconds)
        return cls(now, every_seconds + late, ((-inf, now),))

    def there(self, now: float) -> "Absences":
        """With one more time at which we were there."""
        spells = self.spells
        if self._is_away(now):
            spells = (*spells, (self.there_at, now))[-ABSENCES_KEPT_MAX:]
        return replace(self, there_at=now, spells=spells)

    def there_all_along(self, now: float) -> "Absences":
        """The same when nobody has looked meanwhile, and nothing says that we were not."""
        return replace(self, there_at=now)

    def seconds(self, since: float, until: float) -> float:
        """For how long of a time we were away."""
        spells = (*self.spells, (self.there_at, until)) if self._is_away(until) else self.spells
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in spells)

    def _is_away(self, now: float) -> bool:
        return now - self.there_at > self.pause_seconds_max


NEVER_AWAY = Absences(inf, 0.0)
