"""The report of a rehearsal: one page that stands alone, light and dark, printable."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

CHART_WIDTH = 960
CHART_HEIGHT = 220
MARGIN = 40


@dataclass(frozen=True)
class Check:
    """One thing that has to hold, with the figure that was seen."""

    name: str
    """As a sentence: what holds when it is green."""
    figure: str
    holds: bool | None
    """None: it could not be judged; the figure says why."""

    @property
    def verdict(self) -> str:
        return "not judged" if self.holds is None else "passed" if self.holds else "failed"


@dataclass(frozen=True)
class Event:
    """A line of the evening."""

    second: float
    """Since the beginning."""
    clock: str
    """What the evening's own clock showed."""
    kind: str
    """`happened`, `seen` or `done`."""
    text: str


@dataclass(frozen=True)
class Line:
    """One curve: a value for each second since the beginning."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Period:
    """A stretch of the chart that is marked: what was broken when, say."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Question:
    number: int
    question: str
    text: str
    evidence: Sequence[str]
    known: bool


@dataclass(frozen=True, kw_only=True)
class Report:
    title: str
    sentence: str
    """What came out of it, in one sentence."""
    passed: bool
    staged_at: str
    machine: str
    again: str
    """The command that runs it again."""
    commit: str
    checks: Sequence[Check]
    events: Sequence[Event]
    lines: Sequence[Line]
    unit: str
    """Of the lines."""
    periods: Sequence[Period] = ()
    comparison: Sequence[tuple[str, str, str]] = ()
    """What, the truth, the product's account."""
    answers: Sequence[Question] = ()

    @property
    def verdict(self) -> str:
        if self.passed:
            return "passed"
        return "failed" if any(check.holds is False for check in self.checks) else "not judged"


def render(report: Report) -> str:
    """The page as HTML, with everything that it needs inside."""
    environment = Environment(
        loader=PackageLoader("prikkfri.simulation", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tokens = (resources.files("prikkfri.web") / "tokens.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        report=report,
        # Our own style sheet, not anybody's input.
        tokens=Markup(tokens),  # noqa: S704
        curves=[_curve(line, report.lines) for line in report.lines],
        periods=[_bar(period, report.lines) for period in report.periods],
        ticks=_ticks(report.lines),
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
        margin=MARGIN,
    )


def _seconds(lines: Sequence[Line]) -> int:
    return max((len(line.values) for line in lines), default=1)


def _highest(lines: Sequence[Line]) -> float:
    return max((max(line.values, default=0) for line in lines), default=0) or 1.0


def _x(second: float, lines: Sequence[Line]) -> float:
    return round(MARGIN + second / max(_seconds(lines) - 1, 1) * (CHART_WIDTH - MARGIN), 1)


def _y(value: float, lines: Sequence[Line]) -> float:
    return round(CHART_HEIGHT - 20 - value / _highest(lines) * (CHART_HEIGHT - 40), 1)


def _curve(line: Line, lines: Sequence[Line]) -> dict[str, str]:
    points = " ".join(f"{_x(second, lines)},{_y(value, lines)}" for second, value in enumerate(line.values))
    return {"name": line.name, "points": points}


def _bar(period: Period, lines: Sequence[Line]) -> dict[str, object]:
    start, end = _x(period.start, lines), _x(min(period.end, _seconds(lines) - 1), lines)
    return {"name": period.name, "x": start, "width": max(round(end - start, 1), 1)}


def _ticks(lines: Sequence[Line]) -> list[dict[str, object]]:
    highest = _highest(lines)
    return [{"y": _y(highest * share, lines), "text": f"{highest * share:.0f}"} for share in (0, 0.5, 1)]
