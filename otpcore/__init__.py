"""Sends one-time passcodes by SMS or voice call through pluggable providers, retries, and verifies them.

Only the errors come with the package; everything else is imported when its name is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.errors import (
    ANSWERS,
    Answer,
    DeliveryError,
    ErrorKind,
    InvalidArgument,
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
    known_as,
)
from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.codes import parse_code
    from otpcore.events import Event, EventType
    from otpcore.messages.carrying import Carries, Feature
    from otpcore.messages.payments import Payment
    from otpcore.models import (
        Challenge,
        ChallengeState,
        Channel,
        CodeOwner,
        EarlierTry,
        Receipt,
        ReceiptOutcome,
        ReceiptResult,
        ReceiptStatus,
        RetryDue,
        RetryElsewhere,
        RetryJob,
        RetryOver,
        Verification,
        VerificationStatus,
    )
    from otpcore.operator.asynchronous import AsyncOperator
    from otpcore.operator.blocking import Operator
    from otpcore.phone.numbers import PhoneNumber, parse_phone
    from otpcore.prices import Price
    from otpcore.providers.delivered import DeliveredMessage
    from otpcore.providers.hooks import ProviderContext, hookimpl
    from otpcore.providers.requests import (
        AccountState,
        CancelRequest,
        CheckRequest,
        CheckResult,
        DeliveryReceipt,
        DeliveryRequest,
        OutcomeRequest,
        ProviderInfo,
        ReceiptAnswer,
        ReceiptRequest,
    )
    from otpcore.routing import RoutingTable, parse_rules
    from otpcore.runners.contract import RetryHost, RetryRunner
    from otpcore.service.asynchronous import AsyncOTPService
    from otpcore.service.blocking import OTPService
    from otpcore.service.status import BreakerStatus, Obstacle, ObstacleKind, RouteStatus, Status, Stops, WorkerStatus
    from otpcore.settings.tree import Settings, load_settings
    from otpcore.stores.contract import Store

__all__ = [
    "ANSWERS",
    "AccountState",
    "Answer",
    "AsyncOTPService",
    "AsyncOperator",
    "BreakerStatus",
    "CancelRequest",
    "Carries",
    "Challenge",
    "ChallengeState",
    "Channel",
    "CheckRequest",
    "CheckResult",
    "CodeOwner",
    "DeliveredMessage",
    "DeliveryError",
    "DeliveryReceipt",
    "DeliveryRequest",
    "EarlierTry",
    "ErrorKind",
    "Event",
    "EventType",
    "Feature",
    "InvalidArgument",
    "InvalidPhoneNumber",
    "NoRouteError",
    "OTPConfigurationError",
    "OTPError",
    "OTPService",
    "Obstacle",
    "ObstacleKind",
    "Operator",
    "OutcomeRequest",
    "Payment",
    "PhoneNumber",
    "PluginLoadError",
    "Price",
    "ProviderContext",
    "ProviderError",
    "ProviderInfo",
    "RateLimited",
    "Receipt",
    "ReceiptAnswer",
    "ReceiptFault",
    "ReceiptOutcome",
    "ReceiptRefused",
    "ReceiptRequest",
    "ReceiptResult",
    "ReceiptStatus",
    "RetryDue",
    "RetryElsewhere",
    "RetryHost",
    "RetryJob",
    "RetryOver",
    "RetryRunner",
    "RouteStatus",
    "RoutingSyntaxError",
    "RoutingTable",
    "Settings",
    "SettingsError",
    "Status",
    "Stops",
    "Store",
    "StoreError",
    "UnknownProviderError",
    "Verification",
    "VerificationStatus",
    "WorkerStatus",
    "__version__",
    "hookimpl",
    "known_as",
    "load_settings",
    "parse_code",
    "parse_phone",
    "parse_rules",
]

__version__ = "0.1.0"

_MODULES = {
    "otpcore.events": ("Event", "EventType"),
    "otpcore.messages.carrying": ("Carries", "Feature"),
    "otpcore.messages.payments": ("Payment",),
    "otpcore.models": (
        "Challenge",
        "ChallengeState",
        "Channel",
        "CodeOwner",
        "EarlierTry",
        "Receipt",
        "ReceiptOutcome",
        "ReceiptResult",
        "ReceiptStatus",
        "RetryDue",
        "RetryElsewhere",
        "RetryJob",
        "RetryOver",
        "Verification",
        "VerificationStatus",
    ),
    "otpcore.operator.asynchronous": ("AsyncOperator",),
    "otpcore.operator.blocking": ("Operator",),
    "otpcore.codes": ("parse_code",),
    "otpcore.phone.numbers": ("PhoneNumber", "parse_phone"),
    "otpcore.prices": ("Price",),
    "otpcore.providers.delivered": ("DeliveredMessage",),
    "otpcore.providers.hooks": ("ProviderContext", "hookimpl"),
    "otpcore.providers.requests": (
        "AccountState",
        "CancelRequest",
        "CheckRequest",
        "CheckResult",
        "DeliveryReceipt",
        "DeliveryRequest",
        "OutcomeRequest",
        "ProviderInfo",
        "ReceiptAnswer",
        "ReceiptRequest",
    ),
    "otpcore.routing": ("RoutingTable", "parse_rules"),
    "otpcore.runners.contract": ("RetryHost", "RetryRunner"),
    "otpcore.service.asynchronous": ("AsyncOTPService",),
    "otpcore.service.blocking": ("OTPService",),
    "otpcore.service.status": (
        "BreakerStatus",
        "Obstacle",
        "ObstacleKind",
        "RouteStatus",
        "Status",
        "Stops",
        "WorkerStatus",
    ),
    "otpcore.settings.tree": ("Settings", "load_settings"),
    "otpcore.stores.contract": ("Store",),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
