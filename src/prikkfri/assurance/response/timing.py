"""The constants of time and size of incident response, as one value."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Timing:
    tick_seconds: float = 0.5
    settling_seconds: float = 1.5
    """An outcome is on its way from its role to here for about so long."""
    outcomes_at_once_max: int = 2_000
    look_seconds: float = 2.0
    looking_share_max: float = 0.25
    """Looking at incidents takes at most this part of the time, however much there is to read."""
    live_outcomes_max: int = 60_000
    """Of an incident that has more, those to whom everything was answered in time are archived, others packed ..."""
    kept_outcomes_max: int = 300_000
    """... and of one that is looked at beside others that have so many together all of it as soon as it can be."""
    piece_bytes_min: int = 500_000
    """What has been archived is stored when it comes to so much: some 20,000 outcomes, which a restart reads again."""
    pieces_bytes_max: int = 500_000_000
    """Of one incident; of one that has more nothing is stored."""
    relearn_seconds: float = 1_800.0
    """Of outcomes, from which levels are learnt where none are kept, or none that are younger."""
    watch_kept_every_seconds: float = 30.0
    """What is known of all series is kept so often, and whenever an alarm has been taken."""
    exposed_before_seconds: float = 3_600.0
    """Messages may have gone astray so long before the first sign of it; canaries tell since when."""
    delivery_seconds_max: float = 604_800.0
    """So long before that they may have been handed in: twice as long as the longest validity that is given."""
    exposed_kept_seconds: float = 600.0
    """Which messages an incident has exposed that is looked at no more is known so long after somebody asked."""
    after_seconds: float = 900.0
    """A resolved incident is looked at for so long: late outcomes and a relapse still count."""
    named_at_once_max: int = 200
    """Devices that got a holder after their incident had closed are looked up so many at a time."""
    asked_at_once_max: int = 20
    """Customers who ask whether they were hit: a crowd of them must not slow down what watches for the next."""
    answer_seconds_max: float = 5.0


TIMING = Timing()
