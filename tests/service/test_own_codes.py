"""Codes that the host made: sent, verified, retried and replaced like any other, and carried by who takes our text."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    Carries,
    ChallengeState,
    Channel,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    Feature,
    InvalidArgument,
    NoRouteError,
    ProviderInfo,
    RateLimited,
    VerificationStatus,
    hookimpl,
)
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"
OWN, OTHER = "408162", "735019"
RETRY = {"sms": {"retry": True}, "retry": {"runner": "background", "first_delay": 1.0, "jitter": 0.0}}


@attrs.define(eq=False)
class Vendor:
    """A vendor that makes its codes: always the same one."""

    code: str = "246810"
    started: int = 0

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor", code_owner=CodeOwner.PROVIDER, code_scope="vendor:1")

    @hookimpl
    def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.started += 1
        return DeliveryReceipt(reference=f"V{self.started}")

    @hookimpl
    def check_code(self, request: CheckRequest) -> CheckResult:
        return CheckResult.APPROVED if request.code == self.code else CheckResult.INCORRECT


# Carried, and verified.


@pytest.mark.parametrize(
    ("given", "sent"), [(OWN, OWN), ("0420", "0420"), ("9876543210", "9876543210"), ("12 34-5", "12345")]
)
async def test_it_is_sent_as_it_was_meant_and_verifies(otp_outbox: Outbox, given: str, sent: str) -> None:
    async with otp_outbox.service() as otp:
        challenge = await otp.send_sms(PHONE, code=given)
        assert (otp_outbox.code, challenge.code) == (sent, sent)
        assert sent in otp_outbox.messages[-1].text
        assert (await otp.verify(PHONE, sent[:-1] + "x")).status is VerificationStatus.INCORRECT
        assert await otp.verify(PHONE, given)


async def test_every_face_takes_it(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send(PHONE, purpose="a", code="1001")
        await otp.send_sms(PHONE, purpose="b", code="1002")
        await otp.call(PHONE, purpose="c", code="1003")
    assert [message.code for message in otp_outbox.messages] == ["1001", "1002", "1003"]


def test_the_blocking_faces_take_it(otp_outbox: Outbox) -> None:
    with otp_outbox.blocking_service() as otp:
        otp.send(PHONE, purpose="a", code="1001")
        otp.send_sms(PHONE, purpose="b", code="1002")
        otp.call(PHONE, purpose="c", code="1003")
        assert otp.verify(PHONE, "1003", purpose="c")
    assert [message.code for message in otp_outbox.messages] == ["1001", "1002", "1003"]


@pytest.mark.parametrize("code", ["123", "12345678901", "12a45", "", "1234\n5678x", 123456, b"123456"])
async def test_what_is_no_such_code_is_refused_and_not_quoted(otp_outbox: Outbox, code: Any) -> None:
    async with otp_outbox.service() as otp:
        with pytest.raises(InvalidArgument, match="code") as refused:
            await otp.send(PHONE, code=code)
    assert not code or str(code) not in str(refused.value)
    assert otp_outbox.messages == []


async def test_it_is_in_no_event_log_or_repr(otp_outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    events = EventRecorder()
    caplog.set_level(logging.DEBUG)
    async with otp_outbox.service(observers=[events]) as otp:
        challenge = await otp.send(PHONE, code=OWN)
        otp_outbox.clock.advance(30)
        otp_outbox.fail("blocked")
        with pytest.raises(Exception, match="permanent") as failed:
            await otp.send(PHONE, code=OTHER)
    said = repr((challenge, challenge.to_dict(), failed.value, events.events, caplog.records, caplog.text))
    assert OWN not in said
    assert OTHER not in said


@attrs.define(eq=False)
class Worder:
    """A vendor that puts our code into words of its own."""

    taken: list[DeliveryRequest] = attrs.field(factory=list)

    @hookimpl
    def describe(self) -> ProviderInfo:
        carries = Carries(features=frozenset({Feature.ANDROID_HASH}), languages=frozenset({"de"}))
        return ProviderInfo(display_name="Worder", carries={Channel.SMS: carries, Channel.CALL: carries})

    @hookimpl
    def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.taken.append(request)
        return DeliveryReceipt()

    @hookimpl
    def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.taken.append(request)
        return DeliveryReceipt()


async def test_who_words_it_round_our_code_is_told_language_and_hash(otp_outbox: Outbox) -> None:
    worder = Worder()
    settings = {"otp": {"android_hash": "FA09qCX9VSu", "templates": {"default": {"en": "{code} it is"}}}}
    async with otp_outbox.service(settings, providers={"worder": worder}) as otp:
        await otp.send_sms(PHONE, code=OWN, locale="de")
        await otp.call(PHONE, locale="de")
        with pytest.raises(NoRouteError, match="worder cannot carry the language 'fr'"):
            await otp.send_sms(PHONE, locale="fr", purpose="pay")
        assert await otp.verify(PHONE, OWN)
    assert [(one.code, one.locale) for one in worder.taken] == [(OWN, "de")] * 2
    assert [one.android_hash for one in worder.taken] == ["FA09qCX9VSu", None]


# Another code, and the same again.


async def test_another_replaces_it_and_nothing_of_the_first_verifies(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        first = await otp.send(PHONE, code=OWN)
        assert not await otp.verify(PHONE, OTHER)
        otp_outbox.clock.advance(30)
        second = await otp.send(PHONE, code=OTHER)
        assert (second.id, second.code) == (first.id, OTHER)
        refused = await otp.verify(PHONE, OWN)
        assert (refused.status, refused.attempts_left) == (VerificationStatus.INCORRECT, 3), "used up before, too"
        assert await otp.verify(PHONE, OTHER)


async def test_it_replaces_one_that_otpcore_made(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send(PHONE)
        made = otp_outbox.code
        otp_outbox.clock.advance(30)
        await otp.send(PHONE, code=OTHER)
        assert not await otp.verify(PHONE, made)
        assert await otp.verify(PHONE, OTHER)


@pytest.mark.parametrize("again", [OWN, None])
async def test_the_same_or_none_sends_it_again(otp_outbox: Outbox, again: str | None) -> None:
    async with otp_outbox.service() as otp:
        await otp.send(PHONE, code=OWN)
        otp_outbox.clock.advance(30)
        await otp.send(PHONE, code=again)
        assert [message.code for message in otp_outbox.messages] == [OWN, OWN]
        assert await otp.verify(PHONE, OWN)


async def test_within_the_cooldown_the_first_stays(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send(PHONE, code=OWN)
        skipped = await otp.send(PHONE, code=OTHER)
        assert (len(otp_outbox.messages), skipped.code) == (1, None)
        assert await otp.verify(PHONE, OWN)


async def test_another_is_a_send_under_the_limits(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"limits": {"phone": ["1/10m"]}}) as otp:
        await otp.send(PHONE, code=OWN)
        otp_outbox.clock.advance(30)
        with pytest.raises(RateLimited):
            await otp.send(PHONE, code=OTHER)
        assert await otp.verify(PHONE, OWN)


async def test_a_retry_that_is_due_carries_the_one_in_force(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({**RETRY, "call": {"retry": False}}) as otp:
        otp_outbox.fail("unavailable")
        assert (await otp.send_sms(PHONE, code=OWN)).state is ChallengeState.QUEUED
        otp_outbox.fail("unavailable")
        assert (await otp.call(PHONE, code=OTHER)).state is ChallengeState.QUEUED
        while not otp_outbox.messages:
            otp_outbox.clock.advance(1)
            await otp._retries.upkeep()
            for claim in await otp._retries.claim(1):
                await otp._retries.run(claim)
        assert {message.code for message in otp_outbox.messages} == {OTHER}
        assert await otp.verify(PHONE, OTHER)


# Who cannot carry it.


async def test_a_vendor_that_makes_its_codes_is_left_out_with_a_reason(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        with pytest.raises(NoRouteError, match="vendor cannot carry a code of your own") as refused:
            await otp.send(PHONE, code=OWN)
        assert refused.value.reason == "cannot_carry"
    async with otp_outbox.service(providers={"vendor": vendor, "outbox": otp_outbox}) as otp:
        assert (await otp.send(PHONE, code=OWN)).provider == "outbox"
    assert vendor.started == 0


async def test_a_resend_and_a_retry_leave_it_out_as_well(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service({"sms": {"retry": True}}, providers={"vendor": vendor, "outbox": otp_outbox}) as otp:
        otp_outbox.fail("unavailable")
        await otp.send_sms(PHONE, code=OWN)
        otp_outbox.clock.advance(30)
        await otp.send_sms(PHONE)
        assert ([message.code for message in otp_outbox.messages], vendor.started) == ([OWN, OWN], 0)


async def test_it_replaces_a_code_that_a_vendor_made(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor, "outbox": otp_outbox}) as otp:
        assert (await otp.send(PHONE)).provider == "vendor"
        otp_outbox.clock.advance(30)
        assert (await otp.send(PHONE, code=OWN)).provider == "outbox"
        assert not await otp.verify(PHONE, vendor.code)
        assert await otp.verify(PHONE, OWN)


async def test_the_keys_of_the_challenge_protect_a_code_that_replaces_another(otp_outbox: Outbox) -> None:
    """Also after the current key has changed: all of one challenge is under one key."""
    settings: dict[str, Any] = otp_outbox.settings
    key = settings["keys"]["code"]["test"]
    from otpcore.stores.memory.store import MemoryStore  # noqa: PLC0415 - for the one test that keeps it

    store = MemoryStore()
    async with AsyncOTPService(settings, providers=otp_outbox.providers, clock=otp_outbox.clock, store=store) as otp:
        await otp.send(PHONE, code=OWN)
    otp_outbox.clock.advance(30)
    newer = {
        **settings,
        "keys": {**settings["keys"], "code": {"test": key, "new": key[::-1][3:] + "abc"}, "current": "new"},
    }
    async with AsyncOTPService(newer, providers=otp_outbox.providers, clock=otp_outbox.clock, store=store) as otp:
        await otp.send(PHONE, code=OTHER)
    async with AsyncOTPService(settings, providers=otp_outbox.providers, clock=otp_outbox.clock, store=store) as otp:
        assert await otp.verify(PHONE, OTHER)
