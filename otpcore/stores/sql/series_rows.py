"""`Rows` of series over an SQL database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from otpcore.stores.series import SPANS, SeriesKey, answered, delivered, from_bytes, to_bytes, verified
from otpcore.stores.sql import series_statements as sql
from otpcore.stores.sql.unit import SqlUnit

__all__ = ["SeriesRows"]


class SeriesRows(SqlUnit):
    """Part of `SqlRows`."""

    def folded_until(self) -> datetime | None:
        until: datetime | None = self._scalar(sql.FOLDED_UNTIL, own_world=self.world)
        return until

    def note_folded(self, before: datetime | None, until: datetime) -> bool:
        if before is None:
            return self._insert_fold(until)
        return self._changed(sql.NOTE_FOLDED, folded_until=until, before=before, own_world=self.world) == 1

    def _insert_fold(self, until: datetime) -> bool:
        return self._changed(sql.INSERT_FOLD, world=self.world, folded_until=until) == 1

    def recorded_after(self, since: datetime, skip: int) -> datetime | None:
        recorded_at: datetime | None = self._scalar(sql.RECORDED_AFTER, since=since, skip=skip, own_world=self.world)
        return recorded_at

    def happened(self, since: datetime, until: datetime) -> Mapping[SeriesKey, int]:
        counts: Counter[SeriesKey] = Counter()
        span = {"since": since, "until": until, "own_world": self.world}
        kinds: tuple[tuple[Any, Any], ...] = (
            (sql.ANSWERED, answered),
            (sql.DELIVERED, delivered),
            (sql.VERIFIED, verified),
        )
        for statement, one in kinds:
            for minute, instance, prefix, channel, what, count in self._rows(statement, span):
                key = SeriesKey(int(minute), instance, prefix, channel)
                counts[key] += one(what) * count
        return counts

    def add_series(self, span: int, key: SeriesKey, counts: int) -> None:
        row = {"span": span, "minute": key.minute, "instance": key.instance, "prefix": key.prefix}
        where = {f"row_{name}": value for name, value in row.items()}
        kept = self._scalar(sql.COUNTS, **where, row_channel=key.channel, own_world=self.world)
        total = counts if kept is None else counts + from_bytes(kept)
        self._changed(sql.PUT_SERIES, **row, channel=key.channel, counts=to_bytes(total), world=self.world)

    def series(self, span: int, first: int, last: int) -> Iterator[tuple[int, str, str, str, int]]:
        given = {"row_span": span, "first": first, "last": last, "own_world": self.world}
        for minute, instance, prefix, channel, counts in self._rows(sql.SERIES, given):
            yield minute, instance, prefix, channel, from_bytes(counts)

    def purge_series(self, before: int, limit: int) -> int:
        return sum(self._purge_span(span, before, limit) for span in SPANS)

    def _purge_span(self, span: int, before: int, limit: int) -> int:
        given = {"row_span": span, "before": before, "most": limit, "own_world": self.world}
        return self._changed(sql.PURGE_SERIES, **given)
