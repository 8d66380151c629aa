"""The network's SMSC, its page and its small JSON API, as one process: `python -m prikkfri.simulation.handsets`."""

import asyncio
import contextlib
import hmac
import json
import logging
import os
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import resources

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from prikkfri.app.serving import serve
from prikkfri.clock import Clock, SystemClock
from prikkfri.errors import LocalProtocolError
from prikkfri.protocols.smpp.pdu import (
    NOTHING,
    Bind,
    BindResponse,
    Command,
    MessageResponse,
    ShortMessage,
    Status,
    encode_body,
)
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, receipt_message
from prikkfri.protocols.smpp.session import Limits, PeerResponse, Request, ResponseTimeout, SessionEnd, Side
from prikkfri.simulation.handsets.network import Entry, Phone, Phones
from prikkfri.sms.server import Connection

log = logging.getLogger("prikkfri.handsets")

SYSTEM_ID = "handsets"
WINDOW = 100
OUTGOING_MAX = 100_000
WATCHERS_MAX = 100
WATCHER_EVENTS_MAX = 1_000
BODY_OCTETS_MAX = 65_536
AGAIN_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 15.0
_FILES = {
    "/": ("page/index.html", "text/html; charset=utf-8"),
    "/page.css": ("page/page.css", "text/css; charset=utf-8"),
    "/page.mjs": ("page/page.mjs", "text/javascript; charset=utf-8"),
}
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


@dataclass
class OutgoingPdu:
    """A deliver_sm towards the centre: a receipt, or a part of what somebody typed."""

    body: bytes
    phone: Phone | None = None
    entry: Entry | None = None


class HandsetNetwork:
    def __init__(self, phones: Phones, *, password: str, clock: Clock, name: str = "") -> None:
        self.phones = phones
        self.name = name
        self._password = password
        self.clock = clock
        self._outgoing: deque[OutgoingPdu] = deque()
        self._bound: list[Connection] = []
        self._watchers: set[asyncio.Queue[str]] = set()
        self.answers: Counter[int] = Counter()
        """What the centre said to what it was told, by status."""
        self._prefix = os.urandom(4).hex()
        self._count = 0

    @property
    def linked(self) -> bool:
        return bool(self._bound)

    # the link

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serves the link until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:

            def opened(connection: Connection) -> None:
                tasks.create_task(self._serve(connection))

            listening = [await loop.create_server(lambda: self.line(opened), sock=each) for each in sockets]
            try:
                while True:
                    await asyncio.sleep(AGAIN_SECONDS)
                    for connection in list(self._bound):
                        connection.tick()
                    self.push()
            finally:
                for server in listening:
                    server.close()
                for connection in list(self._bound):
                    connection.close("the network stops")

    def line(self, opened: Callable[[Connection], None]) -> Connection:
        """What a link that connects speaks to."""
        return Connection(Side.CENTRE, Limits(window=WINDOW), self.clock, opened)

    def room_for(self, bound: int) -> bool:
        """Whether one more may bind beside those that are bound."""
        return True

    async def _serve(self, connection: Connection) -> None:
        try:
            [first] = await connection.take(1)
            if not isinstance(first, Request) or not isinstance(first.body, Bind):
                return
            if not hmac.compare_digest(first.body.password.encode(), self._password.encode()):
                connection.session.answer(first, Status.INVALID_PASSWORD)
                return
            if not self.room_for(len(self._bound)):
                connection.session.answer(first, Status.BIND_FAILED)
                return
            connection.session.answer(first, Status.OK, BindResponse(SYSTEM_ID))
            connection.flush()
            self._bound.append(connection)
            self._tell("link", {"linked": True})
            self.push()
            while True:
                for event in await connection.take(500):
                    if isinstance(event, SessionEnd):
                        for context in event.in_doubt:
                            self._again(context)
                        return
                    self._handle(connection, event)
                connection.flush()
                self.push()
        except Exception:
            log.exception("a connection is given up")
        finally:
            if connection in self._bound:
                self._bound.remove(connection)
                self._tell("link", {"linked": self.linked})
            connection.close("closed")

    def _handle(self, connection: Connection, event: object) -> None:
        match event:
            case Request(command=Command.SUBMIT_SM, body=ShortMessage() as message):
                self.take(connection, event, message)
            case Request(command=Command.UNBIND):
                connection.session.answer(event, Status.OK)
                connection.close("the peer unbound")
            case Request():
                connection.session.answer(event, Status.INVALID_COMMAND_ID, NOTHING)
            case PeerResponse(context=OutgoingPdu() as outgoing, status=status, body=body):
                self.answers[status] += 1
                if status in (Status.TEMPORARY_APPLICATION_ERROR, Status.QUEUE_FULL, Status.SYSTEM_ERROR):
                    self._again(outgoing)
                elif outgoing.phone is not None and outgoing.entry is not None:
                    taken = status == Status.OK and outgoing.entry.state != "failed"
                    outgoing.entry.state = "sent" if taken else "failed"
                    if isinstance(body, MessageResponse):
                        outgoing.entry.centre_id = outgoing.entry.centre_id or body.message_id
                    self.show(outgoing.phone, outgoing.entry)
            case ResponseTimeout(context=context):
                self._again(context)

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        """Takes a message on: its answer, what becomes of it, and its receipt."""
        identity, now = self.identity(), self.clock.now()
        connection.session.answer(request, Status.OK, MessageResponse(identity))
        state, phone, entry = self.hand_over(message, identity, now)
        if message.registered_delivery & 1 and state is not None:
            receipt = receipt_message(Receipt(identity, state), message, submitted=now, done=now)
            self.enqueue(OutgoingPdu(encode_body(receipt)))
        if phone is not None and entry is not None:
            self.show(phone, entry)

    def _again(self, context: object) -> None:
        if isinstance(context, OutgoingPdu):
            self.enqueue(context)

    def enqueue(self, outgoing: OutgoingPdu) -> None:
        if len(self._outgoing) >= OUTGOING_MAX:
            log.error("more than %d messages wait for the link: one is dropped", OUTGOING_MAX)
            return
        self._outgoing.append(outgoing)

    def push(self) -> None:
        """Writes what waits to whichever bound connection has room."""
        now = self.clock.monotonic()
        for connection in self._bound:
            if not connection.session.may_ask(Command.DELIVER_SM):
                continue
            for _ in range(min(connection.session.window_room, len(self._outgoing))):
                outgoing = self._outgoing.popleft()
                connection.session.ask(Command.DELIVER_SM, outgoing.body, outgoing, now)
            connection.flush()

    def identity(self) -> str:
        """A new one: sixteen digits to base sixteen."""
        self._count += 1
        return f"{self._prefix}{self._count:08x}"

    def hand_over(
        self, message: ShortMessage, identity: str, now: float
    ) -> tuple[MessageState | None, Phone | None, Entry | None]:
        """Hands a message to its phone: what its receipt tells (None: there is none), and what shows where."""
        return self.phones.receive(message, identity, now)

    # the people

    def type_message(self, phone: Phone, recipient: str, text: str) -> Entry:
        """Raises LocalProtocolError or UnicodeEncodeError when the text cannot be sent."""
        entry, messages = self.phones.send(phone, recipient, text, self.identity(), self.clock.now())
        try:
            bodies = [encode_body(message) for message in messages]
        except LocalProtocolError:
            phone.entries.remove(entry)
            raise
        for body in bodies:
            self.enqueue(OutgoingPdu(body, phone, entry))
        self.show(phone, entry)
        self.push()
        return entry

    def show(self, phone: Phone, entry: Entry) -> None:
        if phone.name:
            self._tell("entry", {"msisdn": phone.msisdn, **asdict(entry)})

    def _tell(self, kind: str, data: dict[str, object]) -> None:
        line = f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
        for watcher in self._watchers:
            with contextlib.suppress(asyncio.QueueFull):  # a page that does not read loads the phones again anyway
                watcher.put_nowait(line)

    async def watch(self) -> AsyncIterator[str]:
        """Server-sent events: `entry` for each change on a screen, `link` when the link comes or goes."""
        queue: asyncio.Queue[str] = asyncio.Queue(WATCHER_EVENTS_MAX)
        self._watchers.add(queue)
        try:
            yield f"event: link\ndata: {json.dumps({'linked': self.linked})}\n\n"
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        line = await queue.get()
                except TimeoutError:
                    line = ": still here\n\n"
                yield line
        finally:
            self._watchers.discard(queue)

    @property
    def watchers(self) -> int:
        return len(self._watchers)


def application(network: HandsetNetwork) -> ASGIApp:
    """The page, and the API by which tests and integrators look at phones and send from them."""

    def found(request: HttpRequest) -> Phone | None:
        return network.phones.by_number.get(request.path_params["msisdn"].lstrip("+"))

    def unknown() -> Response:
        return JSONResponse({"error": "unknown-phone", "message": "there is no such phone here"}, 404)

    async def phones(request: HttpRequest) -> Response:
        shown = [
            {"msisdn": phone.msisdn, "name": phone.name, "entries": [asdict(entry) for entry in phone.entries][-50:]}
            for phone in network.phones.by_number.values()
            if phone.name
        ]
        return JSONResponse({"network": network.name, "linked": network.linked, "phones": shown})

    async def inbox(request: HttpRequest) -> Response:
        phone = found(request)
        if phone is None:
            return unknown()
        received = [
            {"id": entry.id, "from": entry.other, "text": entry.text, "received_at": entry.time, "parts": entry.parts}
            for entry in phone.entries
            if entry.direction == "in"
        ]
        return JSONResponse(received)

    async def send(request: HttpRequest) -> Response:
        phone = found(request)
        if phone is None:
            return unknown()
        # A form of another site cannot send this content type without asking first.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "bad-request", "message": "send application/json"}, 415)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_OCTETS_MAX:
                return JSONResponse({"error": "too-long", "message": "a message is shorter than that"}, 413)
        try:
            wanted = json.loads(body)
            recipient, text = str(wanted["to"]), str(wanted["text"])
            if not recipient or not text:
                raise ValueError
            entry = network.type_message(phone, recipient, text)
        except LocalProtocolError as error:
            return JSONResponse({"error": "not-sent", "message": str(error)}, 422)
        except (ValueError, KeyError, TypeError):
            message = 'a message is {"to": number, "text": text}'
            return JSONResponse({"error": "bad-request", "message": message}, 400)
        return JSONResponse({"id": entry.id}, 202)

    async def events(request: HttpRequest) -> Response:
        if network.watchers >= WATCHERS_MAX:
            return JSONResponse({"error": "overloaded", "message": "too many pages are open"}, 503)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(network.watch(), media_type="text/event-stream", headers=headers)

    here = resources.files(__package__)
    files = {path: ((here / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}
    tokens = resources.files("prikkfri.web") / "tokens.css"
    files["/tokens.css"] = (tokens.read_bytes() if tokens.is_file() else b"", "text/css; charset=utf-8")

    async def file(request: HttpRequest) -> Response:
        body, kind = files[request.url.path]
        return Response(body, headers={"Content-Type": kind, **_SECURITY})

    return Starlette(
        routes=[
            *(Route(path, file) for path in files),
            Route("/phones", phones),
            Route("/phones/{msisdn}/inbox", inbox),
            Route("/phones/{msisdn}/send", send, methods=["POST"]),
            Route("/events", events),
        ]
    )


async def run(
    phones: Iterable[tuple[str, str]],
    *,
    smpp_sockets: Sequence[socket.socket],
    http_sockets: list[socket.socket],
    password: str,
    name: str = "",
) -> None:
    """Serves until cancelled. `phones`: number and name of each; the sockets listen already."""
    network = HandsetNetwork(Phones(phones), password=password, clock=SystemClock(), name=name)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(network.run(smpp_sockets))
        tasks.create_task(serve(application(network), http_sockets))
