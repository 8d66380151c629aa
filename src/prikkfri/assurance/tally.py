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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from msgspec import structs

from prikkfri.assurance.expiry import ExpiryMap
from prikkfri.assurance.segments import BASE, Segment, Value, placed_at
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
         "two-texts", "no-transit", "loop", "receipt-as-message")
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
    timed: float = 0
    """Of those kept: of which it is known how long they took, at a step at which that is judged ..."""
    slow: float = 0
    """... and those that took longer than is expected there."""

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
    slow_seconds: float = 0.0
    """What is kept later than this is slow; 0: that is not judged. Clocks are up to five seconds apart."""


EXPECTATIONS: Mapping[tuple[str, str], Expectation] = {
    # Who was told an honest wait is still waiting; after this long nobody calls it honest.
    ("television", "enter"): Expectation(300.0, carried_to="sign-in", carried_layer="signin"),
    # The door writes that it let somebody in to sign in; whatever comes of that is signin's to say.
    ("television", "sign-in"): Expectation(60.0, carried_to="sign-in", carried_layer="signin", slow_seconds=15.0),
    ("messages", "submit"): Expectation(30.0, repeatable=False),
    ("messages", "deliver"): Expectation(300.0, repeatable=False, slow_seconds=60.0),
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


FIGURES = 5
"""Of a `Bucket`, in its order."""

Kind = tuple[tuple[str, str, str, bool], tuple[Value, ...]]
"""All by which it is placed where an outcome counts."""


def kind_of(outcome: Outcome) -> Kind:
    own = (outcome.service, outcome.step, outcome.layer, outcome.observed)
    return own, tuple(outcome.dimensions.items())


# A great many outcomes are of a few kinds.


@lru_cache(maxsize=16_384)
def series_of_kind(own: tuple[str, str, str, bool], dimensions: tuple[Value, ...]) -> tuple[Segment, ...]:
    """Where such outcomes count: in the series of their layer and one for each value; nowhere on a customer's own."""
    service, _, layer, _ = own
    if own_layer(service, layer):
        return ()
    base = dict(placed_at(own, dimensions).base.values)
    return Segment.of(base), *(Segment.of({**base, name: value}) for name, value in dimensions if name not in BASE)


class Settlement(NamedTuple):
    """When a promise was settled, by the clock of whoever settled it, and whether its asking had been read by then."""

    at: float
    asked: bool
    read_at: float
    """When that was counted: a clock that is far behind makes nobody forget it."""


class Pairing:
    """Askings and what settles them, in the order in which they are met; one owner changes it."""

    def __init__(
        self,
        waiting: Mapping[str, Outcome] | None = None,
        answered: Mapping[tuple[str, str], Settlement] | None = None,
        expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
    ) -> None:
        self.waiting: ExpiryMap[str, Outcome] = ExpiryMap()
        """The asking by promise id, oldest first, until its grace time is over."""
        self.answered: ExpiryMap[tuple[str, str], Settlement] = ExpiryMap()
        """By promise id and the step that settled it, oldest first, for as long as that is remembered."""
        self.expectations = expectations
        for asking in (waiting or {}).values():
            self.waiting.put(asking.promise, asking, asking.time + expectation(asking, expectations).grace_seconds)
        for key, answer in (answered or {}).items():
            self._remember(key, answer)

    def ask(self, asking: Outcome) -> None:
        """A promise is open from now on, unless it was settled already. Whoever was asked last has it, however read."""
        if not asking.promise:
            return
        expected = expectation(asking, self.expectations)
        known = self.waiting.get(asking.promise)
        if (known is None or known.time <= asking.time) and not self._settled(asking, expected):
            self.waiting.put(asking.promise, asking, asking.time + expected.grace_seconds)

    def settle(self, outcome: Outcome, start: float = 0.0) -> tuple[Outcome | None, bool]:
        """The asking that it settles, if that was read, and whether it is told for the first time.

        `start`: the bucket that is counted.
        """
        if not outcome.promise:
            return None, True
        asking, key = self.waiting.take(outcome.promise), (outcome.promise, outcome.step)
        before = self.answered.take(key)
        asked = asking is not None or (before is not None and before.asked)
        self._remember(key, Settlement(outcome.time, asked, max(outcome.time, start)))
        return asking, asking is not None or before is None or before.at != outcome.time

    def _remember(self, key: tuple[str, str], answer: Settlement) -> None:
        self.answered.put(key, answer, answer.read_at + ANSWERED_KEPT_SECONDS)

    def _settled(self, asking: Outcome, expected: Expectation) -> bool:
        carried_to = expected.carried_to
        return self._answers(asking, asking.step) or (carried_to != "" and self._answers(asking, carried_to))

    def _answers(self, asking: Outcome, step: str) -> bool:
        answer = self.answered.get((asking.promise, step))
        return answer is not None and (not answer.asked or answer.at >= asking.time - CLOCKS_APART_SECONDS_MAX)


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
    pairing = Pairing(still_open, answered, expectations)
    buckets = count_promises(pairing, outcomes, start=start, now=now, open_max=open_max)
    return Tally(buckets, pairing.waiting, pairing.answered)


def count_promises(
    pairing: Pairing, outcomes: Iterable[Outcome], *, start: float, now: float, open_max: int = OPEN_PROMISES_MAX
) -> dict[Segment, Bucket]:
    """As `tally`, with what is open in `pairing`, which is gone on with: its cost follows what comes and what ends."""
    counts: dict[Kind, list[int]] = {}

    def count(outcome: Outcome, index: int) -> None:
        counts.setdefault(kind_of(outcome), [0] * FIGURES)[index] += 1

    for outcome in outcomes:
        if not is_promise(outcome):
            continue
        if outcome.verdict == "asked":
            count(outcome, 2)
            pairing.ask(outcome)
        else:
            asking, first = pairing.settle(outcome, start)
            if first and not own_error(outcome.service, outcome.reason):  # a layer of their own has no series
                count(outcome, 0 if outcome.verdict == "kept" else 1)
                if asking is not None and outcome.verdict == "kept" and asking.step == outcome.step:
                    slow_seconds = expectation(outcome, pairing.expectations).slow_seconds
                    if slow_seconds:
                        count(outcome, 3)
                        if outcome.time - asking.time > slow_seconds:
                            count(outcome, 4)
    over = pairing.waiting.run_out(now)
    over += pairing.waiting.oldest(len(pairing.waiting) - open_max)
    for _, asking in over:
        count(unanswered(asking, pairing.expectations), 1)
    pairing.answered.run_out(now)
    pairing.answered.oldest(len(pairing.answered) - open_max)
    return _by_series(counts, start)


def _by_series(counts: Mapping[Kind, Sequence[int]], start: float) -> dict[Segment, Bucket]:
    added: dict[Segment, list[int]] = {}
    for kind, figures in counts.items():
        for series in series_of_kind(*kind):
            sums = added.setdefault(series, [0] * FIGURES)
            for index, figure in enumerate(figures):
                sums[index] += figure
    return {series: Bucket(start, *sums) for series, sums in added.items()}
