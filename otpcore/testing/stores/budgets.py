"""Contract tests of unverified budgets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio

from otpcore.models import Outcome
from otpcore.rate_limits.admission import Asked, BudgetRule, BudgetWindow, LimitReason
from otpcore.stores.commands import Begun, Raced
from otpcore.stores.steps import CallResult
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import BUDGET, ENFORCED, RULE, TEN_MINUTES, budget_used, counted, refusals, verify
from otpcore.testing.stores.world import Failover, World

__all__ = ["BudgetTests"]


class BudgetTests(StoreBase):
    """Accepted sends that never verify use the budget up."""

    async def test_budgets_only_accepted_sends_count(self, world: World) -> None:
        for outcome in (Outcome.AMBIGUOUS, Outcome.BLOCKED):
            failover = await world.begin(phone=str(outcome), budget=BUDGET)
            await failover.answer(outcome, budget_rule=RULE)
        assert await budget_used(world) == []
        await counted(world, "phone-1")
        assert await budget_used(world) == [1]

    async def test_budgets_what_is_enforced_refuses_until_the_window_ends(self, world: World) -> None:
        await counted(world, "phone-1")
        assert isinstance(await world.ask(budget=BUDGET, budget_rule=ENFORCED), Begun)
        world.later(60)
        await counted(world, "phone-2")
        refused = await world.ask(world.limit("a", 5), budget=BUDGET, budget_rule=ENFORCED)
        assert (refused.reason, refused.retry_after) == ("unverified", 540)
        assert await world.used("a") == 0
        assert isinstance(await world.ask(budget="BG/", budget_rule=ENFORCED), Begun)
        world.later(540)
        assert isinstance(await world.ask(budget=BUDGET, budget_rule=ENFORCED), Begun)

    async def test_budgets_what_only_records_lets_the_send_go_on_and_records_it_once_it_begins(
        self, world: World
    ) -> None:
        await counted(world, "phone-1")
        await counted(world, "phone-2")
        late = await world.begin(phone="phone-1", budget=BUDGET, budget_rule=RULE)
        assert isinstance(late.begun, Raced)
        assert await refusals(world) == []
        begun = await world.ask(budget=BUDGET, budget_rule=RULE)
        assert begun.noted == (LimitReason.UNVERIFIED,)
        assert await refusals(world) == [(Asked.SEND, "unverified", False, 1)]

    async def test_budgets_a_phone_that_verifies_gives_back_what_it_used(self, world: World) -> None:
        failover = await counted(world, "phone-1")
        world.later(40)
        again = await world.resend(failover.id, budget=BUDGET)
        await again.answer(Outcome.ACCEPTED, budget_rule=RULE)
        await counted(world, "phone-2")
        assert await budget_used(world) == [3]
        await verify(world, "phone-1")
        assert await budget_used(world) == [1]

    async def test_budgets_a_phone_that_verifies_in_the_next_window_leaves_that_one_unused(self, world: World) -> None:
        rule = BudgetRule(windows=(BudgetWindow(least=1, length=timedelta(minutes=2)),), enforce=True)
        await counted(world, "phone-1", rule)
        world.later(120)
        await verify(world, "phone-1", rule)
        assert await budget_used(world) == [0]
        assert isinstance(await world.ask(budget=BUDGET, budget_rule=rule), Begun)

    async def test_budgets_a_late_acceptance_of_what_has_verified_is_not_counted(self, world: World) -> None:
        route = world.core("mada", "backup")
        failover = await world.begin(route, budget=BUDGET)
        first = failover.delivery
        await failover.answer(Outcome.AMBIGUOUS)
        await failover.answer(Outcome.ACCEPTED, budget_rule=RULE)
        await verify(world, "phone-1")
        plan = world.plan(route, budget_rule=RULE)
        await world.store.record(failover.ref, first, CallResult(outcome=Outcome.ACCEPTED), plan, world.now)
        assert await budget_used(world) == [0]

    async def test_budgets_a_phone_raises_the_budget_once_a_day(self, world: World) -> None:
        rule = BudgetRule(windows=(BudgetWindow(least=1, length=timedelta(days=7)),), share=1.0, enforce=True)
        for hours, verified in ((0, 1), (1, 1), (22.9, 1), (0.2, 2)):
            world.later(hours * 3600)
            await counted(world, "phone-1", rule)
            await verify(world, "phone-1", rule)
            assert [record.verified for record in await world.store.budgets()] == [verified]
        for phone in ("phone-2", "phone-3"):
            assert isinstance(await world.ask(budget=BUDGET, budget_rule=rule), Begun)
            await counted(world, phone, rule)
        assert (await world.ask(budget=BUDGET, budget_rule=rule)).reason == "unverified"

    async def test_budgets_the_next_window_goes_by_the_phones_of_the_one_before_and_halves_what_is_older(
        self, world: World
    ) -> None:
        rule = BudgetRule(windows=(BudgetWindow(least=1, length=TEN_MINUTES),), share=1.0)
        bases: list[Any] = []
        for phones in (6, 1, 0, 0):
            for number in range(phones):
                await counted(world, f"phone-{world.now}-{number}", rule)
                await verify(world, f"phone-{world.now}-{number}", rule)
            if not phones:
                await counted(world, f"phone-{world.now}", rule)
            bases += [record.base for record in await world.store.budgets()]
            world.later(600)
        assert bases == [0, 6, 3, 1]

    async def test_budgets_concurrent_acceptances_and_verifications_are_counted_exactly(self, world: World) -> None:
        failovers = [await world.begin(phone=f"phone-{number}", budget=BUDGET) for number in range(30)]

        async def deliver(failover: Failover, number: int) -> None:
            await failover.answer(Outcome.ACCEPTED, budget_rule=RULE)
            if number % 3 == 0:
                await verify(world, f"phone-{number}")

        async with anyio.create_task_group() as tasks:
            for number, failover in enumerate(failovers):
                tasks.start_soon(deliver, failover, number)
        assert [(one.used, one.verified) for one in await world.store.budgets()] == [(20, 10)]
