"""Somebody is erased while a list is being made of what was read before: their name is written nowhere again."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from surroundings import surroundings

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.personal import store as personal_store
from prikkfri.assurance.response import store
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, open_database

SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


class Held(Database):
    """Holds the next read of outcomes, after it has been read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.engine, area=database.area)
        self.database = database
        self.holds = False
        self.has_read, self.goes_on = asyncio.Event(), asyncio.Event()

    async def read(self, work: Callable[..., Awaitable[Any]]) -> Any:
        found = await self.database.read(work)
        if self.holds and isinstance(found, list) and found and isinstance(found[0], StoredOutcome):
            self.holds = False
            self.has_read.set()
            await self.goes_on.wait()
        return found

    async def write(self, work: Callable[..., Awaitable[Any]]) -> Any:
        return await self.database.write(work)

    async def close(self) -> None:
        await self.database.close()


@pytest.mark.parametrize("over", [False, True], ids=["looked at", "listed anew afterwards"])
async def test_a_list_that_was_begun_before_names_nobody_who_was_erased(
    tmp_path: Path, clock: ManualClock, over: bool
) -> None:
    database = Held(await open_database(Location(tmp_path), "assurance"))
    zone = ZoneInfo("Europe/Oslo")
    response = Response(database, settings=Settings(), surroundings=surroundings(), clock=clock, zone=zone)
    now = clock.now()
    outcomes = [
        Outcome(time=now - 3, service="television", step="sign-in", layer="signin", verdict="broken",
                reason="overloaded", customer=customer, device=f"d-{customer}")
        for customer in ("s-1", "s-2")
    ]  # fmt: skip
    page = Page("i", 1, 2, outcomes, 2, 0, 0)
    await database.write(lambda t: outcome_store.add_outcomes(t, "signin", page, now))
    await database.write(lambda t: outcome_store.join_devices(t, outcomes, now))
    await database.write(lambda t: store.save_incident(t, incident(now)))
    clock.advance(200)
    await response.recover()
    await response.evaluations.look()
    assert {hit.customer for hit in await response.register.hits("evening")} == {"s-1", "s-2"}
    if over:  # nobody looks at it any more; what comes late has its list made anew
        await response.actions.act("evening", Fact("improving", clock.now()))
        await response.actions.act("evening", Fact("proven", clock.now()))
        clock.advance(86_400.0 * 2)
        late = Outcome(time=now - 2, service="television", step="sign-in", layer="signin", verdict="broken",
                       reason="overloaded", customer="s-3", device="d-s-3")  # fmt: skip
        again = Page("i", 3, 3, [late], 3, 0, 0)
        await database.write(lambda t: outcome_store.add_outcomes(t, "signin", again, clock.now()))
        await database.write(lambda t: outcome_store.note_late(t, [late], clock.now()))
    else:  # a look reads what is new
        again = Page("i", 3, 4, outcomes, 4, 0, 0)
        await database.write(lambda t: outcome_store.add_outcomes(t, "signin", again, clock.now()))
        clock.advance(1)
    database.holds = True
    looking = asyncio.create_task(response.evaluations.look())
    await database.has_read.wait()

    async def erase() -> tuple[int, list[str] | None]:
        return await database.write(lambda t: personal_store.erase(t, "s-1", [], lambda kind: f"{kind}x"))

    await response.register.without(erase, lambda found: found[1])
    database.goes_on.set()
    await looking
    for _ in range(2):
        customers = {hit.customer for hit in await response.register.hits("evening")}
        assert "s-1" not in customers and {"erased-x", "s-2"} <= customers
        await response.evaluations.look()
    assert "s-3" in {hit.customer for hit in await response.register.hits("evening")} or not over
    await database.close()


def incident(now: float) -> Incident:
    found = open_incident("evening", Alarm("share", SIGN_IN, now, now - 5, 0.005, 0.9, 40, 30.0, 25.0), now)
    return apply_fact(found, Fact("evidence", now, text="has stood for 10 s"))
