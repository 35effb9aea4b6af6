"""``limits.*``: who may send to whom and how often, and who may try codes."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

import attrs

from otpcore._settings_fields import between, full_key, one_of, setting
from otpcore.admission import BudgetRule, BudgetWindow
from otpcore.errors import SettingsError
from otpcore.phone import is_region

__all__ = ["Limit", "LimitSettings", "is_prefix", "parse_limit", "parse_seconds"]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TIME = r"([1-9][0-9]{0,5})([smhd])"
_LIMIT = re.compile(rf"([1-9][0-9]{{0,8}})/{_TIME}")
_PREFIX = re.compile(r"\+([1-9][0-9]{0,14})?")


@attrs.frozen
class Limit:
    """At most ``count`` in any window of ``seconds``."""

    count: int
    seconds: int

    @functools.cached_property
    def window(self) -> timedelta:
        """``seconds``."""
        return timedelta(seconds=self.seconds)


def parse_limit(text: str, *, key: str = "limits.phone") -> Limit:
    """Read ``3/10m``: three in ten minutes; the units are s, m, h and d.

    Raises:
        SettingsError: It is written otherwise; names ``key``.
    """
    found = _LIMIT.fullmatch(text.strip()) if isinstance(text, str) else None
    if not found:
        raise SettingsError(f"{key}: must be written like 3/10m (count/time, the unit is s, m, h or d), not {text!r}")
    return Limit(int(found[1]), int(found[2]) * _UNITS[found[3]])


def parse_seconds(text: str) -> int:
    """Read ``2h``: how many seconds that are; the units are s, m, h and d.

    Raises:
        SettingsError: It is written otherwise.
    """
    found = re.fullmatch(_TIME, text.strip())
    if not found:
        raise SettingsError(f"a time must be written like 30m or 2h (the unit is s, m, h or d), not {text!r}")
    return int(found[1]) * _UNITS[found[2]]


def is_prefix(text: Any) -> bool:
    """The beginning of E.164 numbers; ``+`` alone begins them all."""
    return isinstance(text, str) and _PREFIX.fullmatch(text) is not None


def _good_limits(instance: LimitSettings, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    limits = [parse_limit(text, key=full_key(instance, attribute)) for text in value]
    if len({limit.seconds for limit in limits}) < len(limits):
        raise SettingsError(f"{full_key(instance, attribute)}: two limits have the same time; keep the lower one")


def _good_limits_by_prefix(
    instance: LimitSettings, attribute: attrs.Attribute[Any], value: Mapping[str, tuple[str, ...]]
) -> None:
    for prefix, texts in value.items():
        if not is_prefix(prefix) or prefix == "+":
            raise SettingsError(f"limits.prefix: a prefix is + and 1 to 15 digits, not {prefix!r}")
        _good_limits(instance, attribute, texts)


def _good_limits_by_region(
    instance: LimitSettings, attribute: attrs.Attribute[Any], value: Mapping[str, tuple[str, ...]]
) -> None:
    for region, texts in value.items():
        if not is_region(region):
            raise SettingsError(f"limits.countries: a region is two letters in capitals like BG, not {region!r}")
        _good_limits(instance, attribute, texts)


def _in_capitals(regions: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The environment knows no case."""
    return {region.upper(): texts for region, texts in regions.items()}


def _good_prefixes(
    instance: LimitSettings, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]
) -> None:
    for prefix in value:
        if not is_prefix(prefix):
            raise SettingsError(f"{full_key(instance, attribute)}: a prefix is + and up to 15 digits, not {prefix!r}")


def _not_allowed_too(instance: LimitSettings, _: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if both := sorted(set(value).intersection(instance.allow)):
        raise SettingsError(f"limits.deny: {', '.join(both)} is in limits.allow too")


@attrs.frozen(kw_only=True)
class LimitSettings:
    """``limits.*``. All limits count at once; ``count/time`` with s, m, h or d, in windows that begin with their first send."""

    section: ClassVar[str] = "limits"

    phone: tuple[str, ...] = setting(
        ("3/10m", "10/1d"),
        "Sends to one phone, as count/time with s, m, h or d; an empty list: no limit.",
        _good_limits,
    )
    client: tuple[str, ...] = setting(
        ("20/1h",), "Sends that one client asks for, where the host passes client.", _good_limits
    )
    prefix: Mapping[str, tuple[str, ...]] = setting(
        dict,
        "Sends to all numbers that begin so; every prefix that matches counts.",
        _good_limits_by_prefix,
        names="<prefix>",
    )
    country: tuple[str, ...] = setting((), "Sends to each country; not set: no limit.", _good_limits)
    countries: Mapping[str, tuple[str, ...]] = setting(
        dict,
        "Limits of one country instead of limits.country; an empty list: none.",
        _good_limits_by_region,
        names="<region>",
        converter=_in_capitals,
    )
    global_: tuple[str, ...] = setting((), "Sends in all; not set: no limit.", _good_limits)
    allow: tuple[str, ...] = setting(
        (),
        "Prefixes that may be sent to, then nobody else; + is every number. The longest prefix of allow and deny decides.",
        _good_prefixes,
    )
    deny: tuple[str, ...] = setting(
        (),
        "Prefixes that are not sent to, except to phones that verified before.",
        _good_prefixes,
        _not_allowed_too,
    )
    unverified: tuple[str, ...] = setting(
        ("20/1d", "3/1h"),
        "Accepted sends to one country and rule prefix that need not verify; an empty list: they are not counted.",
        _good_limits,
    )
    unverified_share: float = setting(
        0.3, "How many more, as a fraction of the phones that verify in the same time, 0 to 10.", between(0, 10)
    )
    unverified_mode: Literal["record", "enforce"] = setting(
        "record", "Whether sends beyond limits.unverified are only recorded, or refused.", one_of("record", "enforce")
    )
    neighbours: tuple[str, ...] = setting(
        ("10/1h",),
        "Numbers that differ only in their last two digits; more of them are recorded, never refused.",
        _good_limits,
    )
    lock_after: int = setting(
        10, "Wrong codes in a row, across challenges, after which a phone has to wait; 1 to 100.", between(1, 100)
    )

    def of(self, name: str) -> tuple[Limit, ...]:
        """One list of limits, read: ``phone``, ``client``, ``country``, ``global_``, ``unverified`` or ``neighbours``."""
        return self._read[name]

    @functools.cached_property
    def prefix_limits(self) -> Mapping[str, tuple[Limit, ...]]:
        """``prefix``, read."""
        return {prefix: _read(texts) for prefix, texts in self.prefix.items()}

    @functools.cached_property
    def country_limits(self) -> Mapping[str, tuple[Limit, ...]]:
        """``countries``, read."""
        return {region: _read(texts) for region, texts in self.countries.items()}

    @functools.cached_property
    def needs_region(self) -> bool:
        """Some limit goes by country."""
        return bool(self.country or self.countries or self.unverified)

    @functools.cached_property
    def budget_rule(self) -> BudgetRule:
        """``unverified`` and how it is applied, read."""
        return BudgetRule(
            windows=tuple(BudgetWindow(least=limit.count, length=limit.window) for limit in self.of("unverified")),
            share=self.unverified_share,
            enforce=self.unverified_mode == "enforce",
        )

    @functools.cached_property
    def _read(self) -> Mapping[str, tuple[Limit, ...]]:
        names = ("phone", "client", "country", "global_", "unverified", "neighbours")
        return {name: _read(getattr(self, name)) for name in names}


def _read(texts: tuple[str, ...]) -> tuple[Limit, ...]:
    return tuple(parse_limit(text) for text in texts)
