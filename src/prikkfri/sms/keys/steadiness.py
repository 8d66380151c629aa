"""Whether the clock may be believed when it says that an hour is over: a key that is destroyed does not come back."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Steadiness:
    """What the wall clock has done beside the one that never steps."""

    ahead: float
    """Wall-clock time less monotonic time, when last looked at."""
    stepped_at: float = -math.inf
    """Monotonic time of the last step that was seen."""

    def observe(self, now: float, monotonic: float, *, step_seconds: float) -> "Steadiness":
        """`step_seconds`: between two looks the clocks drift apart by less than this."""
        ahead = now - monotonic
        stepped = abs(ahead - self.ahead) > step_seconds
        return Steadiness(ahead, monotonic if stepped else self.stepped_at)

    def lasts(self, monotonic: float, *, steady_seconds: float) -> bool:
        """Whether it has not stepped for so long: somebody would have put it right by now."""
        return monotonic - self.stepped_at >= steady_seconds
