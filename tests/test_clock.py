"""A clock that is put back makes nothing that was due wait, and nothing that came later go first."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.clock import BEHIND_SECONDS_MAX, Clock, LoopWaits, ManualClock, SteadyClock, SystemClock


class Set(LoopWaits):
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


def test_a_machine_that_takes_today_for_the_first_of_january_1970_is_believed_until_it_knows_better() -> None:
    clock = Set()
    clock.wall = 0.25
    steady = SteadyClock(clock)
    assert steady.now() == 0.25
    clock.wall = 1_000_000.0
    assert steady.now() == 1_000_000.0


def test_a_clock_that_moves_when_told_to_moves_both_its_hands_and_no_further() -> None:
    clock = ManualClock(100.0)
    assert (clock.now(), clock.monotonic()) == (100.0, 0.0)
    for seconds in (2.5, 0.0, 4.0):
        clock.advance(seconds)
    assert (clock.now(), clock.monotonic()) == (106.5, 6.5)


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


class Noted(Set):
    """Notes what is waited for by it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, float | None]] = []

    async def sleep(self, seconds: float) -> None:
        self.asked.append(("sleep", seconds))
        await super().sleep(0)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        self.asked.append(("timeout", seconds))
        return super().timeout(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        self.asked.append(("call_later", seconds))
        return super().call_later(0, callback)


@pytest.mark.parametrize("steady", [False, True])
async def test_what_waits_waits_by_the_clock_that_it_was_given(steady: bool) -> None:
    noted = Noted()
    clock: Clock = SteadyClock(noted) if steady else noted
    called = asyncio.Event()
    await clock.sleep(3_600.0)
    clock.call_later(7_200.0, called.set)
    async with clock.timeout(None):
        await called.wait()
    with pytest.raises(TimeoutError):
        async with clock.timeout(0.0):
            await asyncio.Event().wait()
    assert noted.asked == [("sleep", 3_600.0), ("call_later", 7_200.0), ("timeout", None), ("timeout", 0.0)]


async def test_the_systems_clock_waits_by_the_loop() -> None:
    loop, clock, called = asyncio.get_running_loop(), SystemClock(), asyncio.Event()
    handle = clock.call_later(0.01, called.set)
    assert loop.time() < handle.when() <= loop.time() + 0.01
    await asyncio.gather(clock.sleep(0.001), called.wait())
