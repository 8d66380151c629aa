"""How many come, live: falls that open a suspicion, rushes that are told, and what is neither."""

import numpy as np
import pytest

from prikkfri.assurance.detection import Settings, volumes
from prikkfri.assurance.detection.volumes import LASTS_SECONDS, Volumes
from prikkfri.assurance.segments import Segment

SETTINGS = Settings()
SERIES = 20
SEGMENTS = tuple(Segment.of({"service": "messages", "link": f"l-{number:02d}"}) for number in range(SERIES))
ALL, NONE = np.ones(SERIES, dtype=bool), np.zeros(SERIES, dtype=bool)


class Stream:
    """Poisson's, second by second, in all series alike."""

    def __init__(self, rate: float = 100.0, *, seconds: int = 400) -> None:
        self.volumes, self.rng, self.second = Volumes(SERIES, SETTINGS), np.random.default_rng(12), 0
        self.median = np.full(SERIES, rate)
        assert self.comes(rate, seconds) == []

    def comes(self, rate: float, seconds: int, *, seen: np.ndarray = ALL) -> list[tuple[int, int]]:  # type: ignore[type-arg]
        """(second, series) of each fall that begins."""
        began: list[tuple[int, int]] = []
        for _ in range(seconds):
            came = self.rng.poisson(rate, SERIES).astype(float) * seen
            falls = self.volumes.step(came, float(self.second), median=self.median, seen=seen, falls=ALL, stands=NONE)
            self.second += 1
            began += [(self.second, number) for number, _, _ in falls]
        return began

    @property
    def rushes(self) -> list[volumes.Rush]:
        return self.volumes.rushes(SEGMENTS)


@pytest.mark.parametrize(("part", "within", "of_all"), [(0.0, 2, 1.0), (0.5, 5, 1.0), (0.7, 60, 0.75)])
def test_a_fall_at_a_hundred_a_second_is_seen_in_time(part: float, within: int, of_all: float) -> None:
    stream = Stream()
    fell = stream.comes(100 * part, within)
    assert len({number for _, number in fell}) == len(fell) >= of_all * SERIES, "each is told once"


def test_an_alarm_of_a_fall_says_what_came_and_since_when() -> None:
    stream = Stream()
    for _ in range(5):
        came = np.full(SERIES, 50.0)
        falls = stream.volumes.step(came, float(stream.second), median=stream.median, seen=ALL, falls=ALL, stands=NONE)
        stream.second += 1
        if falls:
            break
    number, window, nats = falls[0]
    alarm = stream.volumes.alarm(number, window, nats, float(stream.second), SEGMENTS[number])
    assert (alarm.kind, alarm.raised_at - alarm.since) == ("plunge", 3.0), "of three seconds, the last two at half"
    assert 400 <= alarm.raised_at <= 403 and alarm.evidence >= alarm.threshold
    assert alarm.seen < 70 and alarm.level == pytest.approx(100, abs=5)
    assert alarm.promises == pytest.approx(300, abs=15)
    assert f"{alarm.seen:.3g} a second come, {alarm.level:.3g} of late" in alarm.sentence


def test_a_fall_stands_until_they_are_back_and_the_return_is_no_rush() -> None:
    stream = Stream()
    assert len(stream.comes(30.0, 120)) == SERIES
    assert stream.volumes.falls.all()
    assert stream.comes(100.0, 60) == []
    assert not stream.volumes.falls.any() and stream.rushes == []


def test_a_fall_that_lasts_is_over_when_it_is_the_level() -> None:
    stream = Stream()
    stream.comes(50.0, 60)
    assert stream.volumes.falls.all()
    stream.median = np.full(SERIES, 50.0)
    stream.comes(50.0, 1)
    assert not stream.volumes.falls.any()


def test_what_comes_after_a_burst_is_no_fall() -> None:
    """A crowd signs in within two minutes: the median of the last minutes has not moved."""
    stream = Stream(20.0)
    assert stream.comes(200.0, 120) == []
    assert stream.comes(20.0, 120) == []


def test_a_rush_is_told_while_it_lasts_with_what_was_expected() -> None:
    stream = Stream()
    stream.comes(300.0, 40)
    assert {rush.segment for rush in stream.rushes} == set(SEGMENTS)
    first = stream.rushes[0]
    assert 400 <= first.since <= 403
    assert first.expected == pytest.approx(100, rel=0.1) and first.seen == pytest.approx(300, rel=0.1)
    assert stream.comes(100.0, 60) == [] and stream.rushes == []


def test_a_rush_that_does_not_end_is_ordinary_after_a_while() -> None:
    stream = Stream()
    stream.comes(300.0, int(LASTS_SECONDS) - 10)
    assert len(stream.rushes) == SERIES
    stream.comes(300.0, 20)
    assert stream.rushes == []


def test_in_a_rush_a_fall_is_told() -> None:
    stream = Stream()
    stream.comes(300.0, 30)
    assert len(stream.comes(10.0, 3)) == SERIES


def test_what_cannot_be_seen_neither_falls_nor_rushes_and_is_known_as_before() -> None:
    stream, blind = Stream(), np.arange(SERIES) >= 10
    assert {number for _, number in stream.comes(0.0, 90, seen=~blind)} == set(range(10))
    assert {number for _, number in stream.comes(0.0, 2)} == set(range(10, SERIES))


def test_a_series_that_begins_later_is_known_later() -> None:
    stream = Stream()
    young = Volumes(10, SETTINGS)
    for second in range(400):
        young.step(
            np.full(10, 100.0), float(second), median=stream.median[:10], seen=ALL[:10], falls=ALL[:10],
            stands=NONE[:10],
        )  # fmt: skip
    young.grow(10)

    def step(rate: float, second: int) -> set[int]:
        falls = young.step(np.full(SERIES, rate), float(second), median=stream.median, seen=ALL, falls=ALL, stands=NONE)
        return {number for number, _, _ in falls}

    assert not any(step(100.0, second) for second in range(400, 500))
    assert young.rushes(SEGMENTS) == [], "that it has begun is no rush"
    assert step(0.0, 500) == set(range(10))
    for second in range(501, 700):
        step(100.0, second)
    assert step(0.0, 700) == set(range(SERIES))


@pytest.mark.parametrize("stopped", [30, 399, 402, 410, 470])
def test_over_a_restart_it_goes_on(stopped: int) -> None:
    """At half, then at three times as many; stopped before, in and after both."""
    rng = np.random.default_rng(3)
    rates = [100.0] * 400 + [50.0] * 30 + [100.0] * 30 + [300.0] * 60
    came = [rng.poisson(rate, SERIES).astype(float) for rate in rates]

    def run(restart: bool) -> tuple[list[tuple[int, int]], list[volumes.Rush]]:
        known, found = Volumes(SERIES, SETTINGS), list[tuple[int, int]]()
        for second, each in enumerate(came):
            if restart and second == stopped:
                known = volumes.restored(volumes.kept(known), SETTINGS)
            falls = known.step(each, float(second), median=np.full(SERIES, 100.0), seen=ALL, falls=ALL, stands=NONE)
            found += [(second, number) for number, _, _ in falls]
        return found, known.rushes(SEGMENTS)

    fell, rushes = run(False)
    assert len(fell) == len(rushes) == SERIES
    again, rushing = run(True)
    assert again == fell
    assert [(r.segment, r.since) for r in rushing] == [(r.segment, r.since) for r in rushes]
