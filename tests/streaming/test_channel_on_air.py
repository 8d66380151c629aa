"""A channel's own thread, by a clock that moves only because the channel works: nobody waits for seconds to pass."""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC
from itertools import pairwise

import av
import numpy as np
import pytest
from channel_clock import BEGAN, TICK_SECONDS, Clock
from waiting import never, until

from prikkfri.streaming.limits import Limits
from prikkfri.streaming.picture import Design, test_tone
from prikkfri.streaming.playout import HURRY_SECONDS, ChannelPlayout, TestFeed
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
        self.told: list[str] = []
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
        self.told.append("start")

    def stop(self) -> None:
        self.told.append("stop")


def made(
    clock: Clock,
    events: dict[int, Callable[[], None]],
    *,
    ticks: int,
    window_seconds: float = 60.0,
    retry_seconds: float = 0.0,
) -> tuple[ChannelPlayout, Events]:
    feed = Events(clock, events, ticks)
    channel = ChannelPlayout(
        "small",
        feed,
        DESIGN,
        clock=clock,
        segment_seconds=0.4,
        window_seconds=window_seconds,
        limits=Limits(retry_seconds=retry_seconds),
    )
    return channel, feed


def on_air(
    clock: Clock, events: dict[int, Callable[[], None]] | None = None, *, ticks: int, window_seconds: float = 60.0
) -> tuple[ChannelPlayout, Events]:
    """A channel of segments of 0.4 s after it was on air for so many ticks."""
    channel, feed = made(clock, events or {}, ticks=ticks, window_seconds=window_seconds)
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
    assert feed.told == ["start", "stop"]
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
    if runs == 2 and not steady:
        assert round(told[0][-1] / 0.4, 6) % 1 == 0.0, "a segment is not broken off for that"
    if runs == 2 and steady:
        assert told[0][-1] - told[0][0] == pytest.approx(61 * TICK_SECONDS), "all that was on air before is had"
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


def test_an_encoder_that_fails_at_once_is_not_begun_anew_at_once() -> None:
    channel, failing = made(Clock(), {}, ticks=0, retry_seconds=3_600)
    failing.preset = "no preset of x264"
    channel.start()
    until(lambda: channel.runs)
    assert never(lambda: channel.runs > 1, seconds=0.3)
    channel.stop()
    channel.join()
    assert len(failing.asked) == 1, "it is encoded as its feed would have it, or not at all"


@pytest.mark.slow  # for two seconds nothing happens
def test_a_channel_that_hangs_does_not_keep_the_role_from_stopping() -> None:
    going_on = threading.Event()

    def hang() -> None:
        going_on.wait(60)

    channel, feed = made(Clock(), {5: hang}, ticks=5)
    channel.start()
    assert feed.enough.wait(60)
    channel.stop()
    joining = threading.Thread(target=channel.join)
    joining.start()
    try:
        until(lambda: not joining.is_alive())
    finally:
        going_on.set()


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
    pip, hurried = feed.take(101 * 25, hurried=False).sound, feed.take(101 * 25, hurried=True).sound
    assert pip.any() and (pip == test_tone(101 * 25)).all() and not hurried.any(), (
        "a pip is on its second or not at all"
    )
