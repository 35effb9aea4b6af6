"""Contract tests of delivery receipts: only what is proven is believed, nothing in it is shown, and the vendor is answered."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import attrs
import pytest

from otpcore.errors import ProviderError, ReceiptRefused
from otpcore.models import Channel, Receipt, ReceiptStatus
from otpcore.providers.provider import Provider
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ReceiptRequest
from otpcore.simulators.simulator import Simulator
from otpcore.testing.providers.base import ContractBase
from otpcore.testing.providers.bench import PATIENCE, Bench
from otpcore.testing.providers.forgeries import Forgery, forgeries, forgeries_of_addresses, forgeries_of_challenges

__all__ = ["ReceiptTests", "Report"]

_GARBAGE = (b"", b"\x00\xff\xfe", b"null", b"[]", b"{}", b"a=1&a=2&%ff", b"<xml/>", b"[" * 100_000, b"=" * 100_000)
_READ_CAREFULLY = (
    "first prove it, then read it, and raise ReceiptRefused: SIGNATURE where it is not proven, MALFORMED where it is and is no "
    "receipt"
)
_SEVERAL = (ReceiptStatus.DELIVERED, ReceiptStatus.UNDELIVERED, ReceiptStatus.DELIVERED)

Report = tuple[DeliveryRequest, DeliveryReceipt, ReceiptStatus]
"""What was sent, what the vendor answered, and how it ended."""


class ReceiptTests(ContractBase):
    """Callbacks of the vendor; skipped where the provider reads none."""

    def callback(
        self, simulator: Simulator, request: DeliveryRequest, receipt: DeliveryReceipt, status: ReceiptStatus
    ) -> ReceiptRequest:
        """The author's: a genuine callback, signed by the vendor just now, that says so of this delivery."""
        raise NotImplementedError("override `callback`: your provider implements parse_receipt")

    def batch(self, simulator: Simulator, reports: Sequence[Report]) -> ReceiptRequest | None:
        """The author's: one genuine callback that says so of all these deliveries; None: the vendor reports one at a time."""
        del simulator, reports
        return None

    def challenge(self, simulator: Simulator) -> tuple[ReceiptRequest, str] | None:
        """The author's: how the vendor has an address proven, and the text that it waits for; None: it does not."""
        del simulator
        return None

    @pytest.fixture
    def reporting(self, bench: Bench) -> Bench:
        """The bench, where the provider reads receipts."""
        if not bench.provider().reads_receipts:
            pytest.skip("the provider reads no receipts")
        return bench

    @pytest.fixture
    def addressing(self, reporting: Bench) -> Bench:
        """The bench, where the vendor signs nothing."""
        if reporting.provider().info.signs_receipts:
            pytest.skip("the vendor signs what it reports")
        return reporting

    @pytest.mark.anyio
    @pytest.mark.parametrize("status", list(ReceiptStatus), ids=str)
    async def test_a_genuine_receipt_names_its_delivery(
        self, reporting: Bench, channel: Channel, status: ReceiptStatus
    ) -> None:
        async with reporting.open() as provider:
            request, taken = await _sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, status)
            answers = [await provider.parse_receipt(callback, PATIENCE) for _ in range(2)]
        answer = answers[0]
        assert answers == [answer, answer], "the same one again reads the same"
        (receipt,) = answer.receipts
        assert receipt.status is status
        _assert_about(receipt, request, taken)
        assert answer.text == self.receipt_text, "what the vendor is answered is not `receipt_text`"
        reporting.assert_safe(repr(answer), "a receipt")
        reporting.assert_safe(repr(callback), "the repr of a request")

    @pytest.mark.anyio
    async def test_what_was_changed_on_the_way_is_refused(
        self, reporting: Bench, channel: Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        async with reporting.open() as provider:
            request, taken = await _sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, ReceiptStatus.DELIVERED)
            for forgery in self._forgeries(reporting, provider, callback):
                await _refused(reporting, provider, forgery)
        reporting.assert_records_unreadable(caplog.records)

    @pytest.mark.anyio
    @pytest.mark.parametrize("garbage", _GARBAGE, ids=lambda garbage: str(garbage[:12]))
    async def test_garbage_is_refused(self, reporting: Bench, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        channel = self.channels[0]
        async with reporting.open() as provider:
            request, taken = await _sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, ReceiptStatus.DELIVERED)
            if not callback.body:  # it reports in its query
                there = callback.url.partition("?")[0]
                callback = attrs.evolve(callback, url=f"{there}?{garbage.decode('latin-1')}")
                garbage = b""
            for url in (callback.url, "", "nonsense", request.recipient.e164):
                for headers in (callback.headers, {}, dict.fromkeys(callback.headers, request.recipient.e164)):
                    changed = attrs.evolve(callback, url=url, headers=headers, body=garbage)
                    await _refused(reporting, provider, Forgery("garbage in it", changed, _READ_CAREFULLY))
        reporting.assert_records_unreadable(caplog.records)

    @pytest.mark.anyio
    async def test_several_receipts_of_one_request_each_name_their_delivery(
        self, reporting: Bench, channel: Channel
    ) -> None:
        async with reporting.open() as provider:
            sent = [await _sent(reporting, provider, channel) for _ in _SEVERAL]
            reports = [(*one, status) for one, status in zip(sent, _SEVERAL, strict=True)]
            callback = self.batch(reporting.simulator, reports)
            if callback is None:
                pytest.skip("the vendor reports one at a time, or the suite has no method `batch`")
            answer = await provider.parse_receipt(callback, PATIENCE)
            for forgery in self._forgeries(reporting, provider, callback):
                await _refused(reporting, provider, forgery)
        assert [one.status for one in answer.receipts] == list(_SEVERAL), "all of them, in their order"
        for receipt, one in zip(answer.receipts, sent, strict=True):
            _assert_about(receipt, *one)
        reporting.assert_safe(repr(answer), "a receipt")

    @pytest.mark.anyio
    async def test_whoever_has_the_secret_proves_an_address_and_nobody_else(self, reporting: Bench) -> None:
        found = self.challenge(reporting.simulator)
        if found is None:
            pytest.skip("the vendor has no address proven, or the suite has no method `challenge`")
        genuine, text = found
        async with reporting.open() as provider:
            answer = await provider.parse_receipt(genuine, PATIENCE)
            for forgery in forgeries_of_challenges(genuine):
                await _refused(reporting, provider, forgery)
        assert (answer.receipts, answer.text) == ((), text)

    @pytest.mark.anyio
    async def test_a_vendor_that_signs_nothing_is_told_an_address_of_each_message(
        self, addressing: Bench, channel: Channel
    ) -> None:
        async with addressing.open() as provider:
            request, _ = await _sent(addressing, provider, channel)
        assert addressing.was_told(addressing.proof_of(request)), "pass on context.receipt_url(request.delivery_id)"

    @pytest.mark.anyio
    async def test_without_a_public_url_the_message_is_sent_all_the_same(
        self, addressing: Bench, channel: Channel
    ) -> None:
        async with addressing.open(addressed=False) as provider:
            request, _ = await _sent(addressing, provider, channel)
        assert [message.recipient for message in addressing.simulator.inbox] == [request.recipient.e164]
        assert not addressing.was_told("None"), "context.receipt_url answers None where otp.receipts_url is not set"

    def _forgeries(self, bench: Bench, provider: Provider, callback: ReceiptRequest) -> list[Forgery]:
        """What must not be believed; at least one of it."""
        if not provider.info.signs_receipts:
            return list(forgeries_of_addresses(callback, bench.foreign_proof))
        found = list(
            forgeries(
                callback,
                signed=self.signed,
                unsigned_fields=self.unsigned_fields,
                secrets=[str(bench.settings[key]) for key in self.secret_settings or ()],
            )
        )
        assert found, (
            "nothing of this callback could be forged: of what `signed` names it has nothing. Does `callback` make the whole "
            "request, with its headers and its query?"
        )
        return found


async def _sent(bench: Bench, provider: Provider, channel: Channel) -> tuple[DeliveryRequest, DeliveryReceipt]:
    request = bench.delivery(channel)
    return request, await provider.send(request, PATIENCE)


def _assert_about(receipt: Receipt, request: DeliveryRequest, taken: DeliveryReceipt) -> None:
    assert receipt.reference in ("", taken.reference)
    assert receipt.delivery_id in ("", request.delivery_id)
    assert receipt.reference or receipt.delivery_id


async def _refused(bench: Bench, provider: Provider, forgery: Forgery) -> None:
    try:
        await provider.parse_receipt(forgery.request, PATIENCE)
    except ReceiptRefused as refusal:
        bench.assert_unreadable(refusal)
    except ProviderError as error:
        pytest.fail(
            f"a receipt with {forgery.what} was not refused but broke parse_receipt: {error.summary}; {forgery.advice}"
        )
    else:
        pytest.fail(f"a receipt was taken with {forgery.what}: {forgery.advice}")
