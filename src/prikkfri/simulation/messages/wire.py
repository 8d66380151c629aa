"""SMPP 3.4 as the judge reads it from the wire. Nothing of the centre's own reading is in it, so that what the two get
wrong together shows. Section numbers are those of the specification, issue 1.2.
"""

import struct
from typing import NamedTuple

SUBMIT, SUBMIT_ANSWER = 0x00000004, 0x80000004
DELIVER, DELIVER_ANSWER = 0x00000005, 0x80000005
_HEAD = struct.Struct(">4L")
_MESSAGE_PAYLOAD, _SAR_REFERENCE, _SAR_TOTAL, _SAR_NUMBER = 0x0424, 0x020C, 0x020E, 0x020F
_HAS_HEADER = 0x40
_RECEIPT = 0x3C


class Frame(NamedTuple):
    command: int
    status: int
    sequence: int
    body: bytes


class Frames:
    """The PDUs of one direction of a connection."""

    def __init__(self) -> None:
        self._unread = b""

    def feed(self, octets: bytes) -> list[Frame]:
        unread = self._unread + octets if self._unread else octets
        found, place, have = [], 0, len(unread)
        while have - place >= 16:
            length, command, status, sequence = _HEAD.unpack_from(unread, place)
            end = place + (length if length > 16 else 16)
            if have < end:
                break
            found.append(Frame(command, status, sequence, unread[place + 16 : end]))
            place = end
        self._unread = unread[place:]
        return found


class Part(NamedTuple):
    reference: int
    total: int
    number: int


class Short(NamedTuple):
    """What is in a submit_sm or deliver_sm (4.4.1, 4.6.1) that a phone would see; of a receipt for whom it is."""

    source: str
    destination: str
    coding: int
    text: bytes
    """Without its user data header."""
    part: Part | None
    is_receipt: bool


def short(body: bytes) -> Short:
    begins = body.index(0) + 3
    ends = body.index(0, begins)
    source = body[begins:ends].decode("latin-1")
    begins = ends + 3
    ends = body.index(0, begins)
    destination = body[begins:ends].decode("latin-1")
    esm_class = body[ends + 1]
    if esm_class & _RECEIPT:
        return Short(source, destination, 0, b"", None, True)
    place = body.index(0, body.index(0, ends + 4) + 1)  # behind two times
    coding, length = body[place + 3], body[place + 5]
    text = body[place + 6 : place + 6 + length]
    place += 6 + length
    options: dict[int, bytes] = {}
    while place + 4 <= len(body):
        tag, size = struct.unpack_from(">2H", body, place)
        options[tag] = body[place + 4 : place + 4 + size]
        place += 4 + size
    text = options.get(_MESSAGE_PAYLOAD, text)
    part = None
    if esm_class & _HAS_HEADER:
        head, text = text[1 : 1 + text[0]], text[1 + text[0] :]
        part = _part(head)
    elif _SAR_REFERENCE in options:
        part = Part(
            int.from_bytes(options[_SAR_REFERENCE]), options[_SAR_TOTAL][0], options[_SAR_NUMBER][0]
        )  # fmt: skip
    return Short(source, destination, coding, text, part, False)


def _part(head: bytes) -> Part | None:
    """3GPP TS 23.040, 9.2.3.24: the elements of a user data header."""
    place = 0
    while place + 2 <= len(head):
        kind, size = head[place], head[place + 1]
        value = head[place + 2 : place + 2 + size]
        if kind == 0 and size == 3:
            return Part(value[0], value[1], value[2])
        if kind == 8 and size == 4:
            return Part(value[0] << 8 | value[1], value[2], value[3])
        place += 2 + size
    return None
