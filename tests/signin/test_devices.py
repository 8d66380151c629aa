"""Where somebody is signed in: listed and ended, through the front door, on both engines."""

import asyncio
import json
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from signin_house import COMMAND_KEY, PASSWORD, BuildHouse, Hindered, House, Passwords
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.config import Signin
from prikkfri.journal import Journal
from prikkfri.protocols import device_token, jwt
from prikkfri.signin import store
from prikkfri.signin.admission import Load, under_pressure
from prikkfri.signin.clients import device_name
from prikkfri.signin.devices.service import Devices
from prikkfri.signin.limits import Limits
from prikkfri.storage import Database
from prikkfri.storage.keys import read_public_keys, signing_key

KEY = {"authorization": f"Bearer {COMMAND_KEY}"}
END, EVA = "/customers/devices/end", {"customer": "s-1", "by": "Eva"}
TELEVISION, PHONE = "d-" + "T" * 22, "d-" + "P" * 22
AGENTS = {
    TELEVISION: "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.5) AppleWebKit/537.36 Chrome/85.0 TV Safari/537.36",
    PHONE: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1",
}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def sign_in(client: httpx.AsyncClient, device: str, login: str = "kari@example.no") -> dict[str, str]:
    body = {"login": login, "password": PASSWORD, "device": device}
    answer = await client.post("/sign-in", json=body, headers={"user-agent": AGENTS[device]})
    return bearer(answer.json()["device_token"])


async def listed(client: httpx.AsyncClient, asked_by: dict[str, str]) -> list[tuple[str, str, float, float, bool]]:
    answer = await client.get("/devices", headers=asked_by)
    return [(d["device"], d["name"], d["first_at"], d["seen_at"], d["here"]) for d in answer.json()["devices"]]


async def revoked(house: House) -> int:
    await house.service.keep_house()
    return len(json.loads((house.config.home / "public" / "revoked.json").read_bytes())["device_tokens"])


async def test_devices_are_listed_as_people_know_them_and_seen_to_the_hour(house: House) -> None:
    begun = house.clock.now()
    async with house.client() as client:
        television = await sign_in(client, TELEVISION)
        house.clock.advance(100)
        phone = await sign_in(client, PHONE)
        assert await listed(client, phone) == [
            (PHONE, "Safari · iPhone", begun + 100, begun + 100, True),
            (TELEVISION, "Chrome · Samsung TV", begun, begun, False),
        ]
        house.clock.advance(3_499)
        assert (await client.post("/devices/seen", headers=television)).status_code == 204
        assert (await listed(client, television))[1][3] == begun  # not an hour yet
        house.clock.advance(1)
        assert (await client.post("/devices/seen", headers=television)).status_code == 204
        house.clock.advance(3_599)
        await client.post("/devices/seen", headers=television)
        assert await listed(client, television) == [
            (TELEVISION, "Chrome · Samsung TV", begun, begun + 3_600, True),
            (PHONE, "Safari · iPhone", begun + 100, begun + 100, False),
        ]
        # Signed in anew on the same device: still one, since then.
        await sign_in(client, TELEVISION)
        assert [(d[0], d[2], d[3]) for d in await listed(client, phone)] == [
            (TELEVISION, begun, begun + 7_199),
            (PHONE, begun + 100, begun + 100),
        ]


async def test_one_device_is_ended_and_nobody_elses(house: House) -> None:
    await house.database.write(lambda t: store.put_credentials(t, [("s-2", "")], 0.0))
    async with house.client() as client:
        television, phone = await sign_in(client, TELEVISION), await sign_in(client, PHONE)
        twice = await sign_in(client, TELEVISION)
        ended = await client.post("/devices/end", json={"device": TELEVISION}, headers=phone)
        assert ended.json() == {"ended": 1}
        for dead in (television, twice):
            assert (await client.get("/devices", headers=dead)).json()["error"] == "bad-token"
            assert (await client.post("/devices/seen", headers=dead)).status_code == 401
        assert [d[0] for d in await listed(client, phone)] == [PHONE]
        assert (await client.post("/devices/end", json={"device": TELEVISION}, headers=phone)).json() == {"ended": 0}
    assert await revoked(house) == 2
    assert await house.database.read(lambda q: q.fetch("SELECT device FROM session")) == [(PHONE,)]


async def test_all_others_are_ended_and_the_one_that_asks_stays(house: House) -> None:
    async with house.client() as client:
        television, phone = await sign_in(client, TELEVISION), await sign_in(client, PHONE)
        assert (await client.post("/devices/end", json={"others": True}, headers=phone)).json() == {"ended": 1}
        assert [d[0] for d in await listed(client, phone)] == [PHONE]
        assert (await client.get("/devices", headers=television)).status_code == 401
        for wrong in ({}, {"device": PHONE, "others": True}, {"device": "x" * 65}, []):
            assert (await client.post("/devices/end", json=wrong, headers=phone)).status_code == 400
        assert [d[0] for d in await listed(client, phone)] == [PHONE]
    assert [o.step for o in await house.journalled()] == ["sign-in"] * 2


async def test_the_operator_ends_all_and_that_is_on_the_record(house: House) -> None:
    async with house.client() as client:
        phone = await sign_in(client, PHONE)
        await sign_in(client, TELEVISION)
        assert (await client.get("/customers/devices?customer=s-1")).status_code == 401
        found = (await client.get("/customers/devices?customer=s-1", headers=KEY)).json()["devices"]
        assert {each["name"] for each in found} == {"Safari · iPhone", "Chrome · Samsung TV"}
        assert (await client.post(END, json=EVA | {"by": ""}, headers=KEY)).status_code == 400
        for other in ("s-2", "s/9"):
            none = await client.post(END, json=EVA | {"customer": other}, headers=KEY)
            assert none.json() == {"ended": 0}
        ended = await client.post(END, json=EVA, headers=KEY)
        assert ended.json() == {"ended": 2}
        assert (await client.get("/devices", headers=phone)).status_code == 401
    acts = [(o.customer, o.dimensions) for o in await house.journalled() if o.step == "end-sessions"]
    assert acts == [("s-2", {"by": "Eva"}), ("s/9", {"by": "Eva"}), ("s-1", {"by": "Eva"})]
    places = {(o.service, o.layer, o.verdict) for o in await house.journalled() if o.step == "end-sessions"}
    assert places == {("television", "signin", "kept")}
    assert await revoked(house) == 2


async def test_only_a_device_that_is_signed_in_may_ask(house: House) -> None:
    async with house.client() as client:
        phone = await sign_in(client, PHONE)
        for nobody in ({}, bearer("x.y.z"), KEY):
            answers = [
                await client.get("/devices", headers=nobody),
                await client.post("/devices/end", json={"others": True}, headers=nobody),
                await client.post("/devices/seen", headers=nobody),
            ]
            assert {(a.status_code, a.json()["error"]) for a in answers} == {(401, "bad-token")}
        house.clock.advance(90 * 86_400)
        assert (await client.get("/devices", headers=phone)).status_code == 401


async def test_who_asks_for_devices_waits_no_longer_for_a_database_than_may_be(house: House) -> None:
    async with house.client() as client:
        token = (await sign_in(client, PHONE))["authorization"].removeprefix("Bearer ")
    holder = await house.devices.holder(token)
    assert holder is not None

    async def hangs(work: Any) -> None:
        await asyncio.Event().wait()

    stuck = Hindered(house.database)
    stuck.read = stuck.write = hangs
    devices = Devices(
        database=cast(Database, stuck),
        journal=cast(Journal, None),
        device_keys=jwt.read_jwks(read_public_keys(house.config.home, "device")),
        subscribers=cast(Database, stuck),
        key=signing_key(house.config.home, "signin-device"),
        load=lambda: house.service.pool.load,
        revoked=lambda: None,
        clock=house.clock,
        limits=Limits(database_seconds_max=0.0),
    )
    asked = (
        devices.holder(token),
        devices.of("s-1"),
        devices.see(holder),
        devices.end(holder),
        devices.confirm(holder),
    )
    for each in map(asyncio.ensure_future, asked):
        await asyncio.wait([each], timeout=WAIT_SECONDS_MAX)
        assert each.done() and isinstance(each.exception(), TimeoutError)


async def test_a_device_learns_what_it_may_watch_now_and_nobody_is_put_out(house: House) -> None:
    async with house.client() as client:
        phone = await sign_in(client, PHONE)
        assert (await client.post("/devices/seen", headers=phone)).status_code == 204

        async def packages(*now: str) -> tuple[int, dict[str, Any]]:
            await house.subscribers.write(lambda t: t.execute("DELETE FROM fixed_subscription"))
            for product in now:
                await house.subscribers.write(
                    lambda t, product=product: t.execute(
                        "INSERT INTO fixed_subscription (subscriber_id, kind, product, starts, ends)"
                        " VALUES ('s-1', 'television', :product, 0, 1e12)",
                        {"product": product},
                    )
                )
            answer = await client.post("/devices/seen", json={"due": False}, headers=phone)
            return answer.status_code, answer.json() if answer.content else {}

        keys = jwt.read_jwks(read_public_keys(house.config.home, "device"))
        before = device_token.verified(phone["authorization"].removeprefix("Bearer "), keys)
        assert before is not None
        for now, gained in ((("sport", "basic"), None), (("basic",), False), (("basic", "film"), True), ((), False)):
            status, told = await packages(*now)
            assert status == (204 if gained is None else 200)
            if gained is not None:
                after = device_token.verified(told["device_token"], keys)
                assert after == replace(before, packages=tuple(sorted(now))) and told["gained"] is gained
        held = bearer(told["device_token"])
        assert (await client.get("/devices", headers=held)).status_code == 200, "it is the same device"
        for wrong in (b"[]", b'{"due": 1}', b"\xff"):
            assert (await client.post("/devices/seen", content=wrong, headers=phone)).status_code == 400


async def test_under_pressure_it_is_put_off_before_anything_is_read_unless_it_is_due(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    reads = 0

    def seen_through(whole: Database) -> Hindered:
        async def read(work: Any) -> Any:
            nonlocal reads
            reads += 1
            return await whole.read(work)

        hindered = Hindered(whole)
        hindered.read = read
        return hindered

    house = await build_house(Signin(hash_threads=1), matches=passwords, seen_through=seen_through)
    async with house.client() as client:
        phone = await sign_in(client, PHONE)
        passwords.open.clear()
        asking = [asyncio.create_task(sign_in(client, TELEVISION)) for _ in range(2)]
        await eventually(lambda: house.service.pool.load.running and house.service.pool.load.waiting_without)
        before = reads
        put_off = await client.post("/devices/seen", json={"due": False}, headers=phone)
        assert (put_off.status_code, put_off.headers["retry-after"], reads) == (503, "300", before)
        assert (await client.post("/devices/seen", headers=phone)).status_code == 503
        assert (await client.post("/devices/seen", json={"due": True}, headers=phone)).status_code == 204
        passwords.open.set()
        await asyncio.gather(*asking)
        assert (await client.post("/devices/seen", headers=phone)).status_code == 204


@pytest.mark.parametrize(
    ("running", "with_pass", "without", "pressed"),
    [(1, 1, 0, False), (2, 0, 0, False), (2, 1, 0, True), (2, 0, 1, True), (3, 2, 2, True)],
)
def test_there_is_pressure_while_somebody_waits_for_a_thread(
    running: int, with_pass: int, without: int, pressed: bool
) -> None:
    assert under_pressure(Load(2, 0.03, running, with_pass, without)) is pressed


def test_devices_have_the_names_that_people_know() -> None:
    windows = (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
    )
    assert device_name(windows) == "Chrome · Windows"
    assert device_name(windows + " Edg/126.0") == "Edge · Windows"
    assert device_name("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0") == "Firefox · Linux"
    assert device_name("Mozilla/5.0 (Linux; Android 14) Chrome/126.0 Mobile Safari/537.36") == "Chrome · Android"
    assert device_name("AppleTV11,1/11.1") == "Apple TV"
    assert device_name("curl/8") == ""
    assert device_name("x" * 512 + "Windows") == ""
    assert device_name("x" * 505 + "Windows") == "Windows"
