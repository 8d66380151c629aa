"""The lives of a message, of its receipt, and of what a network tells: which event takes which state to which.

These tables are executed: a statement of a store that changes a state is made from them (`Lifecycle.change`), so that
no state is reached, or left, in a way that does not stand here. Of an event in a state that it does not name comes
nothing: a late word of a network undoes no end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


class DeliveryState(StrEnum):
    WAITING = "waiting"
    SENDING = "sending"
    """Claimed for the wire; whether it was written is known only to the process that claimed it."""
    SENT = "sent"
    """The next hop took it and gave its id; a receipt will tell the rest."""
    IN_DOUBT = "in-doubt"
    """Written, and the answer never came."""
    QUARANTINED = "quarantined"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNREPORTED = "unreported"
    """Handed on, perhaps, and no word of it came back in time."""


class Event(StrEnum):
    CLAIM = "claim"
    """A session takes it for the wire."""
    RELEASE = "release"
    """Given back: it was claimed and never written."""
    MOVE = "move"
    """Another link takes it, or it is held, since a route was stopped or opened."""
    TAKE = "take"
    """The next hop took it, or a receipt names what was in doubt."""
    PUT_OFF = "put-off"
    """Refused for now; or to be sent again, since nobody told what became of it."""
    RECALL = "recall"
    """It waits to be sent again, and there is word of what was sent before."""
    DOUBT = "doubt"
    """No answer came, or the process ended that had claimed it."""
    DELIVER = "deliver"
    FAIL = "fail"
    REJECT = "reject"
    EXPIRE = "expire"
    UNREPORT = "unreport"
    QUARANTINE = "quarantine"
    """What would have been written is not what was sealed; or it has ended its session twice."""
    FREE = "free"
    """A person says that what is in quarantine goes out after all."""
    DISCARD = "discard"
    """A person says that nothing is to come of what is in quarantine."""
    GIVE_UP = "give-up"
    """It waited in a snapshot that was restored, and may have been sent since: a person says so, or its time is up."""


class ReceiptState(StrEnum):
    """Of the one receipt that a submission's sender gets; it stands in the submission's first message."""

    NONE = ""
    """Not due: the submission is open, or its sender asked for none."""
    WAITING = "waiting"
    SENDING = "sending"
    GIVEN = "given"


class ReceiptEvent(StrEnum):
    DUE = "due"
    """The submission has ended, in a way that its sender wants to hear of."""
    CLAIM_AT_ONCE = "claim-at-once"
    """The same, while whoever is bound for its sender has room: it is claimed as it falls due."""
    CLAIM = "claim"
    GIVE = "give"
    """The sender took it, or does not want to know."""
    PUT_OFF = "put-off"
    """Refused for now, not answered, not written, or the process ended: to hear of it twice does no harm."""


class NetworkReceiptState(StrEnum):
    """Of a receipt that a network gave us and that fits no message yet; one that fits is no more kept."""

    WAITING = "waiting"
    """It may have come before the answer that names its message."""
    HELD = "held"
    DISCARDED = "discarded"


class NetworkReceiptEvent(StrEnum):
    HOLD = "hold"
    """It fits no message, and none will come."""
    DISCARD = "discard"
    """A person says that nothing is to come of it."""


@dataclass(frozen=True)
class Change:
    """A change of state in the words of SQL."""

    column: str
    reached: str
    where: str
    """The states in which it may be."""

    @property
    def put(self) -> str:
        """What is set of rows that are `where` they must be."""
        return f"{self.column} = {self.reached}"

    def put_where(self, condition: str) -> str:
        """The same among what is set of a row that is changed whatever its state: where `condition` holds, too."""
        return put_first((self, condition))

    def when(self, condition: str) -> str:
        return f"WHEN {self.where} AND ({condition}) THEN {self.reached}"


def put_first(*changes: tuple[Change, str]) -> str:
    """What is set of a row that is changed whatever its state: of several changes of a column, each with its condition,
    the first that holds."""
    column = changes[0][0].column
    return f"{column} = CASE {' '.join(change.when(condition) for change, condition in changes)} ELSE {column} END"


@dataclass(frozen=True)
class Lifecycle(Generic[S, E]):
    column: str
    first: S
    steps: Mapping[E, tuple[tuple[S, ...], S]]
    """By event: the states that it leaves, and the one that it leads to. Nothing else changes a state."""

    def after(self, state: S, event: E) -> S | None:
        """The state that an event leads to; None: nothing comes of it in this state."""
        leaves, reached = self.steps[event]
        return reached if state in leaves else None

    def change(self, event: E) -> Change:
        leaves, reached = self.steps[event]
        known = [f"'{state}'" for state in leaves]
        # One state by `=`: a partial index is found by its very words.
        where = f"{self.column} = {known[0]}" if len(known) == 1 else f"{self.column} IN ({', '.join(known)})"
        return Change(self.column, f"'{reached}'", where)

    def transitions(self, states: type[S]) -> dict[S, frozenset[S]]:
        """From each state all that it may become, by whatever event."""
        found: dict[S, set[S]] = {state: set() for state in states}
        for leaves, reached in self.steps.values():
            for state in leaves:
                found[state] |= {reached} - {state}
        return {state: frozenset(following) for state, following in found.items()}


_OUT = (DeliveryState.SENDING, DeliveryState.IN_DOUBT, DeliveryState.SENT)
_GONE = (DeliveryState.IN_DOUBT, DeliveryState.SENT)
_UNANSWERED = (DeliveryState.SENDING, DeliveryState.IN_DOUBT)

MESSAGE: Lifecycle[DeliveryState, Event] = Lifecycle(
    "state",
    DeliveryState.WAITING,
    {
        Event.CLAIM: ((DeliveryState.WAITING,), DeliveryState.SENDING),
        Event.RELEASE: ((DeliveryState.SENDING,), DeliveryState.WAITING),
        Event.MOVE: ((DeliveryState.WAITING,), DeliveryState.WAITING),
        Event.TAKE: (_UNANSWERED, DeliveryState.SENT),
        Event.PUT_OFF: (_UNANSWERED, DeliveryState.WAITING),
        Event.RECALL: ((DeliveryState.WAITING,), DeliveryState.IN_DOUBT),
        Event.DOUBT: ((DeliveryState.SENDING,), DeliveryState.IN_DOUBT),
        Event.DELIVER: (_OUT, DeliveryState.DELIVERED),
        Event.FAIL: (_GONE, DeliveryState.UNDELIVERABLE),
        Event.REJECT: (_OUT, DeliveryState.REJECTED),
        Event.EXPIRE: ((DeliveryState.WAITING, *_GONE), DeliveryState.EXPIRED),
        Event.UNREPORT: (_GONE, DeliveryState.UNREPORTED),
        Event.QUARANTINE: ((DeliveryState.SENDING,), DeliveryState.QUARANTINED),
        Event.FREE: ((DeliveryState.QUARANTINED,), DeliveryState.WAITING),
        Event.DISCARD: ((DeliveryState.QUARANTINED,), DeliveryState.REJECTED),
        Event.GIVE_UP: ((DeliveryState.WAITING, DeliveryState.IN_DOUBT), DeliveryState.UNREPORTED),
    },
)
RECEIPT: Lifecycle[ReceiptState, ReceiptEvent] = Lifecycle(
    "receipt",
    ReceiptState.NONE,
    {
        ReceiptEvent.DUE: ((ReceiptState.NONE,), ReceiptState.WAITING),
        ReceiptEvent.CLAIM_AT_ONCE: ((ReceiptState.NONE,), ReceiptState.SENDING),
        ReceiptEvent.CLAIM: ((ReceiptState.WAITING,), ReceiptState.SENDING),
        ReceiptEvent.GIVE: ((ReceiptState.SENDING,), ReceiptState.GIVEN),
        ReceiptEvent.PUT_OFF: ((ReceiptState.SENDING,), ReceiptState.WAITING),
    },
)
NETWORK_RECEIPT: Lifecycle[NetworkReceiptState, NetworkReceiptEvent] = Lifecycle(
    "state",
    NetworkReceiptState.WAITING,
    {
        NetworkReceiptEvent.HOLD: ((NetworkReceiptState.WAITING,), NetworkReceiptState.HELD),
        NetworkReceiptEvent.DISCARD: ((NetworkReceiptState.HELD,), NetworkReceiptState.DISCARDED),
    },
)

RESTORED = "restored"
"""The reason of what ended since it had waited in a restored snapshot and may have been sent."""
BY_PERSON = frozenset({Event.FREE, Event.DISCARD, Event.GIVE_UP})
TRANSITIONS = MESSAGE.transitions(DeliveryState)
ENDED = frozenset(DeliveryState) - {
    state for event, (leaves, _) in MESSAGE.steps.items() if event not in BY_PERSON for state in leaves
}
"""The states that nothing leaves by itself: a message in quarantine has ended until a person says otherwise."""
ENDINGS: Mapping[DeliveryState, Event] = {
    reached: event for event, (_, reached) in MESSAGE.steps.items() if reached in ENDED and event not in BY_PERSON
}
"""The event that ends a message in each of the states in which one ends."""


def out_of_time(state: DeliveryState) -> DeliveryState:
    """How a message ends whose time is up: what had gone may have arrived all the same."""
    return DeliveryState.EXPIRED if state is DeliveryState.WAITING else DeliveryState.UNREPORTED
