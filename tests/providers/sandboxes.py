"""The sandbox's numbers by their outcome, and what reached them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otpcore import AsyncOTPService
from otpcore.providers.sandbox import MAGIC, RANGES

START = next(iter(RANGES))
ORDINARY = "+359871234567"
Configure = Callable[..., dict[str, Any]]


def number(name: str) -> str:
    """The sandbox's number with this outcome."""
    return START + next(digits for digits, one in MAGIC.items() if one.name == name)


def received(otp: AsyncOTPService, phone: str) -> list[str]:
    """The instances that brought this person something."""
    return [message.instance for message in otp.sandbox_inbox(phone)]
