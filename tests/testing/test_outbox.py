"""The outbox for tests of hosts: retries cost a test no time, and its clock tells what they would have cost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from otpcore import ChallengeState, EventType
from otpcore.testing import EventRecorder, FakeClock, Outbox

PHONE = "+359871234567"
RETRY = {"sms": {"retry": True}}
STARTED = FakeClock()()


async def test_a_send_waits_for_its_retries_by_the_clock_alone(otp_outbox):
    async with otp_outbox.service(RETRY) as otp:
        otp_outbox.fail("unavailable", times=4)
        challenge = await otp.send_sms(PHONE)
    assert challenge.state is ChallengeState.SENT
    assert timedelta(seconds=6) <= otp_outbox.clock() - STARTED <= timedelta(seconds=9), "0.5, 1, 2 and 4 s, +- 20 %"


@pytest.mark.parametrize("settings", [{}, {"retry": {"runner": "inline", "first_delay": 2}}], ids=repr)
def test_so_it_does_in_plain_code_whatever_else_is_said_of_retries(otp_outbox, settings):
    with otp_outbox.blocking_service({**RETRY, **settings}) as otp:
        otp_outbox.fail("unavailable", times=2)
        assert otp.send_sms(PHONE).state is ChallengeState.SENT
        assert otp.verify(PHONE, otp_outbox.code)
    assert otp_outbox.clock() > STARTED


async def test_the_clock_may_be_another_outboxs(otp_outbox):
    other = Outbox()
    async with otp_outbox.service(RETRY, clock=other.clock) as otp:
        otp_outbox.fail("unavailable")
        await otp.send_sms(PHONE)
    assert (otp_outbox.clock(), other.clock() > STARTED) == (STARTED, True)


async def test_in_the_background_a_retry_waits_until_the_clock_has_come_to_it(otp_outbox):
    told = EventRecorder()
    async with otp_outbox.service(RETRY, runner="background", observers=[told]) as otp:
        otp_outbox.fail("unavailable")
        assert (await otp.send_sms(PHONE)).state is ChallengeState.QUEUED
        assert not otp_outbox.messages
        otp_outbox.clock.advance(1)
        await told.wait_for(EventType.DELIVERY_ACCEPTED)
        assert await otp.verify(PHONE, otp_outbox.code)


@pytest.mark.parametrize(("storage", "warned"), [({}, 0), ({"storage": {"store": "memory", "outbox": True}}, 1)])
def test_the_store_of_the_ready_services_warns_of_nothing(otp_outbox, caplog, storage, warned):
    with otp_outbox.blocking_service(storage) as otp:
        assert otp.verify(PHONE, otp_outbox.code if otp.send_sms(PHONE) else "")
    assert sum("memory store" in record.message for record in caplog.records) == warned
