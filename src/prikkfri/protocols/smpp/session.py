"""One SMPP session, either side, without I/O: bytes in give events; commands and the passing of time give bytes.

Theory of operation. The shell hands `receive` what came from the socket, calls `tick` now and then, and after either,
or after any command, writes out what `outgoing` returns. What the book settles by itself (enquire_link, a PDU that is
unknown, malformed or out of place) the session answers itself; every `Request` event is for the application, which
answers it with `answer`: an unbind too, since what came before it is to be answered first. Requests of ours wait in
the window, each with the context that its caller gave and gets back in `PeerResponse`, `ResponseTimeout` or
`UnreadableResponse`. Of requests the book's letter is asked, since what is read beside it could be a neighbour's; of
answers only what we need. `SessionEnd` comes once, and last; what is then still in the window is in doubt.

             bind ok                      unbind, silence, or broken framing
    OPEN ------------> TRANSMITTER    -----------------------------------------> ENDED
                       RECEIVER
                       TRANSCEIVER
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import Enum, auto

import msgspec

from prikkfri.errors import LocalProtocolError
from prikkfri.protocols.smpp.pdu import (
    BINDS,
    HEADER,
    NOTHING,
    RESPONSE,
    Bind,
    BindResponse,
    Body,
    Command,
    MalformedPdu,
    Status,
    decode_body,
    encode_body,
    read_response,
)

LOST = "connection lost"
OUT_OF_BOUNDS = "command_length out of bounds"
"""Ends that the peer has brought about, perhaps by what it was sent."""


class Side(Enum):
    ESME = auto()
    """The side that binds: an account at our server, or ourselves at a partner's."""
    CENTRE = auto()


class SessionState(Enum):
    OPEN = auto()
    TRANSMITTER = auto()
    RECEIVER = auto()
    TRANSCEIVER = auto()
    ENDED = auto()


_BOUND_BY = {
    Command.BIND_TRANSMITTER: SessionState.TRANSMITTER,
    Command.BIND_RECEIVER: SessionState.RECEIVER,
    Command.BIND_TRANSCEIVER: SessionState.TRANSCEIVER,
}
_PARAMETERS_SINCE = 0x34
# Looked up once: for a member of an enum Python 3.11 asks two methods each time.
_ENDED, _OK = SessionState.ENDED, int(Status.OK)
_ENQUIRE_LINK, _UNBIND, _GENERIC_NACK = Command.ENQUIRE_LINK, Command.UNBIND, Command.GENERIC_NACK
_ALWAYS = frozenset({Command.ENQUIRE_LINK, Command.UNBIND})
# What each side may ask in each state (2.2, table 2-1). In OPEN the book allows enquire_link to both.
_MAY_ASK: dict[tuple[Side, SessionState], frozenset[Command]] = {
    (Side.ESME, SessionState.OPEN): BINDS | {Command.ENQUIRE_LINK},
    (Side.ESME, SessionState.TRANSMITTER): _ALWAYS | {Command.SUBMIT_SM},
    (Side.ESME, SessionState.RECEIVER): _ALWAYS,
    (Side.ESME, SessionState.TRANSCEIVER): _ALWAYS | {Command.SUBMIT_SM},
    (Side.ESME, SessionState.ENDED): frozenset(),
    (Side.CENTRE, SessionState.OPEN): frozenset({Command.ENQUIRE_LINK}),
    (Side.CENTRE, SessionState.TRANSMITTER): _ALWAYS,
    (Side.CENTRE, SessionState.RECEIVER): _ALWAYS | {Command.DELIVER_SM, Command.DATA_SM},
    (Side.CENTRE, SessionState.TRANSCEIVER): _ALWAYS | {Command.DELIVER_SM, Command.DATA_SM},
    (Side.CENTRE, SessionState.ENDED): frozenset(),
}
_REQUESTS = BINDS | _ALWAYS | {Command.SUBMIT_SM, Command.DELIVER_SM}
"""What is refused by its own status where it is out of place; of `data_sm` we speak only what partners tell by it."""
_MESSAGES = (Command.SUBMIT_SM, Command.DELIVER_SM, Command.DATA_SM)
_ANSWERS = frozenset(command | RESPONSE for command in (*_REQUESTS, Command.DATA_SM)) | {Command.GENERIC_NACK}


class Limits(msgspec.Struct, frozen=True):
    pdu_octets_max: int = 70_000
    window: int = 10
    """Our requests that may wait for their answers at once."""
    late_answers_max: int = 1_000
    bind_seconds_max: float = 10.0
    answer_seconds_max: float = 60.0
    """After which a request of ours counts as unanswered (a late answer is still handed on)."""
    enquire_seconds: float = 30.0
    """Silence after which we ask whether the peer is there."""
    sequence_max: int = 0x7FFFFFFF
    """After which sequence numbers begin at 1 again (3.2), those left out that wait for their answers."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """The peer asks (a bind, submit_sm, deliver_sm, data_sm or unbind); the application owes it an `answer`."""

    command: int
    sequence: int
    body: Body


class PeerResponse(msgspec.Struct, frozen=True, gc=False):
    """The answer to a request of ours. A generic_nack is one too, with an empty body."""

    context: object
    status: int
    body: Body
    late: bool = False
    """The request had counted as unanswered by then."""
    asked_at: float = 0.0
    """When the request was sent."""


class ResponseTimeout(msgspec.Struct, frozen=True, gc=False):
    """No answer in time; it may still come."""

    context: object


class UnreadableResponse(msgspec.Struct, frozen=True, gc=False):
    """An answer came, and it cannot be read what the peer took the request on as: this one is in doubt, no other."""

    context: object


class SessionEnd(msgspec.Struct, frozen=True):
    reason: str
    in_doubt: tuple[object, ...]
    """The contexts of requests that no answer came to, oldest first; unanswered ones were told of before."""


Event = Request | PeerResponse | ResponseTimeout | UnreadableResponse | SessionEnd


class Session:
    def __init__(self, side: Side, limits: Limits, now: float) -> None:
        self.side = side
        self.state = SessionState.OPEN
        self.limits = limits
        self.takes_parameters = True
        """Whether the peer expects optional parameters: one that bound as older than 3.4 does not (3.4.2)."""
        self._may_ask = _MAY_ASK[side, SessionState.OPEN]
        self._asked_by_peer = _MAY_ASK[Side.CENTRE if side is Side.ESME else Side.ESME, SessionState.OPEN]
        self._unread = b""
        self._unwritten: list[bytes] = []
        self._sequence = 0
        self._window: OrderedDict[int, tuple[float, int, object]] = OrderedDict()
        self._late: OrderedDict[int, tuple[float, int, object]] = OrderedDict()
        self._opened_at = self._heard_at = now
        self._enquired_at: float | None = None

    @property
    def window_room(self) -> int:
        """How many more requests may be sent before an answer must come: each bears a number of its own meanwhile."""
        return min(self.limits.window, self.limits.sequence_max) - len(self._window)

    def may_ask(self, command: Command) -> bool:
        return command in self._may_ask

    def outgoing(self) -> bytes:
        """What is to be written to the socket now."""
        if not self._unwritten:
            return b""
        octets = b"".join(self._unwritten)
        self._unwritten.clear()
        return octets

    # commands

    def ask(self, command: Command, body: bytes, context: object, now: float) -> None:
        """Sends a request with an encoded body. Raises LocalProtocolError when state or window forbid it."""
        self.ask_all(command, [body], [context], now)

    def ask_all(
        self,
        command: Command,
        bodies: Sequence[bytes],
        contexts: Sequence[object],
        now: float,
        *,
        check: Callable[[int, bytes, int], str] | None = None,
    ) -> list[str]:
        """Sends requests; returns of each why it is kept back, empty if it is not.

        Raises LocalProtocolError when the state forbids them, or the window has no room for all: none is sent then.
        `check` is given, by the place that each has among them, the octets that are to be written, which are not
        touched again, and the sequence number under which the answer will be taken for its context; what it says keeps
        the request back.
        """
        if command not in self._may_ask:
            raise LocalProtocolError(f"{command.name} may not be sent in state {self.state.name}")
        if len(bodies) > self.window_room:
            raise LocalProtocolError("the window is full")
        sequences = []
        for context in contexts:
            sequences.append(sequence := self._next_sequence())
            self._window[sequence] = (now, command, context)
        pdus = [
            HEADER.pack(HEADER.size + len(body), command, _OK, sequence) + body
            for body, sequence in zip(bodies, sequences, strict=True)
        ]
        if check is None:
            self._unwritten += pdus
            return [""] * len(pdus)
        try:
            found = list(map(check, range(len(pdus)), pdus, sequences))
        except BaseException:
            for sequence in sequences:
                del self._window[sequence]
            raise
        for why, pdu, sequence in zip(found, pdus, sequences, strict=True):
            if why:
                del self._window[sequence]
            else:
                self._unwritten.append(pdu)
        return found

    def bind(self, command: Command, bind: Bind, now: float) -> None:
        self.ask(command, encode_body(bind), bind, now)

    def answer(self, request: Request, status: int, body: Body = NOTHING) -> None:
        """Answers a request; an accepted bind makes the session bound. After `SessionEnd` it is a no-op.

        After the answer to an unbind the connection is the caller's to `end`.
        """
        if self.state is _ENDED:
            return
        if status == _OK and request.command in BINDS:
            self._become(_BOUND_BY[Command(request.command)])
            self.takes_parameters = (
                isinstance(request.body, Bind) and request.body.interface_version >= _PARAMETERS_SINCE
            )
        if type(body) is BindResponse:
            body = NOTHING if status != _OK else body if self.takes_parameters else BindResponse(body.system_id)
        self._put(request.command | RESPONSE, status, request.sequence, encode_body(body))

    def unbind(self, now: float) -> None:
        """Says goodbye; `SessionEnd` follows when the peer has answered. A no-op when not bound."""
        if self.may_ask(Command.UNBIND):
            sequence = self._next_sequence()  # a full window does not keep anyone from leaving
            self._window[sequence] = (now, Command.UNBIND, None)
            self._put(Command.UNBIND, Status.OK, sequence, b"")

    def end(self, reason: str) -> list[Event]:
        """The connection is gone, or to be given up. Empty when the session had ended before."""
        if self.state is _ENDED:
            return []
        self._become(SessionState.ENDED)
        in_doubt = tuple(context for _, command, context in self._window.values() if command in _MESSAGES)
        return [SessionEnd(reason, in_doubt)]

    # time

    def tick(self, now: float) -> list[Event]:
        """What the passing of time brings. To be called every second or so."""
        if self.state is _ENDED:
            return []
        events: list[Event] = []
        while self._window:
            sequence, waiting = next(iter(self._window.items()))
            if now - waiting[0] < self.limits.answer_seconds_max:
                break
            del self._window[sequence]
            if waiting[1] not in _MESSAGES:
                return events + self.end(f"no answer to {Command(waiting[1]).name.lower()}")
            self._late[sequence] = waiting
            if len(self._late) > self.limits.late_answers_max:
                self._late.popitem(last=False)
            events.append(ResponseTimeout(waiting[2]))
        if self.state is SessionState.OPEN:
            if now - self._opened_at >= self.limits.bind_seconds_max:
                return events + self.end("no bind in time")
        elif self._enquired_at is not None:
            if now - self._enquired_at >= self.limits.answer_seconds_max:
                return events + self.end("no answer to enquire_link")
        elif now - self._heard_at >= self.limits.enquire_seconds:
            # Beside the window: a full window is just when it matters to know whether the peer lives.
            self._enquired_at = now
            self._put(Command.ENQUIRE_LINK, Status.OK, self._next_sequence(), b"")
        return events

    # bytes

    def receive(self, octets: bytes, now: float) -> list[Event]:
        """What these bytes bring. Never raises."""
        if self.state is _ENDED:
            return []
        self._heard_at = now
        self._enquired_at = None
        if self._unread:
            octets = self._unread + octets
        events: list[Event] = []
        start, have = 0, len(octets)
        while have - start >= HEADER.size:
            length, command, status, sequence = HEADER.unpack_from(octets, start)
            if not HEADER.size <= length <= self.limits.pdu_octets_max:
                self._put(Command.GENERIC_NACK, Status.INVALID_COMMAND_LENGTH, sequence, b"")
                return events + self.end(OUT_OF_BOUNDS)  # there is no way back into step
            if have - start < length:
                break
            if command in _ANSWERS:
                self._receive_answer(events, command, status, sequence, octets, start, start + length)
            else:
                self._receive_request(events, command, sequence, octets, start, start + length)
            start += length
            if events and type(events[-1]) is SessionEnd:
                return events
        self._unread = octets[start:]
        return events

    def _receive_request(
        self, events: list[Event], command: int, sequence: int, octets: bytes, start: int, end: int
    ) -> None:
        if command not in self._asked_by_peer:
            if command not in _REQUESTS:
                self._put(Command.GENERIC_NACK, Status.INVALID_COMMAND_ID, sequence, b"")
            else:
                again = command in BINDS and self.state is not SessionState.OPEN
                status = Status.ALREADY_BOUND if again else Status.INVALID_BIND_STATUS
                self._put(command | RESPONSE, status, sequence, b"")
            return
        try:
            body = decode_body(command, octets, start + HEADER.size, end)
        except MalformedPdu as error:
            self._put(command | RESPONSE, error.status, sequence, b"")
            return
        if type(body) is Bind:
            self._asked_by_peer -= BINDS  # one bind at a time
        if command == _ENQUIRE_LINK:
            self._put(Command.ENQUIRE_LINK_RESP, Status.OK, sequence, b"")
        else:
            events.append(Request(command, sequence, body))

    def _receive_answer(
        self, events: list[Event], command: int, status: int, sequence: int, octets: bytes, start: int, end: int
    ) -> None:
        waiting_in = self._window if sequence in self._window else self._late
        if sequence not in waiting_in:
            return
        asked_at, asked, context = waiting_in[sequence]
        if command not in (asked | RESPONSE, _GENERIC_NACK):
            return  # the answer to another question settles nothing
        del waiting_in[sequence]
        body = read_response(command, status, octets, start + HEADER.size, end)
        if body is None:
            events.append(UnreadableResponse(context))
            return
        if command == _GENERIC_NACK and status == _OK:
            status = Status.SYSTEM_ERROR
        if asked in BINDS and status == _OK:
            self._become(_BOUND_BY[Command(asked)])
        if asked == _UNBIND:
            events += self.end("unbound")
            return
        events.append(PeerResponse(context, status, body, waiting_in is self._late, asked_at))

    def _next_sequence(self) -> int:
        """One that no request bears which waits for its answer: the answer would settle another.

        Where all are taken, the request whose answer is late longest gives its own: nothing of it is heard any more.
        """
        for _ in range(len(self._window) + len(self._late) + 1):
            self._sequence = self._sequence % self.limits.sequence_max + 1
            if self._sequence not in self._window and self._sequence not in self._late:
                return self._sequence
        if not self._late:
            raise LocalProtocolError("every sequence number waits for its answer")
        self._sequence, _ = self._late.popitem(last=False)
        return self._sequence

    def _become(self, state: SessionState) -> None:
        self.state = state
        peer = Side.CENTRE if self.side is Side.ESME else Side.ESME
        self._may_ask, self._asked_by_peer = _MAY_ASK[self.side, state], _MAY_ASK[peer, state]

    def _put(self, command: int, status: int, sequence: int, body: bytes) -> None:
        self._unwritten.append(HEADER.pack(HEADER.size + len(body), command, status, sequence))
        if body:
            self._unwritten.append(body)
