"""Vendors that want to know how it ended with a code of ours: told once, in the background, and in nobody's way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest

from otpcore import (
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    OutcomeRequest,
    PluginLoadError,
    ProviderError,
    ProviderInfo,
    hookimpl,
)
from otpcore.service import outcomes
from otpcore.testing import Outbox, wrong_code

PHONE = "+359871234567"


@attrs.define(eq=False)
class Curious(Outbox):
    """An outbox that is told outcomes.

    Args:
        fails: What it raises when it is told.
        stays: It does not answer until this is set.
    """

    told: list[OutcomeRequest] = attrs.field(factory=list, kw_only=True)
    fails: Exception | None = attrs.field(default=None, kw_only=True)
    stays: anyio.Event | None = attrs.field(default=None, kw_only=True)

    @hookimpl
    async def report_outcome(self, request: OutcomeRequest) -> None:
        self.told.append(request)
        if self.stays is not None:
            await self.stays.wait()
        if self.fails is not None:
            raise self.fails


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.005)


async def test_an_approval_is_told_with_what_the_vendor_knows_it_by() -> None:
    outbox = Curious()
    async with outbox.service() as otp:
        challenge = await otp.send(PHONE)
        assert not await otp.verify(PHONE, wrong_code(outbox.code))
        assert await otp.verify(PHONE, outbox.code)
        await until(lambda: outbox.told)
    (told,) = outbox.told
    assert (told.challenge_id, told.recipient.e164, told.channel, told.approved) == (challenge.id, PHONE, "sms", True)
    assert told.reference == told.delivery_id


async def test_an_end_without_approval_is_told_too() -> None:
    outbox = Curious()
    async with outbox.service() as otp:
        cancelled = await otp.send(PHONE, purpose="pay")
        await otp.cancel(cancelled.id)
        expired = await otp.send(PHONE)
        outbox.clock.advance(301)
        await otp.send(PHONE)
        await until(lambda: len(outbox.told) == 2)
    assert {(told.challenge_id, told.approved) for told in outbox.told} == {(cancelled.id, False), (expired.id, False)}


async def test_who_carried_nothing_or_a_code_that_was_replaced_hears_so() -> None:
    first, second = Curious(), Curious()
    second.clock = first.clock
    async with first.service(providers={"first": first, "second": second}) as otp:
        await otp.send(PHONE, code="1001")
        first.clock.advance(30)
        first.fail("unavailable")
        await otp.send(PHONE, code="1002")
        assert await otp.verify(PHONE, "1002")
        await until(lambda: first.told and second.told)
    assert ([told.approved for told in first.told], [told.approved for told in second.told]) == ([False], [True])


@pytest.mark.parametrize(
    ("error", "said"),
    [(ProviderError(ErrorKind.UNAVAILABLE, "down"), "unavailable"), (RuntimeError("123456"), "ambiguous")],
)
async def test_a_failure_is_logged_and_changes_nothing(
    error: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Curious(fails=error)
    async with outbox.service() as otp:
        await otp.send(PHONE)
        assert await otp.verify(PHONE, outbox.code)
        await until(lambda: f"outbox was not told how it ended: {said}" in caplog.text)
        assert len(outbox.told) == 1
        await otp.send(PHONE)
    assert "RuntimeError: 123456" not in caplog.text


async def test_nobody_waits_for_a_vendor_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    outbox = Curious(stays=anyio.Event())
    async with outbox.service({"otp": {"provider_timeout": 0.2}}) as otp:
        await otp.send(PHONE)
        with anyio.fail_after(5):
            assert await otp.verify(PHONE, outbox.code)
        await until(lambda: "was not told how it ended: ambiguous" in caplog.text)


async def test_no_more_wait_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outcomes, "_MOST", 2)
    outbox = Curious(stays=anyio.Event())
    async with outbox.service() as otp:
        for purpose in ("a", "b", "c"):
            await otp.send(PHONE, purpose=purpose)
            assert await otp.verify(PHONE, outbox.code, purpose=purpose)
        assert "was not told how it ended: too_many" in caplog.text
        await until(lambda: len(outbox.told) == 2)
        assert outbox.stays is not None
        outbox.stays.set()


async def test_closing_leaves_a_moment_to_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a command needs it that verifies and ends; and no longer than that moment."""
    outbox = Curious()
    async with outbox.service() as otp:
        await otp.send(PHONE)
        assert await otp.verify(PHONE, outbox.code)
    assert len(outbox.told) == 1
    monkeypatch.setattr(outcomes, "_LAST_WAIT", 0.1)
    outbox.stays = anyio.Event()
    with anyio.fail_after(5):
        async with outbox.service() as otp:
            await otp.send(PHONE)
            assert await otp.verify(PHONE, outbox.code)


def test_the_blocking_service_tells_as_well() -> None:
    outbox = Curious()
    with outbox.blocking_service() as otp:
        otp.send(PHONE)
        assert otp.verify(PHONE, outbox.code)
    assert [told.approved for told in outbox.told] == [True]


def test_a_vendor_that_makes_the_codes_is_told_nothing() -> None:
    class Owner(Curious):
        @hookimpl
        def describe(self) -> ProviderInfo:
            return ProviderInfo(display_name="Owner", code_owner=CodeOwner.PROVIDER, code_scope="owner")

        @hookimpl
        async def check_code(self, request: DeliveryRequest) -> DeliveryReceipt:
            raise NotImplementedError

    with pytest.raises(PluginLoadError, match="report_outcome is never called"), Owner().blocking_service():
        pass
