"""`Rows` of limits over an SQL database: counters, failures, budgets, who verified, refusals, breakers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from otpcore.models import World
from otpcore.rate_limits.admission import BudgetRecord, Charge, RefusalRecord
from otpcore.stores.lifecycle import CLOCK_SLACK
from otpcore.stores.records import BreakerRecord, Charged, CounterRecord, FailureRecord, changed
from otpcore.stores.sql import limit_statements as sql
from otpcore.stores.sql.unit import SqlUnit

__all__ = ["LimitRows"]

K = TypeVar("K", CounterRecord, FailureRecord, BudgetRecord)


class LimitRows(SqlUnit):
    """Part of `SqlRows`."""

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        if not charges:
            return []
        wanted: dict[str, Any] = {"now": now}
        for number, charge in enumerate(charges):
            one = {"key": charge.key, "ends": now + charge.window, "most": charge.limit}
            wanted |= {f"{name}_{number}": value for name, value in one.items()}
        return [Charged(key=key, window_ends_at=ends) for key, ends in self._rows(sql.charges_of(len(charges)), wanted)]

    def refund(self, charged: Charged) -> None:
        self._later(sql.REFUND, row_key=charged.key, ends=charged.window_ends_at)

    def counters(self, prefix: str, now: datetime) -> Sequence[CounterRecord]:
        return self._own(self._all(CounterRecord, sql.COUNTERS, **_span(prefix), now=now))

    def failure_counters(self, prefix: str) -> Sequence[FailureRecord]:
        return self._own(self._all(FailureRecord, sql.FAILURE_COUNTERS, **_span(prefix)))

    def reset_counters(self, prefix: str) -> int:
        return sum(self._changed(statement, **_span(prefix)) for statement in sql.RESET)

    def peek_failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        first, second = keys
        return self._all(FailureRecord, sql.FAILURES, first=first, second=second)

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        return self.peek_failures(keys)

    def count_failure(self, key: str) -> int:
        return int(self._scalar(sql.COUNT_FAILURE, key=key))

    def put_failures(self, record: FailureRecord) -> None:
        self._later_put(sql.PUT_FAILURES, record)

    def clear_failures(self, keys: tuple[str, str]) -> None:
        first, second = keys
        self._later(sql.CLEAR_FAILURES, first=first, second=second)

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        return self._own(self._all(BudgetRecord, sql.BUDGETS, **_span(prefix)))

    def verified(self, phone_key: str) -> datetime | None:
        verified_at: datetime | None = self._scalar(sql.VERIFIED, row_key=phone_key)
        return verified_at

    def note_verified(self, phone_key: str, now: datetime, counted_before: datetime) -> bool:
        when = {"verified_at": now, "counted_at": now, "before": counted_before}
        if self._changed(sql.COUNT_VERIFIED, phone_key=phone_key, world=self.world, **when) == 1:
            return True
        self._changed(sql.NOTE_VERIFIED, row_key=phone_key, now=now)
        return False

    def count_refusal(self, key: str, now: datetime) -> bool:
        return self._changed(sql.COUNT_REFUSAL, row_key=key, now=now) == 1

    def put_refusal(self, refusal: RefusalRecord) -> None:
        self._later_put(sql.PUT_REFUSAL, refusal, world=self.world)

    def refusals(self, phone_key: str | None, limit: int) -> Sequence[RefusalRecord]:
        if phone_key is None:
            return self._all(RefusalRecord, sql.REFUSALS, most=limit, own_world=self.world)
        return self._all(RefusalRecord, sql.REFUSALS_OF, phone_key=phone_key, most=limit, own_world=self.world)

    def breakers(self, least: int) -> Sequence[BreakerRecord]:
        return self._of_this_world(self._all(BreakerRecord, sql.BREAKERS, least=least))

    def count_breaker(self, instance: str, code: str, words: str) -> int:
        return int(self._scalar(sql.COUNT_BREAKER, instance=self.world.mark(instance), code=code, words=words))

    def note_misconfigured(self, instance: str, code: str, words: str, now: datetime) -> bool:
        marked = self.world.mark(instance)
        known = self._one(BreakerRecord, sql.BREAKER, row_key=marked)
        if known is None:
            self._changed(sql.NEW_BREAKER, instance=marked)
        said = {"row_key": marked, "code": code, "words": words}
        if known is None or known.misconfigured_at is None:
            return self._changed(sql.MISCONFIGURED, now=now, **said) == 1
        if (known.code, known.words) != (code, words):
            self._changed(sql.LAST_WORDS, **said)
        return False

    def close_breaker(self, instance: str) -> BreakerRecord | None:
        closed = self._one(BreakerRecord, sql.CLOSE_BREAKER, row_key=self.world.mark(instance))
        return changed(closed, instance=instance) if closed is not None else None

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        when = {"now": now, "next_probe": next_probe, "too_far": next_probe + CLOCK_SLACK}
        return self._changed(sql.WIN_PROBE, row_key=self.world.mark(instance), **when) == 1

    def open_breaker(self, instance: str, now: datetime, probe_at: datetime) -> None:
        self._later(sql.OPEN_BREAKER, row_key=self.world.mark(instance), now=now, next_probe=probe_at)

    def purge_counters(self, now: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_COUNTERS, now=now, most=limit)

    def purge_refusals(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_REFUSALS, before=before, most=limit, own_world=self.world)

    def purge_verified(self, before: datetime, limit: int) -> int:
        return self._changed(sql.PURGE_VERIFIED, before=before, most=limit, own_world=self.world)

    def forget(self, phone_key: str) -> tuple[int, int]:
        refusals, verified = (self._changed(statement, phone_key=phone_key) for statement in sql.FORGET)
        return refusals, verified

    def _of_this_world(self, found: list[BreakerRecord]) -> list[BreakerRecord]:
        """Under their plain names."""
        return [changed(one, instance=plain) for one in found if (plain := self.world.own(one.instance)) is not None]

    def _own(self, found: list[K]) -> list[K]:
        """Without what another world marked; that one asks for its own mark."""
        return [one for one in found if self.world is not World.REAL or World.REAL.own(one.key) is not None]


def _span(prefix: str) -> dict[str, str]:
    """All keys that begin so, up to the last ASCII character."""
    return {"prefix": prefix, "after": f"{prefix}\x7f"}
