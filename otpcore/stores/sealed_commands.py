"""The commands of a store that keep small sealed records of services that stand on it."""

from __future__ import annotations

from datetime import datetime

from otpcore.stores.lists import Page
from otpcore.stores.records import AuditRecord
from otpcore.stores.sealed import SealedRecord
from otpcore.stores.transactions import sealed as transactions
from otpcore.stores.units import UnitsOfWork

__all__ = ["SealedCommands"]


class SealedCommands(UnitsOfWork):
    """Part of ``Store``. Records are of one world; no other world sees them. Erasing a phone takes those that are ``about`` it.

    Namespaces (1 to 64) and keys (1 to 255 printable ASCII characters without spaces) are readable on the medium: no number
    and no name of a person belongs there. What has expired is never returned, and purged with all that is old.

    An operator's record (``audit``) is about the phone that the sealed one is about, unless it says which.

    Each command raises ``InvalidArgument`` for names that cannot be kept.
    """

    async def put_record(
        self,
        namespace: str,
        key: str,
        sealed: bytes,
        *,
        expires_at: datetime | None = None,
        expect: int | None = None,
        about: str = "",
        now: datetime | None,
        audit: AuditRecord | None = None,
    ) -> int | None:
        """Write a record; its version. None: another version is there than was expected, and nothing is written.

        Args:
            sealed: At most 60,000 bytes, which nobody can read without a key of the caller's.
            expires_at: None: never.
            expect: The version that must be there; 0: none may be. None: whatever is there is replaced.
            about: The look-up of the phone that it is about, such as ``ChallengeRecord.phone_key``; empty: of nobody.
                Such a record must expire.
        """
        record = SealedRecord(
            namespace=namespace, key=key, version=0, sealed=sealed, expires_at=expires_at, about=about
        )
        return await self._write(lambda rows: transactions.put(rows, record, expect, now, audit))

    async def get_record(self, namespace: str, key: str, now: datetime | None) -> SealedRecord | None:
        """One record."""
        return await self._read(lambda rows: transactions.get(rows, namespace, key, now))

    async def list_records(
        self, namespace: str, *, after: str | None = None, limit: int = 50, now: datetime | None
    ) -> Page[SealedRecord]:
        """Those of a namespace by key, at most ``limit``; ``after`` is the cursor of the page before."""
        return await self._read(lambda rows: transactions.page(rows, namespace, after, limit, now))

    async def delete_record(
        self,
        namespace: str,
        key: str,
        *,
        expect: int | None = None,
        now: datetime | None,
        audit: AuditRecord | None = None,
    ) -> bool:
        """Remove a record; False: there was none, or another version than was expected, and nothing is removed."""
        return await self._write(lambda rows: transactions.delete(rows, namespace, key, expect, now, audit))
