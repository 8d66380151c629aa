"""Silence: a source that always speaks at this hour, and does not; and all that must not be taken for it."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from prikkfri.assurance.detection import Settings, silence
from prikkfri.assurance.detection.silence import DAYS, LASTS_SECONDS, LONGER, Silences, fresh, step
from prikkfri.assurance.segments import Segment

DAY = 86_400
MONDAY = 4 * DAY
MINUTE = Settings(bucket_seconds=60.0)
MINUTES = Settings(bucket_seconds=300.0)
ONE = np.array([True])


def rate_at(time: float) -> float:
    """Of one a minute by day, and a tenth of it at night."""
    return 1.0 if 6 <= time / 3_600 % 24 < 22 else 0.1


def lived(
    days: float,
    rate: Callable[[float], float] = rate_at,
    *,
    since: float = MONDAY,
    seed: int = 1,
    before: Silences | None = None,
    settings: Settings = MINUTES,
) -> tuple[Silences, list[float]]:
    """What is known after so many days of a source that speaks by Poisson's law, and when alarms were raised.

    `rate`: promises a minute at a time.
    """
    rng, found = np.random.default_rng(seed), []
    silences = before or fresh(1, since)
    seconds = settings.bucket_seconds
    for time in np.arange(since, since + days * DAY, seconds).tolist():
        came = rng.poisson(rate(time) * seconds / 60, 1).astype(float)
        silences, raised = step(silences, came, time, settings, seen=ONE, falls=ONE)
        found += [time] * bool(raised[0])
    return silences, found


def silent(
    silences: Silences, seconds: float, *, seen: bool = True, falls: bool = True, settings: Settings = MINUTE
) -> tuple[Silences, list[float]]:
    """So much longer with nothing; when alarms were raised after its beginning."""
    began, found = silences.until, []
    flags = {"seen": np.array([seen]), "falls": np.array([falls])}
    while silences.until < began + seconds:
        silences, raised = step(silences, np.zeros(1), silences.until, settings, **flags)
        found += [silences.until - began] * bool(raised[0])
    return silences, found


@pytest.fixture(scope="module")
def week() -> Silences:
    """Up to noon after eight days."""
    silences, found = lived(8.5, settings=MINUTE)
    assert found == []
    return silences


def test_a_slow_source_that_stops_is_told_once_within_the_hour(week: Silences) -> None:
    silences, found = silent(week, 3 * 3_600)
    assert len(found) == 1 and 26 * 60 <= found[0] <= 3_600
    assert silences.stand[0]
    alarm = silence.alarm(silent(week, found[0])[0], 0, Segment.of({"partner": "nordtel"}), MINUTE)
    assert (alarm.kind, alarm.seen, alarm.raised_at - alarm.since) == ("plunge", 0.0, pytest.approx(found[0], abs=180))
    assert f"partner=nordtel: nothing for {(alarm.raised_at - alarm.since) / 60:.0f} min" in alarm.sentence


def test_it_is_over_with_the_first_word(week: Silences) -> None:
    silences, _ = silent(week, 3_600)
    silences, raised = step(silences, np.ones(1), silences.until, MINUTE, seen=ONE, falls=ONE)
    assert not silences.stand[0] and not raised[0] and silences.quiet[0] == 0


def test_nothing_is_told_before_a_week_is_known() -> None:
    for days in (0.0, 0.5, 3.5, DAYS - 0.5):
        silences, told = lived(days)
        assert told == [] and silent(silences, DAY)[1] == []


def test_weeks_of_an_uneven_source_raise_nothing() -> None:
    def uneven(time: float) -> float:
        weekend = (time - MONDAY) // DAY % 7 >= 5
        return 0.02 if weekend else rate_at(time)

    for seed, rate in ((2, rate_at), (3, uneven), (4, lambda time: 0.05), (5, lambda time: 3.0 * (time % 1_800 < 300))):
        assert lived(28, rate, seed=seed)[1] == []


def test_a_source_that_rests_on_sundays_rests(week: Silences) -> None:
    silences, found = lived(15.5, lambda time: rate_at(time) if (time - MONDAY) // DAY % 7 != 6 else 0.0)
    assert found == [] and silent(silences, 5 * 3_600)[1] == []


def test_an_hour_of_summer_time_is_no_silence() -> None:
    silences, found = lived(15.25, lambda time: 2.0 * (6 <= time / 3_600 % 24 < 20))
    _, told = lived(2, lambda time: 2.0 * (7 <= time / 3_600 % 24 < 21), since=silences.until, before=silences, seed=9)
    assert (found, told) == ([], [])


def test_what_is_not_seen_is_no_silence_and_no_knowledge(week: Silences) -> None:
    after, found = silent(week, DAY, seen=False)
    assert found == [] and after.quiet[0] == week.quiet[0]
    unread, _ = silent(fresh(1, MONDAY), 8 * DAY, seen=False)
    assert not unread.days.any()
    # Half an hour of it, then nobody counted for an hour: it is not known how long it has been quiet.
    quiet, _ = silent(week, 1_200)
    paused, raised = step(quiet, np.zeros(1), quiet.until + 3_600, MINUTE, seen=ONE, falls=ONE)
    assert not raised[0] and paused.quiet[0] == 60


def test_where_fewer_is_no_sign_silence_is_none(week: Silences) -> None:
    assert silent(week, 3 * 3_600, falls=False)[1] == []


def test_a_silence_as_long_as_it_keeps_is_usual(week: Silences) -> None:
    """However little Poisson's law thinks of it: what comes in clumps is quiet between them."""
    clumps = replace(week, long=np.full_like(week.long, 3_600))
    _, found = silent(clumps, 3 * 3_600)
    began = float(week.quiet[0])
    assert found == [LONGER * 3_600 - began] and silent(week, 3 * 3_600)[1][0] < 3_600


def test_what_is_gone_for_good_is_the_new_ordinary_and_must_speak_for_a_week_again(week: Silences) -> None:
    silences, found = silent(week, LASTS_SECONDS + 120)
    assert len(found) == 1 and not silences.stand[0] and not silences.days.any()
    assert silent(silences, 3 * DAY)[1] == []


def test_an_outage_is_not_learnt_as_usual(week: Silences) -> None:
    silences, first = silent(week, 4 * 3_600)
    silences, _ = lived(1.0, since=silences.until, before=silences, seed=7)
    _, second = silent(silences, 3 * 3_600)
    assert first and second and second[0] <= 2 * first[0]


def test_a_crowd_that_stops_is_told_in_seconds() -> None:
    silences, found = lived(8.5, lambda time: 600.0)
    assert found == []
    silences, raised = step(silences, np.full(1, 10.0), silences.until, Settings(), seen=ONE, falls=ONE)
    usual = replace(silences, usual=np.array([1.0]))
    _, told = silent(usual, 30, settings=Settings())
    assert told == [3.0] and not raised[0]


def test_kept_and_restored_it_goes_on_as_if_nothing_had_been(week: Silences) -> None:
    middle, _ = silent(week, 900)
    document = msgspec.json.decode(msgspec.json.encode(silence.kept(middle)), type=silence.KeptSilences)
    again = silence.restored(document, 1)
    assert silent(again, 3_600)[1] == silent(middle, 3_600)[1] != []


def test_what_is_remembered_does_not_grow() -> None:
    short, long = lived(3)[0], lived(30)[0]
    assert len(msgspec.json.encode(silence.kept(short))) == pytest.approx(
        len(msgspec.json.encode(silence.kept(long))), abs=64
    )


def test_series_that_come_later_know_nothing_of_the_others(week: Silences) -> None:
    both = silence.grown(week, 1)
    flags = np.array([True, True])
    found = np.zeros(2, dtype=int)
    while both.until < week.until + 3_600:
        both, raised = step(both, np.zeros(2), both.until, MINUTE, seen=flags, falls=flags)
        found += raised
    assert found.tolist() == [1, 0]
