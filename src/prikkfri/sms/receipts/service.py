"""Receipts: a network's is matched with its message; what a submission came to is recorded, and its sender told.

A network's receipt is matched in the transaction that stores it. One that fits no message then is kept, and answered
all the same: it may have come before the answer that names its message. It is looked at again when such an answer
comes, and now and then; when it has waited for long enough it is held in quarantine. An answer that comes later than
that finds it there, in the transaction that stores the answer. Of one id the first to come is the first to be looked
at.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from msgspec import structs

from prikkfri.errors import StorageError
from prikkfri.sms import outcomes
from prikkfri.sms import store as messages
from prikkfri.sms.addresses import read_recipient
from prikkfri.sms.intake import BatchResult, ReceiptDelivery
from prikkfri.sms.lifecycle import DeliveryState, ReceiptState
from prikkfri.sms.messages import Ending, network_state, reference_of
from prikkfri.sms.network_receipts import (
    NO_REFERENCE,
    HeldIndex,
    KnownMessage,
    NetworkReceipt,
    ReceiptMatch,
    as_kept,
    contradiction,
    contradicts,
    find,
    find_copy,
    is_named,
    next_try,
    receipt_id,
)
from prikkfri.sms.receipt_ids import (
    ALL,
    Habit,
    Match,
    MismatchReason,
    Reading,
    complaint,
    expected_ids,
    keys_apart,
    learn,
    readings,
)
from prikkfri.sms.receipts import store
from prikkfri.sms.routing import Party, numbering_of
from prikkfri.sms.shared.service import CentreState, log
from prikkfri.sms.trail import Step
from prikkfri.storage import Queries, Transaction

BATCH = 200
_CLAIMED, _WAITS = ReceiptState.SENDING, ReceiptState.WAITING
_DELIVERED, _EXPIRED, _UNREPORTED = DeliveryState.DELIVERED, DeliveryState.EXPIRED, DeliveryState.UNREPORTED
_NO_MESSAGE = MismatchReason.NO_MESSAGE


@dataclass
class ReceiptResult:
    """What looking at receipts came to: nothing of it counts before the transaction is stored (`tell`)."""

    ended: list[Ending] = field(default_factory=list)
    to_end: list[tuple[str, DeliveryState, str]] = field(default_factory=list)
    """What is yet to be written of this: by message its end and the reason."""
    origins: set[str] = field(default_factory=set)
    """Whose messages these are, as far as it is known."""
    claimed: list[Ending] = field(default_factory=list)
    """Those whose receipts are claimed by this: they stand in the queue of their sender when it is stored."""
    habits: dict[str, Habit] = field(default_factory=dict)
    waiting: Counter[str] = field(default_factory=Counter)
    """By link, how many more wait than before."""
    held: Counter[str] = field(default_factory=Counter)
    freed: list[tuple[str, str, Sequence[str]]] = field(default_factory=list)
    """What is held no more: link, receipt, its ids."""
    misfits: Counter[str] = field(default_factory=Counter)
    """By link, receipts that fit another number, or contradict what was told before."""
    found: dict[str, str] = field(default_factory=dict)
    """By receipt that was kept, its message."""
    contradicted: list[str] = field(default_factory=list)
    """What receipts say against what their messages have come to."""
    known: dict[frozenset[str], list[KnownMessage]] = field(default_factory=dict)
    """What was asked for ahead, by the keys of a receipt."""
    fitted: list[tuple[str, ReceiptMatch, bool]] = field(default_factory=list)
    """By link, what receipts have found, and whether they waited for it."""


class Receipts:
    def __init__(self, shared: CentreState) -> None:
        self._shared = shared
        self._settings = {link.name: _reading_of(link.receipt_ids) for link in shared.settings.links}
        self._kept_max = shared.settings.receipts_kept_max
        self._habits: dict[str, Habit] = {}
        self._waiting: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._held_index = HeldIndex()
        """It may name such as are held no more, and none that is held is missing."""
        self._numbers = count()
        self._due = asyncio.Event()
        self._told_at: dict[tuple[str, str], float] = {}
        self._complaining: set[str] = set()
        self._echoing: set[str] = set()
        """Links that have given back the reference of a message which they have named by its id, too."""

    async def recover(self) -> None:
        async def work(
            queries: Queries,
        ) -> tuple[dict[str, Habit], dict[str, tuple[int, int]], list[tuple[str, str, str, str]]]:
            return await store.habits(queries), await store.count_kept(queries), await store.held_ids(queries)

        self._habits, kept, held_ids = await self._shared.database.read(work)
        for name, receipt, *identities in held_ids:
            self._held_index.add(name, receipt, identities)
        for link, (waiting, held) in kept.items():
            self._waiting[link], self._held[link] = waiting, held

    def waiting(self, link: str) -> int:
        """How many of a link's receipts wait for the message that they fit."""
        return self._waiting[link]

    def held(self, link: str) -> int:
        return self._held[link]

    def setting(self, link: str) -> Reading | None:
        return self._settings.get(link)

    def habit(self, link: str) -> Habit:
        return self._habits.get(link, Habit())

    async def keep(self) -> None:
        """Looks again at the receipts that wait; until cancelled."""
        while True:
            try:
                async with self._shared.clock.timeout(self._shared.timing.early_receipt_look_seconds):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            try:
                for party in [
                    each for each in self._shared.claimed_receipts if not self._shared.bound.takes_messages(each)
                ]:
                    await self.take_back(party)
                while self._waiting.total() and await self._look_again() == BATCH:
                    pass
            except StorageError as error:
                log.error("receipts that wait: %s", error)
                await self._shared.clock.sleep(self._shared.timing.storage_pause_seconds)

    async def take(
        self, tx: Transaction, settling: ReceiptResult, link: str, told: Sequence[ReceiptDelivery], now: float
    ) -> list[ReceiptDelivery]:
        """Settles receipts that have come, or keeps them; returns those for which there is no room."""
        receipts = [as_kept(each, link, "", now) for each in told]
        await self._look_ahead(tx, settling, link, receipts)
        refused = []
        for each, receipt in zip(told, receipts, strict=True):
            before: tuple[float, int] | None = None
            why: MismatchReason | None = _NO_MESSAGE
            if self._waiting.get(link) or settling.waiting.get(link):
                before = await store.one_before(tx, link, receipt.next_hop_id)
            if before is None:
                why = await self._look(tx, settling, receipt, now, last=False)
            if why is not None and not await self._wait(tx, settling, receipt, why, before, now):
                refused.append(each)
        return refused

    async def _look_ahead(
        self, tx: Transaction, settling: ReceiptResult, link: str, receipts: Sequence[NetworkReceipt]
    ) -> None:
        """Asks for the messages of many receipts at once, as far as what becomes of one is nothing to the others."""
        ways = readings(self._settings.get(link), self.habit(link))
        apart = keys_apart([expected_ids(receipt.identities, ways) for receipt in receipts])
        found = await store.known_by_key(tx, str(Party("link", link)), [key for keys in apart for key in keys])
        for keys in apart:
            if all(key in found for key in keys):
                settling.known[keys] = [message for key in keys for message in found[key]]

    async def _wait(
        self,
        tx: Transaction,
        settling: ReceiptResult,
        receipt: NetworkReceipt,
        why: MismatchReason,
        before: tuple[float, int] | None,
        now: float,
    ) -> bool:
        """Keeps a receipt that fits nothing yet, with the one of its id that waits before it; False when too many are
        kept already."""
        link = receipt.link
        if self._waiting[link] + self._held[link] + settling.waiting[link] + settling.held[link] >= self._kept_max:
            return False
        due_at, tries = before or (self._next_look(receipt, now), 1)
        identity = receipt_id(now, next(self._numbers), self._shared.entropy(2))
        await store.add_network_receipt(
            tx, structs.replace(receipt, id=identity, due_at=due_at, tries=tries), reason=why
        )
        settling.waiting[link] += 1
        return True

    async def answers_came(
        self, tx: Transaction, settling: ReceiptResult, link: str, answers: Sequence[tuple[str, str]], now: float
    ) -> None:
        """What waits for one of these ids is due; what is held for one is looked at. `answers`: (message, id)."""
        if not self._waiting[link] and link not in self._held_index:
            return
        keys = expected_ids([given for _, given in answers if given])
        if self._waiting[link]:
            await store.make_due(tx, link, keys, now=now)
            self._due.set()
        if self._held_index.find(link, keys):
            for message, given in answers:
                await self._answer_held(tx, settling, link, message, given, now)

    async def _answer_held(
        self, tx: Transaction, settling: ReceiptResult, link: str, message: str, given: str, now: float
    ) -> None:
        """Settles what is held for the id that an answer has given a message, and came after the message had."""
        found = self._held_index.find(link, expected_ids([given] if given else []))
        for receipt in await store.held_network_receipts(tx, found):
            await self._end(tx, settling, now)
            identified = await store.identified(tx, message, given)
            if identified is None or receipt.came_at < identified.accepted_at:
                continue
            about: str | None = None
            if identified.bears_it:
                about = await self.release(tx, settling, receipt, now)
            elif (match := find_copy(receipt, identified)) is not None:
                about = message
                await self._fit(tx, settling, receipt, match, now)
                await self._settle_held(tx, settling, receipt)
            if about is not None:
                await messages.add_events(tx, [(about, Step(now, "receipt-released", "its answer came late"))])

    async def release(
        self, tx: Transaction, settling: ReceiptResult, receipt: NetworkReceipt, now: float
    ) -> str | None:
        """Looks once more at a receipt that is held; the message that it has found."""
        if await self._look(tx, settling, receipt, now, last=True) is not None:
            return None
        await self._settle_held(tx, settling, receipt)
        return settling.found[receipt.id]

    async def _settle_held(self, tx: Transaction, settling: ReceiptResult, receipt: NetworkReceipt) -> None:
        await store.settle_network_receipt(tx, receipt.id)
        self.free(settling, receipt.link, receipt.id, receipt.identities)

    def free(self, settling: ReceiptResult, link: str, receipt: str, identities: Sequence[str]) -> None:
        """A receipt is held no more."""
        settling.held[link] -= 1
        settling.freed.append((link, receipt, identities))

    async def _look_again(self) -> int:
        """At those that are due, `BATCH` at most; returns how many these were."""
        now = self._shared.clock.now()

        async def work(tx: Transaction) -> tuple[int, ReceiptResult]:
            settling = ReceiptResult()
            due = await store.due_network_receipts(tx, limit=BATCH, now=now)
            for receipt in due:
                await self._look_at_kept(tx, settling, receipt, now)
            await self.record(tx, settling, now)
            return len(due), settling

        found, settling = await self._shared.database.write(work)
        self.tell(settling)
        return found

    async def _look_at_kept(
        self, tx: Transaction, settling: ReceiptResult, receipt: NetworkReceipt, now: float
    ) -> None:
        timing = self._shared.timing
        last = now >= receipt.came_at + timing.early_receipt_seconds
        why = await self._look(tx, settling, receipt, now, last=last)
        if why is None:
            await store.settle_network_receipt(tx, receipt.id)
        elif last:
            await store.hold_network_receipt(tx, receipt.id, reason=why, now=now)
            self._learn(settling, receipt.link, why)
            self._held_index.add(receipt.link, receipt.id, receipt.identities)  # an answer may come before it is stored
            settling.misfits[receipt.link] += why is MismatchReason.OTHER_NUMBER
            settling.held[receipt.link] += 1
        else:
            await store.try_later(tx, receipt.id, due_at=self._next_look(receipt, now))
            return
        settling.waiting[receipt.link] -= 1

    def _next_look(self, receipt: NetworkReceipt, now: float) -> float:
        timing = self._shared.timing
        soon, early = timing.early_receipt_look_seconds, timing.early_receipt_seconds
        return next_try(receipt, now, soon_seconds=soon, early_seconds=early)

    async def _look(
        self, tx: Transaction, settling: ReceiptResult, receipt: NetworkReceipt, now: float, *, last: bool
    ) -> MismatchReason | None:
        """Does what a receipt says where it fits a message (None), else says why it fits none.

        `last`: whatever the link has taught, its ids are read in every way.
        """
        link = receipt.link
        setting, habit = self._settings.get(link), settling.habits.get(link) or self.habit(link)
        found: ReceiptMatch | MismatchReason = _NO_MESSAGE
        # What has been learnt since it came goes before all that could be meant: of several it may leave one.
        learnt = readings(setting, habit)
        for ways in (learnt,) if setting or not last or learnt == ALL else (learnt, ALL):
            keys = expected_ids(receipt.identities, ways)
            known = settling.known.pop(keys, None)
            if known is None:
                await self._end(tx, settling, now)
                known = await store.known(tx, str(Party("link", link)), keys)
            found = find(receipt, known, ways)
            if isinstance(found, ReceiptMatch):
                break
        named = receipt.reference != NO_REFERENCE and is_named(receipt, found)
        if receipt.reference != NO_REFERENCE and not named:
            await self._end(tx, settling, now)
            numbers, party = self._recipients(receipt), Party("link", link)
            doubtful = [each for number in numbers for each in await store.find_in_doubt(tx, str(party), number)]
            unanswered = self._shared.pairs[party].under_way(numbers)
            meant = {each for each in (*doubtful, *unanswered) if reference_of(each) == receipt.reference}
            if len(meant) == 1 and not meant.isdisjoint(doubtful):  # of two that share 16 bits either may be meant
                [message] = meant
                settling.known.clear()  # the id that it gets now may be another receipt's, too
                await messages.recall(tx, [message], str(party))
                await messages.mark_sent(tx, [(message, receipt.next_hop_id)], now=now)
                step = Step(now, "doubt-settled", "the network's receipt names it")
                await messages.add_events(tx, [(message, step)])
                await self._settle(tx, settling, receipt, message, "", now)
                self._note(settling, receipt, ReceiptMatch(message, DeliveryState.IN_DOUBT, now, Match(message, None)))
                return None
        if isinstance(found, ReceiptMatch):
            if named:
                self._echoing.add(link)
            elif self._is_anothers(receipt):
                return MismatchReason.OTHER_REFERENCE
            await self._fit(tx, settling, receipt, found, now)
            return None
        return found

    def _is_anothers(self, receipt: NetworkReceipt) -> bool:
        """Whether a receipt that fits by its id, and says no number, says by its reference that it is about another."""
        has_reference, has_number = receipt.reference != NO_REFERENCE, receipt.source or receipt.destination
        return has_reference and not has_number and receipt.link in self._echoing

    async def _fit(
        self, tx: Transaction, settling: ReceiptResult, receipt: NetworkReceipt, found: ReceiptMatch, now: float
    ) -> None:
        """Does what a receipt says of the message that it has found."""
        self._learn(settling, receipt.link, found.match)
        self._note(settling, receipt, found)
        if not found.ended:
            await self._settle(tx, settling, receipt, found.message, found.origin, now)
        elif what := contradiction(receipt, found):
            settling.contradicted.append(what)
            await store.add_contradiction(tx, found.message, what, now=now)

    def _note(self, settling: ReceiptResult, receipt: NetworkReceipt, found: ReceiptMatch) -> None:
        settling.found[receipt.id] = found.message
        if receipt.state is not None:
            settling.fitted.append((receipt.link, found, bool(receipt.id)))
            settling.misfits[receipt.link] += contradicts(receipt, found)

    def _recipients(self, receipt: NetworkReceipt) -> list[str]:
        """Those that a receipt may be about, as we write them."""
        numbering = numbering_of(self._shared.settings)
        written = dict.fromkeys((receipt.source, receipt.destination))
        read = [read_recipient(each, 0, numbering) for each in written]
        return list(dict.fromkeys(each.text for each in read if each is not None))

    def _learn(self, settling: ReceiptResult, link: str, found: Match | MismatchReason) -> None:
        habit = settling.habits.get(link) or self.habit(link)
        new = learn(habit, found)
        if new != habit:
            settling.habits[link] = new

    async def _settle(
        self, tx: Transaction, settling: ReceiptResult, receipt: NetworkReceipt, message: str, origin: str, now: float
    ) -> None:
        state = network_state(receipt.state)
        if state is None:
            await store.add_unknown_state(tx, message, receipt.word, now=now)
            return
        reason = "" if state is _DELIVERED else f"{outcomes.NETWORK}{receipt.error}"
        settling.to_end.append((message, state, reason))
        settling.origins.add(origin)

    async def _end(self, tx: Transaction, settling: ReceiptResult, now: float) -> None:
        """Writes what receipts have ended: all at once, but before anything is asked that may be about the same."""
        if settling.to_end:
            takers = sorted(filter(self._shared.takes_receipts, settling.origins))
            ended = await messages.end(tx, settling.to_end, now=now, takers=takers)
            settling.ended += ended
            settling.claimed += [each for each in ended if each.receipt == _CLAIMED and each.origin in takers]
            settling.to_end.clear()
            settling.origins.clear()

    async def record(self, tx: Transaction, settling: ReceiptResult, now: float) -> None:
        """Stores what has ended and what has been learnt, and what submissions came to: receipts and outcomes."""
        await self._end(tx, settling, now)
        for link, habit in settling.habits.items():
            await store.put_habit(tx, link, habit)
        await self.record_ended(tx, settling.ended, now)

    async def record_ended(self, tx: Transaction, endings: Iterable[Ending], now: float) -> None:
        """Stores what submissions came to whose messages have ended: their receipts and their outcomes."""
        told: set[str] = set()
        for ending in endings:
            # Parts may end together: what their submission came to is told once.
            if Party.parse(ending.origin).kind == "canary" or ending.submission in told:
                continue
            told.add(ending.submission)
            state: DeliveryState | None = ending.state
            if ending.parts > 1 or ending.receipt == _WAITS:
                self._shared.caught_up.discard(Party.parse(ending.origin))
            if ending.parts > 1:
                state = await store.end_submission(tx, ending.submission, now=now)
            if state is not None:
                self._record_settled(tx, ending, state, now)

    def _record_settled(self, tx: Transaction, ending: Ending, state: DeliveryState, now: float) -> None:
        dims = self._shared.partners.dimensions(ending.origin, ending.target, ending.message_class)
        for_account = Party.parse(ending.target).kind == "account"
        missed = state is _EXPIRED and self._shared.is_away(ending.target)
        reason = outcomes.NOT_BOUND if missed else ending.reason
        self._shared.journal.record(
            tx,
            outcomes.settled(
                ending.submission, ending.recipient, state, reason, dims, for_account=for_account, now=now
            ),
        )

    def tell(self, settling: ReceiptResult) -> None:
        """Knows and counts what is stored now, and says what somebody has to know."""
        self._habits |= settling.habits
        self._waiting += settling.waiting
        self._held += settling.held
        for freed in settling.freed:
            self._held_index.remove(*freed)
        held = sum(found for found in settling.held.values() if found > 0)
        self._shared.counters.receipts_unmatched += held
        for link, found in settling.held.items():
            if found > 0 and self._is_to_be_said(link, "held"):
                log.error("link %s: receipts fit no message; %d are in quarantine", link, self._held[link])
        for link, habit in settling.habits.items():
            self._say_complaint(link, habit)
        self._count(settling)
        self.tell_ended(settling.ended)
        self._enqueue(settling.claimed)

    def _count(self, settling: ReceiptResult) -> None:
        self._shared.counters.receipts_contradicted += len(settling.contradicted)
        traffic, now = self._shared.traffic, self._shared.clock.now()
        for link, fitting, waited in settling.fitted:
            if link in traffic:  # one that is configured no more may have left receipts
                traffic[link].note_fitting(fitting, now, waited=waited)
        for link, found in settling.held.items():
            if link in traffic and found > 0:
                traffic[link].unmatched += found
        for link, misfits in settling.misfits.items():
            if link in traffic:
                traffic[link].misfits += misfits

    def _is_to_be_said(self, link: str, what: str) -> bool:
        """Not more often than people read it."""
        now = self._shared.clock.now()
        last = self._told_at.get((link, what))
        if last is not None and now - last < self._shared.timing.held_told_seconds:
            return False
        self._told_at[link, what] = now
        return True

    def _say_complaint(self, link: str, habit: Habit) -> None:
        line = complaint(link, self._settings.get(link), habit)
        if line is None:
            self._complaining.discard(link)
        elif link not in self._complaining:
            self._complaining.add(link)
            log.error("%s", line)

    def note(self, link: str, intake: BatchResult) -> None:
        """Counts what a link's receipts say, and tells once of each word that nobody knows."""
        for word in self._shared.traffic[link].note_receipts(intake.receipts, unnamed=intake.receipts_unnamed):
            line = (
                "link %s: receipts tell a state that nobody knows, %r: it is kept with its message and settles nothing"
            )
            log.error(line, link, word)
        if intake.receipts_unnamed and self._is_to_be_said(link, "unnamed"):
            log.error("link %s: receipts that name no message are refused", link)

    def say_full(self, link: str) -> None:
        if self._is_to_be_said(link, "full"):
            line = "link %s: %d receipts that fit no message are kept: more are refused for now"
            log.error(line, link, self._kept_max)

    def tell_ended(self, ended: list[Ending]) -> None:
        """Counts what has ended, once that is stored, and wakes whoever waits for the receipts."""
        counters = self._shared.counters
        for ending in ended:
            if ending.state is _DELIVERED:
                counters.delivered += 1
            else:
                counters.failed += 1
                counters.quarantined += ending.state is DeliveryState.QUARANTINED
            if ending.reason == _UNREPORTED:  # neither in doubt, nor by the network's own word
                target = Party.parse(ending.target)
                if target.kind == "link" and target.name in self._shared.traffic:
                    self._shared.traffic[target.name].missing += 1
        waits = (each for each in ended if each.parts > 1 or each.receipt == ReceiptState.WAITING)
        self._shared.bound.wake(Party.parse(ending.origin) for ending in waits)

    def _enqueue(self, endings: Sequence[Ending]) -> None:
        """Whoever is bound for the senders writes their receipts, which are claimed already."""
        parties = [Party.parse(ending.origin) for ending in endings]
        for party, ending in zip(parties, endings, strict=True):
            self._shared.claimed_receipts[party].append(ending.due_receipt)
        self._shared.bound.wake(parties, to_claim=False)

    async def take_back(self, party: Party) -> None:
        """What was claimed at once and nobody has written waits as if it never had been. Raises `StorageError`."""
        queue = self._shared.claimed_receipts[party]
        ids, now = {receipt.id for receipt in queue}, self._shared.clock.now()
        if not ids:
            return
        await self._shared.database.write(partial(store.put_off_receipts, ids=sorted(ids), due_at=now))
        while queue and queue[0].id in ids:
            queue.popleft()
        self._shared.caught_up.discard(party)
        self._shared.bound.wake([party])


def _reading_of(setting: str) -> Reading | None:
    return Reading(setting) if setting else None
