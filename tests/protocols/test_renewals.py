"""A playback token is renewed at a calm time: before a large programme rather than while it runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.renewals import AHEAD_SECONDS, CALM_SECONDS, LATEST_SHARE, Span, ordinary, renewals

HOUR = 3_600.0
LIFE = 12 * HOUR
MATCH = Span(100 * HOUR, 102 * HOUR)
AHEAD = Span(MATCH.start - AHEAD_SECONDS, MATCH.start - CALM_SECONDS)


def latest(now: float) -> float:
    return now + LATEST_SHARE * LIFE


def test_ordinarily_it_is_the_third_quarter_of_its_life() -> None:
    assert renewals(50.0, LIFE, ()) == (Span(50 + 6 * HOUR, 50 + 9 * HOUR),) == (ordinary(50.0, LIFE),)


@pytest.mark.parametrize("issued", [MATCH.start - CALM_SECONDS - 9 * HOUR, MATCH.end - 6 * HOUR])
def test_what_ends_as_the_calm_begins_or_begins_as_the_match_ends_stays(issued: float) -> None:
    assert renewals(issued, LIFE, [MATCH]) == (ordinary(issued, LIFE),)


def test_where_it_would_meet_the_match_it_lies_ahead_of_it_or_else_behind() -> None:
    early = MATCH.start - CALM_SECONDS - 9 * HOUR + 1
    assert renewals(early, LIFE, [MATCH]) == (AHEAD,), "it does not live until the match is over"
    issued = MATCH.start - 6 * HOUR
    assert renewals(issued, LIFE, [MATCH]) == (AHEAD, Span(MATCH.end, latest(issued)))
    long_before = MATCH.end - 6 * HOUR - 1
    assert renewals(long_before, LIFE, [MATCH]) == (AHEAD, Span(MATCH.end, MATCH.end + LIFE / 4))


def test_what_is_issued_within_the_time_ahead_is_renewed_from_now_on_or_behind() -> None:
    short = 2 * HOUR
    issued = MATCH.start - 1.25 * HOUR
    assert renewals(issued, short, [MATCH])[0] == Span(issued, MATCH.start - CALM_SECONDS)
    assert renewals(MATCH.start - 2 * CALM_SECONDS, short, [MATCH])[0].end == MATCH.start - CALM_SECONDS
    late = MATCH.start - 2 * CALM_SECONDS + 1  # no time left ahead, and none behind
    assert renewals(late, short, [MATCH]) == (ordinary(late, short),)
    brief = Span(MATCH.start, MATCH.start + 0.75 * HOUR)
    [behind] = renewals(late, short, [brief])
    assert behind == Span(brief.end, brief.end + short / 4)


def test_of_two_matches_neither_is_met() -> None:
    early = Span(MATCH.start - 2 * HOUR, MATCH.start - 1 * HOUR)
    issued = MATCH.start - 7.5 * HOUR
    found = renewals(issued, LIFE, [MATCH, early])
    assert found == (
        Span(early.start - AHEAD_SECONDS, early.start - CALM_SECONDS),
        Span(MATCH.end, latest(issued)),
    )
    assert not any(span.meets(match) for span in found for match in (early, MATCH))


spans = st.builds(lambda at, hours: Span(at * HOUR, (at + hours) * HOUR), st.floats(0, 30), st.floats(0.1, 6))


@given(st.lists(spans, max_size=4), st.floats(1, 24))
def test_it_lies_within_the_tokens_life_and_meets_no_match_if_that_can_be(programmes: list[Span], hours: float) -> None:
    life = hours * HOUR
    found = renewals(0.0, life, programmes)
    assert found
    for span in found:
        assert 0 <= span.start < span.end <= LATEST_SHARE * life or span == ordinary(0.0, life)
    if found != (ordinary(0.0, life),):
        assert not any(span.meets(programme) for span in found for programme in programmes)
