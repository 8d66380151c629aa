"""Under pressure sessions go to the disk together: a few of them, after a moment, and nobody for nothing."""

import asyncio
import threading

import pytest
from signin_house import DEVICE, PASSWORD, BuildHouse, House
from waiting import eventually

from prikkfri.config import Signin
from prikkfri.signin.limits import Limits
from prikkfri.signin.service import Attempt, Refused, SignedIn

FOR_EVER = 60.0


class OneByOne:
    """Passwords that are compared when the test says so, one at each word."""

    def __init__(self) -> None:
        self._words = threading.Semaphore(0)

    def __call__(self, password: str, password_hash: str) -> bool:
        assert self._words.acquire(timeout=60)
        return password == PASSWORD

    def go_on(self, count: int = 1) -> None:
        self._words.release(count)


@pytest.fixture
def compared() -> OneByOne:
    return OneByOne()


async def begun(house: House, count: int, compared: OneByOne) -> list["asyncio.Task[SignedIn | Refused]"]:
    """So many people, one after the other: the first is being hashed, the others wait."""
    attempt = Attempt("kari@example.no", PASSWORD, DEVICE, "127.0.0.1", "computer")
    tasks: list[asyncio.Task[SignedIn | Refused]] = []

    def in_line() -> int:
        load = house.service.pool.load
        return load.running + load.waiting_without

    for _ in range(count):  # what is read for several at once comes in any order
        tasks.append(asyncio.create_task(house.service.sign_in(attempt)))
        await eventually(lambda: in_line() == len(tasks))
    return tasks


async def test_three_share_a_transaction_and_the_last_waits_for_nobody(
    build_house: BuildHouse, compared: OneByOne
) -> None:
    house = await build_house(
        Signin(hash_threads=1, hash_queue_seconds_max=FOR_EVER),
        matches=compared,
        limits=Limits(gathered_seconds=FOR_EVER),
    )
    tasks = await begun(house, 5, compared)
    groups, works = house.database.counters.groups, house.database.counters.works
    compared.go_on(2)
    await eventually(lambda: house.service.gathering == 2)
    assert not any(task.done() for task in tasks)
    compared.go_on(1)
    assert all(isinstance(answer, SignedIn) for answer in await asyncio.gather(*tasks[:3]))
    assert (house.database.counters.groups - groups, house.database.counters.works - works) == (1, 3)
    compared.go_on(1)  # behind it one is hashed, and nobody waits
    assert isinstance(await tasks[3], SignedIn)
    compared.go_on(1)
    assert isinstance(await tasks[4], SignedIn)
    assert [outcome.verdict for outcome in await house.journalled()] == ["kept"] * 5


async def test_whoever_gathered_goes_on_with_the_first_who_finds_no_pressure(
    build_house: BuildHouse, compared: OneByOne
) -> None:
    house = await build_house(
        Signin(hash_threads=1, hash_queue_seconds_max=FOR_EVER),
        matches=compared,
        limits=Limits(gathered_seconds=FOR_EVER),
    )
    tasks = await begun(house, 3, compared)
    groups = house.database.counters.groups
    compared.go_on(1)
    await eventually(lambda: house.service.gathering == 1)
    compared.go_on(1)
    assert all(isinstance(answer, SignedIn) for answer in await asyncio.gather(*tasks[:2]))
    assert house.database.counters.groups - groups == 1 and house.service.gathering == 0
    compared.go_on(1)
    await tasks[2]


async def test_nobody_waits_longer_for_others_than_a_moment(build_house: BuildHouse, compared: OneByOne) -> None:
    house = await build_house(
        Signin(hash_threads=1, hash_queue_seconds_max=FOR_EVER), matches=compared, limits=Limits(gathered_seconds=0.2)
    )
    tasks = await begun(house, 3, compared)
    compared.go_on(1)
    assert isinstance(await asyncio.wait_for(tasks[0], FOR_EVER), SignedIn)
    assert not tasks[1].done()
    compared.go_on(2)
    await asyncio.gather(*tasks)


async def test_whoever_leaves_while_they_gather_opens_no_session_and_holds_nobody_up(
    build_house: BuildHouse, compared: OneByOne
) -> None:
    house = await build_house(
        Signin(hash_threads=1, hash_queue_seconds_max=FOR_EVER),
        matches=compared,
        limits=Limits(gathered_seconds=FOR_EVER),
    )
    tasks = await begun(house, 5, compared)
    works = house.database.counters.works
    compared.go_on(1)
    await eventually(lambda: house.service.gathering == 1)
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    assert house.service.gathering == 0
    assert [(outcome.verdict, outcome.reason) for outcome in house.recorded] == [("broken", "undelivered")]
    compared.go_on(3)
    assert all(isinstance(answer, SignedIn) for answer in await asyncio.gather(*tasks[1:4]))
    assert house.database.counters.works - works == 3
    compared.go_on(1)
    await tasks[4]
