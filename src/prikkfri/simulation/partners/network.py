"""A partner's network: hands messages to its phones, or to wrong ones when it is told to, and keeps the truth of it.

What it says on the wire is by the book, or as its quirks have it.
"""

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from msgspec import structs

from prikkfri.clock import Clock
from prikkfri.protocols.smpp.pdu import HEADER, Command, ShortMessage, Status, encode_body
from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.protocols.smpp.session import Limits, Request, Side
from prikkfri.simulation.handsets.network import Entry, Phone, Phones
from prikkfri.simulation.handsets.server import WINDOW, HandsetNetwork, OutgoingPdu
from prikkfri.simulation.partners.operators import CANARY
from prikkfri.simulation.partners.quirks import BY_THE_BOOK, Quirks, receipt_body, response_octets
from prikkfri.sms.server import Connection
from prikkfri.sms.submission import TokenBucket

DELIVERIES_MAX = 100_000
"""The last ones."""
_UNASKED = 0x7000_0000
"""From here on the sequence numbers of what it sends beside its session, whose answers it does not wait for."""


@dataclass(frozen=True)
class Fault:
    misdeliver: float = 0.0
    """The share of messages that go to a wrong phone of the network; their receipts say "delivered" all the same."""
    population: int = 0
    """How many phones the network stands for: what goes astray lands on a canary phone as seldom as so many have it.

    0: no more than there are.
    """
    lose_receipts: float = 0.0
    """The share of receipts that are not sent."""
    until_mended: bool = False
    """They stay in its queue, and are sent when it loses none any more, as by a system that has been restarted.

    A message whose receipt never comes is a promise that runs out minutes later: a fault after the fault.
    """


@dataclass(frozen=True)
class Delivery:
    """What the network really did with a message: the world's truth, which it tells no message centre."""

    time: float
    destination: str
    """The number that it was asked to deliver to."""
    phone: str
    """The phone that got it; empty when none did."""
    text: str
    misdelivering: bool
    """Whether the network handed messages to wrong phones at the time."""


class Line(Connection):
    """A connection on which octets can be written that no session by the book would write."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = cast(asyncio.Transport, transport)
        super().connection_made(transport)

    def write(self, octets: bytes) -> None:
        """After what the session has to say; a no-op once it has ended."""
        self.flush()
        if not self.ended:
            self._wire.write(octets)


class PartnerNetwork(HandsetNetwork):
    def __init__(
        self, phones: Phones, *, password: str, clock: Clock, name: str, seed: int, quirks: Quirks = BY_THE_BOOK
    ) -> None:
        super().__init__(phones, password=password, clock=clock, name=name)
        self.fault = Fault()
        self.quirks = quirks
        self.deliveries: deque[Delivery] = deque(maxlen=DELIVERIES_MAX)
        self.refused = 0
        """Messages that it did not take."""
        self.looped = 0
        self._lots = random.Random(f"{seed} {name}")
        self._whims = random.Random(f"{seed} {name} quirks")
        self._bucket = TokenBucket(math.inf, 0.0)  # full
        self._unasked = _UNASKED
        self._kept_back: list[Callable[[], None]] = []
        """Receipts that are sent when it is mended."""

    def suffer(self, fault: Fault) -> None:
        """What is wrong with it from now on; with none of it, it is mended."""
        self.fault = fault
        if not fault.lose_receipts:
            kept_back, self._kept_back = self._kept_back, []
            for tell in kept_back:
                tell()

    # the wire

    def line(self, opened: Callable[[Connection], None]) -> Connection:
        return Line(Side.CENTRE, Limits(window=self.quirks.window or WINDOW), self.clock, opened)

    def room_for(self, bound: int) -> bool:
        return not self.quirks.binds_max or bound < self.quirks.binds_max

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        quirks, now = self.quirks, self.clock.now()
        if status := self._refusal(now):
            self.refused += 1
            self._after_a_while(lambda: self._answer(connection, request, status, ""))
            return
        number = int(self.identity(), 16)
        identity = quirks.answer_id.write(number)
        state, phone, entry = self.hand_over(message, identity, now)
        if phone is not None and entry is not None:
            self.show(phone, entry)
        silent = self._drawn(quirks.silent)
        lost = self._lots.random() < self.fault.lose_receipts
        kept_back = lost and self.fault.until_mended

        def tell() -> None:
            if not message.registered_delivery & 1 or state is None or (lost and not kept_back):
                return
            receipt = partial(self._tell_what_became, connection, number, state, message, now)
            if kept_back:
                self._kept_back.append(receipt)
            else:
                receipt()

        def answer() -> None:
            if not silent:
                self._answer(connection, request, Status.OK, identity)
            if not quirks.receipt_first:
                tell()

        if quirks.receipt_first:
            tell()
        self._after_a_while(answer)
        self._hand_in(message)

    def _refusal(self, now: float) -> int:
        rate = self.quirks.throughput_per_second_max
        if rate:
            left = self._bucket.take(rate, now)
            if left is None:
                return Status.THROTTLED
            self._bucket = left
        return self.quirks.refuse_status if self._drawn(self.quirks.refuse) else Status.OK

    def _answer(self, connection: Connection, request: Request, status: int, identity: str) -> None:
        cast(Line, connection).write(response_octets(self.quirks, request.sequence, status, identity))

    def _tell_what_became(
        self, connection: Connection, number: int, state: MessageState, message: ShortMessage, now: float
    ) -> None:
        numbers = [self._whims.getrandbits(63)] if self._drawn(self.quirks.stray) else []
        for each in (*numbers, number):
            body = receipt_body(self.quirks, each, state, message, now)
            if self.quirks.carrier == "data_sm":
                self._unasked += 1
                header = HEADER.pack(HEADER.size + len(body), Command.DATA_SM, Status.OK, self._unasked)
                cast(Line, connection).write(header + body)
            else:
                self.enqueue(OutgoingPdu(body))
        self.push()

    def _hand_in(self, message: ShortMessage) -> None:
        """What comes back, or beside it, as if somebody of this network had sent it."""
        quirks = self.quirks
        if not (quirks.loop or quirks.transit):
            return
        sent = structs.replace(message, registered_delivery=0, validity="", tlvs=())
        if self.looped < quirks.loops_max and self._drawn(quirks.loop):
            self.looped += 1
            self.enqueue(OutgoingPdu(encode_body(sent)))
        if self._drawn(quirks.transit):
            self.enqueue(OutgoingPdu(encode_body(structs.replace(sent, destination=quirks.transit_to))))

    def _after_a_while(self, work: Callable[[], None]) -> None:
        if self.quirks.answer_seconds:
            asyncio.get_running_loop().call_later(self.quirks.answer_seconds, work)
        else:
            work()

    def _drawn(self, share: float) -> bool:
        return share > 0 and self._whims.random() < share

    # the phones

    def _strangers(self, meant: str) -> list[str]:
        """Among whom it is drawn who gets a message that was meant for another."""
        others = [phone for number, phone in self.phones.by_number.items() if number != meant]
        canaries = [phone.msisdn for phone in others if phone.name == CANARY]
        people = [phone.msisdn for phone in others if phone.name != CANARY]
        if not (self.fault.population and canaries and people):
            return [*people, *canaries]
        return canaries if self._lots.random() < len(canaries) / self.fault.population else people

    def hand_over(
        self, message: ShortMessage, identity: str, now: float
    ) -> tuple[MessageState | None, Phone | None, Entry | None]:
        meant = message.destination
        if self._lots.random() < self.fault.misdeliver and meant in self.phones.by_number:
            wrong = self._lots.choice(self._strangers(meant))
            message = structs.replace(message, destination=wrong)
        state, phone, entry = super().hand_over(message, identity, now)
        got, text = (phone.msisdn, entry.text) if phone and entry else ("", "")
        self.deliveries.append(Delivery(now, meant, got, text, self.fault.misdeliver > 0))
        return state, phone, entry
