"""Submissions: what is handed in, over either edge or by ourselves, is made durable with all that came beside it."""

from collections.abc import Awaitable, Callable
from functools import partial

from prikkfri.config import Account
from prikkfri.errors import InDoubt
from prikkfri.protocols.smpp.concatenation import TEXT_SECONDS_MAX, TEXTS_MAX
from prikkfri.sms import store
from prikkfri.sms.holding.service import Holding
from prikkfri.sms.intake import BatchResult, HeardResponses, ReceiptDelivery, hand_in
from prikkfri.sms.keys.service import Keys
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.receipts import store as receipts_store
from prikkfri.sms.receipts.service import ReceiptResult, Receipts
from prikkfri.sms.restores import store as restores_store
from prikkfri.sms.routing import Party
from prikkfri.sms.shared.service import SYSTEM_ID, CentreState, log
from prikkfri.sms.submission import Doubt, Refusal, TokenBucket, text_message
from prikkfri.sms.submissions import store as submissions_store
from prikkfri.sms.trail import Step
from prikkfri.storage import Transaction

ACCEPTED_HELD = ("accepted-after-restore", "nothing is sent until a person has decided")


class Submissions:
    def __init__(self, shared: CentreState, receipts: Receipts, keys: Keys, holding: Holding) -> None:
        self._shared = shared
        self._receipts = receipts
        self._keys = keys
        self._holding = holding

    async def recover(self) -> None:
        """References of long messages go on where the last process was."""
        shared = self._shared
        shared.references.recover(await shared.database.read(submissions_store.references))
        since = shared.clock.now() - TEXT_SECONDS_MAX
        taken = partial(submissions_store.part_references, since=since, limit=TEXTS_MAX)
        shared.part_references.recover(await shared.database.read(taken))

    async def submit(self, account: Account, sender: str, recipient: str, text: str) -> str | Doubt | Refusal:
        """Takes a text on: returns its id once it is durable. Raises `StorageError` or `FencedOut`: it is not kept."""
        message = text_message(sender, recipient, text)
        if isinstance(message, Refusal):
            return message
        party = Party("account", account.system_id)
        intake = BatchResult(self._shared.bucket(party))
        [(status, identity)] = hand_in(intake, [message], self._shared.batch_context(party))
        self._shared.buckets[party] = intake.bucket
        try:
            await self.store(party, intake)
        except InDoubt:
            if identity:
                return Doubt(identity)
        return identity or Refusal(status, intake.outcomes[-1].reason)

    async def send_canary(
        self, link: str, phone: str, text: str, *, seconds: float, note: Callable[[Transaction, str], Awaitable[None]]
    ) -> None:
        """Sends our own message over a link, stopped or not; `note` stores with it, by its id, what it is for.

        `seconds`: how long it may wait for the link. Raises `StorageError`.
        """
        message = text_message(SYSTEM_ID, phone, text)
        assert not isinstance(message, Refusal)
        given = self._shared.canary_batch_context(link, seconds)
        intake = BatchResult(TokenBucket(1.0, given.now))
        [(_, identity)] = hand_in(intake, [message], given)  # its outcomes are dropped: it is nobody's message

        async def work(tx: Transaction) -> None:
            await store.insert(tx, intake.messages)
            await note(tx, identity)

        await self._keys.make_durable()
        await self._shared.database.write(work)
        self._shared.bound.wake([Party("link", link)])

    async def store(self, party: Party, intake: BatchResult) -> list[ReceiptDelivery]:
        """Makes an intake durable; returns the receipts that could not be taken, since too many are kept.

        Raises `StorageError`.
        """
        shared, now = self._shared, self._shared.clock.now()
        references, part_references = shared.references.changed(), shared.part_references.changed()
        held = shared.holds and bool(intake.messages)

        messages = await self._holding.bind(intake.messages)
        shared.withheld |= intake.late_claims.keys()

        async def work(tx: Transaction) -> tuple[list[ReceiptDelivery], ReceiptResult]:
            answers = await self._hear_late(tx, party, intake, now) if intake.late_claims else intake
            await store.insert(tx, messages)
            if references:
                await submissions_store.put_references(tx, references)
            if part_references:
                await submissions_store.put_part_references(tx, part_references)
            if held:
                await restores_store.count_accepted(tx, len(intake.messages))
                await store.add_events(tx, [(each.id, Step(now, *ACCEPTED_HELD)) for each in intake.messages])
            await store.mark_sent(tx, answers.sent, now=now)
            await store.mark_in_doubt(
                tx,
                intake.in_doubt,
                ended_session=intake.ended_session,
                due_at=now + shared.settings.in_doubt_seconds,
            )
            for message, retry in answers.put_off:
                await store.put_off(tx, message, due_at=retry.due_at, reason=retry.reason, is_attempt=retry.is_attempt)
            later = now + shared.timing.receipt_retry_seconds
            await receipts_store.mark_receipts_delivered(tx, intake.receipts_given, now=now)
            await receipts_store.put_off_receipts(tx, intake.receipts_put_off, due_at=later)
            await store.add_events(tx, intake.events)
            shared.journal.record(tx, *intake.outcomes)
            settling = ReceiptResult(await store.end(tx, answers.ended, now=now))
            if party.kind == "link":
                await self._receipts.answers_came(tx, settling, party.name, answers.sent, now)
            refused = await self._receipts.take(tx, settling, party.name, intake.told, now)
            await self._receipts.record(tx, settling, now)
            return refused, settling

        await self._keys.make_durable()
        refused, settling = await shared.database.write(work)
        if intake.late_claims:
            for each in list(shared.pairs):
                shared.pairs[each].withdraw(intake.taken_late)
            shared.withheld -= intake.late_claims.keys()
            shared.bound.wake(shared.pairs)
        counters = shared.counters
        counters.accepted += len(intake.messages)
        counters.restored += len(intake.messages) if held else 0
        counters.refused += intake.refused
        counters.turned_back.update(intake.turned_back)
        counters.sent += len(intake.sent) + len(intake.late.sent)
        counters.in_doubt += len(intake.in_doubt)
        for ending in settling.ended:
            if ending.state is DeliveryState.QUARANTINED:
                log.critical("message %s is in quarantine: %s", ending.id, ending.reason)
        self._receipts.tell(settling)
        if party.kind == "link":
            self._receipts.note(party.name, intake)
            traffic = shared.traffic[party.name]
            traffic.note_handed_in(intake.messages, intake.turned_back, refused=intake.refused)
            traffic.returned += intake.heard.in_our_name
            shared.returned.extend(intake.heard.canaries)
            shared.said.extend((party.name, number) for number in intake.heard.wrong_numbers)
        if refused:
            self._receipts.say_full(party.name)
        if intake.put_off or intake.late.put_off:
            shared.came_back(party)
            shared.bound.wake([party])
        shared.bound.wake(Party.parse(message.target) for message in intake.messages)
        return refused

    async def _hear_late(self, tx: Transaction, party: Party, intake: BatchResult, now: float) -> HeardResponses:
        """What the answers come to, of which some came when nobody waited for them any more.

        What was taken then and waits to be sent again is not. A refusal holds of the copy that was refused: of one that
        has been sent since it says nothing.
        """
        shared, late = self._shared, intake.late
        last = await store.claims(tx, intake.late_claims)
        taken = intake.taken_late
        await store.release(tx, [each for pairs in shared.pairs.values() for each in pairs.unwritten(taken)])
        stale = {message for message, at in intake.late_claims.items() if last.get(message) != (str(party), at)}
        heard = taken | {message for message, _, _ in late.ended if message not in stale}
        recalled = await store.recall(tx, heard, str(party))
        step = Step(now, "not-sent-again", "its answer came late")
        await store.add_events(tx, [(message, step) for message in recalled])
        elsewhere = {
            message for message, (target, _) in last.items() if target != str(party) and message not in recalled
        }
        ended = [each for each in late.ended if each[0] not in (elsewhere if each[0] in taken else stale)]
        return HeardResponses(
            sent=[each for each in late.sent if each[0] not in elsewhere] + intake.sent,
            put_off=[each for each in late.put_off if each[0] not in stale] + intake.put_off,
            ended=ended + intake.ended,
        )
