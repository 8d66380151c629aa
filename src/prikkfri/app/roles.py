"""How each role is put together: configuration in, a role out that can be served."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.web.viewer import server as web_viewer


async def _nothing() -> None:
    """A role that holds nothing open has nothing to close."""


@dataclass(frozen=True)
class Role:
    application: ASGIApp
    work: tuple[Callable[[], Coroutine[None, None, None]], ...] = ()
    """Runs until cancelled."""
    counters: Callable[[], Mapping[str, float]] = field(default=dict)
    close: Callable[[], Awaitable[None]] = _nothing


Builder = Callable[[Config, Clock], Awaitable[Role]]


async def viewer(config: Config, clock: Clock) -> Role:
    settings: dict[str, object] = {
        role: config.roles.edge(role).url for role in ("signin", "playout", "door", "status")
    }
    return Role(web_viewer.application({**settings, "demo": config.demo, "operator": config.operator}))


BUILDERS: dict[str, Builder] = {"viewer": viewer}
