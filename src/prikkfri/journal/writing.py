"""Appending: a stream of outcomes whose positions have no gaps, on either engine.

Each group's transaction takes its positions by one UPDATE of the stream's row. The row's lock lasts until the commit
is visible, so a reader that has seen position p has seen everything below it; a serial column would give a late
commit a number that readers have already passed. The outcomes of a group are one row: its `position` is that of its
last outcome.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from typing import NamedTuple

from prikkfri.clock import SYSTEM_CLOCK, Clock
from prikkfri.errors import FencedOut, InDoubt, PrikkfriError, StorageError
from prikkfri.journal.limits import LIMITS, JournalLimits
from prikkfri.journal.outcomes import Outcome, encode_batch
from prikkfri.storage import Database, Queries, Transaction


class Point(NamedTuple):
    """How far the writer of a stream has come."""

    incarnation: str
    commits: int
    """Groups that have been committed, those without outcomes too: each moves it, whatever it wrote."""
    position: int
    written_at: float
    """When the newest outcome that is kept was written; 0: there is none."""


class Journal:
    """The writer of one stream in a role's own database."""

    def __init__(
        self,
        database: Database,
        *,
        stream: str,
        clock: Clock,
        incarnation: str,
        epoch: int,
        opened: Point | None = None,
    ) -> None:
        self.stream = stream
        self.incarnation = incarnation
        """Which of the streams of this name it is: another one begins when a file is lost."""
        self.epoch = epoch
        """Who writes it: the newest epoch alone may."""
        self.opened = opened or Point(incarnation, 0, 0, 0.0)
        """How far the stream had come when it was taken over."""
        self.database = database
        self.taken_to = 0
        """The position up to which every follower has taken the stream, as last told."""
        self._clock = clock
        database.on_commit(self._append)

    async def point(self) -> Point:
        """How far it has come: what is committed, and so on disk. Raises `StorageError`, `FencedOut`."""

        async def work(queries: Queries) -> Point:
            row = await queries.fetch_one(
                "SELECT epoch FROM journal_stream WHERE stream = :stream", {"stream": self.stream}
            )
            if row is None or row[0] != self.epoch:
                raise FencedOut(f"another process writes the journal stream {self.stream} now")
            return await _point(queries, self.stream)

        return await self.database.read(work)

    async def skip_to(self, transaction: Transaction, position: int) -> None:
        """What follows is beyond that position at least: followers have been told of others up to there.

        They find a gap, which they tell of, rather than take what is new for what they have taken already.
        """
        await transaction.execute(
            "UPDATE journal_stream SET position = :position WHERE stream = :stream AND position < :position",
            {"stream": self.stream, "position": position},
        )

    def record(self, transaction: Transaction, *outcomes: Outcome) -> None:
        """Adds outcomes to the transaction of the state that they tell about."""
        transaction.collected.extend(outcomes)

    async def append(self, *outcomes: Outcome) -> None:
        """Records outcomes that go with no other state; returns when they are durable."""

        async def work(transaction: Transaction) -> None:
            self.record(transaction, *outcomes)

        await self.database.write(work)

    async def _append(self, transaction: Transaction) -> None:
        # Also where there is nothing to append: what a fenced writer does to other state is not wanted either.
        outcomes: list[Outcome] = transaction.collected
        row = await transaction.fetch_one(
            "UPDATE journal_stream SET position = position + :n, commits = commits + 1"
            " WHERE stream = :stream AND epoch = :epoch RETURNING position",
            {"n": len(outcomes), "stream": self.stream, "epoch": self.epoch},
        )
        if row is None:
            raise FencedOut(f"another process writes the journal stream {self.stream} now")
        if not outcomes:
            return
        await transaction.execute_many(
            "INSERT INTO journal_batch (stream, position, outcomes, written_at, payload)"
            " VALUES (:stream, :position, :outcomes, :written_at, :payload)",
            [
                {
                    "stream": self.stream,
                    "position": row[0],
                    "outcomes": len(outcomes),
                    "written_at": self._clock.now(),
                    "payload": encode_batch(outcomes),
                }
            ],
        )


async def open_journal(
    database: Database, *, stream: str, clock: Clock, entropy: Callable[[int], bytes] = os.urandom
) -> Journal:
    """Takes a stream over: whoever wrote it before is fenced out from now on. `entropy(n)` gives n random octets."""

    async def claim(transaction: Transaction) -> tuple[int, Point]:
        await transaction.execute(
            "INSERT INTO journal_stream (stream, incarnation, epoch, position, trimmed_to, overflowed)"
            " VALUES (:stream, :incarnation, 0, 0, 0, 0) ON CONFLICT (stream) DO NOTHING",
            {"stream": stream, "incarnation": entropy(8).hex()},
        )
        row = await transaction.fetch_one(
            "UPDATE journal_stream SET epoch = epoch + 1 WHERE stream = :stream RETURNING epoch",
            {"stream": stream},
        )
        assert row is not None
        return row[0], await _point(transaction, stream)

    epoch, opened = await database.write(claim)
    return Journal(database, stream=stream, clock=clock, incarnation=opened.incarnation, epoch=epoch, opened=opened)


async def _point(queries: Queries, stream: str) -> Point:
    row = await queries.fetch_one(
        "SELECT incarnation, commits, position, COALESCE((SELECT written_at FROM journal_batch"
        " WHERE stream = :stream ORDER BY position DESC LIMIT 1), 0) FROM journal_stream WHERE stream = :stream",
        {"stream": stream},
    )
    assert row is not None
    return Point(row[0], row[1], row[2], float(row[3]))


class Spool:
    """The journal of a role without a database: `record` never waits and never fails; what overflows is counted.

    `outcomes_max` limits what is kept for followers that are away, `limits` what waits in memory for the disk.
    """

    def __init__(
        self,
        opening: Callable[[], Awaitable[Journal]],
        *,
        outcomes_max: int,
        alarm: Callable[[str], None],
        clock: Clock = SYSTEM_CLOCK,
        limits: JournalLimits = LIMITS,
    ) -> None:
        """`opening` opens the journal when the spool runs: a role starts, and serves, also where that fails."""
        self.overflowed = 0
        """Dropped, and not yet told to the followers."""
        self.journal: Journal | None = None
        """None until it could be opened."""
        self._opening = opening
        self._clock = clock
        self._outcomes_max = outcomes_max
        self._limits = limits
        self._pending: deque[Outcome] = deque()
        self._arrived = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._alarm = alarm
        self._in_trouble = False

    @property
    def pending(self) -> int:
        """Outcomes that wait for the disk."""
        return len(self._pending)

    def record(self, outcome: Outcome) -> None:
        if len(self._pending) >= self._limits.pending_outcomes_max:
            self.overflowed += 1
            return
        self._pending.append(outcome)
        self._arrived.set()

    async def run(self) -> None:
        """Writes what is recorded until cancelled; then writes what is left. Raises `FencedOut`."""
        try:
            while True:
                if self.journal is None and not await self._opened():
                    await self._clock.sleep(self._limits.pause_seconds)
                    continue
                await self._arrived.wait()
                self._arrived.clear()
                # A batch that is on its way to the disk is not to be abandoned half known.
                self._writing = asyncio.create_task(self._write_pending())
                await asyncio.shield(self._writing)
                if self._pending:
                    await self._clock.sleep(self._limits.pause_seconds)
                    self._arrived.set()
        finally:
            try:
                if self._writing is not None:
                    await self._writing
                if self.journal is not None or await self._opened():
                    await self._write_pending()
            finally:  # also when another process has taken the stream over
                if lost := len(self._pending) + self.overflowed:
                    self._alarm(f"the spool cannot be written: {lost} outcomes are lost")

    async def close(self) -> None:
        """Closes the journal's database, once `run` has ended."""
        if self.journal is not None:
            await self.journal.database.close()

    async def _opened(self) -> bool:
        try:
            self.journal = await self._opening()
        except (StorageError, InDoubt) as error:  # taken over twice is taken over
            self._note_trouble(error)
            return False
        self._in_trouble = False
        return True

    def _note_trouble(self, error: PrikkfriError) -> None:
        if not self._in_trouble:
            self._alarm(f"the spool cannot be written: {error}")
        self._in_trouble = True

    async def _write_pending(self) -> None:
        """Writes until nothing waits, or until the disk refuses: the role serves on, and what waits is tried again."""
        assert self.journal is not None
        while self._pending:
            batch = list(islice(self._pending, self._limits.batch_outcomes_max))
            dropped = self.overflowed
            try:
                lost = await self.journal.database.write(partial(self._write, self.journal, batch, dropped))
            except InDoubt as error:
                # Written or not: to write it again might count it twice, so that it is called lost.
                self._alarm(f"{len(batch)} outcomes may be lost: {error}")
                self.overflowed += len(batch)
            except StorageError as error:
                self._note_trouble(error)
                return
            else:
                self.overflowed -= dropped
                self._in_trouble = False
                if lost:
                    self._alarm(f"the spool is full: {lost} outcomes were dropped")
            for _ in batch:
                self._pending.popleft()

    async def _write(self, journal: Journal, batch: list[Outcome], dropped: int, transaction: Transaction) -> int:
        """Writes as much of a batch as there is room for; returns how many are lost."""
        row = await transaction.fetch_one(
            "SELECT position, trimmed_to FROM journal_stream WHERE stream = :stream", {"stream": journal.stream}
        )
        assert row is not None
        position, trimmed_to = row
        room = self._outcomes_max - (position - max(trimmed_to, journal.taken_to))
        kept = batch[: max(room, 0)]
        journal.record(transaction, *kept)
        lost = dropped + len(batch) - len(kept)
        if lost:
            await transaction.execute(
                "UPDATE journal_stream SET overflowed = overflowed + :lost WHERE stream = :stream",
                {"lost": lost, "stream": journal.stream},
            )
        return lost


async def trim(
    journal: Journal,
    *,
    taken_to: int,
    written_before: float,
    held_max: int | None = None,
    limits: JournalLimits = LIMITS,
) -> int:
    """Drops batches that every follower has taken and that are older than `written_before`; returns the new floor.

    `taken_to` is the lowest position that a follower has committed. With `held_max` a taken batch goes, however
    young, when more outcomes than that have come after it. Returns 0 when there was nothing to drop.
    """
    journal.taken_to = taken_to

    async def work(transaction: Transaction) -> int:
        row = await transaction.fetch_one(
            "SELECT COALESCE(MAX(oldest.position), 0) FROM (SELECT position, written_at FROM journal_batch"
            " WHERE stream = :stream AND position <= :taken_to ORDER BY position LIMIT :most) AS oldest,"
            " journal_stream s WHERE s.stream = :stream"
            " AND (oldest.written_at < :before OR oldest.position <= s.position - :held_max)",
            {
                "stream": journal.stream,
                "taken_to": taken_to,
                "most": limits.trimmed_batches_max,
                "before": written_before,
                "held_max": 1 << 62 if held_max is None else held_max,
            },
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

    floor = 0
    while trimmed_to := await journal.database.write(work):
        floor = trimmed_to
    return floor
