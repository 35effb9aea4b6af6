"""A key that a process lacks: no right code is called wrong, and whoever has the key goes on."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import Any

import pytest

from otpcore import Channel, RetryElsewhere, RetryJob, SettingsError, VerificationStatus
from otpcore.runners.worker import WorkerRunner
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

PHONE = "+359871234567"


@pytest.fixture
async def lacking(otp_outbox: Outbox) -> dict[str, Any]:
    """Arguments of two services over one store: ``k2`` is current in the first, and unknown to the second."""
    index, code = token_urlsafe(32), {"k1": token_urlsafe(32), "k2": token_urlsafe(32)}
    store, retried = MemoryStore(), {"sms": {"retry": True}}
    return {
        "ahead": {**retried, "keys": {"index": index, "code": code, "current": "k2"}},
        "behind": {**retried, "keys": {"index": index, "code": {"k1": code["k1"]}, "current": "k1"}},
        "more": {"store": store, "runner": WorkerRunner()},
    }


async def test_a_right_code_is_never_called_wrong_for_want_of_a_key(
    otp_outbox: Outbox, lacking: dict[str, Any]
) -> None:
    async with (
        otp_outbox.service(lacking["ahead"], **lacking["more"]) as ahead,
        otp_outbox.service(lacking["behind"], **lacking["more"]) as behind,
    ):
        challenge = await ahead.send_sms(PHONE)
        for _ in range(3):
            with pytest.raises(SettingsError, match=r"keys\.code\.k2.*lacks it"):
                await behind.verify(PHONE, otp_outbox.code)
        with pytest.raises(SettingsError, match=r"keys\.code\.k2"):
            await behind.verify(challenge_id=challenge.id, code="000000")
        (view,) = await lacking["more"]["store"].view(challenge_id=challenge.id)
        assert view.challenge.attempts == 1  # three are given back, as where a vendor does not answer
        answer = await ahead.verify(PHONE, otp_outbox.code)
        assert answer.status is VerificationStatus.APPROVED


async def test_a_retry_waits_for_a_process_that_has_its_key_and_the_others_say_so_once(
    otp_outbox: Outbox, lacking: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        otp_outbox.service(lacking["ahead"], **lacking["more"]) as ahead,
        otp_outbox.service(lacking["behind"], **lacking["more"]) as behind,
    ):
        otp_outbox.fail("throttled")
        challenge = await ahead.send_sms(PHONE)
        otp_outbox.clock.advance(1)
        job = RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=otp_outbox.clock())
        for _ in range(3):
            assert await behind.run_retry(job) == RetryElsewhere()
            assert await behind._retries.claim(10) == ()
            await behind._retries.upkeep()
            otp_outbox.clock.advance(6)
        said = [record.getMessage() for record in caplog.records if record.name == "otpcore.retries"]
        assert len(said) == 1
        assert "keys.code.k2" in said[0]
        (view,) = await lacking["more"]["store"].view(challenge_id=challenge.id)
        assert view.schedule[0].attempts == 0
        await ahead.run_retry(job)
        assert await ahead.verify(PHONE, otp_outbox.code)


async def test_a_message_of_ones_own_and_metadata_are_sealed_under_the_challenges_key(
    otp_outbox: Outbox, lacking: dict[str, Any]
) -> None:
    """A resend by a process that is a step ahead leaves the retry to everybody who can read the code."""
    async with (
        otp_outbox.service(lacking["ahead"], **lacking["more"]) as ahead,
        otp_outbox.service(lacking["behind"], **lacking["more"]) as behind,
    ):
        await behind.send_sms(PHONE)
        otp_outbox.clock.advance(31)
        otp_outbox.fail("throttled")
        challenge = await ahead.send_sms(PHONE, message="Come in: {code}", metadata={"payee": "Shop"})
        otp_outbox.clock.advance(1)
        await behind.run_retry(RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=otp_outbox.clock()))
        assert otp_outbox.messages[-1].text == f"Come in: {otp_outbox.code}"
        assert await behind.verify(PHONE, otp_outbox.code)


async def test_a_resend_for_want_of_a_key_is_refused_and_charges_nothing(
    otp_outbox: Outbox, lacking: dict[str, Any]
) -> None:
    limits = {"limits": {"phone": ["2/10m"]}}
    async with (
        otp_outbox.service({**lacking["ahead"], **limits}, **lacking["more"]) as ahead,
        otp_outbox.service({**lacking["behind"], **limits}, **lacking["more"]) as behind,
    ):
        await ahead.send_sms(PHONE)
        otp_outbox.clock.advance(31)
        with pytest.raises(SettingsError, match=r"keys\.code\.k2"):
            await behind.send_sms(PHONE)
        await ahead.send_sms(PHONE)
        assert len(otp_outbox.messages) == 2


async def test_a_challenge_is_cancelled_even_where_its_number_cannot_be_read(
    otp_outbox: Outbox, lacking: dict[str, Any]
) -> None:
    async with (
        otp_outbox.service(lacking["ahead"], **lacking["more"]) as ahead,
        otp_outbox.service(lacking["behind"], **lacking["more"]) as behind,
    ):
        challenge = await ahead.send_sms(PHONE)
        assert await behind.cancel(challenge.id)
        assert (await ahead.verify(PHONE, otp_outbox.code)).status is VerificationStatus.NOT_FOUND
