"""When the machine below fails: what is acknowledged is kept, what is refused is not, and the next write works."""

import asyncio
import random
import stat
import tempfile
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import apsw
import psycopg
import psycopg.conninfo
import pytest
from failing_engine import failing
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.clock import ManualClock
from prikkfri.errors import FencedOut, InDoubt, StorageError, StorageUnavailable, StorageUnmade
from prikkfri.journal import open_journal
from prikkfri.storage import (
    Database,
    Location,
    Queries,
    StorageLimits,
    Transaction,
    open_database,
    open_reader,
    open_spool,
)
from prikkfri.storage.opening import open_unmigrated

THING = "CREATE TABLE thing (id BIGINT PRIMARY KEY, name TEXT NOT NULL)"


async def insert(transaction: Transaction, id: int, name: str = "a") -> None:
    await transaction.execute("INSERT INTO thing (id, name) VALUES (:id, :name)", {"id": id, "name": name})


async def ids(database: Database) -> list[int]:
    async def work(queries: Queries) -> list[int]:
        return [row[0] for row in await queries.fetch("SELECT id FROM thing ORDER BY id")]

    return await database.read(work)


async def test_a_few_bad_works_among_many_cost_few_transactions(database: Database) -> None:
    await database.write(lambda t: t.execute(THING))
    before = database.counters.groups + database.counters.failed_groups
    works = [database.write(lambda t, i=i: insert(t, 0 if i in (400, 900) else i)) for i in range(1_000)]
    results = await asyncio.gather(*works, return_exceptions=True)
    assert [i for i, result in enumerate(results) if result is not None] == [400, 900]
    assert await ids(database) == [i for i in range(1_000) if i not in (400, 900)]
    assert database.counters.groups + database.counters.failed_groups - before < 60


async def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "sms.db"))
    other.execute("BEGIN IMMEDIATE")  # as it does while it changes the mode of a new file; SQLite does not wait for it
    with pytest.raises(StorageUnavailable):
        await open_database(Location(tmp_path), "sms", limits=StorageLimits(busy_milliseconds_max=0))
    opening = asyncio.create_task(asyncio.to_thread(open_unmigrated, Location(tmp_path), "sms"))
    await asyncio.sleep(0.1)
    assert not opening.done()
    other.execute("ROLLBACK")
    database = await opening
    await database.write(lambda t: t.execute(THING))
    await database.close()


async def test_a_work_on_a_table_that_is_not_made_takes_no_neighbour_down(database: Database) -> None:
    await database.write(lambda t: t.execute(THING))
    works = [
        database.write(lambda t: t.execute("DELETE FROM another")),
        *(database.write(lambda t, i=i: insert(t, i)) for i in range(9)),
    ]
    first, *others = await asyncio.gather(*works, return_exceptions=True)
    assert isinstance(first, StorageUnmade) and others == [None] * 9
    assert await ids(database) == list(range(9))


async def test_failing_housekeeping_stops_nobody_and_is_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database, engine = failing(database)
    engine.housekeeping_fails_with = apsw.FullError("no room for the checkpoint")
    await database.write(lambda t: t.execute(THING))
    await database.write(lambda t: insert(t, 1))
    assert await ids(database) == [1]
    assert "sms: housekeeping failed: no room for the checkpoint" in caplog.text


async def test_who_is_cancelled_while_waiting_disturbs_nobody(database: Database) -> None:
    await database.write(lambda t: t.execute(THING))
    waiting = [asyncio.create_task(database.write(lambda t, i=i: insert(t, i))) for i in range(30)]
    for turn in range(21):
        await asyncio.sleep(0)
        waiting[turn].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert set(range(21, 30)) <= set(await ids(database))
    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
    await database.write(lambda t: insert(t, 100))


async def test_what_was_cancelled_before_its_group_began_is_not_done(database: Database) -> None:
    await database.write(lambda t: t.execute(THING))
    database, engine = failing(database)
    engine.passing.clear()
    waiting = [asyncio.create_task(database.write(lambda t: insert(t, 0)))]
    await eventually(lambda: engine.commits == 1)
    waiting += [asyncio.create_task(database.write(lambda t, i=i: insert(t, i))) for i in range(1, 6)]
    await asyncio.sleep(0)
    for task in waiting[2:4]:
        task.cancel()
    engine.passing.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await ids(database) == [0, 1, 4, 5]
    waiting = [asyncio.create_task(database.write(lambda t, i=i: insert(t, i))) for i in (10, 11)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await database.write(lambda t: insert(t, 12))
    assert await ids(database) == [0, 1, 4, 5, 12]


async def test_when_the_writer_ends_nobody_is_left_waiting(database: Database) -> None:
    """As when the loop ends without `close`."""
    await database.write(lambda t: t.execute(THING))
    database, engine = failing(database)
    engine.passing.clear()
    waiting = [asyncio.create_task(database.write(lambda t, i=i: insert(t, i))) for i in range(3)]
    await eventually(lambda: engine.commits == 1)
    waiting += [asyncio.create_task(database.write(lambda t, i=i: insert(t, i))) for i in range(3, 6)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    for task in asyncio.all_tasks():
        if task.get_name() == "writer of sms":
            task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 6
    with pytest.raises(StorageUnavailable):
        await database.write(lambda t: insert(t, 6))
    assert await ids(database) == []


async def test_a_writer_ends_when_it_is_told_to_also_after_its_engine_was_closed(database: Database) -> None:
    """As when a test, or a start, fails halfway: whoever ends the loop must not wait for it for ever."""
    await database.write(lambda t: t.execute(THING))
    database, engine = failing(database)
    engine.passing.clear()
    waiting = [asyncio.create_task(database.write(lambda t, i=i: insert(t, i))) for i in range(3)]
    await eventually(lambda: engine.commits == 1)
    await engine.close()
    writers = [task for task in asyncio.all_tasks() if task.get_name() == "writer of sms"]
    for writer in writers:
        writer.cancel()
    await asyncio.wait(writers, timeout=WAIT_SECONDS_MAX)
    assert all(writer.cancelled() for writer in writers)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 3


def test_a_loop_that_ends_without_close_leaves_all_or_nothing_of_each_group(tmp_path: Path) -> None:
    async def main() -> None:
        database = await open_database(Location(tmp_path), "sms")
        await database.write(lambda t: t.execute(THING))
        begun = asyncio.Event()

        async def work(transaction: Transaction, first: int) -> None:
            for i in range(first, first + 3):
                await insert(transaction, i)
            begun.set()

        tasks = [asyncio.create_task(database.write(lambda t, i=i: work(t, i))) for i in range(0, 30, 3)]
        await begun.wait()
        assert not any(task.done() for task in tasks)

    async def found() -> list[int]:
        database = await open_database(Location(tmp_path), "sms")
        await database.write(lambda t: insert(t, 100))
        rows = await ids(database)
        await database.close()
        return rows

    asyncio.run(main())
    assert asyncio.run(found()) in ([100], [*range(30), 100])


async def test_close_commits_what_was_handed_in_and_takes_no_more(location: Location) -> None:
    database = await open_database(location, "sms")
    await database.write(lambda t: t.execute(THING))
    writing = [asyncio.create_task(database.write(lambda t, i=i: insert(t, i))) for i in range(3_000)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable):
        await database.write(lambda t: insert(t, 5_000))
    await closing
    assert await asyncio.gather(*writing) == [None] * 3_000
    with pytest.raises(StorageUnavailable):
        await database.write(lambda t: insert(t, 5_000))
    again = await open_database(location, "sms")
    assert await ids(again) == list(range(3_000))
    await again.close()


async def test_close_commits_also_what_was_handed_in_first_of_all(location: Location) -> None:
    database = open_unmigrated(location, "sms")
    await database.engine.prepare()
    writing = asyncio.create_task(database.write(lambda t: t.execute(THING)))
    await asyncio.sleep(0)
    await database.close()
    await writing
    again = open_reader(location, "sms")
    assert await ids(again) == []
    await again.close()


# SQLite.


async def test_another_process_with_the_lock_does_not_stop_the_loop(tmp_path: Path) -> None:
    """The lock goes when the loop has turned, and not before."""
    database = await open_database(Location(tmp_path), "sms", limits=StorageLimits(busy_milliseconds_max=120_000))
    await database.write(lambda t: t.execute(THING))
    turned = threading.Event()
    held = threading.Event()
    turned_while_held: list[bool] = []

    def hold() -> None:
        other = apsw.Connection(str(tmp_path / "sms.db"))
        other.execute("BEGIN IMMEDIATE")
        held.set()
        turned_while_held.append(turned.wait(30))
        other.execute("ROLLBACK")
        other.close()

    holding = asyncio.create_task(asyncio.to_thread(hold))
    await eventually(held.is_set)
    writing = asyncio.create_task(database.write(lambda t: insert(t, 1)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not writing.done()
    turned.set()
    await writing
    await holding
    assert turned_while_held == [True]
    assert await ids(database) == [1]
    await database.close()


async def test_another_process_that_keeps_the_lock_is_a_refusal_and_ends_with_it(tmp_path: Path) -> None:
    database = await open_database(Location(tmp_path), "sms", limits=StorageLimits(busy_milliseconds_max=1))
    await database.write(lambda t: t.execute(THING))
    other = apsw.Connection(str(tmp_path / "sms.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable):
        await database.write(lambda t: insert(t, 1))
    other.execute("ROLLBACK")
    await database.write(lambda t: insert(t, 2))
    assert await ids(database) == [2]
    other.close()
    await database.close()


async def test_a_write_that_failed_holds_no_lock(tmp_path: Path) -> None:
    database = await open_database(Location(tmp_path), "sms")
    await database.write(lambda t: t.execute(THING))

    async def work(transaction: Transaction) -> None:
        await insert(transaction, 1)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(work)
    other = apsw.Connection(str(tmp_path / "sms.db"))
    other.execute("BEGIN IMMEDIATE")
    other.execute("COMMIT")
    other.close()
    await database.close()


async def test_databases_are_their_owners_alone_to_read(tmp_path: Path) -> None:
    for database in (await open_database(Location(tmp_path), "sms"), await open_spool(tmp_path, "door")):
        await database.close()
    for file in (tmp_path / "sms.db", tmp_path / "spool" / "door.db"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_server_that_is_not_there_is_unavailable_to_open_to_read_and_to_write(tmp_path: Path) -> None:
    nowhere = Location(tmp_path, f"postgresql:///prikkfri?host={tmp_path}")
    with pytest.raises(StorageUnavailable, match="PostgreSQL, sms"):
        await open_database(nowhere, "sms")
    database = open_reader(nowhere, "sms")
    with pytest.raises(StorageUnavailable, match="PostgreSQL, sms"):
        await ids(database)
    with pytest.raises(StorageUnavailable, match="PostgreSQL, sms"):
        await database.write(lambda t: insert(t, 1))
    await database.close()


@pytest.mark.slow  # two seconds are waited for an answer
async def test_a_server_that_never_answers_is_unavailable_in_time() -> None:
    heard: list[asyncio.StreamWriter] = []

    def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(writer)

    with tempfile.TemporaryDirectory(prefix="pf-wire-") as folder:
        listening = await asyncio.start_unix_server(listen, f"{folder}/.s.PGSQL.5432")
        silent = Location(Path(folder), f"postgresql:///prikkfri?host={folder}")
        async with asyncio.timeout(WAIT_SECONDS_MAX / 2):
            with pytest.raises(StorageUnavailable, match="PostgreSQL, sms"):
                await open_database(silent, "sms", limits=StorageLimits(connect_seconds_max=2))
        assert heard
        for writer in heard:
            writer.close()
            await writer.wait_closed()
        listening.close()
        await listening.wait_closed()


# PostgreSQL: a server that goes away, before, in and after a commit.


class Wire:
    """Between us and the real server: breaks when the client commits, before, while or after the server does it."""

    def __init__(self, server: str, folder: Path) -> None:
        self.url = server.replace(_socket_folder(server), str(folder))
        self.before_commit = False
        self.in_commit = False
        self.after_commit = False
        self.broken = asyncio.Event()
        self._real = f"{_socket_folder(server)}/.s.PGSQL.5432"
        self._mine = folder / ".s.PGSQL.5432"
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._listening = await asyncio.start_unix_server(self._connected, self._mine)

    async def close(self) -> None:
        self._listening.close()
        for writer in self._writers:
            writer.close()
        await self._listening.wait_closed()

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._real)
        self._writers += [to_client, to_server]
        answering = asyncio.create_task(self._copy(server, to_client))
        with suppress(ConnectionError):
            await self._forward(client, server, to_server, answering)
        answering.cancel()
        to_client.close()
        to_server.close()

    async def _forward(
        self,
        client: asyncio.StreamReader,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        answering: asyncio.Task[None],
    ) -> None:
        while data := await client.read(65536):
            if b"COMMIT" in data:
                if self.before_commit:
                    self.broken.set()
                    break
                if self.in_commit or self.after_commit:
                    answering.cancel()
                    await asyncio.wait([answering])
                    to_server.write(data)
                    if self.after_commit:
                        await server.read(65536)  # the server has answered, and nobody will hear it
                    self.broken.set()
                    break
            to_server.write(data)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
        target.close()


def _socket_folder(url: str) -> str:
    return url.split("host=", 1)[1]


@pytest.fixture
async def wire(postgres_url: str) -> AsyncIterator[Wire]:
    with tempfile.TemporaryDirectory(prefix="pf-wire-") as folder:
        wire = Wire(postgres_url, Path(folder))
        await wire.open()
        yield wire
        await wire.close()


@pytest.fixture
async def wired(wire: Wire, tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(Location(tmp_path, wire.url), "sms")
    await database.write(lambda t: t.execute(THING))
    yield database
    await database.close()


async def test_a_commit_whose_answer_is_lost_is_found_to_be_done(wire: Wire, wired: Database) -> None:
    wire.after_commit = True
    writing = asyncio.create_task(wired.write(lambda t: insert(t, 1)))
    await wire.broken.wait()
    wire.after_commit = False
    await writing
    assert await ids(wired) == [1]


async def test_a_commit_that_is_under_way_is_waited_for(wire: Wire, wired: Database) -> None:
    async def slow_to_commit(transaction: Transaction) -> None:
        sleep = "'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'"
        await transaction.execute(f"CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS {sleep}")
        await transaction.execute(
            "CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON thing"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly()"
        )

    await wired.write(slow_to_commit)
    wire.in_commit = True
    writing = asyncio.create_task(wired.write(lambda t: insert(t, 1)))
    await wire.broken.wait()
    wire.in_commit = False
    await writing
    assert await ids(wired) == [1]


async def test_a_commit_that_never_arrived_is_refused_and_not_kept(wire: Wire, wired: Database) -> None:
    wire.before_commit = True
    writing = asyncio.create_task(wired.write(lambda t: insert(t, 1)))
    await wire.broken.wait()
    wire.before_commit = False
    with pytest.raises(StorageUnavailable):
        await writing
    await wired.write(lambda t: insert(t, 2))
    assert await ids(wired) == [2]


async def test_a_commit_of_which_nobody_can_tell_is_in_doubt(wire: Wire, wired: Database, tmp_path: Path) -> None:
    hasty = await open_database(Location(tmp_path, wire.url), "sms", limits=StorageLimits(in_doubt_seconds_max=0.3))
    wire.after_commit = True
    writing = asyncio.create_task(hasty.write(lambda t: insert(t, 1)))
    await wire.broken.wait()
    await wire.close()
    with pytest.raises(InDoubt):
        await writing
    wire.after_commit = False
    await wire.open()
    await hasty.write(lambda t: insert(t, 2))
    assert await ids(wired) == [1, 2]
    await hasty.close()


async def hang_up(postgres_url: str) -> None:
    """What a restart of the server does to our connections."""
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'prikkfri%' AND datname = current_database()"
        )


async def test_why_a_work_failed_is_told_also_when_the_server_has_gone_meanwhile(
    wired: Database, postgres_url: str
) -> None:
    async def failing_work(transaction: Transaction) -> None:
        await insert(transaction, 1)
        await hang_up(postgres_url)
        raise LookupError("the work's own")

    with pytest.raises(LookupError, match="the work's own"):
        await wired.write(failing_work)
    await wired.write(lambda t: insert(t, 2))
    assert await ids(wired) == [2]


async def test_a_server_that_was_restarted_between_writes_is_not_noticed(wired: Database, postgres_url: str) -> None:
    await wired.write(lambda t: insert(t, 1))
    assert await ids(wired) == [1]
    await hang_up(postgres_url)

    async def half(transaction: Transaction) -> None:
        await insert(transaction, 3)
        raise LookupError("the other half")

    with pytest.raises(LookupError):
        await wired.write(half)
    await wired.write(lambda t: insert(t, 2))
    assert await ids(wired) == [1, 2], "the first transaction on a new connection is one, too"


async def test_whatever_is_cut_off_at_any_moment_is_kept_as_it_was_told(wired: Database, postgres_url: str) -> None:
    """Connections end again and again, in the midst of works, reads and commits: no answer was wrong."""
    told: dict[int, bool] = {}
    over = asyncio.Event()

    def both_ends() -> bool:
        return sum(told.values()) > 20 and len(told) > sum(told.values())

    async def write(first: int) -> None:
        for number in range(first, first + 10_000):
            if over.is_set():
                return
            try:
                await wired.write(lambda t, number=number: insert(t, number))  # type: ignore[misc]
                told[number] = True
            except StorageUnavailable:
                told[number] = False

    async def read() -> None:
        while not over.is_set():
            known = {number for number, kept in told.items() if kept}
            with suppress(StorageUnavailable):
                assert known <= set(await ids(wired))

    async def cut() -> None:
        lots = random.Random(7)
        cuts = 0
        while cuts < 60 or not both_ends():
            await hang_up(postgres_url)
            await asyncio.sleep(lots.uniform(0.0, 0.03 * (1 + cuts / 60)))  # on a slow machine ever more seldom
            cuts += 1
        over.set()

    await asyncio.gather(cut(), *(write(first * 10_000) for first in range(4)), read(), read())
    assert set(await ids(wired)) == {number for number, kept in told.items() if kept}


async def test_where_the_server_gives_no_more_connections_a_read_waits_for_one_that_there_is(
    wired: Database, postgres_url: str, tmp_path: Path
) -> None:
    """As long as there is none at all, it is refused."""
    await wired.write(lambda t: insert(t, 1))
    few = f"few_{uuid.uuid4().hex}"

    async def tell(*statements: str) -> None:
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            for statement in statements:
                await connection.execute(statement.encode())

    await tell(
        f"CREATE ROLE {few} LOGIN CONNECTION LIMIT 2",
        f"GRANT USAGE ON SCHEMA sms TO {few}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA sms TO {few}",
    )
    theirs = Location(tmp_path, psycopg.conninfo.make_conninfo(postgres_url, user=few))
    database, another = open_reader(theirs, "sms"), open_reader(theirs, "sms")
    try:
        slowly = "SELECT id, pg_sleep(0.05) FROM thing"
        for _ in range(3):
            found = await asyncio.gather(*(database.read(lambda q: q.fetch(slowly)) for _ in range(8)))
            assert [[row[0] for row in rows] for rows in found] == [[1]] * 8
        with pytest.raises(StorageUnavailable, match="PostgreSQL, sms"):
            await ids(another)
        await database.close()
        assert await eventually(lambda: readable(another)) == [1]
    finally:
        await database.close()
        await another.close()
        await tell(f"DROP OWNED BY {few}", f"DROP ROLE {few}")


async def readable(database: Database) -> list[int]:
    with suppress(StorageUnavailable):
        return await ids(database)
    return []


async def test_a_long_read_holds_no_short_one_up(wired: Database, postgres_url: str) -> None:
    """And no more are open than may be, nor any when it is closed."""
    limits = StorageLimits()
    began, gone_on = asyncio.Event(), asyncio.Event()

    async def long(queries: Queries) -> None:
        await queries.fetch("SELECT 1")
        began.set()
        await gone_on.wait()

    reading = asyncio.create_task(wired.read(long))
    await began.wait()
    assert await ids(wired) == []
    gone_on.set()
    await reading
    await asyncio.gather(*(wired.read(lambda q: q.fetch("SELECT pg_sleep(0.05)")) for _ in range(20)))

    async def readers() -> int:
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            found = await connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'prikkfri%'"
            )
            [count] = await found.fetchone() or (0,)
        return int(count)

    assert 2 < await readers() <= limits.readers_max + 1  # and the writer
    late = asyncio.create_task(wired.read(lambda q: q.fetch("SELECT pg_sleep(0.3)")))
    await asyncio.sleep(0)
    await wired.close()
    await asyncio.gather(late, return_exceptions=True)

    async def none() -> bool:
        return await readers() == 0

    await eventually(none, what="every connection to be closed")


async def test_a_work_that_hides_an_error_is_not_taken_for_committed(wired: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await insert(transaction, 1)
        with suppress(psycopg.Error):
            await insert(transaction, 1)

    with pytest.raises(StorageError):
        await wired.write(work)
    assert await ids(wired) == []


async def test_a_writer_frozen_in_its_transaction_does_not_hold_its_successor(
    postgres_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    location = Location(tmp_path, postgres_url)
    database = await open_database(location, "sms", limits=StorageLimits(idle_in_transaction_seconds_max=5))
    journal = await open_journal(database, stream="sms", clock=clock)
    thawed = asyncio.Event()

    async def freeze(transaction: Transaction) -> None:
        await thawed.wait()

    database.on_commit(freeze)  # after the journal has taken its positions, and with them the row's lock
    writing = asyncio.create_task(journal.append())
    successor = await open_database(location, "sms")
    async with asyncio.timeout(WAIT_SECONDS_MAX / 2):
        await (await open_journal(successor, stream="sms", clock=clock)).append()
    thawed.set()
    with pytest.raises(StorageUnavailable):
        await writing
    with pytest.raises(FencedOut):
        await journal.append()
    await successor.close()
    await database.close()


async def test_a_reader_waits_for_others_as_a_writer_does_and_writes_nothing(tmp_path: Path) -> None:
    database = await open_database(Location(tmp_path), "sms", limits=StorageLimits(busy_milliseconds_max=1_234))
    assert await database.read(lambda q: q.fetch("PRAGMA busy_timeout")) == [(1_234,)]
    with pytest.raises(StorageError):
        await database.read(lambda q: q.fetch(THING))
    await database.close()
