"""Contract tests of delivery receipts: only what the vendor signed is believed, and nothing in it is shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import urlsplit

import attrs
import pytest

from otpcore.errors import ReceiptRefused
from otpcore.models import Channel, ReceiptStatus
from otpcore.providers.provider import Provider
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ReceiptRequest
from otpcore.simulators.simulator import Simulator
from otpcore.testing.providers.bench import PATIENCE, Bench, ContractBase

__all__ = ["ReceiptTests"]

_GARBAGE = (b"", b"\x00\xff\xfe", b"null", b"[]", b"{}", b"a=1&a=2&%ff", b"<xml/>", b"[" * 100_000, b"=" * 100_000)


class ReceiptTests(ContractBase):
    """Callbacks of the vendor; skipped where the provider reads none."""

    def callback(
        self, simulator: Simulator, request: DeliveryRequest, receipt: DeliveryReceipt, status: ReceiptStatus
    ) -> ReceiptRequest:
        """The author's: a genuine callback, signed by the vendor just now, that says so of this delivery."""
        raise NotImplementedError("override `callback`: your provider implements parse_receipt")

    @pytest.fixture
    def reporting(self, bench: Bench) -> Bench:
        """The bench, where the provider reads receipts."""
        if not bench.provider().reads_receipts:
            pytest.skip("the provider reads no receipts")
        return bench

    @pytest.mark.anyio
    @pytest.mark.parametrize("status", list(ReceiptStatus), ids=str)
    async def test_a_genuine_receipt_names_its_delivery(
        self, reporting: Bench, channel: Channel, status: ReceiptStatus
    ) -> None:
        async with reporting.open() as provider:
            request, taken = await _sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, status)
            receipts = [await provider.parse_receipt(callback, PATIENCE) for _ in range(2)]
        receipt = receipts[0]
        assert receipts == [receipt, receipt], "the same one again reads the same"
        assert receipt.status is status
        assert receipt.reference in ("", taken.reference)
        assert receipt.delivery_id in ("", request.delivery_id)
        assert receipt.reference or receipt.delivery_id
        reporting.assert_safe(repr(receipt), "a receipt")
        reporting.assert_safe(repr(callback), "the repr of a request")

    @pytest.mark.anyio
    async def test_what_was_changed_on_the_way_is_refused(
        self, reporting: Bench, channel: Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with reporting.open() as provider:
            request, taken = await _sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, ReceiptStatus.DELIVERED)
            for what, forged in _forgeries(callback, signs_url=self.signs_url):
                await _refused(reporting, provider, forged, what)
        reporting.assert_records_unreadable(caplog.records)

    @pytest.mark.anyio
    @pytest.mark.parametrize("body", _GARBAGE, ids=lambda body: str(body[:12]))
    async def test_garbage_is_refused(self, reporting: Bench, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        channel = self.channels[0]
        async with reporting.open() as provider:
            request, taken = await _sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, ReceiptStatus.DELIVERED)
            for url in (callback.url, "", "nonsense", request.recipient.e164):
                for headers in (callback.headers, {}, dict.fromkeys(callback.headers, request.recipient.e164)):
                    await _refused(reporting, provider, ReceiptRequest(url=url, headers=headers, body=body))
        reporting.assert_records_unreadable(caplog.records)


async def _sent(bench: Bench, provider: Provider, channel: Channel) -> tuple[DeliveryRequest, DeliveryReceipt]:
    request = bench.delivery(channel)
    return request, await provider.send(request, PATIENCE)


async def _refused(bench: Bench, provider: Provider, callback: ReceiptRequest, what: str = "garbage") -> None:
    try:
        await provider.parse_receipt(callback, PATIENCE)
    except ReceiptRefused as refusal:
        bench.assert_unreadable(refusal)
    else:
        pytest.fail(f"a receipt was taken with {what}; signs_url = False, if the vendor does not sign the URL")


def _forgeries(callback: ReceiptRequest, *, signs_url: bool) -> Iterator[tuple[str, ReceiptRequest]]:
    path = urlsplit(callback.url).path
    yield "a byte more in its body", attrs.evolve(callback, body=callback.body + b" ")
    yield "a byte less in its body", attrs.evolve(callback, body=callback.body[:-1])
    if signs_url:
        yield "another URL", attrs.evolve(callback, url=callback.url.replace(path, f"{path}x"))
    yield "no headers", attrs.evolve(callback, headers={})
    for name, value in callback.headers.items():
        if "sign" in name or "authorization" in name:
            other = "A" if value[-6] != "A" else "B"
            changed = {**callback.headers, name: value[:-6] + other + value[-5:]}
            yield f"another {name}", attrs.evolve(callback, headers=changed)
