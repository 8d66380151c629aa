"""Public keys and revocations on another machine: copied, kept without their publisher, and as old as they say."""

import gzip
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from machines import Machines
from waiting import eventually

from prikkfri.app.limits import AppLimits
from prikkfri.app.locks import hold_lock
from prikkfri.app.published import PLACES, READ, Copies, heard_at, reading_key, tag_of, with_published
from prikkfri.app.roles import Role
from prikkfri.clock import ManualClock, SystemClock
from prikkfri.config import Config, Edge
from prikkfri.errors import UsageError
from prikkfri.protocols import device_token, jwt
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.signin.service import load_keys
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import command_key, secret_file

pytestmark = pytest.mark.usefixtures("own_logs")
DAY = 86_400.0
LISTED = b'{"as_of": 1.0, "device_tokens": ["AAAAAAAAAAAAAAAAAAAAAA"]}'


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path, {"a": ["signin"], "b": ["door", "playout"]})


def new_token() -> DeviceToken:
    now = SystemClock().now()
    return DeviceToken("s-1", "d-AAAAAAAAAAAAAAAAAAAAAA", ("basic",), now, now + 90 * DAY, secrets.token_bytes(16))


async def test_a_door_serves_without_signin_by_what_it_knew_last_and_says_its_age(machines: Machines) -> None:
    key, token = load_keys(machines.home("a")).device, new_token()
    signed = device_token.issue(key.private, key.kid, token)
    there = machines.home("b")
    asked = {"authorization": f"Bearer {signed}", "origin": machines.config("b").roles.viewer.url}
    async with machines.running("b", "door") as door, machines.client("b") as client:
        # Before signin is known: nothing is, and the door serves.
        answer = await client.post(f"{door}/playback-token", headers=asked)
        assert (answer.status_code, answer.json()["error"]) == (401, "bad-token")
        assert any("what signin publishes is not known here" in t for t in await troubles(client, door))
        async with machines.running("a", "signin"):
            await eventually(lambda: heard_at(there, "signin"), what="the copy")
            assert (await client.post(f"{door}/playback-token", headers=asked)).status_code == 200

            async def well() -> bool:
                return not await troubles(client, door)

            await eventually(well, what="the age to be young")
    # A day later, a door that starts alone; its peer has been gone since.
    os.utime(there / "public" / "heard" / "signin", (since := SystemClock().now() - DAY, since))
    async with machines.running("b", "door") as door, machines.client("b") as client:
        assert (await client.post(f"{door}/playback-token", headers=asked)).status_code == 200
        [told] = await troubles(client, door)
        assert told.startswith("what signin publishes is 864") and "signin does not answer on https://" in told
        port = machines.config("b").roles.door.port
        metrics = (await client.get(f"http://localhost:{port}/metrics")).text
        [age] = [line for line in metrics.splitlines() if line.startswith("prikkfri_door_published_age_seconds{from=")]
        assert DAY <= float(age.rpartition(" ")[2]) < DAY + 600


async def troubles(client: httpx.AsyncClient, url: str) -> list[str]:
    found: list[str] = (await client.get(f"{url}/health")).json()["troubles"]
    return found


async def test_who_signs_out_is_refused_on_the_other_machine(machines: Machines) -> None:
    key, token = load_keys(machines.home("a")).device, new_token()
    signed = device_token.issue(key.private, key.kid, token)
    tokens = DeviceTokens(machines.home("b"), SystemClock())
    async with machines.running("a", "signin") as signin, machines.client("b") as client:
        config = machines.config("b")
        copies = Copies("playout", config, SystemClock(), client)
        await copies.step("signin")
        assert tokens.judge(signed)[1] is None
        left = await client.post(f"{signin}/sign-out", headers={"origin": config.roles.viewer.url})
        assert left.status_code == 204
        # Written as signin writes it.
        listed = {"as_of": SystemClock().now() + 3600, "device_tokens": [token.jti]}
        (machines.home("a") / "public" / "revoked.json").write_text(json.dumps(listed))

        async def refused() -> bool:
            await copies.step("signin")
            await tokens.read_revoked()
            return tokens.judge(signed)[1] == "revoked"

        await eventually(refused)
    for name in READ["playout"]["signin"]:
        place = PLACES["signin"][name]
        assert (machines.home("b") / "public" / place).read_bytes()


async def test_the_key_for_reading_reads_and_does_nothing_else(machines: Machines) -> None:
    async with machines.running("a", "signin") as signin, machines.client("b") as client:
        reading = {"authorization": f"Bearer {command_key(machines.home('b'), reading_key('signin'))}"}
        commanding = {"authorization": f"Bearer {command_key(machines.home('b'), 'signin')}"}
        found = await client.get(f"{signin}/published/device-keys", headers=reading)
        assert jwt.read_jwks(found.content).keys() == {load_keys(machines.home("a")).device.kid}
        same = {**reading, "if-none-match": found.headers["etag"]}
        again = await client.get(f"{signin}/published/device-keys", headers=same)
        assert (again.status_code, again.content) == (304, b"")
        for path, headers, status in (
            ("/published/device-keys", commanding, 401),
            ("/published/device-keys", {}, 401),
            ("/published/pass-keys", reading, 404),
            ("/published/..%2Frevoked.json", reading, 404),
            ("/capacity", reading, 401),
        ):
            assert (await client.get(signin + path, headers=headers)).status_code == status, path


# A publisher that is drawn: what it may answer, and what is made of it.


def elsewhere(home: Path) -> Config:
    roles = replace(Config().roles, signin=Edge(port=8081, internal_url="https://core.internal:9081"))
    command_key(home, reading_key("signin"))
    return Config(home=home, roles=roles)


def copies_of(home: Path, answer: Callable[[httpx.Request], httpx.Response], clock: ManualClock) -> Copies:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return Copies("assurance", elsewhere(home), clock, client)


def good(request: httpx.Request) -> httpx.Response:
    content = LISTED if request.url.path.endswith("/revoked") else b'{"keys": []}'
    return httpx.Response(200, content=content)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"as_of": 1}', b'{"as_of": "now", "device_tokens": []}',
     b'{"as_of": 1, "device_tokens": [1]}', b"\xff", b"[" * 200_000, b'{"as_of": NaN, "device_tokens": []}',
     '{"as_of": 1, "device_tokens": ["æ"]}'.encode()],
    ids=range(10),
)  # fmt: skip
async def test_what_is_no_list_replaces_none(tmp_path: Path, clock: ManualClock, content: bytes) -> None:
    await copies_of(tmp_path, good, clock).step("signin")
    clock.advance(500)

    def bad(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content) if request.url.path.endswith("/revoked") else good(request)

    copies = copies_of(tmp_path, bad, clock)
    await copies.step("signin")
    assert (tmp_path / "public" / "revoked.json").read_bytes() == LISTED
    [told] = copies.troubles()
    assert told == (
        "what signin publishes is 500 s old here: signin on https://core.internal:9081 publishes what is no revoked"
    )
    assert copies.counters() == {'published_age_seconds{from="signin"}': 500.0}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(401), "answers 401 to /published/device-keys"),
        (httpx.Response(503), "answers 503"),
        (httpx.ConnectTimeout("late"), "does not answer on https://core.internal:9081 (ConnectTimeout)"),
    ],
)
async def test_a_publisher_that_refuses_or_is_away_is_named(
    tmp_path: Path, clock: ManualClock, answer: httpx.Response | httpx.HTTPError, said: str
) -> None:
    def answers(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, httpx.Response):
            return answer
        raise answer

    copies = copies_of(tmp_path, answers, clock)
    await copies.step("signin")
    [told] = copies.troubles()
    assert told.startswith("what signin publishes is not known here: signin ") and said in told
    assert heard_at(tmp_path, "signin") == 0
    (tmp_path / "keys" / "signin-published-command.key").unlink()
    await copies.step("signin")
    assert "no keys/signin-published-command.key" in copies.troubles()[0]
    assert not (tmp_path / "keys" / "signin-published-command.key").exists()


async def test_where_the_publisher_runs_on_this_home_nothing_is_copied_over(tmp_path: Path, clock: ManualClock) -> None:
    """Whatever it has published it knows better."""
    own = tmp_path / "public" / "revoked.json"
    own.parent.mkdir()
    own.write_bytes(b'{"as_of": 0.5, "device_tokens": []}')
    copies = copies_of(tmp_path, good, clock)
    with hold_lock(tmp_path, "signin"):
        await copies.step("signin")
    assert own.read_bytes() == b'{"as_of": 0.5, "device_tokens": []}'
    assert copies.troubles() == []
    copies = copies_of(tmp_path, good, clock)
    await copies.step("signin")
    assert own.read_bytes() == LISTED


async def test_an_older_revocation_list_never_replaces_a_newer_one(tmp_path: Path, clock: ManualClock) -> None:
    """Of several that publish it one was slower; a list of tomorrow was written by a clock that was wrong."""
    there = tmp_path / "public" / "revoked.json"
    there.parent.mkdir()
    newer = b'{"as_of": 2.0, "device_tokens": []}'
    there.write_bytes(newer)
    copies = copies_of(tmp_path, good, clock)
    for _ in range(2):
        await copies.step("signin")
        assert there.read_bytes() == newer and copies.troubles() == []
    there.write_bytes(json.dumps({"as_of": clock.now() + DAY, "device_tokens": []}).encode())
    await copies.step("signin")
    assert there.read_bytes() == LISTED


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([(b"etag", b'"\xe6"')], ""),
        ([(b"etag", b"")], ""),
        ([(b"content-encoding", b"gzip")], "in a coding that was not asked for"),
        ([(b"content-encoding", b"deflate, gzip")], "in a coding that was not asked for"),
    ],
    ids=["no-letters", "empty", "packed", "packed-twice"],
)
async def test_a_publisher_ends_nobody_by_what_it_says_beside_its_keys(
    tmp_path: Path, clock: ManualClock, headers: list[tuple[bytes, bytes]], said: str
) -> None:
    packed = gzip.compress(b" " * 1_000_000)

    def answer(request: httpx.Request) -> httpx.Response:
        if said:
            return httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed))
        return httpx.Response(200, content=good(request).content, headers=headers)

    copies = copies_of(tmp_path, answer, clock)
    for _ in range(3):
        await copies.step("signin")
    assert said in "".join(copies.troubles()) and bool(said) == bool(copies.troubles())


async def test_more_than_can_be_a_list_is_not_read_to_its_end(tmp_path: Path, clock: ManualClock) -> None:
    sent = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 3_000_000:
                sent += 100_000
                yield b" " * 100_000

    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless())))
    limits = AppLimits(published_bytes_max=1_000_000)
    copies = Copies("assurance", elsewhere(tmp_path), clock, client, limits=limits)
    await copies.step("signin")
    assert sent == 1_100_000 and "publishes too much as device-keys" in copies.troubles()[0]
    await client.aclose()


async def test_a_key_for_reading_that_is_torn_is_told_and_ends_nobody(tmp_path: Path, clock: ManualClock) -> None:
    copies = copies_of(tmp_path, good, clock)
    await copies.step("signin")
    secret_file(tmp_path, reading_key("signin") + "-command").write_bytes(b"torn")
    clock.advance(500)
    await copies.step("signin")
    assert "not 32 bytes" in copies.troubles()[0]
    assert (tmp_path / "public" / "revoked.json").read_bytes() == LISTED


async def test_a_copy_that_became_another_is_made_anew(tmp_path: Path, clock: ManualClock) -> None:
    """Also where the publisher says that it still is as it was."""

    def answer(request: httpx.Request) -> httpx.Response:
        answer = good(request)
        same = request.headers.get("if-none-match") == tag_of(answer.content)
        asked.append(same)
        return httpx.Response(304) if same else answer

    asked: list[bool] = []
    copies = copies_of(tmp_path, answer, clock)
    for _ in range(2):
        await copies.step("signin")
    assert asked == [False, False, True, True]
    (copy := tmp_path / "public" / "revoked.json").write_bytes(LISTED[:-3])
    await copies.step("signin")
    assert copy.read_bytes() == LISTED and asked[-2:] == [True, False]


async def test_what_a_role_published_that_has_moved_away_becomes_a_copy(tmp_path: Path, clock: ManualClock) -> None:
    newer = tmp_path / "public" / "revoked.json"
    newer.parent.mkdir()
    newer.write_bytes(b'{"as_of": 0.5, "device_tokens": []}')

    def answer(request: httpx.Request) -> httpx.Response:
        answer = good(request)
        answer.headers["etag"] = tag_of(answer.content)
        return httpx.Response(304) if request.headers.get("if-none-match") == answer.headers["etag"] else answer

    copies = copies_of(tmp_path, answer, clock)
    with hold_lock(tmp_path, "signin"):
        await copies.step("signin")
    await copies.step("signin")
    assert newer.read_bytes() == LISTED


async def test_what_was_heard_tomorrow_is_not_young_until_then(tmp_path: Path, clock: ManualClock) -> None:
    """The clock was ahead when it was noted, and has been set right."""
    await copies_of(tmp_path, good, clock).step("signin")
    os.utime(tmp_path / "public" / "heard" / "signin", (tomorrow := clock.now() + DAY, tomorrow))

    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    copies = copies_of(tmp_path, away, clock)
    clock.advance(500)
    await copies.step("signin")
    assert copies.troubles()[0].startswith("what signin publishes is 500 s old here: ")


async def nothing(scope: object, receive: object, send: object) -> None:
    """An application of which nothing is asked."""


async def test_who_reads_nothing_elsewhere_is_left_as_it_is(tmp_path: Path, clock: ManualClock) -> None:
    """And needs no certificate of its machine: a page is shown also where none was made yet."""
    role = Role(nothing)
    assert with_published(role, "playout", Config(home=tmp_path), clock) is role
    for name in ("viewer", "status", "sms"):
        assert with_published(role, name, elsewhere(tmp_path), clock) is role
    with pytest.raises(UsageError, match="prikkfri keys machine"):
        with_published(role, "playout", elsewhere(tmp_path), clock)
