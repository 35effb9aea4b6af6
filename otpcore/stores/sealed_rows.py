"""The primitives of sealed records, a part of ``Rows``. A world sees its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from otpcore.stores.sealed import SealedRecord

__all__ = ["SealedRows"]


class SealedRows(Protocol):
    """Records by namespace and key. Expired ones are there until they are purged."""

    def sealed(self, namespace: str, key: str) -> SealedRecord | None:
        """One of them; locked until the end of the unit."""

    def put_sealed(self, record: SealedRecord, held: int) -> bool:
        """Write it where that version still is (0: no row)."""

    def delete_sealed(self, namespace: str, key: str) -> None:
        """Remove."""

    def sealed_after(self, namespace: str, key: str, now: datetime, limit: int) -> Sequence[SealedRecord]:
        """Those of a namespace that have not expired, with greater keys; by key, in the order of ASCII."""

    def purge_sealed(self, now: datetime, limit: int) -> int:
        """Remove those that have expired."""

    def erase_sealed(self, phone_key: str) -> int:
        """Remove those that are about this phone."""
