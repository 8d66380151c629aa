"""The tick: 40 ms of picture and sound, the unit in which everything is drawn, read, switched and encoded.

Since 25 pictures and 48,000 samples a second divide evenly, picture and sound cannot drift apart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICKS_PER_SECOND = 25
SAMPLE_RATE = 48_000
SAMPLES_PER_TICK = SAMPLE_RATE // TICKS_PER_SECOND

Planes = NDArray[np.uint8]
"""Planar YUV 4:2:0: `height * 3 / 2` rows by `width`."""
Sound = NDArray[np.float32]
"""Two channels by `SAMPLES_PER_TICK`, from -1 to 1."""

SILENCE: Sound = np.zeros((2, SAMPLES_PER_TICK), np.float32)


@dataclass(frozen=True, slots=True)
class Tick:
    picture: Planes
    sound: Sound


def letterbox(picture: Planes, width: int, height: int) -> Planes:
    """The picture in the middle of a black one of even `width` and `height`, which are not smaller than its own."""
    rows, columns = picture.shape[0] * 2 // 3, picture.shape[1]
    if (rows, columns) == (height, width):
        return picture
    whole = np.full((height * 3 // 2, width), 16, np.uint8)  # black is Y 16, Cb 128, Cr 128
    whole[height:] = 128
    top, left = (height - rows) // 4 * 2, (width - columns) // 4 * 2
    whole[top : top + rows, left : left + columns] = picture[:rows]
    _chroma(whole)[:, top // 2 : (top + rows) // 2, left // 2 : (left + columns) // 2] = _chroma(picture)
    return whole


def _chroma(picture: Planes) -> Planes:
    """Both planes of colour, half as fine as the picture: a view where the picture is in one piece."""
    rows, columns = picture.shape[0] * 2 // 3, picture.shape[1]
    return picture.ravel()[rows * columns :].reshape(2, rows // 2, columns // 2)


PICTURES_AHEAD_SECONDS_MAX = 0.5
"""For how long pictures wait for sound, or sound for pictures, before a tick goes without."""
JUMP_SECONDS = 1.0
"""A step in a stream's timestamps beyond which the stream is taken to have begun anew."""
APART_SECONDS_MAX = 2.0
"""A step between picture and sound beyond which the one is brought to the other."""
_TICK_SECONDS = 1 / TICKS_PER_SECOND
_SOUND_SLACK_SECONDS = 0.05
SOUND_WAITING_SECONDS_MAX = 2.0


class Assembler:
    """Makes ticks of decoded pictures and sound, whatever their rates, gaps and jumps.

    Pictures are repeated or left out, missing sound is silence. Each stream that jumps goes on from where it was, so
    that picture and sound stay together. Times are seconds in the source's own reckoning.
    """

    def __init__(self, *, has_sound: bool) -> None:
        self._has_sound = has_sound
        self._pictures: list[tuple[float, Planes]] = []
        self._picture_shift = 0.0
        self._last_picture: float | None = None
        self._sound: Sound = SILENCE[:, :0]
        self._sound_shift = 0.0
        self._sound_end: float | None = None
        self._next: float | None = None
        """When the next tick begins; unknown until the first picture."""

    @property
    def sound_waiting_seconds(self) -> float:
        """Of sound that has come and is in no tick yet."""
        return float(self._sound.shape[1] / SAMPLE_RATE)

    def add_picture(self, time: float, picture: Planes) -> list[Tick]:
        end = None if self._last_picture is None else self._last_picture + _TICK_SECONDS
        self._picture_shift += self._correction(time + self._picture_shift, end)
        time += self._picture_shift
        self._last_picture = time
        self._pictures.append((time, picture))
        if self._next is None:
            self._next = time
            if self._sound_end is not None and abs(self._sound_end - time) > APART_SECONDS_MAX:
                self._sound_end = None  # what comes of it begins anew, with the next tick
        return self._take()

    def add_sound(self, time: float, samples: Sound) -> list[Tick]:
        """Samples of two channels at `SAMPLE_RATE`."""
        self._sound_shift += self._correction(time + self._sound_shift, self._sound_end)
        time += self._sound_shift
        if self._sound_end is None:
            self._sound_end = time
        gap = time - self._sound_end
        if gap > _SOUND_SLACK_SECONDS:
            self._append(np.zeros((2, round(gap * SAMPLE_RATE)), np.float32))
        elif gap < -_SOUND_SLACK_SECONDS:
            samples = samples[:, round(-gap * SAMPLE_RATE) :]
        self._append(samples)
        return self._take()

    def _correction(self, time: float, end: float | None) -> float:
        """What to add to a stream's times: nothing, or what brings it back to its own end or to the next tick."""
        if end is not None and abs(time - end) > JUMP_SECONDS:
            return end - time + self._correction(end, None)
        if self._next is not None and abs(time - self._next) > APART_SECONDS_MAX:
            return self._next - time
        return 0.0

    def _append(self, samples: Sound) -> None:
        assert self._sound_end is not None
        self._sound = np.concatenate([self._sound, samples], axis=1)
        self._sound_end += samples.shape[1] / SAMPLE_RATE
        self._sound = self._sound[:, -round(SOUND_WAITING_SECONDS_MAX * SAMPLE_RATE) :]

    def _take(self) -> list[Tick]:
        ticks = []
        while self._next is not None and self._is_ready(self._next):
            while len(self._pictures) > 1 and self._pictures[1][0] <= self._next + _TICK_SECONDS / 2:
                del self._pictures[0]
            ticks.append(Tick(self._pictures[0][1], self._sound_from(self._next)))
            self._next += _TICK_SECONDS
        return ticks

    def _is_ready(self, start: float) -> bool:
        picture_ahead = self._pictures[-1][0] - start
        sound_ahead = self._sound_end - start if self._sound_end is not None else 0.0
        picture_known = picture_ahead > _TICK_SECONDS / 2 or sound_ahead > PICTURES_AHEAD_SECONDS_MAX
        sound_known = not self._has_sound or sound_ahead >= _TICK_SECONDS or picture_ahead > PICTURES_AHEAD_SECONDS_MAX
        return picture_known and sound_known

    def _sound_from(self, start: float) -> Sound:
        """One tick of sound from `start` on; what lies before is dropped, what is missing is silence."""
        if self._sound_end is None:
            return SILENCE
        skip = round((start - self._sound_end) * SAMPLE_RATE) + self._sound.shape[1]
        lead = np.zeros((2, min(max(0, -skip), SAMPLES_PER_TICK)), np.float32)
        taken = self._sound[:, max(0, skip) : max(0, skip + SAMPLES_PER_TICK)]
        self._sound = self._sound[:, max(0, skip + SAMPLES_PER_TICK) :]
        tail = np.zeros((2, SAMPLES_PER_TICK - lead.shape[1] - taken.shape[1]), np.float32)
        return np.concatenate([lead, taken, tail], axis=1)
