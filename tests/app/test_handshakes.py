"""On the way to a connection by TLS: whoever says nothing, or not enough, holds nobody up and costs little."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from machines import Machines
from waiting import eventually

from prikkfri.app.handshakes import Handshakes
from prikkfri.app.internal_network import Identity
from prikkfri.app.limits import AppLimits
from prikkfri.clock import SystemClock


class Echo(asyncio.Protocol):
    """Says back what it is told, once somebody is let in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Doorway:
    """Listens; who comes in is echoed."""

    def __init__(self, folder: Path, limits: AppLimits) -> None:
        self.identity = Identity(Machines(folder, {"a": ["status"]}).home("a"), SystemClock())
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.port: int = self.listening.getsockname()[1]
        self.dropped = 0
        self.handshakes = Handshakes(
            [self.listening], self.identity.server, Echo, dropped=self._note_dropped, limits=limits
        )

    def _note_dropped(self) -> None:
        self.dropped += 1

    async def silent(self, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(said)
        await writer.drain()
        return reader, writer

    async def is_let_in(self) -> bool:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.identity.client, server_hostname="localhost"
        )
        writer.write(b"hei")
        answer = await reader.readexactly(3)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return answer == b"hei"


@asynccontextmanager
async def doorway(folder: Path, **limits: float) -> AsyncIterator[Doorway]:
    opened = Doorway(folder, AppLimits(**limits))  # type: ignore[arg-type]
    serving = asyncio.create_task(opened.handshakes.serve())
    try:
        yield opened
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        opened.listening.close()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"], ids=["nothing", "half-a-hello"])
async def test_so_many_are_on_the_way_and_the_oldest_makes_room(tmp_path: Path, said: bytes) -> None:
    async with doorway(tmp_path, handshakes_max=3, handshake_seconds_max=3_600) as opened:
        held = [await opened.silent(said) for _ in range(3)]
        await eventually(lambda: opened.handshakes.under_way == 3)
        assert opened.dropped == 0
        assert await opened.is_let_in()
        assert opened.dropped == 1
        assert await held[0][0].read() == b""  # the oldest was let go
        for _ in range(20):
            held.append(await opened.silent(said))
        await eventually(lambda: opened.dropped >= 20)
        assert opened.handshakes.under_way <= 3
        assert await opened.is_let_in()
        for _, writer in held:
            writer.close()


async def test_who_says_nothing_in_its_time_is_let_go(tmp_path: Path) -> None:
    async with doorway(tmp_path, handshake_seconds_max=0.05) as opened:
        reader, writer = await opened.silent()
        assert await reader.read() == b""
        await eventually(lambda: opened.handshakes.under_way == 0)
        assert opened.dropped == 0
        writer.close()


async def test_what_is_no_hello_ends_alone(tmp_path: Path) -> None:
    async with doorway(tmp_path) as opened:
        reader, writer = await opened.silent(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        await eventually(lambda: opened.handshakes.under_way == 0)
        assert await opened.is_let_in()
