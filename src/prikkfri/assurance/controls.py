"""Controls: what people on duty can switch in other roles, as those roles last told.

A channel is opened to everybody, a route is stopped, the line is steered. The role that acts keeps what was said, and
tells of it in the journal; here is only what a page shows.
"""

from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True)
class ChannelControl:
    """A channel, and whether anybody may watch it without signing in."""

    id: str
    name: str
    open: bool
    by: str
    """`configuration`, `rule:fallback` or the name of a person; empty for one that nobody has opened or closed."""
    guide: str = ""
    """What is amiss with the programme guide that it takes its schedule from; empty: nothing."""

    @property
    def by_person(self) -> bool:
        return bool(self.by) and self.by != "configuration" and not self.by.startswith("rule:")


@dataclass(frozen=True)
class DetectableShare:
    """The smallest share of misdelivered messages that a route's canaries would show in so many minutes."""

    minutes: int
    share: float | None
    """None: not even all of them would be noticed."""


@dataclass(frozen=True)
class RouteControl:
    """The way of messages over a link, and what its canaries say of it."""

    link: str
    partner: str
    state: str
    """`open` or `stopped`."""
    since: float
    """0: it has always been so."""
    by: str
    reason: str
    instead: str
    """The link that takes its messages while it is stopped; empty: they are kept."""
    waiting: int
    trusted: bool
    judged: int
    astray: int
    suspected: bool = False
    """It is looked at closely just now."""
    canaries_per_minute: float = 0.0
    """Of which something is learnt."""
    noticed: tuple[DetectableShare, ...] = ()
    canaries_to_prove: int = 0
    """So many that come home in a row prove it from now on; 0 as well once they have, and none may turn up missing."""
    proving_seconds: float = 0.0
    """In so long it is proven then; 0: there is nothing to prove."""
    hints: dict[str, int] = field(default_factory=dict)
    """By kind, how many have come since a person opened it last."""


@dataclass(frozen=True)
class LineOrder:
    """What is ordered of the line at the door; `auto`: nothing."""

    kind: str
    per_second: float
    reason: str
    by: str
    at: float


@dataclass(frozen=True)
class LineRoom:
    """A room that opens at a moment."""

    room_from: float
    opens_at: float
    by: str
    at: float
    begins: float | None
    """None: it has not begun."""
    opened_at: float | None


@dataclass(frozen=True)
class LineMeasurements:
    waiting: int
    given_per_second: float
    spent_per_second: float
    machine_per_second: float
    """0: not known."""
    passes_out: int
    wait_s: float | None
    unspent_share: float
    absent_share: float
    silent_since: float | None


@dataclass(frozen=True)
class LineOrderRecord:
    """An order that was taken, in words that stand after whoever gave it."""

    at: float
    by: str
    order: str


@dataclass(frozen=True)
class LineControl:
    """The line at the door: what is ordered, and what is seen of it."""

    number: int
    """Of the last order."""
    order: LineOrder
    room: LineRoom | None
    line: LineMeasurements
    history: tuple[LineOrderRecord, ...] = ()
    """The last orders, the newest last."""

    @property
    def room_to_come(self) -> LineRoom | None:
        return self.room if self.room is not None and self.room.opened_at is None else None


@dataclass(frozen=True)
class Controls:
    """None: the role that would know does not answer."""

    channels: tuple[ChannelControl, ...] | None = None
    routes: tuple[RouteControl, ...] | None = None
    line: LineControl | None = None


def channels_of(document: bytes) -> tuple[ChannelControl, ...]:
    """What playout tells. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=tuple[ChannelControl, ...])


def routes_of(document: bytes) -> tuple[RouteControl, ...]:
    """What the SMS centre tells. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=tuple[RouteControl, ...])


def line_of(document: bytes) -> LineControl:
    """What the door tells. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=LineControl)
