"""Tally: outcomes into counts of promises kept and broken, by series and bucket of time.

A promise that was asked and not settled within its grace time counts as broken at the moment when that time ran out:
a frozen server writes nothing, and that nothing must be seen. What went wrong by the customer's own hand (a wrong
password) says nothing about us and is not counted.

A series is (service, step, layer), and again for each value of each dimension. What only a device reported is a series
of its own (`seen=reported`), so that nobody can raise an alarm about what our own roles saw.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import structs

from prikkfri.assurance.segments import BASE, Segment, dimensions_of
from prikkfri.journal import Outcome

OWN_ERRORS: Mapping[str, frozenset[str]] = {
    "television": frozenset(
        ("wrong-credentials", "too-many-tries", "no-subscription", "bad-token", "expired", "revoked", "not-entitled")
    ),
    "messages": frozenset(
        ("text-length", "not-text", "too-long", "bad-recipient", "bad-sender", "bad-header", "bad-schedule",
         "bad-validity", "expires-before-due")
    ),
}  # fmt: skip
"""Reasons by service that are the customer's own: neither kept nor broken by us. (A message that `expired` is ours.)"""

ACTS = frozenset(("open-channel", "close-channel", "stop-route", "open-route"))
"""Steps at which a role tells what was done about a fault: no promise to anybody, so they count nowhere."""

OPEN_PROMISES_MAX = 1_000_000
"""Promises that may be open at once; past it the oldest are given up as broken before their time."""


@dataclass(frozen=True)
class Bucket:
    """What one series counted in one stretch of time."""

    time: float
    """Its start."""
    kept: float = 0
    broken: float = 0
    asked: float = 0

    @property
    def settled(self) -> float:
        return self.kept + self.broken


@dataclass(frozen=True)
class Expectation:
    """What "got it" means at a step."""

    grace_seconds: float = 30.0
    """The time within which a promise has to be kept."""
    repeatable: bool = True
    """True when a later try makes good for an earlier one (a sign-in); a message is itself or nothing."""
    carried_to: str = ""
    """The later step that settles promises made at this one: whoever waits in a line waits for what comes after it."""
    carried_layer: str = ""
    """The layer that answers there: when nobody answered, it is the one that did not."""


EXPECTATIONS: Mapping[tuple[str, str], Expectation] = {
    # Who was told an honest wait is still waiting; after this long nobody calls it honest.
    ("television", "enter"): Expectation(300.0, carried_to="sign-in", carried_layer="signin"),
    # The door writes that it let somebody in to sign in; whatever comes of that is signin's to say.
    ("television", "sign-in"): Expectation(60.0, carried_to="sign-in", carried_layer="signin"),
    ("messages", "submit"): Expectation(30.0, repeatable=False),
    ("messages", "deliver"): Expectation(300.0, repeatable=False),
}
"""By service and step; whatever is not named has the default."""
_DEFAULT = Expectation()


def expectation(outcome: Outcome, expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS) -> Expectation:
    return expectations.get((outcome.service, outcome.step), _DEFAULT)


def own_error(service: str, reason: str) -> bool:
    """Whether a broken promise was the customer's own doing."""
    return reason in OWN_ERRORS.get(service, frozenset())


def unanswered(asking: Outcome, expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS) -> Outcome:
    """An asking that nobody settled, as the broken promise of whoever should have."""
    expected = expectation(asking, expectations)
    return structs.replace(
        asking,
        verdict="broken",
        reason="unanswered",
        step=expected.carried_to or asking.step,
        layer=expected.carried_layer or asking.layer,
    )


def series_of(outcome: Outcome) -> Iterable[Segment]:
    """The series in which an outcome counts: that of its layer, and one for each dimension value."""
    base = {name: value for name, value in dimensions_of(outcome).items() if name in BASE}
    yield Segment.of(base)
    for name, value in outcome.dimensions.items():
        if name not in BASE:
            yield Segment.of({**base, name: value})


@dataclass(frozen=True)
class Tally:
    """Counts of one bucket by series, and the promises that are still open at its end."""

    buckets: Mapping[Segment, Bucket]
    open: Mapping[str, Outcome]
    """The asking by promise id, oldest first."""


def tally(
    outcomes: Iterable[Outcome],
    still_open: Mapping[str, Outcome],
    *,
    start: float,
    now: float,
    expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
) -> Tally:
    """Counts what came in since `start`; promises in `still_open` whose grace time is over at `now` count as broken."""
    counts: dict[Segment, list[int]] = {}
    waiting = dict(still_open)

    def count(outcome: Outcome, index: int) -> None:
        for series in series_of(outcome):
            counts.setdefault(series, [0, 0, 0])[index] += 1

    for outcome in outcomes:
        if outcome.step in ACTS:
            continue
        if outcome.verdict == "asked":
            count(outcome, 2)
            if outcome.promise:
                waiting[outcome.promise] = outcome
        else:
            waiting.pop(outcome.promise, None)
            if not own_error(outcome.service, outcome.reason):
                count(outcome, 0 if outcome.verdict == "kept" else 1)
    excess = len(waiting) - OPEN_PROMISES_MAX
    for number, (promise, asking) in enumerate(list(waiting.items())):
        if number < excess or asking.time + expectation(asking, expectations).grace_seconds <= now:
            count(unanswered(asking, expectations), 1)
            del waiting[promise]
    buckets = {series: Bucket(start, kept, broken, asked) for series, (kept, broken, asked) in counts.items()}
    return Tally(buckets, waiting)
