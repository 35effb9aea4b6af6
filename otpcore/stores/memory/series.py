"""Series in a dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from otpcore.stores.series import SPANS, SeriesKey


class SeriesRows:
    """By span, minute and route."""

    def __init__(self) -> None:
        super().__init__()
        self._series: dict[int, dict[SeriesKey, int]] = {span: {} for span in SPANS}
        self._folded_until: datetime | None = None

    def folded_until(self) -> datetime | None:
        return self._folded_until

    def note_folded(self, before: datetime | None, until: datetime) -> bool:
        if self._folded_until != before:
            return False
        self._folded_until = until
        return True

    def add_series(self, span: int, key: SeriesKey, counts: int) -> None:
        self._series[span][key] = self._series[span].get(key, 0) + counts

    def series(self, span: int, first: int, last: int) -> Iterator[tuple[int, str, str, str, int]]:
        for key, counts in self._series[span].items():
            if first <= key.minute < last:
                yield key.minute, key.instance, key.prefix, key.channel, counts

    def purge_series(self, before: int, limit: int) -> int:
        total = 0
        for kept in self._series.values():
            old = [key for key in kept if key.minute < before][:limit]
            for key in old:
                del kept[key]
            total += len(old)
        return total
