"""All series at once come to what each of them comes to by itself."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.assurance.detection import Alarm, Level, SeriesState, Settings, series, together
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Bucket

SETTINGS = Settings(warm_up_buckets=12, volume_half_life_seconds=4.0, volume_stretches=3, share_half_life_seconds=60.0)
SEGMENTS = [
    Segment.of({"service": "television", "step": "sign-in", "layer": "signin"}),
    Segment.of({"service": "messages", "step": "deliver", "layer": "link"}),
    Segment.of({"service": "television", "step": "enter", "layer": "door"}),
]
FALLS = np.array([True, True, False])
BUCKETS = st.tuples(st.sampled_from([0, 0, 1, 20, 40]), st.sampled_from([0, 0, 0, 1, 3, 30]), st.integers(0, 9))


def beside(alarm: Alarm) -> tuple[object, ...]:
    return alarm.kind, alarm.segment, alarm.raised_at, alarm.since, alarm.promises, alarm.threshold


def agrees(
    phases: list[tuple[tuple[int, int, int], ...]],
    length: int,
    tested_by: Settings = SETTINGS,
    begun: Sequence[SeriesState] = (),
) -> Counter[str]:
    """Each phase is the same bucket so many times; in every tenth a series is not read. Which alarms there were."""
    alone = [*begun] or [SeriesState(segment) for segment in SEGMENTS]
    sums, time, alarms = together.of(alone, tested_by), 1_000.0, Counter[str]()
    no_falls = replace(tested_by, warm_up_buckets=1 << 62)
    for phase in [((20, 0, 1),) * len(SEGMENTS)] * (0 if begun else 4) + phases:
        seen = np.array([blind > 0 for _, _, blind in phase])
        for _ in range(length):
            wanted: list[Alarm] = []
            for number, (kept, broken, _) in enumerate(phase):
                if seen[number]:
                    tested = tested_by if FALLS[number] else no_falls
                    alone[number], raised = series.step(alone[number], Bucket(time, kept, broken), tested)
                    wanted += raised
            kept_all, broken_all = (np.array(each, dtype=float) for each in list(zip(*phase, strict=True))[:2])
            sums, found = together.step(
                sums, kept_all, broken_all, time, tested_by, segments=SEGMENTS, seen=seen, falls=FALLS
            )
            time += tested_by.bucket_seconds
            alarms.update(alarm.kind for _, alarm in found)
            assert [beside(alarm) for _, alarm in found] == [beside(alarm) for alarm in wanted]
            assert [alarm.evidence for _, alarm in found] == pytest.approx([alarm.evidence for alarm in wanted])
            assert [(alarm.level, alarm.seen) for _, alarm in found] == [
                pytest.approx((alarm.level, alarm.seen)) for alarm in wanted
            ]
            kinds = [{alarm.kind for alarm in state.raised} for state in alone]
            assert [*sums.shares_stand] == ["share" in theirs for theirs in kinds]
            assert [*sums.plunges_stand] == ["plunge" in theirs for theirs in kinds]
            assert [*sums.alternative] == [state.alternative for state in alone]
            for name in ("height", "since", "expected", "seen"):
                wanted_rows = [[getattr(each, name) for each in (*state.shares, state.plunge)] for state in alone]
                assert np.allclose(getattr(sums, name).T, wanted_rows), name
    for state, again in zip(alone, together.each_series(sums, SEGMENTS, {}), strict=True):
        assert (again.segment, again.alternative) == (state.segment, state.alternative)
        assert again.level.stretches == pytest.approx(state.level.stretches)
        assert (again.level.buckets, again.level.stretch_buckets) == (state.level.buckets, state.level.stretch_buckets)
        for name in ("settled", "broken", "volume", "variance", "stretch"):
            assert getattr(again.level, name) == pytest.approx(getattr(state.level, name)), name
        for mine, theirs in zip((*again.shares, again.plunge), (*state.shares, state.plunge), strict=True):
            assert (mine.height, mine.expected, mine.seen) == pytest.approx(
                (theirs.height, theirs.expected, theirs.seen), abs=1e-9
            )
            assert mine.since == theirs.since
    return alarms


@given(st.lists(st.tuples(*[BUCKETS] * len(SEGMENTS)), min_size=1, max_size=12), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_it_agrees_with_each_series_by_itself(phases: list[tuple[tuple[int, int, int], ...]], length: int) -> None:
    agrees(phases, length)


@pytest.mark.parametrize("seconds", [1.0, 2.0])
def test_it_agrees_over_a_long_time_in_which_everything_happens(seconds: float) -> None:
    lots = random.Random(3)
    kept, broken, blind = (0, 0, 1, 20, 20, 40, 600), (0, 0, 0, 0, 1, 3, 30), range(10)
    phases = []
    for _ in range(7):
        phases += [
            tuple((lots.choice(kept), lots.choice(broken), lots.choice(blind)) for _ in SEGMENTS) for _ in range(5)
        ]
        phases += [tuple((lots.choice((20, 40, 600)), 0, 1) for _ in SEGMENTS)] * 12  # calm, and then they stay away
        phases += [tuple((lots.choice((0, 0, 1)), lots.choice((0, 0, 5)), 1) for _ in SEGMENTS) for _ in range(5)]
    easily = replace(SETTINGS, bucket_seconds=seconds, series=10, false_alarms_per_year=1e6)
    alarms = agrees(phases, 4, easily)
    assert min(alarms["share"], alarms["plunge"]) > 2, "there was something to agree on"


HIGH = SETTINGS.threshold
SHARE = series.share_alarm(series.Sum(HIGH, 1.0, 2.0, 1.0), SEGMENTS[0], 2.0, 0.1, HIGH)
PLUNGE = replace(SHARE, kind="plunge")
STEADY = Level(
    settled=400.0, broken=1.0, volume=20.0, buckets=12, stretches=(20.0, 30.0), stretch=7.0, stretch_buckets=3
)


def begun(height: float, *raised: Alarm, by: int = -1, plunge: float = 0.0, level: Level = STEADY) -> SeriesState:
    each = series.Sum(height, 900.0 if height else 0.0, 10.0 * height, height)
    fallen = series.Sum(plunge, 950.0 if plunge else 0.0, 30.0 * plunge, plunge)
    return SeriesState(SEGMENTS[0], level, (each,) * 3, fallen, raised, by)


@pytest.mark.parametrize("bucket", [(0, 0, 1), (7, 0, 1), (20, 0, 1), (20, 1, 1), (5, 5, 1), (0, 9, 1), (0, 9, 0)])
@pytest.mark.parametrize(
    "state",
    [
        begun(HIGH), begun(HIGH / 4), begun(HIGH, SHARE, by=0), begun(1.0, SHARE, by=1), begun(0.5, SHARE, by=2),
        begun(0.5, plunge=HIGH / 2), begun(0.0, PLUNGE, plunge=0.5), begun(HIGH, SHARE, PLUNGE, by=1, plunge=HIGH),
        begun(0.0, level=Level(settled=9_000.0, broken=8_000.0)), begun(0.0, level=structs.replace(STEADY, buckets=11)),
        begun(0.0, level=structs.replace(STEADY, volume=0.5, stretches=())),
        begun(0.0, level=structs.replace(STEADY, volume=50.0, stretches=(9.0,), variance=0.1)),
    ],
)  # fmt: skip
def test_it_agrees_whatever_it_begins_with(state: SeriesState, bucket: tuple[int, int, int]) -> None:
    agrees([(bucket,) * len(SEGMENTS)] * 2, 2, begun=[replace(state, segment=each) for each in SEGMENTS])


def test_an_alarm_kept_from_before_stands_by_what_would_not_hold_it_up() -> None:
    states = [begun(HIGH, SHARE), begun(HIGH, SHARE, by=0), begun(HIGH, SHARE, by=2), begun(HIGH, PLUNGE), begun(HIGH)]
    assert together.of(states, SETTINGS).alternative.tolist() == [1, 0, 2, -1, -1]


@given(st.lists(st.floats(0, 1e6), max_size=3))
@settings(max_examples=30)
def test_the_median_is_of_the_whole_stretches(stretches: list[float]) -> None:
    sums = together.of([begun(0.0, level=Level(stretches=tuple(stretches)))] * 2, SETTINGS)
    assert sums.median.tolist() == pytest.approx([median(stretches) if stretches else np.inf] * 2)


def test_whatever_numbers_a_state_holds_and_of_no_states_at_all_the_figures_are_of_one_kind() -> None:
    level = Level(*(5, 1, 2, 1, 4, (3, 2), 1, 2))
    whole = SeriesState(SEGMENTS[0], level, (series.Sum(1, 2, 3, 1),) * 3, series.Sum(1, 2, 3, 1))
    kinds = {each.name: getattr(together.fresh(SEGMENTS, SETTINGS), each.name).dtype for each in fields(together.Sums)}
    assert set(kinds.values()) == {np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.bool_)}
    for states in ([], [whole]):
        sums = together.of(states, SETTINGS)
        assert {name: getattr(sums, name).dtype for name in kinds} == kinds
        assert {getattr(sums, name).shape[-1] for name in kinds} == {len(states)}


def test_taken_apart_and_put_together_it_is_the_same_and_more_series_stand_behind_it() -> None:
    sums = together.fresh(SEGMENTS, SETTINGS)
    for second in range(40):
        kept = np.array([20.0, 1.0 * second, 0.0 if second > 30 else 20.0])
        sums, _ = together.step(
            sums, kept, kept / 10, float(second), SETTINGS, segments=SEGMENTS, seen=kept >= 0, falls=FALLS
        )
    alarm = replace(series.share_alarm(series.Sum(9.0, 1.0, 2.0, 1.0), SEGMENTS[1], 2.0, 0.1, 8.0), kind="plunge")
    again = together.of(together.each_series(sums, SEGMENTS, {1: (alarm,)}), SETTINGS)
    wanted = {**vars(sums), "plunges_stand": np.array([False, True, False]), "shares_stand": np.array([False] * 3)}
    assert all(np.array_equal(getattr(again, name), value) for name, value in wanted.items())
    more = together.grown(sums, together.fresh(SEGMENTS[:1], SETTINGS))
    states = together.each_series(more, [*SEGMENTS, SEGMENTS[0]], {})
    assert states == [*together.each_series(sums, SEGMENTS, {}), SeriesState(SEGMENTS[0])]
