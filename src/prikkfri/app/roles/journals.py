"""What roles share in composing their journals and finding each other's areas."""

import asyncio
import logging

from prikkfri.app.roles import Work
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.errors import StorageError
from prikkfri.journal import Journal, Spool, taken_to, trim
from prikkfri.storage import Location, open_reader

log = logging.getLogger("prikkfri.app")

TRIM_SECONDS = 10.0


def location_of(config: Config) -> Location:
    return Location(config.home, config.storage.url)


def spool_over(journal: Journal, config: Config) -> Spool:
    return Spool(journal, outcomes_max=config.journal.spool_outcomes_max, alarm=log.error)


def trimming(journal: Journal, config: Config, clock: Clock, *, held_max: int | None = None) -> Work:
    """Drops what assurance has taken and what is old enough (or beyond `held_max`), for as long as the role runs."""

    async def work() -> None:
        while True:
            try:
                followers = open_reader(location_of(config), "assurance")
                try:
                    taken = await taken_to(followers, journal.stream)
                finally:
                    await followers.close()
                before = clock.now() - config.journal.kept_days * 86_400
                await trim(journal, taken_to=taken, written_before=before, held_max=held_max)
            except StorageError as error:
                log.warning("the journal is not trimmed: %s", error)
            await asyncio.sleep(TRIM_SECONDS)

    return work
