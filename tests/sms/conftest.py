"""The centre in this process, with a client and a network that do exactly what a test says, over real sockets."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from prikkfri.clock import SystemClock
from prikkfri.config import Account, Link, Sms
from prikkfri.journal import Journal, Outcome, open_journal, read_page
from prikkfri.protocols.smpp.pdu import (
    NOTHING,
    Bind,
    BindAnswer,
    Body,
    Command,
    MessageAnswer,
    ShortMessage,
    Status,
    encode_body,
)
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, receipt_message
from prikkfri.protocols.smpp.session import Answered, Ended, Event, Limits, Request, Side
from prikkfri.sms import service
from prikkfri.sms.canaries.service import Canaries
from prikkfri.sms.server import Connection
from prikkfri.sms.service import SmsCentre
from prikkfri.storage import Database

PASSWORD = "secret12"
NUMBER = "4790000001"
ANSWER_SECONDS_MAX = 10.0


class Peer:
    """One end of a session, in a test's hand."""

    def __init__(self, connection: Connection[None]) -> None:
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

    async def answered(self) -> Answered:
        found = await self.event()
        assert isinstance(found, Answered), found
        return found

    async def silent(self, seconds: float = 0.3) -> None:
        assert not self._events
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                raise AssertionError(f"not silent: {await self.connection.take(1)}")

    def answer(self, request: Request, status: int = Status.OK, body: Body = NOTHING) -> None:
        self.connection.session.answer(request, status, body)
        self.connection.flush()

    def take_message(self, request: Request, identity: str) -> None:
        self.answer(request, Status.OK, MessageAnswer(identity))

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
        assert isinstance(answered.body, MessageAnswer)
        return answered.status, answered.body.message_id

    def cut(self) -> None:
        """The cable is pulled."""
        self.connection.abort()


class Network:
    """A network's SMSC: each link that binds becomes a Peer."""

    def __init__(self) -> None:
        self.binds: asyncio.Queue[Connection[None]] = asyncio.Queue()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]

    def accept(self) -> Connection[None]:
        return Connection(Side.CENTRE, Limits(window=50), SystemClock(), self.binds.put_nowait)

    async def bound(self, status: int = Status.OK) -> Peer:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            peer = Peer(await self.binds.get())
        request = await peer.request()
        assert request.command == Command.BIND_TRANSCEIVER
        assert request.body == Bind("prikkfri", PASSWORD)
        peer.answer(request, status, BindAnswer("network"))
        return peer


class House:
    """The centre and what surrounds it."""

    def __init__(
        self, database: Database, centre: SmsCentre, canaries: Canaries, port: int, network: Network, other: Network
    ) -> None:
        self.database = database
        self.centre = centre
        self.canaries = canaries
        self.port = port
        self.network = network
        self.other = other
        """The network of the link that stands in, where a test asks for one."""

    async def client(
        self, account: str = "shop", *, password: str = PASSWORD, command: Command = Command.BIND_TRANSCEIVER
    ) -> tuple[Peer, int]:
        """A client that has asked to bind, and the status that it was answered."""
        loop = asyncio.get_running_loop()
        connection: Connection[None] = Connection(Side.ESME, Limits(), SystemClock(), lambda _: None)
        await loop.create_connection(lambda: connection, "127.0.0.1", self.port)
        connection.session.bind(command, Bind(account, password), 0.0)
        connection.flush()
        peer = Peer(connection)
        found = await peer.event()
        return peer, found.status if isinstance(found, Answered) else -1

    async def bound_client(self, account: str = "shop", command: Command = Command.BIND_TRANSCEIVER) -> Peer:
        peer, status = await self.client(account, command=command)
        assert status == Status.OK
        return peer

    async def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return await self.database.read(lambda queries: queries.fetch(sql))

    async def change(self, sql: str) -> None:
        await self.database.write(lambda tx: tx.execute(sql))

    async def until(self, sql: str, wanted: object) -> None:
        """Waits until the first column of the first row is what is wanted."""
        found: object = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                while (found := (await self.fetch(sql) or [(None,)])[0][0]) != wanted:
                    await asyncio.sleep(0.02)
        assert found == wanted

    async def outcomes(self, step: str) -> list[Outcome]:
        page = await read_page(self.database, "sms", 0)
        return [outcome for outcome in page.outcomes if outcome.step == step] if page else []


Opener = Callable[..., AbstractAsyncContextManager[House]]

SETTINGS = Sms(
    accounts=(
        Account(system_id="shop", password=PASSWORD, short_codes=("2010",), throughput_per_second_max=1_000.0),
        Account(system_id="clinic", password=PASSWORD, message_class="log-in-code", in_doubt="report"),
        Account(system_id="slow", password=PASSWORD, throughput_per_second_max=2.0),
    ),
    in_doubt_seconds=0.5,
)


@pytest.fixture
def house(database: Database, monkeypatch: pytest.MonkeyPatch) -> Opener:
    """Opens the centre with one link to a network that the test plays."""
    monkeypatch.setattr(service, "LEAVE_SECONDS_MAX", 0.2)  # a test's peers do not say goodbye by themselves

    journal: Journal | None = None

    @asynccontextmanager
    async def opened(*, instead: str = "", **changes: Any) -> AsyncIterator[House]:
        nonlocal journal
        network, other = Network(), Network()
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(each.accept, sock=each.listening) for each in (network, other)]
        link = Link(
            name="nord",
            partner="Fjordmobil",
            host="127.0.0.1",
            port=network.port,
            system_id="prikkfri",
            password=PASSWORD,
            prefixes=("47",),
            instead=instead,
        )
        beside = replace(link, name=instead, partner="Sydtel", port=other.port, prefixes=(), instead="")
        settings = replace(SETTINGS, links=(link, beside) if instead else (link,), **changes)
        clock = SystemClock()
        journal = journal or await open_journal(database, stream="sms", clock=clock)
        smpp = socket.create_server(("127.0.0.1", 0))
        centre = SmsCentre(
            database=database,
            journal=journal,
            settings=settings,
            sealing_key=bytes(range(32)),
            clock=clock,
            entropy=os.urandom,
            smpp_sockets=[smpp],
        )
        canaries = Canaries(
            centre, database=database, journal=journal, settings=settings, clock=clock, entropy=os.urandom
        )
        running = [asyncio.create_task(work()) for work in (centre.run, canaries.run)]
        try:
            yield House(database, centre, canaries, smpp.getsockname()[1], network, other)
        finally:
            for each in running:
                each.cancel()
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    for each in running:
                        with contextlib.suppress(asyncio.CancelledError):
                            await each
            finally:
                for server in servers:
                    server.close()
                # A centre that never came to run has not closed them.
                for listening in (smpp, network.listening, other.listening):
                    listening.close()
                await asyncio.sleep(0)

    return opened


__all__ = ["NUMBER", "PASSWORD", "Ended", "House", "Network", "Opener", "Peer"]
