"""Sealing keys: a fresh one is durable before anything that it seals, and each is destroyed when its hour is over.

Kept longer is a key by which something may still be sent (housekeeping is behind, an answer is awaited at the turn of
the hour), and all of them for a while after the clock has been set: an hour that is over by a mistake is no end.
"""

import asyncio

from prikkfri.errors import StorageError
from prikkfri.sms.keys import store
from prikkfri.sms.keys.steadiness import Steadiness
from prikkfri.sms.sealing import KeyName, hour_of, keys_to_destroy, read_name
from prikkfri.sms.shared.service import CentreState, log
from prikkfri.storage.sealing_keys import EARLIER, SealingKeys


class Keys:
    def __init__(self, shared: CentreState, kept: SealingKeys) -> None:
        self._shared = shared
        self._kept = kept
        self._one_at_a_time = asyncio.Lock()
        self._leaving: set[str] = set()
        """Forgotten, and still to be destroyed."""
        self._steadiness = Steadiness(shared.clock.now() - shared.clock.monotonic())

    async def recover(self) -> None:
        """An earlier version's key is kept until the last of what it may have sealed has expired.

        Raises `StorageError`.
        """
        earlier, sealer = read_name(EARLIER), self._shared.sealer
        keys = self._kept.load()
        if earlier is None or EARLIER not in keys:
            return
        last = await self._shared.database.read(store.latest_sealed)
        known = KeyName(None, hour_of(last))
        await self._kept.keep({known.text: keys[EARLIER]})
        sealer.rename(earlier, known)
        await self._kept.destroy([EARLIER])

    async def missing(self) -> int:
        """How many keys are not here by which something is sealed that may still be sent. Raises `StorageError`."""
        known = set(self._shared.sealer.names)
        if any(name.message_class is None for name in known):
            return 0  # the one key of an earlier version opens whatever has none of its own
        return len(await self._shared.database.read(store.sealed_now) - known)

    async def make_durable(self) -> None:
        """Whatever has been sealed can be opened after a crash. Raises `StorageError`."""
        sealer = self._shared.sealer
        if not sealer.fresh:
            return
        async with self._one_at_a_time:
            if not (fresh := dict(sealer.fresh)):
                return
            await self._kept.keep({name.text: key for name, key in fresh.items()})
            for name in fresh:
                sealer.fresh.pop(name, None)

    async def keep(self) -> None:
        """Until cancelled: destroys keys whose hour is over."""
        while True:
            await self._shared.clock.sleep(self._shared.timing.look_seconds)
            try:
                await self.destroy_what_is_over()
            except StorageError as error:
                log.error("sealing keys whose hour is over are not destroyed: %s", error)

    async def destroy_what_is_over(self) -> None:
        """Raises `StorageError`."""
        shared = self._shared
        sealer, timing = shared.sealer, shared.timing
        now, monotonic = shared.clock.now(), shared.clock.monotonic()
        self._steadiness = self._steadiness.observe(now, monotonic, step_seconds=timing.clock_step_seconds)
        if not self._steadiness.lasts(monotonic, steady_seconds=timing.clock_steady_seconds):
            return
        if not self._leaving and not keys_to_destroy(sealer.names, now=now, earliest_open=now):
            return
        earliest_open = await shared.database.read(store.earliest_open)
        async with self._one_at_a_time:
            ended = keys_to_destroy(sealer.names, now=now, earliest_open=earliest_open)
            sealer.forget(ended)  # before anything is awaited: nothing more is sealed by them
            self._leaving |= {name.text for name in ended}
            await self._kept.destroy(sorted(self._leaving))
            self._leaving.clear()
