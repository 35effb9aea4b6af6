"""Who may send now: the counters that a send is charged to (DESIGN §11)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from otpcore.config import Limit
from otpcore.records import Charge

__all__ = ["charges_of"]


def charges_of(phone_key: str, phone_limits: Sequence[Limit]) -> tuple[Charge, ...]:
    """The counters of one send to one phone, one a window."""
    return tuple(
        Charge(
            key=f"{phone_key}/send/{limit.seconds:g}",
            limit=limit.count,
            window=timedelta(seconds=limit.seconds),
            reason="phone",
        )
        for limit in phone_limits
    )
