"""Whether a colour can be seen on another, and what is written on it (WCAG 2.2: relative luminance, contrast ratio)."""

import re

GROUNDS = {"light": ("#f5f5f2", "#ffffff"), "dark": ("#0b0d12", "#14171f", "#1e222d")}
"""What an operator's colour lies on: the grounds of web/tokens.css, by theme."""
SEEN_MIN = 3.0
"""Of a mark or the ground of a button beside what is around it."""
STEPS = 64


def is_colour(text: str) -> bool:
    return bool(re.fullmatch("#[0-9a-fA-F]{6}", text, re.ASCII))


def contrast(one: str, other: str) -> float:
    """From 1, of a colour and itself, to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def least_contrast(colour: str, theme: str) -> float:
    return min(contrast(colour, ground) for ground in GROUNDS[theme])


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better: one of them always has 4.5:1."""
    return max("#000000", "#ffffff", key=lambda ink: contrast(ink, colour))


def nearest_seen(colour: str, theme: str) -> str:
    """The colour itself where it is seen on a theme's grounds, else the nearest on its way to black or white."""
    end = 0 if theme == "light" else 255
    parts = _parts(colour)
    mixed = ("#" + "".join(f"{round(p + (end - p) * step / STEPS):02x}" for p in parts) for step in range(STEPS + 1))
    return next(each for each in mixed if least_contrast(each, theme) >= SEEN_MIN)


def _parts(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def _luminance(colour: str) -> float:
    shares = (part / 255 for part in _parts(colour))
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
