"""Numbers and times that the public methods are given, checked before anything is done with them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from otpcore.errors import InvalidArgument

__all__ = ["checked_count", "checked_moment", "checked_period", "checked_seconds", "checked_window"]

_MOST = 2**53  # what every store and every JSON reader can hold
_LONGEST = 100 * 366 * 86_400.0  # seconds; whoever means longer means for ever


def checked_count(name: str, value: object, *, least: int = 1) -> int:
    """A whole number, by the name of the argument.

    Raises:
        InvalidArgument: It is none, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
        raise InvalidArgument(f"{name}: must be a whole number, and at least {least}")
    return value


def checked_seconds(name: str, value: object, *, longest: float = _LONGEST, fix: str = "give seconds") -> float:
    """A length of time, in seconds.

    Raises:
        InvalidArgument: It is no number, not more than 0, or too long.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= longest:
        raise InvalidArgument(f"{name}: must be a number of seconds, more than 0. Fix: {fix}")
    return float(value)


def checked_window(value: object, longest: float) -> timedelta:
    """How far back is looked; what is longer than anything is kept is as long as that, and what is negative is none.

    Raises:
        InvalidArgument: It is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise InvalidArgument("window: must be a number of seconds. Fix: give seconds, such as 3600")
    return timedelta(seconds=min(max(value, 0), longest))


def checked_moment(name: str, value: object) -> datetime:
    """A time, in UTC.

    Raises:
        InvalidArgument: It is none, does not say its zone, or lies before the year 1 there.
    """
    if isinstance(value, datetime) and value.utcoffset() is not None:
        try:
            return value.astimezone(UTC)
        except OverflowError:
            pass
    raise InvalidArgument(f"{name}: must be a time that knows its zone. Fix: use datetime.now(UTC)")


def checked_period(since: object, until: object) -> tuple[datetime | None, datetime | None]:
    """From when to when, in UTC; None: without an end on that side.

    Raises:
        InvalidArgument: One is no time, or it ends before it begins.
    """
    first = None if since is None else checked_moment("since", since)
    last = None if until is None else checked_moment("until", until)
    if first is not None and last is not None and last < first:
        raise InvalidArgument("until: is before since. Fix: exchange the two")
    return first, last
