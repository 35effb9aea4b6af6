"""Contract tests of claims, leases and fencing tokens: who may run a retry, and who must stop."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest

from otpcore.models import ChallengeState, Channel, Outcome
from otpcore.stores.steps import Accepted, CallInstance, PutOff, Queued, Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import failed
from otpcore.testing.stores.world import World

__all__ = ["ClaimingTests", "LeaseTests"]


class ClaimingTests(StoreBase):
    """One statement, nobody twice, only what the process can handle."""

    async def test_claiming_a_claim_is_leased_with_a_token_of_its_own(self, world: World) -> None:
        failover = await failed(world)
        world.later(1)
        (claim,) = (await world.claim()).claims
        assert claim.challenge.id == failover.id
        (row,) = (await failover.view()).schedule
        assert (row.due_at, row.lease_until, row.attempts) == (world.at(1), world.at(16), 1)
        assert row.token == claim.ref.token != failover.ref.token
        assert (await world.claim()).claims == ()

    async def test_claiming_of_many_claimers_each_row_goes_to_one(self, world: World) -> None:
        for number in range(12):
            await failed(world, phone=f"phone-{number}")
        world.later(1)
        claimed: list[Any] = []

        async def claim() -> None:
            claimed.extend((await world.claim(3)).claims)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(claim)
        assert len({claim.challenge.id for claim in claimed}) == len(claimed) == 12
        assert len({claim.ref.token for claim in claimed}) == 12

    async def test_claiming_the_earliest_come_first_and_no_more_than_asked(self, world: World) -> None:
        failovers: list[Any] = []
        for number in range(3):
            failovers.append(await failed(world, phone=f"phone-{number}"))
            world.later(0.1)
        world.later(5)
        batch = await world.claim(2)
        assert [claim.challenge.id for claim in batch.claims] == [failover.id for failover in failovers[:2]]

    async def test_claiming_nothing_before_it_is_due(self, world: World) -> None:
        failover = await failed(world)
        due_at = await world.store.next_due()
        assert due_at is not None
        world.now = due_at - timedelta(milliseconds=1)
        assert (await world.claim()).claims == ()
        world.now = due_at
        (claim,) = (await world.claim()).claims
        assert claim.challenge.id == failover.id

    async def test_claiming_by_name_leaves_a_provider_alone_for_as_long_as_it_asked(self, world: World) -> None:
        failover = await world.with_retries().begin()
        await failover.answer(Outcome.THROTTLED, retry_after=5.0)
        world.later(4.98)
        (claim,) = (await world.claim(job=await world.job(failover.id))).claims
        retry = await world.begin_retry(claim)
        assert (type(retry.step), retry.step.put_off) == (Queued, PutOff.THROTTLED)
        assert (retry.step.due_at, (await failover.view()).schedule[0].attempts) == (world.at(5), 0)

    async def test_claiming_only_channels_that_are_retried(self, world: World) -> None:
        await failed(world)
        world.later(1)
        assert (await world.claim(max_retries={Channel.CALL: 2})).claims == ()
        assert len((await world.claim(max_retries={Channel.SMS: 2})).claims) == 1

    async def test_claiming_only_with_the_key_that_sealed_the_code(self, world: World) -> None:
        await failed(world, key_id="key-2")
        world.later(1)
        assert (await world.claim()).claims == ()
        assert len((await world.claim(key_ids=frozenset({"key-1", "key-2"}))).claims) == 1

    async def test_claiming_only_when_the_forced_instances_are_there(self, world: World) -> None:
        await failed(world, forced=("mada", "in_house"))
        world.later(1)
        assert (await world.claim()).claims == ()
        batch = await world.claim(instances=frozenset({"mada", "in_house", "twilio"}))
        assert len(batch.claims) == 1

    async def test_claiming_rows_that_nobody_here_can_run_do_not_starve_the_others(self, world: World) -> None:
        for number in range(10):
            await failed(world, phone=f"foreign-{number}", forced=("in_house",))
        world.later(0.1)
        ours = await failed(world, forced=("backup", "mada"))
        anyones = await failed(world, phone="phone-2")
        world.later(5)
        batch = await world.claim(2)
        assert [claim.challenge.id for claim in batch.claims] == [ours.id, anyones.id]

    async def test_claiming_one_retry_by_name(self, world: World) -> None:
        failover = await failed(world)
        await failed(world, phone="phone-2")
        world.later(0.9)
        job = await world.job(failover.id)
        (claim,) = (await world.claim(job=job)).claims
        assert claim.challenge.id == failover.id
        assert (await world.claim(job=job)).claims == ()

    async def test_claiming_a_name_that_is_out_of_date_claims_nothing(self, world: World) -> None:
        failover = await failed(world)
        job = attrs.evolve(await world.job(failover.id), due_at=world.at(0.5))
        assert (await world.claim(job=job)).claims == ()
        await world.store.cancel(failover.id, world.now)
        assert (await world.claim(job=attrs.evolve(job, due_at=world.at(9)))).claims == ()


class LeaseTests(StoreBase):
    """A process died or stalled: somebody else goes on, and the one who comes back stops."""

    async def test_leases_a_first_send_that_died_is_picked_up_after_its_lease(self, world: World) -> None:
        failover = await world.with_retries().begin()
        world.later(9.999)
        assert (await world.claim()).claims == ()
        world.later(0.001)
        (claim,) = (await world.claim()).claims
        assert claim.attempts == 1
        retry = await world.begin_retry(claim)
        assert retry.step.repeat == failover.delivery.id

    async def test_leases_a_claim_that_died_is_picked_up_after_its_lease(self, world: World) -> None:
        await failed(world)
        world.later(1)
        await world.claim()
        world.later(15)
        (claim,) = (await world.claim()).claims
        assert claim.attempts == 2

    async def test_leases_a_claimer_that_lost_its_lease_may_not_start(self, world: World) -> None:
        await failed(world)
        world.later(1)
        (stale,) = (await world.claim()).claims
        world.later(15)
        (current,) = (await world.claim()).claims
        assert isinstance((await world.begin_retry(stale)).step, Stopped)
        assert isinstance((await world.begin_retry(current)).step, CallInstance)

    async def test_leases_an_answer_after_a_lost_lease_is_written_but_decides_nothing(self, world: World) -> None:
        first = await world.with_retries().begin()
        world.later(10)
        retry = await world.begin_retry((await world.claim()).claims[0])
        step = await first.answer(Outcome.BLOCKED)
        assert isinstance(step, Stopped)
        view = await first.view()
        assert [delivery.outcome for delivery in view.deliveries] == [Outcome.BLOCKED, Outcome.OPEN]
        assert view.schedule[0].token == retry.ref.token

    async def test_leases_an_acceptance_after_a_lost_lease_ends_the_retry(self, world: World) -> None:
        first = await world.with_retries().begin()
        world.later(10)
        retry = await world.begin_retry((await world.claim()).claims[0])
        assert isinstance(await first.answer(Outcome.ACCEPTED), Accepted)
        assert isinstance(await retry.answer(Outcome.UNAVAILABLE), Stopped)
        assert (await retry.view()).challenge.state is ChallengeState.SENT

    @pytest.mark.parametrize("ending", ["approved", "cancelled"])
    async def test_leases_a_retry_stops_once_the_challenge_is_over(self, world: World, ending: str) -> None:
        failover = await failed(world, world.core("mada", "backup"), Outcome.UNAVAILABLE)
        await failover.answer(Outcome.UNAVAILABLE)
        world.now = failover.step.due_at
        (claim,) = (await world.claim()).claims
        if ending == "approved":
            await world.store.approve(await world.reserve(), settled=(), now=world.now)
        else:
            await world.store.cancel(failover.id, world.now)
        assert isinstance((await world.begin_retry(claim)).step, Stopped)
        assert len((await failover.view()).deliveries) == 2
