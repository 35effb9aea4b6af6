"""Sinch keeps the contract of otpcore's providers."""

from __future__ import annotations

import json

import pytest
from otp_sinch.signing import decode_secret, signed_headers
from otp_sinch.simulator import SinchSimulator

from otpcore.providers import Channel, CodeOwner, ErrorKind, ReceiptRequest, ReceiptStatus
from otpcore.testing import ProviderContract, Refusal


class TestSinch(ProviderContract):
    code_owner = CodeOwner.PROVIDER
    required_settings = ("application_key", "application_secret")
    secret_settings = ("application_secret",)
    messages_after_repeat = 1
    receipt_lifetime = 300
    refusals = (
        Refusal("+46701740610", ErrorKind.BLOCKED, "DENIED: fraud"),
        Refusal("+46701740612", ErrorKind.MISCONFIGURED, "DENIED: not enough credit"),
        Refusal("+46701740630", ErrorKind.REJECTED_NUMBER, "40001"),
        Refusal("+46701740631", ErrorKind.MISCONFIGURED, "40200"),
        Refusal("+46701740635", ErrorKind.THROTTLED, "42900"),
        Refusal("+46701740636", ErrorKind.LIMIT_REACHED, "42901"),
        Refusal("+46701740637", ErrorKind.AMBIGUOUS, "50000"),
        Refusal("+46701740638", ErrorKind.UNAVAILABLE, "50300"),
        Refusal(
            lambda simulator: setattr(simulator, "application_secret", "YW5vdGhlcg=="), ErrorKind.MISCONFIGURED, "40102"
        ),
    )

    @pytest.fixture
    def simulator(self):
        with SinchSimulator() as simulator:
            yield simulator

    @pytest.fixture
    def plugin(self):
        return "otp_sinch:create_provider"

    def callback(self, simulator, request, receipt, status):
        delivered = status is ReceiptStatus.DELIVERED
        told = (
            {"event": "VerificationSmsDeliveredEvent", "smsResult": "Successful" if delivered else "Failed"}
            if delivered or request.channel is Channel.SMS
            else {"event": "VerificationResultEvent", "status": "ERROR", "reason": "Internal error"}
        )
        return self.report(simulator, request, receipt, told)

    def progress(self, simulator, request, receipt):
        return self.report(simulator, request, receipt, {"event": "VerificationResultEvent", "status": "PENDING"})

    def report(self, simulator, request, receipt, told):
        identity = {"type": "number", "endpoint": request.recipient.e164}
        event = {"id": receipt.reference, "reference": request.delivery_id, "identity": identity, **told}
        body = json.dumps(event).encode()
        headers = signed_headers(
            simulator.application_key,
            decode_secret(simulator.application_secret),
            method="POST",
            path="/receipts/sinch",
            content_type="application/json",
            body=body,
            now=simulator.clock(),
        )
        return ReceiptRequest(url="https://example.com/receipts/sinch", headers=headers, body=body)
