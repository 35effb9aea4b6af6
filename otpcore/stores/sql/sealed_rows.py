"""`Rows` of sealed records over an SQL database, with their statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from otpcore.stores.sealed import SealedRecord
from otpcore.stores.sql.building import NOW, own, records
from otpcore.stores.sql.tables import sealed
from otpcore.stores.sql.unit import SqlUnit

__all__ = ["EXPIRED", "SEALED", "SealedRows"]

_THIS = (sealed.c.namespace == bindparam("in_namespace")) & (sealed.c.key == bindparam("row_key")) & own(sealed)
EXPIRED = sealed.c.expires_at <= NOW
SEALED = records(SealedRecord, sealed).where(_THIS)
_INSERT = insert(sealed).on_conflict_do_nothing()
_UPDATE = update(sealed).where(_THIS, sealed.c.version == bindparam("held"))
_DELETE = delete(sealed).where(_THIS)
_ERASE = delete(sealed).where(own(sealed), sealed.c.about == bindparam("row_about"))
_AFTER = (
    records(SealedRecord, sealed)
    .where(
        own(sealed),
        sealed.c.namespace == bindparam("in_namespace"),
        sealed.c.key > bindparam("row_key"),
        or_(sealed.c.expires_at.is_(None), sealed.c.expires_at > NOW),
    )
    .order_by(sealed.c.key)
    .limit(bindparam("most"))
)
_PURGE = delete(sealed).where(
    tuple_(*sealed.primary_key).in_(select(*sealed.primary_key).where(EXPIRED, own(sealed)).limit(bindparam("most")))
)


class SealedRows(SqlUnit):
    """Part of `SqlRows`."""

    def sealed(self, namespace: str, key: str) -> SealedRecord | None:
        return self._one(SealedRecord, self._locked(SEALED), **self._named(namespace, key))

    def put_sealed(self, record: SealedRecord, held: int) -> bool:
        if not held:
            return self._insert_sealed(record)
        new = {
            "version": record.version,
            "sealed": record.sealed,
            "expires_at": record.expires_at,
            "about": record.about,
        }
        return self._changed(_UPDATE, held=held, **new, **self._named(record.namespace, record.key)) == 1

    def _insert_sealed(self, record: SealedRecord) -> bool:
        return self._put(_INSERT, record, world=self.world) == 1

    def delete_sealed(self, namespace: str, key: str) -> None:
        self._changed(_DELETE, **self._named(namespace, key))

    def sealed_after(self, namespace: str, key: str, now: datetime, limit: int) -> Sequence[SealedRecord]:
        return self._all(SealedRecord, _AFTER, now=now, most=limit, **self._named(namespace, key))

    def purge_sealed(self, now: datetime, limit: int) -> int:
        return self._changed(_PURGE, now=now, most=limit, own_world=self.world)

    def erase_sealed(self, phone_key: str) -> int:
        return self._changed(_ERASE, row_about=phone_key, own_world=self.world)

    def _named(self, namespace: str, key: str) -> dict[str, Any]:
        return {"in_namespace": namespace, "row_key": key, "own_world": self.world}
