"""What is known of an evening that is staged, and whether another may be.

Theory of operation. The console leaves an order, the demo's world takes it and tells what it does, again and again. One
evening is staged at a time. Of a world that has fallen silent it is not waited for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Evening = Literal["kickoff", "misdelivery"]
EVENINGS: tuple[Evening, ...] = ("kickoff", "misdelivery")
State = Literal["asked", "running", "passed", "failed", "not-judged", "broken-off"]
SILENT_SECONDS = 20.0
"""Whoever stages an evening and has told nothing for so long has ended."""
TAKEN_SECONDS = 10.0
"""An order that nobody has taken for so long stands in nobody's way."""
SILENT = "Whoever staged it has ended: the demo was stopped, or started again."
NOT_TAKEN = "The demo has not taken it up: do all of its roles run, under `prikkfri serve --demo`?"


@dataclass(frozen=True)
class Order:
    evening: Evening
    by: str
    at: float


@dataclass(frozen=True)
class Step:
    at: float
    text: str


@dataclass(frozen=True)
class Verdict:
    """One thing that had to hold."""

    name: str
    figure: str
    holds: bool | None
    """None: it could not be judged; the figure says why."""


@dataclass(frozen=True)
class Staging:
    """One evening, as its stage last told."""

    evening: Evening
    by: str
    since: float
    told_at: float
    state: State = "running"
    until: float = 0.0
    """When it ended; 0: it has not."""
    steps: tuple[Step, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    trouble: str = ""
    """Why it was broken off."""
    incidents: tuple[str, ...] = ()
    """Those that it made, by id."""


@dataclass(frozen=True)
class Stage:
    """What a demo can stage, and where else it can be watched."""

    hindrances: Mapping[Evening, str] = field(default_factory=dict)
    """Why an evening cannot be staged here."""
    pages: Mapping[str, str] = field(default_factory=dict)
    """Addresses of the partners' phones, by partner."""


def as_seen(known: Staging | None, order: Order | None, now: float) -> Staging | None:
    """An evening as it is to be shown: an order that waits for it comes first; None when there has been none."""
    if order is not None and (known is None or order.at > known.since):
        late = now > order.at + TAKEN_SECONDS
        return Staging(order.evening, order.by, order.at, order.at, "asked", trouble=NOT_TAKEN if late else "")
    if known is not None and known.state == "running" and now > known.told_at + SILENT_SECONDS:
        return replace(known, state="broken-off", until=known.told_at, trouble=SILENT)
    return known


def in_the_way(seen: Iterable[Staging]) -> Staging | None:
    """What has to end before another evening is staged."""
    return next((each for each in seen if each.state in ("asked", "running") and not each.trouble), None)


def is_stale(order: Order, now: float) -> bool:
    """Whether an order is so old that nobody waits for it any more."""
    return now > order.at + TAKEN_SECONDS


def conclude(staging: Staging, verdicts: tuple[Verdict, ...], incidents: tuple[str, ...], now: float) -> Staging:
    """With what it came to."""
    holds = {verdict.holds for verdict in verdicts}
    state: State = "failed" if False in holds else "not-judged" if None in holds else "passed"
    return replace(staging, state=state, until=now, told_at=now, verdicts=verdicts, incidents=incidents)


def break_off(staging: Staging, trouble: str, now: float) -> Staging:
    return replace(staging, state="broken-off", until=now, told_at=now, trouble=trouble)
