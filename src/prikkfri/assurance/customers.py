"""What signin tells of a customer: where they are signed in, and the link that it made for them."""

from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True)
class CustomerDevice:
    name: str
    """`Firefox · Windows`; empty when not known."""
    first_at: float
    seen_at: float


@dataclass(frozen=True)
class PasswordLink:
    link: str = field(repr=False)
    expires_at: float


class _Devices(msgspec.Struct):
    devices: tuple[CustomerDevice, ...]


class _Ended(msgspec.Struct):
    ended: int


def devices_of(document: bytes) -> tuple[CustomerDevice, ...]:
    """Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=_Devices).devices


def link_of(document: bytes) -> PasswordLink:
    """Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=PasswordLink)


def ended_of(document: bytes) -> int:
    """Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=_Ended).ended
