"""Rows as the sandbox's world sees them, where both worlds share a table: counters, budgets and breakers under marked keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from otpcore.models import World
from otpcore.rate_limits.admission import BudgetRecord, Charge, RefusalRecord
from otpcore.stores.records import Charged, CounterRecord, FailureRecord, changed
from otpcore.stores.sql.rows import SqlRows

if TYPE_CHECKING:
    from otpcore.stores.rows import Rows

__all__ = ["in_world", "in_world_after"]

T = TypeVar("T")


def in_world(world: World, unit: Callable[[Rows], T], *, keeps_outbox: bool = False) -> Callable[[Rows], T]:
    """The unit as one world's."""

    def run(rows: Rows) -> T:
        cast("SqlRows", rows).world, rows.keeps_outbox = world, keeps_outbox
        return unit(rows if world is World.REAL else cast("Rows", _MarkedRows(rows, world)))

    return run


def in_world_after(
    world: World, otherwise: Callable[[Rows, T | None], object], *, keeps_outbox: bool = False
) -> Callable[[Rows, T | None], object]:
    """What follows a unit, as one world's."""
    return lambda rows, result: in_world(world, lambda own: otherwise(own, result), keeps_outbox=keeps_outbox)(rows)


class _MarkedRows:
    """Counters, failures, budgets and refusals under keys that bear the world's mark; all else as it is."""

    def __init__(self, rows: Rows, world: World) -> None:
        self._rows = rows
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        done = self._rows.charge([changed(one, key=self._world.mark(one.key)) for one in charges], now)
        return [changed(one, key=self._plain(one.key)) for one in done]

    def refund(self, charged: Charged) -> None:
        self._rows.refund(changed(charged, key=self._world.mark(charged.key)))

    def counters(self, prefix: str, now: datetime) -> Sequence[CounterRecord]:
        found = self._rows.counters(self._world.mark(prefix), now)
        return [changed(one, key=self._plain(one.key)) for one in found]

    def failure_counters(self, prefix: str) -> Sequence[FailureRecord]:
        return self._plain_failures(self._rows.failure_counters(self._world.mark(prefix)))

    def reset_counters(self, prefix: str) -> int:
        return self._rows.reset_counters(self._world.mark(prefix))

    def peek_failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        return self._plain_failures(self._rows.peek_failures(self._both(keys)))

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        return self._plain_failures(self._rows.failures(self._both(keys)))

    def count_failure(self, key: str) -> int:
        return self._rows.count_failure(self._world.mark(key))

    def put_failures(self, record: FailureRecord) -> None:
        self._rows.put_failures(changed(record, key=self._world.mark(record.key)))

    def clear_failures(self, keys: tuple[str, str]) -> None:
        self._rows.clear_failures(self._both(keys))

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        found = self._rows.budgets(self._world.mark(prefix))
        return [changed(one, key=self._plain(one.key)) for one in found]

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        self._rows.move_budget(self._world.mark(key), used, verified, now, ends_at)

    def count_refusal(self, key: str, now: datetime) -> bool:
        return self._rows.count_refusal(self._refusal_key(key), now)

    def put_refusal(self, refusal: RefusalRecord) -> None:
        self._rows.put_refusal(changed(refusal, key=self._refusal_key(refusal.key)))

    def _refusal_key(self, key: str) -> str:
        """As long as it was."""
        return hashlib.sha256(self._world.mark(key).encode()).hexdigest()

    def _plain(self, key: str) -> str:
        return self._world.own(key) or ""

    def _both(self, keys: tuple[str, str]) -> tuple[str, str]:
        first, second = keys
        return self._world.mark(first), self._world.mark(second)

    def _plain_failures(self, found: Sequence[FailureRecord]) -> Sequence[FailureRecord]:
        return [changed(one, key=self._plain(one.key)) for one in found]
