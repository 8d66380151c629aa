"""The edge of the door: raw ASGI, since every viewer of a kick-off knocks here."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Literal
from urllib.parse import parse_qs

import msgspec

from prikkfri.door.service import Admitted, Door, Issued, Refused, Waiting
from prikkfri.door.steering import OrderRequest
from prikkfri.protocols.asgi import (
    PLAIN,
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
from prikkfri.protocols.possession import HOLDER_LENGTH, holder_of_secret, is_holder, is_secret

HELD_TIMES_MAX = 8
HELD_SECONDS_MAX = 4.0
"""In all; before whoever is about to be called is sent away all the same. A page gives up after ten."""
BODY_BYTES_MAX = 1_024
QUERY_BYTES_MAX = 1_024
"""A pass stands in it, too, or a ticket with its proof."""

_PLAIN_QUERY = re.compile(rb"ticket=([A-Za-z0-9_.-]*)(?:&proof=([A-Za-z0-9_.-]*))?")
"""As pages write it; read without the pains that any other query takes."""

LINE_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"public, max-age=1"))
"""Where the front is, is the same for everybody: any cache may answer for us."""

_ANSWERS = {
    "bad-token": (401, "Please sign in again."),
    "expired": (401, "Please sign in again."),
    "revoked": (401, "This device has been signed out."),
    "bad-ticket": (400, "This is no ticket of ours; please take a new one."),
    "not-yours": (403, "This ticket was given to another device; please take one of your own."),
    "overloaded": (503, "Very many are coming right now; please try again in a moment."),
    "drained": (503, "Nobody new is let in for now; please come again later."),
    "line-elsewhere": (503, "Another door has the line; please try again in a moment."),
    "too-many-joins": (503, "Very many come from your network right now; please try again in a moment."),
}


class _EnterBody(msgspec.Struct):
    device: Annotated[str, msgspec.Meta(max_length=24)]
    holder: Annotated[str, msgspec.Meta(max_length=HOLDER_LENGTH)] = ""
    secret: Annotated[str, msgspec.Meta(max_length=HOLDER_LENGTH)] = ""


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    order: Literal["auto", "rate", "pause", "drain", "open", "schedule", "withdraw"]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]
    """The name of the person who says so."""
    after: Annotated[int, msgspec.Meta(ge=0)]
    """The number of the last order that they know of."""
    per_second: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0
    reason: Annotated[str, msgspec.Meta(max_length=20)] = ""
    room_from: Annotated[float, msgspec.Meta(ge=0, le=1e11)] | None = None
    opens_at: Annotated[float, msgspec.Meta(ge=0, le=1e11)] = 0.0
    sure: bool = False


_decoder = msgspec.json.Decoder(_EnterBody)


async def until_called(turn: asyncio.Future[None], seconds: float) -> None:
    """For so long at most."""
    await asyncio.wait((turn,), timeout=seconds)


def application(
    door: Door,
    *,
    viewer_origin: str,
    open_channels_url: str,
    command_key: str = "",
    hold: Callable[[asyncio.Future[None], float], Awaitable[None]] = until_called,
) -> Application:
    """`open_channels_url`: where playout lists the channels that need no sign-in. `command_key` is what commands carry;
    without one none is taken."""

    def document(answer: Issued | Admitted | Waiting | Refused) -> HttpResponse:
        match answer:
            case Issued():
                return HttpResponse(
                    200,
                    {
                        "playback_token": answer.playback_token,
                        "expires_at": answer.expires_at,
                        "renew_after": answer.renew_after,
                        "renew_by": answer.renew_by,
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
                        "ordered": door.ordered(),
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
            asked = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        if not is_device(asked.device):
            return refusal(400, "bad-request", "`device` must be `d-` and 22 base64url characters.")
        if not is_secret(asked.secret) if asked.secret else not is_holder(asked.holder):
            return refusal(400, "bad-request", "`holder` or `secret` must say whose the ticket is to be.")
        holder = holder_of_secret(asked.secret) if asked.secret else asked.holder
        return document(door.enter(asked.device, holder, (request.scope.get("client") or ("",))[0]))

    async def waiting(request: Request) -> HttpResponse:
        if len(request.query) > QUERY_BYTES_MAX:
            return refused("too-large", bytes_max=QUERY_BYTES_MAX)
        plain = _PLAIN_QUERY.fullmatch(request.query)
        if plain:
            ticket, proof = plain[1].decode(), (plain[2] or b"").decode()
        else:
            query = parse_qs(request.query.decode("latin-1"))
            ticket, proof = (query.get(name, [""])[0] for name in ("ticket", "proof"))
        answer, held_s = door.waiting(ticket, proof), 0.0
        for _ in range(HELD_TIMES_MAX):
            if not isinstance(answer, Waiting) or not answer.held or held_s + answer.poll_after_s > HELD_SECONDS_MAX:
                break
            held_s += answer.poll_after_s
            turn = asyncio.get_running_loop().create_future()
            entry = door.turns.add(answer.position, partial(turn.set_result, None))
            door.in_flight -= 1  # it waits for its turn, and nothing is done for it
            try:
                await hold(turn, answer.poll_after_s)
            finally:
                door.turns.discard(entry)
                door.in_flight += 1
            answer = door.waiting(answer.ticket, proof, ticket)
        return document(answer)

    async def playback_token(request: Request) -> HttpResponse:
        return document(door.playback_token(bearer(request.scope)))

    async def line(request: Request) -> HttpResponse:
        return HttpResponse(200, headers=LINE_HEADERS, body=door.line())

    async def steering(request: Request) -> HttpResponse:
        ordered, line = door.steering()
        return HttpResponse(200, msgspec.to_builtins({**asdict(ordered), "line": line}))

    async def steer(request: Request) -> HttpResponse:
        try:
            wanted = msgspec.json.decode(await request.body(), type=_Order)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return refusal(400, "bad-order", str(error))
        asked = msgspec.structs.asdict(wanted)
        not_taken = door.steer(OrderRequest(kind=asked.pop("order"), **asked))
        if not_taken is not None:
            return refusal(503 if not_taken.why == "not-kept" else 409, not_taken.why, not_taken.said)
        return await steering(request)

    def of_line(handler: Handler) -> Handler:
        async def answer(request: Request) -> HttpResponse | None:
            if astray := door.line_elsewhere():
                return document(astray)
            return await handler(request)

        return handler if door.has_line else answer

    def gated(step: str, handler: Handler) -> Handler:
        async def answer(request: Request) -> HttpResponse | None:
            if overloaded := door.overloaded(step):
                return document(overloaded)
            return await handler(request)

        return answer

    routes = (
        Route("POST", "/playback-token", gated("playback-token", playback_token), origin=viewer_origin),
        Route("POST", "/enter", of_line(gated("enter", enter)), body_bytes_max=BODY_BYTES_MAX, origin=viewer_origin),
        Route("GET", "/waiting", of_line(gated("enter", waiting))),
        Route("GET", "/line", of_line(line)),
        Route("GET", "/steering", of_line(steering), key=command_key),
        Route("POST", "/steering", of_line(steer), body_bytes_max=BODY_BYTES_MAX, key=command_key),
    )
    answering = edge(routes, cors=cross_origin(viewer_origin, credentials=False))

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        door.in_flight += 1
        try:
            await answering(scope, receive, send)
        finally:
            door.in_flight -= 1

    return answer
