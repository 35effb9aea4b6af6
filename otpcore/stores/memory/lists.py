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
    """Ids by time, and by number where they have the same. Places are pairs in here: those are compared without a call."""

    def __init__(self) -> None:
        self._numbers = 0
        self._places: list[tuple[datetime, int]] = []
        self._ids: dict[int, str] = {}
        self._place_of: dict[str, tuple[datetime, int]] = {}

    def add(self, time: datetime, row_id: str) -> None:
        self._numbers += 1
        place = (time, self._numbers)
        if self._places and place < self._places[-1]:
            bisect.insort(self._places, place)
        else:
            self._places.append(place)
        self._ids[self._numbers] = row_id
        self._place_of[row_id] = place

    def remove(self, row_id: str) -> None:
        place = self._place_of.pop(row_id)
        del self._ids[place[1]]
        del self._places[bisect.bisect_left(self._places, place)]

    def later(self, since: datetime, skip: int) -> datetime | None:
        """The time of the one that so many others from then on lie before."""
        found = self._places[bisect.bisect_left(self._places, (since, 0)) + skip :][:1]
        return found[0][0] if found else None

    def back(self, start: Place, end: Place) -> Iterator[tuple[str, Place]]:
        """Those before ``start`` and as far as ``end``, the newest first."""
        first, last = (bisect.bisect_left(self._places, (one.time, one.number)) for one in (end, start))
        for time, number in reversed(self._places[first:last]):
            yield self._ids[number], Place(time, number)


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
