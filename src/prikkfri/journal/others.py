"""Areas that other roles write, as a role reads them: their journals, and what else stands beside these."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from prikkfri.clock import Clock
from prikkfri.errors import StorageError, StorageUnavailable, StorageUnmade
from prikkfri.journal.following import Page, read_page
from prikkfri.storage import Database

log = logging.getLogger("prikkfri.journal")
T = TypeVar("T")
REOPEN_SECONDS = 60.0


class OthersArea:
    """An area that another role writes: opened when it is there, and again now and then, since it may be replaced."""

    def __init__(self, opened: Callable[[], Database], clock: Clock) -> None:
        """`opened` opens the area to read; it raises `StorageUnavailable` while there is none."""
        self._opened = opened
        self._clock = clock
        self._reader: Database | None = None
        self._opened_at = 0.0
        self._was_there = False
        self._waits = False
        self._using = asyncio.Lock()

    async def page(self, stream: str, after: int) -> Page | None:
        """A `Source` of the journal. Raises `StorageError`."""
        return await self.use(lambda reader: read_page(reader, stream, after))

    async def use(self, work: Callable[[Database], Awaitable[T]]) -> T | None:
        """What `work` reads in the area; None while there is none. Raises `StorageError`."""
        async with self._using:
            if self._clock.monotonic() - self._opened_at > REOPEN_SECONDS:
                await self._close()  # a file restored from a backup is another file under the same name
            if self._reader is None:
                try:
                    self._reader = self._opened()
                except StorageUnavailable as error:
                    self._say_waiting(error)
                    return None
                self._opened_at = self._clock.monotonic()
            try:
                found = await work(self._reader)
            except StorageError as error:
                # On a server an area is there to be opened before its role has made it; what was there is lost.
                if isinstance(error, StorageUnmade) and not self._was_there:
                    self._say_waiting(error)  # over one connection: a server takes milliseconds for another
                    return None
                await self._close()
                raise
            if self._waits:
                log.info("what another role makes is there now: nothing is waited for any more")
            self._was_there, self._waits = True, False
            return found

    def _say_waiting(self, error: StorageUnavailable) -> None:
        if not self._waits:
            log.info("waits for what another role makes: %s", error)
        self._waits = True

    async def _close(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.close()

    async def close(self) -> None:
        async with self._using:
            await self._close()
