"""Receipts in the provider contract: a vendor that signs nothing, one that reports many at once, and who breaks a promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from otpcore.errors import ErrorKind
from otpcore.models import Channel, ReceiptStatus
from otpcore.providers import DeliveryReceipt, DeliveryRequest, Receipt, ReceiptAnswer, ReceiptRequest, hookimpl
from otpcore.testing.providers.contract import ProviderContract, Refusal
from otpcore.testing.providers.reporting import Report

from .. import gateways  # noqa: TID252 - tests are no package that could be imported by name
from ..gateways import Bell, BellSimulator, Gateway, Hive, HiveSimulator, batch, challenge, query_of  # noqa: TID252

pytest_plugins = ["pytester"]

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


class TestBell(GatewayContract):
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


class TestHive(GatewayContract):
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


# Whoever breaks one promise; BROKEN below says which tests must notice, and with which words


class TellsNoAddress(Bell):
    def where_to_report(self, request: DeliveryRequest) -> dict[str, str]:
        return {}


class TellsTheAddressNone(Bell):
    def where_to_report(self, request: DeliveryRequest) -> dict[str, str]:
        return {"notify_url": str(self.context.receipt_url(request.delivery_id))}


class LogsTheAddress(Bell):
    def where_to_report(self, request: DeliveryRequest) -> dict[str, str]:
        self.context.logger.info("told %s", super().where_to_report(request))
        return super().where_to_report(request)


class DoesNotAnswer(Bell):
    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Sequence[Receipt]:
        return super().parse_receipt(request).receipts


class TakesWhatIsNoReceipt(Bell):
    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        return Receipt(status=ReceiptStatus.UNDELIVERED if "status=405" in request.url else ReceiptStatus.DELIVERED)


class BelievesItsQuery(Bell):
    """Trusts the id in the address, and lets it be proven by nobody."""

    @hookimpl
    def describe(self) -> gateways.ProviderInfo:
        return gateways.ProviderInfo(display_name="Bell")


class ReadsTheFirst(Hive):
    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> list[Receipt] | ReceiptAnswer:
        read = super().parse_receipt(request)
        return read[:1] if isinstance(read, list) else read


class ReadsBackwards(Hive):
    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> list[Receipt] | ReceiptAnswer:
        read = super().parse_receipt(request)
        return read[::-1] if isinstance(read, list) else read


class ProvesToAnybody(Hive):
    def prove(self, fields: dict[str, list[str]]) -> ReceiptAnswer:
        return ReceiptAnswer(text=fields.get("hub.challenge", [""])[0])


class ProvesNothing(Hive):
    def prove(self, fields: dict[str, list[str]]) -> ReceiptAnswer:
        super().prove(fields)
        return ReceiptAnswer(text="yes")


BROKEN = {
    TellsNoAddress: ("told_an_address", "pass on context.receipt_url"),
    TellsTheAddressNone: ("without_a_public_url", "answers None where otp.receipts_url is not set"),
    LogsTheAddress: ("nothing_readable", "shows the proof in an address for receipts"),
    DoesNotAnswer: ("genuine_receipt", "receipt_text"),
    TakesWhatIsNoReceipt: ("garbage_is_refused and null", "was taken with garbage"),
    BelievesItsQuery: ("what_the_vendor_signs", "is told an address of each message"),
    ReadsTheFirst: ("several_receipts", "all of them, in their order"),
    ReadsBackwards: ("several_receipts", ""),
    ProvesToAnybody: ("proves_an_address", "was taken with a challenge without its secret"),
    ProvesNothing: ("proves_an_address", "1158201444"),
}

# Collected by the inner pytest only, which looks for classes of this name.
for broken in BROKEN:
    suite = TestBell if issubclass(broken, Bell) else TestHive
    changed = {"provider": broken, "anyio_backend": pytest.fixture(lambda self: "asyncio")}
    globals()[f"Broken{broken.__name__}"] = type(f"Broken{broken.__name__}", (suite,), changed)


def test_whoever_breaks_a_promise_of_receipts_fails_where_it_is_tested(pytester: pytest.Pytester) -> None:
    chosen = " or ".join(f"(Broken{broken.__name__} and ({tests}))" for broken, (tests, _) in BROKEN.items())
    plugins = ["no:cacheprovider", "no:hypothesispytest", "no:xdist", "no:timeout"]
    run = pytester.inline_run(
        *(__file__, "--import-mode=importlib", "-o", "python_classes=Broken", "-k", chosen),
        *(part for plugin in plugins for part in ("-p", plugin)),
    )
    reports = [report for report in run.getreports("pytest_runtest_logreport") if report.when == "call"]
    for broken, (_, words) in BROKEN.items():
        own = [report for report in reports if f"::Broken{broken.__name__}::" in report.nodeid]
        assert {report.outcome for report in own} == {"failed"}, f"{broken.__name__} was not noticed"
        for report in own:
            said = report.longrepr.reprcrash.message
            assert words in said, f"{broken.__name__} failed for another reason: {said}"
