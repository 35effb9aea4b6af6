"""What a simulator of a vendor is built on: a small HTTP server on loopback that speaks the vendor's wire protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.simulators.simulator import (
        Callback,
        Fault,
        SimulatedAnswer,
        SimulatedMessage,
        SimulatedRequest,
        Simulator,
        find_code,
        running,
    )

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
    "otpcore.simulators.simulator": (
        "Callback",
        "Fault",
        "SimulatedAnswer",
        "SimulatedMessage",
        "SimulatedRequest",
        "Simulator",
        "find_code",
        "running",
    ),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)
