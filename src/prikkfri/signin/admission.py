"""Who may stand in the line before the hash threads: never more than can be served before people give up.

The line has two lanes. Those whom the waiting room has let in go first; the others are taken with what is to spare.

A line that is longer than people's patience is worse than none: whoever reaches its head is just about to leave, and
every hash is for nobody. So patience is measured too, and the line kept well below it.
"""

from dataclasses import dataclass

NEWEST_WEIGHT = 0.1
"""Of the newest measurement, in the moving mean of what one hash takes."""
WAITING_MAX = 20_000
SPARE_SHARE = 0.25
"""Of the limit, up to which the line may have grown for someone without a pass while the waiting room is on."""
LEAVER_WEIGHT = 0.2
"""Of the newest one who left, in the moving mean of how long people wait."""
PATIENCE_SHARE = 0.5
"""Of people's patience that the line may take up."""
PATIENCE_BACK_SECONDS = 60.0
"""After which, when nobody leaves any more, people count as patient again."""
LIMIT_SECONDS_MIN = 0.2


@dataclass(frozen=True, slots=True)
class Load:
    threads: int
    hash_s: float
    """What one hash takes now: measured, moving mean."""
    running: int
    waiting_with_pass: int
    waiting_without: int

    @property
    def per_second(self) -> float:
        """Measured capacity."""
        return self.threads / self.hash_s

    def wait_s(self, *, with_pass: bool) -> float:
        """How long somebody who comes now will wait for a thread."""
        if self.running < self.threads:
            return 0.0
        ahead = self.waiting_with_pass + (0 if with_pass else self.waiting_without)
        return (ahead + 1) * self.hash_s / self.threads


def under_pressure(load: Load) -> bool:
    """Whether somebody waits for a thread: what can be put off is then put off."""
    return load.running >= load.threads and load.waiting_with_pass + load.waiting_without > 0


def gathering(load: Load, together_max: int, seconds_max: float) -> int:
    """How many of those whose passwords were right go to the disk together: as many as come in that time.

    1 (nobody waits for another) when nobody waits for a thread, and where hashes take too long for a second to come.
    """
    return min(together_max, 1 + int(seconds_max * load.per_second)) if under_pressure(load) else 1


def measured(hash_s: float, newest_s: float) -> float:
    """The moving mean after one more hash, which counts at most tenfold: one pause must not close the door."""
    return hash_s + NEWEST_WEIGHT * (min(newest_s, 10 * hash_s) - hash_s)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long people wait before they leave, as far as it has shown; at most what the line may take anyway."""

    seconds: float
    seconds_max: float
    at: float = 0.0

    def now(self, now: float) -> float:
        """It comes back with time: those who left may have been of one kind."""
        return min(self.seconds_max, self.seconds + (now - self.at) * self.seconds_max / PATIENCE_BACK_SECONDS)


def patience_of(queue_seconds_max: float) -> Patience:
    """Before anybody has left: as long as the line may be."""
    return Patience(queue_seconds_max / PATIENCE_SHARE, queue_seconds_max / PATIENCE_SHARE)


def left(patience: Patience, waited_s: float, now: float) -> Patience:
    """Patience after somebody has left who had waited so long."""
    known = patience.now(now)
    return Patience(min(patience.seconds_max, known + LEAVER_WEIGHT * (waited_s - known)), patience.seconds_max, now)


def retry_after(load: Load, patience: Patience, now: float, *, with_pass: bool, waiting_room: bool) -> float | None:
    """None: may wait in the line. Otherwise refused, and the seconds until the line will have passed."""
    limit = max(PATIENCE_SHARE * patience.now(now), LIMIT_SECONDS_MIN)
    if waiting_room and not with_pass:
        limit *= SPARE_SHARE
    wait = load.wait_s(with_pass=with_pass)
    if wait <= limit and load.waiting_with_pass + load.waiting_without < WAITING_MAX:
        return None
    return wait
