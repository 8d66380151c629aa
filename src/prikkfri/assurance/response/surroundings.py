"""What incident response knows of the rest of the house, by asking."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from prikkfri.assurance.programmes import Programmes
from prikkfri.protocols.money import Language


@dataclass(frozen=True)
class Surroundings:
    blind: Callable[[], frozenset[str]]
    """The streams that cannot be read just now."""
    silent: Callable[[], frozenset[str]]
    """The roles that do not answer just now."""
    incomplete: Callable[[], str]
    """Why a list may lack somebody; empty when it does not."""
    capacity_per_second: Callable[[str, float, float], tuple[float, float] | None]
    """What a service was measured to take, and when, for a fault that began and was opened then; None: not known."""
    products: Callable[[Sequence[str], float], Awaitable[Mapping[str, str]]]
    """Each customer's product at a time."""
    tell: Callable[[str, Mapping[Language, str]], Awaitable[str | None]]
    """Sends a customer a text message in their language; returns its id, empty when it was not accepted, None when
    nobody knows."""
    changed: Callable[[], None]
    """An incident has changed: tell the public."""
    programmes: Callable[[], Programmes] = dict
    """What is on, as playout last told."""
