"""The trail of a message, read from the database by whoever may see it."""

from prikkfri.sms.trail import Trail, build_trail
from prikkfri.sms.trails import store
from prikkfri.storage import Database, Queries


async def message_trail(database: Database, message: str) -> Trail | None:
    """What happened to a message, None when there is none of that id. The body is no part of it, numbers are masked."""

    async def work(queries: Queries) -> Trail | None:
        found = await store.facts(queries, message)
        if not found:
            return None
        return build_trail(found, await store.events(queries, [facts.id for facts in found]))

    return await database.read(work)
