"""A clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from otpcore.clock import in_utc

__all__ = ["FakeClock"]


class FakeClock:
    """Pass it as ``clock``; time stands still until ``advance``.

    Args:
        start: Aware, in any time zone; None: noon on the first day of 2030.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = in_utc(lambda: start or datetime(2030, 1, 1, 12, tzinfo=UTC))()

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += timedelta(seconds=seconds)
