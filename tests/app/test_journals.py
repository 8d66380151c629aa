"""Trimming and spools as roles compose them: by what assurance says it has taken, kept beside the stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.app.limits import AppLimits
from prikkfri.app.roles import Work
from prikkfri.app.roles.journals import spool_of, spool_over, trimming, trimming_spool
from prikkfri.clock import ManualClock
from prikkfri.config import Config
from prikkfri.config import Journal as JournalSettings
from prikkfri.errors import FencedOut
from prikkfri.journal import (
    Follower,
    Journal,
    JournalLimits,
    Outcome,
    Page,
    Position,
    note_taken,
    open_journal,
    read_page,
)
from prikkfri.storage import Location, Transaction, open_database, open_spool, open_spool_reader

DAY = 86_400.0
QUICK = AppLimits(trim_seconds=0.001)


def outcome(number: int) -> Outcome:
    return Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept", promise=str(number))


class Role:
    """A journal of a role with a database, trimmed by what a follower in assurance's database has taken."""

    def __init__(self, home: Path, journal: Journal, clock: ManualClock) -> None:
        self.location = Location(home)
        self.journal = journal
        self.clock = clock
        self.config = Config(home=home, journal=JournalSettings(kept_days=30, spool_outcomes_max=10))

    async def head(self) -> Page:
        page = await read_page(self.journal.database, "sms", 0)
        assert page is not None
        return page

    async def taken(self, follower: str = "assurance", stream: str = "sms") -> None:
        """Has a follower take what there is."""
        database = await open_database(self.location, "assurance")

        async def take(transaction: Transaction, stream: str, page: Page) -> None: ...

        async def source(_: str, after: int) -> Page | None:
            return await read_page(self.journal.database, "sms", after)

        following = Follower(database, name=follower, take=take, alarm=lambda text: None)
        while await following.step(stream, source):
            pass
        await database.close()
        await note_taken(self.journal.database, stream, follower, following.committed[stream])

    async def trims(self, work: Work) -> Page:
        """Lets the work trim a few times."""
        before = self.journal.database.counters.groups
        task = asyncio.create_task(work())
        await eventually(lambda: self.journal.database.counters.groups >= before + 4)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return await self.head()


@pytest.fixture
async def role(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Role]:
    database = await open_database(Location(tmp_path), "sms")
    role = Role(tmp_path, await open_journal(database, stream="sms", clock=clock), clock)
    for i in range(20):
        await role.journal.append(outcome(i))
    yield role
    await database.close()


def trimmer(role: Role) -> Work:
    return trimming(role.journal, role.config, role.clock, limits=QUICK)


async def test_what_assurance_has_taken_is_kept_for_its_days_and_then_dropped(role: Role) -> None:
    await role.taken()
    role.clock.advance(30 * DAY)
    await role.journal.append(outcome(20))
    assert (await role.trims(trimmer(role))).first == 1
    role.clock.advance(1)
    head = await role.trims(trimmer(role))
    assert (head.first, head.trimmed_to) == (21, 20)
    role.clock.advance(100 * DAY)
    assert (await role.trims(trimmer(role))).first == 21  # which nobody has taken


@pytest.mark.parametrize("follower", ["nobody", "of another stream", "only one of two"])
async def test_what_not_everybody_has_taken_stays_however_old_it_is(role: Role, follower: str) -> None:
    await role.taken(stream="signin")
    role.clock.advance(1_000 * DAY)
    if follower == "only one of two":
        await role.taken()
        await note_taken(role.journal.database, "sms", "second", Position(role.journal.incarnation, 0))
    assert (await role.trims(trimmer(role))).first == 1


async def test_a_follower_that_is_gone_for_good_does_not_pin_the_journal_for_ever(
    role: Role, caplog: pytest.LogCaptureFixture
) -> None:
    """It is waited for as long as anything is kept; one of which nothing is known gets that time from now on."""
    journal, began = role.journal, role.clock.now()
    gone, unknown = (Position(journal.incarnation, 3), Position(journal.incarnation, 7))
    await note_taken(journal.database, "sms", "gone", gone, now=began)
    await note_taken(journal.database, "sms", "of an earlier version", unknown)

    async def here() -> None:
        await note_taken(journal.database, "sms", "assurance", Position(journal.incarnation, 20), now=role.clock.now())

    for days, trimmed_to in ((29, 0), (2, 7), (31, 20)):
        role.clock.advance(days * DAY)
        await here()
        assert (await role.trims(trimmer(role))).trimmed_to == trimmed_to
    assert [r.getMessage().partition(" has")[0] for r in caplog.records] == ["gone", "of an earlier version"]
    rows = await journal.database.read(lambda q: q.fetch("SELECT follower FROM journal_follower"))
    assert rows == [("assurance",)]


@pytest.mark.parametrize(("after", "told_at"), [(3_599, 1_000.0), (3_600, 4_600.0)])
async def test_that_a_follower_is_still_there_is_written_down_once_an_hour(
    role: Role, after: float, told_at: float
) -> None:
    at = Position(role.journal.incarnation, 20)
    for now in (1_000.0, 1_000.0 + after):
        assert await note_taken(role.journal.database, "sms", "assurance", at, now=now)
    rows = await role.journal.database.read(lambda q: q.fetch("SELECT told_at FROM journal_follower"))
    assert rows == [(told_at,)]


async def test_a_position_in_a_stream_that_was_lost_trims_nothing_of_the_one_begun_anew(role: Role) -> None:
    await role.taken()
    await note_taken(role.journal.database, "sms", "assurance", Position("lost", 20))
    role.clock.advance(1_000 * DAY)
    assert (await role.trims(trimmer(role))).first == 1


async def test_trimming_opens_nobody_elses_database(role: Role) -> None:
    await role.taken()
    role.clock.advance(31 * DAY)
    for path in role.location.home.glob("assurance.db*"):
        path.unlink()
    assert (await role.trims(trimmer(role))).trimmed_to == 20
    assert not list(role.location.home.glob("assurance.db*"))


async def test_while_nobody_says_what_they_have_taken_nothing_is_trimmed(role: Role) -> None:
    role.clock.advance(1_000 * DAY)
    assert (await role.trims(trimmer(role))).first == 1


async def test_who_has_been_replaced_trims_no_more_and_ends(role: Role) -> None:
    await role.taken()
    successor = await open_database(role.location, "sms")
    await open_journal(successor, stream="sms", clock=role.clock)
    role.clock.advance(100 * DAY)
    with pytest.raises(FencedOut):
        await asyncio.wait_for(trimmer(role)(), WAIT_SECONDS_MAX)
    assert (await role.head()).first == 1
    await successor.close()


async def test_a_spool_holds_no_more_of_what_was_taken_than_it_may(role: Role) -> None:
    await role.taken()
    spool = spool_over(role.journal, role.config)
    work = trimming_spool(spool, role.config, role.clock, limits=QUICK)
    trimming_task = asyncio.create_task(work())  # while the spool is not open there is nothing to trim
    for _ in range(5):
        await asyncio.sleep(0)
    assert not trimming_task.done()
    running = asyncio.create_task(spool.run())
    await eventually(lambda: role.journal.taken_to == 20)
    head = await role.trims(work)
    assert (head.first, head.newest) == (11, 20)
    for i in range(25):
        spool.record(outcome(i))
    await eventually(lambda: not spool.pending)
    head = await role.head()
    assert (head.newest, head.overflowed) == (30, 15)
    for task in (trimming_task, running):
        task.cancel()
    await asyncio.gather(trimming_task, running, return_exceptions=True)


async def test_a_spool_that_cannot_be_opened_is_tried_again_and_leaves_nothing_open(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("in the way")
    spool = spool_of("door", Config(home=tmp_path), clock, limits=JournalLimits(pause_seconds=0.001))
    running = asyncio.create_task(spool.run())
    spool.record(outcome(1))
    await eventually(lambda: "the spool cannot be written" in caplog.text)
    (tmp_path / "spool").unlink()
    await eventually(lambda: not spool.pending)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await spool.close()
    assert [file.name for file in (tmp_path / "spool").iterdir()] == ["door.db"]  # its log is gone: nobody has it open
    reader = open_spool_reader(tmp_path, "door")
    page = await read_page(reader, "door", 0)
    assert page is not None and [o.promise for o in page.outcomes] == ["1"]
    await reader.close()


@pytest.mark.parametrize("turns", [0, 3, 9, 21])
async def test_a_role_that_stops_while_its_spool_is_being_opened_leaves_nothing_open(
    tmp_path: Path, clock: ManualClock, turns: int
) -> None:
    spool = spool_of("door", Config(home=tmp_path), clock)
    running = asyncio.create_task(spool.run())
    spool.record(outcome(1))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await spool.close()
    found = [file.name for file in (tmp_path / "spool").iterdir()] if turns else []
    assert found == (["door.db"] if turns else [])


async def test_a_spool_whose_stream_cannot_be_claimed_leaves_nothing_open(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    database = await open_spool(tmp_path, "door")
    await database.write(lambda t: t.execute("DROP TABLE journal_stream"))
    await database.close()
    spool = spool_of("door", Config(home=tmp_path), clock)
    running = asyncio.create_task(spool.run())
    await eventually(lambda: "the spool cannot be written" in caplog.text)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await spool.close()
    assert [file.name for file in (tmp_path / "spool").iterdir()] == ["door.db"]
