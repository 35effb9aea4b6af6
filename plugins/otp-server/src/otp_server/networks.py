"""Whether an address lies in networks, also where IPv4 is told within IPv6, as a socket for both protocols does."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

__all__ = ["is_among", "with_mapped"]

_MAPPED = 96  # bits before an IPv4 address (RFC 4291)


def is_among(address: str, networks: Sequence[str]) -> bool:
    """Whether an address lies in one of these networks."""
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(caller in ipaddress.ip_network(one) for one in with_mapped(networks))


def with_mapped(networks: Sequence[str]) -> list[str]:
    """These networks, and those of IPv4 as they are told within IPv6, such as ``::ffff:10.0.0.0/104``."""
    four = [one for one in map(ipaddress.ip_network, networks) if isinstance(one, ipaddress.IPv4Network)]
    return [*networks, *(f"::ffff:{one.network_address}/{_MAPPED + one.prefixlen}" for one in four)]
