"""Watching: what arrives late, early, or not at all, and what a stream that cannot be read must not look like."""

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.detection import Settings
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Expectation
from prikkfri.assurance.watching import CATCH_UP_SECONDS_MAX, SERIES_MAX, Arrival, Watch, advance
from prikkfri.journal import Outcome

SETTINGS = Settings(warm_up_buckets=60)
START = 1_000.0
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


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


def test_a_stream_that_cannot_be_read_is_not_silence() -> None:
    watch, alarms = advance(ordinary(), [], SETTINGS, until=START + 180, blind=frozenset({"signin"}))
    assert alarms == ()
    # When it is read again, what it held counts at once, and is no plunge either.
    watch, alarms = advance(watch, crowd(START + 120, 80), SETTINGS, until=START + 200)
    assert alarms == ()


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


def test_after_a_long_pause_it_goes_on_from_the_present() -> None:
    until = START + 10 * CATCH_UP_SECONDS_MAX
    watch, _ = advance(ordinary(), [], SETTINGS, until=until)
    assert watch.counted_to == until


def test_series_are_limited() -> None:
    many = [sign_in(START, dimensions={"client": str(number)}) for number in range(SERIES_MAX + 100)]
    watch, _ = advance(Watch(START), many, SETTINGS, until=START + 1)
    assert len(watch.states) == SERIES_MAX
    assert SIGN_IN in watch.states


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
