"""Boxes of fragmented MP4 (ISO/IEC 14496-12): cut a muxer's output into an initialisation section and segments."""

from dataclasses import dataclass

from prikkfri.errors import RemoteProtocolError

BOX_BYTES_MAX = 64 << 20
_HEADER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Box:
    kind: bytes
    content: bytes
    """The whole box, its header included."""


def take_boxes(buffer: bytearray) -> list[Box]:
    """Takes the complete boxes from the front of the buffer; what is incomplete stays in it.

    Raises `RemoteProtocolError` for a size that cannot be (64-bit and open-ended boxes are not for live segments).
    """
    boxes = []
    start = 0
    while len(buffer) - start >= _HEADER_BYTES:
        size = int.from_bytes(buffer[start : start + 4])
        if not _HEADER_BYTES <= size <= BOX_BYTES_MAX:
            raise RemoteProtocolError(f"a box of {size} bytes")
        if len(buffer) - start < size:
            break
        boxes.append(Box(bytes(buffer[start + 4 : start + 8]), bytes(buffer[start : start + size])))
        start += size
    del buffer[:start]
    return boxes


def avc_codec(initialisation: bytes) -> str:
    """The RFC 6381 name of the H.264 track, from its decoder configuration (ISO/IEC 14496-15, `avcC`).

    Raises `RemoteProtocolError` when there is none.
    """
    at = initialisation.find(b"avcC")
    record = initialisation[at + 4 : at + 8]
    if at < 0 or len(record) < 4:
        raise RemoteProtocolError("no H.264 decoder configuration")
    return f"avc1.{record[1:4].hex()}"
