"""Setting a password over HTTP, and the operator's one-time link."""

from typing import Annotated, Literal

import msgspec

from prikkfri.protocols.asgi import PLAIN, HttpResponse, Request, Route, header, refusal
from prikkfri.protocols.device_token import is_device
from prikkfri.signin.clients import client_kind
from prikkfri.signin.credentials import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN
from prikkfri.signin.devices.http import ForCustomer
from prikkfri.signin.http import LOGIN_LENGTH_MAX, PRINTABLE, when_stored
from prikkfri.signin.passwords.service import CodeRequest, NewPassword, Passwords

BODY_BYTES_MAX = 8_192
_ANSWERS = {
    "no-codes": (403, "No codes are sent here; customer service can give you a link."),
    "too-many-tries": (429, "Too many tries; please wait a little."),
    "overloaded": (503, "Very many are signing in right now; please try again in a moment."),
    "wrong-code": (401, "This code is wrong, or too old. Ask for a new one."),
    "bad-link": (401, "This link was used already, or is too old. Ask for a new one."),
    "database-unavailable": (503, "This does not work right now. We know, and are on it."),
}
_BAD_DEVICE = refusal(400, "bad-request", "`device` must be `d-` and 22 base64url characters.")

_Login = Annotated[str, msgspec.Meta(max_length=LOGIN_LENGTH_MAX, pattern=PRINTABLE)]


class _CodeBody(msgspec.Struct):
    login: _Login
    device: str
    language: Literal["nb", "sv", "en"] = "nb"


class _PasswordBody(msgspec.Struct):
    password: Annotated[str, msgspec.Meta(min_length=PASSWORD_LENGTH_MIN, max_length=PASSWORD_LENGTH_MAX)]
    login: Annotated[str, msgspec.Meta(max_length=LOGIN_LENGTH_MAX, pattern=PLAIN)] = ""
    code: Annotated[str, msgspec.Meta(max_length=32, pattern=PLAIN)] = ""
    device: str = ""
    link: Annotated[str, msgspec.Meta(max_length=64, pattern=PLAIN)] = ""


def routes(passwords: Passwords, *, viewer_origin: str, command_key: str) -> list[Route]:
    async def code(request: Request) -> HttpResponse:
        try:
            asked = msgspec.json.decode(await request.body(), type=_CodeBody)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        if not is_device(asked.device):
            return _BAD_DEVICE
        wanted = CodeRequest(asked.login, asked.device, _address(request), _client(request), asked.language)
        refused = passwords.ask_for_code(wanted)
        return (
            HttpResponse(202, {"sent": "if somebody has this login"})
            if refused is None
            else _refusal(refused.reason, refused.retry_after_s)
        )

    async def password(request: Request) -> HttpResponse:
        try:
            asked = msgspec.json.decode(await request.body(), type=_PasswordBody)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        if bool(asked.link) == bool(asked.code):
            return refusal(400, "bad-request", "Either `link`, or `login`, `device` and `code`.")
        if asked.device and not is_device(asked.device):
            return _BAD_DEVICE
        refused = await passwords.set(
            NewPassword(
                password=asked.password,
                address=_address(request),
                client=_client(request),
                login=asked.login,
                code=asked.code,
                device=asked.device,
                link=asked.link,
            )
        )
        return HttpResponse(204) if refused is None else _refusal(refused.reason, refused.retry_after_s)

    async def link(request: Request) -> HttpResponse:
        try:
            asked = msgspec.json.decode(await request.body(), type=ForCustomer)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        made = await passwords.make_link(asked.customer, by=asked.by)
        if made is None:
            return refusal(404, "no-such-customer", "There is no customer with this id.")
        return HttpResponse(200, {"link": made.link, "expires_at": made.expires_at})

    size = BODY_BYTES_MAX
    return [
        Route("POST", "/password/code", code, body_bytes_max=size, origin=viewer_origin),
        Route("POST", "/password", password, body_bytes_max=size, origin=viewer_origin),
        Route("POST", "/customers/password-link", when_stored(link), body_bytes_max=size, key=command_key),
    ]


def _refusal(reason: str, retry_after_s: float | None) -> HttpResponse:
    status, message = _ANSWERS[reason]
    return refusal(status, reason, message, retry_after_s=retry_after_s)


def _address(request: Request) -> str:
    client = request.scope.get("client")
    return client[0] if client else ""


def _client(request: Request) -> str:
    return client_kind(header(request.scope, b"user-agent"))
