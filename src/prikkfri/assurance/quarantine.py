"""What the SMS centre holds for a person, as it tells of it: masked, without any body."""

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True)
class HeldEntry:
    id: str
    kind: str
    """`message` or `receipt`."""
    link: str
    held_at: float
    reason: str
    sender: str
    recipient: str
    detail: str


@dataclass(frozen=True)
class HeldStep:
    time: float
    event: str
    detail: str


@dataclass(frozen=True)
class ReleaseCheck:
    """An entry, and what would come of its release."""

    entry: HeldEntry
    hindrance: str
    """Why it cannot be released; empty: it can, or (a receipt) only the try shows it."""
    goes_to: str
    steps: tuple[HeldStep, ...] = ()


def entries_of(document: bytes) -> tuple[HeldEntry, ...]:
    """Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=tuple[HeldEntry, ...])


def examined_of(document: bytes) -> ReleaseCheck:
    """Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=ReleaseCheck)
