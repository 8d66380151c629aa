"""Was I hit? As a customer's own device may ask, and nobody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from surroundings import surroundings

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Scope, impact
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import http, store
from prikkfri.assurance.response.announcements.service import Announcements, CustomerIncident
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.errors import StorageUnavailable
from prikkfri.journal import Outcome
from prikkfri.protocols import device_token
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.storage import Database, Location, open_database
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import SigningKey, publish_public_key, signing_key

VIEWER = "http://localhost:8080"
LAYER = Segment.of({"service": "television", "layer": "signin"})
CREDIT = ServiceCredit("c-1", "confirmed", "s-1", 4900, "NOK", "kick-off", "waited 300 s")


@dataclass
class House:
    client: httpx.AsyncClient
    database: Database
    clock: ManualClock
    key: SigningKey
    response: Response

    def token(self, subscriber: str, **changes: Any) -> dict[str, str]:
        now = self.clock.now()
        token = DeviceToken(subscriber, "d-" + "A" * 22, ("basic",), now, now + 1_000, b"0123456789abcdef")
        signed = device_token.issue(self.key.private, self.key.kid, replace(token, **changes))
        return {"authorization": f"Bearer {signed}", "origin": VIEWER}

    async def ask(self, subscriber: str) -> list[dict[str, Any]]:
        answer = await self.client.get("/was-i-hit", headers=self.token(subscriber))
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == VIEWER
        msgspec.json.decode(answer.content, type=http.Hits)  # as it is described
        return answer.json()["incidents"]  # type: ignore[no-any-return]

    async def happens(self, name: str, *facts: Fact, customer: str = "s-1") -> Incident:
        now = self.clock.now()
        incident = open_incident(name, Alarm("share", LAYER, now, now - 60, 0.005, 0.9, 40, 30.0, 25.0), now)
        for fact in facts:
            incident = apply_fact(incident, fact)
        asked = Outcome(
            time=now - 50, service="television", step="sign-in", layer="signin", verdict="broken", reason="overloaded",
            customer=customer, device="d-x",
        )  # fmt: skip
        listed = impact([asked], Scope((LAYER,), now - 60, now), now=now + 600)
        await self.database.write(lambda t: store.save_incident(t, incident))
        await self.database.write(lambda t: store.save_impact(t, name, listed, "", now))
        return incident


@pytest.fixture
async def house(location: Location, clock: ManualClock) -> AsyncIterator[House]:
    database = await open_database(location, "assurance")

    async def nothing(*_: object) -> Any:
        return {}

    zone = ZoneInfo("Europe/Oslo")
    response = Response(database, settings=Settings(), surroundings=surroundings(), clock=clock, zone=zone)
    key = signing_key(location.home, "signin-device")
    publish_public_key(location.home, "device", "signin", key)
    edge = http.application(response.announcements, DeviceTokens(location.home, clock), viewer_origin=VIEWER)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://assurance") as client:  # type: ignore[arg-type]
        yield House(client, database, clock, key, response)
    await database.close()


async def test_one_who_was_hit_is_told_what_when_and_what_they_get(house: House) -> None:
    now = house.clock.now()
    over = Fact("improving", now + 30), Fact("proven", now + 60)
    await house.happens("confirmed", Fact("evidence", now), *over)
    [told] = await house.ask("s-1")
    assert told["what"]["en"] == "Problems with signing in"
    assert (told["since"], told["until"], told["asked_at"]) == (now - 60, now + 60, now - 50)
    assert told["got_at"] is None and told["credit"] is None
    await house.database.write(lambda t: store.give_credits(t, [CREDIT], given_by="rule:policy", now=now))
    [told] = await house.ask("s-1")
    assert told["credit"] == {"amount": 4900, "currency": "NOK"}
    assert await house.ask("s-2") == []


async def test_nobody_is_told_of_a_suspicion_or_of_what_was_nothing(house: House) -> None:
    now = house.clock.now()
    await house.happens("suspected")
    await house.happens("dismissed", Fact("dismiss", now, "Kari", "a test"))
    assert await house.ask("s-1") == []
    await house.happens("open", Fact("evidence", now))
    [told] = await house.ask("s-1")
    assert told["until"] is None


async def test_only_a_token_of_ours_in_its_time_is_answered(house: House) -> None:
    await house.happens("confirmed", Fact("evidence", house.clock.now()))
    for headers in ({}, {"authorization": "Bearer no"}, house.token("s-1", expires_at=house.clock.now() - 1)):
        answer = await house.client.get("/was-i-hit", headers=headers)
        assert answer.status_code == 401 and "incidents" not in answer.text
    assert (await house.client.post("/was-i-hit", headers=house.token("s-1"))).status_code == 405
    preflight = await house.client.options("/was-i-hit")
    assert preflight.status_code == 204 and "Authorization" in preflight.headers["access-control-allow-headers"]


async def test_a_signed_out_device_is_answered_no_more(house: House, location: Location) -> None:
    headers = house.token("s-1")
    tokens = DeviceTokens(location.home, house.clock)
    signed = headers["authorization"].removeprefix("Bearer ")
    known, wrong = tokens.judge(signed)
    assert known is not None and wrong is None
    public = location.home / "public"
    (public / "revoked.json").write_text(json.dumps({"as_of": house.clock.now(), "device_tokens": [known.jti]}))
    await tokens.read_revoked()
    assert tokens.judge(signed) == (known, "revoked")


class Held(Announcements):
    """One whose database takes its time, or is not there."""

    let_go: asyncio.Event
    dead = False

    async def was_hit(self, customer: str) -> list[CustomerIncident]:
        if self.dead:
            raise StorageUnavailable("nobody is there")
        await self.let_go.wait()
        return await super().was_hit(customer)


async def test_a_crowd_that_asks_is_refused_beyond_a_few_and_those_who_come_after_it_are_answered(
    house: House, location: Location
) -> None:
    response = house.response
    held = Held(
        house.database,
        response.register,
        response.actions,
        surroundings=surroundings(),
        clock=house.clock,
        zone=ZoneInfo("UTC"),
    )
    held.let_go = asyncio.Event()
    timing = Timing(asked_at_once_max=3)
    edge = http.application(held, DeviceTokens(location.home, house.clock), viewer_origin=VIEWER, timing=timing)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://assurance") as client:  # type: ignore[arg-type]
        asking = [asyncio.create_task(client.get("/was-i-hit", headers=house.token("s-1"))) for _ in range(5)]
        refused, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < 2:
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            refused |= more
        for answer in (task.result() for task in refused):
            assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
            assert (answer.headers["retry-after"], answer.json()["retry_after_s"]) == ("10", 10.0)
            assert answer.headers["access-control-allow-origin"] == VIEWER
        held.let_go.set()
        assert [(await task).status_code for task in waiting] == [200] * 3
        assert (await client.get("/was-i-hit", headers=house.token("s-1"))).status_code == 200


@pytest.mark.parametrize("dead", [True, False])
async def test_when_nothing_can_be_looked_up_that_is_said_soon(house: House, location: Location, dead: bool) -> None:
    response = house.response
    held = Held(
        house.database,
        response.register,
        response.actions,
        surroundings=surroundings(),
        clock=house.clock,
        zone=ZoneInfo("UTC"),
    )
    held.let_go, held.dead = asyncio.Event(), dead
    timing = Timing(answer_seconds_max=0.001, asked_at_once_max=1)
    edge = http.application(held, DeviceTokens(location.home, house.clock), viewer_origin=VIEWER, timing=timing)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://assurance") as client:  # type: ignore[arg-type]
        for _ in range(2):
            answer = await client.get("/was-i-hit", headers=house.token("s-1"))
            assert (answer.status_code, answer.json()["error"]) == (503, "database-unavailable")
            assert answer.headers["retry-after"] == "10" and "incidents" not in answer.text


async def test_of_several_incidents_the_newest_comes_first_with_its_end_and_its_own_credit(house: House) -> None:
    now = house.clock.now()
    over = Fact("evidence", now), Fact("improving", now + 30), Fact("proven", now + 60)
    ended = replace(await house.happens("ended", *over), ended_at=now + 20)
    await house.database.write(lambda t: store.save_incident(t, ended))
    house.clock.advance(86_400)
    await house.happens("newer", Fact("evidence", now + 86_400))
    await house.happens("others", Fact("evidence", now + 86_400), customer="s-2")
    await house.database.write(
        lambda t: store.give_credits(
            t, [replace(CREDIT, incident="ended"), replace(CREDIT, key="c-2", incident="newer", customer="s-2")],
            given_by="Kari", now=now,
        )
    )  # fmt: skip
    newer, older = await house.ask("s-1")
    assert (newer["since"], newer["until"], newer["credit"]) == (now + 86_340, None, None)
    assert (older["since"], older["until"]) == (now - 60, now + 20)
    assert older["credit"] == {"amount": 4900, "currency": "NOK"}
