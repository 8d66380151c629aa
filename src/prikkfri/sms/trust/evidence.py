"""What all that is seen of a route comes to: are its messages delivered to those whom they are for?

Theory of operation. What is tested is "this route is honest". Against it stand six shares of messages that go astray
(`SHARES`), each perhaps helped by one kind of hint, and each since some minute that nobody knows. A canary's verdict,
or so many hints while so many messages passed, multiplies each of these alternatives by how much likelier it makes
what was seen than the stated null rate does: an e-value, of mean one at most while the route is honest, whatever was
seen before, and however it was decided when to look. Once a minute every alternative gets a new start of its weight.
The sum over alternatives and starts is a mixture e-detector of Shiryaev and Roberts' form (J. Shin, A. Ramdas,
A. Rinaldo: E-detectors, 2024; A. Ramdas et al.: Game-theoretic statistics and safe anytime-valid inference, Stat. Sci.
38, 2023; M. Pollak, Ann. Stat. 13, 1985). On an honest route its mean after n minutes is n at most, and so is what it
must outgrow:

    P(stopped wrongly within H hours) <= 60 H / exp(CONDEMNING_NATS)        0.7 % in 1,000 hours of a route

Null rates (`MISSING_ORDINARILY` and so on) are what an honest route does at most; they are stated, not learnt.

*Phones may be broken.* A phone that has missed one canary may have lost all that came: the next ones to it say
nothing until it has got one (`Gap`). Of four phones or more the first one missed of each is enough when all goes
astray; of fewer only a share is noticed. And each sum is kept once more without each phone: all of them have to reach
the limit, so that no single phone that loses some of what it gets stops a route. That its token turned up elsewhere a
phone cannot have done alone: that counts always.

*Hints are not proof.* What strangers say, and receipts that fit another number, may be lies, or a partner's odd way of
writing. They make canaries fly faster (`flying`), and count for `HINTS_NATS_MAX` at most: what canaries say alone has
to reach the rest. Should a crowd lie without end, an honest route is stopped once in exp(11) minutes = 998 hours at
most.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from math import exp, inf, log
from operator import mul

from prikkfri.sms.canaries.verdicts import Verdict

SHARES = (0.003, 0.01, 0.02, 0.05, 0.2, 1.0)
"""Of a route's messages, that may go astray: what is tested for, each with the same weight."""
CONDEMNING_NATS = 16.0
HINTS_NATS_MAX = 5.0
MISSING_ORDINARILY = 0.001
"""Of the canaries of an honest route: said to be delivered, and not on their phone, which we hear from, in time."""
ELSEWHERE_ORDINARILY = 0.000001
"""... and on another of our phones."""
STRAYS_ON_OURS = 0.1
"""Of a canary that goes astray: on another of our phones."""
START_SECONDS = 60.0
ALTERNATIVE_NATS_MAX = 20.0
"""No alternative is worth more: what outgrew the limit long ago must be able to fall again."""


class Hint(StrEnum):
    PEOPLE = "people"
    """Somebody got a message that was not for them, and we had sent that number none."""
    RECEIPTS = "receipts"
    """A receipt whose id is known and whose number is another."""
    RETURNED = "returned"
    """A network hands in a message in the name of one of our accounts, which did not come from it."""
    PARTNER = "partner"
    """A partner complains."""


@dataclass(frozen=True)
class Rates:
    """How often a hint comes, for each message that the route takes, or (`hourly`) for each hour."""

    ordinarily: float
    """On an honest route, at most."""
    astray: float
    """Beside that for each message that goes astray; hourly, while any do."""
    hourly: bool = False


HINTS: Mapping[Hint, Rates] = {
    Hint.PEOPLE: Rates(1e-5, 1e-3),
    Hint.RECEIPTS: Rates(1e-4, 0.1),
    Hint.RETURNED: Rates(1e-5, 0.01),
    Hint.PARTNER: Rates(0.001, 1.0, hourly=True),
}

_EACH = len(SHARES)
UNHINTED = 0.8
"""The weight of all that needs no hint."""
_ALONE = UNHINTED / _EACH
_HINTED = (1 - UNHINTED) / (_EACH * len(HINTS))
WEIGHTS = (_ALONE,) * _EACH + (_HINTED,) * (_EACH * len(HINTS))
_LOOKED_AT = tuple(at for at in range(len(WEIGHTS)) if at % _EACH)
_LOOKED_WEIGHT = (_ALONE * (_EACH - 1), 1 - 1 / _EACH)
_MOST = exp(ALTERNATIVE_NATS_MAX)


def _by_share(ordinarily: float, astray: float, constant: float = 0.0) -> tuple[float, ...]:
    """How much likelier each share makes something: `astray` of it, `constant` beside, against the null rate."""
    return tuple((constant + share * astray) / ordinarily for share in SHARES)


_HOME = 1 - MISSING_ORDINARILY - ELSEWHERE_ORDINARILY
_FACTORS: Mapping[Verdict, tuple[float, ...]] = {
    Verdict.ARRIVED: _by_share(_HOME, -1.0, 1.0),
    Verdict.MISSING: _by_share(MISSING_ORDINARILY, 1 - STRAYS_ON_OURS),
    Verdict.WRONG_PHONE: _by_share(ELSEWHERE_ORDINARILY, STRAYS_ON_OURS),
}
"""What a verdict multiplies each share by; what is not named says nothing."""
_NOT_ELSEWHERE = _by_share(1 - ELSEWHERE_ORDINARILY, -STRAYS_ON_OURS, 1.0)
"""Of a phone that is left out counts only whether its canary was on another."""
_ONE = (1.0,) * _EACH
TELLING = frozenset(_FACTORS)
"""The verdicts that say something of misdelivery."""


def factors(verdict: Verdict | None) -> tuple[float, ...]:
    return _FACTORS.get(verdict, _ONE) if verdict else _ONE


def _left_out(verdict: Verdict | None) -> tuple[float, ...]:
    if verdict is Verdict.WRONG_PHONE:
        return _FACTORS[verdict]
    return _NOT_ELSEWHERE if verdict in TELLING else _ONE


@dataclass(frozen=True)
class Gap:
    """The last time that a phone missed canaries: from one that was sent at `opened_at` on."""

    opened_at: float
    closed_at: float | None = None
    """When the first one after these was sent that it got; None: there has been none."""

    def holds(self, sent_at: float) -> bool:
        """Whether a canary says nothing, since its phone may have lost it."""
        return self.closed_at is None or sent_at <= self.closed_at

    def after(self, verdict: Verdict, sent_at: float) -> "Gap":
        """With what became of one more canary."""
        if verdict is Verdict.MISSING and not self.holds(sent_at):
            return Gap(sent_at)
        if verdict is Verdict.ARRIVED and self.closed_at is None and self.opened_at < sent_at:
            return Gap(self.opened_at, sent_at)
        return self


NO_GAP = Gap(-inf, -inf)


@dataclass(frozen=True)
class Evidence:
    """The sums by phone that is left out (`""`: none), each by alternative in the order of `WEIGHTS`."""

    sums: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: {"": WEIGHTS})
    started_at: float = 0.0
    """When the alternatives got their last start."""
    gaps: Mapping[str, Gap] = field(default_factory=dict)
    """By phone that has ever missed one."""

    @property
    def nats(self) -> float:
        """For "messages go astray", whichever one phone is left out; to be held against `CONDEMNING_NATS`."""
        return log(min(sum(each) for each in self._judged_by()))

    @property
    def nats_of_canaries(self) -> float:
        """The same without any hint."""
        return log(min(sum(each[:_EACH]) for each in self._judged_by()) / UNHINTED)

    def suspicion_nats(self, *, hints: bool) -> float:
        """By all phones' canaries, with or without `hints`: what makes us look closer, and stops nothing.

        Without the smallest share, for which alone it would take hours of looking closely.
        """
        looked = _LOOKED_AT if hints else _LOOKED_AT[: _EACH - 1]
        total = self.sums[""]
        return log(sum([total[at] for at in looked]) / _LOOKED_WEIGHT[hints])

    @property
    def condemns(self) -> bool:
        return self.nats >= CONDEMNING_NATS and self.nats_of_canaries >= CONDEMNING_NATS - HINTS_NATS_MAX

    @property
    def likeliest_share(self) -> float:
        """By the sum that the decision rests on: by all phones together each share may be worth the most already."""
        alone = min(self._judged_by(), key=sum)[:_EACH]
        return SHARES[alone.index(max(alone))]

    def _judged_by(self) -> list[tuple[float, ...]]:
        phones = [each for phone, each in self.sums.items() if phone]
        return phones if len(phones) > 1 else [self.sums[""]]


NOTHING = Evidence()


def start_alternatives(evidence: Evidence, now: float) -> Evidence:
    """With a new start of each alternative, when a minute has passed; one, however long nothing was seen."""
    if 0 <= now - evidence.started_at < START_SECONDS:
        return evidence
    if not evidence.started_at:
        return replace(evidence, started_at=now)  # it has its first
    sums = {
        phone: tuple(total + weight for total, weight in zip(each, WEIGHTS, strict=True))
        for phone, each in evidence.sums.items()
    }
    return replace(evidence, sums=sums, started_at=now)


def weigh(
    evidence: Evidence, phone: str, verdict: Verdict, earlier: Verdict | None = None, *, sent_at: float
) -> Evidence:
    """With a canary's verdict; `earlier`: what it has been weighed by before, when more came to light of it."""
    gap = evidence.gaps.get(phone, NO_GAP)
    without = _left_out(verdict)
    whole = without if gap.holds(sent_at) and not earlier else factors(verdict)
    if earlier:
        whole = tuple(new / old if old else 1.0 for new, old in zip(whole, factors(earlier), strict=True))
        without = tuple(new / old for new, old in zip(without, _left_out(earlier), strict=True))
    whole, without = whole * (1 + len(HINTS)), without * (1 + len(HINTS))
    sums = {**evidence.sums}
    sums.setdefault(phone, evidence.sums[""])
    for left_out, each in sums.items():
        sums[left_out] = tuple(map(mul, each, without if left_out == phone else whole))
    gaps = evidence.gaps
    if (gap := gap.after(verdict, sent_at)) is not NO_GAP:
        gaps = {**gaps, phone: gap}
    return Evidence(sums if verdict is Verdict.ARRIVED else _bounded(sums), evidence.started_at, gaps)


def weigh_hints(evidence: Evidence, hints: Mapping[Hint, int], *, messages: int, seconds: float) -> Evidence:
    """With the hints that came while so many messages went and so much time passed: perhaps none at all."""
    helped = list(_ONE)
    for hint, rates in HINTS.items():
        exposure = seconds / 3600 if rates.hourly else messages
        for share in SHARES:
            more = rates.astray if rates.hourly else rates.astray * share
            nats = hints.get(hint, 0) * log(1 + more / rates.ordinarily) - more * exposure
            helped.append(exp(min(nats, 2 * ALTERNATIVE_NATS_MAX)))
    return replace(
        evidence, sums=_bounded({phone: tuple(map(mul, each, helped)) for phone, each in evidence.sums.items()})
    )


def _bounded(sums: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    return {phone: tuple(total if total < _MOST else _MOST for total in each) for phone, each in sums.items()}


def false_alarms_max(hours: float) -> float:
    """In so many hours of an honest route, in the mean, as long as nobody lies."""
    return hours * 3600 / START_SECONDS / exp(CONDEMNING_NATS)


assert all(low < high for low, high in pairwise(SHARES))
