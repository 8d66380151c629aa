"""The door through its front: device token to playback token, and the waiting room."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import jwt as pyjwt
import pytest

from prikkfri.clock import ManualClock
from prikkfri.config import Config
from prikkfri.config import Door as DoorSettings
from prikkfri.door.http import application
from prikkfri.door.overload import Limits, lag, retry_after
from prikkfri.door.service import Door, asking_signin, load_keys
from prikkfri.door.waiting_room import Capacity
from prikkfri.journal import Outcome
from prikkfri.protocols import admission_pass, cat, device_token
from prikkfri.protocols import jwt as our_jwt
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.storage.keys import SigningKey, command_key, publish_public_key, read_public_keys, signing_key

VIEWER = "http://localhost:8080"
OPEN = "http://localhost:8082/open"
DEVICE = "d-AAAAAAAAAAAAAAAAAAAAAA"


@dataclass
class Entrance:
    door: Door
    clock: ManualClock
    home: Path
    recorded: list[Outcome]
    device_key: SigningKey
    capacity: list[Capacity | None]
    """What signin says from now on: the last one."""

    def client(self) -> httpx.AsyncClient:
        edge = application(self.door, viewer_origin=VIEWER, open_channels_url=OPEN)
        transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url="http://localhost:8086", headers={"origin": VIEWER})

    def token(self, **changes: Any) -> str:
        now = self.clock.now()
        token = DeviceToken("s-1", DEVICE, ("basic", "sport"), now, now + 1_000, b"0123456789abcdef")
        return device_token.issue(self.device_key.private, self.device_key.kid, replace(token, **changes))

    async def settle(self) -> None:
        """Runs the door's own work once: reads the revocation list, asks signin, keeps the line."""
        running = asyncio.create_task(self.door.run())
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


BuildDoor = Callable[..., Entrance]


@pytest.fixture
def build(tmp_path: Path, clock: ManualClock) -> BuildDoor:
    def build(settings: DoorSettings | None = None) -> Entrance:
        recorded: list[Outcome] = []
        capacity: list[Capacity | None] = [Capacity(10, 0)]

        async def ask() -> Capacity | None:
            return capacity[-1]

        door = Door(
            record=recorded.append,
            config=Config(home=tmp_path, door=settings or DoorSettings()),
            keys=load_keys(tmp_path),
            clock=clock,
            ask_capacity=ask,
        )
        device_key = signing_key(tmp_path, "signin-device")
        return Entrance(door, clock, tmp_path, recorded, device_key, capacity)

    return build


@pytest.fixture
def entrance(build: BuildDoor) -> Entrance:
    entrance = build()
    publish_public_key(entrance.home, "device", "signin", entrance.device_key)
    return entrance


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


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
        for bad in (untyped, confused, unsigned, forged, "", "a.b.c", good[:-4] + "AAAA", "x" * 9_000, "é"):
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


async def test_a_key_that_signin_makes_later_is_found(build: BuildDoor) -> None:
    entrance = build()
    async with entrance.client() as client:
        assert (await client.post("/playback-token", headers=bearer(entrance.token()))).status_code == 401
        publish_public_key(entrance.home, "device", "signin", entrance.device_key)
        entrance.clock.advance(1.1)
        assert (await client.post("/playback-token", headers=bearer(entrance.token()))).status_code == 200


async def test_a_verdict_that_is_remembered_is_its_tokens_own(entrance: Entrance) -> None:
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
    assert entrance.door.counters()["verdicts_remembered"] == 6


async def test_beyond_its_limits_the_door_refuses_at_once_and_says_so(entrance: Entrance) -> None:
    entrance.door.in_flight = 3_000
    async with entrance.client() as client:
        for request in (
            client.post("/playback-token", headers=bearer(entrance.token())),
            client.post("/enter", json={"device": DEVICE}),
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


async def test_when_nobody_waits_a_pass_comes_at_once(entrance: Entrance) -> None:
    await entrance.settle()
    entrance.clock.advance(0.5)
    async with entrance.client() as client:
        answer = await client.post("/enter", json={"device": DEVICE})
    keys = our_jwt.read_jwks(read_public_keys(entrance.home, "pass"))
    admitted = admission_pass.verified(answer.json()["admitted"], keys)
    assert admitted is not None
    assert (admitted.device, admitted.expires_at) == (DEVICE, entrance.clock.now() // 1 + 300)
    kept, asked = entrance.recorded
    assert (kept.step, kept.verdict, kept.device, kept.promise) == ("enter", "kept", DEVICE, "")
    assert (asked.step, asked.verdict, asked.device) == ("sign-in", "asked", DEVICE)
    assert asked.promise == admitted.promise != ""


async def test_a_crowd_gets_places_and_each_its_pass_in_turn(entrance: Entrance) -> None:
    await entrance.settle()
    entrance.clock.advance(1.0)
    async with entrance.client() as client:
        answers = [(await client.post("/enter", json={"device": DEVICE})).json() for _ in range(40)]
        at_once = [a for a in answers if "admitted" in a]
        waiting = [a for a in answers if "ticket" in a]
        assert len(at_once) == 10  # one second of capacity
        assert [a["place"] for a in waiting] == list(range(1, 31))
        assert all(a["since"] is None and a["open"] == OPEN and a["poll_after_s"] >= 1 for a in waiting)
        assert [round(a["wait_s"]) for a in (waiting[9], waiting[29])] == [1, 3]
        entrance.clock.advance(1.0)
        await entrance.settle()
        then = [(await client.get("/waiting", params={"ticket": a["ticket"]})).json() for a in waiting]
        let_in = [i for i, a in enumerate(then) if "admitted" in a]
        assert let_in == list(range(len(let_in))) and 8 <= len(let_in) <= 20
        assert then[-1]["place"] == 30 - len(let_in)
        assert then[-1]["ticket"] == waiting[-1]["ticket"]
    asked = [o for o in entrance.recorded if (o.step, o.verdict) == ("enter", "asked")]
    assert len({o.promise for o in asked}) == len(asked) == 30
    keys = our_jwt.read_jwks(read_public_keys(entrance.home, "pass"))
    carried = [admission_pass.verified(then[i]["admitted"], keys) for i in let_in]
    assert [p.promise for p in carried if p] == [o.promise for o in asked[: len(let_in)]]


async def test_when_signin_is_silent_the_line_stands_says_since_when_and_outlives_the_door(
    entrance: Entrance, build: BuildDoor
) -> None:
    await entrance.settle()
    died = entrance.clock.now()
    entrance.capacity.append(None)
    entrance.clock.advance(5.0)
    async with entrance.client() as client:
        for _ in range(20):
            last = (await client.post("/enter", json={"device": DEVICE})).json()
        assert (last["place"], last["wait_s"], last["since"]) == (20, None, died)
    await entrance.settle()

    anew = build()
    anew.clock.advance(30)
    async with anew.client() as client:
        standing = (await client.get("/waiting", params={"ticket": last["ticket"]})).json()
        assert (standing["place"], standing["wait_s"]) == (20, None)
        newcomer = (await client.post("/enter", json={"device": DEVICE})).json()
        assert newcomer["place"] == 21
        await anew.settle()
        anew.clock.advance(1)
        await anew.settle()
        moving = (await client.get("/waiting", params={"ticket": last["ticket"]})).json()
        assert moving["place"] < 20 and moving["since"] is None


async def test_what_is_no_ticket_is_refused(entrance: Entrance) -> None:
    async with entrance.client() as client:
        for query in ("", "?ticket=", "?ticket=abc", "?ticket=%00", "?other=1", "?ticket=" + "A" * 400):
            answer = await client.get(f"/waiting{query}")
            assert (answer.status_code, answer.json()["error"]) == (400, "bad-ticket")
        assert (await client.get("/waiting?ticket=" + "A" * 600)).status_code == 413
        assert (await client.get("/waiting?" + "&" * 20)).status_code == 400
        for body in (b"", b"{}", b'{"device": "x"}', b'{"device": 5}', b"\xff"):
            assert (await client.post("/enter", content=body)).status_code == 400
        assert (await client.post("/enter", content=b" " * 2_000)).status_code == 413
    assert entrance.recorded == []


async def test_only_the_viewers_pages_may_ask(entrance: Entrance) -> None:
    async with entrance.client() as client:
        elsewhere = {"origin": "http://localhost:8081"}
        assert (await client.post("/enter", json={"device": DEVICE}, headers=elsewhere)).status_code == 403
        asked = await client.options("/playback-token")
        assert asked.headers["access-control-allow-origin"] == VIEWER
        assert "Authorization" in asked.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in asked.headers


async def test_with_the_waiting_room_off_everyone_gets_a_pass(build: BuildDoor) -> None:
    entrance = build(DoorSettings(waiting_room="off"))
    async with entrance.client() as client:
        for _ in range(50):
            assert "admitted" in (await client.post("/enter", json={"device": DEVICE})).json()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"per_second": 70.5, "waiting_s": 0.5, "waiting": 3}, Capacity(70.5, 0.5)),
        (200, {"per_second": -1, "waiting_s": 0}, None),
        (200, {"per_second": 1e300, "waiting_s": 0}, None),
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
        assert await asking_signin(client, "http://localhost:8081", tmp_path)() == expected


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
            await client.post("/enter", json={"device": DEVICE})
        entrance.recorded[:] = before
        told = await wait_s()
        assert told is not None and told > 2
        assert entrance.recorded == before  # a question, and nobody's promise
        entrance.clock.advance(10)
        assert await wait_s() is None
