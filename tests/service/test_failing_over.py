"""Failover and retries through the service: who is called next, when, and when nobody is."""

from __future__ import annotations

import anyio
import attrs
import pytest

from otpcore import (
    ChallengeState,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    EventType,
    InvalidPhoneNumber,
    ProviderInfo,
    hookimpl,
)
from otpcore.clock import utc_now
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"
OTHER = "+359881234567"
SHORT = {"send_timeout": 1.0, "provider_timeout": 1.0}
RETRY = {"sms": {"retry": True}, "retry": {"runner": "inline", "first_delay": 0.01, "max_delay": 0.02}}


async def test_the_code_verifies_whichever_message_arrives() -> None:
    first, second = Outbox(), Outbox()
    async with first.service(providers={"one": first, "two": second}) as otp:
        first.fail("ambiguous", delivered=True)
        challenge = await otp.send_sms(PHONE)
        assert challenge.provider == "two"
        assert first.code == second.code
        assert await otp.verify(PHONE, first.code)


@pytest.mark.parametrize("kind", ["unavailable", "throttled", "ambiguous", "misconfigured", "limit_reached"])
async def test_the_next_instance_takes_over(kind: str) -> None:
    first, second = Outbox(), Outbox()
    async with first.service(providers={"one": first, "two": second}) as otp:
        first.fail(kind)
        assert (await otp.send_sms(PHONE)).provider == "two"
        assert await otp.verify(PHONE, second.code)


@pytest.mark.parametrize(("kind", "hint"), [("rejected_number", "call"), ("blocked", None)])
async def test_a_refused_number_is_not_routed_around(kind: str, hint: str | None) -> None:
    first, second = Outbox(), Outbox()
    async with first.service(RETRY, providers={"one": first, "two": second}) as otp:
        first.fail(kind)
        with pytest.raises(DeliveryError) as caught:
            await otp.send_sms(PHONE)
        assert (caught.value.reason, caught.value.try_channel) == ("permanent", hint)
        assert [attempt.provider for attempt in caught.value.attempts] == ["one"]
        assert second.messages == []


async def test_a_code_delivered_by_a_retry_verifies(otp_outbox: Outbox) -> None:
    recorder = EventRecorder()
    async with otp_outbox.service(RETRY, observers=[recorder]) as otp:
        otp_outbox.fail("unavailable", times=3)
        challenge = await otp.send_sms(PHONE)
        assert challenge.state is ChallengeState.SENT
        assert recorder.types().count(EventType.RETRY_SCHEDULED) == 3
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_max_retries_means_exactly_so_many_attempts_after_the_first(otp_outbox: Outbox) -> None:
    settings = {**RETRY, "sms": {"retry": True, "max_retries": 3}}
    recorder = EventRecorder()
    async with otp_outbox.service(settings, observers=[recorder]) as otp:
        otp_outbox.fail("unavailable", times=100)
        challenge = await otp.send_sms(PHONE)
        assert challenge.state is ChallengeState.UNSENDABLE
        assert recorder.types().count(EventType.DELIVERY_FAILED) == 4
        assert recorder.events[-1].reason == "max_retries"


async def test_an_ambiguous_instance_is_repeated_once_at_most(otp_outbox: Outbox) -> None:
    async with otp_outbox.service(RETRY) as otp:
        otp_outbox.fail("ambiguous", times=100, delivered=True)
        challenge = await otp.send_sms(PHONE)
        assert (challenge.state, challenge.confirmed) == (ChallengeState.SENT, False)
        assert len(otp_outbox.messages) == 2
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_a_wait_longer_than_the_code_lives_is_not_scheduled(otp_outbox: Outbox) -> None:
    async with otp_outbox.service(RETRY) as otp:
        otp_outbox.fail("throttled", retry_after=280)
        with pytest.raises(DeliveryError) as caught:
            await otp.send_sms(PHONE)
        assert caught.value.reason == "expired"


async def test_without_retries_a_failure_is_final_and_may_be_sent_again_at_once(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"limits": {"phone": ["1/10m"]}}) as otp:
        otp_outbox.fail("unavailable")
        with pytest.raises(DeliveryError) as caught:
            await otp.send_sms(PHONE)
        assert caught.value.reason == "failed"
        assert (await otp.send_sms(PHONE)).confirmed  # refunded, and no cooldown


async def test_the_background_runner_leaves_the_hosts_exceptions_as_they_are(otp_outbox: Outbox) -> None:
    with pytest.raises(InvalidPhoneNumber):
        async with otp_outbox.service(runner="background") as otp:
            await otp.send_sms("+1")


async def test_the_background_runner_delivers_while_the_host_goes_on(otp_outbox: Outbox) -> None:
    async with otp_outbox.service(RETRY, runner="background", clock=utc_now) as otp:
        otp_outbox.fail("unavailable", times=2)
        assert (await otp.send_sms(PHONE)).state is ChallengeState.QUEUED
        with anyio.fail_after(20):
            while not otp_outbox.messages:
                await anyio.sleep(0.01)
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_calls_are_retried_only_when_asked_for(otp_outbox: Outbox) -> None:
    async with otp_outbox.service(RETRY) as otp:
        otp_outbox.fail("unavailable")
        with pytest.raises(DeliveryError):
            await otp.call(PHONE)
    async with otp_outbox.service({**RETRY, "call": {"retry": True}}) as otp:
        otp_outbox.fail("unavailable", times=2)
        assert (await otp.call(OTHER)).confirmed


async def test_an_open_breaker_spares_the_instance() -> None:
    first, second = Outbox(), Outbox()
    recorder = EventRecorder()
    async with first.service(providers={"one": first, "two": second}, observers=[recorder]) as otp:
        first.fail("unavailable", times=6)
        for number in range(6):
            await otp.send_sms(f"+35987123450{number}")
        assert EventType.BREAKER_OPENED in recorder.types()
        assert sum(event.instance == "one" and event.reason == "unavailable" for event in recorder.events) == 5
        first.clock.advance(1)
        await otp.send_sms("+359871234510")  # the probe fails
        await otp.send_sms("+359871234511")
        first.clock.advance(1)
        assert (await otp.send_sms("+359871234512")).provider == "one"
        assert recorder.types()[-1] is EventType.BREAKER_CLOSED


async def test_a_lone_open_breaker_refuses_without_a_call(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        otp_outbox.fail("unavailable", times=5)
        for number in range(5):
            with pytest.raises(DeliveryError):
                await otp.send_sms(f"+35987123450{number}")
        with pytest.raises(DeliveryError, match="breaker_open"):
            await otp.send_sms(PHONE)
        assert otp_outbox.messages == []


async def test_a_cancelled_send_counts_as_perhaps_sent(otp_outbox: Outbox) -> None:
    @attrs.define(eq=False)
    class Slow:
        started: anyio.Event = attrs.field(factory=anyio.Event)

        @hookimpl
        def describe(self) -> ProviderInfo:
            return ProviderInfo(display_name="Slow")

        @hookimpl
        async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
            otp_outbox.messages.append(request)  # type: ignore[arg-type] # only its code is read
            self.started.set()
            await anyio.sleep_forever()
            raise AssertionError

    slow = Slow()
    recorder = EventRecorder()
    async with otp_outbox.service(providers={"slow": slow}, observers=[recorder]) as otp:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(otp.send_sms, PHONE)
            await slow.started.wait()
            tasks.cancel_scope.cancel()
        assert recorder.events[-1].reason == "ambiguous"
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_a_silent_provider_is_left_after_the_timeout(otp_outbox: Outbox) -> None:
    @attrs.define(eq=False)
    class Silent:
        @hookimpl
        def describe(self) -> ProviderInfo:
            return ProviderInfo(display_name="Silent")

        @hookimpl
        async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
            await anyio.sleep_forever()
            raise AssertionError

    settings = {"otp": {"provider_timeout": 0.05, "send_timeout": 2}}
    async with otp_outbox.service(settings, providers={"silent": Silent(), "outbox": otp_outbox}) as otp:
        assert (await otp.send_sms(PHONE)).provider == "outbox"


async def test_who_is_left_no_time_to_answer_is_not_called_and_not_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    """An overloaded process, whose own store takes the caller's time, says nothing of the providers that all processes share."""
    outbox = Outbox()
    async with outbox.service({"otp": SHORT, "retry": {"runner": "inline", "breaker_threshold": 1}}) as otp:
        begin = otp.store.begin

        async def slowly(*arguments: object) -> object:
            step = await begin(*arguments)
            await anyio.sleep(0.85)
            return step

        with monkeypatch.context() as patched:
            patched.setattr(otp.store, "begin", slowly)
            with pytest.raises(DeliveryError, match="no time was left to call it"):
                await otp.send_sms(PHONE)
        assert outbox.messages == []
        assert await otp.send_sms(OTHER)
