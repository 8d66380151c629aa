"""Beyond capacity, over real HTTP: the work goes on, and all of it is for people who are still there."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from signin_crowd import crowd
from signin_house import BuildHouse, House
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.app.serving import serve
from prikkfri.clock import SystemClock
from prikkfri.config import Door, Signin
from prikkfri.protocols import guessing
from prikkfri.signin.limits import Limits

pytestmark = pytest.mark.slow

TIMES_CAPACITY = 3.0
PATIENCE_HASHES = 25
"""People wait for so many hashes at the least: on a busy machine longer than the second that is theirs at rest."""
CROWD_OF_ONE_LOGIN = Limits(
    guesses=guessing.Limits(name_and_network=guessing.Limit(10_000, 300), name=guessing.Limit(10_000, 300))
)
"""Here one login stands for many: how it may be guessed at is not the subject."""


@dataclass
class Served:
    house: House
    port: int


@pytest.fixture
async def served(build_house: BuildHouse) -> AsyncIterator[Served]:
    """With a line far longer than people's patience, so that it is full of people who leave."""
    house = await build_house(
        Signin(hash_queue_seconds_max=6.0),
        door=Door(waiting_room="off"),
        service_clock=SystemClock(),
        limits=CROWD_OF_ONE_LOGIN,
    )
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(4_096)
    listening.setblocking(False)
    serving = asyncio.create_task(serve(house.application, [listening]))
    await house.service.measure()
    yield Served(house, listening.getsockname()[1])
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def test_at_three_times_capacity_the_hashes_are_for_people_who_are_still_there(served: Served) -> None:
    pool = served.house.service.pool
    patience_s = max(1.0, PATIENCE_HASHES / pool.load.per_second)

    async def come(patiences: float, first: int) -> Counter[str]:
        return await crowd(
            served.port,
            first=first,
            per_second=lambda: TIMES_CAPACITY * pool.load.per_second,  # also when the machine has become quiet
            seconds=patiences * patience_s,
            patience_s=patience_s,
        )

    learning = await come(3, 0)  # so far nobody knew how patient people are
    await eventually(lambda: not pool.load.running)
    hashes, kept = pool.counters.hashes, len(await served.house.journalled())
    answers = await come(4, 100_000)
    await eventually(lambda: not pool.load.running)
    hashes = pool.counters.hashes - hashes
    assert set(answers) <= {"200", "503", "left"}
    assert answers["503"] > 0 and answers["200"] > 0
    assert answers["200"] >= 0.6 * hashes  # 0.9 on a machine at rest; 0.1 with a line as long as it is allowed
    assert pool.load.waiting_without == 0

    outcomes = await served.house.journalled()
    assert len(outcomes) - kept >= answers["200"]
    assert len({outcome.device for outcome in outcomes}) == len(outcomes)
    refused = [outcome for outcome in served.house.recorded if outcome.reason == "overloaded"]
    assert len(refused) >= answers["503"] + learning["503"]  # some left while their refusal was on its way
    assert {outcome.reason for outcome in served.house.recorded} <= {"overloaded", "abandoned", "undelivered"}

    quiet = pool.load.per_second / 4
    afterwards = await crowd(
        served.port, first=200_000, per_second=lambda: quiet, seconds=4.5 / quiet, patience_s=WAIT_SECONDS_MAX
    )
    assert afterwards == {"200": 5}  # the crowd has left nothing behind
