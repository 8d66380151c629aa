"""Detection: its false alarms are as rare as stated, its delays short, and ordinary football raises none."""

import random
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.detection import ODDS_RATIOS, Settings, State, detect, step
from prikkfri.assurance.recordings import read_series
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Bucket

LIVE = Settings()


def poisson(rng: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    limit, product, count = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def crowd(rng: random.Random, rates: list[float], shares: list[float]) -> list[Bucket]:
    """A bucket a second: so many promises on the average, such a share of them broken."""
    buckets = []
    for second, (rate, share) in enumerate(zip(rates, shares, strict=True)):
        settled = poisson(rng, rate)
        broken = sum(rng.random() < share for _ in range(settled))
        buckets.append(Bucket(float(second), settled - broken, broken))
    return buckets


def test_the_false_alarms_of_the_share_test_stay_below_the_stated_rate() -> None:
    """Lorden's bound, simulated at its worst: the true share stands exactly at the worst that is still ordinary."""
    buckets, series = 2_000, 30
    wanted = 20.0  # false alarms in all of these buckets
    stated = Settings(
        bucket_seconds=1.0,
        series=1,
        false_alarms_per_year=wanted / (buckets * series) * 365.25 * 86_400,
        share_slack=1.0,
        share_floor=0.02,
    )
    assert stated.threshold == pytest.approx(log((len(ODDS_RATIOS) + 1) * buckets * series / wanted))
    rng = random.Random(20180820)
    raised = 0
    for _ in range(series):
        found = detect(crowd(rng, [20.0] * buckets, [0.02] * buckets), stated)
        raised += sum(alarm.kind == "share" for alarm in found)
    assert raised <= wanted
    assert raised > 0, "a threshold that is never reached has not been tested"


@pytest.mark.parametrize(("rate", "within_seconds"), [(100.0, 12), (20.0, 60), (2.0, 600)])
def test_five_in_a_hundred_of_one_partners_messages_are_seen(rate: float, within_seconds: int) -> None:
    rng = random.Random(20230120)
    quiet = 600
    shares = [0.002] * quiet + [0.05] * within_seconds
    found = detect(crowd(rng, [rate] * len(shares), shares), LIVE)
    assert [alarm.kind for alarm in found] == ["share"]
    assert abs(found[0].since - quiet) <= 0.3 * within_seconds + 5
    assert quiet < found[0].raised_at <= quiet + within_seconds


def test_everything_broken_is_seen_within_two_seconds() -> None:
    rng = random.Random(1)
    found = detect(crowd(rng, [20.0] * 303, [0.001] * 300 + [1.0] * 3), LIVE)
    assert found[0].kind == "share"
    assert found[0].raised_at <= 302
    assert found[0].since == 300


def test_a_kick_off_that_is_only_a_crowd_raises_nothing() -> None:
    """From 2 to 200 sign-ins a second in ten minutes and down again: the share stays, the volume rises and falls."""
    rng = random.Random(2)
    up = [2.0 * 100 ** (second / 600) for second in range(600)]
    rates = [2.0] * 600 + up + [200.0] * 300 + [200.0 * 0.5 ** (second / 150) for second in range(900)]
    assert detect(crowd(rng, rates, [0.003] * len(rates)), LIVE) == []


def test_silence_after_traffic_is_a_plunge() -> None:
    rng = random.Random(3)
    found = detect(crowd(rng, [30.0] * 300 + [0.0] * 30, [0.0] * 330), LIVE)
    assert [alarm.kind for alarm in found] == ["plunge"]
    assert found[0].raised_at <= 310
    assert found[0].since == 300
    assert found[0].seen == 0
    assert found[0].level == pytest.approx(30, rel=0.2)


def test_an_alarm_stands_until_as_much_speaks_for_ordinary() -> None:
    rng = random.Random(4)
    state = State(Segment())
    standing = []
    for bucket in crowd(rng, [50.0] * 400, [0.001] * 100 + [0.3] * 100 + [0.001] * 200):
        state, _ = step(state, bucket, LIVE)
        standing.append(bool(state.raised))
    assert not any(standing[:100])
    assert all(standing[103:200])
    assert not any(standing[300:])


def test_a_fault_does_not_become_the_ordinary_level() -> None:
    rng = random.Random(5)
    state = State(Segment())
    for bucket in crowd(rng, [50.0] * 4_000, [0.001] * 400 + [0.05] * 3_600):
        state, _ = step(state, bucket, LIVE)
    assert state.level.share(LIVE) < 0.01
    assert state.raised


counts = st.integers(min_value=0, max_value=10**9)


@given(st.lists(st.tuples(counts, counts), max_size=60))
def test_any_counts_are_taken(pairs: list[tuple[int, int]]) -> None:
    for alarm in detect([Bucket(float(i), kept, broken) for i, (kept, broken) in enumerate(pairs)], LIVE):
        assert alarm.since <= alarm.raised_at
        assert alarm.evidence >= alarm.threshold
        assert alarm.sentence


@pytest.mark.parametrize("scale", [1.0, 0.01], ids=["as it was", "a hundredth"])
def test_a_month_of_football_crowds_raises_no_alarm(shared_data, scale: float) -> None:  # type: ignore[no-untyped-def]
    """33 days of the 1998 World Cup site: kick-offs, half-times, final whistles; nothing in it is a fault."""
    with (shared_data / "traffic" / "worldcup98-group-stage.csv").open(encoding="utf-8") as lines:
        series = read_series(lines)
    rng = random.Random(1998)
    buckets = series.buckets
    if scale < 1:
        buckets = tuple(Bucket(bucket.time, kept=poisson(rng, bucket.kept * scale)) for bucket in buckets)
    settings = Settings(bucket_seconds=60.0, volume_half_life_seconds=600.0)
    assert detect(buckets, settings) == []


def test_a_plunge_staged_in_that_month_is_seen_within_four_minutes(shared_data) -> None:  # type: ignore[no-untyped-def]
    """The same traffic falls to a tenth at 20 moments; its buckets are minutes."""
    with (shared_data / "traffic" / "worldcup98-group-stage.csv").open(encoding="utf-8") as lines:
        buckets = read_series(lines).buckets
    settings = Settings(bucket_seconds=60.0, volume_half_life_seconds=600.0)
    rng = random.Random(33)
    for at in (rng.randrange(2_000, 45_000) for _ in range(20)):
        staged = [*buckets[at - 300 : at], *(Bucket(b.time, kept=0.1 * b.kept) for b in buckets[at : at + 4])]
        found = detect(staged, settings)
        assert [alarm.kind for alarm in found] == ["plunge"], at
