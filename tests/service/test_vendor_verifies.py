"""Codes that a vendor makes and checks, through the service."""

from __future__ import annotations

import attrs
import pytest

from otpcore import (
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    ProviderError,
    ProviderInfo,
    RateLimited,
    VerificationStatus,
    hookimpl,
)
from otpcore.providers.requests import CancelRequest
from otpcore.testing import Outbox

PHONE = "+359871234567"


@attrs.define(eq=False)
class Vendor:
    """A vendor that owns its codes, one living verification a phone, in the manner of Twilio Verify."""

    scope: str = "vendor:1"
    can_send: bool = True
    can_check: bool = True
    lose_answers: int = 0
    codes: dict[str, str] = attrs.field(factory=dict)
    started: int = 0
    checks: list[CheckRequest] = attrs.field(factory=list)
    cancelled: list[CancelRequest] = attrs.field(factory=list)

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor", code_owner=CodeOwner.PROVIDER, code_scope=self.scope)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        assert request.code is None
        assert request.text is None
        if not self.can_send:
            raise ProviderError(ErrorKind.UNAVAILABLE, "down")
        if request.recipient.e164 not in self.codes:
            self.started += 1
            self.codes[request.recipient.e164] = f"{self.started:04d}"
        if self.lose_answers:
            self.lose_answers -= 1
            raise ProviderError(ErrorKind.AMBIGUOUS, "no answer")
        return DeliveryReceipt(reference=f"V{self.started}")

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        self.checks.append(request)
        if not self.can_check:
            raise ProviderError(ErrorKind.UNAVAILABLE, "down")
        code = self.codes.get(request.recipient.e164)
        if code is None or request.reference not in ("", f"V{int(code)}"):
            return CheckResult.GONE
        if request.code != code:
            return CheckResult.INCORRECT
        del self.codes[request.recipient.e164]
        return CheckResult.APPROVED

    @hookimpl
    async def cancel(self, request: CancelRequest) -> None:
        self.cancelled.append(request)
        self.codes.pop(request.recipient.e164, None)


# Codes that the vendor owns.


async def test_the_vendors_code_verifies_and_ours_does_not(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        challenge = await otp.send_sms(PHONE)
        assert challenge.code is None
        assert (await otp.verify(PHONE, "9999")).status is VerificationStatus.INCORRECT
        assert await otp.verify(PHONE, vendor.codes[PHONE])
        assert all(check.reference == "V1" for check in vendor.checks)


async def test_both_codes_verify_when_a_vendor_and_a_carrier_may_have_delivered(otp_outbox: Outbox) -> None:
    for choose_vendor in (True, False):
        vendor = Vendor(lose_answers=1)
        async with otp_outbox.service(providers={"vendor": vendor, "outbox": otp_outbox}) as otp:
            await otp.send_sms(PHONE)
            code = vendor.codes[PHONE] if choose_vendor else otp_outbox.code
            assert await otp.verify(PHONE, code)


async def test_two_purposes_never_share_a_vendors_verification(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        login = await otp.send_sms(PHONE, purpose="login")
        with pytest.raises(RateLimited, match="provider_busy"):
            await otp.send_sms(PHONE, purpose="payment")
        await otp.cancel(login.id)
        assert [one.reference for one in vendor.cancelled] == ["V1"]
        await otp.send_sms(PHONE, purpose="payment")
        assert await otp.verify(PHONE, vendor.codes[PHONE], purpose="payment")


async def test_an_expired_verification_is_cancelled_before_the_next_purpose_starts(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        await otp.send_sms(PHONE, purpose="login")
        old = vendor.codes[PHONE]
        otp_outbox.clock.advance(301)
        await otp.send_sms(PHONE, purpose="payment")
        assert [one.reference for one in vendor.cancelled] == ["V1"]
        assert vendor.codes[PHONE] != old
        assert not await otp.verify(PHONE, old, purpose="payment")
        assert await otp.verify(PHONE, vendor.codes[PHONE], purpose="payment")


async def test_an_attempt_is_given_back_three_times_when_the_vendor_does_not_answer(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        await otp.send_sms(PHONE)
        vendor.can_check = False
        for _ in range(8):
            with pytest.raises(ProviderError, match="vendor"):
                await otp.verify(PHONE, "1234")
        assert (await otp.verify(PHONE, "1234")).status is VerificationStatus.MAX_ATTEMPTS


async def test_a_verification_the_vendor_no_longer_has_is_expired_and_a_resend_starts_a_new_one(
    otp_outbox: Outbox,
) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        await otp.send_sms(PHONE)
        vendor.codes.clear()
        for _ in range(2):  # the second time the vendor need not be asked
            assert (await otp.verify(PHONE, "0001")).status is VerificationStatus.EXPIRED
        assert len(vendor.checks) == 1
        otp_outbox.clock.advance(31)
        await otp.send_sms(PHONE)
        assert (await otp.verify(PHONE, "9999")).status is VerificationStatus.INCORRECT
        assert await otp.verify(PHONE, vendor.codes[PHONE])


async def test_a_code_is_incorrect_where_the_vendor_started_nothing_that_could_have_expired(
    otp_outbox: Outbox,
) -> None:
    vendor = Vendor(can_send=False)
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        with pytest.raises(DeliveryError):
            await otp.send_sms(PHONE)
        assert (await otp.verify(PHONE, "0001")).status is VerificationStatus.INCORRECT
        assert vendor.checks == []
