"""What one connection may cost a role: heads and bodies without end, silence, more connections than there is room."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest
from starlette.types import Receive, Scope, Send
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.app.connections import Connections, Limits, limits_for
from prikkfri.app.limits import smpp_connections_for
from prikkfri.app.serving import listen, serve, with_health
from prikkfri.protocols.networks import network_of
from prikkfri.simulation.installation import free_ports

LIMITS = Limits(head_seconds_max=0.3, body_seconds_max=0.3, idle_seconds_max=0.3, linger_seconds_max=0.2)
PATIENT = Limits()
Served = Callable[..., AbstractAsyncContextManager["Role"]]


class Role:
    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.connections = connections
        self.asked: list[str] = []
        self.left: list[str] = []
        self.answers = b""
        self.headers: list[tuple[bytes, bytes]] = []

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        while scope["method"] == "POST" and (event := await receive()).get("more_body"):
            if event["type"] == "http.disconnect":
                return
        self.headers = scope["headers"]
        if scope["path"] == "/fault":
            raise ValueError("secret")
        if scope["path"] == "/wait":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.append(scope["path"])
            return
        client = self.answers or scope["client"][0].encode()
        headers = [(b"content-length", str(len(client)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/stream":
            await asyncio.sleep(2 * LIMITS.idle_seconds_max)
        await send({"type": "http.response.body", "body": client})

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, octets: bytes) -> bytes:
        """What comes back until the role closes; `TimeoutError` when it does not."""
        reader, writer = await self.open()
        try:
            writer.write(octets)
            async with asyncio.timeout(WAIT_SECONDS_MAX / 2):
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


BODY = b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n"
CLOSING = BODY.replace(b"transfer", b"connection: close\r\ntransfer", 1)
GET = b"GET /%b HTTP/1.1\r\nhost: here\r\n%b\r\n"


@pytest.mark.parametrize(
    ("octets", "refused"),
    [
        (b"GET /" + b"a" * 20_000, (414, "address-too-long")),
        (b"GET / HTTP/1.1\r\nhost: here\r\nx: " + b"a" * 20_000, (431, "headers-too-large")),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 4_000, (431, "headers-too-large")),
        (b"\r\n" * 10_000, (414, "address-too-long")),
        (GET % (b"", b"") + GET % (b"b" * 16_500, b""), (431, "headers-too-large")),
        (BODY + b"0\r\nx: " + b"a" * 40_000, (431, "headers-too-large")),
        (BODY + b"0\r\n" + b"x: y\r\n" * 8_000, (431, "headers-too-large")),
        (BODY + b"1;" + b"a" * 40_000, (431, "headers-too-large")),
        (b"nonsense\r\n\r\n", (400, "bad-request")),
    ],
    ids=[
        "address",
        "one header",
        "many headers",
        "empty lines",
        "behind another",
        "one trailer",
        "many trailers",
        "chunk extension",
        "no HTTP",
    ],
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


async def test_whoever_does_not_take_the_answer_is_let_go(served: Served) -> None:
    async with served(replace(LIMITS, unread_seconds_max=0.1)) as role:
        role.answers = b"a" * 20_000_000
        _, writer = await role.open()
        writer.write(GET % (b"", b""))
        assert await eventually(lambda: role.asked)
        assert await eventually(lambda: role.connections.open == 0)
        writer.close()


async def test_a_request_answered_before_its_body_has_come_gets_no_second_answer(served: Served) -> None:
    async with served(replace(LIMITS, head_seconds_max=WAIT_SECONDS_MAX, idle_seconds_max=WAIT_SECONDS_MAX)) as role:
        answer = await role.say(b"PUT / HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nhalf")
        assert answer.count(b"HTTP/1.1 ") == 1 and answer.startswith(b"HTTP/1.1 200")


async def test_what_comes_behind_a_body_is_no_header(served: Served) -> None:
    async with served() as role:
        assert (await role.say(CLOSING + b"1\r\na\r\n0\r\norigin: x\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert [name for name, _ in role.headers] == [b"host", b"connection", b"transfer-encoding"]


async def test_requests_that_pile_up_on_one_connection_are_nobodys(served: Served) -> None:
    async with served() as role:
        with contextlib.suppress(ConnectionError):
            await role.say(GET % (b"", b"") * 700)
        assert await eventually(lambda: role.connections.open == 0)
        assert len(role.asked) <= 20


async def test_who_leaves_is_noticed_also_with_another_request_behind(served: Served) -> None:
    async with served() as role:
        _, writer = await role.open()
        writer.write(GET % (b"wait", b"") + GET % (b"", b""))
        assert await eventually(lambda: role.asked == ["/wait"])
        writer.transport.abort()
        assert await eventually(lambda: role.left == ["/wait"])


async def test_a_fault_of_ours_is_said_like_everything_else_and_nothing_of_it(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as role:
        answer = await role.say(GET % (b"fault", b"connection: close\r\n"))
        assert refusal(answer) == (500, "internal")
        assert b"secret" not in answer and b"/fault" not in answer
        assert "a request failed" in caplog.text


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
    for _ in range(2):  # each place is given back where it was taken
        places = [connections.take(f"10.0.0.{number}") for number in range(40)]
        assert [place.serves for place in places] == ["any"] * 20 + ["health"] * 16 + ["none"] * 4
        assert connections.open == 36
        for place in places:
            connections.give_back(place)
        assert connections.open == 0


async def test_one_address_keeps_nobody_out_with_what_it_is_refused(served: Served) -> None:
    few = replace(PATIENT, connections_max=20, connections_of_address_max=5, health_seconds_max=0.3)
    connections = Connections(few)
    places = [connections.take("10.0.0.1") for _ in range(100)]
    assert [place.serves for place in places] == ["any"] * 5 + ["health"] * 4 + ["none"] * 91
    assert [connections.take(f"10.0.1.{number}").serves for number in range(15)] == ["any"] * 15
    async with served(replace(few, connections_of_address_max=1)) as role:
        _, held = await role.open()
        await eventually(lambda: role.connections.open == 1)
        silent = [await role.open() for _ in range(4)]
        assert [await reader.read() for reader, _ in silent] == [b""] * 4, "the last places are given back in time"

        async def answers_health() -> bool:  # whoever asks more slowly than in health's time asks again
            return b'"status": "ok"' in await role.say(GET % (b"health", b""))

        assert await eventually(answers_health)
        for writer in (held, *(writer for _, writer in silent)):
            writer.close()


def test_a_proxy_that_is_trusted_holds_connections_for_others() -> None:
    connections = Connections(replace(PATIENT, connections_of_address_max=2), ["10.1.0.0/16"])
    assert [connections.take("10.1.2.3").serves for _ in range(4)] == ["any"] * 4
    assert [connections.take("10.2.2.3").serves for _ in range(4)] == ["any", "any", "health", "health"]


def test_one_subscribers_addresses_count_as_one() -> None:
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2:ffff::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")


@pytest.mark.parametrize("descriptors", [512, 1_024, 4_096, 65_536])
def test_smpp_and_http_leave_each_other_room(descriptors: int) -> None:
    smpp = smpp_connections_for(descriptors)
    assert 32 <= smpp <= 1_000
    assert limits_for(descriptors, smpp=smpp).connections_max + smpp + 16 + 100 <= descriptors


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
