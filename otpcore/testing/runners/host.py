"""Contract tests of how a runner lives in its host: exceptions, cancellation, closing, a store or a broker that is away, upkeep."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import anyio
import pytest

from otpcore.clock import utc_now
from otpcore.models import ChallengeState
from otpcore.testing.runners.bench import DELAY, RunnerBase, RunnerBench
from otpcore.testing.stores.world import World

__all__ = ["HostTests", "TroubleTests"]


class HostTests(RunnerBase):
    """A runner is a guest."""

    async def test_the_hosts_cancellation_passes(self, bench: RunnerBench) -> None:
        with anyio.fail_after(bench.patience), anyio.CancelScope() as scope:
            async with bench.open(), anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught

    async def test_closing_finishes_what_is_under_way(self, bench: RunnerBench) -> None:
        self.only_in_background()
        phone = bench.phone()
        bench.courier.gates[phone] = anyio.Event()
        job = await bench.leave(phone)

        async def let_it_go() -> None:
            await anyio.sleep(DELAY)
            bench.courier.gates[phone].set()

        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(bench.patience):
                async with bench.open():
                    await bench.until(lambda: len(bench.courier.attempts[phone]) == 2)
                    tasks.start_soon(let_it_go)
        assert bench.courier.delivered[phone] == 1
        async with bench.reading():
            assert (await bench.view(job.challenge_id)).challenge.state is ChallengeState.SENT

    async def test_closing_does_not_wait_for_what_is_not_due(self, bench: RunnerBench) -> None:
        self.only_in_background()
        phone = bench.phone()
        with anyio.fail_after(bench.patience):
            async with bench.open(
                retry={"first_delay": 2 * bench.patience, "max_delay": 2 * bench.patience}
            ) as service:
                bench.courier.fail(phone)
                challenge = await service.send_sms(phone)
        async with bench.reading():
            assert (await bench.view(challenge.id)).schedule, "the row stays for the next process"

    async def test_upkeep_is_done_and_the_sign_of_life_taken_back(self, bench: RunnerBench) -> None:
        if not self.sweeps:
            pytest.skip("the runner leaves sweeping to others")
        past = utc_now() - timedelta(hours=1)
        world = World(store=bench.store, now=past, numbers=itertools.count(1))
        async with bench.reading():
            failover = await world.begin()
        async with bench.open():
            view = await bench.until_state(failover.id, ChallengeState.EXPIRED)
            assert view.challenge.code_sealed is None
            status = await bench.store.status(past, utc_now())
            assert len(status.workers) == 1, "upkeep leaves a sign of life"
        async with bench.reading() as store:
            assert not (await store.status(past, utc_now())).workers, "a runner that ends calls `leave`"


class TroubleTests(RunnerBase):
    """What a runner needs is away for a while."""

    async def test_a_store_that_is_away_for_a_while_does_not_end_it(
        self, bench: RunnerBench, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.only_in_background()
        caplog.set_level(logging.CRITICAL + 1)
        phone = bench.phone()
        await bench.leave(phone)
        async with bench.open():
            bench.store.away = True
            await bench.until(lambda: bench.store.refused)
            bench.store.away = False
            await bench.until_delivered(phone)

    async def test_what_was_submitted_while_the_broker_was_away_is_run(
        self, bench: RunnerBench, broker_trouble: Callable[[], AbstractContextManager[None]]
    ) -> None:
        phone = bench.phone()
        async with bench.open() as service:
            with broker_trouble():
                bench.courier.fail(phone)
                with anyio.fail_after(bench.patience):
                    challenge = await service.send_sms(phone)
                assert challenge.state in (ChallengeState.QUEUED, ChallengeState.SENT)
            await bench.until_delivered(phone)
