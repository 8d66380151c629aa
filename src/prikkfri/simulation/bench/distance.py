"""A line to far away: what is written at one end arrives at the other half a round trip later, in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast


class _End(asyncio.Protocol):
    """One end of a line; what it reads leaves by the other."""

    def __init__(self, seconds: float, opened: Callable[["_End"], None] = lambda _: None) -> None:
        self.other: _End | None = None
        self._seconds = seconds
        self._opened = opened
        self._wire: asyncio.Transport | None = None
        self._under_way: deque[tuple[float, bytes]] = deque()
        """When each piece is due at the other end; empty octets: the line ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast(asyncio.Transport, transport)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        self._put(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._put(b"")

    def _put(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._seconds
        self._under_way.append((due, data))
        if len(self._under_way) == 1:
            loop.call_at(due, self._arrives)

    def _arrives(self) -> None:
        loop = asyncio.get_running_loop()
        while self._under_way and self._under_way[0][0] <= loop.time():
            _, data = self._under_way.popleft()
            self._at_the_other_end(data)
        if self._under_way:
            loop.call_at(self._under_way[0][0], self._arrives)

    def _at_the_other_end(self, data: bytes) -> None:
        if self.other is None or self.other._wire is None:
            return
        if data:
            self.other._wire.write(data)
        else:
            self.other._wire.close()


async def listen_far_away(port: int, to: int, round_trip_seconds: float) -> asyncio.Server:
    """Whoever connects to `port` of this machine is connected to port `to`, so far away. What never arrives is lost."""
    loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    async def go_on(near: _End) -> None:
        far = _End(round_trip_seconds / 2)
        far.other = near
        await loop.create_connection(lambda: far, "127.0.0.1", to)
        near.other = far

    def opened(near: _End) -> None:
        task = loop.create_task(go_on(near))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return await loop.create_server(lambda: _End(round_trip_seconds / 2, opened), "127.0.0.1", port)
