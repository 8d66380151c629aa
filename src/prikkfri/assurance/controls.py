"""Controls: what people on duty can switch in other roles, as those roles last told.

A channel is opened to everybody, a route is stopped. The role that acts keeps what was said, and tells of it in the
journal; here is only what a page shows.
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
    hints: dict[str, int] = field(default_factory=dict)
    """By kind, how many have come since a person opened it last."""


@dataclass(frozen=True)
class Controls:
    """None: the role that would know does not answer."""

    channels: tuple[ChannelControl, ...] | None = None
    routes: tuple[RouteControl, ...] | None = None


def channels_of(document: bytes) -> tuple[ChannelControl, ...]:
    """What playout tells. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=tuple[ChannelControl, ...])


def routes_of(document: bytes) -> tuple[RouteControl, ...]:
    """What the SMS centre tells. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=tuple[RouteControl, ...])
