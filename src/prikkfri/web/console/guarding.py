"""What stands before every page of the console: orders from its own origin only, bounded bodies, a strict policy."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prikkfri.protocols.asgi import Answer, refusal, refused, respond, wants_html
from prikkfri.web.refusal_page import refusal_page

BODY_BYTES_MAX = 20_000
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # not no-referrer: the Origin of a form would then be "null"
    "cross-origin-opener-policy": "same-origin",
}


NAMES = {"bad-origin": "wrong-origin"}
_OWN = {
    401: ("wrong-credentials", "This is not right."),
    403: ("looks-only", "Your account may look, and change nothing."),
    404: ("not-found", "There is nothing at this address."),
    422: ("not-accepted", "This cannot be taken as it is."),
    429: ("too-many-tries", "Too many tries went wrong."),
    503: ("unavailable", "This cannot be done at the moment."),
}
"""What only the console refuses, where a browser is shown a page that says what to do: slug and sentence by status."""
_SLUGS = {404: "not-found", 405: "bad-method", 500: "internal"}


def refuse(scope: Scope, slug: str, **facts: Any) -> Answer:
    """A refusal of the table that all edges share; a page for who asks for one."""
    return refusal_page(scope, refused(slug, name=NAMES.get(slug, ""), **facts))


def in_place_of_page(scope: Scope, status: int, said: str, retry_after_s: float | None = None) -> Answer | None:
    """What is answered where a page says why not, unless whoever asks wants the page. `said`: what the page says."""
    if status < 400 or wants_html(scope):
        return None
    slug, sentence = _OWN[status]
    return refusal(status, slug, said or sentence, retry_after_s=retry_after_s)


async def answer_refusal(request: Request, error: Exception) -> Response:
    """What Starlette raises (no such page, another method, a fault of ours), as every other edge says it."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    allowed = ((isinstance(error, HTTPException) and error.headers) or {}).get("Allow", "")
    if status == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": allowed, "cache-control": "no-store"})
    return Answered(refuse(request.scope, _SLUGS.get(status, "bad-request"), allowed=allowed), allowed)


class Answered(Response):
    """What all edges answer alike, as Starlette wants it. `allowed`: the methods of the path."""

    def __init__(self, answer: Answer, allowed: str = "") -> None:
        super().__init__(status_code=answer.status)
        self._answer, self._more = answer, ((b"allow", allowed.encode()),) if allowed else ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, self._answer, self._more, head=scope["method"] == "HEAD")


class Guard:
    """Refuses unsafe requests that do not come from `origin`, and those that carry too much.

    `larger`: how many bytes some paths take where that is more than `BODY_BYTES_MAX`.
    """

    def __init__(self, application: ASGIApp, *, origin: str, larger: Mapping[str, int]) -> None:
        self._application = application
        self._origin = origin.encode()
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = {name for name, _ in message["headers"]}
                added = [
                    (name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in told
                ]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        headers = dict(scope["headers"])
        refusal: Answer | None = None
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            length = headers.get(b"content-length", b"")
            most = self._larger.get(scope["path"], BODY_BYTES_MAX)
            if headers.get(b"origin", b"") != self._origin:
                refusal = refuse(scope, "bad-origin")
            elif not length.isdigit() or int(length) > most:
                refusal = refuse(scope, "too-large", bytes_max=most)
        if refusal is not None:
            await respond(with_headers, refusal)
        else:
            await self._application(scope, receive, with_headers)
