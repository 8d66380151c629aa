"""The PDU: header and body, bytes to values and back.

A body's grammar is one regular expression: the C library of `re` walks the octets, and each field's limit stands where
the field stands. Strings are latin-1 so that every octet survives the way in and out. Section numbers are those of the
SMPP 3.4 specification.
"""

import re
import struct
from enum import IntEnum

import msgspec

from prikkfri.errors import LocalProtocolError, RemoteProtocolError

HEADER = struct.Struct(">IIII")
RESPONSE = 0x80000000

Tlv = tuple[int, bytes]


class Command(IntEnum):
    """The commands that we speak (5.1.2.1); any other is answered with `generic_nack`."""

    BIND_RECEIVER = 0x01
    BIND_TRANSMITTER = 0x02
    SUBMIT_SM = 0x04
    DELIVER_SM = 0x05
    UNBIND = 0x06
    BIND_TRANSCEIVER = 0x09
    ENQUIRE_LINK = 0x15
    DATA_SM = 0x103
    GENERIC_NACK = 0x80000000
    BIND_RECEIVER_RESP = 0x80000001
    BIND_TRANSMITTER_RESP = 0x80000002
    SUBMIT_SM_RESP = 0x80000004
    DELIVER_SM_RESP = 0x80000005
    UNBIND_RESP = 0x80000006
    BIND_TRANSCEIVER_RESP = 0x80000009
    ENQUIRE_LINK_RESP = 0x80000015
    DATA_SM_RESP = 0x80000103


BINDS = frozenset({Command.BIND_RECEIVER, Command.BIND_TRANSMITTER, Command.BIND_TRANSCEIVER})


class Status(IntEnum):
    """The command statuses that we send or look for (5.1.3)."""

    OK = 0x00
    INVALID_MESSAGE_LENGTH = 0x01
    INVALID_COMMAND_LENGTH = 0x02
    INVALID_COMMAND_ID = 0x03
    INVALID_BIND_STATUS = 0x04
    ALREADY_BOUND = 0x05
    SYSTEM_ERROR = 0x08
    INVALID_SOURCE = 0x0A
    INVALID_DESTINATION = 0x0B
    BIND_FAILED = 0x0D
    INVALID_PASSWORD = 0x0E
    QUEUE_FULL = 0x14
    INVALID_ESM_CLASS = 0x43
    SUBMIT_FAILED = 0x45
    INVALID_SOURCE_TON = 0x48
    INVALID_DESTINATION_TON = 0x50
    INVALID_REPLACE_FLAG = 0x54
    THROTTLED = 0x58
    INVALID_SCHEDULE = 0x61
    INVALID_VALIDITY = 0x62
    INVALID_DEFAULT_MESSAGE = 0x63
    TEMPORARY_APPLICATION_ERROR = 0x64
    PERMANENT_APPLICATION_ERROR = 0x65


class Tag:
    """The optional parameters that we read or write (5.3.2); others are carried as they are. Plain numbers: Python 3.11
    asks two methods for a member of an enum, and each message is looked through for several."""

    RECEIPTED_MESSAGE_ID = 0x001E
    USER_MESSAGE_REFERENCE = 0x0204
    SAR_REFERENCE = 0x020C
    SAR_TOTAL = 0x020E
    SAR_SEQUENCE = 0x020F
    SC_INTERFACE_VERSION = 0x0210
    NETWORK_ERROR_CODE = 0x0423
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


class Bind(msgspec.Struct, frozen=True, gc=False):
    """Body of the three bind requests (4.1)."""

    system_id: str = ""
    password: str = ""
    system_type: str = ""
    interface_version: int = 0x34
    address_ton: int = 0
    address_npi: int = 0
    address_range: str = ""

    def __repr__(self) -> str:
        return f"Bind(system_id={self.system_id!r})"  # a password never reaches a log by way of repr


class BindResponse(msgspec.Struct, frozen=True, gc=False):
    system_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class ShortMessage(msgspec.Struct, frozen=True, gc=False):
    """Body of `submit_sm` (4.4) and `deliver_sm` (4.6), which are alike, and of `data_sm` (4.7), which has less."""

    source: str = ""
    destination: str = ""
    octets: bytes = b""
    data_coding: int = 0
    esm_class: int = 0
    registered_delivery: int = 0
    source_ton: int = 0
    source_npi: int = 0
    destination_ton: int = 0
    destination_npi: int = 0
    service_type: str = ""
    protocol_id: int = 0
    priority: int = 0
    schedule: str = ""
    validity: str = ""
    replace_if_present: int = 0
    default_message_id: int = 0
    tlvs: tuple[Tlv, ...] = ()

    def tlv(self, tag: int) -> bytes | None:
        """The first optional parameter of that tag, None when absent."""
        for found, value in self.tlvs:
            if found == tag:
                return value
        return None

    def __repr__(self) -> str:
        return f"ShortMessage(data_coding={self.data_coding}, octets={len(self.octets)})"  # no body, no number


class MessageResponse(msgspec.Struct, frozen=True, gc=False):
    """Body of `submit_sm_resp`, `deliver_sm_resp` and `data_sm_resp`; the id is empty in the latter and in refusals."""

    message_id: str = ""
    tlvs: tuple[Tlv, ...] = ()


class Nothing(msgspec.Struct, frozen=True, gc=False):
    """The body of PDUs that are a header alone."""


Body = Bind | BindResponse | ShortMessage | MessageResponse | Nothing
NOTHING = Nothing()


class Pdu(msgspec.Struct, frozen=True, gc=False):
    command: int
    status: int
    sequence: int
    body: Body = NOTHING


class MalformedPdu(RemoteProtocolError):
    """A PDU whose body does not parse; `status` is what to answer with."""

    def __init__(self, text: str, status: Status = Status.INVALID_COMMAND_LENGTH) -> None:
        super().__init__(text)
        self.status = status


_BIND = re.compile(
    rb"([^\0]{0,32})\0"  # system_id: 15 by the book, more in the wild
    rb"([^\0]{0,32})\0"  # password: 8 by the book
    rb"([^\0]{0,12})\0"  # system_type
    rb"(...)"  # interface_version, addr_ton, addr_npi
    rb"([^\0]{0,40})\0",  # address_range
    re.DOTALL,
)
_ANSWER = re.compile(rb"([^\0]{0,64})\0", re.DOTALL)  # system_id or message_id
SHORT_MESSAGE_OCTETS_MAX = 254
ID_OCTETS_MAX = 255
"""Of an id that a partner gave; 64 by the book."""
_WRITTEN_ID = re.compile(rb"([^\0-\x1f]{0,%d})(\Z|[\0-\x1f])" % ID_OCTETS_MAX, re.DOTALL)
_SHORT_MESSAGE = re.compile(
    rb"([^\0]{0,5})\0"  # service_type
    rb"(..)([^\0]{0,64})\0"  # source: 20 by the book; the domain refuses longer ones by their own status
    rb"(..)([^\0]{0,64})\0"  # destination
    rb"(...)"  # esm_class, protocol_id, priority_flag
    rb"([^\0]{0,16})\0"  # schedule_delivery_time
    rb"([^\0]{0,16})\0"  # validity_period
    rb"(.....)",  # registered_delivery, replace_if_present, data_coding, sm_default_msg_id, sm_length
    re.DOTALL,
)
_DATA = re.compile(
    rb"([^\0]{0,5})\0"  # service_type
    rb"(..)([^\0]{0,64})\0"  # source
    rb"(..)([^\0]{0,64})\0"  # destination
    rb"(...)",  # esm_class, registered_delivery, data_coding
    re.DOTALL,
)
_TLV_HEADER = struct.Struct(">HH")
TLVS_MAX = 64


def decode_tlvs(octets: bytes, start: int, end: int) -> tuple[Tlv, ...]:
    """Raises MalformedPdu when the parameters do not fill the space exactly, or are more than TLVS_MAX."""
    found: list[Tlv] = []
    while start < end:
        if start + 4 > end or len(found) == TLVS_MAX:
            raise MalformedPdu("optional parameters cut short, or too many")
        tag, length = _TLV_HEADER.unpack_from(octets, start)
        start += 4 + length
        if start > end:
            raise MalformedPdu("optional parameter longer than its PDU")
        found.append((tag, octets[start - length : start]))
    return tuple(found)


def _decode_short_message(octets: bytes, start: int, end: int) -> ShortMessage:
    match = _SHORT_MESSAGE.match(octets, start, end)
    if match is None:
        raise MalformedPdu("short message fields cut short, or too long")
    service, from_kind, source, to_kind, destination, kind, schedule, validity, tail = match.groups()
    registered, replace, coding, default_id, length = tail
    start = match.end()
    stop = start + length
    if stop > end:
        raise MalformedPdu("sm_length beyond the PDU", Status.INVALID_MESSAGE_LENGTH)
    return ShortMessage(
        source.decode("latin-1"),
        destination.decode("latin-1"),
        octets[start:stop],
        coding,
        kind[0],
        registered,
        from_kind[0],
        from_kind[1],
        to_kind[0],
        to_kind[1],
        service.decode("latin-1"),
        kind[1],
        kind[2],
        schedule.decode("latin-1"),
        validity.decode("latin-1"),
        replace,
        default_id,
        decode_tlvs(octets, stop, end) if stop < end else (),
    )


def _decode_data(octets: bytes, start: int, end: int) -> ShortMessage:
    match = _DATA.match(octets, start, end)
    if match is None:
        raise MalformedPdu("data_sm fields cut short, or too long")
    service, from_kind, source, to_kind, destination, (esm_class, registered, coding) = match.groups()
    return ShortMessage(
        source.decode("latin-1"),
        destination.decode("latin-1"),
        b"",
        coding,
        esm_class,
        registered,
        from_kind[0],
        from_kind[1],
        to_kind[0],
        to_kind[1],
        service.decode("latin-1"),
        tlvs=decode_tlvs(octets, match.end(), end),
    )


def _decode_bind(octets: bytes, start: int, end: int) -> Bind:
    match = _BIND.match(octets, start, end)
    if match is None:
        raise MalformedPdu("bind fields cut short, or too long")
    system_id, password, system_type, (version, ton, npi), address_range = match.groups()
    return Bind(
        system_id.decode("latin-1"),
        password.decode("latin-1"),
        system_type.decode("latin-1"),
        version,
        ton,
        npi,
        address_range.decode("latin-1"),
    )


def _decode_answer(octets: bytes, start: int, end: int) -> tuple[str, tuple[Tlv, ...]]:
    if start == end:  # many peers leave the body out when they refuse, as 4.4.2 allows
        return "", ()
    if octets.find(0, start, end) == end - 1 <= start + 64:  # nothing but an id
        return octets[start : end - 1].decode("latin-1"), ()
    match = _ANSWER.match(octets, start, end)
    if match is None:
        raise MalformedPdu("answer cut short, or too long")
    return match[1].decode("latin-1"), decode_tlvs(octets, match.end(), end)


_BIND_ANSWERS = frozenset(command | RESPONSE for command in BINDS)
_OK = int(Status.OK)
_SHORT_MESSAGES = frozenset({Command.SUBMIT_SM, Command.DELIVER_SM})
_MESSAGE_ANSWERS = frozenset({Command.SUBMIT_SM_RESP, Command.DELIVER_SM_RESP, Command.DATA_SM_RESP})


def decode_body(command: int, octets: bytes, start: int = 0, end: int | None = None) -> Body:
    """The body of a known command in `octets[start:end]`. Raises MalformedPdu and nothing else."""
    if end is None:
        end = len(octets)
    if command in _SHORT_MESSAGES:
        return _decode_short_message(octets, start, end)
    if command in _MESSAGE_ANSWERS:
        return MessageResponse(*_decode_answer(octets, start, end))
    if command == Command.DATA_SM:
        return _decode_data(octets, start, end)
    if command in BINDS:
        return _decode_bind(octets, start, end)
    if command in _BIND_ANSWERS:
        return BindResponse(*_decode_answer(octets, start, end))
    return NOTHING


def read_response(command: int, status: int, octets: bytes, start: int, end: int) -> Body | None:
    """The body of an answer to us, whatever its peer makes of the book; None when it says yes and not what its id is.

    A refusal says all by its status. Of what was taken on the id is read as far as it goes: partners write it without
    its NUL, with two, longer than the book allows, or with optional parameters that are cut behind it.
    """
    empty = (
        MessageResponse() if command in _MESSAGE_ANSWERS else BindResponse() if command in _BIND_ANSWERS else NOTHING
    )
    if status != _OK or empty is NOTHING:
        return empty
    try:
        return decode_body(command, octets, start, end)
    except MalformedPdu:
        found = _WRITTEN_ID.match(octets[start:end])
    if found is not None and (found[1] or found[2] == b"\0"):
        return type(empty)(found[1].decode("latin-1"))
    return None if command == Command.SUBMIT_SM_RESP else empty  # no other answer brings an id that we need


def decode(octets: bytes) -> Pdu:
    """One whole PDU. Raises RemoteProtocolError."""
    if len(octets) < HEADER.size:
        raise RemoteProtocolError("shorter than a header")
    length, command, status, sequence = HEADER.unpack_from(octets)
    if length != len(octets):
        raise RemoteProtocolError("command_length is not the length")
    return Pdu(command, status, sequence, decode_body(command, octets, HEADER.size))


def _encode_tlvs(tlvs: tuple[Tlv, ...]) -> bytes:
    octets = b""
    for tag, value in tlvs:
        octets += _TLV_HEADER.pack(tag, len(value)) + value
    return octets


def _require(fits: bool, text: str) -> None:
    if not fits:
        raise LocalProtocolError(text)


def _encode_short_message(message: ShortMessage) -> bytes:
    source, destination = message.source, message.destination
    service_type, schedule, validity, octets = message.service_type, message.schedule, message.validity, message.octets
    if "\0" in source + destination + service_type + schedule + validity:
        raise LocalProtocolError("NUL inside a string")
    if len(source) > 20 or len(destination) > 20:
        raise LocalProtocolError("address longer than 20 octets")
    if len(service_type) > 5:
        raise LocalProtocolError("service_type longer than 5 octets")
    if len(schedule) > 16 or len(validity) > 16:
        raise LocalProtocolError("time longer than 16 octets")
    if len(octets) > SHORT_MESSAGE_OCTETS_MAX:
        raise LocalProtocolError("short_message longer than 254 octets: use message_payload")
    fields = "%s\0%c%c%s\0%c%c%s\0%c%c%c%s\0%s\0%c%c%c%c%c" % (  # noqa: UP031 (octets by their numbers)
        service_type,
        message.source_ton,
        message.source_npi,
        source,
        message.destination_ton,
        message.destination_npi,
        destination,
        message.esm_class,
        message.protocol_id,
        message.priority,
        schedule,
        validity,
        message.registered_delivery,
        message.replace_if_present,
        message.data_coding,
        message.default_message_id,
        len(octets),
    )
    body = fields.encode("latin-1") + octets
    return body + _encode_tlvs(message.tlvs) if message.tlvs else body


def _encode_answer(identity: str, tlvs: tuple[Tlv, ...]) -> bytes:
    _require(len(identity) <= 64 and "\0" not in identity, "identity too long, or NUL inside")
    written = identity.encode("latin-1") + b"\0"
    return written + _encode_tlvs(tlvs) if tlvs else written


def _encode_bind(bind: Bind) -> bytes:
    strings = (bind.system_id, bind.password, bind.system_type, bind.address_range)
    _require("\0" not in "".join(strings), "NUL inside a string")
    for value, octets_max in zip(strings, (15, 32, 12, 40), strict=True):
        _require(len(value) <= octets_max, f"a bind field is longer than {octets_max} octets")
    return b"%b\0%b\0%b\0%c%c%c%b\0" % (
        bind.system_id.encode("latin-1"),
        bind.password.encode("latin-1"),
        bind.system_type.encode("latin-1"),
        bind.interface_version,
        bind.address_ton,
        bind.address_npi,
        bind.address_range.encode("latin-1"),
    )


def encode_body(body: Body) -> bytes:
    """Raises LocalProtocolError when a field does not fit."""
    try:
        if type(body) is ShortMessage:  # not `isinstance`: that a struct is none of several kinds is slow to find out
            return _encode_short_message(body)
        if type(body) is MessageResponse:
            return _encode_answer(body.message_id, body.tlvs)
        if isinstance(body, BindResponse):
            return _encode_answer(body.system_id, body.tlvs)
        if isinstance(body, Bind):
            return _encode_bind(body)
        return b""
    except (ValueError, OverflowError, struct.error) as error:
        raise LocalProtocolError(f"a field does not fit: {error.__class__.__name__}") from None


def encode(pdu: Pdu) -> bytes:
    """Raises LocalProtocolError when a field does not fit."""
    body = encode_body(pdu.body)
    return HEADER.pack(HEADER.size + len(body), pdu.command, pdu.status, pdu.sequence) + body
