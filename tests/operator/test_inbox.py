"""The sandbox's inbox, as an operator opens it: codes that verify now, and nothing else."""

from __future__ import annotations

from pathlib import Path

from otpcore import AsyncOTPService
from otpcore.testing import Outbox

from .scenes import PHONE, on_file


def sandboxed(outbox: Outbox, directory: Path) -> AsyncOTPService:
    return outbox.service(on_file(directory, sms={"sandbox": True}, otp={"cooldown": 0}))


async def test_a_replaced_code_is_shown_no_more_and_its_delivery_does_not_show_the_new_one(
    otp_outbox: Outbox, tmp_path: Path
) -> None:
    async with sandboxed(otp_outbox, tmp_path) as otp:
        await otp.send_sms(PHONE, code="408162")
        otp_outbox.clock.advance(1)
        await otp.send_sms(PHONE, code="735519")
        (message,) = await otp.operator.inbox(PHONE, reveal=True)
        assert (message.code, message.at) == ("735519", otp_outbox.clock())
        assert await otp.verify(PHONE, message.code)


async def test_a_code_that_is_sent_again_is_shown_for_each_message(otp_outbox: Outbox, tmp_path: Path) -> None:
    async with sandboxed(otp_outbox, tmp_path) as otp:
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(1)
        await otp.send_sms(PHONE)
        first, second = await otp.operator.inbox(PHONE, reveal=True)
        assert first.code == second.code
        assert first.at < second.at


async def test_what_was_only_relayed_is_no_code(otp_outbox: Outbox, tmp_path: Path) -> None:
    async with sandboxed(otp_outbox, tmp_path) as otp:
        await otp.send_sms(PHONE, message="Your parcel is at the door.", verifiable=False)
        await otp.send_sms(PHONE, code="408162", verifiable=False)
        assert await otp.operator.inbox(PHONE, reveal=True) == ()
        assert len(otp.sandbox_inbox(PHONE)) == 2, "the process that sent shows the texts themselves"
