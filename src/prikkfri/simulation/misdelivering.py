"""A partner that misdelivers a share of a route's messages, in virtual time: how long until it is noticed.

The partner, its phones, people and what is ordinary are drawn; what decides is the product's own: when canaries fly,
what becomes of one, what the evidence comes to, when a route is stopped (`sms.canaries`, `sms.trust`), with the times
of `config.Sms` and `sms.timing` as they are by default. Not in it are database, sockets and the stop itself.

What goes astray never lands on a phone of ours, and its receipt says "delivered" like any other.
"""

import heapq
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from statistics import median, quantiles

from prikkfri.config import Sms
from prikkfri.simulation.virtual.processes import in_order
from prikkfri.sms.canaries.phones import phone_of_turn
from prikkfri.sms.canaries.verdicts import Canary, judge
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.timing import TIMING
from prikkfri.sms.trust.evidence import Evidence, Hint, false_alarms_max
from prikkfri.sms.trust.flying import NOT_THERE_SECONDS as NOT_THERE
from prikkfri.sms.trust.flying import WHOLE, Allowance, is_missed, is_suspicious, pause
from prikkfri.sms.trust.routes import UNKNOWN, Trust, observe, observe_hints

SETTINGS = Sms()


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What is drawn by: of a route, its phones and its people. Nobody has measured the last four."""

    messages_per_second: float = 113.0
    """200,000 were 5 % of what went to the network from 10:45 to 20:36."""
    phones: int = 8
    """Canary phones of the route."""
    told_every_seconds: float = 1.0
    """How often each of them tells what it has."""
    delivery_seconds: float = 3.0
    """Half of all messages are on their phone by then, and their receipt is back."""
    delivery_spread: float = 0.7
    """Of the logarithm: one in a thousand takes eight times as long and more."""
    without_receipt: float = 0.005
    late_receipts: float = 0.01
    """Receipts that come minutes later than the message."""
    late_receipt_seconds: float = 300.0
    untold: float = 0.0005
    """On their phone, which forgets to tell: half of what is stated to be ordinary."""
    off_every_hours: float = 100.0
    """A phone is off, or out of reach, now and then ..."""
    off_seconds: float = 900.0
    forgets_every_hours: float = 200.0
    """A phone loses what it got before it tells us, all of it, for a while ..."""
    forgets_seconds: float = 1_800.0
    answering: float = 0.001
    """Of those who get somebody else's message and none of their own: how many tell us ..."""
    answering_seconds: float = 180.0
    """... and after how long, in the mean."""
    wrong_numbers: float = 0.000005
    """Ordinarily, for each message: half of what is stated."""
    odd_receipts: float = 0.00005
    """Ordinarily, for each message: receipts that fit another number, half of what is stated."""


ASSUMED = Assumptions()
CALM_SECONDS = 1_800.0
"""Before the fault, so that the evidence is what it is on an ordinary day."""
NEVER = float("inf")


@dataclass
class _Flying:
    canary: Canary
    arrives_at: float
    receipt_at: float


@dataclass
class _Route:
    """One route under a drawn partner; `share` goes astray from `fault_at` on."""

    lots: random.Random
    assumed: Assumptions
    settings: Sms
    share: float
    fault_at: float
    now: float = 1.0
    trust: Trust = UNKNOWN
    allowance: Allowance = WHOLE
    canaries: int = 0
    stopped_at: float = 0.0
    stops: int = 0
    _turn: int = 0
    _flight: int = 0
    """Of the next canary: one that was planned before something was suspected does not fly."""
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)
    _missed: set[str] = field(default_factory=set)
    _hinted_at: float = 0.0
    _weighed_at: float = 1.0
    _hints: dict[Hint, int] = field(default_factory=dict)
    _off_until: dict[str, float] = field(default_factory=dict)
    _forgets_until: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._phones = [f"479{number}" for number in range(self.assumed.phones)]
        self._fly_at(self.now)
        self._later(TIMING.hints_weighed_seconds, self._weigh_always)
        for phone in self._phones:
            self._later(self._seldom(self.assumed.off_every_hours * 3600), partial(self._off, phone))
            self._later(self._seldom(self.assumed.forgets_every_hours * 3600), partial(self._forget, phone))
        per_second = self.assumed.messages_per_second
        self._again(Hint.PEOPLE, per_second * self.assumed.wrong_numbers)
        self._again(Hint.RECEIPTS, per_second * self.assumed.odd_receipts)
        if self.share and self.assumed.answering:
            each = per_second * self.share * self.assumed.answering
            self._at(max(self.fault_at, self.now), lambda: self._answer(each))

    def run(self, until: float, *, stop: bool) -> None:
        """Until then, or (`stop`) until the route would be stopped."""
        while self._events and self._events[0][0] <= until and not (stop and self.stopped_at):
            self.now, _, act = heapq.heappop(self._events)
            act()

    # when things happen

    def _at(self, at: float, act: Callable[[], None]) -> None:
        if at < NEVER:
            heapq.heappush(self._events, (at, next(self._numbers), act))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._at(self.now + seconds, act)

    def _seldom(self, seconds: float) -> float:
        return self.lots.expovariate(1 / seconds)

    def _off(self, phone: str) -> None:
        off = self._seldom(self.assumed.off_seconds)
        self._off_until[phone] = self.now + off
        self._later(off + self._seldom(self.assumed.off_every_hours * 3600), lambda: self._off(phone))

    def _forget(self, phone: str) -> None:
        self._forgets_until[phone] = self.now + self._seldom(self.assumed.forgets_seconds)
        self._at(self._forgets_until[phone] + self._seldom(self.assumed.forgets_every_hours * 3600),
                 partial(self._forget, phone))  # fmt: skip

    def _again(self, hint: Hint, per_second: float) -> None:
        def come() -> None:
            self._hint(hint)
            self._again(hint, per_second)

        if per_second:
            self._later(self._seldom(1 / per_second), come)

    def _answer(self, per_second: float) -> None:
        """Somebody gets what is not for them, and will tell."""
        self._later(self._seldom(self.assumed.answering_seconds), lambda: self._hint(Hint.PEOPLE))
        self._later(self._seldom(1 / per_second), lambda: self._answer(per_second))

    # canaries

    def _fly_at(self, at: float) -> None:
        self._flight += 1
        flight = self._flight
        self._at(at, lambda: self._fly() if flight == self._flight else None)

    def _fly(self) -> None:
        phone = phone_of_turn(self._phones, self._turn)
        self._turn += 1
        self.canaries += 1
        lots, assumed = self.lots, self.assumed
        sent_at = self.now + 0.1
        astray = self.now >= self.fault_at and lots.random() < self.share
        took = lots.lognormvariate(0.0, assumed.delivery_spread) * assumed.delivery_seconds
        reaches = self._off_until.get(phone, 0.0)
        arrives_at = max(sent_at + took, reaches) if not astray else NEVER
        if lots.random() < assumed.untold or self.now < self._forgets_until.get(phone, 0.0):
            arrives_at, receipt_at = NEVER, arrives_at
        else:
            receipt_at = sent_at + took if astray else arrives_at
        if (lot := lots.random()) < assumed.without_receipt:
            receipt_at = NEVER
        elif lot < assumed.without_receipt + assumed.late_receipts:
            receipt_at += self._seldom(assumed.late_receipt_seconds)
        canary = Canary(str(self.canaries), "", "", phone, DeliveryState.SENT, self.now, sent_at, 0.0, 0.0, 0.0)
        flying = _Flying(canary, self._heard(phone, arrives_at), receipt_at)
        look = {flying.arrives_at, receipt_at, sent_at + self.settings.canary_grace_seconds}
        for at in look:
            self._at(at, lambda: self._look(flying))
        self._plan(self.now)

    def _plan(self, since: float) -> None:
        seconds, self.allowance = pause(
            always_seconds=self.settings.canary_seconds, phones=len(self._phones), suspicious=self._suspicious(),
            allowance=self.allowance, now=self.now,
        )  # fmt: skip
        self._fly_at(max(since + seconds, self.now))

    def _suspicious(self) -> bool:
        missed, hinted_at = bool(self._missed), self._hinted_at
        return is_suspicious(self.trust.evidence, missed=missed, hinted_at=hinted_at, now=self.now)

    def _heard(self, phone: str, at: float) -> float:
        """When a phone first tells after a moment."""
        if at == NEVER:
            return NEVER
        every = self.assumed.told_every_seconds
        at = max(at, self._off_until.get(phone, 0.0))
        return (at // every + 1) * every

    def _last_heard(self, phone: str) -> float:
        every = self.assumed.told_every_seconds
        return self.now // every * every if self.now >= self._off_until.get(phone, 0.0) else 0.0

    def _look(self, flying: _Flying) -> None:
        canary, now, was = flying.canary, self.now, self._suspicious()
        if canary.verdict:
            return
        if flying.arrives_at <= now and not canary.arrived_at:
            canary = replace(canary, arrived_at=now)
        if flying.receipt_at <= now and not canary.ended_at:
            canary = replace(canary, state=DeliveryState.DELIVERED, ended_at=now)
            for seconds in (NOT_THERE, self.settings.canary_receipted_seconds):
                self._at(self._heard(canary.phone, now + seconds) + TIMING.judge_seconds, lambda: self._look(flying))
        heard_at = self._last_heard(canary.phone)
        if is_missed(canary, heard_at, now):
            self._missed.add(canary.token)
        else:
            self._missed.discard(canary.token)
        settings = self.settings
        found = judge(
            canary, heard_at, grace_seconds=settings.canary_grace_seconds, now=now,
            receipted_seconds=settings.canary_receipted_seconds,
        )  # fmt: skip
        if found is not None:
            canary = replace(canary, verdict=found.verdict)
            self._missed.discard(canary.token)
            self._learn(observe(self.trust, canary.phone, found.verdict, sent_at=canary.sent_at, now=now))
        flying.canary = canary
        if self._suspicious() and not was:
            self._plan(now)

    # hints

    def _hint(self, hint: Hint) -> None:
        self._hints[hint] = self._hints.get(hint, 0) + 1
        self._hinted_at = self.now
        self._later(TIMING.judge_seconds, self._weigh)

    def _weigh_always(self) -> None:
        self._weigh()
        self._later(TIMING.hints_weighed_seconds, self._weigh_always)

    def _weigh(self) -> None:
        was, seconds = self._suspicious(), self.now - self._weighed_at
        messages = round(seconds * self.assumed.messages_per_second)
        self._learn(observe_hints(self.trust, self._hints, messages=messages, seconds=seconds, now=self.now))
        self._weighed_at, self._hints = self.now, {}
        if self._suspicious() and not was:
            self._plan(self.now)

    def _learn(self, trust: Trust) -> None:
        if trust.condemned:
            self.stopped_at = self.now
            self.stops += 1
            trust = replace(UNKNOWN, evidence=Evidence(gaps=trust.evidence.gaps))  # opened at once
        self.trust = trust


# What it comes to.


@dataclass(frozen=True)
class Run:
    """One drawn route; seconds are from the fault, None where there was none, or nothing was noticed."""

    seed: int
    hours: float
    noticed_after_s: float | None
    stopped_wrongly: int
    canaries_per_hour: float
    """While nothing was wrong."""
    canaries_until_stopped: int
    """From the fault on."""


@dataclass(frozen=True)
class Noticing:
    """The keys of the JSON document of a share that goes astray; seconds from the fault until the route is stopped."""

    share: float
    runs: int
    noticed: int
    median_s: float | None
    p90_s: float | None
    stopped_wrongly: int
    """Before anything was wrong."""
    canaries_per_hour: float
    canaries_until_stopped: float
    """Half of the runs needed so many, or less."""
    goal_s: float | None
    """By when half are to be noticed; None: no goal is stated for so small a share."""
    assumed: Assumptions
    settings: Mapping[str, float]

    @property
    def holds(self) -> bool:
        in_time = self.goal_s is None or (self.median_s is not None and self.median_s <= self.goal_s)
        return in_time and self.stopped_wrongly == 0


@dataclass(frozen=True)
class HonestHours:
    """The keys of the JSON document of hours in which nothing is wrong."""

    hours: float
    stopped_wrongly: int
    stopped_wrongly_max: float
    """In the mean, by the bound."""
    canaries: int
    canaries_per_hour: float
    assumed: Assumptions
    settings: Mapping[str, float]

    @property
    def holds(self) -> bool:
        return self.stopped_wrongly == 0


GOALS = {0.05: 180.0, 0.01: 1_800.0}
"""Seconds by the smallest share for which they hold."""
HOURS_AT_ONCE = 50.0
"""Of an honest route, by one process."""
NOTICED_WITHIN_HOURS = 12.0
HARD_CASE = replace(ASSUMED, answering=0.0)
"""Nobody who gets somebody else's message says a word: canaries alone."""


def settings_named() -> dict[str, float]:
    """The settings that decide how soon it is noticed, as they are by default."""
    names = ("canary_seconds", "canary_grace_seconds", "canary_receipted_seconds")
    return {name: getattr(SETTINGS, name) for name in names}


def goal_of(share: float) -> float | None:
    return next((seconds for least, seconds in sorted(GOALS.items(), reverse=True) if share >= least), None)


def misdelivering(
    seed: int, share: float, assumed: Assumptions = ASSUMED, *, calm_seconds: float = CALM_SECONDS
) -> Run:
    """One route, which is honest for half an hour and then is not."""
    lots = random.Random(f"misdelivering {seed}")
    fault_at = calm_seconds + lots.random() * 60
    route = _Route(lots, assumed, SETTINGS, share, fault_at)
    route.run(fault_at, stop=True)
    calm, wrongly = route.canaries, route.stops
    route.run(fault_at + NOTICED_WITHIN_HOURS * 3600, stop=True)
    after = route.stopped_at - fault_at if route.stopped_at and not wrongly else None
    return Run(seed, CALM_SECONDS / 3600, after, wrongly, calm / fault_at * 3600, route.canaries - calm)


def honest(seed: int, hours: float = HOURS_AT_ONCE, assumed: Assumptions = ASSUMED) -> Run:
    """A route on which nothing is wrong; each stop is undone at once, and counted."""
    lots = random.Random(f"honest {seed}")
    route = _Route(lots, assumed, SETTINGS, 0.0, NEVER)
    route.run(hours * 3600, stop=False)
    return Run(seed, hours, None, route.stops, route.canaries / hours, 0)


def _p90(found: list[float]) -> float:
    return quantiles(found, n=10, method="inclusive")[8] if len(found) > 1 else found[0]


def noticing(
    share: float, seed: int, runs: int, *, assumed: Assumptions = ASSUMED, say: Callable[[Run], None] = lambda run: None
) -> Noticing:
    """So many drawn runs of a partner that misdelivers."""
    found = []
    for run in in_order(partial(misdelivering, share=share, assumed=assumed), range(seed, seed + runs)):
        found.append(run)
        say(run)
    after = [NEVER if each.noticed_after_s is None else each.noticed_after_s for each in found]

    def seconds(value: float) -> float | None:
        return None if value == NEVER or value != value else round(value, 1)

    return Noticing(
        share=share, runs=runs, noticed=sum(each < NEVER for each in after), median_s=seconds(median(after)),
        p90_s=seconds(_p90(after)), stopped_wrongly=sum(each.stopped_wrongly for each in found),
        canaries_per_hour=round(sum(each.canaries_per_hour for each in found) / runs, 1),
        canaries_until_stopped=median(each.canaries_until_stopped for each in found), goal_s=goal_of(share),
        assumed=assumed, settings=settings_named(),
    )  # fmt: skip


def honest_hours(
    hours: float, seed: int, *, assumed: Assumptions = ASSUMED, say: Callable[[Run], None] = lambda run: None
) -> HonestHours:
    """So many hours of honest routes, `HOURS_AT_ONCE` of each."""
    each_hours = min(hours, HOURS_AT_ONCE)
    seeds = range(seed, seed + math.ceil(hours / each_hours))
    found = []
    for run in in_order(partial(honest, hours=each_hours, assumed=assumed), seeds):
        found.append(run)
        say(run)
    total = sum(each.hours for each in found)
    canaries = sum(each.canaries_per_hour * each.hours for each in found)
    return HonestHours(
        hours=total, stopped_wrongly=sum(each.stopped_wrongly for each in found),
        stopped_wrongly_max=false_alarms_max(total), canaries=round(canaries),
        canaries_per_hour=round(canaries / total, 1), assumed=assumed, settings=settings_named(),
    )  # fmt: skip
