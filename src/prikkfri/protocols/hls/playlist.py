"""Playlists of a live stream: RFC 8216, version 7 (fragmented MP4 with an `EXT-X-MAP`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prikkfri.protocols.iso8601 import iso


@dataclass(frozen=True, slots=True)
class Segment:
    uri: str
    map_uri: str
    """The initialisation section (`ftyp` and `moov`) that this segment needs."""
    start: float
    """Wall-clock time of its first picture: seconds since 1970 UTC."""
    duration_s: float
    discontinuous: bool = False
    """Its timestamps do not follow from those of the segment before."""


@dataclass(frozen=True, slots=True)
class Rendition:
    uri: str
    codecs: tuple[str, ...]
    """RFC 6381 names: `avc1.64001f`, `mp4a.40.2`."""
    width: int
    height: int
    frame_rate: float
    bits_per_second_max: int
    """Peak over any segment, sound and container included."""


def media_playlist(
    segments: Sequence[Segment],
    media_sequence: int,
    discontinuity_sequence: int,
    target_duration_s: float,
) -> bytes:
    """A live media playlist: no end, no type, so that the window may slide."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{math.ceil(target_duration_s)}",
        f"#EXT-X-MEDIA-SEQUENCE:{media_sequence}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    map_uri = None
    for segment in segments:
        if segment.discontinuous:
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.map_uri != map_uri:
            map_uri = segment.map_uri
            lines.append(f'#EXT-X-MAP:URI="{map_uri}"')
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{iso(segment.start)}")
        lines.append(f"#EXTINF:{segment.duration_s:.3f},")
        lines.append(segment.uri)
    return ("\n".join(lines) + "\n").encode()


def multivariant_playlist(renditions: Sequence[Rendition]) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for rendition in renditions:
        attributes = (
            f"BANDWIDTH={rendition.bits_per_second_max}",
            f'CODECS="{",".join(rendition.codecs)}"',
            f"RESOLUTION={rendition.width}x{rendition.height}",
            f"FRAME-RATE={rendition.frame_rate:.3f}",
        )
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", rendition.uri]
    return ("\n".join(lines) + "\n").encode()
