"""The live window of a channel: the last minute of segments, and what a player is told of it."""

from dataclasses import dataclass, replace

from prikkfri.protocols.hls.playlist import Segment, media_playlist


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment with its bytes."""

    segment: Segment
    content: bytes
    initialisation: bytes


@dataclass(frozen=True)
class Window:
    """Segments have consecutive numbers. The newest half is listed; the rest is for players that are behind
    (RFC 8216 section 6.2.2: a segment stays for the playlist's duration after it has left it)."""

    pieces_max: int
    segment_seconds: float
    first_number: int
    discontinuities_gone: int = 0
    pieces: tuple[Piece, ...] = ()

    @property
    def next_number(self) -> int:
        return self.first_number + len(self.pieces)

    @property
    def end(self) -> float:
        """When the newest segment ends; 0 when there is none."""
        if not self.pieces:
            return 0.0
        newest = self.pieces[-1].segment
        return newest.start + newest.duration_s

    def with_piece(self, piece: Piece) -> "Window":
        pieces = (*self.pieces, piece)
        gone = pieces[: max(0, len(pieces) - self.pieces_max)]
        return replace(
            self,
            pieces=pieces[len(gone) :],
            first_number=self.first_number + len(gone),
            discontinuities_gone=self.discontinuities_gone + _discontinuities(gone),
        )

    def playlist(self) -> bytes:
        unlisted = max(0, len(self.pieces) - self.pieces_max // 2)
        return media_playlist(
            [piece.segment for piece in self.pieces[unlisted:]],
            media_sequence=self.first_number + unlisted,
            discontinuity_sequence=self.discontinuities_gone + _discontinuities(self.pieces[:unlisted]),
            target_duration_s=self.segment_seconds,
        )

    def files(self) -> dict[str, bytes]:
        """What the playlist names, and the older half, by name."""
        files = {piece.segment.map_uri: piece.initialisation for piece in self.pieces}
        return files | {piece.segment.uri: piece.content for piece in self.pieces}


def _discontinuities(pieces: tuple[Piece, ...]) -> int:
    return sum(piece.segment.discontinuous for piece in pieces)
