"""How an author writes the contract suite of a plugin, with types; checked by pyright, never run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, assert_type

import pytest

from otpcore import Channel, DeliveryReceipt, DeliveryRequest, ErrorKind, ProviderError, ReceiptRequest, ReceiptStatus
from otpcore.providers.provider import Provider
from otpcore.simulators import SimulatedAnswer, SimulatedMessage, SimulatedRequest, Simulator
from otpcore.testing import ProviderContract, Refusal
from otpcore.testing.providers.contract import Bench, Report


class AcmeSimulator(Simulator):
    credit = 10

    def provider_settings(self) -> dict[str, Any]:
        return {"base_url": self.base_url}

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        return SimulatedAnswer.empty(404)


def without_credit(simulator: AcmeSimulator) -> None:
    simulator.credit = 0


class TestAcme(ProviderContract):
    channels = (Channel.SMS,)
    required_settings = ("token",)
    secret_settings = ("token",)
    refusals = (
        Refusal("+359880000013", ErrorKind.REJECTED_NUMBER, "13"),
        Refusal(without_credit, ErrorKind.MISCONFIGURED),
    )
    signed = frozenset({"body", "url"})
    unsigned_fields = ("err",)
    receipt_lifetime = 300
    receipt_text = "OK"
    watchdog = 2.0
    overtime = 3

    @pytest.fixture
    def simulator(self) -> Iterator[AcmeSimulator]:
        with AcmeSimulator() as simulator:
            assert_type(simulator.connections, int)
            yield simulator

    @pytest.fixture
    def plugin(self) -> str:
        return "otp_acme:create_provider"

    @pytest.fixture
    def provider_settings(self, simulator: AcmeSimulator) -> Mapping[str, Any]:
        return {**simulator.provider_settings(), "token": "a"}

    def callback(
        self, simulator: AcmeSimulator, request: DeliveryRequest, receipt: DeliveryReceipt, status: ReceiptStatus
    ) -> ReceiptRequest:
        assert_type(simulator.credit, int)
        return ReceiptRequest(url=f"https://example.com/{receipt.reference}?status={status}")

    def progress(
        self, simulator: AcmeSimulator, request: DeliveryRequest, receipt: DeliveryReceipt
    ) -> ReceiptRequest | None:
        return None

    def batch(self, simulator: AcmeSimulator, reports: Sequence[Report]) -> ReceiptRequest:
        for request, receipt, status in reports:
            assert_type(request, DeliveryRequest)
            assert_type(receipt, DeliveryReceipt)
            assert_type(status, ReceiptStatus)
        return ReceiptRequest(url="https://example.com/")

    def challenge(self, simulator: AcmeSimulator) -> tuple[ReceiptRequest, str]:
        return ReceiptRequest(method="GET", url="https://example.com/"), "4711"

    def make_gone(self, simulator: AcmeSimulator) -> None:
        assert_type(simulator.clock(), datetime)

    def assert_delivered(self, message: SimulatedMessage, request: DeliveryRequest) -> None:
        assert_type(message.code, str)

    @pytest.mark.anyio
    async def test_a_test_of_its_own(self, bench: Bench, channel: Channel) -> None:
        assert_type(bench.simulator.inbox, list[SimulatedMessage])
        async with bench.open(token="b") as provider:
            assert_type(provider, Provider)
            request = bench.delivery(channel)
            assert_type(request, DeliveryRequest)
            receipt = await provider.send(request, 5)
            assert_type(receipt, DeliveryReceipt)
            failure = await bench.failure(provider.check_code(bench.check(request, receipt.reference, "1234"), 5))
            assert_type(failure, ProviderError)
