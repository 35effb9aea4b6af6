"""Who asks, and in which language: what a request says of a send."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.http import HttpRequest
from django.utils.translation import get_language, to_locale

from otp_django.conf import Own, own

__all__ = ["about", "client_of", "language"]

_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")


def about(request: HttpRequest) -> dict[str, str | None]:
    """For ``otp.send_sms(phone, **about(request))``: ``client`` and ``locale``, the language that is active."""
    return {"client": client_of(request), "locale": language()}


def client_of(request: HttpRequest) -> str:
    """The address for which limits count.

    It is ``REMOTE_ADDR``, the other end of the connection, unless ``OTPCORE["trusted_proxies"]`` names that: then it is
    the nearest address in ``X-Forwarded-For``, read from its end, that is none of theirs. What a client wrote there
    itself is never reached. ``"unix"`` among them trusts those who connect over a Unix socket, who have no address.

    Returns:
        The address; empty where there is none, of which otpcore's log tells.
    """
    said = own()
    forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "")
    hops: list[str] = [request.META.get("REMOTE_ADDR") or "", *reversed(re.findall(r"[^\s,]+", forwarded))]
    return next((hop for hop in hops if not _is_ours(hop, said)), hops[-1])


def language() -> str | None:
    """The active language as a BCP 47 tag; None: translation is switched off."""
    active = get_language()
    return None if active is None else to_locale(active).replace("_", "-")


def _is_ours(hop: str, said: Own) -> bool:
    found = _WITH_PORT.fullmatch(hop)
    try:
        address: IPv4Address | IPv6Address = ip_address((found[1] or found[2]) if found else hop)
    except ValueError:
        return not hop and said.trusts_unix
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in network for network in said.trusted_proxies)
