"""What keeps a number from being sent to: lists of the settings, an operator's switches, limits of none; all is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from otpcore import AsyncOTPService, ChallengeState, EventType, RateLimited, RetryDue, RetryJob, RetryOver
from otpcore.models import Channel
from otpcore.testing import Outbox

from .hosts import GERMAN, OTHERS, PHONE, SATELLITES, Host, reasons, refused

WAITING = {"sms": {"retry": True}, "retry": {"first_delay": 1, "jitter": 0}}


async def test_denied_numbers_are_not_sent_to_unless_they_verified_before(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {})
    async with host.otp as otp:
        await otp.send_sms(PHONE)
        await otp.verify(PHONE, otp_outbox.code)
    for lists in ({"deny": ["+359"]}, {"allow": ["+49"]}, {"allow": ["+", "+49"], "deny": ["+3598"]}):
        host.settings["limits"] = {"phone": [], "client": [], **lists}
        async with host.service() as otp:
            error = await refused(otp, OTHERS[0])
            assert (error.reason, error.retry_after) == ("denied", None)
            await otp.send_sms(GERMAN)
            assert (await otp.send_sms(PHONE)).state is ChallengeState.SENT
        otp_outbox.clock.advance(400)


async def test_an_operators_denial_takes_force_while_running_and_exempts_nobody(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"deny": ["+49"]})
    async with host.otp as otp:
        await otp.send_sms(PHONE)
        await otp.verify(PHONE, otp_outbox.code)
        await host.switch("+35987")
        await host.switch("+4915", allows=True)
        otp_outbox.clock.advance(5)
        assert (await refused(otp, PHONE)).reason == "denied"
        await otp.send_sms(OTHERS[0])
        await otp.send_sms(GERMAN)
        await host.switch("+35987", allows=True)
        otp_outbox.clock.advance(5)
        await otp.send_sms(PHONE)
        assert reasons(host.recorder, EventType.SWITCHES_CHANGED) == ["+35987: deny", "+4915: allow", "+35987: allow"]


async def test_regions_are_allowed_and_denied(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"allow": ["us", "+35988"], "deny": ["CA"]}, otp={"number_policy": "possible"})
    async with host.otp as otp:
        await otp.send_sms("+12025550123")
        await otp.send_sms(OTHERS[0])
        for phone in ("+14165550123", "+18765550123", PHONE, GERMAN, SATELLITES[0]):
            assert (await refused(otp, phone)).reason == "denied"


async def test_none_at_all_is_sent_where_the_limit_says_so(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"country": ["9/1h"], "countries": {"JM": ["0/1d"]}, "prefix": {"+35988": ["0/1h"]}})
    async with host.otp as otp:
        for phone in ("+18765550123", "+16585550123", OTHERS[0]):
            error = await refused(otp, phone)
            assert (error.reason, error.http_status, error.retry_after) == ("denied", 403, None)
        await otp.send_sms("+12025550123")
        assert [one.reason for one in await host.refusals()] == ["denied"] * 3


async def test_an_operator_denies_a_region_while_running(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {})
    async with host.otp as otp:
        await host.switch("BG")
        await host.switch("+35988", allows=True)
        otp_outbox.clock.advance(5)
        assert (await refused(otp, PHONE)).reason == "denied"
        await otp.send_sms(OTHERS[0])
        assert reasons(host.recorder, EventType.SWITCHES_CHANGED) == ["+35988: allow", "BG: deny"]


async def test_while_paused_nothing_is_sent_and_codes_are_verified(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {})
    async with host.otp as otp:
        await otp.send_sms(PHONE)
        await host.switch()
        otp_outbox.clock.advance(5)
        for send in (otp.send_sms, otp.call):
            with pytest.raises(RateLimited, match="paused"):
                await send(OTHERS[0])
        assert await otp.verify(PHONE, otp_outbox.code)
        await host.switch(off=True)
        otp_outbox.clock.advance(5)
        await otp.send_sms(OTHERS[0])
        assert len(otp_outbox.messages) == 2


async def queued(host: Host, otp: AsyncOTPService) -> RetryJob:
    """A retry that is due in a second."""
    host.outbox.fail("unavailable")
    challenge = await otp.send_sms(PHONE)
    assert challenge.state is ChallengeState.QUEUED
    due_at = await host.store.next_due()
    assert due_at is not None
    return RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=due_at)


async def test_what_waits_is_put_off_while_paused_and_sent_afterwards(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {}, **WAITING)
    async with host.otp as otp:
        job = await queued(host, otp)
        await host.switch()
        otp_outbox.clock.advance(5)
        for _ in range(4):
            left = await otp.run_retry(job)
            assert isinstance(left, RetryDue)
            job = left.job
            assert otp_outbox.messages == []
            otp_outbox.clock.advance(5)
        ((row, _),) = await host.store.retries(10)
        assert row.attempts == 0
        await host.switch(off=True)
        otp_outbox.clock.advance(5)
        assert await otp.run_retry(job) == RetryOver()
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_what_waits_for_a_denied_number_ends(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"phone": ["1/1d"]}, **WAITING)
    async with host.otp as otp:
        job = await queued(host, otp)
        await host.switch("+35987")
        otp_outbox.clock.advance(5)
        assert await otp.run_retry(job) == RetryOver()
        assert otp_outbox.messages == []
        assert reasons(host.recorder, EventType.UNSENDABLE) == ["denied"]
        assert [(one.asked, one.reason) for one in await host.refusals()] == [("retry", "denied")]
        assert [one.count for one in await host.store.counters("", otp_outbox.clock()) if "/send/" in one.key] == [0]


@pytest.mark.parametrize(
    "limits", [{"countries": {"BG": ["0/1d"]}}, {"prefix": {"+35987": ["0/1h"]}}, {"global": ["0/1d"]}], ids=str
)
async def test_what_waits_for_a_number_to_which_nothing_may_go_any_more_ends(
    otp_outbox: Outbox, limits: dict[str, Any]
) -> None:
    host = Host(otp_outbox, {}, **WAITING)
    async with host.otp as otp:
        job = await queued(host, otp)
    host.settings["limits"] = {**host.settings["limits"], **limits}
    async with host.service() as otp:  # the settings were changed, and the host started again
        otp_outbox.clock.advance(5)
        assert await otp.run_retry(job) == RetryOver()
        assert otp_outbox.messages == []
        assert reasons(host.recorder, EventType.UNSENDABLE) == ["denied"]
