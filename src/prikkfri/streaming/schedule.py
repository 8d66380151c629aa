"""The schedule: which programme is on a channel, and which comes next."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, tzinfo

from prikkfri import config
from prikkfri.protocols.xmltv import Listing

STOP_UNKNOWN_SECONDS = 2 * 3600.0
"""How long a programme lasts whose end nobody tells."""


@dataclass(frozen=True, slots=True)
class Programme:
    title: str
    description: str
    start: float
    stop: float
    """Seconds since 1970 UTC, both."""


Schedule = tuple[Programme, ...]
"""In order of start, without overlap."""


def schedule(programmes: Iterable[Programme]) -> Schedule:
    """In order; a programme ends where the next begins, and of two that begin together the later given counts."""
    by_start = {programme.start: programme for programme in programmes if programme.stop > programme.start}
    ordered = [by_start[start] for start in sorted(by_start)]
    limits = [*(programme.start for programme in ordered[1:]), math.inf]
    return tuple(
        replace(programme, stop=min(programme.stop, limit)) for programme, limit in zip(ordered, limits, strict=False)
    )


def from_configuration(
    programmes: Sequence[config.Programme], timezone: tzinfo, start: float, stop: float
) -> list[Programme]:
    """Those that touch the time from `start` to `stop`; `HH:MM` comes back each day, local time.

    Raises `ValueError` for a start that is neither `HH:MM` nor an ISO 8601 moment.
    """
    first, last = (datetime.fromtimestamp(at, timezone).date() for at in (start, stop))
    # From the day before, since what began then may still be on.
    days = [first + timedelta(days=n) for n in range(-1, (last - first).days + 1)]
    found = []
    for programme in programmes:
        for moment in _moments(programme.start, days, timezone):
            began = moment.timestamp()
            ended = began + programme.minutes * 60
            if began < stop and ended > start:
                found.append(Programme(programme.title, programme.description, began, ended))
    return found


def from_listings(listings: Iterable[Listing], channel: str) -> list[Programme]:
    """Those of a channel. One whose end is known is given after the others, so that it counts before those that begin
    with it."""
    ours = [listing for listing in listings if listing.channel == channel]
    return [
        Programme(
            listing.title,
            listing.description,
            listing.start,
            listing.start + STOP_UNKNOWN_SECONDS if listing.stop is None else listing.stop,
        )
        for listing in sorted(ours, key=lambda listing: listing.stop is not None)
    ]


def now_and_next(programmes: Schedule, now: float) -> tuple[Programme | None, Programme | None]:
    """What is on, if anything is, and what begins after now."""
    index = bisect_right(programmes, now, key=lambda programme: programme.start)
    on = programmes[index - 1] if index and programmes[index - 1].stop > now else None
    return on, programmes[index] if index < len(programmes) else None


def between(programmes: Schedule, start: float, stop: float) -> Schedule:
    """Those that touch the time from `start` to `stop`."""
    return tuple(programme for programme in programmes if programme.start < stop and programme.stop > start)


def _moments(start: str, days: Sequence[datetime | object], timezone: tzinfo) -> list[datetime]:
    if len(start) == len("21:00"):
        clock = time.fromisoformat(start)
        return [datetime.combine(day, clock, timezone) for day in days]  # type: ignore[arg-type]
    moment = datetime.fromisoformat(start)
    return [moment if moment.tzinfo else moment.replace(tzinfo=timezone)]
