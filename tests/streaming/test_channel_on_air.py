"""A channel's own thread, by a clock that moves only because the channel works: nobody waits for seconds to pass."""

import functools
import http.server
import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from channel_clock import BEGAN, TICK_SECONDS, Clock
from waiting import until

from prikkfri.streaming.limits import Limits
from prikkfri.streaming.picture import Design
from prikkfri.streaming.playout import HURRY_SECONDS, ChannelPlayout, SourceFeed, SourceReader, TestFeed
from prikkfri.streaming.ticks import SILENCE, TICKS_PER_SECOND, Tick

WIDTH, HEIGHT = 64, 36
DESIGN = Design(WIDTH, HEIGHT, "Small", 1, (255, 0, 0), UTC)
PICTURE = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)


class Events:
    """A feed whose every tick takes its time, a tenth of that while hurried; it does something to the world at some,
    and keeps what it was asked."""

    on_air = "events"
    preset = "ultrafast"

    def __init__(self, clock: Clock, at: dict[int, Callable[[], None]], last: int) -> None:
        self._clock = clock
        self.asked: list[tuple[int, bool]] = []
        self.enough = threading.Event()
        self._at = at
        self._last = last

    def take(self, tick: int, *, hurried: bool) -> Tick:
        count = len(self.asked)
        self.asked.append((tick, hurried))
        if count >= self._last:
            self.enough.set()
        self._clock.steady += TICK_SECONDS * (0.1 if hurried else 1)
        if event := self._at.get(count):
            event()
        return Tick(PICTURE, SILENCE)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


def on_air(
    clock: Clock, events: dict[int, Callable[[], None]] | None = None, *, ticks: int, window_seconds: float = 60.0
) -> tuple[ChannelPlayout, Events]:
    """A channel of segments of 0.4 s after it was on air for so many ticks."""
    feed = Events(clock, events or {}, ticks)
    channel = ChannelPlayout(
        "small",
        feed,
        DESIGN,
        clock=clock,
        segment_seconds=0.4,
        window_seconds=window_seconds,
        limits=Limits(retry_seconds=0.0),
    )
    channel.start()
    assert feed.enough.wait(60)
    channel.stop()
    channel.join()
    return channel, feed


def runs_of(channel: ChannelPlayout) -> list[list[float]]:
    """When the segments of each unbroken run begin; the last one's end is added."""
    runs: list[list[float]] = []
    for piece in channel.window.pieces:
        if piece.segment.discontinuous:
            runs.append([])
        runs[-1].append(piece.segment.start)
    for run, last in zip(runs, [*(piece for piece in _lasts(channel))], strict=True):
        run.append(last)
    return runs


def _lasts(channel: ChannelPlayout) -> Iterator[float]:
    for one, other in pairwise([*channel.window.pieces, None]):
        assert one is not None
        if other is None or other.segment.discontinuous:
            yield one.segment.start + one.segment.duration_s


def test_segments_are_cut_by_the_wall_clock_one_after_the_other_and_numbered_by_it() -> None:
    channel, feed = on_air(Clock(), ticks=100)
    assert channel.runs == 1
    [[first, *starts, end]] = runs_of(channel)
    assert first == pytest.approx(BEGAN, abs=2 * TICK_SECONDS)
    assert all(one < other for one, other in pairwise([first, *starts, end]))
    assert [round(start / 0.4, 6) % 1 for start in starts] == [0.0] * len(starts)
    assert np.allclose(np.diff(starts), 0.4)
    numbers = [int(piece.segment.uri.partition(".")[0]) for piece in channel.window.pieces]
    assert numbers == list(range(int(BEGAN / 0.4), int(BEGAN / 0.4) + len(numbers)))
    assert [tick for tick, _ in feed.asked] == list(range(feed.asked[0][0], feed.asked[0][0] + len(feed.asked)))
    assert not any(hurried for _, hurried in feed.asked)
    assert channel.live.end == channel.window.end == end
    assert channel.live.files.keys() == {f"{number}.m4s" for number in numbers} | {f"init-{numbers[0]}.mp4"}
    assert re.findall(rb"#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)", channel.live.playlist) == [
        b"%d" % (numbers[0] % 100_000)
    ]
    assert b"RESOLUTION=64x36,FRAME-RATE=25.000\nmedia.m3u8\n" in channel.live.multivariant


@pytest.mark.parametrize(
    ("steady", "wall", "runs"),
    [(7.0, 0.0, 2), (5.0, 0.0, 1), (0.0, 0.6, 2), (0.0, -0.6, 2), (0.0, 0.4, 1), (0.0, -0.4, 1), (3600.0, 1.0, 2)],
)
def test_only_a_long_sleep_or_a_step_of_the_clock_begins_a_new_run(steady: float, wall: float, runs: int) -> None:
    clock = Clock()

    def jump() -> None:
        clock.steady += steady
        clock.wall_ahead += wall

    channel, _ = on_air(clock, {60: jump}, ticks=240)
    assert channel.runs == runs
    told = runs_of(channel)
    assert len(told) == runs
    assert abs(clock.now() - channel.live.end) < 1.0, "its times are those of the clock again"
    for one, other in pairwise(piece.segment for piece in channel.window.pieces):
        assert other.discontinuous or one.start + one.duration_s == pytest.approx(other.start, abs=1e-6)
    numbers = [int(piece.segment.uri.partition(".")[0]) for piece in channel.window.pieces]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    maps = [piece.segment.map_uri for piece in channel.window.pieces if piece.segment.discontinuous]
    assert len(set(maps)) == runs
    assert channel.live.playlist.count(b"#EXT-X-DISCONTINUITY\n") == runs
    if runs == 2 and wall >= 0:
        assert told[0][-1] <= told[1][0]


def test_a_channel_that_is_behind_hurries_until_it_has_caught_up_and_no_longer() -> None:
    clock = Clock()

    def fall_behind() -> None:
        clock.steady += 2.0

    channel, feed = on_air(clock, {50: fall_behind}, ticks=300)
    hurried = [count for count, (_, hurried) in enumerate(feed.asked) if hurried]
    # 2 s are 50 ticks; a hurried one wins nine tenths of its time, until it is less than half a second behind.
    assert hurried == list(range(51, 51 + len(hurried)))
    assert len(hurried) == pytest.approx((2.0 - HURRY_SECONDS) * TICKS_PER_SECOND / 0.9, abs=2)
    assert channel.runs == 1


def test_an_encoder_that_fails_is_begun_anew_and_the_numbers_go_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: Exception) -> Callable[[], None]:
        def raising() -> None:
            raise error

        return raising

    events = {60: fail(av.FFmpegError(1, "the codec is out of order")), 200: fail(RuntimeError("as is its feed"))}
    channel, _ = on_air(Clock(), events, ticks=300)
    assert channel.runs == 3
    assert len(runs_of(channel)) == 3
    assert caplog.text.count("the encoder failed; it is begun anew") == 2
    numbers = [int(piece.segment.uri.partition(".")[0]) for piece in channel.window.pieces]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize(("window_seconds", "listed"), [(8.0, 10), (0.4, 3)])
def test_half_of_the_window_is_listed_and_never_less_than_a_player_needs(window_seconds: float, listed: int) -> None:
    channel, _ = on_air(Clock(), ticks=300, window_seconds=window_seconds)
    assert channel.live.playlist.count(b"#EXTINF") == listed
    assert len(channel.window.pieces) == 2 * listed


def test_the_test_picture_tells_the_title_and_spares_work_while_hurried() -> None:
    titles = {100: "Before", 101: "After"}
    asked: list[float] = []

    def title_at(now: float) -> str:
        asked.append(now)
        return titles[int(now)]

    feed = TestFeed(Design(320, 180, "Small", 1, (255, 0, 0), UTC), title_at)
    before, still, later, after = (
        feed.take(tick, hurried=hurried)
        for tick, hurried in ((100 * 25 + 1, False), (100 * 25 + 2, True), (100 * 25 + 24, False), (101 * 25, False))
    )
    assert still.picture is before.picture
    assert not still.sound.any()
    assert asked == [100.04, 101.0]
    assert (later.picture != after.picture).any()
    assert feed.take(102 * 25, hurried=True).picture is after.picture


# sources


def film(path: Path) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _ in range(25):
            container.mux(video.encode(av.VideoFrame.from_ndarray(PICTURE, format="yuv420p")))
        container.mux(video.encode(None))


QUICK = Limits(retry_seconds=0.01)


@pytest.fixture
def reading() -> Iterator[Callable[[str], SourceReader]]:
    readers: list[SourceReader] = []

    def start(address: str) -> SourceReader:
        readers.append(SourceReader(address, WIDTH, HEIGHT, QUICK))
        readers[-1].start()
        return readers[-1]

    yield start
    for reader in readers:
        reader.stop()


def test_a_file_is_read_over_and_over(tmp_path: Path, reading: Callable[[str], SourceReader]) -> None:
    film(tmp_path / "film.mp4")
    reader = reading(str(tmp_path / "film.mp4"))
    for _ in range(60):  # of 25 pictures
        assert reader.ticks.get(timeout=60).picture.shape == PICTURE.shape


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """Serves the folder `afar` over HTTP."""
    (tmp_path / "afar").mkdir()
    handler = functools.partial(Silent, directory=str(tmp_path / "afar"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_playlist_from_afar_reaches_no_file_of_this_machine(
    tmp_path: Path, origin: str, reading: Callable[[str], SourceReader], caplog: pytest.LogCaptureFixture
) -> None:
    film(tmp_path / "secret.mp4")
    film(tmp_path / "afar" / "film.mp4")
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
    for name, address in (("near", f"{origin}/film.mp4"), ("far", f"file://{tmp_path}/secret.mp4")):
        (tmp_path / "afar" / f"{name}.m3u8").write_text(f"{head}{address}\n#EXT-X-ENDLIST\n")
    with caplog.at_level(logging.WARNING):
        reader = reading(f"{origin}/far.m3u8")
        until(lambda: "cannot be read" in caplog.text or "error" in caplog.text.lower() or reader.ticks.qsize())
    assert reader.ticks.empty()
    assert reading(f"{origin}/film.mp4").ticks.get(timeout=60), "from the same place a film is had"


def test_a_source_is_shown_held_and_replaced_by_the_slate_and_taken_up_again(tmp_path: Path) -> None:
    """A source that ends for good: its last picture for two seconds, then the slate; back when it is."""
    film(tmp_path / "film.mp4")
    feed = SourceFeed(str(tmp_path / "film.mp4"), DESIGN, "Straks tilbake", QUICK)
    slate = feed.take(0, hurried=False)
    assert feed.on_air == "slate"
    feed.start()
    tick = iter(range(1, 100_000))
    until(lambda: feed.take(next(tick), hurried=False) and feed.on_air == "source")
    shown = feed.take(next(tick), hurried=False)
    assert (shown.picture != slate.picture).any()
    feed.stop()
    until(lambda: feed.take(next(tick), hurried=False) and feed.on_air != "source")
    held = [feed.take(next(tick), hurried=False)]
    while feed.on_air == "held":
        held.append(feed.take(next(tick), hurried=False))
    assert 40 <= len(held) <= 51
    assert all((each.picture == held[0].picture).all() and not each.sound.any() for each in held[:-1])
    assert (held[-1].picture != held[0].picture).any()
