"""Assurance follows every role: nothing lost, nothing twice, whoever is killed or comes late."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from outcome_rows import outcome_rows
from waiting import eventually

from prikkfri.assurance import store
from prikkfri.assurance.console import store as console_store
from prikkfri.assurance.controls import Controls
from prikkfri.assurance.counting import Count
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.outcomes.store import LEFT_SECONDS
from prikkfri.assurance.outcomes.stored import OutcomeFilter
from prikkfri.assurance.service import FOLLOW_SECONDS, TROUBLE_SECONDS, Assurance
from prikkfri.assurance.status import Statement
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.errors import InDoubt, StorageError, StorageUnavailable
from prikkfri.journal import Journal, Outcome, Page, Source, open_journal
from prikkfri.journal.others import OthersArea
from prikkfri.storage import Database, Location, open_database, open_reader, open_spool, open_spool_reader


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
        self.sources: dict[str, Source] = {stream: area.page for stream, area in self.areas.items()}
        self.arrived: list[tuple[str, list[str]]] = []
        """Streams and promises, as they were handed on."""
        self.requests: list[tuple[str, str, bytes]] = []
        self.answers: dict[str, int] = {}
        """Status codes by address; who is not named is dead."""

    async def assurance(self, database: Any = None, told: Any = None) -> Assurance:
        """A new one, as after a crash: it knows only what its database holds."""
        if self.database is None:
            self.database = await open_database(self.location, "assurance")
            self.opened.append(self.database)
        neighbours = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        roles = {role: f"http://{role}" for role in ("status", "signin", "playout", "sms")}
        return Assurance(
            database or self.database,
            sources=self.sources,
            neighbours=RoleClient(neighbours, urls=roles, command_keys=dict.fromkeys(roles, "key")),
            clock=self.clock,
            settings=Settings(),
            operator="Test",
            status_url="http://status",
            zone=ZoneInfo("Europe/Oslo"),
            arrived=lambda stream, outcomes: self.arrived.append((stream, [o.promise for o in outcomes])),
            told=told,
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, str(request.url), request.content))
        known = [code for address, code in self.answers.items() if str(request.url).startswith(address)]
        return httpx.Response(known[0] if known else 503, json=[])

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
    return [row[2] for row in await assurance.database.read(lambda q: outcome_rows(q, "stream, position, promise"))]


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


class Faulty:
    """A database whose next writes fail as told: `before` the work is done, or `after` it, as nobody can tell."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.failures: list[str] = []

    async def read(self, work: Any) -> Any:
        return await self.database.read(work)

    async def write(self, work: Any) -> Any:
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "full":
            raise StorageUnavailable("the disk is full")
        if failure == "before":

            async def undone(transaction: Any) -> None:
                await work(transaction)
                raise InDoubt("lost at the commit")

            return await self.database.write(undone)
        result = await self.database.write(work)
        if failure == "after":
            raise InDoubt("lost at the commit")
        return result


@pytest.mark.parametrize("restarted", [False, True], ids=["one run", "restarts"])
async def test_whatever_fails_each_outcome_is_stored_once_and_handed_on_once(
    installation: Installation, clock: ManualClock, restarted: bool
) -> None:
    """Sources that are away, late or short, full disks, commits in doubt, restarts: in a random order, under a seed."""
    rng = random.Random(20260820)
    signin = await installation.journal("signin")
    read = installation.sources["signin"]

    async def moody(stream: str, after: int) -> Page | None:
        mood = rng.randrange(8)
        if mood == 0:
            raise StorageUnavailable("the disk is away")
        page = await read(stream, after) if mood > 1 else None
        if page is not None and page.outcomes and mood < 5:  # the first part of it only: the rest is late
            return replace(page, last=page.first, outcomes=page.outcomes[:1])
        return page

    await installation.assurance()
    installation.sources["signin"] = moody
    database = Faulty(installation.database)
    assurance = await installation.assurance(database)
    written = 0
    for _ in range(120):
        for _ in range(rng.randrange(3)):
            await signin.append(outcome(clock, written))
            written += 1
        database.failures = rng.choices(["", "full", "before", "after"], [6, 1, 2, 2], k=2)
        await assurance.step("signin")
        if rng.randrange(2):  # what is shown is what is stored, whatever of it was read before
            assert (await assurance.overview()).kept == sum(count.outcomes for count in await counted(assurance))
        if restarted and rng.randrange(10) == 0:
            assurance = await installation.assurance(database)
    installation.sources["signin"], database.failures = read, []
    if restarted:
        assurance = await installation.assurance()
    await follow(assurance)
    await assurance.step("signin")
    everything = [str(n) for n in range(written)]
    assert await stored(assurance) == everything
    assert sum(count.outcomes for count in await counted(assurance)) == written
    if not restarted:  # a new run reads from the tables what the old one was handed
        assert [promise for _, promises in installation.arrived for promise in promises] == everything
        assert assurance.counters()["outcomes_taken_total"] == written


async def test_what_is_stored_is_handed_on_when_an_alarm_cannot_be_stored(
    installation: Installation, clock: ManualClock
) -> None:
    signin = await installation.journal("signin")
    await signin.append(outcome(clock, 1))
    await installation.assurance()
    database = Faulty(installation.database)
    assurance = await installation.assurance(database)
    await follow(assurance)
    await signin.database.write(lambda t: t.execute("UPDATE journal_stream SET incarnation = 'restored', position = 1"))
    await signin.append(outcome(clock, 2))
    database.failures = ["", "full"]
    assert await assurance.step("signin") == TROUBLE_SECONDS
    assert assurance.streams["signin"].trouble
    assert [promises for _, promises in installation.arrived][-1] == ["1", "2"]
    assert await assurance.alarms() == []
    assert await assurance.step("signin") == FOLLOW_SECONDS
    assert not assurance.streams["signin"].trouble
    (alarm,) = await assurance.alarms()
    assert alarm.times == 1
    assert len(installation.arrived) == 2
    # Two that wait are both stored: what was dropped, and that the stream is another one again.
    await signin.database.write(lambda t: t.execute("UPDATE journal_stream SET overflowed = 7"))
    await assurance.step("signin")
    await signin.database.write(lambda t: t.execute("UPDATE journal_stream SET incarnation = 'again'"))
    await assurance.step("signin")
    assert [alarm.times for alarm in await assurance.alarms()] == [1, 1, 1]


async def test_a_stream_is_looked_at_at_once_while_it_is_behind_and_is_not_seen_to_its_end(
    installation: Installation, clock: ManualClock
) -> None:
    signin = await installation.journal("signin")
    read = installation.sources["signin"]
    await signin.append(outcome(clock, 1))
    await signin.append(outcome(clock, 2))
    assurance = await installation.assurance()
    assert assurance.blind() == {"signin", "door"}, "not looked at yet"
    assert await assurance.step("door") == FOLLOW_SECONDS
    assert assurance.blind() == {"signin"}, "a role that has never written hides nothing"

    async def half(stream: str, after: int) -> Page | None:
        page = await read(stream, after)
        return replace(page, last=page.first, outcomes=page.outcomes[:1], overflowed=3) if page else None

    installation.sources["signin"] = half
    assert await assurance.step("signin") == 0.0
    assert assurance.counters() | {"status_published_at_seconds": 0} == {
        "outcomes_taken_total": 1, "outcomes_behind": 1, "outcomes_overflowed": 3, "streams_blind": 1,
        "status_published_at_seconds": 0,
    }  # fmt: skip
    assert assurance.blind() == {"signin"}
    assert assurance.incomplete() == "signin dropped 3 outcomes; signin is not read to its end"
    installation.sources["signin"] = read
    assert await assurance.step("signin") == FOLLOW_SECONDS
    assert (assurance.blind(), assurance.incomplete()) == (frozenset(), "")
    assert assurance.streams["signin"].current_at == clock.now()
    assert assurance.counters()["streams_blind"] == 0
    await signin.append(outcome(clock, 3))
    await signin.append(outcome(clock, 4))
    installation.sources["signin"] = half
    await assurance.step("signin")
    assert assurance.blind() == {"signin"}, "at once: what is not read yet may be a whole outage"


async def test_what_a_role_had_to_drop_is_an_alarm_once(installation: Installation, clock: ManualClock) -> None:
    signin = await installation.journal("signin")
    await signin.append(outcome(clock, 1))
    assurance = await installation.assurance()
    for dropped, alarms in ((0, 0), (7, 1), (7, 1), (9, 2)):
        await signin.database.write(
            lambda t, dropped=dropped: t.execute("UPDATE journal_stream SET overflowed = :n", {"n": dropped})
        )
        await assurance.step("signin")
        await assurance.step("signin")
        found = await assurance.alarms()
        assert [alarm.times for alarm in found] == [1] * alarms
    assert any("has dropped 7 outcomes; lists made from it are incomplete" in alarm.text for alarm in found)


async def test_trouble_is_blindness_after_a_while_and_since_it_began(
    installation: Installation, clock: ManualClock
) -> None:
    signin = await installation.journal("signin")
    await signin.append(outcome(clock, 1))
    assurance = await installation.assurance()
    await follow(assurance)

    async def away(stream: str, after: int) -> Page | None:
        raise StorageUnavailable("the disk is away")

    began = clock.now() + 5
    installation.sources["signin"] = away
    for seconds in (5, 10, 1):
        clock.advance(seconds)
        assert await assurance.step("signin") == TROUBLE_SECONDS
        assert assurance.blind() - {"door"} == (set() if clock.now() <= began + 10 else {"signin"})
    state = assurance.streams["signin"]
    assert (state.trouble, state.trouble_since, state.exists) == ("the disk is away", began, True)


async def test_a_role_is_silent_when_it_has_not_answered_for_a_while(
    installation: Installation, clock: ManualClock
) -> None:
    assurance = await installation.assurance()
    assert assurance.silent() == frozenset(), "nobody has been asked"
    installation.answers["http://status/health"] = 200
    for role in ("signin", "status"):
        await assurance.look_at(role)
    since = clock.now()
    clock.advance(4.9)
    await assurance.look_at("signin")
    assert (assurance.silent(), assurance.roles["signin"].since) == (frozenset(), since)
    clock.advance(0.1)
    assert assurance.silent() == {"signin"}
    installation.answers["http://signin/health"] = 200
    await assurance.look_at("signin")
    assert (assurance.silent(), assurance.roles["signin"].since) == (frozenset(), clock.now())


async def test_who_is_cut_off_from_everybody_calls_nobody_silent(
    installation: Installation, clock: ManualClock
) -> None:
    assurance = await installation.assurance()
    roles = ("signin", "sms", "status")
    for role in roles:
        installation.answers[f"http://{role}/health"] = 503
        await assurance.look_at(role)
    clock.advance(6.0)
    assert assurance.silent() == frozenset()
    installation.answers["http://status/health"] = 200
    await assurance.look_at("status")
    assert assurance.silent() == {"signin", "sms"}


async def test_the_public_is_told_and_what_goes_wrong_is_kept(installation: Installation, clock: ManualClock) -> None:
    told: list[Any] = []

    async def of_incidents() -> list[Any]:
        if told:
            raise StorageUnavailable("the disk is away")
        return [Statement(
            id="20260820-2103-ab12", service="television", steps=("sign-in",), severity="major_outage",
            stage="investigating", state="confirmed", title={"en": "Nobody gets in", "nb": "Ingen kommer inn"},
            since=clock.now(), updated_at=clock.now(), resolved_at=None, expected_solution_at=None, next_update_at=None,
            solution_overdue=False, next_update_overdue=False, updates=(),
        )]  # fmt: skip

    assurance = await installation.assurance(told=of_incidents)
    await assurance.publish()
    assert (assurance.publish_trouble, assurance.published_at) == ("the status role answered 503", 0)
    installation.answers["http://status/publish"] = 204
    await assurance.publish()
    assert (assurance.publish_trouble, assurance.published_at) == ("", clock.now())
    method, address, document = installation.requests[-1]
    assert (method, address) == ("PUT", "http://status/publish")
    assert b'"name":"Test"' in document and b"20260820-2103-ab12" in document
    before, requests = clock.now(), len(installation.requests)
    clock.advance(5)
    told.append("")
    await assurance.publish()
    assert (assurance.publish_trouble, assurance.published_at) == ("nothing can be read: the disk is away", before)
    assert len(installation.requests) == requests, "rather nothing than half of it"


async def test_what_people_switch_is_done_by_the_role_and_looked_at_again(installation: Installation) -> None:
    assurance = await installation.assurance()
    assert await assurance.switch_channel("sport", "open", by="kari") == "the playout role answered 503"
    assert assurance.controls == Controls(None, None)
    installation.answers |= {"http://playout/": 200, "http://sms/": 200}
    assert await assurance.switch_channel("sport", "open", by="kari") == ""
    assert assurance.controls == Controls((), ())
    installation.requests.clear()
    assert await assurance.switch_route("telia", "stopped", by="kari") == ""
    method, address, document = installation.requests[0]
    assert (method, address, document) == ("POST", "http://sms/routes/telia", b'{"state":"stopped","by":"kari"}')
    assert {address for _, address, _ in installation.requests[1:]} == {"http://playout/standings", "http://sms/routes"}
    del installation.answers["http://playout/"]
    await assurance.look_at_controls()
    assert assurance.controls == Controls(None, ())


async def test_it_works_by_itself_until_it_is_stopped(installation: Installation, clock: ManualClock) -> None:
    signin = await installation.journal("signin")
    await signin.append(outcome(clock, 1))
    installation.answers |= {"http://": 200}
    await signin.append(outcome(clock, 0, time=clock.now() - 86_400 * (Settings().outcomes_kept_days + 1)))
    assurance = await installation.assurance()
    await follow(assurance)
    assert len(await stored(assurance)) == 2
    await signin.append(outcome(clock, 2))
    working = asyncio.create_task(assurance.run())
    await eventually(lambda: ("signin", ["2"]) in installation.arrived and assurance.published_at)
    await eventually(lambda: all(state.answers for state in assurance.roles.values()))
    await eventually(lambda: assurance.controls == Controls((), ()))

    async def only_what_is_kept() -> bool:
        return await stored(assurance) == ["1", "2"]

    await eventually(only_what_is_kept)
    assert assurance.streams["door"].exists is False
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_the_last_quarter_of_an_hour_and_settled_periods_are_shown(
    installation: Installation, clock: ManualClock
) -> None:
    signin = await installation.journal("signin")
    now = clock.now()
    await signin.append(*(outcome(clock, 1, time=now - ago) for ago in (0, 3, 8, 64, 66, 900, 906)))
    assurance = await installation.assurance()
    await follow(assurance)
    assert (await assurance.overview()).kept == 6
    sought = OutcomeFilter(since=0, until=clock.now() + 1)
    assert len(await assurance.outcomes(sought)) == 7
    shown = await assurance.chart(seconds=62, period=5)
    assert (shown.times[0], shown.times[-1], shown.period_seconds) == (int(now) - 65, int(now) - 10, 5)
    (series,) = shown.series
    assert [rate * 5 for rate in series.kept] == [1, *[0] * 10, 1]


async def test_an_area_of_another_role_is_opened_when_it_is_there_and_anew_now_and_then(
    installation: Installation, clock: ManualClock
) -> None:
    opened: list[Database] = []

    def open_it() -> Database:
        reader = open_reader(installation.location, "signin")
        opened.append(reader)
        return reader

    too_early = OthersArea(lambda: open_reader(installation.location, "signin"), clock)
    assert await too_early.page("signin", 0) is None
    await too_early.close()
    area = OthersArea(open_it, clock)
    signin = await installation.journal("signin")
    await signin.append(outcome(clock, 1))
    for _ in range(2):
        page = await area.page("signin", 0)
        assert page is not None and len(page.outcomes) == 1
    assert len(opened) == 1
    clock.advance(60)
    await area.page("signin", 0)
    assert len(opened) == 1
    clock.advance(1)
    await area.page("signin", 0)
    assert len(opened) == 2
    await signin.database.write(lambda t: t.execute("ALTER TABLE journal_batch RENAME TO gone"))
    with pytest.raises(StorageError):
        await area.page("signin", 0)
    await signin.database.write(lambda t: t.execute("ALTER TABLE gone RENAME TO journal_batch"))
    assert await area.page("signin", 0) is not None
    assert len(opened) == 3
    await area.close()
    for reader in opened if not installation.location.url else ():  # a server's connection opens again when it is used
        with pytest.raises(StorageError):
            await reader.read(lambda q: q.fetch("SELECT 1"))


PROCESS = """
import asyncio, sys
from pathlib import Path
from zoneinfo import ZoneInfo
import httpx
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.service import Assurance
from prikkfri.journal.others import OthersArea
from prikkfri.clock import SystemClock
from prikkfri.config import Assurance as Settings
from prikkfri.storage import Location, open_database, open_reader

async def main():
    location = Location(Path(sys.argv[1]), sys.argv[2])
    clock = SystemClock()
    area = OthersArea(lambda: open_reader(location, "signin"), clock)
    assurance = Assurance(
        await open_database(location, "assurance"), sources={"signin": area.page},
        neighbours=RoleClient(httpx.AsyncClient(), urls={}, command_keys={}),
        clock=clock, settings=Settings(), operator="", status_url="", zone=ZoneInfo("UTC"),
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


async def test_unreadable_streams_are_told_and_taken_up_again(installation: Installation, clock: ManualClock) -> None:
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
    for later in (86_400, LEFT_SECONDS):  # its day goes as a whole, when nobody reads it any more
        clock.advance(later)
        await assurance.erase()
    assert await stored(assurance) == ["2"]
    assert [count.outcomes for count in await counted(assurance)] == [1]
    rows = await assurance.database.read(lambda q: q.fetch("SELECT device FROM device_holder"))
    assert rows == [("d-new",)]


async def test_all_that_is_past_its_time_goes_at_once_however_far_apart_it_is(
    installation: Installation, clock: ManualClock
) -> None:
    signin = await installation.journal("signin")
    days = 86_400
    hours = (0, 1, 30, 80)
    await signin.append(*(outcome(clock, hour, time=clock.now() + 3_600 * hour) for hour in hours))
    assurance = await installation.assurance()
    await follow(assurance)
    kept = Settings()
    for at, who in ((clock.now() - kept.looks_kept_days * days + day * days, day) for day in (4, 5)):
        look = console_store.CustomerAccess(at, str(who), "customer", "ann", "asked")
        await assurance.database.write(lambda t, look=look: console_store.add_access(t, look.who, look))
    clock.advance(kept.counts_kept_days * days + 31 * 3_600)
    await assurance.erase()
    assert [count.second for count in await counted(assurance)] == [int(clock.now() + 3_600 * (80 - 31)) - 259_200]
    assert len(await stored(assurance)) == 4, "outcomes are kept for longer"
    assert [look.who for look in await assurance.database.read(lambda q: console_store.accesses(q, most=9))] == ["5"]


@pytest.mark.parametrize(("off", "told"), [(-9.0, "9 s behind"), (9.0, "9 s ahead of"), (-4.0, "")])
async def test_a_clock_that_is_wrong_is_an_alarm_that_names_its_role(
    installation: Installation, clock: ManualClock, off: float, told: str
) -> None:
    journal, assurance = await installation.journal("signin"), await installation.assurance()
    await assurance.step("signin")
    for number in range(12):
        clock.advance(1)
        await journal.append(outcome(clock, number, time=clock.now() + off))
        await assurance.step("signin")
    texts = [alarm.text for alarm in await assurance.alarms()]
    assert len(texts) == bool(told) and all(f"signin is about {told}" in text for text in texts)


async def test_a_position_that_is_not_noted_is_said_once(
    installation: Installation, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "prikkfri.assurance")
    journal = await installation.journal("signin")
    await journal.append(outcome(clock))
    assurance = await installation.assurance()
    await assurance.step("signin")
    for status in (401, 401, 204, 204, 409):
        installation.answers = {"http://signin/journal/signin": status}
        await assurance.report_taken()
    said = [(r.levelname, r.getMessage()) for r in caplog.records if "stored" in r.getMessage()]
    told = "how far stream signin is stored is not noted where it is written: the signin role answered"
    assert said == [
        ("WARNING", f"{told} 401"),
        ("INFO", "how far stream signin is stored is noted again"),
        ("WARNING", f"{told} 409"),
    ]
