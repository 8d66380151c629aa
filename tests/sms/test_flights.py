"""How canaries fly while what they are stored in is slow."""

import asyncio
import contextlib
from typing import Any

import pytest
from waiting import eventually

from prikkfri.clock import SystemClock
from prikkfri.config import Canary, Link, Sms
from prikkfri.errors import FencedOut, StorageUnavailable
from prikkfri.sms.canaries.flights.service import Flights
from prikkfri.sms.canaries.shared.service import CanaryState
from prikkfri.sms.timing import TIMING
from prikkfri.sms.trust.routes import Trust

PHONES = [f"+479000080{number}" for number in range(4)]
NORD = Link(name="nord", partner="Nordtel", host="h", port=1, system_id="s", password="p", prefixes=())
SETTINGS = Sms(
    links=(NORD,), canaries=tuple(Canary(msisdn=phone, link="nord") for phone in PHONES), canary_seconds=0.001
)


class SlowCentre:
    """Stores one canary each time that it is told to; the others wait for that."""

    holds = False

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.most = 0
        self.stored: list[str] = []
        self.error: Exception | None = None
        self._stores = asyncio.Semaphore(0)

    async def send_canary(self, link: str, phone: str, text: str, **_: object) -> None:
        self.waiting.append(phone)
        self.most = max(self.most, len(self.waiting))
        await self._stores.acquire()
        self.waiting.remove(phone)
        if self.error is not None:
            raise self.error
        self.stored.append(phone)

    def store(self) -> None:
        self._stores.release()


def canaries(centre: SlowCentre, trust: Trust) -> CanaryState:
    state = CanaryState(centre, None, None, SETTINGS, SystemClock(), bytes, TIMING)  # type: ignore[arg-type]
    state.trust["nord"] = trust
    return state


@contextlib.asynccontextmanager
async def flying(state: CanaryState) -> Any:
    task = asyncio.create_task(Flights(state).keep("nord"))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_of_a_route_that_is_looked_at_closely_each_phone_has_one_on_its_way_however_slow_storing_is() -> None:
    centre = SlowCentre()
    async with flying(canaries(centre, Trust(condemned=True, proof=1.0))):
        await eventually(lambda: len(centre.waiting) == len(PHONES))
        assert len(set(centre.waiting)) == len(PHONES)
        for stored in range(1, 10):
            centre.store()
            await eventually(lambda stored=stored: len(centre.stored) == stored and len(centre.waiting) == len(PHONES))
        assert centre.most == len(PHONES)  # no phone has more


async def test_of_a_route_of_which_nothing_is_suspected_one_waits_for_the_other() -> None:
    centre = SlowCentre()
    async with flying(canaries(centre, Trust())):
        for stored in range(1, 10):
            await eventually(lambda: len(centre.waiting) == 1)
            centre.store()
            await eventually(lambda stored=stored: len(centre.stored) == stored)
        assert centre.most == 1


@pytest.mark.parametrize("trust", [Trust(), Trust(condemned=True, proof=1.0)])
async def test_what_cannot_be_stored_ends_nothing_and_what_is_fatal_ends_all(trust: Trust) -> None:
    centre = SlowCentre()
    centre.error = StorageUnavailable("away")
    async with flying(canaries(centre, trust)) as task:
        for _ in range(6):
            await eventually(lambda: centre.waiting)
            centre.store()
        assert not task.done()
        centre.error = FencedOut("another process is sms now")
        await eventually(lambda: centre.waiting)
        for _ in PHONES:
            centre.store()
        await eventually(task.done)
        with pytest.raises(ExceptionGroup) as ended:
            task.result()
        assert ended.value.split(FencedOut)[1] is None
