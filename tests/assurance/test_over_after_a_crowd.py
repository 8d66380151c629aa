"""An evening of a crowd, through the real assurance: a fault of sign-in is over soon, whatever the crowd does."""

import random
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from surroundings import surroundings

from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.overview import RoleState, overview
from prikkfri.assurance.programmes import Programme
from prikkfri.assurance.publishing import summary
from prikkfri.assurance.response.service import Response
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.config import Remedy, Tier
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Location, open_database

pytestmark = pytest.mark.slow

OSLO = ZoneInfo("Europe/Oslo")
HOLD_SECONDS, STEP_SECONDS = 90.0, 10
KICK_OFF, FAULT_FROM, ENDS = 400, 600, 1_500
ROLES = [RoleState(role, True) for role in ("signin", "door", "playout", "sms")]
OVER_WITHIN_SECONDS = 3 * HOLD_SECONDS + 60
"""After the end of the fault, however few come then: well for three times the time to be held is proof enough."""


class Evening:
    """Who comes in a stretch of time, and what becomes of it."""

    def __init__(self, seed: int) -> None:
        lots = self._lots = random.Random(seed)
        self.quiet, self.crowd = lots.uniform(0.3, 0.5), lots.uniform(2.0, 3.0)
        self.share, self.fault_until = lots.choice((1.0, 0.5)), FAULT_FROM + lots.choice((60, 120, 200))
        # The crowd stays, leaves while the fault lasts, or leaves just after it: the match was over.
        self.match_until = lots.choice((ENDS, self.fault_until - 40, self.fault_until + 30))
        self.hit: set[str] = set()
        self._count = 0

    def stretch(self, began: float, since: int) -> list[Outcome]:
        found, lots = [], self._lots
        per_second = self.crowd if KICK_OFF <= since < self.match_until else self.quiet
        for _ in range(int(per_second * STEP_SECONDS) + (lots.random() < per_second * STEP_SECONDS % 1)):
            at = since + lots.random() * STEP_SECONDS
            self._count += 1
            who = f"s-{self._count}"
            broken = FAULT_FROM <= at < self.fault_until and lots.random() < self.share
            self.hit |= {who} if broken else set()
            known: dict[str, Any] = {
                "service": "television",
                "verdict": "broken" if broken else "kept",
                "customer": who,
            }
            found.append(Outcome(time=began + at, step="sign-in", layer="signin",
                                 reason="database-unavailable" if broken else "", **known))  # fmt: skip
            if not broken:
                found.append(Outcome(time=began + at + 0.5, step="start-playback", layer="streams",
                                     dimensions={"channel": "sport"}, **known))  # fmt: skip
        return sorted(found, key=lambda outcome: outcome.time)


@pytest.mark.parametrize("seed", range(2))
async def test_it_is_over_credited_and_green_within_the_stated_time(
    location: Location, clock: ManualClock, seed: int
) -> None:
    evening, began = Evening(seed), clock.now()
    database, taken = await open_database(location, "assurance"), 0
    programmes = {"sport": (Programme("Match", began, began + evening.match_until),)}

    async def products(customers: Sequence[str], at: float) -> dict[str, str]:
        return dict.fromkeys(customers, "sport")

    remedy = Remedy(name="all", service="television", tiers=(Tier(from_minutes=0.0, amount=2_000),))
    settings = Settings(hold_seconds=HOLD_SECONDS, warm_up_seconds=120.0, remedies=(remedy,))
    around = surroundings(products=products, programmes=lambda: programmes)
    response = Response(database, settings=settings, surroundings=around, clock=clock, zone=OSLO)
    await response.recover()
    over_at, red_until = None, 0.0
    for since in range(0, ENDS, STEP_SECONDS):
        outcomes = evening.stretch(began, since)
        clock.advance(STEP_SECONDS)
        page = Page("i", taken + 1, taken + len(outcomes), outcomes, taken, 0, 0)
        taken += len(outcomes)

        async def work(transaction: Any, page: Page = page, outcomes: list[Outcome] = outcomes) -> None:
            await outcome_store.add_outcomes(transaction, "signin", page, clock.now())

        await database.write(work)
        response.watch.arrived("signin", outcomes)
        await response.watch.tick()
        if since % 30 == 0:
            await response.evaluations.look()
        found = [each for each in await response.register.incidents() if each.confirmed_at]
        if over_at is None and found and all(each.state == "resolved" for each in found):
            over_at = since
        now = clock.now()
        document = summary(
            overview([], [], [], now), ROLES, operator="X", url="u", zone=OSLO, told=await response.announcements.told()
        )
        if document["status"]["indicator"] != "none":
            red_until = since
    (incident,) = [each for each in await response.register.incidents() if each.confirmed_at]
    what = (evening.crowd, evening.share, evening.fault_until, evening.match_until, incident.timeline)
    assert over_at is not None and over_at - evening.fault_until <= OVER_WITHIN_SECONDS, what
    assert incident.resolved_by == "data" and red_until <= over_at + STEP_SECONDS, what
    assert {hit.customer for hit in await response.register.hits(incident.id)} == evening.hit
    credited = [each.credit.customer for each in await response.register.credits(incident.id)]
    assert sorted(credited) == sorted(evening.hit)
    await database.close()
