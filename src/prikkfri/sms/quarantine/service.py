"""Quarantine: receipts that fit no message, and messages that are not what was sealed. Nothing leaves it by itself."""

import asyncio
from collections.abc import Sequence

from prikkfri.errors import StorageError
from prikkfri.sms import store as messages
from prikkfri.sms.intake import Told
from prikkfri.sms.lifecycle import State
from prikkfri.sms.messages import Ending
from prikkfri.sms.quarantine import store
from prikkfri.sms.routing import Party
from prikkfri.sms.shared.service import Connection, Shared, log
from prikkfri.storage import Transaction


class Quarantine:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def hold_messages(self, tx: Transaction, misdirected: Sequence[str], now: float) -> list[Ending]:
        """Messages that were claimed, and must not leave the house."""
        ended = [await messages.end(tx, each, State.QUARANTINED, reason="misdirected", now=now) for each in misdirected]
        return [ending for ending in ended if ending is not None]

    async def held(self, connection: Connection, party: Party, told: Told) -> bool:
        """A receipt that fits no message may be early: it is put back for a while (False), then held in quarantine."""
        timing, now = self._shared.timing, self._shared.clock.now()

        def later() -> bool:
            asyncio.get_running_loop().call_later(timing.early_receipt_look_seconds, connection.put_back, told)
            return False

        if now - told.since < timing.early_receipt_seconds or connection.ended:
            return later()

        async def work(tx: Transaction) -> None:
            receipt = told.receipt
            await store.hold_receipt(
                tx,
                party.name,
                receipt.message_id,
                receipt.state or 0,
                told.recipient,
                reason="fits-no-message",
                now=now,
            )

        try:
            await self._shared.database.write(work)
        except StorageError:
            return later()
        self._shared.counters.receipts_unmatched += 1
        log.error("link %s: a receipt fits no message and is in quarantine", party.name)
        return True
