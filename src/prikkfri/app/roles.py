"""How each role is put together: configuration in, a role out that can be served."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from prikkfri.app.serving import Application
from prikkfri.clock import Clock
from prikkfri.config import Config


async def _nothing() -> None:
    """A role that holds nothing open has nothing to close."""


@dataclass(frozen=True)
class Role:
    application: Application
    work: tuple[Callable[[], Coroutine[None, None, None]], ...] = ()
    """Runs until cancelled."""
    counters: Callable[[], Mapping[str, float]] = field(default=dict)
    close: Callable[[], Awaitable[None]] = _nothing


Builder = Callable[[Config, Clock], Awaitable[Role]]

BUILDERS: dict[str, Builder] = {}
