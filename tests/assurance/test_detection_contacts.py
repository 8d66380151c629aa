"""Contacts for each 1,000 active customers: what a rise is, and what only looks like one."""

import numpy as np
import pytest

from prikkfri.assurance.detection import Alarm, Settings, contacts
from prikkfri.assurance.detection.contacts import (
    LATE_SECONDS,
    MINUTE_SECONDS,
    QUIET_SECONDS,
    SERVICES_MAX,
    ContactMoment,
    ContactRates,
)

SETTINGS = Settings()
TELEVISION = "television"


class Calls:
    """A thousand are active each minute; each contact is handed in in the minute after its own."""

    def __init__(self) -> None:
        self.rates, self.rng, self.minute = ContactRates(SETTINGS), np.random.default_rng(7), 0

    @property
    def now(self) -> float:
        return self.minute * MINUTE_SECONDS

    def pass_by(self, minutes: int, per_1000: float, *, active: int = 1_000) -> list[Alarm]:
        raised: list[Alarm] = []
        for _ in range(minutes):
            start, self.minute = self.now, self.minute + 1
            self.rates.ask(start, ((TELEVISION, f"s-{n}") for n in range(active)))
            self.rates.ask(self.now, ())
            calls = self.rng.poisson(active * per_1000 / 1_000)
            raised += self.rates.take([ContactMoment(TELEVISION, start + 30)] * calls, self.now + 1)
        return raised


def test_three_times_as_many_who_call_as_ever_raise_a_suspicion_within_minutes() -> None:
    calls = Calls()
    assert calls.pass_by(120, 2.0) == []
    began = calls.now
    (alarm,) = calls.pass_by(8, 15.0)
    assert (alarm.kind, alarm.segment.get("service"), alarm.segment.get("step")) == ("contacts", TELEVISION, "contact")
    assert began - 60 <= alarm.since <= began + 120 and alarm.raised_at <= began + 8 * 60
    assert 8 <= 1_000 * alarm.seen <= 20 and 1_000 * alarm.level == pytest.approx(2, abs=0.5)
    said = f"{1_000 * alarm.seen:.3g} contacts for each 1,000 active customers a minute, ordinarily"
    assert f"{said} {1_000 * alarm.level:.2g} (" in alarm.sentence
    assert calls.rates.standing == (alarm,)
    calls.pass_by(30, 2.0)
    assert calls.rates.standing == ()


def test_as_many_more_who_call_as_are_active_are_no_rise() -> None:
    calls = Calls()
    assert calls.pass_by(60, 2.0) == []
    assert calls.pass_by(30, 2.0, active=10_000) == []


def test_over_when_nobody_calls_any_more() -> None:
    calls = Calls()
    calls.pass_by(60, 2.0)
    assert len(calls.pass_by(8, 30.0)) == 1
    calls.pass_by(60, 0.0)
    assert calls.rates.standing == ()


def test_before_the_first_contact_and_of_what_is_older_nothing_is_asked() -> None:
    calls = Calls()
    assert calls.pass_by(30, 0.0) == [] and calls.rates.counted_to == 0.0
    old = [ContactMoment(TELEVISION, calls.now - LATE_SECONDS - 1)] * 500
    ahead = [ContactMoment(TELEVISION, calls.now + 3_600)] * 500
    assert calls.rates.take([*old, *ahead], calls.now) == [] and calls.rates.counted_to == 0.0


def test_what_comes_for_a_minute_that_is_counted_counts_in_the_next() -> None:
    calls = Calls()
    calls.pass_by(30, 2.0)
    late = [ContactMoment(TELEVISION, calls.now - QUIET_SECONDS)] * 300
    calls.rates.take(late, calls.now)
    assert len(calls.pass_by(3, 2.0)) == 1


def test_services_are_limited() -> None:
    rates = ContactRates(SETTINGS)
    rates.ask(0.0, ())
    rates.take([ContactMoment(f"service-{number}", 10.0) for number in range(SERVICES_MAX + 5)], 20.0)
    assert len(contacts.kept(rates).services) == SERVICES_MAX


@pytest.mark.parametrize("restarted_at", [1, 59, 61, 63])
def test_over_a_restart_it_goes_on(restarted_at: int) -> None:
    """What was stored since the last minute that was counted is read again."""
    rates, rng = ContactRates(SETTINGS), np.random.default_rng(8)
    stored: list[ContactMoment] = []
    raised: list[float] = []
    for minute in range(70):
        start, now = minute * MINUTE_SECONDS, (minute + 1) * MINUTE_SECONDS
        rates.ask(start, ((TELEVISION, f"s-{n}") for n in range(1_000)))
        rates.ask(now, ())
        new = [ContactMoment(TELEVISION, start + 1)] * int(rng.poisson(2 if minute < 60 else 20))
        stored += new
        if minute == restarted_at:
            rates = contacts.restored(contacts.kept(rates), SETTINGS)
            rates.ask(now, ())
            new = [each for each in stored if each.at >= rates.counted_to]
        raised += [alarm.since for alarm in rates.take(new, now)]
    assert len(raised) == 1 and 59 * 60 <= raised[0] <= 62 * 60
