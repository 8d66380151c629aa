"""Flights: canaries are sent over each link, as often as is looked at its way."""

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
        """Until cancelled."""
        turn = 0
        while True:
            await self._send(link, phone_of_turn(self._shared.phones[link], turn))
            turn += 1
            seen = self._shared.watches[link]
            seen.closer.clear()
            seconds, seen.allowance = pause(
                always_seconds=self._shared.settings.canary_seconds,
                phones=len(self._shared.phones[link]),
                suspicious=self._shared.hurries(link),
                allowance=seen.allowance,
                now=self._shared.clock.now(),
            )
            with contextlib.suppress(TimeoutError):
                async with self._shared.clock.timeout(seconds):
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
