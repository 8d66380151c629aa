"""The message API by account (POST /messages, GET /messages/ID), and the commands about routes and canaries."""

import base64
import binascii
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Literal

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from prikkfri.config import Account
from prikkfri.errors import InDoubt, StorageError
from prikkfri.protocols.asgi import bearer, same_secret
from prikkfri.protocols.smpp.pdu import Status
from prikkfri.sms.addresses import masked
from prikkfri.sms.authentication import Rejected
from prikkfri.sms.canaries.service import Canaries, Told
from prikkfri.sms.routing import Exposed, Party
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.submission import Refusal

Command = Callable[[Request], Awaitable[Response]]

BODY_OCTETS_MAX = 65_536
_RETRY_SECONDS = 1
_MESSAGES = {
    "bad-recipient": "`to` is neither a number with its country code nor a short code",
    "bad-sender": "`from` is not a number, a short code or one to eleven letters that this account may send from",
    "no-route": "no network takes messages to this number",
    "text-length": "`text` must have 1 to 4000 letters",
    "not-text": "`text` holds half a surrogate pair",
    "too-long": "`text` does not fit in 255 parts",
}


class Submission(msgspec.Struct, forbid_unknown_fields=True):
    sender: str = msgspec.field(name="from")
    recipient: str = msgspec.field(name="to")
    text: str


_Text = Annotated[str, msgspec.Meta(max_length=64)]


class _Phone(msgspec.Struct, forbid_unknown_fields=True):
    phone: _Text
    tokens: Annotated[list[_Text], msgspec.Meta(max_length=1_000)]


class _Received(msgspec.Struct, forbid_unknown_fields=True):
    phones: Annotated[list[_Phone], msgspec.Meta(max_length=1_000)]


class _Switch(msgspec.Struct, forbid_unknown_fields=True):
    state: Literal["open", "stopped"]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    """The name of the person who says so."""


def _refuse(status: int, error: str, message: str, **headers: str) -> Response:
    body: dict[str, object] = {"error": error, "message": message}
    if status == 503:
        body["retry_after_s"] = _RETRY_SECONDS
        headers["Retry-After"] = str(math.ceil(_RETRY_SECONDS))
    return JSONResponse(body, status, headers)


def _account(centre: SmsCentre, request: Request) -> Account | Rejected:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return Rejected()
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return Rejected()
    return centre.authenticate(name, secret, address=request.client.host if request.client else "")


def _unauthorized(rejected: Rejected) -> Response:
    if rejected.retry_after_s is not None:
        seconds = max(1, math.ceil(rejected.retry_after_s))
        body = {
            "error": "too-many-tries",
            "message": "too much went wrong with this account or from this network; wait a little",
            "retry_after_s": seconds,
        }
        return JSONResponse(body, 429, {"Retry-After": str(seconds)})
    return _refuse(
        401,
        "wrong-credentials",
        "name and secret of an account are needed",
        **{"WWW-Authenticate": 'Basic realm="messages"'},
    )


async def _body(request: Request) -> bytes | None:
    """None when it is longer than BODY_OCTETS_MAX."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_OCTETS_MAX:
            return None
    return body


def application(centre: SmsCentre, commands: Sequence[Route] = ()) -> ASGIApp:
    """`commands`: see there; without them no other role can ask anything."""

    async def submit(request: Request) -> Response:
        account = _account(centre, request)
        if isinstance(account, Rejected):
            return _unauthorized(account)
        body = await _body(request)
        if body is None:
            return _refuse(413, "too-long", f"a request has at most {BODY_OCTETS_MAX} octets")
        try:
            wanted = msgspec.json.decode(body, type=Submission)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refuse(400, "bad-request", f"not the JSON that is wanted: {error}")
        try:
            taken = await centre.submit(account, wanted.sender, wanted.recipient, wanted.text)
        except InDoubt:
            return _refuse(500, "in-doubt", "the message may or may not have been taken on; look before sending again")
        except StorageError:
            return _refuse(503, "storage", "messages cannot be stored just now")
        if isinstance(taken, Refusal):
            if taken.status is Status.THROTTLED:
                return _refuse(503, "throttled", "this account sends faster than it may")
            if taken.status is Status.QUEUE_FULL:
                return _refuse(503, "queue-full", "too many messages wait for this network already")
            return _refuse(422, taken.reason, _MESSAGES.get(taken.reason, taken.reason))
        return JSONResponse({"id": taken}, 202, {"Location": f"/messages/{taken}"})

    async def show(request: Request) -> Response:
        account = _account(centre, request)
        if isinstance(account, Rejected):
            return _unauthorized(account)
        try:
            trail = await centre.trail(request.path_params["id"])
        except StorageError:
            return _refuse(503, "storage", "messages cannot be looked up just now")
        if trail is None or trail.account != account.system_id:
            return _refuse(404, "unknown-message", "this account has sent no message of that id")
        return JSONResponse(asdict(trail), headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[Route("/messages", submit, methods=["POST"]), Route("/messages/{id}", show, methods=["GET"]), *commands]
    )


def commands(canaries: Canaries, *, command_key: str, canary_key: str) -> list[Route]:
    """What other roles may ask with `command_key`, and canary phones, which stand outside, may tell with theirs."""

    def guarded(key: str, answer: Command) -> Command:
        async def guard(request: Request) -> Response:
            if not same_secret(bearer(request.scope), key):
                return _refuse(401, "bad-command-key", "this is a command between roles")
            try:
                return await answer(request)
            except StorageError:
                return _refuse(503, "storage", "the database does not answer just now")
            except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
                return _refuse(400, "bad-request", f"not what is wanted: {error}")

        return guard

    async def received(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _refuse(413, "too-long", f"a request has at most {BODY_OCTETS_MAX} octets")
        phones = msgspec.json.decode(body, type=_Received).phones
        return JSONResponse({"known": await canaries.told([Told(each.phone, each.tokens) for each in phones])})

    async def routes(request: Request) -> Response:
        return JSONResponse([asdict(way) for way in await canaries.ways()], headers={"Cache-Control": "no-store"})

    async def switch(request: Request) -> Response:
        wanted = msgspec.json.decode(await _body(request) or b"", type=_Switch)
        if not await canaries.switch(request.path_params["link"], wanted.state, who=wanted.by):
            return _refuse(404, "unknown-link", "there is no link of that name")
        return await routes(request)

    async def exposed(request: Request) -> Response:
        asked = request.query_params
        since, until = float(asked.get("since", "nan")), float(asked.get("until", "nan"))
        if not since <= until:
            return _refuse(400, "bad-request", "since and until are seconds since 1970 UTC")
        found = await canaries.exposed(request.path_params["link"], since=since, until=until)
        if found is None:
            return _refuse(404, "unknown-link", "there is no link of that name")
        return JSONResponse([_shown(each) for each in found], headers={"Cache-Control": "no-store"})

    return [
        Route("/canaries/received", guarded(canary_key, received), methods=["POST"]),
        Route("/routes", guarded(command_key, routes), methods=["GET"]),
        Route("/routes/{link}", guarded(command_key, switch), methods=["POST"]),
        Route("/routes/{link}/exposed", guarded(command_key, exposed), methods=["GET"]),
    ]


def _shown(message: Exposed) -> dict[str, object]:
    origin = Party.parse(message.origin)
    return {
        "message": message.message,
        "sent_at": message.sent_at,
        "from": masked(message.sender),
        "to": masked(message.recipient),
        "class": message.message_class,
        "account": origin.name if origin.kind == "account" else "",
        "state": message.state,
    }
