"""Statements on their way to PostgreSQL over one connection, by libpq's pipeline mode.

A statement is put on its way without waiting for what was before it; the answers come in the same order, and one wait
is for all of them. When one fails the server passes over those behind it, up to where they were waited for. What
psycopg adds to each statement (a cursor, a lock, a task's turn to begin to wait and one to end it) costs four times
what libpq itself does.
"""

import asyncio
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from types import NoneType
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.pq.abc import Buffer, PGresult

from prikkfri.storage.database import Row

PREPARED_MAX = 500
"""Statements that a connection keeps prepared: more than there are, so that none is prepared twice."""
_PREPARED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
"""What has a plan to keep begins so."""
CANCEL_SECONDS_MAX = 5.0
_DONE = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY}


class _Kind(NamedTuple):
    """How values of a type are written."""

    oid: int
    """The server's name of the type; 0: it looks where the value stands."""
    write: Callable[[Any], Buffer | None]


_KINDS: dict[type, _Kind] = {
    str: _Kind(25, str.encode),
    bool: _Kind(16, struct.Struct("!?").pack),
    int: _Kind(20, struct.Struct("!q").pack),
    float: _Kind(701, struct.Struct("!d").pack),
    bytes: _Kind(17, bytes),
    NoneType: _Kind(0, lambda _: None),
}


def _kind(of: type) -> _Kind:
    for known, kind in _KINDS.items():
        if issubclass(of, known):
            return kind
    raise psycopg.ProgrammingError(f"a value of type {of.__name__} cannot be stored")


_Key = tuple[str, tuple[type, ...]]


class _Statement:
    """A text with values of certain types."""

    def __init__(self, key: _Key) -> None:
        self.sql = key[0].encode()
        kinds = [_kind(of) for of in key[1]]
        self.oids = [kind.oid for kind in kinds]
        self.forms = [pq.Format.BINARY] * len(kinds)
        self.writes = [kind.write for kind in kinds]
        self.has_plan = key[0].startswith(_PREPARED)
        self.name = b""
        """Under which it is prepared; empty: it is not."""


class Pipeline:
    """One connection's. Several tasks may read over it, each what it put since it waited last."""

    def __init__(self, connection: psycopg.AsyncConnection[Row]) -> None:
        self.unread = 0
        """Answers for which nobody waits yet."""
        self._connection = connection
        self._line = connection.pgconn
        self._line.enter_pipeline_mode()
        self._loop = asyncio.get_running_loop()
        self._loaded = Transformer(connection)
        self._statements: OrderedDict[_Key, _Statement] = OrderedDict()
        self._names = count()
        self._unproven: list[_Statement] = []
        """Those whose preparing nobody has waited for yet."""
        self._answers: list[PGresult] = []
        """Those that have come since somebody was last told."""
        self._waiting: deque[asyncio.Future[list[PGresult]]] = deque()
        self._watched: int | None = None

    @property
    def closed(self) -> bool:
        return self._connection.closed

    @property
    def at_rest(self) -> bool:
        """Nothing is under way, and no transaction is open."""
        return self._line.transaction_status == pq.TransactionStatus.IDLE and not self.unread and not self._waiting

    def put(self, sql: str, values: Sequence[object] = ()) -> None:
        """Puts a statement on its way, with values for `$1` and so on; it leaves when somebody waits.

        Raises `psycopg.Error`.
        """
        key = (sql, tuple(map(type, values)))
        statement = self._statements.get(key)
        if statement is None:
            statement = self._new(key)
        else:
            self._statements.move_to_end(key)
            if not statement.name and statement.has_plan:
                self._prepare(statement)
        try:
            written = [write(value) for write, value in zip(statement.writes, values, strict=True)]
        except struct.error as error:
            raise psycopg.DataError(str(error)) from None
        if statement.name:
            self._line.send_query_prepared(statement.name, written, statement.forms, pq.Format.BINARY)
        else:
            self._line.send_query_params(statement.sql, written, statement.oids, statement.forms, pq.Format.BINARY)
        self.unread += 1

    async def wait(self) -> list[PGresult]:
        """The answers to what was put since the last time; that to the last statement is the last.

        Raises the first error among them, a `psycopg.Error`.
        """
        self.unread, unproven, self._unproven = 0, self._unproven, []
        waiting: asyncio.Future[list[PGresult]] = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            if self._watched is None:
                self._watched = self._line.socket
                self._loop.add_reader(self._watched, self._read)
            self._line.pipeline_sync()
            if self._line.flush():
                self._loop.add_writer(self._watched, self._flush)
        except psycopg.OperationalError as error:
            self._lose(error)
        answers = await waiting
        for answer in answers:
            if answer.status not in _DONE:
                for statement in unproven:
                    statement.name = b""
                raise psycopg.errors.error_from_result(answer)
        return answers

    async def rollback(self) -> None:
        """Undoes the transaction that is open; raises nothing. Where that cannot be told, the connection ends."""
        if self._waiting:  # for what whoever asked has been cancelled
            await self.close()
            return
        try:
            if self.unread:
                with suppress(psycopg.Error):
                    await self.wait()  # behind one that failed it would be passed over
            self.put("ROLLBACK")
            await self.wait()
        except psycopg.Error:
            await self.close()  # the server undoes what it never committed

    def rows(self, answer: PGresult) -> list[Row]:
        self._loaded.set_pgresult(answer)
        return self._loaded.load_rows(0, answer.ntuples, tuple)

    def first_row(self, answer: PGresult) -> Row | None:
        self._loaded.set_pgresult(answer)
        return self._loaded.load_row(0, tuple) if answer.ntuples else None

    async def close(self) -> None:
        """Ends the connection, and on the server what is under way over it."""
        self._stop_listening()
        if self._line.transaction_status == pq.TransactionStatus.ACTIVE:
            with suppress(psycopg.Error):
                await self._connection.cancel_safe(timeout=CANCEL_SECONDS_MAX)
        self._lose(psycopg.OperationalError("the connection was closed"))

    def _new(self, key: _Key) -> _Statement:
        statement = self._statements[key] = _Statement(key)
        if len(self._statements) > PREPARED_MAX:
            _, oldest = self._statements.popitem(last=False)
            if oldest.name:
                self._line.send_query_params(b"DEALLOCATE " + oldest.name, None)
        return statement

    def _prepare(self, statement: _Statement) -> None:
        statement.name = b"prikkfri_%d" % next(self._names)
        self._line.send_prepare(statement.name, statement.sql, statement.oids)
        self._unproven.append(statement)

    def _flush(self) -> None:
        try:
            if self._watched is not None and not self._line.flush():
                self._loop.remove_writer(self._watched)
        except psycopg.OperationalError as error:
            self._lose(error)

    def _read(self) -> None:
        if not self._waiting:
            self._stop_listening()  # what comes unasked, its end say, is told to whoever waits next
            return
        lost: psycopg.OperationalError | None = None
        try:
            self._line.consume_input()
        except psycopg.OperationalError as error:
            lost = error
        while self._waiting and not self._line.is_busy():
            answer = self._line.get_result()
            if answer is None:
                if self._line.status == pq.ConnStatus.BAD:
                    lost = lost or psycopg.OperationalError(self._line.get_error_message())
                    break
            elif answer.status == pq.ExecStatus.PIPELINE_SYNC:
                answers, self._answers = self._answers, []
                waiting = self._waiting.popleft()
                if not waiting.done():
                    waiting.set_result(answers)
            else:
                self._answers.append(answer)
        if lost is not None:
            self._lose(lost)

    def _stop_listening(self) -> None:
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
            self._watched = None

    def _lose(self, error: psycopg.OperationalError) -> None:
        """Whoever waits is told why: what the server said last, if it did."""
        self._stop_listening()
        # libpq answers in the server's stead when it has heard nothing more; that has no SQLSTATE.
        said = [each for each in self._answers if each.error_field(pq.DiagnosticField.SQLSTATE)]
        why = psycopg.errors.error_from_result(said[0]) if said else error
        self._answers.clear()
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(why)
        self._line.finish()
