"""For tests of hosts and of plugins: outbox, clock, recorder of events and contract suites. Nothing in otpcore imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.testing.clock import FakeClock
    from otpcore.testing.codes import wrong_code
    from otpcore.testing.events import EventRecorder
    from otpcore.testing.outbox import Outbox
    from otpcore.testing.providers.contract import ProviderContract, Refusal
    from otpcore.testing.runners.contract import RetryRunnerContract
    from otpcore.testing.stores.contract import CrashFactory, StoreContract

__all__ = [
    "CrashFactory",
    "EventRecorder",
    "FakeClock",
    "Outbox",
    "ProviderContract",
    "Refusal",
    "RetryRunnerContract",
    "StoreContract",
    "wrong_code",
]

_MODULES = {
    "otpcore.testing.clock": ("FakeClock",),
    "otpcore.testing.codes": ("wrong_code",),
    "otpcore.testing.events": ("EventRecorder",),
    "otpcore.testing.outbox": ("Outbox",),
    "otpcore.testing.providers.contract": ("ProviderContract", "Refusal"),
    "otpcore.testing.runners.contract": ("RetryRunnerContract",),
    "otpcore.testing.stores.contract": ("CrashFactory", "StoreContract"),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)
