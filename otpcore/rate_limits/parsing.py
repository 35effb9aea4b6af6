"""Limits as they are written, ``5/1h``: so many in so long; prefixes; pure."""

from __future__ import annotations

import functools
import re
from datetime import timedelta
from typing import Any

import attrs

from otpcore.errors import SettingsError, quoted

__all__ = ["Limit", "is_prefix", "parse_limit", "parse_seconds"]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TIME = r"([1-9][0-9]{0,5})([smhd])"
_LIMIT = re.compile(rf"(0|[1-9][0-9]{{0,8}})/{_TIME}")
_PREFIX = re.compile(r"\+([1-9][0-9]{0,14})?")


@attrs.frozen
class Limit:
    """At most ``count`` in any window of ``seconds``; 0: none at all."""

    count: int
    seconds: int

    @functools.cached_property
    def window(self) -> timedelta:
        """``seconds``."""
        return timedelta(seconds=self.seconds)


def parse_limit(text: str, *, key: str = "limits.phone") -> Limit:
    """Read ``3/10m``: three in ten minutes; ``0/1d``: none; the units are s, m, h and d.

    Raises:
        SettingsError: It is written otherwise; names ``key``.
    """
    found = _LIMIT.fullmatch(text.strip()) if isinstance(text, str) else None
    if not found:
        raise SettingsError(
            f"{key}: must be written like 3/10m (count/time, the unit is s, m, h or d), not {quoted(text)}"
        )
    return Limit(int(found[1]), int(found[2]) * _UNITS[found[3]])


def parse_seconds(text: str) -> int:
    """Read ``2h``: how many seconds that are; the units are s, m, h and d.

    Raises:
        SettingsError: It is written otherwise.
    """
    found = re.fullmatch(_TIME, text.strip())
    if not found:
        raise SettingsError(f"a time must be written like 30m or 2h (the unit is s, m, h or d), not {quoted(text)}")
    return int(found[1]) * _UNITS[found[2]]


def is_prefix(text: Any) -> bool:
    """The beginning of E.164 numbers; ``+`` alone begins them all."""
    return isinstance(text, str) and _PREFIX.fullmatch(text) is not None
