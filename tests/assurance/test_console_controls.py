"""What people on duty switch from the console: channels and routes of other roles, which may be dead."""

import html
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from console_doubles import HTML, KEY, QUICK_HASHER
from surroundings import surroundings

from prikkfri.assurance.console import Console, ensure_first_account
from prikkfri.assurance.http import Neighbours
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.service import Assurance
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.storage import Location, open_database
from prikkfri.web.console.server import application

ORIGIN = "http://console.test"
KEYS = {"playout": "key of playout", "sms": "key of sms"}
ROUTE = {
    "link": "nord", "partner": "Nordtel", "state": "open", "since": 0.0, "by": "", "reason": "", "instead": "",
    "waiting": 3, "trusted": True, "judged": 90, "astray": 0, "stopped_at": 0.0, "exposed_since": 0.0,
    "likely_since": 0.0,
}  # fmt: skip


@dataclass
class Elsewhere:
    """A playout and an SMS centre as the console meets them: by their commands."""

    alive: bool = True
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    route: dict[str, Any] = field(default_factory=lambda: dict(ROUTE))

    def __post_init__(self) -> None:
        for name in ("sport", "<b>nyheter</b>"):
            self.channels[name] = {"id": name, "name": name.title(), "open": False, "by": ""}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        role = request.url.host.partition(".")[0]
        if not self.alive:
            raise httpx.ConnectError("nobody listens")
        if request.headers.get("authorization") != f"Bearer {KEYS.get(role)}":
            return httpx.Response(401)
        name, wanted = request.url.path.rpartition("/")[2], json.loads(request.content or b"{}")
        match request.method, role:
            case "GET", "playout":
                return httpx.Response(200, json=list(self.channels.values()))
            case "GET", "sms":
                return httpx.Response(200, json=[self.route])
            case "PUT", "playout" if name in self.channels:
                by = "" if wanted["state"] == "rule" else wanted["by"]
                self.channels[name].update(open=wanted["state"] == "open", by=by)
                return httpx.Response(204)
            case "POST", "sms" if name == "nord":
                self.route.update(state=wanted["state"], by=wanted["by"], since=1_700_000_000.0)
                return httpx.Response(200, json=[self.route])
        return httpx.Response(404)


@dataclass
class House:
    browser: httpx.AsyncClient
    assurance: Assurance
    elsewhere: Elsewhere

    async def page(self) -> str:
        answer = await self.browser.get("/controls")
        assert answer.status_code == 200
        return answer.text

    async def switch(self, kind: str, *, origin: str = ORIGIN, **fields: str) -> httpx.Response:
        return await self.browser.post(f"/controls/{kind}", data=fields, headers={"origin": origin})


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    database, elsewhere = await open_database(Location(tmp_path), "assurance"), Elsewhere()
    client = httpx.AsyncClient(transport=httpx.MockTransport(elsewhere))
    urls = {"playout": "http://playout.test", "sms": "http://sms.test"}

    async def nothing(*_: object) -> Any:
        return {}

    zone = ZoneInfo("Europe/Oslo")
    response = Response(database, settings=Settings(), surroundings=surroundings(), clock=clock, zone=zone)
    assurance = Assurance(
        database, sources={}, neighbours=Neighbours(client, urls=urls, command_keys=KEYS), clock=clock,
        settings=Settings(), operator="Nordavind", status_url="http://status.test", zone=ZoneInfo("Europe/Oslo"),
    )  # fmt: skip
    made = await ensure_first_account(database, clock, hasher=QUICK_HASHER)
    assert made is not None
    pages = application(
        assurance, Console(database, clock=clock, key=KEY, hasher=QUICK_HASHER), response=response,
        find_subscriber=nothing,
        clock=clock, public_url=ORIGIN, playout_url="http://playout.test", timezone="Europe/Oslo", operator="Nordavind",
    )  # fmt: skip
    async with httpx.AsyncClient(transport=httpx.ASGITransport(pages), base_url=ORIGIN, headers=HTML) as browser:
        await browser.post("/sign-in", data={"name": "duty", "password": made[1]}, headers={"origin": ORIGIN})
        await assurance.look_at_controls()
        yield House(browser, assurance, elsewhere)
    await client.aclose()
    await database.close()


async def test_a_channel_is_opened_by_one_click_and_left_to_its_rule_by_another(house: House) -> None:
    assert "for those signed in" in await house.page()
    answer = await house.switch("channel", name="sport", state="open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/controls")
    assert house.elsewhere.channels["sport"] == {"id": "sport", "name": "Sport", "open": True, "by": "duty"}
    page = await house.page()
    assert "http://playout.test/open/sport/index.m3u8" in page
    assert "open to everybody" in page and "by duty" in page and "Leave it to the rule" in page
    await house.switch("channel", name="sport", state="closed")
    assert house.elsewhere.channels["sport"] == {"id": "sport", "name": "Sport", "open": False, "by": "duty"}
    page = await house.page()
    assert "open to everybody" not in page and "Leave it to the rule" in page
    await house.switch("channel", name="sport", state="open")
    await house.switch("channel", name="sport", state="rule")
    assert not house.elsewhere.channels["sport"]["open"]
    assert "Leave it to the rule" not in await house.page()


async def test_a_route_is_stopped_and_opened(house: House) -> None:
    assert "0 of 90 canaries astray" in await house.page()
    house.elsewhere.route.update(trusted=False, astray=4)
    await house.assurance.look_at_controls()
    assert "open, not trusted" in await house.page()
    back = "/incidents/20261125-1200-abcd"
    answer = await house.switch("route", name="nord", state="stopped", back=back)
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    assert (house.elsewhere.route["state"], house.elsewhere.route["by"]) == ("stopped", "duty")
    assert "Open it before proof" in await house.page()


async def test_what_cannot_be_switched_says_why(house: House) -> None:
    for fields in ({}, {"name": "sport"}, {"name": "sport", "state": "ajar"}, {"state": "open"}):
        assert (await house.switch("channel", **fields)).status_code == 422
    assert (await house.switch("route", name="nord", state="rule")).status_code == 422
    answer = await house.switch("channel", name="nowhere", state="open")
    assert answer.status_code == 503 and "nowhere was not switched: the playout role answered 404" in answer.text
    assert (await house.switch("channel", name="sport", state="open", origin="http://evil.test")).status_code == 403
    assert not house.elsewhere.channels["sport"]["open"]
    for back in ("//evil.test/", "https://evil.test/incidents/", "/people", ""):
        answer = await house.switch("channel", name="sport", state="open", back=back)
        assert answer.headers["location"] == "/controls"


async def test_a_role_that_is_dead_is_said_to_be(house: House) -> None:
    house.elsewhere.alive = False
    answer = await house.switch("route", name="nord", state="stopped")
    assert answer.status_code == 503 and "the sms role cannot be reached" in answer.text
    page = await house.page()
    assert "Playout does not answer" in page and "The SMS centre does not answer" in page


async def test_what_a_role_tells_is_text(house: House) -> None:
    page = await house.page()
    assert "<b>" not in page.lower().partition("<main")[2]
    assert html.escape("<B>Nyheter</B>") in page


async def test_nobody_switches_without_signing_in(house: House) -> None:
    house.browser.cookies.clear()
    answer = await house.switch("channel", name="sport", state="open")
    assert answer.headers["location"] == "/sign-in"
    assert not house.elsewhere.channels["sport"]["open"]
