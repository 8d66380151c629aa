"""What every engine keeps to."""

import asyncio
from enum import IntEnum, StrEnum
from pathlib import Path

import apsw
import psycopg
import pytest
from failing_engine import failing
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.errors import FencedOut, InDoubt, PrikkfriError, StorageError, StorageUnavailable
from prikkfri.storage import Database, Location, Queries, Transaction, open_database, open_reader
from prikkfri.storage.opening import applied, history, migrate, open_unmigrated
from prikkfri.storage.postgres import MIGRATION_LOCK


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


async def test_many_rows_are_put_in_as_they_are_however_many_there_are(database: Database) -> None:
    """By few statements, of few lengths: what one row has and another has not must not meet."""
    rows: list[dict[str, object]] = [
        {"id": each, "name": None if each % 3 else f"${each} :id % \u00e5", "large": 2**40 if each % 5 == 0 else each}
        for each in range(77)
    ]
    sql = "INSERT INTO many (id, name, large, word) VALUES (:id, :name, :large, 'as::it')"

    async def put(transaction: Transaction) -> None:
        await transaction.execute("CREATE TABLE many (id BIGINT PRIMARY KEY, name TEXT, large BIGINT, word TEXT)")
        for start, end in ((0, 0), (0, 1), (1, 3), (3, 77)):
            await transaction.execute_many(sql, rows[start:end])

    await database.write(put)
    found = await database.read(lambda q: q.fetch("SELECT id, name, large, word FROM many ORDER BY id"))
    assert found == [(*row.values(), "as::it") for row in rows]


async def test_a_snapshot_is_of_one_moment_and_holds_up_neither_writers_nor_other_reads(table: Database) -> None:
    await table.write(lambda t: insert(t, 1))
    count = "SELECT COUNT(*) FROM thing"

    async def twice(queries: Queries) -> list[object]:
        before = await queries.fetch_one(count)
        await table.write(lambda t: insert(t, 2))
        assert await ids(table) == [1, 2]
        return [before, await queries.fetch_one(count)]

    assert await table.snapshot(twice) == [(1,), (1,)]
    assert await table.snapshot(lambda q: q.fetch_one(count)) == (2,)


async def test_a_snapshot_that_fails_or_is_broken_off_is_over(table: Database) -> None:
    """Held, its moment would be the next one's, and an old log would not go."""
    begun = asyncio.Event()
    count = "SELECT COUNT(*) FROM thing"

    async def stay(queries: Queries) -> None:
        await queries.fetch_one(count)
        begun.set()
        await asyncio.Event().wait()

    staying = asyncio.create_task(table.snapshot(stay))
    await begun.wait()
    staying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await staying
    with pytest.raises(StorageError):
        await table.snapshot(lambda q: q.fetch("SELECT nothing FROM nowhere"))
    await table.write(lambda t: insert(t, 1))
    assert await table.snapshot(lambda q: q.fetch_one(count)) == (1,)
    assert await ids(table) == [1]
    both = await asyncio.gather(*(table.snapshot(lambda q: q.fetch_one(count)) for _ in range(3)))
    assert both == [(1,)] * 3
    with pytest.raises(StorageError):
        await table.snapshot(lambda q: q.fetch_one("INSERT INTO thing (id, name) VALUES (7, 'x') RETURNING id"))


async def test_a_parameter_is_what_its_name_says_wherever_and_however_often_it_stands(table: Database) -> None:
    """What a statement does not name is not used; what it names has to be given."""
    rows = [{"name": f"n{id}", "id": id, "unused": "x"} for id in range(4)]
    both = "id >= :least AND id <= :most AND name <> :none AND (:most > :least OR name = :none)"

    async def work(transaction: Transaction) -> list[object]:
        await transaction.execute_many("INSERT INTO thing (id, name) VALUES (:id, :name)", rows)
        changed = await transaction.execute("UPDATE thing SET name = :name WHERE id = :id", {"id": 2, "name": "m"})
        found = await transaction.fetch(
            f"SELECT id, name FROM thing WHERE {both} ORDER BY id",
            {"most": 2, "none": "n1", "least": 1, "unused": 7},
        )
        one = await transaction.fetch_one("SELECT name FROM thing WHERE id = :id", {"id": 3})
        return [changed, found, one]

    assert await table.write(work) == [1, [(2, "m")], ("n3",)]
    with pytest.raises((KeyError, StorageError)):
        await table.write(lambda t: t.execute("UPDATE thing SET name = :name WHERE id = :id", {"id": 1}))


async def test_a_bad_write_takes_no_neighbour_down(table: Database) -> None:
    results = await asyncio.gather(
        *(table.write(lambda t, i=i: insert(t, i % 7)) for i in range(10)), return_exceptions=True
    )
    assert await ids(table) == list(range(7))
    assert [isinstance(r, StorageError) for r in results] == [False] * 7 + [True] * 3


async def test_what_one_of_many_is_refused_for_is_its_work_s_alone(table: Database) -> None:
    """Also where it comes out of a later statement, or of none: nothing of it is kept, and its neighbours are."""
    sql = "INSERT INTO thing (id, name) VALUES (:id, :name)"

    async def work(transaction: Transaction, ids: list[int], reads_on: bool) -> int:
        await transaction.execute_many(sql, [{"id": id, "name": "a"} for id in ids])
        return len(await transaction.fetch("SELECT id FROM thing")) if reads_on else 0

    await table.write(lambda t: insert(t, 1))
    given = [[2, 3], [4, 1], [5], [1], [6, 7, 8, 1, 9], [10, 11, 12]]
    works = [table.write(lambda t, ids=ids, n=n: work(t, ids, n % 2 == 0)) for ids in given for n in (0, 100)]  # type: ignore[misc]
    results = await asyncio.gather(*works, return_exceptions=True)
    for ids_given, (first, second) in zip(given, zip(results[::2], results[1::2], strict=True), strict=True):
        refused = [StorageError, StorageError] if 1 in ids_given else [int, StorageError]
        assert [isinstance(each, of) for each, of in zip((first, second), refused, strict=True)] == [True, True]
    assert await ids(table) == [1, 2, 3, 5, 10, 11, 12]


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


async def test_values_come_back_as_they_are(database: Database) -> None:
    values = [
        ("", b"", 0, 0.0),
        ("\u00e5 \\ ' \" $1 :id %s \U0001f600", bytes(range(256)), 2**63 - 1, 1e308),
        ("null", b"\\x00", -(2**63), -1e-308),
        (Colour.RED, b"NULL", Size.LARGE, float("inf")),
        (None, None, None, None),
        ("{a,b}", None, 1, 7),
    ]
    names = ("word", "octets", "number", "part")
    made = database.engine.ddl(
        "CREATE TABLE kept (at BIGINT, word TEXT, octets {blob}, number BIGINT, part DOUBLE PRECISION)"
    )
    sql = "INSERT INTO kept (at, word, octets, number, part) VALUES (:at, :word, :octets, :number, :part)"
    rows: list[dict[str, object]] = [
        {"at": at, **dict(zip(names, each, strict=True))} for at, each in enumerate(values * 7)
    ]

    async def put(transaction: Transaction) -> None:
        await transaction.execute(made)
        await transaction.execute_many(sql, rows[:-2])
        for row in rows[-2:]:
            await transaction.execute(sql, row)

    await database.write(put)
    found = await database.read(lambda q: q.fetch("SELECT word, octets, number, part FROM kept ORDER BY at"))
    assert found == values * 7
    for name, value in zip(names, values[1], strict=True):
        same = await database.read(lambda q: q.fetch(f"SELECT at FROM kept WHERE {name} = :value", {"value": value}))  # noqa: B023
        assert len(same) == 7
    assert {type(value) for row in found for value in row} == {str, bytes, int, float, type(None)}


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
        await insert(transaction, 100 + len(seen))

    table.on_commit(hook)

    async def work(transaction: Transaction, item: str) -> None:
        transaction.collected.append(item)
        if item == "bad":
            raise LookupError

    await asyncio.gather(table.write(lambda t: work(t, "one")), table.write(lambda t: work(t, "two")))
    with pytest.raises(LookupError):
        await table.write(lambda t: work(t, "bad"))
    await table.write(lambda t: work(t, "three"))
    assert seen == [["one", "two"], ["three"]]
    assert await ids(table) == [101, 102]


async def test_what_a_hook_refuses_undoes_its_whole_group(table: Database) -> None:
    async def hook(transaction: Transaction) -> None:
        raise FencedOut("somebody else writes")

    table.on_commit(hook)
    results = await asyncio.gather(
        *(table.write(lambda t, i=i: insert(t, i)) for i in range(5)), return_exceptions=True
    )
    assert [type(result) for result in results] == [FencedOut] * 5
    assert await ids(table) == []


async def test_each_write_gets_its_own_result_and_a_failed_neighbour_changes_none(table: Database) -> None:
    async def work(transaction: Transaction, i: int) -> int:
        if i in (3, 8):
            raise LookupError(str(i))
        await insert(transaction, i)
        return i * i

    results = await asyncio.gather(*(table.write(lambda t, i=i: work(t, i)) for i in range(10)), return_exceptions=True)
    assert [str(r) if isinstance(r, LookupError) else r for r in results] == [
        0, 1, 4, "3", 16, 25, 36, 49, "8", 81,
    ]  # fmt: skip
    assert await ids(table) == [0, 1, 2, 4, 5, 6, 7, 9]


async def test_writes_are_done_in_the_order_in_which_they_came(table: Database) -> None:
    """Also when a bad one among them has their group done again in halves."""

    async def after_how_many(transaction: Transaction, i: int) -> None:
        row = await transaction.fetch_one("SELECT COUNT(*) FROM thing")
        assert row is not None
        await insert(transaction, i, str(row[0]))
        if i == 5:
            raise LookupError

    await asyncio.gather(*(table.write(lambda t, i=i: after_how_many(t, i)) for i in range(12)), return_exceptions=True)
    rows = await table.read(lambda q: q.fetch("SELECT id, name FROM thing ORDER BY id"))
    assert rows == [(i, str(i if i < 5 else i - 1)) for i in range(12) if i != 5]


async def test_nothing_is_acknowledged_or_seen_before_it_is_committed(table: Database) -> None:
    table, engine = failing(table)
    engine.passing.clear()
    writing = [asyncio.create_task(table.write(lambda t, i=i: insert(t, i))) for i in range(3)]
    await eventually(lambda: engine.commits == 1)
    assert not any(task.done() for task in writing)
    assert await ids(table) == []
    engine.passing.set()
    await asyncio.gather(*writing)
    assert await ids(table) == [0, 1, 2]
    assert (table.counters.groups, table.counters.works, table.counters.failed_groups) == (1, 3, 0)


async def test_what_a_commit_refuses_is_not_kept_and_the_next_write_works(table: Database) -> None:
    table, engine = failing(table)
    engine.refused_with = StorageError("no")
    with pytest.raises(StorageError, match="no"):
        await table.write(lambda t: insert(t, 1))
    engine.refused_with = None
    assert await ids(table) == []
    await table.write(lambda t: insert(t, 1))
    assert await ids(table) == [1]
    assert (table.counters.groups, table.counters.failed_groups) == (1, 1)


@pytest.mark.parametrize("failure", [StorageUnavailable, InDoubt, FencedOut])
async def test_when_the_database_itself_has_failed_a_group_is_not_tried_again(
    table: Database, failure: type[PrikkfriError]
) -> None:
    """In doubt: trying again might do it twice. Unavailable or fenced out: it would only multiply the wait."""
    table, engine = failing(table)
    engine.refused_with = failure("the disk")
    results = await asyncio.gather(
        *(table.write(lambda t, i=i: insert(t, i)) for i in range(8)), return_exceptions=True
    )
    assert [type(result) for result in results] == [failure] * 8
    assert engine.commits == 1


async def test_waiting_writes_are_bounded_and_who_comes_too_late_is_refused_at_once(table: Database) -> None:
    table, engine = failing(table, pending_works_max=5)
    engine.passing.clear()
    writing = [asyncio.create_task(table.write(lambda t: insert(t, 0)))]
    await eventually(lambda: engine.commits == 1)
    for turn in range(3):  # as often as one likes
        writing += [asyncio.create_task(table.write(lambda t, i=i: insert(t, i))) for i in range(1, 6) if not turn]
        await asyncio.sleep(0)
        late = asyncio.create_task(table.write(lambda t: insert(t, 100)))
        await asyncio.sleep(0)
        assert late.done()
        with pytest.raises(StorageUnavailable, match="5 writes are waiting already"):
            await late
    engine.passing.set()
    await asyncio.gather(*writing)
    await table.write(lambda t: insert(t, 6))
    assert await ids(table) == list(range(7))


async def test_a_group_is_bounded_so_that_nobody_waits_behind_all_the_others(table: Database) -> None:
    table, engine = failing(table, group_works_max=4)
    engine.passing.clear()
    writing = [asyncio.create_task(table.write(lambda t, i=i: insert(t, i))) for i in range(10)]
    await eventually(lambda: engine.commits == 1)
    engine.passing.set()
    await asyncio.gather(*writing)
    assert (table.counters.groups, table.counters.works) == (3, 10)
    assert await ids(table) == list(range(10))


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


async def test_names_of_parameters_may_have_figures(table: Database) -> None:
    await table.write(lambda t: insert(t, 12))
    asked = {"id_1": 1, "id_12": 12}
    assert await table.read(lambda q: q.fetch("SELECT id FROM thing WHERE id IN (:id_1, :id_12)", asked)) == [(12,)]


async def test_of_several_rows_the_first_is_had(table: Database) -> None:
    for number in (1, 2, 3):
        await table.write(lambda t, number=number: insert(t, number))  # type: ignore[misc]
    ordered = "SELECT id FROM thing WHERE id > :above ORDER BY id"
    assert await table.read(lambda q: q.fetch_one(ordered, {"above": 1})) == (2,)
    assert await table.read(lambda q: q.fetch_one(ordered, {"above": 3})) is None


async def test_areas_of_one_installation_have_each_their_own_tables(location: Location, table: Database) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX / 2):
        other = await open_database(location, "signin")
    await other.write(lambda t: t.execute("CREATE TABLE thing (id BIGINT PRIMARY KEY, name TEXT NOT NULL)"))
    await table.write(lambda t: insert(t, 1))
    await other.write(lambda t: insert(t, 2))
    assert (await ids(table), await ids(other)) == ([1], [2])
    await other.close()


async def test_postgres_keeps_what_it_acknowledged_and_reads_casts_as_such(postgres_url: str, tmp_path: Path) -> None:
    database = await open_database(Location(tmp_path, postgres_url), "sms")
    kept = "SELECT current_setting('synchronous_commit'), :number::text"
    for row in (
        await database.write(lambda t: t.fetch_one(kept, {"number": 5})),
        await database.read(lambda q: q.fetch_one(kept, {"number": 5})),
    ):
        assert row == ("on", "5")
    await database.close()


async def test_the_schema_of_a_new_area_is_made_by_one_at_a_time(postgres_url: str, tmp_path: Path) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:

        async def count(what: str) -> int:
            [(number,)] = await (await other.execute(f"SELECT count(*) FROM {what}")).fetchall()
            return int(number)

        await other.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        opening = asyncio.create_task(open_database(Location(tmp_path, postgres_url), "sms"))
        await eventually(lambda: count("pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        assert await count("pg_namespace WHERE nspname = 'sms'") == 0
        await other.execute("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
        await (await opening).close()
        assert await count("pg_namespace WHERE nspname = 'sms'") == 1


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
    for each in (reader, table):
        with pytest.raises(StorageError):
            await each.read(lambda q: q.fetch("INSERT INTO thing (id, name) VALUES (1, 'a') RETURNING id"))
    assert await ids(reader) == [9]
    await reader.close()


async def test_what_sql_refuses_is_one_of_our_errors_in_reading_and_in_writing(table: Database) -> None:
    with pytest.raises(StorageError, match="nothing_of_that_name"):
        await table.read(lambda q: q.fetch("SELECT * FROM nothing_of_that_name"))
    with pytest.raises(StorageError, match="nothing_of_that_name"):
        await table.write(lambda t: t.execute("DELETE FROM nothing_of_that_name"))

    async def wrong(queries: Queries) -> None:
        raise LookupError("the reader's own")

    with pytest.raises(LookupError, match="the reader's own"):
        await table.read(wrong)


async def test_a_database_that_is_not_there_yet_is_not_made_by_its_readers(location: Location) -> None:
    async def look() -> None:
        reader = open_reader(location, "signin")
        try:
            await reader.read(lambda q: q.fetch("SELECT * FROM journal_stream"))
        finally:
            await reader.close()

    for _ in range(2):
        with pytest.raises(StorageError):
            await look()
    assert not (location.home / "signin.db").exists()


def test_an_area_that_nobody_knows_is_refused(location: Location) -> None:
    with pytest.raises(StorageError, match="no area 'sms2'"):
        open_unmigrated(location, "sms2")


def tables_of(sql: str) -> dict[str, dict[str, object]]:
    """What stands in the tables that some SQL makes on an empty database: a row that every column has room for."""
    plain = apsw.Connection(":memory:")
    plain.execute(sql.replace("{blob}", "BLOB"))
    values: dict[str, object] = {
        "TEXT": "word",
        "BIGINT": 7,
        "DOUBLE PRECISION": 0.5,
        "BLOB": b"bytes",
        "BOOLEAN": True,
    }
    names = [row[0] for row in plain.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {
        name: {column: values[kind] for _, column, kind, *_ in plain.execute(f"PRAGMA table_info({name})")}
        for name in names
    }


MOVED = {
    "sms_quarantined_receipt": (
        "sms_network_receipt",
        {"recipient": "source", "state": "told", "held_at": "changed_at"},
    )
}
"""What stands in another table today: its name, and the columns that have another one there."""


def test_the_history_has_no_gap_and_no_number_twice() -> None:
    assert [number for number, _, _ in history()] == list(range(1, len(history()) + 1))
    assert history()[0][1] == "journal"


@pytest.mark.parametrize("oldest", [number for number, _, _ in history()])
async def test_every_earlier_database_can_be_brought_up_to_date_and_keeps_what_it_holds(
    location: Location, oldest: int
) -> None:
    old = open_unmigrated(location, "signin")
    await old.engine.prepare()
    await migrate(old, up_to=oldest)
    assert await old.read(applied) == set(range(1, oldest + 1))
    held = tables_of(";\n".join(sql for number, _, sql in history() if number <= oldest))

    async def fill(transaction: Transaction) -> None:
        for name, row in held.items():
            columns = ", ".join(row)
            values = ", ".join(f":{column}" for column in row)
            await transaction.execute(f"INSERT INTO {name} ({columns}) VALUES ({values})", row)

    await old.write(fill)
    await old.close()
    database = await open_database(location, "signin")
    assert await database.read(applied) == {number for number, _, _ in history()}

    now = tables_of(";\n".join(sql for _, _, sql in history()))

    async def look(queries: Queries) -> None:
        for name, row in held.items():
            table, columns = MOVED.get(name, (name, {})) if name not in now else (name, {})
            where = " AND ".join(f"{columns.get(column, column)} = :{column}" for column in row)
            assert await queries.fetch_one(f"SELECT COUNT(*) FROM {table} WHERE {where}", row) == (1,), name
        for name, row in now.items():
            await queries.fetch(f"SELECT {', '.join(row)} FROM {name}")

    await database.read(look)
    await database.close()


async def test_a_migration_that_fails_changes_nothing(location: Location) -> None:
    old = open_unmigrated(location, "signin")
    await old.engine.prepare()
    await migrate(old, up_to=1)
    await old.write(lambda t: t.execute("CREATE TABLE sms_message (in_the_way BIGINT)"))
    await old.close()
    with pytest.raises(StorageError, match="sms_message"):
        await open_database(location, "signin")
    again = open_unmigrated(location, "signin")
    assert await again.read(applied) == {1}
    with pytest.raises(StorageError):
        await again.read(lambda q: q.fetch("SELECT * FROM subscriber"))
    await again.write(lambda t: t.execute("DROP TABLE sms_message"))
    await again.close()
    await (await open_database(location, "signin")).close()


async def test_of_many_that_open_a_new_area_at_once_one_makes_its_tables(location: Location) -> None:
    opened = await asyncio.gather(*(open_database(location, "signin") for _ in range(3)))
    for database in opened:
        assert await database.read(applied) == {number for number, _, _ in history()}
        await database.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(location: Location) -> None:
    database = await open_database(location, "sms")
    await database.write(lambda t: t.execute("INSERT INTO migration (number, name) VALUES (9999, 'tomorrow')"))
    last = max(await database.read(applied) - {9999})
    await database.write(lambda t: t.execute("DELETE FROM migration WHERE number = :last", {"last": last}))
    await database.close()
    with pytest.raises(StorageError, match="newer version \\(migration 9999\\); install that version"):
        await open_database(location, "sms")
    again = open_unmigrated(location, "sms")
    assert await again.read(applied) == {*range(1, last), 9999}
    await again.close()
