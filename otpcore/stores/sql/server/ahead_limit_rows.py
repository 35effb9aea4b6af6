"""Limits on a server, and how what a unit will look at is read ahead of it."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from otpcore.rate_limits.admission import BudgetRecord, Charge
from otpcore.stores.lifecycle import failure_keys
from otpcore.stores.records import (
    BreakerRecord,
    ChallengeRecord,
    Charged,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ReceiptRecord,
    ScheduleRecord,
    changed,
    made,
    names_of,
)
from otpcore.stores.sql import limit_statements as limits_sql
from otpcore.stores.sql import statements as sql
from otpcore.stores.sql.server import look_ups, stripes
from otpcore.stores.sql.server.noted import Noted, Verified
from otpcore.stores.sql.server.rows import CLOCKS
from otpcore.stores.sql.server.wire import Wire
from otpcore.stores.sql.server.wired_rows import WiredRows
from otpcore.stores.wanted import Wanted

__all__ = ["AheadLimitRows"]

_ROW_FIELDS = len(names_of(ScheduleRecord))


class AheadLimitRows(WiredRows):
    """Part of `AheadRows`."""

    def __init__(self, connection: Connection, wire: Wire, *, locking: bool) -> None:
        super().__init__(connection, wire, locking=locking)
        self._forget()

    def _forget(self) -> None:
        self._noted = Noted()
        self._due_ahead: list[ScheduleRecord] | None = None

    # Reading ahead. Each of these queues statements; what comes of them is noted when they land, in this order.

    def _look_at(self, challenge_id: str) -> None:
        """A challenge, locked, and what hangs on it."""

        def challenge(rows: list[Any]) -> None:
            self._noted.challenges[challenge_id] = made(ChallengeRecord, rows[0]) if rows else None

        self._ask(sql.locked(sql.CHALLENGE), challenge, row_id=challenge_id, own_world=self.world)
        self._look_at_all_of(challenge_id)

    def _look_at_newest(self, subject: str) -> str:
        """The id of the newest challenge of a subject, locked, with what hangs on it; empty: there is none."""

        def newest(rows: list[Any]) -> None:
            found = made(ChallengeRecord, rows[0]) if rows else None
            self._noted.newest[subject] = found.id if found is not None else None
            if found is not None:
                self._noted.challenges[found.id] = found

        self._ask(sql.locked(sql.LATEST), newest, subject=subject)
        self.wire.fly()
        found = self._noted.newest[subject]
        if found is not None:
            self._look_at_all_of(found)
        return found or ""

    def _look_at_all_of(self, challenge_id: str) -> None:
        """What hangs on a challenge that is locked by then."""

        def deliveries(rows: list[Any]) -> None:
            self._noted.deliveries[challenge_id] = [made(DeliveryRecord, row) for row in rows]

        def schedules(rows: list[Any]) -> None:
            self._noted.schedules[challenge_id] = [made(ScheduleRecord, row) for row in rows]

        self._ask(sql.DELIVERIES, deliveries, challenge_id=challenge_id)
        self._ask(sql.SCHEDULES, schedules, row_id=challenge_id)

    def _look_at_phone_of(self, challenge_id: str, client: str) -> None:
        """The failures, locked, and the verifications of the phone of a challenge, and its budgets."""
        self.wire.fly()
        known = self._noted.challenges.get(challenge_id)
        if known is None:
            return
        phone_key, mark = known.phone_key, self.world.mark
        keys = [mark(key) for key in failure_keys(phone_key, client)]

        def verified(rows: list[Any]) -> None:
            self._noted.verified[phone_key] = Verified(*rows[0]) if rows else None

        self._look_at_budget(f"{mark(known.budget)}/")
        first, second = keys
        self._ask(
            sql.locked(limits_sql.FAILURES), lambda rows: self._note_failures(keys, rows), first=first, second=second
        )
        self._ask(look_ups.VERIFIED_AT, verified, row_key=phone_key)

    def _peek_at(self, subject: str) -> None:
        """The newest of a subject, as it is now."""

        def newest(rows: list[Any]) -> None:
            self._noted.subjects[subject] = made(ChallengeRecord, rows[0]) if rows else None

        self._ask(sql.LATEST, newest, subject=subject)

    def _look_at_limits(self, wanted: Wanted) -> None:
        if wanted.failures:
            keys = [self.world.mark(key) for key in wanted.failures]
            first, second = keys
            self._ask(limits_sql.FAILURES, lambda rows: self._note_failures(keys, rows), first=first, second=second)
        if wanted.budget:
            self._look_at_budget(f"{self.world.mark(wanted.budget)}/")
        if wanted.breakers:
            self._ask(limits_sql.BREAKERS, self._note_breakers, least=0)
        if wanted.delivery_id:
            self._look_for_receipts(wanted.delivery_id, wanted.reference)
        if wanted.counters:
            self._look_at_counters([self.world.mark(key) for key in wanted.counters])

    def _look_at_budget(self, begins: str) -> None:
        def budgets(rows: list[Any]) -> None:
            self._noted.budgets[begins] = [made(BudgetRecord, row) for row in rows]

        self._ask(look_ups.WHOLE_BUDGETS, budgets, prefix=begins, after=f"{begins}\x7f")

    def _look_for_receipts(self, delivery_id: str, reference: str) -> None:
        def receipts(rows: list[Any]) -> None:
            self._noted.receipts[delivery_id, reference] = [made(ReceiptRecord, row) for row in rows]

        about = {"delivery_id": delivery_id, "reference": reference}
        self._ask(sql.RECEIPTS_OF, receipts, own_world=self.world, **about)

    def _look_at_counters(self, keys: list[str]) -> None:
        def counters(rows: list[Any]) -> None:
            found = {row[0]: made(CounterRecord, row) for row in rows}
            self._noted.counters.update({key: found.get(key) for key in keys})

        self._ask(look_ups.counters_of(len(keys)), counters, **_numbered("key", keys))

    def _look_for_due(self, wanted: Wanted, now: datetime | None) -> None:
        def due(rows: list[Any]) -> None:
            self._due_ahead = [made(ScheduleRecord, row[:_ROW_FIELDS]) for row in rows]
            for row, record in zip(rows, self._due_ahead, strict=True):
                challenge = made(ChallengeRecord, row[_ROW_FIELDS:])
                self._noted.challenges[challenge.id] = challenge
                self._noted.rows[record.challenge_id, record.channel] = record

        given = {**_numbered("channel", sorted(wanted.channels)), **_numbered("key_id", sorted(wanted.key_ids))}
        when = {} if now is None else {"now": now}
        clock = "" if when else CLOCKS[self.wire.dialect.name]
        statement = look_ups.due_with_challenges(clock, len(wanted.channels), len(wanted.key_ids))
        self._ask(statement, due, own_world=self.world, most=wanted.due, **given, **when)

    def _note_failures(self, keys: Sequence[str], rows: list[Any]) -> None:
        found = {row[0]: made(FailureRecord, row) for row in rows}
        self._noted.failures.update({key: found.get(key) for key in keys})

    def _note_breakers(self, rows: list[Any]) -> None:
        self._noted.breakers = self._of_this_world([made(BreakerRecord, row) for row in rows])

    # Limits.

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        noted = self._noted.counters
        if not charges or any(one.key not in noted or stripes.is_striped(one) for one in charges):
            return super().charge(charges, now)
        done = []
        for one in charges:
            counter = noted.pop(one.key)
            runs = counter is not None and counter.window_ends_at > now
            if counter is not None and runs and counter.count >= one.limit:
                continue  # it was full when this unit began
            self._surely_charge(one, counter, now)
            ends_at = counter.window_ends_at if counter is not None and runs else now + one.window
            done.append(Charged(key=one.key, window_ends_at=ends_at))
        return done

    def peek_failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        found = self._known_failures(keys)
        return super().peek_failures(keys) if found is None else found

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        found = self._known_failures(keys)
        return super().failures(keys) if found is None else found

    def _known_failures(self, keys: tuple[str, str]) -> list[FailureRecord] | None:
        noted = self._noted.failures
        if any(key not in noted for key in keys):
            return None
        return [found for key in sorted(set(keys)) if (found := noted[key]) is not None]

    def count_failure(self, key: str) -> int:
        if key not in self._noted.failures:
            return super().count_failure(key)
        known = self._noted.failures[key]
        if known is None:
            self._surely(limits_sql.INSERT_FAILURE, key=key)
            counted = FailureRecord(key=key, failures=1)
        else:
            self._surely(limits_sql.ONE_MORE_FAILURE, row_key=key, known=known.failures)
            counted = changed(known, failures=known.failures + 1)
        self._noted.failures[key] = counted
        return counted.failures

    def put_failures(self, record: FailureRecord) -> None:
        self._noted.forget_failures([record.key])
        super().put_failures(record)

    def clear_failures(self, keys: tuple[str, str]) -> None:
        self._noted.forget_failures(keys)
        super().clear_failures(keys)

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        noted = self._noted.budgets
        return sorted(noted[prefix], key=lambda one: one.key) if prefix in noted else super().budgets(prefix)

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        known = self._noted.budget(key)
        is_likely = bool(self._noted.challenges) and used > 0  # it runs, but for the first send of a window
        if not is_likely and (known is None or known.window_ends_at <= now):
            super().move_budget(key, used, verified, now, ends_at)
            return
        if used < 0 and known is not None:
            used = max(used, -known.used)
        self._surely_move(key, now, {"more_used": used, "more_verified": verified})

    def note_verified(self, phone_key: str, now: datetime, counted_before: datetime) -> bool:
        if phone_key not in self._noted.verified:
            return super().note_verified(phone_key, now, counted_before)
        known = self._noted.verified.pop(phone_key)
        if known is None:
            times = {"verified_at": now, "counted_at": now}
            self._surely(limits_sql.INSERT_VERIFIED, phone_key=phone_key, world=self.world, **times)
            return True
        if known.counted_at <= counted_before:
            self._surely(limits_sql.COUNT_AGAIN, row_key=phone_key, now=now, before=counted_before)
            return True
        self._surely(limits_sql.NOTE_VERIFIED, row_key=phone_key, now=now)
        return False

    def breakers(self, least: int) -> Sequence[BreakerRecord]:
        if self._noted.breakers is None:
            return super().breakers(least)
        return [one for one in self._noted.breakers if one.failures >= least]

    def close_breaker(self, instance: str) -> BreakerRecord | None:
        if self._noted.breakers is None:
            return super().close_breaker(instance)
        known = next((one for one in self._noted.breakers if one.instance == instance), None)
        if known is not None:
            marked = self.world.mark(instance)
            self._surely(limits_sql.CLOSE_KNOWN_BREAKER, row_key=marked, known=known.failures)
            self._noted.breakers.remove(known)
        return known

    def count_breaker(self, instance: str, code: str, words: str) -> int:
        self._noted.breakers = None
        return super().count_breaker(instance, code, words)

    def note_misconfigured(self, instance: str, code: str, words: str, now: datetime) -> bool:
        self._noted.breakers = None
        return super().note_misconfigured(instance, code, words, now)

    def open_breaker(self, instance: str, now: datetime, probe_at: datetime) -> None:
        self._noted.breakers = None
        super().open_breaker(instance, now, probe_at)

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        self._noted.breakers = None
        return super().win_probe(instance, now, next_probe)

    # What differs from one sort of server to another.

    @abc.abstractmethod
    def _surely_charge(self, charge: Charge, known: CounterRecord | None, now: datetime) -> None:
        """Charge a counter that had room when it was looked at."""

    @abc.abstractmethod
    def _surely_move(self, key: str, now: datetime, more: dict[str, int]) -> None:
        """Move one stripe of a budget whose window runs."""


def _numbered(name: str, values: Sequence[str]) -> dict[str, str]:
    return {f"{name}_{place}": value for place, value in enumerate(values)}
