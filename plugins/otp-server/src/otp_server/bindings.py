"""A payment to which a code is bound, as it is kept with what was started."""

from __future__ import annotations

from collections.abc import Mapping

from otpcore import Transaction

__all__ = ["transaction_of"]


def transaction_of(bind: Mapping[str, str] | None) -> Transaction | None:
    """What the core binds a code to; None: nothing.

    Raises:
        InvalidArgument: The payee could not be shown as it is.
    """
    if bind is None:
        return None
    return Transaction(payee=bind["payee"], amount=bind["amount"], currency=bind["currency"])
