"""What a channel shows from tick to tick: its source, the last picture held, or the slate."""

from dataclasses import dataclass
from typing import Literal

from prikkfri.streaming.ticks import TICKS_PER_SECOND

HELD_TICKS_MAX = 2 * TICKS_PER_SECOND
"""Within 3 s of the last picture there is a slate; one of them is left for buffers on the way."""
READY_TICKS_MIN = 5
"""A returning source is taken up when this much of it is waiting, so that it does not flicker."""


@dataclass(frozen=True, slots=True)
class Switch:
    on_air: Literal["source", "held", "slate"] = "slate"
    held_ticks: int = 0


def next_switch(switch: Switch, ready_ticks: int) -> Switch:
    """The next tick's switch, when this many ticks of the source are waiting."""
    if switch.on_air == "slate":
        return Switch("source") if ready_ticks >= READY_TICKS_MIN else switch
    if ready_ticks:
        return Switch("source")
    if switch.held_ticks >= HELD_TICKS_MAX:
        return Switch("slate")
    return Switch("held", switch.held_ticks + 1)
