"""What a message costs, where the gateway says it; never a reason to lose a message."""

from __future__ import annotations

import re
from typing import Any

from otp_http.paths import as_text, look_up
from otp_http.sections import PriceAt
from otpcore.providers import Price

__all__ = ["price_in"]

_AMOUNT = re.compile(r"(?:[A-Za-z]{3} ?)?([0-9]+(?:\.[0-9]+)?)(?: ?[A-Za-z]{3})?")
_CURRENCY = re.compile(r"(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z])")


def price_in(said: Any, how: PriceAt | None) -> Price | None:
    """The price in an answer or report; amount and currency may stand in one text, such as ``KES 0.8000``.

    Returns:
        None: it says none, or none that can be kept.
    """
    if how is None:
        return None
    amount = _AMOUNT.fullmatch(as_text(look_up(said, how.amount)))
    is_path = how.currency.startswith("=")
    currency = _CURRENCY.search(as_text(look_up(said, how.currency[1:])) if is_path else how.currency)
    return Price.read(amount[1], currency[0]) if amount and currency else None
