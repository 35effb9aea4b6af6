"""Who is erased is gone from both worlds, from the sealed records that are about the person, and from the sandbox's memory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from otpcore.models import World
from otpcore.testing import Outbox

from .scenes import OTHER_PHONE, PHONE, on_file

WRITTEN = "+359 (87) 123-4567"


@pytest.mark.parametrize("is_sandbox", [False, True])
async def test_records_of_either_world_that_are_about_a_person_go(
    is_sandbox: bool, otp_outbox: Outbox, tmp_path: Path
) -> None:
    async with (
        otp_outbox.service(on_file(tmp_path, sms={"sandbox": True})) as sandbox,
        otp_outbox.service(on_file(tmp_path)) as real,
    ):
        store, soon = real.store.within(World.REAL), otp_outbox.clock() + timedelta(hours=1)
        now = otp_outbox.clock()
        for number, otp in enumerate((real, sandbox)):
            for phone in (PHONE, OTHER_PHONE):
                about, key = await otp.operator.look_up(phone), f"{number}{phone[1:3]}"
                await store.put_record("server", key, b"sealed", expires_at=soon, about=about, now=now)
        assert await real.operator.look_up(WRITTEN) == await real.operator.look_up(PHONE)
        erased = await (sandbox if is_sandbox else real).operator.erase(PHONE, by="ann")
        assert erased.records == 2
        left = await store.list_records("server", now=now)
        assert [one.key for one in left.items] == ["049", "149"]
        assert {one.target for one in await real.operator.audit(action="erase")} == {"+3598******67"}


async def test_the_sandbox_forgets_what_the_person_would_have_received(otp_outbox: Outbox, tmp_path: Path) -> None:
    async with otp_outbox.service(on_file(tmp_path, sms={"sandbox": True})) as otp:
        for phone in (PHONE, OTHER_PHONE):
            await otp.send_sms(phone)
        await otp.operator.erase(PHONE, by="ann")
        assert [one.phone.e164 for one in otp.sandbox_inbox()] == [OTHER_PHONE]
