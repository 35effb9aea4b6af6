"""Contract tests of windows: in whatever order things happen, counters do the arithmetic of a plain model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otpcore.models import Outcome
from otpcore.stores.commands import Refused
from otpcore.stores.contract import Store
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import START, Failover, World

__all__ = ["WindowTests"]

_WINDOWS = ((2, 10), (3, 60), (5, 600))  # limit, seconds

_waits = st.sampled_from((0, 0, 1, 4, 9, 10, 11, 30, 59, 60, 61, 600))
_steps = st.lists(st.tuples(_waits, st.sampled_from(("charge", "charge", "charge", "refund"))), max_size=40)


class _Plain:
    """Windows in a dictionary: count and end."""

    def __init__(self) -> None:
        self.windows: dict[int, tuple[int, float]] = {}
        self.charged: list[dict[int, tuple[int, float]]] = []

    def charge(self, now: float) -> float | None:
        for _, seconds in _WINDOWS:
            count, ends = self.windows.get(seconds, (0, 0))
            self.windows[seconds] = (count, ends) if ends > now else (0, now + seconds)
        full = [self.windows[seconds][1] - now for limit, seconds in _WINDOWS if self.windows[seconds][0] >= limit]
        if full:
            return max(full)
        for _, seconds in _WINDOWS:
            count, ends = self.windows[seconds]
            self.windows[seconds] = (count + 1, ends)
        self.charged.append(dict(self.windows))
        return None

    def refund(self) -> None:
        for seconds, (_, ended) in self.charged.pop().items():
            count, ends = self.windows[seconds]
            if ends == ended and count:
                self.windows[seconds] = (count - 1, ends)

    def counts(self, now: float) -> dict[int, int]:
        return {seconds: count for seconds, (count, ends) in self.windows.items() if ends > now}


class WindowTests(StoreBase):
    """Every window counts by itself, and a refund finds the window that it was charged to."""

    def test_counters_do_the_arithmetic_of_a_plain_model(self, new_stores: Callable[[], Store]) -> None:
        async def work(plan: list[tuple[float, str]]) -> None:
            async with AsyncExitStack() as stack:
                store = new_stores()
                await store.start(stack)
                await _compare(World(store=store), plan)

        @settings(
            max_examples=2 * self.examples,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(plan=_steps)
        def compared(plan: list[tuple[float, str]]) -> None:
            anyio.run(work, plan, backend=self.event_loops[0])

        compared()


async def _compare(world: World, plan: list[tuple[float, str]]) -> None:
    plain, sent = _Plain(), []
    for wait, what in plan:
        now = (world.later(wait) - START).total_seconds()
        if what == "charge":
            failover = await _send(world)
            refused = failover.begun if isinstance(failover.begun, Refused) else None
            assert (refused and refused.retry_after) == plain.charge(now)
            if refused is None:
                sent.append(failover)
        elif sent:
            await sent.pop().answer(Outcome.BLOCKED)  # it certainly reached nobody
            plain.refund()
        kept = {int(one.key): one.count for one in await world.store.counters("", world.now) if one.key.isdigit()}
        assert kept == plain.counts(now)


async def _send(world: World) -> Failover:
    """A send of somebody else, whose code outlives the test."""
    charges = tuple(world.limit(f"{seconds}", limit, seconds) for limit, seconds in _WINDOWS)
    return await world.begin(phone=f"phone-{next(world.numbers)}", charges=charges, life=timedelta(days=1))
