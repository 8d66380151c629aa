"""What one request costs the door in CPU, beside plain peers in the same run.

    python benchmarks/door.py [--seconds 3] [--json FILE]

The door runs in a process of its own, as in production (journal included), on one core; the generator and a stand-in
for signin's `/capacity` run on another. A line stands in it. CPU is that of the door's process, all threads, for as
many requests as sixteen connections that are kept open get answered; the peers answer the same bytes: uvicorn with a
bare ASGI application, and asyncio's own protocol with nothing but a search for the end of the head. Both run on uvloop,
as the door does. `connecting`: each request on a connection of its own, as somebody's first one is.
"""

import argparse
import asyncio
import base64
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

from prikkfri.protocols import device_token
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.storage.keys import publish_public_key, signing_key

PORTS = {"door": 18_086, "signin": 18_081, "uvicorn": 18_091, "asyncio": 18_092}
CONNECTIONS = 16
IN_LINE = 2_000
"""People who stand in the line before anything is measured."""
TOKENS = 200
GOAL_MS = 0.15
HOLDER = f"k-{'h' * 43}"
PROOF = f"{'x' * 43}.{'y' * 43}.{'s' * 86}"
"""As long as a real one; it is looked at when there is a pass to give, once for each person."""
ANSWER = json.dumps({"wait_s": 812.5, "since": None, "turns": [[1e11 + n, n, float(n)] for n in range(20)]}).encode()
HEADERS = (
    "Host: door.example\r\nOrigin: http://localhost:8080\r\nReferer: http://localhost:8080/\r\nAccept: */*\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: nb-NO,nb;q=0.9,no;q=0.8,en;q=0.7\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36\r\n"
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-site\r\n"
)
Ask = Callable[[], bytes]
Asked = Callable[[int, Ask, Callable[[int, bytes], bool]], Awaitable[None]]


def request(method: str, path: str, body: bytes = b"", more: str = "") -> bytes:
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\n{HEADERS}{more}{length}\r\n".encode() + body


class Caller(asyncio.Protocol):
    """One connection: asks anew as soon as it has its answer."""

    def __init__(self, ask: Ask, done: Callable[[int, bytes], bool]) -> None:
        self._ask, self._done, self._held = ask, done, b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._transport.write(self._ask())

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, gap, rest = self._held.partition(b"\r\n\r\n")
        if not gap:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._held = b""
        if self._done(int(head[9:12]), rest):
            self._transport.write(self._ask())
        elif not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionError("closed"))


async def asked(port: int, ask: Ask, more: Callable[[int, bytes], bool]) -> None:
    """Asks on all connections for as long as `more` says so of an answer."""
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(ask, more), "127.0.0.1", port))[1] for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(caller.ended for caller in callers))


async def asked_anew(port: int, ask: Ask, more: Callable[[int, bytes], bool]) -> None:
    """The same, with a connection for each question."""

    async def caller() -> None:
        going = True
        while going:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ask())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            going = more(int(head[9:12]), await reader.readexactly(length))
            writer.close()

    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))


async def measured(port: int, pid: int, seconds: float, ask: Ask, asked: Asked = asked) -> dict[str, float]:
    """Milliseconds of CPU of a process for each request, and how many it answered in a second."""
    answers = {"right": 0, "other": 0}
    until = time.perf_counter() + seconds

    def more(status: int, _: bytes) -> bool:
        answers["right" if status == 200 else "other"] += 1
        return time.perf_counter() < until

    before, begun = cpu_seconds(pid), time.perf_counter()
    await asked(port, ask, more)
    spent, elapsed = cpu_seconds(pid) - before, time.perf_counter() - begun
    assert answers["other"] == 0, answers
    return {"cpu_ms": round(1_000 * spent / answers["right"], 4), "per_s": round(answers["right"] / elapsed, 1)}


def cpu_seconds(pid: int) -> float:
    """All threads that run and ran, to the nanosecond where the kernel tells it."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e9


@contextmanager
def process(arguments: list[str], core: int, ready: bytes = b"ready\n") -> Iterator[int]:
    environment = {
        **os.environ,
        "PRIKKFRI_ROLES_DOOR_PORT": str(PORTS["door"]),
        "PRIKKFRI_ROLES_SIGNIN_PORT": str(PORTS["signin"]),
        "PRIKKFRI_DOOR_JOINS_PER_NETWORK": "0",
    }
    running = subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    try:
        os.sched_setaffinity(running.pid, {core})
        assert running.stdout is not None and running.stdout.readline() == ready
        yield running.pid
    finally:
        running.terminate()
        running.wait(15)


async def door(pid: int, home: Path, seconds: float) -> dict[str, dict[str, float]]:
    await answers(PORTS["door"])
    tickets: list[str] = []

    def enter() -> bytes:
        device = f"d-{base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b'=').decode()}"
        return request("POST", "/enter", json.dumps({"device": device, "holder": HOLDER}).encode())

    def joined(status: int, body: bytes) -> bool:
        assert status == 200, body
        tickets.extend(filter(None, [json.loads(body).get("ticket")]))
        return len(tickets) < IN_LINE

    await asked(PORTS["door"], enter, joined)
    await asyncio.sleep(1.5)
    back = iter(tickets)

    def came_back(status: int, body: bytes) -> bool:
        assert status in (200, 403), body  # 403: the first ones are called, and have no key
        return len(held) < IN_LINE - CONNECTIONS

    held: list[str] = []

    def come_back() -> bytes:
        held.append(next(back, tickets[-1]))
        return request("GET", f"/waiting?ticket={held[-1]}&proof={PROOF}")

    await asked(PORTS["door"], come_back, came_back)
    await asyncio.sleep(2.0)  # what they wrote into the journal is not what is measured
    last = [request("GET", f"/waiting?ticket={ticket}&proof={PROOF}") for ticket in tickets[-500:]]
    tokens = [request("POST", "/playback-token", more=f"Authorization: Bearer {each}\r\n") for each in known(home)]
    requests: dict[str, Ask] = {
        "GET /line": lambda: LINE,
        "GET /waiting": lambda: secrets.choice(last),
        "POST /enter": enter,
        "POST /playback-token": lambda: secrets.choice(tokens),
    }
    points = {name: await measured(PORTS["door"], pid, seconds, ask) for name, ask in requests.items()}
    for name in ("GET /line", "GET /waiting"):
        anew = await measured(PORTS["door"], pid, seconds, requests[name], asked_anew)
        points[f"{name}, connecting"] = anew
    return points


LINE = request("GET", "/line")


def known(home: Path) -> list[str]:
    """Device tokens of signin's."""
    key = signing_key(home, "signin-device")
    publish_public_key(home, "device", "signin", key)
    now = time.time()
    made = []
    for number in range(TOKENS):
        device = f"d-{number:022d}"
        token = DeviceToken(f"s-{number}", device, ("basic",), now - 60, now + 86_400, secrets.token_bytes(16))
        made.append(device_token.issue(key.private, key.kid, token))
    return made


async def answers(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


# The peers


class Bare(asyncio.Protocol):
    """Answers whatever has a head."""

    body = ANSWER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._held = b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while b"\r\n\r\n" in self._held:
            self._held = self._held.partition(b"\r\n\r\n")[2]
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(self.body)
            self._transport.write(head + self.body)


class Capacity(Bare):
    body = json.dumps({"per_second": 2.0, "waiting_s": 0.7, "waiting": 1, "spent": None}).encode()


async def application(_: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def be(peer: str) -> None:
    print("ready", flush=True)
    if peer == "uvicorn":
        uvicorn.run(application, port=PORTS[peer], loop="uvloop", http="httptools", lifespan="off", log_level="error",
                    access_log=False)  # fmt: skip
        return

    async def serve() -> None:
        kind = {"asyncio": Bare, "signin": Capacity}[peer]
        server = await asyncio.get_running_loop().create_server(kind, "127.0.0.1", PORTS[peer])
        await server.serve_forever()

    uvloop.run(serve())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--be", choices=("uvicorn", "asyncio", "signin"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.be:
        be(chosen.be)
        return
    cores = sorted(os.sched_getaffinity(0))
    machine = f"{platform.platform()}, Python {platform.python_version()}, {len(cores)} cores"
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    print(f"{machine}, {at}, load {os.getloadavg()[0]:.1f} before")
    os.sched_setaffinity(0, {cores[-1]})
    peers = {}
    for peer in ("asyncio", "uvicorn"):
        with process([__file__, "--be", peer], cores[0]) as pid:
            asyncio.run(answers(PORTS[peer]))
            peers[peer] = uvloop.run(measured(PORTS[peer], pid, chosen.seconds, lambda: LINE))
            anew = uvloop.run(measured(PORTS[peer], pid, chosen.seconds, lambda: LINE, asked_anew))
            peers[f"{peer}, connecting"] = anew
    with (
        tempfile.TemporaryDirectory(prefix="pf-door-") as folder,
        process([__file__, "--be", "signin"], cores[-1]),
        process(["-m", "prikkfri.app", "door", "--home", folder], cores[0]) as pid,
    ):
        points = uvloop.run(door(pid, Path(folder), chosen.seconds))
    for name, point in [*(("bare " + name, each) for name, each in peers.items()), *points.items()]:
        print(f"  {name:<24} {point['cpu_ms']:.3f} ms CPU, {point['per_s']:,.0f}/s")
    good = all(points[name]["cpu_ms"] <= GOAL_MS for name in ("GET /line", "GET /waiting"))
    print(f"  {'at most' if good else 'MORE THAN'} {GOAL_MS} ms for GET /line and GET /waiting")
    if chosen.json:
        told = {"machine": machine, "at": at, "goal_ms": GOAL_MS, "passed": good, "door": points, "peers": peers}
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
