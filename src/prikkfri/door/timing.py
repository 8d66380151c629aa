"""How often the door looks after its own, and how long it waits for others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    lag_measured_seconds: float = 0.1
    line_kept_seconds: float = 1.0
    capacity_asked_seconds: float = 1.0
