import re

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.hls.playlist import Segment
from prikkfri.streaming.window import Piece, Window

PIECES_MAX = 10


def slid(breaks: list[bool]) -> list[Window]:
    """Windows after each segment; a segment that begins a run is marked."""
    window, windows, run = Window(PIECES_MAX, 2.0, first_number=500, discontinuities_gone=500), [], 500
    for begins_run in breaks:
        number = window.next_number
        run = number if begins_run else run
        segment = Segment(f"{number}.m4s", f"init-{run}.mp4", number * 2.0, 2.0, discontinuous=begins_run)
        window = window.with_piece(Piece(segment, f"content {number}".encode(), f"init {run}".encode()))
        windows.append(window)
    return windows


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_numbers_only_grow_and_a_segment_keeps_its_numbers(breaks: list[bool]) -> None:
    """RFC 8216 section 6.2.2: in each playlist, a segment has the same media and discontinuity sequence number."""
    known: dict[str, tuple[int, int]] = {}
    for window in slid([True, *breaks]):
        lines = window.playlist().decode().splitlines()
        target = int(next(line for line in lines if "TARGETDURATION" in line).partition(":")[2])
        number = int(next(line for line in lines if "MEDIA-SEQUENCE" in line).partition(":")[2])
        discontinuity = int(next(line for line in lines if "DISCONTINUITY-SEQUENCE" in line).partition(":")[2])
        for line in lines:
            if line.startswith("#EXTINF:"):
                assert float(line[8:-1]) <= target
            discontinuity += line == "#EXT-X-DISCONTINUITY"
            if not line.startswith("#"):
                assert known.setdefault(line, (number, discontinuity)) == (number, discontinuity)
                assert line == f"{number}.m4s"
                number += 1


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_what_the_playlist_names_is_there_and_stays_as_long_again(breaks: list[bool]) -> None:
    windows = slid([True, *breaks])
    for at, window in enumerate(windows):
        named = set(re.findall(r'^(\d+\.m4s)$|URI="(.*)"', window.playlist().decode(), re.MULTILINE))
        for later in windows[at : at + PIECES_MAX // 2]:
            assert {one or other for one, other in named} <= later.files().keys()
        listed = [
            one for one, _ in re.findall(r'^(\d+\.m4s)$|URI="(.*)"', window.playlist().decode(), re.MULTILINE) if one
        ]
        newest = window.pieces[-(PIECES_MAX // 2) :]
        assert listed == [piece.segment.uri for piece in newest]
        assert len(window.pieces) == min(at + 1, PIECES_MAX)
        assert window.end == (500 + at + 1) * 2.0


def test_an_empty_window() -> None:
    assert Window(PIECES_MAX, 2.0, 1).end == 0.0
    assert Window(PIECES_MAX, 2.0, 1).files() == {}
