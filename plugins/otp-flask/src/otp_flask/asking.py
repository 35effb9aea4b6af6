"""Who asks: what a request says of a send."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from flask import Flask, request

from otp_flask.conf import Own, own

__all__ = ["client_of"]

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


def client_of(app: Flask) -> str:
    """The address for which limits count, of the request that is active.

    It is ``request.remote_addr``: the other end of the connection, or what ``ProxyFix`` has made of it. Where
    ``OTPCORE["trusted_proxies"]`` names that address, it is the nearest one in ``X-Forwarded-For``, read from its end,
    that is none of theirs. What a client wrote there itself is never reached. ``"unix"`` among them trusts those who
    connect over a Unix socket, who have no address.

    Returns:
        The address; empty where there is none, of which otpcore's log tells.
    """
    said = own(app)
    forwarded = ",".join(request.headers.getlist("X-Forwarded-For"))
    hops: list[str] = [request.remote_addr or "", *reversed(re.findall(r"[^\s,]+", forwarded))]
    return next((hop for hop in hops if not _is_ours(hop, said)), hops[-1])


def _is_ours(hop: str, said: Own) -> bool:
    found = _WITH_PORT.fullmatch(hop)
    try:
        address: IPv4Address | IPv6Address = ip_address((found[1] or found[2]) if found else hop)
    except ValueError:
        return not hop and said.trusts_unix
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in network for network in said.trusted_proxies)
