"""What every engine keeps to."""

import asyncio

import pytest

from prikkfri.errors import StorageError
from prikkfri.storage import Database, Location, Queries, Transaction, open_database, open_reader
from prikkfri.storage.opening import applied, history, migrate, open_unmigrated


@pytest.fixture
async def table(database: Database) -> Database:
    await database.write(lambda t: t.execute("CREATE TABLE thing (id BIGINT PRIMARY KEY, name TEXT NOT NULL)"))
    return database


async def insert(transaction: Transaction, id: int, name: str = "a") -> None:
    await transaction.execute("INSERT INTO thing (id, name) VALUES (:id, :name)", {"id": id, "name": name})


async def ids(database: Database) -> list[int]:
    async def work(queries: Queries) -> list[int]:
        return [row[0] for row in await queries.fetch("SELECT id FROM thing ORDER BY id")]

    return await database.read(work)


async def test_writes_that_arrive_together_are_committed_together(table: Database) -> None:
    before = table.counters.groups
    await asyncio.gather(*(table.write(lambda t, i=i: insert(t, i)) for i in range(100)))
    assert await ids(table) == list(range(100))
    assert table.counters.groups - before <= 3


async def test_a_bad_write_takes_no_neighbour_down(table: Database) -> None:
    results = await asyncio.gather(
        *(table.write(lambda t, i=i: insert(t, i % 7)) for i in range(10)), return_exceptions=True
    )
    assert await ids(table) == list(range(7))
    assert [isinstance(r, StorageError) for r in results] == [False] * 7 + [True] * 3


async def test_what_a_work_raises_undoes_it_and_comes_out(table: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await insert(transaction, 1)
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        await table.write(work)
    assert await ids(table) == []


async def test_hooks_add_to_the_group_and_not_to_a_failed_one(table: Database) -> None:
    seen: list[list[object]] = []

    async def hook(transaction: Transaction) -> None:
        seen.append(list(transaction.collected))

    table.on_commit(hook)

    async def work(transaction: Transaction) -> None:
        transaction.collected.append("item")

    await table.write(work)
    assert seen == [["item"]]


async def test_execute_tells_how_many_rows_changed(table: Database) -> None:
    async def work(transaction: Transaction) -> tuple[int, int]:
        await transaction.execute_many(
            "INSERT INTO thing (id, name) VALUES (:id, :name)", [{"id": i, "name": "a"} for i in range(5)]
        )
        some = await transaction.execute("UPDATE thing SET name = 'b' WHERE id < :limit", {"limit": 3})
        return some, await transaction.execute("UPDATE thing SET name = 'b' WHERE id > :limit", {"limit": 30})

    assert await table.write(work) == (3, 0)


async def test_percent_signs_and_colons_in_sql_are_text(table: Database) -> None:
    await table.write(lambda t: insert(t, 1, "12:30 50%"))
    row = await table.read(lambda q: q.fetch_one("SELECT id FROM thing WHERE name LIKE '12:3_ 50%'"))
    assert row == (1,)


async def test_what_is_written_is_there_after_opening_again(location: Location) -> None:
    first = await open_database(location, "sms")
    await first.write(lambda t: t.execute("CREATE TABLE thing (id BIGINT PRIMARY KEY, name TEXT NOT NULL)"))
    await first.write(lambda t: insert(t, 5))
    await first.close()
    again = await open_database(location, "sms")
    assert await ids(again) == [5]
    await again.close()


async def test_a_reader_sees_what_another_process_commits_and_cannot_write(location: Location, table: Database) -> None:
    reader = open_reader(location, "sms")
    await table.write(lambda t: insert(t, 9))
    assert await ids(reader) == [9]
    await reader.close()


@pytest.mark.parametrize("oldest", [number for number, _, _ in history()])
async def test_every_earlier_database_can_be_brought_up_to_date(location: Location, oldest: int) -> None:
    old = open_unmigrated(location, "signin")
    await old.engine.prepare()
    await migrate(old, up_to=oldest)
    assert max(await old.read(applied)) == oldest
    await old.close()
    database = await open_database(location, "signin")
    assert await database.read(applied) == {number for number, _, _ in history()}
    await database.close()


async def test_a_database_of_a_newer_version_is_refused(location: Location) -> None:
    database = await open_database(location, "sms")
    await database.write(lambda t: t.execute("INSERT INTO migration (number, name) VALUES (9999, 'tomorrow')"))
    await database.close()
    with pytest.raises(StorageError, match="newer version"):
        await open_database(location, "sms")
