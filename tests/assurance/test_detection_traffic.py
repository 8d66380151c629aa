"""Detection on other people's traffic, and the scorer that judges it."""

import importlib.util
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prikkfri.assurance.detection.counts import Counts, CountSettings
from prikkfri.assurance.recordings import Series
from prikkfri.assurance.tally import Bucket


def benchmark() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "detection.py"
    spec = importlib.util.spec_from_file_location("detection_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def labelled(flags: dict[int, str], *, seconds: float = 60.0, rows: int = 2_000) -> Series:
    """Buckets from time 0; those named are labelled."""
    buckets = tuple(Bucket(n * seconds, 1.0) for n in range(rows))
    return Series(buckets, seconds, tuple(n in flags for n in range(rows)))


def test_labelled_points_three_apart_are_one_event_and_an_alarm_two_steps_from_it_hits_it() -> None:
    scored = benchmark().scored
    series = labelled(dict.fromkeys((1_500, 1_503, 1_507), ""))
    assert scored(series, []).counts == (0, 0, 2)
    assert scored(series, [60.0 * at for at in (1_498, 1_505)]).counts == (2, 0, 0)
    assert scored(series, [60.0 * at for at in (1_497, 1_510)]).counts == (0, 2, 2)
    assert scored(series, [60.0 * 1_501] * 3).counts == (1, 0, 1), "an event is hit once"
    assert scored(series, [60.0 * 1_501, 60.0 * 1_600]).f1 == 2 / 4


def test_the_first_day_is_left_out_and_of_hours_the_first_week() -> None:
    scored = benchmark().scored
    early = labelled(dict.fromkeys((100, 1_439, 1_600), ""))
    assert scored(early, [60.0 * at for at in (50, 100)]).counts == (0, 0, 1)
    hours = labelled(dict.fromkeys((30, 167, 200), ""), seconds=3_600.0, rows=300)
    assert scored(hours, [3_600.0 * at for at in (100, 168, 250)]).counts == (0, 1, 1)
    assert scored(labelled({}), [60.0 * 1_500]).counts == (0, 1, 0)


@pytest.mark.slow
def test_labelled_traffic_is_scored_by_one_setting(shared_data: Path) -> None:
    """Series of the same times are stepped together, as they are live."""
    told, together = benchmark(), defaultdict[tuple[float, int], list[Series]](list)
    for path in sorted((shared_data / "traffic").glob("*.csv")):
        if path.name != told.FOOTBALL:
            series = told.read(path)
            together[series.buckets[0].time, len(series.buckets)].append(series)
    scores = []
    for group in together.values():
        seconds, times = group[0].bucket_seconds, [bucket.time for bucket in group[0].buckets]
        came = np.array([[bucket.kept for bucket in each.buckets] for each in group])
        counts = Counts(len(group), CountSettings(bucket_seconds=seconds))
        signs = np.array([counts.step(came[:, n], time) for n, time in enumerate(times)])
        for number, each in enumerate(group):
            told_at = np.flatnonzero(signs[:, number])
            first = told_at[np.diff(told_at, prepend=-100) > CountSettings().calm_buckets]
            scores.append(told.scored(each, [times[n] for n in first]).counts)
    assert len(scores) == 10
    assert told.Score(*map(sum, zip(*scores, strict=True))).f1 >= 0.45


@pytest.mark.slow
def test_a_month_of_football_raises_next_to_nothing_and_hides_no_fall(shared_data: Path) -> None:
    """As it was, and with twenty falls of ten minutes to 30 % and to half, multiplied in by lot after the third day."""
    told = benchmark()
    series = told.read(shared_data / "traffic" / told.FOOTBALL)
    came = np.array([[bucket.kept] * 3 for bucket in series.buckets])
    starts = np.random.default_rng(1).choice(np.arange(3 * 1_440, len(came) - 20), 20, replace=False)
    for start in starts:
        came[start : start + 10] = np.round(came[start : start + 10] * [1.0, 0.3, 0.5])
    counts = Counts(3, CountSettings(bucket_seconds=60.0))
    signs = np.array([counts.step(came[n], bucket.time) for n, bucket in enumerate(series.buckets)])
    began = (signs != 0) & (np.vstack([np.zeros((1, 3)), signs[:-1]]) == 0)
    assert began[:, 0].sum() <= 33 / 2
    found = [sum((signs[start : start + 12, each] < 0).any() for start in starts) for each in (1, 2)]
    assert found[0] >= 18 and found[1] >= 12
