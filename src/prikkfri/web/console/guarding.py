"""What stands before every page of the console: orders from its own origin only, bounded bodies, a strict policy."""

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX = 20_000
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # not no-referrer: the Origin of a form would then be "null"
    "cross-origin-opener-policy": "same-origin",
}


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
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        headers = dict(scope["headers"])
        refusal: JSONResponse | None = None
        if scope["method"] not in ("GET", "HEAD"):
            length = headers.get(b"content-length", b"")
            most = self._larger.get(scope["path"], BODY_BYTES_MAX)
            if headers.get(b"origin", b"") != self._origin:
                message = f"orders are taken from {self._origin.decode()} only"
                refusal = JSONResponse({"error": "wrong-origin", "message": message}, 403)
            elif not length.isdigit() or int(length) > most:
                message = f"a body of at most {most} bytes, its length told"
                refusal = JSONResponse({"error": "too-large", "message": message}, 413)
        await (refusal or self._application)(scope, receive, with_headers)
