"""The time: the machine's in UTC, a host's clock turned into UTC once, and a time as people read it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from otpcore.errors import SettingsError

__all__ = ["in_utc", "utc_now", "when"]


def utc_now() -> datetime:
    """The wall clock, aware UTC."""
    return datetime.now(UTC)


def in_utc(clock: Callable[[], datetime]) -> Callable[[], datetime]:
    """The same clock in UTC, since a local time comes twice in the night in which the clocks go back; it raises ``SettingsError`` when the given one tells no aware time.

    ``utc_now`` stays itself: who has it leaves the time to a database server.
    """

    def now() -> datetime:
        told = clock()
        if not isinstance(told, datetime) or told.utcoffset() is None:
            raise SettingsError(
                "clock: must tell an aware time, and this one has no time zone; pass one like lambda: datetime.now(UTC)"
            )
        return told.astimezone(UTC)

    return clock if clock is utc_now else now


def when(moment: datetime | None) -> str:
    """A time in the reader's own time zone, which is told with it; empty: there is none."""
    if moment is None:
        return ""
    own = moment.astimezone()
    zone = own.isoformat()[-len("+00:00") :] if own.utcoffset() else "UTC"
    return f"{own:%Y-%m-%d %H:%M:%S} {zone}"
