"""Detection: its false alarms are as rare as stated, its delays short, and ordinary football raises none."""

import random
from dataclasses import replace
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.detection import (
    ODDS_RATIOS,
    SERIES_MAX,
    TESTS,
    Alarm,
    Level,
    SeriesState,
    Settings,
    Sum,
    detect,
    step,
)
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


def crowd(rng: random.Random, rates: list[float], shares: list[float], seconds: float = 1.0) -> list[Bucket]:
    """Buckets of `seconds`: so many promises a second on the average, such a share of them broken."""
    return [
        Bucket(index * seconds, poisson(rng, rate * seconds * (1 - share)), poisson(rng, rate * seconds * share))
        for index, (rate, share) in enumerate(zip(rates, shares, strict=True))
    ]


def test_the_false_alarms_of_the_share_test_stay_below_the_stated_rate() -> None:
    """Lorden's bound, simulated at its worst: the true share stands exactly at the worst that is still ordinary.

    The rate is stated for the whole installation, however many series are watched in it.
    """
    buckets, series = 1_000, 30
    wanted = 5.0 * TESTS  # false alarms in all of these series, by all tests
    stated = Settings(
        bucket_seconds=1.0,
        series=series,
        false_alarms_per_year=wanted / buckets * 365.25 * 86_400,
        share_slack=1.0,
        share_floor=0.02,
    )
    assert stated.threshold == pytest.approx(log(TESTS * buckets * series / wanted))
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


def test_an_evening_of_football_that_is_only_crowds_raises_nothing() -> None:
    """Kick-off, half-time, second half, final whistle; now and then five seconds of everybody at once."""
    rng = random.Random(1998)
    peak = 500.0
    rates = [peak / 100] * 400
    rates += [peak / 100 * 100 ** (second / 600) for second in range(600)] + [peak] * 900
    rates += [peak * 0.4 ** min(second / 60, 1) for second in range(900)]
    rates += [peak * 0.4 * 2.5 ** min(second / 120, 1) for second in range(900)]
    rates += [peak * 0.5 ** (second / 180) for second in range(900)]
    rates = [rate * (4 if second % 397 < 5 else 1) for second, rate in enumerate(rates)]
    assert detect(crowd(rng, rates, [0.003] * len(rates)), LIVE) == []


@pytest.mark.parametrize(("rate", "within_seconds"), [(300.0, 2), (30.0, 7), (5.0, 40)])
def test_a_fall_to_a_tenth_is_a_plunge_and_a_fall_by_a_third_is_none(rate: float, within_seconds: int) -> None:
    rng = random.Random(1234)
    for part, kinds in ((0.1, ["plunge"]), (0.67, [])):
        found = detect(crowd(rng, [rate] * 400 + [part * rate] * 90, [0.002] * 490), LIVE)
        assert [alarm.kind for alarm in found] == kinds
        for alarm in found:
            assert 400 <= alarm.since < alarm.raised_at <= 400 + within_seconds
            assert alarm.level == pytest.approx(rate, rel=0.1)
            assert alarm.seen == pytest.approx(0.1 * rate, abs=0.05 * rate)
            missing = (alarm.level - alarm.seen) * (alarm.raised_at - alarm.since)
            assert alarm.promises == pytest.approx(missing)


def test_while_little_is_known_the_level_is_the_plain_mean() -> None:
    state = SeriesState(Segment())
    for second, kept in enumerate((4, 8, 0, 12)):
        state, _ = step(state, Bucket(second, kept), LIVE)
    assert (state.level.volume, state.level.buckets) == (pytest.approx(6.0), 4)


def test_no_fall_is_a_plunge_before_the_level_is_known() -> None:
    known = LIVE.warm_up_buckets
    rng = random.Random(6)
    assert detect(crowd(rng, [30.0] * (known - 20) + [0.0] * 20, [0.0] * known), LIVE) == []
    late = detect(crowd(rng, [30.0] * known + [0.0] * 10, [0.0] * (known + 10)), LIVE)
    assert [(alarm.kind, alarm.since) for alarm in late] == [("plunge", known)]
    assert late[0].evidence >= late[0].threshold == LIVE.threshold


def test_where_nobody_has_ever_come_nobody_is_missed() -> None:
    assert detect([Bucket(float(second)) for second in range(1_000)], LIVE) == []


MINUTES = Settings(bucket_seconds=60.0, volume_half_life_seconds=600.0)


@pytest.mark.parametrize(("settings", "stretch"), [(LIVE, 60), (MINUTES, 10)], ids=["seconds", "minutes"])
def test_what_has_fallen_for_good_is_ordinary_again_after_some_stretches(settings: Settings, stretch: int) -> None:
    """A stretch is as long as the half-life: so many buckets."""
    rng = random.Random(8)
    first = max(15 * stretch, settings.warm_up_buckets)
    state, standing = SeriesState(Segment()), []
    rates = [30.0] * first + [5.0] * 15 * stretch + [0.0] * stretch
    for index, bucket in enumerate(crowd(rng, rates, [0.0] * len(rates), settings.bucket_seconds)):
        state, alarms = step(state, bucket, settings)
        standing.append(bool(state.raised))
        if alarms and index > first + 10 * stretch:
            assert alarms[0].level == pytest.approx(5, rel=0.2)
    assert not any(standing[:first]) and all(standing[first + stretch // 3 : first + 3 * stretch])
    assert not any(standing[first + 10 * stretch : first + 15 * stretch])
    assert standing[-1], "and what falls from there is a plunge again"


@pytest.mark.parametrize(("settings", "half_life"), [(LIVE, 60), (MINUTES, 10)], ids=["seconds", "minutes"])
def test_half_of_a_change_is_learned_in_a_half_life(settings: Settings, half_life: int) -> None:
    rates = [30] * 400 + [20] * half_life + [0] * 10
    buckets = [Bucket(i * settings.bucket_seconds, rate * settings.bucket_seconds) for i, rate in enumerate(rates)]
    (gone,) = detect(buckets, settings)
    assert gone.level == pytest.approx(25, abs=0.5)


def test_half_of_a_change_of_the_share_is_learned_in_its_half_life() -> None:
    state = SeriesState(Segment())
    half_life = round(MINUTES.share_half_life_seconds / MINUTES.bucket_seconds)
    for index in range(11 * half_life):
        broken = 20 if index < 10 * half_life else 60
        state, _ = step(state, Bucket(index * MINUTES.bucket_seconds, 10_000 - broken, broken), MINUTES)
    assert state.level.share(MINUTES) == pytest.approx(0.004, abs=0.0001)


def test_a_crowd_that_comes_in_lumps_is_not_missed_between_them() -> None:
    rng = random.Random(13)
    lumps = [Bucket(float(second), kept=100 * (rng.random() < 0.3)) for second in range(3_000)]
    assert detect(lumps, LIVE) == []
    assert [alarm.kind for alarm in detect([*lumps, *(Bucket(3_000.0 + n) for n in range(900))], LIVE)] == ["plunge"]


def test_a_clockwork_that_stops_is_missed() -> None:
    found = detect([Bucket(float(second), kept=30 * (second < 400)) for second in range(420)], LIVE)
    assert [(alarm.kind, alarm.since) for alarm in found] == [("plunge", 400)]
    once = [Bucket(float(second), kept=8 if second == 400 else 30) for second in range(420)]
    assert detect(once, LIVE) == [], "one slow second is no stop"


@pytest.mark.parametrize(("rate", "seconds", "quiet"), [(3_000, 1, 60), (300, 20, 0)], ids=["once", "just now"])
def test_a_burst_neither_blinds_nor_sets_the_level(rate: int, seconds: int, quiet: int) -> None:
    rng = random.Random(14)
    rates = [30.0] * 600 + [float(rate)] * seconds + [30.0] * quiet + [0.0] * 30
    found = detect(crowd(rng, rates, [0.0] * len(rates)), LIVE)
    gone = 600 + seconds + quiet
    assert [alarm.kind for alarm in found] == ["plunge"]
    assert gone <= found[0].since < found[0].raised_at <= gone + 20
    assert found[0].level == pytest.approx(30, rel=0.25)


def test_a_series_that_starts_broken_is_not_taken_for_ordinary() -> None:
    (found,) = detect([Bucket(float(second), kept=1, broken=1) for second in range(30)], LIVE)
    assert (found.kind, found.since, found.seen) == ("share", 0, 0.5)
    assert 0.004 < found.level < 0.02
    (at_once,) = detect([Bucket(0.0, broken=20)], LIVE)
    assert at_once.level == pytest.approx(LIVE.share_floor), "as anywhere, while nothing is known"


def test_that_more_than_half_is_broken_is_never_ordinary_however_slowly_it_came() -> None:
    creeping = Settings(share_half_life_seconds=60.0, share_prior_promises=1.0)
    broken = [min(2_000.0, 1.001**second) for second in range(8_000)]
    buckets = [Bucket(float(second), 2_000 - count, count) for second, count in enumerate(broken)]
    (found,) = (alarm for alarm in detect(buckets, creeping) if alarm.kind == "share")
    assert found.seen > 0.5


def test_ten_times_the_series_or_a_tenth_of_the_rate_or_of_the_bucket_ask_for_the_same_evidence() -> None:
    once = Settings(series=500).threshold
    assert once < Settings(series=5_000).threshold
    assert Settings(series=5_000).threshold == pytest.approx(Settings(series=500, false_alarms_per_year=0.1).threshold)
    assert Settings(series=500, bucket_seconds=0.1).threshold == pytest.approx(Settings(series=5_000).threshold)


@pytest.mark.slow
def test_the_stated_rate_is_that_of_all_series_that_can_be_watched() -> None:
    """Drawn at its worst, in as many series as are watched at the most, by the threshold as it is by default."""
    buckets, wanted = 20, 400.0
    stated = Settings(false_alarms_per_year=wanted / buckets * 365.25 * 86_400, share_slack=1.0, share_floor=0.02)
    rng = random.Random(20230120)
    drawn = (crowd(rng, [20.0] * buckets, [0.02] * buckets) for _ in range(SERIES_MAX))
    raised = sum(alarm.kind == "share" for buckets in drawn for alarm in detect(buckets, stated))
    assert stated.series == SERIES_MAX
    assert 0 < raised <= wanted


def test_minutes_are_judged_as_seconds_are_and_figures_are_a_second() -> None:
    """The same traffic in buckets of a minute: a plunge, then a share."""
    rng = random.Random(9)
    (gone,) = detect(crowd(rng, [30.0] * 400 + [0.0] * 3, [0.0] * 403, seconds=60.0), MINUTES)
    assert (gone.kind, gone.since, gone.raised_at) == ("plunge", 24_000, 24_060)
    assert gone.level == pytest.approx(30, rel=0.05)
    assert gone.promises == pytest.approx(1_800, rel=0.05)
    (bad,) = detect(crowd(rng, [30.0] * 403, [0.002] * 400 + [0.05] * 3, seconds=60.0), MINUTES)
    assert (bad.kind, bad.since, bad.raised_at) == ("share", 24_000, 24_060)
    assert bad.seen == pytest.approx(0.05, abs=0.02)
    assert bad.level == pytest.approx(0.002, abs=0.001)
    assert bad.promises == pytest.approx(1_800, rel=0.1)


def test_a_share_that_creeps_up_over_hours_is_the_new_ordinary_and_a_jump_is_not() -> None:
    """In minutes: from two to twelve in a thousand within two days; three in a hundred
    is within what drifts; then at once to eight."""
    rng = random.Random(10)
    shares = [0.002 + 0.010 * minute / 2_880 for minute in range(2_880)]
    found = detect(crowd(rng, [10.0] * 2_900, [*shares, *[0.03] * 10, *[0.08] * 10], seconds=60.0), MINUTES)
    assert [alarm.kind for alarm in found] == ["share"]
    assert found[0].since >= 172_800 + 9 * 60
    assert 0.010 < found[0].level < 0.02


def test_silent_seconds_between_broken_promises_do_not_hide_them() -> None:
    ordinary = [Bucket(float(second), kept=20) for second in range(200)]
    one_in_five = [Bucket(200.0 + second, broken=1 if second % 5 == 0 else 0) for second in range(60)]
    (found,) = (alarm for alarm in detect([*ordinary, *one_in_five], LIVE) if alarm.kind == "share")
    assert (found.since, found.seen) == (200, 1.0)
    assert found.promises <= 6


def test_a_second_fault_after_the_first_is_an_alarm_of_its_own() -> None:
    rng = random.Random(11)
    shares = [0.001] * 400 + [0.5] * 60 + [0.001] * 200 + [0.5] * 60
    found = detect(crowd(rng, [30.0] * 720, shares), LIVE)
    assert [(alarm.kind, alarm.since) for alarm in found if alarm.kind == "share"] == [("share", 400), ("share", 660)]


def test_a_refusal_of_everybody_is_both_and_neither_hides_the_other() -> None:
    rng = random.Random(12)
    state, raised = SeriesState(Segment.of({"layer": "signin"})), []
    for bucket in crowd(rng, [30.0] * 420, [0.0] * 400 + [1.0] * 20):
        state, alarms = step(state, bucket, LIVE)
        raised += alarms
    assert sorted(alarm.kind for alarm in raised) == ["plunge", "share"]
    assert set(state.raised) == set(raised)
    assert all(alarm.segment == Segment.of({"layer": "signin"}) for alarm in raised)
    # Those who come back are seen at once; that they get it takes longer to believe.
    standing = []
    for second in range(420, 600):
        state, _ = step(state, Bucket(float(second), kept=30), LIVE)
        standing.append([alarm.kind for alarm in state.raised])
    assert standing[5] == ["share"]
    assert standing[-1] == []


def test_an_alarm_says_what_was_seen_and_what_is_ordinary() -> None:
    known = {"segment": Segment.of({"layer": "link"}), "raised_at": 9.0, "since": 4.0, "evidence": 30.2}
    share = Alarm("share", level=0.0024, seen=0.051, promises=400.0, threshold=25.4, **known)  # type: ignore[arg-type]
    assert share.sentence == ("layer=link: 5.1% broken of 400 promises, ordinarily 0.24% (evidence 30, threshold 25)")
    plunge = replace(share, kind="plunge", level=31.0, seen=0.4)
    assert plunge.sentence == "layer=link: 0.4 kept a second, ordinarily 31 (evidence 30, threshold 25)"
    assert replace(share, kind="told", text="as playout sees it").sentence == "layer=link: as playout sees it"


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
    state = SeriesState(Segment())
    standing = []
    for bucket in crowd(rng, [50.0] * 400, [0.001] * 100 + [0.3] * 100 + [0.001] * 200):
        state, _ = step(state, bucket, LIVE)
        standing.append(bool(state.raised))
    assert not any(standing[:100])
    assert all(standing[103:203])
    assert not any(standing[230:])


def test_what_fails_anew_a_while_after_a_heavy_fault_in_little_traffic_is_an_alarm_of_its_own() -> None:
    """A partner that loses most receipts for a minute, each quarter of an hour, of one message a second."""
    rng = random.Random(13)
    shares = ([0.0] * 840 + [0.6] * 60) * 4
    found = detect(crowd(rng, [1.0] * len(shares), shares), LIVE)
    began = [alarm.since for alarm in found if alarm.kind == "share"]
    assert len(began) == 4
    assert all(900 * turn + 840 <= since < 900 * turn + 900 for turn, since in enumerate(began))


def test_what_is_left_of_a_fault_that_was_mended_by_half_is_an_alarm_again() -> None:
    rng = random.Random(14)
    found = detect(crowd(rng, [20.0] * 900, [0.001] * 300 + [0.7] * 60 + [0.03] * 540), LIVE)
    assert [alarm.kind for alarm in found if alarm.since >= 300][:1] == ["share"]
    state = SeriesState(Segment())
    for bucket in crowd(random.Random(14), [20.0] * 900, [0.001] * 300 + [0.7] * 60 + [0.03] * 540):
        state, _ = step(state, bucket, LIVE)
    assert state.raised


def test_a_fault_does_not_become_the_ordinary_level() -> None:
    rng = random.Random(5)
    state = SeriesState(Segment())
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
    assert detect(buckets, MINUTES) == []


def test_a_plunge_staged_in_that_month_is_seen_within_four_minutes(shared_data) -> None:  # type: ignore[no-untyped-def]
    """The same traffic falls to a tenth at 20 moments; its buckets are minutes."""
    with (shared_data / "traffic" / "worldcup98-group-stage.csv").open(encoding="utf-8") as lines:
        buckets = read_series(lines).buckets
    rng = random.Random(33)
    for at in (rng.randrange(2_000, 45_000) for _ in range(20)):
        staged = [*buckets[at - 300 : at], *(Bucket(b.time, kept=0.1 * b.kept) for b in buckets[at : at + 4])]
        found = detect(staged, MINUTES)
        assert [alarm.kind for alarm in found] == ["plunge"], at


DELIVER = Segment.of({"service": "messages", "step": "deliver", "layer": "link"})
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


def test_what_is_ordinary_at_a_step_is_taken_for_ordinary_before_anything_is_seen() -> None:
    assert (LIVE.prior_share(DELIVER), LIVE.prior_share(SIGN_IN)) == (0.05, LIVE.share_floor)
    off = [Bucket(float(n), 93, 7) for n in range(40)]
    assert detect(off, LIVE, DELIVER) == [] != detect(off, LIVE, SIGN_IN)
    (alarm,) = detect([Bucket(float(n), 0, 20) for n in range(5)], LIVE, DELIVER)
    assert alarm.level == 0.05


def test_a_sum_that_comes_to_nothing_begins_anew_and_another_goes_on() -> None:
    bucket = Bucket(9.0, 1, 1)
    assert Sum(1.0, 5.0, 4.0, 2.0).added(-1.0, bucket, 2.0, 1.0) == Sum()
    assert Sum(0.5, 5.0, 4.0, 2.0).added(0.25, bucket, 2.0, 1.0) == Sum(0.75, 5.0, 6.0, 3.0)
    assert Sum().added(0.25, bucket, 2.0, 1.0) == Sum(0.25, 9.0, 2.0, 1.0)


def test_stretches_are_as_long_as_stated_and_each_begins_with_nothing() -> None:
    settings = Settings(volume_half_life_seconds=4.0, volume_stretches=2)
    level, known = Level(), []
    for kept in range(1, 13):
        level = level.counted(float(kept), settings)
        known.append(level.stretches)
    assert known == [()] * 3 + [(2.5,)] * 4 + [(2.5, 6.5)] * 4 + [(6.5, 10.5)]


@pytest.mark.parametrize(("part", "learns"), [(0.24, True), (0.25, False), (0.26, False)])
def test_while_a_quarter_of_the_evidence_is_there_nothing_is_learned(part: float, learns: bool) -> None:
    suspected = (Sum(part * LIVE.threshold, 1.0, 10.0, 9.0), *[Sum()] * (len(ODDS_RATIOS) - 1))
    after, alarms = step(SeriesState(SIGN_IN, Level(settled=100.0), suspected), Bucket(5.0), LIVE)
    assert (after.level.settled < 100.0, alarms) == (learns, ())


def test_evidence_that_reaches_the_threshold_exactly_is_an_alarm() -> None:
    reached = (Sum(LIVE.threshold, 1.0, 10.0, 9.0), *[Sum()] * (len(ODDS_RATIOS) - 1))
    _, (alarm,) = step(SeriesState(SIGN_IN, shares=reached), Bucket(5.0), LIVE)
    assert (alarm.kind, alarm.since, alarm.seen, alarm.promises) == ("share", 1.0, 0.9, 10.0)


def test_where_less_than_one_a_second_comes_all_who_stay_away_are_missed() -> None:
    assert LIVE.bucket_seconds == 1.0
    steady = [Bucket(float(n), 0.8) for n in range(400)]
    silent = [Bucket(400.0 + n) for n in range(400)]
    assert [alarm.kind for alarm in detect([*steady, *silent], LIVE)] == ["plunge"]


@pytest.mark.parametrize(
    ("volume", "buckets", "kept", "variance"),
    [
        (0.5, 10_000, 10.0, (1 - 0.5 ** (1 / 60)) / 10),  # a tenth of what the level learns, and at most a doubling
        (4.0, 1, 100.0, 1 / 2),  # in the warm-up a plain average
        (4.0, 4, 100.0, 1 / 5),
    ],
)
def test_a_wild_bucket_counts_for_a_doubling_at_most(volume: float, buckets: int, kept: float, variance: float) -> None:
    before = SeriesState(SIGN_IN, Level(volume=volume, buckets=buckets))
    after, _ = step(before, Bucket(5.0, kept), LIVE)
    assert after.level.variance == pytest.approx(variance)
