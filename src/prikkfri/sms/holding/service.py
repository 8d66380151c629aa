"""Who holds a number is asked of the subscribers, which another role writes; nothing waits long for their answer."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from msgspec import structs

from prikkfri.errors import StorageError
from prikkfri.sms.holders import NumberHolder, bound_messages, number_holder, to_be_bound
from prikkfri.sms.messages import Message
from prikkfri.sms.shared.service import CentreState, log

Holders = Callable[[Collection[str]], Awaitable[Mapping[str, str] | None]]
"""By number (digits) the subscribers who hold some now; None: there are no subscribers. May raise `StorageError`."""


class Holding:
    def __init__(self, shared: CentreState, holders: Holders | None) -> None:
        """`holders` None: no message is bound to anybody."""
        self._shared = shared
        self._holders = holders
        self._asks_from = 0.0
        """Monotonic: after no answer it is not asked for a while."""
        self._answered = True

    async def bind(self, messages: list[Message]) -> list[Message]:
        """The same, each bound to the subscriber who holds its number at this moment."""
        numbers = to_be_bound(messages) if self._holders is not None else []
        found = await self._ask(numbers) if numbers else None
        if not found:
            return messages
        return [
            structs.replace(message, holder=found[message.recipient]) if message.recipient in found else message
            for message in messages
        ]

    async def look(self, messages: Collection[Message]) -> dict[str, NumberHolder]:
        """By id those whose number is no longer held by whom it was; where that cannot be told, none."""
        numbers = sorted({message.recipient for message in bound_messages(messages)})
        found = await self._ask(numbers) if numbers else None
        if found is None:
            return {}
        looked = {message.id: number_holder(message, found) for message in messages}
        return {identity: each for identity, each in looked.items() if each is not NumberHolder.SAME}

    async def _ask(self, numbers: Collection[str]) -> Mapping[str, str] | None:
        shared = self._shared
        now = shared.clock.monotonic()
        if self._holders is None:
            return None
        if now < self._asks_from:
            shared.counters.holders_unknown += len(numbers)
            return None
        try:
            async with shared.clock.timeout(shared.timing.holders_seconds_max):
                found = await self._holders(numbers)
        except (TimeoutError, StorageError) as error:
            shared.counters.holders_unknown += len(numbers)
            self._asks_from = now + shared.timing.holders_pause_seconds
            if self._answered:
                log.error(
                    "who holds a number cannot be told, and messages go on as before: %s", str(error) or "no answer"
                )
            self._answered = False
            return None
        self._answered = True
        return found
