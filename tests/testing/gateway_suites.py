"""The contract suites of two gateways: one signs nothing, the other reports many at once and proves its address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from otpcore.errors import ErrorKind
from otpcore.models import Channel, ReceiptStatus
from otpcore.providers import DeliveryReceipt, DeliveryRequest, ReceiptRequest
from otpcore.testing.providers.contract import ProviderContract, Refusal, Report

from .. import gateways  # noqa: TID252 - tests are no package that could be imported by name
from ..gateways import Bell, BellSimulator, Gateway, Hive, HiveSimulator, batch, challenge, query_of  # noqa: TID252

WEBHOOK = "https://example.com/receipts/hive"


class GatewayContract(ProviderContract):
    channels = (Channel.SMS,)
    required_settings = ("token",)
    secret_settings = ("token",)
    refusals = (Refusal(gateways.NO_SUCH_NUMBER, ErrorKind.REJECTED_NUMBER, "13"),)
    provider: type[Gateway]

    @pytest.fixture
    def plugin(self) -> type[Gateway]:
        return self.provider


class BellSuite(GatewayContract):
    provider = Bell
    signed = frozenset()
    receipt_text = "OK"

    @pytest.fixture
    def simulator(self) -> Iterator[BellSimulator]:
        with BellSimulator() as simulator:
            simulator.report = lambda *_: None  # type: ignore[method-assign] # the host of these addresses is nobody
            yield simulator

    def callback(
        self,
        simulator: BellSimulator,
        request: DeliveryRequest,
        receipt: DeliveryReceipt,
        status: ReceiptStatus,
    ) -> ReceiptRequest:
        return self.report(simulator, receipt, "404" if status is ReceiptStatus.DELIVERED else "405")

    def progress(self, simulator: BellSimulator, request: DeliveryRequest, receipt: DeliveryReceipt) -> ReceiptRequest:
        return self.report(simulator, receipt, "403")

    def report(self, simulator: BellSimulator, receipt: DeliveryReceipt, code: str) -> ReceiptRequest:
        (url,) = simulator.requests[-1].form()["notify_url"]
        return ReceiptRequest(method="GET", url=query_of(url, {"MsgId": receipt.reference, "status": code}))


class HiveSuite(GatewayContract):
    provider = Hive
    signed = frozenset({"body"})

    @pytest.fixture
    def simulator(self) -> Iterator[HiveSimulator]:
        with HiveSimulator() as simulator:
            yield simulator

    def callback(
        self,
        simulator: HiveSimulator,
        request: DeliveryRequest,
        receipt: DeliveryReceipt,
        status: ReceiptStatus,
    ) -> ReceiptRequest:
        return self.batch(simulator, [(request, receipt, status)])

    def batch(self, simulator: HiveSimulator, reports: Sequence[Report]) -> ReceiptRequest:
        words = {ReceiptStatus.DELIVERED: "delivered", ReceiptStatus.UNDELIVERED: "failed"}
        headers, body = batch({"id": taken.reference, "status": words[status]} for _, taken, status in reports)
        return ReceiptRequest(url=WEBHOOK, headers=headers, body=body)

    def challenge(self, simulator: HiveSimulator) -> tuple[ReceiptRequest, str]:
        return ReceiptRequest(method="GET", url=query_of(WEBHOOK, challenge("1158201444"))), "1158201444"
