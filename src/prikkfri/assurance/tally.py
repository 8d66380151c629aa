"""Tally: outcomes into counts of promises kept and broken, by series and bucket of time.

Only what a role has seen counts. What a device reports anybody may say, and whoever joins the line may be made up: a
joining is a promise once they have come back for their place, which the door then tells.

A promise that was asked and not settled within its grace time counts as broken at the moment when that time ran out:
a frozen server writes nothing, and that nothing must be seen. What went wrong by the customer's own hand (a wrong
password) says nothing about us and is not counted.

Streams are read one by one and clocks differ, so an answer may be read, or have been given, before its asking. What was
settled is remembered for a while: no asking of it that comes after opens it again, and told twice it counts once.

A series is (service, step, layer), and again for each value of each dimension.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import structs

from prikkfri.assurance.segments import BASE, Segment, dimensions_of
from prikkfri.journal import Outcome

OWN_ERRORS: Mapping[str, frozenset[str]] = {
    "television": frozenset(
        ("wrong-credentials", "too-many-tries", "no-subscription", "bad-token", "expired", "revoked", "not-entitled",
         "too-many-joins", "wrong-code", "bad-link", "unknown-customer", "no-number", "too-many-codes",
         "not-yours", "not-your-pass", "pass-spent")
    ),
    "messages": frozenset(
        ("text-length", "not-text", "too-long", "bad-recipient", "bad-sender", "bad-header", "bad-schedule",
         "bad-validity", "expires-before-due", "no-such-mode", "no-replacing", "no-default-message",
         "no-transit", "loop", "receipt-as-message")
    ),
}  # fmt: skip
"""Reasons by service that are the customer's own: neither kept nor broken by us. (A message that `expired` is ours.)"""
OWN_LAYERS: Mapping[str, frozenset[str]] = {"messages": frozenset(("account",))}
"""Layers by service that are the customer's own: what waits for an account that nobody has bound is that account's
matter, whatever becomes of it. It is counted apart and is in no series."""

ORDINARY_SHARES: Mapping[tuple[str, str], float] = {("messages", "deliver"): 0.05}
"""The share of broken promises that is ordinary at a step before anything is learnt, where it is not next to nothing:
phones are off, and whatever is sent to them arrives when they are on again."""

ACTS = frozenset(
    (
        "open-channel", "close-channel", "stop-route", "open-route", "complaint", "stop-sending", "start-sending",
        "picture", "end-sessions", "password-link", "steer-line",
    )
)  # fmt: skip
"""Steps at which a role tells what was done about a fault or for a customer, or that a channel has lost its picture: no
promise to anybody, so they count nowhere."""

JOIN = "join"
"""The step at which the door tells that a device joined: a promise of the step in its dimension `for`, if they come
back."""

RETURN = "return"
"""The step at which the door tells that somebody came back with their pass just then: their last try was not answered,
whatever was answered to those before it. It is no promise of its own."""

OPEN_PROMISES_MAX = 1_000_000
"""Promises that may be open at once; past it the oldest are given up as broken before their time."""
CLOCKS_APART_SECONDS_MAX = 5.0
"""An asking that is so much younger than an answer of its promise may be the one that was answered. One that is still
younger is too, when no other asking was read: then a clock is wrong, and nothing else."""
ANSWERED_KEPT_SECONDS = 30.0
"""So long the asking of what was answered may come in late."""


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


def own_layer(service: str, layer: str) -> bool:
    """Whether a layer is the customer's own, so that what it keeps, breaks or leaves waiting is no word on us."""
    return layer in OWN_LAYERS.get(service, frozenset())


def own_error(service: str, reason: str, layer: str = "") -> bool:
    """Whether a broken promise was the customer's own doing."""
    return reason in OWN_ERRORS.get(service, frozenset()) or own_layer(service, layer)


def is_promise(outcome: Outcome) -> bool:
    """Whether an outcome says by itself that a promise was made, kept or broken: a role saw it, and it is neither an
    act nor a joining or a coming back."""
    return outcome.observed and counts(outcome)


def counts(outcome: Outcome) -> bool:
    """Whether an outcome is about a promise by itself, whoever tells of it."""
    return outcome.step not in ACTS and outcome.step not in (JOIN, RETURN)


def asking_of(joining: Outcome) -> Outcome:
    """What whoever joined has asked for, as an asking like any other."""
    return structs.replace(joining, step=joining.dimensions.get("for", "enter"), dimensions={})


def unanswered(asking: Outcome, expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS) -> Outcome:
    """An asking that nobody settled, as the broken promise of whoever should have."""
    if own_layer(asking.service, asking.layer):
        return structs.replace(asking, verdict="broken", reason=asking.reason or "unanswered")
    expected = expectation(asking, expectations)
    return structs.replace(
        asking,
        verdict="broken",
        reason="unanswered",
        step=expected.carried_to or asking.step,
        layer=expected.carried_layer or asking.layer,
    )


def series_of(outcome: Outcome) -> Iterable[Segment]:
    """The series in which an outcome counts: that of its layer, and one for each dimension value; none of its own."""
    if own_layer(outcome.service, outcome.layer):
        return
    base = {name: value for name, value in dimensions_of(outcome).items() if name in BASE}
    yield Segment.of(base)
    for name, value in outcome.dimensions.items():
        if name not in BASE:
            yield Segment.of({**base, name: value})


class Settlement(NamedTuple):
    """When a promise was settled, by the clock of whoever settled it, and whether its asking had been read by then."""

    at: float
    asked: bool
    read_at: float
    """When that was counted: a clock that is far behind makes nobody forget it."""


class Pairing:
    """Askings and what settles them, in the order in which they are met."""

    def __init__(
        self,
        waiting: Mapping[str, Outcome],
        answered: Mapping[tuple[str, str], Settlement],
        expectations: Mapping[tuple[str, str], Expectation],
        *,
        start: float = 0.0,
    ) -> None:
        """`start`: the bucket that is counted."""
        self.waiting = dict(waiting)
        """The asking by promise id, oldest first."""
        self.answered = dict(answered)
        """By promise id and the step that settled it, oldest first."""
        self._expectations = expectations
        self._start = start

    def ask(self, asking: Outcome) -> None:
        """A promise is open from now on, unless it was settled already. Whoever was asked last has it, however read."""
        known = self.waiting.get(asking.promise)
        if asking.promise and not self._settled(asking) and (known is None or known.time <= asking.time):
            self.waiting[asking.promise] = asking

    def settle(self, outcome: Outcome) -> tuple[Outcome | None, bool]:
        """The asking that it settles, if that was read, and whether it is told for the first time."""
        if not outcome.promise:
            return None, True
        asking, key = self.waiting.pop(outcome.promise, None), (outcome.promise, outcome.step)
        before = self.answered.pop(key, None)
        asked = asking is not None or (before is not None and before.asked)
        self.answered[key] = Settlement(outcome.time, asked, max(outcome.time, self._start))
        return asking, asking is not None or before is None or before.at != outcome.time

    def _settled(self, asking: Outcome) -> bool:
        answering = {asking.step, expectation(asking, self._expectations).carried_to or asking.step}
        answers = (self.answered.get((asking.promise, step)) for step in answering)
        return any(a and (not a.asked or a.at >= asking.time - CLOCKS_APART_SECONDS_MAX) for a in answers)


@dataclass(frozen=True)
class Tally:
    """Counts of one bucket by series, and the promises that are still open at its end."""

    buckets: Mapping[Segment, Bucket]
    open: Mapping[str, Outcome]
    """The asking by promise id, oldest first."""
    answered: Mapping[tuple[str, str], Settlement] = field(default_factory=dict)
    """What was settled lately, by promise id and the step that settled it."""


def tally(
    outcomes: Iterable[Outcome],
    still_open: Mapping[str, Outcome],
    *,
    start: float,
    now: float,
    answered: Mapping[tuple[str, str], Settlement] | None = None,
    expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
    open_max: int = OPEN_PROMISES_MAX,
) -> Tally:
    """Counts what came in since `start`; promises in `still_open` whose grace time is over at `now` count as broken.

    `still_open` and `answered` are what the tally before has left.
    """
    counts: dict[Segment, list[int]] = {}
    pairing = Pairing(still_open, answered or {}, expectations, start=start)

    def count(outcome: Outcome, index: int) -> None:
        for series in series_of(outcome):
            counts.setdefault(series, [0, 0, 0])[index] += 1

    for outcome in outcomes:
        if not is_promise(outcome):
            continue
        if outcome.verdict == "asked":
            count(outcome, 2)
            pairing.ask(outcome)
        else:
            _, first = pairing.settle(outcome)
            if first and not own_error(outcome.service, outcome.reason):  # a layer of their own has no series
                count(outcome, 0 if outcome.verdict == "kept" else 1)
    waiting = pairing.waiting
    excess = len(waiting) - open_max
    for number, (promise, asking) in enumerate(list(waiting.items())):
        if number < excess or asking.time + expectation(asking, expectations).grace_seconds <= now:
            count(unanswered(asking, expectations), 1)
            del waiting[promise]
    buckets = {series: Bucket(start, kept, broken, asked) for series, (kept, broken, asked) in counts.items()}
    forgotten = len(pairing.answered) - open_max
    remembered = {
        promise: answer
        for number, (promise, answer) in enumerate(pairing.answered.items())
        if number >= forgotten and answer.read_at + ANSWERED_KEPT_SECONDS > now
    }
    return Tally(buckets, waiting, remembered)
