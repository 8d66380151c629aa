"""SQLite by apsw: rows are written on the loop's thread, only COMMIT (the fsync) runs in another.

A writer thread of its own beside a busy loop is slower by two orders of magnitude, since each row then waits for the
interpreter's lock.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import apsw

from prikkfri.errors import InDoubt, StorageDamaged, StorageError, StorageUnavailable, StorageUnmade, StorageUnwritable
from prikkfri.storage.database import Parameters, Queries, Row, Snapshot, Transaction, by_place, in_places
from prikkfri.storage.limits import LIMITS, StorageLimits

T = TypeVar("T")

STATEMENTS = 500
"""Kept prepared: more than there are, so that none is prepared twice."""
MAKE_ROOM = "make room on the disk, and let whoever runs Prikkfri write there"
RESTORE = "put a copy back in its place, or move the file away to begin with an empty one"


@lru_cache(maxsize=1)
def _quiet() -> None:
    apsw.config(apsw.SQLITE_CONFIG_LOG, None)


class _Connection:
    """A transaction, or statements each by itself, on one connection."""

    def __init__(self, connection: apsw.Connection, in_thread: Callable[..., Awaitable[None]] | None = None) -> None:
        self.connection = connection
        self.collected: list[Any] = []
        self._in_thread = in_thread

    async def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        self.connection.execute(sql, in_places(sql, parameters))
        return self.connection.changes()

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        if rows:
            self.connection.executemany(sql, map(by_place(sql), rows))

    async def drop_table(self, table: str) -> None:
        # Each page of it is looked at on its way to the free ones.
        assert self._in_thread is not None, "nothing is dropped outside a transaction"
        await self._in_thread(self.connection.execute, f"DROP TABLE {table}")

    async def fetch(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        return self.connection.execute(sql, in_places(sql, parameters)).fetchall()

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        row: Row | None = self.connection.execute(sql, in_places(sql, parameters)).fetchone()
        return row


class _Snapshot(_Connection):
    at_one_moment = True


class SqliteEngine:
    def __init__(
        self, path: Path, *, read_only: bool = False, limits: StorageLimits = LIMITS, vfs: str | None = None
    ) -> None:
        """Opens (and creates, unless `read_only`) the file. Raises `StorageUnavailable`.

        `vfs` names how SQLite reaches the disk: a simulated one can lose what was not synced.
        """
        _quiet()
        self._path = path
        self._read_only = read_only
        self._limits = limits
        self._vfs = vfs
        self._wal_pages = 0
        self._holding: apsw.Connection | None = None
        """Where snapshots are read, one at a time; opened for the first."""
        self._held = asyncio.Lock()
        try:
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600, exist_ok=True)
                self._writer = apsw.Connection(str(path), vfs=vfs, statementcachesize=STATEMENTS)
                self._writer.set_busy_timeout(limits.busy_milliseconds_max)
                self._write_ahead()
                self._writer.execute("PRAGMA synchronous = FULL")
                self._writer.execute(f"PRAGMA journal_size_limit = {limits.wal_bytes_kept_max}")
                # In place of SQLite's own hook, which would bring the log into the file inside of COMMIT.
                self._writer.set_wal_hook(self._remember_wal_pages)
            self._reader = self._open_reader()
        except OSError as error:
            raise StorageUnwritable(f"{path}: cannot be opened: {error.strerror}; {MAKE_ROOM}") from error
        except apsw.Error as error:
            raise self.portable(error) from error
        self._commits = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def _write_ahead(self) -> None:
        """Of a new file whoever comes first changes the mode. SQLite does not wait for that, but for a transaction."""
        while True:
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                return
            except apsw.BusyError:
                self._writer.execute("BEGIN IMMEDIATE")
                self._writer.execute("ROLLBACK")

    def _open_reader(self) -> apsw.Connection:
        reader = apsw.Connection(
            str(self._path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs, statementcachesize=STATEMENTS
        )
        reader.set_busy_timeout(self._limits.busy_milliseconds_max)
        reader.execute("PRAGMA query_only = ON")
        return reader

    def _remember_wal_pages(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def ddl(self, statement: str) -> str:
        return statement.replace("{blob}", "BLOB")

    async def prepare(self) -> None:
        """The file is there already."""

    async def lock_for_migration(self, transaction: Transaction) -> None:
        """BEGIN IMMEDIATE has taken the lock."""

    async def begin(self) -> Transaction:
        await self.rollback()  # what could not be ended before
        # Another process may hold the lock (an import, a migration). Only then is waiting for it worth a thread.
        self._writer.set_busy_timeout(0)
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            self._writer.set_busy_timeout(self._limits.busy_milliseconds_max)
            await self._in_thread(self._writer.execute, "BEGIN IMMEDIATE")
        return _Connection(self._writer, self._in_thread)

    async def commit(self) -> None:
        try:
            await self._in_thread(self._writer.execute, "COMMIT")
        except apsw.IOError as error:
            # What a failed fsync left in the log, a restart may find whole and keep.
            raise InDoubt(f"{self._path}: {error}") from error

    async def rollback(self) -> None:
        with suppress(apsw.Error):  # a disk that fails fails here too, then `begin` says so; or it has been closed
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    async def _in_thread(self, function: Callable[..., Any], *arguments: object) -> None:
        running = asyncio.get_running_loop().run_in_executor(self._commits, function, *arguments)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])  # until it returns the connection is that thread's
            raise

    async def read(self, work: Callable[[Queries], Awaitable[T]]) -> T:
        # No explicit transaction: each statement is its own short snapshot, so that nobody's WAL grows behind us.
        return await work(_Connection(self._reader))

    async def snapshot(self, work: Callable[[Snapshot], Awaitable[T]]) -> T:
        async with self._held:
            if self._holding is None:
                self._holding = self._open_reader()
            self._holding.execute("BEGIN")
            try:
                return await work(_Snapshot(self._holding))
            finally:
                self._holding.execute("ROLLBACK")

    async def between_groups(self) -> None:
        if self._wal_pages >= self._limits.wal_pages_before_checkpoint:
            self._wal_pages = 0
            await self._in_thread(self._checkpoint)

    def _checkpoint(self) -> None:
        self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def portable(self, error: BaseException) -> BaseException:
        if isinstance(error, apsw.FullError | apsw.CantOpenError | apsw.ReadOnlyError) and not self._read_only:
            return StorageUnwritable(f"{self._path}: {error}; {MAKE_ROOM}")
        if isinstance(error, apsw.FullError | apsw.IOError | apsw.BusyError | apsw.CantOpenError | apsw.ReadOnlyError):
            return StorageUnavailable(f"{self._path}: {error}")
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            return StorageDamaged(f"{self._path}: {error}; {RESTORE}")
        if isinstance(error, apsw.SQLError) and "no such table" in str(error):
            return StorageUnmade(f"{self._path}: {error}")
        if isinstance(error, apsw.Error):
            return StorageError(f"{self._path}: {error}")
        return error

    async def close(self) -> None:
        self._commits.shutdown()
        self._reader.close()
        if self._holding is not None:
            self._holding.close()
        if not self._read_only:
            # On a full disk the log stays beside the file, and nothing that is in it is lost.
            with contextlib.suppress(apsw.Error):
                self._writer.close()
