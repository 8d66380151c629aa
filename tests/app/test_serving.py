"""What every role's HTTP has in common: sockets, limits, health and metrics, a clean stop."""

import asyncio
import io
import logging
import math
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from waiting import eventually

from prikkfri.app.limits import AppLimits
from prikkfri.app.serving import listen, listen_at, serve, with_health
from prikkfri.errors import FencedOut, InDoubt, StorageUnavailable, UsageError
from prikkfri.simulation.installation import free_ports


async def test_small_answers_are_not_held_back_for_the_last_ones_acknowledgement() -> None:
    """An answer is written in two pieces; without TCP_NODELAY the second one waits some 40 ms for the first's ACK."""
    [port] = free_ports(1)
    without_delay: asyncio.Queue[int] = asyncio.Queue()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        without_delay.put_nowait(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = listen(port, "loopback")
    servers = [await asyncio.start_server(connected, sock=each) for each in listening]
    try:
        for address in ("127.0.0.1", "::1")[: len(listening)]:
            reader, writer = await asyncio.open_connection(address, port)
            assert await without_delay.get()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
    finally:
        for server in servers:
            server.close()
            await server.wait_closed()


def machine_has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("bind", "addresses"), [("loopback", ["127.0.0.1", "::1"]), ("all", ["0.0.0.0", "::"])])
def test_a_role_listens_where_it_should_and_nowhere_else(bind: str, addresses: list[str]) -> None:
    [port] = free_ports(1)
    sockets = listen(port, bind)
    try:
        names = [each.getsockname()[:2] for each in sockets]
        assert names == [(address, port) for address in addresses[: 2 if machine_has_ipv6() else 1]]
    finally:
        for each in sockets:
            each.close()


def test_for_other_machines_a_role_listens_where_they_find_it_and_nowhere_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def bound(host: str, port: int) -> list[str]:
        sockets = listen_at(host, port)
        try:
            return [each.getsockname()[0] for each in sockets]
        finally:
            for each in sockets:
                each.close()

    [port] = free_ports(1)
    assert bound("127.0.0.2", port) == ["127.0.0.2"]
    assert set(bound("localhost", port)) <= {"127.0.0.1", "::1"}
    assert caplog.text == ""
    both = ["0.0.0.0", "::"][: 2 if machine_has_ipv6() else 1]
    assert bound("192.0.2.7", port) == both  # of nobody (RFC 5737), as what a translation maps to us
    assert f"192.0.2.7 is no address of this machine: port {port} is open at all of its own" in caplog.text
    with pytest.raises(UsageError, match=r"nowhere\.invalid has no address"):
        listen_at("nowhere.invalid", port)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.2", port))
        taken.listen()
        with pytest.raises(UsageError, match=f"port {port} cannot be opened"):
            listen_at("127.0.0.2", port)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_one_line_for_who_started_it(address: str) -> None:
    """On either address: who asks for localhost would else be answered by somebody else."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if family == socket.AF_INET6 and not machine_has_ipv6():
        pytest.skip("this machine has no IPv6")
    with socket.socket(family) as taken:
        taken.bind((address, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} cannot be opened .*is another Prikkfri running"):
            listen(port, "loopback")


class Edge:
    """An application whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await self.may_answer.wait()
        await send({"type": "http.response.body", "body": b"done"})


class Served:
    def __init__(self, edge: Edge, limits: AppLimits) -> None:
        [port] = free_ports(1)
        self.edge = edge
        self.url = f"http://127.0.0.1:{port}"
        self.task = asyncio.create_task(serve(edge, listen(port, "loopback"), limits=limits))

    async def ask(self, path: str = "/") -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(self.url + path, timeout=60)

    async def asking(self) -> asyncio.Task[httpx.Response]:
        """A request that is being answered and has not been."""
        before = self.edge.asked
        task = asyncio.create_task(self.ask())
        await eventually(lambda: self.edge.asked > before)
        return task

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def edge() -> Edge:
    return Edge()


@pytest.fixture
async def served(edge: Edge, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    served = Served(edge, getattr(request, "param", AppLimits()))
    yield served
    edge.may_answer.set()
    await served.stop()


async def test_a_role_that_stops_answers_first_what_it_has_been_asked(served: Served) -> None:
    asking = await served.asking()
    served.task.cancel()
    await asyncio.sleep(0)
    assert not served.task.done()
    served.edge.may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await served.task
    assert (await asking).text == "done"
    with pytest.raises(httpx.ConnectError):
        await served.ask()


@pytest.mark.parametrize("served", [AppLimits(answers_end_seconds_max=0)], indirect=True)
async def test_an_answer_without_an_end_does_not_keep_a_role_from_stopping(served: Served) -> None:
    asking = await served.asking()
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.task
    with pytest.raises(httpx.HTTPError):
        await asking
    assert not served.edge.may_answer.is_set()


@pytest.mark.usefixtures("own_logs")
async def test_addresses_which_may_hold_tokens_are_not_logged(edge: Edge) -> None:
    written = io.StringIO()
    root = logging.getLogger()
    root.addHandler(logging.StreamHandler(written))
    root.setLevel(logging.INFO)
    served = Served(edge, AppLimits())
    edge.may_answer.set()
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(served.url).port)
    writer.write(b"GET /live/a-secret-token/index.m3u8 HTTP/1.1\r\nHost: role\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    assert b"200 OK" in answer and answer.endswith(b"done") and b"uvicorn" not in answer
    writer.close()
    await writer.wait_closed()
    await served.stop()
    assert "a-secret-token" not in written.getvalue()


async def asked(
    path: str, counters: Mapping[str, float] | None = None, *, client: str = "127.0.0.1", **settings: Any
) -> httpx.Response:
    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"the role's own"})

    served = with_health(edge, "door", lambda: counters or {}, **settings)
    transport = httpx.ASGITransport(served, client=(client, 1))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://role") as asking:
        return await asking.get(path)


async def test_each_role_says_that_it_is_well_and_who_it_is() -> None:
    answer = await asked("/health")
    assert (answer.status_code, answer.json()) == (200, {"role": "door", "status": "ok"})
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")


async def test_what_is_wrong_though_it_serves_is_told_beside_and_the_role_still_answers() -> None:
    for troubles in ((), ("channel news shows the slate: its source is away",)):
        answer = await asked("/health", troubles=lambda troubles=troubles: troubles)  # type: ignore[misc]
        assert answer.status_code == 200
        assert answer.json() == {"role": "door", "status": "ok", "troubles": list(troubles)}


@pytest.mark.parametrize("path", ["/", "/health/", "/metrics/x", "/line"])
async def test_all_other_requests_are_the_roles_own(path: str) -> None:
    answer = await asked(path)
    assert (answer.status_code, answer.text) == (299, "the role's own")


async def test_metrics_are_counters_and_gauges_with_the_process_beside_them() -> None:
    counters = {
        'refusals_total{reason="expired"}': 2,
        'refusals_total{reason="revoked"}': 3,
        "waiting": 0.5,
        "prikkfri_messages_total": 1_000_000,
    }
    answer = await asked("/metrics", counters)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert lines[:7] == [
        "# TYPE prikkfri_door_refusals_total counter",
        'prikkfri_door_refusals_total{reason="expired"} 2',
        'prikkfri_door_refusals_total{reason="revoked"} 3',
        "# TYPE prikkfri_door_waiting gauge",
        "prikkfri_door_waiting 0.5",
        "# TYPE prikkfri_messages_total counter",
        "prikkfri_messages_total 1000000",
    ]
    assert lines[7] == "# TYPE process_cpu_seconds_total counter"
    assert lines[9] == "# TYPE process_memory_peak_bytes gauge"
    name, _, peak = lines[10].partition(" ")
    assert name == "process_memory_peak_bytes" and 10e6 < float(peak) < 1e11
    assert answer.text.endswith("\n")


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0"), (True, "1"), (-2.0, "-2"), (123_456_789, "123456789"), (1_795_432_109.25, "1795432109.25"),
     (1_795_432_109.0, "1795432109"), (0.000_012_5, "1.25e-05"), (math.inf, "inf")],
)  # fmt: skip
async def test_a_figure_is_written_to_its_last_digit(value: float, written: str) -> None:
    """Of six digits no rate could be taken once a million has passed, and no age of a moment."""
    lines = (await asked("/metrics", {"figure": value})).text.splitlines()
    assert lines[1] == f"prikkfri_door_figure {written}"


@pytest.mark.parametrize(
    ("client", "metrics_from", "status"),
    [
        ("127.0.0.2", None, 200), ("::1", None, 200), ("::ffff:127.0.0.1", None, 200), ("192.0.2.1", None, 403),
        ("", None, 403), ("192.0.2.1", ("192.0.2.0/24",), 200), ("2001:db8::7", ("2001:db8::/64",), 200),
        ("127.0.0.1", ("192.0.2.0/24",), 403), ("127.0.0.1", (), 403),
    ],
)  # fmt: skip
async def test_figures_are_for_the_networks_that_are_named_and_health_is_for_everybody(
    client: str, metrics_from: tuple[str, ...] | None, status: int
) -> None:
    settings = {} if metrics_from is None else {"metrics_from": metrics_from}
    answer = await asked("/metrics", {"waiting": 3}, client=client, **settings)
    assert answer.status_code == status
    assert ("prikkfri_door_waiting" in answer.text) == (status == 200)
    if status == 403:
        assert answer.json()["error"] == "not-for-you" and "metrics_from" in answer.json()["message"]
    assert (await asked("/health", client=client, **settings)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_what_fails_is_a_refusal_and_told_to_the_log_without_its_address(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("something is missing")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": method, "path": "/live/a-secret-token/index.m3u8", "headers": [],
             "query_string": b"ticket=another-secret", "client": ("127.0.0.1", 1)}  # fmt: skip
    await with_health(edge, "playout", dict)(scope, receive, send)
    start, body = sent
    assert start["status"] == 500
    assert (b'"internal"' in body["body"]) == (method != "HEAD")
    assert dict(start["headers"])[b"content-length"] != b"0"
    assert "something is missing" in caplog.text and "secret" not in caplog.text


@pytest.mark.parametrize("error", [FencedOut("another writes"), InDoubt("kept or not"), StorageUnavailable("away")])
async def test_what_a_role_must_not_outlive_is_no_answer_to_come_again_and_ends_it(error: Exception) -> None:
    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    transport = httpx.ASGITransport(with_health(edge, "sms", dict, fatal=fatal))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://role") as asking:
        for _ in range(2):  # of several that meet it the first is told
            answer = await asking.get("/")
            assert (answer.status_code, answer.json()["error"]) == (500, "internal")
            assert "retry-after" not in answer.headers
            assert (await asking.head("/")).status_code == 500
            for method in ("POST", "PUT", "DELETE"):
                answer = await asking.request(method, "/")
                slug = "internal" if isinstance(error, StorageUnavailable) else "in-doubt"
                assert (answer.status_code, answer.json()["error"]) == (500, slug)
                assert "retry-after" not in answer.headers
    assert fatal.done() is not isinstance(error, StorageUnavailable)
    assert not fatal.done() or fatal.exception() is error
