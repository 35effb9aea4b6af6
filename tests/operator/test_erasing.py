"""Who is erased is gone from both worlds, from the sealed records and the trail that are about the person, and from the sandbox's memory."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from otpcore import AsyncOTPService
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
        (change,) = await real.operator.audit()  # one for the world that kept them, by whichever key
        assert (change.action, change.by, change.target) == ("erase", "ann", "")


@pytest.mark.parametrize("is_sandbox", [False, True])
async def test_the_trail_keeps_that_somebody_did_something_and_not_to_whom(
    is_sandbox: bool, otp_outbox: Outbox, tmp_path: Path
) -> None:
    async with (
        otp_outbox.service(on_file(tmp_path, sms={"sandbox": True})) as sandbox,
        otp_outbox.service(on_file(tmp_path)) as real,
    ):
        ids = {phone: [await _change(otp, phone) for otp in (real, sandbox)] for phone in (PHONE, OTHER_PHONE)}
        before = {one.number: one for one in await real.operator.audit()}
        assert len(before) == 8
        erased = await (sandbox if is_sandbox else real).operator.erase(PHONE, by="bob", reason="request 12")
        assert erased.audits == 4
        found = await real.operator.audit()
        for one in found:
            old = before.get(one.number)
            if old is not None:
                assert (one.at, one.by, one.action) == (old.at, old.by, old.action)
                is_about = old.target in (*ids[PHONE], "+3598******67")
                assert one.detail.get("erased", False) == is_about
                assert is_about or one == old
        told = json.dumps([one.to_dict() for one in found])
        assert not [one for one in (*ids[PHONE], "+3598******67", "called from Plovdiv") if one in told]
        erasures = [one for one in found if one.action == "erase"]
        assert [(one.by, one.target, one.reason) for one in erasures] == [("bob", "", "request 12")]
        assert erasures == [found[0]]
        await real.operator.erase(PHONE, by="bob")
        assert await real.operator.audit() == found


async def test_the_sandbox_forgets_what_the_person_would_have_received(otp_outbox: Outbox, tmp_path: Path) -> None:
    async with otp_outbox.service(on_file(tmp_path, sms={"sandbox": True})) as otp:
        for phone in (PHONE, OTHER_PHONE):
            await otp.send_sms(phone)
        await otp.operator.erase(PHONE, by="ann")
        assert [one.phone.e164 for one in otp.sandbox_inbox()] == [OTHER_PHONE]


async def _change(otp: AsyncOTPService, phone: str) -> str:
    """Do two things to a person that name the person; the verification's id."""
    begun = await otp.send_sms(phone)
    reason = "called from Plovdiv" if phone == PHONE else "called from Berlin"
    assert await otp.operator.challenges.cancel(begun.id, by="ann", reason=reason)
    assert await otp.operator.limits.reset(phone, by="ann", reason=reason)
    return begun.id
