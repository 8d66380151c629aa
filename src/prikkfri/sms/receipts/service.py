"""Receipts: a network's is matched with its message; what a submission came to is recorded, and its sender told."""

from collections.abc import Iterable

from prikkfri.sms import outcomes
from prikkfri.sms import store as messages
from prikkfri.sms.intake import Told
from prikkfri.sms.lifecycle import State
from prikkfri.sms.messages import Ending, network_state, reference_of
from prikkfri.sms.receipts import store
from prikkfri.sms.routing import Party
from prikkfri.sms.shared.service import Shared
from prikkfri.sms.trail import Step
from prikkfri.storage import Transaction


class Receipts:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def match(self, tx: Transaction, party: Party, told: Told, now: float) -> tuple[Ending | None, bool]:
        """The message that a network's receipt has ended, and whether the receipt fitted any."""
        state = network_state(told.receipt.state)
        if state is None:
            return None, True
        target, reason = str(party), "" if state is State.DELIVERED else f"network-{told.receipt.error}"
        known = told.receipt.message_id, told.recipient
        ending = await messages.end_by_receipt(tx, target, *known, state, reason=reason, now=now)
        if ending is not None or await store.is_known_id(tx, target, *known):
            return ending, True
        for message in await store.find_in_doubt(tx, target, told.recipient) if told.reference is not None else ():
            if reference_of(message) == told.reference:
                await messages.mark_sent(tx, [(message, told.receipt.message_id)], now=now)
                await messages.add_events(tx, [(message, Step(now, "doubt-settled", "the network's receipt names it"))])
                return await messages.end(tx, message, state, reason=reason, now=now), True
        return None, False

    async def record(self, tx: Transaction, endings: Iterable[Ending], now: float) -> None:
        """Stores what submissions came to whose messages have ended: their receipts and their outcomes."""
        told: set[str] = set()
        for ending in endings:
            # Parts may end together: what their submission came to is told once.
            if Party.parse(ending.origin).kind == "canary" or ending.submission in told:
                continue
            told.add(ending.submission)
            state: State | None = ending.state
            if ending.parts > 1:
                state = await store.end_submission(tx, ending.submission, now=now)
            if state is not None:
                self._record_settled(tx, ending, state, now)

    def _record_settled(self, tx: Transaction, ending: Ending, state: State, now: float) -> None:
        partners = self._shared.partners
        dims = outcomes.dimensions(ending.origin, ending.target, ending.message_class, partners)
        for_account = Party.parse(ending.target).kind == "account"
        missed = state is State.EXPIRED and ending.target in self._shared.accounts_away()
        reason = outcomes.NOT_BOUND if missed else ending.reason
        self._shared.journal.record(
            tx,
            outcomes.settled(
                ending.submission, ending.recipient, state, reason, dims, for_account=for_account, now=now
            ),
        )

    def tell(self, ended: list[Ending]) -> None:
        """Counts what has ended, once that is stored, and wakes whoever waits for the receipts."""
        counters = self._shared.counters
        for ending in ended:
            if ending.state is State.DELIVERED:
                counters.delivered += 1
            else:
                counters.failed += 1
                counters.quarantined += ending.state is State.QUARANTINED
        self._shared.bound.wake(Party.parse(ending.origin) for ending in ended)
