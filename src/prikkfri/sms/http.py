"""The message API: POST /messages and GET /messages/ID, Basic authentication by account."""

import base64
import binascii
import math
from dataclasses import asdict

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from prikkfri.config import Account
from prikkfri.errors import InDoubt, StorageError
from prikkfri.protocols.smpp.pdu import Status
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.submission import Refusal

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


def _refuse(status: int, error: str, message: str, **headers: str) -> Response:
    body: dict[str, object] = {"error": error, "message": message}
    if status == 503:
        body["retry_after_s"] = _RETRY_SECONDS
        headers["Retry-After"] = str(math.ceil(_RETRY_SECONDS))
    return JSONResponse(body, status, headers)


def _account(centre: SmsCentre, request: Request) -> Account | None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return centre.authenticate(name, secret)


def _unauthorized() -> Response:
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


def application(centre: SmsCentre) -> ASGIApp:
    async def submit(request: Request) -> Response:
        account = _account(centre, request)
        if account is None:
            return _unauthorized()
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
        if account is None:
            return _unauthorized()
        trail = await centre.trail(request.path_params["id"])
        if trail is None or trail.account != account.system_id:
            return _refuse(404, "unknown-message", "this account has sent no message of that id")
        return JSONResponse(asdict(trail), headers={"Cache-Control": "no-store"})

    return Starlette(
        routes=[Route("/messages", submit, methods=["POST"]), Route("/messages/{id}", show, methods=["GET"])]
    )
