"""The message API by account (POST /messages, GET /messages/ID), and the commands about routes and canaries."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec

from prikkfri.config import Account
from prikkfri.errors import FencedOut, StorageError
from prikkfri.protocols import openapi
from prikkfri.protocols.asgi import (
    JSON,
    NO_STORE,
    PLAIN,
    Application,
    Handler,
    HttpResponse,
    Receive,
    Request,
    Route,
    Send,
    edge,
    header,
    refusal,
)
from prikkfri.protocols.smpp.pdu import Status
from prikkfri.sms.addresses import mask_address
from prikkfri.sms.authentication import Rejection
from prikkfri.sms.canaries.service import Canaries, PhoneReport
from prikkfri.sms.load import Capacity
from prikkfri.sms.quarantine.service import Quarantine
from prikkfri.sms.reports.service import Reports
from prikkfri.sms.restored import Decision
from prikkfri.sms.restores.service import Restores
from prikkfri.sms.routing import ExposedMessage, Party
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.submission import TEXT_LETTERS_MAX, Doubt, Refusal
from prikkfri.sms.trail import Trail

BODY_OCTETS_MAX = 65_536
FORM_OCTETS_MAX = 1_000
FIELDS_MAX = 5
MESSAGES_MAX = 200
"""So many trails are told or erased at once."""
NAMES = {"too-large": "too-long"}
_RETRY_SECONDS = 1.0
_MESSAGES = {
    "bad-recipient": "`to` is neither a number (with its country code, or of this country) nor a short code",
    "bad-sender": "`from` is not a number, a short code or one to eleven letters that this account may send from",
    "no-route": "no network takes messages to this number",
    "text-length": "`text` must have 1 to 4000 letters",
    "not-text": "`text` holds half a surrogate pair",
    "too-long": "`text` does not fit in 255 parts",
}


_UNREADABLE = ("bad-recipient", "bad-sender")
_SENDER = "A number, a short code, or one to eleven letters that the account may send from."
_RECIPIENT = "A number with its country code (or one of the installation's own country), or a short code."
_PARTY = {"minLength": 1, "maxLength": 250}  # what is longer, nobody reads as a number
_TEXT = {"minLength": 1, "maxLength": TEXT_LETTERS_MAX}
_Sender = Annotated[str, msgspec.Meta(description=_SENDER, examples=["Prikkfri"], extra_json_schema=_PARTY)]
_Recipient = Annotated[str, msgspec.Meta(description=_RECIPIENT, examples=["+4790100000"], extra_json_schema=_PARTY)]


class Submission(msgspec.Struct, forbid_unknown_fields=True):
    """A text to one phone."""

    sender: _Sender = msgspec.field(name="from")
    recipient: _Recipient = msgspec.field(name="to")
    text: Annotated[str, msgspec.Meta(examples=["Middag kl. 18"], extra_json_schema=_TEXT)]


@dataclass(frozen=True, slots=True)
class SubmissionResponse:
    """A message that is ours to deliver."""

    id: str


_AUTHENTICATED = ((401, ("wrong-credentials",)), (429, ("too-many-tries",)))
OPERATIONS = (
    openapi.Operation(
        "POST",
        "/messages",
        "submitMessage",
        "Hand in a text: it is sealed and on disk when this is answered",
        openapi.Reply(202, "Taken on", SubmissionResponse, {"Location": "Where its trail is."}),
        (
            *_AUTHENTICATED,
            (400, _UNREADABLE),
            (422, [slug for slug in _MESSAGES if slug not in _UNREADABLE]),
            (500, ("in-doubt",)),
            (503, ("queue-full", "storage", "throttled")),
        ),
        body=Submission,
        scheme="account",
        facts={"in-doubt": {"id": {"type": "string", "description": "What it has for an id, if it was taken on."}}},
    ),
    openapi.Operation(
        "GET",
        "/messages/{id}",
        "followMessage",
        "What happened to a message of this account, and when: never its body, numbers masked",
        openapi.Reply(200, "Its trail", Trail),
        (*_AUTHENTICATED, (404, ("unknown-message",)), (503, ("storage",))),
        parts={"id": "As it was answered when the message was handed in."},
        scheme="account",
    ),
)


def described(url: str) -> dict[str, Any]:
    """The OpenAPI document of the message API, which is served at `url`."""
    return openapi.document("Prikkfri: text messages", OPERATIONS, url=url, names=NAMES)


_Text = Annotated[str, msgspec.Meta(max_length=64, pattern=PLAIN)]


class _Phone(msgspec.Struct, forbid_unknown_fields=True):
    phone: _Text
    tokens: Annotated[list[_Text], msgspec.Meta(max_length=1_000)]


class _Received(msgspec.Struct, forbid_unknown_fields=True):
    phones: Annotated[list[_Phone], msgspec.Meta(max_length=1_000)]


class _Say(msgspec.Struct, forbid_unknown_fields=True):
    action: Literal["release", "discard"]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]
    """The name of the person who says so."""


class _Messages(msgspec.Struct, forbid_unknown_fields=True):
    messages: Annotated[list[_Text], msgspec.Meta(max_length=MESSAGES_MAX)]


class _Erase(_Messages):
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]


class _SayOfLink(msgspec.Struct, forbid_unknown_fields=True):
    link: _Text
    action: Literal["discard"]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]


class _SayOfRestored(msgspec.Struct, forbid_unknown_fields=True):
    action: Decision
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]


class _Switch(msgspec.Struct, forbid_unknown_fields=True):
    state: Literal["open", "stopped"]
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]
    """The name of the person who says so."""


class _Complaint(msgspec.Struct, forbid_unknown_fields=True):
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]
    """The name of the person to whom the partner has complained."""


def _later(error: str, message: str) -> HttpResponse:
    return refusal(503, error, message, retry_after_s=_RETRY_SECONDS)


_NOT_STORED = _later("storage", "messages cannot be stored just now")


def _account(centre: SmsCentre, request: Request) -> Account | Rejection:
    scheme, _, credentials = header(request.scope, b"authorization").partition(" ")
    if scheme.lower() != "basic":
        return Rejection()
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return Rejection()
    return centre.authenticate(name, secret, address=(request.scope.get("client") or ("",))[0])


_UNAUTHORIZED = HttpResponse(
    401,
    {"error": "wrong-credentials", "message": "name and secret of an account are needed"},
    ((b"www-authenticate", b'Basic realm="messages"'),),
)


def _unauthorized(rejected: Rejection) -> HttpResponse:
    if rejected.retry_after_s is None:
        return _UNAUTHORIZED
    message = "too much went wrong with this account or from this network; wait a little"
    return refusal(429, "too-many-tries", message, retry_after_s=rejected.retry_after_s)


def application(centre: SmsCentre, commands: Sequence[Route] = (), *, public_url: str = "") -> Application:
    """`commands`: see there; without them no other role can ask anything. `public_url`: where integrators find it."""

    async def submit(request: Request) -> HttpResponse:
        account = _account(centre, request)
        if isinstance(account, Rejection):
            return _unauthorized(account)
        body = await request.body()
        try:
            wanted = msgspec.json.decode(body, type=Submission)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return refusal(400, "bad-request", f"not the JSON that is wanted: {error}")
        try:
            taken = await centre.submit(account, wanted.sender, wanted.recipient, wanted.text)
        except StorageError:
            return _NOT_STORED
        except FencedOut as error:  # nothing was kept, which is told; whatever is answered next would be a guess
            return replace(_NOT_STORED, then=error)
        if isinstance(taken, Doubt):
            message = "the message may or may not have been taken on: GET /messages/ID tells, with this `id`"
            return refusal(500, "in-doubt", message, id=taken.message)
        if isinstance(taken, Refusal):
            if taken.status is Status.THROTTLED:
                return _later("throttled", "this account sends faster than it may")
            if taken.status is Status.QUEUE_FULL:
                return _later("queue-full", "too many messages wait for this network already")
            status = 400 if taken.reason in _UNREADABLE else 422
            return refusal(status, taken.reason, _MESSAGES.get(taken.reason, taken.reason))
        return HttpResponse(202, asdict(SubmissionResponse(taken)), ((b"location", f"/messages/{taken}".encode()),))

    async def show(request: Request) -> HttpResponse:
        account = _account(centre, request)
        if isinstance(account, Rejection):
            return _unauthorized(account)
        try:
            trail = await centre.trail(request.parts["id"])
        except StorageError:
            return _later("storage", "messages cannot be looked up just now")
        if trail is None or trail.account != account.system_id:
            return refusal(404, "unknown-message", "this account has sent no message of that id")
        return HttpResponse(200, asdict(trail))

    routes = (
        Route("POST", "/messages", submit, body_bytes_max=BODY_OCTETS_MAX),
        Route("GET", "/messages/{id}", show),
        openapi.route(described(public_url)),
        *commands,
    )
    return edge(routes, names=NAMES)


def _careful(handler: Handler) -> Handler:
    async def answer(request: Request) -> HttpResponse | None:
        try:
            return await handler(request)
        except StorageError:
            return _later("storage", "the database does not answer just now")
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            return refusal(400, "bad-request", f"not what is wanted: {error}")

    return answer


def commands(canaries: Canaries, *, command_key: str, canary_key: str) -> list[Route]:
    """What other roles may ask with `command_key`, and canary phones, which stand outside, may tell with theirs."""

    async def received(request: Request) -> HttpResponse:
        phones = msgspec.json.decode(await request.body(), type=_Received).phones
        return HttpResponse(
            200, {"known": await canaries.take_reports([PhoneReport(each.phone, each.tokens) for each in phones])}
        )

    async def routes(request: Request) -> HttpResponse:
        return HttpResponse(200, [asdict(way) for way in await canaries.route_statuses()])

    async def switch(request: Request) -> HttpResponse:
        wanted = msgspec.json.decode(await request.body(), type=_Switch)
        if not await canaries.switch(request.parts["link"], wanted.state, who=wanted.by):
            return refusal(404, "unknown-link", "there is no link of that name")
        return await routes(request)

    async def complain(request: Request) -> HttpResponse:
        wanted = msgspec.json.decode(await request.body(), type=_Complaint)
        if not await canaries.complain(request.parts["link"], who=wanted.by):
            return refusal(404, "unknown-link", "there is no link of that name")
        return await routes(request)

    async def exposed(request: Request) -> HttpResponse:
        asked = dict(parse_qsl(request.query.decode("latin-1")))
        since, until = float(asked.get("since", "nan")), float(asked.get("until", "nan"))
        if not since <= until:
            return refusal(400, "bad-request", "since and until are seconds since 1970 UTC")
        pages = canaries.exposed(request.parts["link"], since=since, until=until)
        if pages is None:
            return refusal(404, "unknown-link", "there is no link of that name")
        first: list[ExposedMessage] = await anext(pages, [])  # before anything is answered: the database may not answer

        async def listed(_: Receive, send: Send) -> None:
            """One list, page by page: nobody knows how long it is, and others are answered meanwhile."""
            page, before = first, b"["
            while page:
                part = msgspec.json.encode([_shown(each) for each in page])
                await send({"type": "http.response.body", "body": before + part[1:-1], "more_body": True})
                page, before = await anext(pages, []), b","
            await send({"type": "http.response.body", "body": b"]" if first else b"[]"})

        return HttpResponse(200, headers=(JSON, NO_STORE), stream=listed)

    most = BODY_OCTETS_MAX
    return [
        Route("POST", "/canaries/received", _careful(received), body_bytes_max=most, key=canary_key),
        Route("GET", "/routes", _careful(routes), key=command_key),
        Route("POST", "/routes/{link}", _careful(switch), body_bytes_max=most, key=command_key),
        Route("POST", "/routes/{link}/complaints", _careful(complain), body_bytes_max=most, key=command_key),
        Route("GET", "/routes/{link}/exposed", _careful(exposed), key=command_key),
    ]


def quarantine_commands(quarantine: Quarantine, *, command_key: str) -> list[Route]:
    """What is held for a person, and what a person does with it; never a body, numbers masked."""

    async def entries(request: Request) -> HttpResponse:
        link = dict(parse_qsl(request.query.decode("latin-1"))).get("link", "")
        return HttpResponse(200, [asdict(entry) for entry in await quarantine.entries(link)])

    async def show(request: Request) -> HttpResponse:
        found = await quarantine.examined(request.parts["id"])
        return _NOT_HELD if found is None else HttpResponse(200, asdict(found))

    async def say(request: Request) -> HttpResponse:
        wanted = msgspec.json.decode(await request.body(), type=_Say)
        act = quarantine.release if wanted.action == "release" else quarantine.discard
        done = await act(request.parts["id"], by=wanted.by)
        if done is None:
            return _NOT_HELD
        return refusal(409, "not-released", done.hindrance) if done.hindrance else HttpResponse(200, asdict(done))

    async def say_of_link(request: Request) -> HttpResponse:
        wanted = msgspec.json.decode(await request.body(), type=_SayOfLink)
        return HttpResponse(200, {"discarded": await quarantine.discard_receipts(wanted.link, by=wanted.by)})

    most = BODY_OCTETS_MAX
    return [
        Route("GET", "/quarantine", _careful(entries), key=command_key),
        Route("POST", "/quarantine", _careful(say_of_link), body_bytes_max=most, key=command_key),
        Route("GET", "/quarantine/{id}", _careful(show), key=command_key),
        Route("POST", "/quarantine/{id}", _careful(say), body_bytes_max=most, key=command_key),
    ]


def report_commands(reports: Reports, canaries: Canaries, *, command_key: str) -> list[Route]:
    """How the partners speak, what waits for whom, and how small a share of misdelivered messages would be noticed."""

    async def links(request: Request) -> HttpResponse:
        found = asdict(reports.report())
        looked_at = {each.link: each for each in canaries.coverage()}
        links = [{**each, **asdict(looked_at[each["link"]])} for each in found["links"]]
        return HttpResponse(200, {**found, "links": links})

    return [Route("GET", "/links", links, key=command_key)]


def load_commands(capacity: Callable[[], Capacity], *, command_key: str) -> list[Route]:
    """How busy the centre is, and how many messages a second it could take on."""

    async def show(request: Request) -> HttpResponse:
        return HttpResponse(200, asdict(capacity()))

    return [Route("GET", "/capacity", show, key=command_key)]


def wrong_number_routes(canaries: Canaries, page: Callable[[Request, str, str], HttpResponse]) -> list[Route]:
    """Where anybody says that they got a message which was not for them; who says too much is answered alike.

    `page(request, language, said)`: `said` is empty, `done`, or `bad`, a number that is none of ours.
    """

    async def show(request: Request) -> HttpResponse:
        return page(request, "", "")

    async def take(request: Request) -> HttpResponse:
        fields = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), max_num_fields=FIELDS_MAX))
        address = (request.scope.get("client") or ("",))[0]
        known = canaries.say_wrong_number(fields.get("number", "").strip(), address=address)
        return page(request, fields.get("lang", ""), "done" if known else "bad")

    most = FORM_OCTETS_MAX
    return [
        Route("GET", "/wrong-number", show),
        Route("POST", "/wrong-number", _careful(take), body_bytes_max=most),
    ]


def trail_commands(centre: SmsCentre, *, command_key: str) -> list[Route]:
    """What happened to messages, for whoever answers for a customer; never a body, numbers masked."""

    async def trails(request: Request) -> HttpResponse:
        wanted = msgspec.json.decode(await request.body(), type=_Messages)
        return HttpResponse(200, {"trails": [asdict(trail) for trail in await centre.trails(wanted.messages)]})

    async def erase(request: Request) -> HttpResponse:
        wanted = msgspec.json.decode(await request.body(), type=_Erase)
        return HttpResponse(200, {"erased": await centre.erase_trails(wanted.messages)})

    most = BODY_OCTETS_MAX
    return [
        Route("POST", "/trails", _careful(trails), body_bytes_max=most, key=command_key),
        Route("POST", "/trails/erase", _careful(erase), body_bytes_max=most, key=command_key),
    ]


def restore_commands(restores: Restores, *, command_key: str) -> list[Route]:
    """The last restored snapshot that was noticed, and what a person says of what waited in it."""

    async def show(request: Request) -> HttpResponse:
        found = await restores.newest()
        if found is None:
            return HttpResponse(200, {"holds": False, "restore": None})
        shown = {**found._asdict(), "seconds_missing": found.seconds_missing}
        return HttpResponse(200, {"holds": found.holds, "restore": shown})

    async def say(request: Request) -> HttpResponse:
        wanted = msgspec.json.decode(await request.body(), type=_SayOfRestored)
        if not await restores.decide(wanted.action, by=wanted.by):
            return refusal(409, "not-held", "nothing is held for a restored snapshot, or it is decided already")
        return await show(request)

    return [
        Route("GET", "/restored", _careful(show), key=command_key),
        Route("POST", "/restored", _careful(say), body_bytes_max=BODY_OCTETS_MAX, key=command_key),
    ]


_NOT_HELD = refusal(404, "not-held", "there is nothing of that id in quarantine")


def _shown(message: ExposedMessage) -> dict[str, object]:
    origin = Party.parse(message.origin)
    return {
        "message": message.message,
        "sent_at": message.sent_at,
        "from": mask_address(message.sender),
        "to": mask_address(message.recipient),
        "class": message.message_class,
        "account": origin.name if origin.kind == "account" else "",
        "state": message.state,
    }
