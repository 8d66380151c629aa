"""The viewer role: the interface, which needs nothing."""

from prikkfri.app.roles import Role
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.web.viewer.server import application


async def build(config: Config, clock: Clock) -> Role:
    urls = {role: config.roles.edge(role).url for role in ("signin", "playout", "door", "status", "assurance")}
    return Role(application({**urls, "demo": config.demo, "operator": config.operator}))
