"""Contract tests of how else vendors report: many at once, with a proof of the address, without a signature."""

from __future__ import annotations

import pytest

from otpcore.models import Channel, ReceiptStatus
from otpcore.testing.providers.bench import Bench
from otpcore.testing.providers.forgeries import forgeries_of_challenges
from otpcore.testing.providers.reporting import ReportingBase, assert_about, assert_refused, read, sent

__all__ = ["ReportTests"]

_SEVERAL = (ReceiptStatus.DELIVERED, ReceiptStatus.UNDELIVERED, ReceiptStatus.DELIVERED)


class ReportTests(ReportingBase):
    """Batches, challenges and addresses; each skipped where the vendor has none."""

    @pytest.mark.anyio
    async def test_several_receipts_of_one_request_each_name_their_delivery(
        self, reporting: Bench, channel: Channel
    ) -> None:
        async with reporting.open() as provider:
            messages = [await sent(reporting, provider, channel) for _ in _SEVERAL]
            reports = [(*one, status) for one, status in zip(messages, _SEVERAL, strict=True)]
            callback = self.batch(reporting.simulator, reports)
            if callback is None:
                pytest.skip("the vendor reports one at a time, or the suite has no method `batch`")
            answer = await read(provider, callback, "batch")
            for forgery in self.forged(reporting, provider, callback):
                await assert_refused(reporting, provider, forgery)
        assert [one.status for one in answer.receipts] == list(_SEVERAL), (
            "parse_receipt answers a list with a receipt for each report: all of them, in their order"
        )
        for receipt, one in zip(answer.receipts, messages, strict=True):
            assert_about(receipt, *one)
        reporting.assert_safe(repr(answer), "a receipt")

    @pytest.mark.anyio
    async def test_whoever_has_the_secret_proves_an_address_and_nobody_else(self, reporting: Bench) -> None:
        found = self.challenge(reporting.simulator)
        if found is None:
            pytest.skip("the vendor has no address proven, or the suite has no method `challenge`")
        genuine, text = found
        async with reporting.open() as provider:
            answer = await read(provider, genuine, "challenge")
            for forgery in forgeries_of_challenges(genuine):
                await assert_refused(reporting, provider, forgery)
        assert not answer.receipts, "a challenge reports of no message"
        assert answer.text == text, "repeat what the vendor wants to read: ReceiptAnswer(text=...)"

    @pytest.mark.anyio
    async def test_a_vendor_that_signs_nothing_is_told_an_address_of_each_message(
        self, addressing: Bench, channel: Channel
    ) -> None:
        async with addressing.open() as provider:
            request, _ = await sent(addressing, provider, channel)
        assert addressing.was_told(addressing.proof_of(request)), (
            "the vendor was told no address for this message: pass on context.receipt_url(request.delivery_id)"
        )

    @pytest.mark.anyio
    async def test_without_a_public_url_the_message_is_sent_all_the_same(
        self, addressing: Bench, channel: Channel
    ) -> None:
        async with addressing.open(addressed=False) as provider:
            request, _ = await sent(addressing, provider, channel)
        assert [message.recipient for message in addressing.simulator.inbox] == [request.recipient.e164]
        assert not addressing.was_told("None"), (
            "the vendor was told the address None: context.receipt_url answers None where otp.receipts_url is not set; "
            "leave the field out then"
        )
