"""The commands of a store that show, and set back, what limits have counted."""

from __future__ import annotations

from datetime import datetime

from otpcore.rate_limits.admission import BudgetRecord, RefusalRecord
from otpcore.stores.records import AuditRecord, CounterRecord, FailureRecord
from otpcore.stores.transactions import auditing
from otpcore.stores.units import UnitsOfWork

__all__ = ["LimitCommands"]


class LimitCommands(UnitsOfWork):
    """Part of ``Store``. Charging a send is ``Store.begin``'s, and counting wrong codes ``Store.reserve``'s."""

    async def counters(self, prefix: str, now: datetime | None) -> tuple[CounterRecord | FailureRecord, ...]:
        """Counters whose key begins so, of windows that have not ended; then failure counters, with their lock."""
        return await self._read(lambda rows: (*rows.counters(prefix, rows.now(now)), *rows.failure_counters(prefix)))

    async def reset_counters(self, prefix: str, *, audit: AuditRecord | None = None) -> int:
        """Remove counters and failure counters whose key begins so."""
        return await self._write(lambda rows: auditing.reset_counters(rows, prefix, audit))

    async def budgets(self, prefix: str = "") -> tuple[BudgetRecord, ...]:
        """Unverified budgets whose key begins so, ended windows too."""
        return await self._read(lambda rows: tuple(rows.budgets(prefix)))

    async def verified(self, phone_key: str) -> datetime | None:
        """When a phone last verified; None: it did not, or so long ago that it was forgotten."""
        return await self._read(lambda rows: rows.verified(phone_key))

    async def refusals(self, limit: int, *, phone_key: str | None = None) -> tuple[RefusalRecord, ...]:
        """What was refused, of one phone or of all, the latest first."""
        return await self._read(lambda rows: tuple(rows.refusals(phone_key, limit)))
