"""A clock that is put back makes nothing that was due wait, and nothing that came later go first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.clock import BEHIND_SECONDS_MAX, SteadyClock


class Set:
    """A clock that people set."""

    def __init__(self) -> None:
        self.wall, self.elapsed = 1_000_000.0, 5.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.elapsed

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds


def test_what_was_put_back_is_caught_up_with_at_half_the_pace() -> None:
    clock = Set()
    steady = SteadyClock(clock)
    assert (steady.now(), steady.monotonic()) == (1_000_000.0, 5.0)
    clock.wall -= 10.0
    assert steady.now() == 1_000_000.0
    clock.passes(4.0)
    assert steady.now() == 1_000_002.0
    for _ in range(14):
        clock.passes(1.0)
        steady.now()
    assert (steady.now(), clock.now()) == (1_000_009.0, 1_000_008.0)
    clock.passes(1.0)
    assert steady.now() == clock.now() == 1_000_009.0, "they meet"
    clock.passes(7.0)
    assert steady.now() == clock.now()
    clock.wall += 500.0
    assert steady.now() == clock.now()


@pytest.mark.parametrize(("back", "held"), [(BEHIND_SECONDS_MAX, True), (BEHIND_SECONDS_MAX + 0.5, False)])
def test_a_clock_that_was_wrong_by_far_is_let_go(back: float, held: bool) -> None:
    clock = Set()
    steady = SteadyClock(clock)
    steady.now()
    clock.wall -= back
    assert steady.now() == (1_000_000.0 if held else clock.now())


def test_a_new_process_goes_on_from_what_was_told_before() -> None:
    clock = Set()
    steady = SteadyClock(clock)
    steady.goes_on_from(1_000_008.0)
    steady.goes_on_from(1_000_000.0)
    clock.passes(2.0)
    assert steady.now() == 1_000_009.0, "and not before"
    for moment in (0.0, clock.now() + 0.1):
        other = SteadyClock(clock)
        other.goes_on_from(moment)
        assert other.now() == clock.now()


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(-100.0, 100.0)), max_size=30))
def test_it_never_goes_back_and_is_never_behind(steps: list[tuple[float, float]]) -> None:
    clock = Set()
    steady = SteadyClock(clock)
    last = steady.now()
    for passed, put in steps:
        clock.passes(passed)
        clock.wall += put
        now = steady.now()
        assert now >= last and now >= clock.now()
        assert now == clock.now() or now - last <= passed / 2 + 1e-6
        last = now
