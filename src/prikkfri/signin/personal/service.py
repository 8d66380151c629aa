"""What signin holds of one customer, and who they are: told to the operator, and erased at the operator's word."""

import asyncio
from collections.abc import Callable
from typing import Any

from prikkfri.clock import Clock
from prikkfri.journal import Journal
from prikkfri.signin.devices.service import device_act
from prikkfri.signin.limits import Limits
from prikkfri.signin.personal import store
from prikkfri.storage import Database, Transaction
from prikkfri.subscribers.store import erase_subscriber

DEFAULT_LIMITS = Limits()


class Personal:
    """Each method raises `StorageError`, `InDoubt` or `TimeoutError` when the database does not answer."""

    def __init__(
        self,
        *,
        database: Database,
        subscribers: Database,
        journal: Journal,
        revoked: Callable[[], None],
        clock: Clock,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`revoked` is told when tokens were revoked."""
        self._database = database
        self._subscribers = subscribers
        self._journal = journal
        self._revoked = revoked
        self._clock = clock
        self._limits = limits

    async def held_of(self, subscriber_id: str) -> dict[str, list[dict[str, Any]]]:
        async with asyncio.timeout(self._limits.database_seconds_max):
            return await self._database.read(lambda q: store.held_of(q, subscriber_id))

    async def erase(self, subscriber_id: str, *, by: str) -> int:
        """Erases it, and then the subscriber: whoever breaks off in between finds them again, and goes on.

        Returns how many rows of signin it concerned. The journal says that somebody was erased, and not who.
        """
        now = self._clock.now()

        async def work(transaction: Transaction) -> int:
            erased = await store.erase(transaction, subscriber_id, now)
            self._journal.record(transaction, device_act("erase-customer", "", by, now))
            return erased

        async with asyncio.timeout(self._limits.database_seconds_max):
            erased = await self._database.write(work)
            self._revoked()
            await self._subscribers.write(lambda t: erase_subscriber(t, subscriber_id))
        return erased
