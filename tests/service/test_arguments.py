"""What a host gives is refused at the edge, whatever the store, where no store should have to keep it."""

from __future__ import annotations

import pytest

from otpcore import ChallengeState, VerificationStatus
from otpcore.errors import InvalidArgument
from otpcore.testing import Outbox

PHONE = "+359871234567"
LONGEST = "ж" * 100


@pytest.mark.parametrize("purpose", ["ж" * 101, "x" * 10_000])
async def test_a_purpose_without_end_is_refused_and_not_quoted(otp_outbox: Outbox, purpose: str) -> None:
    async with otp_outbox.service() as otp:
        for work in (otp.send_sms, otp.call):
            with pytest.raises(InvalidArgument, match=r"^purpose: has \d+ characters; it may have 100 at most$"):
                await work(PHONE, purpose=purpose)
        with pytest.raises(InvalidArgument, match=r"^purpose: "):
            await otp.verify(PHONE, "123456", purpose=purpose)
    assert otp_outbox.messages == []


async def test_the_longest_purpose_is_sent_and_verified(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        sent = await otp.send_sms(PHONE, purpose=LONGEST)
        assert (sent.state, sent.purpose) == (ChallengeState.SENT, LONGEST)
        assert (await otp.verify(PHONE, otp_outbox.code, purpose=LONGEST)).status is VerificationStatus.APPROVED


async def test_a_locale_without_end_is_refused(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        with pytest.raises(InvalidArgument, match=r"^locale: has 101 characters"):
            await otp.send_sms(PHONE, locale="b" * 101)
