"""Following: every outcome of a stream, in order, at least once; exactly once in its effects.

A follower stores its position in the transaction of what it does with the outcomes. After a crash of either side it
goes on from there. What it cannot explain (a gap, a new incarnation) is an alarm, never a silent jump.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from prikkfri.errors import StorageError
from prikkfri.journal.limits import LIMITS, JournalLimits
from prikkfri.journal.outcomes import Outcome, decode_batch
from prikkfri.storage import Database, Queries, Row, Transaction

POSITION_MAX = (1 << 63) - 1
"""What a database can hold."""
TOLD_AGAIN_SECONDS = 3_600.0
"""So often at most it is written down anew that a follower is still there which has not come any further."""
Count = Annotated[int, msgspec.Meta(ge=0, le=POSITION_MAX)]


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


def role_of(stream: str) -> str:
    """Who writes it: a role by its name, or one process of several by `role/instance`."""
    return stream.partition("/")[0]


Source = Callable[[str, int], Awaitable[Page | None]]
"""Reads a page of a stream after a position; None when the stream does not exist. Raises `StorageError`."""


class Batches(msgspec.Struct, frozen=True, array_like=True):
    """A page as it is stored and sent: whole batches, each still encoded."""

    incarnation: str
    first: Count
    last: Count
    payloads: list[bytes]
    newest: Count
    trimmed_to: Count
    overflowed: Count

    def follow_on(self, after: int) -> bool:
        """Whether they can be what a stream holds after a position: what another machine says is not believed."""
        return after < self.last <= self.newest if self.payloads else self.first == self.last == after


async def read_batches(
    database: Database, stream: str, after: int, *, limits: JournalLimits = LIMITS
) -> Batches | None:
    """Reads at most a page, but at least one batch if there is one. Raises `StorageError`."""

    async def work(queries: Queries) -> Batches | None:
        head = await queries.fetch_one(
            "SELECT incarnation, position, trimmed_to, overflowed FROM journal_stream WHERE stream = :stream",
            {"stream": stream},
        )
        if head is None:
            return None
        incarnation, newest, trimmed_to, overflowed = head
        batches = await queries.fetch(
            "SELECT position, outcomes FROM journal_batch WHERE stream = :stream AND position > :after"
            " AND position <= :newest ORDER BY position LIMIT :most",
            {"stream": stream, "after": after, "newest": newest, "most": limits.page_batches_max},
        )
        if not batches:
            return Batches(incarnation, after, after, [], newest, trimmed_to, overflowed)
        first = batches[0][0] - batches[0][1] + 1
        last = first - 1
        for position, count in batches:
            if position - count != last or (last >= first and position - first >= limits.page_outcomes_max):
                break
            last = position
        payloads = await queries.fetch(
            "SELECT payload FROM journal_batch WHERE stream = :stream AND position > :after AND position <= :last"
            " ORDER BY position",
            {"stream": stream, "after": after, "last": last},
        )
        return Batches(incarnation, first, last, [row[0] for row in payloads], newest, trimmed_to, overflowed)

    return await database.read(work)


def decode_page(stream: str, batches: Batches) -> Page:
    """Raises `StorageError` when the batches do not hold what they say."""
    outcomes: list[Outcome] = []
    try:
        for payload in batches.payloads:
            outcomes += decode_batch(payload)
    except msgspec.DecodeError as error:
        raise StorageError(f"journal stream {stream}: unreadable from {batches.first}: {error}") from error
    if batches.payloads and len(outcomes) != batches.last - batches.first + 1:
        raise StorageError(f"journal stream {stream}: {batches.first} to {batches.last} holds {len(outcomes)} outcomes")
    return Page(
        batches.incarnation,
        batches.first,
        batches.last,
        outcomes,
        batches.newest,
        batches.trimmed_to,
        batches.overflowed,
    )


async def read_page(database: Database, stream: str, after: int, *, limits: JournalLimits = LIMITS) -> Page | None:
    """Reads what `read_batches` reads. Raises `StorageError`."""
    batches = await read_batches(database, stream, after, limits=limits)
    return None if batches is None else decode_page(stream, batches)


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
        self.committed: dict[str, Position] = {}
        """By stream, how far it has come: what is stored, and so may be trimmed as far as this follower goes."""

    async def step(self, stream: str, source: Source) -> int:
        """Takes one page; returns the number of outcomes taken (0: nothing new, or no such stream yet).

        Raises `StorageError`; then nothing was taken, or (`InDoubt`) it is found out by the next step.
        """
        at = self._positions.pop(stream, None)  # known again when this step has succeeded
        if at is None:
            at = await self._database.write(lambda transaction: self._registered(transaction, stream))
        self.committed[stream] = at
        after = at.position
        page = await source(stream, after)
        if page is not None and at.incarnation not in ("", page.incarnation):
            self._alarm(f"stream {stream} is a new incarnation: what it held after {after} is not known")
            after = 0
            page = await source(stream, after)
        if page is None:
            return 0
        self.behind[stream] = max(page.newest - page.last, 0)
        self.overflowed[stream] = page.overflowed
        reached = page.last
        if page.newest < after:
            self._alarm(f"stream {stream} went back from {after} to {page.newest}, as from a backup: some is not known")
            reached = page.newest
        elif page.newest > after and not page.outcomes:
            self._alarm(f"stream {stream}: {page.newest - after} outcomes after {after} are missing")
            reached = page.newest
        elif page.outcomes and page.first != after + 1:
            self._alarm(f"stream {stream}: a gap: after {after} comes {page.first}")
        now_at = Position(page.incarnation, reached)
        if now_at != at:

            async def work(transaction: Transaction) -> None:
                await self._move(transaction, stream, at, now_at)
                if page.outcomes:
                    await self._take(transaction, stream, page)

            await self._database.write(work)
        self._positions[stream] = self.committed[stream] = now_at
        return len(page.outcomes)

    async def _registered(self, transaction: Transaction, stream: str) -> Position:
        """The stored position; from now on trimming waits for this follower."""
        key = {"follower": self._name, "stream": stream}
        await transaction.execute(
            "INSERT INTO journal_follower (follower, stream, incarnation, position)"
            " VALUES (:follower, :stream, '', 0) ON CONFLICT (follower, stream) DO NOTHING",
            key,
        )
        row = await transaction.fetch_one(
            "SELECT incarnation, position FROM journal_follower WHERE follower = :follower AND stream = :stream", key
        )
        assert row is not None
        return Position(*row)

    async def _move(self, transaction: Transaction, stream: str, was: Position, now: Position) -> None:
        """Stores the new position if the old one still holds: of two followers of one name only one takes a page."""
        moved = await transaction.fetch_one(
            "UPDATE journal_follower SET incarnation = :incarnation, position = :position"
            " WHERE follower = :follower AND stream = :stream"
            " AND incarnation = :was_incarnation AND position = :was_position RETURNING position",
            {
                "follower": self._name,
                "stream": stream,
                "incarnation": now.incarnation,
                "position": now.position,
                "was_incarnation": was.incarnation,
                "was_position": was.position,
            },
        )
        if moved is None:
            raise StorageError(f"stream {stream}: another process follows it as {self._name}")


async def taken_to(followers: Database, stream: str, *, incarnation: str) -> int:
    """The lowest position that a follower in this database has committed; 0 when there is none.

    Positions of another incarnation say nothing about this one: who has not yet met it has taken none of it.
    """

    async def work(queries: Queries) -> int:
        row = await queries.fetch_one(
            "SELECT COALESCE(MIN(CASE WHEN incarnation = :incarnation THEN position ELSE 0 END), 0)"
            " FROM journal_follower WHERE stream = :stream",
            {"stream": stream, "incarnation": incarnation},
        )
        assert row is not None
        lowest: int = row[0]
        return lowest

    return await followers.read(work)


async def let_go(database: Database, stream: str, *, now: float, silent_seconds: float) -> list[str]:
    """Forgets followers elsewhere that have not said for so long how far they have come; returns their names.

    Trimming waits for them no more; whoever comes back finds a gap where it was trimmed meanwhile, and tells of it.
    """
    key = {"stream": stream, "before": now - silent_seconds}

    async def work(transaction: Transaction) -> list[str]:
        # Of one from before this was noted it is known only that it is there: its time begins now.
        await transaction.execute(
            "UPDATE journal_follower SET told_at = :now WHERE stream = :stream AND told_at = 0",
            {"stream": stream, "now": now},
        )
        rows = await transaction.fetch(
            "DELETE FROM journal_follower WHERE stream = :stream AND told_at < :before RETURNING follower", key
        )
        return sorted(row[0] for row in rows)

    silent = await database.read(
        lambda q: q.fetch_one(
            "SELECT 1 FROM journal_follower WHERE stream = :stream AND told_at < :before LIMIT 1", key
        )
    )
    if silent is None:
        return []
    return await database.write(work)


async def note_taken(database: Database, stream: str, follower: str, at: Position, *, now: float = 0.0) -> bool:
    """Keeps, beside the stream itself, how far a follower elsewhere says that it has come; the last word holds.

    A follower whose database was restored has taken less than it had. `now` is kept with it, to within an hour: who is
    silent for long is let go. Returns False, and keeps nothing, when the stream has not come so far: it was restored,
    and what it writes there now is not what was taken. Raises `StorageError`, `InDoubt`.
    """
    key = {"follower": follower, "stream": stream}

    async def work(queries: Queries) -> tuple[Row | None, Row | None]:
        head = await queries.fetch_one(
            "SELECT incarnation, position FROM journal_stream WHERE stream = :stream", {"stream": stream}
        )
        known = await queries.fetch_one(
            "SELECT incarnation, position, told_at FROM journal_follower"
            " WHERE follower = :follower AND stream = :stream",
            key,
        )
        return head, known

    head, known = await database.read(work)
    if head is None or (head[0] == at.incarnation and at.position > head[1]):
        return False
    if known is not None and Position(*known[:2]) == at and now - known[2] < TOLD_AGAIN_SECONDS:
        return True
    await database.write(
        lambda transaction: transaction.execute(
            "INSERT INTO journal_follower (follower, stream, incarnation, position, told_at)"
            " VALUES (:follower, :stream, :incarnation, :position, :now) ON CONFLICT (follower, stream)"
            " DO UPDATE SET incarnation = excluded.incarnation, position = excluded.position,"
            " told_at = excluded.told_at",
            {**key, "incarnation": at.incarnation, "position": at.position, "now": now},
        )
    )
    return True


async def last_written_at(database: Database) -> float:
    """When the newest batch of any stream in this database was written; 0 when none was."""
    row = await database.read(
        lambda queries: queries.fetch_one("SELECT COALESCE(MAX(written_at), 0) FROM journal_batch")
    )
    assert row is not None
    return float(row[0])
