"""The HTTP edge of playout, raw ASGI: thousands of players ask for a playlist every second or two.

Nothing here is logged: playback tokens stand in the paths.
"""

import math
from typing import Annotated, Literal
from urllib.parse import parse_qs

import msgspec

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.asgi import (
    Application,
    ClientLeft,
    Receive,
    Scope,
    Send,
    bearer,
    header,
    read_body,
    same_secret,
)
from prikkfri.streaming.fallback import Standing, Word
from prikkfri.streaming.reports import REPORT_BYTES_MAX, read_report
from prikkfri.streaming.service import RETRY_AFTER_SECONDS, Answer, Playout

Headers = list[tuple[bytes, bytes]]

STANDINGS_PATH = "/standings"
_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_TYPE_OF_SUFFIX = {"m4s": b"video/iso.segment", "mp4": b"video/mp4"}
_PLAYLIST: Headers = [(b"content-type", b"application/vnd.apple.mpegurl"), (b"cache-control", b"max-age=1")]
_IMMUTABLE = (b"cache-control", b"public, max-age=31536000, immutable")


def application(playout: Playout, viewer_origin: str, command_key: str = "") -> Application:
    """The ASGI application. `viewer_origin` is the one origin whose pages may read the answers.

    `command_key` is what commands carry; without one none is taken.
    """
    shared: Headers = [(b"access-control-allow-origin", viewer_origin.encode()), (b"vary", b"Origin")]
    foreign: Headers = [(b"vary", b"Origin")]

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        from_viewer = header(scope, b"origin") == viewer_origin
        cors = shared if from_viewer else foreign
        try:
            if scope["method"] == "PUT" or scope["path"] == STANDINGS_PATH:
                status, headers, body = await _commanded(playout, scope, receive, command_key)
            else:
                status, headers, body = await _answered(playout, scope, receive, from_viewer)
        except ClientLeft:
            return
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *cors, length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return serve


class _Command(msgspec.Struct, forbid_unknown_fields=True):
    state: Literal["open", "closed", "rule"]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """The name of the person who says so."""


async def _commanded(playout: Playout, scope: Scope, receive: Receive, key: str) -> tuple[int, Headers, bytes]:
    """`GET /standings`: how every channel stands. `PUT /open/CHANNEL`: what a person says of one."""
    parts = scope["path"].split("/")[1:]
    if not same_secret(bearer(scope), key):
        return _refused(401, "bad-command-key", "commands carry this role's command key")
    if scope["method"] == "GET":
        return 200, [_JSON, _NO_STORE], msgspec.json.encode([_shown(standing) for standing in playout.standings()])
    try:
        wanted = msgspec.json.decode(await read_body(receive, REPORT_BYTES_MAX) or b"", type=_Command)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _refused(400, "bad-command", '`state` is "open", "closed" or "rule", `by` is who says so')
    word = None if wanted.state == "rule" else Word(wanted.state, wanted.by)
    if len(parts) != 2 or parts[0] != "open" or not playout.say(parts[1], word, by=wanted.by):
        return _refused(404, "not-found", "there is no such channel")
    return 204, [], b""


def _shown(standing: Standing) -> dict[str, object]:
    channel = standing.channel
    return {"id": channel.id, "name": channel.name, "open": standing.open, "by": standing.by}


async def _answered(playout: Playout, scope: Scope, receive: Receive, from_viewer: bool) -> tuple[int, Headers, bytes]:
    method: str = scope["method"]
    parts = scope["path"].split("/")[1:]
    if method == "OPTIONS":
        allowed = (b"access-control-allow-methods", b"GET, HEAD, POST")
        return 204, [allowed, (b"access-control-allow-headers", b"authorization, content-type"), _max_age(600)], b""
    if parts == ["report"]:
        if method != "POST":
            return _refused(405, "method-not-allowed", "reports are posted", (b"allow", b"POST, OPTIONS"))
        if not from_viewer:
            return _refused(403, "wrong-origin", "reports are taken from the viewer's pages only")
        return await _report(playout, scope, receive)
    if method not in ("GET", "HEAD"):
        return _refused(405, "method-not-allowed", "here one can only look", (b"allow", b"GET, HEAD, OPTIONS"))
    match parts:
        case ["live", token, channel, name]:
            return _watched(playout.watch(token, channel, name), name)
        case ["open", channel, name]:
            return _watched(playout.watch_open(channel, name), name)
        case ["open"]:
            return 200, [_JSON, (b"cache-control", b"max-age=1")], playout.channels_document(only_open=True)
        case ["channels"]:
            return 200, [_JSON, (b"cache-control", b"max-age=1")], playout.channels_document()
        case ["guide"]:
            return _guide(playout, scope["query_string"])
    return _refused(404, "not-found", "there is nothing here")


def _watched(answer: Answer, name: str) -> tuple[int, Headers, bytes]:
    if answer.kind == "playlist":
        return 200, _PLAYLIST, answer.body
    if answer.kind == "media":
        return 200, [(b"content-type", _TYPE_OF_SUFFIX[name.rpartition(".")[2]]), _IMMUTABLE], answer.body
    headers = [_JSON, _NO_STORE]
    if answer.status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
    return answer.status, headers, answer.body


def _guide(playout: Playout, query: bytes) -> tuple[int, Headers, bytes]:
    try:
        asked = parse_qs(query.decode("ascii"), max_num_fields=8)
        start, stop = (float(asked[name][0]) if name in asked else None for name in ("from", "to"))
    except ValueError:
        return _refused(400, "bad-time", "`from` and `to` are seconds since 1970 UTC")
    document = playout.guide_document(start, stop)
    if document is None:
        return _refused(400, "bad-time", "the guide holds two days back and eight days ahead")
    return 200, [_JSON, (b"cache-control", b"max-age=30")], document


async def _report(playout: Playout, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
    body = await read_body(receive, REPORT_BYTES_MAX)
    if body is None:
        return _refused(413, "too-large", f"at most {REPORT_BYTES_MAX} bytes")
    try:
        report = read_report(body)
    except RemoteProtocolError as error:
        return _refused(400, "bad-report", str(error))
    address = (scope.get("client") or ("",))[0]
    if (retry_after_s := playout.report(report, bearer=bearer(scope), address=address)) is not None:
        retry_after = (b"retry-after", str(max(1, math.ceil(retry_after_s))).encode())
        return _refused(429, "too-many-reports", "your network has reported enough for now", retry_after)
    return 204, [_NO_STORE], b""


def _refused(status: int, error: str, message: str, *headers: tuple[bytes, bytes]) -> tuple[int, Headers, bytes]:
    return status, [_JSON, _NO_STORE, *headers], msgspec.json.encode({"error": error, "message": message})


def _max_age(seconds: int) -> tuple[bytes, bytes]:
    return b"access-control-max-age", str(seconds).encode()
