"""Who asks: the address for which limits count, where proxies of ours stand before the application."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

import attrs

from otpcore.errors import SettingsError

__all__ = ["TrustedProxies"]

_UNIX = "unix"
_MAPPED = 96  # bits before an IPv4 address within IPv6 (RFC 4291)
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


@attrs.frozen(kw_only=True)
class TrustedProxies:
    """The proxies whose word about the client counts.

    Args:
        networks: Where they are.
        unix: Those who connect over a Unix socket, of whom no address is known, are proxies of ours too.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False

    @classmethod
    def of(cls, texts: Iterable[str], key: str = "trusted_proxies") -> Self:
        """Addresses and networks as they are written in settings, such as ``10.0.0.0/8``, and ``"unix"``.

        Args:
            texts: Each address, network or ``"unix"``.
            key: The setting, as an error names it.

        Raises:
            SettingsError: Something is neither.
        """
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            raise SettingsError(f"{key}: must be a list of texts")
        given = tuple(texts)
        if not all(isinstance(one, str) for one in given):
            raise SettingsError(f"{key}: must be a list of texts")
        return cls(networks=tuple(_network(one, key) for one in given if one != _UNIX), unix=_UNIX in given)

    def client_of(self, peer: str, forwarded: str = "") -> str:
        """The address of the client.

        It is the peer, unless that is a proxy of ours: then it is the nearest address in ``X-Forwarded-For``, read from
        its end, that is none of theirs. What a client wrote there itself is never reached.

        Args:
            peer: The other end of the connection; empty: over a Unix socket.
            forwarded: The value of ``X-Forwarded-For``; of several such headers, all of them with commas between.

        Returns:
            The address, as it was written; empty where there is none, of which otpcore's log tells.
        """
        hops: list[str] = [peer, *reversed(re.findall(r"[^\s,]+", forwarded))]
        return next((hop for hop in hops if not self._have(hop)), hops[-1])

    def _have(self, hop: str) -> bool:
        found = _WITH_PORT.fullmatch(hop)
        try:
            address: IPv4Address | IPv6Address = ip_address((found[1] or found[2]) if found else hop)
        except ValueError:
            return not hop and self.unix
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self.networks)


def _network(text: str, key: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise SettingsError(f"{key}: an address or a network is needed, such as 10.0.0.0/8, or '{_UNIX}'") from None
    inner = getattr(network.network_address, "ipv4_mapped", None)
    if inner is None or network.prefixlen < _MAPPED:
        return network
    return ip_network((inner, network.prefixlen - _MAPPED))
