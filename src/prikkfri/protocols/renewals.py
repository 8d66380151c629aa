"""When a playback token is to be renewed: from half of its life on, and not while very many come for a programme."""

from collections.abc import Sequence
from dataclasses import dataclass

AHEAD_SECONDS = 3 * 3_600.0
"""So long before a large programme its renewals begin ..."""
CALM_SECONDS = 900.0
"""... and so long before it they are over."""
LATEST_SHARE = 0.875
"""Of a token's life, by which it is renewed even if that was put off."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds since 1970 UTC."""

    start: float
    end: float

    def meets(self, other: "Span") -> bool:
        return self.start < other.end and other.start < self.end


def ordinary(now: float, lifetime_s: float) -> Span:
    """A quarter of its life from the half of it on: those who came in together do not renew together."""
    return Span(now + lifetime_s / 2, now + lifetime_s * 3 / 4)


def renewals(now: float, lifetime_s: float, programmes: Sequence[Span]) -> tuple[Span, ...]:
    """Within which times a token that is issued now may be renewed, the best first.

    Where the ordinary time would meet a large programme it lies ahead of that; else behind it, if the token lives so
    long. Only when there is no such time it is the ordinary one.
    """
    asked = ordinary(now, lifetime_s)
    busy = [Span(programme.start - CALM_SECONDS, programme.end) for programme in programmes]
    met = [each for each in busy if each.meets(asked)]
    if not met:
        return (asked,)
    latest = now + LATEST_SHARE * lifetime_s
    ahead = [Span(max(now, each.start + CALM_SECONDS - AHEAD_SECONDS), each.start) for each in met]
    behind = [Span(each.end, min(each.end + lifetime_s / 4, latest)) for each in met]
    calm = [
        each
        for each in (*ahead, *behind)
        if each.end - each.start >= CALM_SECONDS and not any(each.meets(other) for other in busy)
    ]
    return tuple(calm) or (asked,)
