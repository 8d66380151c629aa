"""What each customer asked for and got: outcomes in streams without gaps, and those who follow them."""

from prikkfri.journal.following import (
    Follower,
    Page,
    Position,
    Source,
    last_written_at,
    let_go,
    note_taken,
    read_page,
    role_of,
    taken_to,
)
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
    "Position",
    "Source",
    "Spool",
    "last_written_at",
    "let_go",
    "note_taken",
    "open_journal",
    "read_page",
    "role_of",
    "taken_to",
    "trim",
]
