"""A fall to half, through incident response and a real database: a suspicion, unless a programme has ended."""

from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import pytest
from surroundings import surroundings

from prikkfri.assurance.programmes import Programme, Programmes
from prikkfri.assurance.response.service import Response
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Outcome
from prikkfri.storage import Location, open_database

SECONDS_KNOWN = 330


class Evening:
    """Sixty a second begin to watch, forty of them the match."""

    def __init__(self, response: Response, clock: ManualClock) -> None:
        self.response, self.clock = response, clock
        self.programmes: Programmes = {}

    async def live(self, sport: int, news: int, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            at = self.clock.now() - 3
            self.response.watch.arrived(
                "playout",
                [began(at, channel) for channel, each in (("sport", sport), ("news", news)) for _ in range(each)],
            )
            await self.response.watch.tick()


def began(at: float, channel: str) -> Outcome:
    return Outcome(
        time=at, service="television", step="start-playback", layer="streams", verdict="kept",
        dimensions={"channel": channel},
    )  # fmt: skip


@pytest.fixture
async def evening(location: Location, clock: ManualClock) -> AsyncIterator[Evening]:
    database = await open_database(location, "assurance")
    response = Response(
        database,
        settings=Settings(hold_seconds=30.0),
        surroundings=surroundings(programmes=lambda: found.programmes),
        clock=clock,
        zone=ZoneInfo("Europe/Oslo"),
    )
    found = Evening(response, clock)
    await response.recover()
    yield found
    await database.close()


async def test_a_fall_to_half_is_a_suspicion_within_five_seconds_and_nothing_in_public(evening: Evening) -> None:
    await evening.live(40, 20, SECONDS_KNOWN)
    fell = evening.clock.now() - 3
    await evening.live(20, 10, 5)
    (found,) = await evening.response.register.incidents()
    assert (found.state, found.service) == ("suspected", "television")
    assert fell - 3 <= found.since <= fell + 2
    assert await evening.response.announcements.told() == ()


@pytest.mark.parametrize(("left", "ended", "opened"), [(20, 60.0, 0), (20, 700.0, 1), (1, 60.0, 1)])
async def test_a_final_whistle_is_no_incident_while_a_part_is_left(
    evening: Evening, left: int, ended: float, opened: int
) -> None:
    await evening.live(40, 20, SECONDS_KNOWN)
    now = evening.clock.now()
    evening.programmes = {"sport": (Programme("The final", now - 7_200, now - ended),)}
    await evening.live(left, left // 2, 8)
    assert len(await evening.response.register.incidents()) == opened
