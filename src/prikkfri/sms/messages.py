"""The message: one PDU's worth of somebody's words, and the states it goes through (`lifecycle.py` has the table).

A long text is one submission of several messages, each with its own seal, attempts and receipt; what the submission
came to is decided when its last message has ended.

                      +--- refused for now ----+
                      v                        |
    accepted ---> WAITING ---> SENDING ---> SENT ---> DELIVERED, UNDELIVERABLE, REJECTED, EXPIRED, UNREPORTED
                   ^    |         |  |                 ^
                   |    |         |  +-----------------+  refused for good; or an account took it
                   |    +--> EXPIRED |                    (UNREPORTED, too, when a snapshot was restored)
                   |              v  v
                   +<--------> IN_DOUBT ---> SENT (a late answer), ended (a receipt told), UNREPORTED
                                  QUARANTINED  (from SENDING, before a byte was written, or when it ended its
                                                session for the second time; a person says what then)

What waits to be sent again is IN_DOUBT once more when there is word of what was sent.
"""

import msgspec

from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.sealing import Binding

RECEIPT_STATES: dict[DeliveryState, MessageState] = {
    DeliveryState.DELIVERED: MessageState.DELIVERED,
    DeliveryState.UNDELIVERABLE: MessageState.UNDELIVERABLE,
    DeliveryState.REJECTED: MessageState.REJECTED,
    DeliveryState.EXPIRED: MessageState.EXPIRED,
    DeliveryState.UNREPORTED: MessageState.UNKNOWN,
    DeliveryState.QUARANTINED: MessageState.UNKNOWN,
}
"""What the sender is told."""
_NETWORK_STATES: dict[MessageState, DeliveryState] = {
    MessageState.DELIVERED: DeliveryState.DELIVERED,
    MessageState.EXPIRED: DeliveryState.EXPIRED,
    MessageState.DELETED: DeliveryState.UNDELIVERABLE,
    MessageState.UNDELIVERABLE: DeliveryState.UNDELIVERABLE,
    MessageState.UNKNOWN: DeliveryState.UNREPORTED,
    MessageState.REJECTED: DeliveryState.REJECTED,
}


def network_state(told: MessageState | None) -> DeliveryState | None:
    """What a network's receipt means; None when the message is still on its way, or nobody knows."""
    return _NETWORK_STATES.get(told) if told else None


class Message(msgspec.Struct, frozen=True):
    """A message as it is stored; `store.COLUMNS` follows the order of these fields."""

    id: str
    submission: str
    """The id that the sender was given: that of the first message."""
    part: int
    parts: int
    origin: str
    """The party that handed it in, as `kind:name`."""
    target: str
    message_class: str
    sender: str
    recipient: str
    sealed: bytes | None
    """None once the message has ended: a body is erased when nobody needs it any more."""
    registered: int
    """The receipt bits of registered_delivery: 1 asks for any end, 2 for a bad one."""
    accepted_at: float
    due_at: float
    expires_at: float
    attempts: int = 0
    user_reference: int | None = None
    """Its sender's user_message_reference, which comes back in its receipt; none other sees it."""
    sessions_ended: int = 0
    """How often a session was ended by its peer while this was the first without an answer."""
    holder: str = ""
    """The subscriber who held the number when the message was accepted; empty: nobody known to us."""
    attempted_at: float = 0.0
    """When it was last claimed for the wire; 0: never."""

    @property
    def goes_to_network(self) -> bool:
        """Whether it is somebody's message that goes to a link; ours that prove links are not."""
        return self.target.startswith("link:") and not self.origin.startswith("canary:")

    @property
    def binding(self) -> Binding:
        return Binding(
            self.id, self.origin, self.sender, self.recipient, self.part, self.expires_at, self.message_class
        )


class Ending(msgspec.Struct, frozen=True, gc=False):
    """A message that has just ended, as those need it who tell of it."""

    id: str
    submission: str
    parts: int
    origin: str
    target: str
    message_class: str
    sender: str
    recipient: str
    state: DeliveryState
    reason: str
    receipt: str = ""
    """What has become of the receipt of a submission of one message: its `ReceiptState`."""
    accepted_at: float = 0.0
    ended_at: float = 0.0
    user_reference: int | None = None

    @property
    def due_receipt(self) -> "DueReceipt":
        """Of a submission of one message."""
        told = int(RECEIPT_STATES[self.state])
        return DueReceipt(
            self.id, self.sender, self.recipient, told, self.accepted_at, self.ended_at, self.user_reference
        )


class DueReceipt(msgspec.Struct, frozen=True, gc=False):
    """A receipt that an account waits for; `id` is the submission that it knows."""

    id: str
    sender: str
    recipient: str
    state: int
    accepted_at: float
    ended_at: float
    user_reference: int | None = None


def message_id(now: float, entropy: bytes) -> str:
    """Ids sort by time and cannot be guessed from their neighbours; `entropy`: five octets."""
    return f"{int(now * 1000):011x}{entropy.hex()}"


def reference_of(message: str) -> int:
    """The 16-bit user_message_reference by which a network's receipt can be told to belong to a message."""
    return int.from_bytes(message.encode()[-12:]) % 65_521
