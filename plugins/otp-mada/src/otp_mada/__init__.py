"""Mada as a provider of otpcore: one-time passcodes by SMS over an Openmind SoS SOAP gateway."""

from __future__ import annotations

from otp_mada.provider import MadaProvider, create_provider
from otp_mada.settings import MadaSettings, UnicodePolicy

__all__ = ["MadaProvider", "MadaSettings", "UnicodePolicy", "create_provider"]
