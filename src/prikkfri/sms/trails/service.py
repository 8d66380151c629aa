"""The trail of a message, read from the database by whoever may see it."""

from collections.abc import Sequence

from prikkfri.sms.trail import Trail, build_trail
from prikkfri.sms.trails import store
from prikkfri.storage import Database, Queries, Transaction


async def message_trail(database: Database, message: str) -> Trail | None:
    """What happened to a message, None when there is none of that id. The body is no part of it, numbers are masked."""

    async def work(queries: Queries) -> Trail | None:
        found = await store.facts(queries, message)
        if not found:
            return None
        return build_trail(found, await store.events(queries, [facts.id for facts in found]))

    return await database.read(work)


async def message_trails(database: Database, messages: Sequence[str]) -> list[Trail]:
    """The trails of those that are still kept."""
    return [trail for message in messages if (trail := await message_trail(database, message))]


async def erase_trails(database: Database, messages: Sequence[str]) -> int:
    """Erases those that have ended, each whole or not at all; returns how many messages those were."""

    async def work(transaction: Transaction) -> int:
        return sum([await store.erase(transaction, message) for message in messages])

    return await database.write(work)
