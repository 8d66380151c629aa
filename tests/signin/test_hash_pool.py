"""The line before the hash threads: measured, limited, two lanes, and empty of those who have left."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from unittest.mock import ANY

import pytest
from signin_house import SLOW_HASH_SECONDS, slowed
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.signin.hash_pool import HashPool, HashResult, Overload

BuildPool = Callable[..., HashPool]


class Gate:
    """Work that takes as long as the test wants, and tells who was worked for."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = 0
        self.worked_for: list[object] = []

    def work(self, who: object) -> Callable[[], object]:
        def run() -> object:
            self.begun += 1
            assert self.open.wait(60)
            self.worked_for.append(who)
            return who

        return run


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
async def build(gate: Gate, clock: ManualClock) -> AsyncIterator[BuildPool]:
    pools: list[HashPool] = []

    def build(*, queue_seconds_max: float = 4.0, waiting_room: bool = True) -> HashPool:
        pools.append(HashPool(threads=1, queue_seconds_max=queue_seconds_max, waiting_room=waiting_room, clock=clock))
        return pools[-1]

    yield build
    gate.open.set()
    for pool in pools:
        pool.close()


async def start(pool: HashPool, gate: Gate, who: object, *, with_pass: bool = False) -> "asyncio.Task[object]":
    async def run() -> object:
        answer = await pool.run(gate.work(who), with_pass=with_pass)
        return answer.result if isinstance(answer, HashResult) else answer

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    return task


async def test_those_with_a_pass_go_first_and_each_lane_in_order(build: BuildPool, gate: Gate) -> None:
    pool = build()
    order = [("a", False), ("b", False), ("c", True), ("d", False), ("e", True)]
    tasks = [await start(pool, gate, who, with_pass=with_pass) for who, with_pass in order]
    gate.open.set()
    assert await asyncio.gather(*tasks) == list("abcde")
    assert gate.worked_for == ["a", "c", "e", "b", "d"]
    assert pool.load.running == 0


async def test_nobody_is_hashed_who_has_left_and_their_place_is_free_at_once(build: BuildPool, gate: Gate) -> None:
    pool = build()
    tasks = [await start(pool, gate, number, with_pass=True) for number in range(50)]
    assert pool.load.waiting_with_pass == 49
    for task in tasks[1:48]:
        task.cancel()
    await asyncio.sleep(0)
    assert pool.load.waiting_with_pass == 2
    gate.open.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert gate.worked_for == [0, 48, 49]
    assert (pool.counters.hashes, pool.counters.left) == (3, 47)


async def test_who_is_called_and_leaves_in_the_same_moment_gives_the_thread_on(build: BuildPool, gate: Gate) -> None:
    pool = build()
    gate.open.set()
    task = asyncio.create_task(pool.run(gate.work("left")))
    await asyncio.sleep(0)  # it has its turn, and has not gone on yet
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await pool.run(gate.work("next")) == HashResult("next")
    assert pool.load.running == 0


async def test_whoever_leaves_in_the_moment_in_which_a_thread_is_free_is_not_hashed(
    build: BuildPool, gate: Gate
) -> None:
    pool = build()
    first, second, third = [await start(pool, gate, who, with_pass=True) for who in ("first", "second", "third")]
    gate.open.set()
    while gate.worked_for != ["first"]:  # the loop hears of it after this
        time.sleep(0.001)
    second.cancel()
    assert await asyncio.gather(first, second, third, return_exceptions=True) == [
        "first", ANY, "third",
    ]  # fmt: skip
    assert second.cancelled() and gate.worked_for == ["first", "third"]
    assert (pool.load.running, pool.counters.left) == (0, 1)


async def test_whoever_is_called_and_whoever_is_next_may_leave_at_once_and_no_thread_is_lost(
    build: BuildPool, gate: Gate
) -> None:
    pool = build()
    later = Gate()
    first = await start(pool, gate, "first", with_pass=True)
    second = await start(pool, later, "second", with_pass=True)
    third = await start(pool, gate, "third", with_pass=True)
    gate.open.set()
    await eventually(lambda: pool.load.waiting_with_pass == 1)  # the second is called
    second.cancel()
    third.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)
    later.open.set()
    assert await pool.run(gate.work("next"), with_pass=True) == HashResult("next")
    assert gate.worked_for == ["first", "next"]
    assert (pool.load.running, pool.counters.left) == (0, 2)


async def test_who_leaves_while_being_hashed_keeps_the_thread_until_it_is_done(build: BuildPool, gate: Gate) -> None:
    pool = build()
    first = await start(pool, gate, "first")
    await eventually(lambda: gate.begun)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert pool.load.running == 1
    second = await start(pool, gate, "second")
    gate.open.set()
    assert await second == "second"
    assert gate.worked_for == ["first", "second"]


async def test_the_line_is_limited_in_seconds_of_measured_work(
    build: BuildPool, gate: Gate, clock: ManualClock
) -> None:
    pool = build(queue_seconds_max=20.5 * SLOW_HASH_SECONDS)
    await slowed(pool, clock)
    tasks = [await start(pool, gate, number, with_pass=True) for number in range(100)]
    refused = [task.result() for task in tasks if task.done()]
    assert len(refused) == 100 - 1 - 20  # one is being hashed
    assert all(
        isinstance(answer, Overload) and round(answer.retry_after_s / SLOW_HASH_SECONDS) == 21 for answer in refused
    )
    without = await pool.run(gate.work("no pass"))
    assert isinstance(without, Overload)
    gate.open.set()
    await asyncio.gather(*tasks)
    assert len(gate.worked_for) + len(refused) == 100


async def test_a_machine_that_stalls_is_told_before_any_hash_of_it_is_done(
    build: BuildPool, gate: Gate, clock: ManualClock
) -> None:
    pool = build()
    assert pool.wait_s() == 0.0
    tasks = [await start(pool, gate, number, with_pass=True) for number in range(2)]
    await eventually(lambda: gate.begun)
    assert pool.wait_s() == pool.load.wait_s(with_pass=True) == pytest.approx(0.1)
    clock.advance(0.5)  # the one under way takes longer than the mean foretells
    assert pool.wait_s() == pytest.approx(1.0)
    assert pool.load.wait_s(with_pass=True) == pytest.approx(0.1)
    gate.open.set()
    await asyncio.gather(*tasks)
    assert pool.wait_s() == 0.0


@pytest.mark.parametrize(("last", "hash_s"), [((0.35, 0.4), 0.35), ((0.4, 0.35), 0.35), ((0.01, 0.4), None)])
async def test_two_hashes_that_were_slow_count_whole_and_one_is_a_pause(
    build: BuildPool, gate: Gate, clock: ManualClock, last: tuple[float, ...], hash_s: float | None
) -> None:
    pool = build()
    for seconds in (9.0, *last):
        await pool.run(lambda seconds=seconds: clock.advance(seconds))
    assert pool.counters.hash_seconds == pytest.approx(9.0 + sum(last))
    mean = pool.load.hash_s
    tasks = [await start(pool, gate, number, with_pass=True) for number in range(3)]
    assert pool.load.wait_s(with_pass=True) == 3 * mean < 0.9
    assert pool.wait_s() == pytest.approx(3 * (hash_s or mean))
    gate.open.set()
    await asyncio.gather(*tasks)


async def test_the_line_shortens_when_people_leave_it_early(build: BuildPool, gate: Gate, clock: ManualClock) -> None:
    pool = build()
    tasks = [await start(pool, gate, number, with_pass=True) for number in range(41)]
    clock.advance(0.5)
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert pool.counters.left == 40
    again = [await start(pool, gate, number, with_pass=True) for number in range(20)]
    assert [task.done() for task in again] == [False] * 5 + [True] * 15  # half of half a second, not four
    assert pool.counters.refused == 15
    clock.advance(60)
    assert pool.refusal(with_pass=True) is None  # whoever left early may have been of one kind
    gate.open.set()
    await asyncio.gather(*tasks[:1], *again)


async def test_without_a_number_of_threads_there_are_as_many_as_cores(clock: ManualClock) -> None:
    pool = HashPool(threads=0, queue_seconds_max=4.0, waiting_room=True, clock=clock)
    assert pool.load.threads == len(os.sched_getaffinity(0))
    pool.close()


async def test_without_a_pass_only_a_quarter_of_the_line_can_be_had(build: BuildPool, gate: Gate) -> None:
    for waiting_room, share in ((True, 0.25), (False, 1.0)):
        pool = build(waiting_room=waiting_room)
        tasks = [await start(pool, gate, number) for number in range(200)]
        assert pool.load.waiting_without == round(share * 4.0 / pool.load.hash_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_nobody_waits_for_ever_behind_those_with_a_pass(build: BuildPool, gate: Gate) -> None:
    pool = build(queue_seconds_max=0.01)
    first = await start(pool, gate, "first", with_pass=True)
    second = await start(pool, gate, "second")
    answer = await asyncio.wait_for(second, 30)
    assert isinstance(answer, Overload) and answer.retry_after_s > 0
    assert (pool.counters.refused, pool.counters.left) == (1, 0)
    gate.open.set()
    assert await first == "first"
    assert pool.load.waiting_without == 0


async def test_what_work_raises_comes_out_and_frees_the_thread(build: BuildPool) -> None:
    pool = build()

    def fail() -> None:
        raise LookupError

    failing, behind = asyncio.create_task(pool.run(fail)), asyncio.create_task(pool.run(lambda: 1))
    with pytest.raises(LookupError):
        await failing
    assert await behind == HashResult(1)
    assert (pool.load.running, pool.counters.hashes) == (0, 1)
