"""Who works on the console: their accounts and sessions, and the trace of every look at a customer's data."""

from prikkfri.assurance.console.service import Busy, Console, SecondFactorChallenge, TooManyTries, ensure_first_user
from prikkfri.assurance.console.store import ConsoleUser, CustomerAccess, Role

__all__ = [
    "Busy",
    "Console",
    "ConsoleUser",
    "CustomerAccess",
    "Role",
    "SecondFactorChallenge",
    "TooManyTries",
    "ensure_first_user",
]
