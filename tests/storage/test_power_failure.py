"""SQLite when the power fails, the disk is full or broken, or a sync takes its time."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import apsw
import pytest
from power import Disk, disk
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.errors import InDoubt, StorageDamaged, StorageUnavailable, StorageUnwritable
from prikkfri.journal import Outcome, open_journal
from prikkfri.journal.outcomes import decode_batch
from prikkfri.storage import Database, Location, StorageLimits, Transaction, open_database, open_reader
from prikkfri.storage.opening import migrate
from prikkfri.storage.sqlite import SqliteEngine

THING = "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"
LIMITS = StorageLimits(wal_pages_before_checkpoint=6, wal_bytes_kept_max=50_000)


@pytest.fixture
def power() -> Iterator[Disk]:
    with disk() as found:
        yield found


@pytest.fixture
async def database(tmp_path: Path, power: Disk) -> AsyncIterator[Database]:
    engine = SqliteEngine(tmp_path / "sms.db", limits=LIMITS, vfs=power.name)
    database = Database(engine, area="sms", limits=LIMITS)
    await database.write(lambda t: t.execute(THING))
    yield database
    power.may_sync.set()  # also where a test failed before it let the disk go on
    await database.close()


async def insert(transaction: Transaction, id: int, name: str = "a") -> None:
    await transaction.execute("INSERT INTO thing (id, name) VALUES (:id, :name)", {"id": id, "name": name})


async def ids(database: Database) -> list[int]:
    return [row[0] for row in await database.read(lambda q: q.fetch("SELECT id FROM thing ORDER BY id"))]


def recovered(folder: Path, files: Mapping[str, bytes], query: str) -> list[tuple[object, ...]]:
    """What a program that starts after the power is back finds."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    connection = apsw.Connection(str(folder / "sms.db"))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    found = connection.execute(query).fetchall()
    connection.close()
    return found


async def test_whenever_the_power_fails_what_was_acknowledged_is_there_and_in_order(
    database: Database, power: Disk, tmp_path: Path
) -> None:
    """At each operation of the disk, also in the middle of a checkpoint; what was not synced is lost, or half of it."""
    chance = random.Random(5)
    acknowledged: list[int] = []
    moments: list[tuple[int, Mapping[str, bytes]]] = []

    def happened() -> None:
        moments.append((len(acknowledged), power.after_power_failure(chance if len(moments) % 2 else None)))

    power.happened = happened
    number = 0
    for _ in range(12):
        group = range(number, number + chance.choice([1, 1, 3]))
        number = group.stop
        await asyncio.gather(
            *(database.write(lambda t, i=i: insert(t, i, "x" * chance.choice([1, 3_000]))) for i in group)
        )
        acknowledged += group
        moments.append((len(acknowledged), power.after_power_failure()))
    power.happened = lambda: None
    assert len(moments) > 60 and any(files["sms.db"] != moments[0][1]["sms.db"] for _, files in moments)
    seen: set[int] = set()
    for i, (count, files) in enumerate(moments):
        found = [row[0] for row in recovered(tmp_path / str(i), files, "SELECT id FROM thing ORDER BY id")]
        assert found == list(range(len(found))) and count <= len(found) <= number
        seen.add(len(found))
    assert len(seen) > 5


async def test_after_a_power_failure_the_journal_holds_what_was_acknowledged_without_a_gap(
    database: Database, power: Disk, tmp_path: Path, clock: ManualClock
) -> None:
    await migrate(database)
    journal = await open_journal(database, stream="sms", clock=clock)
    for i in range(10):
        await journal.append(
            *(Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept", promise=f"{i}.{k}") for k in range(3))
        )
        files = power.after_power_failure()
        rows = recovered(tmp_path / str(i), files, "SELECT position, outcomes, payload FROM journal_batch ORDER BY 1")
        assert [row[0] for row in rows] == [3 * n + 3 for n in range(i + 1)]
        promises = [o.promise for row in rows for o in decode_batch(row[2])]  # type: ignore[arg-type]
        assert promises == [f"{n}.{k}" for n in range(i + 1) for k in range(3)]


async def test_each_group_is_one_sync_and_none_is_acknowledged_before_it(database: Database, power: Disk) -> None:
    power.may_sync.clear()
    power.syncing.clear()
    writing = [asyncio.create_task(database.write(lambda t, i=i: insert(t, i))) for i in range(5)]
    await eventually(power.syncing.is_set)  # and the loop is free meanwhile
    assert not any(task.done() for task in writing)
    assert await ids(database) == []
    power.may_sync.set()
    await asyncio.gather(*writing)
    assert await ids(database) == list(range(5))


async def test_a_writer_that_is_cancelled_while_the_disk_works_waits_for_it(database: Database, power: Disk) -> None:
    """The connection is the disk's until then: whoever used or closed it meanwhile would break it."""
    power.may_sync.clear()
    power.syncing.clear()
    writing = asyncio.create_task(database.write(lambda t: insert(t, 1)))
    await eventually(power.syncing.is_set)
    [writer] = [task for task in asyncio.all_tasks() if task.get_name() == "writer of sms"]
    writer.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not writer.done()
    power.may_sync.set()
    await asyncio.wait([writer])
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await ids(database) == [1]


async def test_a_sync_that_fails_leaves_its_group_in_doubt_and_the_next_one_works(
    database: Database, power: Disk
) -> None:
    await database.write(lambda t: insert(t, 1))
    power.broken = True
    doubtful = await asyncio.gather(
        *(database.write(lambda t, i=i: insert(t, i)) for i in range(2, 9)), return_exceptions=True
    )
    power.broken = False
    assert [type(each) for each in doubtful] == [InDoubt] * 7
    await database.write(lambda t: insert(t, 10))
    assert set(await ids(database)) >= {1, 10}


async def test_a_full_disk_refuses_and_keeps_what_was_acknowledged(
    database: Database, power: Disk, tmp_path: Path
) -> None:
    acknowledged = []
    for i in range(20):
        power.full = i % 4 == 3
        try:
            await database.write(lambda t, i=i: insert(t, i, "x" * 2_000))
            acknowledged.append(i)
        except StorageUnavailable:
            assert power.full
    power.full = False
    assert acknowledged == [i for i in range(20) if i % 4 != 3]
    assert await ids(database) == acknowledged
    files = power.after_power_failure()
    assert [row[0] for row in recovered(tmp_path / "after", files, "SELECT id FROM thing ORDER BY id")] == acknowledged


async def test_the_log_is_brought_into_the_file_between_groups_and_used_again(
    database: Database, power: Disk, tmp_path: Path
) -> None:
    for i in range(60):
        await database.write(lambda t, i=i: insert(t, i, "x" * 3_000))
    assert (tmp_path / "sms.db").stat().st_size > 60 * 3_000
    assert (tmp_path / "sms.db-wal").stat().st_size < 60_000
    assert (await database.read(lambda q: q.fetch("PRAGMA journal_mode"))) == [("wal",)]


async def test_a_frozen_reader_lets_the_log_grow_and_afterwards_it_is_used_again(
    database: Database, tmp_path: Path
) -> None:
    log = tmp_path / "sms.db-wal"
    frozen = apsw.Connection(str(tmp_path / "sms.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    frozen.execute("BEGIN")
    frozen.execute("SELECT * FROM thing").fetchall()
    for i in range(40):
        await database.write(lambda t, i=i: insert(t, i, "x" * 10_000))
    assert log.stat().st_size > 400_000
    frozen.execute("COMMIT")
    frozen.close()
    for i in range(40, 50):
        await database.write(lambda t, i=i: insert(t, i, "x" * 10_000))
    assert log.stat().st_size < 200_000
    assert await ids(database) == list(range(50))


async def test_a_file_that_is_no_database_any_more_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "sms.db").write_bytes(b"no database at all" * 1_000)
    with pytest.raises(StorageDamaged, match=r"sms\.db.*put a copy back"):
        await open_database(Location(tmp_path), "sms")
    assert (tmp_path / "sms.db").read_bytes() == b"no database at all" * 1_000


async def test_a_file_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(StorageUnwritable, match=r"cannot be opened.*; make room on the disk"):
        await open_database(Location(tmp_path / "home"), "sms")
    with pytest.raises(StorageUnavailable):
        open_reader(Location(tmp_path), "sms")
    assert [file.name for file in tmp_path.iterdir()] == ["home"]
