"""The journal on every engine: no gaps, nothing missed, nothing twice in its effects."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from prikkfri.clock import ManualClock
from prikkfri.errors import FencedOut
from prikkfri.journal import Follower, Journal, Outcome, Page, Spool, open_journal, read_page, taken_to, trim
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

    while await follower.step("sms", source):
        pass


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


async def test_late_commits_and_several_writers_leave_no_gap(
    database: Database, journal: Journal, taken: Taken, location: Location
) -> None:
    """Readers run all the while; a writer's transaction stays open for a moment after it took its positions."""

    async def slow(transaction: Transaction) -> None:
        await asyncio.sleep(0.002)

    database.on_commit(slow)
    follower = await taken.follower()
    writing = asyncio.gather(*(journal.append(outcome(i)) for i in range(40)))
    while not writing.done():
        await drain(follower, database)
        await asyncio.sleep(0.001)
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


async def test_a_writer_that_was_replaced_is_fenced_out(
    database: Database, journal: Journal, clock: ManualClock
) -> None:
    await journal.append(outcome(1))
    stale = Journal(database, stream="sms", clock=clock, epoch=0)
    with pytest.raises(FencedOut):
        await stale.append(outcome(2))
    page = await read_page(database, "sms", 0)
    assert page is not None
    assert page.newest == 1


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
    assert await trim(journal, taken_to=await taken_to(taken.database, "sms"), written_before=clock.now() + 1) == 0
    follower = await taken.follower()
    await drain(follower, database)
    await journal.append(outcome(5))
    assert await trim(journal, taken_to=await taken_to(taken.database, "sms"), written_before=clock.now() + 1) == 5
    await drain(follower, database)
    assert await taken.promises() == [str(i) for i in range(6)]
    assert taken.alarms == []


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
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    follower = await taken.follower()
    await drain(follower, database)
    assert await taken.promises() == [str(i) for i in range(10)]
    assert follower.overflowed == {"sms": 15}
    assert alarms == ["the spool is full: 15 outcomes were dropped"]
