"""Contract tests of delivery receipts: what is proven and fresh is believed, and read as it is; nothing is shown."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import ClassVar

import attrs
import pytest

from otpcore.errors import ReceiptFault, ReceiptRefused
from otpcore.models import Channel, ReceiptStatus
from otpcore.providers.requests import ReceiptAnswer, ReceiptRequest
from otpcore.testing.providers.bench import PATIENCE, Bench
from otpcore.testing.providers.forgeries import Forgery
from otpcore.testing.providers.offline import offline
from otpcore.testing.providers.reporting import ReportingBase, assert_about, assert_refused, read, sent

__all__ = ["ReceiptTests"]

_GARBAGE = (b"", b"\x00\xff\xfe", b"null", b"[]", b"{}", b"a=1&a=2&%ff", b"<xml/>", b"[" * 100_000, b"=" * 100_000)
_READ_CAREFULLY = (
    "first prove it, then read it, and raise ReceiptRefused: SIGNATURE where it is not proven, MALFORMED where it is "
    "and is no receipt"
)
_TOO_OLD = (
    "a receipt was taken that was signed {age:g} s ago (`receipt_lifetime` says {lifetime:g}): compare its signed time "
    "with context.clock(), and raise ReceiptRefused(ReceiptFault.STALE, ...)"
)


class ReceiptTests(ReportingBase):
    """One callback about one message; skipped where the provider reads none."""

    receipt_lifetime: ClassVar[float | None] = None

    @pytest.mark.anyio
    @pytest.mark.parametrize("status", list(ReceiptStatus), ids=str)
    async def test_a_genuine_receipt_names_its_delivery(
        self, reporting: Bench, channel: Channel, status: ReceiptStatus
    ) -> None:
        async with reporting.open() as provider:
            request, taken = await sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, status)
            with offline(reporting.simulator):
                answers = [await read(provider, callback) for _ in range(2)]
        answer = answers[0]
        assert answers == [answer, answer], "the same one again reads the same"
        assert len(answer.receipts) == 1, "`callback` reports one delivery, and is read as one receipt"
        (receipt,) = answer.receipts
        assert receipt.status is status, "set `status` by the vendor's word for how it ended"
        assert status is ReceiptStatus.UNDELIVERED or receipt.kind is None, (
            "`kind` says why a message did not arrive: none beside DELIVERED"
        )
        assert_about(receipt, request, taken)
        self._assert_answered(answer)
        reporting.assert_safe(repr(answer), "a receipt")
        reporting.assert_safe(repr(callback), "the repr of a request")

    def _assert_answered(self, answer: ReceiptAnswer) -> None:
        assert answer.text == self.receipt_text, (
            f"the vendor waits for {self.receipt_text!r} (`receipt_text`) and is answered {answer.text!r}: "
            "ReceiptAnswer(receipts=[...], text=...)"
        )

    @pytest.mark.anyio
    async def test_what_was_changed_on_the_way_is_refused(
        self, reporting: Bench, channel: Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        async with reporting.open() as provider:
            request, taken = await sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, ReceiptStatus.DELIVERED)
            for forgery in self.forged(reporting, provider, callback):
                await assert_refused(reporting, provider, forgery)
        reporting.assert_records_unreadable(caplog.records)

    @pytest.mark.anyio
    @pytest.mark.parametrize("garbage", _GARBAGE, ids=lambda garbage: str(garbage[:12]))
    async def test_garbage_is_refused(self, reporting: Bench, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        channel = self.channels[0]
        async with reporting.open() as provider:
            request, taken = await sent(reporting, provider, channel)
            callback = self.callback(reporting.simulator, request, taken, ReceiptStatus.DELIVERED)
            if not callback.body:  # it reports in its query
                there = callback.url.partition("?")[0]
                callback = attrs.evolve(callback, url=f"{there}?{garbage.decode('latin-1')}")
                garbage = b""
            for url in (callback.url, "", "nonsense", request.recipient.e164):
                for headers in (callback.headers, {}, dict.fromkeys(callback.headers, request.recipient.e164)):
                    changed = attrs.evolve(callback, url=url, headers=headers, body=garbage)
                    await assert_refused(reporting, provider, Forgery("garbage in it", changed, _READ_CAREFULLY))
        reporting.assert_records_unreadable(caplog.records)

    @pytest.mark.anyio
    async def test_a_stale_receipt_is_refused(self, reporting: Bench, channel: Channel) -> None:
        simulator = reporting.simulator
        async with reporting.open() as provider:
            request, taken = await sent(reporting, provider, channel)
            callback = self.callback(simulator, request, taken, ReceiptStatus.DELIVERED)
            lifetime = self._lifetime_of(callback)
            began = simulator.clock()
            simulator.clock = lambda: began + timedelta(seconds=lifetime / 2)
            await read(provider, callback)
            simulator.clock = lambda: began + timedelta(seconds=lifetime + 2)  # vendors sign whole seconds
            fault = None
            try:
                await provider.parse_receipt(callback, PATIENCE)
            except ReceiptRefused as refusal:
                fault = refusal.fault
        assert fault is not None, _TOO_OLD.format(age=lifetime + 2, lifetime=lifetime)
        assert fault is ReceiptFault.STALE, "what is signed rightly and too old is ReceiptFault.STALE"

    def _lifetime_of(self, callback: ReceiptRequest) -> float:
        """How long it may be believed, in seconds."""
        if self.receipt_lifetime is not None:
            return self.receipt_lifetime
        times = [name for name in callback.headers if "time" in name or name.endswith("-date")]
        assert not (times and "headers" in self.signed), (
            f"the header {times} looks like a time that the vendor signs, so that no one can use an old receipt again: "
            "refuse what is too old, and say `receipt_lifetime`, in seconds"
        )
        pytest.skip("the vendor signs no time, or the suite does not say `receipt_lifetime`")

    @pytest.mark.anyio
    async def test_a_report_of_progress_is_no_end(self, reporting: Bench, channel: Channel) -> None:
        async with reporting.open() as provider:
            request, taken = await sent(reporting, provider, channel)
            callback = self.progress(reporting.simulator, request, taken)
            if callback is None:
                pytest.skip("the vendor reports ends only, or the suite has no method `progress`")
            answer = await read(provider, callback, "progress")
        statuses = [one.status for one in answer.receipts]
        assert statuses in ([], [None]), (
            f"a report of progress was read as {statuses}: `status` is None for whatever is not final, or the send "
            "goes on with another provider while the message is still under way"
        )
        assert not any(one.kind for one in answer.receipts), (
            "`kind` says why a message did not arrive: none beside progress"
        )
