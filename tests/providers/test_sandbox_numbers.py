"""The sandbox's numbers: every outcome, through the public API."""

from __future__ import annotations

from typing import Any

import pytest

from otpcore import AsyncOTPService, Challenge, ChallengeState, DeliveryError, ErrorKind, OTPService, VerificationStatus
from otpcore.phone.numbers import parse_phone
from otpcore.providers.sandbox import MAGIC, RANGES
from otpcore.runners.worker import WorkerRunner
from otpcore.testing import FakeClock

from .sandboxes import ORDINARY, START, Configure, number, received


@pytest.mark.parametrize("start", RANGES)
@pytest.mark.parametrize("digits", MAGIC)
def test_each_number_is_valid(start: str, digits: str) -> None:
    assert parse_phone(start + digits, require_valid=True).e164 == start + digits


@pytest.mark.parametrize("phone", [number("accepted"), ORDINARY, f"{START}50", "+12025550213"])
async def test_what_is_accepted_arrives_and_verifies_once(configured: Configure, phone: str) -> None:
    async with AsyncOTPService(configured()) as otp:
        challenge = await otp.send_sms(phone)
        assert (challenge.state, challenge.confirmed, challenge.provider) == (ChallengeState.SENT, True, "twilio")
        (message,) = otp.sandbox_inbox()
        assert (message.challenge_id, message.phone, message.channel) == (challenge.id, challenge.phone, "sms")
        assert message.code == challenge.code
        assert message.code in message.text
        assert await otp.verify(phone, message.code)
        assert (await otp.verify(phone, message.code)).status is VerificationStatus.NOT_FOUND


async def test_what_comes_late_is_in_doubt_and_verifies(configured: Configure) -> None:
    phone = number("late")
    async with AsyncOTPService(configured()) as otp:
        challenge = await otp.send_sms(phone)
        assert (challenge.state, challenge.confirmed) == (ChallengeState.SENT, False)
        assert received(otp, phone) == ["twilio", "mada"]
        first, second = otp.sandbox_inbox(phone)
        assert first.code == second.code
        assert await otp.verify(phone, first.code)


@pytest.mark.parametrize(("name", "confirmed"), [("never", True), ("ambiguous", False)])
async def test_what_does_not_arrive_counts_as_sent_all_the_same(
    configured: Configure, name: str, confirmed: bool
) -> None:
    async with AsyncOTPService(configured()) as otp:
        for ask in (otp.send_sms, otp.call):
            challenge = await ask(number(name))
            assert (challenge.state, challenge.confirmed) == (ChallengeState.SENT, confirmed)
        assert otp.sandbox_inbox() == ()


async def test_a_landline_is_called(configured: Configure) -> None:
    phone = number("landline")
    async with AsyncOTPService(configured()) as otp:
        with pytest.raises(DeliveryError) as refused:
            await otp.send_sms(phone)
        assert (refused.value.reason, refused.value.try_channel) == ("permanent", "call")
        assert [error.provider for error in refused.value.attempts] == ["twilio"]
        await otp.call(phone)
        (call,) = otp.sandbox_inbox(phone)
        assert call.channel == "call"
        assert await otp.verify(phone, call.code)


async def test_who_opted_out_is_not_tried_elsewhere(configured: Configure) -> None:
    async with AsyncOTPService(configured(sms={"retry": True})) as otp:
        for ask in (otp.send_sms, otp.call):
            with pytest.raises(DeliveryError) as refused:
                await ask(number("opted out"))
            assert (refused.value.reason, refused.value.try_channel) == ("permanent", None)
            assert [(error.kind, error.provider) for error in refused.value.attempts] == [("blocked", "twilio")]


async def test_a_throttled_send_says_how_long_to_wait_and_the_next_one_is_taken(configured: Configure) -> None:
    phone = number("throttled")
    async with AsyncOTPService(configured()) as otp:
        with pytest.raises(DeliveryError) as refused:
            await otp.send_sms(phone)
        assert [(error.kind, error.retry_after) for error in refused.value.attempts] == [("throttled", 2.0)] * 2
        assert (await otp.send_sms(phone)).confirmed


async def test_a_retry_of_a_throttled_send_waits_as_long_as_was_asked(configured: Configure) -> None:
    phone, clock = number("throttled"), FakeClock()
    async with AsyncOTPService(configured(sms={"retry": True}), clock=clock, runner=WorkerRunner()) as otp:
        challenge = await otp.send_sms(phone)
        assert challenge.state is ChallengeState.QUEUED
        assert (await due(otp) - clock()).total_seconds() == 2
        clock.advance(2)
        await run_due(otp)
        (message,) = otp.sandbox_inbox(phone)
        assert await otp.verify(phone, message.code)


async def test_the_third_failover_finds_a_provider_up_again(configured: Configure) -> None:
    phone = number("unavailable")
    async with AsyncOTPService(configured(sms={"retry": True})) as otp:
        challenge = await otp.send_sms(phone)
        assert challenge.confirmed
        assert received(otp, phone) == ["twilio"]
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        tried = [(delivery.instance, str(delivery.outcome)) for delivery in view.deliveries]
        assert tried == [("twilio", "unavailable"), ("mada", "unavailable")] * 2 + [("twilio", "accepted")]


async def test_without_retries_an_unavailable_provider_is_an_error(configured: Configure) -> None:
    async with AsyncOTPService(configured()) as otp:
        with pytest.raises(DeliveryError) as failed:
            await otp.send_sms(number("unavailable"))
        assert failed.value.reason == "failed"
        assert [error.kind for error in failed.value.attempts] == [ErrorKind.UNAVAILABLE] * 2


async def test_a_breaker_opens_after_enough_failures_in_a_row_and_closes_again(configured: Configure) -> None:
    clock = FakeClock()
    settings = configured("twilio", retry={"breaker_threshold": 3}, limits={"phone": []})
    async with AsyncOTPService(settings, clock=clock) as otp:
        for purpose in ("login", "payment", "address"):
            with pytest.raises(DeliveryError, match="failed"):
                await otp.send_sms(number("unavailable"), purpose=purpose)
        with pytest.raises(DeliveryError, match="breaker_open"):
            await otp.send_sms(ORDINARY)
        clock.advance(1)  # the next probe
        for _ in range(2):
            assert (await otp.send_sms(ORDINARY)).confirmed


async def test_the_next_provider_takes_what_a_misconfigured_one_refused(configured: Configure) -> None:
    phone = number("misconfigured")
    async with AsyncOTPService(configured()) as otp:
        challenge = await otp.send_sms(phone)
        assert (challenge.provider, received(otp, phone)) == ("mada", ["mada"])
        await otp.send_sms(phone)
        assert received(otp, phone) == ["mada", "mada"]
    async with AsyncOTPService(configured("twilio")) as otp:
        with pytest.raises(DeliveryError) as refused:
            await otp.send_sms(phone, purpose="alone")
        assert [error.kind for error in refused.value.attempts] == [ErrorKind.MISCONFIGURED]


async def test_what_a_receipt_calls_undelivered_comes_from_the_next_provider(configured: Configure) -> None:
    phone = number("undelivered")
    async with AsyncOTPService(configured()) as otp:
        for ask in (otp.send_sms, otp.call):
            challenge = await ask(phone, purpose=ask.__name__)
            assert (challenge.state, challenge.provider) == (ChallengeState.SENT, "twilio")
            (view,) = await otp._service.store.view(challenge_id=challenge.id)
            assert (view.challenge.state, view.challenge.provider) == (ChallengeState.SENT, "mada")
            outcomes = [(delivery.instance, str(delivery.outcome)) for delivery in view.deliveries]
            assert outcomes == [("twilio", "undelivered"), ("mada", "accepted")]
            message = otp.sandbox_inbox(phone)[-1]
            assert (message.instance, message.channel) == ("mada", challenge.channel)
            assert await otp.verify(phone, message.code, purpose=ask.__name__)


async def test_without_a_next_provider_an_undelivered_send_is_unsendable(configured: Configure) -> None:
    phone = number("undelivered")
    async with AsyncOTPService(configured("twilio")) as otp:
        challenge = await otp.send_sms(phone)
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        assert view.challenge.state is ChallengeState.UNSENDABLE
        assert otp.sandbox_inbox() == ()


def test_a_host_shows_its_form_for_each_outcome(configured: Configure) -> None:
    """As a host would write it: a view that answers a browser, and a browser's answers for people it cannot reach."""
    otp = OTPService(configured())

    def ask_for_code(phone: str) -> str:
        try:
            sent: Challenge = otp.send_sms(phone)
        except DeliveryError as error:
            return f"offer a {error.try_channel}" if error.try_channel else "offer another way"
        return "type the code" if sent.confirmed else "type the code if it comes"

    with otp:
        answers = {one.name: ask_for_code(START + digits) for digits, one in MAGIC.items()}
        typed = {message.phone.e164: message.code for message in otp.sandbox_inbox()}
        assert otp.verify(number("accepted"), typed[number("accepted")])
        assert otp.sandbox_inbox(number("accepted"))[-1].code == typed[number("accepted")]
    assert answers == {
        "accepted": "type the code",
        "late": "type the code if it comes",
        "never": "type the code",
        "landline": "offer a call",
        "opted out": "offer another way",
        "throttled": "offer another way",
        "unavailable": "offer another way",
        "ambiguous": "type the code if it comes",
        "misconfigured": "type the code",
        "undelivered": "type the code",
    }


async def due(otp: AsyncOTPService) -> Any:
    """When the next retry is due."""
    return await otp._service.store.next_due()


async def run_due(otp: AsyncOTPService) -> None:
    """Run the retries that are due, as a worker would."""
    for claim in await otp._retries.claim(10):
        await otp._retries.run(claim)
