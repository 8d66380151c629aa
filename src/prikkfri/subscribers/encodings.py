"""In which encoding a file of customers is written: UTF-8, or what spreadsheets write by themselves."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

UNREADABLE = "\ufffd"
"""What stands where bytes are no character of UTF-16."""
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_HEAD_BYTES = 64
_CHARACTER = re.compile("[^\0-\x7f\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Encoding:
    name: str

    @property
    def errors(self) -> str:
        """What becomes of bytes that are no character, so that they cost their own row and no other."""
        return "replace" if self.name.startswith("utf-16") else "surrogateescape"

    @property
    def of_rejected(self) -> str:
        """In which rejected rows are written: what wrote this file opens those with their letters whole."""
        return "utf-8" if self.name == "utf-8" else "utf-8-sig"


def encoding_of(pieces: Iterable[bytes]) -> Encoding:
    """Of a file in pieces; no more of them are taken than it needs.

    Windows-1252 has no mark: it has bytes that are no UTF-8, and no character of several bytes that is. A file with
    both is UTF-8 with broken rows: taken for the other, it would make good names bad without a word.
    """
    rest = iter(pieces)
    first = next(rest, b"")
    for mark, name in _MARKS:
        if first.startswith(mark):
            return Encoding(name)
    head = first[:_HEAD_BYTES]
    for name, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if zeros and letters and not any(zeros) and all(letters):
            return Encoding(name)
    ascii_only = True
    for text in _decoded(chain([first], rest)):
        if _CHARACTER.search(text):
            return Encoding("utf-8")
        ascii_only = ascii_only and text.isascii()
    return Encoding("utf-8" if ascii_only else "cp1252")


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    """As UTF-8, each byte that is none by itself; a character may lie over the edge of two pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)
