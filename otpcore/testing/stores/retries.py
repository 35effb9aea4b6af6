"""Contract tests of retries: when the next try is due and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from otpcore.events import EventType
from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.retrying import RetryPolicy
from otpcore.stores.steps import Accepted, Ended, Queued
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import failed
from otpcore.testing.stores.world import World

__all__ = ["RetryTests"]


class RetryTests(StoreBase):
    """When the next try is due, who may run it, when it ends."""

    async def test_the_first_retry_is_due_after_the_first_delay(self, world: World) -> None:
        failover = await failed(world)
        assert (type(failover.step), failover.step.due_at) == (Queued, world.at(1))
        view = await failover.view()
        assert (view.challenge.state, view.schedule[0].lease_until) == (ChallengeState.QUEUED, None)
        assert await world.store.next_due() == world.at(1)
        assert (await world.claim()).claims == ()

    async def test_each_delay_doubles_up_to_the_longest(self, world: World) -> None:
        failover = await failed(world)
        delays: list[Any] = []
        while isinstance(failover.step, Queued):
            delays.append((failover.step.due_at - world.now).total_seconds())
            failover = await world.claim_next()
            await failover.answer(Outcome.UNAVAILABLE)
        assert delays == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]
        assert failover.step.challenge.reason is UnsendableReason.EXPIRED

    async def test_a_retry_sends_the_same_code_and_an_acceptance_ends_it(self, world: World) -> None:
        first = await failed(world)
        retry = await world.claim_next()
        assert retry.delivery.is_retry
        assert retry.delivery.send_id == first.ref.send_id
        assert retry.step.challenge.code_sealed == b"sealed code"
        assert isinstance(await retry.answer(Outcome.ACCEPTED), Accepted)
        assert await world.store.next_due() is None

    async def test_a_provider_that_asked_to_wait_is_not_tried_before(self, world: World) -> None:
        failover = await world.with_retries().begin()
        step = await failover.answer(Outcome.THROTTLED, retry_after=45)
        assert step.due_at == world.at(45)

    async def test_the_provider_that_asked_for_least_decides_when_and_the_other_still_waits(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada", "backup"))
        await failover.answer(Outcome.THROTTLED, retry_after=45)
        step = await failover.answer(Outcome.THROTTLED, retry_after=20)
        assert step.due_at == world.at(20)
        retry = await world.claim_next(world.core("mada", "backup"))
        assert retry.delivery.instance == "backup"
        step = await retry.answer(Outcome.UNAVAILABLE)
        assert (type(step), step.due_at) == (Queued, world.at(22))

    async def test_a_provider_that_asks_to_wait_beyond_the_useful_life_ends_sending_at_once(self, world: World) -> None:
        failover = await world.with_retries().begin()
        step = await failover.answer(Outcome.THROTTLED, retry_after=270.000001)
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.EXPIRED)
        on_time = await world.begin(phone="phone-2")
        assert isinstance(await on_time.answer(Outcome.THROTTLED, retry_after=270), Queued)

    async def test_an_instance_that_refused_for_good_is_left_out_of_retries(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada", "backup"))
        await failover.answer(Outcome.MISCONFIGURED)
        await failover.answer(Outcome.UNAVAILABLE)
        retry = await world.claim_next(world.core("mada", "backup"))
        assert retry.delivery.instance == "backup"
        step = await retry.answer(Outcome.LIMIT_REACHED)
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.LIMIT_REACHED)

    async def test_a_retry_that_finds_every_instance_misconfigured_ends_so(self, world: World) -> None:
        await failed(world)
        retry = await world.claim_next()
        step = await retry.answer(Outcome.MISCONFIGURED)
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.MISCONFIGURED)
        assert (await retry.view()).challenge.reason is UnsendableReason.MISCONFIGURED

    async def test_a_retry_whom_the_rules_leave_nobody_is_no_fault_of_the_number(self, world: World) -> None:
        await failed(world)
        retry = await world.claim_next(())
        assert (type(retry.step), retry.step.challenge.reason) == (Ended, UnsendableReason.FAILED)

    @pytest.mark.parametrize("max_retries", [0, 1, 3])
    async def test_max_retries_means_exactly_so_many_attempts_after_the_first(
        self, world: World, max_retries: int
    ) -> None:
        failover = await failed(world)
        rule: dict[str, Any] = {"max_retries": {Channel.SMS: max_retries}}
        for number in range(max_retries):
            world.now = failover.step.due_at
            (claim,) = (await world.claim(**rule)).claims
            assert claim.attempts == number + 1
            failover = await world.begin_retry(claim)
            await failover.answer(Outcome.UNAVAILABLE)
        world.now = failover.step.due_at
        batch = await world.claim(**rule)
        assert batch.claims == ()
        (ended,) = batch.ended
        assert (ended.channel, ended.challenge.reason) == (Channel.SMS, UnsendableReason.MAX_RETRIES)
        view = await failover.view()
        assert len(view.deliveries) == 1 + max_retries
        assert (view.challenge.state, view.schedule) == (ChallengeState.UNSENDABLE, ())

    async def test_after_the_last_retry_nothing_is_due_any_more(self, world: World) -> None:
        world.retry = RetryPolicy(max_retries=1, first_delay=1.0, max_delay=30.0, jitter=0.0)
        failover = await world.begin()
        assert isinstance(await failover.answer(Outcome.UNAVAILABLE), Queued)
        retry = await world.claim_next()
        step = await retry.answer(Outcome.UNAVAILABLE)
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.MAX_RETRIES)
        assert (await failover.view()).schedule == ()

    async def test_a_retry_is_not_started_with_less_than_the_useful_life(self, world: World) -> None:
        failover = await failed(world)
        world.later(270.000001)
        (ended,) = (await world.claim()).ended
        assert ended.challenge.reason is UnsendableReason.EXPIRED
        assert (await failover.view()).schedule == ()

    async def test_nor_does_a_retry_go_on_to_another_instance_then(self, world: World) -> None:
        failover = await failed(world, world.core("mada", "backup"))
        await failover.answer(Outcome.UNAVAILABLE)
        world.later(269)
        retry = await world.claim_next(world.core("mada", "backup"))
        world.later(2)
        step = await retry.answer(Outcome.UNAVAILABLE)
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.EXPIRED)

    async def test_a_retry_of_somebody_who_has_no_attempts_left_ends(self, world: World) -> None:
        await failed(world)
        for _ in range(5):
            await world.reserve()
        world.later(1)
        (ended,) = (await world.claim()).ended
        assert ended.challenge.reason is UnsendableReason.MAX_ATTEMPTS

    async def test_a_retry_of_an_expired_challenge_closes_it(self, world: World) -> None:
        failover = await failed(world, charges=world.charges(seconds=3600))
        world.later(300)
        (ended,) = (await world.claim()).ended
        assert ended.challenge.state is ChallengeState.EXPIRED
        challenge = (await failover.view()).challenge
        assert (challenge.state, challenge.code_sealed) == (ChallengeState.EXPIRED, None)
        assert await world.used() == 0

    async def test_breaker_open_it_waits_for_the_next_probe(self, world: World) -> None:
        world.breaker_threshold = 1
        failover = await failed(world, outcome=Outcome.UNAVAILABLE)
        world.later(1)
        assert (await world.begin(phone="phone-2")).step.is_probe
        (claim,) = (await world.claim()).claims
        assert claim.attempts == 1
        retry = await world.begin_retry(claim)
        assert (type(retry.step), retry.step.due_at) == (Queued, world.at(2))
        assert (await failover.view()).schedule[0].attempts == 0
        assert len((await failover.view()).deliveries) == 1

    async def test_breaker_open_it_makes_the_probe_when_it_is_due(self, world: World) -> None:
        world.breaker_threshold = 1
        await failed(world, outcome=Outcome.UNAVAILABLE)
        retry = await world.claim_next()
        assert (await retry.record(Outcome.ACCEPTED)).news == (EventType.BREAKER_CLOSED,)

    async def test_breaker_open_another_instance_is_used_meanwhile(self, world: World) -> None:
        world.breaker_threshold = 1
        await failed(world, outcome=Outcome.UNAVAILABLE)
        world.later(1)
        assert (await world.begin(phone="phone-2")).step.is_probe
        retry = await world.claim_next(world.core("mada", "backup"))
        assert retry.delivery.instance == "backup"
