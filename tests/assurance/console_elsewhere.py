"""The console beside a playout, an SMS centre and a signin as it meets them: by their commands, alive or dead."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from console_doubles import HTML, KEY, QUICK_HASHER
from surroundings import personal_beside, surroundings

from prikkfri.assurance.console import Console, ensure_first_user
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.personal.service import Personal
from prikkfri.assurance.rehearsals.service import Rehearsals
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.service import Assurance
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.storage import Location, open_database
from prikkfri.subscribers.subscriptions import Subscriber, Subscription
from prikkfri.web.console.rehearsals import Demo
from prikkfri.web.console.server import application

ORIGIN = "http://console.test"
KEYS = {"playout": "key of playout", "sms": "key of sms", "signin": "key of signin", "door": "key of door"}
KARI = Subscriber("s/1", "Kari", "kari@example.no")
ROUTE = {
    "link": "nord", "partner": "Nordtel", "state": "open", "since": 0.0, "by": "", "reason": "", "instead": "",
    "waiting": 3, "trusted": True, "judged": 90, "astray": 0, "stopped_at": 0.0, "exposed_since": 0.0,
    "likely_since": 0.0,
}  # fmt: skip
LINE: dict[str, Any] = {
    "number": 7, "order": {"kind": "auto", "per_second": 0.0, "reason": "", "by": "", "at": 0.0}, "room": None,
    "line": {"waiting": 1_234, "given_per_second": 20.0, "spent_per_second": 18.0, "machine_per_second": 24.0,
             "passes_out": 40, "wait_s": 61.7, "unspent_share": 0.1, "absent_share": 0.12, "silent_since": None},
    "history": [],
}  # fmt: skip


@dataclass
class Elsewhere:
    """A playout and an SMS centre as the console meets them: by their commands."""

    alive: bool = True
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    route: dict[str, Any] = field(default_factory=lambda: dict(ROUTE))
    complaints: list[str] = field(default_factory=list)
    """Who said that the partner of the route complains."""

    line: dict[str, Any] = field(default_factory=lambda: dict(LINE))
    orders: list[dict[str, Any]] = field(default_factory=list)
    """Of the line."""
    refuses: str = ""
    """Why the door takes none."""

    held: dict[str, Any] = field(default_factory=dict)
    """What is in quarantine, by its id."""
    links: dict[str, Any] | None = None
    """How the partners speak."""
    troubles: list[str] = field(default_factory=list)
    """What the SMS centre says is wrong though it serves."""
    said: list[tuple[str, str, str]] = field(default_factory=list)
    """What was done with it."""

    devices: list[dict[str, Any]] = field(default_factory=list)
    """Where every customer is signed in."""
    named: list[Subscriber] = field(default_factory=list)
    """Whom somebody may be sought by name among."""
    subscriptions: list[Subscription] = field(default_factory=list)
    """What everybody holds."""
    trails: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What happened to messages, by their ids."""
    erased: bool = False
    asked_of_signin: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

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
            case "GET", "door":
                return httpx.Response(200, json=self.line)
            case "POST", "door" if self.refuses:
                return httpx.Response(409, json={"error": "ordered-meanwhile", "message": self.refuses})
            case "POST", "door" if request.url.path == "/steering":
                self.orders.append(wanted)
                return httpx.Response(200, json=self.line)
            case "GET", "sms" if request.url.path == "/links":
                return httpx.Response(200, json=self.links) if self.links else httpx.Response(503)
            case "GET", "sms" if request.url.path == "/health":
                return httpx.Response(200, json={"role": "sms", "status": "ok", "troubles": self.troubles})
            case _, "sms" if request.url.path.startswith("/quarantine"):
                return self.quarantine(request, wanted)
            case "POST", "sms" if request.url.path == "/trails":
                found = [self.trails[each] for each in wanted["messages"] if each in self.trails]
                return httpx.Response(200, json={"trails": found})
            case "POST", "sms" if request.url.path == "/trails/erase":
                gone = [each for each in wanted["messages"] if self.trails.pop(each, None)]
                return httpx.Response(200, json={"erased": len(gone)})
            case "GET", "signin" if request.url.path == "/customers/data":
                return httpx.Response(200, json={"passwords": [{"changed_at": 1.6e9}], "devices": self.devices})
            case "POST", "signin" if request.url.path == "/customers/erase":
                self.asked_of_signin.append((request.url.path, wanted))
                self.erased = True
                return httpx.Response(200, json={"erased": 3})
            case "GET", "sms":
                return httpx.Response(200, json=[self.route])
            case "GET", "signin":
                self.asked_of_signin.append((request.url.raw_path.decode(), {}))
                return httpx.Response(200, json={"devices": self.devices})
            case "POST", "signin":
                self.asked_of_signin.append((request.url.path, wanted))
                if name == "password-link":
                    return httpx.Response(200, json={"link": "http://tv.test/#password=abc", "expires_at": 1.7e9})
                ended, self.devices = len(self.devices), []
                return httpx.Response(200, json={"ended": ended})
            case "PUT", "playout" if name in self.channels:
                by = "" if wanted["state"] == "rule" else wanted["by"]
                self.channels[name].update(open=wanted["state"] == "open", by=by)
                return httpx.Response(204)
            case "POST", "sms" if request.url.path == "/routes/nord/complaints":
                self.complaints.append(wanted["by"])
                return httpx.Response(200, json=[self.route])
            case "POST", "sms" if name == "nord":
                self.route.update(state=wanted["state"], by=wanted["by"], since=1_700_000_000.0)
                return httpx.Response(200, json=[self.route])
        return httpx.Response(404)

    def quarantine(self, request: httpx.Request, wanted: dict[str, Any]) -> httpx.Response:
        identity = request.url.path.removeprefix("/quarantine").removeprefix("/")
        if not identity:
            link = request.url.params.get("link", "")
            entries = [each["entry"] for each in self.held.values()]
            return httpx.Response(200, json=[each for each in entries if link in ("", each["link"])])
        if identity not in self.held:
            return httpx.Response(404, json={"error": "not-held", "message": "there is nothing of that id"})
        if request.method == "GET":
            return httpx.Response(200, json=self.held[identity])
        if wanted["action"] == "release" and (why := self.held[identity]["hindrance"]):
            return httpx.Response(409, json={"error": "not-released", "message": why})
        del self.held[identity]
        self.said.append((identity, wanted["action"], wanted["by"]))
        return httpx.Response(200, json={"hindrance": ""})


@dataclass
class House:
    browser: httpx.AsyncClient
    assurance: Assurance
    console: Console
    elsewhere: Elsewhere
    response: Response
    personal: Personal

    async def page(self) -> str:
        answer = await self.browser.get("/controls")
        assert answer.status_code == 200
        return answer.text

    async def switch(self, kind: str, *, origin: str = ORIGIN, **fields: str) -> httpx.Response:
        """Of somebody who is sure."""
        return await self.browser.post(f"/controls/{kind}", data={"sure": "yes"} | fields, headers={"origin": origin})


@asynccontextmanager
async def console_beside(
    elsewhere: Elsewhere, home: Path, clock: ManualClock, *, demo: bool = False
) -> AsyncIterator[House]:
    """Somebody who may act has signed in."""
    database = await open_database(Location(home), "assurance")
    client = httpx.AsyncClient(transport=httpx.MockTransport(elsewhere))
    urls = {"playout": "http://playout.test", "sms": "http://sms.test", "signin": "http://signin.test"}
    urls["door"] = "http://door.test"

    async def found(key: str) -> Subscriber | None:
        return KARI if key in (KARI.id, KARI.email) and not elsewhere.erased else None

    zone = ZoneInfo("Europe/Oslo")
    response = Response(database, settings=Settings(), surroundings=surroundings(), clock=clock, zone=zone)
    neighbours = RoleClient(client, urls=urls, command_keys=KEYS)
    assurance = Assurance(
        database, sources={}, neighbours=neighbours, clock=clock,
        settings=Settings(), operator="Nordavind", status_url="http://status.test", zone=ZoneInfo("Europe/Oslo"),
    )  # fmt: skip
    made = await ensure_first_user(database, clock, hasher=QUICK_HASHER)
    assert made is not None
    console = Console(database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    personal = personal_beside(
        database, response, neighbours, clock, found, named=elsewhere.named, held=elsewhere.subscriptions
    )
    pages = application(
        assurance, console, response=response,
        personal=personal,
        clock=clock, public_url=ORIGIN, playout_url="http://playout.test", timezone="Europe/Oslo", operator="Nordavind",
        demo=Demo(Rehearsals(home, clock), "http://viewer.test", "http://status.test", "http://phones.test")
        if demo else None,
    )  # fmt: skip
    async with httpx.AsyncClient(transport=httpx.ASGITransport(pages), base_url=ORIGIN, headers=HTML) as browser:
        await browser.post("/sign-in", data={"name": "duty", "password": made[1]}, headers={"origin": ORIGIN})
        await assurance.look_at_controls()
        yield House(browser, assurance, console, elsewhere, response, personal)
    await client.aclose()
    await database.close()
