"""Transactions of sealed records, written once over the rows of any store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs

from otpcore.errors import InvalidArgument
from otpcore.stores.lists import Page
from otpcore.stores.records import AuditRecord
from otpcore.stores.rows import OutrunError, Rows
from otpcore.stores.sealed import SealedRecord, check_about, check_names, check_sealed, is_kept
from otpcore.stores.transactions.auditing import note

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def put(
    rows: Rows,
    record: SealedRecord,
    expect: int | None,
    now: datetime | None,
    audit: AuditRecord | None = None,
) -> int | None:
    """Write a record, if what was expected is there; the version that it gets."""
    check_names(record.namespace, record.key)
    check_about(record.about, record.expires_at)
    check_sealed(record.sealed)
    moment = rows.now(now)
    found = rows.sealed(record.namespace, record.key)
    if expect is not None and expect != _version(found, moment):
        return None
    held = 0 if found is None else found.version
    # Not from 1 on: whoever knows a record that is gone by now must not take the next one for it.
    version = max(held, (moment - _EPOCH) // timedelta(microseconds=1)) + 1
    if not rows.put_sealed(attrs.evolve(record, version=version), held):
        raise OutrunError("the record was begun by somebody else")
    note(rows, audit, about=record.about)
    return version


def get(rows: Rows, namespace: str, key: str, now: datetime | None) -> SealedRecord | None:
    """One record, unless it has expired."""
    check_names(namespace, key)
    found = rows.sealed(namespace, key)
    return found if is_kept(found, rows.now(now)) else None


def page(rows: Rows, namespace: str, after: str | None, limit: int, now: datetime | None) -> Page[SealedRecord]:
    """Some records by key, and the last key where more follow."""
    check_names(namespace, after or "-")
    if limit < 1:
        raise InvalidArgument("limit: must be at least 1")
    found = rows.sealed_after(namespace, after or "", rows.now(now), limit + 1)
    return Page(items=tuple(found[:limit]), cursor=found[limit - 1].key if len(found) > limit else None)


def delete(
    rows: Rows,
    namespace: str,
    key: str,
    expect: int | None,
    now: datetime | None,
    audit: AuditRecord | None = None,
) -> bool:
    """Remove a record, if what was expected is there."""
    check_names(namespace, key)
    found = rows.sealed(namespace, key)
    version = _version(found, rows.now(now))
    if found is None or not version or expect not in (None, version):
        return False
    rows.delete_sealed(namespace, key)
    note(rows, audit, about=found.about)
    return True


def _version(found: SealedRecord | None, now: datetime) -> int:
    """Of what is there; 0: there is none."""
    return found.version if found is not None and is_kept(found, now) else 0
