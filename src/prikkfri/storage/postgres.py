"""PostgreSQL by psycopg: an area is a schema, the search path leads to it."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import psycopg

from prikkfri.errors import StorageError, StorageUnavailable
from prikkfri.storage.database import Parameters, Queries, Row, Transaction

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 5
MIGRATION_LOCK = 20180820
"""Any number that no other user of the database takes: the kick-off's date."""


@lru_cache(maxsize=2_000)
def _in_psycopgs_words(sql: str) -> Any:
    """`:name` becomes `%(name)s`; `::` casts and literal percent signs stay what they are.

    Typed `Any` because psycopg wants a literal; every statement comes from a store, never from a user.
    """
    escaped = sql.replace("%", "%%")
    return re.sub(r"(?<!:):([a-z_][a-z0-9_]*)", r"%(\1)s", escaped)


class _Connection:
    def __init__(self, connection: psycopg.AsyncConnection[Row]) -> None:
        self.connection = connection
        self.collected: list[Any] = []

    async def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        cursor = await self.connection.execute(_in_psycopgs_words(sql), parameters or {})
        return cursor.rowcount

    async def execute_many(self, sql: str, rows: Sequence[Parameters]) -> None:
        if rows:
            async with self.connection.cursor() as cursor:
                await cursor.executemany(_in_psycopgs_words(sql), rows)

    async def fetch(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        cursor = await self.connection.execute(_in_psycopgs_words(sql), parameters or {})
        return await cursor.fetchall()

    async def fetch_one(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        cursor = await self.connection.execute(_in_psycopgs_words(sql), parameters or {})
        return await cursor.fetchone()


class PostgresEngine:
    def __init__(self, url: str, *, area: str) -> None:
        self._url = url
        self._area = area
        self._writer: psycopg.AsyncConnection[Row] | None = None
        self._reader: psycopg.AsyncConnection[Row] | None = None
        self._reading = asyncio.Lock()

    async def _connect(self) -> psycopg.AsyncConnection[Row]:
        return await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            options=f"-c search_path={self._area} -c client_min_messages=warning",
            application_name=f"prikkfri {self._area}",
        )

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

    async def begin(self) -> Transaction:
        if self._writer is None or self._writer.closed:
            self._writer = await self._connect()
        await self._writer.execute("BEGIN")
        return _Connection(self._writer)

    async def commit(self) -> None:
        assert self._writer is not None
        await self._writer.execute("COMMIT")

    async def rollback(self) -> None:
        assert self._writer is not None
        if self._writer.closed:
            return
        try:
            await self._writer.execute("ROLLBACK")
        except psycopg.OperationalError:
            await self._writer.close()  # the server undoes what it never committed

    async def read(self, work: Callable[[Queries], Awaitable[T]]) -> T:
        async with self._reading:
            if self._reader is None or self._reader.closed:
                self._reader = await self._connect()
            return await work(_Connection(self._reader))

    async def between_groups(self) -> None:
        """PostgreSQL looks after itself."""

    def portable(self, error: BaseException) -> BaseException:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return StorageUnavailable(f"PostgreSQL, {self._area}: {str(error).strip()}")
        if isinstance(error, psycopg.Error):
            return StorageError(f"PostgreSQL, {self._area}: {str(error).strip()}")
        return error

    async def close(self) -> None:
        for connection in (self._writer, self._reader):
            if connection is not None:
                await connection.close()
