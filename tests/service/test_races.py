"""A send that others are faster than, and one for a code that is nearly over."""

from __future__ import annotations

from typing import Any

import pytest

from otpcore import ChallengeState, RateLimited, StoreError
from otpcore.stores.commands import Raced
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

PHONE = "+359871234567"


class Outrun(MemoryStore):
    """Somebody else is always a little faster."""

    begun = 0

    async def begin(self, *arguments: Any, **more: Any) -> Raced:
        self.begun += 1
        return Raced()


async def test_who_is_outrun_five_times_is_told_to_try_again(otp_outbox: Outbox) -> None:
    store = Outrun()
    async with otp_outbox.service(store=store) as otp:
        with pytest.raises(StoreError, match="try again"):
            await otp.send_sms(PHONE)
    assert store.begun == 5


@pytest.mark.parametrize(("after", "is_sent"), [(540, True), (540.5, False)])
async def test_a_message_is_sent_again_for_as_long_as_its_code_lives_a_minute(
    otp_outbox: Outbox, after: float, *, is_sent: bool
) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(290)
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(after - 290)
        if is_sent:
            assert (await otp.send_sms(PHONE)).state is ChallengeState.SENT
        else:
            with pytest.raises(RateLimited, match="renewal"):
                await otp.send_sms(PHONE)
    assert len(otp_outbox.messages) == (3 if is_sent else 2)
