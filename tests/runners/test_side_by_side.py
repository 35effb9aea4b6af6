"""Retries never wait for one another: a provider that hangs for one person holds nobody else up."""

from __future__ import annotations

import anyio
import attrs

from otpcore import ChallengeState, DeliveryReceipt, DeliveryRequest, ErrorKind, ProviderError, ProviderInfo, hookimpl
from otpcore.clock import utc_now
from otpcore.testing import Outbox

STUCK = "+359871234500"
OTHERS = [f"+3598712345{number:02}" for number in range(1, 11)]


@attrs.define(eq=False)
class Vendor:
    """Down at first; then it answers one number only when it is told to, and all others once that one waits."""

    is_up: bool = False
    stuck: anyio.Event = attrs.field(factory=anyio.Event)
    released: anyio.Event = attrs.field(factory=anyio.Event)
    codes: dict[str, str] = attrs.field(factory=dict)

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        if not self.is_up:
            raise ProviderError(ErrorKind.UNAVAILABLE, "not yet")
        if request.recipient.e164 == STUCK:
            self.stuck.set()
            await self.released.wait()
        else:
            await self.stuck.wait()
        assert request.code is not None
        self.codes[request.recipient.e164] = request.code
        return DeliveryReceipt(reference=request.delivery_id)


async def test_ten_retries_arrive_while_an_eleventh_hangs(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    settings = {
        "sms": {"retry": True},
        "retry": {"first_delay": 0.2, "max_delay": 0.2, "poll": 0.02, "breaker_threshold": 1000, "lease": 90},
        "otp": {"provider_timeout": 60, "send_timeout": 60},
        "limits": {"phone": [], "neighbours": []},
    }
    async with otp_outbox.service(settings, providers={"vendor": vendor}, runner="background", clock=utc_now) as otp:
        for phone in (STUCK, *OTHERS):
            assert (await otp.send_sms(phone)).state is ChallengeState.QUEUED
        vendor.is_up = True
        with anyio.fail_after(20):
            while len(vendor.codes) < len(OTHERS):
                await anyio.sleep(0.01)
        assert STUCK not in vendor.codes
        for phone, code in vendor.codes.items():
            assert await otp.verify(phone, code)
        vendor.released.set()
