"""Housekeeping: what the last process left, what is past its time, doubts to decide, queues that are full."""

from prikkfri.errors import StorageError
from prikkfri.protocols.smpp.concatenation import TEXT_SECONDS_MAX
from prikkfri.sms import outcomes
from prikkfri.sms import store as messages
from prikkfri.sms.delivery import is_sent_again
from prikkfri.sms.housekeeping import store
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Ending, Message
from prikkfri.sms.receipts import store as receipts_store
from prikkfri.sms.receipts.service import Receipts
from prikkfri.sms.routing import Party
from prikkfri.sms.shared.service import CentreState, log
from prikkfri.sms.submissions import store as submissions_store
from prikkfri.sms.trail import Step
from prikkfri.storage import Queries, Transaction

BATCH = 500


class Housekeeping:
    def __init__(self, shared: CentreState, receipts: Receipts) -> None:
        self._shared = shared
        self._receipts = receipts

    async def recover(self) -> None:
        """What was on its way when the last process ended is in doubt."""
        shared, now = self._shared, self._shared.clock.now()

        async def work(tx: Transaction) -> list[Message]:
            due_at = now + shared.settings.in_doubt_seconds
            doubtful = await messages.doubt_what_was_sending(tx, due_at=due_at)
            await messages.add_events(
                tx, [(message.id, Step(now, "in-doubt", "the centre restarted")) for message in doubtful]
            )
            gone = [message for message in doubtful if message.goes_to_network]
            told = [outcomes.handed_over(each, shared.partners, reason="in-doubt") for each in gone]
            shared.journal.record(tx, *told)
            return doubtful

        doubtful = await shared.database.write(work)
        shared.counters.in_doubt += len(doubtful)
        if doubtful:
            log.warning("%d messages were on their way when the last process ended: in doubt", len(doubtful))

    async def keep(self) -> None:
        """Until cancelled."""
        shared = self._shared
        erased_at = counted_at = 0.0
        while True:
            await shared.clock.sleep(shared.timing.look_seconds)
            now = shared.clock.now()
            try:
                if now - counted_at >= shared.timing.count_every_seconds:
                    counted_at = now
                    await self._find_full()
                await self._expire(now)
                for party in shared.bound.parties():
                    since = shared.bound.since[party]  # some may have left meanwhile
                    if (
                        not shared.holds
                        and shared.bound.count(party)
                        and since + shared.settings.in_doubt_seconds <= now
                    ):
                        await self._decide_doubts(party, now)
                if now - erased_at >= shared.timing.erase_every_seconds:
                    erased_at = now
                    await self._erase(now)
            except StorageError as error:
                log.error("housekeeping: %s", error)

    async def _expire(self, now: float) -> None:
        unreported = now - self._shared.timing.unreported_seconds
        overdue = ((DeliveryState.WAITING, now), (DeliveryState.IN_DOUBT, now), (DeliveryState.SENT, unreported))

        async def work(tx: Transaction) -> list[list[Ending]]:
            ended = [
                await messages.end_overdue(tx, state, before=before, limit=BATCH, now=now) for state, before in overdue
            ]
            await self._receipts.record_ended(tx, [ending for each in ended for ending in each], now)
            return ended

        left = True
        while left:
            ended = await self._shared.database.write(work)
            left = any(len(each) >= BATCH for each in ended)
            self._receipts.tell_ended([ending for each in ended for ending in each])

    async def _decide_doubts(self, party: Party, now: float) -> None:
        """No receipt has told what became of these: they are sent again, or ended and told of."""

        async def work(tx: Transaction) -> list[Ending]:
            unreported = []
            for message, origin, message_class, doubts in await store.settled_doubts(
                tx, str(party), limit=BATCH, now=now
            ):
                account = self._shared.accounts.get(Party.parse(origin).name) if origin.startswith("account:") else None
                if not is_sent_again(doubts, message_class, account):
                    unreported.append((message, DeliveryState.UNREPORTED, "in-doubt"))
                else:
                    await messages.put_off(tx, message, due_at=now, reason="sent-again-after-doubt")
                    await messages.add_events(
                        tx, [(message, Step(now, "to-be-sent-again", "no word of it after a doubt"))]
                    )
            ended = await messages.end(tx, unreported, now=now)
            await self._receipts.record_ended(tx, ended, now)
            return ended

        self._receipts.tell_ended(await self._shared.database.write(work))
        self._shared.came_back(party)
        self._shared.bound.wake([party])

    async def _find_full(self) -> None:
        limit = self._shared.settings.waiting_max
        parties = [
            *(Party(kind, name) for name in self._shared.traffic for kind in ("link", "held")),
            *(Party("account", name) for name in self._shared.accounts),
        ]

        async def work(queries: Queries) -> frozenset[Party]:
            return frozenset([party for party in parties if await store.is_full(queries, str(party), limit=limit)])

        full = await self._shared.database.read(work)
        for party in full - self._shared.full:
            log.error("%d messages wait for %s: no more are taken on for it", limit, party)
        self._shared.full = full

    async def _erase(self, now: float) -> None:
        before = now - self._shared.settings.kept_days * 86_400

        async def work(tx: Transaction) -> int:
            return await store.erase(tx, ended_before=before, limit=BATCH)

        async def forget(tx: Transaction) -> int:
            return await receipts_store.erase_discarded(tx, discarded_before=before, limit=BATCH)

        async def free(tx: Transaction) -> int:
            return await submissions_store.erase_part_references(tx, before=now - TEXT_SECONDS_MAX, limit=BATCH)

        for step in (work, forget, free):
            while await self._shared.database.write(step) == BATCH:
                pass
