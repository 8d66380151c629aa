"""Playout: each channel's stream is made by one thread of its own, and a source is read by another.

A channel's thread owns everything of the channel: it wakes 25 times a second, takes one tick (40 ms of picture and
sound) from its feed, encodes it, and publishes the window anew when a segment is complete. It never waits for its
source: that is read by a thread which may hang in a system call for as long as it likes. Threads and not processes,
because the codecs release the interpreter's lock, and because 60 MB are saved for each.
"""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from prikkfri.clock import Clock
from prikkfri.protocols.hls.playlist import Rendition, Segment, multivariant_playlist
from prikkfri.streaming.channels import loggable
from prikkfri.streaming.encoder import BITS_PER_SECOND_MAX, Encoder, Fragment
from prikkfri.streaming.limits import Limits
from prikkfri.streaming.picture import Design, Slate, TestPicture, test_tone
from prikkfri.streaming.switching import Switch, next_switch
from prikkfri.streaming.ticks import (
    SAMPLE_RATE,
    SILENCE,
    TICKS_PER_SECOND,
    Assembler,
    Planes,
    Tick,
    letterbox,
)
from prikkfri.streaming.window import Piece, Window

MEDIA_PLAYLIST = "media.m3u8"
HURRY_SECONDS = 0.5
"""A channel further behind than this (the machine is overloaded) repeats its picture until it has caught up: players
would rather have a second that stands still than a second that is missing."""
LATE_SECONDS_MAX = 6.0
"""A channel further behind than this (the machine slept) gives up what it missed and begins a new run."""
CLOCK_STEP_SECONDS_MAX = 0.5
SOURCE_TICKS_WAITING_MAX = 12
OPEN_SECONDS_MAX = 5.0
READ_SECONDS_MAX = 10.0
CORRUPT_PACKETS_IN_A_ROW_MAX = 100
STOP_SECONDS_MAX = 2.0
DISCONTINUITY_NUMBERS = 100_000
"""Discontinuities are numbered below this: hls.js keeps and walks an array as long as the number, and a number told by
the clock alone, 900 million, made the browser stand still for a minute."""

_STANDING = {True: "away: the slate is shown", False: "on air"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveView:
    """What a channel has to offer at this moment; replaced as a whole, so any thread may read it."""

    playlist: bytes = b""
    """The media playlist; empty until the first segment is complete."""
    multivariant: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)
    end: float = 0.0
    """Wall-clock time at which the newest segment ends."""


class Feed(Protocol):
    def take(self, tick: int, *, hurried: bool) -> Tick:
        """What is on air in this tick; returns at once, and spares all work it can while hurried."""
        ...

    @property
    def on_air(self) -> str: ...

    @property
    def preset(self) -> str:
        """x264's, as the picture deserves."""
        ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class TestFeed:
    """The built-in test picture."""

    __test__ = False  # not for pytest
    on_air = "test-picture"
    preset = "ultrafast"  # 9 % of a core instead of 11; a drawn picture does not show it

    def __init__(self, design: Design, title_at: Callable[[float], str]) -> None:
        self._picture = TestPicture(design)
        self._title_at = title_at
        self._title = ""
        self._last_picture: Planes | None = None

    def take(self, tick: int, *, hurried: bool) -> Tick:
        if hurried and self._last_picture is not None:
            return Tick(self._last_picture, SILENCE)
        if tick % TICKS_PER_SECOND == 0 or not self._title:
            self._title = self._title_at(tick / TICKS_PER_SECOND)
        self._last_picture = self._picture.draw(tick, self._title)
        return Tick(self._last_picture, test_tone(tick))

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class SourceFeed:
    """A file or an address; the last picture held, and then the slate, while nothing comes from it."""

    preset = "superfast"

    def __init__(self, address: str, design: Design, slate_text: str, limits: Limits) -> None:
        self._slate = Slate(design, slate_text)
        self._reader = SourceReader(address, design.width, design.height, limits)
        self._switch = Switch()
        self._last_picture: Planes | None = None

    @property
    def on_air(self) -> str:
        return self._switch.on_air

    def take(self, tick: int, *, hurried: bool) -> Tick:
        was, self._switch = self._switch.on_air, next_switch(self._switch, self._reader.ticks.qsize())
        if self._switch.on_air != was and "slate" in (self._switch.on_air, was):
            away = self._switch.on_air == "slate"
            log.log(logging.WARNING if away else logging.INFO, "source %s is %s", self._reader.name, _STANDING[away])
        if self._switch.on_air == "source":
            taken = self._reader.ticks.get_nowait()
            self._last_picture = taken.picture
            return taken
        if self._switch.on_air == "held" and self._last_picture is not None:
            return Tick(self._last_picture, SILENCE)
        return Tick(self._slate.draw(tick), SILENCE)

    def start(self) -> None:
        self._reader.start()

    def stop(self) -> None:
        self._reader.stop()


class SourceReader:
    """Reads a source over and over into a short queue of ticks, in a thread that nobody waits for."""

    def __init__(self, address: str, width: int, height: int, limits: Limits) -> None:
        self.name = loggable(address)
        self.ticks: queue.Queue[Tick] = queue.Queue(SOURCE_TICKS_WAITING_MAX)
        self._address = address
        self._size = width, height
        self._retry_seconds = limits.retry_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; one that hangs in a system call is left to end with the process."""
        self._stopped.set()

    def _run(self) -> None:
        trouble = ""
        while not self._stopped.is_set():
            played = False
            try:
                for tick in self._read():
                    played, trouble = True, ""
                    self._put(tick)
            except Exception as error:  # the edge of the thread: whatever a foreign file provokes, the channel goes on
                reason = f"{type(error).__name__}: {getattr(error, 'strerror', None) or 'cannot be read'}"
                if reason != trouble:
                    log.warning("source %s: %s; trying again every %g s", self.name, reason, self._retry_seconds)
                trouble = reason
                played = False
            if not played:
                self._stopped.wait(self._retry_seconds)

    def _put(self, tick: Tick) -> None:
        while not self._stopped.is_set():
            try:
                self.ticks.put(tick, timeout=0.5)
                return
            except queue.Full:
                continue

    def _read(self) -> Iterator[Tick]:
        """The ticks of one pass through the source. Raises `av.FFmpegError` and what a broken source provokes."""
        # What a playlist from afar names is not to be looked for among the files of this machine.
        from_afar = self._address.startswith(("http://", "https://"))
        options = {"protocol_whitelist": "http,https,tcp,tls,crypto"} if from_afar else {}
        with av.open(self._address, options=options, timeout=(OPEN_SECONDS_MAX, READ_SECONDS_MAX)) as container:
            yield from self._decoded(container)

    def _decoded(self, container: InputContainer) -> Iterator[Tick]:
        if not container.streams.video:
            raise ValueError("no picture in it")
        video = container.streams.video[0]
        streams = [video, *container.streams.audio[:1]]
        for stream in streams:
            stream.codec_context.thread_count = 1
        assembler = Assembler(has_sound=len(streams) > 1)
        scaler, resampler = VideoReformatter(), _resampler()
        corrupt = 0
        for packet in container.demux(streams):
            if self._stopped.is_set():
                return
            try:
                frames = packet.decode()
                corrupt = 0
            except av.InvalidDataError:
                corrupt += 1
                if corrupt > CORRUPT_PACKETS_IN_A_ROW_MAX:
                    raise
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame) and frame.time is not None:
                    yield from assembler.add_picture(frame.time, self._fitted(frame, video.sample_aspect_ratio, scaler))
                elif isinstance(frame, av.AudioFrame) and frame.time is not None:
                    for resampled in resampler.resample(frame):
                        samples = resampled.to_ndarray().astype(np.float32, copy=False)
                        yield from assembler.add_sound(resampled.time or 0.0, samples)

    def _fitted(self, frame: av.VideoFrame, pixel_aspect: Fraction | None, scaler: VideoReformatter) -> Planes:
        """The picture scaled to fit, in proportion, on black."""
        width, height = self._size
        shown_width = frame.width * float(pixel_aspect or 1)
        scale = min(width / shown_width, height / frame.height)
        inner = max(2, round(shown_width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2)
        scaled = scaler.reformat(
            frame, *inner, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        return letterbox(scaled.to_ndarray().astype(np.uint8, copy=False), width, height)


def _resampler() -> av.AudioResampler:
    return av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)


class OnAirChannel(Protocol):
    """A channel as the edge sees it."""

    live: LiveView
    runs: int

    @property
    def feed(self) -> Feed: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def join(self) -> None: ...


class ChannelPlayout:
    """One channel on air, from `start` to `stop`."""

    def __init__(
        self,
        channel_id: str,
        feed: Feed,
        design: Design,
        *,
        clock: Clock,
        segment_seconds: float,
        window_seconds: float,
        limits: Limits,
    ) -> None:
        self.live = LiveView()
        self.runs = 0
        """Unbroken runs so far; more than one tells of stalls, of steps of the clock, or of a failing encoder."""
        self.feed = feed
        self._channel_id = channel_id
        self._design = design
        self._clock = clock
        self._retry_seconds = limits.retry_seconds
        self._ticks_per_segment = max(1, round(segment_seconds * TICKS_PER_SECOND))
        seconds = self._ticks_per_segment / TICKS_PER_SECOND
        # Numbers that are told by the clock go on growing when the role is started anew, and so does the number of
        # discontinuities: a player that was watching finds its way, and no cached segment is taken for another.
        number = int(clock.now() / seconds)
        gone = number % DISCONTINUITY_NUMBERS
        self.window = Window(max(6, round(window_seconds / seconds)), seconds, number, discontinuities_gone=gone)
        self._map_uri = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"channel-{channel_id}", daemon=True)

    def start(self) -> None:
        self.feed.start()
        self._thread.start()

    def stop(self) -> None:
        self.feed.stop()
        self._stopped.set()

    def join(self) -> None:
        """Waits until the channel's thread has ended, for at most `STOP_SECONDS_MAX`."""
        self._thread.join(STOP_SECONDS_MAX)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._run_unbroken()
            except Exception:  # the edge of the thread: a channel that failed is better begun anew than black
                log.exception("channel %s: the encoder failed; it is begun anew", self._channel_id)
                self._stopped.wait(self._retry_seconds)

    def _run_unbroken(self) -> None:
        """Encodes until the channel is stopped or the timeline breaks."""
        self.runs += 1
        encoder = Encoder(self._design.width, self._design.height, self.feed.preset)
        offset = self._clock.now() - self._clock.monotonic()
        first = tick = int(self._clock.now() * TICKS_PER_SECOND) + 1
        published = first
        while True:
            wait = tick / TICKS_PER_SECOND - offset - self._clock.monotonic()
            if wait > 0:
                self._stopped.wait(wait)
            if self._stopped.is_set():
                return
            key = tick == first or tick % self._ticks_per_segment == 0
            step = self._clock.now() - self._clock.monotonic() - offset
            broken = wait < -LATE_SECONDS_MAX or (key and abs(step) > CLOCK_STEP_SECONDS_MAX)
            if broken:
                log.warning("channel %s: %.1f s late, clock stepped %.1f s", self._channel_id, max(0.0, -wait), step)
                fragments = encoder.finish()
            else:
                fragments = encoder.encode(self.feed.take(tick, hurried=wait < -HURRY_SECONDS), key=key)
            for fragment in fragments:
                self._publish(fragment, encoder, published, begins_run=published == first)
                published += fragment.ticks
            if broken:
                return
            tick += 1

    def _publish(self, fragment: Fragment, encoder: Encoder, tick: int, *, begins_run: bool) -> None:
        number = self.window.next_number
        if begins_run:
            self._map_uri = f"init-{number}.mp4"
        segment = Segment(
            f"{number}.m4s",
            self._map_uri,
            start=tick / TICKS_PER_SECOND,
            duration_s=fragment.ticks / TICKS_PER_SECOND,
            discontinuous=begins_run,
        )
        self.window = self.window.with_piece(Piece(segment, fragment.content, encoder.initialisation))
        rendition = Rendition(
            MEDIA_PLAYLIST,
            encoder.codecs,
            self._design.width,
            self._design.height,
            TICKS_PER_SECOND,
            BITS_PER_SECOND_MAX,
        )
        self.live = LiveView(
            self.window.playlist(), multivariant_playlist([rendition]), self.window.files(), self.window.end
        )
