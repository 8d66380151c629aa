"""Serving one role's HTTP: both loopback addresses, limits, `/health`, `/metrics`, a clean stop."""

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prikkfri.app.connections import Connections, Limits, protocol_of
from prikkfri.app.handshakes import Handshakes
from prikkfri.app.limits import LIMITS, AppLimits
from prikkfri.errors import FatalError, UsageError
from prikkfri.protocols.asgi import HttpResponse, Request, Route, edge, refusal, refused, respond
from prikkfri.protocols.networks import Networks

log = logging.getLogger("prikkfri.app")

Counters = Callable[[], Mapping[str, float]]

BACKLOG = 4_096
LOOPBACK = ("127.0.0.0/8", "::1")
WITHOUT_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""What a machine without it says."""


def listen(port: int, bind: str) -> list[socket.socket]:
    """Listening sockets for IPv4 and, where the machine has it, IPv6. Raises `UsageError` when the port is taken."""
    addresses = {"loopback": ("127.0.0.1", "::1"), "all": ("0.0.0.0", "::")}[bind]  # noqa: S104
    sockets: list[socket.socket] = []
    for family, address in zip((socket.AF_INET, socket.AF_INET6), addresses, strict=True):
        try:
            sockets.append(_listening(family, address, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in WITHOUT_IPV6:
                continue
            for opened in sockets:
                opened.close()
            raise UsageError(f"port {port} cannot be opened ({error.strerror}); is another Prikkfri running?") from None
    return sockets


def listen_at(host: str, port: int) -> list[socket.socket]:
    """Listening sockets at the addresses by which the other machines find this one, and at no others.

    Where these are not this machine's own, as behind a network address translation: at all. Raises `UsageError`.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(
            f"{host} has no address ({error.strerror}); mend it where your machines look names up"
        ) from None
    sockets: list[socket.socket] = []
    for family, address in dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found):
        try:
            sockets.append(_listening(family, address, port))
        except OSError as error:
            if error.errno in WITHOUT_IPV6:
                continue
            for opened in sockets:
                opened.close()
            raise UsageError(f"port {port} cannot be opened ({error.strerror}); is another Prikkfri running?") from None
    if not sockets:
        log.warning("%s is no address of this machine: port %d is open at all of its own", host, port)
        return listen(port, "all")
    return sockets


def _listening(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    # Named as TCP, since asyncio sets TCP_NODELAY on no other.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


class _Server(uvicorn.Server):
    tls: ssl.SSLContext | None = None
    handshakes: "asyncio.Task[None] | None" = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([] if self.tls else sockets)
        if self.tls is not None:
            self.handshakes = asyncio.create_task(
                Handshakes(sockets or [], self.tls, self._protocol, dropped=self._dropped).serve(), name="handshakes"
            )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.handshakes is not None:
            self.handshakes.cancel()
            await asyncio.wait([self.handshakes])
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = cast(Any, self.config.http_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    def _dropped(self) -> None:
        cast(Any, self.config.http_protocol_class).shared.refused_total += 1

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The role's process has its own signal handling."""
        yield


async def serve(
    application: ASGIApp,
    sockets: list[socket.socket],
    *,
    connections: Connections | None = None,
    limits: AppLimits = LIMITS,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serves until cancelled; then lets requests end for a while.

    `connections`: what they may cost, and which proxies are believed when they name whom they speak for. `tls`: None,
    in clear.
    """
    connections = connections or Connections(Limits())
    server = _Server(
        uvicorn.Config(
            application,
            http=protocol_of(connections),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(connections.trusted),
            forwarded_allow_ips=list(connections.trusted),
            timeout_keep_alive=round(connections.limits.idle_seconds_max),
            timeout_graceful_shutdown=limits.answers_end_seconds_max,
        )
    )
    server.tls = tls
    serving = asyncio.create_task(server.serve(sockets=sockets), name="http")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


def with_health(
    application: ASGIApp,
    role: str,
    counters: Counters,
    *,
    troubles: Callable[[], Sequence[str]] | None = None,
    metrics_from: Sequence[str] = LOOPBACK,
    fatal: asyncio.Future[None] | None = None,
) -> ASGIApp:
    """Answers `/health` and, to `metrics_from`, Prometheus' `/metrics`; hands on the rest, and says it when that fails.

    `troubles`: what is wrong at this moment though the role serves; it is told, and the answer is still 200.
    `metrics_from`: addresses or networks. `fatal` is given the error that a request met and the role must not outlive;
    of what that request was to change nobody can tell whether it is done, and it is not told to come again.
    """

    async def health(request: Request) -> HttpResponse:
        told = {} if troubles is None else {"troubles": list(troubles())}
        return HttpResponse(200, {"role": role, "status": "ok", **told})

    readers = Networks(metrics_from)

    async def metrics(request: Request) -> HttpResponse:
        if not readers.hold((request.scope.get("client") or ("",))[0]):
            message = "These figures are for the operator's own networks; `metrics_from` names them."
            return refusal(403, "not-for-you", message)
        kind = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        return HttpResponse(200, None, (kind,), _metrics(role, counters()))

    own = {"/health": health, "/metrics": metrics}
    answer_own = edge([Route("GET", path, answer) for path, answer in own.items()])

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await (answer_own if scope.get("path") in own else application)(scope, receive, sending)
        except Exception as error:
            if fatal is not None and isinstance(error, FatalError) and not fatal.done():
                fatal.set_exception(error)
            if started or scope["type"] != "http":
                raise
            # Of its path nothing: tokens stand in some. What ends the role is one line, and so is that it ends.
            if isinstance(error, FatalError):
                log.error("a request failed: %s", error)
            else:
                log.exception("a request failed")
            doubtful = isinstance(error, FatalError) and scope["method"] not in ("GET", "HEAD")
            slug = "in-doubt" if doubtful else "internal"
            await respond(send, refused(slug), head=scope["method"] == "HEAD")

    return answer


def _metrics(role: str, counters: Mapping[str, float]) -> bytes:
    """Prometheus' text format; a name may carry labels (`refusals_total{reason="expired"}`)."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    values = {
        **counters,
        "process_cpu_seconds_total": usage.ru_utime + usage.ru_stime,
        "process_memory_peak_bytes": usage.ru_maxrss * 1024,
    }
    lines: list[str] = []
    typed: set[str] = set()
    for name, value in values.items():
        metric = name if name.startswith(("process_", "prikkfri_")) else f"prikkfri_{role}_{name}"
        family = metric.partition("{")[0]
        if family not in typed:
            typed.add(family)
            lines.append(f"# TYPE {family} {'counter' if family.endswith('_total') else 'gauge'}")
        lines.append(f"{metric} {_figure(value)}")
    return ("\n".join(lines) + "\n").encode()


def _figure(value: float) -> str:
    """To its last digit: a rate is the difference of two large numbers, and a moment has ten digits."""
    return f"{value:.0f}" if float(value).is_integer() else repr(float(value))
