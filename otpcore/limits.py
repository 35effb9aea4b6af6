"""Who may send now (DESIGN §11): what a send is charged to, and which prefixes are sent to at all; pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import attrs

from otpcore.admission import LimitReason
from otpcore.config import Limit, LimitSettings
from otpcore.verbs import Charge

__all__ = [
    "Origin",
    "PrefixMap",
    "block_of",
    "budget_of",
    "charges_of",
    "neighbour_charges",
    "same_client",
]

T = TypeVar("T")

_BLOCK_DIGITS = 2  # the last digits in which neighbours differ
_CLIENT_NETWORK = 64  # bits of an IPv6 address that a provider gives to one customer at least (RFC 6177)
_KINDS = {LimitReason.PHONE: "send", LimitReason.NEIGHBOURS: "near"}
_REFUNDABLE = frozenset({LimitReason.PHONE, LimitReason.COUNTRY, LimitReason.GLOBAL})
_SHARED = frozenset({LimitReason.PREFIX, LimitReason.COUNTRY, LimitReason.GLOBAL})


@attrs.frozen(kw_only=True)
class Origin:
    """What of one send its counters are about.

    Args:
        phone_key: Keyed look-up of the phone.
        client_key: Keyed look-up of the client; empty: the host named none.
        region: Of the number; empty: it belongs to no country.
    """

    e164: str = attrs.field(repr=False)
    phone_key: str
    client_key: str = ""
    region: str = ""


def same_client(client: str) -> str:
    """One text for all that counts as one client: IPv6 by its /64, IPv4-mapped IPv6 as IPv4, anything else as it is."""
    try:
        address = ipaddress.ip_address(client.strip())
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address), _CLIENT_NETWORK), strict=False))


def charges_of(origin: Origin, settings: LimitSettings) -> tuple[Charge, ...]:
    """Every counter of one send."""
    return tuple(_charges(origin, settings))


def neighbour_charges(phone_key: str, block_key: str, settings: LimitSettings) -> tuple[tuple[Charge, Charge], ...]:
    """For each window: the mark that a number leaves once, and the counter of its block that then counts it."""
    return tuple(
        (
            _charge(LimitReason.NEIGHBOURS, phone_key, limit, count=1),
            _charge(LimitReason.NEIGHBOURS, block_key, limit),
        )
        for limit in settings.of("neighbours")
    )


def block_of(e164: str) -> str:
    """The number without the digits in which its neighbours differ."""
    return e164[:-_BLOCK_DIGITS]


def budget_of(e164: str, region: str, prefix: str) -> str:
    """Which budget a send is charged to; a rule prefix that is a whole number is not named."""
    return f"{region or 'none'}/{prefix if len(prefix) < len(e164) else ''}"


class PrefixMap(Generic[T]):
    """What is said of prefixes; ``+`` begins every number. Look-ups cost one dict access for each length of a prefix."""

    def __init__(self, said: Mapping[str, T]) -> None:
        self._said = dict(said)
        self._lengths = sorted({len(prefix) for prefix in self._said}, reverse=True)

    def matches(self, e164: str) -> Iterator[T]:
        """What is said of the prefixes that the number begins with, the longest first."""
        for length in self._lengths:
            prefix = e164[:length]
            if len(prefix) == length and prefix in self._said:
                yield self._said[prefix]


def _charges(origin: Origin, settings: LimitSettings) -> Iterator[Charge]:
    for limit in settings.of("phone"):
        yield _charge(LimitReason.PHONE, origin.phone_key, limit)
    if origin.client_key:
        for limit in settings.of("client"):
            yield _charge(LimitReason.CLIENT, origin.client_key, limit)
    for prefix, limits in settings.prefix_limits.items():
        if origin.e164.startswith(prefix):
            whose = prefix if len(prefix) < len(origin.e164) else origin.phone_key  # no whole number is stored
            for limit in limits:
                yield _charge(LimitReason.PREFIX, whose, limit)
    if origin.region:
        for limit in settings.country_limits.get(origin.region, settings.of("country")):
            yield _charge(LimitReason.COUNTRY, origin.region, limit)
    for limit in settings.of("global_"):
        yield _charge(LimitReason.GLOBAL, "all", limit)


def _charge(reason: LimitReason, whose: str, limit: Limit, count: int | None = None) -> Charge:
    return Charge(
        key=counter_key(reason, whose, limit.seconds),
        limit=limit.count if count is None else count,
        window=limit.window,
        reason=reason,
        refundable=reason in _REFUNDABLE,
        shared=reason in _SHARED,
    )


def counter_key(reason: LimitReason, whose: str, seconds: int) -> str:
    """The key of one counter: all of a phone's begin with its look-up, so that they are shown, reset and erased with it."""
    return f"{whose}/{_KINDS.get(reason, reason)}/{seconds}"
