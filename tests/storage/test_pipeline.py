"""PostgreSQL by libpq's pipeline mode: what is put on its way is answered, refused or broken off, each for itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.errors import StorageError
from prikkfri.storage import Database, Location, Queries, Transaction, open_database
from prikkfri.storage.pipeline import PREPARED_MAX
from prikkfri.storage.postgres import UNREAD_MAX

PUT_IN = "INSERT INTO thing (id, name) VALUES (:id, :name)"


@pytest.fixture
async def table(postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(Location(tmp_path, postgres_url), "sms")
    await database.write(lambda t: t.execute("CREATE TABLE thing (id BIGINT PRIMARY KEY, name TEXT NOT NULL)"))
    yield database
    await database.close()


async def put_in(transaction: Transaction, *ids: int) -> None:
    """Each by a statement of its own."""
    for id in ids:
        await transaction.execute_many(PUT_IN, [{"id": id, "name": "a"}])


async def count(queries: Queries) -> int:
    row = await queries.fetch_one("SELECT COUNT(*) FROM thing")
    return int(row[0]) if row else 0


async def test_no_more_statements_are_prepared_than_may_be_and_each_goes_on_to_work(table: Database) -> None:
    async def work(transaction: Transaction) -> int:
        for number in range(PREPARED_MAX + 40):
            for _ in range(3):
                assert await transaction.fetch(f"SELECT {number} + :more", {"more": 1}) == [(number + 1,)]
        row = await transaction.fetch_one("SELECT COUNT(*) FROM pg_prepared_statements")
        return int(row[0]) if row else 0

    assert PREPARED_MAX - 9 < await table.write(work) <= PREPARED_MAX
    often = [await table.read(lambda q: q.fetch("SELECT :more + 1", {"more": 7})) for _ in range(9)]
    assert often == [[(8,)]] * 9


async def test_a_statement_that_was_passed_over_is_not_taken_for_prepared(table: Database) -> None:
    """It would have been prepared behind one that failed, where the server passes over everything."""
    await table.write(lambda t: put_in(t, 1))
    with pytest.raises(StorageError):  # the second use of the one statement, the first of the other
        await table.write(lambda t: t.execute_many("INSERT INTO thing VALUES (:id, 'x')", [{"id": 1}, {"id": 2}]))

    async def behind(transaction: Transaction) -> None:
        await transaction.execute_many("INSERT INTO thing VALUES (:id, 'x')", [{"id": 1}])
        await put_in(transaction, 2)

    with pytest.raises(StorageError):
        await table.write(behind)
    for id in (3, 4, 5):
        await table.write(lambda t, id=id: put_in(t, id))
    assert await table.read(count) == 4


async def test_more_may_be_put_on_its_way_than_both_ends_can_hold(table: Database) -> None:
    """The server answers while we still send: with nobody to read it, both would wait for each other for ever."""
    text = "x" * 400_000

    async def work(transaction: Transaction) -> object:
        rows = [{"text": text} for _ in range(UNREAD_MAX + 9)]
        await transaction.execute_many("SELECT :text || :text || CAST(random() AS TEXT)", rows)
        return await transaction.fetch_one("SELECT LENGTH(CAST(:text AS TEXT))", {"text": text})

    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert await table.write(work) == (len(text),)


async def test_reads_of_one_work_that_ask_at_once_have_each_its_own_answer(table: Database) -> None:
    async def work(queries: Queries) -> list[object]:
        asked = (queries.fetch_one("SELECT CAST(:n AS BIGINT)", {"n": n}) for n in range(20))
        return await asyncio.gather(*asked, queries.fetch("SELECT n FROM nowhere"), return_exceptions=True)

    *numbers, refused = await table.read(work)
    assert numbers == [(n,) for n in range(20)] and isinstance(refused, psycopg.errors.UndefinedTable)


@pytest.mark.parametrize("as_snapshot", [False, True])
async def test_a_read_that_is_broken_off_ends_on_the_server_and_disturbs_none(
    table: Database, postgres_url: str, as_snapshot: bool
) -> None:
    ask = table.snapshot if as_snapshot else table.read
    reading = asyncio.create_task(ask(lambda q: q.fetch("SELECT pg_sleep(3600)")))

    async def asleep() -> int:
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
            cursor = await connection.execute(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
            )
            [found] = await cursor.fetchone() or (0,)
        return int(found)

    async def begun() -> bool:
        return await asleep() == 1

    async def over() -> bool:
        return await asleep() == 0

    await eventually(begun, what="the server to begin")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await eventually(over, what="the server to leave off")
    assert await table.read(count) == 0


async def test_a_text_that_the_server_cannot_hold_is_refused_whole(table: Database) -> None:
    """libpq would end it at its first NUL."""
    with pytest.raises(StorageError):
        await table.write(lambda t: t.execute(PUT_IN, {"id": 1, "name": "a\0b"}))
    with pytest.raises(StorageError):
        await table.write(lambda t: t.execute(PUT_IN, {"id": 2**63, "name": "a"}))
    with pytest.raises(StorageError):
        await table.write(lambda t: t.execute(PUT_IN, {"id": 1, "name": ["a"]}))
    await table.write(lambda t: put_in(t, 1))
    assert await table.read(count) == 1


async def test_a_writer_s_plan_made_while_there_was_little_does_not_walk_through_what_has_come_since(
    table: Database,
) -> None:
    async def work(transaction: Transaction) -> list[str]:
        await transaction.execute("CREATE INDEX thing_open ON thing (name) WHERE name = 'open'")
        await put_in(transaction, *range(20))
        given = ", ".join(f"({id}, 'b')" for id in range(64))
        changes = [
            f"UPDATE thing SET name = column2 FROM (VALUES {given}) AS given WHERE id = column1",
            "UPDATE thing SET name = 'gone' WHERE id IN (1, 2, 3, 4, 5, 6, 7, 8) AND name = 'open'",
        ]
        return [str(row[0]) for change in changes for row in await transaction.fetch(f"EXPLAIN {change}")]

    plans = "\n".join(await table.write(work))
    assert plans.count("Index Scan") == 2 and "Seq Scan" not in plans and "Bitmap" not in plans
