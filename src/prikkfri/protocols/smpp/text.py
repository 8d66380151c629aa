"""Text in short messages: letters to octets and back, by data_coding (5.2.19).

GSM 7-bit (3GPP TS 23.038, 6.2.1) travels in SMPP as one septet an octet; the letters of the extension table are an
escape and a second octet. UCS-2 is read and written as UTF-16BE, as every phone does, so that emoji survive.
"""

import codecs
import re
from collections.abc import Iterable
from enum import IntEnum
from itertools import groupby
from operator import itemgetter

from prikkfri.errors import RemoteProtocolError

ESCAPE = 0x1B


class DataCoding(IntEnum):
    GSM = 0
    ASCII = 1
    LATIN_1 = 3
    UCS_2 = 8


def alphabet(data_coding: int) -> DataCoding | None:
    """What the octets are letters of, None when they are not text that we know.

    SMPP names four of them (5.2.19); beside those stand the schemes of GSM (3GPP TS 23.038, 4), which say how a phone
    is to treat a message as well: classes (0x10 to 0x1F, 0xF0 to 0xF7), deletion (0x40 to 0x5F), waiting messages
    (0xC0 to 0xEF).
    """
    if data_coding < 0x10:
        return _NAMED.get(data_coding)
    if 0x10 <= data_coding < 0x20 or 0x40 <= data_coding < 0x60:
        return {0x00: DataCoding.GSM, 0x08: DataCoding.UCS_2}.get(data_coding & 0x0C)
    if 0xC0 <= data_coding < 0xE0 or 0xF0 <= data_coding < 0xF4:
        return DataCoding.GSM
    return DataCoding.UCS_2 if 0xE0 <= data_coding < 0xF0 else None


_NAMED = {int(each): each for each in DataCoding}


_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\",
    0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip
_BASIC_ENCODING = codecs.charmap_build(_BASIC)
_FULL_ENCODING: dict[int, int | bytes] = {
    **{ord(letter): octet for octet, letter in enumerate(_BASIC) if octet != ESCAPE},
    **{ord(letter): bytes((ESCAPE, octet)) for octet, letter in _EXTENSION.items()},
}
_ESCAPED = re.compile("\x1b(.?)", re.DOTALL)
_ESCAPED_LETTERS = {_BASIC[octet]: letter for octet, letter in _EXTENSION.items()}


def _unescape(match: re.Match[str]) -> str:
    # An unknown pair shows the letter of the basic table; an escape in its place, or nothing, shows a space (6.2.1.1).
    follower = match[1]
    return _ESCAPED_LETTERS.get(follower) or (follower if follower.strip("\x1b") else " ")


def encode_gsm(text: str) -> bytes:
    """Raises UnicodeEncodeError when a letter is not in the basic or extension table."""
    if "\x1b" not in text:  # the escape itself is no letter
        try:
            return codecs.charmap_encode(text, "strict", _BASIC_ENCODING)[0]
        except UnicodeEncodeError:
            pass
    return codecs.charmap_encode(text, "strict", _FULL_ENCODING)[0]


def _decode_gsm(octets: bytes) -> str:
    text = codecs.charmap_decode(octets, "strict", _BASIC)[0]
    return _ESCAPED.sub(_unescape, text) if "\x1b" in text else text


def encode_text(text: str) -> tuple[DataCoding, bytes]:
    """GSM 7-bit when every letter is in its tables, else UTF-16BE. Raises UnicodeEncodeError on a lone surrogate."""
    try:
        return DataCoding.GSM, encode_gsm(text)
    except UnicodeEncodeError:
        return DataCoding.UCS_2, text.encode("utf-16-be")


def decode_text(data_coding: int, octets: bytes) -> str:
    """Raises RemoteProtocolError when the octets are not text in that coding, or the coding is not text."""
    known = alphabet(data_coding)
    try:
        if known is DataCoding.GSM:
            return _decode_gsm(octets)
        if known is DataCoding.UCS_2:
            return octets.decode("utf-16-be")
        if known is DataCoding.LATIN_1:
            return octets.decode("latin-1")
        if known is DataCoding.ASCII:
            return octets.decode("ascii")
    except UnicodeDecodeError as error:
        raise RemoteProtocolError(f"not text in data_coding {data_coding}: {error.reason}") from None
    raise RemoteProtocolError(f"data_coding {data_coding} is not text that we know")


def decode_parts(parts: Iterable[tuple[int, bytes]]) -> str:
    """The text of (data_coding, octets) in order. Raises RemoteProtocolError.

    Neighbours of one coding are joined before they are read: another sender may have cut a pair in two.
    """
    return "".join(
        decode_text(data_coding, b"".join(octets for _, octets in run))
        for data_coding, run in groupby(parts, key=itemgetter(0))
    )
