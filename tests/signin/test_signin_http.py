"""Sign-in through its front door, on both engines."""

import asyncio
import json
import logging
import secrets
import stat
from pathlib import Path
from typing import Any

import httpx
import jwt as pyjwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signin_house import COMMAND_KEY, DEVICE, DEVICE_KEY, PASSWORD, VIEWER, BuildHouse, Hindered, House, Passwords
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.config import Signin
from prikkfri.errors import FencedOut, InDoubt, StorageUnavailable, UsageError
from prikkfri.protocols import admission_pass, cat
from prikkfri.protocols.admission_pass import Pass
from prikkfri.signin.credentials import SALT_BYTES, hash_password
from prikkfri.signin.http import application
from prikkfri.signin.limits import Limits
from prikkfri.signin.service import Attempt, Refused, SignedIn, set_password_hashes
from prikkfri.storage import Database, Location, open_reader
from prikkfri.storage.keys import publish_public_key, read_public_keys, signing_key


def body(login: str = "kari@example.no", password: str = PASSWORD, **more: object) -> dict[str, object]:
    return {"login": login, "password": password, "device": DEVICE} | more


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
    quick_house: House, passwords: Passwords
) -> None:
    house = quick_house
    async with house.client() as client:
        wrong = await client.post("/sign-in", json=body(password="feil"))
        unknown = await client.post("/sign-in", json=body("nobody@example.no", "feil"))
        nonsense = await client.post("/sign-in", json=body("hm", "feil"))
    assert wrong.status_code == unknown.status_code == nonsense.status_code == 401
    assert wrong.content == unknown.content == nonsense.content
    assert [*wrong.headers] == [*unknown.headers]
    costs = [password_hash.rsplit("$", 2)[0] for _, password_hash in passwords.compared]
    assert costs == ["$argon2id$v=19$m=19456,t=2,p=1"] * 3
    assert len({password_hash for _, password_hash in passwords.compared}) == 2  # one that nobody's password opens
    assert [(o.verdict, o.reason, o.customer) for o in house.recorded] == [("broken", "wrong-credentials", "")] * 3
    assert await house.journalled() == []


async def test_without_television_the_right_password_says_so(house: House) -> None:
    async with house.client() as client:
        answer = await client.post("/sign-in", json=body("ola@example.no"))
    assert (answer.status_code, answer.json()["error"]) == (403, "no-subscription")
    assert "set-cookie" not in answer.headers
    assert [(o.reason, o.customer) for o in house.recorded] == [("no-subscription", "s-2")]


async def test_a_right_password_is_no_guess_also_without_television(quick_house: House) -> None:
    async with quick_house.client() as client:
        for _ in range(8):
            assert (await client.post("/sign-in", json=body("ola@example.no"))).status_code == 403
        assert (await client.post("/sign-in", json=body("ola@example.no", "feil"))).status_code == 401


async def test_guessing_is_slowed_down_for_known_and_unknown_alike_and_passes(quick_house: House) -> None:
    house = quick_house
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


async def test_one_login_is_not_guessed_from_many_addresses(quick_house: House) -> None:
    house = quick_house
    statuses = []
    for number in range(51):
        async with house.client(f"192.0.2.{number}") as client:
            guess = body("+4791234567", "feil", device=f"d-{number:022}")
            statuses.append((await client.post("/sign-in", json=guess)).status_code)
    assert statuses == [401] * 50 + [429]
    async with house.client("198.51.100.1") as client:
        assert (await client.post("/sign-in", json=body("912 34 567"))).status_code == 429  # the same number
        assert (await client.post("/sign-in", json=body())).status_code == 200  # another login
    assert [o.reason for o in house.recorded][-1] == "too-many-tries"


async def test_guesses_at_once_are_no_way_around_the_limit(build_house: BuildHouse, passwords: Passwords) -> None:
    house = await build_house(Signin(hash_threads=1), matches=passwords)
    passwords.open.clear()
    async with house.client() as client:
        guesses = [asyncio.create_task(client.post("/sign-in", json=body(password=str(n)))) for n in range(9)]
        right = asyncio.create_task(client.post("/sign-in", json=body()))
        await eventually(lambda: guesses[-1].done() and right.done())
        passwords.open.set()
        statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
        assert sorted(statuses) == [401] * 6 + [429] * 3
        assert (await right).status_code == 429  # tells nothing, though it was the right one
    assert len(passwords.compared) == 6


async def test_places_of_those_who_were_right_or_left_are_free_again(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    house = await build_house(Signin(hash_threads=1), matches=passwords)
    async with house.client() as client:
        for _ in range(12):
            assert (await client.post("/sign-in", json=body())).status_code == 200
        passwords.open.clear()
        attempt = Attempt("kari@example.no", "feil", DEVICE, "127.0.0.1", "computer")
        leaving = [asyncio.create_task(house.service.sign_in(attempt)) for _ in range(6)]
        await eventually(lambda: house.service.pool.load.waiting_without == 5)
        for each in leaving:
            each.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        passwords.open.set()
        answers = [await client.post("/sign-in", json=body(password="feil")) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [401] * 6 + [429]


async def test_a_device_that_signed_in_before_is_not_locked_out_by_strangers(quick_house: House) -> None:
    house, stranger = quick_house, "d-" + "S" * 22
    async with house.client() as client:
        assert (await client.post("/sign-in", json=body())).status_code == 200
        await client.post("/sign-out")  # its token is revoked: that it was here is known all the same
        for number in range(50):
            async with house.client(f"192.0.2.{number}") as other:
                await other.post("/sign-in", json=body(password="feil", device=stranger))
        assert (await client.post("/sign-in", json=body(device=stranger))).status_code == 429
        assert (await client.post("/sign-in", json=body())).status_code == 200
        # Nor by those behind the same address; and somebody who has got hold of the device guesses no faster.
        statuses = [(await client.post("/sign-in", json=body(password="feil"))).status_code for _ in range(7)]
        assert statuses == [401] * 6 + [429]
        assert (await client.post("/sign-in", json=body("ola@example.no", device=DEVICE))).status_code == 403


async def test_of_failed_tries_so_many_are_remembered_and_the_newest(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    house = await build_house(matches=passwords, limits=Limits(buckets_max=3))
    async with house.client() as client:

        async def statuses(login: str, number: int) -> list[int]:
            return [(await client.post("/sign-in", json=body(login, "feil"))).status_code for _ in range(number)]

        assert await statuses("kari@example.no", 7) == [401] * 6 + [429]
    async with house.client("192.0.2.7") as client:
        assert await statuses("ola@example.no", 1) == [401]
    async with house.client() as client:
        assert await statuses("kari@example.no", 1) == [401]  # forgotten: memory is bounded


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
    document = list_of(house)
    assert document["as_of"] == house.clock.now()
    return document


async def test_a_sign_out_is_published_without_waiting_for_the_next_round(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    seldom = Limits(revoked_published_seconds=3_600, sign_outs_gathered_seconds=0)
    house = await build_house(matches=passwords, limits=seldom)
    running = asyncio.create_task(house.service.run())
    await eventually(lambda: published(house) == [])
    async with house.client() as client:
        await client.post("/sign-in", json=body())
        assert published(house) == []
        await client.post("/sign-out")
    await eventually(lambda: published(house), what="a list")
    assert published(house) == await tokens(house)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_sign_out_while_the_list_is_being_written_is_in_the_next_which_follows_at_once(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    hindered: list[Hindered] = []

    def see_through(database: Database) -> Hindered:
        hindered.append(Hindered(database))
        return hindered[0]

    seldom = Limits(revoked_published_seconds=3_600, sign_outs_gathered_seconds=0)
    house = await build_house(matches=passwords, limits=seldom, seen_through=see_through)
    async with house.client() as client:
        await client.post("/sign-in", json=body())
        read, rounds = hindered[0].read, 0

        async def read_and_sign_out(work: Any) -> Any:
            nonlocal rounds
            found = await read(work)
            rounds += 1
            if rounds == 1:
                assert (await client.post("/sign-out")).status_code == 204
            return found

        hindered[0].read = read_and_sign_out
        running = asyncio.create_task(house.service.run())
        await eventually(lambda: published(house), what="a list")
    assert rounds == 2
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_list_is_published_again_and_again_also_after_a_failure(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    failures = [StorageUnavailable("the disk cannot be read"), OSError("the disk is full")]

    def see_through(database: Database) -> Hindered:
        hindered = Hindered(database)

        async def read(work: Any) -> Any:
            if failures:
                raise failures.pop()
            return await database.read(work)

        hindered.read = read
        return hindered

    often = Limits(revoked_published_seconds=0.01, sign_outs_gathered_seconds=0)
    house = await build_house(matches=passwords, limits=often, seen_through=see_through)
    running = asyncio.create_task(house.service.run())
    await eventually(lambda: published(house) == [])
    assert not failures and not running.done()
    assert house.service.pool.counters.hashes >= 4  # measured before anybody came
    house.clock.advance(5)
    await eventually(lambda: list_of(house)["as_of"] == house.clock.now())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_is_fenced_out_stops_publishing(build_house: BuildHouse, passwords: Passwords) -> None:
    def see_through(database: Database) -> Hindered:
        async def read(work: Any) -> Any:
            raise FencedOut("another writes here now")

        hindered = Hindered(database)
        hindered.read = read
        return hindered

    house = await build_house(matches=passwords, seen_through=see_through)
    running = asyncio.create_task(house.service.run())
    with pytest.raises(FencedOut):
        await asyncio.wait_for(running, WAIT_SECONDS_MAX)  # it would publish on and on
    assert published(house) is None


def list_of(house: House) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((house.config.home / "public" / "revoked.json").read_bytes())
    return document


def published(house: House) -> list[str] | None:
    """The list as it is; None when there is none."""
    try:
        tokens: list[str] = list_of(house)["device_tokens"]
        return tokens
    except FileNotFoundError:
        return None


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


async def test_what_was_signed_out_is_listed_until_the_last_playback_token_of_it_is_dead(quick_house: House) -> None:
    house = quick_house
    async with house.client() as client:
        await client.post("/sign-in", json=body())
        [token] = await tokens(house)
        await client.post("/sign-out")
    house.clock.advance(90 * 86_400 + 2 * 86_400 - 1)  # the device token has ended two days ago
    assert (await revoked(house))["device_tokens"] == [token]
    house.clock.advance(2)
    assert (await revoked(house))["device_tokens"] == []


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
    json.dumps(body("kari@example.no\n")).encode(),
    json.dumps(body() | {"proof": "a.b.c\n"}).encode(),
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

    class NobodyKnown:
        async def sign_in(self, attempt: Attempt) -> Refused:
            return Refused("wrong-credentials")

        async def session(self, cookie: str) -> None:
            return None

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


async def test_capacity_is_told_to_who_has_the_command_key(build_house: BuildHouse, passwords: Passwords) -> None:
    house = await build_house(Signin(hash_threads=2), matches=passwords)
    passwords.open.clear()
    async with house.client() as client:
        for authorization in ("", "Bearer ", f"Bearer {COMMAND_KEY}x", f"Basic {COMMAND_KEY}"):
            answer = await client.get("/capacity", headers={"authorization": authorization})
            assert (answer.status_code, answer.json()["error"]) == (401, "bad-command-key")
        command = {"authorization": f"Bearer {COMMAND_KEY}"}
        assert (await client.get("/capacity", headers=command)).json() == {
            "per_second": 40.0, "waiting_s": 0.0, "waiting": 0, "spent": 0,
        }  # fmt: skip
        asking = [asyncio.create_task(client.post("/sign-in", json=body())) for _ in range(5)]
        await eventually(lambda: house.service.pool.load.waiting_without == 3)
        told = (await client.get("/capacity", headers=command)).json()
        # Whoever comes with a pass goes before the three.
        assert (told["per_second"], told["waiting"], told["waiting_s"]) == (40.0, 3, pytest.approx(0.025))
        passwords.open.set()
        await asyncio.gather(*asking)


async def test_the_figures_of_sign_in_say_what_they_count(build_house: BuildHouse, passwords: Passwords) -> None:
    house = await build_house(Signin(hash_threads=1), matches=passwords)
    async with house.client() as client:
        await client.post("/sign-in", json=body())
        await client.post("/sign-in", json=body("ola@example.no"))
        for _ in range(7):
            await client.post("/sign-in", json=body(password="feil"))
    counted = house.service.counters()
    assert {name: number for name, number in counted.items() if name.endswith("_total")} == {
        "sign_ins_kept_total": 1,
        "sign_ins_no_subscription_total": 1,
        "sign_ins_wrong_credentials_total": 6,
        "sign_ins_too_many_tries_total": 1,
        "hashes_total": 8,
        "hash_seconds_total": 0.0,
        "refused_total": 0,
        "left_total": 0,
    }
    assert counted["hash_threads"] == 1
    assert counted["hash_queue_with_pass"] == counted["hash_queue_without_pass"] == 0
    assert counted["hash_queue_wait_seconds"] == 0


async def test_what_is_measured_before_anybody_comes_is_a_few_hashes_of_each_thread(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    house = await build_house(Signin(hash_threads=2), matches=passwords)
    await house.service.measure()
    assert house.service.pool.counters.hashes == 8
    assert {password_hash != passwords.right_hash for _, password_hash in passwords.compared} == {True}
    assert house.recorded == []


@pytest.mark.parametrize("secure", [False, True])
async def test_the_cookie_is_for_this_role_alone_and_goes_with_the_sign_out(quick_house: House, secure: bool) -> None:
    house = quick_house
    edge = application(house.service, viewer_origin=VIEWER, secure=secure, command_key=COMMAND_KEY)
    house.application = edge
    async with house.client() as client:
        signed_in = (await client.post("/sign-in", json=body())).headers["set-cookie"].split("; ")
        client.cookies.set("prikkfri-signin", signed_in[0].partition("=")[2])
        session = (await client.get("/session")).json()
        signed_out = (await client.post("/sign-out")).headers["set-cookie"].split("; ")
    attributes = ["Path=/", "HttpOnly", "SameSite=Lax", *["Secure"] * secure]
    assert signed_in[1:] == [f"Max-Age={30 * 86_400}", *attributes]
    assert len(signed_in[0]) == len("prikkfri-signin=") + 43  # 32 random bytes
    assert signed_out == ["prikkfri-signin=", "Max-Age=0", *attributes]
    now = house.clock.now()
    assert session == {
        "name": "Kari Nordmann", "device": DEVICE, "signed_in_at": now, "expires_at": now + 30 * 86_400,
    }  # fmt: skip


async def test_one_device_signed_out_leaves_the_others_of_the_same_person(quick_house: House) -> None:
    house = quick_house
    async with house.client() as here, house.client() as there:
        await here.post("/sign-in", json=body())
        [first] = await tokens(house)
        await there.post("/sign-in", json=body(device="d-BBBBBBBBBBBBBBBBBBBBBB"))
        await here.post("/sign-out")
        assert (await here.get("/session")).status_code == 401
        assert (await there.get("/session")).json()["device"] == "d-BBBBBBBBBBBBBBBBBBBBBB"
    assert (await revoked(house))["device_tokens"] == [first]
    assert len(await tokens(house)) == 2


async def test_a_sign_in_at_its_limits_is_taken(quick_house: House, passwords: Passwords) -> None:
    house = quick_house
    longest = {"login": "k" * 254, "password": "x" * 256, "device": DEVICE, "pass": "p" * 2_048, "proof": "p" * 174}
    async with house.client() as client:
        assert (await client.post("/sign-in", json=longest)).status_code == 401
        padded = json.dumps(body()).encode().ljust(8_192)
        assert (await client.post("/sign-in", content=padded)).status_code == 200
        assert (await client.post("/sign-in", json=longest | {"pass": "p" * 2_049})).status_code == 400
        assert (await client.post("/sign-in", json=longest | {"proof": "p" * 175})).status_code == 400
        assert (await client.post("/sign-in", json=longest | {"proof": "p\0"})).status_code == 400
        assert (await client.post("/sign-in", json=longest | {"password": "å" * 256})).status_code == 401
    assert len(passwords.compared) == 3


async def test_what_kind_of_client_signed_in_is_told_with_the_outcome(quick_house: House) -> None:
    house = quick_house
    async with house.client() as client:
        await client.post("/sign-in", json=body(), headers={"user-agent": "Mozilla/5.0 (SMART-TV; Tizen 6.0)"})
        await client.post("/sign-in", json=body(password="feil"), headers={"user-agent": "curl/8"})
    told = [*await house.journalled(), *house.recorded]
    assert [(o.service, o.step, o.layer, o.device, o.dimensions) for o in told] == [
        ("television", "sign-in", "signin", DEVICE, {"client": "television"}),
        ("television", "sign-in", "signin", DEVICE, {"client": "other"}),
    ]
    assert {o.time for o in told} == {house.clock.now()}


async def test_each_address_takes_its_own_method(quick_house: House) -> None:
    house = quick_house
    right = {"/sign-in": "POST", "/session": "GET", "/sign-out": "POST", "/capacity": "GET"}
    async with house.client() as client:
        for path, method in right.items():
            for other in {"GET", "POST", "PUT", "DELETE"} - {method}:
                assert (await client.request(other, path)).status_code == 405
            asked = await client.options(path)
            assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (204, method)


def no_database(whole: Database) -> Hindered:
    """Nobody listens where it should be."""
    location = Location(Path(), "postgresql://127.0.0.1:1/none")
    return Hindered(open_reader(location, "signin"))


def full_disk(whole: Database) -> Hindered:
    """Reads credentials, and writes nothing."""

    async def write(work: Any) -> Any:
        raise StorageUnavailable("the disk is full")

    hindered = Hindered(whole)
    hindered.write = write
    return hindered


def doubtful(whole: Database) -> Hindered:
    """Writes, and the connection is lost before it says so."""

    async def write(work: Any) -> Any:
        await whole.write(work)
        raise InDoubt("the connection was lost")

    hindered = Hindered(whole)
    hindered.write = write
    return hindered


@pytest.mark.parametrize(
    ("seen_through", "outcome", "kept"),
    [
        (no_database, "database-unavailable", 0),
        (full_disk, "database-unavailable", 0),
        (doubtful, "undelivered", 1),  # the journal says kept, and nobody was told
    ],
)
async def test_a_dead_database_is_a_quick_refusal_and_an_outcome(
    build_house: BuildHouse, passwords: Passwords, seen_through: Any, outcome: str, kept: int
) -> None:
    house = await build_house(matches=passwords, seen_through=seen_through)
    async with house.client() as client:
        answer = await client.post("/sign-in", json=body())
        assert (answer.status_code, answer.json()["error"]) == (503, "database-unavailable")
        assert answer.headers["retry-after"] == "5"
        assert "set-cookie" not in answer.headers
        client.cookies.set("prikkfri-signin", "x")
        assert (await client.post("/sign-out")).status_code == 503
        session = await client.get("/session")
        assert session.status_code == (503 if seen_through is no_database else 401)
    assert [(o.verdict, o.reason) for o in house.recorded] == [("broken", outcome)]
    assert len(await house.journalled()) == kept


async def test_a_database_that_hangs_is_given_up(build_house: BuildHouse, passwords: Passwords) -> None:
    def hanging(whole: Database) -> Hindered:
        async def write(work: Any) -> Any:
            await asyncio.Event().wait()

        hindered = Hindered(whole)
        hindered.write = write
        return hindered

    house = await build_house(matches=passwords, seen_through=hanging, limits=Limits(database_seconds_max=4.0))
    async with house.client() as client, house.client() as leaving:
        leaving.cookies.set("prikkfri-signin", "x")
        answers = await asyncio.gather(client.post("/sign-in", json=body()), leaving.post("/sign-out"))
    assert [(a.status_code, a.json()["error"]) for a in answers] == [(503, "database-unavailable")] * 2
    # It may yet write, and then the journal says kept.
    assert [(o.verdict, o.reason) for o in house.recorded] == [("broken", "undelivered")]
    assert await house.journalled() == []


async def test_a_database_that_does_not_even_read_is_given_up(build_house: BuildHouse, passwords: Passwords) -> None:
    def hanging(whole: Database) -> Hindered:
        async def read(work: Any) -> Any:
            await asyncio.Event().wait()

        hindered = Hindered(whole)
        hindered.read = read
        return hindered

    house = await build_house(matches=passwords, seen_through=hanging, limits=Limits(database_seconds_max=0.05))
    async with house.client() as client:
        client.cookies.set("prikkfri-signin", "x")
        answers = await asyncio.gather(client.post("/sign-in", json=body()), client.get("/session"))
    assert [(a.status_code, a.json()["error"]) for a in answers] == [(503, "database-unavailable")] * 2
    assert [(o.verdict, o.reason) for o in house.recorded] == [("broken", "database-unavailable")]
    assert passwords.compared == []


class Caller:
    """A client at the level of ASGI, who leaves when the test says so."""

    def __init__(self, house: House, document: object, **scope: object) -> None:
        self.house = house
        self.left = asyncio.Event()
        self.sent: list[Any] = []
        self.scope = {"type": "http", "method": "POST", "path": "/sign-in", "headers": [(b"origin", VIEWER.encode())]}
        self.scope |= {"client": ("127.0.0.1", 1), **scope}
        self._messages = iter([{"type": "http.request", "body": json.dumps(document).encode()}])

    async def ask(self) -> None:
        await self.house.application(self.scope, self._receive, self._send)

    async def _receive(self) -> Any:
        if message := next(self._messages, None):
            return message
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("leaves_after_write", [False, True])
async def test_who_leaves_while_the_session_is_written_has_got_nothing(
    build_house: BuildHouse, passwords: Passwords, leaves_after_write: bool
) -> None:
    callers: list[Caller] = []

    def seen_through(whole: Database) -> Hindered:
        async def write_meanwhile(work: Any) -> Any:
            if leaves_after_write:
                written = await whole.write(work)
                callers[0].left.set()
                return written
            writing = asyncio.ensure_future(whole.write(work))
            callers[0].left.set()
            return await asyncio.shield(writing)

        hindered = Hindered(whole)
        hindered.write = write_meanwhile
        return hindered

    house = await build_house(matches=passwords, seen_through=seen_through)
    key = signing_key(house.config.home, "door-pass")
    publish_public_key(house.config.home, "pass", "door", key)
    until = house.clock.now() + 60
    admission = admission_pass.issue(key.private, key.kid, Pass("p", DEVICE, until, "enter-1", DEVICE_KEY.holder))
    proof = DEVICE_KEY.proof("sign-in", admission)
    callers.append(Caller(house, body() | {"pass": admission, "proof": proof}))
    await callers[0].ask()
    kept = await eventually(house.journalled)
    assert [(o.verdict, o.customer, o.promise) for o in kept] == [("kept", "s-1", "enter-1")]
    assert [(o.verdict, o.reason, o.promise) for o in house.recorded] == [("broken", "undelivered", "enter-1")]


async def test_who_leaves_while_waiting_is_never_hashed_and_has_abandoned(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    house = await build_house(Signin(hash_threads=1), matches=passwords)
    passwords.open.clear()
    first, leaver, patient = (Caller(house, body(password=name)) for name in ("first", "leaver", "patient"))
    asking = []
    for number, caller in enumerate((first, leaver, patient)):
        asking.append(asyncio.create_task(caller.ask()))
        await eventually(lambda number=number: house.service.pool.load.waiting_without == number and passwords.compared)
    leaver.left.set()
    await asking[1]
    assert (leaver.sent, house.service.pool.load.waiting_without) == ([], 1)
    assert [(o.verdict, o.reason, o.customer) for o in house.recorded] == [("broken", "abandoned", "")]
    passwords.open.set()
    await asyncio.gather(*asking)
    assert [password for password, _ in passwords.compared] == ["first", "patient"]
    assert [caller.sent[0]["status"] for caller in (first, patient)] == [401, 401]


async def test_who_leaves_before_the_request_is_whole_has_asked_for_nothing(quick_house: House) -> None:
    house = quick_house
    messages = iter([{"type": "http.request", "body": b'{"login": ', "more_body": True}, {"type": "http.disconnect"}])
    caller = Caller(house, body())

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    await house.application(caller.scope, receive, send)
    assert house.recorded == []


async def test_nothing_secret_is_logged_or_kept_readable(
    house: House, caplog: pytest.LogCaptureFixture, location: Location
) -> None:
    caplog.set_level(logging.DEBUG)
    async with house.client() as client:
        answer = await client.post("/sign-in", json=body())
        await client.post("/sign-in", json=body(password="nearly right"))
        given, session = answer.json(), client.cookies["prikkfri-signin"]
    secrets = [PASSWORD, "nearly right", session, given["device_token"], given["playback_token"]]
    rows = []
    for table in ("session", "device_token", "credential"):
        rows += await house.database.read(lambda q, table=table: q.fetch(f"SELECT * FROM {table}"))
    shown = repr((rows, house.recorded, await house.journalled(), caplog.messages))
    attempt = Attempt("kari@example.no", PASSWORD, DEVICE, "127.0.0.1", "other", given["device_token"])
    signed_in = SignedIn(session, 1.0, given["device_token"], given["playback_token"], 2.0, 1.5, 1.75, "Kari")
    assert [secret for secret in secrets if secret in shown + repr((attempt, signed_in))] == []


async def test_a_password_can_be_set_and_a_hash_of_another_cost_cannot(house: House) -> None:
    hashed = hash_password("nytt påssord", secrets.token_bytes(SALT_BYTES))
    assert await set_password_hashes(house.database, [("s-1", hashed)], house.clock.now()) == 1
    decomposed = "nytt pa\u030assord"
    async with house.client() as client:
        assert (await client.post("/sign-in", json=body())).status_code == 401
        assert (await client.post("/sign-in", json=body(password=decomposed))).status_code == 200
    cheap = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA"
    with pytest.raises(UsageError, match="s-9"):
        await set_password_hashes(house.database, [("s-9", cheap)], 0)


def test_keys_are_for_the_owner_alone(house: House, location: Location) -> None:
    keys = [*(location.home / "keys").iterdir()]
    assert sorted(key.name for key in keys) == ["signin-device.pem", "signin-playback.pem", "signin-session.key"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert b"PRIVATE" not in b"".join(path.read_bytes() for path in Path(location.home, "public").rglob("*.json"))
