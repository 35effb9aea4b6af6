"""The factory behind the entry point ``twilio``."""

from __future__ import annotations

from otp_twilio.client import TwilioClient
from otp_twilio.custom_codes import CustomCodeProvider
from otp_twilio.feedback import FeedbackProvider
from otp_twilio.messaging import MessagingProvider
from otp_twilio.settings import Mode, TwilioSettings
from otp_twilio.verify import VerifyProvider
from otpcore.http import check_base_url
from otpcore.providers import ProviderContext

__all__ = ["create_provider"]


def create_provider(context: ProviderContext) -> VerifyProvider | CustomCodeProvider | MessagingProvider:
    """Make the provider of the configured mode; no I/O.

    Raises:
        SettingsError: A setting is missing or wrong.
    """
    settings = context.structure(TwilioSettings)
    if settings.mode is Mode.VERIFY:
        made = CustomCodeProvider if settings.custom_codes else VerifyProvider
        return made(settings=settings, client=TwilioClient(context, settings, "verify"))
    if settings.status_callback_url:
        key = f"providers.{context.instance}.status_callback_url"
        called = settings.status_callback_url.partition("#")[0]  # what follows is for Twilio alone
        check_base_url(called, key=key, allow_plain_http=settings.allow_plain_http)
    sender = FeedbackProvider if settings.feedback else MessagingProvider
    return sender(context=context, settings=settings, client=TwilioClient(context, settings, "api"))
