"""The edge of the door: raw ASGI, since every viewer of a kick-off knocks here."""

import asyncio
from typing import Annotated
from urllib.parse import parse_qs

import msgspec

from prikkfri.door.service import DEFAULT_TIMING, Admitted, Door, Issued, Refused, Waiting
from prikkfri.door.timing import Timing
from prikkfri.protocols.asgi import (
    NOT_FOUND,
    Answer,
    Application,
    ClientLeft,
    Receive,
    Scope,
    Send,
    bearer,
    cross_origin,
    from_another_origin,
    preflight,
    read_body,
    refusal,
    respond,
)
from prikkfri.protocols.device_token import is_device

BODY_BYTES_MAX = 1_024
QUERY_BYTES_MAX = 1_024
"""A pass stands in it, too."""

_ANSWERS = {
    "bad-token": (401, "Please sign in again."),
    "expired": (401, "Please sign in again."),
    "revoked": (401, "This device has been signed out."),
    "bad-ticket": (400, "This is no ticket of ours; please take a new one."),
    "overloaded": (503, "Very many are coming right now; please try again in a moment."),
    "too-many-joins": (503, "Very many come from your network right now; please try again in a moment."),
}
_METHODS = {"/playback-token": "POST", "/enter": "POST", "/waiting": "GET", "/line": "GET"}
_STEPS = {"/playback-token": "playback-token", "/enter": "enter", "/waiting": "enter"}


class _EnterBody(msgspec.Struct):
    device: Annotated[str, msgspec.Meta(max_length=24)]


_decoder = msgspec.json.Decoder(_EnterBody)


def application(
    door: Door, *, viewer_origin: str, open_channels_url: str, timing: Timing = DEFAULT_TIMING
) -> Application:
    """`open_channels_url`: where playout lists the channels that need no sign-in."""
    cors = cross_origin(viewer_origin, credentials=False)

    def document(answer: Issued | Admitted | Waiting | Refused) -> Answer:
        match answer:
            case Issued():
                return Answer(
                    200,
                    {
                        "playback_token": answer.playback_token,
                        "expires_at": answer.expires_at,
                        "renew_after": answer.renew_after,
                    },
                )
            case Admitted():
                return Answer(200, {"admitted": answer.admission, "expires_at": answer.expires_at})
            case Waiting():
                return Answer(
                    200,
                    {
                        "ticket": answer.ticket,
                        "place": answer.place,
                        "wait_s": answer.wait_s,
                        "poll_after_s": answer.poll_after_s,
                        "since": answer.since,
                        "open": open_channels_url,
                    },
                )
            case Refused():
                status, message = _ANSWERS[answer.reason]
                return refusal(status, answer.reason, message, retry_after_s=answer.retry_after_s)

    async def enter(scope: Scope, receive: Receive) -> Answer:
        try:
            async with asyncio.timeout(timing.body_seconds_max):
                body = await read_body(receive, BODY_BYTES_MAX)
        except TimeoutError:
            return refusal(408, "too-slow", f"The request was not complete after {timing.body_seconds_max:.0f} s.")
        if body is None:
            return refusal(413, "too-large", f"At most {BODY_BYTES_MAX} bytes.")
        try:
            device = _decoder.decode(body).device
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        if not is_device(device):
            return refusal(400, "bad-request", "`device` must be `d-` and 22 base64url characters.")
        return document(door.enter(device, (scope.get("client") or ("",))[0]))

    def waiting(query: bytes) -> Answer:
        if len(query) > QUERY_BYTES_MAX:
            return refusal(413, "too-large", f"At most {QUERY_BYTES_MAX} bytes.")
        [ticket] = parse_qs(query.decode("latin-1")).get("ticket", [""])[:1]
        return document(door.waiting(ticket))

    async def decide(scope: Scope, receive: Receive) -> Answer:
        method, path = scope["method"], scope["path"]
        expected = _METHODS.get(path)
        if expected is None:
            return NOT_FOUND
        if method == "OPTIONS":
            return preflight(frozenset({expected}))
        if method != expected:
            return refusal(405, "bad-method", f"Only {expected}.")
        if method == "POST" and from_another_origin(scope, viewer_origin):
            return refusal(403, "bad-origin", "Only pages of the viewer may ask this.")
        if path == "/line":
            return Answer(200, {"wait_s": door.wait_s()})
        if refused := door.overloaded(_STEPS[path]):
            return document(refused)
        if path == "/enter":
            return await enter(scope, receive)
        if path == "/waiting":
            return waiting(scope["query_string"])
        return document(door.playback_token(bearer(scope)))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        door.in_flight += 1
        try:
            await respond(send, await decide(scope, receive), cors)
        except ClientLeft:
            return
        finally:
            door.in_flight -= 1

    return answer
