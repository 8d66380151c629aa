"""The wire: SMPP connections, in both directions, as queues of events with an end to each."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from prikkfri.clock import Clock
from prikkfri.protocols.smpp.session import LOST, Event, Limits, Session, SessionEnd, SessionState, Side

EVENTS_MAX = 500
"""Beyond so many events that wait to be taken we read no more from that connection."""


class Connection(asyncio.Protocol):
    """One TCP connection and its session. Whoever owns it takes events, commands the session, and calls `flush`."""

    def __init__(self, side: Side, limits: Limits, clock: Clock, opened: Callable[["Connection"], None]) -> None:
        self.session = Session(side, limits, clock.monotonic())
        self.awake = asyncio.Event()
        """Set when the owner may have something to send: an answer came, or somebody says so."""
        self.due = True
        """Whether something may be due for whoever is bound that nobody has claimed."""
        self.writable = True
        self._clock = clock
        self._opened = opened
        self._events: deque[Event] = deque()
        self._arrival = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._reading = True

    @property
    def ended(self) -> bool:
        return self.session.state is SessionState.ENDED

    @property
    def address(self) -> str:
        """The other end's address without its port; empty when the connection is gone."""
        peer = self._transport.get_extra_info("peername") if self._transport else None
        return str(peer[0]) if peer else ""

    @property
    def peer(self) -> str:
        """The other end's address, for the log."""
        address = self._transport.get_extra_info("peername") if self._transport else None
        return f"{address[0]}:{address[1]}" if address else "?"

    # what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        self._add(self.session.receive(data, self._clock.monotonic()))
        self.flush()

    def pause_writing(self) -> None:
        """The peer does not read: neither do we, or its answers would pile up here."""
        self.writable = False
        self._read_or_not()

    def resume_writing(self) -> None:
        self.writable = True
        self._read_or_not()
        self.awake.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._add(self.session.end(LOST))
        self._transport = None

    # what the owner calls

    async def take(self, events_max: int) -> list[Event]:
        """The next events, at least one; the last that ever comes is `SessionEnd`."""
        while not self._events:
            self._arrival.clear()
            await self._arrival.wait()
        return self.arrived(events_max)

    def arrived(self, events_max: int) -> list[Event]:
        """What there is to take now, perhaps nothing."""
        batch = [self._events.popleft() for _ in range(min(events_max, len(self._events)))]
        self._read_or_not()
        return batch

    def tick(self) -> None:
        """To be called every second."""
        self._add(self.session.tick(self._clock.monotonic()))
        self.flush()

    def flush(self) -> None:
        """Writes what the session has to say; closes once it has ended."""
        octets, transport = self.session.outgoing(), self._transport
        if transport is None:
            return
        if octets:
            transport.write(octets)
        if self.session.state is SessionState.ENDED:
            transport.close()

    def close(self, reason: str) -> None:
        self._add(self.session.end(reason))
        self.flush()

    def abort(self) -> None:
        """Closes without waiting for the peer to read what is written."""
        if self._transport is not None:
            self._transport.abort()

    def _add(self, events: list[Event]) -> None:
        if not events:
            return
        self._events.extend(events)
        self._arrival.set()
        if isinstance(events[-1], SessionEnd):
            self.awake.set()
        self._read_or_not()

    def _read_or_not(self) -> None:
        reading = self.writable and len(self._events) < EVENTS_MAX
        if self._transport is not None and reading is not self._reading and not self._transport.is_closing():
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
