"""Passages: a TCP port in one namespace behind which stands an address in another, as a proxy on a machine's edge."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field

from prikkfri.simulation.machines.namespaces import Namespace

CHUNK_BYTES = 65_536
BACKLOG = 1_024


@dataclass
class Passage:
    """Listens at `host` and `port`, in a namespace (None: this process' own), for what answers at `target`."""

    host: str
    port: int
    target: tuple[str, int] | str
    """Host and port, or the path of a Unix socket, which is in no namespace."""
    listens_in: Namespace | None = None
    leads_to: Namespace | None = None
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def open(self) -> None:
        listening = self.listens_in.socket() if self.listens_in else socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((self.host, self.port))
        listening.listen(BACKLOG)
        self._server = await asyncio.start_server(self._taken, sock=listening)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            onward, back = await self._onward()
            self._open.add(back)
            try:
                await asyncio.gather(_pump(reader, back), _pump(onward, writer))
            finally:
                self._open.discard(back)
                back.transport.abort()
        except OSError:
            pass  # nobody answers there: whoever asks is cut off
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _onward(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        connection = self.leads_to.socket() if self.leads_to else socket.socket()
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, self.target)
        except BaseException:
            connection.close()
            raise
        return await asyncio.open_connection(sock=connection)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
