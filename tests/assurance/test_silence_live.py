"""A source that falls silent, through incident response and a real database: where, once, and nothing in public."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from surroundings import surroundings

from prikkfri.assurance import watching
from prikkfri.assurance.detection import Settings as Detection
from prikkfri.assurance.detection import silence
from prikkfri.assurance.incidents import Incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.response import store as response_store
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.timing import Timing
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, open_database

SETTINGS = Settings(hold_seconds=30.0, warm_up_seconds=60.0)
LINKS = ("nordtel", "fjordnett")
EVERY_SECONDS = 12.0
"""So often a message is delivered over each link: too seldom for any test but that of silence."""
WHILE = 600.0


def delivered(link: str, time: float) -> Outcome:
    return Outcome(
        time=time, service="messages", step="deliver", layer="link", verdict="kept", dimensions={"link": link}
    )


def known_for(days: float, now: float) -> str:
    """What a watch would have kept that has seen both links for so many days up to `now`."""
    arrived = [("sms", delivered(link, now - 1.0)) for link in LINKS]
    watch, _ = watching.advance(watching.Watch(now - 1.0), arrived, Detection(), until=now)
    names = [str(series.get("link")) for series in watch.series.all]
    rates = np.array([(1 if name else len(LINKS)) / EVERY_SECONDS for name in names])
    coarse, flags = Detection(bucket_seconds=600.0), np.ones(len(names), dtype=bool)
    since = now - days * 86_400
    silences = silence.fresh(len(names), since)
    for time in np.arange(since, now - 1, 600.0).tolist():
        silences, raised = silence.step(silences, rates * 600, time, coarse, seen=flags, falls=flags)
        assert not raised.any()
    return watching.kept(replace(watch, silences=replace(silences, until=now)))


@dataclass
class Links:
    database: Database
    clock: ManualClock
    response: Response = field(init=False)
    around: dict[str, Any] = field(default_factory=dict)
    speaking: set[str] = field(default_factory=lambda: set(LINKS))
    taken: int = 0

    async def start(self) -> None:
        self.response = Response(
            self.database,
            settings=SETTINGS,
            surroundings=surroundings(**self.around),
            clock=self.clock,
            zone=ZoneInfo("Europe/Oslo"),
            timing=Timing(watch_kept_every_seconds=60.0),
        )
        await self.response.recover()

    async def arrive(self, *outcomes: Outcome) -> None:
        page = Page("i", self.taken + 1, self.taken + len(outcomes), list(outcomes), self.taken + len(outcomes), 0, 0)
        self.taken += len(outcomes)
        now = self.clock.now()
        await self.database.write(lambda t: outcome_store.add_outcomes(t, "sms", page, now))
        self.response.watch.arrived("sms", outcomes)

    async def live(self, seconds: float) -> None:
        for _ in range(int(seconds / EVERY_SECONDS)):
            self.clock.advance(EVERY_SECONDS)
            if self.speaking:
                await self.arrive(*(delivered(link, self.clock.now() - 3) for link in self.speaking))
            await self.response.watch.tick()
        await self.response.evaluations.look()

    async def incidents(self) -> list[Incident]:
        return await self.response.register.incidents()


@pytest.fixture
async def links(location: Location, clock: ManualClock) -> AsyncIterator[Links]:
    database = await open_database(location, "assurance")
    yield Links(database, clock)
    await database.close()


async def known(links: Links, days: float = 8.0) -> None:
    now = links.clock.now()
    document = known_for(days, now)
    await links.database.write(lambda t: response_store.save_watch(t, now, document))
    await links.start()


async def test_a_partner_whose_receipts_stop_is_an_incident_there_and_only_there(links: Links) -> None:
    await known(links)
    await links.live(WHILE / 2)
    assert await links.incidents() == []
    links.speaking = {"fjordnett"}
    stopped = links.clock.now()
    await links.live(WHILE)
    (found,) = await links.incidents()
    assert [place.get("link") for place in found.segments] == ["nordtel"]
    assert (found.service, found.state) == ("messages", "suspected")
    assert abs(found.since - stopped) < 20 and found.opened_at - stopped < 400
    assert "nothing for 5 min, of late at these hours never" in found.timeline[0].text
    assert await links.response.announcements.told() == ()
    links.speaking = set(LINKS)
    await links.live(120)
    (found,) = await links.incidents()
    assert (found.state, found.resolved_by, found.confirmed_at) == ("resolved", "data", None)


async def test_over_a_restart_it_is_told_once_and_as_soon(links: Links) -> None:
    await known(links)
    links.speaking = {"fjordnett"}
    stopped = links.clock.now()
    for _ in range(5):
        await links.live(WHILE / 5)
        await links.start()
    (found,) = await links.incidents()
    assert found.opened_at - stopped < 400
    assert [entry.kind for entry in found.timeline] == ["alarm"]


@pytest.mark.parametrize("days", [0.1, 6.0])
async def test_before_a_week_is_known_nothing_is_told(links: Links, days: float) -> None:
    await known(links, days)
    await links.live(60)
    links.speaking = set()
    await links.live(WHILE)
    assert await links.incidents() == []


async def test_a_stream_that_lags_behind_is_no_silence(links: Links) -> None:
    links.around = {"blind": lambda: frozenset({"sms"})}
    await known(links)
    links.speaking = set()
    await links.live(WHILE)
    assert await links.incidents() == []


async def test_an_assurance_that_was_away_itself_heard_no_silence(links: Links) -> None:
    """Whatever the length of its absence; and what it had learnt of the weeks before it still knows."""
    await known(links)
    await links.live(60)
    links.clock.advance(4 * 3_600)
    await links.start()
    await links.live(60)
    assert await links.incidents() == []
    links.speaking = {"fjordnett"}
    await links.live(WHILE)
    (found,) = await links.incidents()
    assert [place.get("link") for place in found.segments] == ["nordtel"]


@pytest.mark.parametrize(("stop", "start"), [("stop-route", "open-route"), ("stop-sending", "start-sending")])
async def test_a_way_that_somebody_has_stopped_is_no_silence(links: Links, stop: str, start: str) -> None:
    """Over a restart too; opened again, it should speak."""

    def act(step: str) -> Outcome:
        way = {"link": "nordtel", "partner": "Nordtel"} if "route" in step else {}
        at = links.clock.now() - 3
        return Outcome(time=at, service="messages", step=step, layer="sms-centre", verdict="kept", dimensions=way)

    await known(links)
    await links.arrive(act(stop))
    links.speaking = set() if stop == "stop-sending" else {"fjordnett"}
    await links.live(WHILE / 2)
    await links.start()
    await links.live(WHILE / 2)
    assert await links.incidents() == []
    await links.arrive(act(start))
    links.speaking = {"fjordnett"}
    await links.live(WHILE)
    (found,) = await links.incidents()
    assert [place.get("link") for place in found.segments] == ["nordtel"]
