"""Sinch Verification as a provider of otpcore: one-time passcodes by SMS and phone call."""

from __future__ import annotations

from otp_sinch.provider import SinchProvider, create_provider
from otp_sinch.settings import Auth, SinchSettings

__all__ = ["Auth", "SinchProvider", "SinchSettings", "create_provider"]
