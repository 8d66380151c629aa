"""The way to a connection by TLS: who has not shown a certificate yet costs little, and holds nobody up.

Until somebody has said anything there is a socket and nothing else. So many may be on the way at a time; one more, and
the one that has been on it for the longest is let go. A machine of this installation is through within milliseconds.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence

from prikkfri.app.limits import LIMITS, AppLimits

log = logging.getLogger("prikkfri.app")

PAUSE_SECONDS = 0.1
"""Before the next is taken on when there is no descriptor left for it."""


class Handshakes:
    def __init__(
        self,
        sockets: Sequence[socket.socket],
        tls: ssl.SSLContext,
        protocol: Callable[[], asyncio.Protocol],
        *,
        dropped: Callable[[], None],
        limits: AppLimits = LIMITS,
    ) -> None:
        """`sockets` listen; `protocol` makes what each connection is handed to. `dropped` is told of each let go."""
        self._sockets = sockets
        self._tls = tls
        self._protocol = protocol
        self._dropped = dropped
        self._limits = limits
        self._under_way: dict[asyncio.Task[None], None] = {}
        """The oldest first."""

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    async def serve(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for listening in self._sockets:
                    tasks.create_task(self._accept(listening))
        finally:
            for each in list(self._under_way):
                each.cancel()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                if listening.fileno() < 0:  # it was closed: the role stops
                    return
                log.warning("a connection of another machine cannot be taken on: %s", error.strerror)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if len(self._under_way) >= self._limits.handshakes_max:
                oldest = next(iter(self._under_way))
                del self._under_way[oldest]
                oldest.cancel()
                self._dropped()
            begun = asyncio.create_task(self._begin(connection))
            self._under_way[begun] = None
            begun.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a handshake failed: %r", error)

    async def _begin(self, connection: socket.socket) -> None:
        loop, seconds = asyncio.get_running_loop(), self._limits.handshake_seconds_max
        try:
            async with asyncio.timeout(seconds):
                await _readable(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, TimeoutError):
                return
            raise
        try:
            await loop.connect_accepted_socket(self._protocol, connection, ssl=self._tls, ssl_handshake_timeout=seconds)
        except (OSError, TimeoutError):  # no certificate of ours, or none at all
            connection.close()


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    said: asyncio.Future[None] = loop.create_future()

    def says() -> None:
        if not said.done():
            said.set_result(None)

    loop.add_reader(connection.fileno(), says)
    try:
        await said
    finally:
        loop.remove_reader(connection.fileno())
