"""The messages that an incident exposed, carried on from one look to the next.

Theory of operation. Whether a message was exposed follows from what is told of its delivery and from where and when
messages went astray (`impact.exposed_message`), and from nothing else; who held its number, from who was named on it.
So there is only to know of which messages that may have changed: whatever is told of one of those that are known here,
or of one that went such a way in its time, and what lies in a time that is gained or lost when canaries say more. What
may have changed is asked for, read by its index and judged anew, whole. What waits to be read stays until it was: a
look that is broken off is gone on with.

Of a message that went no such way nothing is kept; of one that did, what its line says and between which moments
something is told of it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush, nsmallest
from itertools import islice
from math import inf

import msgspec

from prikkfri.assurance.impact import (
    DELIVER,
    ExposedMessage,
    ExposureFigures,
    Scope,
    exposed_message,
    on_the_way,
    went_out,
)
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.segments import BASE, Segment
from prikkfri.journal import Outcome

Times = tuple[float, float]
"""From one moment to before another."""


class MessageRecord(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a message that went one of the ways in its time. A struct, since there may be a great many."""

    recipient: str
    customer: str
    """Who is named with it; mostly nobody."""
    account: str
    message_class: str
    sent_at: float
    verdict: str
    exposed: bool
    """False: only its settling lies there, and another link was asked, or settled it before."""
    first_at: float
    """From here on something is told of its delivery ..."""
    last_at: float
    """... up to here."""


class IncidentExposure:
    """One owner has it."""

    def __init__(self) -> None:
        self._ways: dict[Segment, Times] = {}
        """By way when messages went astray on it."""
        self._scopes: tuple[Scope, ...] = ()
        self._since = inf
        """What is told of the time before is not gone by ..."""
        self._until = -inf
        """... nor what is told of the time from here on."""
        self._records: dict[str, MessageRecord] = {}
        """By message."""
        self._by_class = Counter[str]()
        self._ahead: list[tuple[float, str]] = []
        """A heap: from when on more is told of a message than is gone by."""
        self._devices: set[str] = set()
        """Recipients of whom it has been asked, or is to be, who was named on them."""
        self._names: dict[str, dict[str, float]] = {}
        """By device who was named on it, and when first; most have nobody."""
        self._unread: list[Times] = []
        """Times in which messages on the ways are to be looked for."""
        self._messages: dict[str, None] = {}
        """Messages that are to be read, in turn."""
        self._nameless: dict[str, None] = {}
        """Devices of which it is to be asked who was named on them."""

    # What has changed.

    def move(self, scopes: Sequence[Scope], *, since: float, until: float) -> None:
        """Messages went astray there and then, by what is told of the time from `since` to before `until`."""
        if since != self._since:
            later = max(since, self._since)
            self._read_again(each for each, record in self._records.items() if record.first_at < later)
            self._nameless.update(dict.fromkeys(self._devices))
        if until < self._until:
            self._read_again(each for each, record in self._records.items() if record.last_at >= until)
        while self._ahead and self._ahead[0][0] < until:
            self._read_again([heappop(self._ahead)[1]])
        ways = {scope.segments[0]: (scope.since, scope.until) for scope in scopes}
        lost: list[Times] = []
        for way in {**self._ways, **ways}:
            before, now = self._ways.get(way), ways.get(way)
            if before != now:
                lost += _without(before, now)
                self._unread += _without(now, before)
        self._unread = _joined(self._unread) if ways else []
        if lost:
            self._read_again(
                each
                for each, record in self._records.items()
                if any(first <= record.sent_at < end for first, end in lost)
            )
        self._ways, self._scopes, self._since, self._until = ways, tuple(scopes), since, until

    def take(self, rows: Iterable[StoredOutcome]) -> None:
        """What was told since: of deliveries, and of who holds a device; in any order, before `move`."""
        for row in rows:
            outcome = row.outcome
            named = outcome.observed and outcome.customer and outcome.device in self._devices
            if named and outcome.time >= self._since:
                self._name(outcome.device, outcome.customer, outcome.time)
            if outcome.step != DELIVER or not outcome.promise:
                continue
            if outcome.promise in self._records or self._went_there(outcome):
                self._messages[outcome.promise] = None

    @property
    def begun(self) -> bool:
        """Whether it is of any use to `take` more; before it, all is found when it is looked for."""
        return bool(self._ways or self._records or self._devices)

    def read_all_again(self) -> None:
        """What is stored has been changed: whoever is named in it may be another."""
        self._read_again(self._records)
        self._devices.clear()
        self._names.clear()
        self._nameless.clear()

    def _read_again(self, messages: Iterable[str]) -> None:
        self._messages.update(dict.fromkeys(messages))

    def _went_there(self, outcome: Outcome) -> bool:
        return went_out(outcome) and any(
            since <= outcome.time < until and on_the_way(outcome, (way,)) for way, (since, until) in self._ways.items()
        )

    # What is to be read.

    @property
    def time_to_read(self) -> Times | None:
        """The next time in which messages that went one of the ways are to be looked for."""
        return self._unread[0] if self._unread else None

    @property
    def ways(self) -> list[Mapping[str, str]]:
        """The dimensions of each; what has all of one lies on it."""
        return [{name: value for name, value in way.values if name not in BASE} for way in self._ways]

    def found(self, messages: Iterable[str], *, up_to: float) -> None:
        """These, and perhaps some beside, went one of the ways, in the next time up to a moment."""
        self._read_again(messages)
        since, until = self._unread.pop(0)
        if up_to < until:
            self._unread.insert(0, (max(since, up_to), until))

    @property
    def waiting(self) -> int:
        """How many messages are to be read."""
        return len(self._messages)

    def messages_to_read(self, most: int) -> list[str]:
        return list(islice(self._messages, most))

    def read(self, messages: Collection[str], rows: Iterable[StoredOutcome]) -> None:
        """All that is told of the delivery of these, oldest first."""
        told: dict[str, list[Outcome]] = {message: [] for message in messages}
        for row in rows:
            told[row.outcome.promise].append(row.outcome)
        for message, delivery in told.items():
            self._put(message, delivery)
            self._messages.pop(message, None)

    def devices_to_name(self, most: int) -> list[str]:
        return list(islice(self._nameless, most))

    def name(self, devices: Collection[str], named: Iterable[tuple[str, str, float]]) -> None:
        """Who was named on these: device, customer and when first."""
        for device in devices:
            self._names.pop(device, None)
            self._nameless.pop(device, None)
        for device, customer, time in named:
            self._name(device, customer, time)

    def _name(self, device: str, customer: str, time: float) -> None:
        names = self._names.setdefault(device, {})
        names[customer] = min(time, names.get(customer, inf))

    def _put(self, message: str, delivery: Sequence[Outcome]) -> None:
        if (before := self._records.pop(message, None)) is not None and before.exposed:
            self._by_class[before.message_class] -= 1
            if not self._by_class[before.message_class]:
                del self._by_class[before.message_class]
        inside = [outcome for outcome in delivery if self._since <= outcome.time < self._until]
        if not any(self._went_there(outcome) for outcome in inside):
            return
        first_at, last_at = delivery[0].time, delivery[-1].time
        if last_at >= self._until:
            heappush(self._ahead, (next(each.time for each in delivery if each.time >= self._until), message))
        found = exposed_message(inside, self._scopes)
        if found is None:
            self._records[message] = MessageRecord("", "", "", "", 0.0, "", False, first_at, last_at)
            return
        self._records[message] = MessageRecord(
            recipient=found.recipient,
            customer=found.customer,
            account=found.account,
            message_class=found.message_class,
            sent_at=found.sent_at,
            verdict=found.verdict,
            exposed=True,
            first_at=first_at,
            last_at=last_at,
        )
        self._by_class[found.message_class] += 1
        if found.recipient and found.recipient not in self._devices:
            self._devices.add(found.recipient)
            self._nameless[found.recipient] = None

    # What it comes to.

    @property
    def figures(self) -> ExposureFigures:
        return ExposureFigures(dict(sorted(self._by_class.items())))

    def first(self, most: int) -> list[ExposedMessage]:
        """The oldest of them."""
        return [self._message(message) for _, message in nsmallest(most, self._places())]

    def order(self) -> list[str]:
        """All of them, oldest first."""
        return [message for _, message in sorted(self._places())]

    def messages(self, some: Iterable[str]) -> list[ExposedMessage]:
        """Those of them that are exposed still."""
        known = ((message, self._records.get(message)) for message in some)
        return [self._message(message) for message, record in known if record is not None and record.exposed]

    def _places(self) -> Iterator[tuple[float, str]]:
        return ((record.sent_at, message) for message, record in self._records.items() if record.exposed)

    def _message(self, message: str) -> ExposedMessage:
        record = self._records[message]
        return ExposedMessage(
            message=message,
            recipient=record.recipient,
            customer=record.customer or self._holder(record.recipient),
            account=record.account,
            message_class=record.message_class,
            sent_at=record.sent_at,
            verdict=record.verdict,
        )

    def _holder(self, device: str) -> str:
        """Who was named on it, where all agree."""
        named = [customer for customer, first in self._names.get(device, {}).items() if first < self._until]
        return named[0] if len(named) == 1 else ""


def _without(times: Times | None, others: Times | None) -> list[Times]:
    """What of a time does not lie in another."""
    if times is None:
        return []
    (since, until), (first, end) = times, others or (inf, inf)
    parts = [(since, min(until, first)), (max(since, end), until)]
    return [part for part in (parts if others else [times]) if part[0] < part[1]]


def _joined(times: Iterable[Times]) -> list[Times]:
    """The same in order, none in two of them."""
    found: list[Times] = []
    for since, until in sorted(times):
        if found and since <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], until)
        else:
            found.append((since, until))
    return found
