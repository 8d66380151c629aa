"""The signin role: credentials and sessions, over its database."""

from prikkfri.app.roles import Role
from prikkfri.app.roles.journals import location_of, spool_over, trimming
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.journal import open_journal
from prikkfri.signin.http import application
from prikkfri.signin.service import SignIn, load_keys
from prikkfri.storage import open_database
from prikkfri.storage.keys import command_key


async def build(config: Config, clock: Clock) -> Role:
    location = location_of(config)
    database = await open_database(location, "signin")
    subscribers = await open_database(location, "subscribers")
    journal = await open_journal(database, stream="signin", clock=clock)
    spool = spool_over(journal, config)
    service = SignIn(
        database=database,
        subscribers=subscribers,
        journal=journal,
        record=spool.record,
        config=config,
        keys=load_keys(config.home),
        clock=clock,
    )
    url = config.roles.signin.url

    async def close() -> None:
        await database.close()
        await subscribers.close()

    return Role(
        application(
            service,
            viewer_origin=config.roles.viewer.url,
            secure=url.startswith("https://"),
            command_key=command_key(config.home, "signin"),
        ),
        work=(service.run, spool.run, trimming(journal, config, clock)),
        counters=service.counters,
        close=close,
    )
