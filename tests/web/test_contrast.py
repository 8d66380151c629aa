"""An operator's colour is seen on the page, and what is written on it can be read."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prikkfri.web
from prikkfri.contrast import GROUNDS, SEEN_MIN, contrast, ink_on, is_colour, least_contrast, nearest_seen

colours = st.integers(0, 0xFFFFFF).map("#{:06x}".format)
TOKENS = (Path(prikkfri.web.__file__).parent / "tokens.css").read_text(encoding="utf-8")


def test_contrast_is_the_ratio_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#ff0000", "#ffffff") == pytest.approx(4.0, abs=0.005)
    assert contrast("#0a0a0a", "#0a0a0a") == 1


@given(colours)
def test_what_is_written_on_any_colour_can_be_read(colour: str) -> None:
    assert contrast(ink_on(colour), colour) >= 4.5


@given(colours, st.sampled_from(sorted(GROUNDS)))
def test_of_any_colour_the_nearest_that_is_seen_is_told(colour: str, theme: str) -> None:
    nearest = nearest_seen(colour, theme)
    assert is_colour(nearest) and least_contrast(nearest, theme) >= SEEN_MIN
    assert (nearest == colour) == (least_contrast(colour, theme) >= SEEN_MIN)


def test_the_nearest_goes_no_further_than_it_has_to() -> None:
    assert least_contrast(nearest_seen("#ffee00", "light"), "light") < 1.1 * SEEN_MIN
    assert least_contrast(nearest_seen("#101080", "dark"), "dark") < 1.1 * SEEN_MIN


@pytest.mark.parametrize("text", ["#fff", "red", "#12345g", "#1234567", "x#123456", "#123456\n", ""])
def test_a_colour_is_six_digits(text: str) -> None:
    assert not is_colour(text) and is_colour("#09aFfF")


@pytest.mark.parametrize("theme", sorted(GROUNDS))
def test_the_grounds_are_those_of_the_pages(theme: str) -> None:
    start = TOKENS.index(f'[data-theme="{theme}"] {{')
    block = TOKENS[start : TOKENS.index("}", start)]
    found = [re.search(rf"--{name}: (#\w+);", block) for name in ("ground", "surface", "raised")]
    assert {match[1] for match in found if match} == set(GROUNDS[theme])
