"""What limits senders and guessers, in dictionaries: slots, counters, failures, budgets, phones that verified, refusals, breakers."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from otpcore.rate_limits.admission import BudgetRecord, Charge, RefusalRecord, moved
from otpcore.stores.lifecycle import CLOCK_SLACK
from otpcore.stores.records import BreakerRecord, Charged, CounterRecord, FailureRecord, SlotRecord, changed

_EVER = datetime(1, 1, 1, tzinfo=UTC)


class LimitRows:
    """Each table by its key."""

    def __init__(self) -> None:
        super().__init__()
        self._slots: dict[tuple[str, str], SlotRecord] = {}
        self._counters: dict[str, CounterRecord] = {}
        self._failures: dict[str, FailureRecord] = {}
        self._budgets: dict[str, BudgetRecord] = {}
        self._verified: dict[str, tuple[datetime, datetime]] = {}
        self._refusals: dict[str, RefusalRecord] = {}
        self._breakers: dict[str, BreakerRecord] = {}

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
            if counter is not None and counter.window_ends_at > now:
                count, ends_at = counter.count, counter.window_ends_at
            else:
                count, ends_at = 0, now + charge.window
            if count < charge.limit:
                self._counters[charge.key] = CounterRecord(key=charge.key, count=count + 1, window_ends_at=ends_at)
                done.append(Charged(key=charge.key, window_ends_at=ends_at))
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
        return [self._budgets[key] for key in sorted(key for key in self._budgets if key.startswith(prefix))]

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        self._budgets[key] = moved(self._budgets.get(key), key, used, verified, now, ends_at)

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

    def count_breaker(self, instance: str, code: str, words: str) -> int:
        breaker = self._breaker(instance)
        self._breakers[instance] = changed(breaker, failures=breaker.failures + 1, code=code, words=words)
        return breaker.failures + 1

    def note_misconfigured(self, instance: str, code: str, words: str, now: datetime) -> bool:
        breaker = self._breaker(instance)
        since = breaker.misconfigured_at or now
        self._breakers[instance] = changed(breaker, misconfigured_at=since, code=code, words=words)
        return breaker.misconfigured_at is None

    def open_breaker(self, instance: str, now: datetime, probe_at: datetime) -> None:
        self._breakers[instance] = changed(self._breakers[instance], opened_at=now, probe_at=probe_at)

    def close_breaker(self, instance: str) -> BreakerRecord | None:
        return self._breakers.pop(instance, None)

    def _breaker(self, instance: str) -> BreakerRecord:
        return self._breakers.get(instance, BreakerRecord(instance=instance, failures=0, probe_at=_EVER))

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        breaker = self._breakers.get(instance)
        if breaker is None or now < breaker.probe_at <= next_probe + CLOCK_SLACK:
            return False
        self._breakers[instance] = changed(breaker, probe_at=next_probe)
        return True

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


def _remove(table: dict[str, Any], keys: Iterable[str], limit: int | None = None) -> int:
    """Take keys out of a table, at most so many; how many they were."""
    gone = list(itertools.islice(keys, limit))
    for key in gone:
        del table[key]
    return len(gone)
