"""What a guesser gets: so many wrong codes, and no word about which part was wrong."""

from __future__ import annotations

import hmac

import pytest

from otpcore import RateLimited, VerificationStatus
from otpcore.testing import Outbox, wrong_code

PHONE, OTHER = "+359871234567", "+359881234567"


async def test_a_phone_is_locked_for_everybody_after_a_hundred_wrong_codes_in_a_row(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        for number in range(20):
            await otp.send_sms(PHONE)
            for by in range(1, 6):
                answer = await otp.verify(PHONE, wrong_code(otp_outbox.code, by), client=f"client {number} {by}")
                assert answer.status is VerificationStatus.INCORRECT
            otp_outbox.clock.advance(301)
        with pytest.raises(RateLimited, match="locked") as locked:
            await otp.send_sms(PHONE, client="client 101")
        assert locked.value.retry_after is None
        otp_outbox.clock.advance(365 * 86_400)
        with pytest.raises(RateLimited, match="locked"):
            await otp.send_sms(PHONE)


async def test_a_new_code_does_not_forget_wrong_ones_and_a_right_one_does(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:

        async def guess_wrong(times: int) -> None:
            for by in range(1, times + 1):
                assert not await otp.verify(PHONE, wrong_code(otp_outbox.code, by))

        for _ in range(2):
            for times in (5, 4):
                await otp.send_sms(PHONE)
                await guess_wrong(times)
                otp_outbox.clock.advance(0 if times == 4 else 301)
            assert await otp.verify(PHONE, otp_outbox.code), "nine in a row lock nobody"
        for times in (5, 4):
            await otp.send_sms(PHONE)
            await guess_wrong(times)
            otp_outbox.clock.advance(301)
        await otp.send_sms(PHONE)
        await guess_wrong(1)
        with pytest.raises(RateLimited, match="locked") as locked:
            await otp.verify(PHONE, otp_outbox.code)
        assert locked.value.retry_after == 30


async def test_a_number_that_was_sent_nothing_costs_the_same_keyed_work(
    otp_outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    copy = hmac.HMAC.copy

    def counted(keyed: hmac.HMAC) -> hmac.HMAC:
        digests.append(keyed)
        return copy(keyed)

    monkeypatch.setattr(hmac.HMAC, "copy", counted)
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        work = []
        for phone in (PHONE, OTHER):
            digests.clear()
            assert not await otp.verify(phone, wrong_code(otp_outbox.code))
            work.append(len(digests))
    assert work[0] == work[1] > 0


async def test_a_purpose_of_its_own_keeps_a_sessions_attempts_from_others(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        ours = await otp.send_sms(PHONE, purpose="login-1")
        code = otp_outbox.code
        theirs = await otp.send_sms(PHONE, purpose="login-2")
        assert theirs.id != ours.id
        for by in range(1, 6):
            assert not await otp.verify(PHONE, wrong_code(code, by), challenge_id=theirs.id, purpose="login-2")
        assert await otp.verify(PHONE, code, challenge_id=ours.id, purpose="login-1")


async def test_under_one_purpose_whoever_asks_gets_the_same_challenge(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        first = await otp.send_sms(PHONE, client="203.0.113.7")
        assert (await otp.send_sms(PHONE, client="198.51.100.9")).id == first.id
        assert len(otp_outbox.messages) == 1
