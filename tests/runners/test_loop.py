"""The loop over the store: house-keeping goes on beside the retries, and ends with the service."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from otpcore.runners.background import BackgroundRunner
from otpcore.runners.loop import RetryLoop
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

PHONE = "+359871234567"
RETRIED = {"sms": {"retry": True}, "retry": {"first_delay": 0.1, "jitter": 0.0}}


class StuckHouse(MemoryStore):
    """A store whose signs of life take as long as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck, self.freed = anyio.Event(), anyio.Event()

    async def beat(self, *arguments, **more):
        self.stuck.set()
        await self.freed.wait()
        return await super().beat(*arguments, **more)


@pytest.mark.parametrize("kind", ["background", "worker"])
async def test_house_keeping_that_takes_long_holds_no_retry_up(otp_outbox: Outbox, kind: str) -> None:
    store = StuckHouse()
    otp_outbox.fail("unavailable")
    runner = BackgroundRunner(poll=0.05, kind=kind)
    with anyio.fail_after(20):
        async with otp_outbox.service(RETRIED, store=store, runner=runner) as otp:
            await store.stuck.wait()
            assert (await otp.send_sms(PHONE)).state == "queued"
            while not otp_outbox.messages:
                otp_outbox.clock.advance(0.1)
                await anyio.sleep(0.02)
            assert not (await store.status(otp_outbox.clock(), None)).workers, (
                "its first sign of life is still under way"
            )
            store.freed.set()
            assert await otp.verify(PHONE, otp_outbox.code)


async def test_house_keeping_that_fails_is_told_and_done_again(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    store = StuckHouse()
    store.freed.set()
    failures = [OSError("no disk"), OSError("no disk")]
    beat = store.beat

    async def failing(*arguments, **more):
        if failures:
            raise failures.pop()
        return await beat(*arguments, **more)

    store.beat = failing
    with anyio.fail_after(20):
        async with otp_outbox.service(RETRIED, store=store, runner=BackgroundRunner(poll=0.02)):
            while not (await store.status(otp_outbox.clock(), None)).workers:
                otp_outbox.clock.advance(6)
                await anyio.sleep(0.02)
    assert sum("retries wait: OSError" in record.message for record in caplog.records) == 2


class SlowLeave(MemoryStore):
    """A store that takes a moment to take a sign of life back, as every database does."""

    async def leave(self, *arguments, **more):
        await anyio.sleep(0.01)
        await super().leave(*arguments, **more)


async def test_a_runner_whose_host_is_cancelled_takes_back_its_sign_of_life(otp_outbox: Outbox) -> None:
    """Else the next look at the workers counts one that is gone."""
    store, loop = SlowLeave(), RetryLoop(concurrency=1, poll=0.02, kind="background")

    async def workers() -> int:
        return len((await store.status(otp_outbox.clock(), None)).workers)

    async with otp_outbox.service(RETRIED, store=store, runner=Elsewhere()) as otp:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(loop.run, otp._retries)
                while not await workers():
                    otp_outbox.clock.advance(6)
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
        assert not await workers()


class Counting(MemoryStore):
    """A store that counts how often somebody claims."""

    claims = 0

    async def claim(self, *arguments, **more):
        self.claims += 1
        return await super().claim(*arguments, **more)


async def test_a_retry_begins_when_the_provider_has_been_left_alone_for_as_long_as_it_asked(
    otp_outbox: Outbox,
) -> None:
    store = MemoryStore()
    otp_outbox.fail("throttled", retry_after=5.0)
    with anyio.fail_after(20):
        async with otp_outbox.service(RETRIED, store=store, runner=BackgroundRunner(poll=0.02)) as otp:
            challenge = await otp.send_sms(PHONE)
            due_at = await store.next_due()
            assert due_at is not None
            otp_outbox.clock.advance((due_at - otp_outbox.clock()).total_seconds() - 0.01)
            await anyio.sleep(0.2)
            assert not otp_outbox.messages, "it is not due yet"
            otp_outbox.clock.advance(0.01)
            while not otp_outbox.messages:
                await anyio.sleep(0.01)
            (view,) = await store.view(challenge_id=challenge.id)
            assert [one.recorded_at for one in view.deliveries][1:] == [due_at]


class Elsewhere:
    """A runner in another process."""

    async def start(self, exit_stack, host):
        """Runs nothing here."""

    async def submit(self, job):
        """As above."""


class Behind(Counting):
    """Its clock is a little behind that of the runner."""

    async def claim(self, rule, limit, now):
        return await super().claim(rule, limit, now - timedelta(seconds=0.02))


async def test_a_retry_is_claimed_soon_after_it_is_due_by_a_store_whose_clock_is_behind(otp_outbox: Outbox) -> None:
    store = Behind()
    async with otp_outbox.service(RETRIED, store=store, runner=Elsewhere()) as otp:
        otp_outbox.fail("unavailable")
        await otp.send_sms(PHONE)
    otp_outbox.clock.advance(0.1)
    with anyio.fail_after(10):
        async with otp_outbox.service(RETRIED, store=store, runner=BackgroundRunner(poll=60)):
            await anyio.sleep(0.3)
            assert 1 < store.claims < 40, "about every 10 ms"
            assert not otp_outbox.messages
            otp_outbox.clock.advance(0.02)
            while not otp_outbox.messages:
                await anyio.sleep(0.01)


async def test_what_nobody_here_can_run_is_looked_at_only_now_and_then(otp_outbox: Outbox) -> None:
    store = Counting()
    async with otp_outbox.service(RETRIED, store=store, runner=Elsewhere()) as otp:
        otp_outbox.fail("unavailable")
        await otp.send_sms(PHONE)
    otp_outbox.clock.advance(90)
    with anyio.fail_after(10):
        async with otp_outbox.service({}, store=store, runner=BackgroundRunner(poll=60)):
            while not store.claims:
                await anyio.sleep(0.01)
            await anyio.sleep(0.3)
            assert store.claims == 1
            assert not otp_outbox.messages
