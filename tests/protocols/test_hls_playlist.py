import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.hls.boxes import avc_codec, take_boxes
from prikkfri.protocols.hls.playlist import Rendition, Segment, media_playlist, multivariant_playlist


def test_a_live_playlist() -> None:
    segments = [
        Segment("7.m4s", "init-7.mp4", 1534791600.0, 2.0),
        Segment("8.m4s", "init-7.mp4", 1534791602.0, 0.52),
        Segment("9.m4s", "init-9.mp4", 1534791608.123, 2.0, discontinuous=True),
    ]
    assert media_playlist(segments, media_sequence=7, discontinuity_sequence=3, target_duration_s=2.0).decode() == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-MEDIA-SEQUENCE:7\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:3\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="init-7.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2018-08-20T19:00:00.000Z\n"
        "#EXTINF:2.000,\n"
        "7.m4s\n"
        "#EXT-X-PROGRAM-DATE-TIME:2018-08-20T19:00:02.000Z\n"
        "#EXTINF:0.520,\n"
        "8.m4s\n"
        "#EXT-X-DISCONTINUITY\n"
        '#EXT-X-MAP:URI="init-9.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2018-08-20T19:00:08.123Z\n"
        "#EXTINF:2.000,\n"
        "9.m4s\n"
    )


@given(st.floats(0.1, 20))
def test_no_segment_is_longer_than_the_target_duration(seconds: float) -> None:
    playlist = media_playlist([Segment("1.m4s", "i.mp4", 0.0, seconds)], 1, 0, seconds).decode()
    target = int(re.findall(r"#EXT-X-TARGETDURATION:(\d+)\n", playlist)[0])
    duration = float(re.findall(r"#EXTINF:([\d.]+),\n", playlist)[0])
    assert round(duration) <= target  # RFC 8216 section 4.3.3.1


def test_a_multivariant_playlist() -> None:
    rendition = Rendition("media.m3u8", ("avc1.64001f", "mp4a.40.2"), 960, 540, 25, 2_000_000)
    assert multivariant_playlist([rendition]).decode().splitlines()[-2:] == [
        '#EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=960x540,FRAME-RATE=25.000',
        "media.m3u8",
    ]


def box(kind: bytes, payload: bytes) -> bytes:
    return (8 + len(payload)).to_bytes(4) + kind + payload


@given(
    st.lists(st.tuples(st.binary(min_size=4, max_size=4), st.binary(max_size=50)), max_size=8),
    st.integers(1, 30),
)
def test_boxes_come_out_whole_however_they_arrive(boxes: list[tuple[bytes, bytes]], step: int) -> None:
    stream = b"".join(box(kind, payload) for kind, payload in boxes)
    buffer, found = bytearray(), []
    for at in range(0, len(stream), step):
        buffer += stream[at : at + step]
        found += take_boxes(buffer)
    assert [(taken.kind, taken.content[8:]) for taken in found] == boxes
    assert not buffer


@pytest.mark.parametrize("size", [0, 1, 7, (64 << 20) + 1])
def test_a_box_of_an_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError):
        take_boxes(bytearray(size.to_bytes(4) + b"moof"))


@pytest.mark.parametrize("size", [9, 64 << 20])
def test_a_box_that_is_not_complete_is_waited_for(size: int) -> None:
    buffer = bytearray(size.to_bytes(4) + b"moof")
    assert take_boxes(buffer) == []
    assert len(buffer) == 8


def test_the_codec_is_read_from_the_decoder_configuration() -> None:
    assert avc_codec(b"....avcC\x01\x64\x00\x1f\xff") == "avc1.64001f"
    for initialisation in (b"", b"avcC\x01", b"no configuration"):
        with pytest.raises(RemoteProtocolError):
            avc_codec(initialisation)
