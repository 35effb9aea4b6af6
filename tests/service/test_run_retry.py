"""A retry claimed by name, as a runner with a queue of its own does it: what is left to do for it."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from otpcore.models import Channel, RetryDue, RetryElsewhere, RetryJob, RetryOver
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
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        yield otp, RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=view.schedule[0].due_at)


async def test_a_run_answers_the_next_retry_and_the_last_one_nothing(queued, otp_outbox: Outbox) -> None:
    otp, job = queued
    otp_outbox.clock.advance(0.5)
    later = (await otp.run_retry(job)).job
    assert later.due_at == job.due_at + timedelta(seconds=1)
    assert await otp.run_retry(job) == RetryOver()  # its message came twice: the send is further on
    otp_outbox.clock.advance(1)
    assert await otp.run_retry(later) == RetryOver()
    assert await otp.run_retry(later) == RetryOver()
    assert len(otp_outbox.messages) == 1


async def test_what_somebody_else_holds_comes_again_when_the_lease_is_over(queued, otp_outbox: Outbox) -> None:
    otp, job = queued
    otp_outbox.clock.advance(0.5)
    (claim,) = await otp._retries.claim(1)
    left = await otp.run_retry(job)
    assert left == RetryDue(job=attrs.evolve(job, due_at=otp_outbox.clock() + timedelta(seconds=15)))
    early = await otp.run_retry(left.job)  # by this machine's clock or another's: a lease is not broken
    assert early == RetryElsewhere()
    otp_outbox.clock.advance(15)
    await otp.run_retry(left.job)
    (view,) = await otp._service.store.view(challenge_id=job.challenge_id)
    assert view.schedule[0].attempts == claim.attempts + 1


async def test_a_job_is_believed_about_a_wait(queued) -> None:
    """The store's clock may be a little behind that of the machine which waited."""
    otp, job = queued
    assert (await otp.run_retry(job)).job.due_at > job.due_at


async def test_what_this_process_cannot_run_comes_again_for_one_that_can(queued, otp_outbox: Outbox) -> None:
    otp, job = queued
    otp_outbox.clock.advance(0.5)
    arguments = {"store": otp._service.store, "providers": {"another": otp_outbox}}
    async with otp_outbox.service({"sms": {"retry": True}}, **arguments) as other:
        assert await other.run_retry(job) == RetryElsewhere()


@pytest.mark.parametrize(
    ("limits", "state"),
    [
        ({"phone": ["0/1d"]}, "unsendable"),
        ({"global": ["0/1d"]}, "unsendable"),
        ({"channel": {"sms": ["0/1d"]}}, "unsendable"),
        ({"channel": {"call": ["0/1d"]}}, "sent"),
        ({"countries": {"BG": ["0/1d"]}}, "unsendable"),
        ({"prefix": {"+35987": ["0/1h"]}}, "unsendable"),
        ({"deny": ["BG"]}, "unsendable"),
        ({"countries": {"US": ["0/1d"]}}, "sent"),
        ({"client": ["0/1d"]}, "sent"),
        ({"phone": ["1/1d"]}, "sent"),
    ],
    ids=str,
)
async def test_what_was_queued_before_a_limit_was_set_to_none_at_all_is_not_sent(
    otp_outbox: Outbox, tmp_path, limits: dict[str, object], state: str
) -> None:
    settings = {**SETTINGS, "storage": {"url": f"sqlite:///{tmp_path}/otp.sqlite3", "store": "sql"}}
    async with otp_outbox.service(settings) as otp:
        otp_outbox.fail("throttled", times=1)
        challenge = await otp.send_sms(PHONE, client="203.0.113.7")
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
    job = RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=view.schedule[0].due_at)
    otp_outbox.clock.advance(1)
    async with otp_outbox.service({**settings, "limits": limits}) as otp:
        assert await otp.run_retry(job) == RetryOver()
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
    assert (view.challenge.state, len(otp_outbox.messages)) == (state, 1 if state == "sent" else 0)
    assert view.challenge.reason == ("denied" if state == "unsendable" else None)


async def test_the_provider_of_a_queued_challenge_is_none_while_every_one_was_left_out(
    otp_outbox: Outbox, tmp_path
) -> None:
    settings = {**SETTINGS, "storage": {"url": f"sqlite:///{tmp_path}/otp.sqlite3", "store": "sql"}}
    settings["retry"] = {**SETTINGS["retry"], "breaker_threshold": 1}
    async with otp_outbox.service(settings) as otp:
        otp_outbox.fail("unavailable", times=1)
        tried = await otp.send_sms(PHONE)
        left_out = await otp.send_sms("+359881234567")
    assert (tried.state, tried.provider) == ("queued", "outbox")
    assert (left_out.state, left_out.provider) == ("queued", None)
