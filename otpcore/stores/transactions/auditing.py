"""Transactions of what operators change: each writes its record in the audit trail with the change, or neither."""

from __future__ import annotations

import json
from types import EllipsisType
from typing import Any

from otpcore.stores.records import AuditRecord, changed
from otpcore.stores.rows import OutrunError, Rows
from otpcore.stores.sealed import check_look_up

BLANK = {"target": "", "reason": "", "detail": json.dumps({"erased": True}), "about": ""}
"""What is left of a record that was about somebody who was erased, besides who did what and when."""


def note(rows: Rows, audit: AuditRecord | None, *, about: str = "", **found: Any) -> None:
    """Write who changed something, with what was found out while it was changed; None: no operator did.

    It is about the phone that the record says, or else that of what was changed.
    """
    if audit is not None:
        detail = json.dumps({**json.loads(audit.detail), **found}, sort_keys=True)
        about = audit.about or about
        check_look_up(about)
        rows.add_audit(changed(audit, detail=detail, about=about))


def write_setting(
    rows: Rows, name: str, value: str | None, expect: str | EllipsisType | None, audit: AuditRecord | None
) -> bool:
    """Set or remove; the record keeps the former value. An operator's is not written where it changes nothing."""
    if audit is None and expect is ...:
        rows.put_setting(name, value)
        return True
    former = rows.setting(name)
    if expect not in (..., former) or (audit is not None and former == value):
        return False
    note(rows, audit, setting=name, before=former, after=value)
    if former is not None or value is None or expect is not None:
        rows.put_setting(name, value)
    elif not rows.insert_setting(name, value):
        raise OutrunError("the setting was written by somebody else")
    return True


def reset_counters(rows: Rows, prefix: str, audit: AuditRecord | None) -> int:
    """Remove counters and failure counters whose key begins so."""
    removed = rows.reset_counters(prefix)
    if removed:
        note(rows, audit, counters=removed)
    return removed
