"""What the network between the machines goes through on an evening: spells of it, one after the other."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prikkfri.clock import Clock
from prikkfri.simulation.machines.network import Network, State


@dataclass(frozen=True)
class Spell:
    seconds: float
    state: State = "passes"
    machines: tuple[str, ...] = ()
    """Whose cables are so (`Network.cables`); none: all are."""

    def __str__(self) -> str:
        return f"{'-'.join(self.machines) or 'all'} {self.state} for {self.seconds:g} s"


KICKOFF = (
    Spell(4),
    Spell(12, "cut"),
    Spell(1, "resets"),
    Spell(3),
    Spell(3, "stalls"),
    Spell(1, "resets"),
    Spell(2),
    Spell(1, "resets"),
)
"""From the fault on: it is cut while sign-in is away, and once more in pieces while everybody comes back."""
MISDELIVERY = (
    Spell(3, "stalls"),
    Spell(1, "resets", ("core", "office")),
    Spell(3),
    Spell(20, "cut", ("edge",)),
    Spell(4, "cut", ("core", "office")),
    Spell(1, "resets"),
    Spell(3),
    Spell(3, "stalls"),
)
"""From the fault on: the edge is cut off while messages flow, and the SMS centre from its database for a while."""


@dataclass(frozen=True)
class Outage:
    """A spell that has been: when it was so, in seconds since 1970 UTC."""

    spell: Spell
    began_at: float
    ended_at: float

    def parts(self, one: str, other: str) -> bool:
        """Whether it was between these two."""
        between = set(self.spell.machines)
        if self.spell.state == "passes":
            return False
        return {one, other} <= between if len(between) > 1 else not between or bool(between & {one, other})


async def go_through(
    network: Network, spells: Sequence[Spell], clock: Clock, say: Callable[[str], None]
) -> list[Outage]:
    """One after the other; it passes in the end, also when it is broken off."""
    been = []
    try:
        for spell in spells:
            say(f"the network: {spell}")
            began_at = clock.now()
            network.be(spell.state, *spell.machines)
            await asyncio.sleep(spell.seconds)
            network.be("passes")
            been.append(Outage(spell, began_at, clock.now()))
    finally:
        network.be("passes")
    return been


def be_as_between_towns(network: Network) -> None:
    """The edge is 20 ms from the others and loses 1 % of all packets; these two are 1 ms apart and lose 0.1 %.

    A database's questions and answers go one by one, so that each lost one holds all up for TCP's 200 ms.
    """
    for cable in network.cables():
        cable.delay_seconds, cable.jitter_seconds, cable.loss = 0.02, 0.01, 0.01
    for cable in network.cables("core", "office"):
        cable.delay_seconds, cable.jitter_seconds, cable.loss = 0.0005, 0.0005, 0.001
