"""Whose request it is."""

from __future__ import annotations

import re
from ipaddress import ip_address

from django.conf import settings


def who_asks(request):
    """The nearest address that is not ours. A header is read where one of ours sent it, and there from its end."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    hops = [request.META.get("REMOTE_ADDR", ""), *reversed(re.findall(r"[^\s,]+", forwarded))]
    return next((hop for hop in hops if not is_ours(hop)), hops[-1])


def is_ours(hop):
    """A proxy of ours, with or without its port, or whoever connected to our Unix socket."""
    found = re.fullmatch(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+", hop)
    try:
        address = ip_address((found[1] or found[2]) if found else hop)
    except ValueError:
        return not hop
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in settings.FORWARDED_ALLOW_IPS)
