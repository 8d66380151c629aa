"""A `submit_sm` or `deliver_sm` as whoever gets it will read it: what is about to be written is read back by this.

Nothing stands here that writes PDUs, or that reads those that come (import-linter holds that): what these get wrong, by
a fault or in memory, shows. Section numbers are those of the SMPP 3.4 specification, issue 1.2.
"""

import re
from typing import NamedTuple

import msgspec

_HEADER_OCTETS = 16
_FIELDS = re.compile(
    rb"([^\0]*)\0"  # service_type
    rb"(..)([^\0]*)\0"  # type of number and numbering plan, source
    rb"(..)([^\0]*)\0"  # and destination
    rb"(...)"  # esm_class, protocol_id, priority_flag
    rb"([^\0]*)\0([^\0]*)\0"  # schedule_delivery_time, validity_period
    rb"(.....)",  # registered_delivery, replace_if_present, data_coding, sm_default_msg_id, sm_length
    re.DOTALL,
)
_HEADER_BIT = 0x40
_MESSAGE_PAYLOAD = 0x0424
_SAR = (0x020C, 0x020E, 0x020F)
_OF_TEXT = frozenset((_MESSAGE_PAYLOAD, *_SAR))


class DecodedPdu(msgspec.Struct, frozen=True, gc=False):
    """What a PDU says (4.4.1, 4.6.1)."""

    command: int
    status: int
    sequence: int
    service_type: bytes
    source_kind: tuple[int, int]
    """Type of number and numbering plan."""
    source: bytes
    destination_kind: tuple[int, int]
    destination: bytes
    esm_class: int
    protocol_id: int
    priority: int
    schedule: bytes
    validity: bytes
    registered: int
    replaces: int
    coding: int
    default_id: int
    octets: bytes
    parameters: tuple[tuple[int, bytes], ...]


class Text(NamedTuple):
    """What a phone makes of a message: the same however it travels."""

    octets: bytes
    """Without a header."""
    part: tuple[int, int, int] | None
    """Reference, how many there are, and which of them it is; None: it is whole."""
    further: tuple[tuple[int, bytes], ...]
    """Other elements of its header."""


def read(pdu: bytes) -> DecodedPdu | None:
    """None: it is no whole PDU of that kind, and nothing else."""
    found = _FIELDS.match(pdu, _HEADER_OCTETS)
    if found is None:
        return None
    number = int.from_bytes
    service_type, source_kind, source, destination_kind, destination, kind, schedule, validity, tail = found.groups()
    registered, replaces, coding, default_id, octets = tail
    start = found.end()
    end = start + octets
    parameters = _parameters(pdu, end)
    if number(pdu[:4]) != len(pdu) or parameters is None:
        return None
    return DecodedPdu(
        number(pdu[4:8]), number(pdu[8:12]), number(pdu[12:16]), service_type, (source_kind[0], source_kind[1]), source,
        (destination_kind[0], destination_kind[1]), destination, kind[0], kind[1], kind[2], schedule, validity,
        registered, replaces, coding, default_id, pdu[start:end], parameters,
    )  # fmt: skip


def _parameters(octets: bytes, at: int) -> tuple[tuple[int, bytes], ...] | None:
    """None: they, or what is before them, do not end with the PDU."""
    found, last = [], len(octets)
    while at + 4 <= last:
        start = at + 4
        tag, at = int.from_bytes(octets[at : at + 2]), start + int.from_bytes(octets[at + 2 : start])
        found.append((tag, octets[start:at]))
    return tuple(found) if at == last else None


def text_of(esm_class: int, octets: bytes, parameters: tuple[tuple[int, bytes], ...]) -> Text:
    """5.3.2.22, 5.3.2.32; 3GPP TS 23.040, 9.2.3.24. A header that is cut short is part of the text."""
    named = dict(reversed(parameters))
    octets = octets or named.get(_MESSAGE_PAYLOAD, b"")
    if esm_class & _HEADER_BIT:
        return _behind_header(octets)
    reference, total, number = (named.get(tag, b"") for tag in _SAR)
    if (len(reference), len(total), len(number)) == (2, 1, 1):
        return Text(octets, (int.from_bytes(reference), total[0], number[0]), ())
    return Text(octets, None, ())


def _behind_header(octets: bytes) -> Text:
    if not octets or octets[0] >= len(octets):
        return Text(octets, None, ())
    end, at = octets[0] + 1, 1
    part, further = None, []
    while at < end:
        if at + 2 > end or at + 2 + octets[at + 1] > end:
            return Text(octets, None, ())
        kind, value = octets[at], octets[at + 2 : at + 2 + octets[at + 1]]
        at += 2 + len(value)
        if part is None and (kind, len(value)) in ((0, 3), (8, 4)):
            part = (int.from_bytes(value[:-2]), value[-2], value[-1])
        else:
            further.append((kind, value))
    return Text(octets[end:], part, tuple(further))


def beside_text(parameters: tuple[tuple[int, bytes], ...]) -> tuple[tuple[int, bytes], ...]:
    """The parameters that say nothing of the text."""
    return tuple(each for each in parameters if each[0] not in _OF_TEXT)
