"""The centre as it is, in virtual time, over connections without sockets."""

import asyncio
import itertools
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prikkfri.config import Account, Link, Sms
from prikkfri.journal import open_journal
from prikkfri.protocols.smpp.pdu import BindResponse, Command, ShortMessage, Status
from prikkfri.protocols.smpp.session import Limits, Request, SessionEnd, Side
from prikkfri.simulation.virtual.loop import VirtualLoop
from prikkfri.sms.server import Connection
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.timing import TIMING, Timing
from prikkfri.storage import Database, Location, open_database
from prikkfri.storage.sealing_keys import SealingKeysInMemory

SHOP = Account(system_id="shop", password="secret12", senders=("*",), throughput_per_second_max=1e6)


LATER = itertools.count()


class Cable(asyncio.Transport):
    """One end of a connection without a socket: what is written arrives at the other end a while later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        super().__init__()
        self.loop = loop
        self.seconds = seconds
        self.receiver: asyncio.Protocol | None = None
        self.closed = False
        self.under_way: deque[bytes] = deque()

    def write(self, data: Any) -> None:
        # Timers of one moment go off in any order: what is written later, over whichever cable, arrives a little later.
        self.under_way.append(bytes(data))
        self.loop.call_later(self.seconds + next(LATER) * 1e-8, self._arrives)

    def _arrives(self) -> None:
        data = self.under_way.popleft()
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

    def resume_reading(self) -> None:
        raise AssertionError("nobody has paused")

    def pause_reading(self) -> None:
        raise AssertionError("nobody is so slow here")


class CabledLoop(VirtualLoop):
    """Virtual time, and a partner at the other end of whatever is connected; its delay is drawn for each connection."""

    def __init__(self, opened: Callable[[str, Connection], None], seconds: Callable[[], float]) -> None:
        super().__init__(1_700_000_000.0)
        self.opened = opened
        self.seconds = seconds
        self.keys = SealingKeysInMemory()
        """Of the centre, whenever it is started."""

    async def create_connection(self, factory: Callable[[], Any], host: str, *_: Any, **__: Any) -> Any:
        there: Connection = Connection(Side.CENTRE, Limits(), self.clock, lambda each: self.opened(host, each))
        seconds = self.seconds()
        here, back = Cable(self, seconds), Cable(self, seconds)
        ours = factory()
        here.receiver, back.receiver = there, ours
        there.connection_made(back)
        ours.connection_made(here)
        return here, ours


def link(name: str = "nord", **changes: Any) -> Link:
    """Its partner sees its name as the host that it connects to."""
    plain = {"partner": "Fjordmobil", "port": 1, "system_id": "prikkfri", "password": "secret12", "prefixes": ("47",)}
    return Link(name=name, host=name, **{**plain, **changes})


class CabledPartner:
    """The other end of all connections: it lets everybody bind, and `take`s the messages that come."""

    def __init__(self, loop: CabledLoop) -> None:
        self.loop = loop
        self.taken = 0
        self.serving: list[asyncio.Task[None]] = []

    def opened(self, connection: Connection) -> None:
        self.serving.append(self.loop.create_task(self.serve(connection)))

    async def serve(self, connection: Connection) -> None:
        while True:
            for event in await connection.take(100):
                if isinstance(event, SessionEnd):
                    return
                if not isinstance(event, Request):
                    self.answered()
                elif isinstance(event.body, ShortMessage):
                    self.take(connection, event, event.body)
                elif event.command == Command.UNBIND:
                    connection.session.answer(event, Status.OK)
                else:
                    connection.session.answer(event, Status.OK, BindResponse("partner"))
            connection.flush()

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        raise NotImplementedError

    def answered(self) -> None:
        """The centre has answered something."""
        raise AssertionError("nothing was asked of it")


@asynccontextmanager
async def running_centre(
    loop: CabledLoop, home: Path, *links: Link, timing: Timing = TIMING, account: Account = SHOP
) -> AsyncIterator[tuple[SmsCentre, Database]]:
    database = await open_database(Location(home), "sms")
    centre = SmsCentre(
        database=database,
        journal=await open_journal(database, stream="sms", clock=loop.clock),
        settings=Sms(accounts=(account,), links=links),
        sealing_keys=loop.keys,
        clock=loop.clock,
        entropy=os.urandom,
        smpp_sockets=[],
        timing=timing,
    )
    running = loop.create_task(centre.run())
    try:
        yield centre, database
    finally:
        running.cancel()
        await asyncio.wait([running])
        await database.close()
