"""The memory store: one process, nothing survives. The reference for every other store, and for tests."""

from __future__ import annotations

import bisect
import heapq
import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, TypeVar

from otpcore._logs import fields
from otpcore.admission import BudgetRecord, RefusalRecord, rolled_base
from otpcore.figures import KeyUse, OutcomeCount, RouteCount, Waiting
from otpcore.hookspecs import utc_now
from otpcore.lifecycle import CLOCK_SLACK, OVER, is_living, is_spent
from otpcore.models import ChallengeState, Channel, Outcome
from otpcore.records import (
    BreakerRecord,
    ChallengeRecord,
    Charged,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ReceiptRecord,
    ScheduleRecord,
    SlotRecord,
    WorkerRecord,
    changed,
)
from otpcore.stores.base import RowStore
from otpcore.stores.rows import Rows
from otpcore.verbs import Charge

__all__ = ["MemoryRows", "MemoryStore", "create_store"]

T = TypeVar("T")
_EVER = datetime(1, 1, 1, tzinfo=UTC)
_logger = logging.getLogger("otpcore.stores.memory")


def create_store(settings: Any) -> MemoryStore:  # noqa: ARG001 - every store's factory gets the settings
    """The factory behind ``storage.store = "memory"``."""
    return MemoryStore()


class MemoryStore(RowStore):
    """Keeps everything in dictionaries, under one lock. A service that ends takes it all with it."""

    durable = False

    def __init__(self) -> None:
        self._rows = MemoryRows()
        self._lock = threading.Lock()

    async def start(self, exit_stack: AsyncExitStack) -> None:  # noqa: ARG002 - nothing to close
        """Warn: this store is for tests and trials."""
        _logger.warning(
            "the memory store keeps nothing when this process ends; use storage.store = 'sql' for real users",
            extra=fields("store_opened", reason="memory"),
        )

    async def diagnose(self) -> Mapping[str, str]:
        """Kind and size."""
        return {"store": "memory", "challenges": str(len(self._rows.challenge_rows))}

    async def _write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool = False) -> T:  # noqa: ARG002
        with self._lock:
            return unit(self._rows)

    async def _read(self, unit: Callable[[Rows], T]) -> T:
        with self._lock:
            return unit(self._rows)


class MemoryRows:
    """`Rows` in dictionaries; also for a store that keeps them as a whole."""

    def __init__(self) -> None:
        self.challenge_rows: dict[str, ChallengeRecord] = {}
        self._of_subject: dict[str, list[str]] = {}
        self._of_phone: dict[str, list[str]] = {}
        self._deliveries: dict[str, DeliveryRecord] = {}
        self._phone_of: dict[str, str] = {}
        self._of_challenge: dict[str, list[str]] = {}
        self._receipts: dict[tuple[str, str, str, str], ReceiptRecord] = {}
        self._schedule: dict[tuple[str, Channel], ScheduleRecord] = {}
        self._due: list[tuple[datetime, str, Channel]] = []
        self._waiting: dict[str, list[tuple[datetime, str, Channel]]] = {}
        self._slots: dict[tuple[str, str], SlotRecord] = {}
        self._counters: dict[str, CounterRecord] = {}
        self._failures: dict[str, FailureRecord] = {}
        self._budgets: dict[str, BudgetRecord] = {}
        self._verified: dict[str, tuple[datetime, datetime]] = {}
        self._refusals: dict[str, RefusalRecord] = {}
        self._breakers: dict[str, BreakerRecord] = {}
        self._workers: dict[str, WorkerRecord] = {}
        self._settings: dict[str, str] = {}

    def now(self, now: datetime | None) -> datetime:
        return utc_now() if now is None else now

    def challenge(self, challenge_id: str) -> ChallengeRecord | None:
        return self.challenge_rows.get(challenge_id)

    def peek(self, challenge_id: str) -> ChallengeRecord | None:
        return self.challenge(challenge_id)

    def challenge_if_free(self, challenge_id: str) -> ChallengeRecord | None:
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
        self._of_subject.setdefault(challenge.subject, []).append(challenge.id)
        self._of_phone.setdefault(challenge.phone_key, []).append(challenge.id)
        return True

    def update_challenge(self, challenge_id: str, **changes: Any) -> None:
        self.challenge_rows[challenge_id] = changed(self.challenge_rows[challenge_id], **changes)

    def accept(self, challenge_id: str, now: datetime) -> ChallengeRecord | None:
        challenge = self.challenge_rows.get(challenge_id)
        if challenge is None or not is_living(challenge, now):
            return None
        self.update_challenge(challenge_id, state=ChallengeState.SENT, confirmed=True, reason=None)
        return self.challenge_rows[challenge_id]

    def take_attempt(self, challenge_id: str, now: datetime) -> bool:
        challenge = self.challenge_rows[challenge_id]
        if not is_living(challenge, now) or is_spent(challenge):
            return False
        self.update_challenge(challenge_id, attempts=challenge.attempts + 1)
        return True

    def give_attempt_back(self, challenge_id: str, givebacks: int) -> bool:
        challenge = self.challenge_rows[challenge_id]
        if challenge.givebacks >= givebacks or not challenge.attempts:
            return False
        self.update_challenge(challenge_id, attempts=challenge.attempts - 1, givebacks=challenge.givebacks + 1)
        return True

    def consume(self, challenge_id: str, now: datetime) -> bool:
        challenge = self.challenge_rows.get(challenge_id)
        if challenge is None or not is_living(challenge, now):
            return False
        self.update_challenge(challenge_id, state=ChallengeState.APPROVED)
        return True

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
        self._phone_of[delivery.id] = phone_key
        self._of_challenge.setdefault(delivery.challenge_id, []).append(delivery.id)

    def answer_delivery(self, delivery_id: str, **answer: Any) -> DeliveryRecord | None:
        delivery = self._deliveries.get(delivery_id)
        if delivery is None:
            return None
        self._deliveries[delivery_id] = changed(delivery, **answer)
        return self._deliveries[delivery_id]

    def mark_gone(self, delivery_ids: Collection[str]) -> None:
        for delivery_id in self._deliveries.keys() & set(delivery_ids):  # a purge may have been faster
            self.answer_delivery(delivery_id, gone=True)

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

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        return self._schedule.get((challenge_id, channel))

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        return [row for channel in Channel if (row := self._schedule.get((challenge_id, channel)))]

    def put_schedule(self, row: ScheduleRecord) -> None:
        self.delete_schedule(row.challenge_id, row.channel)
        self._schedule[row.challenge_id, row.channel] = row
        place = (row.due_at, row.challenge_id, row.channel)
        bisect.insort(self._due, place)
        if row.waits_for is not None:
            bisect.insort(self._waiting.setdefault(row.waits_for, []), place)

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        old = self._schedule.pop((challenge_id, channel), None)
        if old is None:
            return
        place = (old.due_at, challenge_id, channel)
        del self._due[bisect.bisect_left(self._due, place)]
        if old.waits_for is not None:
            waiting = self._waiting[old.waits_for]
            del waiting[bisect.bisect_left(waiting, place)]
            if not waiting:
                del self._waiting[old.waits_for]

    def end_schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        rows = self.schedules(challenge_id)
        for row in rows:
            self.delete_schedule(row.challenge_id, row.channel)
        return rows

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
        for due_at, challenge_id, channel in self._due:
            if due_at > now or len(found) >= limit:
                break
            row = self._schedule[challenge_id, channel]
            has_key = key_ids is None or row.key_id in key_ids
            has_instances = instances is None or all(one in instances for one in row.forced or ())
            if channel in channels and has_key and has_instances:
                found.append(row)
        return found

    def next_due(self) -> datetime | None:
        return self._due[0][0] if self._due else None

    def upcoming(self, limit: int, after: ScheduleRecord | None = None) -> Sequence[ScheduleRecord]:
        first = (
            0 if after is None else bisect.bisect_right(self._due, (after.due_at, after.challenge_id, after.channel))
        )
        return [self._schedule[challenge_id, channel] for _, challenge_id, channel in self._due[first : first + limit]]

    def waiting(self, waits_for: str, until: datetime, limit: int) -> int:
        return sum(due_at <= until for due_at, _, _ in self._waiting.get(waits_for, [])[:limit])

    def waited_for(self) -> Sequence[str]:
        return sorted(self._waiting)

    def wake(self, waits_for: str, due_at: datetime, limit: int) -> int:
        rows = [self._schedule[challenge_id, channel] for _, challenge_id, channel in self._waiting.get(waits_for, ())]
        asleep = [row for row in rows if not row.leased][:limit]
        for row in asleep:
            self.put_schedule(changed(row, due_at=min(row.due_at, due_at), waits_for=None))
        return len(asleep)

    def due_keys(self, now: datetime) -> frozenset[str]:
        return frozenset(row.key_id for row in self._schedule.values() if row.due_at <= now)

    def slot(self, scope: str, phone_key: str) -> SlotRecord | None:
        return self._slots.get((scope, phone_key))

    def take_slot(self, slot: SlotRecord, held_by: str | None) -> bool:
        current = self._slots.get((slot.scope, slot.phone_key))
        if (None if current is None else current.holder) != held_by:
            return False
        self._slots[slot.scope, slot.phone_key] = slot
        return True

    def purge_slots(self, limit: int) -> int:
        free = (key for key, slot in self._slots.items() if not slot.holder and slot.mark is None)
        gone = list(itertools.islice(free, limit))
        for key in gone:
            del self._slots[key]
        return len(gone)

    def free_slots(self, limit: int) -> Sequence[SlotRecord]:
        return list(itertools.islice((slot for slot in self._slots.values() if not slot.holder), limit))

    def delete_slot(self, scope: str, phone_key: str) -> None:
        self._slots.pop((scope, phone_key), None)

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        done = []
        for charge in charges:
            counter = self._counters.get(charge.key)
            if counter is None or counter.window_ends_at <= now:
                counter = CounterRecord(key=charge.key, count=0, window_ends_at=now + charge.window)
            if counter.count < charge.limit:
                self._counters[charge.key] = changed(counter, count=counter.count + 1)
                done.append(Charged(key=charge.key, window_ends_at=counter.window_ends_at))
        return done

    def refund(self, charged: Charged) -> None:
        counter = self._counters.get(charged.key)
        if counter is not None and counter.window_ends_at == charged.window_ends_at and counter.count:
            self._counters[charged.key] = changed(counter, count=counter.count - 1)

    def counters(self, prefix: str, now: datetime) -> Sequence[CounterRecord]:
        return sorted(
            (c for c in self._counters.values() if c.key.startswith(prefix) and c.window_ends_at > now),
            key=lambda counter: counter.key,
        )

    def failure_counters(self, prefix: str) -> Sequence[FailureRecord]:
        return [self._failures[key] for key in sorted(self._failures) if key.startswith(prefix)]

    def reset_counters(self, prefix: str) -> int:
        tables: tuple[dict[str, Any], ...] = (self._counters, self._failures)
        found = [(table, key) for table in tables for key in table if key.startswith(prefix)]
        for table, key in found:
            del table[key]
        return len(found)

    def peek_failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        return [self._failures[key] for key in keys if key in self._failures]

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        return self.peek_failures(keys)

    def count_failure(self, key: str) -> int:
        failed = self._failures.get(key, FailureRecord(key=key, failures=0))
        self._failures[key] = changed(failed, failures=failed.failures + 1)
        return failed.failures + 1

    def put_failures(self, record: FailureRecord) -> None:
        self._failures[record.key] = record

    def clear_failures(self, keys: tuple[str, str]) -> None:
        for key in keys:
            self._failures.pop(key, None)

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        return [self._budgets[key] for key in sorted(self._budgets) if key.startswith(prefix)]

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        record = self._budgets.get(key)
        if record is None or record.window_ends_at <= now:
            base = rolled_base(record) if record is not None else 0
            record = BudgetRecord(key=key, used=0, verified=0, base=base, window_ends_at=ends_at)
        self._budgets[key] = changed(record, used=max(record.used + used, 0), verified=record.verified + verified)

    def verified(self, phone_key: str) -> datetime | None:
        verified_at, _ = self._verified.get(phone_key, (None, None))
        return verified_at

    def note_verified(self, phone_key: str, now: datetime, counted_before: datetime) -> bool:
        _, counted_at = self._verified.get(phone_key, (None, _EVER))
        is_counted = counted_at <= counted_before
        self._verified[phone_key] = (now, now if is_counted else counted_at)
        return is_counted

    def count_refusal(self, key: str, now: datetime) -> bool:
        refusal = self._refusals.get(key)
        if refusal is None:
            return False
        self._refusals[key] = changed(refusal, count=refusal.count + 1, last_at=now)
        return True

    def put_refusal(self, refusal: RefusalRecord) -> None:
        if not self.count_refusal(refusal.key, refusal.last_at):
            self._refusals[refusal.key] = refusal

    def refusals(self, phone_key: str | None, limit: int) -> Sequence[RefusalRecord]:
        found = (one for one in self._refusals.values() if phone_key is None or one.phone_key == phone_key)
        return heapq.nlargest(limit, found, key=lambda refusal: (refusal.last_at, refusal.key))

    def breakers(self, least: int) -> Sequence[BreakerRecord]:
        return [self._breakers[one] for one in sorted(self._breakers) if self._breakers[one].failures >= least]

    def count_breaker(self, instance: str) -> int:
        breaker = self._breakers.get(instance, BreakerRecord(instance=instance, failures=0, probe_at=_EVER))
        self._breakers[instance] = changed(breaker, failures=breaker.failures + 1)
        return breaker.failures + 1

    def open_breaker(self, instance: str, now: datetime, probe_at: datetime) -> None:
        self._breakers[instance] = changed(self._breakers[instance], opened_at=now, probe_at=probe_at)

    def close_breaker(self, instance: str) -> int:
        breaker = self._breakers.pop(instance, None)
        return breaker.failures if breaker else 0

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        breaker = self._breakers.get(instance)
        if breaker is None or now < breaker.probe_at <= next_probe + CLOCK_SLACK:
            return False
        self._breakers[instance] = changed(breaker, probe_at=next_probe)
        return True

    def put_worker(self, worker: WorkerRecord) -> None:
        self._workers[worker.name] = worker

    def remove_worker(self, name: str) -> None:
        self._workers.pop(name, None)

    def remove_stale_workers(self, before: datetime) -> Sequence[WorkerRecord]:
        stale = [worker for worker in self.workers() if worker.seen_at < before]
        for worker in stale:
            del self._workers[worker.name]
        return stale

    def workers(self) -> Sequence[WorkerRecord]:
        return [self._workers[name] for name in sorted(self._workers)]

    def count_outcomes(self, since: datetime) -> Sequence[OutcomeCount]:
        found = Counter((d.instance, d.prefix, d.outcome) for d in self._deliveries.values() if d.recorded_at >= since)
        return [
            OutcomeCount(instance=instance, prefix=prefix, outcome=outcome, count=found[instance, prefix, outcome])
            for instance, prefix, outcome in sorted(found)
        ]

    def count_verified(self, since: datetime) -> Sequence[RouteCount]:
        accepted = {
            (d.instance, d.prefix, d.challenge_id)
            for d in self._deliveries.values()
            if d.recorded_at >= since and d.outcome is Outcome.ACCEPTED
        }
        found = Counter(
            (instance, prefix)
            for instance, prefix, challenge_id in accepted
            if (challenge := self.challenge_rows.get(challenge_id)) and challenge.state is ChallengeState.APPROVED
        )
        return [
            RouteCount(instance=instance, prefix=prefix, count=found[instance, prefix])
            for instance, prefix in sorted(found)
        ]

    def count_waiting(self, now: datetime) -> Sequence[Waiting]:
        began: dict[tuple[str, str], list[datetime]] = {}
        for row in self._schedule.values():
            if row.leased and row.due_at > now:
                continue
            tried = [d for d in self.deliveries(row.challenge_id) if d.send_id == row.send_id]
            last = (tried[-1].instance, tried[-1].prefix) if tried else ("", "")
            began.setdefault(last, []).append(self.challenge_rows[row.challenge_id].first_sent_at)
        return [
            Waiting(
                instance=instance,
                prefix=prefix,
                count=len(began[instance, prefix]),
                oldest=min(began[instance, prefix]),
            )
            for instance, prefix in sorted(began)
        ]

    def settings(self) -> dict[str, str]:
        return dict(self._settings)

    def put_setting(self, name: str, value: str | None) -> None:
        if value is None:
            self._settings.pop(name, None)
        else:
            self._settings[name] = value

    def keys_in_use(self) -> Sequence[KeyUse]:
        of_key: dict[str, list[ChallengeRecord]] = {}
        for challenge in self.challenge_rows.values():
            of_key.setdefault(challenge.key_id, []).append(challenge)
        return [
            KeyUse(
                key_id=key_id,
                challenges=len(found),
                begun_at=max(challenge.first_sent_at for challenge in found),
                expires_at=max(challenge.expires_at for challenge in found),
            )
            for key_id, found in sorted(of_key.items())
        ]

    def purge_challenges(self, before: datetime, limit: int) -> int:
        over = (c for c in self.challenge_rows.values() if c.state in OVER and c.expires_at < before)
        return self._remove_challenges(list(itertools.islice(over, limit)))

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        old = (delivery.id for delivery in self._deliveries.values() if delivery.recorded_at < before)
        return self._remove_deliveries(list(itertools.islice(old, limit)))

    def purge_receipts(self, before: datetime, limit: int) -> int:
        old = [key for key, receipt in self._receipts.items() if receipt.received_at < before][:limit]
        for key in old:
            del self._receipts[key]
        return len(old)

    def purge_counters(self, now: datetime, limit: int) -> int:
        over = (key for key, counter in self._counters.items() if counter.window_ends_at <= now)
        return _remove(self._counters, over, limit)

    def purge_refusals(self, before: datetime, limit: int) -> int:
        old = (key for key, refusal in self._refusals.items() if refusal.last_at < before)
        return _remove(self._refusals, old, limit)

    def purge_verified(self, before: datetime, limit: int) -> int:
        old = (key for key, (verified_at, _) in self._verified.items() if verified_at < before)
        return _remove(self._verified, old, limit)

    def forget(self, phone_key: str) -> tuple[int, int]:
        of_phone = [key for key, refusal in self._refusals.items() if refusal.phone_key == phone_key]
        verified = [phone_key] if phone_key in self._verified else []
        return _remove(self._refusals, of_phone), _remove(self._verified, verified)

    def erase(self, phone_key: str) -> tuple[int, int]:
        removed = self._remove_challenges(self.challenges_of(phone_key))
        self._slots = {key: slot for key, slot in self._slots.items() if key[1] != phone_key}
        deliveries = [one for one, owner in self._phone_of.items() if owner == phone_key]
        self._receipts = {key: one for key, one in self._receipts.items() if one.delivery_id not in deliveries}
        return removed, self._remove_deliveries(deliveries)

    def _remove_challenges(self, gone: Sequence[ChallengeRecord]) -> int:
        for challenge in gone:
            self.end_schedules(challenge.id)
            del self.challenge_rows[challenge.id]
            _forget(self._of_subject, challenge.subject, challenge.id)
            _forget(self._of_phone, challenge.phone_key, challenge.id)
        ids = {challenge.id for challenge in gone}
        self._slots = {key: slot for key, slot in self._slots.items() if slot.holder not in ids}
        return len(gone)

    def _remove_deliveries(self, gone: Sequence[str]) -> int:
        for delivery_id in gone:
            _forget(self._of_challenge, self._deliveries.pop(delivery_id).challenge_id, delivery_id)
            del self._phone_of[delivery_id]
        return len(gone)


def _receipt_key(receipt: ReceiptRecord) -> tuple[str, str, str, str]:
    return receipt.reference, receipt.instance, receipt.delivery_id, receipt.status


def _forget(index: dict[str, list[str]], key: str, member: str) -> None:
    """Take a member out of an index, and the key with the last one."""
    index[key].remove(member)
    if not index[key]:
        del index[key]


def _remove(table: dict[str, Any], keys: Iterable[str], limit: int | None = None) -> int:
    """Take keys out of a table, at most so many; how many they were."""
    gone = list(itertools.islice(keys, limit))
    for key in gone:
        del table[key]
    return len(gone)
