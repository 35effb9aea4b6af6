"""``channels`` and ``otp_<channel>_provider``: settings of channels besides SMS and calls, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from otpcore.errors import RoutingSyntaxError, SettingsError
from otpcore.models import Channel
from otpcore.routing import parse_rules
from otpcore.settings.fields import setting

__all__ = ["ChannelSettings", "good_channel_rules", "good_channels", "without_blank_rules"]

_MOST_RETRIES = 100


@attrs.frozen(kw_only=True)
class ChannelSettings:
    """``channels.<channel>``: a channel besides SMS and calls."""

    retry: bool = setting(False, "Try again later when no provider took the message; without the section: as for SMS.")
    max_retries: int = setting(20, "Tries after the first, 0 to 100; 0 is as if it were off.")

    @property
    def is_retried(self) -> bool:
        """Whether anything is ever tried again."""
        return self.retry and self.max_retries > 0


def good_channel_rules(_: Any, __: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    """Refuse rules that cannot be read, by the name of their setting."""
    for name, text in value.items():
        try:
            parse_rules(text)
        except RoutingSyntaxError as error:
            raise RoutingSyntaxError(f"{name}: {error.problem}", error.text, error.column) from error


def without_blank_rules(rules: Mapping[str, str]) -> dict[str, str]:
    """Compose files and charts set a variable to nothing to say that it is not set."""
    return {name: text for name, text in rules.items() if text.strip()}


def good_channels(_: Any, __: attrs.Attribute[Any], value: Mapping[str, ChannelSettings]) -> None:
    """Refuse what is no channel, or has a section of its own."""
    for word, one in value.items():
        if word in (Channel.SMS, Channel.CALL):
            raise SettingsError(f"channels.{word}: is written under [{word}]")
        try:
            Channel(word)
        except ValueError as error:
            raise SettingsError(f"channels.{word}: {error}") from None
        if not 0 <= one.max_retries <= _MOST_RETRIES:
            raise SettingsError(f"channels.{word}.max_retries: must be 0 to {_MOST_RETRIES}, not {one.max_retries}")
