"""Gateways that break one promise of receipts each, and which tests must notice, with which words."""

from __future__ import annotations

from collections.abc import Sequence

from otpcore.models import ReceiptStatus
from otpcore.providers import DeliveryRequest, Receipt, ReceiptAnswer, ReceiptRequest, hookimpl

from .. import gateways  # noqa: TID252 - tests are no package that could be imported by name
from ..gateways import Bell, Hive  # noqa: TID252
from .broken import Broken
from .gateway_suites import BellSuite, HiveSuite


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


BROKEN = (
    Broken(TellsNoAddress, "vendor_reports_is_read", "was told no address for this message", suite=BellSuite),
    Broken(TellsNoAddress, "told_an_address", "pass on context.receipt_url", suite=BellSuite),
    Broken(
        TellsTheAddressNone, "without_a_public_url", "answers None where otp.receipts_url is not set", suite=BellSuite
    ),
    Broken(LogsTheAddress, "nothing_readable", "shows the proof in an address for receipts", suite=BellSuite),
    Broken(DoesNotAnswer, "genuine_receipt", "receipt_text", suite=BellSuite),
    Broken(TakesWhatIsNoReceipt, "garbage_is_refused and null", "was taken with garbage", suite=BellSuite),
    Broken(BelievesItsQuery, "what_the_vendor_signs", "is told an address of each message", suite=BellSuite),
    Broken(ReadsTheFirst, "several_receipts", "all of them, in their order", suite=HiveSuite),
    Broken(ReadsBackwards, "several_receipts", "is the id that the answer to the send carried", suite=HiveSuite),
    Broken(
        ProvesToAnybody,
        "proves_an_address",
        "was taken with a challenge without its query: compare the secret",
        suite=HiveSuite,
    ),
    Broken(ProvesNothing, "proves_an_address", "1158201444", suite=HiveSuite),
)
