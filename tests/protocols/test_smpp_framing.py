"""PDUs against an encoder and a reader of the test's own, written from section 4.4.1 and made to lie.

Behind each lie stands a neighbour's message in the same bytes from the socket: nobody may be handed a letter of it.
"""

import contextlib

import pytest
import smpp34
import smpplib.command
import smpplib.command_codes
import smpplib.consts
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.errors import LocalProtocolError, RemoteProtocolError
from prikkfri.protocols.smpp.pdu import (
    RESPONSE,
    TLVS_MAX,
    Bind,
    BindResponse,
    Command,
    MalformedPdu,
    MessageResponse,
    Pdu,
    ShortMessage,
    Status,
    Tag,
    decode,
    decode_body,
    encode,
    encode_body,
)
from prikkfri.protocols.smpp.session import Limits, PeerResponse, Request, Session, Side, UnreadableResponse

SUBMIT, DELIVER, SUBMIT_ANSWER, BIND = 0x04, 0x05, 0x80000004, 0x09
SECRET = b"your code is 483 201"


# The test's own encoder: joins what it is given, and checks nothing.


def pdu(command: int, sequence: int, body: bytes, *, status: int = 0, length: int | None = None) -> bytes:
    numbers = (16 + len(body) if length is None else length, command, status, sequence)
    return b"".join(number.to_bytes(4, "big") for number in numbers) + body


def parameter(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    return tag.to_bytes(2, "big") + (len(value) if length is None else length).to_bytes(2, "big") + value


def short_message(
    text: bytes = b"hei",
    *,
    service_type: bytes = b"CMT",
    source: bytes = b"\x05\x00Shop",
    destination: bytes = b"\x01\x014790000001",
    kind: bytes = b"\x00\x00\x00",
    schedule: bytes = b"",
    validity: bytes = b"000001000000000R",
    rest: bytes = b"\x01\x00\x00\x00",
    sm_length: int | None = None,
    parameters: bytes = b"",
) -> bytes:
    """`source` and `destination` with type and plan before them; `rest`: registered_delivery to sm_default_msg_id."""
    length = len(text) if sm_length is None else sm_length
    return b"".join((
        service_type, b"\0", source, b"\0", destination, b"\0", kind, schedule, b"\0", validity, b"\0", rest,
        length.to_bytes(1, "big"), text, parameters,
    ))  # fmt: skip


# The test's own reader: goes from field to field in a PDU's own octets, which it has cut out before.

Read = tuple[tuple[bytes, ...], bytes, tuple[tuple[int, bytes], ...]]


class CutShort(Exception):
    pass


def read_short_message(body: bytes) -> Read:
    """Fields in order, short_message, optional parameters."""
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        if at + count > len(body):
            raise CutShort
        at += count
        return body[at - count : at]

    def take_string(octets_max: int) -> bytes:
        found = b""
        while (octet := take(1)) != b"\0":
            found += octet
            if len(found) > octets_max:
                raise CutShort
        return found

    fields = [take_string(5), take(2), take_string(64), take(2), take_string(64), take(3)]
    fields += [take_string(16), take_string(16), take(4)]
    text = take(take(1)[0])
    parameters = []
    while at < len(body):
        tag = int.from_bytes(take(2), "big")
        parameters.append((tag, take(int.from_bytes(take(2), "big"))))
        if len(parameters) > 64:
            raise CutShort
    return tuple(fields), text, tuple(parameters)


def as_read(message: ShortMessage) -> Read:
    fields = (
        message.service_type.encode("latin-1"),
        bytes((message.source_ton, message.source_npi)),
        message.source.encode("latin-1"),
        bytes((message.destination_ton, message.destination_npi)),
        message.destination.encode("latin-1"),
        bytes((message.esm_class, message.protocol_id, message.priority)),
        message.schedule.encode("latin-1"),
        message.validity.encode("latin-1"),
        bytes(
            (
                message.registered_delivery,
                message.replace_if_present,
                message.data_coding,
                message.default_message_id,
            )
        ),
    )
    return fields, message.octets, message.tlvs


def read_stream(stream: bytes, octets_max: int = 70_000) -> list[tuple[int, Read]]:
    """The submit_sm of a stream that can be read, with their sequence numbers."""
    found = []
    while len(stream) >= 16:
        length = int.from_bytes(stream[:4], "big")
        if not 16 <= length <= octets_max or length > len(stream):
            break
        if int.from_bytes(stream[4:8], "big") == SUBMIT:
            with contextlib.suppress(CutShort):
                found.append((int.from_bytes(stream[12:16], "big"), read_short_message(stream[16:length])))
        stream = stream[length:]
    return found


def bound_centre() -> Session:
    centre = Session(Side.CENTRE, Limits(), 0.0)
    [request] = centre.receive(pdu(BIND, 1, b"shop\0secret\0\0\x34\0\0\0"), 0.0)
    assert isinstance(request, Request)
    centre.answer(request, Status.OK, BindResponse("prikkfri"))
    centre.outgoing()
    return centre


def bound_esme() -> Session:
    esme = Session(Side.ESME, Limits(), 0.0)
    esme.bind(Command.BIND_TRANSCEIVER, Bind("a", "b"), 0.0)
    esme.outgoing()
    esme.receive(pdu(BIND | RESPONSE, 1, b"centre\0"), 0.0)
    return esme


def messages(events: list) -> list[tuple[int, Read]]:
    return [
        (event.sequence, as_read(event.body))
        for event in events
        if isinstance(event, Request) and isinstance(event.body, ShortMessage)
    ]


def answers(session: Session) -> list[tuple[int, int, int]]:
    """(command, status, sequence) of what a session has to say."""
    octets, found = session.outgoing(), []
    while octets:
        length = int.from_bytes(octets[:4], "big")
        found.append(tuple(int.from_bytes(octets[at : at + 4], "big") for at in (4, 8, 12)))
        octets = octets[length:]
    return found


NEIGHBOUR = pdu(SUBMIT, 2, short_message(SECRET, destination=b"\x01\x014790000002"))
NEIGHBOURS = [(2, read_short_message(NEIGHBOUR[16:]))]

CUT = Status.INVALID_COMMAND_LENGTH
LIES = {
    "sm_length one too long": (short_message(sm_length=4), Status.INVALID_MESSAGE_LENGTH),
    "sm_length up to the neighbour's end": (short_message(sm_length=3 + len(NEIGHBOUR)), Status.INVALID_MESSAGE_LENGTH),
    "sm_length of no text": (short_message(b"", sm_length=1), Status.INVALID_MESSAGE_LENGTH),
    "sm_length as long as can be": (short_message(sm_length=255), Status.INVALID_MESSAGE_LENGTH),
    "sm_length into a parameter": (short_message(sm_length=4, parameters=parameter(0x1400, b"x")), CUT),
    "sm_length over the parameters": (
        short_message(sm_length=9, parameters=parameter(0x1400, b"x")),
        Status.INVALID_MESSAGE_LENGTH,
    ),
    "a parameter one too long": (short_message(parameters=parameter(0x1400, b"x", length=2)), CUT),
    "a parameter up to the neighbour's end": (
        short_message(parameters=parameter(0x1400, b"x", length=1 + len(NEIGHBOUR))),
        CUT,
    ),
    "a parameter as long as can be": (short_message(parameters=parameter(0x0424, b"", length=0xFFFF)), CUT),
    "the second parameter too long": (
        short_message(parameters=parameter(0x1400, b"x") + parameter(0x1401, b"y", length=20)),
        CUT,
    ),
    "a parameter without its value": (short_message(parameters=b"\x04\x24\x00\x01"), CUT),
    "a tag and half a length": (short_message(parameters=b"\x04\x24\x00"), CUT),
    "a tag alone": (short_message(parameters=b"\x04\x24"), CUT),
    "half a tag": (short_message(parameters=b"\x04"), CUT),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_length_that_lies_reaches_nothing_of_a_neighbour(lie: str) -> None:
    body, status = LIES[lie]
    centre = bound_centre()
    events = centre.receive(pdu(SUBMIT, 1, body) + NEIGHBOUR, 0.0)
    assert messages(events) == NEIGHBOURS
    assert len(events) == 1
    assert answers(centre) == [(SUBMIT | RESPONSE, status, 1)]
    with pytest.raises(MalformedPdu):
        decode(pdu(SUBMIT, 1, body))


def test_a_message_cut_anywhere_is_refused_and_its_neighbour_heard() -> None:
    """Wherever a string has lost its NUL, that of the neighbour's length ends nothing."""
    whole = short_message(schedule=b"000001000000000R", parameters=parameter(0x1400, b"xyz") + parameter(0x1401, b""))
    text = len(whole) - 11 - len(b"hei")
    readable = {len(whole), len(whole) - 4, len(whole) - 11}  # after each parameter, and before the first
    for cut in range(len(whole) + 1):
        centre = bound_centre()
        heard = messages(centre.receive(pdu(SUBMIT, 1, whole[:cut]) + NEIGHBOUR, 0.0))
        assert heard[-1:] == NEIGHBOURS
        assert len(heard) == (2 if cut in readable else 1), cut
        in_text = text <= cut < text + len(b"hei")
        status = Status.INVALID_MESSAGE_LENGTH if in_text else CUT
        assert answers(centre) == ([] if cut in readable else [(SUBMIT | RESPONSE, status, 1)]), cut


def test_a_bind_cut_anywhere_is_refused() -> None:
    whole = b"shop\0secret\0vms\0\x34\x01\x01^47\0"
    for cut in range(len(whole)):
        centre = Session(Side.CENTRE, Limits(), 0.0)
        assert centre.receive(pdu(BIND, 1, whole[:cut]) + pdu(BIND, 2, b"x\0y\0z\0\x34\0\0\0"), 0.0)[0].sequence == 2
        assert answers(centre) == [(BIND | RESPONSE, CUT, 1)]
    assert decode(pdu(BIND, 1, whole)).body == Bind("shop", "secret", "vms", 0x34, 1, 1, "^47")


@pytest.mark.parametrize(
    ("body", "identity"),
    [
        (b"x", "x"),
        (b"net-1", "net-1"),
        (b"net-1\0\0", "net-1"),
        (b"net-1\0\x1d", "net-1"),
        (b"net-1\0\x00\x1d\x00\x05abcd", "net-1"),
        (b"net-1\x00\x00\x1d\x00\x01a" + parameter(0x1400, b"") * 65, "net-1"),
        (b"net-1\x04\x27\x00\x01\x02", "net-1"),  # no NUL: a parameter follows at once
        (b"net-1\r\n", "net-1"),
        (b"\x00\x1d", ""),
        (b"\0\0", ""),
        (b"y" * 65, "y" * 65),
        (b"y" * 65 + b"\0", "y" * 65),
        (b"y" * 255 + b"\0", "y" * 255),
        (b"y" * 255, "y" * 255),
        (b"y" * 256, None),
        (b"y" * 256 + b"\0", None),
        (b"\x1f", None),
        (b"\x04\x27\x00\x01\x02" + b"z" * 65, None),
    ],
)
def test_an_answer_that_is_not_by_the_book_ends_nothing_and_takes_no_id_from_its_neighbour(
    body: bytes, identity: str | None
) -> None:
    esme = bound_esme()
    esme.ask(Command.SUBMIT_SM, short_message(), "first", 0.0)
    esme.ask(Command.SUBMIT_SM, short_message(), "second", 0.0)
    stream = pdu(SUBMIT_ANSWER, 2, body) + pdu(SUBMIT_ANSWER, 3, b"net-2\0")
    first, second = esme.receive(stream, 0.0)
    # What cannot be read may have been taken on: it is in doubt, never refused, and no other is.
    wanted = (
        UnreadableResponse("first") if identity is None else PeerResponse("first", Status.OK, MessageResponse(identity))
    )
    assert (first, second) == (wanted, PeerResponse("second", Status.OK, MessageResponse("net-2")))
    assert esme.window_room == esme.limits.window


answer_bodies = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda a, b, c: a + b + c, st.sampled_from([b"", b"net-1", b"i" * 64, b"i" * 65, b"i" * 255, b"i" * 256]),
              st.sampled_from([b"", b"\0", b"\0\0"]), st.binary(max_size=12)),
)  # fmt: skip


@given(st.lists(st.tuples(answer_bodies, st.sampled_from([0, 0x58, 0x0B, 0x400])), min_size=1, max_size=5), st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_answers_look_like_each_request_has_its_own_and_the_session_goes_on(
    bodies: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    esme = bound_esme()
    for number in range(len(bodies)):
        esme.ask(Command.SUBMIT_SM, short_message(), number, 0.0)
    stream = b"".join(pdu(SUBMIT_ANSWER, 2 + n, body, status=status) for n, (body, status) in enumerate(bodies))
    cut = data.draw(st.integers(0, len(stream)))
    heard = esme.receive(stream[:cut], 0.0) + esme.receive(stream[cut:], 0.0)
    assert [event.context for event in heard] == list(range(len(bodies)))
    for event, (body, status) in zip(heard, bodies, strict=True):
        if status:
            assert event == PeerResponse(event.context, status, MessageResponse())
        elif isinstance(event, PeerResponse):
            assert body.startswith(event.body.message_id.encode("latin-1"))
            assert "\0" not in event.body.message_id
            assert len(event.body.message_id) <= 255
        else:
            assert isinstance(event, UnreadableResponse)
            assert b"\0" not in body[:1] and body
    assert esme.receive(pdu(0x15, 1, b""), 0.0) == []
    assert answers(esme)[-1] == (0x15 | RESPONSE, 0, 1)


@pytest.mark.parametrize("body", [b"", b"\0", b"x\0\0", b"x" * 300, b"\x02"])
def test_who_takes_a_message_from_us_has_it_whatever_it_writes_behind(body: bytes) -> None:
    centre = bound_centre()
    for status in (0, 0x58):
        centre.ask(Command.DELIVER_SM, short_message(), "mine", 0.0)
        sequence = answers(centre)[-1][2]
        [answered] = centre.receive(pdu(DELIVER | RESPONSE, sequence, body, status=status), 0.0)
        assert (answered.context, answered.status) == ("mine", status)
        assert isinstance(answered.body, MessageResponse)


DATA = b"CMT\0\x01\x014790000001\0\x05\x00Shop\0\x04\x01\x08"


def test_data_sm_of_a_network_is_read_and_answered_and_one_cut_anywhere_is_refused() -> None:
    whole = DATA + parameter(0x0424, b"hei") + parameter(0x001E, b"net-1\0")
    esme = bound_esme()
    [request] = esme.receive(pdu(0x103, 1, whole), 0.0)
    assert request.body == ShortMessage(
        "4790000001", "Shop", data_coding=8, esm_class=4, registered_delivery=1, source_ton=1, source_npi=1,
        destination_ton=5, service_type="CMT", tlvs=((0x0424, b"hei"), (0x001E, b"net-1\0")),
    )  # fmt: skip
    esme.answer(request, Status.OK, MessageResponse())
    assert answers(esme)[-1] == (0x80000103, 0, 1)
    readable = {len(DATA), len(DATA) + 7, len(whole)}
    for cut in range(len(whole) + 1):
        esme = bound_esme()
        heard = esme.receive(pdu(0x103, 1, whole[:cut]) + pdu(0x103, 2, whole), 0.0)
        assert heard[-1] == Request(0x103, 2, request.body)
        assert len(heard) == (2 if cut in readable else 1), cut
        assert answers(esme) == ([] if cut in readable else [(0x80000103, CUT, 1)]), cut


def test_data_sm_of_an_account_is_a_command_that_we_do_not_speak() -> None:
    centre = bound_centre()
    assert centre.receive(pdu(0x103, 1, DATA), 0.0) == []
    assert answers(centre)[-1] == (RESPONSE, Status.INVALID_COMMAND_ID, 1)


@pytest.mark.parametrize("body", [b"partner", b"partner\0\0", b"p" * 300, b"\x02", b""])
def test_a_bind_is_bound_by_its_status_whatever_the_partner_calls_itself(body: bytes) -> None:
    for status in (0, 0x0D):
        esme = Session(Side.ESME, Limits(), 0.0)
        esme.bind(Command.BIND_TRANSCEIVER, Bind("us"), 0.0)
        [answered] = esme.receive(pdu(BIND | RESPONSE, 1, body, status=status), 0.0)
        assert (answered.status, isinstance(answered.body, BindResponse)) == (status, True)
        assert esme.may_ask(Command.SUBMIT_SM) is (status == 0)


def test_an_answer_without_a_body_takes_none_from_its_neighbour() -> None:
    esme = bound_esme()
    esme.ask(Command.SUBMIT_SM, short_message(), "first", 0.0)
    esme.ask(Command.SUBMIT_SM, short_message(), "second", 0.0)
    stream = pdu(SUBMIT_ANSWER, 2, b"", status=0x58) + pdu(SUBMIT_ANSWER, 3, b"net-2\0")
    assert esme.receive(stream, 0.0) == [
        PeerResponse("first", Status.THROTTLED, MessageResponse("")),
        PeerResponse("second", Status.OK, MessageResponse("net-2")),
    ]


lengths = st.one_of(st.none(), st.integers(0, 255))
written = st.builds(
    short_message,
    st.binary(max_size=30),
    service_type=st.sampled_from([b"", b"CMT", b"123456"]),
    source=st.sampled_from([b"\0\0", b"\x05\0Shop", b"\x05\x00" + b"x" * 65]),
    destination=st.sampled_from([b"\x01\x014790000001", b"\x01", b"\0\x01" + b"4" * 64]),
    validity=st.sampled_from([b"", b"000001000000000R", b"0" * 17]),
    sm_length=lengths,
    parameters=st.lists(
        st.builds(parameter, st.integers(0, 0xFFFF), st.binary(max_size=8), length=st.none() | st.integers(0, 400)),
        max_size=3,
    ).map(b"".join),
)
streams = st.lists(
    st.builds(
        lambda body, shift: (body, shift),
        written,
        st.one_of(st.just(0), st.integers(-40, 40), st.integers(0, 400)),
    ),
    min_size=1,
    max_size=4,
)


@given(streams, st.data())
@settings(max_examples=120, deadline=None)
def test_whatever_lies_a_stream_tells_each_message_is_read_from_its_own_octets(
    lies: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    stream = b"".join(
        pdu(SUBMIT, 100 + number, body, length=max(16 + len(body) + shift, 0))
        for number, (body, shift) in enumerate(lies)
    )
    stream += NEIGHBOUR
    cut = data.draw(st.integers(0, len(stream)))
    centre = bound_centre()
    heard = messages(centre.receive(stream[:cut], 0.0)) + messages(centre.receive(stream[cut:], 0.0))
    assert heard == read_stream(stream)


octet = st.integers(0, 255)


def strings(octets_max: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=octets_max)


@given(
    st.tuples(strings(5), strings(20), strings(20), strings(16), strings(16)),
    st.lists(octet, min_size=11, max_size=11),
    st.binary(max_size=254),
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=3).map(tuple),
)
@settings(max_examples=60, deadline=None)
def test_each_field_stands_where_the_book_puts_it(texts, octets, text: bytes, tlvs) -> None:
    service_type, source, destination, schedule, validity = texts
    a, b, c, d, e, f, g, h, i, j, k = octets
    message = ShortMessage(
        service_type=service_type, source_ton=a, source_npi=b, source=source, destination_ton=c, destination_npi=d,
        destination=destination, esm_class=e, protocol_id=f, priority=g, schedule=schedule, validity=validity,
        registered_delivery=h, replace_if_present=i, data_coding=j, default_message_id=k, octets=text, tlvs=tlvs,
    )  # fmt: skip
    body = short_message(
        text,
        service_type=service_type.encode("latin-1"),
        source=bytes((a, b)) + source.encode("latin-1"),
        destination=bytes((c, d)) + destination.encode("latin-1"),
        kind=bytes((e, f, g)),
        schedule=schedule.encode("latin-1"),
        validity=validity.encode("latin-1"),
        rest=bytes((h, i, j, k)),
        parameters=b"".join(parameter(tag, value) for tag, value in tlvs),
    )
    assert encode_body(message) == body
    assert decode_body(SUBMIT, body) == decode_body(DELIVER, body) == message
    assert encode(Pdu(SUBMIT, 0, 7, message)) == pdu(SUBMIT, 7, body)


def test_a_foreign_codec_reads_each_field_as_we_wrote_it() -> None:
    message = ShortMessage(
        service_type="CMT", source_ton=5, source_npi=9, source="Shop", destination_ton=1, destination_npi=2,
        destination="4790000001", esm_class=0x40, protocol_id=11, priority=3, schedule="000000010000000R",
        validity="000001000000000R", registered_delivery=1, replace_if_present=12, data_coding=8,
        default_message_id=13, octets=b"\x05\0\x03abc\0\x01", tlvs=((0x0204, b"\x01\x02"), (0x1400, b"")),
    )  # fmt: skip
    for command in (SUBMIT, DELIVER):
        theirs = smpp34.decode(encode(Pdu(command, 0, 42, message)))
        assert (theirs.command_id, theirs.sequence_number) == (command, 42)
        assert [
            theirs.service_type, theirs.source_addr_ton, theirs.source_addr_npi, theirs.source_addr,
            theirs.dest_addr_ton, theirs.dest_addr_npi, theirs.destination_addr, theirs.esm_class, theirs.protocol_id,
            theirs.priority_flag, theirs.schedule_delivery_time, theirs.validity_period, theirs.registered_delivery,
            theirs.replace_if_present_flag, theirs.data_coding, theirs.sm_default_msg_id, theirs.short_message,
        ] == [
            "CMT", 5, 9, "Shop", 1, 2, "4790000001", 0x40, 11, 3, "000000010000000R", "000001000000000R", 1, 12, 8, 13,
            message.octets,
        ]  # fmt: skip
        assert [(each.tag, each.value) for each in theirs.tlvs] == list(message.tlvs)


@given(st.tuples(strings(15), strings(32), strings(12), strings(40)), st.tuples(octet, octet, octet))
@settings(max_examples=20, deadline=None)
def test_a_bind_stands_where_the_book_puts_it(texts: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    system_id, password, system_type, address_range = texts
    body = b"".join((
        b"".join(text.encode("latin-1") + b"\0" for text in (system_id, password, system_type)),
        bytes(numbers),
        address_range.encode("latin-1") + b"\0",
    ))  # fmt: skip
    bind = Bind(system_id, password, system_type, *numbers, address_range)
    assert encode_body(bind) == body
    for command in (1, 2, 9):
        assert decode_body(command, body) == bind


FIELDS = [
    # field, what decoding takes, what encoding takes, how a body has it
    ("service_type", 5, 5, lambda x: {"service_type": x}),
    ("source", 64, 20, lambda x: {"source": b"\0\0" + x}),
    ("destination", 64, 20, lambda x: {"destination": b"\0\0" + x}),
    ("schedule", 16, 16, lambda x: {"schedule": x}),
    ("validity", 16, 16, lambda x: {"validity": x}),
]


@pytest.mark.parametrize(("field", "read_max", "written_max", "placed"), FIELDS, ids=[each[0] for each in FIELDS])
def test_strings_have_their_limits(field: str, read_max: int, written_max: int, placed) -> None:
    read = decode_body(SUBMIT, short_message(**placed(b"\n" * read_max)))
    assert getattr(read, field) == "\n" * read_max
    with pytest.raises(MalformedPdu) as refused:
        decode_body(SUBMIT, short_message(**placed(b"x" * (read_max + 1))))
    assert refused.value.status == Status.INVALID_COMMAND_LENGTH
    encode_body(ShortMessage(**{field: "x" * written_max}))
    for wrong in ("x" * (written_max + 1), "x\0"):
        with pytest.raises(LocalProtocolError):
            encode_body(ShortMessage(**{field: wrong}))


@pytest.mark.parametrize(
    ("field", "read_max", "written_max"),
    [("system_id", 32, 15), ("password", 32, 32), ("system_type", 12, 12), ("address_range", 40, 40)],
)
def test_strings_of_a_bind_have_their_limits(field: str, read_max: int, written_max: int) -> None:
    def body(value: bytes) -> bytes:
        of = {"system_id": b"", "password": b"", "system_type": b"", "address_range": b"", field: value}
        return b"%b\0%b\0%b\0\n\n\n%b\0" % tuple(of.values())

    assert getattr(decode_body(BIND, body(b"\n" * read_max)), field) == "\n" * read_max
    with pytest.raises(MalformedPdu):
        decode_body(BIND, body(b"x" * (read_max + 1)))
    encode_body(Bind(**{field: "x" * written_max}))
    for wrong in ("x" * (written_max + 1), "x\0"):
        with pytest.raises(LocalProtocolError):
            encode_body(Bind(**{field: wrong}))


@pytest.mark.parametrize("command", [SUBMIT_ANSWER, DELIVER | RESPONSE, 0x80000001, 0x80000002, 0x80000009])
def test_ids_of_answers_have_their_limit(command: int) -> None:
    kind = MessageResponse if command in (SUBMIT_ANSWER, DELIVER | RESPONSE) else BindResponse
    whole = kind("\n" * 64, ((0x1400, b"x"),))
    assert encode_body(whole) == b"\n" * 64 + b"\0" + parameter(0x1400, b"x")
    assert decode_body(command, encode_body(whole)) == whole
    assert decode_body(command, b"") == kind("", ())
    with pytest.raises(MalformedPdu):
        decode_body(command, b"x" * 65 + b"\0")
    for wrong in ("x" * 65, "x\0"):
        with pytest.raises(LocalProtocolError):
            encode_body(kind(wrong))


def test_short_message_and_parameters_have_their_limits() -> None:
    assert TLVS_MAX == 64
    assert len(decode_body(SUBMIT, short_message(parameters=parameter(0x1400, b"") * 64)).tlvs) == 64
    with pytest.raises(MalformedPdu):
        decode_body(SUBMIT, short_message(parameters=parameter(0x1400, b"") * 65))
    # 254 by the book (5.2.21); the field could say 255, and what is told of is then there.
    assert encode_body(ShortMessage(octets=b"x" * 254)).endswith(b"\xfe" + b"x" * 254)
    with pytest.raises(LocalProtocolError):
        encode_body(ShortMessage(octets=b"x" * 255))
    with pytest.raises(LocalProtocolError):
        encode_body(ShortMessage(tlvs=((0x1_0000, b""),)))


def test_a_pdu_alone_is_as_long_as_it_says() -> None:
    whole = pdu(0x15, 1, b"")
    assert decode(whole) == Pdu(0x15, 0, 1)
    for wrong in (whole[:15], b"", whole + b"\0", pdu(0x15, 1, b"", length=15)):
        with pytest.raises(RemoteProtocolError):
            decode(wrong)


def test_numbers_are_those_of_a_foreign_implementation() -> None:
    for command in Command:
        assert command.value == smpplib.command_codes.commands[command.name.lower()]
    theirs = {
        "OK": "ROK", "INVALID_MESSAGE_LENGTH": "RINVMSGLEN", "INVALID_COMMAND_LENGTH": "RINVCMDLEN",
        "INVALID_COMMAND_ID": "RINVCMDID", "INVALID_BIND_STATUS": "RINVBNDSTS", "ALREADY_BOUND": "RALYBND",
        "SYSTEM_ERROR": "RSYSERR", "INVALID_SOURCE": "RINVSRCADR", "INVALID_DESTINATION": "RINVDSTADR",
        "BIND_FAILED": "RBINDFAIL", "INVALID_PASSWORD": "RINVPASWD",
        "QUEUE_FULL": "RMSGQFUL", "INVALID_ESM_CLASS": "RINVESMCLASS", "SUBMIT_FAILED": "RSUBMITFAIL",
        "THROTTLED": "RTHROTTLED", "INVALID_SCHEDULE": "RINVSCHED", "INVALID_VALIDITY": "RINVEXPIRY",
        "INVALID_SOURCE_TON": "RINVSRCTON", "INVALID_DESTINATION_TON": "RINVDSTTON",
        "INVALID_REPLACE_FLAG": "RINVREPFLAG", "INVALID_DEFAULT_MESSAGE": "RINVDFTMSGID",
        "TEMPORARY_APPLICATION_ERROR": "RX_T_APPN", "PERMANENT_APPLICATION_ERROR": "RX_P_APPN",
    }  # fmt: skip
    assert {ours: Status[ours].value for ours in theirs} == {
        ours: getattr(smpplib.consts, f"SMPP_ESME_{name}") for ours, name in theirs.items()
    }
    tags = {
        "RECEIPTED_MESSAGE_ID": "receipted_message_id", "USER_MESSAGE_REFERENCE": "user_message_reference",
        "SAR_REFERENCE": "sar_msg_ref_num", "SAR_TOTAL": "sar_total_segments", "SAR_SEQUENCE": "sar_segment_seqnum",
        "SC_INTERFACE_VERSION": "sc_interface_version", "MESSAGE_PAYLOAD": "message_payload",
        "NETWORK_ERROR_CODE": "network_error_code", "MESSAGE_STATE": "message_state",
    }  # fmt: skip
    assert {ours: getattr(Tag, ours) for ours in tags} == {
        ours: smpplib.command.get_optional_code(name) for ours, name in tags.items()
    }
