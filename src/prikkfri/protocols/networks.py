"""Addresses as they are counted: what one subscriber holds is one."""

import ipaddress
from collections.abc import Sequence

IPV6_PREFIX = 64
"""What one subscriber holds, and so counts as one address."""


def network_of(address: str) -> str:
    """The address as it is counted: IPv4 whole, IPv6 by the prefix that one subscriber holds."""
    parsed = _parsed(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed)


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Whether an address is one of these addresses or in one of these networks; what is no address is in none."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in ipaddress.ip_network(each, strict=False) for each in networks)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
