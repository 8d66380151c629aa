"""The status role: the public page, which needs nothing."""

from prikkfri.app.roles import Role
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.storage.keys import command_key
from prikkfri.web.status_page.server import application


async def build(config: Config, clock: Clock) -> Role:
    return Role(
        application(
            config.home / "status",
            command_key=command_key(config.home, "status"),
            clock=clock,
            operator=config.operator,
            public_url=config.roles.status.url,
            timezone=config.streaming.timezone,
        )
    )
