import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from prikkfri.errors import LocalProtocolError
from prikkfri.protocols.smpp.pdu import (
    NOTHING,
    RESPONSE,
    Bind,
    BindResponse,
    Command,
    MessageResponse,
    Pdu,
    ShortMessage,
    Status,
    decode,
    encode,
    encode_body,
)
from prikkfri.protocols.smpp.session import (
    Limits,
    PeerResponse,
    Request,
    ResponseTimeout,
    Session,
    SessionEnd,
    SessionState,
    Side,
)

LIMITS = Limits(window=3, bind_seconds_max=5.0, answer_seconds_max=20.0, enquire_seconds=30.0)
MESSAGE = encode_body(ShortMessage(source="a", destination="b", octets=b"hei"))


def bound(command: Command = Command.BIND_TRANSCEIVER, limits: Limits = LIMITS) -> tuple[Session, Session]:
    esme, centre = Session(Side.ESME, limits, 0.0), Session(Side.CENTRE, limits, 0.0)
    esme.bind(command, Bind("shop", "secret"), 0.0)
    [request] = centre.receive(esme.outgoing(), 0.0)
    assert isinstance(request, Request)
    centre.answer(request, Status.OK, BindResponse("prikkfri"))
    [answered] = esme.receive(centre.outgoing(), 0.0)
    assert isinstance(answered, PeerResponse)
    assert answered.status == Status.OK
    return esme, centre


def sent(session: Session) -> list[Pdu]:
    octets, pdus = session.outgoing(), []
    while octets:
        length = int.from_bytes(octets[:4], "big")
        pdus.append(decode(octets[:length]))
        octets = octets[length:]
    return pdus


@pytest.mark.parametrize(("version", "takes"), [(0, False), (0x33, False), (0x34, True), (0x50, True)])
def test_a_peer_older_than_3_4_is_told_no_optional_parameters(version: int, takes: bool) -> None:
    esme, centre = Session(Side.ESME, LIMITS, 0.0), Session(Side.CENTRE, LIMITS, 0.0)
    answer = BindResponse("prikkfri", ((0x0210, b"\x34"),))
    esme.bind(Command.BIND_TRANSCEIVER, Bind("shop", "secret", interface_version=version), 0.0)
    [request] = centre.receive(esme.outgoing(), 0.0)
    assert isinstance(request, Request)
    assert centre.takes_parameters
    centre.answer(request, Status.OK, answer)
    assert centre.takes_parameters is takes
    assert [pdu.body for pdu in sent(centre)] == [answer if takes else BindResponse("prikkfri")]
    assert esme.takes_parameters


@pytest.mark.parametrize(
    ("command", "state", "may_submit", "may_deliver"),
    [
        (Command.BIND_TRANSMITTER, SessionState.TRANSMITTER, True, False),
        (Command.BIND_RECEIVER, SessionState.RECEIVER, False, True),
        (Command.BIND_TRANSCEIVER, SessionState.TRANSCEIVER, True, True),
    ],
)
def test_a_bind_decides_who_may_ask_what(
    command: Command, state: SessionState, may_submit: bool, may_deliver: bool
) -> None:
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
    centre.answer(second, Status.OK, MessageResponse("id-2"))
    centre.answer(first, Status.THROTTLED)
    events = esme.receive(centre.outgoing(), 0.0)
    assert events == [
        PeerResponse("second", Status.OK, MessageResponse("id-2")),
        PeerResponse("first", Status.THROTTLED, MessageResponse()),
    ]


def test_the_window_is_kept() -> None:
    esme, centre = bound()
    for context in range(3):
        esme.ask(Command.SUBMIT_SM, MESSAGE, context, 0.0)
    assert esme.window_room == 0
    with pytest.raises(LocalProtocolError):
        esme.ask(Command.SUBMIT_SM, MESSAGE, 3, 0.0)
    requests = centre.receive(esme.outgoing(), 0.0)
    centre.answer(requests[0], Status.OK, MessageResponse("x"))
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
    assert [type(event) for event in events] == [SessionEnd]
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
    assert esme.tick(50.0) == [SessionEnd("no answer to enquire_link", ())]
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
    assert centre.tick(5.0) == [SessionEnd("no bind in time", ())]


def test_a_late_answer_still_finds_its_context() -> None:
    esme, centre = bound()
    esme.ask(Command.SUBMIT_SM, MESSAGE, "slow", 0.0)
    [request] = centre.receive(esme.outgoing(), 0.0)
    esme.receive(encode(Pdu(Command.ENQUIRE_LINK, 0, 1)), 19.0)
    assert esme.tick(20.0) == [ResponseTimeout("slow")]
    assert esme.window_room == 3
    centre.answer(request, Status.OK, MessageResponse("late"))
    assert esme.receive(centre.outgoing(), 25.0) == [
        PeerResponse("slow", Status.OK, MessageResponse("late"), late=True)
    ]


def test_the_answer_to_another_question_settles_nothing() -> None:
    esme, _ = bound()
    esme.ask(Command.SUBMIT_SM, MESSAGE, "mine", 0.0)
    [pdu] = sent(esme)
    assert esme.receive(encode(Pdu(Command.ENQUIRE_LINK_RESP, 0, pdu.sequence)), 0.0) == []
    assert esme.receive(encode(Pdu(Command.SUBMIT_SM_RESP, 0, pdu.sequence + 1, MessageResponse("x"))), 0.0) == []
    nack = encode(Pdu(Command.GENERIC_NACK, Status.INVALID_COMMAND_ID, pdu.sequence))
    assert esme.receive(nack, 0.0) == [PeerResponse("mine", Status.INVALID_COMMAND_ID, NOTHING)]


def test_what_is_unanswered_at_the_end_is_in_doubt() -> None:
    esme, _ = bound()
    esme.ask(Command.SUBMIT_SM, MESSAGE, "one", 0.0)
    esme.ask(Command.SUBMIT_SM, MESSAGE, "two", 0.0)
    assert esme.end("connection lost") == [SessionEnd("connection lost", ("one", "two"))]
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
    assert centre.end("the peer unbound") == [SessionEnd("the peer unbound", ())]
    assert esme.receive(centre.outgoing(), 0.0) == [SessionEnd("unbound", (0, 1, 2))]
    assert esme.state is centre.state is SessionState.ENDED


MESSAGES = (Command.SUBMIT_SM, Command.DELIVER_SM)


def test_each_side_may_ask_what_the_book_allows() -> None:
    """SMPP 3.4, table 2-1, by the sides that a test can bring into each state."""
    enquire, leave = Command.ENQUIRE_LINK, Command.UNBIND
    submit, deliver, data = Command.SUBMIT_SM, Command.DELIVER_SM, Command.DATA_SM
    binds = {Command.BIND_RECEIVER, Command.BIND_TRANSMITTER, Command.BIND_TRANSCEIVER}
    table = {
        Command.BIND_TRANSMITTER: ({enquire, leave, submit}, {enquire, leave}),
        # Of data_sm, which both may ask by the book, we take only what networks tell by it.
        Command.BIND_RECEIVER: ({enquire, leave}, {enquire, leave, deliver, data}),
        Command.BIND_TRANSCEIVER: ({enquire, leave, submit}, {enquire, leave, deliver, data}),
    }
    for bind, allowed in table.items():
        sides = bound(bind)
        for session, may in zip(sides, allowed, strict=True):
            assert {command for command in Command if session.may_ask(command)} == may
            session.end("gone")
            assert not any(session.may_ask(command) for command in Command)
    for side, may in ((Side.ESME, binds | {enquire}), (Side.CENTRE, {enquire})):
        session = Session(side, LIMITS, 0.0)
        assert {command for command in Command if session.may_ask(command)} == may


def test_an_esme_hears_what_its_bind_allows_the_centre() -> None:
    for bind, heard in ((Command.BIND_TRANSMITTER, 0), (Command.BIND_RECEIVER, 1), (Command.BIND_TRANSCEIVER, 1)):
        esme, _ = bound(bind)
        assert len(esme.receive(encode(Pdu(5, 0, 9, ShortMessage())), 0.0)) == heard
        assert [(p.command, p.status, p.sequence) for p in sent(esme)] == (
            [] if heard else [(5 | RESPONSE, Status.INVALID_BIND_STATUS, 9)]
        )


@pytest.mark.parametrize("asked", MESSAGES)
def test_a_nack_is_a_refusal_whatever_its_status(asked: Command) -> None:
    esme, centre = bound()
    session = esme if asked is Command.SUBMIT_SM else centre
    session.ask(asked, MESSAGE, "mine", 0.0)
    [pdu] = sent(session)
    [answered] = session.receive(encode(Pdu(Command.GENERIC_NACK, Status.OK, pdu.sequence)), 0.0)
    assert isinstance(answered, PeerResponse)
    assert answered.context == "mine"
    assert answered.status == Status.SYSTEM_ERROR


@pytest.mark.parametrize(
    ("command", "status"),
    [(Command.GENERIC_NACK, 0), (Command.GENERIC_NACK, 3), (9 | RESPONSE, 0x0D), (9 | RESPONSE, 0xFFFFFFFF)],
)
def test_a_bind_that_is_not_accepted_binds_nobody(command: int, status: int) -> None:
    esme = Session(Side.ESME, LIMITS, 0.0)
    esme.bind(Command.BIND_TRANSCEIVER, Bind("shop", "secret"), 0.0)
    esme.outgoing()
    body = NOTHING if command == Command.GENERIC_NACK else BindResponse("")
    [answered] = esme.receive(encode(Pdu(command, status, 1, body)), 0.0)
    assert isinstance(answered, PeerResponse)
    assert answered.status != Status.OK
    assert esme.state is SessionState.OPEN
    assert not esme.may_ask(Command.SUBMIT_SM)


def test_the_answer_to_another_bind_than_ours_binds_nobody() -> None:
    esme = Session(Side.ESME, LIMITS, 0.0)
    esme.bind(Command.BIND_RECEIVER, Bind("shop", "secret"), 0.0)
    assert esme.receive(encode(Pdu(9 | RESPONSE, 0, 1, BindResponse(""))), 0.0) == []
    assert esme.state is SessionState.OPEN
    [answered] = esme.receive(encode(Pdu(1 | RESPONSE, 0, 1, BindResponse("x"))), 0.0)
    assert answered == PeerResponse(Bind("shop", "secret"), Status.OK, BindResponse("x"))
    assert esme.state is SessionState.RECEIVER


def test_a_refused_bind_says_nothing_of_us() -> None:
    centre = Session(Side.CENTRE, LIMITS, 0.0)
    [request] = centre.receive(encode(Pdu(9, 0, 5, Bind("shop", "guess"))), 0.0)
    assert isinstance(request, Request)
    centre.answer(request, Status.INVALID_PASSWORD, BindResponse("prikkfri", ((0x0210, b"\x34"),)))
    assert centre.outgoing() == bytes.fromhex("00000010 80000009 0000000e 00000005")
    assert centre.state is SessionState.OPEN
    assert centre.receive(encode(Pdu(4, 0, 6, ShortMessage())), 0.0) == []


def test_a_request_answered_twice_by_the_peer_is_answered_once() -> None:
    esme, _ = bound()
    esme.ask(Command.SUBMIT_SM, MESSAGE, "mine", 0.0)
    [pdu] = sent(esme)
    answer = encode(Pdu(4 | RESPONSE, 0, pdu.sequence, MessageResponse("x")))
    refusal = encode(Pdu(4 | RESPONSE, 0x45, pdu.sequence, MessageResponse()))
    assert esme.receive(answer + refusal + answer, 0.0) == [PeerResponse("mine", Status.OK, MessageResponse("x"))]


def test_statuses_that_nobody_knows_are_handed_on_as_they_are() -> None:
    esme, _ = bound()
    for status in (0x400, 0xFFFFFFFF):
        esme.ask(Command.SUBMIT_SM, MESSAGE, "mine", 0.0)
        [pdu] = sent(esme)
        assert esme.receive(encode(Pdu(4 | RESPONSE, status, pdu.sequence, MessageResponse())), 0.0) == [
            PeerResponse("mine", status, MessageResponse())
        ]


def test_no_answer_counts_at_the_limit_and_not_before() -> None:
    limits = Limits(window=5, answer_seconds_max=20.0, enquire_seconds=1e9)
    esme = bound(limits=limits)[0]
    for at, context in enumerate(("first", "second", "third")):
        esme.ask(Command.SUBMIT_SM, MESSAGE, context, float(at))
    assert esme.tick(19.99) == []
    assert esme.tick(21.0) == [ResponseTimeout("first"), ResponseTimeout("second")]
    assert esme.window_room == 4
    assert esme.tick(21.99) == []
    assert esme.end("lost") == [SessionEnd("lost", ("third",))]


def test_only_so_many_late_answers_are_waited_for() -> None:
    limits = Limits(answer_seconds_max=20.0, enquire_seconds=1e9, late_answers_max=2)
    esme = bound(limits=limits)[0]
    for context in ("first", "second", "third"):
        esme.ask(Command.SUBMIT_SM, MESSAGE, context, 0.0)
    sequences = [pdu.sequence for pdu in sent(esme)]
    assert esme.tick(20.0) == [ResponseTimeout("first"), ResponseTimeout("second"), ResponseTimeout("third")]
    answers = b"".join(encode(Pdu(4 | RESPONSE, 0, sequence, MessageResponse("x"))) for sequence in sequences)
    assert [event.context for event in esme.receive(answers, 21.0)] == ["second", "third"]
    assert esme.end("lost") == [SessionEnd("lost", ())]


def test_a_bind_or_an_unbind_without_an_answer_ends_the_session() -> None:
    esme = Session(Side.ESME, Limits(answer_seconds_max=5.0, bind_seconds_max=60.0), 0.0)
    esme.bind(Command.BIND_RECEIVER, Bind("a", "b"), 0.0)
    assert esme.tick(4.9) == []
    assert esme.tick(5.0) == [SessionEnd("no answer to bind_receiver", ())]
    esme, _ = bound()
    esme.ask(Command.SUBMIT_SM, MESSAGE, "mine", 1.0)
    esme.unbind(2.0)
    assert esme.tick(22.0) == [ResponseTimeout("mine"), SessionEnd("no answer to unbind", ())]
    assert esme.tick(99.0) == []


def test_a_peer_is_asked_whether_it_lives_while_the_window_is_full_and_any_word_is_an_answer() -> None:
    limits = Limits(window=1, answer_seconds_max=20.0, enquire_seconds=10.0)
    esme = bound(limits=limits)[0]
    esme.ask(Command.SUBMIT_SM, MESSAGE, "mine", 5.0)
    sent(esme)
    assert esme.tick(9.99) == []
    assert sent(esme) == []
    assert esme.tick(10.0) == esme.tick(15.0) == []
    [pdu] = sent(esme)
    assert pdu == Pdu(Command.ENQUIRE_LINK, 0, pdu.sequence)
    assert esme.receive(b"\0", 24.0) == []
    assert esme.tick(25.0) == [ResponseTimeout("mine")]
    assert esme.tick(33.99) == []
    assert sent(esme) == []
    assert esme.tick(34.0) == []
    assert len(sent(esme)) == 1
    assert esme.tick(53.99) == []
    assert esme.tick(54.0) == [SessionEnd("no answer to enquire_link", ())]


def test_sequence_numbers_begin_again_at_1() -> None:
    esme, _ = bound(limits=Limits(sequence_max=3))
    for wanted in (2, 3, 1, 2):
        esme.ask(Command.SUBMIT_SM, MESSAGE, wanted, 0.0)
        [pdu] = sent(esme)
        assert pdu.sequence == wanted
        assert esme.receive(encode(Pdu(4 | RESPONSE, 0, wanted, MessageResponse("x"))), 0.0)
    assert Limits().sequence_max == 0x7FFFFFFF  # 3.2, sequence_number


def test_no_request_bears_the_sequence_number_of_one_whose_answer_may_still_come() -> None:
    """Not even of one that was given up: a late answer would be taken for that of another message."""
    esme, _ = bound(limits=Limits(sequence_max=5, window=2, answer_seconds_max=20.0, enquire_seconds=1e9))
    esme.ask(Command.SUBMIT_SM, MESSAGE, "late", 0.0)
    [late] = sent(esme)
    assert esme.tick(20.0) == [ResponseTimeout("late")]
    esme.ask(Command.SUBMIT_SM, MESSAGE, "waits", 20.0)
    [waits] = sent(esme)
    seen = set()
    for number in range(7):
        esme.ask(Command.SUBMIT_SM, MESSAGE, number, 21.0)
        [pdu] = sent(esme)
        seen.add(pdu.sequence)
        answer = encode(Pdu(4 | RESPONSE, 0, pdu.sequence, MessageResponse("x")))
        assert esme.receive(answer, 21.0) == [PeerResponse(number, 0, MessageResponse("x"), asked_at=21.0)]
    assert seen == {1, 2, 3, 4, 5} - {late.sequence, waits.sequence}
    for pdu, context, asked_at in ((waits, "waits", 20.0), (late, "late", 0.0)):
        answer = encode(Pdu(4 | RESPONSE, 0, pdu.sequence, MessageResponse("y")))
        answered = PeerResponse(context, 0, MessageResponse("y"), late=context == "late", asked_at=asked_at)
        assert esme.receive(answer, 22.0) == [answered]


def test_where_each_number_is_waited_for_the_longest_wait_is_given_up() -> None:
    esme, _ = bound(limits=Limits(sequence_max=3, window=1, answer_seconds_max=20.0, enquire_seconds=1e9))
    numbers = []
    for number in range(4):
        esme.ask(Command.SUBMIT_SM, MESSAGE, number, 20.0 * number)
        numbers += [pdu.sequence for pdu in sent(esme)]
        assert esme.tick(20.0 * number + 20.0) == [ResponseTimeout(number)]
    assert sorted(numbers[:3]) == [1, 2, 3] and numbers[3] == numbers[0]
    answer = encode(Pdu(4 | RESPONSE, 0, numbers[3], MessageResponse("x")))
    assert esme.receive(answer, 90.0) == [PeerResponse(3, 0, MessageResponse("x"), late=True, asked_at=60.0)]


def test_what_is_looked_at_is_what_is_written_and_what_is_refused_leaves_nothing() -> None:
    esme, _ = bound(limits=Limits(window=3))
    looked: list[tuple[int, bytes, int]] = []

    def refuses_the_second(number: int, pdu: bytes, sequence: int) -> str:
        looked.append((number, pdu, sequence))
        return "text" if number == 1 else ""

    contexts = ["first", "second", "third"]
    assert esme.ask_all(Command.SUBMIT_SM, [MESSAGE] * 3, contexts, 0.0, check=refuses_the_second) == ["", "text", ""]
    assert [number for number, _, _ in looked] == [0, 1, 2] and esme.window_room == 1
    assert esme.outgoing() == looked[0][1] + looked[2][1] and type(looked[0][1]) is bytes
    for (number, _, sequence), answered in zip(looked, [True, False, True], strict=True):
        answer = encode(Pdu(4 | RESPONSE, 0, sequence, MessageResponse("x")))
        told = [PeerResponse(contexts[number], 0, MessageResponse("x"))] if answered else []
        assert esme.receive(answer, 0.0) == told


def test_where_looking_fails_or_there_is_no_room_for_all_nothing_is_written() -> None:
    esme, _ = bound(limits=Limits(window=2, sequence_max=2))

    def fails(number: int, pdu: bytes, sequence: int) -> str:
        raise ValueError(number)

    with pytest.raises(ValueError):
        esme.ask_all(Command.SUBMIT_SM, [MESSAGE] * 2, ["mine", "other"], 0.0, check=fails)
    with pytest.raises(LocalProtocolError, match="the window is full"):
        esme.ask_all(Command.SUBMIT_SM, [MESSAGE] * 3, [1, 2, 3], 0.0)
    assert (esme.outgoing(), esme.window_room) == (b"", 2)
    assert esme.ask_all(Command.SUBMIT_SM, [MESSAGE] * 2, [1, 2], 0.0) == ["", ""]
    assert (len(esme.outgoing()), esme.window_room) == (2 * (16 + len(MESSAGE)), 0)


def test_the_longest_pdu_is_heard_and_one_octet_more_is_not() -> None:
    longest = encode(Pdu(4, 0, 8, ShortMessage(octets=b"x" * 20)))
    for spare, kinds in ((0, [Request, Request]), (-1, [SessionEnd])):
        _, centre = bound(limits=Limits(pdu_octets_max=len(longest) + spare))
        assert [type(event) for event in centre.receive(longest + longest, 0.0)] == kinds


def test_after_the_end_nothing_is_said_and_nothing_heard() -> None:
    esme, centre = bound()
    centre.ask(Command.DELIVER_SM, MESSAGE, "mine", 0.0)
    [request] = esme.receive(centre.outgoing(), 0.0)
    assert isinstance(request, Request)
    esme.end("lost")
    esme.answer(request, Status.OK, MessageResponse())
    esme.unbind(0.0)
    with pytest.raises(LocalProtocolError):
        esme.ask(Command.SUBMIT_SM, MESSAGE, None, 0.0)
    assert esme.outgoing() == b""
    assert esme.receive(encode(Pdu(5, 0, 9, ShortMessage())), 1.0) == []
    assert esme.tick(1e9) == []


def test_nothing_that_follows_the_end_in_the_same_bytes_is_heard() -> None:
    esme, _ = bound()
    esme.unbind(0.0)
    [unbind] = sent(esme)
    stream = encode(Pdu(6 | RESPONSE, 0, unbind.sequence)) + encode(Pdu(5, 0, 9, ShortMessage()))
    assert esme.receive(stream, 0.0) == [SessionEnd("unbound", ())]
    assert esme.outgoing() == b""


def test_who_is_not_bound_has_nothing_to_leave() -> None:
    esme = Session(Side.ESME, LIMITS, 0.0)
    esme.unbind(0.0)
    assert esme.outgoing() == b""
    centre = Session(Side.CENTRE, LIMITS, 0.0)
    assert centre.receive(encode(Pdu(6, 0, 3)), 0.0) == []
    assert sent(centre) == [Pdu(6 | RESPONSE, Status.INVALID_BIND_STATUS, 3)]


def test_the_times_are_those_that_a_partner_is_promised() -> None:
    """docs/messages.md: 10 s to bind, and we ask after 30 s of silence; an answer may take a minute."""
    limits = Limits()
    waiting = Session(Side.CENTRE, limits, 1_000.0)
    assert waiting.tick(1_009.99) == []
    assert waiting.tick(1_010.0) == [SessionEnd("no bind in time", ())]
    esme, _ = bound(limits=limits)
    esme.ask(Command.SUBMIT_SM, MESSAGE, "mine", 0.0)
    sent(esme)
    assert esme.tick(29.99) == []
    assert sent(esme) == []
    assert esme.tick(30.0) == []
    [enquiry] = sent(esme)
    assert esme.receive(encode(Pdu(Command.ENQUIRE_LINK_RESP, 0, enquiry.sequence)), 59.0) == []
    assert esme.tick(59.99) == []
    assert esme.tick(60.0) == [ResponseTimeout("mine")]


def test_what_is_a_header_by_the_book_is_a_header_alone() -> None:
    esme, _ = bound()
    esme.tick(30.0)
    esme.unbind(30.0)
    assert esme.outgoing() == bytes.fromhex("00000010 00000015 00000000 00000002 00000010 00000006 00000000 00000003")


def test_an_unanswered_bind_is_in_no_doubt() -> None:
    esme = Session(Side.ESME, LIMITS, 0.0)
    esme.bind(Command.BIND_TRANSCEIVER, Bind("shop", "secret"), 0.0)
    assert esme.end("lost") == [SessionEnd("lost", ())]


@given(st.lists(st.binary(max_size=200)), st.sampled_from(Side))
def test_any_octets_never_raise(chunks: list[bytes], side: Side) -> None:
    session = Session(side, LIMITS, 0.0)
    ended = 0
    for now, chunk in enumerate(chunks):
        ended += sum(isinstance(event, SessionEnd) for event in session.receive(chunk, float(now)))
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
            if isinstance(event, PeerResponse):
                assert self.settled.get(event.context, "unanswered") == "unanswered"
                self.settled[event.context] = "answered"
            elif isinstance(event, ResponseTimeout):
                assert event.context not in self.settled
                self.settled[event.context] = "unanswered"
            elif isinstance(event, SessionEnd):
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
            self.centre.answer(self.owed.pop(-1 if last else 0), status, MessageResponse("x"))

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
        if getattr(self, "esme", None) and self.esme.state is SessionState.ENDED:
            assert len(self.settled) == self.asked


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
