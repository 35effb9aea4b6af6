"""What the author of a provider imports: the hooks, what they are asked and what they answer, and the errors they raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.errors import ErrorKind, ProviderError, ReceiptFault, ReceiptRefused, SettingsError
    from otpcore.messages.carrying import CARRIES_ALL, CARRIES_NOTHING, Carries, Feature
    from otpcore.models import Channel, CodeOwner, EarlierTry, Receipt, ReceiptStatus
    from otpcore.phone.numbers import PhoneNumber
    from otpcore.prices import Price
    from otpcore.providers.discovery import HTTP_GATEWAYS, InstalledPlugin, installed
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
    from otpcore.settings.network import Network

__all__ = [
    "CARRIES_ALL",
    "CARRIES_NOTHING",
    "HTTP_GATEWAYS",
    "AccountState",
    "CancelRequest",
    "Carries",
    "Channel",
    "CheckRequest",
    "CheckResult",
    "CodeOwner",
    "DeliveryReceipt",
    "DeliveryRequest",
    "EarlierTry",
    "ErrorKind",
    "Feature",
    "InstalledPlugin",
    "Network",
    "OutcomeRequest",
    "PhoneNumber",
    "Price",
    "ProviderContext",
    "ProviderError",
    "ProviderInfo",
    "Receipt",
    "ReceiptAnswer",
    "ReceiptFault",
    "ReceiptRefused",
    "ReceiptRequest",
    "ReceiptStatus",
    "SettingsError",
    "hookimpl",
    "installed",
]

_MODULES = {
    "otpcore.errors": ("ErrorKind", "ProviderError", "ReceiptFault", "ReceiptRefused", "SettingsError"),
    "otpcore.messages.carrying": ("CARRIES_ALL", "CARRIES_NOTHING", "Carries", "Feature"),
    "otpcore.models": ("Channel", "CodeOwner", "EarlierTry", "Receipt", "ReceiptStatus"),
    "otpcore.phone.numbers": ("PhoneNumber",),
    "otpcore.prices": ("Price",),
    "otpcore.providers.discovery": ("HTTP_GATEWAYS", "InstalledPlugin", "installed"),
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
    "otpcore.settings.network": ("Network",),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)
