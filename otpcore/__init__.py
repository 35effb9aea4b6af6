"""Sends one-time passcodes by SMS or voice call through pluggable providers, retries, and verifies them.

The heavy half (services, settings) is imported when one of its names is first used.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from otpcore.errors import (
    DeliveryError,
    ErrorKind,
    InvalidPhoneNumber,
    NoRouteError,
    OTPConfigurationError,
    OTPError,
    PluginLoadError,
    ProviderError,
    RateLimited,
    RoutingSyntaxError,
    SettingsError,
    StoreError,
    UnknownProviderError,
)
from otpcore.hookspecs import ProviderContext, hookimpl
from otpcore.models import (
    CancelRequest,
    Challenge,
    ChallengeState,
    Channel,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ProviderInfo,
    RetryJob,
    Verification,
    VerificationStatus,
)
from otpcore.phone import PhoneNumber

if TYPE_CHECKING:
    from otpcore._service import AsyncOTPService
    from otpcore._sync import OTPService
    from otpcore.config import Settings, load_settings
    from otpcore.events import Event, EventType
    from otpcore.interfaces import RetryHost, RetryRunner, Store
    from otpcore.routing import RoutingTable, parse_rules

__all__ = [
    "AsyncOTPService",
    "CancelRequest",
    "Challenge",
    "ChallengeState",
    "Channel",
    "CheckRequest",
    "CheckResult",
    "CodeOwner",
    "DeliveryError",
    "DeliveryReceipt",
    "DeliveryRequest",
    "ErrorKind",
    "Event",
    "EventType",
    "InvalidPhoneNumber",
    "NoRouteError",
    "OTPConfigurationError",
    "OTPError",
    "OTPService",
    "PhoneNumber",
    "PluginLoadError",
    "ProviderContext",
    "ProviderError",
    "ProviderInfo",
    "RateLimited",
    "RetryHost",
    "RetryJob",
    "RetryRunner",
    "RoutingSyntaxError",
    "RoutingTable",
    "Settings",
    "SettingsError",
    "Store",
    "StoreError",
    "UnknownProviderError",
    "Verification",
    "VerificationStatus",
    "__version__",
    "hookimpl",
    "load_settings",
    "parse_rules",
]

_LATER = {
    "AsyncOTPService": "otpcore._service",
    "Event": "otpcore.events",
    "EventType": "otpcore.events",
    "OTPService": "otpcore._sync",
    "RetryHost": "otpcore.interfaces",
    "RetryRunner": "otpcore.interfaces",
    "RoutingTable": "otpcore.routing",
    "Settings": "otpcore.config",
    "Store": "otpcore.interfaces",
    "load_settings": "otpcore.config",
    "parse_rules": "otpcore.routing",
}

logging.getLogger("otpcore").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - 25 ms that an import need not pay

        return version("otpcore")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
