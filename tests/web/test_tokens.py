"""The tokens keep WCAG 2.2 AA contrast in both themes, and say light only in one voice."""

import re
from pathlib import Path

import pytest

import prikkfri.web

TOKENS = (Path(prikkfri.web.__file__).parent / "tokens.css").read_text(encoding="utf-8")
GROUNDS = ("ground", "surface", "raised")
TEXTS = ("text", "text-soft", "text-faint", "accent", "live", "kept", "broken", "warning", "unknown")
EDGES = (
    "line-strong",
    "focus",
    "series-1",
    "series-2",
    "series-3",
    "series-4",
    "series-5",
    "series-6",
    "series-7",
    "series-8",
)


def block(opening: str) -> dict[str, str]:
    """The colours that one rule of tokens.css declares, by token name."""
    start = TOKENS.index(opening)
    body = TOKENS[start + len(opening) : TOKENS.index("}", start)]
    return dict(re.findall(r"--([a-z0-9-]+):\s*([^;]+);", body))


THEMES = {
    "dark": block('[data-theme="dark"] {'),
    "light": block('[data-theme="light"] {'),
}


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2, definition of relative luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize(("names", "least"), [(TEXTS, 4.5), (EDGES, 3.0)], ids=["text", "edges"])
def test_contrast_on_grounds(theme: str, ground: str, names: tuple[str, ...], least: float) -> None:
    colours = THEMES[theme]
    too_weak = {n: round(c, 2) for n in names if (c := contrast(colours[n], colours[ground])) < least}
    assert not too_weak


@pytest.mark.parametrize("theme", THEMES)
def test_contrast_of_pairs(theme: str) -> None:
    colours = THEMES[theme]
    pairs = [("on-solid", "solid"), ("on-solid", "solid-hover"), ("on-live", "live"), ("text", "hover")]
    pairs += [("text-soft", "hover"), ("accent", "accent-ground")]
    for status in ("kept", "broken", "warning", "unknown"):
        pairs += [(status, f"{status}-ground"), ("text", f"{status}-ground")]
    too_weak = {pair: round(contrast(*(colours[n] for n in pair)), 2) for pair in pairs}
    assert all(ratio >= 4.5 for ratio in too_weak.values()), too_weak


def test_light_is_told_twice_alike() -> None:
    assert block(":root:not([data-theme]) {") == THEMES["light"]


def test_themes_name_the_same_tokens() -> None:
    assert THEMES["dark"].keys() == THEMES["light"].keys()
