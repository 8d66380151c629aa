"""What roles share in composing their journals and finding each other's areas."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prikkfri.app.roles import Work
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.errors import FencedOut, StorageError
from prikkfri.journal import Journal, JournalLimits, Spool, open_journal, taken_to, trim
from prikkfri.journal.limits import LIMITS
from prikkfri.storage import Location, open_reader, open_spool

log = logging.getLogger("prikkfri.app")

TRIM_SECONDS = 10.0


def location_of(config: Config) -> Location:
    return Location(config.home, config.storage.url)


def spool_over(journal: Journal, config: Config) -> Spool:
    """For what a role with a database records outside its transactions."""

    async def opened() -> Journal:
        return journal

    return _spool(opened, config, LIMITS)


def spool_of(role: str, config: Config, clock: Clock, *, limits: JournalLimits = LIMITS) -> Spool:
    """The journal of a role without a database, in a file of its own."""

    async def opened() -> Journal:
        database = await open_spool(config.home, role)
        try:
            return await open_journal(database, stream=role, clock=clock)
        except StorageError:
            await database.close()
            raise

    return _spool(opened, config, limits)


def _spool(opening: Callable[[], Awaitable[Journal]], config: Config, limits: JournalLimits) -> Spool:
    return Spool(opening, outcomes_max=config.journal.spool_outcomes_max, alarm=log.error, limits=limits)


def trimming(journal: Journal, config: Config, clock: Clock) -> Work:
    """Drops what assurance has taken and what is old enough, for as long as the role runs."""
    return _trimming(lambda: journal, config, clock, None)


def trimming_spool(spool: Spool, config: Config, clock: Clock) -> Work:
    """The same for a spool, which also holds no more than it may of what has been taken."""
    return _trimming(lambda: spool.journal, config, clock, config.journal.spool_outcomes_max)


def _trimming(journal: Callable[[], Journal | None], config: Config, clock: Clock, held_max: int | None) -> Work:
    async def work() -> None:
        while True:
            if (opened := journal()) is not None:
                try:
                    await _trim(opened, config, clock.now(), held_max)
                except FencedOut:
                    raise
                except StorageError as error:
                    log.warning("the journal is not trimmed: %s", error)
            await asyncio.sleep(TRIM_SECONDS)

    return work


async def _trim(journal: Journal, config: Config, now: float, held_max: int | None) -> None:
    followers = open_reader(location_of(config), "assurance")
    try:
        taken = await taken_to(followers, journal.stream, incarnation=journal.incarnation)
    finally:
        await followers.close()
    await trim(journal, taken_to=taken, written_before=now - config.journal.kept_days * 86_400, held_max=held_max)
