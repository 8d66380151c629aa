"""The world of an evening: what people ask for, what becomes of it, and what the roles write of it in their journals.

The truth is kept beside: each promise with its place, who asked, what was told and what was got, by a clock that is
right. What is an account's or a customer's own doing (a wrong password, an account that nobody has bound) is no
promise.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp

from msgspec import structs

from prikkfri.journal import Outcome
from prikkfri.simulation.evenings.drawing import CHANNELS, CLASSES, CLIENTS, TABLE, Evening, Fault, Place
from prikkfri.sms import outcomes as sms
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.routing import Party
from prikkfri.streaming.reports import Report, outcome_of

GRACE_SECONDS = {"sign-in": 60.0, "enter": 120.0, "deliver": 60.0}
"""As assurance is configured for an evening (shorter than in a real one, as in the demo) ..."""
GRACE_ELSEWHERE = 30.0
"""... and what it is at all other steps."""
PLACES_KEPT_MAX = 4_096
LINE_AROUND_SECONDS = 150.0
CROWD_WIDTH_SECONDS = 90.0
LIES_SECONDS = 60.0
NOBODY = -1
TRIES_MAX = 3


@dataclass(frozen=True, slots=True)
class Promise:
    """What somebody asked for, and what became of it in truth."""

    place: Place
    person: str
    """A subscriber, or the number of a phone; empty: nobody is named (`submit`)."""
    asked_for: str
    """The step at which it was asked: of whoever joins the line, `enter`."""
    asked: float
    got: float | None
    told: tuple[float, ...]
    """When a role said that it was broken, each time."""
    faults: frozenset[int]
    """Which faults broke it, by their place in `Evening.faults`; empty: it was kept, or broken as on any evening."""
    unsure: bool = False
    """Nobody can know whether there is anybody: they joined and never came back."""

    @property
    def grace_seconds(self) -> float:
        return GRACE_SECONDS.get(self.asked_for, GRACE_ELSEWHERE)

    @property
    def deadline(self) -> float:
        return self.asked + self.grace_seconds

    @property
    def broke_at(self) -> float | None:
        """When it was broken last: as told, or unanswered when its grace time was over. None: it was not."""
        if self.told:
            return self.told[-1]
        return None if self.got is not None and self.got <= self.deadline else self.deadline


@dataclass(frozen=True)
class WrittenOutcome:
    """An outcome that a role writes at a moment."""

    at: float
    stream: str
    outcome: Outcome


@dataclass
class World:
    """Seconds since 1970 throughout."""

    evening: Evening
    written: list[WrittenOutcome] = field(default_factory=list)
    """In the order in which it is written."""
    promises: list[Promise] = field(default_factory=list)


def world(evening: Evening, *, disturbed: bool = True) -> World:
    """All that happens in an evening. The same promises, disturbed or not: only what is written of them differs."""
    making = _Making(evening)
    making.make()
    written = _disturbed(evening, [*making.written, *_lies(evening)]) if disturbed else making.written
    written.sort(key=lambda each: each.at)
    return World(evening, written, making.promises)


def _disturbed(evening: Evening, written: list[WrittenOutcome]) -> list[WrittenOutcome]:
    """Skewed clocks, and what is written late, twice or in any order."""
    lots, disturbance = random.Random(f"disturbance {evening.seed}"), evening.disturbance
    found: list[WrittenOutcome] = []
    for each in written:
        at, outcome = each.at, each.outcome
        if skew := disturbance.skew[each.stream]:
            outcome = _later(outcome, skew)
        if disturbance.late_part and lots.random() < disturbance.late_part:
            at += lots.uniform(*TABLE.late_seconds)
        if disturbance.shuffled:
            at = float(int(at)) + 1.0 + lots.random()
        if disturbance.doubled_part and lots.random() < disturbance.doubled_part:
            found.append(
                WrittenOutcome(_stalled(evening, each.stream, at + lots.uniform(0.0, 20.0)), each.stream, outcome)
            )
        found.append(WrittenOutcome(_stalled(evening, each.stream, at), each.stream, outcome))
    return found


def _lies(evening: Evening) -> Iterator[WrittenOutcome]:
    """What devices report and nobody saw."""
    since, lots = evening.disturbance.lies_at, random.Random(f"lies {evening.seed}")
    for number in range(TABLE.liars if since else 0):
        at, who = evening.begins + since + lots.uniform(0.0, LIES_SECONDS), lots.randrange(evening.viewers)
        step, channel = lots.choice(("open-page", "enter", "sign-in", "start-playback")), lots.choice(CHANNELS)
        report = Report(f"d-{who}", step, kept=False, reason="network", channel=channel)
        yield WrittenOutcome(at + 0.02, "playout", outcome_of(report, at, f"s-{who}" if number % 2 else ""))


def _stalled(evening: Evening, stream: str, at: float) -> float:
    if stalled := evening.disturbance.stalled:
        name, since, until = stalled
        if stream == name and since <= at - evening.begins < until:
            return evening.begins + until
    return at


def _later(outcome: Outcome, seconds: float) -> Outcome:
    return Outcome(
        time=outcome.time + seconds, service=outcome.service, step=outcome.step, layer=outcome.layer,
        verdict=outcome.verdict, reason=outcome.reason, customer=outcome.customer, device=outcome.device,
        promise=outcome.promise, observed=outcome.observed, dimensions=outcome.dimensions,
    )  # fmt: skip


@lru_cache(maxsize=PLACES_KEPT_MAX)
def _place(values: tuple[tuple[str, str], ...]) -> Place:
    """One value for all promises of a place."""
    return dict(values)


def lies_in(place: Place, wide: Place) -> bool:
    return all(place.get(name) == value for name, value in wide.items())


@dataclass(frozen=True)
class _Attempt:
    """What becomes of one try."""

    fault: Fault | None
    index: int
    ordinary: bool

    @property
    def well(self) -> bool:
        return self.fault is None and not self.ordinary


class _Making:
    def __init__(self, evening: Evening) -> None:
        self.written: list[WrittenOutcome] = []
        self.promises: list[Promise] = []
        self._evening = evening
        self._lots = random.Random(f"world {evening.seed}")
        self._count = 0
        self._partners = sms.Partners({f"link-{n}": f"partner-{n}" for n in range(evening.partners)})
        off = random.Random(f"phones {evening.seed}")
        self._off = {n: off.random() < 0.5 for n in range(evening.phones) if off.random() < evening.phones_off}
        """Phones that are off, and whether their network says so."""
        self._faults_of: dict[tuple[tuple[str, str], ...], tuple[int, ...]] = {}
        self._later: list[tuple[float, int]] = []
        """Who comes back, and when."""

    def make(self) -> None:
        evening, lots = self._evening, self._lots
        television, messages = 1.0 - evening.messages_part, evening.messages_part
        shapes = [self._shape(second) for second in range(int(evening.seconds))]
        # So that it comes to as many outcomes as were drawn, whatever the shape of the evening.
        weight = sum(0.3 * television * visits + 0.7 * television * watching for visits, watching in shapes)
        scale = evening.per_second * evening.seconds / (weight + messages * len(shapes))
        for second, (visits, watching) in enumerate(shapes):
            start = evening.begins + second
            for at in self._moments(start, scale * television * 0.3 * visits / 3):
                self._visit(at, lots.randrange(evening.viewers))
            for at in self._moments(start, scale * television * 0.5 * watching):
                self._watch(at, lots.randrange(evening.viewers))
            for at in self._moments(start, scale * television * 0.2 * watching):
                self._renew(at, lots.randrange(evening.viewers))
            for at in self._moments(start, scale * messages / 4):
                self._message(at)
            for at in self._moments(start, scale * messages / 60):
                self._reply(at)
            due = [who for moment, who in self._later if start <= moment < start + 1]
            for who in due:
                self._visit(start + lots.random(), who)

    def _shape(self, second: int) -> tuple[float, float]:
        """Sign-ins, and what else is asked of television, as parts of the ordinary."""
        evening = self._evening
        there = 0.33 if evening.night else 1.0
        if evening.leaving_at and second > evening.leaving_at:
            there *= max(0.15, 1.0 - (second - evening.leaving_at) / 90.0)
        crowd = 0.0
        if evening.crowd_at:
            crowd = (evening.crowd_times - 1.0) * exp(-(((second - evening.crowd_at) / CROWD_WIDTH_SECONDS) ** 2))
        return there * (1.0 + crowd), there * (1.0 + crowd / 3)

    def _moments(self, start: float, rate: float) -> Iterator[float]:
        """As a Poisson process of this rate makes them in one second."""
        lots = self._lots
        at = lots.expovariate(rate) if rate > 0 else 1.0
        while at < 1.0:
            yield start + at
            at += lots.expovariate(rate)

    def _write(self, stream: str, outcome: Outcome, *, at: float | None = None) -> None:
        moment = outcome.time if at is None else at
        self.written.append(WrittenOutcome(moment + 0.02 + 0.3 * self._lots.random(), stream, outcome))

    def _attempt(self, at: float, place: Place) -> _Attempt:
        evening, key = self._evening, tuple(place.items())
        known = self._faults_of.get(key)
        if known is None:
            known = tuple(index for index, each in enumerate(evening.faults) if lies_in(place, each.place))
            self._faults_of[key] = known
        for index in known:
            fault = evening.faults[index]
            if fault.at(at - evening.begins) and self._lots.random() < fault.share:
                return _Attempt(fault, index, False)
        return _Attempt(None, NOBODY, self._lots.random() < evening.ordinary_broken)

    def _promised(
        self, place: Place, person: str, asked_for: str, asked: float, got: float | None, told: list[float],
        faults: set[int], *, unsure: bool = False,
    ) -> None:  # fmt: skip
        self.promises.append(
            Promise(place, person, asked_for, asked, got, tuple(told), frozenset(faults), unsure=unsure)
        )

    # Television.

    def _visit(self, at: float, who: int) -> None:
        """Somebody signs in, by way of the door."""
        evening, lots = self._evening, self._lots
        self._count += 1
        device, customer, promise = f"d-{who}", f"s-{who}", f"v-{self._count}"
        client = CLIENTS[who % len(CLIENTS)]
        place = _place((("service", "television"), ("step", "sign-in"), ("layer", "signin"), ("client", client)))
        entered = self._entered(at)
        if entered is None:
            if lots.random() < TABLE.comes_back_later:
                self._later.append((at + lots.uniform(150.0, 1_200.0), who))
            return
        at = entered
        in_line = evening.line and abs(at - evening.begins - evening.crowd_at) < LINE_AROUND_SECONDS
        in_line = in_line and evening.crowd_at > 0
        asked_for, tried = ("enter", at + lots.uniform(3.0, 45.0)) if in_line else ("sign-in", at + 0.5 + lots.random())
        if in_line:
            self._door(at, "join", "asked", device, promise, {"for": "enter"})
            self._door(at, "enter", "asked", device, promise, told_at=at + 1.0)
        else:
            self._door(at, "enter", "kept", device)
            self._door(at, "join", "asked", device, promise, {"for": "sign-in"})
        if lots.random() < TABLE.wrong_password:
            self._signin(tried, "broken", "wrong-credentials", device, "", promise, client)
            if lots.random() < 0.2:
                return
            tried += lots.uniform(3.0, 8.0)
        got: float | None = None
        told: list[float] = []
        faults: set[int] = set()
        came_back = in_line
        for number in range(TRIES_MAX):
            attempt = self._attempt(tried, place)
            if attempt.well:
                got = tried + 0.1 + 0.4 * lots.random()
                self._signin(got, "kept", "", device, customer, promise, client)
                break
            if attempt.fault is not None:
                faults.add(attempt.index)
            kind = "refused" if attempt.fault is None else attempt.fault.kind
            if kind == "refused":
                told.append(tried + 0.2)
                self._signin(told[-1], "broken", "overloaded", device, "", promise, client)
                came_back = True
            elif not came_back and lots.random() < 0.9:
                came_back = True
                self._door(at, "sign-in", "asked", device, promise, told_at=tried + 6.0)
                self._door(tried + 6.0, "return", "asked", device, promise)
            elif came_back:
                self._door(tried + 6.0, "return", "asked", device, promise)
            if kind == "slow":
                got = at + GRACE_SECONDS[asked_for] + lots.uniform(20.0, 60.0)
                self._signin(got, "kept", "", device, customer, promise, client)
                break
            if number + 1 == TRIES_MAX or lots.random() > TABLE.tries_again:
                break
            tried += lots.uniform(6.0, 14.0)
        if got is None and lots.random() < TABLE.comes_back_later:
            self._later.append((at + lots.uniform(150.0, 1_200.0), who))
        self._promised(place, customer, asked_for, at, got, told, faults, unsure=not came_back and got is None)

    def _entered(self, at: float) -> float | None:
        """When the door has taken somebody up, who is not named before that; None: it has sent them away for good."""
        place = _place((("service", "television"), ("step", "enter"), ("layer", "door")))
        for number in range(TRIES_MAX):
            attempt = self._attempt(at, place)
            self._alone(place, "", at, attempt)
            if attempt.well:
                return at
            self._write("door", _outcome_of(place, at, broken="overloaded", customer=""))
            if number + 1 == TRIES_MAX or self._lots.random() > TABLE.tries_again:
                break
            at += self._lots.uniform(3.0, 8.0)
        return None

    def _door(
        self, at: float, step: str, verdict: str, device: str, promise: str = "",
        dimensions: dict[str, str] | None = None, *, customer: str = "", reason: str = "", told_at: float | None = None,
    ) -> None:  # fmt: skip
        outcome = Outcome(
            time=at, service="television", step=step, layer="door", verdict=verdict, reason=reason, customer=customer,  # type: ignore[arg-type]
            device=device, promise=promise, dimensions=dimensions or {},
        )  # fmt: skip
        self._write("door", outcome, at=told_at)

    def _signin(
        self, at: float, verdict: str, reason: str, device: str, customer: str, promise: str, client: str
    ) -> None:
        outcome = Outcome(
            time=at, service="television", step="sign-in", layer="signin", verdict=verdict, reason=reason,  # type: ignore[arg-type]
            customer=customer, device=device, promise=promise, dimensions={"client": client},
        )  # fmt: skip
        self._write("signin", outcome)

    def _watch(self, at: float, who: int) -> None:
        """Somebody starts to watch a channel; whoever does not get it tries again, here or elsewhere."""
        lots, customer = self._lots, f"s-{who}"
        channel = CHANNELS[min(int(lots.expovariate(1.0)), len(CHANNELS) - 1)]
        for _ in range(TRIES_MAX):
            place = _place(
                (("service", "television"), ("step", "start-playback"), ("layer", "streams"), ("channel", channel))
            )
            attempt = self._attempt(at, place)
            self._write(
                "playout", _outcome_of(place, at, broken="" if attempt.well else "no-source", customer=customer)
            )
            self._alone(place, customer, at, attempt)
            if attempt.well or lots.random() > TABLE.tries_again:
                return
            at += lots.uniform(2.0, 6.0)
            channel = lots.choice(CHANNELS) if lots.random() < 0.2 else channel

    def _renew(self, at: float, who: int) -> None:
        """A device renews its playback token."""
        place = _place((("service", "television"), ("step", "playback-token"), ("layer", "door")))
        for _ in range(TRIES_MAX):
            attempt = self._attempt(at, place)
            self._write(
                "door",
                _outcome_of(
                    place, at, broken="" if attempt.well else "overloaded", customer=f"s-{who}", device=f"d-{who}"
                ),
            )
            self._alone(place, f"s-{who}", at, attempt)
            if attempt.well or self._lots.random() > TABLE.tries_again:
                return
            at += self._lots.uniform(2.0, 6.0)

    def _alone(self, place: Place, person: str, at: float, attempt: _Attempt) -> None:
        """A promise that is asked and settled at once."""
        told, faults = ([], set()) if attempt.well else ([at], {attempt.index} - {NOBODY})
        self._promised(place, person, place["step"], at, at if attempt.well else None, told, faults)

    # Messages.

    def _message(self, at: float) -> None:
        evening, lots = self._evening, self._lots
        account, phone = f"account-{lots.randrange(evening.accounts)}", lots.randrange(evening.phones)
        message_class = CLASSES[min(int(lots.expovariate(1.0)), len(CLASSES) - 1)]
        link = f"link-{phone % evening.partners}"
        message = self._submitted(at, f"account:{account}", f"link:{link}", f"4790{phone:06d}", message_class)
        taken_on = _place(
            (
                ("service", "messages"),
                ("step", "submit"),
                ("layer", "sms-centre"),
                ("account", account),
                ("class", message_class),
            )
        )
        submitted = self._attempt(at, taken_on)
        reason = "" if submitted.well else "storage"
        self._write(
            "sms", sms.submitted(Party("account", account), message_class, self._partners, reason=reason, now=at)
        )
        self._alone(taken_on, "", at, submitted)
        if not submitted.well:
            return
        self._write("sms", sms.asked(message, self._partners))
        self._write("sms", sms.handed_over(structs.replace(message, attempted_at=at + 0.1), self._partners))
        dims = self._partners.dimensions(message.origin, message.target, message_class)
        place = _place((("service", "messages"), ("step", "deliver"), ("layer", "link"), *sorted(dims.items())))
        attempt = self._attempt(at, place)
        got: float | None = None
        told: list[float] = []
        ends = at + 0.3 + lots.expovariate(1.0)
        kind = "" if attempt.well else "refused" if attempt.fault is None else attempt.fault.kind
        if not kind and phone in self._off:
            kind = "refused" if self._off[phone] else "silent"
        if kind == "refused":
            told = [ends]
            state = DeliveryState.UNDELIVERABLE
            self._write("sms", sms.settled(message.submission, message.recipient, state, "network-027", dims, now=ends))
        elif kind != "silent":
            got = ends if not kind else at + GRACE_SECONDS["deliver"] + lots.uniform(20.0, 60.0)
            self._write(
                "sms", sms.settled(message.submission, message.recipient, DeliveryState.DELIVERED, "", dims, now=got)
            )
        faults = {attempt.index} - {NOBODY}
        self._promised(place, f"+{message.recipient}", "deliver", at, got, told, faults)

    def _reply(self, at: float) -> None:
        """Somebody writes to an account: what becomes of that is the account's own matter."""
        message = self._submitted(at, "link:link-0", "account:account-0", "2010", "ordinary")
        bound = not self._evening.unbound_from or at < self._evening.begins + self._evening.unbound_from
        if bound and self._lots.random() < 0.9:
            dims = self._partners.dimensions(message.origin, message.target, "ordinary")
            state = DeliveryState.DELIVERED
            told = sms.settled(message.submission, "2010", state, "", dims, for_account=True, now=at)
        else:
            told = sms.asked(message, self._partners, bound=False)
        self._write("sms", told)

    def _submitted(self, at: float, origin: str, target: str, recipient: str, message_class: str) -> Message:
        self._count += 1
        name = f"m-{self._count}"
        return Message(name, name, 1, 1, origin, target, message_class, "2010", recipient, b"", 0, at, at, at + 259_200)


def _outcome_of(place: Place, at: float, *, broken: str, customer: str, device: str = "") -> Outcome:
    """What a role writes of a promise that it keeps or breaks at once."""
    return Outcome(
        time=at, service=place["service"], step=place["step"], layer=place["layer"],
        verdict="broken" if broken else "kept", reason=broken, customer=customer, device=device,
        dimensions={"channel": place["channel"]} if "channel" in place else {},
    )  # fmt: skip
