"""A whole number, shown to somebody who may see it and said why."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from otp_server.audits import audit_record
from otp_server.console.asking import Asked
from otp_server.console.desk import Desk

__all__ = ["reveal"]

_NAMESPACE = "reveals"
_LASTS = timedelta(days=1)


async def reveal(desk: Desk, phone: str, asked: Asked) -> str:
    """The whole number of a phone, once it is in the audit trail that this person asked for it.

    Args:
        desk: The console's.
        phone: As a person writes it.
        asked: By whom, and why.
    """
    masked = (await desk.operator.limits.show(phone)).target
    now = datetime.now(UTC)
    record = audit_record("reveal", masked, asked.by, asked.reason, {})
    key = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(8)}"  # a record of its own, as the trail is written with one
    about = await desk.operator.look_up(phone)  # which the trail's record takes from this one
    await desk.records.put(_NAMESPACE, key, {"by": asked.by}, expires_at=now + _LASTS, about=about, audit=record)
    return (await desk.operator.limits.show(phone, reveal=True)).target
