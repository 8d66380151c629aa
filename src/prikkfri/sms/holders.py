"""Whose number it is: a message is for whoever held its recipient's number when it was accepted."""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

from prikkfri.sms.addresses import is_number
from prikkfri.sms.messages import Message

ANOTHERS = "number-changed-hands"
"""The reason of what is not sent since its number is another subscriber's by now."""


class NumberHolder(StrEnum):
    SAME = "same"
    ANOTHERS = "another's"
    NOBODYS = "nobody's"
    """Nobody known to us holds it any more: it is given up, or ported to another operator."""


def to_be_bound(messages: Iterable[Message]) -> list[str]:
    """The numbers of those that go to a network."""
    return sorted({m.recipient for m in messages if m.target.startswith(("link:", "held:")) and is_number(m.recipient)})


def number_holder(message: Message, holders: Mapping[str, str]) -> NumberHolder:
    """`holders`: by number who holds it now. A number of which nothing was known is bound to nobody."""
    holder = holders.get(message.recipient)
    if not message.holder or holder == message.holder:
        return NumberHolder.SAME
    return NumberHolder.ANOTHERS if holder else NumberHolder.NOBODYS


def bound_messages(messages: Collection[Message]) -> list[Message]:
    return [message for message in messages if message.holder]
