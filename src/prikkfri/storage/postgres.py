"""PostgreSQL by psycopg: an area is a schema, the search path leads to it."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

import psycopg
import psycopg.conninfo
from psycopg.pq.abc import PGresult

from prikkfri.clock import SYSTEM_CLOCK, Clock
from prikkfri.errors import InDoubt, StorageError, StorageUnavailable, StorageUnmade
from prikkfri.storage.database import PARAMETER, Parameters, Queries, Row, Snapshot, Transaction, by_place, in_places
from prikkfri.storage.limits import LIMITS, StorageLimits
from prikkfri.storage.pipeline import Pipeline

T = TypeVar("T")


@asynccontextmanager
async def own_database(url: str) -> AsyncIterator[str]:
    """A database of one's own on the server at `url`, which is left as it was. Raises `StorageUnavailable`."""
    name = f"prikkfri_{uuid.uuid4().hex[:12]}"

    async def tell(sql: str) -> None:
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(sql.encode())
        except psycopg.Error as error:
            one_line = " ".join(str(error).split())
            raise StorageUnavailable(
                f"PostgreSQL: {one_line}; a rehearsal needs a role that may CREATE DATABASE"
            ) from None

    await tell(f"CREATE DATABASE {name}")
    try:
        yield psycopg.conninfo.make_conninfo(url, dbname=name)
    finally:
        await tell(f"DROP DATABASE {name} WITH (FORCE)")


def database_name(url: str) -> str:
    """The database that a URL names; empty: the one that is called as its user."""
    return str(psycopg.conninfo.conninfo_to_dict(url).get("dbname") or "")


def socket_of(url: str) -> str:
    """The path of the Unix socket by which a URL reaches its server."""
    words = psycopg.conninfo.conninfo_to_dict(url)
    return f"{words['host']}/.s.PGSQL.{words.get('port') or 5432}"


def reached_at(url: str, host: str, port: int) -> str:
    """The same database by TCP."""
    return psycopg.conninfo.make_conninfo(url, host=host, port=port)


INSERTED_AT_ONCE = 32
DROP_SECONDS_MAX = 2
UNREAD_MAX = 64
"""Statements under way for whose answers nobody has waited."""
_INSERT = re.compile(r"(INSERT INTO [^()]+\([^()]*\) VALUES )(\([^()]*\))", re.DOTALL)
"""What puts rows in and does nothing else."""
READING = {"default_transaction_read_only": "on"}
WRITING = {
    "default_transaction_read_only": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
}
"""A plan is kept until the server has counted a table anew, a minute or more: one that was made while there was little
in it walks through the whole of what has come since. And of an index of what is open few entries live: by a bitmap all
that have gone since the last vacuum are looked at again each time, else each once. Where there is no other way than
these, none is compiled."""
MIGRATION_LOCK = 20180820
"""Any number that no other user of the database takes: the kick-off's date."""


@lru_cache(maxsize=2_000)
def _numbered(sql: str) -> str:
    """`:name` becomes `$1`, as the server has it."""
    places = {name: place for place, name in enumerate(dict.fromkeys(PARAMETER.findall(sql)), 1)}
    return PARAMETER.sub(lambda found: f"${places[found[1]]}", sql)


@lru_cache(maxsize=256)
def _insert(sql: str) -> tuple[str, str] | None:
    """What stands before the values that it puts in, and these; None: it is none of one row."""
    return (found[1], found[2]) if (found := _INSERT.fullmatch(sql)) else None


@lru_cache(maxsize=256)
def _with_rows(into: str, row: str, count: int) -> str:
    """With so many rows, whose parameters follow each other."""
    return _numbered(into + ", ".join(PARAMETER.sub(rf":\1_{index}", row) for index in range(count)))


class _Connection:
    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.collected: list[Any] = []

    async def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        return (await self._answer(sql, parameters)).command_tuples or 0

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        if len(rows) > 1 and (insert := _insert(sql)):
            await self._insert(*insert, [by_place(sql)(row) for row in rows])
            return
        for row in rows:
            await self._put(_numbered(sql), by_place(sql)(row))

    async def _insert(self, into: str, row: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Many rows by few statements: each costs more than the rows in it. Their lengths are few, so that each is
        prepared once."""
        start, most = 0, INSERTED_AT_ONCE
        while start < len(rows):
            while most > len(rows) - start:
                most //= 2
            await self._put(_with_rows(into, row, most), [*chain.from_iterable(rows[start : start + most])])
            start += most

    async def _put(self, sql: str, values: Sequence[object]) -> None:
        self.pipeline.put(sql, values)
        if self.pipeline.unread >= UNREAD_MAX:
            await self.pipeline.wait()

    async def drop_table(self, table: str) -> None:
        self.pipeline.put(f"SET LOCAL lock_timeout = '{DROP_SECONDS_MAX}s'")  # whoever still reads it holds it up
        await self.execute(f"DROP TABLE {table}")

    async def fetch(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        return self.pipeline.rows(await self._answer(sql, parameters))

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        return self.pipeline.first_row(await self._answer(sql, parameters))

    async def _answer(self, sql: str, parameters: Parameters | None) -> PGresult:
        self.pipeline.put(_numbered(sql), in_places(sql, parameters) or ())
        return (await self.pipeline.wait())[-1]


class _Snapshot(_Connection):
    at_one_moment = True


class PostgresEngine:
    def __init__(self, url: str, *, area: str, clock: Clock = SYSTEM_CLOCK, limits: StorageLimits = LIMITS) -> None:
        self._url = url
        self._area = area
        self._clock = clock
        self._limits = limits
        self._writer: Pipeline | None = None
        self._transaction_id = ""
        """The server's name of the transaction that was begun last."""
        self._idle: list[Pipeline] = []
        """Connections for reading that nobody reads over."""
        self._reading = asyncio.Semaphore(limits.readers_max)
        self._in_use = 0
        """Connections for reading that are being opened, or that somebody reads over."""
        self._given_back = asyncio.Event()
        self._closed = False
        self._settings = {
            "search_path": area,
            "client_encoding": "UTF8",
            "client_min_messages": "warning",
            "synchronous_commit": "on",
            "idle_in_transaction_session_timeout": f"{limits.idle_in_transaction_seconds_max}s",
        }

    async def _connect(self, *, read_only: bool = False) -> Pipeline:
        settings = self._settings | (READING if read_only else WRITING)
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=self._limits.connect_seconds_max,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            application_name=f"prikkfri {self._area}",
            # A server that is gone without a word is noticed within half a minute.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=30_000,
        )
        return Pipeline(connection)

    def ddl(self, statement: str) -> str:
        return statement.replace("{blob}", "BYTEA")

    async def prepare(self) -> None:
        # Two roles that start at once both find the schema missing; IF NOT EXISTS races with itself.
        transaction = await self.begin()
        await self.lock_for_migration(transaction)
        await transaction.execute(f"CREATE SCHEMA IF NOT EXISTS {self._area}")
        await self.commit()

    async def lock_for_migration(self, transaction: Transaction) -> None:
        await transaction.fetch("SELECT pg_advisory_xact_lock(:lock)", {"lock": MIGRATION_LOCK})
        await transaction.execute("SET LOCAL enable_seqscan = on")  # here whole tables are changed

    async def begin(self) -> Transaction:
        if self._writer is not None and not self._writer.closed:
            try:
                return await self._begin(self._writer)
            except psycopg.Error:
                await self._writer.close()  # the server was restarted, say: nothing had begun, so nothing is lost
        self._writer = await self._connect()
        return await self._begin(self._writer)

    async def _begin(self, writer: Pipeline) -> Transaction:
        writer.put("BEGIN")
        writer.put("SELECT pg_current_xact_id()::text")
        (self._transaction_id,) = writer.first_row((await writer.wait())[-1]) or ("",)
        return _Connection(writer)

    async def commit(self) -> None:
        assert self._writer is not None
        self._writer.put("COMMIT")
        try:
            answers = await self._writer.wait()
        except psycopg.OperationalError as error:
            await self._writer.close()
            if not await self._was_committed(self._transaction_id, error):
                raise
            return
        if answers[-1].command_status != b"COMMIT":  # after an error that a work kept to itself
            raise psycopg.errors.InFailedSqlTransaction("the transaction had failed, and was undone")

    async def _was_committed(self, transaction_id: str, lost: psycopg.OperationalError) -> bool:
        """What became of a transaction whose COMMIT was not answered. Raises `InDoubt` when the server does not say."""
        deadline = self._clock.monotonic() + self._limits.in_doubt_seconds_max
        while self._clock.monotonic() < deadline:
            try:
                asking = await self._connect()
                try:
                    asking.put("SELECT pg_xact_status($1::xid8)", (transaction_id,))
                    (status,) = asking.first_row((await asking.wait())[-1]) or (None,)
                finally:
                    await asking.close()
            except psycopg.OperationalError:
                status = "unreachable"
            if status in ("committed", "aborted"):
                return bool(status == "committed")
            await self._clock.sleep(0.2)  # not reachable yet, or the lost session has not ended yet
        raise InDoubt(f"PostgreSQL, {self._area}: lost while committing: {str(lost).strip()}")

    async def rollback(self) -> None:
        if self._writer is not None and not self._writer.closed:
            await self._writer.rollback()

    async def read(self, work: Callable[[Queries], Awaitable[T]]) -> T:
        async with self._reading:
            while True:
                reader, is_new = await self._reader()
                try:
                    return await work(_Connection(reader))
                except psycopg.OperationalError:
                    if is_new or not reader.closed:  # else all were lost: the server was restarted
                        raise
                finally:
                    self._in_use -= 1
                    await self._give_back(reader)

    async def snapshot(self, work: Callable[[Snapshot], Awaitable[T]]) -> T:
        async def at_one_moment(queries: Queries) -> T:
            assert isinstance(queries, _Connection)
            queries.pipeline.put("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            try:
                found = await work(_Snapshot(queries.pipeline))
            except Exception:
                await queries.pipeline.rollback()
                raise
            await queries.pipeline.rollback()
            return found

        return await self.read(at_one_moment)

    async def _reader(self) -> tuple[Pipeline, bool]:
        """One for reading, and whether it is a new one; where the server gives no more, the next that is given back."""
        while True:
            while self._idle:
                if not (reader := self._idle.pop()).closed:
                    self._in_use += 1
                    return reader, False
            self._in_use += 1
            try:
                return await self._connect(read_only=True), True
            except BaseException as error:
                self._in_use -= 1
                self._given_back.set()
                if not isinstance(error, psycopg.OperationalError) or not await self._is_given_back():
                    raise

    async def _is_given_back(self) -> bool:
        """Waits for a connection that others are opening, or read over; whether there is one."""
        with suppress(TimeoutError):
            async with self._clock.timeout(self._limits.connect_seconds_max):
                while self._in_use and not self._idle:
                    self._given_back.clear()
                    await self._given_back.wait()
        return bool(self._idle)

    async def _give_back(self, reader: Pipeline) -> None:
        self._given_back.set()
        if self._closed or not reader.at_rest:
            await reader.close()  # what was broken off in the middle would hold its moment for whoever reads next
        elif not reader.closed:
            self._idle.append(reader)

    async def between_groups(self) -> None:
        """PostgreSQL looks after itself."""

    def portable(self, error: BaseException) -> BaseException:
        one_line = " ".join(str(error).split())
        gone = psycopg.OperationalError | psycopg.InterfaceError | psycopg.errors.IdleInTransactionSessionTimeout
        if isinstance(error, gone):
            return StorageUnavailable(f"PostgreSQL, {self._area}: {one_line}")
        if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
            return StorageUnmade(f"PostgreSQL, {self._area}: {one_line}")
        if isinstance(error, psycopg.Error):
            return StorageError(f"PostgreSQL, {self._area}: {one_line}")
        return error

    async def close(self) -> None:
        self._closed = True
        for connection in (self._writer, *self._idle):
            if connection is not None:
                await connection.close()
