"""The primitives of series, a part of ``Rows``. A world sees its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from otpcore.stores.series import SeriesKey

__all__ = ["SeriesRows"]


class SeriesRows(Protocol):
    """What happened, and the counts of it that are kept."""

    def folded_until(self) -> datetime | None:
        """What happened before then is counted; None: nothing is."""

    def note_folded(self, before: datetime | None, until: datetime) -> bool:
        """More is counted now; False, and nothing is written, where ``folded_until`` is no longer what it was before."""

    def recorded_after(self, since: datetime, skip: int) -> datetime | None:
        """When the delivery was recorded that so many others, recorded from then on, lie before. None: there is none."""

    def happened(self, since: datetime, until: datetime) -> Mapping[SeriesKey, int]:
        """The counts of a time, by minute and route."""

    def add_series(self, span: int, key: SeriesKey, counts: int) -> None:
        """Add to the counts that span so many minutes; for whoever has noted that they are counted."""

    def series(self, span: int, first: int, last: int) -> Iterable[tuple[int, str, str, str, int]]:
        """Counts from the first minute to before the last: minute, instance, prefix, channel as text, and the number."""

    def purge_series(self, before: int, limit: int) -> int:
        """Remove those of earlier minutes; at most so many of each span."""
