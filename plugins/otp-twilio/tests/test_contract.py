"""The contract of every provider, for Verify, Messages and Calls."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from otp_twilio import Mode
from otp_twilio.simulator import TwilioSimulator
from twilio.request_validator import RequestValidator

from otpcore.providers import Channel, CodeOwner, ErrorKind, ReceiptRequest, ReceiptStatus
from otpcore.testing import ProviderContract, Refusal

SMS, CALL = Channel.SMS, Channel.CALL
EVERYWHERE = (
    Refusal("+15005550401", ErrorKind.MISCONFIGURED, "20003"),
    Refusal("+15005550402", ErrorKind.MISCONFIGURED, "20005"),
    Refusal("+15005550429", ErrorKind.THROTTLED, "20429"),
    Refusal("+15005550500", ErrorKind.AMBIGUOUS, "20500"),
    Refusal("+15005550503", ErrorKind.UNAVAILABLE, "20503"),
    Refusal(lambda simulator: setattr(simulator, "auth_token", "another"), ErrorKind.MISCONFIGURED, "20003"),
)


class TwilioContract(ProviderContract):
    secret_settings = ("auth_token",)
    mode = Mode.VERIFY

    @pytest.fixture
    def simulator(self):
        with TwilioSimulator() as simulator:
            yield simulator

    @pytest.fixture
    def plugin(self):
        return "otp_twilio:create_provider"

    @pytest.fixture
    def provider_settings(self, simulator):
        return simulator.provider_settings(self.mode)


class TestVerify(TwilioContract):
    code_owner = CodeOwner.PROVIDER
    base_url_setting = "verify_base_url"
    required_settings = ("account_sid", "auth_token", "service_sid")
    refusals = (
        *EVERYWHERE,
        Refusal("+15005550001", ErrorKind.REJECTED_NUMBER, "60200"),
        Refusal("+15005550003", ErrorKind.MISCONFIGURED, "60605"),
        Refusal("+15005550004", ErrorKind.BLOCKED, "60412"),
        Refusal("+15005550009", ErrorKind.REJECTED_NUMBER, "60205", channel=SMS),
        Refusal("+15005550203", ErrorKind.LIMIT_REACHED, "60203"),
        Refusal("+15005550212", ErrorKind.THROTTLED, "60212"),
        Refusal("+15005550410", ErrorKind.BLOCKED, "60410", channel=SMS),
        Refusal("+15005550998", ErrorKind.UNAVAILABLE),
        Refusal(lambda simulator: setattr(simulator, "service_sid", "VA"), ErrorKind.MISCONFIGURED, "20404"),
    )


class TestVerifyOverWhatsApp(TestVerify):
    channels = (Channel("whatsapp"),)

    @pytest.fixture
    def provider_settings(self, simulator):
        return simulator.provider_settings(self.mode) | {"channels": ["whatsapp"]}


class TestVerifyWithOurCodes(TestVerify):
    code_owner = CodeOwner.CORE

    @pytest.fixture
    def provider_settings(self, simulator):
        simulator.custom_codes = True
        return simulator.provider_settings(self.mode) | {"custom_codes": True}

    def assert_delivered(self, message, request):
        assert (message.recipient, message.channel) == (request.recipient.e164, request.channel)
        assert message.code == request.code


class TestMessaging(TwilioContract):
    mode = Mode.MESSAGING
    prices = ("repeat",)  # an answer and a status callback say none; the list of messages does
    signed = frozenset({"body", "url"})
    caller = "+15005550006"
    base_url_setting = "api_base_url"
    required_settings = ("account_sid", "auth_token", "from_number")
    refusals = (
        *EVERYWHERE,
        Refusal("+15005550001", ErrorKind.REJECTED_NUMBER, "21211", channel=SMS),
        Refusal("+15005550002", ErrorKind.MISCONFIGURED, "21612", channel=SMS),
        Refusal("+15005550003", ErrorKind.MISCONFIGURED, "21408", channel=SMS),
        Refusal("+15005550004", ErrorKind.BLOCKED, "21610", channel=SMS),
        Refusal("+15005550009", ErrorKind.REJECTED_NUMBER, "21614", channel=SMS),
        Refusal("+15005550410", ErrorKind.BLOCKED, "30450", channel=SMS),
        Refusal("+15005550998", ErrorKind.REJECTED_NUMBER, "30005", channel=SMS),
        Refusal("+15005550001", ErrorKind.REJECTED_NUMBER, "21217", channel=CALL),
        Refusal("+15005550002", ErrorKind.REJECTED_NUMBER, "21214", channel=CALL),
        Refusal("+15005550003", ErrorKind.MISCONFIGURED, "21215", channel=CALL),
        Refusal("+15005550004", ErrorKind.BLOCKED, "21216", channel=CALL),
        Refusal("+15005550998", ErrorKind.UNAVAILABLE, channel=CALL),
        Refusal(lambda simulator: setattr(simulator, "account_sid", "AC"), ErrorKind.MISCONFIGURED, "20003"),
    )

    @pytest.fixture
    def provider_settings(self, simulator):
        simulator.from_number = "+15005550123"
        return simulator.provider_settings(self.mode)

    def callback(self, simulator, request, receipt, status):
        delivered = "delivered" if request.channel is SMS else "completed"
        return self.report(simulator, request, receipt, delivered if status is ReceiptStatus.DELIVERED else "failed")

    def progress(self, simulator, request, receipt):
        return self.report(simulator, request, receipt, "sent" if request.channel is SMS else "ringing")

    def report(self, simulator, request, receipt, status):
        """Signed by Twilio's own SDK."""
        name = "Message" if request.channel is SMS else "Call"
        fields = {"To": request.recipient.e164, f"{name}Sid": receipt.reference, f"{name}Status": status}
        url = f"https://example.com/receipts/twilio?delivery_id={request.delivery_id}"
        signature = RequestValidator(simulator.auth_token).compute_signature(url, fields)
        return ReceiptRequest(url=url, headers={"X-Twilio-Signature": signature}, body=urlencode(fields).encode())

    @pytest.fixture(autouse=True)
    def _only_messages_can_be_asked_for(self, request):
        parameters = getattr(request.node, "callspec", None)
        if parameters and parameters.params.get("channel") is SMS:
            self.messages_after_repeat = 1


class TestMessagingThatCannotCall(TestMessaging):
    """A sender name: the class has the hook for calls, and this instance does not declare them."""

    channels = (SMS,)

    @pytest.fixture
    def provider_settings(self, simulator):
        return simulator.provider_settings(self.mode) | {"from_number": "Acme"}


class TestMessagingWithFeedback(TestMessagingThatCannotCall):
    """Only a code that was typed is told, by the SID of its message."""

    told_by_number = told_of_failures = False

    @pytest.fixture
    def provider_settings(self, simulator):
        return simulator.provider_settings(self.mode) | {"from_number": "Acme", "feedback": True}
