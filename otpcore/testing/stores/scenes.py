"""Scenes that several parts of the store contract begin with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs

from otpcore.models import Outcome
from otpcore.rate_limits.admission import Barrier, BudgetRule, BudgetWindow, LimitReason
from otpcore.stores.steps import Candidate
from otpcore.testing.stores.world import Failover, World

__all__ = [
    "BUDGET",
    "DENIED",
    "ENFORCED",
    "PAUSED",
    "RULE",
    "TEN_MINUTES",
    "UNLESS_VERIFIED",
    "accepted",
    "budget_used",
    "counted",
    "failed",
    "outcomes_of",
    "refusals",
    "state_of",
    "verify",
]

PAUSED = Barrier(reason=LimitReason.PAUSED)
DENIED = Barrier(reason=LimitReason.DENIED)
UNLESS_VERIFIED = attrs.evolve(DENIED, unless_verified=True)
BUDGET = "BG/+35987"
TEN_MINUTES = timedelta(minutes=10)
RULE = BudgetRule(windows=(BudgetWindow(least=2, length=TEN_MINUTES),))
ENFORCED = attrs.evolve(RULE, enforce=True)


async def accepted(
    world: World, route: Sequence[Candidate] | None = None, reference: str = "M1", **more: Any
) -> Failover:
    """A send that its first provider took."""
    failover = await world.begin(route or world.core("mada", "backup"), **more)
    await failover.answer(Outcome.ACCEPTED, reference=reference)
    return failover


async def failed(
    world: World, route: Sequence[Candidate] | None = None, outcome: Outcome = Outcome.THROTTLED, **more: Any
) -> Failover:
    """A first send that failed, with a retry due; the breaker does not count this failure."""
    failover = await world.with_retries().begin(route or world.core("mada"), **more)
    await failover.answer(outcome)
    return failover


async def counted(world: World, phone: str, rule: BudgetRule = RULE) -> Failover:
    """A send of this phone that a provider took, and that the budget counts."""
    failover = await world.begin(phone=phone, budget=BUDGET)
    await failover.answer(Outcome.ACCEPTED, budget_rule=rule)
    return failover


async def verify(world: World, phone: str, rule: BudgetRule = RULE) -> None:
    """This phone types the right code."""
    reservation = await world.reserve(phone=phone)
    assert await world.store.approve(reservation, settled=(), budget=rule, now=world.now)


async def refusals(world: World, **which: Any) -> list[tuple[Any, ...]]:
    """What was refused, the latest first: whose wish, why, whether it counted, how often."""
    return [(one.asked, one.reason, one.enforced, one.count) for one in await world.store.refusals(100, **which)]


async def budget_used(world: World) -> list[int]:
    """How much of each budget is used up."""
    return [record.used for record in await world.store.budgets()]


async def state_of(failover: Failover) -> tuple[Any, ...]:
    """Where a challenge stands: state, confirmed, reason."""
    challenge = (await failover.view()).challenge
    return challenge.state, challenge.confirmed, challenge.reason


async def outcomes_of(failover: Failover) -> list[Outcome]:
    """What became of each delivery of a challenge."""
    return [delivery.outcome for delivery in (await failover.view()).deliveries]
