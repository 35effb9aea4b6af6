"""Contract tests of retries: when the next try is due and when it ends."""

from __future__ import annotations

from typing import Any

import pytest

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.testing._store_base import StoreBase
from otpcore.testing._store_scenes import failed
from otpcore.testing._store_world import World
from otpcore.walks import BreakerRule, StepKind

__all__ = ["RetryTests"]


class RetryTests(StoreBase):
    """When the next try is due, who may run it, when it ends."""

    async def test_the_first_retry_is_due_after_the_first_delay(self, world: World) -> None:
        walk = await failed(world)
        assert (walk.step.kind, walk.step.due_at) == (StepKind.QUEUED, world.at(1))
        view = await walk.view()
        assert (view.challenge.state, view.schedule[0].leased) == (ChallengeState.QUEUED, False)
        assert await world.store.next_due() == world.at(1)
        assert (await world.claim()).claims == ()

    async def test_each_delay_doubles_up_to_the_longest(self, world: World) -> None:
        walk = await failed(world)
        delays: list[Any] = []
        while walk.step.kind is StepKind.QUEUED:
            delays.append((walk.step.due_at - world.now).total_seconds())
            walk = await world.claim_next()
            await walk.answer(Outcome.UNAVAILABLE)
        assert delays == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]
        assert walk.step.challenge.reason is UnsendableReason.EXPIRED

    async def test_a_retry_sends_the_same_code_and_an_acceptance_ends_it(self, world: World) -> None:
        first = await failed(world)
        retry = await world.claim_next()
        assert retry.delivery.is_retry
        assert retry.delivery.send_id == first.ref.send_id
        assert retry.step.challenge.code_sealed == b"sealed code"
        assert (await retry.answer(Outcome.ACCEPTED)).kind is StepKind.ACCEPTED
        assert await world.store.next_due() is None

    async def test_a_provider_that_asked_to_wait_is_not_tried_before(self, world: World) -> None:
        walk = await world.with_retries().begin()
        step = await walk.answer(Outcome.THROTTLED, retry_after=45)
        assert step.due_at == world.at(45)

    async def test_the_provider_that_asked_for_least_decides_when_and_the_other_still_waits(self, world: World) -> None:
        walk = await world.with_retries().begin(world.core("mada", "backup"))
        await walk.answer(Outcome.THROTTLED, retry_after=45)
        step = await walk.answer(Outcome.THROTTLED, retry_after=20)
        assert step.due_at == world.at(20)
        retry = await world.claim_next(world.core("mada", "backup"))
        assert retry.delivery.instance == "backup"
        step = await retry.answer(Outcome.UNAVAILABLE)
        assert (step.kind, step.due_at) == (StepKind.QUEUED, world.at(22))

    async def test_a_provider_that_asks_to_wait_beyond_the_useful_life_ends_sending_at_once(self, world: World) -> None:
        walk = await world.with_retries().begin()
        step = await walk.answer(Outcome.THROTTLED, retry_after=270.000001)
        assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.EXPIRED)
        on_time = await world.begin(phone="phone-2")
        assert (await on_time.answer(Outcome.THROTTLED, retry_after=270)).kind is StepKind.QUEUED

    async def test_an_instance_that_refused_for_good_is_left_out_of_retries(self, world: World) -> None:
        walk = await world.with_retries().begin(world.core("mada", "backup"))
        await walk.answer(Outcome.MISCONFIGURED)
        await walk.answer(Outcome.UNAVAILABLE)
        retry = await world.claim_next(world.core("mada", "backup"))
        assert retry.delivery.instance == "backup"
        step = await retry.answer(Outcome.LIMIT_REACHED)
        assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.PERMANENT)

    @pytest.mark.parametrize("max_retries", [0, 1, 3])
    async def test_max_retries_means_exactly_so_many_attempts_after_the_first(
        self, world: World, max_retries: int
    ) -> None:
        walk = await failed(world)
        rule: dict[str, Any] = {"max_retries": {Channel.SMS: max_retries}}
        for number in range(max_retries):
            world.now = walk.step.due_at
            (claim,) = (await world.claim(**rule)).claims
            assert claim.attempts == number + 1
            walk = await world.begin_retry(claim)
            await walk.answer(Outcome.UNAVAILABLE)
        world.now = walk.step.due_at
        batch = await world.claim(**rule)
        assert batch.claims == ()
        (ended,) = batch.ended
        assert (ended.channel, ended.challenge.reason) == (Channel.SMS, UnsendableReason.MAX_RETRIES)
        view = await walk.view()
        assert len(view.deliveries) == 1 + max_retries
        assert (view.challenge.state, view.schedule) == (ChallengeState.UNSENDABLE, ())

    async def test_a_retry_is_not_started_with_less_than_the_useful_life(self, world: World) -> None:
        walk = await failed(world)
        world.later(270.000001)
        (ended,) = (await world.claim()).ended
        assert ended.challenge.reason is UnsendableReason.EXPIRED
        assert (await walk.view()).schedule == ()

    async def test_nor_does_a_retry_go_on_to_another_instance_then(self, world: World) -> None:
        walk = await failed(world, world.core("mada", "backup"))
        await walk.answer(Outcome.UNAVAILABLE)
        world.later(269)
        retry = await world.claim_next(world.core("mada", "backup"))
        world.later(2)
        step = await retry.answer(Outcome.UNAVAILABLE)
        assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.EXPIRED)

    async def test_a_retry_of_somebody_who_has_no_attempts_left_ends(self, world: World) -> None:
        await failed(world)
        for _ in range(5):
            await world.reserve()
        world.later(1)
        (ended,) = (await world.claim()).ended
        assert ended.challenge.reason is UnsendableReason.MAX_ATTEMPTS

    async def test_a_retry_of_an_expired_challenge_closes_it(self, world: World) -> None:
        walk = await failed(world, charges=world.charges(seconds=3600))
        world.later(300)
        (ended,) = (await world.claim()).ended
        assert ended.challenge.state is ChallengeState.EXPIRED
        challenge = (await walk.view()).challenge
        assert (challenge.state, challenge.code_sealed) == (ChallengeState.EXPIRED, None)
        assert await world.used() == 0

    async def test_breaker_open_it_waits_for_the_next_probe(self, world: World) -> None:
        world.breaker = BreakerRule(threshold=1, probe_every=5.0)
        walk = await failed(world, outcome=Outcome.UNAVAILABLE)
        world.later(1)
        (claim,) = (await world.claim()).claims
        assert claim.attempts == 1
        retry = await world.begin_retry(claim)
        assert (retry.step.kind, retry.step.due_at) == (StepKind.QUEUED, world.at(6))
        assert (await walk.view()).schedule[0].attempts == 0
        assert len((await walk.view()).deliveries) == 1

    async def test_breaker_open_it_makes_the_probe_when_it_is_due(self, world: World) -> None:
        world.breaker = BreakerRule(threshold=1, probe_every=1.0)
        await failed(world, outcome=Outcome.UNAVAILABLE)
        retry = await world.claim_next()
        assert (await retry.answer(Outcome.ACCEPTED)).closed == "mada"

    async def test_breaker_open_another_instance_is_used_meanwhile(self, world: World) -> None:
        world.breaker = BreakerRule(threshold=1, probe_every=60.0)
        await failed(world, outcome=Outcome.UNAVAILABLE)
        retry = await world.claim_next(world.core("mada", "backup"))
        assert retry.delivery.instance == "backup"
