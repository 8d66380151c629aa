"""What an evaluation asks of an incident's outcomes."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from prikkfri.assurance.impact import Impact, Scope
from prikkfri.assurance.response.promises import PromiseColumns
from prikkfri.assurance.segments import Segment
from prikkfri.journal import Outcome


class History(Protocol):
    """What is known of an incident's service from some time before it began up to now."""

    @property
    def acts(self) -> Sequence[Outcome]:
        """What was done about a fault, and what became of pictures; oldest first."""

    def promises(self) -> PromiseColumns:
        """Those that are settled, oldest first."""

    def impact(self, scope: Scope) -> Impact:
        """Who was hit."""

    def people(self, segments: Sequence[Segment], *, since: float) -> tuple[int, int]:
        """For how many a promise was broken since then, and for how many one was kept."""

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        """How many asked at these steps."""

    def crowd(self, step: str, since: float, until: float) -> Sequence[float]:
        """When each came to a step where a crowd is counted; of the time before the incident was opened."""

    def viewers(self, since: float, until: float) -> Mapping[str, int]:
        """How many began to watch each channel; of the time before the incident was opened."""
