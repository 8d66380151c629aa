"""Restored snapshots: the mark is kept, and held against the database at the start; then a person decides.

The mark is a guard, not a gate: where it cannot be written that is said, and messages are sent all the same. It is
written in a thread, at most once a look; what was committed after the last one is not missed.
"""

import asyncio
from contextlib import suppress
from functools import partial

from prikkfri.errors import FencedOut, StorageError
from prikkfri.journal import Point
from prikkfri.protocols.smpp.concatenation import TEXT_SECONDS_MAX
from prikkfri.sms import outcomes
from prikkfri.sms import store as messages
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Ending
from prikkfri.sms.receipts.service import Receipts
from prikkfri.sms.restored import (
    Decision,
    Mark,
    Restore,
    RestoreGap,
    find_gap,
    format_mark,
    is_abandoned,
    is_sensitive,
    next_line,
    octet_of,
    parse_mark,
    trouble,
)
from prikkfri.sms.restores import store
from prikkfri.sms.shared.service import CentreState, log
from prikkfri.sms.trail import Step
from prikkfri.storage import Transaction
from prikkfri.storage.marks import Mark as Kept

BATCH = 500
POSITIONS_SKIPPED = 1_000_000
"""More than any follower can have taken of the lost history after the last mark of it."""
_MAY_BE_SENT = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.IN_DOUBT)
_GARBLED = "the mark cannot be understood: a restored snapshot would not have been noticed at this start"


class Restores:
    def __init__(self, shared: CentreState, receipts: Receipts, kept: Kept | None) -> None:
        """`kept`: where the mark is; None: no mark is kept, and nothing is noticed."""
        self._shared = shared
        self._receipts = receipts
        self._kept = kept
        self._newest: Restore | None = None
        self._noticed = False
        self._decided = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._marked: Point | None = None
        self._marked_at = 0.0
        self._failed = 0
        self._mark_trouble = ""

    async def notice(self) -> None:
        """Holds the mark against the database as it was opened, once. Before anything is taken on or sent.

        Raises `StorageError`.
        """
        if self._noticed:
            return
        shared = self._shared
        self._newest = await shared.database.read(store.newest)
        mark = None if self._kept is None else await self._read(self._kept)
        opened = shared.journal.opened
        found = Mark(self._line(), opened.commits, opened.position, opened.written_at)
        lacks = find_gap(mark, found, self._newest)
        if mark is not None and lacks is not None:
            await self._begin(mark, found, lacks)
        if self._newest is not None and not self._newest.found:
            self._newest = await self._find(self._newest)
        if self._newest is not None and self._newest.holds:
            shared.holds = True
            log.critical("%s", trouble(self._newest))
        if self._newest is not None:
            # Parts that the lost history has sent are still at the phones.
            until = self._newest.noticed_at + TEXT_SECONDS_MAX
            shared.part_references.set_apart(octet_of(self._newest.line), until=until)
            shared.counters.restored = await shared.database.read(store.accepted)
        self._noticed = True
        await self.mark()

    async def keep(self) -> None:
        """Until cancelled: when a person has decided, what waited in the snapshot is gone through, step by step."""
        shared = self._shared
        if self._newest is not None and self._newest.decision:
            self._decided.set()
        while True:
            await self._decided.wait()
            try:
                while shared.holds:
                    await self._go_on()
                self._decided.clear()
            except StorageError as error:
                log.error("what waited in the restored snapshot is not gone through: %s", error)
                await shared.clock.sleep(shared.timing.look_seconds)

    async def keep_mark(self) -> None:
        """Until cancelled."""
        timing = self._shared.timing
        while True:
            await self._shared.clock.sleep(timing.mark_seconds)
            # One that is under way is not abandoned half read or half written.
            marking = asyncio.create_task(self.mark(), name="mark")
            try:
                await asyncio.shield(marking)
            except asyncio.CancelledError:
                await asyncio.wait([marking], timeout=timing.mark_seconds_max)
                raise

    async def mark(self) -> None:
        """Notes how far the centre has come, if it has come any further.

        Raises `FencedOut`, and nothing else: whoever is fenced out learns it here at the latest, so that what it has
        claimed does not leave for as long as it has nothing to write.
        """
        if self._kept is not None and self._noticed:
            async with self._one_at_a_time:
                await self._mark(self._kept)

    async def mark_last(self) -> None:
        """When nothing is committed any more, so that a snapshot from just before the end is told from the end."""
        marking = asyncio.create_task(self.mark(), name="mark")
        await asyncio.wait([marking], timeout=self._shared.timing.mark_seconds_max)
        if marking.done():
            with suppress(FencedOut):  # the mark is another's now
                marking.result()

    async def _mark(self, kept: Kept) -> None:
        shared = self._shared
        try:
            point = await shared.journal.point()
        except StorageError as error:
            self._say(f"how far the database has come cannot be read: {error}")
            return
        if point == self._marked:
            return
        now = shared.clock.now()
        octets = format_mark(Mark(self._line(), point.commits, point.position, now))
        writing = asyncio.create_task(kept.write(octets), name="mark")
        done, _ = await asyncio.wait([writing], timeout=shared.timing.mark_seconds_max)
        if not done:
            self._say(f"{kept} does not answer")
        try:
            await writing
        except OSError as error:
            self._say(f"{kept}: {error.strerror or error}")
            return
        self._marked, self._marked_at = point, now
        if self._mark_trouble:
            log.warning("the mark is written again")
        self._mark_trouble = ""

    async def newest(self) -> Restore | None:
        """The last restored snapshot that was noticed. Raises `StorageError`."""
        return await self._shared.database.read(store.newest)

    async def decide(self, decision: Decision, *, by: str) -> bool:
        """A person says what becomes of what waited; False when nothing is held, or somebody has said it already.

        Raises `StorageError`.
        """
        shared, now = self._shared, self._shared.clock.now()

        async def work(tx: Transaction) -> Restore | None:
            found = await store.newest(tx)
            if found is None or not found.holds or found.decision:
                return None
            found = found._replace(decision=decision, decided_by=by, decided_at=now)
            await store.put(tx, found)
            shared.journal.record(tx, outcomes.sending(decision, by=by, now=now))
            return found

        decided = await shared.database.write(work)
        if decided is None:
            return False
        self._newest = decided
        log.warning("what waited in the restored snapshot: %s, by %s", decision, by)
        self._decided.set()
        return True

    def troubles(self) -> list[str]:
        """What a person should know, a sentence each."""
        held = [trouble(self._newest)] if self._newest is not None and self._newest.holds else []
        return held + ([f"the mark is not kept: {self._mark_trouble}"] if self._mark_trouble else [])

    def metrics(self) -> dict[str, float]:
        return {
            "messages_restored_total": self._shared.counters.restored,
            "sending_held": self._shared.holds,
            "mark_failures_total": self._failed,
            "mark_age_seconds": self._shared.clock.now() - self._marked_at if self._marked_at else 0.0,
        }

    def _line(self) -> str:
        """Without a restored snapshot the journal's incarnation tells one database from another."""
        return self._newest.line if self._newest is not None else self._shared.journal.incarnation

    async def _read(self, kept: Kept) -> Mark | None:
        try:
            octets = await kept.read()
        except OSError as error:
            self._say(f"{kept}: {error.strerror or error}")
            return None
        if octets is None:
            log.warning("there is no mark at %s: at this start a restored snapshot would not be noticed", kept)
            return None
        found = parse_mark(octets)
        if found is None:
            log.error("%s: %s", kept, _GARBLED)
        return found

    def _say(self, what: str) -> None:
        self._failed += 1
        if what != self._mark_trouble:
            log.error("the mark is not kept, and a restored snapshot may go unnoticed: %s", what)
        self._mark_trouble = what

    async def _begin(self, mark: Mark, found: Mark, lacks: RestoreGap) -> None:
        shared, now = self._shared, self._shared.clock.now()
        begun = Restore(
            number=self._newest.number + 1 if self._newest is not None else 1,
            line=next_line(shared.journal.incarnation, shared.entropy(7), mark),
            mark_line=mark.line,
            mark_commits=mark.commits,
            noticed_at=now,
            snapshot_at=found.at,
            marked_at=mark.at,
            commits_missing=lacks.commits,
            outcomes_missing=lacks.outcomes,
            found=0,
            waiting=0,
            sensitive=0,
            accepted=0,
        )

        async def work(tx: Transaction) -> None:
            await store.put(tx, begun)
            await shared.journal.skip_to(tx, max(mark.position, found.position) + POSITIONS_SKIPPED)
            shared.journal.record(tx, outcomes.sending("", by="rule:mark", now=now))

        await shared.database.write(work)
        self._newest = begun

    async def _find(self, restore: Restore) -> Restore:
        """Notes of each message that may be sent that it waited in the snapshot, in steps of bounded size."""
        for state in _MAY_BE_SENT:
            after: tuple[float, str] | None = (0.0, "")
            while after is not None:
                work = partial(_find_some, restore=restore, state=state, after=after)
                restore, after = await self._shared.database.write(work)
        restore = restore._replace(found=1)
        await self._shared.database.write(lambda tx: store.put(tx, restore))
        return restore

    async def _go_on(self) -> None:
        shared, now = self._shared, self._shared.clock.now()

        async def work(tx: Transaction) -> tuple[Restore, list[Ending]]:
            restore = await store.newest(tx)
            assert restore is not None
            found = await store.waited(tx, limit=BATCH)
            given_up = [
                each.id
                for each in found
                if is_abandoned(restore.decision, each.state, each.message_class, overdue=each.expires_at <= now)
            ]
            ended = await messages.give_up(tx, given_up, now=now)
            await store.let_go(tx, [each.id for each in found])
            gone = frozenset(given_up)
            steps = [(each.id, _step(restore, now, given_up=each.id in gone)) for each in found]
            await messages.add_events(tx, steps)
            await self._receipts.record_ended(tx, ended, now)
            restore = restore._replace(
                given_up=restore.given_up + len(given_up),
                let_go=restore.let_go + len(found) - len(given_up),
                done_at=0.0 if found else now,
            )
            await store.put(tx, restore)
            return restore, ended

        restore, ended = await shared.database.write(work)
        self._newest = restore
        self._receipts.tell_ended(ended)
        if not restore.holds:
            shared.holds = False
            log.warning("messages are sent again")
            shared.bound.wake(shared.bound.parties())


async def _find_some(
    tx: Transaction, restore: Restore, state: DeliveryState, after: tuple[float, str]
) -> tuple[Restore, tuple[float, str] | None]:
    classes, following = await store.find(tx, state, restore.number, after=after, limit=BATCH)
    sensitive = sum(map(is_sensitive, classes))
    restore = restore._replace(waiting=restore.waiting + len(classes), sensitive=restore.sensitive + sensitive)
    await store.put(tx, restore)
    return restore, following


def _step(restore: Restore, now: float, *, given_up: bool) -> Step:
    what = "given up" if given_up else "kept"
    return Step(now, "restored", f"waited in a restored snapshot; {what} by {restore.decided_by}")
