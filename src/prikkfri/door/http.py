"""The edge of the door: raw ASGI, since every viewer of a kick-off knocks here."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import parse_qs

import msgspec

from prikkfri.door.service import Admitted, Door, Issued, Refused, Waiting
from prikkfri.protocols.asgi import (
    Application,
    Handler,
    HttpResponse,
    Receive,
    Request,
    Route,
    Scope,
    Send,
    bearer,
    cross_origin,
    edge,
    refusal,
    refused,
)
from prikkfri.protocols.device_token import is_device

HELD_TIMES_MAX = 8
"""Before whoever is about to be called is sent away all the same."""
BODY_BYTES_MAX = 1_024
QUERY_BYTES_MAX = 1_024
"""A pass stands in it, too."""

LINE_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"public, max-age=1"))
"""Where the front is, is the same for everybody: any cache may answer for us."""

_ANSWERS = {
    "bad-token": (401, "Please sign in again."),
    "expired": (401, "Please sign in again."),
    "revoked": (401, "This device has been signed out."),
    "bad-ticket": (400, "This is no ticket of ours; please take a new one."),
    "overloaded": (503, "Very many are coming right now; please try again in a moment."),
    "too-many-joins": (503, "Very many come from your network right now; please try again in a moment."),
}


class _EnterBody(msgspec.Struct):
    device: Annotated[str, msgspec.Meta(max_length=24)]


_decoder = msgspec.json.Decoder(_EnterBody)


def application(
    door: Door,
    *,
    viewer_origin: str,
    open_channels_url: str,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Application:
    """`open_channels_url`: where playout lists the channels that need no sign-in."""

    def document(answer: Issued | Admitted | Waiting | Refused) -> HttpResponse:
        match answer:
            case Issued():
                return HttpResponse(
                    200,
                    {
                        "playback_token": answer.playback_token,
                        "expires_at": answer.expires_at,
                        "renew_after": answer.renew_after,
                    },
                )
            case Admitted():
                return HttpResponse(200, {"admitted": answer.admission, "expires_at": answer.expires_at})
            case Waiting():
                return HttpResponse(
                    200,
                    {
                        "ticket": answer.ticket,
                        "place": answer.place,
                        "wait_s": answer.wait_s,
                        "poll_after_s": answer.poll_after_s,
                        "since": answer.since,
                        "position": answer.position,
                        "open": open_channels_url,
                    },
                )
            case Refused():
                status, message = _ANSWERS[answer.reason]
                return refusal(status, answer.reason, message, retry_after_s=answer.retry_after_s)

    async def enter(request: Request) -> HttpResponse:
        door.in_flight -= 1  # whoever's body has not come yet is nobody we work for
        try:
            body = await request.body()
        finally:
            door.in_flight += 1
        try:
            device = _decoder.decode(body).device
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        if not is_device(device):
            return refusal(400, "bad-request", "`device` must be `d-` and 22 base64url characters.")
        return document(door.enter(device, (request.scope.get("client") or ("",))[0]))

    async def waiting(request: Request) -> HttpResponse:
        if len(request.query) > QUERY_BYTES_MAX:
            return refused("too-large", bytes_max=QUERY_BYTES_MAX)
        [ticket] = parse_qs(request.query.decode("latin-1")).get("ticket", [""])[:1]
        answer = door.waiting(ticket)
        for _ in range(HELD_TIMES_MAX):
            if not isinstance(answer, Waiting) or not answer.held:
                break
            door.in_flight -= 1  # it waits for its turn, and nothing is done for it
            try:
                await sleep(answer.poll_after_s)
            finally:
                door.in_flight += 1
            answer = door.waiting(answer.ticket)
        return document(answer)

    async def playback_token(request: Request) -> HttpResponse:
        return document(door.playback_token(bearer(request.scope)))

    async def line(request: Request) -> HttpResponse:
        return HttpResponse(200, headers=LINE_HEADERS, body=door.line())

    def gated(step: str, handler: Handler) -> Handler:
        async def answer(request: Request) -> HttpResponse | None:
            if overloaded := door.overloaded(step):
                return document(overloaded)
            return await handler(request)

        return answer

    routes = (
        Route("POST", "/playback-token", gated("playback-token", playback_token), origin=viewer_origin),
        Route("POST", "/enter", gated("enter", enter), body_bytes_max=BODY_BYTES_MAX, origin=viewer_origin),
        Route("GET", "/waiting", gated("enter", waiting)),
        Route("GET", "/line", line),
    )
    answering = edge(routes, cors=cross_origin(viewer_origin, credentials=False))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        door.in_flight += 1
        try:
            await answering(scope, receive, send)
        finally:
            door.in_flight -= 1

    return answer
