"""The wire of every role's HTTP: what one connection, one address and all of them together may cost.

uvicorn and httptools parse; neither limits a request line or headers, nor the time in which they come. Here a request
head that is too long is refused as it passes the limit, one that is too slow when its time is up, and connections are
shared out, so that nobody shuts the others out and `/health` is always answered.
"""

import asyncio
import json
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from prikkfri.app.limits import DESCRIPTORS_KEPT
from prikkfri.protocols.asgi import refused
from prikkfri.protocols.networks import NetworkQuota

CONNECTIONS_MAX = 20_000
HEALTH_CONNECTIONS_MAX = 16
"""Beyond the last connection so many more are taken on, to be answered `/health` once and nothing else."""
HEALTH_OF_ADDRESS_MAX = 4
PIPELINED_MAX = 16
"""Requests that may wait behind another on one connection; a browser sends none."""
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
    health_seconds_max: float = 2.0
    """How long one that is taken on for `/health` alone may take to ask."""
    unread_seconds_max: float = 30.0
    """How long an answer may wait for a client that does not take it."""
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


def limits_for(descriptors: int, *, smpp: int = 0) -> Limits:
    """What fits a process that may have so many files open, and has `smpp` SMPP connections beside."""
    most = max(64, min(CONNECTIONS_MAX, descriptors - DESCRIPTORS_KEPT - HEALTH_CONNECTIONS_MAX - smpp))
    return Limits(connections_max=most, connections_of_address_max=max(32, most // ADDRESS_SHARE))


class Connections:
    """Who holds how many of a role's connections."""

    def __init__(self, limits: Limits, trusted: Sequence[str] = ()) -> None:
        """`trusted`: addresses or networks of proxies, which hold connections for others."""
        self.limits = limits
        self.trusted = tuple(trusted)
        self.refused_total = 0
        self._any = NetworkQuota(limits.connections_max, limits.connections_of_address_max, trusted)
        # Apart, or whoever has used up their share would hold everybody else's places with what is refused to them.
        self._health = NetworkQuota(HEALTH_CONNECTIONS_MAX, HEALTH_OF_ADDRESS_MAX)

    @property
    def open(self) -> int:
        return self._any.held + self._health.held

    def counters(self) -> dict[str, float]:
        """Figures for `/metrics`."""
        return {"connections_open": self.open, "connections_refused_total": self.refused_total}

    def take(self, address: str) -> "Place":
        """A place for a connection from `address`; to be given back with `give_back`."""
        if (networks := self._any.take(address)) is not None:
            return Place(networks, "any")
        if (networks := self._health.take(address)) is not None:
            return Place(networks, "health")
        return Place((), "none")

    def give_back(self, place: "Place") -> None:
        if place.serves != "none":
            (self._any if place.serves == "any" else self._health).give_back(place.networks)


@dataclass(frozen=True, slots=True)
class Place:
    networks: tuple[str, ...]
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
        self._last_bytes = self._uncounted_bytes_max = 0
        """Of the piece before, and of that in which a head may have begun behind another request."""
        self._unheard_bytes = 0
        """Of a body what has come since the application was last handed some of it: chunk extensions, trailers."""
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None
        if self._place.serves == "none":
            self.shared.refused_total += 1
            self._refused = True
            transport.abort()
            return
        only_health = self._place.serves == "health"
        self._within(self._limits.health_seconds_max if only_health else self._limits.idle_seconds_max, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._unread_no_more()
        self.shared.give_back(self._place)
        self._tell_running()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not self._refused:
            if not self._head_open:
                piece, data = data[: self._limits.head_bytes_max], data[self._limits.head_bytes_max :]
                self._unheard_bytes += len(piece)
                self._last_bytes = len(piece)
                super().data_received(piece)
                if self._unheard_bytes > self._limits.head_bytes_max and not self._refused:
                    self._refuse_head()
                continue
            if not self._head_bytes:
                self._uncounted_bytes_max = self._last_bytes
                if self._place.serves == "any":
                    self._within(self._limits.head_seconds_max, self._too_slow)
            room = self._limits.head_bytes_max - self._head_bytes
            piece, data = data[:room], data[room:]
            self._head_bytes += len(piece)
            self._last_bytes = len(piece)
            super().data_received(piece)
            if self._head_open and self._head_bytes >= self._limits.head_bytes_max:
                self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open = True
        self._url_ended = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._url_ended = True
        if self._head_open:  # what comes behind a body is no header: it was not there when the request was judged
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_open = False
        at_most = self._uncounted_bytes_max + self._head_bytes
        self._head_bytes = self._unheard_bytes = 0
        if self._refused:
            return
        # Of a request that came behind another in one piece no byte was counted; only then is it worth counting now.
        if (
            at_most > self._limits.head_bytes_max
            and len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            > self._limits.head_bytes_max
        ):
            self._refuse_head()
            return
        if self._place.serves == "health" and self.url.partition(b"?")[0] != b"/health":
            self.shared.refused_total += 1
            self.refuse("overloaded", retry_s=1)
            return
        if len(self.pipeline) >= PIPELINED_MAX:
            self.shared.refused_total += 1
            self._refused = True
            self.transport.abort()
            return
        if self._place.serves == "any":
            self._within(self._limits.body_seconds_max, self._too_slow)
        super().on_headers_complete()
        if self._place.serves == "health":
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        self._unheard_bytes = 0
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_open = True
        self._unheard_bytes = 0
        if not self._refused:
            self._stop_timer()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._unread_within(self._limits.unread_seconds_max)  # closing waits for a client to read, for ever

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_within(self._limits.unread_seconds_max)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._unread_no_more()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def send_400_response(self, msg: str) -> None:
        self.refuse("bad-request")

    def refuse(self, slug: str, *, retry_s: int = 0, **facts: Any) -> None:
        """Answers and closes, with nothing asked of the application. What is still sent is thrown away for a while."""
        self._refused = True
        self._stop_timer()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            self.transport.abort()
            return
        running = self._running
        if running is not None and running.response_started and not running.response_complete:
            self.transport.abort()  # in the middle of another answer
            return
        if running is not None and running.response_complete and running.scope is self.scope and not self._head_open:
            self._close()  # a second answer to one request would be read as the one to the next
            return
        answer = refused(slug, **facts)
        status, document = answer.status, cast(dict[str, Any], answer.document)
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "content-type: application/json"]
        if retry_s:
            document["retry_after_s"] = retry_s
            lines.append(f"retry-after: {retry_s}")
        body = json.dumps(document)
        lines += [f"content-length: {len(body)}", "cache-control: no-store", "connection: close", "", body]
        self.transport.write("\r\n".join(lines).encode())
        self._tell_running()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._within(self._limits.linger_seconds_max, self.transport.abort)

    def _tell_running(self) -> None:
        """Tells the request that is being answered that its client has left; uvicorn tells the last that came."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _refuse_head(self) -> None:
        slug = "headers-too-large" if self._url_ended else "address-too-long"
        self.refuse(slug, bytes_max=self._limits.head_bytes_max)

    def _too_slow(self) -> None:
        seconds = self._limits.head_seconds_max if self._head_open else self._limits.body_seconds_max
        self.refuse("too-slow", seconds=seconds)

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
            self._unread_within(self._limits.linger_seconds_max)

    def _unread_within(self, seconds: float) -> None:
        self._unread_no_more()
        self._unread = self.loop.call_later(seconds, self.transport.abort)

    def _unread_no_more(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

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
