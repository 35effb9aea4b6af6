"""What a person is told when something cannot be done, by class and reason; the text of an error is for the log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from otpcore import OTPError, Verification, known_as

__all__ = ["said_of", "said_of_code"]

_NOT_SENT = "No code could be sent."
_LATER = f"{_NOT_SENT} Please try again later."
_SAID: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("InvalidPhoneNumber", ""): "Enter a phone number, with + and the country code.",
        ("NoRouteError", "no_route"): "No code can be sent to this number.",
        ("DeliveryError", "permanent"): "This number cannot be reached.",
        ("RateLimited", "denied"): "No code can be sent to this number.",
        ("RateLimited", "locked"): "Too many wrong codes.",
        ("RateLimited", "max_attempts"): "Too many wrong codes.",
        ("RateLimited", "phone"): "This number has got enough codes for now.",
        ("RateLimited", "client"): "You have asked for enough codes for now.",
    }
)
_MINUTE = 60


def said_of(error: OTPError) -> str:
    """One or two sentences in English; with when to try again, where that is known."""
    if not error.retry_after:
        return _SAID.get(known_as(error), _LATER)
    return f"{_SAID.get(known_as(error), _NOT_SENT)} {_when(error.retry_after)}"


def said_of_code(verification: Verification | None) -> str:
    """Of a code that is not right, or of none that was asked for."""
    left = verification.attempts_left if verification is not None else 0
    if not left:
        return "This code can no longer be used. Ask for a new one."
    return f"This is not the code. You can try {left} more time{'s' * (left > 1)}."


def _when(seconds: float) -> str:
    minutes = math.ceil(seconds / _MINUTE)
    return "Try again in a minute." if minutes <= 1 else f"Try again in {minutes} minutes."
