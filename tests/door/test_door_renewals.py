"""Renewals ahead of a large programme are spread, and stay below a share of what the door can issue."""

import random
from collections import Counter
from itertools import count

from prikkfri.door.renewals import CAPACITY_SHARE, SLOT_SECONDS, SLOTS_DRAWN, SLOTS_KEPT_MAX, Renewals
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


def test_a_slot_takes_its_share_before_the_next_time_is_taken() -> None:
    plan = Renewals([MATCH])
    spans = [plan.plan(ISSUED, LIFE, 2.0, lambda n: 0) for _ in range(3)]
    assert spans[0] == spans[1] and spans[0].end < MATCH.start < MATCH.end <= spans[2].start


def test_of_the_slots_that_are_drawn_the_emptiest_is_taken() -> None:
    plan = Renewals([MATCH])
    lots = iter((*[5] * SLOTS_DRAWN, 5, 7, *[5] * (SLOTS_DRAWN - 2)))
    first, second = (plan.plan(ISSUED, LIFE, 10.0, lambda n: next(lots)) for _ in range(2))
    assert second.start - first.start == 2 * SLOT_SECONDS


def test_where_only_the_time_ahead_lies_in_its_life_what_finds_no_room_comes_somewhere_in_it() -> None:
    plan, early = Renewals([MATCH]), MATCH.start - CALM_SECONDS - 9 * HOUR + 1
    assert plan.plan(early, LIFE, 0.5, lambda n: 0).start == MATCH.start - AHEAD_SECONDS + SLOT_SECONDS
    assert plan.plan(early, LIFE, 0.5, lambda n: 0) == Span(MATCH.start - AHEAD_SECONDS, MATCH.start - CALM_SECONDS)


def test_what_meets_no_programme_is_planned_as_ever_and_counts_nowhere() -> None:
    plan = Renewals([MATCH])
    assert plan.plan(0.0, LIFE, 10.0, lambda n: 0) == ordinary(0.0, LIFE)
    assert len(plan) == 0


def test_what_is_over_is_forgotten_when_there_are_too_many_and_nothing_else_is() -> None:
    life, later = 240 * HOUR, Span(270 * HOUR, 272 * HOUR)
    plan, each = Renewals([MATCH, later]), count()
    issued = MATCH.start - 0.6 * life
    starts = [plan.plan(issued, life, 0.5, lambda n: next(each) % n).start for _ in range(SLOTS_KEPT_MAX - 1)]
    assert len(plan) == len(set(starts)) == SLOTS_KEPT_MAX - 1, "one in each slot, ahead of the match and behind it"
    now = sorted(starts)[SLOTS_KEPT_MAX // 2] + 0.5 * SLOT_SECONDS
    starts.append(plan.plan(now, life, 0.5, lambda n: n - 1).start)
    assert len(plan) == len(set(starts)) == SLOTS_KEPT_MAX
    starts.append(plan.plan(now, life, 0.5, lambda n: n - 2).start)
    assert len(plan) == sum(start + SLOT_SECONDS > now for start in set(starts)), "the slot that runs is not over"
