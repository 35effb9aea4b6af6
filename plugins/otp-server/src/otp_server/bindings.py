"""A payment to which a code is bound, as it is kept with what was started."""

from __future__ import annotations

from collections.abc import Mapping

from otpcore import Payment

__all__ = ["payment_of"]


def payment_of(bind: Mapping[str, str] | None) -> Payment | None:
    """What the core binds a code to; None: nothing.

    Raises:
        InvalidArgument: The payee could not be shown as it is.
    """
    if bind is None:
        return None
    return Payment(payee=bind["payee"], amount=bind["amount"], currency=bind["currency"])
