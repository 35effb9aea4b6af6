"""How a host uses the public API; checked by pyright, never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import assert_type

import attrs

from otpcore import (
    AsyncOperator,
    AsyncOTPService,
    BreakerStatus,
    Challenge,
    DeliveredMessage,
    DeliveryReceipt,
    DeliveryRequest,
    Event,
    Operator,
    OTPService,
    ProviderContext,
    ProviderInfo,
    Receipt,
    ReceiptAnswer,
    ReceiptOutcome,
    ReceiptRequest,
    ReceiptResult,
    ReceiptStatus,
    Settings,
    Status,
    Verification,
    WorkerStatus,
    hookimpl,
    load_settings,
)
from otpcore.operator import (
    ChallengePage,
    ChallengeSeen,
    Change,
    DeliveryPage,
    Ended,
    RetryPage,
    SeriesStep,
    SwitchState,
)


async def use_async() -> None:
    async with AsyncOTPService.from_settings("otpcore.toml", providers=["twilio"]) as otp:
        assert_type(otp, AsyncOTPService)
        said = {"payee": "Shop"}
        challenge = await otp.send_sms("+359871234567", purpose="login", client="203.0.113.7", metadata=said)
        assert_type(challenge, Challenge)
        assert_type(challenge.code, str | None)
        verification = await otp.verify(challenge_id=challenge.id, code="123456")
        assert_type(verification, Verification)
        request_valid, code_valid = verification
        assert_type(request_valid, bool)
        assert_type(code_valid, bool)
        assert_type(await otp.cancel(challenge.id), bool)
        result = await otp.handle_receipt("twilio", ReceiptRequest(url="https://example.com/", body=b""))
        assert_type(result, ReceiptResult)
        assert_type(result.outcomes, tuple[ReceiptOutcome, ...])
        assert_type((result.status, result.text, result.headers), tuple[int, str, dict[str, str]])
        assert_type(otp.sandbox_inbox()[-1].code, str)
        status = await otp.status(window=600)
        assert_type(status, Status)
        assert_type([route.failed for route in status.routes], list[Mapping[str, int]])
        assert_type(status.routes[0].breaker, BreakerStatus)
        assert_type(status.workers[0], WorkerStatus)
        assert_type(otp.operator, AsyncOperator)
        assert_type(await otp.operator.sending.pause(for_=60, by="ann"), SwitchState)
        assert_type(await otp.operator.audit(), tuple[Change, ...])


def use_blocking() -> None:
    with OTPService({"otp_sms_provider": "twilio"}) as otp:
        assert_type(otp.send_sms("+359871234567"), Challenge)
        assert_type(otp.call("+359871234567", locale="bg"), Challenge)
        assert_type(otp.send("+359871234567", code="408162", message="{code}", verifiable=False), Challenge)
        assert_type(otp.verify("+359871234567", "123456"), Verification)
        assert_type(otp.sandbox_inbox("+359871234567"), tuple[DeliveredMessage, ...])
        assert_type(otp.status(), Status)
        assert_type(otp.operator.challenges.show("+359871234567"), tuple[ChallengeSeen, ...])
        assert_type(otp.operator.challenges.list(state="queued", limit=5), ChallengePage)
        assert_type(otp.operator.deliveries.list(channel="sms"), DeliveryPage)
        assert_type(otp.operator.series(datetime.now(UTC), apart_by=["channel"]), tuple[SeriesStep, ...])
        assert_type(otp.operator.retries.list(5, prefix="BG", instance="twilio"), RetryPage)
        assert_type(otp.operator.retries.drop("id", by="ann", reason="over"), Ended)
    with Operator.from_settings() as operator:
        assert_type(operator.sending.pause(for_=60, by="ann"), SwitchState)
        assert_type(operator.limits.reset("+359871234567", by="ann"), int)
        assert_type(operator.status(), Status)
    assert_type(load_settings(), Settings)


@attrs.frozen
class GatewaySettings:
    token: str = attrs.field(repr=False)


@attrs.define(eq=False)
class Gateway:
    settings: GatewaySettings

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Gateway")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        assert_type(request.text, str | None)
        return DeliveryReceipt(reference="1")

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Receipt | ReceiptAnswer:
        assert_type(request.body, bytes)
        if request.method == "GET":
            return ReceiptAnswer(text="OK")
        return Receipt(status=ReceiptStatus.DELIVERED, reference="1")

    @hookimpl
    def otp_event(self, event: Event) -> None:
        assert_type(event.phone, str)


def create_provider(context: ProviderContext) -> Gateway:
    return Gateway(context.structure(GatewaySettings))
