"""What an evaluation asks of an incident's outcomes, and how a list of outcomes tells it, from nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from prikkfri.assurance.impact import Holder, Impact, Scope, impact
from prikkfri.assurance.programmes import channel_come_to
from prikkfri.assurance.response import assessing
from prikkfri.assurance.response.assessing import Expectations
from prikkfri.assurance.response.promises import PromiseColumns, in_order
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import is_promise
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


@dataclass(frozen=True)
class OutcomeHistory:
    """The history that a list of outcomes tells, from nothing."""

    outcomes: Sequence[Outcome]
    """Oldest first."""
    now: float
    expectations: Expectations
    holder: Holder | None = None

    @property
    def acts(self) -> Sequence[Outcome]:
        return [outcome for outcome in self.outcomes if assessing.is_act(outcome)]

    def promises(self) -> PromiseColumns:
        settled = assessing.settled(self.outcomes, now=self.now, expectations=self.expectations)
        return PromiseColumns.of(in_order(settled))

    def impact(self, scope: Scope) -> Impact:
        return impact(self.outcomes, scope, now=self.now, holder=self.holder, expectations=self.expectations)

    def people(self, segments: Sequence[Segment], *, since: float) -> tuple[int, int]:
        return assessing.people(self.outcomes, segments, since=since, now=self.now, expectations=self.expectations)

    def asking(self, steps: Sequence[str], *, since: float, until: float) -> int:
        return assessing.asking(self.outcomes, steps, since=since, until=until)

    def crowd(self, step: str, since: float, until: float) -> Sequence[float]:
        return [o.time for o in self.outcomes if since <= o.time < until and o.step == step and is_promise(o)]

    def viewers(self, since: float, until: float) -> Mapping[str, int]:
        came = (channel_come_to(outcome) for outcome in self.outcomes if since <= outcome.time < until)
        return Counter(channel for channel in came if channel is not None)
