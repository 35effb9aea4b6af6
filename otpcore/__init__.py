"""Sends one-time passcodes by SMS or voice call through pluggable providers, retries, and verifies them.

Only the errors come with the package; everything else is imported when its name is first used.
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
    ReceiptFault,
    ReceiptRefused,
    RoutingSyntaxError,
    SettingsError,
    StoreError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from otpcore._service import AsyncOTPService
    from otpcore._sync import OTPService
    from otpcore.config import Settings, load_settings
    from otpcore.events import Event, EventType
    from otpcore.hookspecs import ProviderContext, hookimpl
    from otpcore.interfaces import RetryHost, RetryRunner, Store
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
        Receipt,
        ReceiptOutcome,
        ReceiptRequest,
        ReceiptResult,
        ReceiptStatus,
        RetryJob,
        Verification,
        VerificationStatus,
    )
    from otpcore.phone import PhoneNumber
    from otpcore.routing import RoutingTable, parse_rules
    from otpcore.sandbox import SandboxMessage
    from otpcore.status import BreakerStatus, RouteStatus, Status, WorkerStatus

__all__ = [
    "AsyncOTPService",
    "BreakerStatus",
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
    "Receipt",
    "ReceiptFault",
    "ReceiptOutcome",
    "ReceiptRefused",
    "ReceiptRequest",
    "ReceiptResult",
    "ReceiptStatus",
    "RetryHost",
    "RetryJob",
    "RetryRunner",
    "RouteStatus",
    "RoutingSyntaxError",
    "RoutingTable",
    "SandboxMessage",
    "Settings",
    "SettingsError",
    "Status",
    "Store",
    "StoreError",
    "UnknownProviderError",
    "Verification",
    "VerificationStatus",
    "WorkerStatus",
    "__version__",
    "hookimpl",
    "load_settings",
    "parse_rules",
]

__version__ = "0.1.0"

_LATER = {
    "AsyncOTPService": "otpcore._service",
    "BreakerStatus": "otpcore.status",
    "CancelRequest": "otpcore.models",
    "Challenge": "otpcore.models",
    "ChallengeState": "otpcore.models",
    "Channel": "otpcore.models",
    "CheckRequest": "otpcore.models",
    "CheckResult": "otpcore.models",
    "CodeOwner": "otpcore.models",
    "DeliveryReceipt": "otpcore.models",
    "DeliveryRequest": "otpcore.models",
    "Event": "otpcore.events",
    "EventType": "otpcore.events",
    "OTPService": "otpcore._sync",
    "PhoneNumber": "otpcore.phone",
    "ProviderContext": "otpcore.hookspecs",
    "ProviderInfo": "otpcore.models",
    "Receipt": "otpcore.models",
    "ReceiptOutcome": "otpcore.models",
    "ReceiptRequest": "otpcore.models",
    "ReceiptResult": "otpcore.models",
    "ReceiptStatus": "otpcore.models",
    "RetryHost": "otpcore.interfaces",
    "RetryJob": "otpcore.models",
    "RetryRunner": "otpcore.interfaces",
    "RouteStatus": "otpcore.status",
    "RoutingTable": "otpcore.routing",
    "SandboxMessage": "otpcore.sandbox",
    "Settings": "otpcore.config",
    "Status": "otpcore.status",
    "Store": "otpcore.interfaces",
    "Verification": "otpcore.models",
    "VerificationStatus": "otpcore.models",
    "WorkerStatus": "otpcore.status",
    "hookimpl": "otpcore.hookspecs",
    "load_settings": "otpcore.config",
    "parse_rules": "otpcore.routing",
}

logging.getLogger("otpcore").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
