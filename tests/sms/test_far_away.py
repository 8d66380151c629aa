"""A network a tenth of a second away: what a link carries is its windows by the round trip, and no less."""

import asyncio
from pathlib import Path

import pytest
from cables import SHOP, CabledLoop, link, running_centre

from prikkfri.protocols.smpp.pdu import BindResponse, Command, MessageResponse, ShortMessage, Status, encode_body
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, receipt_message
from prikkfri.protocols.smpp.session import Request, SessionEnd
from prikkfri.sms.server import Connection

ONE_WAY_SECONDS = 0.05
MESSAGES = 800


class Network:
    """Takes all at once, and tells with each answer that its message was delivered."""

    def __init__(self, loop: CabledLoop) -> None:
        self.loop = loop
        self.came_at: list[float] = []
        self.bound = 0
        self.serving: list[asyncio.Task[None]] = []

    def opened(self, connection: Connection) -> None:
        self.serving.append(self.loop.create_task(self.serve(connection)))

    async def serve(self, connection: Connection) -> None:
        session, receipts = connection.session, list[bytes]()
        while True:
            for event in await connection.take(1_000):
                match event:
                    case Request(body=ShortMessage() as message):
                        self.came_at.append(self.loop.time())
                        identity = f"{1_000_000 + len(self.came_at)}"
                        session.answer(event, Status.OK, MessageResponse(identity))
                        told = Receipt(identity, MessageState.DELIVERED)
                        receipts.append(encode_body(receipt_message(told, message, submitted=0.0, done=0.0)))
                    case Request(command=Command.UNBIND):
                        session.answer(event, Status.OK)
                    case Request():
                        self.bound += 1
                        session.answer(event, Status.OK, BindResponse("network"))
                    case SessionEnd():
                        return
            while receipts and session.window_room:
                session.ask(Command.DELIVER_SM, receipts.pop(0), None, self.loop.time())
            connection.flush()


@pytest.mark.parametrize(("binds", "window"), [(4, 50), (2, 100)])
def test_a_link_of_a_round_trip_of_100_ms_carries_2000_a_second_in_windows_of_200(
    folder: Path, binds: int, window: int
) -> None:
    """In virtual time, in which work takes none: what is told here is that nothing but the windows is waited for."""
    loop = CabledLoop(lambda _, connection: network.opened(connection), lambda: ONE_WAY_SECONDS)
    network = Network(loop)

    async def work() -> float:
        async with running_centre(loop, folder, link(binds=binds, window=window)) as (centre, _):
            await asyncio.sleep(1.0)
            assert network.bound == binds
            began = loop.time()
            await asyncio.gather(
                *(centre.submit(SHOP, "Shop", f"+4790{number:06d}", "hei") for number in range(MESSAGES))
            )
            while centre.counters()["messages_delivered_total"] < MESSAGES:
                await asyncio.sleep(0.05)
                assert loop.time() < began + 10.0
            return began

    try:
        began = loop.run_until_complete(work())
        for task in network.serving:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*network.serving, return_exceptions=True))
    finally:
        loop.close()
    assert len(network.came_at) == MESSAGES
    # The last window leaves when all before it are answered: of 2,000 a second, less the way of the first one.
    assert network.came_at[-1] - began <= MESSAGES / 2_000 - ONE_WAY_SECONDS + 0.002
