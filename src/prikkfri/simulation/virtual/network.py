"""Connections in memory: octets arrive a while later, in pieces as they come, or never.

A `Network` stands in for the loop's `create_server` and `create_connection`. What arrives is in order, as TCP has it;
how it is cut, how long it takes and when a connection breaks is drawn.
"""

import asyncio
import contextvars
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from prikkfri.simulation.virtual.loop import DrawnLoop, Life, life_of

HIGH_WATER_OCTETS = 64 * 1024
LOW_WATER_OCTETS = 16 * 1024


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How octets travel."""

    seconds: float = 0.002
    """One way, at least; up to twice as long."""
    cut: float = 0.1
    """The share of arrivals that bring a part of what was written, and the rest later."""


class Port(NamedTuple):
    """Stands in for a socket that listens."""

    host: str
    port: int

    def close(self) -> None:
        """Nothing is held."""


class Network:
    def __init__(self, loop: DrawnLoop, chance: random.Random, ways: Ways = Ways()) -> None:
        self._loop = loop
        self._chance = chance
        self._ways = ways
        self._listening: dict[tuple[str, int], _Server] = {}
        self.pipes: list[Pipe] = []
        """All connections that are open, the oldest first."""
        self.seen: Callable[[Pipe, bytes], None] = lambda pipe, octets: None
        """Told of all that arrives, at whichever end, before whoever it is for."""
        self.said: Callable[[Pipe, bytes], None] = lambda pipe, octets: None
        """Told of all that is written, at whichever end."""
        self._opened = 0
        loop.create_server = self.create_server  # type: ignore[method-assign,assignment]
        loop.create_connection = self.create_connection  # type: ignore[method-assign,assignment]

    async def create_server(self, factory: Callable[[], asyncio.Protocol], *, sock: Port) -> "_Server":
        server = _Server(self, (sock.host, sock.port), factory, contextvars.copy_context())
        self._listening[server.address] = server
        return server

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        await asyncio.sleep(self.travels())
        server = self._listening.get((host, port))
        if server is None or server.dead:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        here, there = Pipe(self, server.address, contextvars.copy_context()), Pipe(self, (host, 0), server.context)
        here.peer, there.peer = there, here
        here.server_side, there.server_side = False, True
        here.protocol, there.protocol = factory(), server.context.run(server.factory)
        self.pipes += (here, there)
        self._loop.call_soon(there.begin, context=there.context)
        here.begin()
        return here, here.protocol

    def close(self, server: "_Server") -> None:
        if self._listening.get(server.address) is server:
            del self._listening[server.address]

    def numbered(self) -> int:
        self._opened += 1
        return self._opened

    def travels(self) -> float:
        """Seconds that something takes from one end to the other."""
        return self._ways.seconds * (1 + self._chance.random())

    def split(self, octets: int) -> int:
        """How many of so many octets arrive together."""
        if octets > 1 and self._chance.random() < self._ways.cut:
            return self._chance.randrange(1, octets)
        return octets

    def died(self, life: Life) -> None:
        """Whose process is gone: the other ends of its connections find out. What it had written is on its way."""
        for pipe in [pipe for pipe in self.pipes if pipe.life is life]:
            pipe.peer.hears_no_more()

    def forget(self, pipe: "Pipe") -> None:
        if pipe in self.pipes:
            self.pipes.remove(pipe)

    @property
    def underway(self) -> bool:
        """Whether anything that was written has not arrived."""
        return any(pipe.waits for pipe in self.pipes)

    @property
    def loop(self) -> DrawnLoop:
        return self._loop


class _Server:
    def __init__(
        self,
        network: Network,
        address: tuple[str, int],
        factory: Callable[[], asyncio.Protocol],
        context: contextvars.Context,
    ) -> None:
        self._network = network
        self.address, self.factory, self.context = address, factory, context

    @property
    def dead(self) -> bool:
        life = life_of(self.context)
        return life is not None and life.dead

    def close(self) -> None:
        self._network.close(self)


class Pipe(asyncio.Transport):
    """One end of a connection."""

    peer: "Pipe"
    protocol: asyncio.Protocol
    server_side: bool

    def __init__(self, network: Network, address: tuple[str, int], context: contextvars.Context) -> None:
        super().__init__()
        self._network = network
        self._loop = network.loop
        self.address = address
        """Where the other end is, as far as this one knows."""
        self.context = context
        self.life = life_of(context)
        self.number = network.numbered()
        """Of all ends that there ever were."""
        self._unread = bytearray()
        """Written by the other end, and not taken by this one."""
        self._underway = False
        self._reading = True
        self._closing = False
        self._lost = False
        self._ends = False
        """The other end writes no more; what it wrote comes first."""
        self._paused = False
        self.stalled_until = 0.0
        """Nothing arrives before: seconds of the loop's clock."""

    def begin(self) -> None:
        self.protocol.connection_made(self)

    @property
    def dead(self) -> bool:
        return self.life is not None and self.life.dead

    @property
    def waits(self) -> bool:
        """Whether anything is to arrive at this end yet."""
        return bool(self._unread) and not self.dead

    # what the protocol calls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.address if name == "peername" else default

    def write(self, data: Any) -> None:
        peer = self.peer
        if self.dead or self._closing or peer._lost:
            return
        self._network.said(self, data)
        peer._unread += data
        if not peer._underway:
            peer._arrive_later()
        if not self._paused and len(peer._unread) > HIGH_WATER_OCTETS:
            self._paused = True
            self.protocol.pause_writing()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing and not self.dead:
            self._closing = True
            self.peer.hears_no_more()
            self._loop.call_soon(self._lose, context=self.context)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._arrive_later()

    # what the world does

    def hears_no_more(self) -> None:
        """The other end is gone, or writes no more."""
        self._ends = True
        self._arrive_later()

    def breaks(self, *, loses: bool) -> None:
        """Somebody trips over the cable. `loses`: what was on its way is gone."""
        for end in (self, self.peer):
            if loses:
                end._unread.clear()
            end._closing = True
            end.hears_no_more()

    def _arrive_later(self) -> None:
        if not self._underway and not self._lost and not self.dead:
            self._underway = True
            later = max(self._network.travels(), self.stalled_until - self._loop.time())
            self._loop.call_later(later, self._arrive, context=self.context)

    def _arrive(self) -> None:
        self._underway = False
        if self._lost or not self._reading:
            return
        if self.stalled_until > self._loop.time():
            self._arrive_later()
            return
        if self._unread:
            octets = bytes(self._unread[: self._network.split(len(self._unread))])
            del self._unread[: len(octets)]
            self._network.seen(self, octets)
            self.protocol.data_received(octets)
            if self.peer._paused and len(self._unread) < LOW_WATER_OCTETS and not self.peer.dead:
                self.peer._paused = False
                self._loop.call_soon(self.peer.protocol.resume_writing, context=self.peer.context)
        if self._unread or self._ends:
            if not self._unread and self._ends:
                self._lose()
            else:
                self._arrive_later()

    def _lose(self) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._network.forget(self)
        if not self.peer._ends:
            self.peer.hears_no_more()
        self.protocol.connection_lost(None)
