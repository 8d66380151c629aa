"""The HTTP edge of playout, raw ASGI: thousands of players ask for a playlist every second or two.

Nothing here is logged: playback tokens stand in the paths.
"""

from typing import Annotated, Literal
from urllib.parse import parse_qs

import msgspec

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.asgi import (
    JSON,
    PLAIN,
    Application,
    Headers,
    HttpResponse,
    Request,
    Route,
    bearer,
    cross_origin,
    edge,
    refusal,
)
from prikkfri.streaming import service
from prikkfri.streaming.fallback import ChannelOverride, ChannelStatus
from prikkfri.streaming.reports import REPORT_BYTES_MAX, read_report
from prikkfri.streaming.service import RETRY_AFTER_SECONDS, Playout

STANDINGS_PATH = "/standings"
NAMES = {"bad-method": "method-not-allowed", "bad-origin": "wrong-origin"}
_TYPE_OF_SUFFIX = {"m4s": b"video/iso.segment", "mp4": b"video/mp4"}
_PLAYLIST: Headers = ((b"content-type", b"application/vnd.apple.mpegurl"), (b"cache-control", b"max-age=1"))
_IMMUTABLE = (b"cache-control", b"public, max-age=31536000, immutable")
_LIST: Headers = (JSON, (b"cache-control", b"max-age=1"))
_GUIDE: Headers = (JSON, (b"cache-control", b"max-age=30"))


def application(playout: Playout, viewer_origin: str, command_key: str = "") -> Application:
    """The ASGI application. `viewer_origin` is the one origin whose pages may read the answers.

    `command_key` is what commands carry; without one none is taken.
    """

    async def statuses(request: Request) -> HttpResponse:
        return HttpResponse(
            200, [_shown(status, playout.guide_told(status.channel)) for status in playout.channel_statuses()]
        )

    async def say(request: Request) -> HttpResponse:
        try:
            wanted = msgspec.json.decode(await request.body(), type=_Command)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return refusal(400, "bad-command", '`state` is "open", "closed" or "rule", `by` is who says so')
        override = None if wanted.state == "rule" else ChannelOverride(wanted.state, wanted.by)
        if not playout.say(request.parts["channel"], override, by=wanted.by):
            return refusal(404, "not-found", "there is no such channel")
        return HttpResponse(204)

    async def watch(request: Request) -> HttpResponse:
        parts = request.parts
        return _watched(playout.watch(parts["token"], parts["channel"], parts["name"]), parts["name"])

    async def watch_open(request: Request) -> HttpResponse:
        name = request.parts["name"]
        return _watched(playout.watch_open(request.parts["channel"], name), name)

    async def open_channels(request: Request) -> HttpResponse:
        return HttpResponse(200, None, _LIST, playout.channels_document(only_open=True))

    async def channels(request: Request) -> HttpResponse:
        return HttpResponse(200, None, _LIST, playout.channels_document())

    async def guide(request: Request) -> HttpResponse:
        return _guide(playout, request.query)

    async def report(request: Request) -> HttpResponse:
        try:
            reported = read_report(await request.body())
        except RemoteProtocolError as error:
            return refusal(400, "bad-report", str(error))
        address = (request.scope.get("client") or ("",))[0]
        retry_after_s = playout.report(reported, bearer=bearer(request.scope), address=address)
        if retry_after_s is not None:
            message = "your network has reported enough for now"
            return refusal(429, "too-many-reports", message, retry_after_s=retry_after_s)
        return HttpResponse(204)

    routes = (
        Route("GET", "/live/{token}/{channel}/{name}", watch),
        Route("GET", "/open/{channel}/{name}", watch_open),
        Route("GET", "/open", open_channels),
        Route("GET", "/channels", channels),
        Route("GET", "/guide", guide),
        Route("POST", "/report", report, body_bytes_max=REPORT_BYTES_MAX, origin=viewer_origin, names_origin=True),
        Route("GET", STANDINGS_PATH, statuses, key=command_key),
        Route("PUT", "/open/{channel}", say, body_bytes_max=REPORT_BYTES_MAX, key=command_key),
    )
    return edge(routes, cors=cross_origin(viewer_origin, credentials=False), names=NAMES)


class _Command(msgspec.Struct, forbid_unknown_fields=True):
    state: Literal["open", "closed", "rule"]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]
    """The name of the person who says so."""


def _shown(status: ChannelStatus, guide: str) -> dict[str, object]:
    channel = status.channel
    shown = {"id": channel.id, "name": channel.name, "open": status.open, "by": status.by}
    return {**shown, "guide": guide} if guide else shown


def _watched(answer: service.PlayoutResponse, name: str) -> HttpResponse:
    if answer.kind == "playlist":
        return HttpResponse(200, None, _PLAYLIST, answer.body)
    if answer.kind == "media":
        kind = (b"content-type", _TYPE_OF_SUFFIX[name.rpartition(".")[2]])
        return HttpResponse(200, None, (kind, _IMMUTABLE), answer.body)
    later = ((b"retry-after", str(RETRY_AFTER_SECONDS).encode()),) if answer.status == 503 else ()
    return HttpResponse(answer.status, None, (JSON, *later), answer.body)


def _guide(playout: Playout, query: bytes) -> HttpResponse:
    try:
        asked = parse_qs(query.decode("ascii"), max_num_fields=8)
        start, stop = (float(asked[name][0]) if name in asked else None for name in ("from", "to"))
    except ValueError:
        return refusal(400, "bad-time", "`from` and `to` are seconds since 1970 UTC")
    document = playout.guide_document(start, stop)
    if document is None:
        return refusal(400, "bad-time", "the guide holds two days back and eight days ahead")
    return HttpResponse(200, None, _GUIDE, document)
