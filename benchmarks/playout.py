"""Playout: CPU of a core for each channel, memory (PSS) with three of them, playlists and segments per CPU second.

    python benchmarks/playout.py [--seconds 10] [--json FILE]

The server is a process of its own, with the demo's three test pictures and uvicorn as `prikkfri serve` runs it. CPU of
a channel is that of the whole process, its threads and the system's work for it; requests are divided by the CPU of the
loop's thread, which encodes nothing. Clients keep 16 connections busy and hold 1,000 different tokens, each verified
before the measurement. The limit beside it, in the same run: as many bytes from a bare ASGI function in the same server
without channels. Then a file as the source, in 540p.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import numpy as np
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec

from prikkfri.clock import SystemClock
from prikkfri.config import Channel, Streaming
from prikkfri.protocols import cat
from prikkfri.streaming.demo import channels as demo_channels
from prikkfri.streaming.http import application
from prikkfri.streaming.service import Playout

CONNECTIONS = 16
TOKENS = 1_000
CPU_OF_A_CHANNEL_GOAL, PSS_MEGABYTES_GOAL = 15.0, 130.0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    load = os.getloadavg()[0]
    machine = f"{platform.platform()}, Python {platform.python_version()}"
    print(f"{machine}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {load:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film(folder / "film.mp4")
        figures = test_pictures(folder, chosen.seconds)
        figures |= source(folder, chosen.seconds)
        figures |= bare(folder, chosen.seconds)
    figures["load_at_start"] = load
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def test_pictures(folder: Path, seconds: float) -> dict[str, float]:
    with Server(folder, demo_channels()) as server:
        encoding = server.cpu_share(seconds)
        pss = server.pss_megabytes()
        print(f"three test pictures: {100 * encoding / 3:.1f} % of a core a channel (goal {CPU_OF_A_CHANNEL_GOAL:.0f})")
        print(f"memory after {seconds:.0f} s: {pss:.0f} MB PSS (goal {PSS_MEGABYTES_GOAL:.0f})")
        figures = {"cpu_percent_a_channel": 100 * encoding / 3, "pss_megabytes": pss}
        segment = server.text("/open/torget/media.m3u8").splitlines()[-1]
        for what, path in {
            "playlists": "/live/{token}/sport/media.m3u8",
            "segments": f"/live/{{token}}/torget/{segment}",
            "channels": "/channels",
        }.items():
            rate = server.requests_per_cpu_second(path, seconds / 2)
            print(f"{what}: {rate:,.0f} a CPU second")
            figures[f"{what}_per_cpu_second"] = rate
    return figures


def source(folder: Path, seconds: float) -> dict[str, float]:
    with Server(folder, (Channel(id="torget", name="Film", number=1, source="film.mp4", open=True),)) as server:
        cpu = 100 * server.cpu_share(seconds)
    print(f"a file of moving noise, read, scaled and encoded: {cpu:.1f} % of a core")
    return {"cpu_percent_source": cpu}


def bare(folder: Path, seconds: float) -> dict[str, float]:
    with Server(folder, ()) as server:
        rate = server.requests_per_cpu_second("/", seconds / 2)
    print(f"limit, a bare ASGI function in uvicorn: {rate:,.0f} a CPU second")
    return {"bare_per_cpu_second": rate}


class Server:
    """The server's process, and what it uses."""

    def __init__(self, folder: Path, channels: tuple[Channel, ...]) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        (folder / "keys.json").write_text(json.dumps({"keys": [cat.public_jwk(self._key.public_key(), "k")]}))
        now = time.time()
        self._tokens = [
            cat.issue(self._key, "k", "door", f"s-{n}", ["basic", "sport"], now, 3600.0, n.to_bytes(18))
            for n in range(TOKENS)
        ]
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=served, args=(folder, channels, theirs))
        self._ready = bool(channels)

    def __enter__(self) -> "Server":
        self._process.start()
        self._port: int = self._pipe.recv()
        while self._ready and "EXTINF" not in self.text("/open/torget/media.m3u8"):
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send("stop")
        self._process.join(10)

    def cpu_share(self, seconds: float) -> float:
        before, began = self._cpu(), time.monotonic()
        time.sleep(seconds)
        return (self._cpu() - before) / (time.monotonic() - began)

    def pss_megabytes(self) -> float:
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

    def text(self, path: str) -> str:
        return asyncio.run(fetched(self._port, path)).decode(errors="replace")

    def requests_per_cpu_second(self, path: str, seconds: float) -> float:
        paths = [path.format(token=token) for token in self._tokens]
        asyncio.run(hammer(self._port, paths, 1.0))  # verifies each token
        before = self._cpu("loop")
        requests = asyncio.run(hammer(self._port, paths, seconds))
        return requests / (self._cpu("loop") - before)

    def _cpu(self, whose: str = "process") -> float:
        self._pipe.send(whose)
        used: float = self._pipe.recv()
        return used


def served(folder: Path, channels: tuple[Channel, ...], pipe: Connection) -> None:
    asyncio.run(serve(folder, channels, pipe))


async def serve(folder: Path, channels: tuple[Channel, ...], pipe: Connection) -> None:
    playout = Playout(
        channels,
        Streaming(),
        folder=folder,
        keys_path=folder / "keys.json",
        revocations_path=folder / "revoked.json",
        record=lambda outcome: None,
        clock=SystemClock(),
    )
    app: Callable[..., Any] = application(playout, "http://localhost:8080") if channels else bare_application
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, loop="uvloop", http="httptools")
    server = uvicorn.Server(config)
    running = asyncio.create_task(playout.run())
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    pipe.send(server.servers[0].sockets[0].getsockname()[1])
    while (asked := await asyncio.to_thread(pipe.recv)) != "stop":
        pipe.send(time.process_time() if asked == "process" else time.thread_time())
    server.should_exit = True
    await serving
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def bare_application(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1200")]})
        await send({"type": "http.response.body", "body": b"x" * 1200})


async def hammer(port: int, paths: list[str], seconds: float) -> int:
    until = time.monotonic() + seconds

    async def client(number: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        while time.monotonic() < until:
            await ask(reader, writer, paths[(number * 97 + done) % len(paths)])
            done += 1
        writer.close()
        return done

    return sum(await asyncio.gather(*(client(number) for number in range(CONNECTIONS))))


async def fetched(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await ask(reader, writer, path)
    finally:
        writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost:8080\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


def film(path: Path) -> None:
    """Ten seconds of 720p that moves all over: blocks of noise that drift."""
    noise = np.random.default_rng(1).integers(40, 200, (90, 200), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
        planes = np.full((1080, 1280), 128, np.uint8)
        for n in range(250):
            planes[:720] = noise[:, n : n + 1280]
            container.mux(video.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(video.encode(None))


if __name__ == "__main__":
    raise SystemExit(main())
