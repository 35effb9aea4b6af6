"""What a send asked for holds for each later failover of it: retries, receipts, resends and probes."""

from __future__ import annotations

import anyio
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    Channel,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    NoRouteError,
    ProviderError,
    ProviderInfo,
    ReceiptRequest,
    RetryJob,
    hookimpl,
)
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

from .instances import PAYMENT, PHONE, Instance, Vendors, service, vendor


class Landline(Instance):
    """Carries SMS only, and the number takes none."""

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Landline", channels=frozenset({Channel.SMS}))

    def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
        raise ProviderError(ErrorKind.REJECTED_NUMBER, "a landline")


RETRY = {"sms": {"retry": True}, "retry": {"runner": "inline", "first_delay": 0.01, "max_delay": 0.02}}


async def test_a_retry_asks_only_those_who_carry_the_text() -> None:
    flaky, generic = Instance(is_down=True), vendor()
    async with service({"generic": generic, "flaky": flaky}, settings=RETRY) as otp:

        async def mend() -> None:
            while len(flaky.asked) < 3:
                await anyio.sleep(0.005)
            flaky.is_down = False

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mend)
            challenge = await otp.send_sms(PHONE, message=PAYMENT)
            tasks.cancel_scope.cancel()
        assert (challenge.state, challenge.provider) == (ChallengeState.SENT, "flaky")
        assert len(flaky.asked) >= 3
        assert {request.text for request in flaky.asked} == {flaky.asked[0].text}
        assert flaky.asked[0].text is not None
        assert flaky.asked[0].text.startswith("Pay 100 EUR to Bob: ")
        assert generic.asked == []


async def test_a_retry_whose_rules_now_name_only_others_sends_nothing_else(vendors: Vendors) -> None:
    store = MemoryStore()
    async with vendors.service("texts", store=store) as otp:
        vendors.twilio.down()
        challenge = await otp.send_sms(PHONE, message=PAYMENT)
        assert challenge.state is ChallengeState.QUEUED
        vendors.twilio.up()
        await store.write_setting("otp_sms_provider", "verify;sinch")
        vendors.clock.advance(2)
        await otp.run_retry(RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=vendors.clock()))
        (view,) = await store.view(challenge_id=challenge.id)
        assert view.challenge.state is ChallengeState.UNSENDABLE
        assert vendors.nobody_was_asked


async def test_the_next_instance_after_a_receipt_carries_the_text_too() -> None:
    first, generic, last = Instance(), vendor(), Instance()
    async with service({"first": first, "generic": generic, "last": last}) as otp:
        await otp.send_sms(PHONE, message=PAYMENT)
        lost = ReceiptRequest(url="https://host.example/", body=first.asked[0].delivery_id.encode())
        await otp.handle_receipt("first", lost)
        assert (len(first.asked), len(generic.asked), len(last.asked)) == (1, 0, 1)
        assert last.asked[0].text == first.asked[0].text


async def test_a_resend_asks_for_what_it_says_itself() -> None:
    outbox, generic, words = Outbox(), vendor(), Instance()
    otp = AsyncOTPService(outbox.settings, providers={"generic": generic, "words": words}, clock=outbox.clock)
    async with otp:
        first = await otp.send_sms(PHONE)
        assert first.provider == "generic"
        outbox.clock.advance(31)
        again = await otp.send_sms(PHONE, message=PAYMENT)
        assert (again.id, again.provider) == (first.id, "words")
        outbox.clock.advance(31)
        assert (await otp.send_sms(PHONE)).provider == "generic", "the latest send has no text of its own"


async def test_a_probe_does_not_try_one_that_cannot_carry_it() -> None:
    outbox, generic = Outbox(), vendor()
    generic.is_down = True
    otp = AsyncOTPService(
        {**outbox.settings, "retry": {"runner": "inline", "breaker_threshold": 1}},
        providers={"generic": generic},
        clock=outbox.clock,
    )
    async with otp:
        with pytest.raises(DeliveryError):
            await otp.send_sms(PHONE)
        outbox.clock.advance(31)
        with pytest.raises(NoRouteError):
            await otp.send_sms(PHONE, message=PAYMENT)
        assert len(generic.asked) == 1


@pytest.mark.parametrize(("message", "hint"), [(None, "call"), (PAYMENT, None)])
async def test_the_other_channel_is_named_only_if_it_carries_the_text(message: str | None, hint: str | None) -> None:
    async with service({"landline": Landline(), "generic": vendor()}) as otp:
        with pytest.raises(DeliveryError) as failed:
            await otp.send_sms(PHONE, message=message)
    assert failed.value.try_channel == hint
