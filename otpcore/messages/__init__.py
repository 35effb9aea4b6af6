"""What a person receives, and how long it is: SMS segments and the GSM 7-bit alphabet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.messages.texts import Segments, segments

__all__ = ["Segments", "segments"]

_MODULES = {
    "otpcore.messages.texts": ("Segments", "segments"),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)
