"""How long sign-in waits for others, and how much it remembers of them."""

from dataclasses import dataclass

from prikkfri.protocols.guessing import Limits as GuessingLimits

GUESSING = GuessingLimits()


@dataclass(frozen=True, slots=True)
class Limits:
    database_seconds_max: float = 3.0
    passes_remembered_max: int = 100_000
    buckets_max: int = 200_000
    """Of failed tries, see `guessing`."""
    guesses: GuessingLimits = GUESSING
    revoked_published_seconds: float = 60.0
    """The revocation list is written anew at least so often, and tells by its date that signin lives."""
    sign_outs_gathered_seconds: float = 1.0
    """Many sign-outs at once are one list."""
