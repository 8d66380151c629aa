"""Ticks to fragmented MP4: one unbroken run of H.264 and AAC, cut into segments where it is told to."""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.video.frame import PictureType

from prikkfri.protocols.hls.boxes import avc_codec, take_boxes
from prikkfri.streaming.ticks import SAMPLE_RATE, TICKS_PER_SECOND, Tick

VIDEO_BITS_PER_SECOND_MAX = 1_800_000
SOUND_BITS_PER_SECOND = 96_000
BITS_PER_SECOND_MAX = 2 * VIDEO_BITS_PER_SECOND_MAX + 2 * SOUND_BITS_PER_SECOND
"""Of any one segment: the decoder's buffer (one second) may be emptied within it; container included."""
AAC_CODEC = "mp4a.40.2"
_AAC_PRIMING_SAMPLES = 1024
_BT709 = 1
_LIMITED_RANGE = 1


@dataclass(frozen=True, slots=True)
class Fragment:
    content: bytes
    """`moof` and `mdat`."""
    ticks: int


class Encoder:
    """The run begins at timestamp 0; its first tick must be a key tick. Not safe to share between threads.

    `preset` is one of x264's: how much work is put into saving bits.
    """

    def __init__(self, width: int, height: int, preset: str) -> None:
        self._sink = _Sink()
        self._container = av.open(
            self._sink,
            "w",
            format="mp4",
            options={"movflags": "cmaf+frag_keyframe+empty_moov", "use_editlist": "0", "flush_packets": "1"},
        )
        self._video = self._container.add_stream(
            "libx264",
            rate=TICKS_PER_SECOND,
            options={
                "preset": preset,
                "tune": "zerolatency",
                "crf": "23",
                "maxrate": str(VIDEO_BITS_PER_SECOND_MAX),
                "bufsize": str(VIDEO_BITS_PER_SECOND_MAX),
                "forced-idr": "1",
                "x264-params": "scenecut=0:keyint=infinite",
            },
        )
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        context = self._video.codec_context
        context.time_base = Fraction(1, TICKS_PER_SECOND)
        context.thread_count = 1  # a channel takes one core at most, whatever its source does
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        self._sound = self._container.add_stream("aac", rate=SAMPLE_RATE)
        self._sound.bit_rate = SOUND_BITS_PER_SECOND
        self._sound.layout = "stereo"
        self._ticks = 0
        self._samples = 0
        self._cuts: list[int] = []
        """Ticks of the segments that are cut off and not yet out of the muxer, and of the open one."""
        self._fragment = b""
        self._head = bytearray()

    @property
    def initialisation(self) -> bytes:
        """`ftyp` and `moov`; whole once the first fragment is out."""
        return bytes(self._head)

    @property
    def codecs(self) -> tuple[str, str]:
        return avc_codec(self.initialisation), AAC_CODEC

    def encode(self, tick: Tick, *, key: bool) -> list[Fragment]:
        """The fragments that became complete; a key tick begins a new one. Raises `av.FFmpegError`."""
        if key:
            self._cuts.append(0)
        self._cuts[-1] += 1
        picture = av.VideoFrame.from_ndarray(tick.picture, format="yuv420p")
        picture.pts, picture.time_base = self._ticks, Fraction(1, TICKS_PER_SECOND)
        picture.colorspace, picture.color_range = _BT709, _LIMITED_RANGE
        if key:
            picture.pict_type = PictureType.I
        samples = tick.sound
        if self._ticks == 0:
            samples = samples[:, _AAC_PRIMING_SAMPLES:]  # the coder puts as many before the first: else sound is late
        sound = av.AudioFrame.from_ndarray(samples.copy(), format="fltp", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, self._samples, Fraction(1, SAMPLE_RATE)
        self._ticks += 1
        self._samples += samples.shape[1]
        self._container.mux([*self._video.encode(picture), *self._sound.encode(sound)])
        return self._complete()

    def finish(self) -> list[Fragment]:
        """Ends the run; the last fragments."""
        self._container.mux([*self._video.encode(None), *self._sound.encode(None)])
        self._container.close()
        return self._complete()

    def _complete(self) -> list[Fragment]:
        fragments = []
        for box in take_boxes(self._sink.written):
            if box.kind in (b"ftyp", b"moov"):
                self._head += box.content
            elif box.kind == b"moof":
                self._fragment = box.content
            elif box.kind == b"mdat":
                fragments.append(Fragment(self._fragment + box.content, self._cuts.pop(0)))
        return fragments


class _Sink:
    """The file that the muxer believes it writes."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)
