"""The wire of every role's HTTP: what one connection, one address and all of them together may cost.

uvicorn and httptools parse; neither limits a request line or headers, nor the time in which they come. Here a request
head that is too long is refused as it passes the limit, one that is too slow when its time is up, and connections are
shared out, so that nobody shuts the others out and `/health` is always answered.
"""

import asyncio
import json
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from prikkfri.protocols.networks import is_within, network_of

DESCRIPTORS_KEPT = 128
"""Of the process's descriptors so many are no connection's: databases, spools, keys, logs, calls to other roles."""
CONNECTIONS_MAX = 20_000
HEALTH_CONNECTIONS_MAX = 16
"""Beyond the last connection so many more are taken on, to be answered `/health` and nothing else."""
ADDRESS_SHARE = 4
"""One address may hold a quarter: behind an operator's address translation there are thousands of homes."""


@dataclass(frozen=True, slots=True)
class Limits:
    head_bytes_max: int = 16_384
    """Request line and headers together."""
    head_seconds_max: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body_seconds_max: float = 30.0
    idle_seconds_max: float = 60.0
    """How long a connection may stay without a request under way."""
    linger_seconds_max: float = 1.0
    """How long what a refused client still sends is thrown away, so that it can read why."""
    connections_max: int = CONNECTIONS_MAX
    connections_of_address_max: int = CONNECTIONS_MAX // ADDRESS_SHARE


def raise_descriptor_limit() -> int:
    """Raises this process's soft limit of open files to the hard one; returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def limits_for(descriptors: int) -> Limits:
    """What fits a process that may have so many files open."""
    most = max(64, min(CONNECTIONS_MAX, descriptors - DESCRIPTORS_KEPT - HEALTH_CONNECTIONS_MAX))
    return Limits(connections_max=most, connections_of_address_max=max(32, most // ADDRESS_SHARE))


class Connections:
    """Who holds how many of a role's connections."""

    def __init__(self, limits: Limits, trusted: Sequence[str] = ()) -> None:
        """`trusted`: addresses or networks of proxies, which hold connections for others."""
        self.limits = limits
        self.trusted = tuple(trusted)
        self.refused_total = 0
        self._held: Counter[str] = Counter()
        self._all = 0

    @property
    def open(self) -> int:
        return self._all

    def counters(self) -> dict[str, float]:
        """Figures for `/metrics`."""
        return {"connections_open": self._all, "connections_refused_total": self.refused_total}

    def take(self, address: str) -> "Place":
        """A place for a connection from `address`; to be given back with `give_back`."""
        network = network_of(address)
        self._all += 1
        self._held[network] += 1
        if self._all > self.limits.connections_max + HEALTH_CONNECTIONS_MAX:
            return Place(network, "none")
        of_address = self._held[network] > self.limits.connections_of_address_max and not is_within(
            address, self.trusted
        )
        return Place(network, "health" if of_address or self._all > self.limits.connections_max else "any")

    def give_back(self, place: "Place") -> None:
        self._all -= 1
        self._held[place.network] -= 1
        if not self._held[place.network]:
            del self._held[place.network]


@dataclass(frozen=True, slots=True)
class Place:
    network: str
    serves: str
    """`any` request, `health` alone, or `none`."""


class Connection(HttpToolsProtocol):
    """One connection of a role; `connections` is the role's, set by `protocol_of`."""

    shared: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limits = self.shared.limits
        self._place = self.shared.take(self.client[0] if self.client else "")
        self._head_open = True
        """Whether a request head is awaited or under way."""
        self._head_bytes = 0
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        if self._place.serves == "none":
            self.shared.refused_total += 1
            self._refused = True
            transport.abort()
            return
        self._within(self._limits.idle_seconds_max, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.shared.give_back(self._place)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not self._refused:
            if not self._head_open:
                piece, data = data[: self._limits.head_bytes_max], data[self._limits.head_bytes_max :]
                super().data_received(piece)
                continue
            if not self._head_bytes:
                self._within(self._limits.head_seconds_max, self._too_slow)
            room = self._limits.head_bytes_max - self._head_bytes
            piece, data = data[:room], data[room:]
            self._head_bytes += len(piece)
            super().data_received(piece)
            if self._head_open and self._head_bytes >= self._limits.head_bytes_max:
                self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open = True
        self._url_ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._url_ended = True
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._head_bytes = 0
        if self._refused:
            return
        # Of a request that came behind another in one piece no byte was counted.
        if (
            len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            > self._limits.head_bytes_max
        ):
            self._refuse_head()
            return
        if self._place.serves == "health" and self.url.partition(b"?")[0] != b"/health":
            self.shared.refused_total += 1
            self.refuse(503, "overloaded", "Too many connections are open; please try again in a moment.", retry_s=1)
            return
        self._within(self._limits.body_seconds_max, self._too_slow)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_timer()
        self._head_open = True
        if not self._refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self.refuse(400, "bad-request", "This is not HTTP/1.1.")

    def refuse(self, status: int, slug: str, message: str, *, retry_s: int = 0) -> None:
        """Answers and closes, with nothing asked of the application. What is still sent is thrown away for a while."""
        self._refused = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        if self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started:
            self.transport.abort()  # in the middle of another answer
            return
        document: dict[str, Any] = {"error": slug, "message": message}
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "content-type: application/json"]
        if retry_s:
            document["retry_after_s"] = retry_s
            lines.append(f"retry-after: {retry_s}")
        body = json.dumps(document)
        lines += [f"content-length: {len(body)}", "cache-control: no-store", "connection: close", "", body]
        self.transport.write("\r\n".join(lines).encode())
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._within(self._limits.linger_seconds_max, self.transport.abort)

    def _refuse_head(self) -> None:
        most = self._limits.head_bytes_max
        if self._url_ended:
            self.refuse(431, "headers-too-large", f"Request line and headers have at most {most} bytes together.")
        else:
            self.refuse(414, "address-too-long", f"Request line and headers have at most {most} bytes together.")

    def _too_slow(self) -> None:
        seconds = self._limits.head_seconds_max if self._head_open else self._limits.body_seconds_max
        self.refuse(408, "too-slow", f"The request was not complete after {seconds:.0f} s.")

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _within(self, seconds: float, otherwise: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, otherwise)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    _url_ended = False


def protocol_of(connections: Connections) -> type[asyncio.Protocol]:
    """The protocol class that uvicorn is given: its connections share `connections`."""
    return cast(type[asyncio.Protocol], type("Connection", (Connection,), {"shared": connections}))
