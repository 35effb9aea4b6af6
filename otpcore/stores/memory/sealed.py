"""Sealed records in a dictionary."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

from otpcore.stores.sealed import SealedRecord, is_kept


class SealedRows:
    """By namespace and key."""

    def __init__(self) -> None:
        super().__init__()
        self._sealed: dict[tuple[str, str], SealedRecord] = {}

    def sealed(self, namespace: str, key: str) -> SealedRecord | None:
        return self._sealed.get((namespace, key))

    def put_sealed(self, record: SealedRecord, held: int) -> bool:
        found = self.sealed(record.namespace, record.key)
        if (0 if found is None else found.version) != held:
            return False
        self._sealed[record.namespace, record.key] = record
        return True

    def delete_sealed(self, namespace: str, key: str) -> None:
        self._sealed.pop((namespace, key), None)

    def sealed_after(self, namespace: str, key: str, now: datetime, limit: int) -> Sequence[SealedRecord]:
        later = sorted(one for one in self._sealed if one[0] == namespace and one[1] > key)
        kept = (self._sealed[one] for one in later if is_kept(self._sealed[one], now))
        return list(itertools.islice(kept, limit))

    def purge_sealed(self, now: datetime, limit: int) -> int:
        expired = [one for one, record in self._sealed.items() if not is_kept(record, now)][:limit]
        for one in expired:
            del self._sealed[one]
        return len(expired)

    def erase_sealed(self, phone_key: str) -> int:
        gone = [one for one, record in self._sealed.items() if record.about == phone_key]
        for one in gone:
            del self._sealed[one]
        return len(gone)
