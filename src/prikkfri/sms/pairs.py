"""Which of a party's binds a message leaves by: those of one sender and recipient by one, while any is under way.

Two sessions deliver what they carry independently: what follows over another one overtakes. So the first of a pair goes
by the bind that claimed it, and those behind by the same, until its peer has said something of each. What another bind
has claimed of them stands in the queue of theirs until that has room. A pair of which nothing is under way is not
known.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Generic, TypeVar

from prikkfri.protocols.smpp.session import (
    Event,
    PeerResponse,
    Request,
    ResponseTimeout,
    SessionEnd,
    UnreadableResponse,
)
from prikkfri.sms.messages import Message

B = TypeVar("B")
_UNTOLD = (ResponseTimeout, UnreadableResponse)


class Pairs(Generic[B]):
    """Of one party; `B` is a bind."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], tuple[B, set[str]]] = {}
        """By sender and recipient: the bind, and the ids of what is under way."""
        self._queues: dict[B, deque[Message]] = {}
        """What is claimed and not yet written."""

    def __len__(self) -> int:
        """How many pairs are under way."""
        return len(self._held)

    def enter(self, message: Message, bind: B) -> B:
        """Puts a message that a bind has claimed into the queue of the one that it leaves by, which is returned.

        To be called in the order of the claims.
        """
        leaves_by, under_way = self._held.setdefault((message.sender, message.recipient), (bind, set()))
        under_way.add(message.id)
        self._queues.setdefault(leaves_by, deque()).append(message)
        return leaves_by

    def under_way(self, recipients: Collection[str]) -> Iterator[str]:
        """The ids of what is claimed for these, and of which the peer has said nothing."""
        for (_, recipient), (_, ids) in self._held.items():
            if recipient in recipients:
                yield from ids

    def queue(self, bind: B) -> deque[Message]:
        """What a bind is to write, the first first; the caller takes from it."""
        return self._queues.setdefault(bind, deque())

    def unwritten(self, ids: Collection[str]) -> list[str]:
        """Those of these that stand in a queue."""
        return [message.id for queue in self._queues.values() for message in queue if message.id in ids]

    def withdraw(self, ids: Collection[str]) -> None:
        """Takes these out of the queues: they are not to be written any more."""
        for queue in self._queues.values():
            for message in [message for message in queue if message.id in ids]:
                queue.remove(message)
                self.leave([message])

    def room(self, bind: B, window_room: int, window: int) -> int:
        """How many more a bind may claim, so that neither its own window nor another's queue overflows."""
        others = sum(len(queue) for each, queue in self._queues.items() if each is not bind)
        return max(min(window_room - len(self.queue(bind)), window - others), 0)

    def leave(self, messages: Iterable[Message]) -> None:
        """The peer has said something of these, or they wait again; a no-op for one that is not under way."""
        for message in messages:
            pair = (message.sender, message.recipient)
            if found := self._held.get(pair):
                found[1].discard(message.id)
                if not found[1]:
                    del self._held[pair]

    def hand_over(self, bind: B, heir: B) -> None:
        """A bind is gone: another writes what stands in its queue, and nothing is under way over it any more."""
        queue = self._queues.pop(bind, ())
        for pair in [pair for pair, (leaves_by, _) in self._held.items() if leaves_by is bind]:
            del self._held[pair]
        for message in queue:
            self.enter(message, heir)

    def forget(self, bind: B) -> None:
        """A bind is gone, and its queue is empty."""
        assert not self._queues.get(bind)
        self.hand_over(bind, bind)


def responded_messages(events: Iterable[Event]) -> Iterator[Message]:
    """The messages of which events say something, or that nothing will come; each once, whatever is told late."""
    for event in events:
        if type(event) is Request:  # half of all; that a struct is none of several kinds is slow to find out
            continue
        if type(event) is PeerResponse:
            if type(event.context) is Message and not event.late:
                yield event.context
        elif isinstance(event, _UNTOLD):
            if isinstance(event.context, Message):
                yield event.context
        elif isinstance(event, SessionEnd):
            yield from (context for context in event.in_doubt if isinstance(context, Message))
