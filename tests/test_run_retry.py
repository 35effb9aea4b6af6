"""A retry claimed by name, as a runner with a queue of its own does it: what is left to do for it."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from otpcore.models import Channel, RetryJob
from otpcore.testing.outbox import Outbox

pytestmark = pytest.mark.anyio

PHONE = "+359871234567"
SETTINGS = {"sms": {"retry": True}, "retry": {"runner": "worker", "jitter": 0}, "storage": {"store": "sql"}}


@pytest.fixture
async def queued(otp_outbox: Outbox, tmp_path):
    """A service, and the job of a send that every provider refused."""
    settings = {**SETTINGS, "storage": {"url": f"sqlite:///{tmp_path}/otp.sqlite3", "store": "sql"}}
    async with otp_outbox.service(settings) as otp:
        otp_outbox.fail("throttled", times=2)
        challenge = await otp.send_sms(PHONE)
        (view,) = await otp._parts.store.view(challenge_id=challenge.id)
        yield otp, RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=view.schedule[0].due_at)


async def test_a_run_answers_the_next_retry_and_the_last_one_nothing(queued, otp_outbox: Outbox) -> None:
    otp, job = queued
    otp_outbox.clock.advance(0.5)
    later = await otp.run_retry(job)
    assert later.due_at == job.due_at + timedelta(seconds=1)
    assert await otp.run_retry(job) is None  # its message came twice: the send is further on
    otp_outbox.clock.advance(1)
    assert await otp.run_retry(later) is None
    assert await otp.run_retry(later) is None
    assert len(otp_outbox.messages) == 1


async def test_what_somebody_else_holds_comes_again_when_the_lease_is_over(queued, otp_outbox: Outbox) -> None:
    otp, job = queued
    otp_outbox.clock.advance(0.5)
    (claim,) = await otp._retries.claim(1)
    left = await otp.run_retry(job)
    assert left == attrs.evolve(job, due_at=otp_outbox.clock() + timedelta(seconds=15))
    assert await otp.run_retry(left) == left  # early, by this machine's clock or another's: a lease is not broken
    otp_outbox.clock.advance(15)
    await otp.run_retry(left)
    (view,) = await otp._parts.store.view(challenge_id=job.challenge_id)
    assert view.schedule[0].attempts == claim.attempts + 1


async def test_a_job_is_believed_about_a_wait(queued) -> None:
    """The store's clock may be a little behind that of the machine which waited."""
    otp, job = queued
    assert (await otp.run_retry(job)).due_at > job.due_at
