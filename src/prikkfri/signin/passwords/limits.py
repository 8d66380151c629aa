"""How long codes and links are good, how many there may be, and how many wait to be sent."""

from dataclasses import dataclass

from prikkfri.protocols.guessing import Limit

FEW = Limit(4, 600)
MANY = Limit(300, 900)


@dataclass(frozen=True, slots=True)
class PasswordLimits:
    code_seconds: float = 600.0
    code_tries: int = 5
    codes_per_hour: int = 5
    """For one customer, from wherever they are asked."""
    codes_per_day: int = 10
    name_and_network: Limit = FEW
    """Codes asked for; a few, since some do not arrive."""
    network: Limit = MANY
    """High, since thousands of homes may share the address of one operator's translator."""
    buckets_max: int = 100_000
    link_seconds: float = 86_400.0
    kept_seconds: float = 86_400.0
    """Codes after they were made, by which the next are counted; links after they have ended."""
    waiting_max: int = 1_000
    """Codes that were asked for and not sent yet; past it everybody is refused alike."""
    senders: int = 8
    """Codes on their way to the SMS centre at once."""
    delay_seconds_max: float = 0.5
    """Each waits for a moment drawn by lot first: what one request costs must not be told by the time of the next."""
    database_seconds_max: float = 3.0


LIMITS = PasswordLimits()
