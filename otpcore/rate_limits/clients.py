"""Who counts as one client, in whatever form a host gets its address; pure."""

from __future__ import annotations

import ipaddress
import re

from otpcore.phone.characters import plain

__all__ = ["client_address", "is_list", "names_nobody", "same_client"]

_NETWORK = 64  # bits of an IPv6 address that a provider gives to one customer at least (RFC 6177)
_LOOKED_AT = 1_000  # characters; the address of a client is nearly always all there is
_V4_BITS = 32
_V4_MASK = (1 << _V4_BITS) - 1
_WITH_V4_LAST = tuple(  # an IPv4 address stands in the last 32 bits of these
    int(ipaddress.IPv6Address(text)) >> _V4_BITS
    for text in (
        "::ffff:0:0",  # mapped (RFC 4291)
        "::ffff:0:0:0",  # translated (RFC 7915)
        "::",  # compatible (RFC 4291)
        "64:ff9b::",  # NAT64 (RFC 6052)
    )
)
_OWN_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")  # NAT64 of one's own network (RFC 8215), mostly with a /96
_LAST_SPECIAL = 1  # :: and ::1 stand for no IPv4 address

_FORWARDED = re.compile(r"(?:^|;)\s*for\s*=\s*([^;]*)", re.IGNORECASE)  # RFC 7239
_SOCKET = re.compile(
    r"""\w*\((?:host=)?b?['"]([^'"]*)['"],\s*(?:port=)?[0-9]+(?:,\s*[0-9]+)*\)"""
)  # str() of a peer in Python
_SCHEME = re.compile(r"(?:ipv[46]|tcp[46]?|https?):(?://)?", re.IGNORECASE)  # as gRPC and URLs name a peer
_BRACKETS = re.compile(r"\[([^\]]*)\](?:[:.][0-9]{0,5})?")
_PORT = re.compile(  # behind a dot in BSD's tools, behind a slash in firewalls; after a bare colon there is none
    r"(?::$|(?::|\.|\s*[;#|]\s*|\s+(?::\s*)?)[0-9]{1,5}$|/[0-9]{4,5}$)"
)
_PREFIX_LENGTH = re.compile(r"/(?:32|64|128)$")
_ZERO = re.compile(r"(?<![0-9])0+(?=[0-9])")

_NOBODY = re.compile(r"(?:unix:.*|unknown|-)?", re.IGNORECASE | re.DOTALL)


def same_client(client: str) -> str:
    """One text for all that counts as one client.

    The address counts, with or without port, brackets, zone, or the syntax of ``Forwarded``; of a list the last one,
    which the nearest proxy wrote. IPv6 counts by its /64; an address that carries an IPv4 address (mapped, NAT64, 6to4,
    Teredo) as that one. Anything else counts as it is.
    """
    address = _address(_listed(client)[1])
    if address is None:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    inner = _inner(address)
    if inner is not None:
        return str(inner)
    if address in _OWN_NAT64:
        return str(address)  # where in it an IPv4 address stands, only its network knows: all of it counts
    return str(ipaddress.IPv6Network((int(address), _NETWORK), strict=False))


def client_address(client: str) -> str:
    """The IP address that a client is named by, in its usual spelling and without zone; empty: it is no address.

    Of a list it is the last one; an IPv4 address that an IPv6 address carries is told as such.
    """
    address = _address(_listed(client)[1])
    if isinstance(address, ipaddress.IPv6Address):
        address = _inner(address) or address
    return "" if address is None else str(address)


def names_nobody(client: str) -> bool:
    """What a web server says behind a Unix socket, and a proxy that does not know: nothing to count by."""
    return _NOBODY.fullmatch(_node(_listed(client)[1])) is not None


def is_list(client: str) -> bool:
    """Several addresses: a whole header was passed, whose beginning anybody may write."""
    rest, last = _listed(client)
    return bool(rest) and _address(last) is not None


def _listed(client: str) -> tuple[str, str]:
    """All but the last of a list, and the last."""
    text = plain(client[-_LOOKED_AT:]).strip(" ,")
    if found := _SOCKET.fullmatch(text):
        return "", found[1]
    rest, _, last = text.rpartition(",")
    return rest, last


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = _node(text).strip("./").replace("%5B", "[").replace("%5D", "]")
    text = _SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text
    text = _PREFIX_LENGTH.sub("", text)
    if found := _BRACKETS.fullmatch(text):
        text = found[1]
    return _parsed(text) or _parsed(_PORT.sub("", text))


def _node(text: str) -> str:
    """One of a list, without quotation marks and the other parameters of ``Forwarded``."""
    found = _FORWARDED.search(text)
    return (found[1] if found else text).strip(" \"'")


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = text.partition("%")[0]  # the zone is this machine's
    try:
        return ipaddress.ip_address(_ZERO.sub("", text) if "." in text else text)
    except ValueError:
        return None


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address carries; None: it carries none."""
    number = int(address)
    is_own = address in _OWN_NAT64 and not number >> _V4_BITS & _V4_MASK and number & _V4_MASK
    if (number >> _V4_BITS in _WITH_V4_LAST and number > _LAST_SPECIAL) or is_own:
        return ipaddress.IPv4Address(number & _V4_MASK)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)
