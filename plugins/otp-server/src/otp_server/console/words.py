"""Numbers and times as the console writes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

__all__ = ["FOR_TEMPLATES", "FROM_NOW", "clock", "count", "lasting", "moment_of", "percent", "plural"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def count(number: int) -> str:
    """1,234."""
    return f"{number:,}"


def percent(part: int, whole: int) -> str:
    """91.4 %; empty where there is no whole. What is not all is never written as 100."""
    if not whole:
        return ""
    share = part / whole * 100
    rounded = math.floor(share * 10) / 10 if part < whole else share
    return f"{rounded:.1f}\u00a0%"


def plural(number: int, one: str, more: str = "") -> str:
    """1 send, 2 sends."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def lasting(seconds: float | None) -> str:
    """Of a length of time: 12 s, 3 min 12 s, 2 h 5 min, 3 days; empty where it is not known."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min" + (f" {whole % _MINUTE:02d} s" if whole % _MINUTE else "")
    if whole < _DAY:
        return f"{whole // _HOUR} h" + (f" {whole % _HOUR // _MINUTE} min" if whole % _HOUR >= _MINUTE else "")
    return plural(whole // _DAY, "day")


def clock(now: datetime, moment: datetime, *, seconds: bool = True) -> str:
    """A moment in UTC: 14:41:08 where it is today, 9 Nov 09:12 within a year, else 9 Nov 2025."""
    moment = moment.astimezone(UTC)
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"
    if abs(now - moment) < timedelta(days=300):
        return f"{moment.day} {moment:%b %H:%M}"
    return f"{moment.day} {moment:%b %Y}"


def ago(now: datetime, moment: datetime) -> str:
    """16 s ago; in 4 s."""
    seconds = (now - moment).total_seconds()
    return f"{lasting(seconds)} ago" if seconds >= 0 else f"in {lasting(-seconds)}"


def moment_of(moment: datetime) -> str:
    """For machines: 2026-11-12T14:41:08Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


FOR_TEMPLATES: Mapping[str, Callable[..., str]] = {
    "count": count,
    "percent": percent,
    "plural": plural,
    "lasting": lasting,
    "moment_of": moment_of,
}
"""By the names that templates know them by."""

FROM_NOW: Mapping[str, Callable[..., str]] = {"clock": clock, "ago": ago}
"""Those that templates call without the first argument."""
