"""Networks: who sends, as far as an address tells, how much each may do, and its share of what is scarce."""

import ipaddress
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

IPV6_PREFIX = 64
"""What one subscriber holds, and so counts as one address."""
IPV6_SITE_PREFIX = 48
"""What one company or hosted machine may be given (RFC 6177): 65,536 subscribers' networks in one hand."""
SITE_SHARES = 2
"""Such a site may hold as many places as so many addresses."""
NETWORKS_MAX = 100_000
ADDRESSES_REMEMBERED = 4_096
"""Reading one costs more than all else that is done for a connection, and it is asked several times for each."""
EARLY_SECONDS = 1e-3
"""Finer than this no time of day is told apart after a long sum."""


def network_of(address: str, ipv4_prefix: int = 32) -> str:
    """The address as it is counted: IPv4 by the prefix (by default whole), IPv6 by what one subscriber holds."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed) if ipv4_prefix == 32 else str(ipaddress.ip_network((parsed, ipv4_prefix), strict=False))


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def networks_of(address: str, ipv4_prefix: int = 32) -> tuple[str, ...]:
    """What an address counts for, the narrowest first: its network and, with IPv6, the site that this is part of."""
    network = network_of(address, ipv4_prefix)
    if network == address or ":" not in network:
        return (network,)
    return network, str(ipaddress.ip_network(network).supernet(new_prefix=IPV6_SITE_PREFIX))


class Networks:
    """Some networks, by their addresses or prefixes."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(each) for each in networks]

    def hold(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)


class NetworkQuota:
    """Who holds how many of something of which there are `places_max`.

    A network may hold `of_network_max`; all those of one IPv6 site together `SITE_SHARES` times as many.
    `trusted`: addresses or networks of proxies, which hold places for others and so have no share of their own.
    """

    def __init__(self, places_max: int, of_network_max: int, trusted: Sequence[str] = ()) -> None:
        self.held = 0
        self._places_max = places_max
        self._of_network_max = of_network_max
        self._trusted = Networks(trusted)
        self._by_network: Counter[str] = Counter()

    def take(self, address: str) -> tuple[str, ...] | None:
        """The networks that the place is counted for, to be given to `give_back`; None: there is no place for it."""
        if self.held >= self._places_max or self.used_up(address) is not None:
            return None
        networks = networks_of(address)
        self.held += 1
        self._by_network.update(networks)
        return networks

    def used_up(self, address: str) -> str | None:
        """The narrowest network of `address` that has its whole share."""
        if self._trusted.hold(address):
            return None
        networks = networks_of(address)
        most = (self._of_network_max, SITE_SHARES * self._of_network_max)
        return next(
            (network for network, n in zip(networks, most, strict=False) if self._by_network[network] >= n), None
        )

    def give_back(self, networks: Sequence[str]) -> None:
        self.held -= 1
        for network in networks:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]


class Allowance:
    """So many at once and then so many a second, for each network, and `SITE_SHARES` times as many for all those of one
    IPv6 site together; the longest quiet ones are forgotten first.

    The generic cell rate algorithm (ITU-T I.371): a network's *debt* is the time until when it is paid up to.
    """

    def __init__(
        self,
        *,
        burst: float,
        per_second: float,
        free: Networks | None = None,
        ipv4_prefix: int = 32,
        networks_max: int = NETWORKS_MAX,
    ) -> None:
        """`burst` 0: nobody is limited. `free`: networks that never are."""
        self._burst = burst
        self._per_second = max(per_second, 1e-9)
        self._free = free or Networks()
        self._ipv4_prefix = ipv4_prefix
        self._networks_max = networks_max
        self._debts: dict[str, float] = {}

    def __len__(self) -> int:
        """Networks that are remembered."""
        return len(self._debts)

    def take(self, address: str, now: float) -> float | None:
        """None: taken. Otherwise it may not be, and the seconds after which it may."""
        if self._burst <= 0 or self._free.hold(address):
            return None
        debts: dict[str, float] = {}
        for network, shares in zip(networks_of(address, self._ipv4_prefix), (1, SITE_SHARES), strict=False):
            each_seconds = 1 / (shares * self._per_second)
            ahead_seconds = max(shares * self._burst - 1, 0) * each_seconds
            # A clock that was set back owes nobody more than the whole burst.
            debt = min(max(self._debts.get(network, now), now), now + ahead_seconds + each_seconds)
            if (early := debt - now - ahead_seconds) > EARLY_SECONDS:
                return early
            debts[network] = debt + each_seconds
        for network, debt in debts.items():
            self._debts.pop(network, None)
            self._debts[network] = debt
        while len(self._debts) > self._networks_max:
            del self._debts[next(iter(self._debts))]
        return None
