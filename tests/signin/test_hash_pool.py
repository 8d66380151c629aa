"""The line before the hash threads: measured, limited, two lanes, and empty of those who have left."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from prikkfri.signin.hash_pool import Hashed, HashPool, Overloaded

BuildPool = Callable[..., HashPool]


class Gate:
    """Work that takes as long as the test wants, and tells who was worked for."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.worked_for: list[object] = []

    def work(self, who: object) -> Callable[[], object]:
        def run() -> object:
            assert self.open.wait(10)
            self.worked_for.append(who)
            return who

        return run


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
async def build(gate: Gate) -> AsyncIterator[BuildPool]:
    pools: list[HashPool] = []

    def build(*, queue_seconds_max: float = 4.0, waiting_room: bool = True) -> HashPool:
        pools.append(HashPool(threads=1, queue_seconds_max=queue_seconds_max, waiting_room=waiting_room))
        return pools[-1]

    yield build
    gate.open.set()
    for pool in pools:
        pool.close()


async def start(pool: HashPool, gate: Gate, who: object, *, with_pass: bool = False) -> "asyncio.Task[object]":
    async def run() -> object:
        answer = await pool.run(gate.work(who), with_pass=with_pass)
        return answer.result if isinstance(answer, Hashed) else answer

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
    assert await pool.run(gate.work("next")) == Hashed("next")
    assert pool.load.running == 0


async def test_who_leaves_while_being_hashed_keeps_the_thread_until_it_is_done(build: BuildPool, gate: Gate) -> None:
    pool = build()
    first = await start(pool, gate, "first")
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert pool.load.running == 1
    second = await start(pool, gate, "second")
    gate.open.set()
    assert await second == "second"
    assert gate.worked_for == ["first", "second"]


async def test_the_line_is_limited_in_seconds_of_measured_work(build: BuildPool, gate: Gate) -> None:
    pool = build(queue_seconds_max=1.0)
    tasks = [await start(pool, gate, number, with_pass=True) for number in range(100)]
    hash_s = pool.load.hash_s
    refused = [task.result() for task in tasks if task.done()]
    assert len(refused) == 100 - 1 - round(1.0 / hash_s)  # one is being hashed
    assert all(isinstance(answer, Overloaded) and 1.0 < answer.retry_after_s < 1.2 for answer in refused)
    without = await pool.run(gate.work("no pass"))
    assert isinstance(without, Overloaded)
    gate.open.set()
    await asyncio.gather(*tasks)
    assert len(gate.worked_for) + len(refused) == 100


async def test_a_machine_that_stalls_is_told_before_any_hash_of_it_is_done(build: BuildPool, gate: Gate) -> None:
    pool = build()
    assert pool.wait_s() == 0.0
    tasks = [await start(pool, gate, number, with_pass=True) for number in range(2)]
    expected = pool.load.wait_s(with_pass=True)
    assert pool.wait_s() == expected
    while pool.wait_s() < 2 * expected:  # the one under way takes longer than the mean foretells
        await asyncio.sleep(0.01)
    assert pool.load.wait_s(with_pass=True) == expected
    gate.open.set()
    await asyncio.gather(*tasks)
    assert pool.wait_s() == 0.0
    # Two that were slow are no pause: whoever waits behind the next one is told so at once.
    gate.open.clear()
    for who in ("slow", "slower"):
        task = await start(pool, gate, who, with_pass=True)
        await asyncio.sleep(0.35)
        gate.open.set()
        await task
        gate.open.clear()
    tasks = [await start(pool, gate, number, with_pass=True) for number in range(3)]
    assert pool.wait_s() >= 0.9 > pool.load.wait_s(with_pass=True)
    gate.open.set()
    await asyncio.gather(*tasks)


async def test_without_a_pass_only_a_quarter_of_the_line_can_be_had(build: BuildPool, gate: Gate) -> None:
    for waiting_room, share in ((True, 0.25), (False, 1.0)):
        pool = build(waiting_room=waiting_room)
        tasks = [await start(pool, gate, number) for number in range(200)]
        assert pool.load.waiting_without == round(share * 4.0 / pool.load.hash_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_nobody_waits_for_ever_behind_those_with_a_pass(build: BuildPool, gate: Gate) -> None:
    pool = build(queue_seconds_max=0.2)
    first = await start(pool, gate, "first", with_pass=True)
    second = await start(pool, gate, "second")
    assert isinstance(await second, Overloaded)
    gate.open.set()
    assert await first == "first"
    assert pool.load.waiting_without == 0


async def test_what_work_raises_comes_out_and_frees_the_thread(build: BuildPool) -> None:
    pool = build()

    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await pool.run(fail)
    assert await pool.run(lambda: 1) == Hashed(1)
    assert pool.load.running == 0
