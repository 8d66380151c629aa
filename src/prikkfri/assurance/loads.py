"""Load: the crowd at a layer beside what that layer was measured to take."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prikkfri.assurance.counting import PERIOD_SECONDS, Count

Layer = Literal["signin", "sms-centre"]
Measured = tuple[float, float]
"""What was measured, a second, and when."""

LAYERS: Mapping[str, Layer] = {"television": "signin", "messages": "sms-centre"}
"""The layer of each service that a crowd meets first."""
STEPS: Mapping[Layer, str] = {"signin": "enter", "sms-centre": "submit"}
"""Where its crowd is counted."""
NOW_PERIODS = 3
"""So many whole periods are "now": one alone jumps."""


@dataclass(frozen=True, slots=True)
class LayerLoad:
    layer: Layer
    per_second: float
    """Asked for now."""
    peak_per_second: float
    """At most in a period of the window."""
    capacity_per_second: float | None
    """As measured last; None: not known."""


def loads(counts: Iterable[Count], capacities: Mapping[Layer, Sequence[Measured]], now: float) -> tuple[LayerLoad, ...]:
    """Of each layer whose crowd was counted; `counts` as for the overview. What is not whole yet is left out."""
    asked: dict[Layer, dict[int, int]] = {}
    for count in counts:
        layer = LAYERS.get(count.service)
        if layer is not None and count.observed and count.step == STEPS[layer] and count.second + PERIOD_SECONDS <= now:
            periods = asked.setdefault(layer, {})
            periods[count.second] = periods.get(count.second, 0) + count.outcomes
    recent = now - (NOW_PERIODS + 1) * PERIOD_SECONDS
    return tuple(
        LayerLoad(
            layer,
            sum(number for second, number in asked[layer].items() if second > recent) / (NOW_PERIODS * PERIOD_SECONDS),
            max(asked[layer].values()) / PERIOD_SECONDS,
            capacity[0] if (capacity := capacity_of(layer, capacities.get(layer, ()), since=now, until=now)) else None,
        )
        for layer in STEPS
        if layer in asked
    )


def capacity_of(layer: Layer, measured: Sequence[Measured], *, since: float, until: float) -> Measured | None:
    """What a layer takes, for a fault that began at `since` and was opened at `until`; `measured` the newest last.

    Of sign-in what was measured last before the fault, else first after it: what machines take under a fault is no
    capacity. Of the message centre the most up to the opening: it measures by its work, and on a quiet evening what it
    does beside the messages makes it look slower than it is.
    """
    if layer == "signin":
        known = [each for each in measured if each[1] <= since]
        return known[-1] if known else measured[0] if measured else None
    return max((each for each in measured if each[1] <= until), default=None)
