"""Quarantine: receipts that fit no message, and messages that are not what was sealed. Nothing leaves it by itself."""

from collections.abc import Sequence

from prikkfri.sms import store as messages
from prikkfri.sms.lifecycle import State
from prikkfri.sms.messages import Ending
from prikkfri.sms.shared.service import Shared
from prikkfri.storage import Transaction


class Quarantine:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def hold_messages(self, tx: Transaction, misdirected: Sequence[str], now: float) -> list[Ending]:
        """Messages that were claimed, and must not leave the house."""
        ended = [await messages.end(tx, each, State.QUARANTINED, reason="misdirected", now=now) for each in misdirected]
        return [ending for ending in ended if ending is not None]
