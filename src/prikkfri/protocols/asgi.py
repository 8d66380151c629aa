"""How an HTTP edge is written, over ASGI 3: a table of routes, answers, one table of refusals, bodies with a limit, and
the browser's cross-origin rules.

No framework, because a refusal must cost next to nothing while a crowd is being refused. Every refusal is JSON,
`{"error", "message"}`; where people look, `edge` may be given a page to show to browsers instead.
"""

import hmac
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
Stream = Callable[[Receive, Send], Awaitable[None]]

NO_STORE = (b"cache-control", b"no-store")
JSON = (b"content-type", b"application/json")
PLAIN = r"^[^\x00-\x1f\x7f]*\Z"
"""What is looked for in a database holds no control characters: PostgreSQL cannot even be asked for NUL."""
_encoded = json.JSONEncoder(ensure_ascii=False).encode
PREFLIGHT_SECONDS = 7200
"""How long a browser may remember what is allowed; Chromium's own limit."""


class ClientLeft(Exception):
    """The client closed the connection before its request was complete."""


class BodyTooLarge(Exception):
    """The body is longer than its route takes."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    document: object = None
    """Sent as JSON; None: no body, or `body`."""
    headers: Headers = ()
    """`cache-control` among them takes the place of `no-store`."""
    body: bytes = b""
    """Sent as it is; `headers` say of what kind."""
    stream: Stream | None = None
    """Sends the body part by part, until it ends or the client leaves."""
    then: Exception | None = None
    """Raised once it is sent: this client can be told, and the role must not go on all the same."""


def refusal(
    status: int, slug: str, message: str, *, retry_after_s: float | None = None, **facts: object
) -> HttpResponse:
    """`{"error", "message"}`, and when to try again: `Retry-After` in whole seconds, rounded up."""
    document: dict[str, object] = {"error": slug, "message": message, **facts}
    if retry_after_s is None:
        return HttpResponse(status, document)
    seconds = max(1, math.ceil(retry_after_s))
    return HttpResponse(status, {**document, "retry_after_s": seconds}, ((b"retry-after", str(seconds).encode()),))


REFUSALS: Mapping[str, tuple[int, str]] = {
    "bad-request": (400, "This is not what is wanted here."),
    "bad-command-key": (401, "This is a command between roles."),
    "bad-origin": (403, "Only our own pages may ask this."),
    "not-found": (404, "There is nothing at this address."),
    "bad-method": (405, "Only {allowed}."),
    "too-slow": (408, "The request was not complete after {seconds:.0f} s."),
    "too-large": (413, "At most {bytes_max} bytes."),
    "address-too-long": (414, "Request line and headers have at most {bytes_max} bytes together."),
    "headers-too-large": (431, "Request line and headers have at most {bytes_max} bytes together."),
    "internal": (500, "Something went wrong here, and has been noted."),
    "in-doubt": (500, "Nobody can tell whether this was done; please look before you ask for it again."),
    "overloaded": (503, "Too many connections are open; please try again in a moment."),
}
"""What every edge refuses alike: status and sentence by slug. What only one refuses stands in its own `http.py`."""


def refused(slug: str, /, *, name: str = "", headers: Headers = (), **facts: object) -> HttpResponse:
    """A refusal of the table. `name`: what clients of this edge know it by; `facts` stand in its sentence."""
    status, sentence = REFUSALS[slug]
    return HttpResponse(status, {"error": name or slug, "message": sentence.format(**facts)}, headers)


NOT_FOUND = refused("not-found")


async def read_body(receive: Receive, bytes_max: int) -> bytes | None:
    """The body of a request, or None when it is longer than `bytes_max`. Raises `ClientLeft`."""
    parts: list[bytes] = []
    length = 0
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientLeft
        part: bytes = event.get("body", b"")
        length += len(part)
        if length > bytes_max:
            return None
        parts.append(part)
        more = event.get("more_body", False)
    return b"".join(parts)


async def until_disconnect(receive: Receive) -> None:
    """Returns when the client has closed the connection; to be called after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(
    send: Send, answer: HttpResponse, extra: Headers = (), *, head: bool = False, receive: Receive | None = None
) -> None:
    """`head`: the headers alone are asked for. `receive`: needed for a stream, to know when the client has left."""
    if answer.stream is not None and not head:
        assert receive is not None
        await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *extra]})
        await answer.stream(receive, send)
        return
    body = answer.body if answer.document is None else _encoded(answer.document).encode()
    headers = [(b"content-length", str(len(body)).encode()), *answer.headers, *extra]
    if b"cache-control" not in [name for name, _ in answer.headers]:
        headers.append(NO_STORE)
    if answer.document is not None:
        headers.append(JSON)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})
    if answer.then is not None:
        raise answer.then


def header(scope: Scope, name: bytes) -> str:
    """The first value of a header (`name` in lower case), empty when missing."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


def wants_html(scope: Scope) -> bool:
    """Whether somebody looks: browsers name HTML when they open a page, programs and scripts do not."""
    return "text/html" in header(scope, b"accept")


def bearer(scope: Scope) -> str:
    """The token of `Authorization: Bearer`, empty when missing."""
    scheme, _, token = header(scope, b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def same_secret(given: str, expected: str) -> bool:
    """Compares in constant time; an empty `expected` equals nothing."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def cookie(scope: Scope, name: str) -> str:
    try:
        morsel = SimpleCookie(header(scope, b"cookie")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def cross_origin(viewer_origin: str, *, credentials: bool) -> Headers:
    """What every answer carries so that pages of exactly `viewer_origin` may read it."""
    allowed = [(b"access-control-allow-origin", viewer_origin.encode()), (b"vary", b"Origin")]
    if credentials:
        allowed.append((b"access-control-allow-credentials", b"true"))
    return (*allowed, (b"access-control-expose-headers", b"Retry-After"))


def preflight(methods: Mapping[str, object] | frozenset[str]) -> HttpResponse:
    """The answer to a browser that asks whether it may send a JSON body and a bearer token."""
    return HttpResponse(
        204,
        None,
        (
            (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
            (b"access-control-allow-headers", b"Authorization, Content-Type"),
            (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
        ),
    )


def from_another_origin(scope: Scope, viewer_origin: str) -> bool:
    """Whether an unsafe request must be refused.

    Browsers name the page's origin with every POST, so one that names none and carries no cookie is no browser acting
    for somebody else's page.
    """
    origin = header(scope, b"origin")
    return origin != viewer_origin and bool(origin or header(scope, b"cookie"))


@dataclass(slots=True)
class Request:
    scope: Scope
    receive: Receive
    parts: Mapping[str, str] = field(default_factory=dict)
    """What stands in the path where its route has `{name}`."""
    body_bytes_max: int = 0

    @property
    def method(self) -> str:
        asked: str = self.scope["method"]
        return asked

    @property
    def path(self) -> str:
        asked: str = self.scope["path"]
        return asked

    @property
    def query(self) -> bytes:
        asked: bytes = self.scope.get("query_string", b"")
        return asked

    async def body(self) -> bytes:
        """To be read once. Raises `BodyTooLarge` and `ClientLeft`, which the edge answers."""
        body = await read_body(self.receive, self.body_bytes_max)
        if body is None:
            raise BodyTooLarge
        return body


Handler = Callable[[Request], Awaitable[HttpResponse | None]]
"""None: the client has left, and nothing is answered."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    """GET is answered to HEAD as well, and OPTIONS by itself."""
    path: str
    """`/journal/{stream}`: a part in braces stands for any that is not empty."""
    answer: Handler
    body_bytes_max: int = 0
    origin: str = ""
    """Pages of other origins may not ask this; empty: any may."""
    names_origin: bool = False
    """Nor may whoever names none: what asks is a page."""
    key: str | None = None
    """The command key that must come with it; an empty one lets nobody in."""


class _Table:
    """Routes by path, those without braces first."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._whole: dict[str, dict[str, Route]] = {}
        self._patterns: dict[int, list[_Pattern]] = {}
        for route in routes:
            if "{" not in route.path:
                self._whole.setdefault(route.path, {})[route.method] = route
                continue
            parts = route.path.split("/")
            of_length = self._patterns.setdefault(len(parts), [])
            pattern = next((each for each in of_length if each.path == route.path), None)
            if pattern is None:
                pattern = _Pattern(
                    route.path,
                    tuple((at, part) for at, part in enumerate(parts) if not part.startswith("{")),
                    tuple((part[1:-1], at) for at, part in enumerate(parts) if part.startswith("{")),
                )
                of_length.append(pattern)
            pattern.methods[route.method] = route

    def find(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        """The routes of a path by method, none when there is nothing there, and the parts that stand for a name."""
        if "\x00" in path:  # PostgreSQL cannot even be asked for such a name
            return {}, {}
        if (methods := self._whole.get(path)) is not None:
            return methods, {}
        asked = path.split("/")
        for pattern in self._patterns.get(len(asked), ()):
            if all([asked[at] == part for at, part in pattern.fixed]):
                parts = {name: asked[at] for name, at in pattern.named}
                if all(parts.values()):
                    return pattern.methods, parts
        return {}, {}


@dataclass(frozen=True, slots=True)
class _Pattern:
    path: str
    fixed: tuple[tuple[int, str], ...]
    named: tuple[tuple[str, int], ...]
    methods: dict[str, Route] = field(default_factory=dict)


def edge(
    routes: Iterable[Route],
    *,
    cors: Headers = (),
    names: Mapping[str, str] | None = None,
    page: Callable[[Scope, HttpResponse], HttpResponse] | None = None,
) -> Application:
    """The ASGI application that answers `routes`, and refuses the rest.

    `cors`: what `cross_origin` gives, on every answer. `names`: what this edge calls a refusal of `REFUSALS` where its
    clients know it by another slug. `page`: what people are shown in place of a refusal, when their browser wants that.
    """
    table, known_as = _Table(routes), names or {}

    def refuse(scope: Scope, slug: str, *, headers: Headers = (), **facts: object) -> HttpResponse:
        answer = refused(slug, name=known_as.get(slug, ""), headers=headers, **facts)
        return answer if page is None else page(scope, answer)

    async def decide(scope: Scope, receive: Receive) -> HttpResponse | None:
        method: str = scope["method"]
        methods, parts = table.find(scope["path"])
        if not methods:
            return refuse(scope, "not-found")
        if method == "OPTIONS":
            return preflight(methods) if cors else HttpResponse(204, None, (allow(methods),))
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = allow(methods)
            return refuse(scope, "bad-method", headers=(allowed,), allowed=allowed[1].decode())
        if route.origin and (
            from_another_origin(scope, route.origin) or (route.names_origin and not header(scope, b"origin"))
        ):
            return refuse(scope, "bad-origin")
        if route.key is not None and not same_secret(bearer(scope), route.key):
            return refuse(scope, "bad-command-key")
        if b"%00" in scope.get("query_string", b""):
            return refuse(scope, "bad-request")
        try:
            return await route.answer(Request(scope, receive, parts, route.body_bytes_max))
        except BodyTooLarge:
            return refuse(scope, "too-large", bytes_max=route.body_bytes_max)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            decided = await decide(scope, receive)
        except ClientLeft:
            return
        if decided is not None:
            await respond(send, decided, cors, head=scope["method"] == "HEAD", receive=receive)

    return answer


def allow(methods: Iterable[str]) -> tuple[bytes, bytes]:
    """The header that says by which methods a path may be asked."""
    known = {*methods, *(["HEAD"] if "GET" in methods else [])}
    return b"allow", ", ".join(sorted(known)).encode()
