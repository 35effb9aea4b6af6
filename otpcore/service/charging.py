"""Who may send now: what a send is charged to, and which prefixes are sent to at all; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import attrs

from otpcore.phone.numbers import calling_code_of, region_of, same_phone, spellings_of
from otpcore.rate_limits.admission import Barrier, Charge, LimitReason
from otpcore.settings.tree import Limit, LimitSettings

__all__ = [
    "EVERY_SEND",
    "Origin",
    "TargetMap",
    "block_of",
    "budget_of",
    "charges_of",
    "closed",
    "neighbour_charges",
    "stronger",
]

T = TypeVar("T")

EVERY_SEND = "all"
"""Whose counters ``limits.global`` has."""

_NO_COUNTRY = "none"
_BLOCK_DIGITS = 2  # the last digits in which neighbours differ
_KINDS = {LimitReason.PHONE: "send", LimitReason.NEIGHBOURS: "near"}
_REFUNDABLE = frozenset({LimitReason.PHONE, LimitReason.COUNTRY, LimitReason.CHANNEL, LimitReason.GLOBAL})
_SHARED = frozenset({LimitReason.PREFIX, LimitReason.COUNTRY, LimitReason.CHANNEL, LimitReason.GLOBAL})


@attrs.frozen(kw_only=True)
class Origin:
    """What of one send its counters are about.

    Args:
        phone_key: Keyed look-up of the phone.
        client_key: Keyed look-up of the client; empty: the host named none.
        region: Of the number; empty: it belongs to no country. All those count as one more country.
        channel: Over which; empty: it is not known, and no limit of a channel counts.
    """

    e164: str = attrs.field(repr=False)
    phone_key: str
    client_key: str = ""
    region: str = ""
    channel: str = ""


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
        for limit in settings.lists["neighbours"]
    )


def block_of(e164: str) -> str:
    """The number, in the spelling under which it is kept, without the digits in which its neighbours differ."""
    return same_phone(e164)[:-_BLOCK_DIGITS]


def budget_of(e164: str, region: str, prefix: str) -> str:
    """Which budget a send is charged to; a rule prefix that is a whole number is not named."""
    return f"{region or _NO_COUNTRY}/{prefix if len(prefix) < len(e164) else ''}"


class TargetMap(Generic[T]):
    """What is said of prefixes and regions; ``+`` begins every number. Look-ups cost one dict access for each length of a prefix.

    A region is narrower than its calling code, which others may share, and wider than every longer prefix.
    """

    def __init__(self, said: Mapping[str, T]) -> None:
        self._said = dict(said)
        self._lengths = sorted({len(target) for target in self._said if target.startswith("+")}, reverse=True)
        self._has_regions = any(not target.startswith("+") for target in self._said)

    def matches(self, e164: str) -> Iterator[T]:
        """What is said of this phone, in whatever spelling, the narrowest first."""
        if not self._said:
            return
        region, wide = (region_of(e164), len(calling_code_of(e164))) if self._has_regions else ("", 0)
        narrow = [length for length in self._lengths if length > wide]
        for target in (
            *_beginnings(e164, narrow),
            region,
            *_beginnings(e164, self._lengths[len(narrow) :]),
        ):
            if target in self._said:
                yield self._said[target]


def closed(charges: Sequence[Charge]) -> Barrier | None:
    """A limit of none at all is no counter but a denial, for verified phones too: waiting does not help."""
    return Barrier(reason=LimitReason.DENIED) if any(charge.limit == 0 for charge in charges) else None


def none_at_all(e164: str, channel: str, settings: LimitSettings) -> Barrier | None:
    """``closed`` for a number that is sent to again, when nobody knows any more which client asked; None: nothing is closed."""
    if not settings.none_at_all:
        return None
    region = region_of(e164) if settings.needs_region else ""
    return closed(charges_of(Origin(e164=e164, phone_key="", region=region, channel=channel), settings))


def stronger(one: Barrier | None, other: Barrier | None) -> Barrier | None:
    """The barrier that holds for more phones; the first where both hold for all."""
    return min((barrier for barrier in (one, other) if barrier is not None), key=_exempts, default=None)


def _exempts(barrier: Barrier) -> bool:
    return barrier.unless_verified


def _beginnings(e164: str, lengths: Sequence[int]) -> Iterator[str]:
    """The beginnings of every spelling that have these lengths."""
    spellings = spellings_of(e164)
    for length in lengths:
        yield from dict.fromkeys(one[:length] for one in spellings if len(one) >= length)


def _charges(origin: Origin, settings: LimitSettings) -> Iterator[Charge]:
    for limit in settings.lists["phone"]:
        yield _charge(LimitReason.PHONE, origin.phone_key, limit)
    if origin.client_key:
        for limit in settings.lists["client"]:
            yield _charge(LimitReason.CLIENT, origin.client_key, limit)
    for prefix, limits in settings.prefix_limits.items():
        if any(spelling.startswith(prefix) for spelling in spellings_of(origin.e164)):
            whose = prefix if len(prefix) < len(origin.e164) else origin.phone_key  # no whole number is stored
            for limit in limits:
                yield _charge(LimitReason.PREFIX, whose, limit)
    for limit in settings.country_limits.get(origin.region, settings.lists["country"]):
        yield _charge(LimitReason.COUNTRY, origin.region or _NO_COUNTRY, limit)
    for limit in settings.channel_limits.get(origin.channel, ()):
        yield _charge(LimitReason.CHANNEL, origin.channel, limit)
    for limit in settings.lists["global_"]:
        yield _charge(LimitReason.GLOBAL, EVERY_SEND, limit)


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
