"""The memory store: one process, nothing survives. The reference for every other store, and for tests."""

from __future__ import annotations

import bisect
import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, TypeVar

from otpcore.hookspecs import utc_now
from otpcore.lifecycle import OVER, is_living, is_spent
from otpcore.models import ChallengeState, Channel
from otpcore.records import (
    BreakerRecord,
    ChallengeRecord,
    Charge,
    Charged,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ScheduleRecord,
    SlotRecord,
    changed,
)
from otpcore.stores._base import RowStore
from otpcore.stores._rows import Rows

__all__ = ["MemoryStore", "create_store"]

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
        self._rows = _MemoryRows()
        self._lock = threading.Lock()

    async def start(self, exit_stack: AsyncExitStack) -> None:  # noqa: ARG002 - nothing to close
        """Warn: this store is for tests and trials."""
        _logger.warning(
            "the memory store keeps nothing when this process ends; use storage.store = 'sql' for real users"
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


class _MemoryRows:
    """`Rows` in dictionaries."""

    def __init__(self) -> None:
        self.challenge_rows: dict[str, ChallengeRecord] = {}
        self._of_subject: dict[str, list[str]] = {}
        self._of_phone: dict[str, list[str]] = {}
        self._deliveries: dict[str, DeliveryRecord] = {}
        self._phone_of: dict[str, str] = {}
        self._of_challenge: dict[str, list[str]] = {}
        self._schedule: dict[tuple[str, Channel], ScheduleRecord] = {}
        self._due: list[tuple[datetime, str, Channel]] = []
        self._slots: dict[tuple[str, str], SlotRecord] = {}
        self._counters: dict[str, CounterRecord] = {}
        self._failures: dict[str, FailureRecord] = {}
        self._breakers: dict[str, BreakerRecord] = {}
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

    def deliveries(self, challenge_id: str) -> Sequence[DeliveryRecord]:
        return [self._deliveries[one] for one in self._of_challenge.get(challenge_id, ())]

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

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        return self._schedule.get((challenge_id, channel))

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        return [row for channel in Channel if (row := self._schedule.get((challenge_id, channel)))]

    def put_schedule(self, row: ScheduleRecord) -> None:
        self.delete_schedule(row.challenge_id, row.channel)
        self._schedule[row.challenge_id, row.channel] = row
        bisect.insort(self._due, (row.due_at, row.challenge_id, row.channel))

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        old = self._schedule.pop((challenge_id, channel), None)
        if old is not None:
            del self._due[bisect.bisect_left(self._due, (old.due_at, challenge_id, channel))]

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

    def upcoming(self, limit: int) -> Sequence[ScheduleRecord]:
        return [self._schedule[challenge_id, channel] for _, challenge_id, channel in self._due[:limit]]

    def slot(self, scope: str, phone_key: str) -> SlotRecord | None:
        return self._slots.get((scope, phone_key))

    def take_slot(self, slot: SlotRecord, held_by: str | None) -> bool:
        current = self._slots.get((slot.scope, slot.phone_key))
        if (None if current is None else current.holder) != held_by:
            return False
        self._slots[slot.scope, slot.phone_key] = slot
        return True

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

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        return [self._failures[key] for key in keys if key in self._failures]

    def count_failure(self, key: str) -> int:
        failed = self._failures.get(key, FailureRecord(key=key, failures=0))
        self._failures[key] = changed(failed, failures=failed.failures + 1)
        return failed.failures + 1

    def put_failures(self, record: FailureRecord) -> None:
        self._failures[record.key] = record

    def clear_failures(self, keys: tuple[str, str]) -> None:
        for key in keys:
            self._failures.pop(key, None)

    def breakers(self, least: int) -> Sequence[BreakerRecord]:
        return [self._breakers[one] for one in sorted(self._breakers) if self._breakers[one].failures >= least]

    def count_breaker(self, instance: str) -> int:
        breaker = self._breakers.get(instance)
        failures = breaker.failures + 1 if breaker else 1
        probe_at = breaker.probe_at if breaker else _EVER
        self._breakers[instance] = BreakerRecord(instance=instance, failures=failures, probe_at=probe_at)
        return failures

    def close_breaker(self, instance: str) -> int:
        breaker = self._breakers.pop(instance, None)
        return breaker.failures if breaker else 0

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        breaker = self._breakers.get(instance)
        if breaker is None or breaker.probe_at > now:
            return False
        self._breakers[instance] = changed(breaker, probe_at=next_probe)
        return True

    def settings(self) -> dict[str, str]:
        return dict(self._settings)

    def put_setting(self, name: str, value: str | None) -> None:
        if value is None:
            self._settings.pop(name, None)
        else:
            self._settings[name] = value

    def purge_challenges(self, before: datetime, limit: int) -> int:
        over = (c for c in self.challenge_rows.values() if c.state in OVER and c.expires_at < before)
        return self._remove_challenges(list(itertools.islice(over, limit)))

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        old = (delivery.id for delivery in self._deliveries.values() if delivery.recorded_at < before)
        return self._remove_deliveries(list(itertools.islice(old, limit)))

    def purge_counters(self, now: datetime, limit: int) -> int:
        over = (key for key, counter in self._counters.items() if counter.window_ends_at <= now)
        ended = list(itertools.islice(over, limit))
        for key in ended:
            del self._counters[key]
        return len(ended)

    def erase(self, phone_key: str) -> tuple[int, int]:
        removed = self._remove_challenges(self.challenges_of(phone_key))
        self._slots = {key: slot for key, slot in self._slots.items() if key[1] != phone_key}
        return removed, self._remove_deliveries([one for one, owner in self._phone_of.items() if owner == phone_key])

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


def _forget(index: dict[str, list[str]], key: str, member: str) -> None:
    """Take a member out of an index, and the key with the last one."""
    index[key].remove(member)
    if not index[key]:
        del index[key]
