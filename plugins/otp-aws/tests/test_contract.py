"""AWS keeps the contract of otpcore's providers."""

from __future__ import annotations

import pytest
from otp_aws.simulator import AwsSimulator

from otpcore.providers import Channel, ErrorKind, ReceiptRequest, ReceiptStatus
from otpcore.testing import ProviderContract, Refusal

SMS, CALL = Channel.SMS, Channel.CALL
_ENDS = {
    (SMS, ReceiptStatus.DELIVERED): "TEXT_DELIVERED",
    (SMS, ReceiptStatus.UNDELIVERED): "TEXT_UNREACHABLE",
    (CALL, ReceiptStatus.DELIVERED): "VOICE_COMPLETED",
    (CALL, ReceiptStatus.UNDELIVERED): "VOICE_NO_ANSWER",
}


def told_by(simulator):
    """Settings of an instance to which its topic reports."""
    return {**simulator.provider_settings(), **simulator.topic_settings()}


class TestAws(ProviderContract):
    required_settings = ("region", "origination_identity", "access_key_id", "secret_access_key")
    secret_settings = ("secret_access_key",)
    signed = frozenset({"body"})  # SNS signs the fields of its message, and nothing of the request around them
    unsigned_fields = ("SigningCertURL",)  # another address of SNS may stand there: the certificates are settings
    receipt_lifetime = 3900.0
    caller = AwsSimulator.other_number
    refusals = (
        Refusal("+12065550101", ErrorKind.REJECTED_NUMBER, "INVALID_PARAMETER"),
        Refusal("+12065550102", ErrorKind.MISCONFIGURED, "COUNTRY_NOT_ENABLED"),
        Refusal("+12065550103", ErrorKind.BLOCKED, "DESTINATION_COUNTRY_BLOCKED"),
        Refusal("+12065550104", ErrorKind.MISCONFIGURED, "SENDER_ID_REQUIRES_REGISTRATION"),
        Refusal("+12065550105", ErrorKind.MISCONFIGURED, "FIELD_VALIDATION_FAILED"),
        Refusal("+12065550110", ErrorKind.BLOCKED, "DESTINATION_PHONE_NUMBER_OPTED_OUT"),
        Refusal("+12065550111", ErrorKind.BLOCKED, "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION"),
        Refusal("+12065550113", ErrorKind.MISCONFIGURED, "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"),
        Refusal("+12065550114", ErrorKind.MISCONFIGURED, "NO_ORIGINATION_IDENTITIES_FOUND"),
        Refusal("+12065550120", ErrorKind.LIMIT_REACHED, "DAILY_DESTINATION_CALL_LIMIT", channel=CALL),
        Refusal("+12065550121", ErrorKind.MISCONFIGURED, "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT", channel=SMS),
        Refusal("+12065550130", ErrorKind.MISCONFIGURED, "ACCOUNT_DISABLED"),
        Refusal("+12065550131", ErrorKind.MISCONFIGURED, "AccessDeniedException"),
        Refusal("+12065550140", ErrorKind.THROTTLED, "ThrottlingException"),
        Refusal("+12065550141", ErrorKind.AMBIGUOUS, "InternalServerException"),
        Refusal("+12065550142", ErrorKind.UNAVAILABLE, "ServiceUnavailableException"),
        Refusal("+12065550143", ErrorKind.MISCONFIGURED, "ExpiredTokenException"),
        Refusal(
            lambda simulator: setattr(simulator, "secret_access_key", "another"),
            ErrorKind.MISCONFIGURED,
            "InvalidSignatureException",
        ),
        Refusal(
            lambda simulator: setattr(simulator, "access_key_id", "AKIAANOTHER000000000"),
            ErrorKind.MISCONFIGURED,
            "UnrecognizedClientException",
        ),
        Refusal(
            lambda simulator: setattr(simulator, "from_number", "+12065550199"),
            ErrorKind.MISCONFIGURED,
            "ResourceNotFoundException",
        ),
    )

    @pytest.fixture
    def simulator(self):
        with AwsSimulator() as simulator:
            yield simulator

    @pytest.fixture
    def provider_settings(self, simulator):
        return told_by(simulator)

    @pytest.fixture
    def plugin(self):
        return "otp_aws:create_provider"

    def callback(self, simulator, request, receipt, status):
        event = simulator.event(
            _ENDS[request.channel, status],
            receipt.reference,
            recipient=request.recipient.e164,
            context={"delivery_id": request.delivery_id},
        )
        headers, body = simulator.topic.notification(event)
        return ReceiptRequest(url="https://example.com/receipts/aws", headers=headers, body=body)

    def progress(self, simulator, request, receipt):
        name = "TEXT_SUCCESSFUL" if request.channel is SMS else "VOICE_ANSWERED"
        event = simulator.event(name, receipt.reference, recipient=request.recipient.e164, context={})
        headers, body = simulator.topic.notification(event)
        return ReceiptRequest(url="https://example.com/receipts/aws", headers=headers, body=body)


class TestAwsWithLentKeys(TestAws):
    """Keys with a session token, by SMS alone."""

    channels = (SMS,)
    secret_settings = ("secret_access_key", "session_token")

    @pytest.fixture
    def provider_settings(self, simulator):
        simulator.session_token = "FwoGZXIvYXdzEXAMPLE=="
        return {key: value for key, value in told_by(simulator).items() if key != "voice_identity"}


class TestAwsWithFeedback(TestAws):
    """An instance that tells AWS how it ended."""

    channels = (SMS,)

    @pytest.fixture
    def provider_settings(self, simulator):
        settings = told_by(simulator) | {"message_feedback": True}
        del settings["voice_identity"]
        return settings

    @pytest.fixture(autouse=True)
    def _messages_have_names_only(self, request):
        parameters = getattr(request.node, "callspec", None)
        if parameters and parameters.params.get("by") == "recipient":
            pytest.skip("AWS knows a message by its id alone; see test_feedback")
