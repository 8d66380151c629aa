"""One connection byte by byte and second by second: its wire is a double, and time passes when it is told to."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from prikkfri.app.connections import Connections, Limits, protocol_of, raise_descriptor_limit

LIMITS = Limits()
CLOSED, ABORTED = "closed", "aborted"


@dataclass
class Timer:
    at: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Times:
    """The event loop, as far as a connection uses it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[Timer] = []

    def call_later(self, seconds: float, callback: Callable[..., None]) -> Timer:
        self._timers.append(Timer(self.now + seconds, callback))
        return self._timers[-1]

    def create_task(self, work: Any) -> "asyncio.Task[Any]":
        return asyncio.get_running_loop().create_task(work)

    def until(self, moment: float) -> None:
        """All that is due up to that moment, in order."""
        while due := sorted((t for t in self._timers if t.at <= moment and not t.cancelled), key=lambda t: t.at):
            self._timers.remove(due[0])
            self.now = due[0].at
            due[0].callback()
        self.now = moment


class Wire(asyncio.Transport):
    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 40_000), "sockname": ("127.0.0.1", 80)})
        self.written = b""
        self.ended = ""
        """How our side has let go of it."""
        self.said_all = False

    def write(self, data: Any) -> None:
        assert not self.ended
        self.written += bytes(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.said_all = True

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or CLOSED

    def abort(self) -> None:
        self.ended = ABORTED

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@dataclass
class Application:
    """Answers `GET /`, reads what is posted to `/`, waits at `/wait`, and is never done with `/half`."""

    asked: list[str] = field(default_factory=list)
    events: list[Message] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        if scope["path"] in ("/half", "/early"):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            await send({"type": "http.response.body", "body": b"half", "more_body": scope["path"] == "/half"})
        while scope["method"] == "POST" or scope["path"] in ("/wait", "/half"):
            self.events.append(await receive())
            if self.events[-1]["type"] == "http.disconnect":
                return
            if not self.events[-1]["more_body"] and scope["method"] == "POST":
                break
        if scope["path"] != "/early":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})


class Client:
    """Somebody at the other end."""

    def __init__(self, connections: Connections, application: Application, address: str = "192.0.2.1") -> None:
        self.times, self.wire = Times(), Wire(address)
        config = uvicorn.Config(
            application, lifespan="off", log_config=None, ws="none", proxy_headers=False, server_header=False,
            date_header=False, access_log=False, timeout_keep_alive=round(connections.limits.idle_seconds_max),
        )  # fmt: skip
        config.load()
        made: Any = protocol_of(connections)
        self.side = made(config=config, server_state=ServerState(), app_state={}, _loop=self.times)
        self.side.connection_made(self.wire)

    async def say(self, octets: bytes) -> None:
        self.side.data_received(octets)
        await settled()

    @property
    def refusals(self) -> list[tuple[int, str, str]]:
        """Status, reason and message of each answer that is a document."""
        answers = [part.partition(b"\r\n\r\n") for part in self.wire.written.split(b"HTTP/1.1 ")[1:]]
        told = [(int(head[:3]), json.loads(body)) for head, _, body in answers if b"application/json" in head]
        return [(status, document["error"], document["message"]) for status, document in told]


async def settled() -> None:
    """All that can run now has run."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def client(application: Application) -> AsyncIterator[Client]:
    client = Client(Connections(LIMITS), application)
    yield client
    client.side.connection_lost(None)  # or its application would wait for ever
    await settled()


def get(path: str = "/", more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: here\r\n{more}\r\n".encode()


def post(path: str = "/", length: int = 10) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n".encode()


async def test_who_says_nothing_is_let_go_after_a_minute_and_cut_off_when_they_do_not_go(client: Client) -> None:
    client.times.until(59.9)
    assert client.wire.ended == ""
    client.times.until(60.0)
    assert client.wire.ended == CLOSED
    client.times.until(60.9)
    assert client.wire.ended == CLOSED
    client.times.until(61.0)
    assert client.wire.ended == ABORTED


async def test_a_minute_after_an_answer_the_connection_is_closed_unless_more_is_asked(client: Client) -> None:
    client.times.until(50.0)
    await client.say(get())
    client.times.until(109.0)
    await client.say(get())
    client.times.until(168.9)
    assert client.wire.written.count(b"200 OK") == 2 and client.wire.ended == ""
    client.times.until(169.0)
    assert client.wire.ended == CLOSED


async def test_a_head_has_ten_seconds_from_its_first_byte_however_often_a_byte_comes(client: Client) -> None:
    client.times.until(5.0)
    for second, octets in enumerate((b"GET ", b"/", b" HT", b"TP/1", b".1\r\n", b"x: ", b"y", b"\r\n", b"a: ", b"b")):
        client.times.until(5.0 + second)
        await client.say(octets)
    client.times.until(14.9)
    assert client.wire.written == b""
    client.times.until(15.0)
    assert client.refusals == [(408, "too-slow", "The request was not complete after 10 s.")]
    await client.say(b"\r\n\r\n" + get())
    assert len(client.refusals) == 1, "whoever is refused is not listened to any more"


async def test_a_body_has_thirty_seconds_from_the_end_of_its_head(client: Client, application: Application) -> None:
    await client.say(post()[:-2])
    client.times.until(9.0)
    await client.say(b"\r\n")
    for moment in (20.0, 38.9):
        client.times.until(moment)
        await client.say(b"a")
        assert client.wire.written == b""
    client.times.until(39.0)
    await settled()
    assert client.refusals == [(408, "too-slow", "The request was not complete after 30 s.")]
    assert application.events[-1]["type"] == "http.disconnect", "the application is told, and waits no longer"


async def test_whoever_is_refused_has_a_second_to_read_why(client: Client) -> None:
    await client.say(b"nonsense\r\n\r\n")
    assert [refusal[:2] for refusal in client.refusals] == [(400, "bad-request")]
    head = client.wire.written.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert {b"connection: close", b"cache-control: no-store"} <= set(head)
    client.times.until(0.9)
    assert (client.wire.said_all, client.wire.ended) == (True, "")
    client.times.until(1.0)
    assert client.wire.ended == ABORTED


async def test_who_does_not_take_the_answer_has_half_a_minute_and_who_goes_on_reading_has_all_the_time(
    client: Client,
) -> None:
    await client.say(get("/half"))
    client.side.pause_writing()
    client.times.until(29.0)
    client.side.resume_writing()
    client.times.until(100.0)
    assert client.wire.ended == ""
    client.side.pause_writing()
    client.times.until(129.9)
    assert client.wire.ended == ""
    client.times.until(130.0)
    assert client.wire.ended == ABORTED


@pytest.mark.parametrize("paused", [False, True])
async def test_an_answer_that_is_not_taken_does_not_keep_a_closing_connection(client: Client, paused: bool) -> None:
    await client.say(get("/", "connection: close\r\n"))
    assert client.wire.ended == CLOSED, "which waits until all is sent"
    if paused:
        client.side.pause_writing()
        client.side.resume_writing()  # some of it was taken, not all
    client.times.until(29.9)
    assert client.wire.ended == CLOSED
    client.times.until(30.0)
    assert client.wire.ended == ABORTED


async def test_in_the_middle_of_an_answer_no_other_begins(client: Client) -> None:
    await client.say(post("/half") + b"half")
    client.times.until(30.0)
    assert client.wire.written.count(b"HTTP/1.1") == 1 and client.wire.ended == ABORTED


async def test_a_request_that_is_answered_gets_no_second_answer_when_its_body_does_not_come(client: Client) -> None:
    await client.say(post("/early") + b"half")
    client.times.until(29.9)
    assert client.wire.ended == ""
    client.times.until(30.0)
    assert client.wire.written.count(b"HTTP/1.1") == 1 and client.wire.ended == CLOSED


async def test_a_request_behind_another_gets_its_refusal_as_the_first_would(client: Client) -> None:
    """An address that is too long is said to be that, also when headers came before it on the connection."""
    await client.say(get())
    await client.say(b"GET /" + b"a" * 20_000)
    assert [refusal[:2] for refusal in client.refusals] == [(414, "address-too-long")]


async def test_who_leaves_takes_their_request_along(client: Client, application: Application) -> None:
    await client.say(get("/wait") + get())
    client.side.connection_lost(ConnectionResetError())
    await settled()
    assert application.asked == ["/wait"] and application.events[-1]["type"] == "http.disconnect"
    client.times.until(1_000.0)
    assert client.wire.ended == "", "nothing is left that would let go of it once more"


@pytest.mark.parametrize(("behind", "answered"), [(16, 17), (17, 0)])
async def test_sixteen_requests_may_wait_behind_another(application: Application, behind: int, answered: int) -> None:
    connections = Connections(LIMITS)
    client = Client(connections, application)
    await client.say(get() * (1 + behind))
    for _ in range(behind):
        await settled()
    assert client.wire.written.count(b"200 OK") == answered
    assert (client.wire.ended, connections.refused_total) == (("", 0) if answered else (ABORTED, 1))


async def test_a_body_may_be_longer_than_any_head(client: Client) -> None:
    await client.say(post(length=100_000))
    for _ in range(10):
        await client.say(b"a" * 10_000)
    assert client.wire.written.endswith(b"ok")


async def test_a_place_for_health_is_for_one_question_and_two_seconds(application: Application) -> None:
    connections = Connections(replace(LIMITS, connections_max=1, connections_of_address_max=1))
    held = Client(connections, application, "192.0.2.1")

    def another() -> Client:
        return Client(connections, application, "192.0.2.2")

    silent, asks, wants = another(), another(), another()
    await asks.say(get("/health?from=here") + get("/health"))
    assert asks.wire.written.count(b"200 OK") == 1 and asks.wire.ended == CLOSED
    await wants.say(get())
    assert [refusal[:2] for refusal in wants.refusals] == [(503, "overloaded")]
    assert b"\r\nretry-after: 1\r\n" in wants.wire.written and b'"retry_after_s": 1' in wants.wire.written
    assert application.asked == ["/health"]
    silent.times.until(1.9)
    assert silent.wire.ended == ""
    silent.times.until(2.0)
    assert silent.wire.ended == CLOSED and held.wire.ended == ""
    assert connections.refused_total == 1


async def test_whoever_finds_no_place_at_all_is_cut_off_and_counted(application: Application) -> None:
    connections = Connections(replace(LIMITS, connections_max=1, connections_of_address_max=1))
    clients = [Client(connections, application) for _ in range(6)]
    assert [client.wire.ended for client in clients] == [""] * 5 + [ABORTED]
    assert connections.counters() == {"connections_open": 5, "connections_refused_total": 1}
    for client in clients:
        client.side.connection_lost(None)
    assert connections.open == 0


def test_a_process_may_have_as_many_files_open_as_it_is_let() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        assert raise_descriptor_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert raise_descriptor_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
