"""Those around the centre: accounts that hand in and take messages, and partners that do so in their odd ways."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from prikkfri.clock import Clock
from prikkfri.protocols.smpp.pdu import (
    NOTHING,
    Bind,
    Command,
    MessageResponse,
    ShortMessage,
    Status,
    encode_body,
)
from prikkfri.protocols.smpp.receipt import MessageState, is_receipt
from prikkfri.protocols.smpp.session import Limits, PeerResponse, Request, SessionEnd, Side
from prikkfri.simulation.handsets.network import Entry, Phone, Phones
from prikkfri.simulation.handsets.server import OutgoingPdu
from prikkfri.simulation.messages.drawing import CENTRE_PORT, HOST, PASSWORD, World
from prikkfri.simulation.messages.oracle import Book
from prikkfri.simulation.messages.texts import GSM, PART_OCTETS, UCS2, WrittenMessage, encode, goes_in_one
from prikkfri.simulation.partners.network import Line, PartnerNetwork
from prikkfri.simulation.virtual.network import Pipe
from prikkfri.sms.server import Connection

Happened = Callable[[str], None]
"""Told of each oddity, by its kind."""
AGAIN_SECONDS = 1.0
WINDOW = 200
_HAS_HEADER = 0x40
_FOR_NOW = (Status.TEMPORARY_APPLICATION_ERROR, Status.QUEUE_FULL, Status.SYSTEM_ERROR)
_INTERNATIONAL, _ALPHANUMERIC, _ISDN = 1, 5, 1


def bodies(written: WrittenMessage, reference: int) -> list[bytes]:
    """As its sender's system writes it: one submit_sm, or one for each part. Parts bear whatever reference it likes."""
    octets = encode(written.text, written.coding)
    whole = goes_in_one(octets, written.coding)
    pieces = [octets] if whole else list(_cut(octets, written.coding, PART_OCTETS[written.coding]))
    found = []
    for number, piece in enumerate(pieces, start=1):
        head = b"" if whole else bytes((5, 0, 3, reference % 256, len(pieces), number))
        found.append(_submission(written, head + piece, header=not whole))
    return found


def _cut(octets: bytes, coding: int, room: int) -> Iterable[bytes]:
    place = 0
    while place < len(octets):
        end = place + room
        if coding == GSM and octets[end - 1 : end] == b"\x1b":
            end -= 1
        if coding == UCS2 and 0xD8 <= octets[min(end, len(octets)) - 2] <= 0xDB:
            end -= 2
        yield octets[place:end]
        place = end


def _submission(written: WrittenMessage, octets: bytes, *, header: bool) -> bytes:
    by_number = written.sender.isdigit()
    return encode_body(
        ShortMessage(
            source=written.sender,
            source_ton=(_INTERNATIONAL if len(written.sender) > 6 else 3) if by_number else _ALPHANUMERIC,
            source_npi=_ISDN if by_number else 0,
            destination=written.recipient,
            destination_ton=_INTERNATIONAL if len(written.recipient) > 6 else 3,
            destination_npi=_ISDN,
            octets=octets,
            data_coding=written.coding,
            esm_class=_HAS_HEADER if header else 0,
            registered_delivery=1,
        )
    )


class Sender:
    """An account's own system, bound again whenever that has ended. What is not answered it does not hand in again:
    whoever asks twice gets two."""

    def __init__(
        self,
        name: str,
        written: Sequence[WrittenMessage],
        book: Book,
        clock: Clock,
        chance: random.Random,
        sequence_max: int,
    ) -> None:
        self.name = name
        self._limits = Limits(window=WINDOW, sequence_max=sequence_max)
        self.away = False
        self._written = written
        self._book = book
        self._clock = clock
        self._chance = chance
        self._references: Counter[str] = Counter()
        """Of long messages, by recipient. Each account begins at the same."""
        self.connection: Connection | None = None

    async def run(self) -> None:
        """Binds again and again, until cancelled."""
        while True:
            if not self.away:
                with contextlib.suppress(OSError):
                    await self._serve()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        connection: Connection = Connection(Side.ESME, self._limits, self._clock, lambda _: None)
        transport, _ = await loop.create_connection(lambda: connection, HOST, CENTRE_PORT)
        bind = Bind(self.name, PASSWORD)
        connection.session.bind(Command.BIND_TRANSCEIVER, bind, self._clock.monotonic())
        connection.flush()
        try:
            [first] = await connection.take(1)
            if not isinstance(first, PeerResponse) or first.status != Status.OK:
                return
            self.connection = connection
            while True:
                for event in await connection.take(100):
                    match event:
                        case SessionEnd():
                            return
                        case Request(command=Command.DELIVER_SM, body=ShortMessage() as message):
                            self._take(connection, cast(Pipe, transport), event, message)
                        case Request():
                            connection.session.answer(event, Status.OK, NOTHING)
                connection.flush()
        finally:
            self.connection = None
            connection.close("closed")

    def _take(self, connection: Connection, pipe: Pipe, request: Request, message: ShortMessage) -> None:
        if is_receipt(message):
            connection.session.answer(request, Status.OK, MessageResponse())
            return
        if self._chance.random() < 0.02:
            connection.session.answer(request, Status.QUEUE_FULL, MessageResponse())
            return
        self._book.take(pipe, request.sequence)
        connection.session.answer(request, Status.OK, MessageResponse())

    async def submit(self) -> None:
        """In the order in which they are written; what finds nobody bound waits."""
        for written in self._written:
            await asyncio.sleep(max(0.0, written.at - self._clock.monotonic()))
            self._references[written.recipient] += 1
            for body in bodies(written, self._references[written.recipient]):
                while (connection := self.connection) is None or not connection.session.window_room:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                connection.session.ask(Command.SUBMIT_SM, body, written.number, self._clock.monotonic())
                connection.flush()


class Mail(OutgoingPdu):
    """What a person wrote. Without an answer it is not handed in again: whoever asks twice gets two."""


@dataclass
class Report(OutgoingPdu):
    """A receipt, and by which link, number and ids it tells of its message."""

    keys: Sequence[tuple[str, str, str]] = ()
    restores: int = 0
    """So many snapshots had been restored when it was sent."""


class Partner(PartnerNetwork):
    """Hands each message to the judge's phone, and tells of it when and how it likes."""

    def __init__(self, name: str, book: Book, clock: Clock, chance: random.Random, world: World, happened: Happened):
        super().__init__(
            Phones(()), password=PASSWORD, clock=clock, name=name, seed=0, quirks=world.quirks[name]
        )  # fmt: skip
        # As long as a network's are: of a few digits, some to base ten and some to base sixteen, nobody can tell.
        self._prefix = "5f3" if world.ids_alike else f"{chance.getrandbits(24):06x}"
        self._book = book
        self._chance = chance
        self._table = world.table
        self._sequence_max = world.sequence_max
        self._happened = happened
        self._request: tuple[Pipe, int] | None = None
        self._telling: list[tuple[str, str, str]] = []
        self.others: list[Partner] = []
        self._later = 0

    @property
    def tells(self) -> int:
        """How much it has to say yet."""
        return self._later + len(self._outgoing)

    def _call_later(self, seconds: float, work: Callable[[], None]) -> None:
        def now() -> None:
            self._later -= 1
            work()

        self._later += 1
        asyncio.get_running_loop().call_later(seconds, now)

    def line(self, opened: Callable[[Connection], None]) -> Connection:
        limits = Limits(window=WINDOW, sequence_max=self._sequence_max)
        return Line(Side.CENTRE, limits, self.clock, opened)

    def identity(self) -> str:
        if self._count and self._chance.random() < self._table.ids_reused:
            self._happened("id-reused")
            return f"{self._prefix}{self._chance.randint(1, self._count):06x}"
        self._count += 1
        return f"{self._prefix}{self._count:06x}"

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        self._request = cast(Any, connection)._wire, request.sequence
        super().take(connection, request, message)

    def hand_over(
        self, message: ShortMessage, identity: str, now: float
    ) -> tuple[MessageState | None, Phone | None, Entry | None]:
        assert self._request is not None
        self._book.given[self._book.name(self.name, message.destination, identity)] += 1
        fate, table = self._chance.random(), self._table
        state = MessageState.DELIVERED
        if fate < table.undeliverable + table.off:
            state = MessageState.UNDELIVERABLE if fate < table.undeliverable else MessageState.EXPIRED
        self._book.decide(*self._request, state.name.lower())
        if state is MessageState.DELIVERED:
            self._book.take(*self._request)
        return state, None, None

    def _after_a_while(self, work: Any) -> None:
        if self._chance.random() < self._table.answers_late:
            self._happened("answer-late")
            self._call_later(self._chance.uniform(0.0, 3.0), work)
        else:
            work()

    def _tell_what_became(
        self, connection: Connection, number: int, state: MessageState, message: ShortMessage, now: float
    ) -> None:
        fate, table = self._chance.random(), self._table
        if fate < table.receipts_missing:
            self._happened("receipt-missing")
            return
        teller = self
        others = [each for each in self.others if each.quirks.carrier != "data_sm"]  # which has no queue to be put in
        if others and self._chance.random() < table.told_by_another:
            self._happened("told-by-another")
            teller = self._chance.choice(others)

        styles = (self.quirks.answer_id, teller.quirks.parameter_id, teller.quirks.text_id)
        keys = [self._book.name(teller.name, message.destination, style.write(number)) for style in styles]
        for key in keys:
            self._book.told[key].add(state.name.lower())
        if teller is not self:
            self._book.given.update(set(keys))

        def tell() -> None:
            teller._telling = keys
            super(Partner, teller)._tell_what_became(connection, number, state, message, now)
            teller._telling = []

        tell_later = fate < table.receipts_missing + table.receipts_late
        later = self._chance.uniform(0.0, 20.0) if tell_later else 0.0
        times = 2 if self._chance.random() < table.receipts_doubled else 1
        for kind, is_so in (("receipt-late", tell_later), ("receipt-doubled", times > 1)):
            if is_so:
                self._happened(kind)
        for _ in range(times):
            if later:
                self._call_later(later, tell)
            else:
                tell()
            later += self._chance.uniform(0.0, 5.0)

    def enqueue(self, outgoing: OutgoingPdu) -> None:
        keys, restores = self._telling, self._book.restores
        super().enqueue(Report(outgoing.body, keys=keys, restores=restores) if keys else outgoing)

    def _handle(self, connection: Connection, event: object) -> None:
        if isinstance(event, PeerResponse) and isinstance(event.context, Report) and event.status == Status.OK:
            self._book.hear(event.context.keys, restores=event.context.restores)
        if isinstance(event, PeerResponse) and isinstance(event.context, Mail) and event.status in _FOR_NOW:
            self.enqueue(event.context)
        else:
            super()._handle(connection, event)

    def _again(self, context: object) -> None:
        if not isinstance(context, Mail):
            super()._again(context)

    async def write_in(self, written: Sequence[WrittenMessage]) -> None:
        """What people on its phones write, handed in when they do."""
        references: Counter[str] = Counter()
        for each in written:
            await asyncio.sleep(max(0.0, each.at - self.clock.monotonic()))
            references[each.sender] += 1
            for body in bodies(each, references[each.sender]):
                self.enqueue(Mail(body))
            self.push()
