"""Standing by: a process that must not work beside another waits for its end, and leaves it alone until then."""

import asyncio
import logging
from collections.abc import Callable

from prikkfri.app.limits import LIMITS, AppLimits
from prikkfri.app.roles.journals import location_of
from prikkfri.config import SINGLE, Config, process_name
from prikkfri.errors import FencedOut, StorageUnavailable
from prikkfri.storage.leases import Lease, open_lease

log = logging.getLogger("prikkfri.app")

SILENT_TRIES = 2
WITH_A_DATABASE = ("signin", *SINGLE)
"""Roles whose processes on several homes may meet in one database."""


class Turn:
    """A process's turn to do what one process does at a time."""

    def __init__(self, lease: Lease, name: str, *, limits: AppLimits = LIMITS) -> None:
        """`name`: what there is one of, a role or a stream."""
        self._lease = lease
        self._name = name
        self._limits = limits

    async def come(self, stands_by: Callable[[str], None]) -> None:
        """Returns when it has come; `stands_by` is told once, in a line, when another process has it.

        Raises `StorageUnavailable`.
        """
        tries, said = 0, False
        while not await self._lease.take():
            tries += 1
            if tries == SILENT_TRIES:  # one that was killed a moment ago may still be thought to live
                said = True
                line = f"another process is {self._name} and works; this one takes over when that one ends"
                stands_by(line if self._name in SINGLE else f"{line}; or give it a name of its own (--instance)")
            await asyncio.sleep(self._limits.standby_seconds)
        if said:
            log.warning("the process that was %s before has ended; this one takes over", self._name)

    async def keep(self) -> None:
        """Until cancelled. Raises `FencedOut` when another process has come to it."""
        lost = ""
        while True:
            await asyncio.sleep(self._limits.standby_seconds)
            try:
                if not await self._lease.take():
                    raise FencedOut(f"another process is {self._name} now")
            except StorageUnavailable as error:  # nobody else can come to it there either
                if not lost:
                    log.warning("whether this process is still %s cannot be told: %s", self._name, error)
                lost = str(error)
            else:
                lost = ""

    async def end(self) -> None:
        await self._lease.close()


def turn_of(role: str, config: Config) -> Turn | None:
    """None: it may work beside any other."""
    if role not in WITH_A_DATABASE:
        return None
    name = role if role in SINGLE else process_name(role, config.instance)
    return Turn(open_lease(location_of(config), name), name)
