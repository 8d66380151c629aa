"""The journal on every engine: no gaps, nothing missed, nothing twice in its effects."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.clock import ManualClock
from prikkfri.errors import FencedOut
from prikkfri.journal import (
    Follower,
    Journal,
    JournalLimits,
    Outcome,
    Page,
    Spool,
    open_journal,
    read_page,
    taken_to,
    trim,
)
from prikkfri.storage import Database, Location, Transaction, open_database


def outcome(number: int) -> Outcome:
    return Outcome(
        time=float(number),
        service="messages",
        step="submit",
        layer="sms-centre",
        verdict="kept",
        promise=str(number),
        dimensions={"partner": "Nordtel"},
    )


class Taken:
    """A follower that keeps what it took in a table of its own database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.alarms: list[str] = []

    async def follower(self) -> Follower:
        await self.database.write(
            lambda t: t.execute("CREATE TABLE IF NOT EXISTS took (n BIGINT PRIMARY KEY, promise TEXT NOT NULL)")
        )
        return Follower(self.database, name="test", take=self.take, alarm=self.alarms.append)

    async def take(self, transaction: Transaction, stream: str, page: Page) -> None:
        await transaction.execute_many(
            "INSERT INTO took (n, promise) VALUES (:n, :promise)",
            [{"n": page.first + i, "promise": o.promise} for i, o in enumerate(page.outcomes)],
        )

    async def promises(self) -> list[str]:
        rows = await self.database.read(lambda q: q.fetch("SELECT promise FROM took ORDER BY n"))
        return [row[0] for row in rows]


@pytest.fixture
async def journal(database: Database, clock: ManualClock) -> Journal:
    return await open_journal(database, stream="sms", clock=clock)


@pytest.fixture
async def taken(location: Location) -> AsyncIterator[Taken]:
    database = await open_database(location, "assurance")
    yield Taken(database)
    await database.close()


async def drain(follower: Follower, database: Database) -> None:
    async def source(stream: str, after: int) -> Page | None:
        return await read_page(database, stream, after)

    async with asyncio.timeout(WAIT_SECONDS_MAX):  # a follower that is stuck
        while await follower.step("sms", source):
            await asyncio.sleep(0)


async def test_a_follower_takes_everything_once_and_in_order(
    database: Database, journal: Journal, taken: Taken
) -> None:
    await asyncio.gather(*(journal.append(*(outcome(100 * i + k) for k in range(i % 5))) for i in range(200)))
    await drain(await taken.follower(), database)
    await journal.append(outcome(-1))
    await drain(await taken.follower(), database)  # a new one, as after a crash
    promises = await taken.promises()
    assert len(promises) == len(set(promises)) == sum(i % 5 for i in range(200)) + 1
    assert promises[-1] == "-1"
    assert taken.alarms == []


async def taken_by(taken: Taken, journal: Journal) -> int:
    return await taken_to(taken.database, journal.stream, incarnation=journal.incarnation)


async def test_late_commits_and_several_writers_leave_no_gap(
    database: Database, journal: Journal, taken: Taken, location: Location
) -> None:
    """Readers run all the while; a writer's transaction stays open for a moment after it took its positions."""

    async def slow(transaction: Transaction) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    database.on_commit(slow)
    follower = await taken.follower()
    writing = asyncio.gather(*(journal.append(outcome(i)) for i in range(40)))
    while not writing.done():
        await drain(follower, database)
        await asyncio.sleep(0)
        if database.counters.works % 3:
            await journal.append(outcome(1000 + database.counters.works))
    await writing
    await drain(follower, database)
    assert taken.alarms == []
    assert len(await taken.promises()) == (await read_head(database)).newest


async def read_head(database: Database) -> Page:
    page = await read_page(database, "sms", 0)
    assert page is not None
    return page


async def test_a_writer_that_was_replaced_is_fenced_out_of_everything_and_its_successor_goes_on(
    database: Database, journal: Journal, clock: ManualClock, location: Location
) -> None:
    await journal.append(outcome(1))
    successor = await open_database(location, "sms")
    heir = await open_journal(successor, stream="sms", clock=clock)
    assert (heir.incarnation, heir.epoch) == (journal.incarnation, journal.epoch + 1)
    await heir.append(outcome(2))

    async def other_state(transaction: Transaction) -> None:
        await transaction.execute("UPDATE journal_stream SET overflowed = 99 WHERE stream = 'sms'")

    for work in (journal.append(outcome(3)), journal.append(), database.write(other_state)):
        with pytest.raises(FencedOut):
            await work
    before = database.counters.failed_groups
    refused = await asyncio.gather(*(journal.append(outcome(i)) for i in range(20)), return_exceptions=True)
    assert all(isinstance(each, FencedOut) for each in refused)
    assert database.counters.failed_groups - before <= 2  # nobody asks again for each of them
    await heir.append(outcome(4))
    page = await read_head(database)
    assert [o.promise for o in page.outcomes] == ["1", "2", "4"]
    assert (page.newest, page.overflowed) == (3, 0)
    await successor.close()


async def test_each_batch_says_when_it_was_written_and_how_many_outcomes_it_holds(
    database: Database, journal: Journal, clock: ManualClock
) -> None:
    written = []
    for size in (3, 1, 5):
        clock.advance(60)
        await journal.append(*(outcome(i) for i in range(size)))
        written.append((size, clock.now()))
    await journal.append()  # nothing: no batch, no position
    rows = await database.read(
        lambda q: q.fetch("SELECT position, outcomes, written_at FROM journal_batch ORDER BY position")
    )
    assert rows == [(3, 3, written[0][1]), (4, 1, written[1][1]), (9, 5, written[2][1])]
    assert (await read_head(database)).newest == 9


async def test_an_outcome_lives_and_dies_with_its_transaction(
    database: Database, journal: Journal, taken: Taken
) -> None:
    async def work(transaction: Transaction) -> None:
        journal.record(transaction, outcome(1))
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(work)
    await journal.append(outcome(2))
    await drain(await taken.follower(), database)
    assert await taken.promises() == ["2"]


async def test_trimming_stays_below_what_every_follower_has(
    database: Database, journal: Journal, taken: Taken, clock: ManualClock
) -> None:
    for i in range(5):
        await journal.append(outcome(i))
    assert await trim(journal, taken_to=await taken_by(taken, journal), written_before=clock.now() + 1) == 0
    follower = await taken.follower()
    await drain(follower, database)
    await journal.append(outcome(5))
    assert await trim(journal, taken_to=await taken_by(taken, journal), written_before=clock.now() + 1) == 5
    assert journal.taken_to == 5
    await drain(follower, database)
    assert await taken.promises() == [str(i) for i in range(6)]
    assert taken.alarms == []


async def test_trimming_drops_what_is_taken_and_is_old_or_too_much_and_nothing_else(
    database: Database, journal: Journal, clock: ManualClock
) -> None:
    """Against what the words say, for random batches; a few at a time or all at once is the same."""
    chance = random.Random(7)
    began = clock.now()
    for _ in range(25):
        await database.write(lambda t: t.execute("DELETE FROM journal_batch WHERE stream = 'sms'"))
        batches: list[tuple[int, float]] = []
        newest = (await read_head(database)).newest
        for _ in range(chance.randint(1, 8)):
            clock.advance(chance.randint(0, 2))
            size = chance.randint(1, 4)
            await journal.append(*(outcome(i) for i in range(size)))
            newest += size
            batches.append((newest, clock.now()))
        taken_to = newest - chance.randint(0, 12)
        before = chance.choice([0.0, clock.now() - chance.randint(-1, 4), clock.now() + 1])
        held_max = chance.choice([None, chance.randint(0, 12)])
        goes = [
            position
            for position, written in batches
            if position <= taken_to and (written < before or (held_max is not None and newest - position >= held_max))
        ]
        floor = max(goes, default=0)
        told = await trim(
            journal,
            taken_to=taken_to,
            written_before=before,
            held_max=held_max,
            limits=JournalLimits(trimmed_batches_max=chance.choice([1, 2, 500])),
        )
        left = await database.read(
            lambda q: q.fetch("SELECT position FROM journal_batch WHERE stream = 'sms' ORDER BY position")
        )
        assert ([row[0] for row in left], told) == ([p for p, _ in batches if p > floor], floor)
        head = await read_head(database)
        assert head.newest == newest and (head.trimmed_to == floor or not floor)
    assert clock.now() > began


async def test_trimming_much_is_done_in_short_transactions(database: Database, journal: Journal) -> None:
    for i in range(50):
        await journal.append(outcome(i))
    before = database.counters.groups
    assert await trim(journal, taken_to=45, written_before=2e9, limits=JournalLimits(trimmed_batches_max=7)) == 45
    assert database.counters.groups - before == 8
    assert (await read_head(database)).first == 46


async def test_a_stream_that_began_anew_is_an_alarm_and_is_taken(
    database: Database, journal: Journal, taken: Taken
) -> None:
    await journal.append(outcome(1))
    follower = await taken.follower()
    await drain(follower, database)
    await database.write(lambda t: t.execute("UPDATE journal_stream SET incarnation = 'restored', position = 0"))
    await database.write(lambda t: t.execute("DELETE FROM journal_batch"))
    await taken.database.write(lambda t: t.execute("DELETE FROM took"))
    await journal.append(outcome(2))
    await drain(follower, database)
    assert await taken.promises() == ["2"]
    assert len(taken.alarms) == 1 and "new incarnation" in taken.alarms[0]


async def test_a_lost_batch_is_an_alarm(database: Database, journal: Journal, taken: Taken) -> None:
    for i in range(3):
        await journal.append(outcome(i))
    await database.write(lambda t: t.execute("DELETE FROM journal_batch WHERE position = 2"))
    await drain(await taken.follower(), database)
    assert await taken.promises() == ["0", "2"]
    assert taken.alarms == ["stream sms: a gap: after 1 comes 3"]


async def test_a_full_spool_counts_what_it_drops_and_never_raises(
    database: Database, journal: Journal, taken: Taken
) -> None:
    alarms: list[str] = []

    async def opened() -> Journal:
        return journal

    spool = Spool(opened, outcomes_max=10, alarm=alarms.append)
    for i in range(25):
        spool.record(outcome(i))
    task = asyncio.create_task(spool.run())
    await eventually(lambda: not spool.pending)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    follower = await taken.follower()
    await drain(follower, database)
    assert await taken.promises() == [str(i) for i in range(10)]
    assert follower.overflowed == {"sms": 15}
    assert alarms == ["the spool is full: 15 outcomes were dropped"]
