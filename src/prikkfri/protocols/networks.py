"""Networks: who sends, as far as an address tells, how much each may do, and its share of what is scarce."""

import ipaddress
from collections import Counter
from collections.abc import Sequence

IPV6_PREFIX = 64
"""What one subscriber holds, and so counts as one address."""
NETWORKS_MAX = 100_000
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


class Networks:
    """Some networks, by their addresses or prefixes."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = [ipaddress.ip_network(each) for each in networks]

    def hold(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)


class Shares:
    """Who holds how many of something of which there are `places_max`.

    `trusted`: addresses or networks of proxies, which hold places for others and so have no share of their own.
    """

    def __init__(self, places_max: int, of_network_max: int, trusted: Sequence[str] = ()) -> None:
        self.held = 0
        self._places_max = places_max
        self._of_network_max = of_network_max
        self._trusted = Networks(trusted)
        self._by_network: Counter[str] = Counter()

    def take(self, address: str) -> str | None:
        """The network that the place is counted for, to be given to `give_back`; None: there is no place for it."""
        if self.held >= self._places_max or self.used_up(address):
            return None
        network = network_of(address)
        self.held += 1
        self._by_network[network] += 1
        return network

    def used_up(self, address: str) -> bool:
        """Whether the network of `address` has its whole share."""
        return self._by_network[network_of(address)] >= self._of_network_max and not self._trusted.hold(address)

    def give_back(self, network: str) -> None:
        self.held -= 1
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]


class Allowance:
    """So many at once and then so many a second, for each network; the longest quiet ones are forgotten first.

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
        self._each_seconds = 1 / max(per_second, 1e-9)
        self._ahead_seconds = max(burst - 1, 0) * self._each_seconds
        self._limited = burst > 0
        self._free = free or Networks()
        self._ipv4_prefix = ipv4_prefix
        self._networks_max = networks_max
        self._debts: dict[str, float] = {}

    def __len__(self) -> int:
        """Networks that are remembered."""
        return len(self._debts)

    def take(self, address: str, now: float) -> float | None:
        """None: taken. Otherwise it may not be, and the seconds after which it may."""
        if not self._limited or self._free.hold(address):
            return None
        network = network_of(address, self._ipv4_prefix)
        # A clock that was set back owes nobody more than the whole burst.
        debt = min(max(self._debts.get(network, now), now), now + self._ahead_seconds + self._each_seconds)
        if (early := debt - now - self._ahead_seconds) > EARLY_SECONDS:
            return early
        self._debts.pop(network, None)
        self._debts[network] = debt + self._each_seconds
        if len(self._debts) > self._networks_max:
            del self._debts[next(iter(self._debts))]
        return None
