"""A partner that takes few messages a second, from the front door to the wire: the centre as it is, in virtual time."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cables import SHOP, CabledLoop, CabledPartner, link, running_centre

from prikkfri.protocols.smpp.pdu import BindResponse, MessageResponse, ShortMessage, Status
from prikkfri.protocols.smpp.session import Request
from prikkfri.sms.pace import PAUSE_SECONDS
from prikkfri.sms.server import Connection
from prikkfri.sms.submission import TokenBucket
from prikkfri.sms.timing import TIMING

PER_SECOND = 20.0
ROUND_TRIP_SECONDS = 0.05


class Partner(CabledPartner):
    """Takes `PER_SECOND`, a second's worth at once, and says of the others that they come too fast."""

    def __init__(self, loop: CabledLoop) -> None:
        super().__init__(loop)
        self.bucket = TokenBucket(PER_SECOND, loop.time())
        self.refused = 0

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        if (left := self.bucket.take(PER_SECOND, self.loop.time())) is None:
            self.refused += 1
            connection.session.answer(request, Status.THROTTLED, MessageResponse())
        else:
            self.bucket = left
            self.taken += 1
            connection.session.answer(request, Status.OK, MessageResponse(f"net-{self.taken}"))


async def carry(
    loop: CabledLoop, partner: Partner, home: Path, messages: int, rate: float
) -> tuple[float, dict[Any, int]]:
    """Hands all in; the seconds until all are taken, and how often they were tried."""
    async with running_centre(loop, home, link(throughput_per_second_max=rate)) as (centre, database):
        for _ in range(messages // 200):
            await asyncio.gather(*(centre.submit(SHOP, "Shop", "4790000001", "hei") for _ in range(200)))
        while partner.taken < messages and loop.time() < 200.0:
            await asyncio.sleep(0.5)
        took = loop.time()
        await asyncio.sleep(1.0)
        tried = await database.read(
            lambda queries: queries.fetch("SELECT state || attempts, COUNT(*) FROM sms_message GROUP BY 1")
        )
        return took, dict(tried)


def run(folder: Path, messages: int, rate: float) -> tuple[float, int]:
    """The seconds until all are taken, and how many were refused."""
    loop = CabledLoop(lambda _, connection: partner.opened(connection), lambda: ROUND_TRIP_SECONDS / 2)
    partner = Partner(loop)
    try:
        took, tried = loop.run_until_complete(carry(loop, partner, folder, messages, rate))
    finally:
        loop.close()
    assert tried == {"sent1": messages}  # a refusal of what came too fast is no attempt
    return took, partner.refused


def test_a_partner_that_takes_twenty_a_second_is_sent_about_twenty_a_second(folder: Path) -> None:
    took, refused = run(folder, 400, 0.0)
    assert 18.0 < took <= 24.0
    assert refused <= 60  # the window that was on its way at first, and what shows where the limit is


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "refused_max", "seconds_max"), [(0.0, 120, 110.0), (PER_SECOND, 0, 102.0)])
def test_two_thousand_messages_to_a_partner_that_takes_twenty_a_second(
    folder: Path, rate: float, refused_max: int, seconds_max: float
) -> None:
    took, refused = run(folder, 2_000, rate)
    assert 98.0 < took <= seconds_max
    assert refused <= refused_max


class SlowDiskLoop(CabledLoop):
    """What another thread does takes a while, such as each COMMIT."""

    def run_in_executor(self, executor: Any, function: Any, *arguments: Any) -> Any:
        future: asyncio.Future[Any] = self.create_future()
        self.call_later(0.3, lambda: super(SlowDiskLoop, self).run_in_executor(executor, function, *arguments)
                        .add_done_callback(lambda done: future.set_result(done.result())))  # fmt: skip
        return future


class OddPartner(Partner):
    """Takes its time, and says of each third message that it comes too fast."""

    def __init__(self, loop: CabledLoop) -> None:
        super().__init__(loop)
        self.chance = random.Random(1)
        self.came: list[tuple[float, str]] = []
        self.throttled_at: list[float] = []

    async def serve(self, connection: Connection) -> None:
        while True:
            for event in await connection.take(1):
                if isinstance(event, Request) and isinstance(event.body, ShortMessage):
                    self.came.append((self.loop.time(), event.body.destination))
                    await asyncio.sleep(self.chance.uniform(0.0, 0.6))
                    is_third = len(self.came) % 3 == 1
                    if is_third:
                        self.throttled_at.append(self.loop.time())
                    status = Status.THROTTLED if is_third else Status.OK
                    connection.session.answer(event, status, MessageResponse(f"net-{len(self.came)}"))
                elif isinstance(event, Request):
                    connection.session.answer(event, Status.OK, BindResponse("partner"))
                else:
                    return
            connection.flush()


def test_what_is_being_claimed_when_a_link_is_told_to_slow_down_waits_for_it_too(folder: Path) -> None:
    """A claim takes as long as a COMMIT does: what is claimed by the time that the pause begins is not to leave."""
    loop = SlowDiskLoop(lambda _, connection: partner.opened(connection), lambda: ROUND_TRIP_SECONDS / 2)
    partner = OddPartner(loop)
    recipients = [f"4790000{number:03d}" for number in range(24)]

    async def work() -> None:
        often = replace(TIMING, look_seconds=0.05)
        async with running_centre(loop, folder, link(window=1), timing=often) as (centre, _):
            await asyncio.sleep(5.0)
            await asyncio.gather(*(centre.submit(SHOP, "Shop", each, "hei") for each in recipients))
            while len(partner.came) < 36:
                await asyncio.sleep(0.5)
                assert loop.time() < 300.0

    try:
        loop.run_until_complete(work())
    finally:
        loop.close()
    for throttled_at in partner.throttled_at:
        assert min(at for at, _ in partner.came if at > throttled_at) >= throttled_at + PAUSE_SECONDS
    assert list(dict.fromkeys(to for _, to in partner.came)) == recipients
