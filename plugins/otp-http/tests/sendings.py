"""Messages on their way, for tests of what is made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from otp_http.sections import NumberFormat
from otp_http.values import Sending

from otpcore.providers import DeliveryRequest

__all__ = ["NOW", "sending"]

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def sending(request: DeliveryRequest, **changes: Any) -> Sending:
    """A message to a gateway that wants nothing in particular."""
    values = {"settings": {}, "number": NumberFormat(), "life": None, "languages": {}, "now": NOW}
    return Sending(request=request, receipt_url=lambda: "https://otp.example/r", **{**values, **changes})
