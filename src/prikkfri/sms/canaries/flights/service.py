"""Flights: canaries are sent over each link, as often as is looked at its way."""

import asyncio
import contextlib

from prikkfri.errors import StorageError
from prikkfri.sms.canaries import store
from prikkfri.sms.canaries.phones import TEXT, phone_of_turn
from prikkfri.sms.canaries.shared.service import CanaryState, log
from prikkfri.sms.trust.flying import pause
from prikkfri.storage import Transaction

TOKEN_OCTETS = 9


class Flights:
    def __init__(self, shared: CanaryState) -> None:
        self._shared = shared

    async def keep(self, link: str) -> None:
        """Until cancelled.

        Of a route that is looked at closely no canary waits for another one to be stored, but for its own phone: a
        database that is slow, or far away, makes nothing be found later.
        """
        shared, phones, turn = self._shared, self._shared.phones[link], 0
        room = asyncio.Semaphore(len(phones))
        async with asyncio.TaskGroup() as sending:
            while True:
                await room.acquire()
                sent = sending.create_task(self._send(link, phone_of_turn(phones, turn)))
                sent.add_done_callback(lambda _: room.release())
                turn += 1
                if not shared.hurries(link):
                    await asyncio.wait({sent})
                seen = shared.watches[link]
                seen.closer.clear()
                seconds, seen.allowance = pause(
                    always_seconds=shared.settings.canary_seconds,
                    phones=len(phones),
                    suspicious=shared.hurries(link),
                    allowance=seen.allowance,
                    now=shared.clock.now(),
                )
                with contextlib.suppress(TimeoutError):
                    async with shared.clock.timeout(seconds):
                        await seen.closer.wait()

    async def _send(self, link: str, phone: str) -> None:
        token, now = self._shared.entropy(TOKEN_OCTETS).hex(), self._shared.clock.now()

        async def note(tx: Transaction, message: str) -> None:
            await store.add(tx, token, message, link=link, phone=phone, now=now)

        try:
            if self._shared.centre.holds:  # one that does not leave proves nothing
                return
            seconds = 2 * self._shared.settings.canary_grace_seconds + self._shared.settings.canary_seconds
            await self._shared.centre.send_canary(link, phone, TEXT.format(token=token), seconds=seconds, note=note)
            self._shared.sent += 1
        except StorageError as error:
            log.error("no canary can be sent over %s: %s", link, error)
