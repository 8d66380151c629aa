"""Falls and rushes of how many come, against the level, the hour of the week and what the series does by itself."""

import numpy as np
import pytest
from plain_detection import PlainCounts

from prikkfri.assurance.detection.counts import Counts, CountSettings
from prikkfri.assurance.detection.recorded import Finding, in_counts, in_shares
from prikkfri.assurance.detection.shares import ShareSettings
from prikkfri.assurance.recordings import findings, read_series
from prikkfri.assurance.tally import Bucket

SECONDS, MINUTES, HOURS = (CountSettings(bucket_seconds=each) for each in (1.0, 60.0, 3_600.0))


def signs(counts: Counts, rates: list[float], since: float, series: int, seed: int, seconds: float = 1.0) -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(seed)
    return np.array([counts.step(rng.poisson(rate, series), since + n * seconds) for n, rate in enumerate(rates)])


@pytest.mark.parametrize(("part", "within"), [(0.0, 2), (0.5, 5), (0.7, 60)])
def test_a_fall_at_a_hundred_a_second_is_seen_in_time(part: float, within: int) -> None:
    counts = Counts(20, SECONDS)
    assert not signs(counts, [100.0] * 900, 0.0, 20, 1).any()
    told = signs(counts, [100.0 * part] * within, 900.0, 20, 2)
    assert (told < 0).any(axis=0).mean() > 0.9
    assert not (told > 0).any()


def test_a_rush_is_told_by_its_direction_and_a_level_that_lasts_is_ordinary_again() -> None:
    counts = Counts(10, MINUTES)
    assert not signs(counts, [200.0] * 200, 0.0, 10, 3, 60.0).any()
    told = signs(counts, [800.0] * 30, 12_000.0, 10, 4, 60.0)
    assert (told[0] == 1).all()
    assert not told[5:].any(), "half of the blocks have it by then"
    assert (signs(counts, [200.0] * 4, 13_800.0, 10, 5, 60.0) == 0).all(), "what comes back to where it was"
    signs(counts, [200.0] * 120, 14_040.0, 10, 6, 60.0)
    assert (signs(counts, [40.0], 21_240.0, 10, 7, 60.0) == -1).all()


@pytest.mark.parametrize("rate", [0.3, 5.0, 100.0])
def test_an_even_stream_raises_nothing(rate: float) -> None:
    assert not signs(Counts(100, SECONDS), [rate] * 500, 0.0, 100, 8).any()


def test_nothing_is_told_before_the_usual_is_known() -> None:
    counts = Counts(3, MINUTES)
    told = signs(counts, [100.0] * 90 + [0.0] * 10, 0.0, 3, 9, 60.0)
    assert not told.any()
    assert CountSettings().known_buckets == 100


def test_a_series_that_jumps_by_itself_is_asked_for_more() -> None:
    """Every twentieth minute it comes at three times its level; a calm one is told of the same."""
    jumping = [Bucket(60.0 * n, 300.0 if n % 20 == 19 else 100.0) for n in range(1_000)]
    assert in_counts(jumping, MINUTES) == []
    calm = [Bucket(60.0 * n, 300.0 if n == 999 else 100.0) for n in range(1_000)]
    assert in_counts(calm, MINUTES) == [Finding(59_940.0, 60_000.0, 60_000.0, "rise", 100.0, 300.0)]


def test_the_hours_of_the_week_are_learned() -> None:
    """Five times as many come by day; after some weeks the morning is no rush, and a morning without them is a fall."""

    def count(hour: int) -> float:
        return 2_000.0 if 8 <= hour % 24 < 20 else 400.0

    weeks = [Bucket(3_600.0 * hour, count(hour)) for hour in range(168 * 10)]
    told = [each for each in in_counts(weeks, HOURS) if each.since >= 168 * 8 * 3_600]
    assert told == []
    missing = [*weeks, *(Bucket(3_600.0 * hour, 400.0) for hour in range(168 * 10, 168 * 10 + 9))]
    (fall,) = (each for each in in_counts(missing, HOURS) if each.since >= 168 * 8 * 3_600)
    assert (fall.direction, fall.since) == ("fall", 3_600.0 * (168 * 10 + 8))
    assert fall.expected > 900.0


def test_an_alarm_goes_on_while_less_than_the_calm_lies_between() -> None:
    def series(gap: int) -> list[Bucket]:
        rates = [100.0] * 200 + [0.0] + [100.0] * gap + [0.0] + [100.0] * 20
        return [Bucket(60.0 * n, rate) for n, rate in enumerate(rates)]

    (one,) = in_counts(series(4), MINUTES)
    assert (one.since, one.detected, one.until) == (12_000.0, 12_060.0, 12_360.0)
    assert len(in_counts(series(5), MINUTES)) == 2


@pytest.mark.parametrize(("seconds", "windows"), [(1.0, 3), (24.0, 1), (30.0, 1), (60.0, 1), (3_600.0, 1), (8.0, 2)])
def test_windows_are_of_different_lengths(seconds: float, windows: int) -> None:
    assert len(CountSettings(bucket_seconds=seconds).windows) == windows


def test_a_table_of_broken_and_total_is_tested_for_its_share() -> None:
    rng = np.random.default_rng(10)
    lines = ["time_utc,broken,total"]
    for second in range(700):
        broken = rng.binomial(100, 0.002 if second < 600 else 0.06)
        lines.append(f"2026-01-01T00:{second // 60:02d}:{second % 60:02d},{broken},100")
    series = read_series(lines)
    assert series.shares and series.buckets[0].settled == 100
    (alarm,) = findings(series)
    start = series.buckets[0].time
    assert start + 595 <= alarm.since <= start + 600 < alarm.detected <= start + 604
    assert (alarm.direction, alarm.until) == ("rise", start + 700)
    assert alarm.expected == pytest.approx(0.002, abs=0.001) and alarm.seen == pytest.approx(0.06, abs=0.03)
    over = [*series.buckets, *(Bucket(start + 700 + n, kept=100.0) for n in range(300))]
    (again,) = in_shares(over, ShareSettings())
    assert start + 700 < again.until < start + 1_000


def test_a_table_of_counts_is_tested_for_its_count() -> None:
    lines = [
        "time_utc,count",
        *(f"2026-01-01T{n // 60:02d}:{n % 60:02d}:00,{100 if n < 180 else 1}" for n in range(182)),
    ]
    (alarm,) = findings(read_series(lines))
    assert (alarm.direction, alarm.expected, alarm.seen) == ("fall", 100.0, 1.0)


def steady(settings: CountSettings, rate: float, then: float, *, buckets: int, series: int = 1) -> list[int]:
    """What is told of the bucket after so many that were all alike."""
    counts = Counts(series, settings)
    for bucket in range(buckets):
        assert not counts.step([rate] * series, settings.bucket_seconds * bucket).any()
    return list(counts.step([then] * series, settings.bucket_seconds * buckets).tolist())


@pytest.mark.parametrize(
    ("rate", "then", "told"), [(17.0, 0.0, 0), (18.0, 0.0, -1), (21.0, 1.0, 0), (22.0, 1.0, -1), (20.0, 1.0, 0)]
)
def test_of_few_a_fall_is_told_where_none_or_one_alone_would_come_by_chance_once_in_all_buckets_of_a_month(
    rate: float, then: float, told: int
) -> None:
    """Poisson's law: e^-18 is below one in a thousand series of 43,830 minutes, e^-17 is not."""
    assert steady(MINUTES, rate, then, buckets=200) == [told]


def test_the_usual_is_known_from_a_stated_bucket_on_and_one_series_after_the_other() -> None:
    known = MINUTES.known_buckets + MINUTES.levels * MINUTES.block
    assert steady(MINUTES, 100.0, 0.0, buckets=known, series=7) == [0, 0, 0, 0, 0, -1, 0]
    assert steady(MINUTES, 100.0, 0.0, buckets=known + 2, series=7) == [0, 0, 0, 0, 0, -1, -1]


class Forgetful(CountSettings):
    memory_buckets = 2.0


@pytest.mark.parametrize(
    ("tried", "buckets"),
    [
        (CountSettings(known_buckets=20), 260),
        (CountSettings(bucket_seconds=4.0, known_buckets=20, usual_quantile=0.9, returns_within_buckets=12), 300),
        (Forgetful(bucket_seconds=60.0, known_buckets=30, usual_quantile=0.8, refit_buckets=3), 800),
        (CountSettings(bucket_seconds=1_800.0, usual_quantile=0.97), 336 * 2 + 60),
        (CountSettings(bucket_seconds=3_600.0, least=0.2), 168 * 3),
    ],
)
def test_it_agrees_with_each_series_reckoned_by_itself(tried: CountSettings, buckets: int) -> None:
    """Busy and quiet hours, jumps of every size up and down, some of which last, and silence."""
    rng, series = np.random.default_rng(11), 3
    counts, alone = Counts(series, tried), [PlainCounts(tried, number) for number in range(series)]
    rate, times, told = np.array([2.0, 30.0, 3_000.0]), np.ones(series), {-1: 0, 0: 0, 1: 0}
    for bucket in range(buckets):
        time = tried.bucket_seconds * (bucket + 40.0)
        if rng.random() < 0.1:
            times = rng.choice((1.0, 1.0, 1.0, 0.0, 0.1, 0.5, 1.5, 4.0, 40.0), series)
        by_day = 1 + 0.8 * (time / 3_600 % 24 > 12)
        came = rng.poisson(rate * times * by_day * rng.choice((1, 1, 1, 0.8, 1.3), series))
        found = counts.step(came, time)
        wanted = [each.step(x, time) for each, x in zip(alone, came.tolist(), strict=True)]
        assert found.tolist() == wanted and found.dtype == np.int8, bucket
        assert np.allclose(counts.expected, [each.expected for each in alone]), bucket
        for sign in wanted:
            told[sign] += 1
    assert min(told.values()) > 1, "there was something to agree on"
