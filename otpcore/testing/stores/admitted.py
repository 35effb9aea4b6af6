"""Contract tests of how retries and receipts obey the switches, denials and budgets."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.rate_limits.admission import Asked, Barrier
from otpcore.stores.steps import CallInstance, Ended, Queued
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import (
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
from otpcore.testing.stores.world import World

__all__ = ["AdmittedReceiptTests", "AdmittedRetryTests"]


class AdmittedRetryTests(StoreBase):
    """What waits obeys the switches too."""

    async def test_retries_a_pause_puts_them_off_uncounted_and_calls_nobody(self, world: World) -> None:
        failover = await _queued(world)
        for _ in range(3):
            step = await _begin_retry(world, barrier=PAUSED, hold=timedelta(seconds=5))
            assert (type(step), step.due_at) == (Queued, world.now + timedelta(seconds=5))
        view = await failover.view()
        assert (view.challenge.state, len(view.deliveries)) == (ChallengeState.QUEUED, 1)
        assert [row.attempts for row in view.schedule] == [0]
        assert isinstance(await _begin_retry(world), CallInstance)

    async def test_retries_a_pause_longer_than_the_code_lives_ends_them(self, world: World) -> None:
        await _queued(world)
        step = await _begin_retry(world, barrier=PAUSED, hold=timedelta(seconds=290))
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.EXPIRED)

    async def test_retries_a_denied_number_ends_them_with_its_refund(self, world: World) -> None:
        await _queued(world, charges=world.charges())
        step = await _begin_retry(world, barrier=DENIED)
        assert (type(step), step.challenge.state) == (Ended, ChallengeState.UNSENDABLE)
        assert step.challenge.reason is UnsendableReason.DENIED
        assert await world.used() == 0
        assert await world.store.next_due() is None
        assert await refusals(world) == [(Asked.RETRY, "denied", True, 1)]
        assert (await world.reserve()).status == "reserved"

    async def test_retries_a_denied_number_that_may_have_got_a_message_is_not_refunded(self, world: World) -> None:
        failover = await world.with_retries().begin(charges=world.charges())
        await failover.answer(Outcome.AMBIGUOUS)
        step = await _begin_retry(world, barrier=DENIED)
        assert (type(step), step.challenge.state, step.challenge.confirmed) == (
            Ended,
            ChallengeState.SENT,
            False,
        )
        assert await world.used() == 1

    async def test_retries_whom_the_settings_deny_goes_on_once_verified(self, world: World) -> None:
        await counted(world, "phone-1")
        await verify(world, "phone-1")
        await _queued(world, subject="payment")
        assert isinstance(await _begin_retry(world, barrier=UNLESS_VERIFIED), CallInstance)

    async def test_retries_a_used_up_budget_puts_them_off_where_it_is_enforced(self, world: World) -> None:
        await _queued(world, phone="phone-3", budget=BUDGET)
        for phone in ("phone-1", "phone-2"):
            await counted(world, phone)
        assert isinstance(await _begin_retry(world, budget_rule=ENFORCED), Queued)
        assert isinstance(await _begin_retry(world, budget_rule=RULE), CallInstance)

    async def test_what_waits_is_read_page_by_page(self, world: World) -> None:
        world.breaker_threshold = 100
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
        assert (type(step), step.challenge.reason) == (Ended, UnsendableReason.DENIED)
        assert await refusals(world) == [(Asked.RETRY, "denied", True, 1)]

    async def test_receipts_it_waits_while_paused(self, world: World) -> None:
        world.with_retries()
        step = await _go_on(world, await _undelivered(world), PAUSED)
        assert isinstance(step, Queued)

    async def test_receipts_a_message_in_doubt_that_was_delivered_counts(self, world: World) -> None:
        failover = await world.begin(budget=BUDGET)
        first = failover.delivery
        await failover.answer(Outcome.AMBIGUOUS, budget_rule=RULE)
        for _ in range(2):
            await world.delivered(delivery_id=first.id, reference="M1", budget_rule=RULE)
        assert await budget_used(world) == [1]

    async def test_receipts_a_receipt_faster_than_the_answer_counts_once(self, world: World) -> None:
        failover = await world.begin(budget=BUDGET)
        await world.delivered(delivery_id=failover.delivery.id, reference="M1", budget_rule=RULE)
        await failover.answer(Outcome.ACCEPTED, reference="M1", budget_rule=RULE)
        assert await budget_used(world) == [1]


async def _queued(world: World, **more: Any) -> Any:
    failover = await world.with_retries().begin(**more)
    await failover.answer(Outcome.UNAVAILABLE)
    return failover


async def _begin_retry(world: World, **plan: Any) -> Any:
    world.now = max(world.now, await world.store.next_due())
    (claim,) = (await world.claim()).claims
    return await world.store.begin_retry(claim.ref, world.plan(world.core("mada"), is_retry=True, **plan), world.now)


async def _undelivered(world: World) -> Any:
    failover = await world.begin(world.core("mada", "backup"))
    await failover.answer(Outcome.ACCEPTED, reference="M1")
    return await world.undelivered(reference="M1", retried=(Channel.SMS,))


async def _go_on(world: World, received: Any, barrier: Barrier) -> Any:
    plan = world.plan(world.core("mada", "backup"), is_retry=True, barrier=barrier)
    return await world.store.go_on(received.follows, plan, world.now)
