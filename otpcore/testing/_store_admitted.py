"""Contract tests of how retries and receipts obey the switches, denials and budgets."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from otpcore.admission import Asked, Barrier
from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.testing._store_base import StoreBase
from otpcore.testing._store_scenes import (
    BUDGET,
    DENIED,
    ENFORCED,
    PAUSED,
    RULE,
    UNLESS_VERIFIED,
    budget_used,
    counted,
    refusals,
    verify,
)
from otpcore.testing._store_world import World
from otpcore.walks import BreakerRule, StepKind

__all__ = ["AdmittedReceiptTests", "AdmittedRetryTests"]


class AdmittedRetryTests(StoreBase):
    """What waits obeys the switches too."""

    async def test_retries_a_pause_puts_them_off_uncounted_and_calls_nobody(self, world: World) -> None:
        walk = await _queued(world)
        for _ in range(3):
            step = await _begin_retry(world, barrier=PAUSED, hold=timedelta(seconds=5))
            assert (step.kind, step.due_at) == (StepKind.QUEUED, world.now + timedelta(seconds=5))
        view = await walk.view()
        assert (view.challenge.state, len(view.deliveries)) == (ChallengeState.QUEUED, 1)
        assert [row.attempts for row in view.schedule] == [0]
        assert (await _begin_retry(world)).kind is StepKind.CALL

    async def test_retries_a_pause_longer_than_the_code_lives_ends_them(self, world: World) -> None:
        await _queued(world)
        step = await _begin_retry(world, barrier=PAUSED, hold=timedelta(seconds=290))
        assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.EXPIRED)

    async def test_retries_a_denied_number_ends_them_with_its_refund(self, world: World) -> None:
        await _queued(world, charges=world.charges())
        step = await _begin_retry(world, barrier=DENIED)
        assert (step.kind, step.challenge.state) == (StepKind.ENDED, ChallengeState.UNSENDABLE)
        assert step.challenge.reason is UnsendableReason.PERMANENT
        assert await world.used() == 0
        assert await world.store.next_due() is None
        assert await refusals(world) == [(Asked.RETRY, "denied", True, 1)]
        assert (await world.reserve()).status == "reserved"

    async def test_retries_a_denied_number_that_may_have_got_a_message_is_not_refunded(self, world: World) -> None:
        walk = await world.with_retries().begin(charges=world.charges())
        await walk.answer(Outcome.AMBIGUOUS)
        step = await _begin_retry(world, barrier=DENIED)
        assert (step.kind, step.challenge.state, step.challenge.confirmed) == (
            StepKind.ENDED,
            ChallengeState.SENT,
            False,
        )
        assert await world.used() == 1

    async def test_retries_whom_the_settings_deny_goes_on_once_verified(self, world: World) -> None:
        await counted(world, "phone-1")
        await verify(world, "phone-1")
        await _queued(world, subject="payment")
        assert (await _begin_retry(world, barrier=UNLESS_VERIFIED)).kind is StepKind.CALL

    async def test_retries_a_used_up_budget_puts_them_off_where_it_is_enforced(self, world: World) -> None:
        await _queued(world, phone="phone-3", budget=BUDGET)
        for phone in ("phone-1", "phone-2"):
            await counted(world, phone)
        assert (await _begin_retry(world, budget_rule=ENFORCED)).kind is StepKind.QUEUED
        assert (await _begin_retry(world, budget_rule=RULE)).kind is StepKind.CALL

    async def test_what_waits_is_read_page_by_page(self, world: World) -> None:
        world.breaker = BreakerRule(threshold=100)
        for number in range(7):
            await _queued(world, phone=f"phone-{number}")
            world.later(number % 2)
        pages, last = [], None
        while page := await world.store.retries(3, after=last):
            pages.append([challenge.phone_key for _, challenge in page])
            last = page[-1][0]
        assert [len(page) for page in pages] == [3, 3, 1]
        assert sorted(itertools.chain(*pages)) == [f"phone-{number}" for number in range(7)]


class AdmittedReceiptTests(StoreBase):
    """What vendors report later goes by the same limits."""

    async def test_receipts_a_message_that_was_not_delivered_goes_nowhere_else_once_denied(self, world: World) -> None:
        step = await _go_on(world, await _undelivered(world), DENIED)
        assert (step.kind, step.challenge.reason) == (StepKind.ENDED, UnsendableReason.PERMANENT)
        assert await refusals(world) == [(Asked.RETRY, "denied", True, 1)]

    async def test_receipts_it_waits_while_paused(self, world: World) -> None:
        world.with_retries()
        step = await _go_on(world, await _undelivered(world), PAUSED)
        assert step.kind is StepKind.QUEUED

    async def test_receipts_a_message_in_doubt_that_was_delivered_counts(self, world: World) -> None:
        walk = await world.begin(budget=BUDGET)
        first = walk.delivery
        await walk.answer(Outcome.AMBIGUOUS, budget_rule=RULE)
        for _ in range(2):
            await world.delivered(delivery_id=first.id, reference="M1", budget_rule=RULE)
        assert await budget_used(world) == [1]

    async def test_receipts_a_receipt_faster_than_the_answer_counts_once(self, world: World) -> None:
        walk = await world.begin(budget=BUDGET)
        await world.delivered(delivery_id=walk.delivery.id, reference="M1", budget_rule=RULE)
        await walk.answer(Outcome.ACCEPTED, reference="M1", budget_rule=RULE)
        assert await budget_used(world) == [1]


async def _queued(world: World, **more: Any) -> Any:
    walk = await world.with_retries().begin(**more)
    await walk.answer(Outcome.UNAVAILABLE)
    return walk


async def _begin_retry(world: World, **plan: Any) -> Any:
    world.now = max(world.now, await world.store.next_due())
    (claim,) = (await world.claim()).claims
    return await world.store.begin_retry(claim.walk, world.plan(world.core("mada"), is_retry=True, **plan), world.now)


async def _undelivered(world: World) -> Any:
    walk = await world.begin(world.core("mada", "backup"))
    await walk.answer(Outcome.ACCEPTED, reference="M1")
    return await world.undelivered(reference="M1", retried=(Channel.SMS,))


async def _go_on(world: World, received: Any, barrier: Barrier) -> Any:
    plan = world.plan(world.core("mada", "backup"), is_retry=True, barrier=barrier)
    return await world.store.go_on(received.walk, plan, world.now)
