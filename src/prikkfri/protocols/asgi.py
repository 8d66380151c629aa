"""What the JSON edges share of ASGI 3: bodies with a limit, answers, refusals, and the browser's cross-origin rules.

No framework, because a refusal must cost next to nothing while a crowd is being refused.
"""

import hmac
import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

PREFLIGHT_SECONDS = 7200
"""How long a browser may remember what is allowed; Chromium's own limit."""


class ClientLeft(Exception):
    """The client closed the connection before its request was complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    document: object = None
    """Sent as JSON; None: no body."""
    headers: Headers = ()


def refusal(status: int, slug: str, message: str, *, retry_after_s: float | None = None, **facts: object) -> Answer:
    """`{"error", "message"}`, and when to try again: `Retry-After` in whole seconds, rounded up."""
    document: dict[str, object] = {"error": slug, "message": message, **facts}
    if retry_after_s is None:
        return Answer(status, document)
    seconds = max(1, math.ceil(retry_after_s))
    return Answer(status, {**document, "retry_after_s": seconds}, ((b"retry-after", str(seconds).encode()),))


NOT_FOUND = refusal(404, "not-found", "There is nothing at this address.")


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


async def respond(send: Send, answer: Answer, extra: Headers = ()) -> None:
    body = b"" if answer.document is None else json.dumps(answer.document, ensure_ascii=False).encode()
    headers = [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store"), *answer.headers, *extra]
    if answer.document is not None:
        headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> str:
    """The first value of a header (`name` in lower case), empty when missing."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return ""


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


def preflight(methods: Mapping[str, object] | frozenset[str]) -> Answer:
    """The answer to a browser that asks whether it may send a JSON body and a bearer token."""
    return Answer(
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
