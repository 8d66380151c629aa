"""What was done to the archive of an incident's households, as bytes: the pieces in which it is stored.

A piece is what was done from one moment to the next, in order: households put in (as their columns), taken out, or
forgotten with all that was told before a moment. Nothing in it names anybody: of promises, devices and customers
there are hashes. Where a history stands (`HistoryCheckpoint`) is stored beside the pieces that it stands on: how far
the journals had been read, and which of the outcomes up to there belong to no archived household. Those are read again,
and what has come since. Each piece has a checksum that goes on from the piece before; the checkpoint names the last.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Expectation

FORMAT = 2
"""Of pieces and what they mean: another when others are archived, or for other reasons."""
CHECKSUM_BYTES = 16
PLACE_BYTES = 8
"""Of an outcome in a checkpoint."""
NO_CHECKSUM = b""
"""Of what goes before the first piece."""

_COLUMNS: Mapping[str, str] = {
    "numbers": "<i4",
    "rows": "<i2",
    "stream": "<i2",
    "position": "<i8",
    "tags": "<u2",
    "hashes": "<u4",
    "at": "<f8",
    "asked": "<f8",
    "first": "<f8",
    "place": "<i4",
    "asked_at": "<i4",
    "unnamed_at": "<f8",
    "unnamed_place": "<i4",
}
_OF_HOUSEHOLDS = ("numbers", "rows", "stream", "position", "tags")
_OF_ROWS = ("at", "asked", "first", "place", "asked_at")


class PutRecord(msgspec.Struct, frozen=True, tag="put", eq=False):
    """Households were put in: columns of theirs, of their rows and of their tags, one household after the other; and
    what was kept and names nobody."""

    places: list[list[tuple[str, str]]]
    """Those that no household before lay in."""
    streams: list[tuple[str, str]]
    columns: dict[str, bytes]

    @classmethod
    def of(
        cls, places: Iterable[Segment], streams: Iterable[tuple[str, str]], **columns: Sequence[float]
    ) -> "PutRecord":
        packed = {name: np.array(columns[name], kind).tobytes() for name, kind in _COLUMNS.items()}
        return cls([list(place.values) for place in places], list(streams), packed)

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        return np.frombuffer(self.columns[column], _COLUMNS[column])

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.columns.values()))

    def check(self, *, places: int, streams: int) -> None:
        """Raises `ValueError` when it does not fit an archive that knows so many places and streams, or itself."""
        places, streams = places + len(self.places), streams + len(self.streams)
        households, rows = len(self["numbers"]), len(self["at"])
        if (
            any(len(self[name]) != households for name in _OF_HOUSEHOLDS)
            or any(len(self[name]) != rows for name in _OF_ROWS)
            or (int(self["rows"].sum()), int(self["tags"].sum())) != (rows, len(self["hashes"]))
            or not _within(self["stream"], 0, streams)
            or not _within(self["place"], -1, places)
            or not _within(self["asked_at"], -1, places)
            or not _within(self["rows"], 1, rows + 1)
            or len(self["unnamed_at"]) != len(self["unnamed_place"])
            or not _within(self["unnamed_place"], 0, places)
        ):
            raise ValueError("columns that do not fit each other")


def _within(numbers: npt.NDArray[Any], least: int, below: int) -> bool:
    return bool(np.all((numbers >= least) & (numbers < below)))


class DropRecord(msgspec.Struct, frozen=True, tag="drop"):
    """A household was taken out."""

    number: int
    size_bytes: ClassVar[int] = 16


class ForgetRecord(msgspec.Struct, frozen=True, tag="forget"):
    """What was told before a moment was forgotten."""

    before: float
    size_bytes: ClassVar[int] = 16


ArchiveRecord = PutRecord | DropRecord | ForgetRecord


class HistoryCheckpoint(msgspec.Struct, frozen=True):
    """Where a history stands, beside the archive."""

    since: float
    usual_until: float
    heads: list[tuple[str, str, int]]
    """By stream and incarnation the position up to which it was read."""
    live: list[tuple[str, str, bytes]]
    """By stream and incarnation the positions of what was taken in and is of no archived household."""
    pieces: int
    """It stands on so many."""
    stands_on: bytes
    """The checksum of the last of them."""

    def live_places(self) -> list[tuple[str, str, int]]:
        return [
            (stream, incarnation, position)
            for stream, incarnation, packed in self.live
            for position in np.frombuffer(packed, "<i8").tolist()
        ]


def packed_places(places: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, bytes]]:
    """Of stream, incarnation and position: by the first two the positions, in order."""
    positions: dict[tuple[str, str], array[int]] = {}
    for stream, incarnation, position in places:
        positions.setdefault((stream, incarnation), array("q")).append(position)
    return [(*of, np.sort(np.array(each)).astype("<i8").tobytes()) for of, each in sorted(positions.items())]


def format_of(expectations: Mapping[tuple[str, str], Expectation]) -> str:
    """By what a piece must have been written to be read: the format, and the times of grace by which it was judged."""
    judged_by = repr(sorted(expectations.items())).encode()
    return f"{FORMAT}-{blake2b(judged_by, digest_size=8).hexdigest()}"


def checksum(before: bytes, content: bytes) -> bytes:
    """Of a piece that comes after another; `before`: the checksum of that."""
    return blake2b(content, key=before, digest_size=CHECKSUM_BYTES).digest()


def piece_of(records: Sequence[ArchiveRecord]) -> bytes:
    return msgspec.msgpack.encode(records)


def records_of(piece: bytes) -> list[ArchiveRecord]:
    """What was done in a piece. Raises `ValueError` where it is none."""
    try:
        return msgspec.msgpack.decode(piece, type=list[ArchiveRecord])
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def checkpoint_of(content: bytes) -> HistoryCheckpoint:
    """Raises `ValueError` where it is none."""
    try:
        return msgspec.msgpack.decode(content, type=HistoryCheckpoint)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def checkpoint_bytes(checkpoint: HistoryCheckpoint) -> bytes:
    return msgspec.msgpack.encode(checkpoint)
