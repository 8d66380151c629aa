"""The centre in this process, with a client and a network that do exactly what a test says, over real sockets."""

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.clock import LoopWaits, SystemClock
from prikkfri.config import Account, Sms
from prikkfri.errors import StorageUnavailable
from prikkfri.journal import Outcome, read_page
from prikkfri.protocols.smpp.pdu import (
    NOTHING,
    Bind,
    BindResponse,
    Body,
    Command,
    MessageResponse,
    ShortMessage,
    Status,
    encode_body,
)
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, receipt_message
from prikkfri.protocols.smpp.session import Event, Limits, PeerResponse, Request, Side
from prikkfri.sms.canaries.service import Canaries
from prikkfri.sms.server import Connection
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.timing import Timing
from prikkfri.storage import Database, Queries, Transaction
from prikkfri.storage.database import Engine
from prikkfri.storage.sealing_keys import SealingKeysInMemory

PASSWORD = "secret12"
NUMBER = "4790000001"
ANSWER_SECONDS_MAX = WAIT_SECONDS_MAX


class Peer:
    """One end of a session, in a test's hand."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._events: list[Event] = []

    async def event(self) -> Event:
        if not self._events:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                self._events = await self.connection.take(100)
        return self._events.pop(0)

    async def request(self) -> Request:
        found = await self.event()
        assert isinstance(found, Request), found
        return found

    async def message(self) -> tuple[Request, ShortMessage]:
        request = await self.request()
        assert isinstance(request.body, ShortMessage)
        return request, request.body

    async def answered(self) -> PeerResponse:
        found = await self.event()
        assert isinstance(found, PeerResponse), found
        return found

    def answer(self, request: Request, status: int = Status.OK, body: Body = NOTHING) -> None:
        self.connection.session.answer(request, status, body)
        self.connection.flush()

    def take_message(self, request: Request, identity: str) -> None:
        self.answer(request, Status.OK, MessageResponse(identity))

    def ask(self, command: Command, body: Body, context: object = None) -> None:
        self.connection.session.ask(command, encode_body(body), context, 0.0)
        self.connection.flush()

    def tell(self, message: ShortMessage, identity: str, state: MessageState = MessageState.DELIVERED) -> None:
        """A receipt for a message."""
        receipt = receipt_message(Receipt(identity, state), message, submitted=0.0, done=0.0)
        self.ask(Command.DELIVER_SM, receipt, "receipt")

    async def submit(self, **fields: Any) -> tuple[int, str]:
        message = ShortMessage(**{"source": "Shop", "destination": NUMBER, "octets": b"hei", **fields})
        self.ask(Command.SUBMIT_SM, message)
        answered = await self.answered()
        assert isinstance(answered.body, MessageResponse)
        return answered.status, answered.body.message_id

    async def say_goodbye(self) -> None:
        """Answers the other end's unbind, which is the next that comes."""
        request = await self.request()
        assert request.command == Command.UNBIND
        self.answer(request)

    def cut(self) -> None:
        """The cable is pulled."""
        self.connection.abort()


class Network:
    """A network's SMSC: each link that binds becomes a Peer."""

    def __init__(self) -> None:
        self.binds: asyncio.Queue[Connection] = asyncio.Queue()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]

    def accept(self) -> Connection:
        return Connection(Side.CENTRE, Limits(window=50), SystemClock(), self.binds.put_nowait)

    async def bound(self, status: int = Status.OK) -> Peer:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            peer = Peer(await self.binds.get())
        request = await peer.request()
        assert request.command == Command.BIND_TRANSCEIVER
        assert request.body == Bind("prikkfri", PASSWORD)
        peer.answer(request, status, BindResponse("network"))
        return peer


class HouseClock(LoopWaits):
    """A clock that stands until a test moves it.

    What has a deadline on the wire (a bind, an answer) goes by `monotonic`, which stands even then: a test that lets a
    month pass wants nobody cut off for it.
    """

    def __init__(self) -> None:
        self._now = 1_700_000_000.0
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float, *, on_the_wire: bool = False) -> None:
        self._now += seconds
        self._monotonic += seconds * on_the_wire


class FailingEngine:
    """A database's engine that fails, or is slow, when it is told to."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.refusal: Exception | None = None
        """Raised by every transaction that would begin."""
        self.lost: Exception | None = None
        """Raised by every commit, although what it commits is kept."""
        self.deaf: Exception | None = None
        """Raised by every look at the database."""
        self.fails_where = ""
        """A commit is undone, and fails, when this query finds a row in its transaction."""
        self.failed = asyncio.Event()
        self.commits_left = math.inf
        """After so many a commit waits for `go_on`, and says by `waiting` that it does."""
        self.held_where = ""
        """A commit waits in the same way when this query finds a row in its transaction."""
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()
        self._transaction: Transaction | None = None

    def _fail(self, error: Exception | None) -> None:
        if error is not None:
            self.failed.set()
            raise error

    async def begin(self) -> Transaction:
        self._fail(self.refusal)
        self._transaction = await self.inner.begin()
        return self._transaction

    async def commit(self) -> None:
        if not self.go_on.is_set() and (self.commits_left <= 0 or await self._finds(self.held_where)):
            self.waiting.set()
            await self.go_on.wait()
        self.commits_left -= 1
        if self.fails_where and await self._finds(self.fails_where):
            self._fail(StorageUnavailable("lost"))
        await self.inner.commit()
        self._fail(self.lost)

    async def _finds(self, query: str) -> bool:
        assert self._transaction is not None
        return bool(query) and await self._transaction.fetch_one(query) is not None

    async def read(self, work: Callable[[Queries], Awaitable[Any]]) -> Any:
        self._fail(self.deaf)
        return await self.inner.read(work)

    async def close(self) -> None:
        """It is closed by whoever opened the one inside."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class House:
    """The centre and what surrounds it. Its clock stands still until a test moves it."""

    def __init__(
        self,
        database: Database,
        clock: HouseClock,
        centre: SmsCentre,
        canaries: Canaries,
        port: int,
        network: Network,
        other: Network,
        sealing_keys: SealingKeysInMemory,
    ) -> None:
        self.database = database
        self.engine = cast(FailingEngine, database.engine)
        self.clock = clock
        self.centre = centre
        self.canaries = canaries
        self.port = port
        self.network = network
        self.other = other
        """The network of the link that stands in, where a test asks for one."""
        self.sealing_keys = sealing_keys

    async def asking_client(
        self,
        account: str = "shop",
        *,
        password: str = PASSWORD,
        command: Command = Command.BIND_TRANSCEIVER,
        version: int = 0x34,
    ) -> tuple[Peer, Event]:
        """A client that has asked to bind, and what it was answered."""
        loop = asyncio.get_running_loop()
        connection: Connection = Connection(Side.ESME, Limits(), SystemClock(), lambda _: None)
        await loop.create_connection(lambda: connection, "127.0.0.1", self.port)
        connection.session.bind(command, Bind(account, password, interface_version=version), 0.0)
        connection.flush()
        peer = Peer(connection)
        return peer, await peer.event()

    async def client(
        self, account: str = "shop", *, password: str = PASSWORD, command: Command = Command.BIND_TRANSCEIVER
    ) -> tuple[Peer, int]:
        """The same with the status alone, -1 where none came."""
        peer, found = await self.asking_client(account, password=password, command=command)
        return peer, found.status if isinstance(found, PeerResponse) else -1

    async def bound_client(self, account: str = "shop", command: Command = Command.BIND_TRANSCEIVER) -> Peer:
        peer, status = await self.client(account, command=command)
        assert status == Status.OK
        return peer

    async def bound_link(self) -> Peer:
        """The network's end of the link, bound as the centre sees it too."""
        peer = await self.network.bound()
        await eventually(lambda: self.centre.counters()["links_bound"])
        return peer

    async def nothing_more_for(self, link: Peer, client: Peer) -> None:
        """What is due for the link has gone: of two messages that are handed in now, both are the next that come.

        Two, since one might have been claimed, and written, together with something else.
        """
        for destination in ("4790000091", "4790000092"):
            assert (await client.submit(destination=destination))[0] == Status.OK
            request, message = await link.message()
            assert message.destination == destination
            link.take_message(request, f"net-{destination}")

    async def nothing_more_for_account(self, client: Peer, link: Peer, short_code: str = "2010") -> None:
        """The same for the account that has this short code: neither messages nor receipts."""
        for text in (b"first", b"second"):
            link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination=short_code, octets=text))
            assert (await link.answered()).status == Status.OK
            request, message = await client.message()
            assert (message.destination, message.octets) == (short_code, text)
            client.answer(request, body=MessageResponse())

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return await self.database.read(lambda queries: queries.fetch(sql))

    async def change(self, sql: str) -> None:
        await self.database.write(lambda tx: tx.execute(sql))

    async def until(self, sql: str, wanted: object) -> None:
        """Waits until the first column of the first row is what is wanted."""

        async def found() -> bool:
            rows = await self.fetch(sql)
            return bool(rows) and rows[0][0] == wanted

        await eventually(found, what=f"{sql} to be {wanted}")

    async def outcomes(self, step: str) -> list[Outcome]:
        found: list[Outcome] = []
        after = 0
        while (page := await read_page(self.database, "sms", after)) is not None and page.outcomes:
            found += [outcome for outcome in page.outcomes if outcome.step == step]
            after = page.last
        return found


Opener = Callable[..., AbstractAsyncContextManager[House]]

SETTINGS = Sms(
    accounts=(
        Account(
            system_id="shop",
            password=PASSWORD,
            senders=("*",),
            short_codes=("2010",),
            throughput_per_second_max=1_000.0,
        ),
        Account(
            system_id="clinic",
            password=PASSWORD,
            short_codes=("2020",),
            senders=("*",),
            message_class="log-in-code",
            in_doubt="report",
        ),
        Account(system_id="slow", password=PASSWORD, senders=("*",), throughput_per_second_max=2.0),
        Account(system_id="abroad", password=PASSWORD, senders=("*",), numbers_unmarked="international"),
    ),
)
HURRIED = Timing(
    look_seconds=0.03,
    storage_pause_seconds=0.02,
    wrong_password_seconds=0.02,
    reconnect_seconds=0.01,
    leave_seconds_max=0.0,  # a test's peers do not say goodbye by themselves
    early_receipt_look_seconds=0.02,
    judge_seconds=0.02,
    mark_seconds=0.02,
)
"""What a test would wait for while nothing happens; all that goes by the clock moves with it."""
