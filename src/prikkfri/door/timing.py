"""How often the door looks after its own, and how long it waits for others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    lag_measured_seconds: float = 0.1
    line_kept_seconds: float = 1.0
    capacity_asked_seconds: float = 1.0
    held_called_seconds: float = 0.1
    """So often those whose answers are held back are called, if nobody asks meanwhile."""
    follow_up_seconds: float = 1.0
    """Whoever joins comes back after so long, and then has a place in the line."""
    refused_told_seconds: float = 1.0
    """Joins that are refused are told to the journal so often for each network; all are counted."""
    return_told_seconds: float = 5.0
    """That somebody is back with their pass is told so often, however often they ask."""
    line_told_seconds: float = 0.25
    """Where the front is, is worked out so often, however many ask."""
    drained_seconds: float = 60.0
    """Whoever comes while nobody new may join is told to come again after so long."""
    returned_max: int = 20_000
    """Tickets and passes of which it is remembered that their holder came back."""
