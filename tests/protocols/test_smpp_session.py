import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from prikkfri.errors import LocalProtocolError
from prikkfri.protocols.smpp.pdu import (
    NOTHING,
    RESPONSE,
    Bind,
    BindAnswer,
    Command,
    MessageAnswer,
    Pdu,
    ShortMessage,
    Status,
    decode,
    encode,
    encode_body,
)
from prikkfri.protocols.smpp.session import Answered, Ended, Limits, Request, Session, Side, State, Unanswered

LIMITS = Limits(window=3, bind_seconds_max=5.0, answer_seconds_max=20.0, enquire_seconds=30.0)
MESSAGE = encode_body(ShortMessage(source="a", destination="b", octets=b"hei"))


def bound(command: Command = Command.BIND_TRANSCEIVER) -> tuple[Session, Session]:
    esme, centre = Session(Side.ESME, LIMITS, 0.0), Session(Side.CENTRE, LIMITS, 0.0)
    esme.bind(command, Bind("shop", "secret"), 0.0)
    [request] = centre.receive(esme.outgoing(), 0.0)
    assert isinstance(request, Request)
    centre.answer(request, Status.OK, BindAnswer("prikkfri"))
    [answered] = esme.receive(centre.outgoing(), 0.0)
    assert isinstance(answered, Answered)
    assert answered.status == Status.OK
    return esme, centre


def sent(session: Session) -> list[Pdu]:
    octets, pdus = session.outgoing(), []
    while octets:
        length = int.from_bytes(octets[:4], "big")
        pdus.append(decode(octets[:length]))
        octets = octets[length:]
    return pdus


@pytest.mark.parametrize(
    ("command", "state", "may_submit", "may_deliver"),
    [
        (Command.BIND_TRANSMITTER, State.TRANSMITTER, True, False),
        (Command.BIND_RECEIVER, State.RECEIVER, False, True),
        (Command.BIND_TRANSCEIVER, State.TRANSCEIVER, True, True),
    ],
)
def test_a_bind_decides_who_may_ask_what(command: Command, state: State, may_submit: bool, may_deliver: bool) -> None:
    esme, centre = bound(command)
    assert esme.state is centre.state is state
    for session, asks, allowed in (
        (esme, Command.SUBMIT_SM, may_submit),
        (centre, Command.DELIVER_SM, may_deliver),
        (esme, Command.DELIVER_SM, False),
        (centre, Command.SUBMIT_SM, False),
    ):
        assert session.may_ask(asks) is allowed
        if not allowed:
            with pytest.raises(LocalProtocolError):
                session.ask(asks, MESSAGE, None, 0.0)
    # What the rules of one side forbid to send, those of the other refuse to hear.
    events = centre.receive(encode(Pdu(4, 0, 99, ShortMessage())), 0.0)
    if may_submit:
        assert [type(event) for event in events] == [Request]
    else:
        assert events == []
        assert [(p.command, p.status) for p in sent(centre)] == [(4 | RESPONSE, Status.INVALID_BIND_STATUS)]


def test_before_the_bind_nothing_else_is_heard() -> None:
    centre = Session(Side.CENTRE, LIMITS, 0.0)
    assert centre.receive(encode(Pdu(4, 0, 1, ShortMessage())), 0.0) == []
    assert [(p.command, p.status, p.sequence) for p in sent(centre)] == [(4 | RESPONSE, Status.INVALID_BIND_STATUS, 1)]


def test_a_second_bind_is_refused() -> None:
    _, centre = bound()
    assert centre.receive(encode(Pdu(9, 0, 7, Bind("shop", "secret"))), 0.0) == []
    assert sent(centre)[0].status == Status.ALREADY_BOUND
    fresh = Session(Side.CENTRE, LIMITS, 0.0)
    assert len(fresh.receive(encode(Pdu(9, 0, 1, Bind())) + encode(Pdu(9, 0, 2, Bind())), 0.0)) == 1


def test_answers_come_back_with_the_context_in_any_order() -> None:
    esme, centre = bound()
    for context in ("first", "second"):
        esme.ask(Command.SUBMIT_SM, MESSAGE, context, 0.0)
    first, second = centre.receive(esme.outgoing(), 0.0)
    centre.answer(second, Status.OK, MessageAnswer("id-2"))
    centre.answer(first, Status.THROTTLED)
    events = esme.receive(centre.outgoing(), 0.0)
    assert events == [
        Answered("second", Status.OK, MessageAnswer("id-2")),
        Answered("first", Status.THROTTLED, MessageAnswer()),
    ]


def test_the_window_is_kept() -> None:
    esme, centre = bound()
    for context in range(3):
        esme.ask(Command.SUBMIT_SM, MESSAGE, context, 0.0)
    assert esme.window_room == 0
    with pytest.raises(LocalProtocolError):
        esme.ask(Command.SUBMIT_SM, MESSAGE, 3, 0.0)
    requests = centre.receive(esme.outgoing(), 0.0)
    centre.answer(requests[0], Status.OK, MessageAnswer("x"))
    esme.receive(centre.outgoing(), 0.0)
    assert esme.window_room == 1


def test_an_unknown_command_is_nacked_and_the_session_goes_on() -> None:
    _, centre = bound()
    query = bytes.fromhex("00000013000000030000000000000009") + b"abc"
    events = centre.receive(query + encode(Pdu(4, 0, 10, ShortMessage())), 0.0)
    assert [event.sequence for event in events] == [10]
    [nack] = sent(centre)
    assert nack == Pdu(Command.GENERIC_NACK, Status.INVALID_COMMAND_ID, 9, NOTHING)


@pytest.mark.parametrize("length", [0, 15, 70_001, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_nacked_and_ends_the_session(length: int) -> None:
    _, centre = bound()
    events = centre.receive(length.to_bytes(4, "big") + bytes.fromhex("000000040000000000000005"), 0.0)
    assert [type(event) for event in events] == [Ended]
    assert sent(centre) == [Pdu(Command.GENERIC_NACK, Status.INVALID_COMMAND_LENGTH, 5, NOTHING)]
    assert centre.receive(b"more", 0.0) == []


def test_a_malformed_body_is_answered_by_its_status() -> None:
    _, centre = bound()
    octets = bytearray(encode(Pdu(4, 0, 11, ShortMessage(octets=b"hei"))))
    octets[-4] = 200  # sm_length
    assert centre.receive(bytes(octets), 0.0) == []
    [answer] = sent(centre)
    assert (answer.command, answer.status, answer.sequence) == (4 | RESPONSE, Status.INVALID_MESSAGE_LENGTH, 11)


def test_silence_is_asked_about_and_then_ends_the_session() -> None:
    esme, centre = bound()
    assert esme.tick(29.0) == []
    assert esme.outgoing() == b""
    assert esme.tick(30.0) == []
    assert [p.command for p in sent(esme)] == [Command.ENQUIRE_LINK]
    assert esme.tick(49.0) == []
    assert esme.outgoing() == b""
    assert esme.tick(50.0) == [Ended("no answer to enquire_link", ())]
    assert centre.tick(30.0) == []
    centre.receive(encode(Pdu(Command.ENQUIRE_LINK_RESP, 0, 1)), 31.0)
    assert centre.tick(59.0) == []
    assert len(sent(centre)) == 1


def test_enquire_link_is_answered_even_before_the_bind() -> None:
    centre = Session(Side.CENTRE, LIMITS, 0.0)
    assert centre.receive(encode(Pdu(Command.ENQUIRE_LINK, 0, 4)), 0.0) == []
    assert sent(centre) == [Pdu(Command.ENQUIRE_LINK_RESP, 0, 4)]


def test_who_never_binds_is_shown_out() -> None:
    centre = Session(Side.CENTRE, LIMITS, 0.0)
    centre.receive(encode(Pdu(Command.ENQUIRE_LINK, 0, 4)), 4.0)
    assert centre.tick(5.0) == [Ended("no bind in time", ())]


def test_a_late_answer_still_finds_its_context() -> None:
    esme, centre = bound()
    esme.ask(Command.SUBMIT_SM, MESSAGE, "slow", 0.0)
    [request] = centre.receive(esme.outgoing(), 0.0)
    esme.receive(encode(Pdu(Command.ENQUIRE_LINK, 0, 1)), 19.0)
    assert esme.tick(20.0) == [Unanswered("slow")]
    assert esme.window_room == 3
    centre.answer(request, Status.OK, MessageAnswer("late"))
    assert esme.receive(centre.outgoing(), 25.0) == [Answered("slow", Status.OK, MessageAnswer("late"))]


def test_the_answer_to_another_question_settles_nothing() -> None:
    esme, _ = bound()
    esme.ask(Command.SUBMIT_SM, MESSAGE, "mine", 0.0)
    [pdu] = sent(esme)
    assert esme.receive(encode(Pdu(Command.ENQUIRE_LINK_RESP, 0, pdu.sequence)), 0.0) == []
    assert esme.receive(encode(Pdu(Command.SUBMIT_SM_RESP, 0, pdu.sequence + 1, MessageAnswer("x"))), 0.0) == []
    nack = encode(Pdu(Command.GENERIC_NACK, Status.INVALID_COMMAND_ID, pdu.sequence))
    assert esme.receive(nack, 0.0) == [Answered("mine", Status.INVALID_COMMAND_ID, NOTHING)]


def test_what_is_unanswered_at_the_end_is_in_doubt() -> None:
    esme, _ = bound()
    esme.ask(Command.SUBMIT_SM, MESSAGE, "one", 0.0)
    esme.ask(Command.SUBMIT_SM, MESSAGE, "two", 0.0)
    assert esme.end("connection lost") == [Ended("connection lost", ("one", "two"))]
    assert esme.end("again") == []


def test_unbind_is_answered_and_both_sides_end() -> None:
    esme, centre = bound()
    for context in range(3):
        esme.ask(Command.SUBMIT_SM, MESSAGE, context, 0.0)
    esme.unbind(0.0)  # a full window does not keep anyone from leaving
    *_, unbind = centre.receive(esme.outgoing(), 0.0)
    assert isinstance(unbind, Request)
    assert unbind.command == Command.UNBIND
    centre.answer(unbind, Status.OK)
    assert centre.end("the peer unbound") == [Ended("the peer unbound", ())]
    assert esme.receive(centre.outgoing(), 0.0) == [Ended("unbound", (0, 1, 2))]
    assert esme.state is centre.state is State.ENDED


@given(st.lists(st.binary(max_size=200)), st.sampled_from(Side))
def test_any_octets_never_raise(chunks: list[bytes], side: Side) -> None:
    session = Session(side, LIMITS, 0.0)
    ended = 0
    for now, chunk in enumerate(chunks):
        ended += sum(isinstance(event, Ended) for event in session.receive(chunk, float(now)))
        session.outgoing()
    assert ended <= 1


@given(st.data())
@settings(max_examples=50)
def test_how_the_bytes_are_cut_does_not_matter(data: st.DataObject) -> None:
    _, centre = bound()
    stream = b"".join(
        encode(Pdu(4, 0, n, ShortMessage(octets=b"x" * n))) if n % 3 else encode(Pdu(0x15, 0, n)) for n in range(1, 20)
    )
    _, whole_centre = bound()
    whole = whole_centre.receive(stream, 0.0)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [event for piece in pieces for event in centre.receive(piece, 0.0)] == whole
    assert centre.outgoing() == whole_centre.outgoing()


class TwoSides(RuleBasedStateMachine):
    """Every message asked is answered, unanswered or in doubt: exactly one of them, whatever happens to the wire."""

    @initialize()
    def start(self) -> None:
        self.esme, self.centre = bound()
        self.now = 0.0
        self.asked = 0
        self.settled: dict[int, str] = {}
        self.owed: list[Request] = []

    def take(self, events) -> None:
        for event in events:
            if isinstance(event, Answered):
                assert self.settled.get(event.context, "unanswered") == "unanswered"
                self.settled[event.context] = "answered"
            elif isinstance(event, Unanswered):
                assert event.context not in self.settled
                self.settled[event.context] = "unanswered"
            elif isinstance(event, Ended):
                for context in event.in_doubt:
                    assert context not in self.settled
                    self.settled[context] = "in doubt"

    @rule()
    def ask(self) -> None:
        if self.esme.may_ask(Command.SUBMIT_SM) and self.esme.window_room:
            self.esme.ask(Command.SUBMIT_SM, MESSAGE, self.asked, self.now)
            self.asked += 1

    @rule()
    def carry_there(self) -> None:
        self.owed += [e for e in self.centre.receive(self.esme.outgoing(), self.now) if isinstance(e, Request)]

    @rule()
    def carry_back(self) -> None:
        self.take(self.esme.receive(self.centre.outgoing(), self.now))

    @rule(last=st.booleans(), status=st.sampled_from([Status.OK, Status.THROTTLED]))
    def answer(self, last: bool, status: Status) -> None:
        if self.owed:
            self.centre.answer(self.owed.pop(-1 if last else 0), status, MessageAnswer("x"))

    @rule(seconds=st.sampled_from([1.0, 10.0, 25.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.esme.tick(self.now))
        self.centre.tick(self.now)

    @rule()
    def lose_the_wire(self) -> None:
        self.take(self.esme.end("lost"))

    @invariant()
    def nothing_is_lost(self) -> None:
        if getattr(self, "esme", None) and self.esme.state is State.ENDED:
            assert len(self.settled) == self.asked


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
