"""A database as its users see it: group commit for writes, reads of what is committed, one SQL path over two thin
engines.

Writers that arrive while a group is being committed form the next group: one transaction, one fsync. A work is
therefore an async function of a transaction that has no effect outside it, since it runs again when another work of
its group failed. SQL is portable and takes named parameters (`:name`); rows are tuples.

Theory of operation. One task owns the write connection. It takes what has arrived, begins, runs each work on the
loop's thread, lets the commit hooks add what belongs to the group as a whole (the journal's positions), and commits;
`write` returns after the commit is durable. Nothing else ever touches that connection.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from prikkfri.errors import FatalError, StorageUnavailable, StorageUnmade
from prikkfri.storage.limits import LIMITS, StorageLimits

log = logging.getLogger(__name__)
T = TypeVar("T")
Row = tuple[Any, ...]
Parameters = Mapping[str, object]
PARAMETER = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
"""One of a statement's parameters, and its name; `::` is a cast."""


@lru_cache(maxsize=2_000)
def by_place(sql: str) -> Callable[[Parameters], tuple[object, ...]]:
    """Puts a statement's parameters in the order in which it names them first."""
    names = list(dict.fromkeys(PARAMETER.findall(sql)))
    if len(names) > 1:
        return itemgetter(*names)
    return lambda parameters: tuple([parameters[name] for name in names])


def in_places(sql: str, parameters: Parameters | None) -> tuple[object, ...] | None:
    """A driver would look for each by its name anew, each time."""
    return by_place(sql)(parameters) if parameters else None


class Queries(Protocol):
    """What may be asked. Each statement sees what is committed when it begins; two may see different states."""

    async def fetch(self, sql: str, parameters: Parameters | None = None) -> list[Row]: ...

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None: ...


class Snapshot(Queries, Protocol):
    """What may be asked of one moment: all statements see what was committed when the first of them began."""

    at_one_moment: bool
    """Always; it tells a snapshot from other queries, for who asks for one."""


class Transaction(Queries, Protocol):
    """What may be done in a group's transaction."""

    collected: list[Any]
    """What the works leave for the commit hooks."""

    async def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        """Runs one statement and returns the number of rows that it changed."""
        ...

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Runs one statement for each; of how many rows each changed nobody is told.

        They may be under way still when it returns: what one is refused for is then raised by whatever is asked next,
        or refuses the group.
        """
        ...

    async def drop_table(self, table: str) -> None:
        """Takes a table away, however large, and holds nobody on the loop up meanwhile."""
        ...


class Engine(Protocol):
    """One connection pair to a database: all that differs between SQLite and PostgreSQL."""

    def ddl(self, statement: str) -> str:
        """A migration's statement in the engine's words: `{blob}` is its type for bytes."""
        ...

    async def prepare(self) -> None:
        """Makes the area's container if the engine has one (a schema)."""
        ...

    async def lock_for_migration(self, transaction: Transaction) -> None:
        """Makes another process that migrates the same area wait until this transaction ends."""
        ...

    async def begin(self) -> Transaction: ...

    async def commit(self) -> None:
        """Returns when the transaction is on disk. Raises `InDoubt` when that cannot be told."""
        ...

    async def rollback(self) -> None:
        """Ends a transaction that has failed; raises nothing."""
        ...

    async def read(self, work: Callable[[Queries], Awaitable[T]]) -> T: ...

    async def snapshot(self, work: Callable[[Snapshot], Awaitable[T]]) -> T: ...

    async def between_groups(self) -> None:
        """Housekeeping while nothing is being written (SQLite's checkpoint)."""
        ...

    def portable(self, error: BaseException) -> BaseException:
        """The engine's exception as one of ours, or the same when it is not the engine's."""
        ...

    async def close(self) -> None: ...


CommitHook = Callable[[Transaction], Awaitable[None]]


@dataclass
class _Pending:
    work: Callable[[Transaction], Awaitable[Any]]
    done: asyncio.Future[Any]
    result: Any = None


@dataclass
class Counters:
    groups: int = 0
    works: int = 0
    failed_groups: int = 0


class Database:
    """One area: a SQLite file or a PostgreSQL schema. Made by `storage.open_database`."""

    def __init__(self, engine: Engine, *, area: str, limits: StorageLimits = LIMITS) -> None:
        self.area = area
        self.engine = engine
        self.counters = Counters()
        self._limits = limits
        self._pending: deque[_Pending] = deque()
        self._arrived = asyncio.Event()
        self._hooks: list[CommitHook] = []
        self._writer: asyncio.Task[None] | None = None
        self._closing = False

    def on_commit(self, hook: CommitHook) -> None:
        """Calls `hook` in every group's transaction, after its works and before its commit."""
        self._hooks.append(hook)

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Runs `work` in a group's transaction; returns its result once that is durable.

        Raises what `work` raised (its changes are undone, its neighbours' stay), `StorageError` or `FatalError`.
        Whoever is cancelled while waiting does not know whether the work was done.
        """
        if self._closing or (self._writer is not None and self._writer.done()):
            raise StorageUnavailable(f"{self.area}: the database is closing")
        if len(self._pending) >= self._limits.pending_works_max:
            raise StorageUnavailable(f"{self.area}: {len(self._pending)} writes are waiting already")
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_groups(), name=f"writer of {self.area}")
        pending = _Pending(work, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        self._arrived.set()
        result: T = await pending.done
        return result

    async def read(self, work: Callable[[Queries], Awaitable[T]]) -> T:
        """Runs `work` on what is committed, each of its statements on a snapshot of its own."""
        try:
            return await self.engine.read(work)
        except Exception as error:
            raise self.engine.portable(error) from error

    async def snapshot(self, work: Callable[[Snapshot], Awaitable[T]]) -> T:
        """Runs `work` on what is committed at one moment, all of its statements.

        For what is told as one, such as a list and its digest. It holds that moment for as long as it lasts: nothing
        is waited for in it but the database.
        """
        try:
            return await self.engine.snapshot(work)
        except Exception as error:
            raise self.engine.portable(error) from error

    async def close(self) -> None:
        """Commits what has been handed in, then closes."""
        self._closing = True
        self._arrived.set()
        if self._writer is not None:
            await asyncio.wait([self._writer])  # the engine is closed also when the writer was cancelled
        await self.engine.close()

    async def _write_groups(self) -> None:
        group: list[_Pending] = []
        try:
            while not self._closing or self._pending:
                await self._arrived.wait()
                self._arrived.clear()
                while self._pending:
                    works = min(len(self._pending), self._limits.group_works_max)
                    group = [self._pending.popleft() for _ in range(works)]
                    await self._write_group(group)
                    await self._keep_house()
        finally:
            # Nobody is left waiting for ever when the loop ends without `close`.
            for pending in (*group, *self._pending):
                pending.done.cancel()

    async def _write_group(self, group: list[_Pending]) -> None:
        group = [pending for pending in group if not pending.done.cancelled()]
        if not group:
            return
        try:
            await self._attempt(group)
        except Exception as error:
            self.counters.failed_groups += 1
            portable = self.engine.portable(error)
            by_one = isinstance(portable, StorageUnmade) or not isinstance(portable, StorageUnavailable | FatalError)
            if len(group) > 1 and by_one:
                # One bad work must not take its neighbours down: halving finds it in few transactions. (When the
                # database itself has failed, trying again would only multiply the wait.)
                middle = len(group) // 2
                await self._write_group(group[:middle])
                await self._write_group(group[middle:])
                return
            for pending in group:
                if not pending.done.done():
                    pending.done.set_exception(portable)
            return
        self.counters.groups += 1
        self.counters.works += len(group)
        for pending in group:
            if not pending.done.done():
                pending.done.set_result(pending.result)

    async def _keep_house(self) -> None:
        try:
            await self.engine.between_groups()
        except Exception as error:
            # What is committed is safe; a full disk, say, is told by the next write.
            log.warning("%s: housekeeping failed: %s", self.area, error)

    async def _attempt(self, group: list[_Pending]) -> None:
        transaction = await self.engine.begin()
        try:
            for pending in group:
                pending.result = await pending.work(transaction)
            for hook in self._hooks:
                await hook(transaction)
            await self.engine.commit()
        except BaseException:
            await self.engine.rollback()
            raise
