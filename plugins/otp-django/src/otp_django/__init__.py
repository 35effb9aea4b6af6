"""otpcore as a Django app: ``INSTALLED_APPS += ["otp_django"]`` and ``OTPCORE = {...}`` in the project's settings."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otp_django.asking import about, client_of
    from otp_django.fields import OTPCodeField, PhoneField
    from otp_django.running import aotp, otp
    from otp_django.signals import phone_verified
    from otp_django.views import OTPSendMixin, OTPVerifyMixin, verified_phone

__all__ = [
    "OTPCodeField",
    "OTPSendMixin",
    "OTPVerifyMixin",
    "PhoneField",
    "about",
    "aotp",
    "client_of",
    "otp",
    "phone_verified",
    "verified_phone",
]

_MODULES = {
    "OTPCodeField": "fields",
    "OTPSendMixin": "views",
    "OTPVerifyMixin": "views",
    "PhoneField": "fields",
    "about": "asking",
    "aotp": "running",
    "client_of": "asking",
    "otp": "running",
    "phone_verified": "signals",
    "verified_phone": "views",
}
"""Imported at first use: Django imports this package before its settings and apps are ready."""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"otp_django.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
