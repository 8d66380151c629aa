"""A partner's network: hands messages to its phones, or to wrong ones when it is told to, and keeps the truth of it."""

import random
from dataclasses import dataclass

from msgspec import structs

from prikkfri.clock import Clock
from prikkfri.protocols.smpp.pdu import ShortMessage
from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.simulation.handsets.network import Entry, Phone, Phones
from prikkfri.simulation.handsets.server import HandsetNetwork

DELIVERIES_MAX = 100_000


@dataclass(frozen=True)
class Fault:
    misdeliver: float = 0.0
    """The share of messages that go to a wrong phone of the network; their receipts say "delivered" all the same."""
    lose_receipts: float = 0.0
    """The share of receipts that are never sent."""


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


class PartnerNetwork(HandsetNetwork):
    def __init__(self, phones: Phones, *, password: str, clock: Clock, name: str, seed: int) -> None:
        super().__init__(phones, password=password, clock=clock, name=name)
        self.fault = Fault()
        self.deliveries: list[Delivery] = []
        self._lots = random.Random(f"{seed} {name}")

    def hand_over(
        self, message: ShortMessage, identity: str, now: float
    ) -> tuple[MessageState | None, Phone | None, Entry | None]:
        meant = message.destination
        if self._lots.random() < self.fault.misdeliver and meant in self.phones.by_number:
            wrong = self._lots.choice([number for number in self.phones.by_number if number != meant])
            message = structs.replace(message, destination=wrong)
        state, phone, entry = super().hand_over(message, identity, now)
        if len(self.deliveries) < DELIVERIES_MAX:
            got, text = (phone.msisdn, entry.text) if phone and entry else ("", "")
            self.deliveries.append(Delivery(now, meant, got, text, self.fault.misdeliver > 0))
        return None if self._lots.random() < self.fault.lose_receipts else state, phone, entry
