"""`Rows` of one write transaction of an SQLite file, over all the units that share it: what nobody else can change is read once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from otpcore.models import World
from otpcore.rate_limits.admission import BudgetRecord, moved
from otpcore.stores.records import BreakerRecord, ReceiptRecord
from otpcore.stores.sql import limit_statements as limits_sql
from otpcore.stores.sql import statements as sql
from otpcore.stores.sql.rows import SqlRows

__all__ = ["FileRows"]


class FileRows(SqlRows):
    """Breakers, budgets and whether there are receipts stay as they were read until one of the units changes them.

    The transaction holds the file's write lock. If a unit fails, all are rolled back, and this is thrown away. Budgets,
    which every send moves, are written once: by ``finish``.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._breakers: dict[World, Sequence[BreakerRecord]] = {}
        self._budgets: dict[str, dict[str, BudgetRecord]] = {}
        self._moved: dict[str, BudgetRecord] = {}
        self._may_hold_receipts: bool | None = None

    def breakers(self, least: int) -> Sequence[BreakerRecord]:
        if self.world not in self._breakers:
            self._breakers[self.world] = super().breakers(0)
        return [breaker for breaker in self._breakers[self.world] if breaker.failures >= least]

    def count_breaker(self, instance: str, code: str, words: str) -> int:
        self._breakers.clear()
        return super().count_breaker(instance, code, words)

    def note_misconfigured(self, instance: str, code: str, words: str, now: datetime) -> bool:
        self._breakers.clear()
        return super().note_misconfigured(instance, code, words, now)

    def close_breaker(self, instance: str) -> BreakerRecord | None:
        if all(breaker.instance != instance for breaker in self.breakers(0)):
            return None
        self._breakers.clear()
        return super().close_breaker(instance)

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        self._breakers.clear()
        return super().win_probe(instance, now, next_probe)

    def open_breaker(self, instance: str, now: datetime, probe_at: datetime) -> None:
        self._breakers.clear()
        super().open_breaker(instance, now, probe_at)

    def finish(self) -> None:
        """Write what was kept back."""
        for budget in self._moved.values():
            self._put(limits_sql.PUT_BUDGET, budget)
        self._moved.clear()

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        found = self._budgets_of(prefix)
        return [found[key] for key in sorted(found)]

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        known = next((prefix for prefix in self._budgets if key.startswith(prefix)), key)
        before = self._budgets_of(known).get(key)
        self._moved[key] = after = moved(before, key, used, verified, now, ends_at)
        for prefix, found in self._budgets.items():
            if key.startswith(prefix):
                found[key] = after

    def _budgets_of(self, prefix: str) -> dict[str, BudgetRecord]:
        if prefix not in self._budgets:
            self.finish()
            self._budgets[prefix] = {budget.key: budget for budget in super().budgets(prefix)}
        return self._budgets[prefix]

    def receipts_of(self, delivery_id: str, reference: str) -> Sequence[ReceiptRecord]:
        if self._may_hold_receipts is None:  # few hosts hear of receipts; the others have one look at an empty table
            self._may_hold_receipts = bool(self._scalars(sql.ANY_RECEIPT))
        return super().receipts_of(delivery_id, reference) if self._may_hold_receipts else []

    def insert_receipt(self, receipt: ReceiptRecord) -> bool:
        self._may_hold_receipts = True
        return super().insert_receipt(receipt)

    def apply_receipt(self, receipt: ReceiptRecord, delivery_id: str) -> None:
        self._may_hold_receipts = True
        super().apply_receipt(receipt, delivery_id)
