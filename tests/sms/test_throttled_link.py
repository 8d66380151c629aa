"""A partner that takes few messages a second, from the front door to the wire: the centre as it is, in virtual time."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prikkfri.config import Account, Link, Sms
from prikkfri.journal import open_journal
from prikkfri.protocols.smpp.pdu import BindAnswer, Command, MessageAnswer, ShortMessage, Status
from prikkfri.protocols.smpp.session import Ended, Limits, Request, Side
from prikkfri.simulation.evenings.virtual import VirtualLoop
from prikkfri.sms.server import Connection
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.submission import Bucket
from prikkfri.storage import Location, open_database
from prikkfri.storage.sealing_keys import SealingKeysInMemory

PER_SECOND = 20.0
ROUND_TRIP_SECONDS = 0.05
SHOP = Account(system_id="shop", password="secret12", senders=("*",), throughput_per_second_max=1e6)


class Cable(asyncio.Transport):
    """One end of a connection without a socket: what is written arrives at the other end a while later."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.receiver: asyncio.Protocol | None = None
        self.closed = False

    def write(self, data: Any) -> None:
        self.loop.call_later(ROUND_TRIP_SECONDS / 2, self._arrives, bytes(data))

    def _arrives(self, data: bytes) -> None:
        if self.receiver is not None and not self.closed:
            self.receiver.data_received(data)

    def close(self) -> None:
        if not self.closed and self.receiver is not None:
            self.loop.call_soon(self.receiver.connection_lost, None)
        self.closed = True

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        raise AssertionError("nobody is so slow here")


class Partner:
    """Takes `PER_SECOND`, a second's worth at once, and says of the others that they come too fast."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.bucket = Bucket(PER_SECOND, loop.time())
        self.taken = self.refused = 0
        self.serving: list[asyncio.Task[None]] = []

    def opened(self, connection: Connection) -> None:
        self.serving.append(self.loop.create_task(self.serve(connection)))

    async def serve(self, connection: Connection) -> None:
        while True:
            for event in await connection.take(100):
                if isinstance(event, Ended):
                    return
                assert isinstance(event, Request)
                if isinstance(event.body, ShortMessage):
                    self.answer(connection, event)
                elif event.command == Command.UNBIND:
                    connection.session.answer(event, Status.OK)
                else:
                    connection.session.answer(event, Status.OK, BindAnswer("partner"))
            connection.flush()

    def answer(self, connection: Connection, request: Request) -> None:
        if (left := self.bucket.take(PER_SECOND, self.loop.time())) is None:
            self.refused += 1
            connection.session.answer(request, Status.THROTTLED, MessageAnswer())
        else:
            self.bucket = left
            self.taken += 1
            connection.session.answer(request, Status.OK, MessageAnswer(f"net-{self.taken}"))


class CabledLoop(VirtualLoop):
    """Virtual time, and one partner at the other end of whatever is connected."""

    def __init__(self) -> None:
        super().__init__(1_700_000_000.0)
        self.partner = Partner(self)

    async def create_connection(self, factory: Callable[[], Any], *_: Any, **__: Any) -> Any:
        there: Connection = Connection(Side.CENTRE, Limits(), self.clock, self.partner.opened)
        here, back = Cable(self), Cable(self)
        ours = factory()
        here.receiver, back.receiver = there, ours
        there.connection_made(back)
        ours.connection_made(here)
        return here, ours


async def carry(loop: CabledLoop, home: Path, messages: int, rate: float) -> tuple[float, dict[Any, int]]:
    """Hands all in; the seconds until all are taken, and how often they were tried."""
    link = Link(
        name="nord", partner="Fjordmobil", host="h", port=1, system_id="prikkfri", password="secret12",
        prefixes=("47",), throughput_per_second_max=rate,
    )  # fmt: skip
    database = await open_database(Location(home), "sms")
    centre = SmsCentre(
        database=database,
        journal=await open_journal(database, stream="sms", clock=loop.clock),
        settings=Sms(accounts=(SHOP,), links=(link,)),
        sealing_keys=SealingKeysInMemory(),
        clock=loop.clock,
        entropy=os.urandom,
        smpp_sockets=[],
    )
    running = loop.create_task(centre.run())
    try:
        for _ in range(messages // 200):
            await asyncio.gather(*(centre.submit(SHOP, "Shop", "4790000001", "hei") for _ in range(200)))
        while loop.partner.taken < messages and loop.time() < 200.0:
            await asyncio.sleep(0.5)
        took = loop.time()
        await asyncio.sleep(1.0)
        tried = await database.read(
            lambda queries: queries.fetch("SELECT state || attempts, COUNT(*) FROM sms_message GROUP BY 1")
        )
        return took, dict(tried)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await database.close()


def run(folder: Path, messages: int, rate: float) -> tuple[float, int]:
    """The seconds until all are taken, and how many were refused."""
    loop = CabledLoop()
    try:
        took, tried = loop.run_until_complete(carry(loop, folder, messages, rate))
    finally:
        loop.close()
    assert tried == {"sent1": messages}  # a refusal of what came too fast is no attempt
    return took, loop.partner.refused


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: thousands of commits are not what is tried here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as found:
        yield Path(found)


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
