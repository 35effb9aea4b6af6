"""Windows and budgets do the arithmetic of a plain model, on every store, in whatever order things happen."""

from __future__ import annotations

import itertools
import shutil
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otpcore.records import ChargeRefused
from otpcore.stores.memory import MemoryStore
from otpcore.stores.sql import SqlStore

from .conftest import START, World

WINDOWS = ((2, 10), (3, 60), (5, 600))  # limit, seconds

waits = st.sampled_from((0, 0, 1, 4, 9, 10, 11, 30, 59, 60, 61, 600))
steps = st.lists(st.tuples(waits, st.sampled_from(("charge", "charge", "charge", "refund"))), max_size=40)
moves = st.lists(st.tuples(waits, st.integers(-2, 3), st.integers(0, 2)), max_size=30)


class Plain:
    """Windows in a dictionary: count and end."""

    def __init__(self):
        self.windows, self.charged = {}, []

    def charge(self, now):
        for _, seconds in WINDOWS:
            count, ends = self.windows.get(seconds, (0, 0))
            self.windows[seconds] = (count, ends) if ends > now else (0, now + seconds)
        full = [self.windows[seconds][1] - now for limit, seconds in WINDOWS if self.windows[seconds][0] >= limit]
        if full:
            return max(full)
        for _, seconds in WINDOWS:
            count, ends = self.windows[seconds]
            self.windows[seconds] = (count + 1, ends)
        self.charged.append(dict(self.windows))
        return None

    def refund(self):
        for seconds, (_, ended) in self.charged.pop().items():
            count, ends = self.windows[seconds]
            if ends == ended and count:
                self.windows[seconds] = (count - 1, ends)

    def counts(self, now):
        return {seconds: count for seconds, (count, ends) in self.windows.items() if ends > now}


def on(new_store, work):
    """Run work in a world around a fresh store."""

    async def run():
        async with AsyncExitStack() as stack:
            store = new_store()
            await store.start(stack)
            await work(World(store=store))

    anyio.run(run)


async def refund(world, charges):
    await world.store._write(lambda rows: [rows.refund(one) for one in charges])


async def move(world, key, used, verified, ends_at):
    await world.store._write(lambda rows: rows.move_budget(key, used, verified, world.now, ends_at))


@pytest.fixture(params=["memory", "sql"])
def fresh_store(request, migrated, tmp_path):
    """Makes one empty store of a kind after another."""
    numbers = itertools.count()

    def make():
        if request.param == "memory":
            return MemoryStore()
        path = shutil.copy(migrated, tmp_path / f"{next(numbers)}.sqlite3")
        return SqlStore(f"sqlite:///{path}", synchronous="NORMAL")

    return make


few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@few
@given(steps)
def test_counters(fresh_store, plan):
    async def work(world):
        plain, sent = Plain(), []
        for wait, what in plan:
            now = (world.later(wait) - START).total_seconds()
            if what == "charge":
                asked = await world.ask(*(world.limit(f"{seconds}", limit, seconds) for limit, seconds in WINDOWS))
                refused = asked.retry_after if isinstance(asked, ChargeRefused) else None
                assert refused == plain.charge(now)
                if refused is None:
                    sent.append(asked.charges)
            elif sent:
                await refund(world, sent.pop())
                plain.refund()
            kept = {int(one.key): one.count for one in await world.store.counters("", world.now) if one.key.isdigit()}
            assert kept == plain.counts(now)

    on(fresh_store, work)


@few
@given(moves)
def test_budgets(fresh_store, plan):
    async def work(world):
        plain = {}
        for wait, used, verified in plan:
            now = (world.later(wait) - START).total_seconds()
            for seconds in (10, 60):
                ends_at = world.now + timedelta(seconds=seconds)
                await move(world, str(seconds), used, verified, ends_at)
                had, phones, base, ends = plain.get(seconds, (0, 0, 0, 0))
                if ends <= now:
                    had, phones, base, ends = 0, 0, max(phones, base // 2), now + seconds
                plain[seconds] = (max(had + used, 0), phones + verified, base, ends)
            kept = {
                int(one.key): (one.used, one.verified, one.base, (one.window_ends_at - START).total_seconds())
                for one in await world.store.budgets()
            }
            assert kept == plain

    on(fresh_store, work)
