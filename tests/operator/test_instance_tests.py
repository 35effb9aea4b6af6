"""A test of an instance: one real message through it alone, in the trail, and never tried again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from otpcore import AsyncOperator, AsyncOTPService, InvalidArgument, RateLimited
from otpcore.runners.worker import WorkerRunner
from otpcore.testing import Outbox

from .scenes import BY, PHONE, on_file

QUEUEING: dict[str, Any] = {
    "sms": {"retry": True},
    "call": {"retry": True},
    "retry": {"first_delay": 60, "max_delay": 60},
}


@attrs.frozen
class Scene:
    """A service with two instances, whose retries nobody runs."""

    otp: AsyncOTPService
    outbox: Outbox
    second: Outbox


@pytest.fixture
async def scene(otp_outbox: Outbox) -> AsyncIterator[Scene]:
    second = Outbox(clock=otp_outbox.clock)
    forced = {"outbox": otp_outbox, "second": second}
    async with otp_outbox.service(QUEUEING, providers=forced, runner=WorkerRunner()) as otp:
        yield Scene(otp, otp_outbox, second)


async def test_a_test_of_an_instance_goes_through_it_alone_even_while_it_is_drained(scene: Scene) -> None:
    instances = scene.otp.operator.instances
    await instances.drain("second", by="ann")
    told = await instances.test("Second", PHONE, **BY)
    assert (told.instance, told.outcome, told.words, told.is_new) == ("second", "accepted", "", True)
    assert (len(scene.outbox.messages), len(scene.second.messages)) == (0, 1)
    assert told.reference
    assert PHONE not in repr(told)
    change = (await scene.otp.operator.audit())[0]
    assert (change.action, change.target, change.reason) == ("instances.test", "second", "mada is down")
    assert change.detail == {"channel": "sms", "phone": told.phone}
    again = await instances.test("second", PHONE, by="ann")
    assert (again.is_new, again.challenge_id, again.outcome) == (False, told.challenge_id, "accepted")
    assert len(await scene.otp.operator.audit()) == 2
    assert len(scene.second.messages) == 1
    await scene.otp.operator.erase(PHONE, by="bob")
    _, blanked, drained = await scene.otp.operator.audit()
    assert (blanked.target, blanked.reason, blanked.detail) == ("", "", {"erased": True})
    assert (blanked.number, blanked.by, blanked.action) == (change.number, change.by, "instances.test")
    assert drained.target == "second"


async def test_a_test_that_fails_says_what_the_provider_said_and_is_not_tried_again(scene: Scene) -> None:
    scene.second.fail("unavailable")
    told = await scene.otp.operator.instances.test("second", PHONE, channel="call", by="ann")
    assert (told.outcome, told.channel, bool(told.words)) == ("unavailable", "call", True)
    assert (await scene.otp.operator.retries.list()).items == ()
    assert scene.outbox.messages == []


async def test_a_test_that_cannot_be_made_sends_nothing(scene: Scene) -> None:
    operator = scene.otp.operator
    with pytest.raises(InvalidArgument, match="no instance 'nobody' is loaded"):
        await operator.instances.test("nobody", PHONE, by="ann")
    with pytest.raises(InvalidArgument, match=r"'second' does not do whatsapp\. Fix: --channel, one of: call, sms"):
        await operator.instances.test("second", PHONE, "whatsapp", by="ann")
    await operator.sending.pause(by="ann")
    with pytest.raises(RateLimited):
        await operator.instances.test("second", PHONE, by="ann")
    assert scene.second.messages == []
    assert [one.action for one in await operator.audit()] == ["sending.pause"]


@pytest.mark.parametrize(("digits", "outcome"), [("10", "accepted"), ("13", "rejected_number"), ("19", "undelivered")])
async def test_a_test_in_the_sandbox_comes_to_what_its_number_says(
    otp_outbox: Outbox, digits: str, outcome: str
) -> None:
    sandbox = {**QUEUEING, "sms": {"sandbox": True, "retry": True}, "otp_sms_provider": "mada;sinch"}
    settings = {**otp_outbox.settings, **sandbox}
    async with AsyncOTPService(settings, clock=otp_outbox.clock, runner=WorkerRunner()) as otp:
        told = await otp.operator.instances.test("sinch", f"+120255501{digits}", by="ann")
        assert (told.instance, told.outcome) == ("sinch", outcome)
        assert {message.instance for message in otp.sandbox_inbox()} <= {"sinch"}
        assert (await otp.operator.retries.list()).items == ()


async def test_a_test_number_and_an_operator_without_providers_are_refused(otp_outbox: Outbox, tmp_path: Path) -> None:
    reviewer = {"number": PHONE, "code": "482913", "until": "2030-12-31"}
    numbers = {"test_numbers_on": ["reviewer"], "test_numbers": {"reviewer": reviewer}}
    settings = {**otp_outbox.settings, "sms": numbers}
    async with AsyncOTPService(settings, providers=otp_outbox.providers, clock=otp_outbox.clock) as otp:
        with pytest.raises(InvalidArgument, match="is a test number"):
            await otp.operator.instances.test("outbox", PHONE, by="ann")
    async with AsyncOperator(on_file(tmp_path)) as operator:
        with pytest.raises(RuntimeError, match="no provider is open"):
            await operator.instances.test("outbox", PHONE, by="ann")
