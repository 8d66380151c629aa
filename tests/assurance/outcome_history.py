"""How a list of outcomes tells an incident's history, from nothing: what is carried on has to say the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prikkfri.assurance.impact import Holder, Impact, Scope, impact
from prikkfri.assurance.programmes import channel_come_to
from prikkfri.assurance.response import assessing
from prikkfri.assurance.response.assessing import Expectations
from prikkfri.assurance.response.promises import PromiseColumns, in_order
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import is_promise
from prikkfri.journal import Outcome


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
