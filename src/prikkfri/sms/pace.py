"""How fast a party is sent to: by its own rate, and by what it takes when it says that we are too fast.

    FREE ------- throttled -------> PAUSED (nothing goes) ---- the pause is over ----> one message goes
      ^                                ^                                                  |       |
      |                                +------ throttled again: a pause twice as long ----+       |
      +-------- taken: from what it last took in a second, ever faster, to the full rate ---------+

A pause is of the party as a whole. What it refused so is as if it had not been tried.
"""

import math
from dataclasses import dataclass, replace

PAUSE_SECONDS = 1.0
PAUSE_SECONDS_MAX = 60.0
EASED = 0.7
"""Of what a party took in the second before it said that we are too fast, so much is sent at first."""
TWICE_AS_FAST_SECONDS = 30.0
BURST_SECONDS = 0.1
"""So much of a second's messages may leave at once; half of that is worth the claiming."""
_DOUBLINGS_MAX = 40.0
_FREE = 1_000_000
"""More than any window has room for."""


@dataclass(frozen=True)
class Pace:
    """Times are of one clock that never goes back."""

    rate_max: float = math.inf
    """Messages a second."""
    learnt: float = math.inf
    """Messages a second that it takes, as far as is known, at `proven_at`."""
    proven_at: float | None = -math.inf
    """Since when it takes messages again; None: it has paused, and that is to be seen."""
    quiet_until: float = -math.inf
    pause: float = 0.0
    """The last one."""
    probing: bool = False
    """A message is on its way that shows whether it takes any again."""
    tokens: float = 1.0
    at: float = -math.inf
    """When there were so many; never: there are as many as there may be."""
    second: float = 0.0
    taken: int = 0
    """In this second of the clock."""
    taken_before: int = 0
    """In the one before."""

    def rate(self, now: float) -> float:
        """Messages a second that may go now, while it is not pausing."""
        if self.learnt == math.inf or self.proven_at is None:
            return min(self.rate_max, self.learnt)
        doublings = (now - self.proven_at) / TWICE_AS_FAST_SECONDS
        return min(self.rate_max, self.learnt * math.exp2(min(doublings, _DOUBLINGS_MAX)))

    @property
    def paused(self) -> bool:
        """It has said that we are too fast, and it is to be seen whether it takes any again."""
        return self.proven_at is None

    def pauses(self, now: float) -> bool:
        return now < self.quiet_until

    def room(self, now: float) -> int:
        """How many messages may go now."""
        if self.pauses(now):
            return 0
        if self.proven_at is None:
            return 1
        rate = self.rate(now)
        if rate == math.inf:
            return _FREE
        tokens = self._tokens(rate, now)
        return int(tokens) if tokens >= _worth(rate) else 0

    def seconds_until_room(self, now: float) -> float:
        if self.pauses(now):
            return self.quiet_until - now
        rate = self.rate(now)
        if self.proven_at is None or rate == math.inf:
            return 0.0
        return max(_worth(rate) - self._tokens(rate, now), 0.0) / rate

    def spent(self, messages: int, now: float) -> "Pace":
        """After room was taken for messages."""
        if self.proven_at is None:
            # Without an answer another goes after as long a pause.
            return replace(self, probing=True, quiet_until=now + self.pause)
        rate = self.rate(now)
        return self if rate == math.inf else replace(self, tokens=self._tokens(rate, now) - messages, at=now)

    def given_back(self, messages: int, now: float) -> "Pace":
        """After fewer messages went than room was taken for."""
        if self.proven_at is not None:
            return self.spent(-messages, now)
        return replace(self, probing=False, quiet_until=now) if self.probing else self

    def answered(self, taken: int, throttled: bool, now: float) -> "Pace":
        """After answers: how many messages it took, and whether it refused any since we are too fast."""
        found = self._counted(taken, now)
        if self.proven_at is not None:
            return found._paused(found._eased(now), PAUSE_SECONDS, now) if throttled else found
        if not self.probing:
            return found  # of what was on its way when the pause began
        if throttled:
            return found._paused(self.learnt, min(self.pause * 2, PAUSE_SECONDS_MAX), now)
        if taken:
            return replace(found, proven_at=now, probing=False, quiet_until=now, tokens=0.0, at=now)
        return found

    def _paused(self, learnt: float, pause: float, now: float) -> "Pace":
        return replace(self, learnt=learnt, proven_at=None, probing=False, pause=pause, quiet_until=now + pause)

    def _eased(self, now: float) -> float:
        """A rate that it should take: from what it took within the last second; as before when it took nothing."""
        took = self.taken + self.taken_before * (1.0 - (now - self.second))
        return min(self.rate(now), took) * EASED if took > 0 else self.rate(now)

    def _counted(self, taken: int, now: float) -> "Pace":
        second = math.floor(now)
        if second == self.second:
            return replace(self, taken=self.taken + taken)
        return replace(self, second=second, taken=taken, taken_before=self.taken if second == self.second + 1 else 0)

    def _tokens(self, rate: float, now: float) -> float:
        return min(self.tokens + (now - self.at) * rate, max(1.0, rate * BURST_SECONDS))


def _worth(rate: float) -> float:
    """How many messages are worth a claim: at a high rate not one by one."""
    return max(1.0, rate * BURST_SECONDS / 2)
