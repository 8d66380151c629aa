"""Sizes and times of the journal: one value for writers, spools and followers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class JournalLimits:
    pending_outcomes_max: int = 50_000
    """Outcomes that wait in a spool's memory for the disk."""
    batch_outcomes_max: int = 5_000
    """Outcomes that a spool writes in one transaction."""
    pause_seconds: float = 1.0
    """Before a spool tries a disk again that has refused."""
    trimmed_batches_max: int = 500
    """Batches dropped in one transaction, so that nobody waits long behind it."""
    page_outcomes_max: int = 5_000
    """A long reader keeps SQLite's log from being reset; a page holds at most this, or one batch that is larger."""
    page_batches_max: int = 1_000
    answer_bytes_max: int = 64 << 20
    """Of a journal on another machine."""
    answer_seconds_max: float = 10.0


LIMITS = JournalLimits()
