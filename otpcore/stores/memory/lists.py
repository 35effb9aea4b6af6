"""Lists over dictionaries: by time, in the order in which rows were written."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from otpcore.stores.lists import DeliveryFilter, Filter, Place
from otpcore.stores.records import ChallengeRecord, DeliveryRecord

R = TypeVar("R")


class Timeline:
    """Ids by time, and by number where they have the same."""

    def __init__(self) -> None:
        self._numbers = 0
        self._rows: list[tuple[datetime, int, str]] = []
        self._row_of: dict[str, tuple[datetime, int, str]] = {}

    def add(self, time: datetime, row_id: str) -> None:
        self._numbers += 1
        row = (time, self._numbers, row_id)
        if self._rows and row < self._rows[-1]:
            bisect.insort(self._rows, row)
        else:  # time goes on, mostly
            self._rows.append(row)
        self._row_of[row_id] = row

    def remove(self, row_id: str) -> None:
        del self._rows[bisect.bisect_left(self._rows, self._row_of.pop(row_id))]

    def later(self, since: datetime, skip: int) -> datetime | None:
        """The time of the one that so many others from then on lie before."""
        found = self._rows[bisect.bisect_left(self._rows, (since, 0, "")) + skip :][:1]
        return found[0][0] if found else None

    def back(self, start: Place, end: Place) -> Iterator[tuple[str, Place]]:
        """Those before ``start`` and as far as ``end``, the newest first."""
        first, last = (bisect.bisect_left(self._rows, (place.time, place.number, "")) for place in (end, start))
        for time, number, row_id in reversed(self._rows[first:last]):
            yield row_id, Place(time, number)


class ListRows:
    """Reads what `ChallengeRows` keeps."""

    challenge_rows: dict[str, ChallengeRecord]
    _deliveries: dict[str, DeliveryRecord]
    _phone_of: dict[str, str]
    _recorded_by_time: Timeline
    _begun_by_time: Timeline

    def listed(self, wanted: Filter[R], start: Place, end: Place, limit: int) -> Sequence[tuple[R, Place]]:
        return list(itertools.islice(self._found(wanted, start, end), limit))

    def place(self, wanted: Filter[R], start: Place, skip: int) -> Place | None:
        found = itertools.islice(self._found(wanted, start, wanted.oldest), skip - 1, None)
        return next((place for _, place in found), None)

    def _found(self, wanted: Filter[R], start: Place, end: Place) -> Iterator[tuple[R, Place]]:
        of_deliveries = isinstance(wanted, DeliveryFilter)
        timeline = self._recorded_by_time if of_deliveries else self._begun_by_time
        records: dict[str, Any] = self._deliveries if of_deliveries else self.challenge_rows
        for row_id, place in timeline.back(start, end):
            record = records[row_id]
            phone_key = self._phone_of[row_id] if of_deliveries else record.phone_key
            if wanted.phone_key in ("", phone_key) and wanted.fits(record):
                yield record, place
