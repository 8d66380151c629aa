"""The edge of sign-in: JSON over HTTP, a cookie for the session, and an eye on whether the client is still there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec

from prikkfri.errors import InDoubt, StorageError
from prikkfri.protocols.asgi import (
    JSON,
    Application,
    Handler,
    Headers,
    HttpResponse,
    Receive,
    Request,
    Route,
    cookie,
    cross_origin,
    edge,
    header,
    refusal,
    until_disconnect,
)
from prikkfri.protocols.device_token import is_device
from prikkfri.protocols.possession import PROOF_LENGTH_MAX
from prikkfri.signin.clients import client_kind, device_name
from prikkfri.signin.credentials import PASSWORD_LENGTH_MAX
from prikkfri.signin.service import (
    DATABASE_RETRY_AFTER_SECONDS,
    Attempt,
    Refused,
    SignedIn,
    SignIn,
)

COOKIE = "prikkfri-signin"
BODY_BYTES_MAX = 8_192
LOGIN_LENGTH_MAX = 254
"""The longest e-mail address (RFC 5321)."""
PASS_LENGTH_MAX = 2_048

_ANSWERS = {
    "wrong-credentials": (401, "E-mail or number and password do not belong together."),
    "too-many-tries": (429, "Too many tries that went wrong; please wait a little."),
    "overloaded": (503, "Very many are signing in right now; please try again in a moment."),
    "no-subscription": (403, "This subscription has no television."),
    "not-your-pass": (403, "This place in the line was given to another device."),
    "pass-spent": (409, "Somebody has signed in with this place in the line; please take a new one."),
    "database-unavailable": (503, "Sign-in does not work right now. We know, and are on it."),
}
_UNAVAILABLE = refusal(
    503,
    "database-unavailable",
    _ANSWERS["database-unavailable"][1],
    retry_after_s=DATABASE_RETRY_AFTER_SECONDS,
)

PRINTABLE = r"^[^\x00-\x1f\x7f]+\Z"


class _SignInBody(msgspec.Struct):
    login: Annotated[str, msgspec.Meta(max_length=LOGIN_LENGTH_MAX, pattern=PRINTABLE)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=PASSWORD_LENGTH_MAX)]
    device: str
    admission: Annotated[str, msgspec.Meta(max_length=PASS_LENGTH_MAX)] = msgspec.field(default="", name="pass")
    proof: Annotated[str, msgspec.Meta(max_length=PROOF_LENGTH_MAX, pattern=r"^[A-Za-z0-9_.-]*\Z")] = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_SignInBody)


def when_stored(handler: Handler) -> Handler:
    """Answers that sign-in does not work right now when its database does not."""

    async def answer(request: Request) -> HttpResponse | None:
        try:
            return await handler(request)
        except (StorageError, InDoubt, TimeoutError):  # who signs out again is signed out
            return _UNAVAILABLE

    return answer


def application(
    service: SignIn, *, viewer_origin: str, secure: bool, command_key: str, rooms: Sequence[Route] = ()
) -> Application:
    """`secure`: our own address is https, and the cookie travels on no other. `rooms`: what else is answered here."""
    cookie_attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    async def sign_in(request: Request) -> HttpResponse | None:
        scope, receive = request.scope, request.receive
        body = await request.body()
        try:
            asked = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        if not is_device(asked.device):
            return refusal(400, "bad-request", "`device` must be `d-` and 22 base64url characters.")
        client = scope.get("client")
        attempt = Attempt(
            login=asked.login,
            password=asked.password,
            device=asked.device,
            address=client[0] if client else "",
            client=client_kind(header(scope, b"user-agent")),
            admission=asked.admission,
            proof=asked.proof,
            device_name=device_name(header(scope, b"user-agent")),
        )
        answer = await _while_connected(
            receive,
            lambda: service.sign_in(attempt),
            in_vain=lambda answer: service.left_before_answer(attempt, answer),
        )
        if answer is None:
            return None
        if isinstance(answer, Refused):
            status, message = _ANSWERS[answer.reason]
            return refusal(status, answer.reason, message, retry_after_s=answer.retry_after_s)
        headers = (JSON, *_set_cookie(answer.session, answer.session_lifetime_s))
        return HttpResponse(200, headers=headers, body=_encoder.encode(_document(answer)))

    async def session(request: Request) -> HttpResponse:
        value = cookie(request.scope, COOKIE)
        found = await service.session(value) if value else None
        if found is None:
            return refusal(401, "no-session", "Nobody is signed in here.")
        return HttpResponse(
            200,
            {
                "name": found.name,
                "device": found.device,
                "signed_in_at": found.started_at,
                "expires_at": found.expires_at,
            },
        )

    async def sign_out(request: Request) -> HttpResponse:
        if value := cookie(request.scope, COOKIE):
            await service.sign_out(value)
        return HttpResponse(204, None, _set_cookie("", 0))

    async def capacity(request: Request) -> HttpResponse:
        return HttpResponse(200, service.capacity())

    def _set_cookie(value: str, lifetime_s: float) -> Headers:
        return ((b"set-cookie", f"{COOKIE}={value}; Max-Age={lifetime_s:.0f}{cookie_attributes}".encode()),)

    routes = (
        Route("POST", "/sign-in", sign_in, body_bytes_max=BODY_BYTES_MAX, origin=viewer_origin),
        Route("GET", "/session", when_stored(session)),
        Route("POST", "/sign-out", when_stored(sign_out), origin=viewer_origin),
        Route("GET", "/capacity", capacity, key=command_key),
        *rooms,
    )
    return edge(routes, cors=cross_origin(viewer_origin, credentials=True))


async def _while_connected(
    receive: Receive,
    work: Callable[[], Awaitable[SignedIn | Refused]],
    in_vain: Callable[[SignedIn | Refused], None],
) -> SignedIn | Refused | None:
    """The result of `work`, which is cancelled when the client leaves; then None. `in_vain` is told one too late.

    It runs in the task of the request: another one for it would cost as much as the reads that it does.
    """
    request = asyncio.current_task()
    assert request is not None
    left = stopped = done = False

    async def watch() -> None:
        nonlocal left, stopped
        await until_disconnect(receive)
        left = True
        if not done:
            stopped = True
            request.cancel()

    watching = asyncio.ensure_future(watch())
    try:
        answer = await work()
        done = True
        await asyncio.sleep(0)  # that they left in this very moment has not been heard by the watch
    except asyncio.CancelledError:
        if stopped and request.uncancel() == 0:
            return None
        raise  # the role ends
    finally:
        watching.cancel()
    if stopped:
        request.uncancel()
    if left:
        in_vain(answer)
    return answer


def _document(signed_in: SignedIn) -> dict[str, object]:
    return {
        "name": signed_in.name,
        "device_token": signed_in.device_token,
        "playback_token": signed_in.playback_token,
        "expires_at": signed_in.expires_at,
        "renew_after": signed_in.renew_after,
        "renew_by": signed_in.renew_by,
    }
