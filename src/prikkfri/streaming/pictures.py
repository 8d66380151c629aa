"""Pictures: whether each channel shows one, as it was last seen and as the journal was last told."""

from dataclasses import dataclass, replace
from typing import Literal

PICTURE = "picture"
"""The step at which playout tells that a channel's picture has gone, or is there."""

Gone = Literal["", "slate", "no-picture"]
"""Why there is none; empty: it is there."""


@dataclass(frozen=True, slots=True)
class Picture:
    gone: Gone
    since: float
    """Since when it is so."""
    told: Gone | None = None
    """What the journal was told last; None: nothing since playout began."""

    def to_tell(self, now: float, *, after_seconds: float) -> bool:
        """Whether it has changed for long enough: a source that flickers is no news each time."""
        return self.told != self.gone and now - self.since >= after_seconds

    def as_told(self) -> "Picture":
        return replace(self, told=self.gone)


def seen(before: Picture | None, gone: Gone, now: float) -> Picture:
    """What is known of a channel after one more look."""
    if before is None:
        return Picture(gone, now)
    return before if before.gone == gone else replace(before, gone=gone, since=now)
