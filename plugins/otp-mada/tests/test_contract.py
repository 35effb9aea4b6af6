"""What every provider must do, shown for Mada."""

from __future__ import annotations

import pytest
from otp_mada.simulator import MadaSimulator

from otpcore.providers import Channel, ErrorKind
from otpcore.testing import ProviderContract, Refusal


class TestMada(ProviderContract):
    channels = (Channel.SMS,)
    required_settings = ("url", "username", "password", "source_name")
    secret_settings = ("password",)
    base_url_setting = "url"
    sender = "partner"
    refusals = (
        Refusal("+359888000008", ErrorKind.UNAVAILABLE, "8"),
        Refusal("+359888000011", ErrorKind.REJECTED_NUMBER, "11"),
        Refusal("+359888000014", ErrorKind.MISCONFIGURED, "14"),
        Refusal("+359888000255", ErrorKind.AMBIGUOUS, "255"),
        Refusal("+359888001036", ErrorKind.REJECTED_NUMBER, "1036"),
        Refusal("+359888009999", ErrorKind.AMBIGUOUS, "9999"),
        Refusal("+359888010001", ErrorKind.MISCONFIGURED, "Client"),
        Refusal("+359888010002", ErrorKind.AMBIGUOUS, "Server"),
        Refusal("+359888010004", ErrorKind.AMBIGUOUS, ""),
        Refusal(lambda simulator: setattr(simulator, "credit", 0), ErrorKind.MISCONFIGURED, "1035"),
        Refusal(lambda simulator: setattr(simulator, "throttle_limit", 0), ErrorKind.THROTTLED, "88"),
        Refusal(lambda simulator: setattr(simulator, "password", "changed"), ErrorKind.MISCONFIGURED, "HTTP 401"),
    )

    @pytest.fixture
    def simulator(self):
        with MadaSimulator() as simulator:
            simulator.senders.add(self.sender)
            yield simulator

    @pytest.fixture
    def plugin(self):
        return "otp_mada:create_provider"
