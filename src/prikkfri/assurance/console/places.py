"""The places before the console's one hash thread: shared out, so that a flood of guesses takes not all of them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HashCaller:
    """On whose behalf something waits to be hashed."""

    known: bool
    """A browser that signed in to this account before, or somebody who has signed in."""
    whose: str
    """The browser, the name, or of a stranger the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashQuota:
    places: int = 20
    of_strangers: int = 12
    """The rest is kept for those who are known."""
    of_one: int = 3
    """One network of strangers, or one who is known."""


def has_room(waiting: Mapping[HashCaller, int], asking: HashCaller, shares: HashQuota) -> bool:
    """Whether one more may wait beside those who do (how many of each)."""
    if waiting.get(asking, 0) >= shares.of_one:
        return False
    if asking.known:
        return sum(waiting.values()) < shares.places
    return sum(number for other, number in waiting.items() if not other.known) < shares.of_strangers
