"""What strangers can say at the front doors of the door and of playout, and what assurance makes of it."""

import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from surroundings import surroundings

from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.service import Assurance
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.config import Channel, Config, Streaming
from prikkfri.door import http as door_http
from prikkfri.door.service import Door, load_keys
from prikkfri.door.waiting_room import Capacity
from prikkfri.journal import Outcome, Page
from prikkfri.protocols import admission_pass, jwt
from prikkfri.storage import Location, open_database
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import read_public_keys
from prikkfri.streaming import http as playout_http
from prikkfri.streaming.fallback import Fallback, SignInHealth, apply_rule, trouble_of
from prikkfri.streaming.playout import LiveView
from prikkfri.streaming.service import Playout

VIEWER = "http://localhost:8080"
FLOOD, HOMES = "203.0.113.66", "192.0.2.1"
SETTINGS = Settings(sign_in_grace_seconds=10, line_grace_seconds=20, hold_seconds=30, warm_up_seconds=30)

HOLDER = "s-" + "A" * 43


class Town:
    """A door and a playout with their real edges, a sign-in that answers or not, and the assurance of them all."""

    def __init__(self, home: Path, clock: ManualClock) -> None:
        self.clock = clock
        self.streams: dict[str, list[Outcome]] = {"signin": [], "door": [], "playout": []}
        self.sign_in_answers = True
        self.published: list[dict[str, Any]] = []
        self.waiting: dict[str, tuple[str, float]] = {}
        """Who waits in the line with what ticket or pass, and when they ask again, by device."""
        self.fallback = Fallback()
        self.opened: list[str] = []
        self._seen = SignInHealth("", clock.now())
        self._numbers = itertools.count()
        self._served = 0.0
        self.door = Door(
            record=self.streams["door"].append,
            config=Config(home=home),
            keys=load_keys(home),
            clock=clock,
            tokens=DeviceTokens(home, clock),
            ask_capacity=self._capacity,
        )
        self._pass_keys = jwt.read_jwks(read_public_keys(home, "pass"))
        live = LiveView(b"", b"", {}, float("inf"))
        self.playout = Playout(
            [Channel(id="sport", name="Sport", number=1)],
            Streaming(),
            folder=home,
            keys_path=home / "public" / "playback-keys",
            revocations_path=home / "public" / "revoked.json",
            record=self.streams["playout"].append,
            clock=clock,
            put_on_air=lambda channel: SimpleNamespace(live=live),  # type: ignore[arg-type,return-value]
        )

    async def _capacity(self) -> Capacity | None:
        return Capacity(10, 0.0) if self.sign_in_answers else None

    async def start(self, location: Location) -> None:
        self.database = await open_database(location, "assurance")
        self.response = Response(
            self.database,
            settings=SETTINGS,
            surroundings=surroundings(blind=lambda: self.assurance.blind(), silent=lambda: self.assurance.silent()),
            clock=self.clock,
            zone=ZoneInfo("Europe/Oslo"),
            timing=Timing(settling_seconds=0),
        )
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._neighbour))
        roles = {role: f"http://{role}" for role in ("status", "signin", "door", "playout", "sms")}
        self.assurance = Assurance(
            self.database,
            sources=dict.fromkeys(self.streams, self._page),
            neighbours=RoleClient(client, urls=roles, command_keys=dict.fromkeys(roles, "key")),
            clock=self.clock,
            settings=SETTINGS,
            operator="Test",
            status_url="http://status",
            zone=ZoneInfo("Europe/Oslo"),
            arrived=self.response.watch.arrived,
            told=self.response.announcements.told,
        )
        for role in roles:
            await self.assurance.look_at(role)

    def _neighbour(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/publish":
            self.published.append(json.loads(request.content))
        return httpx.Response(200, json=[])

    async def _page(self, stream: str, after: int) -> Page:
        outcomes = self.streams[stream]
        return Page("i", after + 1, len(outcomes), outcomes[after:], len(outcomes), 0, 0)

    def at_door(self, address: str) -> httpx.AsyncClient:
        edge = door_http.application(self.door, viewer_origin=VIEWER, open_channels_url="http://open")
        return _client(edge, address)

    def at_playout(self, address: str) -> httpx.AsyncClient:
        return _client(playout_http.application(self.playout, VIEWER), address)

    async def passes(self, seconds: int, *, coming: int = 0, invented: int = 0, reports: int = 0) -> None:
        """So many seconds, in each of which so many people come, and devices are made up and reports sent."""
        async with self.at_door(HOMES) as homes, self.at_door(FLOOD) as flood, self.at_playout(FLOOD) as reporting:
            for second in range(seconds):
                self.clock.advance(1.0)
                await self.door.ask_signin()
                for _ in range(invented):
                    await flood.post("/enter", json={"device": self._device("x"), "holder": HOLDER})
                for _ in range(reports):
                    told = {"device": self._device("r"), "step": "sign-in", "kept": False, "reason": "no-answer"}
                    await reporting.post("/report", json=told)
                await self._come_back(homes)
                for _ in range(coming):
                    device = self._device("h")
                    self._goes_on(
                        device, (await homes.post("/enter", json={"device": device, "holder": HOLDER})).json()
                    )
                wait_s = (await homes.get("/line")).json()["wait_s"]
                trouble = trouble_of(True, float("inf") if wait_s is None else wait_s, Streaming())
                self._seen = self._seen.asked(trouble, self.clock.now())
                self.fallback = apply_rule(self.fallback, self._seen, Streaming(), now=self.clock.now())
                if second % 5 == 4:
                    await self._assure()

    async def _come_back(self, homes: httpx.AsyncClient) -> None:
        due = [each for each in self.waiting.items() if each[1][1] <= self.clock.now()]
        for device, (held, _) in due:
            self._goes_on(device, (await homes.get("/waiting", params={"ticket": held})).json())

    def _goes_on(self, device: str, answer: dict[str, Any]) -> None:
        """They keep what they got, and sign in with a pass when sign-in answers."""
        held = answer.get("admitted") or answer["ticket"]
        self.waiting[device] = held, self.clock.now() + answer.get("poll_after_s", 5.0)
        if "admitted" in answer and self.sign_in_answers:
            del self.waiting[device]
            admission = admission_pass.verified(held, self._pass_keys)
            assert admission is not None
            known = {"service": "television", "step": "sign-in", "layer": "signin", "verdict": "kept"}
            told = Outcome(
                time=self.clock.now(), **known, device=device, customer=f"of-{device}", promise=admission.promise
            )  # type: ignore[arg-type]
            self.streams["signin"].append(told)

    async def _assure(self) -> None:
        for stream in self.streams:
            await self.assurance.step(stream)
        await self.response.watch.tick()
        await self.response.evaluations.look()
        await self.assurance.publish()

    def _device(self, kind: str) -> str:
        return f"d-{kind}{next(self._numbers):021d}"

    def said_in_public(self) -> set[str]:
        return {document["status"]["indicator"] for document in self.published}


def _client(edge: Any, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(edge, client=(address, 5_000))
    return httpx.AsyncClient(transport=transport, base_url="http://role", headers={"origin": VIEWER})


@pytest.fixture
async def town(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Town]:
    town = Town(tmp_path, clock)
    await town.start(Location(tmp_path, ""))
    yield town
    await town.database.close()


async def test_a_flood_of_reports_makes_a_green_installation_no_less_green(town: Town) -> None:
    await town.passes(40, coming=1)
    await town.passes(5, coming=1, reports=30)
    await town.passes(180, coming=1)
    seen = await town.assurance.overview()
    reported = sum(row.broken for row in seen.rows if not row.observed)
    assert reported >= 120 and (seen.broken, seen.breakages, seen.tone) == (0, (), "kept")
    assert await town.response.register.incidents() == []
    assert town.said_in_public() == {"none"}
    assert town.fallback.by_rule_since is None


async def test_a_flood_of_joins_opens_nothing_raises_nothing_and_makes_nobody_wait(town: Town) -> None:
    await town.passes(40, coming=1)
    await town.passes(10, coming=1, invented=53)
    assert len(town.waiting) <= 2  # whoever came last
    await town.passes(60, coming=1)
    assert await town.response.register.incidents() == []
    assert town.said_in_public() == {"none"}
    assert town.fallback.by_rule_since is None


async def test_a_real_outage_is_seen_and_its_list_is_exact_in_the_midst_of_both_floods(town: Town) -> None:
    await town.passes(40, coming=1)
    town.sign_in_answers = False
    await town.passes(10, coming=1, invented=53, reports=15)
    await town.passes(40, coming=1)
    assert town.fallback.by_rule_since is not None
    (incident,) = await town.response.register.incidents()
    assert incident.confirmed_at is not None and "critical" in town.said_in_public()
    known = await town.response.evaluations.known(incident.id)
    assert known is not None and known.impact is not None
    listed = {hit.device for hit in known.impact.hits}
    deadline = town.clock.now() - SETTINGS.line_grace_seconds
    assert all(hit.observed for hit in known.impact.hits)
    assert {device for device in listed if not device.startswith("d-h")} == set()
    came_by = {o.device: o.time for o in town.streams["door"] if o.step == "join" and o.device in town.waiting}
    certain = {device for device, at in came_by.items() if at < deadline - 3}
    assert certain and certain <= listed <= set(town.waiting)
    assert known.impact.unconfirmed >= 200
