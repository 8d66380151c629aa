"""The crowd at a layer beside what it was measured to take."""

import pytest

from prikkfri.assurance.counting import Count
from prikkfri.assurance.loads import LayerLoad, Measured, capacity_of, loads
from prikkfri.web.console import wording


def counted(second: int, outcomes: int, service: str = "television", step: str = "enter", **other: bool) -> Count:
    return Count(second, service, step, "door", "kept", "", other.get("observed", True), outcomes)


def test_the_crowd_is_now_and_at_its_peak_by_whole_periods_beside_what_was_measured_last() -> None:
    counts = [
        counted(895, 500),  # at the beginning of the window
        counted(985, 10),
        counted(990, 20),
        counted(995, 30),
        counted(1000, 900),  # not whole yet
        counted(990, 7, step="sign-in"),
        counted(990, 7, observed=False),
        counted(990, 40, "messages", "submit"),
        counted(990, 9, "other", "enter"),
    ]
    found = loads(counts, {"signin": [(50.0, 990.0), (40.0, 995.0)]}, 1001.0)
    assert found == (LayerLoad("signin", 4.0, 100.0, 40.0), LayerLoad("sms-centre", 40 / 15, 8.0, None))
    assert loads([*counts, counted(1000, 100)], {}, 1005.0)[0] == LayerLoad("signin", 70.0, 200.0, None)
    assert loads([], {"signin": [(50.0, 1.0)]}, 1001.0) == ()


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [(9.0, 99.0, (40.0, 10.0)), (10.0, 99.0, (40.0, 10.0)), (15.0, 99.0, (30.0, 15.0)), (16.0, 99.0, (30.0, 15.0))],
)
def test_of_sign_in_it_is_the_last_before_the_fault_else_the_first_after_it(
    since: float, until: float, expected: Measured
) -> None:
    measured = [(40.0, 10.0), (30.0, 15.0), (20.0, 20.0)]
    assert capacity_of("signin", measured, since=since, until=until) == expected
    assert capacity_of("signin", [], since=since, until=until) is None


def test_of_the_message_centre_it_is_the_most_up_to_the_opening() -> None:
    measured = [(40.0, 10.0), (300.0, 15.0), (200.0, 20.0), (900.0, 25.0)]
    assert capacity_of("sms-centre", measured, since=0.0, until=24.0) == (300.0, 15.0)
    assert capacity_of("sms-centre", measured, since=0.0, until=25.0) == (900.0, 25.0)
    assert capacity_of("sms-centre", measured, since=30.0, until=9.0) is None


def test_the_console_says_both_parts_or_that_nothing_was_measured() -> None:
    said = wording.load(LayerLoad("signin", 12.0, 40.0, 120.0))
    assert said == "12 a second now, at most 40 in 15 minutes; 10% and 33% of the measured 120"
    assert wording.load(LayerLoad("signin", 0.5, 1.0, None)).endswith("; capacity not measured yet")
    assert wording.load_name("sms-centre") == "The message centre"
