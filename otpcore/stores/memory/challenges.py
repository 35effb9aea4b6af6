"""Challenges, their deliveries, receipts and schedule rows, in dictionaries; and lists of them by time."""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from otpcore.models import Channel
from otpcore.stores.lifecycle import OVER
from otpcore.stores.lists import DeliveryFilter, Filter, Place
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, ReceiptRecord, ScheduleRecord, Waits, changed

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


class ChallengeRows:
    """By id, with an index for every other way to find them."""

    def __init__(self) -> None:
        super().__init__()
        self.challenge_rows: dict[str, ChallengeRecord] = {}
        self._of_subject: dict[str, list[str]] = {}
        self._of_phone: dict[str, list[str]] = {}
        self._deliveries: dict[str, DeliveryRecord] = {}
        self._phone_of: dict[str, str] = {}
        self._of_challenge: dict[str, list[str]] = {}
        self._receipts: dict[tuple[str, str, str, str], ReceiptRecord] = {}
        self._begun_by_time = Timeline()
        self._recorded_by_time = Timeline()

    def challenge(self, challenge_id: str) -> ChallengeRecord | None:
        return self.challenge_rows.get(challenge_id)

    def peek(self, challenge_id: str) -> ChallengeRecord | None:
        return self.challenge(challenge_id)

    def latest(self, subject: str) -> ChallengeRecord | None:
        ids = self._of_subject.get(subject)
        return self.challenge_rows[ids[-1]] if ids else None

    def peek_latest(self, subject: str) -> ChallengeRecord | None:
        return self.latest(subject)

    def challenges_of(self, phone_key: str) -> Sequence[ChallengeRecord]:
        return [self.challenge_rows[one] for one in reversed(self._of_phone.get(phone_key, ()))]

    def insert_challenge(self, challenge: ChallengeRecord) -> bool:
        holder = self.latest(challenge.subject)
        if holder is not None and holder.state not in OVER:
            return False
        self.challenge_rows[challenge.id] = challenge
        self._begun_by_time.add(challenge.first_sent_at, challenge.id)
        self._of_subject.setdefault(challenge.subject, []).append(challenge.id)
        self._of_phone.setdefault(challenge.phone_key, []).append(challenge.id)
        return True

    def update_challenge(self, challenge_id: str, **changes: Any) -> None:
        self.challenge_rows[challenge_id] = changed(self.challenge_rows[challenge_id], **changes)

    def expired(self, now: datetime, limit: int) -> Sequence[ChallengeRecord]:
        over = (c for c in self.challenge_rows.values() if c.state not in OVER and c.expires_at <= now)
        return heapq.nsmallest(limit, over, key=lambda challenge: (challenge.expires_at, challenge.id))

    def begun_after(self, moment: datetime, limit: int) -> Sequence[ChallengeRecord]:
        later = (c for c in self.challenge_rows.values() if c.state not in OVER and c.first_sent_at > moment)
        return heapq.nsmallest(limit, later, key=lambda challenge: (challenge.expires_at, challenge.id))

    def deliveries(self, challenge_id: str) -> Sequence[DeliveryRecord]:
        return [self._deliveries[one] for one in self._of_challenge.get(challenge_id, ())]

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        return self._deliveries.get(delivery_id)

    def delivery_by_reference(self, instance: str, reference: str) -> DeliveryRecord | None:
        newest_first = reversed(self._deliveries.values())
        return next((d for d in newest_first if (d.instance, d.reference) == (instance, reference)), None)

    def insert_delivery(self, delivery: DeliveryRecord, phone_key: str) -> None:
        self._deliveries[delivery.id] = delivery
        self._recorded_by_time.add(delivery.recorded_at, delivery.id)
        self._phone_of[delivery.id] = phone_key
        self._of_challenge.setdefault(delivery.challenge_id, []).append(delivery.id)

    def answer_delivery(self, delivery_id: str, **answer: Any) -> bool:
        delivery = self._deliveries.get(delivery_id)
        if delivery is None:
            return False
        self._deliveries[delivery_id] = changed(delivery, **answer)
        return True

    def insert_receipt(self, receipt: ReceiptRecord) -> bool:
        if _receipt_key(receipt) in self._receipts:
            return False
        self._receipts[_receipt_key(receipt)] = receipt
        return True

    def receipts_of(self, delivery_id: str, reference: str) -> Sequence[ReceiptRecord]:
        found = (
            one
            for one in self._receipts.values()
            if one.delivery_id == delivery_id or (reference and one.reference == reference)
        )
        return sorted(found, key=lambda one: (one.received_at, *_receipt_key(one)))

    def apply_receipt(self, receipt: ReceiptRecord, delivery_id: str) -> None:
        del self._receipts[_receipt_key(receipt)]
        applied = changed(receipt, delivery_id=delivery_id, applied=True)
        self._receipts[_receipt_key(applied)] = applied

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        old = (delivery.id for delivery in self._deliveries.values() if delivery.recorded_at < before)
        return self._remove_deliveries(list(itertools.islice(old, limit)))

    def purge_receipts(self, before: datetime, limit: int) -> int:
        old = [key for key, receipt in self._receipts.items() if receipt.received_at < before][:limit]
        for key in old:
            del self._receipts[key]
        return len(old)

    def listed(self, wanted: Filter[R], start: Place, end: Place, limit: int) -> Sequence[tuple[R, Place]]:
        return list(itertools.islice(self._found(wanted, start, end), limit))

    def place(self, wanted: Filter[R], start: Place, skip: int) -> Place | None:
        found = itertools.islice(self._found(wanted, start, wanted.oldest), skip - 1, None)
        return next((place for _, place in found), None)

    def _remove_deliveries(self, gone: Sequence[str]) -> int:
        for delivery_id in gone:
            _forget(self._of_challenge, self._deliveries.pop(delivery_id).challenge_id, delivery_id)
            del self._phone_of[delivery_id]
            self._recorded_by_time.remove(delivery_id)
        return len(gone)

    def _found(self, wanted: Filter[R], start: Place, end: Place) -> Iterator[tuple[R, Place]]:
        of_deliveries = isinstance(wanted, DeliveryFilter)
        timeline = self._recorded_by_time if of_deliveries else self._begun_by_time
        records: dict[str, Any] = self._deliveries if of_deliveries else self.challenge_rows
        for row_id, place in timeline.back(start, end):
            record = records[row_id]
            phone_key = self._phone_of[row_id] if of_deliveries else record.phone_key
            if wanted.phone_key in ("", phone_key) and wanted.fits(record):
                yield record, place

    def _drop_challenge(self, challenge: ChallengeRecord) -> None:
        """Only itself, as its deliveries are kept for longer."""
        del self.challenge_rows[challenge.id]
        self._begun_by_time.remove(challenge.id)
        _forget(self._of_subject, challenge.subject, challenge.id)
        _forget(self._of_phone, challenge.phone_key, challenge.id)


class ScheduleRows:
    """By challenge and channel; and by when they may be claimed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._schedule: dict[tuple[str, Channel], ScheduleRecord] = {}
        self._channels_of: dict[str, list[Channel]] = {}
        self._claimable: list[tuple[datetime, str, Channel]] = []
        self._waiting: dict[tuple[Waits, str], list[tuple[datetime, str, Channel]]] = {}

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        return self._schedule.get((challenge_id, channel))

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        channels = sorted(self._channels_of.get(challenge_id, ()), reverse=True)
        return [self._schedule[challenge_id, channel] for channel in channels]

    def put_schedule(self, row: ScheduleRecord) -> None:
        self.delete_schedule(row.challenge_id, row.channel)
        self._schedule[row.challenge_id, row.channel] = row
        self._channels_of.setdefault(row.challenge_id, []).append(row.channel)
        bisect.insort(self._claimable, _place(row))
        if row.waits is not None:
            bisect.insort(self._waiting.setdefault((row.waits, row.waits_for), []), _place(row))

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        old = self._schedule.pop((challenge_id, channel), None)
        if old is None:
            return
        self._channels_of[challenge_id].remove(channel)
        if not self._channels_of[challenge_id]:
            del self._channels_of[challenge_id]
        place = _place(old)
        del self._claimable[bisect.bisect_left(self._claimable, place)]
        if old.waits is not None:
            waiting = self._waiting[old.waits, old.waits_for]
            del waiting[bisect.bisect_left(waiting, place)]
            if not waiting:
                del self._waiting[old.waits, old.waits_for]

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        channels: Collection[Channel],
        key_ids: Collection[str] | None = None,
        instances: Collection[str] | None = None,
    ) -> Sequence[ScheduleRecord]:
        found: list[ScheduleRecord] = []
        for claimable_at, challenge_id, channel in self._claimable:
            if claimable_at > now or len(found) >= limit:
                break
            row = self._schedule[challenge_id, channel]
            has_key = key_ids is None or row.key_id in key_ids
            has_instances = instances is None or all(one in instances for one in row.forced or ())
            if channel in channels and has_key and has_instances:
                found.append(row)
        return found

    def next_due(self) -> datetime | None:
        return self._claimable[0][0] if self._claimable else None

    def upcoming(self, limit: int, after: ScheduleRecord | None = None) -> Sequence[ScheduleRecord]:
        first = 0 if after is None else bisect.bisect_right(self._claimable, _place(after))
        return [self._schedule[place[1:]] for place in self._claimable[first : first + limit]]

    def waiting(self, waits: Waits, waits_for: str, until: datetime, limit: int) -> int:
        return sum(due_at <= until for due_at, _, _ in self._waiting.get((waits, waits_for), [])[:limit])

    def waited_for(self) -> Sequence[tuple[Waits, str]]:
        return sorted(self._waiting)

    def wake(self, waits: Waits, waits_for: str, due_at: datetime, limit: int) -> int:
        rows = [self._schedule[place[1:]] for place in self._waiting.get((waits, waits_for), ())]
        asleep = [row for row in rows if row.lease_until is None][:limit]
        for row in asleep:
            self.put_schedule(changed(row, due_at=min(row.due_at, due_at), waits=None, waits_for=""))
        return len(asleep)

    def due_keys(self, now: datetime) -> frozenset[str]:
        return frozenset(row.key_id for row in self._schedule.values() if row.claimable_at <= now)


def _receipt_key(receipt: ReceiptRecord) -> tuple[str, str, str, str]:
    return receipt.reference, receipt.instance, receipt.delivery_id, receipt.status


def _forget(index: dict[str, list[str]], key: str, member: str) -> None:
    """Take a member out of an index, and the key with the last one."""
    index[key].remove(member)
    if not index[key]:
        del index[key]


def _place(row: ScheduleRecord) -> tuple[datetime, str, Channel]:
    return row.claimable_at, row.challenge_id, row.channel
