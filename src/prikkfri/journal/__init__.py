"""What each customer asked for and got: outcomes in streams without gaps, and those who follow them."""

from prikkfri.journal.following import Follower, Page, Source, last_written_at, read_page, taken_to
from prikkfri.journal.limits import JournalLimits
from prikkfri.journal.outcomes import Outcome
from prikkfri.journal.writing import Journal, Point, Spool, open_journal, trim

__all__ = [
    "Follower",
    "Journal",
    "JournalLimits",
    "Outcome",
    "Page",
    "Point",
    "Source",
    "Spool",
    "last_written_at",
    "open_journal",
    "read_page",
    "taken_to",
    "trim",
]
