"""The viewer role: the interface, which needs nothing."""

from dataclasses import asdict

from prikkfri.app.roles import Role
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.web.viewer.server import application


async def build(config: Config, clock: Clock) -> Role:
    urls = {role: config.roles.edge(role).url for role in ("signin", "playout", "door", "status", "assurance")}
    texts = {"headline": asdict(config.viewer.headline), "waiting": asdict(config.viewer.waiting)}
    settings = {**urls, "demo": config.demo, "operator": config.operator, "texts": texts}
    return Role(application(settings, config.viewer))
