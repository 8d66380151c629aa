"""Renewals ahead of a large programme: spread over slots of some seconds, in each less than a share of capacity."""

from collections.abc import Callable, Sequence

from prikkfri.protocols.renewals import Span, ordinary, renewals

SLOT_SECONDS = 10.0
CAPACITY_SHARE = 0.1
"""Of what the door can issue, that may be renewals which it has put there itself."""
SLOTS_DRAWN = 8
"""The emptiest of so many is taken."""
SLOTS_KEPT_MAX = 20_000


class Renewals:
    def __init__(self, programmes: Sequence[Span]) -> None:
        self._programmes = programmes
        self._planned: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._planned)

    def plan(self, now: float, lifetime_s: float, per_second: float, lots: Callable[[int], int]) -> Span:
        """Within which time a token that is issued now is to be renewed.

        `per_second`: how many the door can issue; `lots(n)` draws a number from 0 to below n.
        """
        spans = renewals(now, lifetime_s, self._programmes)
        if spans == (ordinary(now, lifetime_s),):
            return spans[0]
        most = max(1.0, CAPACITY_SHARE * per_second * SLOT_SECONDS)
        for span in spans:  # each so long (CALM_SECONDS) that whole slots lie in it
            first, last = int(span.start // SLOT_SECONDS) + 1, int(span.end // SLOT_SECONDS)
            slot = min((first + lots(last - first) for _ in range(SLOTS_DRAWN)), key=lambda s: self._planned.get(s, 0))
            if self._planned.get(slot, 0) + 1 <= most:
                self._planned[slot] = self._planned.get(slot, 0) + 1
                self._forget(now)
                return Span(slot * SLOT_SECONDS, (slot + 1) * SLOT_SECONDS)
        return spans[-1]

    def _forget(self, now: float) -> None:
        if len(self._planned) > SLOTS_KEPT_MAX:
            self._planned = {slot: count for slot, count in self._planned.items() if slot >= now // SLOT_SECONDS}
