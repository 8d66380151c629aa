"""Both ends of a benchmark of the message centre: accounts that submit, and a network that takes and tells.

They do as little as they can beside writing the ledger, since they share a core.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from prikkfri.clock import SystemClock
from prikkfri.errors import PrikkfriError
from prikkfri.protocols.smpp.pdu import (
    Bind,
    BindResponse,
    Command,
    MessageResponse,
    ShortMessage,
    Status,
    encode_body,
)
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, parse_receipt, receipt_message
from prikkfri.protocols.smpp.session import Limits, PeerResponse, Request, SessionEnd, Side
from prikkfri.simulation.bench.sms_ledger import Ledger, phone_of, words_of
from prikkfri.sms.server import Connection

PASSWORD = "bench123"  # noqa: S105
EVENTS_AT_ONCE = 1_000
STILL_SECONDS_MAX = 15.0
"""Nothing has come for so long: what has not come by then is lost."""
TICK_SECONDS = 0.002
Taken = Callable[[Ledger, str, str], None]


def account_name(number: int) -> str:
    return f"bench-{number}"


def written_down(ledger: Ledger, phone: str, words: str) -> None:
    """What a network does with a message that it has taken."""
    ledger.arrive(phone, words)


class Sink:
    """A network that takes every message, and tells with the answer that it was delivered, unless nobody wants it."""

    def __init__(self, ledger: Ledger, *, window: int, taken: Taken = written_down) -> None:
        self._ledger = ledger
        self._limits = Limits(window=window)
        self._taken = taken
        self._ids = count(1_000_000)  # as long as real ones: of few digits it is not clear to which base they are
        self._tasks = set[asyncio.Task[None]]()
        self._connections: list[Connection] = []
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> None:
        loop = asyncio.get_running_loop()

        def opened(connection: Connection) -> None:
            self._connections.append(connection)
            self._tasks.add(loop.create_task(self._serve(connection)))

        self._server = await loop.create_server(
            lambda: Connection(Side.CENTRE, self._limits, SystemClock(), opened), "127.0.0.1", port
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._connections:
            connection.close("the network is gone")

    async def _serve(self, connection: Connection) -> None:
        session, waiting = connection.session, deque[bytes]()
        while True:
            for event in await connection.take(EVENTS_AT_ONCE):
                match event:
                    case Request(body=Bind()):
                        session.answer(event, Status.OK, BindResponse("bench"))
                    case Request(body=ShortMessage() as message):
                        identity = str(next(self._ids))
                        self._taken(self._ledger, message.destination.lstrip("+"), message.octets.decode("latin-1"))
                        session.answer(event, Status.OK, MessageResponse(identity))
                        if message.registered_delivery & 1 and self._ledger.receipts:
                            receipt = Receipt(identity, MessageState.DELIVERED)
                            waiting.append(encode_body(receipt_message(receipt, message, submitted=0.0, done=0.0)))
                    case Request(command=Command.UNBIND):
                        session.answer(event, Status.OK)
                    case SessionEnd():
                        return
            while waiting and session.window_room:
                session.ask(Command.DELIVER_SM, waiting.popleft(), None, 0.0)
            connection.flush()


@dataclass
class Sender:
    """Accounts with several binds; what is due leaves as soon as a window has room."""

    ledger: Ledger
    port: int
    accounts: int
    binds: int
    window: int
    late_s: list[float] = field(default_factory=list)
    """From when a message was due until its answer came; of those that were sent at a pace."""
    _bound: list[tuple[int, Connection]] = field(default_factory=list)
    _due: list[deque[float]] = field(default_factory=list)
    """By account: when each message that has not left was due; 0: whenever there is room."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def bind(self) -> None:
        """Raises `PrikkfriError` when the centre lets nobody in."""
        loop, limits = asyncio.get_running_loop(), Limits(window=self.window)
        self._due = [deque() for _ in range(self.accounts)]
        for number in range(self.binds):
            account = number % self.accounts
            connection: Connection = Connection(Side.ESME, limits, SystemClock(), lambda _: None)
            await loop.create_connection(lambda c=connection: c, "127.0.0.1", self.port)  # type: ignore[misc]
            connection.session.bind(Command.BIND_TRANSCEIVER, Bind(account_name(account), PASSWORD), 0.0)
            connection.flush()
            [first] = await connection.take(1)
            if not isinstance(first, PeerResponse) or first.status != Status.OK:
                raise PrikkfriError(f"the centre does not let {account_name(account)} in: {first}")
            self._bound.append((account, connection))
            self._tasks.append(asyncio.create_task(self._read(account, connection)))

    async def send(self, messages: int) -> None:
        """So many, as fast as the windows allow; returns when all have ended, or nothing comes any more."""
        for number in range(messages):
            self._due[number % self.accounts].append(0.0)
        for account, connection in self._bound:
            self._fill(account, connection)
        await self._until_settled()

    def hand_in(self, account: int, messages: int) -> None:
        """So many of one account, as fast as its windows allow; returns at once."""
        self._due[account].extend([0.0] * messages)
        for owner, connection in self._bound:
            if owner == account:
                self._fill(account, connection)

    async def send_at(self, messages: int, per_second: float) -> None:
        """So many at a pace, whatever the answers take."""
        began, sent = time.perf_counter(), 0
        while sent < messages:
            await asyncio.sleep(TICK_SECONDS)
            due = min(int((time.perf_counter() - began) * per_second), messages)
            for number in range(sent, due):
                self._due[number % self.accounts].append(began + number / per_second)
            sent = due
            for account, connection in self._bound:
                self._fill(account, connection)
        await self._until_settled()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, connection in self._bound:
            connection.close("done")

    async def _until_settled(self) -> None:
        moves, since = -1, 0.0
        while any(self._due) or not self.ledger.settled:
            if ended := next((task for task in self._tasks if task.done()), None):
                ended.result()
            if moves != self.ledger.moves:
                moves, since = self.ledger.moves, time.perf_counter()
            elif time.perf_counter() - since > STILL_SECONDS_MAX:
                return
            await asyncio.sleep(TICK_SECONDS)

    def _fill(self, account: int, connection: Connection) -> None:
        session, due = connection.session, self._due[account]
        while due and session.window_room:
            number = self.ledger.hand_in(account)
            session.ask(Command.SUBMIT_SM, self._body(number), (number, due.popleft()), 0.0)
        connection.flush()

    def _body(self, number: int) -> bytes:
        return encode_body(
            ShortMessage(
                source="Shop", source_ton=5, destination=phone_of(number), destination_ton=1, destination_npi=1,
                octets=words_of(number).encode(), registered_delivery=int(self.ledger.receipts),
            )
        )  # fmt: skip

    async def _read(self, account: int, connection: Connection) -> None:
        while True:
            for event in await connection.take(EVENTS_AT_ONCE):
                match event:
                    case PeerResponse(
                        context=(int() as number, float() as due), status=Status.OK, body=MessageResponse(it)
                    ):
                        self.ledger.accept(number, it)
                        if due:
                            self.late_s.append(time.perf_counter() - due)
                    case Request(body=ShortMessage() as message):
                        told = parse_receipt(message)
                        delivered = told.state is MessageState.DELIVERED
                        self.ledger.tell(account, told.message_id, message.source.lstrip("+"), delivered=delivered)
                        connection.session.answer(event, Status.OK, MessageResponse())
                    case _:
                        raise PrikkfriError(f"the centre said {event} to a message")
            self._fill(account, connection)
