"""Notices that retries stand still: nobody runs them, or nobody who could."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from otpcore.errors import StoreError
from otpcore.events import EventType

if TYPE_CHECKING:
    from otpcore.service.service import Service

__all__ = ["OVERDUE", "OverdueWatch", "is_overdue"]

OVERDUE = timedelta(seconds=60)
"""Far longer than any runner's poll, and any lease that it may wait for."""


def is_overdue(next_due: datetime | None, now: datetime) -> bool:
    """Something should have been run long ago."""
    return next_due is not None and now - next_due > OVERDUE


class OverdueWatch:
    """Says once that retries stand still, and once that they go on."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stands_still = False
        self._is_of_use = service.settings.retries_anything

    async def look(self) -> None:
        """Ask the store, with one look into an index; one that does not answer changes nothing."""
        if not self._is_of_use:
            return
        try:
            next_due = await self._service.store.next_due()
        except StoreError:
            return
        stood_still, self._stands_still = self._stands_still, is_overdue(next_due, self._service.clock())
        if self._stands_still and not stood_still and next_due is not None:
            self._service.emit(
                EventType.RETRIES_STAND_STILL,
                detail=f"due since {next_due.isoformat(timespec='seconds')}; start `otp worker`, or see `otp doctor`",
            )
        elif stood_still and not self._stands_still:
            self._service.emit(EventType.RETRIES_GO_ON)
