"""How much the centre could take on: what it takes on for each second that its loop works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Busyness:
    """Counted from the start: messages taken on, and seconds of CPU on the loop's thread, by a moment."""

    at: float
    accepted: int
    worked_seconds: float


@dataclass(frozen=True, slots=True)
class Capacity:
    busy: float
    """0 to 1, of the time between the two looks."""
    per_second: float | None
    """Messages, if the loop worked all the time; None: too few came to tell."""


MESSAGES_LEAST = 5
WORKED_SECONDS_LEAST = 0.001


def capacity_between(before: Busyness, now: Busyness) -> Capacity:
    """Too low on a quiet evening, when most of the work is not for messages; never too high."""
    worked = max(now.worked_seconds - before.worked_seconds, WORKED_SECONDS_LEAST)
    taken, elapsed = now.accepted - before.accepted, now.at - before.at
    busy = min(1.0, worked / elapsed) if elapsed > 0 else 0.0
    return Capacity(busy, taken / worked if taken >= MESSAGES_LEAST else None)
