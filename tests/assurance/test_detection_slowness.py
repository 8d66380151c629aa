"""What is kept, and late: told apart from what is broken, in the place where it is slow."""

import random
from collections.abc import Mapping

import pytest

from prikkfri.assurance.detection import Settings, slowness
from prikkfri.assurance.detection.slowness import Slowness
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import EXPECTATIONS, tally
from prikkfri.assurance.watching import Arrival, Watch, advance, kept, restored
from prikkfri.journal import Outcome

SETTINGS = Settings(warm_up_buckets=60)
TELIA, TELENOR = (Segment.of({"service": "messages", "partner": name}) for name in ("Telia", "Telenor"))
EXPECTED = EXPECTATIONS["messages", "deliver"].slow_seconds


def run(known: Slowness, seconds: int, shares: Mapping[Segment, float], since: int, seed: int = 5) -> list[Segment]:
    rng, raised = random.Random(seed), list[Segment]()
    for second in range(since, since + seconds):
        counts = {
            series: (50.0, float(sum(rng.random() < share for _ in range(50)))) for series, share in shares.items()
        }
        raised += [alarm.segment for alarm in known.step(counts, float(second))]
    return raised


def test_a_share_of_slow_ones_that_rises_is_told_where_it_does_and_stands_until_it_is_over() -> None:
    known = Slowness(SETTINGS)
    assert run(known, 300, {TELIA: 0.02, TELENOR: 0.02}, 0) == []
    assert run(known, 10, {TELIA: 0.4, TELENOR: 0.02}, 300) == [TELIA]
    (alarm,) = known.standing
    assert (alarm.kind, alarm.segment) == ("slow", TELIA) and 298 <= alarm.since <= 301
    assert f"{alarm.seen:.1%} slow of {alarm.promises:.0f} kept, ordinarily {alarm.level:.2%}" in alarm.sentence
    assert run(known, 60, {TELIA: 0.02, TELENOR: 0.02}, 310) == [] and known.standing == ()


def test_it_goes_on_from_what_was_kept_and_knows_only_so_many_series() -> None:
    known = Slowness(SETTINGS)
    run(known, 300, {TELIA: 0.02}, 0)
    again = slowness.restored(slowness.kept(known), SETTINGS)
    assert run(again, 10, {TELIA: 0.4}, 300) == run(known, 10, {TELIA: 0.4}, 300) == [TELIA]
    assert slowness.restored(slowness.kept(known), SETTINGS).standing == known.standing
    few = Slowness(Settings(series=1))
    run(few, 2, {TELIA: 0.0, TELENOR: 0.0}, 0)
    assert len(slowness.kept(few).series) == 1


def message(at: float, verdict: str, promise: str, **more: object) -> Outcome:
    known = {"service": "messages", "step": "deliver", "layer": "link", "dimensions": {"partner": "Telia"}}
    return Outcome(**{"time": at, "verdict": verdict, "promise": promise, **known, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("took", "verdict", "timed", "slow"),
    [(EXPECTED, "kept", 1, 0), (EXPECTED + 0.1, "kept", 1, 1), (EXPECTED + 0.1, "broken", 0, 0)],
)
def test_only_what_is_kept_later_than_is_expected_is_slow(took: float, verdict: str, timed: int, slow: int) -> None:
    counted = tally([message(0.0, "asked", "m"), message(took, verdict, "m")], {}, start=0.0, now=took)
    for bucket in counted.buckets.values():
        assert (bucket.timed, bucket.slow) == (timed, slow)


def test_what_waits_in_line_and_what_nobody_asked_is_not_timed() -> None:
    waited = message(0.0, "asked", "p", service="television", step="enter", layer="door")
    signed_in = message(200.0, "kept", "p", service="television", step="sign-in", layer="signin")
    alone = message(200.0, "kept", "", service="television", step="sign-in", layer="signin")
    counted = tally([waited, signed_in, alone], {}, start=0.0, now=200.0)
    assert all(bucket.timed == 0 for bucket in counted.buckets.values())


def deliveries(since: int, seconds: int, took: float) -> list[Arrival]:
    """Five a second, each kept so long after it was asked."""
    told = []
    for second in range(since, since + seconds):
        for number in range(5):
            at, promise = second + number / 5, f"m-{second}-{number}"
            told += [("sms", message(at, "asked", promise)), ("sms", message(at + took, "kept", promise))]
    return told


@pytest.mark.parametrize("restarted_at", [0, 260, 285])
def test_live_it_is_a_hint_of_its_place_and_nothing_is_broken(restarted_at: int) -> None:
    told = sorted([*deliveries(0, 200, 2.0), *deliveries(200, 90, EXPECTED + 5)], key=lambda arrival: arrival[1].time)
    watch, raised = Watch(0.0), []
    for until in range(5, 300, 5):
        arrived = [arrival for arrival in told if until - 5 <= arrival[1].time < until]
        watch, alarms = advance(watch, arrived, SETTINGS, until=float(until))
        raised += alarms
        if until == restarted_at:
            before = [arrival for arrival in told if arrival[1].time < until]
            watch = restored(kept(watch), before, counted_to=float(until), settings=SETTINGS)
    assert {alarm.kind for alarm in raised} <= {"plunge", "slow"}, "that nothing is kept for a minute is a fall"
    assert sorted(alarm.segment.get("partner") for alarm in raised if alarm.kind == "slow") == ["", "Telia"]
    assert {alarm.segment.get("partner") for alarm in watch.standing if alarm.kind == "slow"} == {"", "Telia"}
