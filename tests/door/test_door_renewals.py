"""Renewals ahead of a large programme are spread, and stay below a share of what the door can issue."""

import random
from collections import Counter

from prikkfri.door.renewals import CAPACITY_SHARE, SLOT_SECONDS, SLOTS_KEPT_MAX, Renewals
from prikkfri.protocols.renewals import AHEAD_SECONDS, CALM_SECONDS, Span, ordinary

HOUR = 3_600.0
LIFE = 12 * HOUR
MATCH = Span(100 * HOUR, 102 * HOUR)
ISSUED = MATCH.start - 7 * HOUR


def test_they_are_spread_and_no_slot_takes_more_than_its_share() -> None:
    plan, lots = Renewals([MATCH]), random.Random(1)
    per_second = 10.0
    most = CAPACITY_SHARE * per_second * SLOT_SECONDS
    slots = int((AHEAD_SECONDS - CALM_SECONDS) / SLOT_SECONDS) - 1
    planned = [plan.plan(ISSUED, LIFE, per_second, lots.randrange) for _ in range(int(slots * most * 0.9))]
    counts = Counter(span.start for span in planned)
    assert max(counts.values()) <= most
    assert len(counts) > 0.8 * slots, "nobody is crowded together"
    assert all(MATCH.start - AHEAD_SECONDS < span.start for span in planned)
    ahead = [span for span in planned if span.end <= MATCH.start - CALM_SECONDS]
    assert len(ahead) > 0.95 * len(planned), "and the few others come after the match"
    assert all(span.end - span.start == SLOT_SECONDS for span in planned)
    assert not any(span.meets(Span(MATCH.start - CALM_SECONDS, MATCH.end)) for span in planned)


def test_what_finds_no_room_ahead_comes_behind_and_beyond_that_somewhere_behind() -> None:
    plan = Renewals([MATCH])
    first = lambda n: 0  # noqa: E731
    spans = [plan.plan(ISSUED, LIFE, 0.5, first) for _ in range(3)]  # a slot takes one at least
    assert [span.start >= MATCH.end for span in spans] == [False, True, True]
    assert spans[1].start == MATCH.end + SLOT_SECONDS and spans[1].end - spans[1].start == SLOT_SECONDS
    assert spans[2] == Span(MATCH.end, ISSUED + LIFE * 0.875)


def test_what_meets_no_programme_is_planned_as_ever_and_counts_nowhere() -> None:
    plan = Renewals([MATCH])
    assert plan.plan(0.0, LIFE, 10.0, lambda n: 0) == ordinary(0.0, LIFE)
    assert len(plan) == 0


def test_what_is_over_is_forgotten() -> None:
    programmes = [Span((100 + 24 * day) * HOUR, (102 + 24 * day) * HOUR) for day in range(40)]
    plan, lots = Renewals(programmes), random.Random(1)
    for programme in programmes:
        for _ in range(1_000):
            plan.plan(programme.start - 7 * HOUR, LIFE, 1_000.0, lots.randrange)
    assert 0 < len(plan) <= SLOTS_KEPT_MAX + 1
