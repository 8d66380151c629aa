"""The curve of a benchmark of signing in as a picture: how many get in, the more come."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from prikkfri.simulation.bench.crowd import Point

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 70
OURS, THEIRS = "#1f6feb", "#b35900"
_INK, _FAINT = "#1f2328", "#d0d7de"
_SHARE_MAX = 1.2


def _x(number: int, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (number + 0.5) / count


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(share, _SHARE_MAX) / _SHARE_MAX


def _text(x: float, y: float, words: str, *, anchor: str = "middle", colour: str = _INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def _line(points: Sequence[Point], places: dict[float, float], colour: str, name: str) -> list[str]:
    spots = [(places[each.load_x], _y(each.goodput_share)) for each in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    drawn = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>']
    drawn += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour if each.valid else "#ffffff"}" stroke="{colour}"/>'
        for each, (x, y) in zip(points, spots, strict=True)
    ]
    return [*drawn, _text(spots[-1][0], spots[-1][1] - 10, name, colour=colour)] if spots else []


def picture(points: Sequence[Point], baseline: Sequence[Point] | None, machine: str) -> str:
    """An SVG: goodput as a share of the hash limit, over how many times that limit came. `machine`: where and when.

    A point that is not valid is hollow.
    """
    loads = sorted({each.load_x for each in (*points, *(baseline or ()))})
    places = {load_x: _x(number, len(loads)) for number, load_x in enumerate(loads)}
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="13" role="img">',
        "<title>How many get in, the more come</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 24, "Sign-ins a second, of what Argon2id itself allows on one core", anchor="start"),
    ]
    for percent in range(0, 101, 25):
        y = _y(percent / 100)
        drawn.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{_FAINT}"/>')
        drawn.append(_text(LEFT - 8, y + 4, f"{percent} %", anchor="end"))
    drawn += [_text(x, HEIGHT - BOTTOM + 20, f"{load_x:g} ×") for load_x, x in places.items()]
    drawn.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 40, "people who come, in times of that limit"))
    said = machine if all(each.valid for each in (*points, *(baseline or ()))) else f"{machine}; hollow: not valid"
    drawn.append(f'<g font-size="10">{_text(8, HEIGHT - 10, said, anchor="start")}</g>')
    drawn += _line(baseline or (), places, THEIRS, "FastAPI")
    drawn += _line(points, places, OURS, "Prikkfri")
    return "\n".join([*drawn, "</svg>"]) + "\n"
