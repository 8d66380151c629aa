"""Many writers with late commits, fenced writers, and readers that follow all the while, on a real PostgreSQL.

Each seed is another interleaving. A writer waits a random moment between taking its positions and committing, which is
where a serial column loses outcomes; the last test holds a commit there until it was read past, and sees the loss.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import count

import pytest

from prikkfri.clock import SystemClock
from prikkfri.errors import FencedOut
from prikkfri.journal import Follower, Journal, Outcome, Page, Source, open_journal, read_page
from prikkfri.storage import Database, Location, Queries, Transaction, open_database, open_reader

pytestmark = pytest.mark.slow

STREAMS = ("sms", "signin")
WRITERS_OF_A_STREAM = 3
APPENDS_OF_A_WRITER = range(25)


def outcome(promise: str) -> Outcome:
    return Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept", promise=promise)


class Trial:
    """Databases on one server, opened as by processes of their own, and all that was acknowledged and taken."""

    def __init__(self, location: Location, seed: int) -> None:
        self.location = location
        self.chance = random.Random(seed)
        self.acknowledged: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.taken: dict[str, Counter[str]] = {}
        self.read = {stream: asyncio.Event() for stream in STREAMS}
        self.alarms: list[str] = []
        self.opened: list[Database] = []
        self._promises = iter(range(1 << 40))

    async def database(self, area: str) -> Database:
        database = await open_database(self.location, area)
        self.opened.append(database)
        return database

    async def close(self) -> None:
        for database in self.opened:
            await database.close()

    async def pause(self, seconds_max: float = 0.004) -> None:
        await asyncio.sleep(self.chance.random() * seconds_max)

    async def late(self, transaction: Transaction) -> None:
        """A commit hook that stands between taking the positions and committing."""
        await self.pause()

    async def write(self, append: Callable[..., Awaitable[None]], times: Iterable[int]) -> bool:
        """Appends until done or fenced out; tells whether it was done."""
        for _ in times:
            promises = [str(next(self._promises)) for _ in range(self.chance.randint(1, 4))]
            try:
                await append(*(outcome(promise) for promise in promises))
            except FencedOut:
                self.refused.update(promises)
                return False
            self.acknowledged.update(promises)
            await self.pause()
        return True

    async def follow(self, name: str, source: Source, written: asyncio.Event) -> None:
        own = await self.database("assurance")
        taken = self.taken[name] = Counter()
        last: Page | None = None

        async def take(transaction: Transaction, stream: str, page: Page) -> None:
            nonlocal last
            last = page

        follower = Follower(own, name=name, take=take, alarm=self.alarms.append)
        streams = set(STREAMS)
        while streams:
            done = written.is_set()
            for stream in sorted(streams):
                last = None
                taken_now = await follower.step(stream, source)
                if last is not None:
                    taken.update(o.promise for o in last.outcomes)
                    if last.outcomes:
                        self.read[stream].set()
                if not taken_now and done:
                    streams.discard(stream)
            await self.pause(0.002)


@pytest.fixture
async def trial(postgres_url: str, tmp_path: object, request: pytest.FixtureRequest) -> AsyncIterator[Trial]:
    location = Location(tmp_path, postgres_url)  # type: ignore[arg-type]
    trial = Trial(location, request.param)
    for area in (*STREAMS, "assurance"):
        await (await open_database(location, area)).close()
    yield trial
    await trial.close()


def reading(trial: Trial) -> Source:
    readers = {stream: open_reader(trial.location, stream) for stream in STREAMS}
    trial.opened += readers.values()

    async def source(stream: str, after: int) -> Page | None:
        return await read_page(readers[stream], stream, after)

    return source


async def journals_of_one_epoch(trial: Trial, stream: str) -> list[Journal]:
    """Writers on connections of their own that all may write: the hardest case for the order of commits."""
    first = await open_journal(await trial.database(stream), stream=stream, clock=SystemClock())
    journals = [first]
    for _ in range(WRITERS_OF_A_STREAM - 1):
        database = await trial.database(stream)
        journals.append(
            Journal(database, stream=stream, clock=SystemClock(), incarnation=first.incarnation, epoch=first.epoch)
        )
    for journal in journals:
        journal.database.on_commit(trial.late)
    return journals


@pytest.mark.parametrize("trial", range(4), indirect=True)
async def test_nothing_is_skipped_and_nothing_taken_twice_whoever_commits_late(trial: Trial) -> None:
    written = asyncio.Event()
    source = reading(trial)
    followers = [asyncio.create_task(trial.follow(name, source, written)) for name in ("one", "two")]
    journals = [journal for stream in STREAMS for journal in await journals_of_one_epoch(trial, stream)]
    assert all(await asyncio.gather(*(trial.write(journal.append, APPENDS_OF_A_WRITER) for journal in journals)))
    written.set()
    await asyncio.gather(*followers)
    assert trial.alarms == []
    assert trial.taken["one"] == trial.taken["two"] == trial.acknowledged
    assert set(trial.acknowledged.values()) == {1}


@pytest.mark.parametrize("trial", range(100, 104), indirect=True)
async def test_a_fenced_writer_stops_and_no_refused_outcome_is_ever_seen(trial: Trial) -> None:
    """Writers are replaced while they write, as when a role was frozen and another was started in its place."""
    written = asyncio.Event()
    source = reading(trial)
    follower = asyncio.create_task(trial.follow("one", source, written))

    async def replaced(stream: str) -> None:
        writing: list[asyncio.Task[bool]] = []
        for times in (count(), count(), count(), count(), APPENDS_OF_A_WRITER):
            database = await trial.database(stream)
            journal = await open_journal(database, stream=stream, clock=SystemClock())
            database.on_commit(trial.late)
            writing.append(asyncio.create_task(trial.write(journal.append, times)))
            await trial.pause(0.05)
        assert await asyncio.gather(*writing) == [False, False, False, False, True]

    await asyncio.gather(*(replaced(stream) for stream in STREAMS))
    written.set()
    await follower
    assert trial.alarms == []
    assert trial.taken["one"] == trial.acknowledged
    assert trial.refused and not trial.refused & trial.taken["one"]


@pytest.mark.parametrize("trial", [0], indirect=True)
async def test_this_judge_sees_what_a_serial_column_loses(trial: Trial) -> None:
    """The same writers and readers over a column that PostgreSQL numbers: late commits are skipped."""
    table = "CREATE TABLE serial_journal (position BIGSERIAL PRIMARY KEY, promise TEXT NOT NULL)"
    readers: dict[str, Database] = {}
    writers: list[Callable[..., Awaitable[None]]] = []
    for stream in STREAMS:
        readers[stream] = await trial.database(stream)
        await readers[stream].write(lambda t: t.execute(table))

        async def until_read_past(transaction: Transaction, stream: str = stream) -> None:
            await trial.read[stream].wait()

        for number in range(WRITERS_OF_A_STREAM):
            database = await trial.database(stream)
            database.on_commit(trial.late if number else until_read_past)

            async def append(*outcomes: Outcome, database: Database = database) -> None:
                async def work(transaction: Transaction) -> None:
                    for each in outcomes:  # each has its number before anybody waits
                        sql = "INSERT INTO serial_journal (promise) VALUES (:promise)"
                        await transaction.execute(sql, {"promise": each.promise})

                await database.write(work)

            writers.append(append)

    async def source(stream: str, after: int) -> Page | None:
        async def work(queries: Queries) -> Page:
            rows = await queries.fetch(
                "SELECT position, promise FROM serial_journal WHERE position > :after ORDER BY position",
                {"after": after},
            )
            last = rows[-1][0] if rows else after
            return Page("serial", after + 1, last, [outcome(row[1]) for row in rows], last, 0, 0)

        return await readers[stream].read(work)

    written = asyncio.Event()
    follower = asyncio.create_task(trial.follow("one", source, written))
    await asyncio.gather(*(trial.write(append, APPENDS_OF_A_WRITER) for append in writers))
    written.set()
    await follower
    assert trial.acknowledged - trial.taken["one"]
