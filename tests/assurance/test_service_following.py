"""Assurance follows every role: nothing lost, nothing twice, whoever is killed or comes late."""

import asyncio
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from prikkfri.assurance import store
from prikkfri.assurance.counting import Count
from prikkfri.assurance.http import Neighbours
from prikkfri.assurance.service import Assurance, OthersArea
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Journal, Outcome, open_journal
from prikkfri.storage import Database, Location, open_database, open_reader, open_spool, open_spool_reader

pytestmark = pytest.mark.slow


def outcome(clock: ManualClock, number: int = 0, **more: object) -> Outcome:
    values = {"service": "television", "step": "sign-in", "layer": "signin", "verdict": "kept", "promise": str(number)}
    return Outcome(**{"time": clock.now(), **values, **more})  # type: ignore[arg-type]


class Installation:
    """A signin with a database, a door with a spool, and an assurance that can be started again."""

    def __init__(self, location: Location, clock: ManualClock) -> None:
        self.location, self.clock = location, clock
        self.areas = {
            "signin": OthersArea(lambda: open_reader(location, "signin"), clock),
            "door": OthersArea(lambda: open_spool_reader(location.home, "door"), clock),
        }
        self.database: Database | None = None
        self.opened: list[Database] = []

    async def assurance(self) -> Assurance:
        """A new one, as after a crash: it knows only what its database holds."""
        if self.database is None:
            self.database = await open_database(self.location, "assurance")
            self.opened.append(self.database)
        everyone_is_dead = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(503)))
        return Assurance(
            self.database,
            sources={stream: area.page for stream, area in self.areas.items()},
            neighbours=Neighbours(everyone_is_dead, urls={"status": "http://status"}, command_keys={"status": "key"}),
            clock=self.clock,
            settings=Settings(),
            operator="Test",
            status_url="http://status",
        )

    async def journal(self, area: str) -> Journal:
        database = await (
            open_spool(self.location.home, area) if area == "door" else open_database(self.location, area)
        )
        self.opened.append(database)
        return await open_journal(database, stream=area, clock=self.clock)

    async def close(self) -> None:
        for closing in (*self.opened, *self.areas.values()):
            await closing.close()


@pytest.fixture
async def installation(location: Location, clock: ManualClock) -> AsyncIterator[Installation]:
    installation = Installation(location, clock)
    yield installation
    await installation.close()


async def follow(assurance: Assurance, stream: str = "signin") -> None:
    """Steps until a step finds nothing more."""
    before = -1.0
    while before != assurance.counters()["outcomes_taken_total"]:
        before = assurance.counters()["outcomes_taken_total"]
        await assurance.step(stream)


async def stored(assurance: Assurance) -> list[str]:
    rows = await assurance.database.read(lambda q: q.fetch("SELECT promise FROM outcome ORDER BY stream, position"))
    return [row[0] for row in rows]


async def counted(assurance: Assurance) -> list[Count]:
    return await assurance.database.read(lambda q: store.counts(q, since=0, until=10**10, period=1))


async def test_a_stream_that_comes_later_is_taken_from_its_beginning(
    installation: Installation, clock: ManualClock
) -> None:
    assurance = await installation.assurance()
    await follow(assurance, "door")
    assert assurance.streams["door"].exists is False
    door = await installation.journal("door")
    await door.append(*(outcome(clock, n, layer="door", step="playback-token") for n in range(3)))
    await follow(assurance, "door")
    assert assurance.streams["door"].exists
    assert await stored(assurance) == ["0", "1", "2"]


PROCESS = """
import asyncio, sys
from pathlib import Path
import httpx
from prikkfri.assurance.http import Neighbours
from prikkfri.assurance.service import Assurance, OthersArea
from prikkfri.clock import SystemClock
from prikkfri.config import Assurance as Settings
from prikkfri.storage import Location, open_database, open_reader

async def main():
    location = Location(Path(sys.argv[1]), sys.argv[2])
    clock = SystemClock()
    area = OthersArea(lambda: open_reader(location, "signin"), clock)
    assurance = Assurance(
        await open_database(location, "assurance"), sources={"signin": area.page},
        neighbours=Neighbours(httpx.AsyncClient(), urls={}, command_keys={}),
        clock=clock, settings=Settings(), operator="", status_url="",
    )
    print("following", flush=True)
    while True:
        await assurance.step("signin")

asyncio.run(main())
"""


@pytest.mark.slow
async def test_kill_9_at_any_moment_loses_and_doubles_nothing(installation: Installation, clock: ManualClock) -> None:
    """Processes that are killed while they take what is being written, again and again; then one that is not."""
    signin = await installation.journal("signin")
    total, location = 0, installation.location
    for life in range(6):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROCESS, str(location.home), location.url, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await process.stdout.readline()
        for _ in range(20 + 13 * life):
            await signin.append(*(outcome(clock, total + n, device=f"d-{n}") for n in range(50)))
            total += 50
        process.kill()
        await process.wait()
    await signin.append(outcome(clock, total))
    total += 1
    assurance = await installation.assurance()
    assert 0 < len(await stored(assurance)) < total, "those that were killed took nothing"
    await follow(assurance)
    assert await stored(assurance) == [str(n) for n in range(total)]
    assert sum(count.outcomes for count in await counted(assurance)) == total
    assert await assurance.alarms() == []


async def test_another_incarnation_of_a_stream_is_taken_beside_the_old_one(
    installation: Installation, clock: ManualClock
) -> None:
    signin = await installation.journal("signin")
    await signin.append(outcome(clock, 1))
    assurance = await installation.assurance()
    await follow(assurance)
    await signin.database.write(lambda t: t.execute("DELETE FROM journal_batch"))
    await signin.database.write(lambda t: t.execute("UPDATE journal_stream SET incarnation = 'restored', position = 0"))
    await signin.append(outcome(clock, 2))
    await follow(assurance)
    assert sorted(await stored(assurance)) == ["1", "2"]
    (alarm,) = await assurance.alarms()
    assert "new incarnation" in alarm.text and not alarm.seen_by
    await assurance.mark_alarm_seen(alarm.text, "duty")
    (alarm,) = await assurance.alarms()
    assert alarm.seen_by == "duty"


async def test_what_no_database_could_hold_does_not_hold_up_a_stream(
    installation: Installation, clock: ManualClock
) -> None:
    signin = await installation.journal("signin")
    strange = outcome(clock, 1, time=float("nan"), reason="a\0b" * 200, customer="\0", dimensions={"\0": "x" * 999})
    await signin.append(strange, outcome(clock, 2, time=-1e300), outcome(clock, 3))
    assurance = await installation.assurance()
    await follow(assurance)
    assert await stored(assurance) == ["1", "2", "3"]
    assert {count.second for count in await counted(assurance)} == {int(clock.now()) // 5 * 5}


async def test_what_a_device_did_before_anyone_signed_in_on_it_is_found_for_the_subscriber(
    installation: Installation, clock: ManualClock
) -> None:
    signin = await installation.journal("signin")
    broken = {"verdict": "broken", "reason": "overloaded"}
    await signin.append(outcome(clock, 1, device="d-mine", **broken), outcome(clock, 2, device="d-other", **broken))
    clock.advance(5)
    await signin.append(outcome(clock, 3, device="d-mine", customer="ann"))
    await signin.append(outcome(clock, 4, device="d-other", customer="ann", observed=False))  # anyone may say so
    assurance = await installation.assurance()
    await follow(assurance)
    found = await assurance.outcomes_of_customer("ann")
    assert [taken.outcome.promise for taken in found] == ["4", "3", "1"]


async def test_unreadable_streams_are_told_and_taken_up_again(
    installation: Installation, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    signin = await installation.journal("signin")
    await signin.append(outcome(clock, 1))
    assurance = await installation.assurance()
    await follow(assurance)
    assert "signin" not in dict((await assurance.overview()).blind)
    seen_last = clock.now()
    await signin.database.write(lambda t: t.execute("ALTER TABLE journal_batch RENAME TO gone"))
    clock.advance(30)
    await assurance.step("signin")
    assert assurance.streams["signin"].trouble
    assert ("signin", seen_last) in (await assurance.overview()).blind
    await signin.database.write(lambda t: t.execute("ALTER TABLE gone RENAME TO journal_batch"))
    await signin.append(outcome(clock, 2))
    await follow(assurance)
    assert not assurance.streams["signin"].trouble
    assert await stored(assurance) == ["1", "2"]


async def test_what_is_past_its_time_is_erased_and_nothing_else(installation: Installation, clock: ManualClock) -> None:
    signin = await installation.journal("signin")
    await signin.append(outcome(clock, 1, device="d-old", customer="ann"))
    assurance = await installation.assurance()
    await follow(assurance)
    clock.advance(Settings().outcomes_kept_days * 86_400 - 10)
    await signin.append(outcome(clock, 2, device="d-new", customer="ann"))
    await follow(assurance)
    await assurance.erase()
    assert await stored(assurance) == ["1", "2"]
    clock.advance(20)
    await assurance.erase()
    assert await stored(assurance) == ["2"]
    assert [count.outcomes for count in await counted(assurance)] == [1]
    rows = await assurance.database.read(lambda q: q.fetch("SELECT device FROM device_holder"))
    assert rows == [("d-new",)]
