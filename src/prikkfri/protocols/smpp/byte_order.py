"""UCS-2 with the low octet of each letter first, as some networks hand it in; the book has the high one first.

A text says so itself by a byte order mark: U+FFFE, which a mark of the wrong order would be, is no letter, so that no
right text begins with it. What has no mark is never guessed at: `椀` the one way is `i` the other.
"""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE

from msgspec import structs

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.concatenation import payload, read_part
from prikkfri.protocols.smpp.pdu import ShortMessage, Tag
from prikkfri.protocols.smpp.text import DataCoding, alphabet

_UCS_2 = DataCoding.UCS_2


def high_octet_first(message: ShortMessage, *, little: bool = False) -> ShortMessage:
    """The message by the book; the same where it is that already, or no UCS-2, or of an odd number of octets.

    `little`: whoever hands it in is known to write the low octet first. Where that is not known, the parts of a long
    message stay as they are: the mark would stand in the first alone, and a phone that joins them may know it.
    """
    if alphabet(message.data_coding) is not _UCS_2:
        return message
    octets = payload(message)
    try:
        part, text = read_part(message)
    except RemoteProtocolError:
        return message
    has_header = len(text) < len(octets)
    if len(text) % 2 or (has_header and part is None):  # what stands behind another header need not be a text
        return message
    marked = text.startswith(BOM_UTF16_LE)
    turned_round = not text.startswith(BOM_UTF16_BE) if little else marked and part is None
    if not turned_round:
        return message
    turned = bytearray(text[len(BOM_UTF16_LE) if marked else 0 :])
    if not turned:
        return message
    turned[0::2], turned[1::2] = turned[1::2], turned[0::2]
    whole = octets[: len(octets) - len(text)] + turned
    if message.octets:
        return structs.replace(message, octets=whole)
    tlvs = tuple((tag, whole if tag == Tag.MESSAGE_PAYLOAD else value) for tag, value in message.tlvs)
    return structs.replace(message, tlvs=tlvs)
