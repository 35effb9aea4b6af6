"""The loop over the store: house-keeping goes on beside the retries, and ends with the service."""

from __future__ import annotations

import anyio
import pytest

from otpcore.runners.background import BackgroundRunner
from otpcore.stores.memory import MemoryStore
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


class Counting(MemoryStore):
    """A store that counts how often somebody claims."""

    claims = 0

    async def claim(self, *arguments, **more):
        self.claims += 1
        return await super().claim(*arguments, **more)


async def test_a_retry_is_claimed_a_moment_before_it_is_due_and_begins_as_of_then(otp_outbox: Outbox) -> None:
    store = MemoryStore()
    otp_outbox.fail("throttled", retry_after=5.0)
    with anyio.fail_after(20):
        async with otp_outbox.service(RETRIED, store=store, runner=BackgroundRunner(poll=0.02)) as otp:
            challenge = await otp.send_sms(PHONE)
            due_at = await store.next_due()
            assert due_at is not None
            otp_outbox.clock.advance((due_at - otp_outbox.clock()).total_seconds() - 0.03)
            await anyio.sleep(0.2)
            assert not otp_outbox.messages, "it is not due within 25 ms yet"
            otp_outbox.clock.advance(0.01)
            while not otp_outbox.messages:
                await anyio.sleep(0.01)
            (view,) = await store.view(challenge_id=challenge.id)
            assert [one.recorded_at for one in view.deliveries][1:] == [due_at]


async def nobody(*_):
    """A process that claims, and never begins."""
    await anyio.sleep_forever()


async def test_a_lease_that_runs_out_in_a_moment_is_waited_for(otp_outbox: Outbox) -> None:
    store = Counting()
    async with otp_outbox.service(RETRIED, store=store, runner="inline") as otp:
        store.begin_retry = nobody
        otp_outbox.fail("unavailable")
        with anyio.move_on_after(0.5):
            await otp.send_sms(PHONE)
    ((row, _),) = await store.retries(2)
    assert row.leased
    del store.begin_retry
    otp_outbox.clock.advance((row.due_at - otp_outbox.clock()).total_seconds() - 0.02)
    with anyio.fail_after(10):
        async with otp_outbox.service(RETRIED, store=store, runner=BackgroundRunner(poll=60)):
            store.claims = 0
            await anyio.sleep(0.3)
            assert 0 < store.claims < 40, "about every 20 ms"
            assert not otp_outbox.messages
            otp_outbox.clock.advance(0.02)
            while not otp_outbox.messages:
                await anyio.sleep(0.01)
