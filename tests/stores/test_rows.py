"""What only rows can show: slots that go, and the arithmetic of budgets."""

from __future__ import annotations

import itertools
import shutil
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otpcore.models import Outcome
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.sql.store import SqlStore
from otpcore.testing.stores.contract import START, World

moves = st.lists(
    st.tuples(st.sampled_from((0, 0, 1, 4, 9, 10, 11, 30, 59, 60, 61, 600)), st.integers(-2, 3), st.integers(0, 2)),
    max_size=30,
)


@pytest.fixture(params=["memory", "sqlite"])
def fresh_store(request, migrated, tmp_path):
    """Makes one empty store of a kind after another."""
    numbers = itertools.count()

    def make():
        if request.param == "memory":
            return MemoryStore()
        path = shutil.copy(migrated, tmp_path / f"{next(numbers)}.sqlite3")
        return SqlStore(f"sqlite:///{path}", synchronous="NORMAL")

    return make


@pytest.fixture
async def world(fresh_store):
    async with AsyncExitStack() as stack:
        store = fresh_store()
        await store.start(stack)
        yield World(store=store)


async def purge(world, challenges):
    never = world.now - timedelta(days=365)
    await world.store.purge(challenges_before=challenges, deliveries_before=never, phone_key=None, now=world.now)


async def kept_slots(world):
    return await world.store._read(lambda rows: int(rows.slot("twilio:VA1", "phone-1") is not None))


async def test_slots_that_nobody_holds_go(world):
    failover = await world.begin(world.vendor())
    await failover.answer(Outcome.UNAVAILABLE)
    assert await kept_slots(world) == 1
    await purge(world, challenges=world.at(-1))
    assert await kept_slots(world) == 0


async def test_a_mark_stays_as_long_as_the_challenge_whose_verification_it_is(world):
    old = await world.begin(world.vendor())
    await old.answer(Outcome.ACCEPTED, reference="VE1")
    await world.store.cancel(old.id, world.now)
    failover = await world.begin(world.vendor())
    await failover.answer(Outcome.UNAVAILABLE)
    await purge(world, challenges=world.at(-1))
    assert await kept_slots(world) == 1
    world.later(400)
    await purge(world, challenges=world.now)
    assert await kept_slots(world) == 0


async def move(world, key, used, verified, ends_at):
    await world.store._write(lambda rows: rows.move_budget(key, used, verified, world.now, ends_at))


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(moves)
def test_budgets_do_the_arithmetic_of_a_plain_model(fresh_store, plan):
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

    async def run():
        async with AsyncExitStack() as stack:
            store = fresh_store()
            await store.start(stack)
            await work(World(store=store))

    anyio.run(run)
