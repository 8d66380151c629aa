"""Sign-in through its front door, on both engines."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signin_house import COMMAND_KEY, DEVICE, PASSWORD, VIEWER, House

from prikkfri.errors import StorageUnavailable, UsageError
from prikkfri.protocols import cat
from prikkfri.signin import service as service_module
from prikkfri.signin.service import set_password, set_password_hashes
from prikkfri.storage import Database, Location, open_reader
from prikkfri.storage.keys import read_public_keys


def body(login: str = "kari@example.no", password: str = PASSWORD, **more: object) -> dict[str, object]:
    return {"login": login, "password": password, "device": DEVICE, **more}


@pytest.mark.parametrize("login", ["kari@example.no", " Kari@Example.NO", "+4791234567", "912 34 567"])
async def test_a_right_password_opens_a_session_and_gives_both_tokens(house: House, login: str) -> None:
    async with house.client() as client:
        answer = await client.post("/sign-in", json=body(login))
        assert answer.status_code == 200
        given = answer.json()
        assert given["name"] == "Kari Nordmann"
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("prikkfri-signin=")
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
        session = await client.get("/session")
        assert session.json()["name"] == "Kari Nordmann"
        assert session.json()["device"] == DEVICE
    [kept] = await house.journalled()
    assert (kept.step, kept.layer, kept.verdict, kept.customer, kept.device) == (
        "sign-in",
        "signin",
        "kept",
        "s-1",
        DEVICE,
    )
    assert house.recorded == []


async def test_the_tokens_hold_before_a_foreign_judge(house: House) -> None:
    async with house.client() as client:
        given = (await client.post("/sign-in", json=body())).json()
    now, home = house.clock.now(), house.config.home
    keys = {key.key_id: key for key in pyjwt.PyJWKSet.from_json(read_public_keys(home, "device").decode()).keys}
    header = pyjwt.get_unverified_header(given["device_token"])
    claims = pyjwt.decode(
        given["device_token"], keys[header["kid"]], algorithms=["ES256"], options={"verify_exp": False}
    )
    assert header["typ"] == "device+jwt"
    assert (claims["iss"], claims["sub"], claims["device"], claims["packages"]) == (
        "signin",
        "s-1",
        DEVICE,
        ["basic", "sport"],
    )
    assert claims["exp"] == now + 90 * 86_400
    verdict = cat.verify(given["playback_token"], cat.read_jwks(read_public_keys(home, "playback")), now, 0)
    assert verdict.standing == "ok" and verdict.claims is not None
    assert (verdict.claims.issuer, verdict.claims.subscriber, verdict.claims.packages) == (
        "signin",
        "s-1",
        {"basic", "sport"},
    )
    assert verdict.claims.expires_at == given["expires_at"]
    assert pyjwt.utils.base64url_encode(verdict.claims.token_id[:16]).decode() == claims["jti"]


async def test_an_unknown_login_is_answered_and_costs_like_a_wrong_password(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs: list[str] = []

    def counted(password: str, password_hash: str) -> bool:
        costs.append(password_hash.rsplit("$", 2)[0])
        return False

    monkeypatch.setattr(service_module, "matches", counted)
    async with house.client() as client:
        wrong = await client.post("/sign-in", json=body(password="feil"))
        unknown = await client.post("/sign-in", json=body("nobody@example.no", "feil"))
        nonsense = await client.post("/sign-in", json=body("hm", "feil"))
    assert wrong.status_code == unknown.status_code == nonsense.status_code == 401
    assert wrong.content == unknown.content == nonsense.content
    assert [*wrong.headers] == [*unknown.headers]
    assert costs == ["$argon2id$v=19$m=19456,t=2,p=1"] * 3
    assert [(o.verdict, o.reason, o.customer) for o in house.recorded] == [("broken", "wrong-credentials", "")] * 3
    assert await house.journalled() == []


async def test_without_television_the_right_password_says_so(house: House) -> None:
    async with house.client() as client:
        answer = await client.post("/sign-in", json=body("ola@example.no"))
    assert (answer.status_code, answer.json()["error"]) == (403, "no-subscription")
    assert "set-cookie" not in answer.headers
    assert [(o.reason, o.customer) for o in house.recorded] == [("no-subscription", "s-2")]


async def test_guessing_is_slowed_down_for_known_and_unknown_alike_and_passes(house: House) -> None:
    async with house.client() as client:
        for login in ("kari@example.no", "nobody@example.no"):
            answers = [await client.post("/sign-in", json=body(login, "feil")) for _ in range(7)]
            assert [a.status_code for a in answers] == [401] * 6 + [429]
            assert int(answers[-1].headers["retry-after"]) == answers[-1].json()["retry_after_s"] == 50
        assert (await client.post("/sign-in", json=body())).status_code == 429
        assert (await client.post("/sign-in", json=body(" KARI@example.no"))).status_code == 429
        house.clock.advance(51)
        assert (await client.post("/sign-in", json=body())).status_code == 200
    assert house.service.pool.counters.hashes == 13


async def test_signing_out_ends_the_session_and_revokes_the_device(house: House) -> None:
    async with house.client() as client:
        await client.post("/sign-in", json=body())
        jti = (await revoked(house), await tokens(house))[1][0]
        assert (await client.post("/sign-out")).status_code == 204
        assert (await client.get("/session")).status_code == 401
        assert (await client.post("/sign-out")).status_code == 204
    assert (await revoked(house))["device_tokens"] == [jti]


async def tokens(house: House) -> list[str]:
    return [row[0] for row in await house.database.read(lambda q: q.fetch("SELECT token_id FROM device_token"))]


async def revoked(house: House) -> dict[str, Any]:
    """The list after a round of housekeeping."""
    await house.service.keep_house()
    document: dict[str, Any] = json.loads((house.config.home / "public" / "revoked.json").read_bytes())
    assert document["as_of"] == house.clock.now()
    return document


async def test_a_sign_out_is_published_without_waiting_for_the_next_round(house: House) -> None:
    running = asyncio.create_task(house.service.run())
    async with house.client() as client, asyncio.timeout(20):
        await client.post("/sign-in", json=body())
        await client.post("/sign-out")
        path = house.config.home / "public" / "revoked.json"
        while not (path.exists() and json.loads(path.read_bytes())["device_tokens"]):
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_has_expired_is_forgotten(house: House) -> None:
    async with house.client() as client:
        await client.post("/sign-in", json=body())
        house.clock.advance(30 * 86_400 + 1)
        assert (await client.get("/session")).status_code == 401
        await revoked(house)
        assert await house.database.read(lambda q: q.fetch("SELECT * FROM session")) == []
        assert len(await tokens(house)) == 1
        house.clock.advance(63 * 86_400)
        await revoked(house)
        assert await tokens(house) == []


async def test_only_the_viewers_pages_may_ask(house: House) -> None:
    async with house.client() as client:
        for origin in ("http://localhost:8082", "https://localhost:8080", "http://localhost:8080.evil.example", "null"):
            answer = await client.post("/sign-in", json=body(), headers={"origin": origin})
            assert (answer.status_code, answer.json()["error"]) == (403, "bad-origin")
            assert answer.headers["access-control-allow-origin"] == VIEWER
        client.headers.pop("origin")
        assert (await client.post("/sign-in", json=body())).status_code == 200  # no browser, and no cookie yet
        assert (await client.post("/sign-out")).status_code == 403  # a cookie, and no origin
        asked = await client.options("/sign-in", headers={"origin": VIEWER})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-credentials"] == "true"
        assert asked.headers["access-control-allow-methods"] == "POST"
        assert (await client.get("/sign-in")).status_code == 405
        assert (await client.get("/elsewhere")).status_code == 404


NO_SIGN_IN = [
    b"",
    b"[]",
    b'{"login": 1}',
    json.dumps(body(device="d-short")).encode(),
    json.dumps(body(device="d-AAAAAAAAAAAAAAAAAAAAAA\n")).encode(),
    json.dumps(body("a\x00b")).encode(),
    json.dumps(body(password="")).encode(),
    json.dumps(body(password="x" * 257)).encode(),
    json.dumps(body("x" * 255)).encode(),
    rb'{"login": "a@b", "password": "\ud800", "device": "d-AAAAAAAAAAAAAAAAAAAAAA"}',
    b"\xff\xfe",
    b"[" * 5_000,
]


async def test_what_is_no_sign_in_is_refused_unhashed(house: House) -> None:
    async with house.client() as client:
        for wrong in NO_SIGN_IN:
            assert (await client.post("/sign-in", content=wrong)).status_code == 400, wrong
        assert (await client.post("/sign-in", content=b" " * 8_193)).status_code == 413
    assert house.service.pool.counters.hashes == 0


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(login=st.text(max_size=300), password=st.text(max_size=300), cookie=st.text('abc=;"\\ ,\t', max_size=60))
def test_any_text_gets_an_answer(login: str, password: str, cookie: str, tmp_path_factory: Any) -> None:
    """Decoding and cookies only; the service behind them is a double that knows nobody."""
    from prikkfri.signin.http import application
    from prikkfri.signin.service import Attempt, Refused

    class NobodyKnown:
        async def sign_in(self, attempt: Attempt) -> Refused:
            return Refused("wrong-credentials")

        async def session(self, cookie: str) -> None:
            return None

    import httpx

    edge = application(NobodyKnown(), viewer_origin=VIEWER, secure=True, command_key="k")  # type: ignore[arg-type]

    async def ask() -> tuple[int, int]:
        transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="https://x", headers={"origin": VIEWER}) as client:
            raw = json.dumps(body(login, password)).encode()
            signed = await client.post("/sign-in", content=raw)
            session = await client.get("/session", headers={"cookie": cookie.encode()})
            return signed.status_code, session.status_code

    first, second = asyncio.run(ask())
    assert first in (400, 401) and second == 401


async def test_capacity_is_told_to_who_has_the_command_key(house: House) -> None:
    await house.service.measure()
    async with house.client() as client:
        assert (await client.get("/capacity")).status_code == 401
        assert (await client.get("/capacity", headers={"authorization": "Bearer "})).status_code == 401
        answer = await client.get("/capacity", headers={"authorization": f"Bearer {COMMAND_KEY}"})
    assert answer.json()["per_second"] > 0
    assert answer.json()["waiting_s"] == 0


async def test_a_dead_database_is_a_quick_refusal_and_an_outcome(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_listens = open_reader(Location(house.config.home, "postgresql://127.0.0.1:1/none"), "signin")
    for database, outcomes in ((nobody_listens, 1), (Broken(house.database), 2)):
        monkeypatch.setattr(house.service, "_database", database)
        async with house.client() as client:
            answer = await client.post("/sign-in", json=body())
            assert (answer.status_code, answer.json()["error"]) == (503, "database-unavailable")
            assert answer.headers["retry-after"] == "5"
            session = await client.get("/session", headers={"cookie": "prikkfri-signin=x"})
            assert session.status_code == 503
        assert [(o.verdict, o.reason) for o in house.recorded] == [("broken", "database-unavailable")] * outcomes
    assert await house.journalled() == []


class Broken:
    """A database whose disk is full: it reads, and writes nothing."""

    def __init__(self, whole: Database) -> None:
        self.whole = whole
        self.reads = 0

    async def read(self, work: Any) -> Any:
        self.reads += 1
        if self.reads == 1:
            return await self.whole.read(work)
        raise StorageUnavailable("the disk cannot be read")

    async def write(self, work: Any) -> Any:
        raise StorageUnavailable("the disk is full")


async def test_a_database_that_hangs_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*arguments: object) -> None:
        await asyncio.sleep(3_600)

    monkeypatch.setattr(service_module, "DATABASE_SECONDS_MAX", 0.05)
    monkeypatch.setattr(house.database, "write", hang)
    async with house.client() as client:
        assert (await client.post("/sign-in", json=body())).status_code == 503
    # It may yet write, and then the journal says kept.
    assert [(o.verdict, o.reason) for o in house.recorded] == [("broken", "undelivered")]
    assert await house.journalled() == []


@pytest.mark.parametrize("leaves_after_write", [False, True])
async def test_who_leaves_while_the_session_is_written_has_got_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, leaves_after_write: bool
) -> None:
    write, left = house.database.write, asyncio.Event()

    async def write_meanwhile(work: Any) -> Any:
        if leaves_after_write:
            written = await write(work)
            left.set()
            return written
        writing = asyncio.ensure_future(write(work))
        left.set()
        return await asyncio.shield(writing)

    monkeypatch.setattr(house.database, "write", write_meanwhile)
    messages = iter([{"type": "http.request", "body": json.dumps(body()).encode()}])

    async def receive() -> Any:
        if message := next(messages, None):
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/sign-in", "headers": [(b"origin", VIEWER.encode())]}
    await house.application({**scope, "client": ("127.0.0.1", 1)}, receive, send)
    async with asyncio.timeout(5):
        while not (kept := await house.journalled()):
            await asyncio.sleep(0.01)
    assert [(o.verdict, o.customer) for o in kept] == [("kept", "s-1")]
    assert [(o.verdict, o.reason) for o in house.recorded] == [("broken", "undelivered")]


async def test_a_password_can_be_set_and_a_hash_of_another_cost_cannot(house: House) -> None:
    await set_password(house.database, "s-1", "nytt påssord", house.clock.now())
    decomposed = "nytt pa\u030assord"
    async with house.client() as client:
        assert (await client.post("/sign-in", json=body())).status_code == 401
        assert (await client.post("/sign-in", json=body(password=decomposed))).status_code == 200
    cheap = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA"
    with pytest.raises(UsageError, match="s-9"):
        await set_password_hashes(house.database, [("s-9", cheap)], 0)


def test_keys_are_for_the_owner_alone(house: House, location: Location) -> None:
    keys = [*(location.home / "keys").iterdir()]
    assert sorted(key.name for key in keys) == ["signin-device.pem", "signin-playback.pem"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert b"PRIVATE" not in b"".join(path.read_bytes() for path in Path(location.home, "public").rglob("*.json"))
