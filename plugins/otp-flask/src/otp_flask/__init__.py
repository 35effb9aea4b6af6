"""otpcore as a Flask extension: ``otp = OTP(app)``, and ``app.config["OTPCORE"]`` with its settings."""

from __future__ import annotations

from otp_flask.extension import OTP, current_otp
from otp_flask.sessions import verified, verified_phone

__all__ = ["OTP", "current_otp", "verified", "verified_phone"]
