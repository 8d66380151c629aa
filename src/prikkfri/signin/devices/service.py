"""Where a customer is signed in: listed and ended by themselves, by their device token, and by the operator."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from prikkfri.clock import Clock
from prikkfri.journal import Journal, Outcome
from prikkfri.protocols import device_token, jwt
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.signin import store
from prikkfri.signin.limits import Limits
from prikkfri.signin.store import Device
from prikkfri.storage import Database, Transaction

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class ListedDevice:
    device: Device
    here: bool
    """Whether it is the one that asks."""


class Devices:
    """Each method raises `StorageError`, `InDoubt` or `TimeoutError` when the database does not answer."""

    def __init__(
        self,
        *,
        database: Database,
        journal: Journal,
        device_keys: jwt.PublicKeys,
        revoked: Callable[[], None],
        clock: Clock,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`revoked` is told when tokens were revoked."""
        self._database = database
        self._journal = journal
        self._device_keys = device_keys
        self._revoked = revoked
        self._clock = clock
        self._limits = limits

    async def holder(self, token: str) -> DeviceToken | None:
        """Whose device token this is, when it is one that lives."""
        known = device_token.verified(token, self._device_keys)
        now = self._clock.now()
        if known is None or known.expires_at <= now:
            return None
        async with asyncio.timeout(self._limits.database_seconds_max):
            lives = await self._database.read(lambda q: store.is_live(q, known.jti, now))
        return known if lives else None

    async def listed(self, holder: DeviceToken) -> list[ListedDevice]:
        return [ListedDevice(each, each.device == holder.device) for each in await self.of(holder.subscriber)]

    async def of(self, subscriber_id: str) -> list[Device]:
        now = self._clock.now()
        async with asyncio.timeout(self._limits.database_seconds_max):
            return await self._database.read(lambda q: store.devices(q, subscriber_id, now))

    async def see(self, holder: DeviceToken) -> None:
        """Notes that the device is in use, to the hour."""
        now = self._clock.now()
        before = now - self._limits.seen_seconds
        async with asyncio.timeout(self._limits.database_seconds_max):
            await self._database.write(lambda t: store.see(t, holder.jti, now, not_since=before))

    async def end(self, holder: DeviceToken, *, device: str = "") -> int:
        """Ends one device, or all but the one that asks; returns how many ended."""
        if device:
            return await self._ended(holder.subscriber, only=device)
        return await self._ended(holder.subscriber, but=holder.device)

    async def end_all(self, subscriber_id: str, *, by: str) -> int:
        """At the operator's word, which stands in the journal."""
        return await self._ended(subscriber_id, by=by)

    async def _ended(self, subscriber_id: str, *, only: str | None = None, but: str | None = None, by: str = "") -> int:
        now = self._clock.now()

        async def work(transaction: Transaction) -> int:
            ended = await store.end_devices(transaction, subscriber_id, now, only=only, but=but)
            if by:
                self._journal.record(transaction, device_act("end-sessions", subscriber_id, by, now))
            return ended

        async with asyncio.timeout(self._limits.database_seconds_max):
            ended = await self._database.write(work)
        if ended:
            self._revoked()
        return ended


def device_act(step: str, subscriber_id: str, by: str, now: float) -> Outcome:
    """What a person did for a customer: no promise, and on the record."""
    return Outcome(
        time=now,
        service="television",
        step=step,
        layer="signin",
        verdict="kept",
        customer=subscriber_id,
        dimensions={"by": by},
    )
