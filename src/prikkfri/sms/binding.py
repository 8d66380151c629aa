"""Who may connect and bind: connections that have not bound have a room of their own, accounts a number of binds.

A stranger can open connections and say nothing. That must shut no account out, so whoever comes to a full room takes
the place of whoever has been silent longest: of its own network when that has used up its share, else of all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from prikkfri.config import Account, Link
from prikkfri.protocols.networks import NetworkQuota

if TYPE_CHECKING:
    from prikkfri.sms.submission import TokenBucket

Connection = TypeVar("Connection")


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    connections_max: int = 1_000
    """Of accounts and links together, bound or not."""
    unbound_max: int = 250
    unbound_of_address_max: int = 50
    binds_per_second_max: float = 2.0
    """Of one account, once it has taken as many at once as it may hold."""


ROOM = ConnectionLimits()


class UnboundConnections(Generic[Connection]):
    """The connections that have not bound yet. `trusted`: networks of proxies, which connect for others."""

    def __init__(self, room: ConnectionLimits, trusted: Sequence[str] = ()) -> None:
        self._shares = NetworkQuota(room.unbound_max, min(room.unbound_of_address_max, room.unbound_max), trusted)
        self._places: dict[Connection, tuple[str, ...]] = {}
        """The networks of each, the oldest first."""

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, connection: Connection, address: str) -> Connection | None:
        """Gives `connection` a place; returns the one that must leave for it, None when there was room."""
        gone = None
        networks = self._shares.take(address)
        if networks is None:
            full = self._shares.used_up(address)
            gone = next(each for each, held in self._places.items() if full is None or full in held)
            self.leave(gone)
            networks = self._shares.take(address)
        assert networks is not None
        self._places[connection] = networks
        return gone

    def oldest(self) -> Connection | None:
        return next(iter(self._places), None)

    def leave(self, connection: Connection) -> None:
        """It has bound, or is gone; a no-op when it had no place."""
        if (networks := self._places.pop(connection, None)) is not None:
            self._shares.give_back(networks)


def promised_too_many(accounts: Sequence[Account], links: Sequence[Link], connections_max: int) -> str:
    """One line with the mend when accounts and links may hold more connections together than there are; or empty."""
    binds, ours = sum(account.binds_max for account in accounts), sum(link.binds for link in links)
    if binds + ours <= connections_max:
        return ""
    return (
        f"accounts may hold {binds} binds (the sum of `binds_max`) and links {ours} (the sum of `binds`), but only"
        f" {connections_max} connections; lower `binds_max`, or raise the hard limit of open files (ulimit -Hn)"
        " where that is what holds it down"
    )


def bind_refused(
    account: Account, bound: int, bucket: "TokenBucket", room: ConnectionLimits, now: float
) -> "str | TokenBucket":
    """Why an account that has `bound` binds may not have one more, or what is left of its bucket when it may."""
    if bound >= account.binds_max:
        return f"{bound} binds, and `binds_max` is {account.binds_max}"
    left = bucket.take(room.binds_per_second_max, now, burst=account.binds_max)
    return f"more than {room.binds_per_second_max:g} binds a second" if left is None else left
