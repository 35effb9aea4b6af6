"""The primitives of the outbox, a part of ``Rows``. A world sees its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from otpcore.stores.changes import ChangeRecord

__all__ = ["ChangeRows"]


class ChangeRows(Protocol):
    """Changes by number."""

    keeps_outbox: bool
    """Changes of challenges are to be written."""

    def moment(self) -> datetime:
        """What ``now`` said last in this unit."""

    def put_change(self, change: ChangeRecord) -> None:
        """A new one; the store gives it its number."""

    def due_changes(self, now: datetime, limit: int) -> Sequence[ChangeRecord]:
        """Those that are due, the earliest first; locked, and without those that another unit holds where it can skip them."""

    def claim_change(self, change: ChangeRecord, token: str, until: datetime) -> None:
        """One that was found due is under this token until then, and was tried once more."""

    def finish_changes(self, numbers: Collection[int], token: str) -> int:
        """Remove those that are under this token; how many."""

    def put_off_changes(self, numbers: Collection[int], token: str, due_at: datetime, *, untried: bool) -> int:
        """Those that are under this token are due then, and under no token, one try fewer where it was none; how many."""

    def erase_changes(self, challenge_ids: Collection[str]) -> int:
        """Remove those of these challenges; how many. Looks at all."""

    def purge_changes(self, before: datetime, limit: int) -> int:
        """Remove those that happened before then."""
