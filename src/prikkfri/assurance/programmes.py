"""Programmes: what the schedule lets expect of who comes. When what people came for has ended, fewer do."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from prikkfri.journal import Outcome

COMING = ("start-playback", "switch-channel")
CROWD_SHARE = 0.5
"""Of those who began to watch: so many on one channel came for what is on there."""
PROGRAMMES_MAX = 5_000


class Programme(msgspec.Struct, frozen=True):
    title: str
    start: float
    """Seconds since 1970 UTC, both."""
    stop: float


class _Channel(msgspec.Struct, frozen=True):
    id: str
    programmes: list[Programme]


Programmes = dict[str, tuple[Programme, ...]]
"""By channel."""


def programmes_of(guide: bytes) -> Programmes:
    """What playout's guide lists. Raises `msgspec.DecodeError`."""
    listed = msgspec.json.decode(guide, type=list[_Channel])
    return {channel.id: tuple(channel.programmes[:PROGRAMMES_MAX]) for channel in listed}


def most_watched_channel(outcomes: Iterable[Outcome]) -> str:
    """The channel that most of those have come to who began to watch; empty when to none in particular."""
    return most_come_to(Counter(channel for outcome in outcomes if (channel := channel_come_to(outcome)) is not None))


def channel_come_to(outcome: Outcome) -> str | None:
    """The channel that somebody began to watch; None when an outcome does not tell of that."""
    began = outcome.step in COMING and outcome.verdict == "kept" and outcome.observed
    return outcome.dimensions.get("channel") if began else None


def most_come_to(came: Mapping[str, int]) -> str:
    """The channel of which that is so, of how many have come to each."""
    if not any(came.values()):
        return ""
    channel = max(sorted(came), key=came.__getitem__)
    return channel if came[channel] >= CROWD_SHARE * sum(came.values()) else ""


def last_ended(programmes: Sequence[Programme], *, since: float, now: float) -> Programme | None:
    """The last programme that has ended after `since` and up to `now`."""
    over = [programme for programme in programmes if since < programme.stop <= now]
    return max(over, key=lambda programme: programme.stop, default=None)
