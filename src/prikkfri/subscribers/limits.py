"""How much of a file is taken at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    batch_records: int = 1_000
    conflicts_retried_max: int = 10_000
    """Rows that contradict others and are tried again when all has been read; of what is more, nothing is held."""
