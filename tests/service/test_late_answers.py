"""A person types the code of one message while another is under way: what the other was charged depends on its answer."""

from __future__ import annotations

import anyio
import attrs
import pytest

from otpcore import ErrorKind, ProviderError, ProviderInfo, hookimpl
from otpcore.providers import DeliveryReceipt
from otpcore.runners.worker import WorkerRunner
from otpcore.testing import Outbox

PHONE = "+359871234567"


@attrs.define(eq=False)
class Vendor:
    """Takes every SMS, and answers a call when it is told to."""

    code: str = ""
    refused: int = 0
    called: anyio.Event = attrs.field(factory=anyio.Event)
    goes_on: anyio.Event = attrs.field(factory=anyio.Event)
    answer: ErrorKind | None = None

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Vendor")

    @hookimpl
    async def send_sms(self, request):
        self.code = request.code
        return DeliveryReceipt()

    @hookimpl
    async def call(self, request):
        if self.refused:
            self.refused -= 1
            raise ProviderError(ErrorKind.UNAVAILABLE)
        self.called.set()
        await self.goes_on.wait()
        if self.answer is not None:
            raise ProviderError(self.answer)
        return DeliveryReceipt()


@pytest.mark.parametrize(
    ("answer", "counted"), [(ErrorKind.UNAVAILABLE, 1), (ErrorKind.AMBIGUOUS, 2), (None, 2)], ids=str
)
@pytest.mark.parametrize("is_retry", [False, True], ids=["first try", "retry"])
async def test_a_call_that_fails_after_the_code_was_typed_is_not_counted(
    otp_outbox: Outbox, answer: ErrorKind | None, counted: int, *, is_retry: bool
) -> None:
    vendor = Vendor(answer=answer, refused=int(is_retry))
    settings = {"call": {"retry": is_retry}, "limits": {"phone": ["5/1h"]}, "retry": {"jitter": 0}}
    async with otp_outbox.service(settings, providers={"vendor": vendor}, runner=WorkerRunner()) as otp:

        async def under_way() -> None:
            if not is_retry:
                await otp.call(PHONE)
                return
            (claim,) = await otp._retries.claim(10)
            await otp._retries.run(claim)

        await otp.send_sms(PHONE)
        if is_retry:
            await otp.call(PHONE)
            otp_outbox.clock.advance(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(under_way)
            await vendor.called.wait()
            assert await otp.verify(PHONE, vendor.code)
            vendor.goes_on.set()
        kept = await otp._service.store.counters("", otp_outbox.clock())
        assert [one.count for one in kept if "/send/" in one.key] == [counted]
