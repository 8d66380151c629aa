"""The door through its front: device token to playback token, and the waiting room."""

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jwt as pyjwt
import pytest
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.config import Config, Streaming
from prikkfri.config import Door as DoorSettings
from prikkfri.door.http import HELD_SECONDS_MAX, application
from prikkfri.door.overload import Limits, lag, retry_after
from prikkfri.door.service import DEFAULT_TIMING, Admitted, Door, Issued, Waiting, asking_signin, load_keys
from prikkfri.door.timing import Timing
from prikkfri.door.waiting_room import Capacity
from prikkfri.journal import Outcome
from prikkfri.protocols import admission_pass, cat, device_token
from prikkfri.protocols import jwt as our_jwt
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.simulation.device_key import DeviceKey, DeviceSecret
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import (
    SecretKey,
    SigningKey,
    command_key,
    make_next_key,
    publish_public_key,
    read_public_keys,
    signing_key,
)
from prikkfri.storage.limits import LIMITS as STORAGE_LIMITS
from prikkfri.storage.limits import StorageLimits
from prikkfri.storage.rotation import SecretRotation

VIEWER = "http://localhost:8080"
OPEN = "http://localhost:8082/open"
DEVICE = "d-AAAAAAAAAAAAAAAAAAAAAA"
SOMEBODY = DeviceSecret("s" * 43)
"""For tests that ask about the line: whoever has a secret shows it to sign-in alone."""


def asking(device: str = DEVICE, holder: str = SOMEBODY.holder) -> dict[str, str]:
    return {"device": device, "holder": holder}


@dataclass
class Entrance:
    door: Door
    clock: ManualClock
    home: Path
    tokens: DeviceTokens
    recorded: list[Outcome]
    device_key: SigningKey
    timing: Timing
    capacity: list[Capacity | None]
    """What signin says from now on: the last one."""
    held_s: list[float] = field(default_factory=list)
    while_held: Callable[[float], Awaitable[None]] | None = None

    def client(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        edge = application(self.door, viewer_origin=VIEWER, open_channels_url=OPEN, hold=self.held_back)
        transport = httpx.ASGITransport(edge, client=(address, 5_000))  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url="http://localhost:8086", headers={"origin": VIEWER})

    async def held_back(self, called: asyncio.Future[None], seconds: float) -> None:
        """Whoever is about to be called is answered then; time stands still meanwhile, unless a test moves it."""
        self.held_s.append(seconds)
        if self.while_held is not None:
            await self.while_held(seconds)

    def token(self, **changes: Any) -> str:
        now = self.clock.now()
        token = DeviceToken("s-1", DEVICE, ("basic", "sport"), now, now + 1_000, b"0123456789abcdef")
        return device_token.issue(self.device_key.private, self.device_key.kid, replace(token, **changes))

    async def settle(self) -> None:
        """A round of the door's own work: reads the revocation list, asks signin, keeps the line."""
        await self.tokens.read_revoked()
        await self.door.ask_signin()
        await self.door.keep_line()


BuildDoor = Callable[..., Entrance]


@pytest.fixture
def build(tmp_path: Path, clock: ManualClock) -> BuildDoor:
    def build(
        settings: DoorSettings | None = None,
        *,
        storage_limits: StorageLimits = STORAGE_LIMITS,
        timing: Timing = DEFAULT_TIMING,
        door_clock: ManualClock | None = None,
        trusted_proxies: tuple[str, ...] = (),
        streaming: Streaming = Streaming(),  # noqa: B008
    ) -> Entrance:
        recorded: list[Outcome] = []
        capacity: list[Capacity | None] = [Capacity(10, 0)]

        async def ask() -> Capacity | None:
            return capacity[-1]

        tokens = DeviceTokens(tmp_path, clock, limits=storage_limits)
        door = Door(
            record=recorded.append,
            config=Config(
                home=tmp_path,
                door=settings or DoorSettings(),
                trusted_proxies=trusted_proxies,
                streaming=streaming,
            ),
            keys=load_keys(tmp_path),
            clock=door_clock or clock,
            tokens=tokens,
            timing=timing,
            ask_capacity=ask,
        )
        device_key = signing_key(tmp_path, "signin-device")
        return Entrance(door, clock, tmp_path, tokens, recorded, device_key, timing, capacity)

    return build


@pytest.fixture
def entrance(build: BuildDoor) -> Entrance:
    entrance = build()
    publish_public_key(entrance.home, "device", "signin", entrance.device_key)
    return entrance


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def joined(client: httpx.AsyncClient, device: str = DEVICE) -> dict[str, Any]:
    """The answer to somebody who joins and, when they are to wait, comes back for their place."""
    answer: dict[str, Any] = (await client.post("/enter", json=asking(device))).json()
    if "ticket" in answer:
        answer = (await client.get("/waiting", params={"ticket": answer["ticket"]})).json()
    return answer


async def test_a_device_token_becomes_a_playback_token(entrance: Entrance) -> None:
    async with entrance.client() as client:
        answer = await client.post("/playback-token", headers=bearer(entrance.token()))
        again = await client.post("/playback-token", headers=bearer(entrance.token()))
    assert answer.status_code == again.status_code == 200
    given, now = answer.json(), entrance.clock.now()
    keys = cat.read_jwks(read_public_keys(entrance.home, "playback"))
    verdict = cat.verify(given["playback_token"], keys, now, 0)
    assert verdict.claims is not None
    assert (verdict.standing, verdict.claims.issuer, verdict.claims.subscriber) == ("ok", "door", "s-1")
    assert verdict.claims.packages == {"basic", "sport"}
    assert verdict.claims.token_id.startswith(b"0123456789abcdef")
    assert given["playback_token"] != again.json()["playback_token"]
    assert (given["renew_after"], given["expires_at"]) == (now + 21_600, now + 43_200)
    outcome = entrance.recorded[0]
    assert (outcome.step, outcome.layer, outcome.verdict, outcome.customer, outcome.device) == (
        "playback-token",
        "door",
        "kept",
        "s-1",
        DEVICE,
    )


async def test_a_token_of_a_foreign_library_is_as_good(entrance: Entrance) -> None:
    now = int(entrance.clock.now())
    claims = {
        "iss": "signin",
        "sub": "s-1",
        "device": DEVICE,
        "packages": ["basic"],
        "iat": now,
        "exp": now + 60,
        "jti": base64.urlsafe_b64encode(b"0123456789abcdef").rstrip(b"=").decode(),
    }
    key, kid = entrance.device_key.private, entrance.device_key.kid
    good = pyjwt.encode(claims, key, algorithm="ES256", headers={"kid": kid, "typ": "device+jwt"})
    untyped = pyjwt.encode(claims, key, algorithm="ES256", headers={"kid": kid})
    confused = pyjwt.encode(claims, "secret" * 8, algorithm="HS256", headers={"kid": kid, "typ": "device+jwt"})
    unsigned = pyjwt.encode(claims, None, algorithm="none", headers={"kid": kid, "typ": "device+jwt"})
    stranger = signing_key(entrance.home, "stranger").private
    forged = pyjwt.encode(claims, stranger, algorithm="ES256", headers={"kid": kid, "typ": "device+jwt"})
    async with entrance.client() as client:
        assert (await client.post("/playback-token", headers=bearer(good))).status_code == 200
        for bad in (untyped, confused, unsigned, forged, "", "a.b.c", good[:-8] + "A" * 8, "x" * 9_000, "é"):
            answer = await client.post("/playback-token", headers={"authorization": f"Bearer {bad}".encode()})
            assert (answer.status_code, answer.json()["error"]) == (401, "bad-token"), bad
    assert {(o.verdict, o.reason, o.customer) for o in entrance.recorded[1:]} == {("broken", "bad-token", "")}


async def test_what_expired_or_was_revoked_is_refused_also_when_it_was_good_before(entrance: Entrance) -> None:
    token, revoked = entrance.token(), entrance.token(token_id=b"fedcba9876543210")
    async with entrance.client() as client:
        assert (await client.post("/playback-token", headers=bearer(revoked))).status_code == 200
        jti = base64.urlsafe_b64encode(b"fedcba9876543210").rstrip(b"=").decode()
        listed = entrance.home / "public" / "revoked.json"
        listed.write_text(json.dumps({"as_of": entrance.clock.now(), "device_tokens": [jti]}))
        await entrance.settle()
        answer = await client.post("/playback-token", headers=bearer(revoked))
        assert (answer.status_code, answer.json()["error"]) == (401, "revoked")
        assert (await client.post("/playback-token", headers=bearer(token))).status_code == 200
        listed.write_text("{ torn")
        await entrance.settle()
        assert (await client.post("/playback-token", headers=bearer(token))).status_code == 200
        assert (await client.post("/playback-token", headers=bearer(revoked))).status_code == 401
        entrance.clock.advance(1_001)
        answer = await client.post("/playback-token", headers=bearer(token))
        assert (answer.status_code, answer.json()["error"]) == (401, "expired")
    assert [o.reason for o in entrance.recorded] == ["", "revoked", "", "", "revoked", "expired"]
    assert {(o.customer, o.device) for o in entrance.recorded} == {("s-1", DEVICE)}  # its signature has proven who


async def test_a_key_that_signin_makes_later_is_found(build: BuildDoor) -> None:
    entrance = build()
    async with entrance.client() as client:
        assert (await client.post("/playback-token", headers=bearer(entrance.token()))).status_code == 401
        publish_public_key(entrance.home, "device", "signin", entrance.device_key)
        entrance.clock.advance(1.1)
        assert (await client.post("/playback-token", headers=bearer(entrance.token()))).status_code == 200


async def test_verdicts_are_remembered_in_bounds(build: BuildDoor) -> None:
    entrance = build(storage_limits=StorageLimits(verdicts_remembered_max=3))
    publish_public_key(entrance.home, "device", "signin", entrance.device_key)
    async with entrance.client() as client:
        for subscriber in "abcdea":
            token = entrance.token(subscriber=subscriber)
            assert (await client.post("/playback-token", headers=bearer(token))).status_code == 200
            verified = cat.verify(
                (await client.post("/playback-token", headers=bearer(token))).json()["playback_token"],
                cat.read_jwks(read_public_keys(entrance.home, "playback")),
                entrance.clock.now(),
                0,
            )
            assert verified.claims is not None and verified.claims.subscriber == subscriber
    assert entrance.door.counters()["verdicts_remembered"] == 3


async def test_beyond_its_limits_the_door_refuses_at_once_and_says_so(entrance: Entrance) -> None:
    entrance.door.in_flight = 3_000
    async with entrance.client() as client:
        for request in (
            client.post("/playback-token", headers=bearer(entrance.token())),
            client.post("/enter", json=asking()),
        ):
            answer = await request
            assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 2
        entrance.door.in_flight = 0
        assert (await client.post("/playback-token", headers=bearer(entrance.token()))).status_code == 200
    assert entrance.door.in_flight == 0
    assert [(o.step, o.reason) for o in entrance.recorded[:2]] == [
        ("playback-token", "overloaded"),
        ("enter", "overloaded"),
    ]


def test_the_gate_asks_for_longer_pauses_the_further_behind_it_is() -> None:
    limits = Limits(lag_seconds_max=0.5, in_flight_max=100)
    assert retry_after(0.5, 100, limits) is None
    waits = [retry_after(lag, 0, limits) for lag in (0.6, 1, 2, 60)]
    assert waits == sorted(w for w in waits if w) and waits[-1] == 30
    assert retry_after(0, 101, limits)
    once = lag(0.0, 1.5)
    assert retry_after(once, 0, limits) is None
    assert retry_after(lag(once, 1.5), 0, limits)


@pytest.mark.parametrize(
    ("lag_s", "in_flight", "wait_s"),
    [(0.5, 100, None), (0.75, 0, 3.0), (0.0, 200, 4.0), (0.75, 200, 4.0), (1.0, 110, 4.0), (0.0, 100_000, 30.0)],
)
def test_the_gate_goes_by_what_is_further_behind(lag_s: float, in_flight: int, wait_s: float | None) -> None:
    found = retry_after(lag_s, in_flight, Limits(lag_seconds_max=0.5, in_flight_max=100))
    assert found == (None if wait_s is None else pytest.approx(wait_s))
    assert lag(0.5, 1.5) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("lag_s", "in_flight", "taken"), [(0.5, 2_000, True), (0.51, 0, False), (0.0, 2_001, False), (0.0, 0, True)]
)
def test_the_gate_closes_at_half_a_second_or_two_thousand_requests(lag_s: float, in_flight: int, taken: bool) -> None:
    assert (retry_after(lag_s, in_flight) is None) is taken


class LateClock(ManualClock):
    """Whoever looks at it twice has been kept waiting in between."""

    late_s = 0.0

    def monotonic(self) -> float:
        self.advance(self.late_s)
        return super().monotonic()


async def test_a_door_whose_loop_is_late_refuses_until_it_has_caught_up(build: BuildDoor) -> None:
    late = LateClock()
    entrance = build(timing=Timing(lag_measured_seconds=0), door_clock=late)
    running = asyncio.create_task(entrance.door.run())
    counters = entrance.door.counters
    late.late_s = 1.0
    await eventually(lambda: counters()["loop_lag_seconds"] > 0.5)
    answer = entrance.door.overloaded("enter")
    assert answer is not None and answer.reason == "overloaded"
    late.late_s = 0.0
    await eventually(lambda: counters()["loop_lag_seconds"] < 0.5)
    assert entrance.door.overloaded("enter") is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_when_nobody_waits_a_pass_comes_at_once(entrance: Entrance) -> None:
    await entrance.settle()
    entrance.clock.advance(0.5)
    async with entrance.client() as client:
        answer = await client.post("/enter", json=asking())
    keys = our_jwt.read_jwks(read_public_keys(entrance.home, "pass"))
    admitted = admission_pass.verified(answer.json()["admitted"], keys)
    assert admitted is not None
    assert (admitted.device, admitted.expires_at) == (DEVICE, entrance.clock.now() // 1 + 300)
    kept, asked = entrance.recorded
    assert (kept.step, kept.verdict, kept.device, kept.promise) == ("enter", "kept", DEVICE, "")
    assert (asked.step, asked.verdict, asked.device) == ("join", "asked", DEVICE)
    assert asked.promise == admitted.promise != ""


async def test_a_crowd_gets_places_and_each_its_pass_in_turn(entrance: Entrance) -> None:
    await entrance.settle()
    entrance.clock.advance(1.0)
    async with entrance.client() as client:
        answers = [await joined(client) for _ in range(40)]
        at_once = [a for a in answers if "admitted" in a]
        waiting = [a for a in answers if "ticket" in a]
        assert 10 <= len(at_once) <= 13  # one second of capacity, and whoever's turn is less than 0.2 s away
        waiting.sort(key=lambda answer: answer["position"])  # inside a window the lot decides
        assert all(abs(a["place"] - place) <= 6 for place, a in enumerate(waiting, 1))
        assert all(a["since"] is None and a["open"] == OPEN and a["poll_after_s"] >= 0.25 for a in waiting)
        assert 0.5 <= waiting[9]["wait_s"] <= 2 and 2.5 <= waiting[-1]["wait_s"] <= 3.5
        for _ in range(8):
            entrance.clock.advance(0.25)
            await entrance.settle()
        then = [(await client.get("/waiting", params={"ticket": a["ticket"]})).json() for a in waiting]
        let_in = [i for i, a in enumerate(then) if "admitted" in a]
        assert let_in == list(range(len(let_in))) and 4 <= len(let_in) <= 20
        assert abs(then[-1]["place"] - (len(waiting) - len(let_in))) <= 6
    asked = [o for o in entrance.recorded if (o.step, o.verdict) == ("enter", "asked")]
    assert len({o.promise for o in asked}) == len(asked) == 30  # also whoever was let in when they came back
    keys = our_jwt.read_jwks(read_public_keys(entrance.home, "pass"))
    carried = [admission_pass.verified(then[i]["admitted"], keys) for i in let_in]
    assert {p.promise for p in carried if p} <= {o.promise for o in asked} and len(carried) == len(let_in)


async def test_when_signin_is_silent_the_line_stands_says_since_when_and_outlives_the_door(
    entrance: Entrance, build: BuildDoor
) -> None:
    await entrance.settle()
    died = entrance.clock.now()
    entrance.capacity.append(None)
    entrance.clock.advance(5.0)
    async with entrance.client() as client:
        for _ in range(30):
            last = await joined(client)
        assert (last["wait_s"], last["since"]) == (None, died)
        assert 26 <= last["place"] <= 30
    entrance.clock.advance(0.1)
    await entrance.settle()

    anew = build()
    anew.clock.advance(30)
    async with anew.client() as client:
        standing = (await client.get("/waiting", params={"ticket": last["ticket"]})).json()
        assert (standing["place"], standing["wait_s"]) == (last["place"], None)
        newcomer = await joined(client)
        assert newcomer["place"] == 31 and newcomer["position"] > standing["position"]
        await anew.settle()
        anew.clock.advance(1)
        await anew.settle()
        moving = (await client.get("/waiting", params={"ticket": last["ticket"]})).json()
        assert moving["place"] < 26 and moving["since"] is None


async def test_what_is_no_ticket_is_refused(entrance: Entrance) -> None:
    async with entrance.client() as client:
        for query in ("", "?ticket=", "?ticket=abc", "?other=1", "?ticket=" + "A" * 400):
            answer = await client.get(f"/waiting{query}")
            assert (answer.status_code, answer.json()["error"]) == (400, "bad-ticket")
        answer = await client.get("/waiting?ticket=%00")
        assert (answer.status_code, answer.json()["error"]) == (400, "bad-request")
        assert (await client.get("/waiting?ticket=" + "A" * 1_100)).status_code == 413
        assert (await client.get("/waiting?" + "&" * 20)).status_code == 400
        devices = ("x", "d-short", f"{DEVICE}A", f"{DEVICE[:-1]}\\n", f"{DEVICE[:-1]}+", "d-" + "å" * 22)
        bodies = [b'{"device": "%s", "holder": "s-%s"}' % (device.encode(), b"A" * 43) for device in devices]
        short, long, other, odd = "s-" + "A" * 42, "k-" + "A" * 44, "x-" + "A" * 43, "k-" + "A" * 42 + "+"
        holders = (f'"{holder}"' for holder in (short, long, other, odd, ""))
        bodies += [f'{{"device": "{DEVICE}", "holder": {each}}}'.encode() for each in (*holders, "5", "null")]
        secrets = (f'"{secret}"' for secret in ("s" * 42, "s" * 44, "+" * 43, SOMEBODY.holder))
        bodies += [f'{{"device": "{DEVICE}", "secret": {each}}}'.encode() for each in (*secrets, "5", "null")]
        bodies += [f'{{"device": "{DEVICE}"}}'.encode(), f'{{"holder": "{SOMEBODY.holder}"}}'.encode()]
        for body in (b"", b"{}", b'{"device": 5}', b"\xff", b"[]", b"[" * 900, *bodies):
            assert (await client.post("/enter", content=body)).status_code == 400, body
        assert (await client.post("/enter", content=b" " * 2_000)).status_code == 413
    assert entrance.recorded == []


async def test_only_the_viewers_pages_may_ask(entrance: Entrance) -> None:
    async with entrance.client() as client:
        elsewhere = {"origin": "http://localhost:8081"}
        assert (await client.post("/enter", json=asking(), headers=elsewhere)).status_code == 403
        with_token = elsewhere | bearer(entrance.token())
        assert (await client.post("/playback-token", headers=with_token)).json()["error"] == "bad-origin"
        asked = await client.options("/playback-token")
        assert asked.headers["access-control-allow-origin"] == VIEWER
        assert "Authorization" in asked.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in asked.headers


async def test_with_the_waiting_room_off_everyone_gets_a_pass(build: BuildDoor) -> None:
    entrance = build(DoorSettings(waiting_room="off"))
    async with entrance.client() as client:
        for _ in range(50):
            assert "admitted" in (await client.post("/enter", json=asking())).json()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"per_second": 70.5, "waiting_s": 0.5, "waiting": 3}, Capacity(70.5, 0.5)),
        (200, {"per_second": -1, "waiting_s": 0}, None),
        (200, {"per_second": 1e300, "waiting_s": 0}, None),
        (200, {"per_second": 0, "waiting_s": 0}, Capacity(0, 0)),
        (200, {"per_second": 999_999, "waiting_s": 999_999}, Capacity(999_999, 999_999)),
        (200, {"per_second": 1e6, "waiting_s": 0}, None),
        (200, {"per_second": 10, "waiting_s": 1e6}, None),
        (200, {"per_second": 10, "waiting_s": -0.1}, None),
        (200, {"per_second": "many", "waiting_s": 0}, None),
        (200, {"per_second": 10}, None),
        (200, ["no"], None),
        (401, {"error": "bad-command-key"}, None),
        (503, {"error": "overloaded"}, None),
    ],
)
async def test_signins_report_is_asked_for_with_the_command_key_and_not_trusted_blindly(
    tmp_path: Path, status: int, body: object, expected: Capacity | None
) -> None:
    def signin(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {command_key(tmp_path, 'signin')}"
        assert str(request.url) == "http://localhost:8081/capacity"
        return httpx.Response(status, json=body)

    async with httpx.AsyncClient(transport=httpx.MockTransport(signin)) as client:
        assert await asking_signin(client, ["http://localhost:8081"], tmp_path)() == expected


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), None])
async def test_a_signin_that_is_dead_or_talks_nonsense_is_silent(tmp_path: Path, failure: Exception | None) -> None:
    def dead(request: httpx.Request) -> httpx.Response:
        if failure:
            raise failure
        return httpx.Response(200, content=b"{ torn")

    async with httpx.AsyncClient(transport=httpx.MockTransport(dead)) as client:
        assert await asking_signin(client, ["http://localhost:8081"], tmp_path)() is None


async def test_the_wait_of_whoever_comes_now_is_told_to_anybody(build: BuildDoor) -> None:
    entrance = build()
    async with entrance.client() as client:

        async def wait_s() -> float | None:
            answer = await client.get("/line")
            assert answer.status_code == 200
            return answer.json()["wait_s"]  # type: ignore[no-any-return]

        assert await wait_s() is None  # signin was not heard yet: the line stands still
        await entrance.settle()
        entrance.clock.advance(1)
        assert await wait_s() == 0.0
        entrance.capacity.append(Capacity(10, 5.5))  # whoever has a pass waits there
        await entrance.settle()
        assert await wait_s() == 5.5
        entrance.capacity.append(Capacity(10, 0))
        await entrance.settle()
        before = list(entrance.recorded)
        for _ in range(60):
            await joined(client)
        entrance.recorded[:] = before
        entrance.clock.advance(0.3)
        told = await wait_s()
        assert told is not None and told > 2
        entrance.capacity.append(Capacity(10, 0.5))
        await entrance.settle()
        there = await wait_s()
        assert there is not None and there == pytest.approx(told + 0.5)  # here, and then at signin
        assert entrance.recorded == before  # a question, and nobody's promise
        entrance.clock.advance(10)
        assert await wait_s() is None


async def test_a_frozen_door_lets_no_more_in_at_once_than_it_may_call_in_a_second(entrance: Entrance) -> None:
    await entrance.settle()
    entrance.clock.advance(1.0)
    async with entrance.client() as client:
        tickets = [(await joined(client)).get("ticket") for _ in range(100)]
        waiting = [ticket for ticket in tickets if ticket]

        async def let_in() -> int:
            answers = [(await client.get("/waiting", params={"ticket": ticket})).json() for ticket in waiting]
            return sum("admitted" in answer for answer in answers)

        assert 87 <= len(waiting) <= 90
        await entrance.settle()
        entrance.clock.advance(2.9)  # signin does not count as silent yet
        called = await let_in()
        assert 10 <= called <= 35  # a second of twice its capacity, while nothing but its word is known
        entrance.clock.advance(3_600)
        assert await let_in() == 0  # what signin can take now, nobody knows
        await entrance.settle()
        entrance.clock.advance(0.5)
        assert called // 2 <= await let_in() <= called + 24  # the last few were called a moment before their turn


async def test_a_door_that_starts_lets_nobody_in_before_signin_is_heard(build: BuildDoor) -> None:
    entrance = build()
    entrance.clock.advance(600)
    async with entrance.client() as client:
        answer = await joined(client)
        assert (answer["place"], answer["wait_s"]) == (1, None)
        await entrance.settle()
        ticket = {"ticket": answer["ticket"]}
        assert "admitted" not in (await client.get("/waiting", params=ticket)).json()
        entrance.clock.advance(0.2)
        assert "admitted" in (await client.get("/waiting", params=ticket)).json()


async def test_a_ticket_of_an_earlier_key_keeps_its_place(entrance: Entrance) -> None:
    key = entrance.door._keys.ticket
    rotation = SecretRotation(entrance.home, "door-ticket", key, entrance.clock)
    async with entrance.client() as client:
        ticket = {"ticket": (await client.post("/enter", json=asking())).json()["ticket"]}
        before = key.current
        make_next_key(entrance.home, "door-ticket")
        rotation.step()
        entrance.clock.advance(STORAGE_LIMITS.key_published_seconds)
        rotation.step()
        assert key.others == (before,)
        renewed = {"ticket": (await client.get("/waiting", params=ticket)).json()["ticket"]}
        await entrance.settle()
        entrance.clock.advance(0.5)
        passes = [(await client.get("/waiting", params=each)).json()["admitted"] for each in (ticket, renewed)]
        keys = our_jwt.read_jwks(read_public_keys(entrance.home, "pass"))
        one, other = (admission_pass.verified(each, keys) for each in passes)
        assert one is not None and one == other
        key.others = ()  # dropped, as the thirteenth before
        assert (await client.get("/waiting", params=ticket)).status_code == 400
        assert (await client.get("/waiting", params=renewed)).status_code == 200


async def test_a_pass_is_the_same_when_asked_for_again_until_the_ticket_is_old(entrance: Entrance) -> None:
    async with entrance.client() as client:
        ticket = {"ticket": (await client.post("/enter", json=asking())).json()["ticket"]}
        await entrance.settle()
        entrance.clock.advance(0.5)
        first, second = [(await client.get("/waiting", params=ticket)).json() for _ in range(2)]
        keys = our_jwt.read_jwks(read_public_keys(entrance.home, "pass"))
        passes = [admission_pass.verified(answer["admitted"], keys) for answer in (first, second)]
        assert passes[0] == passes[1] and passes[0] is not None
        assert passes[0].device == DEVICE and passes[0].pass_id == passes[0].promise
        told = [(o.step, o.verdict, o.promise) for o in entrance.recorded]  # entering is told by signin
        assert told == [("join", "asked", passes[0].promise), ("enter", "asked", passes[0].promise)]
        assert first["expires_at"] == entrance.clock.now() + 300
        entrance.clock.advance(6 * 3_600)
        assert (await client.get("/waiting", params=ticket)).status_code == 400


async def test_the_door_looks_after_itself_until_it_is_stopped(
    build: BuildDoor, caplog: pytest.LogCaptureFixture
) -> None:
    entrance = build(timing=Timing(lag_measured_seconds=0, line_kept_seconds=0, capacity_asked_seconds=0))
    listed = entrance.home / "public" / "revoked.json"
    listed.parent.mkdir(exist_ok=True)
    listed.write_text(json.dumps({"as_of": entrance.clock.now() - 7, "device_tokens": []}))
    running = asyncio.create_task(entrance.door.run())
    counters = entrance.door.counters
    await eventually(lambda: counters()["line_standing_still"] == 0.0 and counters()["revoked_list_age_seconds"] == 7)
    entrance.capacity.append(None)
    entrance.clock.advance(3.1)
    await eventually(lambda: counters()["line_standing_still"] == 1.0)
    entrance.capacity.append(Capacity(10, 0))
    await eventually(lambda: counters()["line_standing_still"] == 0.0)
    async with entrance.client() as client:
        await joined(client)
    kept = entrance.home / "door" / "line.json"
    await eventually(lambda: kept.exists() and "front" in json.loads(kept.read_bytes()))
    assert [record.message for record in caplog.records] == [
        "signin is heard again: the line moves",
        "signin is silent: the line stands",
        "signin is heard again: the line moves",
    ]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


async def test_with_the_waiting_room_off_the_door_asks_nobody_and_keeps_no_line(build: BuildDoor) -> None:
    quick = Timing(lag_measured_seconds=0, line_kept_seconds=0, capacity_asked_seconds=0)
    entrance = build(DoorSettings(waiting_room="off"), timing=quick)
    listed = entrance.home / "public" / "revoked.json"
    listed.parent.mkdir(exist_ok=True)
    listed.write_text(json.dumps({"as_of": entrance.clock.now() - 7, "device_tokens": []}))
    running = asyncio.create_task(entrance.door.run())
    await eventually(lambda: entrance.door.counters()["revoked_list_age_seconds"] == 7)
    assert entrance.door.counters()["line_standing_still"] == 1.0
    async with entrance.client() as client:
        assert (await client.get("/line")).json()["wait_s"] == 0.0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not (entrance.home / "door").exists()


async def test_after_a_restart_the_line_goes_on_where_it_was(entrance: Entrance, build: BuildDoor) -> None:
    async with entrance.client() as client:
        tickets = [(await joined(client))["ticket"] for _ in range(40)]
    await entrance.settle()
    entrance.clock.advance(1.0)
    await entrance.settle()
    entrance.clock.advance(0.7)
    await entrance.settle()
    before = entrance.door.counters()
    assert 10 < before["line_waiting"] < 40
    anew = build()
    assert [anew.door.counters()[name] for name in ("line_front", "line_waiting")] == [
        before[name] for name in ("line_front", "line_waiting")
    ]
    async with anew.client() as client:
        waiting = (await client.get("/waiting", params={"ticket": tickets[39]})).json()
        newcomer = await joined(client)
    assert abs(waiting["place"] - before["line_waiting"]) <= 3
    assert (
        newcomer["place"] in (int(before["line_waiting"]) + 1, int(before["line_waiting"]) + 2)
        and newcomer["position"] > waiting["position"]
    )


async def test_whoever_came_back_after_the_line_was_last_written_down_is_counted_by_the_next_one(
    entrance: Entrance, build: BuildDoor
) -> None:
    async with entrance.client() as client:
        tickets = [(await joined(client))["ticket"] for _ in range(20)]
        await entrance.settle()  # the line is written down: nobody is back
        tickets = [(await client.get("/waiting", params={"ticket": ticket})).json()["ticket"] for ticket in tickets]
    entrance.clock.advance(4)
    anew = build()
    async with anew.client() as client:
        for _ in range(2):  # an old ticket that is shown again counts once
            places = [(await client.get("/waiting", params={"ticket": ticket})).json()["place"] for ticket in tickets]
        anew.clock.advance(0.1)
        newcomer = await joined(client)
    assert newcomer["place"] == 21 and max(places) <= 20


@pytest.mark.parametrize(
    "content", ["{ torn", "[]", "{}", '{"front": 0, "windows": 5}', '{"front": 0, "windows": [[1]]}']
)
async def test_a_line_that_cannot_be_read_is_begun_anew_and_those_with_a_ticket_keep_their_place(
    entrance: Entrance, build: BuildDoor, content: str
) -> None:
    async with entrance.client() as client:
        tickets = [(await joined(client))["ticket"] for _ in range(20)]
    await entrance.settle()
    (entrance.home / "door" / "line.json").write_text(content)
    entrance.clock.advance(30)
    anew = build()
    async with anew.client() as client:
        places = [(await client.get("/waiting", params={"ticket": ticket})).json()["place"] for ticket in tickets[10:]]
        assert max(places) <= 10  # of those who have shown
        entrance.clock.advance(0.1)
        newcomer = await joined(client)
        assert newcomer["place"] == 11
        again = [(await client.get("/waiting", params={"ticket": ticket})).json() for ticket in tickets[10:]]
        assert all(answer["position"] < newcomer["position"] for answer in again)


async def test_a_line_that_cannot_be_written_stops_nobody_and_is_written_later(
    entrance: Entrance, caplog: pytest.LogCaptureFixture
) -> None:
    blocking = entrance.home / "door"
    blocking.write_text("a file where the folder should be")
    await entrance.settle()
    assert "cannot be kept over a restart" in caplog.text
    blocking.unlink()
    await entrance.settle()
    line = blocking / "line.json"
    assert json.loads(line.read_bytes())["windows"] == []
    line.unlink()
    await entrance.settle()
    assert not line.exists()  # nothing has changed, so nothing is written
    async with entrance.client() as client:
        answers = [await joined(client) for _ in range(5)]
    await entrance.settle()
    people = sum(people for _, people in json.loads(line.read_bytes())["windows"])
    assert people == sum("ticket" in answer for answer in answers) > 0


async def test_every_answer_is_counted_by_what_it_was(entrance: Entrance) -> None:
    async with entrance.client() as client:
        await client.post("/playback-token", headers=bearer(entrance.token()))
        await client.post("/playback-token", headers=bearer("x"))
        await client.post("/playback-token", headers=bearer("x"))
        for _ in range(3):
            await joined(client)
    counted = entrance.door.counters()
    assert {name: number for name, number in counted.items() if name.endswith("_total")} == {
        "playback_token_kept_total": 1,
        "playback_token_bad_token_total": 2,
        "join_asked_total": 3,
        "enter_asked_total": 3,
    }
    assert (counted["line_waiting"], counted["line_windows"], counted["line_rate_per_second"]) == (3, 3, 0.0)
    await entrance.settle()
    entrance.clock.advance(1.6)
    async with entrance.client() as client:
        await client.get("/line")
    moving = entrance.door.counters()
    assert moving["line_front"] > counted["line_front"] and moving["line_waiting"] < 3
    assert 10 < moving["line_rate_per_second"] < 30


async def test_the_request_that_is_too_much_is_refused_and_the_one_before_is_not(entrance: Entrance) -> None:
    async with entrance.client() as client:
        for others, status in ((1_999, 200), (2_000, 503)):
            entrance.door.in_flight = others  # the request itself is one
            assert (await client.post("/enter", json=asking())).status_code == status
            assert entrance.door.in_flight == others
            answer = await client.get("/waiting?ticket=x")
            assert answer.status_code == (400 if status == 200 else 503)
            assert (await client.get("/line")).status_code == 200  # costs nothing, and playout's rule goes by it


async def test_whose_body_does_not_come_takes_nobodys_place_and_is_promised_nothing(entrance: Entrance) -> None:
    edge = application(entrance.door, viewer_origin=VIEWER, open_channels_url=OPEN)
    scope = {"type": "http", "method": "POST", "path": "/enter", "headers": [], "query_string": b""}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def leaves() -> Any:
        assert entrance.door.in_flight == 0, "it is not at work for whoever has not asked yet"
        return {"type": "http.disconnect"}

    await edge(scope, leaves, send)
    await edge({"type": "lifespan"}, leaves, send)
    assert (sent, entrance.door.in_flight, entrance.recorded) == ([], 0, [])


async def test_each_address_takes_its_own_method(entrance: Entrance) -> None:
    right = {"/playback-token": "POST", "/enter": "POST", "/waiting": "GET", "/line": "GET"}
    async with entrance.client() as client:
        for path, method in right.items():
            for other in {"GET", "POST", "PUT", "DELETE"} - {method}:
                assert (await client.request(other, path)).status_code == 405
            asked = await client.options(path)
            assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (204, method)
        assert (await client.get("/elsewhere")).status_code == 404
    assert entrance.recorded == []


def test_nothing_that_lets_somebody_in_shows_when_it_is_printed(entrance: Entrance) -> None:
    shown = repr(
        (
            Issued("secret", 1.0, 2.0, 3.0),
            Admitted("secret", 1.0),
            Waiting("secret", 1, 1.0, 1.0, None),
            replace(load_keys(entrance.home), ticket=SecretKey(b"secret")),
        )
    )
    assert "secret" not in shown


def invented(number: int) -> str:
    return f"d-{number:022d}"


async def test_a_flood_of_invented_joins_makes_no_wait_for_who_comes_honestly(entrance: Entrance) -> None:
    """527 joins in 10 s of which nobody comes back: the line is as long as those who do."""
    await entrance.settle()
    entrance.clock.advance(1.0)
    refused, waits = 0, []
    async with entrance.client("203.0.113.9") as flood, entrance.client("192.0.2.1") as home:
        for second in range(10):
            answers = [await flood.post("/enter", json=asking(invented(100 * second + n))) for n in range(53)]
            refused += sum(answer.status_code == 503 for answer in answers)
            entrance.clock.advance(1.0)
            await entrance.settle()
            waits.append((await home.get("/line")).json()["wait_s"])
        assert max(waits) < 1 and 200 <= 530 - refused <= 250
        honest = (await home.post("/enter", json=asking())).json()
        if "ticket" in honest:
            entrance.clock.advance(honest["poll_after_s"])
            honest = (await home.get("/waiting", params={"ticket": honest["ticket"]})).json()
        assert "admitted" in honest
    told = [o for o in entrance.recorded if o.verdict == "broken"]
    assert {(o.step, o.reason) for o in told} == {("enter", "too-many-joins")} and len(told) <= 11
    assert entrance.door.counters()["enter_too_many_joins_total"] == refused


async def test_joins_are_limited_by_network_and_the_refusal_says_when_to_come_again(build: BuildDoor) -> None:
    settings = DoorSettings(joins_per_network=3, joins_per_network_per_minute=30, joins_unlimited=("192.0.2.0/24",))
    entrance = build(settings, trusted_proxies=("10.0.0.1",))

    async def joins(address: str, count: int) -> list[int]:
        async with entrance.client(address) as client:
            return [(await client.post("/enter", json=asking())).status_code for _ in range(count)]

    assert await joins("203.0.113.9", 5) == [200, 200, 200, 503, 503]
    assert await joins("203.0.113.10", 1) == [200]
    assert await joins("2001:db8::1", 3) == [200] * 3
    assert await joins("2001:db8::ffff", 1) == [503]  # one home
    assert await joins("2001:db8:0:1::1", 1) == [200]
    assert await joins("192.0.2.7", 9) == await joins("10.0.0.1", 9) == await joins("::ffff:192.0.2.7", 9) == [200] * 9
    async with entrance.client("203.0.113.9") as client:
        refused = await client.post("/enter", json=asking())
        assert (refused.json()["error"], refused.headers["retry-after"]) == ("too-many-joins", "2")
        entrance.clock.advance(2.0)
        assert (await client.post("/enter", json=asking())).status_code == 200


async def test_behind_one_address_a_thousand_homes_come_within_minutes(build: BuildDoor) -> None:
    entrance = build()
    async with entrance.client("198.51.100.1") as client:
        for _ in range(500):
            entrance.clock.advance(0.25)
            assert (await client.post("/enter", json=asking())).status_code == 200


async def test_who_comes_back_is_told_once_with_the_time_at_which_they_asked(entrance: Entrance) -> None:
    asked_at = entrance.clock.now()
    async with entrance.client() as client:
        first = (await client.post("/enter", json=asking())).json()
        entrance.clock.advance(first["poll_after_s"])
        answers = [(await client.get("/waiting", params={"ticket": first["ticket"]})).json() for _ in range(3)]
        assert [answer["place"] for answer in answers] == [1, 1, 1]
        await client.get("/waiting", params={"ticket": answers[-1]["ticket"]})
    told = [(o.step, o.verdict, o.time) for o in entrance.recorded]
    assert told == [("join", "asked", asked_at), ("enter", "asked", asked_at)]


async def test_who_comes_back_with_a_pass_gets_it_again_and_that_is_told_once(entrance: Entrance) -> None:
    await entrance.settle()
    entrance.clock.advance(0.5)
    asked_at = entrance.clock.now()
    async with entrance.client() as client:
        admitted = (await client.post("/enter", json=asking())).json()["admitted"]
        entrance.clock.advance(20)
        for _ in range(2):
            again = await client.get("/waiting", params={"ticket": admitted})
            assert again.json()["admitted"] == admitted
        entrance.clock.advance(300)
        assert (await client.get("/waiting", params={"ticket": admitted})).status_code == 400
    *_, joined_, asked, back = entrance.recorded
    assert (asked.step, asked.verdict, asked.device, asked.promise) == ("sign-in", "asked", DEVICE, joined_.promise)
    assert len(entrance.recorded) == 4 and abs(asked.time - asked_at) <= 1
    assert (back.step, back.verdict, back.device, back.promise) == ("return", "asked", DEVICE, joined_.promise)
    assert back.time == asked_at + 20


async def test_each_time_that_somebody_comes_back_with_a_pass_is_told_now_and_then(build: BuildDoor) -> None:
    entrance = build(timing=Timing(returned_max=2))
    await entrance.settle()
    entrance.clock.advance(0.5)
    async with entrance.client() as client:
        passes = [(await client.post("/enter", json=asking())).json()["admitted"] for _ in range(3)]
        began_at = entrance.clock.now()

        async def back(number: int) -> list[float]:
            before = len(entrance.recorded)
            await client.get("/waiting", params={"ticket": passes[number]})
            return [o.time - began_at for o in entrance.recorded[before:] if o.step == "return"]

        told = []
        for _ in range(8):
            told += await back(0)
            entrance.clock.advance(2)
        assert told == [0.0, 6.0, 12.0], "every five seconds at the most, however often they ask"
        assert await back(1) and await back(2) and not await back(2)
        assert await back(0), "what is remembered is bounded: the one told longest ago is forgotten"


async def test_what_the_door_remembers_of_who_came_back_is_bounded(build: BuildDoor) -> None:
    entrance = build(timing=Timing(returned_max=2))
    async with entrance.client() as client:
        tickets = [(await client.post("/enter", json=asking())).json()["ticket"] for _ in range(3)]
        for ticket in (*tickets, tickets[2], tickets[0]):
            await client.get("/waiting", params={"ticket": ticket})
    told = [o.promise for o in entrance.recorded if (o.step, o.verdict) == ("enter", "asked")]
    assert told == [*told[:3], told[0]]  # the longest ago is forgotten, and told again


async def test_whoever_is_about_to_be_called_is_answered_when_they_are(entrance: Entrance) -> None:
    await entrance.settle()
    entrance.clock.advance(1.0)

    async def time_goes_on(seconds: float) -> None:
        assert entrance.door.in_flight == 0, "nothing is done for whoever waits for their turn"
        entrance.clock.advance(seconds)
        await entrance.settle()

    async with entrance.client() as client:
        answers = [(await client.post("/enter", json=asking())).json() for _ in range(16)]
        tickets = [answer["ticket"] for answer in answers if "ticket" in answer]
        entrance.clock.advance(1.0)
        entrance.while_held = time_goes_on
        last = (await client.get("/waiting", params={"ticket": tickets[-1]})).json()
        assert "admitted" in last and entrance.held_s and max(entrance.held_s) <= 1.5


async def test_nobody_is_held_for_ever_nor_while_the_line_stands(entrance: Entrance) -> None:
    async with entrance.client() as client:
        assert "ticket" in await joined(client) and entrance.held_s == []
        await entrance.settle()
        entrance.clock.advance(0.1)
        for _ in range(9):
            last = await joined(client)
        assert "ticket" in last and len(entrance.held_s) % 8 == 0 and entrance.held_s


async def test_nobody_is_held_for_longer_than_a_page_waits_for_an_answer(entrance: Entrance) -> None:
    async with entrance.client() as client:
        await entrance.settle()
        for _ in range(15):
            answer = (await client.post("/enter", json=asking())).json()
        entrance.clock.advance(1.0)
        await entrance.settle()
        for _ in range(9):
            await joined(client)
        entrance.held_s.clear()
        held = {}
        for place in range(9):
            answer = await joined(client)
            held[place] = sum(entrance.held_s)
            entrance.held_s.clear()
        assert "ticket" in answer
        assert max(held.values()) <= HELD_SECONDS_MAX, held


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("ticket=", 400),
        ("ticket=a.b-c_d", 400),
        ("ticket=a&proof=b", 400),
        ("ticket=%41", 400),
        ("other=1&ticket=x", 400),
        ("", 400),
        ("ticket=x%0A", 400),
    ],
)
async def test_a_ticket_is_read_from_any_query_alike(entrance: Entrance, query: str, status: int) -> None:
    async with entrance.client() as client:
        await entrance.settle()
        assert (await client.get(f"/waiting?{query}")).status_code == status


async def test_a_question_costs_no_more_steps_than_it_did(entrance: Entrance) -> None:
    """What benchmarks/door.py measures in time, counted: calls of one request to the door, in a line."""
    edge = application(entrance.door, viewer_origin=VIEWER, open_channels_url=OPEN)
    async with entrance.client() as client:
        tickets = [await joined(client, f"d-{number:022d}") for number in range(50)]
    steps = 0

    def counted(_: object, event: str, __: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    async def cost(path: str, query: bytes = b"") -> int:
        nonlocal steps
        steps = 0
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": []}
        sys.setprofile(counted)
        try:
            await edge(scope, receive, send)
        finally:
            sys.setprofile(None)
        return steps

    ticket = tickets[-1]["ticket"].encode() + b"&proof=x." + b"y" * 128
    await cost("/line")
    costs = {"line": await cost("/line"), "waiting": await cost("/waiting", b"ticket=" + ticket)}
    assert costs["line"] <= 30 and costs["waiting"] <= 145, costs


async def in_line(entrance: Entrance, client: httpx.AsyncClient, owner: dict[str, str]) -> str:
    """The ticket of one whose turn has come, and who has not asked for their pass."""
    ticket: str = (await client.post("/enter", json={"device": DEVICE} | owner)).json()["ticket"]
    await entrance.settle()
    entrance.clock.advance(0.5)
    return ticket


def passed(entrance: Entrance, answer: httpx.Response) -> admission_pass.Pass | None:
    keys = our_jwt.read_jwks(read_public_keys(entrance.home, "pass"))
    return admission_pass.verified(answer.json().get("admitted", ""), keys)


async def test_a_stolen_ticket_gives_nobody_a_pass_and_takes_none_from_its_holder(entrance: Entrance) -> None:
    key, thief = DeviceKey(), DeviceKey()
    async with entrance.client() as client:
        ticket = await in_line(entrance, client, {"holder": key.holder})
        for proof in (
            "",
            "x",
            thief.proof("enter", ticket),
            key.proof("sign-in", ticket),
            key.proof("enter", ""),
        ):
            refused = await client.get("/waiting", params={"ticket": ticket, "proof": proof})
            assert (refused.status_code, refused.json()["error"]) == (403, "not-yours")
        assert (await client.get("/waiting", params={"ticket": ticket})).status_code == 403
        got = await client.get("/waiting", params={"ticket": ticket, "proof": key.proof("enter", ticket)})
    admitted = passed(entrance, got)
    assert admitted is not None and admitted.holder == key.holder and admitted.device == DEVICE
    assert [o.reason for o in entrance.recorded if o.verdict == "broken"] == [], "a thief fills no journal"
    assert entrance.door.counters()["enter_not_yours_total"] == 6


async def test_nothing_is_verified_before_there_is_a_pass_to_give(entrance: Entrance) -> None:
    key = DeviceKey()
    async with entrance.client() as client:
        ticket = (await client.post("/enter", json=asking(holder=key.holder))).json()["ticket"]
        waiting = (await client.get("/waiting", params={"ticket": ticket, "proof": "x"})).json()
        assert waiting["ticket"] != ticket
        await entrance.settle()
        entrance.clock.advance(0.5)
        old = {"ticket": waiting["ticket"], "proof": key.proof("enter", ticket)}
        assert (await client.get("/waiting", params=old)).json()["error"] == "not-yours"
        new = old | {"proof": key.proof("enter", waiting["ticket"])}
        assert "admitted" in (await client.get("/waiting", params=new)).json()


async def test_whose_answer_is_held_has_proven_with_the_ticket_that_they_showed(entrance: Entrance) -> None:
    key = DeviceKey()

    async def time_goes_on(seconds: float) -> None:
        entrance.clock.advance(seconds)
        await entrance.settle()

    await entrance.settle()
    entrance.clock.advance(1.0)
    async with entrance.client() as client:
        answers = [(await client.post("/enter", json=asking(holder=key.holder))).json() for _ in range(16)]
        tickets = [answer["ticket"] for answer in answers if "ticket" in answer]
        entrance.clock.advance(1.0)
        entrance.while_held = time_goes_on
        shown = {"ticket": tickets[-1], "proof": key.proof("enter", tickets[-1])}
        assert "admitted" in (await client.get("/waiting", params=shown)).json() and entrance.held_s
        unproven = await client.get("/waiting", params={"ticket": tickets[-2]})
    assert unproven.json()["error"] == "not-yours"


async def test_what_has_no_key_names_itself_by_a_secret_and_shows_it_to_sign_in_alone(entrance: Entrance) -> None:
    async with entrance.client() as client:
        ticket = await in_line(entrance, client, {"secret": SOMEBODY.secret})
        got = await client.get("/waiting", params={"ticket": ticket})
    admitted = passed(entrance, got)
    assert admitted is not None and admitted.holder == SOMEBODY.holder


async def test_whoever_is_admitted_at_once_holds_their_pass_too(entrance: Entrance) -> None:
    await entrance.settle()
    entrance.clock.advance(1.0)
    holder = DeviceKey().holder
    async with entrance.client() as client:
        got = await client.post("/enter", json=asking(holder=holder))
        # Both at once: the secret says whose it is.
        both = await client.post("/enter", json=asking(holder=holder) | {"secret": SOMEBODY.secret})
    admitted = [passed(entrance, each) for each in (got, both)]
    assert [each.holder for each in admitted if each] == [holder, SOMEBODY.holder]


async def test_a_token_says_when_it_is_renewed_and_a_large_programme_moves_that_ahead(build: BuildDoor) -> None:
    entrance = build()
    publish_public_key(entrance.home, "device", "signin", entrance.device_key)
    now = entrance.clock.now()
    start, end = (datetime.fromtimestamp(now + hours * 3_600, UTC).isoformat() for hours in (7, 9))
    before = build(streaming=Streaming(large_programmes=(f"{start}/{end}",)))
    async with entrance.client() as client, before.client() as other:
        as_ever = (await client.post("/playback-token", headers=bearer(entrance.token()))).json()
        ahead = (await other.post("/playback-token", headers=bearer(before.token()))).json()
    assert (as_ever["renew_after"] - now, as_ever["renew_by"] - now) == (6 * 3_600, 9 * 3_600)
    assert 4 * 3_600 <= ahead["renew_after"] - now < ahead["renew_by"] - now <= 6.75 * 3_600
    assert ahead["renew_by"] - ahead["renew_after"] == 10 and ahead["expires_at"] == as_ever["expires_at"]
