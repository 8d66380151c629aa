"""What all pages of the console have in common: a strict policy for browsers, who asks, and how they are answered."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, quote

from prikkfri.protocols.asgi import (
    NO_STORE,
    Application,
    Headers,
    HttpResponse,
    Receive,
    Request,
    Scope,
    Send,
    cookie,
    header,
    refusal,
    wants_html,
)

BODY_BYTES_MAX = 20_000
QUERY_FIELDS_MAX = 20
HEADERS: Headers = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        b" form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # not no-referrer: the Origin of a form would then be "null"
    (b"cross-origin-opener-policy", b"same-origin"),
)
NAMES = {"bad-origin": "wrong-origin"}
_OWN = {
    401: ("wrong-credentials", "This is not right."),
    403: ("looks-only", "You may look, and change nothing."),
    404: ("not-found", "There is nothing at this address."),
    422: ("not-accepted", "This cannot be taken as it is."),
    429: ("too-many-tries", "Too many tries went wrong."),
    503: ("unavailable", "This cannot be done at the moment."),
}
"""What only the console refuses, where a browser is shown a page that says what to do: slug and sentence by status."""


@dataclass(slots=True)
class ConsoleRequest:
    """A request to the console, and who asks."""

    request: Request
    acts: bool = True
    """Whether they may change things."""

    @property
    def scope(self) -> Scope:
        return self.request.scope

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> str:
        return self.request.path

    @property
    def address(self) -> str:
        address: str = (self.scope.get("client") or ("",))[0]
        return address

    @property
    def content_type(self) -> str:
        return header(self.scope, b"content-type")

    def part(self, name: str) -> str:
        """What stands in the path for a name; empty when nothing does."""
        return self.request.parts.get(name, "")

    def query(self, name: str) -> str:
        """The first value of a field of the query; empty when missing."""
        try:
            fields = parse_qs(self.request.query.decode("latin-1"), max_num_fields=QUERY_FIELDS_MAX)
        except ValueError:
            return ""
        return fields.get(name, [""])[0]

    def cookie(self, name: str) -> str:
        return cookie(self.scope, name)

    async def body(self) -> bytes:
        return await self.request.body()


Page = Callable[[ConsoleRequest, str], Awaitable[HttpResponse]]
"""A page for somebody who has signed in: the request and their name."""
ShowPage = Callable[..., HttpResponse]
"""Renders a template for somebody: template, request, who, and what it takes."""


def page(html: str, status: int = 200, *, retry_after_s: float | None = None) -> HttpResponse:
    headers: Headers = ((b"content-type", b"text/html; charset=utf-8"), NO_STORE)
    if status >= 400:
        headers += ((b"vary", b"Accept"),)
    if retry_after_s is not None:
        headers += ((b"retry-after", str(max(1, math.ceil(retry_after_s))).encode()),)
    return HttpResponse(status, None, headers, html.encode())


def redirect(to: str, *more: tuple[bytes, bytes]) -> HttpResponse:
    """To another page, which is then read."""
    return HttpResponse(303, None, ((b"location", quote(to, safe=":/%#?=@[]!$&'()*+,;").encode()), *more))


def set_cookie(name: str, value: str, *, secure: bool, max_age_s: int | None = None) -> tuple[bytes, bytes]:
    """A header that keeps a cookie (`max_age_s` 0: drops it), out of the reach of scripts and of other sites' forms."""
    morsels: SimpleCookie = SimpleCookie({name: value})
    morsel = morsels[name]
    morsel["path"], morsel["samesite"], morsel["httponly"] = "/", "lax", True
    if secure:
        morsel["secure"] = True
    if max_age_s is not None:
        morsel["max-age"] = max_age_s
    return b"set-cookie", morsel.OutputString().encode("latin-1")


def in_place_of_page(scope: Scope, status: int, said: str, retry_after_s: float | None = None) -> HttpResponse | None:
    """What is answered where a page says why not, unless whoever asks wants the page. `said`: what the page says."""
    if status < 400 or wants_html(scope):
        return None
    slug, sentence = _OWN[status]
    return refusal(status, slug, said or sentence, retry_after_s=retry_after_s)


def with_policy(application: Application) -> Application:
    """Every answer carries the policy, but for those that have one of their own."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                told: list[tuple[bytes, bytes]] = [*message["headers"]]  # type: ignore[misc]
                names = {name for name, _ in told}
                message["headers"] = [*told, *(each for each in HEADERS if each[0] not in names)]
            await send(message)

        await application(scope, receive, with_headers)  # type: ignore[arg-type]

    return answer
