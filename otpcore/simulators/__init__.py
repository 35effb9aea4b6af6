"""What a simulator of a vendor is built on: a small HTTP server on loopback that speaks the vendor's wire protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.simulators.callbacks import Callback
    from otpcore.simulators.exchange import Fault, SimulatedAnswer, SimulatedMessage, SimulatedRequest, find_code
    from otpcore.simulators.simulator import Simulator, running

__all__ = [
    "Callback",
    "Fault",
    "SimulatedAnswer",
    "SimulatedMessage",
    "SimulatedRequest",
    "Simulator",
    "find_code",
    "running",
]

_MODULES = {
    "otpcore.simulators.callbacks": ("Callback",),
    "otpcore.simulators.exchange": ("Fault", "SimulatedAnswer", "SimulatedMessage", "SimulatedRequest", "find_code"),
    "otpcore.simulators.simulator": ("Simulator", "running"),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)
