"""How roles reach each other: on this machine in clear over the loopback, between machines by TLS on both sides.

Each machine shows the certificate that the installation's own authority has signed for it and believes no other
authority; who has none is not heard at all. Commands carry their key beside that, as on one machine.
"""

import logging
import ssl
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import httpx

from prikkfri.app.limits import LIMITS, AppLimits
from prikkfri.clock import Clock
from prikkfri.config import Config, Roles
from prikkfri.errors import StorageError, UsageError
from prikkfri.storage.certificates import RENEWED_AHEAD_SECONDS, authority_file, machine_file, read_certificate

log = logging.getLogger("prikkfri.app")

REQUEST_SECONDS_MAX = 5.0


class RenewedContext(ssl.SSLContext):
    """What each new connection is begun with: who holds it need not know that it has been renewed."""

    inner: ssl.SSLContext

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        return self.inner.wrap_bio(*arguments, **named)

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        return self.inner.wrap_socket(*arguments, **named)


class Identity:
    """This machine's certificate as its roles show it, and the authority by which they know the other machines."""

    def __init__(self, home: Path, clock: Clock, *, limits: AppLimits = LIMITS) -> None:
        """Raises `UsageError` with the mend when there is none, or it is unreadable."""
        self._home = home
        self._clock = clock
        self._limits = limits
        self._read_as: tuple[int, ...] = ()
        self.expires_at = 0.0
        self.server = RenewedContext(ssl.PROTOCOL_TLS_SERVER)
        self.client = RenewedContext(ssl.PROTOCOL_TLS_CLIENT)
        self.refresh()

    def refresh(self) -> bool:
        """Takes up what has been renewed: each connection from now on shows it. Returns whether anything had been.

        Raises `UsageError`; then what was read before stays in force.
        """
        authority, machine = authority_file(self._home), machine_file(self._home)
        try:
            read_as = tuple(path.stat().st_mtime_ns for path in (authority, machine))
            if read_as == self._read_as:
                return False
            # New ones, since a context that believes an authority cannot be told to believe it no more.
            server, client = (
                _context(protocol, authority, machine)
                for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
            )
            certificate = read_certificate(machine)
        except FileNotFoundError as error:
            raise UsageError(
                f"{error.filename or self._home / 'tls'}: there is no certificate by which this machine shows who it"
                " is; make it with `prikkfri keys machine` where the authority's key lies"
            ) from None
        except (OSError, StorageError) as error:  # of ssl, too
            raise UsageError(
                f"{self._home / 'tls'}: its certificates cannot be used ({error}); make them anew with"
                " `prikkfri keys machine`"
            ) from None
        assert certificate is not None
        self.server.inner, self.client.inner = server, client
        self._read_as, self.expires_at = read_as, certificate.expires_at
        return True

    async def follow(self) -> None:
        """Until cancelled: takes up what is renewed."""
        broken = ""
        while True:
            await self._clock.sleep(self._limits.certificate_read_seconds)
            try:
                if self.refresh():  # in no thread: a handshake on the loop would meet a certificate without its key
                    log.info("the certificate of this machine is a new one")
                broken = ""
            except UsageError as error:
                if str(error) != broken:
                    log.error("what was read before stays in force: %s", error)
                broken = str(error)

    def troubles(self) -> list[str]:
        """What a person has to do soon, a sentence each."""
        left = self.expires_at - self._clock.now()
        if left > RENEWED_AHEAD_SECONDS:
            return []
        ends = f"ends in {left / 86_400:.0f} days" if left > 0 else "has ended: no other machine talks to this one"
        return [f"the certificate of this machine {ends}; make a new one with `prikkfri keys machine`"]

    def counters(self) -> dict[str, float]:
        """Figures for `/metrics`."""
        return {"certificate_seconds_left": self.expires_at - self._clock.now()}


def identity_of(config: Config, clock: Clock) -> Identity | None:
    """This machine's, None where all roles are on one. Raises `UsageError`."""
    return Identity(config.home, clock) if config.roles.span_machines else None


def _context(protocol: int, authority: Path, machine: Path) -> ssl.SSLContext:
    """Raises `OSError`, of ssl too."""
    context = ssl.SSLContext(protocol)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority)
    context.load_cert_chain(machine)
    return context


class ReachableProcess(httpx.AsyncBaseTransport):
    """Asks that process of a role which can be reached, where any of them can answer: first the one of the last time.

    What one was sent is sent to no other: whether it was done, only that one knows.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, addresses: Sequence[Sequence[str]]) -> None:
        """`addresses`: of the processes of each role, the role's own first."""
        self._inner = inner
        self._processes = {_origin(httpx.URL(urls[0])): [httpx.URL(url) for url in urls] for urls in addresses}
        self._last: dict[str, int] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        urls = self._processes.get(origin := _origin(request.url))
        if urls is None:
            return await self._inner.handle_async_request(request)
        first = self._last.get(origin, 0)
        for tried in range(len(urls)):
            number = (first + tried) % len(urls)
            there = urls[number]
            url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port)
            headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"host"]
            headers.append((b"Host", url.netloc))
            sent = httpx.Request(
                request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
            )
            try:
                response = await self._inner.handle_async_request(sent)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if tried == len(urls) - 1:
                    raise
            else:
                self._last[origin] = number
                return response
        raise AssertionError("a role has an address")

    async def aclose(self) -> None:
        await self._inner.aclose()


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.host}:{url.port}"


ANY_ANSWERS = ("signin", "sms", "playout", "assurance")
"""Of whose processes any can answer what is asked of the role; of the door's one alone has the line."""


def internal_client(
    identity: Identity | None, *, roles: Roles | None = None, timeout_seconds: float = REQUEST_SECONDS_MAX
) -> httpx.AsyncClient:
    """A client for the other roles. It asks no proxy, and over TLS it talks to machines of this installation alone.

    With `roles` what is asked of a role is asked of that process of it which can be reached.
    """
    # Without an identity it believes nobody: what is called by https then is not reached.
    verify = identity.client if identity else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    several = [
        [edge.internal for edge in processes.values()]
        for processes in (roles.processes(role) for role in (ANY_ANSWERS if roles else ()) if roles)
        if len(processes) > 1
    ]
    if not several:
        return httpx.AsyncClient(verify=verify, trust_env=False, timeout=timeout_seconds)
    transport = ReachableProcess(httpx.AsyncHTTPTransport(verify=verify, trust_env=False), several)
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout_seconds)


def following(identity: Identity | None) -> tuple[Callable[[], Coroutine[None, None, None]], ...]:
    """The work of a role that has one: to take up what is renewed."""
    return () if identity is None else (identity.follow,)
