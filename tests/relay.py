"""The network between two machines: a relay of TCP that can be told to stall, to reset and to pass again."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Literal

CHUNK_BYTES = 65_536


@dataclass
class Relay:
    """From `port` to `target`, on this machine; `state` says what becomes of what goes through."""

    port: int
    target: int
    state: Literal["passes", "stalls", "resets"] = "passes"
    connections: int = 0
    """That were taken on so far."""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._passing.set()
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", self.port)

    def be(self, state: Literal["passes", "stalls", "resets"]) -> None:
        """Stalled, what is on its way waits, and new connections are taken on and not answered."""
        self.state = state
        if state == "passes":
            self._passing.set()
        else:
            self._passing.clear()
        if state == "resets":
            for writer in self._open:
                writer.transport.abort()

    async def close(self) -> None:
        self.be("resets")
        if self._server is not None:
            self._server.close()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.state == "resets":
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            await self._passing.wait()
            onward, back = await asyncio.open_connection("127.0.0.1", self.target)
            self._open.add(back)
            try:
                await asyncio.gather(self._pump(reader, back), self._pump(onward, writer))
            finally:
                self._open.discard(back)
                back.transport.abort()
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
