"""Who works on the console: their accounts and sessions, and the trace of every look at a customer's data."""

from prikkfri.assurance.console.service import Busy, CodeNeeded, Console, TooManyTries, ensure_first_account
from prikkfri.assurance.console.store import Account, Look, Role

__all__ = ["Account", "Busy", "CodeNeeded", "Console", "Look", "Role", "TooManyTries", "ensure_first_account"]
