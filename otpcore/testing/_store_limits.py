"""Contract tests of limits: counters hold under concurrency, refunds are exact, breakers open, probe and close."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from otpcore.models import ChallengeState, Outcome
from otpcore.testing._store_base import StoreBase
from otpcore.testing._store_world import World
from otpcore.verbs import Begun, Refusal
from otpcore.walks import CallResult, StepKind

__all__ = ["BreakerTests", "CounterTests", "RefundTests"]


class CounterTests(StoreBase):
    """Counters hold, whoever comes at once."""

    async def test_counters_are_charged_all_or_none(self, world: World) -> None:
        charges = [world.limit("b", 1), world.limit("a", 5)]
        assert isinstance(await world.ask(*charges), Begun)
        assert [await world.used(key) for key in "ab"] == [1, 1]
        world.later(100)
        refused = await world.ask(*charges)
        assert (refused.reason, refused.retry_after) == ("b", 500.0)
        assert await world.used("a") == 1

    async def test_a_window_begins_with_its_first_send_and_ends_after_its_length(self, world: World) -> None:
        for _ in range(3):
            assert not hasattr(await world.charge(), "reason")
        world.later(599)
        assert (await world.charge()).retry_after == 1.0
        world.later(1)
        assert not hasattr(await world.charge(), "reason")
        assert await world.used() == 1

    async def test_concurrent_charges_never_pass_the_limit(self, world: World) -> None:
        passed: list[Any] = []

        async def charge() -> None:
            passed.append(not hasattr(await world.charge(limit=7), "reason"))

        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(charge)
        assert sum(passed) == 7
        assert await world.used() == 7


class RefundTests(StoreBase):
    """A send is charged once, and refunded once when certainly nothing left."""

    async def test_refunds_certainly_not_sent_is_refunded(self, world: World) -> None:
        walk = await world.begin(world.core("mada", "backup"), charges=world.charges())
        await walk.answer(Outcome.UNAVAILABLE)
        assert await world.used() == 1
        await walk.answer(Outcome.BLOCKED)
        assert await world.used() == 0

    @pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.AMBIGUOUS])
    async def test_refunds_what_may_have_left_is_paid_for(self, world: World, outcome: Outcome) -> None:
        walk = await world.begin(charges=world.charges())
        await walk.answer(outcome)
        assert await world.used() == 1

    async def test_refunds_a_late_answer_refunds_nothing_twice(self, world: World) -> None:
        await world.charge()
        walk = await world.begin(charges=world.charges())
        first = walk.delivery
        await walk.answer(Outcome.UNAVAILABLE)
        await world.store.record(
            walk.ref, first, CallResult(outcome=Outcome.UNAVAILABLE), world.plan(walk.route), world.now
        )
        assert await world.used() == 1

    async def test_refunds_a_window_that_ended_meanwhile_is_left_alone(self, world: World) -> None:
        charges = world.charges(seconds=10)
        walk = await world.begin(charges=charges)
        world.later(10)
        await world.charge(seconds=10)
        await walk.answer(Outcome.UNAVAILABLE)
        assert await world.used() == 1


class BreakerTests(StoreBase):
    """Five failures in a row open it; one walk a second is let through; one success closes it."""

    async def test_breaker_the_fifth_failure_in_a_row_opens_it(self, world: World) -> None:
        steps = await _fail(world, 3) + await _fail(world, 2, Outcome.AMBIGUOUS)
        assert [step.opened for step in steps] == [None] * 4 + ["mada"]
        (breaker,) = await world.store.breakers()
        assert (breaker.instance, breaker.failures, breaker.probe_at) == ("mada", 5, world.at(1))

    async def test_breaker_refused_numbers_never_count_and_a_success_starts_anew(self, world: World) -> None:
        await _fail(world, 4)
        await _fail(world, 3, Outcome.REJECTED_NUMBER)
        walk = await world.begin()
        assert (await walk.answer(Outcome.ACCEPTED)).closed is None
        assert await world.store.breakers() == ()

    async def test_breaker_an_open_instance_is_skipped(self, world: World) -> None:
        await _fail(world, 5)
        walk = await world.begin(world.core("mada", "backup"))
        assert walk.delivery.instance == "backup"

    async def test_breaker_without_another_instance_and_without_retries_the_send_is_refused(self, world: World) -> None:
        await _fail(world, 5)
        walk = await world.begin(charges=world.charges())
        assert walk.begun.refusal is Refusal.BREAKER_OPEN
        assert await world.used() == 0
        assert await world.store.view(phone_key="phone-1") == ()

    async def test_breaker_with_retries_the_send_waits_for_the_probe(self, world: World) -> None:
        await _fail(world.with_retries(), 5)
        walk = await world.begin()
        assert (walk.step.kind, walk.step.due_at) == (StepKind.QUEUED, world.at(1))
        assert (await walk.view()).challenge.state is ChallengeState.QUEUED

    async def test_breaker_one_walk_a_second_is_the_probe(self, world: World) -> None:
        await _fail(world, 5)
        world.later(1)
        walks: list[Any] = []

        async def begin(number: int) -> None:
            walks.append(await world.begin(phone=f"probe-{number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(begin, number)
        (probe,) = [walk for walk in walks if walk.step is not None]
        assert {walk.begun.refusal for walk in walks} == {None, Refusal.BREAKER_OPEN}
        step = await probe.answer(Outcome.ACCEPTED)
        assert step.closed == "mada"
        assert (await world.begin(phone="phone-9")).step is not None

    async def test_breaker_a_failed_probe_leaves_it_open_for_another_second(self, world: World) -> None:
        await _fail(world, 5)
        world.later(1)
        (step,) = await _fail(world, 1)
        assert step.opened is None
        assert (await world.begin(phone="phone-9")).begun.refusal is Refusal.BREAKER_OPEN
        world.later(1)
        assert (await world.begin(phone="phone-9")).step is not None

    async def test_breaker_a_send_that_lost_a_race_leaves_the_probe_due_when_it_was(self, world: World) -> None:
        living = await world.begin(world.core("backup"), phone="phone-9")
        await _fail(world, 5)
        (before,) = await world.store.breakers()
        world.later(30)
        lost = await world.begin(phone="phone-9")
        assert (lost.begun.refusal, lost.begun.challenge.id) == (Refusal.CONFLICT, living.id)
        assert await world.store.breakers() == (before,)


async def _fail(world: World, count: int, outcome: Outcome = Outcome.UNAVAILABLE) -> Any:
    steps: list[Any] = []
    for _ in range(count):
        walk = await world.begin(phone=f"failing-{next(world.numbers)}")
        steps.append(await walk.answer(outcome))
    return steps
