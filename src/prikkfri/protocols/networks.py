"""Addresses as they are counted, and shares of what is scarce, so that no network has all of it."""

import ipaddress
from collections import Counter
from collections.abc import Sequence

IPV6_PREFIX = 64
"""What one subscriber holds, and so counts as one address."""


def network_of(address: str) -> str:
    """The address as it is counted: IPv4 whole, IPv6 by the prefix that one subscriber holds."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed)


class Shares:
    """Who holds how many of something of which there are `places_max`.

    `trusted`: addresses or networks of proxies, which hold places for others and so have no share of their own.
    """

    def __init__(self, places_max: int, of_network_max: int, trusted: Sequence[str] = ()) -> None:
        self.held = 0
        self._places_max = places_max
        self._of_network_max = of_network_max
        self._trusted = [ipaddress.ip_network(each, strict=False) for each in trusted]
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
        return self._by_network[network_of(address)] >= self._of_network_max and not self._is_trusted(address)

    def give_back(self, network: str) -> None:
        self.held -= 1
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)
