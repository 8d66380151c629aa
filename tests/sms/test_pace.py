"""How fast a party is sent to: its own rate, and what it makes of "we are too fast"."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.sms.pace import Pace

FREE = Pace()


def test_a_party_without_a_rate_takes_what_there_is_room_for() -> None:
    assert FREE.room(0.0) >= 100_000
    assert FREE.spent(50, 0.0) == FREE
    assert FREE.given_back(50, 0.0) == FREE
    assert FREE.seconds_until_room(0.0) == 0.0


def test_a_rate_is_a_tenth_of_a_second_at_once_and_the_rest_as_time_goes() -> None:
    pace = Pace(rate_max=200.0)
    assert pace.room(5.0) == 20
    pace = pace.spent(20, 5.0)
    assert pace.room(5.0) == 0
    assert pace.seconds_until_room(5.0) == pytest.approx(0.05)
    assert pace.room(5.049) == 0  # not one by one: each claim is a transaction
    assert pace.room(5.051) == 10
    assert pace.given_back(15, 5.0).room(5.0) == 15
    assert pace.room(9.0) == 20
    slow = Pace(rate_max=0.5)
    assert slow.room(0.0) == 1
    assert slow.spent(1, 0.0).seconds_until_room(0.5) == pytest.approx(1.5)
    assert (slow.spent(1, 0.0).room(1.9), slow.spent(1, 0.0).room(2.1)) == (0, 1)


def test_who_is_too_fast_pauses_and_then_one_message_shows_whether_it_takes_any() -> None:
    pace = FREE.answered(20, True, 10.0)
    assert (pace.room(10.0), pace.room(10.999), pace.room(11.0)) == (0, 0, 1)
    assert pace.seconds_until_room(10.25) == 0.75
    assert pace.seconds_until_room(11.0) == 0.0
    # What was on its way says nothing new.
    assert pace.answered(0, True, 10.5).quiet_until == 11.0
    assert pace.answered(3, False, 11.0).room(11.0) == 1
    probing = pace.spent(1, 11.0)
    assert (probing.room(11.0), probing.room(11.999), probing.room(12.0)) == (0, 0, 1)  # it may never be answered
    assert probing.given_back(1, 11.1).room(11.1) == 1  # there was none to send
    assert probing.given_back(1, 11.1).answered(0, True, 11.2).room(11.2) == 1
    assert pace.given_back(7, 10.5).room(10.999) == 0  # what was claimed before the pause ends no pause
    assert probing.answered(0, False, 11.2).room(11.2) == 0
    refused = probing.spent(1, 12.0).answered(0, True, 12.1)  # the one; the other's answer comes within the new pause
    assert refused.quiet_until == refused.answered(0, True, 12.2).quiet_until == 14.1
    assert refused.answered(1, False, 12.2).room(12.2) == 0
    taken = probing.answered(1, False, 11.2)
    assert taken.rate(11.2) == pytest.approx(14.0)  # seven tenths of what it took
    assert taken.room(11.2) == 0
    assert taken.seconds_until_room(11.2) == pytest.approx(1 / 14)
    assert taken.room(11.3) == 1


def test_pauses_double_to_a_minute_and_begin_anew_when_it_has_taken_something() -> None:
    pace, now, pauses = FREE.answered(5, True, 0.0), 0.0, []
    for _ in range(9):
        pauses.append(pace.quiet_until - now)
        now = pace.quiet_until
        pace = pace.spent(1, now).answered(0, True, now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pace.learnt == pytest.approx(3.5)  # a party that takes nothing says nothing of how much it would take
    now = pace.quiet_until
    again = pace.spent(1, now).answered(1, False, now).answered(0, True, now + 5)
    assert again.quiet_until == now + 6


def test_it_becomes_twice_as_fast_every_half_minute_up_to_its_rate() -> None:
    pace = Pace(rate_max=100.0).answered(20, True, 0.0).spent(1, 1.0).answered(1, False, 1.0)
    assert [pace.rate(1.0 + seconds) for seconds in (0, 30, 60, 90, 1e9)] == pytest.approx([14, 28, 56, 100, 100])
    free = FREE.answered(20, True, 0.0).spent(1, 1.0).answered(1, False, 1.0)
    assert free.rate(1e9) > 1e12


def test_what_it_took_is_of_the_last_second() -> None:
    pace = FREE.answered(10, False, 0.5).answered(30, False, 1.25).answered(0, True, 1.5)
    assert pace.learnt == pytest.approx((30 + 10 * 0.5) * 0.7)
    assert FREE.answered(10, False, 0.5).answered(0, True, 2.5).learnt == math.inf
    assert FREE.answered(10, False, 0.5).answered(4, True, 2.5).learnt == pytest.approx(2.8)
    assert Pace(rate_max=10.0).answered(30, True, 0.0).learnt == pytest.approx(7.0)
    # A party that takes one message a second, or fewer, is not sent to as if it had no rate.
    assert FREE.answered(1, True, 0.0).learnt == pytest.approx(0.7)
    assert FREE.answered(1, False, 0.5).answered(0, True, 1.25).learnt == pytest.approx(0.75 * 0.7)


def test_a_party_that_took_nothing_is_tried_with_one_message_and_then_as_before() -> None:
    pace = FREE.answered(0, True, 0.0)
    assert pace.room(1.0) == 1
    assert pace.spent(1, 1.0).answered(1, False, 1.1).room(1.1) == FREE.room(1.1)


@dataclass
class Partner:
    """Takes so many a second, from a bucket of a second's worth; answers at once, or a while later."""

    rate: float
    tokens: float = 0.0
    at: float = 0.0
    taken: int = 0
    refused: int = 0

    def ask(self, now: float) -> bool:
        self.tokens, self.at = min(self.tokens + (now - self.at) * self.rate, self.rate), now
        took = self.tokens >= 1.0
        self.tokens -= took
        self.taken += took
        self.refused += not took
        return took


@dataclass
class Run:
    pace: Pace
    partner: Partner
    round_trip_seconds: float
    window: int = 50
    now: float = 0.0
    flying: list[tuple[float, bool]] = field(default_factory=list)

    def until_taken(self, messages: int, seconds_max: float) -> float:
        while self.partner.taken < messages and self.now < seconds_max:
            due = [took for at, took in self.flying if at <= self.now]
            self.flying = [each for each in self.flying if each[0] > self.now]
            if due:
                self.pace = self.pace.answered(sum(due), not all(due), self.now)
            room = min(self.pace.room(self.now), self.window - len(self.flying))
            if room > 0:
                self.pace = self.pace.spent(room, self.now)
                later = self.now + self.round_trip_seconds
                self.flying += [(later, self.partner.ask(self.now)) for _ in range(room)]
            self.now += 0.01
        return self.now


@pytest.mark.parametrize("round_trip_seconds", [0.01, 0.1, 0.5])
def test_two_thousand_messages_at_twenty_a_second_take_a_hundred_seconds_and_few_refusals(
    round_trip_seconds: float,
) -> None:
    run = Run(Pace(), Partner(20.0, 20.0), round_trip_seconds)
    assert run.until_taken(2_000, 200.0) < 112.0
    assert run.partner.refused < 120
    known = Run(Pace(rate_max=20.0), Partner(20.0, 20.0), round_trip_seconds)
    assert known.until_taken(2_000, 200.0) < 102.0
    assert known.partner.refused == 0


@given(
    st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(0, 60), st.booleans(), st.booleans()), min_size=1, max_size=60),
    st.sampled_from([math.inf, 0.2, 20.0, 5_000.0]),
)
def test_whatever_is_answered_it_goes_on_after_a_minute_at_most_and_never_above_its_rate(
    steps: list[tuple[float, int, bool, bool]], rate_max: float
) -> None:
    pace, now = Pace(rate_max=rate_max), 0.0
    for waits, taken, throttled, sends in steps:
        now += waits
        if sends and (room := pace.room(now)):
            pace = pace.spent(min(room, 50), now)
        pace = pace.answered(taken, throttled, now)
        assert 0 < pace.rate(now) <= rate_max
        # Whoever waits as long as they are told, and asks again, is let go: while they wait the rate grows.
        at, asked = now, 0
        while pace.room(at) == 0:
            assert (asked := asked + 1) <= 5
            at += max(pace.seconds_until_room(at), 0.001)
        assert at - now <= max(60.0, 50 / min(rate_max, 50)) + 0.1


def test_a_party_is_paused_from_when_it_says_that_we_are_too_fast_until_it_has_taken_something() -> None:
    free = Pace()
    paused = free.answered(0, True, 1.0)
    probing = paused.spent(1, 2.0)
    assert [each.paused for each in (free, paused, probing)] == [False, True, True]
    assert not probing.answered(1, False, 2.1).paused
