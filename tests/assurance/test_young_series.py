"""A series of which nothing was known is no fault, though who is answered is told before who is not."""

import random

import pytest
from msgspec import structs

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.watching import DETECTION, Watch, advance
from prikkfri.journal import Outcome


@pytest.mark.parametrize("seed", range(3))
def test_the_first_promises_that_run_out_in_a_new_series_are_no_fault(seed: int) -> None:
    """Some phones are off: who is answered is settled at once, who is not when the grace time is over."""
    lot, second = random.Random(seed), 1_700_000_000.0
    watch, later, number, raised = Watch(second), list[Outcome](), 0, list[Alarm]()
    end = second + 1_000
    while second < end:
        told: list[Outcome] = []
        for link in ("nord", "syd") if second >= end - 500 else ("nord",):  # a partner that comes later
            for _ in range(10):
                number += 1
                asked = Outcome(
                    time=second + lot.random(), service="messages", step="deliver", layer="link", verdict="asked",
                    promise=f"m{number}", dimensions={"link": link},
                )  # fmt: skip
                told.append(asked)
                if lot.random() > 0.04:
                    later.append(structs.replace(asked, time=asked.time + lot.uniform(1, 9), verdict="kept"))
        told += [each for each in later if each.time < second + 1]
        later = [each for each in later if each.time >= second + 1]
        second += 1
        watch, alarms = advance(watch, [("sms", each) for each in told], DETECTION, until=second)
        raised += alarms
    assert not raised
    of_new = Segment.of({"service": "messages", "step": "deliver", "layer": "link", "link": "syd"})
    assert 0.02 < watch.states[of_new].level.share(DETECTION) < 0.06, "and what is ordinary is learned"


def test_what_is_broken_from_the_first_in_a_new_series_is_seen() -> None:
    watch, raised = Watch(0.0), list[Alarm]()
    for second in range(60):
        told = [
            Outcome(time=second + 0.5, service="messages", step="deliver", layer="link", verdict="broken",
                    reason="network-001", promise=f"m{second}-{index}", dimensions={"link": "nord"})
            for index in range(5)
        ]  # fmt: skip
        watch, alarms = advance(watch, [("sms", each) for each in told], DETECTION, until=second + 1.0)
        raised += alarms
    assert raised and raised[0].raised_at < 30
