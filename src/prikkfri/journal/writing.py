"""Appending: a stream of outcomes whose positions have no gaps, on either engine.

Each group's transaction takes its positions by one UPDATE of the stream's row. The row's lock lasts until the commit
is visible, so a reader that has seen position p has seen everything below it; a serial column would give a late
commit a number that readers have already passed. The outcomes of a group are one row: its `position` is that of its
last outcome.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable

from prikkfri.clock import Clock
from prikkfri.errors import FencedOut, StorageError
from prikkfri.journal.outcomes import Outcome, encode_batch
from prikkfri.storage import Database, Transaction

SPOOL_PENDING_OUTCOMES_MAX = 50_000


class Journal:
    """The writer of one stream in a role's own database."""

    def __init__(self, database: Database, *, stream: str, clock: Clock, epoch: int) -> None:
        self.stream = stream
        self.database = database
        self._clock = clock
        self._epoch = epoch
        database.on_commit(self._append)

    def record(self, transaction: Transaction, *outcomes: Outcome) -> None:
        """Adds outcomes to the transaction of the state that they tell about."""
        transaction.collected.extend(outcomes)

    async def append(self, *outcomes: Outcome) -> None:
        """Records outcomes that go with no other state; returns when they are durable."""

        async def work(transaction: Transaction) -> None:
            self.record(transaction, *outcomes)

        await self.database.write(work)

    async def _append(self, transaction: Transaction) -> None:
        outcomes: list[Outcome] = transaction.collected
        if not outcomes:
            return
        row = await transaction.fetch_one(
            "UPDATE journal_stream SET position = position + :n WHERE stream = :stream AND epoch = :epoch"
            " RETURNING position",
            {"n": len(outcomes), "stream": self.stream, "epoch": self._epoch},
        )
        if row is None:
            raise FencedOut(f"another process writes the journal stream {self.stream} now")
        await transaction.execute(
            "INSERT INTO journal_batch (stream, position, outcomes, written_at, payload)"
            " VALUES (:stream, :position, :outcomes, :written_at, :payload)",
            {
                "stream": self.stream,
                "position": row[0],
                "outcomes": len(outcomes),
                "written_at": self._clock.now(),
                "payload": encode_batch(outcomes),
            },
        )


async def open_journal(database: Database, *, stream: str, clock: Clock) -> Journal:
    """Takes a stream over: whoever wrote it before is fenced out from now on."""
    incarnation = secrets.token_hex(8)

    async def claim(transaction: Transaction) -> int:
        await transaction.execute(
            "INSERT INTO journal_stream (stream, incarnation, epoch, position, trimmed_to, overflowed)"
            " VALUES (:stream, :incarnation, 0, 0, 0, 0) ON CONFLICT (stream) DO NOTHING",
            {"stream": stream, "incarnation": incarnation},
        )
        row = await transaction.fetch_one(
            "UPDATE journal_stream SET epoch = epoch + 1 WHERE stream = :stream RETURNING epoch", {"stream": stream}
        )
        assert row is not None
        epoch: int = row[0]
        return epoch

    return Journal(database, stream=stream, clock=clock, epoch=await database.write(claim))


class Spool:
    """The journal of a role without a database: `record` never waits and never fails; what overflows is counted."""

    def __init__(self, journal: Journal, *, outcomes_max: int, alarm: Callable[[str], None]) -> None:
        self.overflowed = 0
        self._journal = journal
        self._outcomes_max = outcomes_max
        self._pending: deque[Outcome] = deque()
        self._arrived = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._alarm = alarm

    def record(self, outcome: Outcome) -> None:
        if len(self._pending) >= SPOOL_PENDING_OUTCOMES_MAX:
            self.overflowed += 1
            return
        self._pending.append(outcome)
        self._arrived.set()

    async def run(self) -> None:
        """Writes what is recorded until cancelled; then writes what is left."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                # A batch that is on its way to the disk is not to be abandoned half known.
                self._writing = asyncio.create_task(self._write_pending(), name="spool")
                await asyncio.shield(self._writing)
        finally:
            if self._writing is not None:
                await self._writing
            await self._write_pending()

    async def _write_pending(self) -> None:
        while self._pending:
            batch = [self._pending.popleft() for _ in range(min(len(self._pending), 5_000))]
            dropped, self.overflowed = self.overflowed, 0

            async def work(transaction: Transaction, batch: list[Outcome] = batch, dropped: int = dropped) -> int:
                room = await self._room(transaction)
                kept = batch[: max(room, 0)]
                self._journal.record(transaction, *kept)
                lost = dropped + len(batch) - len(kept)
                if lost:
                    await transaction.execute(
                        "UPDATE journal_stream SET overflowed = overflowed + :lost WHERE stream = :stream",
                        {"lost": lost, "stream": self._journal.stream},
                    )
                return lost

            try:
                if lost := await self._journal.database.write(work):
                    self._alarm(f"the spool is full: {lost} outcomes were dropped")
            except StorageError as error:
                # The role serves on: a full disk must not take the door down with it.
                self.overflowed += dropped + len(batch)
                self._alarm(f"the spool cannot be written: {len(batch)} outcomes were dropped: {error}")

    async def _room(self, transaction: Transaction) -> int:
        row = await transaction.fetch_one(
            "SELECT position - trimmed_to FROM journal_stream WHERE stream = :stream", {"stream": self._journal.stream}
        )
        assert row is not None
        held: int = row[0]
        return self._outcomes_max - held


async def trim(journal: Journal, *, taken_to: int, written_before: float) -> int:
    """Drops batches that every follower has taken and that are older than `written_before`; returns the new floor.

    `taken_to` is the lowest position that a follower has committed.
    """

    async def work(transaction: Transaction) -> int:
        row = await transaction.fetch_one(
            "SELECT COALESCE(MAX(position), 0) FROM journal_batch"
            " WHERE stream = :stream AND position <= :taken_to AND written_at < :before",
            {"stream": journal.stream, "taken_to": taken_to, "before": written_before},
        )
        assert row is not None
        floor: int = row[0]
        if floor:
            await transaction.execute(
                "DELETE FROM journal_batch WHERE stream = :stream AND position <= :floor",
                {"stream": journal.stream, "floor": floor},
            )
            await transaction.execute(
                "UPDATE journal_stream SET trimmed_to = :floor WHERE stream = :stream",
                {"stream": journal.stream, "floor": floor},
            )
        return floor

    return await journal.database.write(work)
