"""The built-in pictures and their sound: a moving test picture with a running clock, and the slate.

Pictures are planar YUV 4:2:0 (BT.709, limited range) as one array, `height * 3 / 2` rows by `width`, as PyAV takes
them. All of it is a function of the time: the same moment gives the same picture and the same sound.
"""

import math
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from prikkfri.streaming.lettering import ASCENT, CAPITAL_HEIGHT, lettering
from prikkfri.streaming.ticks import SAMPLE_RATE, SAMPLES_PER_TICK, SILENCE, TICKS_PER_SECOND, Planes, Sound

_WEEKDAYS = ("mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag")
_MONTHS = (
    *("januar", "februar", "mars", "april", "mai", "juni"),
    *("juli", "august", "september", "oktober", "november", "desember"),
)  # fmt: skip
_WHITE = (244.0, 246.0, 250.0)
_NIGHT = (9.0, 12.0, 22.0)
_PIP_AMPLITUDE = 0.12

Colour = tuple[float, float, float]
"""Red, green, blue from 0 to 255."""
Opacity = NDArray[np.float32]


@dataclass(frozen=True)
class Design:
    """What the pictures of a channel show."""

    width: int
    height: int
    name: str
    number: int
    colour: Colour
    timezone: tzinfo


def colour_of(text: str) -> Colour:
    """The colour written `#rrggbb`; raises `ValueError`."""
    if len(text) != 7 or text[0] != "#":
        raise ValueError(f"a colour is written #rrggbb, not {text!r}")
    red, green, blue = bytes.fromhex(text[1:])
    return float(red), float(green), float(blue)


class TestPicture:
    """Draws the test picture of one channel. Each layer is kept until something in it changes."""

    __test__ = False  # not for pytest

    def __init__(self, design: Design) -> None:
        self._design = design
        self._background = _background(design, glow=1.0)
        self._minute: tuple[int, str] | None = None
        self._dial = self._background
        self._second = -1
        self._clock = self._background
        size = design.height
        self._left = int(design.width * 0.06)
        self._centre, self._radius = (design.width * 0.775, size * 0.47), size * 0.3
        self._ball, self._halo = _disc(size * 0.026), _disc(size * 0.05, edge=size * 0.05) * 0.5
        self._mark, self._lit_mark = _disc(size * 0.0045), _disc(size * 0.0085)
        self._digits = {digit: lettering(digit, size * 0.13, 0.62) for digit in "0123456789:"}

    def draw(self, tick: int, caption: str) -> Planes:
        """The picture of a tick (`TICKS_PER_SECOND` since 1970 UTC); the caption is the programme's title."""
        second, fraction = divmod(tick, TICKS_PER_SECOND)
        if second != self._second:
            self._lay_second(second, caption)
        picture = self._clock.copy()
        x, y = self._on_dial(second % 60 + fraction / TICKS_PER_SECOND)
        _lay_around(picture, self._halo, self._design.colour, x, y)
        _lay_around(picture, self._ball, _WHITE, x, y)
        swing = math.sin((second % 2 + fraction / TICKS_PER_SECOND) * math.pi)
        x, y = self._centre
        _lay_around(picture, self._ball, self._design.colour, x + self._radius * 0.55 * swing, y)
        return picture

    def _lay_second(self, second: int, caption: str) -> None:
        if self._minute == (second // 60, caption) and second == self._second + 1:
            self._light(second % 60)
        else:
            self._lay_minute(second, caption)
            for step in range(second % 60 + 1):
                self._light(step)
        self._second, self._clock = second, self._dial.copy()
        left = self._left - int(self._design.height * 0.012)
        for digit in f"{datetime.fromtimestamp(second, self._design.timezone):%H:%M:%S}":
            _lay(self._clock, self._digits[digit], _WHITE, left, int(self._design.height * 0.37))
            left += int(self._digits[digit].shape[1] * 0.84)

    def _lay_minute(self, second: int, caption: str) -> None:
        design, size = self._design, self._design.height
        self._minute, self._dial = (second // 60, caption), self._background.copy()
        for step in range(60):
            _lay_around(self._dial, self._mark, _mix(_NIGHT, _WHITE, 0.45), *self._on_dial(step))
        moment = datetime.fromtimestamp(second, design.timezone)
        date = f"{_WEEKDAYS[moment.weekday()]} {moment.day}. {_MONTHS[moment.month - 1]}"
        _write(self._dial, date, size * 0.034, _mix(_NIGHT, _WHITE, 0.72), self._left, int(size * 0.63))
        _write(self._dial, caption, size * 0.043, _WHITE, self._left, int(size * 0.80))

    def _light(self, step: int) -> None:
        _lay_around(self._dial, self._lit_mark, self._design.colour, *self._on_dial(step))

    def _on_dial(self, second: float) -> tuple[float, float]:
        angle = second / 60 * math.tau - math.pi / 2
        return self._centre[0] + self._radius * math.cos(angle), self._centre[1] + self._radius * math.sin(angle)


class Slate:
    """Draws what is shown while the channel's source is away."""

    def __init__(self, design: Design, text: str) -> None:
        self._design = design
        self._base = _background(design, glow=0.35)
        size = design.height
        _write(self._base, text, size * 0.05, _WHITE, int(design.width * 0.06), int(size * 0.46))
        self._dot = _disc(size * 0.013)

    def draw(self, tick: int) -> Planes:
        picture = self._base.copy()
        size = self._design.height
        for number in range(3):
            phase = (tick / TICKS_PER_SECOND * 0.8 - number * 0.18) % 1.0
            colour = _mix(_NIGHT, self._design.colour, 0.35 + 0.65 * max(0.0, math.sin(phase * math.tau)))
            left = int(self._design.width * 0.068 + number * size * 0.05)
            _lay(picture, self._dot, colour, left, int(size * 0.6))
        return picture


def test_tone(tick: int) -> Sound:
    """A pip on each second, longer and higher on the minute; silence between, which costs next to nothing to encode."""
    second, fraction = divmod(tick, TICKS_PER_SECOND)
    pip = _PIP if second % 60 else _MINUTE_PIP
    return pip[fraction] if fraction < len(pip) else SILENCE


test_tone.__test__ = False  # type: ignore[attr-defined]  # not for pytest


def _pip(hertz: float, ticks: int) -> list[Sound]:
    """A tone with soft ends, tick by tick."""
    at = np.arange(ticks * SAMPLES_PER_TICK)
    fade = np.clip(np.minimum(at, at[::-1]) / (SAMPLES_PER_TICK // 8), 0, 1)
    mono = _PIP_AMPLITUDE * fade * np.sin(math.tau * hertz * at / SAMPLE_RATE)
    return np.split(np.stack([mono, mono]).astype(np.float32), ticks, axis=1)


_PIP = _pip(1000, 2)
_MINUTE_PIP = _pip(1500, 12)


def _background(design: Design, glow: float) -> Planes:
    """A night sky in the channel's colour, its number and its name."""
    width, height = design.width, design.height
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(x - width * 0.775, y - height * 0.47) / height
    light = glow * (0.62 * np.exp(-((distance / 0.62) ** 2)) + 0.16 * (1 - y / height))
    light += glow * 0.05 * (np.abs(distance % 0.16 - 0.08) < 0.0018) * np.clip(1.3 - distance, 0, 1)
    light = np.clip(light, 0, 1)[..., None]
    rgb = np.array(_NIGHT, np.float32) * (1 - light) + np.array(design.colour, np.float32) * light * 0.9
    bars = 12
    strip = slice(int(height * 0.955), height)
    for bar in range(bars):
        shade = _mix(_NIGHT, _mix(design.colour, _WHITE, 0.15), (bar + 1) / bars * max(glow, 0.4))
        rgb[strip, bar * width // bars : (bar + 1) * width // bars] = shade
    picture = _planes(rgb)
    left, top, side = int(width * 0.06), int(height * 0.09), int(height * 0.115)
    _lay(picture, _rounded_square(side), design.colour, left, top)
    number = lettering(str(design.number), side * 0.5, 1.05)
    middle = top + side // 2 - int((ASCENT + CAPITAL_HEIGHT / 2) / CAPITAL_HEIGHT * side * 0.5)
    _lay(picture, number, _NIGHT, left + (side - number.shape[1]) // 2, middle)
    name_top = top + side // 2 - int((ASCENT + CAPITAL_HEIGHT / 2) / CAPITAL_HEIGHT * side * 0.56)
    _lay(picture, lettering(design.name, side * 0.56, 0.95), _WHITE, left + int(side * 1.2), name_top)
    return picture


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return red, green, blue


def _yuv(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Limited-range Y, Cb, Cr by ITU-R BT.709, from red, green, blue along the last axis."""
    r, g, b = rgb[..., 0] / 255, rgb[..., 1] / 255, rgb[..., 2] / 255
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
    return np.stack([16 + 219 * luma, 128 + 224 * (b - luma) / 1.8556, 128 + 224 * (r - luma) / 1.5748], -1)


@lru_cache(maxsize=256)
def _ink(colour: Colour) -> list[float]:
    ink: list[float] = _yuv(np.array(colour, np.float32)).tolist()
    return ink


def _planes(rgb: NDArray[np.float32]) -> Planes:
    height, width, _ = rgb.shape
    yuv = _yuv(rgb)
    chroma = yuv[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean((1, 3))
    whole = np.concatenate([yuv[..., 0].ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel()])
    planes: Planes = np.clip(np.rint(whole), 0, 255).astype(np.uint8).reshape(height * 3 // 2, width)
    return planes


def _lay(picture: Planes, mask: Opacity, colour: Colour, x: int, y: int) -> None:
    """Paints `colour` through the mask with its corner at (x, y); cut at the edges."""
    width, height = picture.shape[1], picture.shape[0] * 2 // 3
    x, y = x & ~1, y & ~1
    mask = mask[max(0, -y) : max(0, height - y) & ~1, max(0, -x) : max(0, width - x) & ~1]
    x, y = max(0, x), max(0, y)
    mask = np.pad(mask, ((0, mask.shape[0] % 2), (0, mask.shape[1] % 2)))
    rows, columns = mask.shape
    if not rows or not columns:
        return
    luma, *chroma = _ink(colour)
    luminance = picture[:height]
    part = luminance[y : y + rows, x : x + columns]
    part[:] = part + (luma - part) * mask + 0.5
    half = mask.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3))
    quarter = height * width // 4
    flat = picture.reshape(-1)
    for number, value in enumerate(chroma):
        plane = flat[height * width + number * quarter :][:quarter].reshape(height // 2, width // 2)
        part = plane[y // 2 : (y + rows) // 2, x // 2 : (x + columns) // 2]
        part[:] = part + (value - part) * half + 0.5


def _lay_around(picture: Planes, mask: Opacity, colour: Colour, x: float, y: float) -> None:
    _lay(picture, mask, colour, round(x) - mask.shape[1] // 2, round(y) - mask.shape[0] // 2)


def _write(picture: Planes, text: str, capital_height: float, colour: Colour, x: int, y: int) -> None:
    _lay(picture, lettering(text, capital_height), colour, x, y)


def _disc(radius: float, edge: float = 1.0) -> Opacity:
    reach = math.ceil(radius + edge)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    disc: Opacity = np.clip((radius - np.hypot(x, y)) / edge + 0.5, 0, 1)
    return disc


def _rounded_square(side: int) -> Opacity:
    corner = side * 0.24
    at = np.abs(np.arange(side, dtype=np.float32) + 0.5 - side / 2) - (side / 2 - corner)
    x, y = np.maximum(at, 0)[None, :], np.maximum(at, 0)[:, None]
    square: Opacity = np.clip(corner - np.hypot(x, y) + 0.5, 0, 1)
    return square
