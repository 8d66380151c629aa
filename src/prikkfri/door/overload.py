"""The overload gate: beyond what is answered in time, refuse at once and say when to come back."""

from dataclasses import dataclass

RETRY_AFTER_SECONDS_MIN = 2.0
RETRY_AFTER_SECONDS_MAX = 30.0
NEWEST_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Limits:
    lag_seconds_max: float = 0.5
    """How late the loop may run: whoever comes has waited as long already, unseen."""
    in_flight_max: int = 2_000


def lag(lag_s: float, newest_s: float) -> float:
    """The moving mean of how late the loop runs: one pause that the machine made is no overload."""
    return lag_s + NEWEST_WEIGHT * (newest_s - lag_s)


def retry_after(lag_s: float, in_flight: int, limits: Limits = Limits()) -> float | None:
    """None: take it. Otherwise refuse, and the seconds after which to try again: longer, the further behind."""
    behind = max(lag_s / limits.lag_seconds_max, in_flight / limits.in_flight_max)
    if behind <= 1:
        return None
    return min(RETRY_AFTER_SECONDS_MIN * behind, RETRY_AFTER_SECONDS_MAX)
