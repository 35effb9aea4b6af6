"""AWS End User Messaging as a provider of otpcore: one-time passcodes by SMS and phone call."""

from __future__ import annotations

from otp_aws.provider import AwsProvider, FeedbackProvider, create_provider
from otp_aws.settings import AwsSettings

__all__ = ["AwsProvider", "AwsSettings", "FeedbackProvider", "create_provider"]
