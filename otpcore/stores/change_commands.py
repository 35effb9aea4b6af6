"""The commands of a store by which a service works through its outbox."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from otpcore.stores.changes import ChangeRecord
from otpcore.stores.transactions import changes
from otpcore.stores.units import UnitsOfWork

__all__ = ["ChangeCommands"]


class ChangeCommands(UnitsOfWork):
    """Part of ``Store``. The outbox is one world's, and empty unless the store ``keeps_outbox``.

    A change is there if and only if what it tells of took place. Each is claimed by one process at a time, and again when a
    claim is not finished in its lease: whoever is told of it may be told twice, and knows it by its number.
    """

    async def claim_changes(
        self, token: str, *, limit: int, lease: timedelta, now: datetime | None
    ) -> tuple[ChangeRecord, ...]:
        """Claim those that are due, the earliest first.

        Args:
            token: Fresh; it owns them until the lease is over and another one claims them.
            limit: At most so many.
        """
        return await self._write(
            lambda rows: changes.claim(rows, token, limit, lease, now),
            otherwise=lambda rows, claimed: changes.unclaim(rows, token, claimed, now),
        )

    async def finish_changes(self, numbers: Collection[int], token: str) -> int:
        """They were told to whom they concern, and go; how many were still under this token."""
        return await self._write(lambda rows: rows.finish_changes(numbers, token), even_if_cancelled=True)

    async def put_off_changes(
        self, numbers: Collection[int], token: str, due_at: datetime, *, untried: bool = False
    ) -> int:
        """They could not be told, and are due again then; how many were still under this token.

        Args:
            untried: This claim does not count among their tries.
        """
        return await self._write(
            lambda rows: rows.put_off_changes(numbers, token, due_at, untried=untried), even_if_cancelled=True
        )
