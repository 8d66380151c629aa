"""Watching: what arrives late, early, or not at all, and what a stream that cannot be read must not look like."""

import random
from collections.abc import Iterator
from dataclasses import replace
from math import inf, log, nan
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.assurance.detection import SERIES_MAX, TESTS, Level, Settings, shares
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Expectation
from prikkfri.assurance.watching import (
    CATCH_UP_SECONDS_MAX,
    Arrival,
    SeriesNumbers,
    Watch,
    advance,
    kept,
    restored,
)
from prikkfri.journal import Outcome

SETTINGS = Settings(warm_up_buckets=60)
START = 1_000.0
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


@pytest.fixture(autouse=True, scope="module")
def learns_at_once() -> Iterator[None]:
    """What was counted is told by the level here, in series that are younger than their grace time (those have a file
    of their own)."""
    of = SeriesNumbers.of

    def without_grace(*given: Any) -> SeriesNumbers:
        numbers = of(*given)
        return replace(numbers, grace_seconds=0 * numbers.grace_seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SeriesNumbers, "of", without_grace)
        yield


def sign_in(time: float, verdict: str = "kept", **fields: object) -> Arrival:
    known = {"service": "television", "step": "sign-in", "layer": "signin", "time": time, "verdict": verdict}
    return "signin", Outcome(**{**known, **fields})  # type: ignore[arg-type]


def crowd(since: float, seconds: int, each: int = 20, verdict: str = "kept") -> list[Arrival]:
    return [sign_in(since + second + n / each, verdict) for second in range(seconds) for n in range(each)]


def ordinary() -> Watch:
    watch, alarms = advance(Watch(START), crowd(START, 120), SETTINGS, until=START + 120)
    assert alarms == ()
    return watch


def test_a_second_is_counted_when_it_is_over() -> None:
    watch, _ = advance(Watch(START), crowd(START, 2), SETTINGS, until=START + 1.5)
    assert (watch.counted_to, len(watch.early)) == (START + 1, 20)
    assert watch.states[SIGN_IN].level.volume == 20


def test_what_comes_late_counts_in_the_next_second() -> None:
    watch, _ = advance(Watch(START), crowd(START, 1), SETTINGS, until=START + 1)
    watch, _ = advance(watch, crowd(START, 1), SETTINGS, until=START + 2)
    assert watch.states[SIGN_IN].level.settled > 39


def test_silence_is_a_plunge() -> None:
    watch, alarms = advance(ordinary(), [], SETTINGS, until=START + 135)
    assert [(alarm.kind, alarm.since) for alarm in alarms] == [("plunge", START + 120)]
    assert watch.standing == alarms


@pytest.mark.parametrize("blind", ["signin", "signin/b"])
def test_of_two_processes_the_one_that_is_read_is_not_half_of_what_comes(blind: str) -> None:
    """While the other cannot be read, fewer is no plunge; that more of what is seen breaks is a fault all the same."""
    seen = "signin/b" if blind == "signin" else "signin"
    half = [(seen, outcome) for _, outcome in crowd(START + 120, 60, each=4)]
    for unread, plunges in ((frozenset({blind}), []), (frozenset[str](), ["plunge"])):
        _, alarms = advance(ordinary(), half, SETTINGS, until=START + 180, blind=unread)
        assert [alarm.kind for alarm in alarms] == plunges
    broken = [(seen, outcome) for _, outcome in crowd(START + 120, 20, verdict="broken")]
    _, alarms = advance(ordinary(), broken, SETTINGS, until=START + 140, blind=frozenset({blind}))
    assert "share" in [alarm.kind for alarm in alarms]
    _, alarms = advance(ordinary(), [], SETTINGS, until=START + 180, blind=frozenset({blind}))
    assert alarms == ()


def test_a_stream_that_cannot_be_read_is_not_silence() -> None:
    watch, alarms = advance(ordinary(), [], SETTINGS, until=START + 180, blind=frozenset({"signin"}))
    assert alarms == ()
    # When it is read again, what it held counts at once, and is no plunge either.
    watch, alarms = advance(watch, crowd(START + 120, 80), SETTINGS, until=START + 200)
    assert alarms == ()


def test_what_is_read_of_a_stream_that_is_not_read_to_its_end_counts() -> None:
    broken = crowd(START + 120, 3, verdict="broken")
    _, alarms = advance(ordinary(), broken, SETTINGS, until=START + 123, blind=frozenset({"signin"}))
    assert "share" in [alarm.kind for alarm in alarms]


def test_all_alarms_of_a_second_are_raised_and_all_that_stand_are_told() -> None:
    phones = [("signin", structs.replace(o, dimensions={"client": "phone"})) for _, o in crowd(START, 120)]
    watch, _ = advance(Watch(START), phones, SETTINGS, until=START + 120)
    refused = [
        ("signin", structs.replace(o, dimensions={"client": "phone"}))
        for _, o in crowd(START + 120, 15, verdict="broken")
    ]
    watch, alarms = advance(watch, refused, SETTINGS, until=START + 135)
    phone = Segment.of({**dict(SIGN_IN.values), "client": "phone"})
    raised = {(alarm.kind, alarm.segment) for alarm in alarms}
    assert raised == {(kind, segment) for kind in ("share", "plunge") for segment in (SIGN_IN, phone)}
    assert {(alarm.kind, alarm.segment) for alarm in watch.standing} == raised


def test_what_is_broken_raises_the_alarm() -> None:
    _, alarms = advance(ordinary(), crowd(START + 120, 3, verdict="broken"), SETTINGS, until=START + 123)
    assert "share" in [alarm.kind for alarm in alarms]


PATIENT = {("television", "enter"): Expectation(30.0, carried_to="sign-in", carried_layer="signin")}


def waiting(since: float, count: int) -> list[Arrival]:
    known = {"service": "television", "step": "enter", "layer": "door", "verdict": "asked"}
    return [("door", Outcome(time=since + n / count, promise=f"p{n}", **known)) for n in range(count)]  # type: ignore[arg-type]


def test_askings_that_nobody_answers_are_broken_where_they_should_have_been_answered() -> None:
    watch, alarms = advance(Watch(START), waiting(START, 50), SETTINGS, until=START + 40, expectations=PATIENT)
    assert [(alarm.segment, alarm.kind) for alarm in alarms] == [(SIGN_IN, "share")]
    assert watch.open == {}


def test_no_promise_runs_out_while_a_stream_cannot_be_read() -> None:
    arrived, blind = waiting(START, 50), frozenset({"signin"})
    watch, _ = advance(Watch(START), arrived, SETTINGS, until=START + 20, expectations=PATIENT)
    watch, alarms = advance(watch, [], SETTINGS, until=START + 60, blind=blind, expectations=PATIENT)
    assert (alarms, len(watch.open)) == ((), 50)
    answers = [sign_in(START + 25, promise=f"p{n}") for n in range(50)]
    watch, alarms = advance(watch, answers, SETTINGS, until=START + 61, expectations=PATIENT)
    assert (alarms, watch.open) == ((), {})


def test_an_asking_that_is_read_after_its_answer_is_no_broken_promise() -> None:
    """The door's stream could not be read for minutes: its askings come when they are long answered."""
    answers = [sign_in(START + 2, promise=f"p{n}") for n in range(50)]
    watch, _ = advance(
        Watch(START), answers, SETTINGS, until=START + 20, blind=frozenset({"door"}), expectations=PATIENT
    )
    watch, _ = advance(watch, [], SETTINGS, until=START + 200, blind=frozenset({"door"}), expectations=PATIENT)
    watch, alarms = advance(watch, waiting(START, 50), SETTINGS, until=START + 240, expectations=PATIENT)
    assert (alarms, watch.open) == ((), {})


@pytest.mark.parametrize("behind", [0.15, 4.9, 12.0, 200.0, -4.9, -12.0, -200.0])
def test_a_clock_that_is_wrong_breaks_no_promise(behind: float) -> None:
    """Those who answer are behind those who ask, or ahead of them (below 0): nobody waits."""
    watch, raised = Watch(START), []
    for second in range(70):
        now, promises = START + second, [f"{second}-{n}" for n in range(5)]
        asked = [("door", structs.replace(waiting(now, 1)[0][1], promise=promise)) for promise in promises]
        answers = [sign_in(now - behind + 0.01, promise=promise) for promise in promises]
        watch, alarms = advance(watch, [*answers, *asked], QUIET, until=now + 1.5, expectations=PATIENT)
        raised += alarms
    assert raised == []
    assert not [asking for asking in watch.open.values() if asking.time < START + 60]


def test_after_a_long_pause_it_goes_on_from_the_present() -> None:
    until = START + 120 + 10 * CATCH_UP_SECONDS_MAX
    long_ago = crowd(START + 200, 100, verdict="broken")
    lately = crowd(until - 30, 30)
    watch, alarms = advance(ordinary(), [*long_ago, *lately], SETTINGS, until=until)
    assert watch.counted_to == until
    assert "share" not in [alarm.kind for alarm in alarms], "what was broken long ago is not broken now"
    assert watch.early == ()


def test_a_pause_that_is_just_not_too_long_skips_nothing_and_ten_seconds_ahead_are_waited_for() -> None:
    until = START + CATCH_UP_SECONDS_MAX
    watch, _ = advance(Watch(START), [sign_in(START - 1), sign_in(until + 10)], QUIET, until=until)
    assert watch.states[SIGN_IN].level.settled == pytest.approx(1)
    assert [outcome.time for _, outcome in watch.early] == [until + 10]


def test_in_a_long_pause_only_what_is_open_is_kept_in_mind() -> None:
    until = START + 10 * CATCH_UP_SECONDS_MAX
    asked_long_ago = waiting(START, 50)
    asked_lately = [
        ("door", structs.replace(o, time=until - 5, promise=f"late {o.promise}")) for _, o in asked_long_ago
    ]
    answered = [sign_in(START + 10, promise=f"p{n}") for n in range(20)]
    watch, _ = advance(Watch(START), asked_long_ago, SETTINGS, until=START + 5, expectations=PATIENT)
    assert len(watch.open) == 50
    watch, alarms = advance(watch, [*answered, *asked_lately], SETTINGS, until=until, expectations=PATIENT)
    assert alarms == (), "that 30 of them were never answered can be looked up"
    assert set(watch.open) == {f"late p{n}" for n in range(50)}


def test_what_was_answered_in_a_long_pause_is_not_open_when_its_asking_is_read_at_last() -> None:
    until, door = START + 10 * CATCH_UP_SECONDS_MAX, frozenset({"door"})
    answered = [sign_in(START + 10, promise=f"p{n}") for n in range(50)]
    watch, _ = advance(Watch(START), answered, SETTINGS, until=until, blind=door, expectations=PATIENT)
    watch, alarms = advance(watch, waiting(START, 50), SETTINGS, until=until + 1, expectations=PATIENT)
    assert (alarms, watch.open) == ((), {})


@pytest.mark.parametrize("time", [nan, inf, -inf, -1.0, START + 10_000])
def test_a_time_that_cannot_be_one_counts_at_once(time: float) -> None:
    odd = [
        sign_in(time),
        ("door", Outcome(time=time, promise="p", service="television", step="enter", layer="door", verdict="asked")),
    ]
    watch, _ = advance(
        Watch(START), [*crowd(START, 1), *odd, *crowd(START + 1, 1)], SETTINGS, until=START + 1, expectations=PATIENT
    )
    watch, _ = advance(watch, [], SETTINGS, until=START + 3, expectations=PATIENT)
    assert watch.early == ()
    assert watch.states[SIGN_IN].level.settled == pytest.approx(41, abs=0.1)
    assert list(watch.open) == ["p"]
    assert advance(watch, [], SETTINGS, until=START + 40, expectations=PATIENT)[0].open == {}


def test_series_are_limited() -> None:
    many = [sign_in(START, dimensions={"client": str(number)}) for number in range(SERIES_MAX + 100)]
    watch, _ = advance(Watch(START), many, SETTINGS, until=START + 1)
    assert len(watch.states) == SERIES_MAX == SETTINGS.series
    assert SIGN_IN in watch.states


def test_what_was_done_about_a_fault_is_no_series_and_no_traffic() -> None:
    acts = [sign_in(START, step="open-channel"), sign_in(START, step="stop-route")]
    watch, _ = advance(Watch(START), acts, SETTINGS, until=START + 1)
    assert watch.states == {}


def test_a_fall_in_one_series_is_seen_while_another_stream_cannot_be_read() -> None:
    def playing(since: float, seconds: int) -> list[Arrival]:
        return [
            ("playout", o)
            for _, o in (sign_in(a[1].time, step="start-playback", layer="streams") for a in crowd(since, seconds))
        ]

    watch, _ = advance(Watch(START), [*crowd(START, 120), *playing(START, 120)], SETTINGS, until=START + 120)
    _, alarms = advance(watch, [], SETTINGS, until=START + 180, blind=frozenset({"signin"}))
    assert {(alarm.kind, alarm.segment.get("step")) for alarm in alarms} == {("plunge", "start-playback")}


QUIET = Settings(false_alarms_per_year=1e-300, share_half_life_seconds=1e12)
"""Nothing is ever an alarm, and nothing is forgotten: the levels are the counts."""


@given(
    st.lists(
        st.tuples(
            st.floats(START, START + 40),  # asked
            st.none() | st.floats(-5, 20),  # answered so long after it, by another clock
            st.floats(0, 20),  # the asking is read so much later
            st.floats(0, 9),  # and the answer, still within the grace time
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=25)
def test_each_promise_is_settled_once_however_late_and_in_whatever_order_it_is_told(
    promises: list[tuple[float, float | None, float, float]], rng: random.Random
) -> None:
    told: list[tuple[float, Arrival]] = []
    for number, (asked, after, asking_late, answer_late) in enumerate(promises):
        known = {"service": "television", "step": "enter", "layer": "door", "promise": f"p{number}"}
        told.append((asked + asking_late, ("door", Outcome(time=asked, verdict="asked", **known))))  # type: ignore[arg-type]
        if after is not None:
            told.append((asked + after + answer_late, sign_in(asked + after, promise=f"p{number}")))
    rng.shuffle(told)
    watch = Watch(START)
    for until in range(int(START), int(START) + 100, 4):
        arrived = [arrival for at, arrival in told if until - 4 <= at < until or (until == START and at < until)]
        watch, _ = advance(watch, arrived, QUIET, until=float(until), expectations=PATIENT)
    unanswered = sum(after is None for _, after, _, _ in promises)
    level = watch.states[SIGN_IN].level if promises else Level()
    assert (watch.open, watch.early) == ({}, ())
    assert level.settled == pytest.approx(len(promises))
    assert level.broken == pytest.approx(unanswered)


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_in_whatever_order_a_second_comes_in_it_counts_the_same(rng: random.Random) -> None:
    arrived = [
        *waiting(START, 8),
        *(sign_in(START + n / 8, promise=f"p{n}") for n in range(6)),
        sign_in(START, "broken"),
    ]
    wanted = advance(Watch(START), arrived, SETTINGS, until=START + 40, expectations=PATIENT)
    mixed = rng.sample(arrived, len(arrived))
    watch, raised = advance(Watch(START), mixed[:5], SETTINGS, until=START + 0.5, expectations=PATIENT)
    watch, more = advance(watch, mixed[5:], SETTINGS, until=START + 40, expectations=PATIENT)
    assert (watch.states, watch.open, (*raised, *more)) == (wanted[0].states, wanted[0].open, wanted[1])


@given(st.lists(st.floats(START - 50, START + 50), max_size=60), st.lists(st.integers(1, 20), max_size=8))
def test_every_outcome_is_counted_once_however_it_arrives(times: list[float], pauses: list[int]) -> None:
    arrivals = [sign_in(time) for time in times]
    watch, until = Watch(START), START
    share = max(1, len(arrivals) // (len(pauses) + 1))
    for pause in pauses:
        taken, arrivals = arrivals[:share], arrivals[share:]
        until += pause
        watch, _ = advance(watch, taken, SETTINGS, until=until)
    watch, _ = advance(watch, arrivals, SETTINGS, until=START + 300)
    assert watch.early == ()
    counted = watch.states[SIGN_IN].level.settled if times else 0.0
    forgotten = 0.5 ** (300 / SETTINGS.share_half_life_seconds)
    assert len(times) * forgotten <= counted <= len(times)


def test_that_fewer_join_the_line_is_no_sign_and_that_fewer_sign_in_is() -> None:
    """A flood of made-up devices ends as suddenly as it began."""
    settings = Settings(warm_up_buckets=60)
    arrived = [
        ("door", Outcome(time=second + n / 20, service="television", step=step, layer=layer, verdict="kept"))
        for second in range(900)
        for n in range(15)
        for step, layer in (("enter", "door"), ("sign-in", "signin"))
    ]
    watch, _ = advance(Watch(0.0), arrived, settings, until=900.0)
    _, alarms = advance(watch, [], settings, until=1_000.0)
    assert {(alarm.kind, alarm.segment.get("step")) for alarm in alarms} == {("plunge", "sign-in")}


@pytest.mark.parametrize("stopped_at", [0, 1, 17, 118, 119, 122, 125, 150, 163, 180, 185])
def test_counted_on_from_what_was_kept_the_same_alarms_are_raised(stopped_at: int) -> None:
    """30 % of those who wait are never answered, from the 120th second on; nothing else tells that they were broken."""
    told: list[Arrival] = []
    for second in range(200):
        for number in range(10):
            promise, at = f"{second}-{number}", START + second + number / 10
            asked = structs.replace(waiting(at, 1)[0][1], promise=promise)
            told.append(("door", asked))
            if second < 120 or number >= 3:
                told.append(sign_in(at + 3, promise=promise))
    told.sort(key=lambda arrival: arrival[1].time)

    def upto(at: float) -> list[Arrival]:
        return [arrival for arrival in told if arrival[1].time < at]

    end = START + 200
    through, alarms = advance(Watch(START), told, SETTINGS, until=end, expectations=PATIENT)
    assert [alarm.kind for alarm in alarms] == ["share"]
    stop = START + stopped_at
    first, before = advance(Watch(START), upto(stop), SETTINGS, until=stop, expectations=PATIENT)
    earlier = [arrival for arrival in upto(stop) if arrival[1].time >= stop - 60]
    second_run = restored(kept(first), earlier, counted_to=stop, expectations=PATIENT)
    later = [arrival for arrival in told if arrival[1].time >= stop]
    again, after = advance(second_run, later, SETTINGS, until=end, expectations=PATIENT)
    assert (*before, *after) == alarms
    assert (again.states, again.open, again.standing) == (through.states, through.open, through.standing)


def test_where_a_series_comes_from_and_what_was_answered_are_known_in_the_next_run() -> None:
    told = [
        sign_in(START + 0.2, promise="t-1"),
        sign_in(START + 0.3, "asked", step="enter", layer="door", promise="t-2"),
    ]
    first, _ = advance(Watch(START), told, SETTINGS, until=START + 1)
    again = restored(kept(first), told, counted_to=START + 1)
    assert (again.streams, again.states) == (first.streams, first.states)
    assert again.streams[SIGN_IN] == "signin"
    assert again.open == first.open
    assert (list(again.open), list(again.answered)) == (["t-2"], [("t-1", "sign-in")])


def test_no_stream_tells_of_a_promise_that_ran_out_where_nothing_ever_came() -> None:
    asking = sign_in(START + 0.3, "asked", step="enter", layer="door", promise="t-2")
    watch, _ = advance(Watch(START), [asking], SETTINGS, until=START + 302)
    assert watch.streams[SIGN_IN] == ""


def mild(since: float, seconds: int, broken_in: int) -> list[Arrival]:
    """Twenty a second; one in so many is broken (0: none)."""
    return [
        sign_in(outcome.time, "broken") if broken_in and number % broken_in == 0 else (stream, outcome)
        for number, (stream, outcome) in enumerate(crowd(since, seconds))
    ]


MONTHLY = Settings(series=1_000, false_alarms_per_year=12.0)


def test_three_promises_in_a_hundred_are_seen_and_the_alarm_stands_until_it_is_over() -> None:
    watch, alarms = advance(Watch(START), mild(START, 300, 500), MONTHLY, until=START + 300)
    assert alarms == ()
    watch, (alarm,) = advance(watch, mild(START + 300, 40, 33), MONTHLY, until=START + 340)
    assert (alarm.kind, alarm.segment, alarm.threshold) == ("share", SIGN_IN, pytest.approx(MONTHLY.threshold))
    assert MONTHLY.threshold == pytest.approx(21.69 + log(TESTS), abs=0.01), "as all tests of all series together"
    assert START + 295 <= alarm.since < alarm.raised_at <= START + 340
    assert 0.001 < alarm.level < 0.004 and 0.02 < alarm.seen < 0.05
    assert alarm.promises == pytest.approx(20 * (alarm.raised_at - alarm.since))
    assert watch.standing == (alarm,)
    watch, more = advance(watch, mild(START + 340, 10, 33), MONTHLY, until=START + 350)
    assert (more, watch.standing) == ((), (alarm,))
    watch, more = advance(watch, mild(START + 350, 150, 500), MONTHLY, until=START + 500)
    assert (more, watch.standing) == ((), ())


def test_what_both_tests_see_is_one_alarm() -> None:
    _, alarms = advance(ordinary(), crowd(START + 120, 30, verdict="broken"), SETTINGS, until=START + 150)
    assert sorted(alarm.kind for alarm in alarms) == ["plunge", "share"]


@pytest.mark.parametrize(("step", "seen"), [("deliver", False), ("submit", True)])
def test_what_is_ordinary_at_a_step_is_no_rise_before_anything_is_known(step: str, seen: bool) -> None:
    fields = {"service": "messages", "step": step, "layer": "link"}
    told = [sign_in(START + n / 100, "broken" if n % 14 == 0 else "kept", **fields) for n in range(100 * 40)]
    _, alarms = advance(Watch(START), told, SETTINGS, until=START + 40)
    assert [alarm.kind for alarm in alarms] == ["share"] * seen


@pytest.mark.parametrize("stopped_at", [1, 155, 170])
def test_a_mild_rise_goes_on_over_a_restart(stopped_at: int) -> None:
    """A second series comes while the first runs."""
    phones = [("signin", structs.replace(o, dimensions={"client": "phone"})) for _, o in crowd(START + 100, 80, 2)]
    risen = [*mild(START, 150, 0), *mild(START + 150, 30, 20)]
    told = sorted([*risen, *phones], key=lambda arrival: arrival[1].time)
    through, alarms = advance(Watch(START), told, MONTHLY, until=START + 180)
    stop = START + stopped_at
    first, before = advance(Watch(START), [a for a in told if a[1].time < stop], MONTHLY, until=stop)
    second = restored(kept(first), [], counted_to=stop)
    again, after = advance(second, [a for a in told if a[1].time >= stop], MONTHLY, until=START + 180)
    assert (*before, *after) == alarms and len(alarms) == 1
    assert again.shares is not None and through.shares is not None
    assert shares.kept(again.shares) == shares.kept(through.shares)
    assert len(again.shares.settled) == len(again.states) == 2


def test_what_an_earlier_version_kept_is_gone_on_from() -> None:
    watch = ordinary()
    document = msgspec.json.encode([(watch.streams[each], state) for each, state in watch.states.items()]).decode()
    again = restored(document, [], counted_to=watch.counted_to)
    assert (again.states, again.shares) == (watch.states, None)
    _, alarms = advance(again, crowd(START + 120, 30, verdict="broken"), SETTINGS, until=START + 150)
    assert sorted(alarm.kind for alarm in alarms) == ["plunge", "share"]
