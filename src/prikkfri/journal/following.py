"""Following: every outcome of a stream, in order, at least once; exactly once in its effects.

A follower stores its position in the transaction of what it does with the outcomes. After a crash of either side it
goes on from there. What it cannot explain (a gap, a new incarnation) is an alarm, never a silent jump.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from prikkfri.journal.outcomes import Outcome, decode_batch
from prikkfri.storage import Database, Queries, Transaction

BATCH_OUTCOMES_MAX = 5_000
"""A long reader keeps SQLite's log from being reset; each statement reads at most about this much."""


@dataclass(frozen=True)
class Position:
    """How far a follower has come in a stream."""

    incarnation: str = ""
    position: int = 0


@dataclass(frozen=True)
class Page:
    """What a stream holds after a position."""

    incarnation: str
    first: int
    """Position of the first outcome."""
    last: int
    outcomes: list[Outcome]
    newest: int
    """The stream's end when the page was read: `newest - last` is how far behind the reader is."""
    trimmed_to: int
    overflowed: int


Source = Callable[[str, int], Awaitable[Page | None]]
"""Reads a page of a stream after a position; None when the stream does not exist. Raises `StorageError`."""


async def read_page(database: Database, stream: str, after: int) -> Page | None:
    """Reads about `BATCH_OUTCOMES_MAX` outcomes, at least one batch if there is one."""

    async def work(queries: Queries) -> Page | None:
        head = await queries.fetch_one(
            "SELECT incarnation, position, trimmed_to, overflowed FROM journal_stream WHERE stream = :stream",
            {"stream": stream},
        )
        if head is None:
            return None
        incarnation, newest, trimmed_to, overflowed = head
        rows = await queries.fetch(
            "SELECT position, outcomes, payload FROM journal_batch WHERE stream = :stream AND position > :after"
            " AND position <= :newest ORDER BY position LIMIT 200",
            {"stream": stream, "after": after, "newest": newest},
        )
        outcomes: list[Outcome] = []
        first = last = after
        for position, count, payload in rows:
            if outcomes and (len(outcomes) + count > BATCH_OUTCOMES_MAX or position - count != last):
                break
            if not outcomes:
                first = position - count + 1
            outcomes += decode_batch(payload)
            last = position
        return Page(incarnation, first, last, outcomes, newest, trimmed_to, overflowed)

    try:
        return await database.read(work)
    except msgspec.DecodeError as error:
        raise ValueError(f"journal stream {stream} after {after}: unreadable batch: {error}") from error


Take = Callable[[Transaction, str, Page], Awaitable[None]]
"""What a follower does with a page, inside the transaction that stores its position."""


class Follower:
    """Follows streams into one database, the follower's own."""

    def __init__(self, database: Database, *, name: str, take: Take, alarm: Callable[[str], None]) -> None:
        self.behind: dict[str, int] = {}
        """Outcomes by stream that are written and not yet taken."""
        self.overflowed: dict[str, int] = {}
        """Outcomes by stream that the writer had to drop: a list made from it is incomplete."""
        self._database = database
        self._name = name
        self._take = take
        self._alarm = alarm
        self._positions: dict[str, Position] = {}

    async def position(self, stream: str) -> Position:
        if stream not in self._positions:
            self._positions[stream] = await self._database.read(lambda queries: self._stored(queries, stream))
        return self._positions[stream]

    async def step(self, stream: str, source: Source) -> int:
        """Takes one page; returns the number of outcomes taken (0: nothing new, or no such stream yet).

        Raises `StorageError`; then nothing was taken.
        """
        at = await self.position(stream)
        page = await source(stream, at.position)
        if page is None:
            return 0
        if page.incarnation != at.incarnation:
            if at.incarnation:
                self._alarm(f"stream {stream} is a new incarnation: what it held after {at.position} is not known")
                self._positions[stream] = at = Position(page.incarnation, 0)
                page = await source(stream, 0)
                if page is None:
                    return 0
            at = Position(page.incarnation, at.position)
        self.behind[stream] = page.newest - page.last
        self.overflowed[stream] = page.overflowed
        if not page.outcomes:
            if page.newest > at.position:
                # The writer has positions and no batches for them: trimmed, or lost.
                self._alarm(f"stream {stream}: {page.newest - at.position} outcomes after {at.position} are missing")
                await self._store_position(stream, Position(page.incarnation, page.newest))
            return 0
        if page.first != at.position + 1:
            self._alarm(f"stream {stream}: a gap: after {at.position} comes {page.first}")

        async def work(transaction: Transaction) -> None:
            await self._take(transaction, stream, page)
            await self._write_position(transaction, stream, Position(page.incarnation, page.last))

        await self._database.write(work)
        self._positions[stream] = Position(page.incarnation, page.last)
        return len(page.outcomes)

    async def _stored(self, queries: Queries, stream: str) -> Position:
        row = await queries.fetch_one(
            "SELECT incarnation, position FROM journal_follower WHERE follower = :follower AND stream = :stream",
            {"follower": self._name, "stream": stream},
        )
        return Position(*row) if row else Position()

    async def _store_position(self, stream: str, position: Position) -> None:
        await self._database.write(lambda transaction: self._write_position(transaction, stream, position))
        self._positions[stream] = position

    async def _write_position(self, transaction: Transaction, stream: str, position: Position) -> None:
        await transaction.execute(
            "INSERT INTO journal_follower (follower, stream, incarnation, position)"
            " VALUES (:follower, :stream, :incarnation, :position) ON CONFLICT (follower, stream)"
            " DO UPDATE SET incarnation = excluded.incarnation, position = excluded.position",
            {
                "follower": self._name,
                "stream": stream,
                "incarnation": position.incarnation,
                "position": position.position,
            },
        )


async def taken_to(followers: Database, stream: str) -> int:
    """The lowest position of `stream` that a follower in this database has committed; 0 when none has."""

    async def work(queries: Queries) -> int:
        row = await queries.fetch_one(
            "SELECT COALESCE(MIN(position), 0) FROM journal_follower WHERE stream = :stream", {"stream": stream}
        )
        assert row is not None
        lowest: int = row[0]
        return lowest

    return await followers.read(work)


async def last_written_at(database: Database) -> float:
    """When the newest batch of any stream in this database was written; 0 when none was."""
    row = await database.read(
        lambda queries: queries.fetch_one("SELECT COALESCE(MAX(written_at), 0) FROM journal_batch")
    )
    assert row is not None
    return float(row[0])
