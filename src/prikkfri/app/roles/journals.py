"""What roles share in composing their journals and finding each other's areas."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from prikkfri.app.limits import LIMITS, AppLimits
from prikkfri.app.roles import Work
from prikkfri.clock import SYSTEM_CLOCK, Clock
from prikkfri.config import Config, process_name
from prikkfri.errors import InDoubt, StorageError
from prikkfri.journal import Journal, JournalLimits, Spool, let_go, open_journal, taken_to, trim
from prikkfri.journal.limits import LIMITS as JOURNAL_LIMITS
from prikkfri.storage import Location, open_spool

log = logging.getLogger("prikkfri.app")


def location_of(config: Config) -> Location:
    return Location(config.home, config.storage.url)


def spool_over(journal: Journal, config: Config) -> Spool:
    """For what a role with a database records outside its transactions."""

    async def opened() -> Journal:
        return journal

    return _spool(opened, config, SYSTEM_CLOCK, JOURNAL_LIMITS)


def spool_of(role: str, config: Config, clock: Clock, *, limits: JournalLimits = JOURNAL_LIMITS) -> Spool:
    """The journal of a process whose role has no database, in a file of its own."""
    stream = process_name(role, config.instance)

    async def opened() -> Journal:
        database = await open_spool(config.home, stream)
        try:
            return await open_journal(database, stream=stream, clock=clock)
        except BaseException:  # also when the role is told to stop
            await database.close()
            raise

    return _spool(opened, config, clock, limits)


def _spool(opening: Callable[[], Awaitable[Journal]], config: Config, clock: Clock, limits: JournalLimits) -> Spool:
    return Spool(opening, outcomes_max=config.journal.spool_outcomes_max, alarm=log.error, clock=clock, limits=limits)


def trimming(journal: Journal, config: Config, clock: Clock, *, limits: AppLimits = LIMITS) -> Work:
    """Drops what assurance says it has taken and what is old enough, for as long as the role runs."""
    return _trimming(lambda: journal, config, clock, None, limits)


def trimming_spool(spool: Spool, config: Config, clock: Clock, *, limits: AppLimits = LIMITS) -> Work:
    """The same for a spool, which also holds no more than it may of what has been taken."""
    return _trimming(lambda: spool.journal, config, clock, config.journal.spool_outcomes_max, limits)


def _trimming(
    journal: Callable[[], Journal | None], config: Config, clock: Clock, held_max: int | None, limits: AppLimits
) -> Work:
    async def work() -> None:
        while True:
            if (opened := journal()) is not None:
                try:
                    await _trim(opened, config, clock.now(), held_max)
                except (StorageError, InDoubt) as error:  # what is trimmed twice is trimmed
                    log.warning("the journal is not trimmed: %s", error)
            await asyncio.sleep(limits.trim_seconds)

    return work


async def _trim(journal: Journal, config: Config, now: float, held_max: int | None) -> None:
    kept_seconds = config.journal.kept_days * 86_400
    for gone in await let_go(journal.database, journal.stream, now=now, silent_seconds=max(kept_seconds, 86_400)):
        log.warning(
            "%s has not said for %.0f days how much of the stream %s it has stored: trimming waits for it no more",
            gone, config.journal.kept_days, journal.stream,
        )  # fmt: skip
    taken = await taken_to(journal.database, journal.stream, incarnation=journal.incarnation)
    await trim(journal, taken_to=taken, written_before=now - config.journal.kept_days * 86_400, held_max=held_max)
