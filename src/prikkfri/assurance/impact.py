"""Impact: exactly those who asked in the incident's segment and time and did not get it within the grace time.

Theory of operation. From the outcomes, each asking becomes one of a person's *tries*: one for each promise id, one for
each outcome without. A try is answered by whatever kept its promise; where a step is repeatable (`Expectation`), by
anything that kept that step for the same person, or the later step that it is carried to. An answer that reached nobody
is none: whoever tries again for the same promise has not got it. A person is *hit* when a try that stood open in the
incident's time, in its segment, was not answered within its grace time. An answer that came later is evidence on the
list and takes nobody off it. What went wrong by the customer's own hand is not a try.

A try lies where it was settled, as in every count: who hands a message on is no part of what the next layer breaks. A
promise that nobody settled in time lies with whoever was asked last, or where that step's answer is due.

Who only joined the line, never came back for their place and is no subscriber whom we know may be made up; so may
whoever reports without the token of a subscriber. They are counted apart, as *unconfirmed*, and stand on no list. What
a device reports answers nothing and takes nothing back; it is on the list, marked, beside what roles saw.

A person is the subscriber, or a device whose holder is not known yet; the list is made anew as outcomes come late and
devices are joined, and its digest says whether it changed.
"""

import hashlib
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from operator import attrgetter

import msgspec
from msgspec import structs

from prikkfri.assurance.segments import Segment, segment_of
from prikkfri.assurance.tally import (
    EXPECTATIONS,
    JOIN,
    RETURN,
    Expectation,
    asking_of,
    expectation,
    own_error,
    own_layer,
    unanswered,
)
from prikkfri.journal import Outcome

UNDELIVERED = "undelivered"
"""The reason of a role whose answer reached nobody: what it has said of the same asking before, it takes back."""

ROUTE = "route"
"""The step at which canaries say whether a way is to be trusted."""

DELIVER = "deliver"
"""The step of a message on its way to its recipient."""

_time = attrgetter("time")

Holder = Callable[[str, float], str | None]
"""The subscriber who held a device (or number) at a time; None when not known, empty when it may be one of several."""


@dataclass(frozen=True)
class Scope:
    """What an impact is asked of."""

    segments: tuple[Segment, ...]
    since: float
    until: float
    """For an incident that is not over, the present."""


class Hit(msgspec.Struct, frozen=True, gc=False):
    """One who was hit, with the evidence. A struct, since there may be a great many."""

    customer: str
    """Empty while only the device is known."""
    device: str
    """The device of the first try; a message's recipient as number."""
    service: str
    step: str
    """Of the first try that was not answered."""
    first_asked: float
    tries: int
    """All in the incident's segment and time, answered or not."""
    unanswered: int
    """Of them, those that were not answered within the grace time."""
    last_reason: str
    """Empty: nobody answered at all."""
    kept_later_at: float | None
    """When one who was not answered in time got it after all."""
    observed: bool
    """True when a role saw an unanswered try; False when only the device reported it."""

    @property
    def key(self) -> str:
        """Who it is: `customer:ID` or `device:PSEUDONYM`."""
        return f"customer:{self.customer}" if self.customer else f"device:{self.device}"


@dataclass(frozen=True)
class Impact:
    """The list of those hit, as known at a moment."""

    scope: Scope
    hits: tuple[Hit, ...]
    """By person."""
    asked: int
    """Persons who asked in the segment and time, hit or not."""
    unsettled: int
    """Persons whose grace time still runs: they may yet get it, or be hit."""
    digest: str
    """SHA-256 over the scope and the hits: two lists with one digest are the same list."""
    unconfirmed: int = 0
    """Devices that may be made up: they joined and never came back, or reported without a subscriber's token."""

    @property
    def customers(self) -> int:
        return sum(1 for hit in self.hits if hit.customer)

    @property
    def figures(self) -> tuple[int, int, int]:
        """What is said of it beside the list, and changes without it."""
        return self.asked, self.unsettled, self.unconfirmed

    @property
    def seen(self) -> int:
        """Those hit whom a role saw; of the others only their own device tells."""
        return sum(1 for hit in self.hits if hit.observed)


@dataclass(frozen=True)
class ListChange:
    """What makes one list of those hit out of another."""

    gone: tuple[str, ...]
    """The persons who stand on it no more."""
    written: tuple[Hit, ...]
    """Those who are new on it, or of whom something else is said."""
    by_person: Mapping[str, Hit]
    """The whole new list."""

    @classmethod
    def between(cls, before: Mapping[str, Hit], hits: Iterable[Hit]) -> "ListChange":
        now = {hit.key: hit for hit in hits}
        written = tuple(hit for person, hit in now.items() if before.get(person) != hit)
        return cls(tuple(before.keys() - now.keys()), written, now)

    def __bool__(self) -> bool:
        return bool(self.gone or self.written)


@dataclass(slots=True)
class _Try:
    person: str
    customer: str
    device: str
    asked: Outcome
    """The outcome that it began with."""
    expectation: Expectation
    outcomes: list[Outcome]
    kept: Outcome | None = None
    """What answered it, in time or not."""
    returned_at: float = 0.0
    """When they last came back to the door because nobody answered; 0: never."""
    confirmed: bool = True
    """False while nothing says that there is anybody: only a device joined, or reported."""

    @property
    def deadline(self) -> float:
        return self.asked.time + self.expectation.grace_seconds

    @property
    def last_deadline(self) -> float:
        """The same of the last asking: up to then it was open."""
        asked = max((each.time for each in self.outcomes if each.verdict == "asked"), default=self.asked.time)
        return asked + self.expectation.grace_seconds

    @property
    def last_word(self) -> Outcome | None:
        """What its own outcomes say of it: kept if it ever was, else broken; None when nobody answered."""
        last: Outcome | None = None
        for outcome in self.outcomes:
            if outcome.verdict == "kept":
                return outcome
            last = outcome if outcome.verdict != "asked" else last
        # Who typed a wrong password, tried again and came back without an answer has none.
        return None if last is not None and last.time < self.returned_at and self.is_own_error(last) else last

    def is_own_error(self, outcome: Outcome) -> bool:
        return outcome.verdict == "broken" and own_error(self.asked.service, outcome.reason, outcome.layer)


def impact(
    outcomes: Iterable[Outcome],
    scope: Scope,
    *,
    now: float,
    holder: Holder | None = None,
    expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
) -> Impact:
    """The list as of `now`; `outcomes` are those of the scope's time, with a grace time before and after."""
    return impact_of([impact_part(outcomes, scope, now=now, holder=holder, expectations=expectations)], scope)


class ImpactPart(msgspec.Struct, frozen=True, gc=False):
    """What some people add to the list."""

    hits: tuple[Hit, ...]
    asked: int
    unsettled: int
    unconfirmed: int


def impact_part(
    outcomes: Iterable[Outcome],
    scope: Scope,
    *,
    now: float,
    holder: Holder | None = None,
    expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
) -> ImpactPart:
    """As `impact`, of people of whom nothing else is told: no promise, device or customer of theirs elsewhere."""
    ordered = _delivered(_ordered(outcomes), expectations)
    tries = _tries(ordered, _joined(ordered, holder), expectations)
    ours = [each for each in tries if _in_scope(each, scope, expectations)]
    _answer_repeats(ours, tries)
    by_person: dict[str, list[_Try]] = {}
    for each in ours:
        by_person.setdefault(each.person, []).append(each)
    hits: list[Hit] = []
    unsettled = 0
    unconfirmed = 0
    asked = 0
    for everything in by_person.values():
        theirs = [each for each in everything if each.confirmed]
        if not theirs:
            unconfirmed += any(_missed(each, now) for each in everything)
            continue
        asked += 1
        missed = [each for each in theirs if _missed(each, now)]
        if missed:
            hits.append(_hit(theirs, missed))
        elif any(each.kept is None for each in theirs):
            unsettled += 1
    return ImpactPart(tuple(hits), asked, unsettled, unconfirmed)


def impact_of(parts: Sequence[ImpactPart], scope: Scope) -> Impact:
    """The list of all of them."""
    hits = sorted((hit for part in parts for hit in part.hits), key=lambda hit: hit.key)
    return Impact(
        scope,
        tuple(hits),
        asked=sum(part.asked for part in parts),
        unsettled=sum(part.unsettled for part in parts),
        digest=list_digest(scope, (hit_line(hit) for hit in hits)),
        unconfirmed=sum(part.unconfirmed for part in parts),
    )


def _ordered(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """By time, and of one moment the askings first."""
    asked: list[Outcome] = []
    told: list[Outcome] = []
    for outcome in outcomes:
        (asked if outcome.verdict == "asked" else told).append(outcome)
    return sorted((*asked, *told), key=_time)  # two runs in order, as a rule, which are only merged


def devices_of(outcomes: Iterable[Outcome]) -> list[str]:
    """The devices that outcomes name, in order."""
    return sorted({outcome.device for outcome in outcomes} - {""})


def holder_of(held: Iterable[tuple[str, str, float, float]]) -> Holder:
    """From who was seen on which device: device, customer, first and last seen."""
    by_device: dict[str, list[tuple[str, float, float]]] = {}
    for device, customer, first, last in held:
        by_device.setdefault(device, []).append((customer, first, last))

    def holder(device: str, at: float) -> str | None:
        """Whoever was seen on the device at the time, or else next after it; of two at once, neither.

        On a device that nobody has used since it is the only one who ever has.
        """
        known = by_device.get(device, [])
        if inside := [customer for customer, first, last in known if first <= at <= last]:
            return inside[0] if len(inside) == 1 else ""
        following = min((first for _, first, _ in known if first > at), default=None)
        found = [customer for customer, first, _ in known if first == following]
        if not found and len(known) == 1:
            return known[0][0]
        return (found[0] if len(found) == 1 else "") if found else None

    return holder


def name_devices(made: Impact, holder: Holder, *, since: float) -> Impact:
    """The list after devices got their holders; those who asked before `since` stay as they are.

    A person who is on it already, under their own name or by another device, is one person.
    """
    people: dict[str, Hit] = {}
    merged = 0
    for hit in made.hits:
        customer = hit.customer or (hit.first_asked >= since and holder(hit.device, hit.first_asked)) or ""
        hit = structs.replace(hit, customer=customer)
        if (other := people.get(hit.key)) is not None:
            merged += 1
            hit = _one(other, hit)
        people[hit.key] = hit
    hits = tuple(hit for _, hit in sorted(people.items()))
    return replace(made, hits=hits, asked=made.asked - merged, digest=list_digest(made.scope, map(hit_line, hits)))


def _one(a: Hit, b: Hit) -> Hit:
    """Two lines about one person as one."""
    first, second = sorted((a, b), key=lambda hit: hit.first_asked)
    got = [hit.kept_later_at for hit in (a, b) if hit.kept_later_at is not None]
    return structs.replace(
        first,
        tries=a.tries + b.tries,
        unanswered=a.unanswered + b.unanswered,
        last_reason=second.last_reason or first.last_reason,
        kept_later_at=min(got, default=None),
        observed=a.observed or b.observed,
    )


def _delivered(ordered: Sequence[Outcome], expectations: Mapping[tuple[str, str], Expectation]) -> list[Outcome]:
    """Without what was kept and reached nobody: the role says so, or they tried again for the same promise."""
    last_kept: dict[tuple[str, str, str], int] = {}
    in_vain: set[int] = set()
    for index, outcome in enumerate(ordered):
        if outcome.verdict == "asked" or not outcome.observed:
            continue
        asked = (outcome.service, outcome.step, outcome.promise or outcome.device or outcome.customer)
        if asked in last_kept:
            again = bool(outcome.promise) and expectation(outcome, expectations).repeatable
            if again or outcome.reason == UNDELIVERED:
                in_vain.add(last_kept.pop(asked))
        if outcome.verdict == "kept":
            last_kept[asked] = index
    return [outcome for index, outcome in enumerate(ordered) if index not in in_vain] if in_vain else list(ordered)


def _joined(ordered: Sequence[Outcome], holder: Holder | None) -> Callable[[str, float], str]:
    """Who held a device: by what is known already, else by what these outcomes say themselves when they agree."""
    named: dict[str, set[str]] = {}
    for outcome in ordered:
        if outcome.observed and outcome.device and outcome.customer:
            named.setdefault(outcome.device, set()).add(outcome.customer)

    def joined(device: str, at: float) -> str:
        if holder is not None and (known := holder(device, at)) is not None:
            return known
        customers = named.get(device, set())
        return next(iter(customers)) if len(customers) == 1 else ""

    return joined


def _tries(
    ordered: Sequence[Outcome],
    holder: Callable[[str, float], str],
    expectations: Mapping[tuple[str, str], Expectation],
) -> list[_Try]:
    by_promise: dict[str, list[Outcome]] = {}
    alone: list[list[Outcome]] = []
    for outcome in ordered:
        if outcome.promise and outcome.observed:
            by_promise.setdefault(outcome.promise, []).append(outcome)
        else:
            alone.append([outcome])
    tries: list[_Try] = []
    real: set[str] = set()
    """Persons of whom more is seen than that they joined."""
    for told in (*by_promise.values(), *alone):
        device = customer = ""
        returned_at = 0.0
        seen = joins = returns = False
        kept: Outcome | None = None
        for outcome in told:
            step = outcome.step
            device = device or outcome.device
            customer = customer or outcome.customer
            if outcome.observed and not seen:  # what the door writes of whoever joins, made up or not, is no more
                seen = step != JOIN and (step != "enter" or bool(outcome.promise))
            if step == JOIN:
                joins = True
            elif step == RETURN:
                returns, returned_at = True, max(returned_at, outcome.time)
            elif kept is None and outcome.verdict == "kept":
                kept = outcome
        customer = customer or (holder(device, told[0].time) if device else "")
        if not customer and not device:
            continue  # nobody is named: this counts in the figures and cannot stand on a list
        person = f"customer:{customer}" if customer else f"device:{device}"
        if customer or seen:
            real.add(person)
        if returned_at:
            told = [outcome for outcome in told if outcome.step != RETURN]
            if not told:
                continue
        if joins:
            # What the door tells of them later has the time of joining to the second: the joining itself goes before.
            begun = sorted(told, key=lambda outcome: outcome.step != JOIN)
            told = [asking_of(outcome) if outcome.step == JOIN else outcome for outcome in begun]
        if joins or returns:
            kept = next((outcome for outcome in told if outcome.verdict == "kept"), None)
        expected = expectation(told[0], expectations)
        tries.append(_Try(person, customer, device, told[0], expected, told, kept, returned_at))
    for each in tries:
        if each.asked.observed:
            each.confirmed = each.person in real
        else:  # told by a token
            each.confirmed = any(outcome.customer for outcome in each.outcomes)
    return sorted(tries, key=lambda each: each.asked.time)


def _answer_repeats(ours: Sequence[_Try], tries: Sequence[_Try]) -> None:
    """At a repeatable step, the next thing that the person got by any of their tries answers the tries before it."""
    persons = {each.person for each in ours if each.expectation.repeatable}
    got: dict[tuple[str, str, str], list[Outcome]] = {}
    for each in tries:
        if each.kept and each.kept.observed and each.person in persons:
            got.setdefault((each.person, each.kept.service, each.kept.step), []).append(each.kept)
    for theirs in got.values():
        theirs.sort(key=_time)
    for each in ours:
        if each.expectation.repeatable:
            # A place in the line, or a pass, is no answer to who asked to come in.
            step = each.expectation.carried_to or each.asked.step
            theirs = got.get((each.person, each.asked.service, step), [])
            next_one = bisect_left(theirs, each.asked.time, key=_time)
            answers = theirs[next_one : next_one + 1]
            answers += [each.kept] if each.kept else []  # which may be too late, when another try was not
            each.kept = min(answers, key=_time, default=None)


def _in_scope(each: _Try, scope: Scope, expectations: Mapping[tuple[str, str], Expectation]) -> bool:
    if each.last_deadline < scope.since:
        return False
    # By the clocks of two roles the answer may come before the asking.
    if each.asked.time >= scope.until and all(outcome.time >= scope.until for outcome in each.outcomes):
        return False
    last_word = each.last_word
    if last_word is not None and last_word.time < scope.since:
        return False
    if last_word is None:
        last = each.outcomes[-1]
        return not own_layer(last.service, last.layer) and _lies_in(each, scope, expectations)
    if each.is_own_error(last_word):
        return False
    return _lies_in(each, scope, expectations)


def _lies_in(each: _Try, scope: Scope, expectations: Mapping[tuple[str, str], Expectation]) -> bool:
    told = [outcome for outcome in each.outcomes if outcome.verdict != "asked"]
    if not told or told[0].time > each.deadline:
        asked = [outcome for outcome in each.outcomes if outcome.verdict == "asked"]
        told += [unanswered(outcome, expectations) for outcome in asked[-1:]]
    places = [segment_of(outcome) for outcome in told]
    return any(segment.holds(place) for segment in scope.segments for place in places)


def _missed(each: _Try, now: float) -> bool:
    return each.kept.time > each.deadline if each.kept else now > each.deadline


def _hit(theirs: Sequence[_Try], missed: Sequence[_Try]) -> Hit:
    first = missed[0]
    told = [(each, outcome) for each in missed for outcome in each.outcomes if outcome.verdict == "broken"]
    reasons = [outcome.reason for each, outcome in told if not each.is_own_error(outcome)]
    return Hit(
        customer=first.customer,
        device=first.device,
        service=first.asked.service,
        step=first.asked.step,
        first_asked=first.asked.time,
        tries=len(theirs),
        unanswered=len(missed),
        last_reason=reasons[-1] if reasons else "",
        kept_later_at=min((each.kept.time for each in missed if each.kept), default=None),
        observed=any(outcome.observed for each in missed for outcome in each.outcomes),
    )


def list_digest(scope: Scope, lines: Iterable[bytes]) -> str:
    """SHA-256 over the scope and the lines of those hit, by person."""
    digest = hashlib.sha256(_canonical([str(segment) for segment in scope.segments]))
    digest.update(_canonical([scope.since, scope.until]))
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def hit_line(hit: Hit) -> bytes:
    """A hit in canonical form: what stands in the CSV, in its order."""
    return _canonical([
        hit.key, hit.device, hit.service, hit.step, round(hit.first_asked, 3), hit.tries, hit.unanswered,
        hit.last_reason, None if hit.kept_later_at is None else round(hit.kept_later_at, 3), hit.observed,
    ])  # fmt: skip


def _canonical(line: Sequence[object]) -> bytes:
    return json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class ExposedMessage:
    """A message that went a way on which messages came to strangers: who may have read it is not known."""

    message: str
    """Its id (the promise); never its body."""
    recipient: str
    """The number that it was meant for."""
    customer: str
    """Who held that number; empty when nobody of ours."""
    account: str
    """Who sent it."""
    message_class: str
    sent_at: float
    verdict: str
    """`kept`, `broken`, or `asked` when nothing was heard of it."""

    @property
    def place(self) -> tuple[float, str]:
        """By this they are in order: oldest first."""
        return self.sent_at, self.message


@dataclass(frozen=True)
class ExposureFigures:
    """How many messages were exposed, which is what is told where they are not listed."""

    by_class: Mapping[str, int]
    """Empty for those of no class; a class of none is left out."""

    @classmethod
    def of(cls, exposed: Iterable[ExposedMessage]) -> "ExposureFigures":
        return cls(Counter(each.message_class for each in exposed))

    @property
    def messages(self) -> int:
        return sum(self.by_class.values())

    def __bool__(self) -> bool:
        return bool(self.by_class)


NOBODY_EXPOSED = ExposureFigures({})


def exposure(outcomes: Iterable[Outcome], *scopes: Scope, holder: Holder | None = None) -> tuple[ExposedMessage, ...]:
    """The messages that went the way of one of the scopes in its time, oldest first."""
    ordered = sorted(outcomes, key=_time)
    joined = _joined(ordered, holder)
    by_promise: dict[str, list[Outcome]] = {}
    for outcome in ordered:
        if outcome.step == DELIVER and outcome.promise:
            by_promise.setdefault(outcome.promise, []).append(outcome)
    told = (exposed_message(theirs, scopes) for theirs in by_promise.values())
    found = [
        replace(each, customer=each.customer or joined(each.recipient, each.sent_at))
        for each in told
        if each is not None
    ]
    return tuple(sorted(found, key=lambda each: each.place))


def exposed_message(delivery: Sequence[Outcome], scopes: Sequence[Scope]) -> ExposedMessage | None:
    """From what is told of a message's delivery, oldest first; None where it did not go the way of one of the scopes.

    A message went the way of the link that was asked to deliver it; where no link's asking is told, of the one that
    settled it. The customer is who is named with it.
    """
    by_link = [outcome for outcome in delivery if went_out(outcome)]
    handed_over = [outcome for outcome in by_link if outcome.verdict == "asked"] or by_link[:1]
    gone = next((outcome for outcome in handed_over if any(_went_there(outcome, each) for each in scopes)), None)
    if gone is None:
        return None
    return ExposedMessage(
        message=gone.promise,
        recipient=gone.device,
        customer=gone.customer,
        account=gone.dimensions.get("account", ""),
        message_class=gone.dimensions.get("class", ""),
        sent_at=gone.time,
        verdict=delivery[-1].verdict,
    )


def misdelivery_scopes(outcomes: Iterable[Outcome], scope: Scope) -> tuple[Scope, ...]:
    """Each way within the scope of which canaries say that messages go astray, in the time in which they say it.

    A fault of which canaries had proven before the scope's time that it is over is not this one. What else the scope
    holds (what failed elsewhere, or only came too late) has gone astray nowhere.
    """
    routes = sorted(_routes(outcomes, scope), key=_time)
    over = over_before(routes, scope.since)
    told: dict[Segment, list[float]] = {}
    for each in routes:
        if each.verdict == "broken" and each.time > over.get(each.dimensions.get("link", ""), -inf):
            told.setdefault(way_of(each), []).append(each.time)
    return tuple(Scope((way,), min(times), max(times)) for way, times in told.items())


def way_of(outcome: Outcome) -> Segment:
    """Of what a canary says of a route: the way of which it says it."""
    return segment_of(outcome).without("step", "layer", "direction")


def over_before(routes: Iterable[Outcome], moment: float) -> dict[str, float]:
    """By link: when a canary last spoke against it in a fault that others had disproven by then.

    A canary says whether the way is trusted: one that says so after one that did not is the proof. `routes`: oldest
    first.
    """
    against, over = dict[str, float](), dict[str, float]()
    for outcome in routes:
        link = outcome.dimensions.get("link", "")
        if not outcome.promise or outcome.time > moment:
            continue
        if outcome.verdict == "broken":
            against[link] = outcome.time
        elif link in against:
            over[link] = against.pop(link)
    return over


def proven(outcomes: Iterable[Outcome], scope: Scope) -> bool:
    """Whether canaries flew on each of the scope's ways in its time, so that their silence says something."""
    flew = [segment_of(o) for o in _routes(outcomes, scope) if scope.since <= o.time < scope.until]
    return all_flown(flew, scope.segments)


def all_flown(flew: Collection[Segment], segments: Iterable[Segment]) -> bool:
    """Whether some canary flew on the way of each of the segments; `flew`: where they did."""
    ways = [segment.without("step", "layer") for segment in segments]
    return bool(flew) and all(any(way.holds(place) for place in flew) for way in ways)


def _routes(outcomes: Iterable[Outcome], scope: Scope) -> Iterator[Outcome]:
    return (outcome for outcome in outcomes if outcome.step == ROUTE and on_the_way(outcome, scope.segments))


def went_out(outcome: Outcome) -> bool:
    """Whether it tells of a link of ours to somebody else."""
    return outcome.layer == "link" and outcome.dimensions.get("direction") != "in"


def _went_there(outcome: Outcome, scope: Scope) -> bool:
    return scope.since <= outcome.time < scope.until and on_the_way(outcome, scope.segments)


def on_the_way(outcome: Outcome, segments: Iterable[Segment]) -> bool:
    """Whether it lies on the way of one of the segments.

    Step and layer say what told of the fault, a canary perhaps: what counts is the way.
    """
    place = segment_of(outcome)
    return any(segment.without("step", "layer").holds(place) for segment in segments)
