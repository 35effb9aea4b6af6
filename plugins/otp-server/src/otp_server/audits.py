"""What the server writes into the audit trail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from otpcore import InvalidArgument
from otpcore.operator import checked_name, checked_reason
from otpcore.stores import AuditRecord

__all__ = ["audit_record"]

_LONGEST = 200


def audit_record(action: str, target: str, by: str, reason: str, detail: Mapping[str, Any]) -> AuditRecord:
    """Who changed what, and why; what may be somebody's number is cut to its last digits.

    Written with a sealed record that is about a phone, it is about that phone, and blanked when that is erased.

    Args:
        action: What was done, such as ``keys.api.revoke``.
        target: To what.
        by: Who did it.
        reason: In their words, or empty.
        detail: What else there is to know; no number, and nothing that lets anybody in.

    Raises:
        InvalidArgument: A name or a reason that cannot be kept.
    """
    for name, text in (("by", by), ("reason", reason)):
        if len(text) > _LONGEST or not (text.isprintable() and (text or name == "reason")):
            raise InvalidArgument(f"{name}: must be at most {_LONGEST} printable characters")
    told = json.dumps(dict(detail), sort_keys=True)
    return AuditRecord(
        at=datetime.now(UTC),
        by=checked_name(by),
        action=action,
        target=target,
        reason=checked_reason(reason),
        detail=told,
    )
