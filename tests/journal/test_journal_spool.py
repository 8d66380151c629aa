"""The spool of a role without a database: it never waits, keeps what it can, and counts what it cannot."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from failing_engine import FailingEngine, failing
from neighbours import move_in, neighbours
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.clock import ManualClock
from prikkfri.errors import FencedOut, InDoubt, StorageError, StorageUnavailable
from prikkfri.journal import Journal, JournalLimits, Outcome, Page, Spool, open_journal, read_page, trim
from prikkfri.storage import Database, open_spool

EAGER = JournalLimits(pause_seconds=0.0)
"""Tries a disk that has refused again at once."""
PATIENT = JournalLimits(pause_seconds=3_600.0)
"""Tries it again when it is told to end, and not before."""


def outcome(number: int) -> Outcome:
    return Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept", promise=str(number))


class Disk:
    """A spool's file with a journal in it, on an engine that fails on command; what was alarmed about."""

    def __init__(self, database: Database, engine: FailingEngine, journal: Journal) -> None:
        self.database = database
        self.engine = engine
        self.journal = journal
        self.alarms: list[str] = []

    def spool(self, *, outcomes_max: int = 1_000, limits: JournalLimits = EAGER) -> Spool:
        return Spool(opening(self.journal), outcomes_max=outcomes_max, alarm=self.alarms.append, limits=limits)

    async def page(self) -> Page:
        found = await read_page(self.database, "door", 0)
        assert found is not None
        return found

    async def promises(self) -> list[str]:
        return [o.promise for o in (await self.page()).outcomes]


@pytest.fixture
async def disk(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Disk]:
    database, engine = failing(await open_spool(tmp_path, "door"))
    theirs = await move_in(database)
    yield Disk(database, engine, await open_journal(database, stream="door", clock=clock))
    assert await neighbours(database) == theirs
    await database.close()


def opening(journal: Journal) -> Callable[[], Awaitable[Journal]]:
    async def opened() -> Journal:
        return journal

    return opened


@asynccontextmanager
async def running(spool: Spool) -> AsyncIterator[None]:
    task = asyncio.create_task(spool.run())
    await asyncio.sleep(0)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def numbers(first: int, last: int) -> list[str]:
    return [str(i) for i in range(first, last)]


async def settled(spool: Spool) -> None:
    await eventually(lambda: not spool.pending)


async def test_what_was_taken_makes_room_at_once_and_is_held_to_a_number(disk: Disk) -> None:
    """A spool that counted what is merely not yet old would be full for a month after one big evening."""
    spool = disk.spool(outcomes_max=100)
    async with running(spool):
        for turn in range(1, 6):
            for i in range(100):
                spool.record(outcome(i))
            await settled(spool)
            await trim(disk.journal, taken_to=turn * 100, written_before=0.0, held_max=100)
    assert disk.alarms == []
    found = await disk.page()
    assert (found.newest, found.trimmed_to, found.overflowed) == (500, 400, 0)


async def test_room_is_what_nobody_has_taken_to_the_last_outcome(disk: Disk) -> None:
    """Taken or trimmed is the same room, not twice as much; and one outcome too many is one outcome dropped."""
    spool = disk.spool(outcomes_max=10)
    async with running(spool):

        async def recorded(count: int) -> tuple[int, int]:
            for i in range(count):
                spool.record(outcome(i))
            await settled(spool)
            found = await disk.page()
            return found.newest, found.overflowed

        assert await recorded(10) == (10, 0)
        assert await recorded(1) == (10, 1)
        assert await trim(disk.journal, taken_to=10, written_before=2e9) == 10
        assert await recorded(10) == (20, 1)
        assert await recorded(2) == (20, 3)
        await trim(disk.journal, taken_to=13, written_before=0.0)  # taken, and not trimmed
        assert await recorded(4) == (23, 4)
        await trim(disk.journal, taken_to=20, written_before=2e9)
        disk.journal.taken_to = 0  # as after a restart: what was trimmed is known all the same
        assert await recorded(8) == (30, 5)
    assert disk.alarms == [f"the spool is full: {lost} outcomes were dropped" for lost in (1, 2, 1, 1)]
    assert spool.overflowed == 0


async def test_a_spool_that_may_hold_less_than_it_does_keeps_nothing_more(disk: Disk) -> None:
    await disk.journal.append(*(outcome(i) for i in range(10)))
    spool = disk.spool(outcomes_max=4)
    for i in range(10, 30):
        spool.record(outcome(i))
    async with running(spool):
        await settled(spool)
    found = await disk.page()
    assert ([o.promise for o in found.outcomes], found.overflowed) == (numbers(0, 10), 20)


async def test_what_is_dropped_is_what_came_last(disk: Disk) -> None:
    """What a follower gets has no holes in it but the one that was counted."""
    spool = disk.spool(outcomes_max=7, limits=JournalLimits(batch_outcomes_max=5))
    for i in range(30):
        spool.record(outcome(i))
    async with running(spool):
        await settled(spool)
    found = await disk.page()
    assert [o.promise for o in found.outcomes] == numbers(0, 7)
    assert found.overflowed == 23


async def test_a_disk_that_refuses_for_a_while_costs_nothing(disk: Disk) -> None:
    disk.engine.refused_with = StorageUnavailable("the disk is full")
    spool = disk.spool()
    before = disk.engine.commits
    async with running(spool):
        for i in range(20):
            spool.record(outcome(i))
        await eventually(lambda: disk.engine.commits >= before + 5)
        disk.engine.refused_with = None
        await settled(spool)
        assert await disk.promises() == numbers(0, 20)
        assert disk.alarms == ["the spool cannot be written: the disk is full"]
        disk.engine.refused_with = StorageError("the disk is gone")
        spool.record(outcome(20))
        await eventually(lambda: len(disk.alarms) == 2)
        disk.engine.refused_with = None
        await settled(spool)
    assert await disk.promises() == numbers(0, 21)
    assert disk.alarms[1] == "the spool cannot be written: the disk is gone"
    assert (await disk.page()).overflowed == 0


async def test_a_disk_that_refuses_is_left_in_peace_between_two_tries(disk: Disk) -> None:
    disk.engine.refused_with = StorageUnavailable("the disk is full")
    spool = disk.spool(limits=PATIENT)
    before = disk.engine.commits
    async with running(spool):
        for i in range(50):
            spool.record(outcome(i))
            await asyncio.sleep(0)
        await eventually(lambda: disk.alarms)
        for i in range(50, 100):
            spool.record(outcome(i))
            await asyncio.sleep(0)
        assert disk.engine.commits == before + 1
        disk.engine.refused_with = None
    assert await disk.promises() == numbers(0, 100)


async def test_a_disk_that_refuses_for_long_costs_what_memory_cannot_hold_and_no_more(disk: Disk) -> None:
    disk.engine.refused_with = StorageUnavailable("the disk is full")
    spool = disk.spool(limits=JournalLimits(pause_seconds=0.0, pending_outcomes_max=10))
    async with running(spool):
        for i in range(25):
            spool.record(outcome(i))
        assert (spool.pending, spool.overflowed) == (10, 15)
        await eventually(lambda: disk.alarms)
        assert (spool.pending, spool.overflowed) == (10, 15)
        disk.engine.refused_with = None
        await settled(spool)
    found = await disk.page()
    assert (found.newest, found.overflowed, spool.overflowed) == (10, 15, 0)
    assert [o.promise for o in found.outcomes] == numbers(0, 10)


async def test_what_overflows_while_the_disk_is_slow_is_told_with_what_comes_next(disk: Disk) -> None:
    spool = disk.spool(limits=JournalLimits(pause_seconds=0.0, pending_outcomes_max=10))
    async with running(spool):
        disk.engine.passing.clear()
        before = disk.engine.commits
        spool.record(outcome(0))
        await eventually(lambda: disk.engine.commits == before + 1)
        for i in range(1, 13):
            spool.record(outcome(i))
        assert (spool.pending, spool.overflowed) == (10, 3)
        disk.engine.passing.set()
        await settled(spool)
        assert (await disk.page()).overflowed == 3
        for i in range(20, 25):
            spool.record(outcome(i))
        await settled(spool)
    found = await disk.page()
    assert [o.promise for o in found.outcomes] == [*numbers(0, 10), *numbers(20, 25)]
    assert (found.overflowed, spool.overflowed) == (3, 0)


async def test_what_is_recorded_while_another_batch_is_written_waits_its_turn(disk: Disk) -> None:
    spool = disk.spool(limits=JournalLimits(batch_outcomes_max=4))
    disk.engine.passing.clear()
    before = disk.engine.commits
    async with running(spool):
        for i in range(6):
            spool.record(outcome(i))
        await eventually(lambda: disk.engine.commits == before + 1)
        for i in range(6, 11):
            spool.record(outcome(i))
        disk.engine.passing.set()
        await settled(spool)
        assert disk.engine.commits - before == 3  # four at a time
    assert await disk.promises() == numbers(0, 11)


async def test_a_batch_in_doubt_is_not_written_twice_and_is_called_lost(disk: Disk) -> None:
    spool = disk.spool()
    async with running(spool):
        disk.engine.answers_lost.append(InDoubt("the disk did not answer"))
        for i in (1, 2):
            spool.record(outcome(i))
        await settled(spool)
        assert spool.overflowed == 2
        spool.record(outcome(3))
        await settled(spool)
    found = await disk.page()
    assert [o.promise for o in found.outcomes] == ["1", "2", "3"]
    assert (found.overflowed, spool.overflowed) == (2, 0)
    assert disk.alarms == [
        "2 outcomes may be lost: the disk did not answer",
        "the spool is full: 2 outcomes were dropped",
    ]


async def test_what_is_in_doubt_is_lost_beside_what_had_overflowed(disk: Disk) -> None:
    spool = disk.spool(limits=JournalLimits(pending_outcomes_max=2))
    disk.engine.answers_lost.append(InDoubt("the disk did not answer"))
    for i in range(5):
        spool.record(outcome(i))
    async with running(spool):
        await settled(spool)
        assert spool.overflowed == 5


async def test_a_batch_in_doubt_that_was_not_written_is_lost_and_said_so_at_the_end(disk: Disk) -> None:
    spool = disk.spool()
    async with running(spool):
        disk.engine.refused_with = InDoubt("the disk did not answer")
        spool.record(outcome(1))
        await settled(spool)
        disk.engine.refused_with = None
    assert await disk.promises() == []
    assert disk.alarms[1:] == ["the spool cannot be written: 1 outcomes are lost"]


async def test_a_spool_that_another_process_has_taken_over_stops_and_says_what_is_lost(
    disk: Disk, clock: ManualClock, tmp_path: Path
) -> None:
    stale = disk.spool()
    successor = await open_spool(tmp_path, "door")
    heir = await open_journal(successor, stream="door", clock=clock)
    await heir.append(outcome(7))
    await successor.close()
    for i in range(3):
        stale.record(outcome(i))
    with pytest.raises(FencedOut):
        await asyncio.wait_for(stale.run(), WAIT_SECONDS_MAX)
    assert await disk.promises() == ["7"]
    assert disk.alarms == ["the spool cannot be written: 3 outcomes are lost"]


async def test_what_waits_is_written_when_the_role_stops(disk: Disk) -> None:
    spool = disk.spool()
    async with running(spool):
        for i in range(100):
            spool.record(outcome(i))
    assert await disk.promises() == numbers(0, 100)
    assert disk.alarms == []


async def test_what_is_on_its_way_when_the_role_stops_is_written_once_with_what_came_after(disk: Disk) -> None:
    spool = disk.spool()
    disk.engine.passing.clear()
    before = disk.engine.commits
    task = asyncio.create_task(spool.run())
    spool.record(outcome(0))
    await eventually(lambda: disk.engine.commits == before + 1)
    spool.record(outcome(1))
    task.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    spool.record(outcome(2))
    disk.engine.passing.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await disk.promises() == ["0", "1", "2"]


async def test_what_cannot_be_written_when_the_role_stops_is_counted_aloud(disk: Disk) -> None:
    disk.engine.refused_with = StorageUnavailable("the disk is full")
    spool = disk.spool(limits=JournalLimits(pending_outcomes_max=5, pause_seconds=3_600.0))
    async with running(spool):
        for i in range(8):
            spool.record(outcome(i))
        await eventually(lambda: disk.alarms)
    assert disk.alarms[1:] == ["the spool cannot be written: 8 outcomes are lost"]


async def test_a_role_whose_spool_cannot_be_opened_records_and_writes_later(disk: Disk) -> None:
    tries = 0

    async def opened() -> Journal:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise StorageUnavailable("the disk is full")
        return disk.journal

    spool = Spool(opened, outcomes_max=1_000, alarm=disk.alarms.append, limits=EAGER)
    async with running(spool):
        assert spool.journal is None
        for i in range(5):
            spool.record(outcome(i))
        await settled(spool)
        assert spool.journal is disk.journal and tries == 4
    assert await disk.promises() == numbers(0, 5)
    assert disk.alarms == ["the spool cannot be written: the disk is full"]


async def test_a_spool_that_can_be_opened_only_when_the_role_stops_is_written_then(disk: Disk) -> None:
    full = True

    async def opened() -> Journal:
        if full:
            raise StorageUnavailable("the disk is full")
        return disk.journal

    spool = Spool(opened, outcomes_max=1_000, alarm=disk.alarms.append, limits=PATIENT)
    async with running(spool):
        spool.record(outcome(1))
        await eventually(lambda: disk.alarms)
        full = False
    assert await disk.promises() == ["1"]


async def test_closing_a_spool_closes_its_database(tmp_path: Path, clock: ManualClock) -> None:
    journal = await open_journal(await open_spool(tmp_path, "door"), stream="door", clock=clock)
    alarms: list[str] = []
    spool = Spool(opening(journal), outcomes_max=1_000, alarm=alarms.append)
    await spool.close()  # not opened: nothing to close
    await journal.append(outcome(1))
    async with running(spool):
        pass
    await spool.close()
    with pytest.raises(StorageUnavailable, match="closing"):
        await journal.append(outcome(2))
    assert alarms == []


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 1_000])
async def test_a_damaged_spool_is_set_aside_and_begun_anew(tmp_path: Path, clock: ManualClock, damage: bytes) -> None:
    before = await open_spool(tmp_path, "door")
    first = await open_journal(before, stream="door", clock=clock)
    await first.append(*(outcome(i) for i in range(1_000)))
    await before.close()
    file = tmp_path / "spool" / "door.db"
    whole = file.read_bytes()
    damaged = damage or whole[:4096] + b"\xff" * 8192 + whole[12288:]
    file.write_bytes(damaged)
    log = file.with_name("door.db-wal")
    log.write_bytes(b"what was in the log")
    database = await open_spool(tmp_path, "door")
    anew = await open_journal(database, stream="door", clock=clock)
    await anew.append(outcome(1))
    found = await read_page(database, "door", 0)
    assert found is not None
    assert [o.promise for o in found.outcomes] == ["1"] and found.incarnation != first.incarnation
    assert file.with_name("door.db.damaged").read_bytes() == damaged
    await database.close()


async def test_the_log_of_a_damaged_spool_is_not_taken_for_that_of_the_one_begun_anew(
    tmp_path: Path, clock: ManualClock
) -> None:
    file, log = tmp_path / "spool" / "door.db", tmp_path / "spool" / "door.db-wal"
    await (await open_spool(tmp_path, "door")).close()
    before = await open_spool(tmp_path, "door")
    await before.write(lambda t: t.execute("UPDATE migration SET name = 'of the old one'"))
    left = log.read_bytes()
    await before.close()
    file.write_bytes(b"no database at all" * 1_000)
    log.write_bytes(left)
    anew = await open_spool(tmp_path, "door")
    names = await anew.read(lambda q: q.fetch("SELECT name FROM migration"))
    assert names and ("of the old one",) not in names
    assert await anew.read(lambda q: q.fetch("PRAGMA integrity_check")) == [("ok",)]
    await anew.close()


async def test_a_spool_that_is_whole_and_cannot_be_opened_is_left_where_it_is(
    tmp_path: Path, clock: ManualClock
) -> None:
    """As one that a newer version has written: what it holds is not known to be lost."""
    database = await open_spool(tmp_path, "door")
    journal = await open_journal(database, stream="door", clock=clock)
    await journal.append(outcome(1))
    await database.write(lambda t: t.execute("INSERT INTO migration (number, name) VALUES (9999, 'tomorrow')"))
    await database.close()
    with pytest.raises(StorageError, match="newer version"):
        await open_spool(tmp_path, "door")
    assert [file.name for file in (tmp_path / "spool").iterdir()] == ["door.db"]
