"""Twilio as a provider of otpcore: one-time passcodes by SMS and phone call."""

from __future__ import annotations

from otp_twilio.custom_codes import CustomCodeProvider
from otp_twilio.feedback import FeedbackProvider
from otp_twilio.messaging import MessagingProvider
from otp_twilio.provider import create_provider
from otp_twilio.settings import Mode, TwilioSettings
from otp_twilio.verify import VerifyProvider

__all__ = [
    "CustomCodeProvider",
    "FeedbackProvider",
    "MessagingProvider",
    "Mode",
    "TwilioSettings",
    "VerifyProvider",
    "create_provider",
]
