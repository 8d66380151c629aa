"""What one connection may cost a role: heads and bodies without end, silence, more connections than there is room."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest
from starlette.types import Receive, Scope, Send
from waiting import eventually

from prikkfri.app.connections import Connections, Limits, limits_for
from prikkfri.app.serving import listen, serve, with_health
from prikkfri.simulation.installation import free_ports

LIMITS = Limits(head_seconds_max=0.3, body_seconds_max=0.3, idle_seconds_max=0.3, linger_seconds_max=0.2)
PATIENT = Limits()
Served = Callable[..., AbstractAsyncContextManager["Role"]]


class Role:
    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.connections = connections
        self.asked: list[str] = []

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        while scope["method"] == "POST" and (event := await receive()).get("more_body"):
            if event["type"] == "http.disconnect":
                return
        client = scope["client"][0].encode()
        headers = [(b"content-length", str(len(client)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/stream":
            await asyncio.sleep(2 * LIMITS.idle_seconds_max)
        await send({"type": "http.response.body", "body": client})

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, octets: bytes) -> bytes:
        """What comes back until the role closes."""
        reader, writer = await self.open()
        try:
            writer.write(octets)
            return await reader.read()
        finally:
            writer.close()


@pytest.fixture
def served() -> Served:
    @asynccontextmanager
    async def serving(limits: Limits = PATIENT, *, trusted: tuple[str, ...] = ()) -> AsyncIterator[Role]:
        [port] = free_ports(1)
        role = Role(port, Connections(limits, trusted))
        application = with_health(role.answer, "door", dict)
        sockets = listen(port, "loopback")
        running = asyncio.create_task(serve(application, sockets, connections=role.connections))
        try:
            yield role
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    return serving


def refusal(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head, answer
    assert b"connection: close" in head
    return int(head.split()[1]), json.loads(body)["error"]


GET = b"GET /%b HTTP/1.1\r\nhost: here\r\n%b\r\n"


@pytest.mark.parametrize(
    ("octets", "refused"),
    [
        (b"GET /" + b"a" * 20_000, (414, "address-too-long")),
        (b"GET / HTTP/1.1\r\nhost: here\r\nx: " + b"a" * 20_000, (431, "headers-too-large")),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 4_000, (431, "headers-too-large")),
        (b"\r\n" * 10_000, (414, "address-too-long")),
        (GET % (b"", b"") + GET % (b"b" * 16_500, b""), (431, "headers-too-large")),
        (b"nonsense\r\n\r\n", (400, "bad-request")),
    ],
    ids=["address", "one header", "many headers", "empty lines", "behind another", "no HTTP"],
)
async def test_a_head_without_end_is_refused_as_it_passes_the_limit(
    served: Served, octets: bytes, refused: tuple[int, str]
) -> None:
    async with served() as role:
        answer = await role.say(octets)
        last = answer[answer.rindex(b"HTTP/1.1 ") :]
        assert refusal(last) == refused
        assert len(role.asked) <= 1, "the application is not asked"


async def test_a_head_at_the_limit_is_served(served: Served) -> None:
    async with served() as role:
        filler = b"x: " + b"a" * (PATIENT.head_bytes_max - len(GET % (b"", b"connection: close\r\nx: \r\n"))) + b"\r\n"
        octets = GET % (b"", b"connection: close\r\n" + filler)
        assert len(octets) == PATIENT.head_bytes_max
        assert (await role.say(octets)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("octets", "refused"),
    [
        (b"GET / HT", (408, "too-slow")),
        (b"\r\n", (408, "too-slow")),
        (b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nhalf", (408, "too-slow")),
    ],
    ids=["head", "nothing but a line", "body"],
)
async def test_a_request_that_does_not_end_is_refused_when_its_time_is_up(
    served: Served, octets: bytes, refused: tuple[int, str]
) -> None:
    async with served(LIMITS) as role:
        assert refusal(await role.say(octets)) == refused


async def test_a_connection_that_asks_nothing_is_closed_and_an_answer_that_streams_goes_on(served: Served) -> None:
    async with served(LIMITS) as role:
        assert await role.say(b"") == b""
        streamed = await role.say(GET % (b"stream", b""))
        assert streamed.endswith(b"127.0.0.1"), "longer than a silent connection may stay"
        assert await eventually(lambda: role.connections.open == 0)


async def test_requests_follow_each_other_on_one_connection(served: Served) -> None:
    async with served() as role:
        reader, writer = await role.open()
        for _ in range(3):
            writer.write(GET % (b"", b"x: " + b"a" * 10_000 + b"\r\n"))
            assert b"200 OK" in await reader.readuntil(b"127.0.0.1")
        writer.close()


async def test_one_address_holds_its_share_and_health_is_answered_beyond_it(served: Served) -> None:
    async with served(replace(PATIENT, connections_max=20, connections_of_address_max=5)) as role:
        held = [await role.open() for _ in range(5)]
        await eventually(lambda: role.connections.open == 5)
        assert refusal(await role.say(GET % (b"", b""))) == (503, "overloaded")
        assert b'"status": "ok"' in await role.say(GET % (b"health", b"connection: close\r\n"))
        held.pop()[1].close()
        await eventually(lambda: role.connections.open == 4)
        assert b"200 OK" in await role.say(GET % (b"", b"connection: close\r\n"))
        for _, writer in held:
            writer.close()
    assert role.connections.refused_total == 1


def test_a_full_role_answers_health_until_nothing_is_left() -> None:
    connections = Connections(replace(PATIENT, connections_max=20, connections_of_address_max=5))
    places = [connections.take(f"10.0.0.{number}") for number in range(40)]
    assert [place.serves for place in places] == ["any"] * 20 + ["health"] * 16 + ["none"] * 4
    for place in places:
        connections.give_back(place)
    assert connections.open == 0
    assert connections.take("10.0.0.1").serves == "any"


def test_a_proxy_that_is_trusted_holds_connections_for_others() -> None:
    connections = Connections(replace(PATIENT, connections_of_address_max=2), ["10.1.0.0/16"])
    assert [connections.take("10.1.2.3").serves for _ in range(4)] == ["any"] * 4
    assert [connections.take("10.2.2.3").serves for _ in range(4)] == ["any", "any", "health", "health"]


@pytest.mark.parametrize("descriptors", [256, 1_024, 65_536, 1_048_576])
def test_files_and_databases_always_have_descriptors_left(descriptors: int) -> None:
    limits = limits_for(descriptors)
    assert limits.connections_max + 16 + 100 <= descriptors
    assert 0 < limits.connections_of_address_max < limits.connections_max <= 20_000


@pytest.mark.parametrize(("trusted", "believed"), [((), False), (("127.0.0.1",), True), (("127.0.0.0/8",), True),
                                                   (("10.0.0.0/8",), False)])  # fmt: skip
async def test_only_a_trusted_proxy_says_for_whom_it_asks(
    served: Served, trusted: tuple[str, ...], believed: bool
) -> None:
    async with served(trusted=trusted) as role:
        answer = await role.say(GET % (b"", b"x-forwarded-for: 203.0.113.9\r\nconnection: close\r\n"))
        assert answer.endswith(b"203.0.113.9" if believed else b"127.0.0.1")
