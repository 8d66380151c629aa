"""Who may stand in the line before the hash threads: never more than can be served before people give up.

The line has two lanes. Those whom the waiting room has let in go first; the others are taken with what is to spare.
"""

from dataclasses import dataclass

NEWEST_WEIGHT = 0.1
"""Of the newest measurement, in the moving mean of what one hash takes."""
WAITING_MAX = 20_000
SPARE_SHARE = 0.25
"""Of the limit, up to which the line may have grown for someone without a pass while the waiting room is on."""


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


def measured(hash_s: float, newest_s: float) -> float:
    """The moving mean after one more hash, which counts at most tenfold: one pause must not close the door."""
    return hash_s + NEWEST_WEIGHT * (min(newest_s, 10 * hash_s) - hash_s)


def retry_after(load: Load, *, with_pass: bool, waiting_room: bool, seconds_max: float) -> float | None:
    """None: may wait in the line. Otherwise refused, and the seconds until the line will have passed."""
    limit = seconds_max * SPARE_SHARE if waiting_room and not with_pass else seconds_max
    wait = load.wait_s(with_pass=with_pass)
    if wait <= limit and load.waiting_with_pass + load.waiting_without < WAITING_MAX:
        return None
    return wait
