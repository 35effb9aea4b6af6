"""Sending, verifying and retrying through `AsyncOTPService`, over the memory store."""

from __future__ import annotations

import logging
import pickle
import sys
import types
from typing import Any

import anyio
import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryReceipt,
    DeliveryRequest,
    EventType,
    InvalidPhoneNumber,
    NoRouteError,
    OTPConfigurationError,
    ProviderInfo,
    RateLimited,
    SettingsError,
    VerificationStatus,
    hookimpl,
)
from otpcore.testing import EventRecorder, FakeClock, Outbox, wrong_code

PHONE = "+359871234567"
OTHER = "+359881234567"
RETRY = {"sms": {"retry": True}, "retry": {"runner": "inline", "first_delay": 0.01, "max_delay": 0.02}}


async def test_the_code_that_arrived_verifies_once(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        challenge = await otp.send_sms(PHONE)
        assert challenge.state is ChallengeState.SENT
        assert challenge.confirmed
        assert challenge.code == otp_outbox.code
        assert otp_outbox.code in otp_outbox.messages[0].text
        request_valid, code_valid = await otp.verify(PHONE, otp_outbox.code)
        assert (request_valid, code_valid) == (True, True)
        again = await otp.verify(PHONE, otp_outbox.code)
        assert again.status is VerificationStatus.NOT_FOUND
        assert tuple(again) == (False, False)


async def test_a_wrong_code_is_a_result_and_the_right_one_still_verifies(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        challenge = await otp.send_sms(PHONE)
        answer = await otp.verify(PHONE, wrong_code(otp_outbox.code))
        assert tuple(answer) == (True, False)
        assert answer.attempts_left == 4
        assert not answer
        assert await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)


async def test_exactly_five_codes_may_be_tried(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        for left in (4, 3, 2, 1, 0):
            assert (await otp.verify(PHONE, wrong_code(otp_outbox.code))).attempts_left == left
        late = await otp.verify(PHONE, otp_outbox.code)
        assert late.status is VerificationStatus.MAX_ATTEMPTS
        otp_outbox.clock.advance(60)
        with pytest.raises(RateLimited, match="max_attempts"):
            await otp.send_sms(PHONE)


async def test_a_code_of_a_length_nobody_could_have_sent_uses_no_attempt(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        assert (await otp.verify(PHONE, "123")).attempts_left == 5
        assert (await otp.verify(PHONE, "")).status is VerificationStatus.INCORRECT


async def test_a_code_is_read_as_people_type_it(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        code = otp_outbox.code
        arabic = "".join(chr(0x0660 + int(digit)) for digit in code)
        assert await otp.verify(PHONE, f" {arabic[:3]} - {arabic[3:]} ")


async def test_an_expired_code_does_not_verify(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(300)
        assert (await otp.verify(PHONE, otp_outbox.code)).status is VerificationStatus.EXPIRED


async def test_nobody_asked_is_not_found(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        assert (await otp.verify(PHONE, "123456")).status is VerificationStatus.NOT_FOUND
        assert (await otp.verify(challenge_id="x" * 24, code="123456")).status is VerificationStatus.NOT_FOUND


async def test_codes_of_different_purposes_do_not_verify_one_another(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        login = await otp.send_sms(PHONE, purpose="login")
        assert (await otp.verify(PHONE, login.code, purpose="payment")).status is VerificationStatus.NOT_FOUND
        by_id = await otp.verify(challenge_id=login.id, code=login.code, purpose="payment")
        assert by_id.status is VerificationStatus.NOT_FOUND
        assert await otp.verify(PHONE, login.code, purpose="login")


async def test_an_empty_challenge_id_is_not_the_same_as_none(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        answer = await otp.verify(PHONE, otp_outbox.code, challenge_id="")
        assert answer.status is VerificationStatus.NOT_FOUND
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_a_cancelled_challenge_does_not_verify(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        challenge = await otp.send_sms(PHONE)
        assert await otp.cancel(challenge.id)
        assert not await otp.cancel(challenge.id)
        assert (await otp.verify(PHONE, otp_outbox.code)).status is VerificationStatus.NOT_FOUND


async def test_one_of_many_concurrent_callers_is_approved(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"otp": {"attempts": 20, "allow_noncompliant": True}}) as otp:
        await otp.send_sms(PHONE)
        answers = []

        async def guess() -> None:
            answers.append(await otp.verify(PHONE, otp_outbox.code))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(guess)
        assert sum(bool(answer) for answer in answers) == 1


async def test_look_up_by_phone_alone_can_be_forbidden(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"otp": {"verify_by": "id"}}) as otp:
        challenge = await otp.send_sms(PHONE)
        with pytest.raises(SettingsError, match="challenge_id"):
            await otp.verify(PHONE, otp_outbox.code)
        assert await otp.verify(PHONE, otp_outbox.code, challenge_id=challenge.id)


# Resends.


async def test_a_double_click_sends_once_and_charges_once(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"limits": {"phone": ["1/10m"]}}) as otp:
        first = await otp.send_sms(PHONE)
        second = await otp.send_sms(PHONE)
        assert (first.id, len(otp_outbox.messages)) == (second.id, 1)
        assert second.resend_at is not None


async def test_a_resend_carries_the_same_code_and_keeps_the_attempts(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        first = await otp.send_sms(PHONE)
        await otp.verify(PHONE, wrong_code(otp_outbox.code))
        otp_outbox.clock.advance(31)
        again = await otp.send_sms(PHONE)
        called = await otp.call(PHONE)
        assert first.id == again.id == called.id
        assert len({message.code for message in otp_outbox.messages}) == 1
        assert (await otp.verify(PHONE, wrong_code(otp_outbox.code))).attempts_left == 3
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_resends_move_the_end_but_never_past_ten_minutes(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        first = await otp.send_sms(PHONE)
        otp_outbox.clock.advance(290)
        assert (await otp.send_sms(PHONE)).expires_at > first.expires_at
        otp_outbox.clock.advance(280)
        with pytest.raises(RateLimited, match="renewal"):
            await otp.send_sms(PHONE)
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_a_call_speaks_the_digits_one_by_one_twice(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.call(PHONE)
        assert otp_outbox.messages[0].text.count(", ".join(otp_outbox.code)) == 2


async def test_a_custom_message_keeps_its_text_through_a_retry(otp_outbox: Outbox) -> None:
    async with otp_outbox.service(RETRY) as otp:
        otp_outbox.fail("unavailable")
        await otp.send_sms(PHONE, message="Door code _CODE_, bring cake")
        assert otp_outbox.messages[0].text == f"Door code {otp_outbox.code}, bring cake"
        with pytest.raises(ValueError, match="code"):
            await otp.send_sms(OTHER, message="no placeholder")


# Limits and locks.


async def test_the_fourth_send_within_ten_minutes_is_refused(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"limits": {"phone": ["3/10m", "10/1d"]}}) as otp:
        for purpose in "abc":
            await otp.send_sms(PHONE, purpose=purpose)
        with pytest.raises(RateLimited) as caught:
            await otp.send_sms(PHONE, purpose="d")
        assert caught.value.reason == "phone"
        assert caught.value.retry_after == pytest.approx(600)
        assert (await otp.send_sms(OTHER)).confirmed
        otp_outbox.clock.advance(600)
        assert (await otp.send_sms(PHONE, purpose="d")).confirmed


async def test_ten_failures_in_a_row_lock_the_phone_until_time_passes(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        for purpose in "ab":
            await otp.send_sms(PHONE, purpose=purpose)
            for _ in range(5):
                await otp.verify(PHONE, wrong_code(otp_outbox.code), purpose=purpose)
        challenge = await otp.send_sms(PHONE, purpose="c")
        with pytest.raises(RateLimited) as caught:
            await otp.verify(PHONE, challenge.code or "", purpose="c")
        assert (caught.value.reason, caught.value.retry_after) == ("locked", pytest.approx(30))
        otp_outbox.clock.advance(30)
        assert await otp.verify(PHONE, challenge.code or "", purpose="c")
        again = await otp.send_sms(PHONE, purpose="d")
        assert await otp.verify(PHONE, again.code or "", purpose="d")


async def test_failures_of_one_client_do_not_lock_another(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        for purpose in "ab":
            await otp.send_sms(PHONE, purpose=purpose)
            for _ in range(5):
                await otp.verify(PHONE, wrong_code(otp_outbox.code), purpose=purpose, client="203.0.113.7")
        challenge = await otp.send_sms(PHONE, purpose="c")
        with pytest.raises(RateLimited):
            await otp.verify(PHONE, challenge.code or "", purpose="c", client="203.0.113.7")
        assert await otp.verify(PHONE, challenge.code or "", purpose="c", client="198.51.100.9")


# What people see.


async def test_nothing_readable_is_shown_or_logged(otp_outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = EventRecorder()
    async with otp_outbox.service(RETRY, observers=[recorder]) as otp:
        otp_outbox.fail("ambiguous", times=2, delivered=True)
        challenge = await otp.send_sms(PHONE, message="Secret garden {code}")
        await otp.verify(PHONE, wrong_code(otp_outbox.code))
        with pytest.raises(InvalidPhoneNumber) as caught:
            await otp.send_sms("+3598712")
        await otp.verify(PHONE, otp_outbox.code)
        seen = [
            repr(challenge),
            str(challenge.to_dict()),
            repr(pickle.loads(pickle.dumps(challenge))),
            repr(recorder.events),
            repr(caught.value),
            *(record.getMessage() for record in caplog.records),
        ]
    assert pickle.loads(pickle.dumps(challenge)).code is None
    for text in seen:
        for secret in (otp_outbox.code, PHONE, PHONE[1:], '3598712"', "Secret garden"):
            assert secret not in text


# Starting and routing.


async def test_rules_choose_and_the_store_overrides_the_file_while_running() -> None:
    first, second = Outbox(), Outbox()
    recorder, clock = EventRecorder(), FakeClock()

    def settings(**more: Any) -> dict[str, Any]:
        plugins = {"one": {"plugin": "tests_live_rules:one"}, "two": {"plugin": "tests_live_rules:two"}}
        return {**first.settings, "providers": plugins, **more}

    module = types.ModuleType("tests_live_rules")
    module.one = lambda context: first  # type: ignore[attr-defined] # an in-house module
    module.two = lambda context: second  # type: ignore[attr-defined] # an in-house module
    sys.modules["tests_live_rules"] = module
    try:
        service = AsyncOTPService(settings(otp_sms_provider="one;two:+35988"), clock=clock, observers=[recorder])
        async with service as otp:
            assert (await otp.send_sms(PHONE)).provider == "one"
            assert (await otp.send_sms(OTHER)).provider == "two"
            store = otp._service.store
            await store.write_setting("otp_sms_provider", "two")
            clock.advance(5)
            assert (await otp.send_sms("+359871234568")).provider == "two"
            await store.write_setting("otp_sms_provider", "two;three")
            clock.advance(5)
            assert (await otp.send_sms("+359871234569")).provider == "two"
            assert recorder.types().count(EventType.RULES_REFUSED) == 1
            await store.write_setting("otp_sms_provider", None)
            clock.advance(5)
            assert (await otp.send_sms("+359871234570")).provider == "one"
    finally:
        del sys.modules["tests_live_rules"]


async def test_a_number_that_nobody_serves_is_named_masked(otp_outbox: Outbox) -> None:
    @attrs.define(eq=False)
    class OnlyCalls:
        @hookimpl
        def describe(self) -> ProviderInfo:
            return ProviderInfo(display_name="Calls")

        @hookimpl
        async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
            return DeliveryReceipt()

    async with otp_outbox.service(providers={"calls": OnlyCalls()}) as otp:
        with pytest.raises(NoRouteError, match=r"\+3598\*+67"):
            await otp.send_sms(PHONE)
        assert (await otp.call(PHONE)).confirmed


async def test_wrong_starts_are_refused_with_the_fix(otp_outbox: Outbox) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await otp_outbox.service().send_sms(PHONE)
    with pytest.raises(SettingsError, match="otp init"):
        async with otp_outbox.service({"keys": {}}):
            pass
    with pytest.raises(SettingsError, match="production"):
        async with otp_outbox.service({"environment": "production"}):
            pass
    with pytest.raises(OTPConfigurationError, match="list"):
        async with otp_outbox.service(providers="twilio"):
            pass
