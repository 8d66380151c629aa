"""Where a customer is signed in: listed and ended by themselves, by their device token, and by the operator."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from prikkfri.clock import Clock
from prikkfri.journal import Journal, Outcome
from prikkfri.protocols import device_token, jwt
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.signin import store
from prikkfri.signin.admission import Load, under_pressure
from prikkfri.signin.limits import Limits
from prikkfri.signin.store import Device
from prikkfri.storage import Database, Transaction
from prikkfri.storage.keys import SigningKey
from prikkfri.subscribers.store import packages_at

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class ListedDevice:
    device: Device
    here: bool
    """Whether it is the one that asks."""


@dataclass(frozen=True, slots=True)
class ChangedToken:
    """The same device token, for what may be watched now."""

    device_token: str = field(repr=False)
    gained: bool
    """Whether that is anything more."""


class Devices:
    """Each method raises `StorageError`, `InDoubt` or `TimeoutError` when the database does not answer."""

    def __init__(
        self,
        *,
        database: Database,
        journal: Journal,
        device_keys: jwt.PublicKeys,
        subscribers: Database,
        key: SigningKey,
        load: Callable[[], Load],
        revoked: Callable[[], None],
        clock: Clock,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`key` signs device tokens; `load` is that of the hash threads; `revoked` is told when tokens were revoked."""
        self._database = database
        self._subscribers = subscribers
        self._key = key
        self._load = load
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

    def put_off(self) -> float | None:
        """The seconds after which to ask again what `confirm` tells, since people wait to get in; None: ask now."""
        return self._limits.put_off_seconds if under_pressure(self._load()) else None

    async def confirm(self, holder: DeviceToken) -> ChangedToken | None:
        """Notes that the device is in use, and looks what it may watch now; None: what its token says.

        Nobody is put out by it: a customer who has nothing any more, or whom a file of customers has left out by a
        slip, keeps a device token, for nothing, and gets the next one when there is something again.
        """
        await self.see(holder)
        now = self._clock.now()
        async with asyncio.timeout(self._limits.database_seconds_max):
            packages = await self._subscribers.read(lambda q: packages_at(q, holder.subscriber, now))
        if set(packages) == set(holder.packages):
            return None
        token = device_token.issue(self._key.private, self._key.kid, replace(holder, packages=packages))
        return ChangedToken(token, gained=not set(packages) <= set(holder.packages))

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
