"""What the author of a retry runner imports: its contract, and what it works for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.errors import SettingsError, StoreError
    from otpcore.models import Channel, RetryDue, RetryElsewhere, RetryJob, RetryOver
    from otpcore.retrying import backoff
    from otpcore.runners.contract import RetryHost, RetryRunner
    from otpcore.settings.structuring import structure
    from otpcore.settings.tree import Settings
    from otpcore.stores.commands import Claim

__all__ = [
    "Channel",
    "Claim",
    "RetryDue",
    "RetryElsewhere",
    "RetryHost",
    "RetryJob",
    "RetryOver",
    "RetryRunner",
    "Settings",
    "SettingsError",
    "StoreError",
    "backoff",
    "structure",
]

_MODULES = {
    "otpcore.errors": ("SettingsError", "StoreError"),
    "otpcore.models": ("Channel", "RetryDue", "RetryElsewhere", "RetryJob", "RetryOver"),
    "otpcore.runners.contract": ("RetryHost", "RetryRunner"),
    "otpcore.retrying": ("backoff",),
    "otpcore.settings.structuring": ("structure",),
    "otpcore.settings.tree": ("Settings",),
    "otpcore.stores.commands": ("Claim",),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)
