"""How a partner speaks, told from its own traffic: by link, in memory that does not grow with what passes."""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prikkfri.protocols.smpp.pdu import Status
from prikkfri.protocols.smpp.receipt import Receipt
from prikkfri.protocols.smpp.session import (
    Event,
    PeerResponse,
    Request,
    ResponseTimeout,
    SessionEnd,
    UnreadableResponse,
)
from prikkfri.sms.delivery import status_reason
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.network_receipts import ReceiptMatch
from prikkfri.sms.receipt_ids import Habit, Reading, complaint

WORDS_MAX = 20
"""Of each link and kind; whatever more it says is counted together."""
OTHER_WORDS = "other"
OTHERWISE = "other"
"""Refused for what is wrong with the message itself."""
NO_WORD = "none"
RATE_SECONDS = 60
_OK, _UNREPORTED = int(Status.OK), DeliveryState.UNREPORTED
BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 86_400)


@dataclass
class Spread:
    """How long something took, as far as the bounds tell."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    longest: float = 0.0

    def note(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.longest = max(self.longest, seconds)

    def quantile(self, share: float) -> float | None:
        """So many seconds, or a little less, it took at most in this share of the cases; None: there were none."""
        wanted, seen = share * sum(self.counts), 0
        for bound, count in zip((*BOUNDS_SECONDS, self.longest), self.counts, strict=True):
            seen += count
            if count and seen >= wanted:
                return min(float(bound), self.longest)
        return None


@dataclass
class Rate:
    """So many a second over the last minute."""

    seconds: deque[list[int]] = field(default_factory=deque)
    """(second, count), the newest last."""

    def note(self, times: int, now: float) -> None:
        second = int(now)
        if not self.seconds or self.seconds[-1][0] != second:
            self.seconds.append([second, 0])
        self.seconds[-1][1] += times
        while len(self.seconds) > RATE_SECONDS:
            self.seconds.popleft()

    def per_second(self, now: float) -> float:
        return sum(count for second, count in self.seconds if 0 <= now - second < RATE_SECONDS) / RATE_SECONDS


@dataclass
class Traffic:
    """Of one link, since the centre started."""

    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By status."""
    unanswered: int = 0
    """No answer in time, or none when the session ended."""
    unreadable: int = 0
    """An answer from which nobody can tell what was taken."""
    answered_late: int = 0
    """After it was given up."""
    round_trip: Spread = field(default_factory=Spread)
    rate: Rate = field(default_factory=Rate)
    states: Counter[str] = field(default_factory=Counter)
    """Receipts by the state that they tell."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Those whose state nobody knows, by its word."""
    unnamed: int = 0
    """Receipts that say of no message."""
    receipts: int = 0
    """Those that told a message's end, whatever they came after."""
    early: int = 0
    """Of these, before the answer that names the message: out of order."""
    late: int = 0
    """After the message's time was up, and it ended without."""
    repeated: int = 0
    """What they tell had been told."""
    unmatched: int = 0
    """Those that went to quarantine."""
    missing: int = 0
    """Messages that the link took and whose receipt never came."""
    misfits: int = 0
    """Receipts whose id is known and whose number is another, and those that contradict what was told before."""
    returned: int = 0
    """Messages that it handed in under the name of one of our accounts."""
    handed_in: int = 0
    """Messages that it handed in and that were taken on."""
    turned_back: Counter[str] = field(default_factory=Counter)
    """By reason (`transit`, or `OTHERWISE`): what it handed in that was refused."""
    receipt_after: Spread = field(default_factory=Spread)
    """From the answer to the receipt, where they came in this order."""

    def note_events(self, events: Iterable[Event], now: float) -> None:
        """`now`: by the clock of the session."""
        taken = 0
        for event in events:
            if type(event) is Request:
                continue
            if type(event) is PeerResponse:
                if type(event.context) is Message:
                    self._note_answer(event, now)
                    taken += event.status == _OK
            elif isinstance(event, SessionEnd):
                self.unanswered += sum(isinstance(each, Message) for each in event.in_doubt)
            elif isinstance(event, ResponseTimeout):
                self.unanswered += isinstance(event.context, Message)
            elif isinstance(event, UnreadableResponse):
                self.unreadable += isinstance(event.context, Message)
        if taken:
            self.taken += taken
            self.rate.note(taken, now)

    def _note_answer(self, answer: PeerResponse, now: float) -> None:
        if answer.late:
            self.answered_late += 1
        else:
            self.round_trip.note(now - answer.asked_at)
        if answer.status != _OK:
            self.refused[_bounded(self.refused, status_reason(answer.status))] += 1

    def note_handed_in(self, messages: Iterable[Message], turned_back: Iterable[str], *, refused: int) -> None:
        """`refused`: how many it handed in vain, those that were turned back among them."""
        self.handed_in += len({message.submission for message in messages})
        reasons = Counter(turned_back)
        if others := refused - reasons.total():
            reasons[OTHERWISE] = others
        self.turned_back.update(reasons)

    def note_receipts(self, receipts: Iterable[Receipt], *, unnamed: int = 0) -> list[str]:
        """Counts what has come; returns the unknown words that have come for the first time."""
        self.unnamed += unnamed
        new = []
        for receipt in receipts:
            if receipt.state is not None:
                self.states[receipt.state.name] += 1
                continue
            word = _bounded(self.unknown, receipt.word or NO_WORD)
            if word not in self.unknown:
                new.append(word)
            self.unknown[word] += 1
        return new

    def note_fitting(self, fitting: ReceiptMatch, now: float, *, waited: bool) -> None:
        """A receipt has found its message; `waited`: not at once."""
        if fitting.state is _UNREPORTED:
            self.late += 1
        elif fitting.ended:
            self.repeated += 1
        else:
            self.receipts += 1
            self.early += waited
            if not waited:
                self.receipt_after.note(max(now - fitting.sent_at, 0.0))


@dataclass(frozen=True)
class Signs:
    """What of a link's traffic may hint that messages go astray, since the centre started."""

    taken: int = 0
    misfits: int = 0
    returned: int = 0


NO_SIGNS = Signs()


def _bounded(words: Mapping[str, int], word: str) -> str:
    """The word under which something is counted."""
    return word if word in words or len(words) < WORDS_MAX else OTHER_WORDS


def label(text: str) -> str:
    """A word of a partner as the value of a label in Prometheus' text format."""
    plain = text.encode("unicode_escape").decode()  # a backslash is two there
    return plain.replace('"', '\\"')


# The report.


@dataclass(frozen=True)
class Durations:
    """Seconds, as far as they are known; None: nothing has been measured."""

    half: float | None
    most: float | None
    """In 95 of 100 cases."""
    longest: float | None

    @classmethod
    def of(cls, spread: Spread) -> "Durations":
        return cls(spread.quantile(0.5), spread.quantile(0.95), spread.longest if any(spread.counts) else None)


@dataclass(frozen=True)
class LinkReport:
    """Shares are of what they could have been of, from 0 to 1; None while there was nothing."""

    link: str
    partner: str
    binds: int
    bound_since: float
    """When it bound last; 0: it has not yet."""
    waiting: int
    rate: float
    """Messages that it takes a second, over the last minute."""
    ids: str
    """How its receipts write the ids that its answers gave."""
    complaint: str
    """What is wrong with the ids; empty: nothing that is known."""
    handed_in: int
    turned_back: dict[str, int]
    taken: int
    refused: dict[str, int]
    round_trip: Durations
    unanswered: int
    without_answer: float | None
    unreadable: int
    answered_late: int
    states: dict[str, int]
    unknown: dict[str, int]
    unnamed: int
    receipts: int
    receipt_after: Durations
    without_receipt: float | None
    """Of the messages whose time is up or whose end was told."""
    late: float | None
    """Of the receipts that found their message."""
    out_of_order: float | None
    repeated: int
    unmatched: float | None
    """Of all that told an end."""
    receipts_waiting: int
    receipts_held: int


def how_ids_are_written(setting: Reading | None, habit: Habit) -> str:
    names = {
        Reading.SAME: "as they were given",
        Reading.DECIMAL: "to base ten, given to base sixteen",
        Reading.HEXADECIMAL: "to base sixteen, given to base ten",
    }
    if setting is not None:
        return f"{names[setting]}, as is set"
    if habit.settled is not None:
        return f"{names[habit.settled]}, as was learnt"
    votes = {"same": habit.same, "decimal": habit.decimal, "hexadecimal": habit.hexadecimal}
    seen = ", ".join(f"{name} {count}" for name, count in votes.items() if count)
    return f"not known yet: {seen}" if seen else "not known yet"


def share(part: int, rest: int) -> float | None:
    """Of both together."""
    return part / (part + rest) if part + rest else None


@dataclass(frozen=True)
class LinkStatus:
    """What is known of a link beside its traffic."""

    link: str
    partner: str
    binds: int
    bound_since: float
    waiting: int
    setting: Reading | None
    habit: Habit
    receipts_waiting: int
    receipts_held: int


def report(standing: LinkStatus, traffic: Traffic, now: float) -> LinkReport:
    """`now`: monotonic."""
    answered = traffic.taken + traffic.refused.total() - traffic.answered_late
    found = traffic.receipts + traffic.late
    return LinkReport(
        link=standing.link,
        partner=standing.partner,
        binds=standing.binds,
        bound_since=standing.bound_since,
        waiting=standing.waiting,
        rate=traffic.rate.per_second(now),
        ids=how_ids_are_written(standing.setting, standing.habit),
        complaint=complaint(standing.link, standing.setting, standing.habit) or "",
        handed_in=traffic.handed_in,
        turned_back=dict(traffic.turned_back.most_common()),
        taken=traffic.taken,
        refused=dict(traffic.refused.most_common()),
        round_trip=Durations.of(traffic.round_trip),
        unanswered=traffic.unanswered,
        without_answer=share(traffic.unanswered, answered),
        unreadable=traffic.unreadable,
        answered_late=traffic.answered_late,
        states=dict(traffic.states.most_common()),
        unknown=dict(traffic.unknown.most_common()),
        unnamed=traffic.unnamed,
        receipts=traffic.receipts,
        receipt_after=Durations.of(traffic.receipt_after),
        without_receipt=share(traffic.missing, traffic.receipts),
        late=share(traffic.late, traffic.receipts),
        out_of_order=share(traffic.early, traffic.receipts - traffic.early),
        repeated=traffic.repeated,
        unmatched=share(traffic.unmatched, found),
        receipts_waiting=standing.receipts_waiting,
        receipts_held=standing.receipts_held,
    )


def metrics(found: LinkReport) -> dict[str, float]:
    """The same as Prometheus would have it."""
    link = f'link="{label(found.link)}"'
    values: dict[str, float | None] = {
        f"link_binds{{{link}}}": found.binds,
        f"link_waiting{{{link}}}": found.waiting,
        f"link_rate_per_second{{{link}}}": found.rate,
        f"link_handed_in_total{{{link}}}": found.handed_in,
        f"link_taken_total{{{link}}}": found.taken,
        f"link_unanswered_total{{{link}}}": found.unanswered,
        f"link_unreadable_total{{{link}}}": found.unreadable,
        f"link_answered_late_total{{{link}}}": found.answered_late,
        f"link_receipts_total{{{link}}}": found.receipts,
        f"link_receipts_repeated_total{{{link}}}": found.repeated,
        f"link_receipts_unnamed_total{{{link}}}": found.unnamed,
        f"link_receipts_waiting{{{link}}}": found.receipts_waiting,
        f"link_receipts_held{{{link}}}": found.receipts_held,
        f"link_share_without_answer{{{link}}}": found.without_answer,
        f"link_share_without_receipt{{{link}}}": found.without_receipt,
        f"link_share_receipts_late{{{link}}}": found.late,
        f"link_share_receipts_out_of_order{{{link}}}": found.out_of_order,
        f"link_share_receipts_unmatched{{{link}}}": found.unmatched,
        f'link_round_trip_seconds{{{link},quantile="0.5"}}': found.round_trip.half,
        f'link_round_trip_seconds{{{link},quantile="0.95"}}': found.round_trip.most,
    }
    for name, counted, key in (
        ("link_turned_back_total", found.turned_back, "reason"),
        ("link_refused_total", found.refused, "status"),
        ("link_receipts_by_state_total", found.states, "state"),
        ("receipts_unknown_state_total", found.unknown, "word"),
    ):
        values |= {f'{name}{{{link},{key}="{label(word)}"}}': float(times) for word, times in counted.items()}
    return {name: float(value) for name, value in values.items() if value is not None}
