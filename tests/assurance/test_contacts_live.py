"""Contacts with customer service, handed in over HTTP, through incident response and a real database."""

from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import httpx
import pytest
from surroundings import surroundings

from prikkfri.assurance import incidents
from prikkfri.assurance.response import http
from prikkfri.assurance.response.service import Response
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Outcome
from prikkfri.storage import Database, Location, open_database

OSLO = ZoneInfo("Europe/Oslo")
ACTIVE = 200
KEY = "the-command-key-of-assurance"


class CustomerService:
    """Two hundred sign in each minute, and their operator hands in who calls, a minute later."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock, self.handed_in = database, clock, 0

    async def start(self) -> None:
        self.response = Response(
            self.database,
            settings=Settings(hold_seconds=60.0),
            surroundings=surroundings(),
            clock=self.clock,
            zone=OSLO,
        )
        await self.response.recover()
        edge = http.contacts_application(self.response.register, command_key=KEY, clock=self.clock, zone=OSLO)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://assurance.test")

    async def hand_in(self, text: str, key: str = KEY) -> httpx.Response:
        return await self.http.post(http.CONTACTS_PATH, content=text, headers={"authorization": f"Bearer {key}"})

    async def pass_by(self, minutes: int, calls: int) -> None:
        for _ in range(minutes):
            rows = ["id,at,service,kind,channel"]
            for _ in range(calls):
                self.handed_in += 1
                rows.append(f"c-{self.handed_in},{self.clock.now() + 20},television,cannot sign in,telephone")
            for _ in range(6):
                self.clock.advance(10.0)
                self.response.watch.arrived("signin", [signed_in(self.clock.now() - 3, n) for n in range(ACTIVE)])
                await self.response.watch.tick()
            answer = await self.hand_in("\n".join(rows))
            assert answer.json()["new"] == calls

    async def look(self) -> list[incidents.Incident]:
        await self.response.evaluations.look()
        return await self.response.register.incidents()


def signed_in(at: float, number: int) -> Outcome:
    return Outcome(
        time=at, service="television", step="sign-in", layer="signin", verdict="kept", customer=f"s-{number}"
    )


@pytest.fixture
async def service(location: Location, clock: ManualClock) -> AsyncIterator[CustomerService]:
    clock.advance(60.0 - clock.now() % 60.0)
    database = await open_database(location, "assurance")
    service = CustomerService(database, clock)
    await service.start()
    yield service
    await service.http.aclose()
    await database.close()


async def test_many_who_call_are_a_suspicion_that_nobody_outside_hears_of_and_that_goes(
    service: CustomerService,
) -> None:
    await service.pass_by(20, 1)
    assert await service.look() == []
    await service.pass_by(4, 20)
    (found,) = await service.look()
    assert (found.state, found.service, found.hit) == ("suspected", "television", 0)
    assert "contacts for each 1,000 active customers a minute" in found.timeline[0].text
    known = await service.response.evaluations.known(found.id)
    assert known is not None and known.recovery is not None
    (check,) = (check for check in known.recovery.checks if check.name == "contacts falling")
    assert (check.met, check.text) == (False, "20 contacts of late, 20 at the worst")
    sheet = await service.response.evaluations.answers(known)
    assert any("for each 1,000 active" in line for line in sheet[0].evidence)

    await service.start()  # a restart tells it no second time
    await service.pass_by(2, 20)
    (found,) = await service.look()
    assert found.state == "suspected"
    assert sum("for each 1,000 active" in entry.text for entry in found.timeline) == 1
    assert await service.response.announcements.told() == ()

    await service.pass_by(15, 1)
    (found,) = await service.look()
    assert (found.state, found.resolved_by, found.confirmed_at) == ("resolved", "data", None)


async def test_it_is_taken_in_once_by_who_has_the_key(service: CustomerService) -> None:
    at = service.clock.now()
    text = f"id,at,service,kind,channel\n1,{at},television,,chat\n2,{at},messages,,chat\n3,when,television,,chat\n"
    assert (await service.hand_in(text, key="another")).status_code == 401
    first, again = await service.hand_in(text), await service.hand_in(text)
    assert first.json() == {
        "found": 2, "new": 2, "refused": 1,
        "examples": [{"line": 4, "why": "at is neither a time by ISO 8601 nor seconds since 1970"}],
    }  # fmt: skip
    assert (again.json()["found"], again.json()["new"]) == (2, 0)
    refused = await service.hand_in("id,at\n1,2\n")
    assert (refused.status_code, refused.json()["error"]) == (422, "not-accepted")
    assert "the header must name service, kind, channel" in refused.json()["message"]
    headers = {"authorization": f"Bearer {KEY}"}
    assert (await service.http.post(http.CONTACTS_PATH, content=b"\xff", headers=headers)).status_code == 400
