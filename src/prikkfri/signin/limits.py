"""How long sign-in waits for others, and how much it remembers of them."""

from dataclasses import dataclass

from prikkfri.protocols.guessing import Limits as GuessingLimits

GUESSING = GuessingLimits()


@dataclass(frozen=True, slots=True)
class Limits:
    database_seconds_max: float = 3.0
    passes_remembered_max: int = 100_000
    tries_with_one_pass: int = 10
    """Comparisons that go first with one pass. Wrong passwords do not spend it, but it is no way to go on guessing."""
    admissions_forgotten_max: int = 5_000
    """In one transaction."""
    buckets_max: int = 200_000
    """Of failed tries, see `guessing`."""
    guesses: GuessingLimits = GUESSING
    wrong_after_seconds: float = 0.6
    """No wrong password is told before, counted from its comparison, while imported hashes are of many costs: longer
    than the dearest that is taken in (`protocols.password_hash`), so that time tells nothing of who exists."""
    gathered_max: int = 3
    """Sessions that go to the disk together under pressure, for a third of what it costs each. More would gain little,
    and keep people waiting who are hashed already: some of them leave."""
    gathered_seconds: float = 0.05
    """How long the first of them waits for the others at most; where fewer come in that time, it waits for fewer."""
    seen_seconds: float = 3_600.0
    """A device that is in use is noted so often."""
    put_off_seconds: float = 300.0
    """Under pressure a device that is in already is told to ask again so much later."""
    revoked_published_seconds: float = 60.0
    """The revocation list is written anew at least so often, and tells by its date that signin lives."""
    sign_outs_gathered_seconds: float = 1.0
    """Many sign-outs at once are one list."""
