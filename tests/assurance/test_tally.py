from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Bucket, Expectation, tally
from prikkfri.journal import Outcome


def outcome(verdict: str = "kept", **fields: object) -> Outcome:
    known = {"time": 100.0, "service": "messages", "step": "deliver", "layer": "link", "verdict": verdict}
    return Outcome(**{**known, **fields})  # type: ignore[arg-type]


BASE = {"service": "messages", "step": "deliver", "layer": "link"}


def test_a_series_for_the_layer_and_for_each_dimension_value() -> None:
    found = tally([outcome(dimensions={"partner": "Telia"}), outcome("broken")], {}, start=100, now=101)
    assert found.buckets == {
        Segment.of(BASE): Bucket(100, kept=1, broken=1),
        Segment.of({**BASE, "partner": "Telia"}): Bucket(100, kept=1),
    }


def test_what_only_a_device_reports_is_a_series_of_its_own() -> None:
    found = tally([outcome(observed=False)], {}, start=100, now=101)
    assert list(found.buckets) == [Segment.of({**BASE, "seen": "reported"})]


def test_the_customers_own_error_is_neither_kept_nor_broken() -> None:
    wrong = outcome("broken", service="television", step="sign-in", layer="signin", reason="wrong-credentials")
    assert tally([wrong], {}, start=100, now=101).buckets == {}


def test_a_promise_that_nobody_settles_is_broken_once_when_its_grace_time_is_over() -> None:
    patient = {("messages", "deliver"): Expectation(30.0)}
    asking = outcome("asked", promise="m1")
    first = tally([asking], {}, start=100, now=101, expectations=patient)
    assert first.buckets[Segment.of(BASE)] == Bucket(100, asked=1)
    assert list(first.open) == ["m1"]
    waiting = tally([], first.open, start=129, now=129.9, expectations=patient)
    assert (waiting.buckets, waiting.open) == ({}, first.open)
    over = tally([], waiting.open, start=129, now=130, expectations=patient)
    assert over.buckets[Segment.of(BASE)] == Bucket(129, broken=1)
    assert over.open == {}


def test_a_promise_that_is_settled_is_no_longer_open() -> None:
    asked = tally([outcome("asked", promise="m1"), outcome("asked", promise="m2")], {}, start=100, now=101)
    settled = tally([outcome(promise="m2", time=102.0)], asked.open, start=102, now=103)
    assert list(settled.open) == ["m1"]


def test_what_was_done_about_a_fault_is_no_promise() -> None:
    acts = [outcome(step=step) for step in ("open-channel", "close-channel", "stop-route", "open-route")]
    assert tally(acts, {}, start=100, now=101).buckets == {}
