"""The spool of a role without a database: it never waits, keeps what it can, and counts what it cannot."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prikkfri.clock import ManualClock
from prikkfri.errors import FencedOut, InDoubt, StorageUnavailable
from prikkfri.journal import Journal, Outcome, Page, Spool, open_journal, read_page, trim, writing
from prikkfri.storage import open_spool

pytestmark = pytest.mark.slow


def outcome(number: int) -> Outcome:
    return Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept", promise=str(number))


@pytest.fixture
async def journal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    database = await open_spool(tmp_path, "door")
    yield await open_journal(database, stream="door", clock=clock)
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


async def settle(spool: Spool) -> None:
    while spool.pending:
        await asyncio.sleep(0.001)


async def page(journal: Journal) -> Page:
    found = await read_page(journal.database, "door", 0)
    assert found is not None
    return found


async def test_what_was_taken_makes_room_at_once_and_is_held_to_a_number(journal: Journal) -> None:
    """A spool that counted what is merely not yet old would be full for a month after one big evening."""
    alarms: list[str] = []
    spool = Spool(opening(journal), outcomes_max=100, alarm=alarms.append)
    async with running(spool):
        for turn in range(1, 21):
            for i in range(10):
                for _ in range(10):
                    spool.record(outcome(turn * 100 + i))
                await settle(spool)
            await trim(journal, taken_to=turn * 100, written_before=0.0, held_max=100)
    assert alarms == []
    found = await page(journal)
    assert (found.newest, found.trimmed_to, found.overflowed) == (2_000, 1_900, 0)


async def test_trimming_much_is_done_in_short_transactions(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "TRIMMED_BATCHES_MAX", 7)
    for i in range(50):
        await journal.append(outcome(i))
    before = journal.database.counters.groups
    assert await trim(journal, taken_to=45, written_before=2e9) == 45
    assert journal.database.counters.groups - before == 8
    assert (await page(journal)).first == 46


async def test_a_disk_that_refuses_for_a_while_costs_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SPOOL_PAUSE_SECONDS", 0.001)
    commit = journal.database.engine.commit
    refusals = 0

    async def refusing() -> None:
        nonlocal refusals
        if refusals < 5:
            refusals += 1
            raise StorageUnavailable("the disk is full")
        await commit()

    monkeypatch.setattr(journal.database.engine, "commit", refusing)
    alarms: list[str] = []
    spool = Spool(opening(journal), outcomes_max=1_000, alarm=alarms.append)
    async with running(spool):
        for i in range(20):
            spool.record(outcome(i))
        await settle(spool)
    assert [o.promise for o in (await page(journal)).outcomes] == [str(i) for i in range(20)]
    assert alarms == ["the spool cannot be written: the disk is full"]
    assert refusals == 5


async def test_a_disk_that_refuses_for_long_costs_what_memory_cannot_hold_and_no_more(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SPOOL_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(writing, "SPOOL_PENDING_OUTCOMES_MAX", 10)
    commit = journal.database.engine.commit
    full = True

    async def refusing() -> None:
        if full:
            raise StorageUnavailable("the disk is full")
        await commit()

    monkeypatch.setattr(journal.database.engine, "commit", refusing)
    alarms: list[str] = []
    spool = Spool(opening(journal), outcomes_max=1_000, alarm=alarms.append)
    async with running(spool):
        for i in range(25):
            spool.record(outcome(i))
        while not alarms:
            await asyncio.sleep(0.001)
        full = False
        await settle(spool)
    found = await page(journal)
    assert (found.newest, found.overflowed, spool.overflowed) == (10, 15, 0)


async def test_a_batch_in_doubt_is_not_written_twice_and_is_called_lost(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = journal.database.engine.commit
    doubted = False

    async def doubtful() -> None:
        nonlocal doubted
        await commit()
        if not doubted:
            doubted = True
            raise InDoubt("the disk did not answer")

    monkeypatch.setattr(journal.database.engine, "commit", doubtful)
    spool = Spool(opening(journal), outcomes_max=1_000, alarm=lambda text: None)
    async with running(spool):
        spool.record(outcome(1))
        await settle(spool)
        spool.record(outcome(2))
        await settle(spool)
    found = await page(journal)
    assert [o.promise for o in found.outcomes] == ["1", "2"]
    assert found.overflowed == 1


async def test_a_spool_that_another_process_has_taken_over_stops(
    journal: Journal, clock: ManualClock, tmp_path: Path
) -> None:
    stale = Spool(opening(journal), outcomes_max=1_000, alarm=lambda text: None)
    successor = await open_spool(tmp_path, "door")
    await open_journal(successor, stream="door", clock=clock)
    await successor.close()
    stale.record(outcome(1))
    with pytest.raises(FencedOut):
        await stale.run()


async def test_what_waits_is_written_when_the_role_stops(journal: Journal) -> None:
    spool = Spool(opening(journal), outcomes_max=1_000, alarm=lambda text: None)
    async with running(spool):
        for i in range(100):
            spool.record(outcome(i))
    assert (await page(journal)).newest == 100


async def test_a_role_whose_spool_cannot_be_opened_records_and_writes_later(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SPOOL_PAUSE_SECONDS", 0.001)
    alarms: list[str] = []
    tries = 0

    async def opened() -> Journal:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise StorageUnavailable("the disk is full")
        return journal

    spool = Spool(opened, outcomes_max=1_000, alarm=alarms.append)
    async with running(spool):
        for i in range(5):
            spool.record(outcome(i))
        await settle(spool)
    assert [o.promise for o in (await page(journal)).outcomes] == [str(i) for i in range(5)]
    assert alarms == ["the spool cannot be written: the disk is full"]


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 1_000])
async def test_a_damaged_spool_is_set_aside_and_begun_anew(tmp_path: Path, clock: ManualClock, damage: bytes) -> None:
    before = await open_spool(tmp_path, "door")
    first = await open_journal(before, stream="door", clock=clock)
    for i in range(200):
        await first.append(outcome(i))
    incarnation = (await page(first)).incarnation
    await before.close()
    file = tmp_path / "spool" / "door.db"
    whole = file.read_bytes()
    file.write_bytes(damage or whole[:4096] + b"\xff" * 8192 + whole[12288:])
    database = await open_spool(tmp_path, "door")
    anew = await open_journal(database, stream="door", clock=clock)
    await anew.append(outcome(1))
    found = await page(anew)
    assert found.newest == 1 and found.incarnation != incarnation
    assert file.with_name("door.db.damaged").exists()
    await database.close()
