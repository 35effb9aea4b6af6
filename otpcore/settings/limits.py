"""``limits.*``: who may send to whom and how often, and who may try codes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import attrs

from otpcore.errors import SettingsError
from otpcore.models import Channel
from otpcore.phone.numbers import begins_numbers, is_region
from otpcore.phone.regions import check_region, quoted_target, region_hint
from otpcore.rate_limits.admission import BudgetRule, BudgetWindow
from otpcore.rate_limits.parsing import Limit, is_prefix, parse_limit
from otpcore.settings.fields import between, full_key, one_of, setting

__all__ = ["LimitSettings", "is_target"]


def is_target(text: Any) -> bool:
    """A prefix, or a region in capitals such as ``BG``."""
    return is_prefix(text) or (isinstance(text, str) and is_region(text))


def _good_limits(instance: LimitSettings, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    limits = [parse_limit(text, key=full_key(instance, attribute)) for text in value]
    if len({limit.seconds for limit in limits}) < len(limits):
        raise SettingsError(f"{full_key(instance, attribute)}: two limits have the same time; keep the lower one")


def _not_zero(instance: LimitSettings, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if any(parse_limit(text).count == 0 for text in value):
        raise SettingsError(f"{full_key(instance, attribute)}: must be 1 or more in a time, or an empty list")


def _good_limits_by_prefix(
    instance: LimitSettings, attribute: attrs.Attribute[Any], value: Mapping[str, tuple[str, ...]]
) -> None:
    for prefix, texts in value.items():
        if not is_prefix(prefix) or prefix == "+":
            hint = "; a country has limits.countries" if is_region(prefix.upper()) else ""
            raise SettingsError(f"limits.prefix: a prefix is + and 1 to 15 digits, not {quoted_target(prefix)}{hint}")
        _known_prefix(instance, attribute, prefix)
        _good_limits(instance, attribute, texts)


def _good_limits_by_region(
    instance: LimitSettings, attribute: attrs.Attribute[Any], value: Mapping[str, tuple[str, ...]]
) -> None:
    for region, texts in value.items():
        check_region(region, key=full_key(instance, attribute))
        _good_limits(instance, attribute, texts)


def _good_limits_by_channel(
    instance: LimitSettings, attribute: attrs.Attribute[Any], value: Mapping[str, tuple[str, ...]]
) -> None:
    for word, texts in value.items():
        try:
            Channel(word)
        except ValueError as error:
            raise SettingsError(f"limits.channel.{word}: {error}") from None
        _good_limits(instance, attribute, texts)


def _regions_in_capitals(targets: Any) -> Any:
    """As ``limits.countries``."""
    if not isinstance(targets, (tuple, list)):
        return targets
    return tuple(one.upper() if isinstance(one, str) else one for one in targets)


def _in_capitals(regions: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The environment knows no case."""
    return {region.upper(): texts for region, texts in regions.items()}


def _good_targets(instance: LimitSettings, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for target in value:
        if not is_target(target):
            raise SettingsError(
                f"{full_key(instance, attribute)}: must be a prefix (+ and up to 15 digits) or a region (two letters like BG), "
                f"not {quoted_target(target)}{region_hint(target)}"
            )
        _known_prefix(instance, attribute, target)


def _known_prefix(instance: LimitSettings, attribute: attrs.Attribute[Any], target: str) -> None:
    if is_prefix(target) and not begins_numbers(target):
        raise SettingsError(f"{full_key(instance, attribute)}: no country's numbers begin with {quoted_target(target)}")


def _not_allowed_too(instance: LimitSettings, _: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    if both := sorted(set(value).intersection(instance.allow)):
        raise SettingsError(f"limits.deny: {', '.join(both)} is in limits.allow too")


@attrs.frozen(kw_only=True)
class LimitSettings:
    """``limits.*``. All limits count at once; ``count/time`` with s, m, h or d, in windows that begin with their first send."""

    section: ClassVar[str] = "limits"

    phone: tuple[str, ...] = setting(
        ("3/10m", "10/1d"),
        "Sends to one phone, as count/time with s, m, h or d; 0/1d: none; an empty list: no limit.",
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
    country: tuple[str, ...] = setting(
        (), "Sends to each country; numbers that belong to none are one more; not set: no limit.", _good_limits
    )
    countries: Mapping[str, tuple[str, ...]] = setting(
        dict,
        "Limits of one country instead of limits.country; 0/1d: nothing is sent there; an empty list: no limit.",
        _good_limits_by_region,
        names="<region>",
        converter=_in_capitals,
    )
    channel: Mapping[str, tuple[str, ...]] = setting(
        dict,
        "Sends over one channel, such as call or whatsapp; 0/1d: nothing is sent over it.",
        _good_limits_by_channel,
        names="<channel>",
    )
    global_: tuple[str, ...] = setting((), "Sends in all; not set: no limit.", _good_limits)
    allow: tuple[str, ...] = setting(
        (),
        "Prefixes and regions that may be sent to, and no others; + is every number. The narrowest of allow and deny decides.",
        _good_targets,
        converter=_regions_in_capitals,
    )
    deny: tuple[str, ...] = setting(
        (),
        "Prefixes and regions that are not sent to, except to phones that verified before.",
        _good_targets,
        _not_allowed_too,
        converter=_regions_in_capitals,
    )
    unverified: tuple[str, ...] = setting(
        ("20/1d", "3/1h"),
        "Accepted sends to one country and rule prefix that need not verify; an empty list: they are not counted.",
        _good_limits,
        _not_zero,
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
        _not_zero,
    )
    lock_after: int = setting(
        10,
        "Wrong codes in a row from one client on one phone, after which it waits; 1 to 100. A hundred in all lock the phone.",
        between(1, 100),
    )

    @functools.cached_property
    def lists(self) -> Mapping[str, tuple[Limit, ...]]:
        """Each list of limits, read: ``phone``, ``client``, ``country``, ``global_``, ``unverified`` and ``neighbours``."""
        names = ("phone", "client", "country", "global_", "unverified", "neighbours")
        return {name: _read(getattr(self, name)) for name in names}

    @functools.cached_property
    def prefix_limits(self) -> Mapping[str, tuple[Limit, ...]]:
        """``prefix``, read."""
        return {prefix: _read(texts) for prefix, texts in self.prefix.items()}

    @functools.cached_property
    def country_limits(self) -> Mapping[str, tuple[Limit, ...]]:
        """``countries``, read."""
        return {region: _read(texts) for region, texts in self.countries.items()}

    @functools.cached_property
    def channel_limits(self) -> Mapping[str, tuple[Limit, ...]]:
        """``channel``, read."""
        return {word: _read(texts) for word, texts in self.channel.items()}

    @functools.cached_property
    def none_at_all(self) -> tuple[str, ...]:
        """The keys of the limits that let nothing through."""
        lists = {
            **{name.rstrip("_"): self.lists[name] for name in ("phone", "client", "country", "global_")},
            **{f"prefix.{prefix}": limits for prefix, limits in self.prefix_limits.items()},
            **{f"countries.{region}": limits for region, limits in self.country_limits.items()},
            **{f"channel.{word}": limits for word, limits in self.channel_limits.items()},
        }
        return tuple(f"limits.{key}" for key, limits in lists.items() if any(limit.count == 0 for limit in limits))

    @functools.cached_property
    def needs_region(self) -> bool:
        """Some limit goes by country."""
        return bool(self.country or self.countries or self.unverified)

    @functools.cached_property
    def budget_rule(self) -> BudgetRule:
        """``unverified`` and how it is applied, read."""
        return BudgetRule(
            windows=tuple(BudgetWindow(least=limit.count, length=limit.window) for limit in self.lists["unverified"]),
            share=self.unverified_share,
            enforce=self.unverified_mode == "enforce",
        )


def _read(texts: tuple[str, ...]) -> tuple[Limit, ...]:
    return tuple(parse_limit(text) for text in texts)
