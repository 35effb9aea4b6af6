"""Counters that many senders share, on a server: nobody waits for somebody else's, and the limit is exact all the same."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import anyio
import attrs
import pytest
from sqlalchemy import create_engine, text

from otpcore.rate_limits.admission import BudgetRecord, Charge
from otpcore.service.charging import Origin, charges_of
from otpcore.settings.tree import LimitSettings
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.sql.columns import to_microseconds
from otpcore.stores.sql.server.stripes import STRIPES
from otpcore.stores.sql.store import SqlStore

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name

HOUR = timedelta(hours=1)
PATIENCE = 20


@pytest.fixture(params=["postgres", "mariadb"])
def server_url(request: pytest.FixtureRequest) -> str:
    url = request.getfixturevalue(f"{request.param}_url")
    empty(url)
    return url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlStore]:
    store = SqlStore(url, patience=PATIENCE)
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield store


@pytest.fixture
async def world(server_url, new_world):
    world = new_world()
    async with opened(server_url) as store:
        world.store = store
        yield world


@pytest.fixture
def anyio_backend():
    return "asyncio"  # every unit runs in a worker thread, whichever event loop waits for it


def everybody(limit: int, key: str = "all/global/3600") -> Charge:
    return Charge(key=key, limit=limit, window=HOUR, reason="global", shared=True)


def execute(url: str, statement: str, **values) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def count_rows(url: str, table: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()
    engine.dispose()
    return found


async def meets_nobody(store: SqlStore, unit) -> None:
    """The unit ends although the same one, run by somebody else, has done its work and does not commit."""
    held, end = threading.Event(), threading.Event()

    def holding(rows):
        unit(rows)
        held.set()
        end.wait(PATIENCE)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store._write, holding)
        try:
            await anyio.to_thread.run_sync(held.wait)
            for _ in range(3):
                with anyio.fail_after(PATIENCE / 4):
                    await store._write(unit)
        finally:
            end.set()


async def test_two_senders_that_charge_one_limit_do_not_wait_for_one_another(world):
    await world.ask(everybody(1000))
    done = []
    await meets_nobody(world.store, lambda rows: done.extend(rows.charge([everybody(1000)], world.now)))
    assert len(done) == 4
    assert await world.used("all/global/3600") == 5


async def test_two_senders_that_use_one_budget_do_not_wait_for_one_another(world):
    def use(rows):
        rows.move_budget("BG/+359/3600", 1, 0, world.now, world.now + HOUR)

    await world.store._write(use)
    await meets_nobody(world.store, use)
    (budget,) = await world.store.budgets()
    assert (budget.key, budget.used) == ("BG/+359/3600", 5)


@pytest.mark.parametrize("limit", [64, 70, 100])
async def test_exactly_the_limit_gets_through_whoever_asks_at_once(server_url, world, limit):
    passed = []
    async with opened(server_url) as other, anyio.create_task_group() as tasks:

        async def ask(there):
            passed.append(not hasattr(await there.ask(everybody(limit)), "reason"))

        elsewhere = attrs.evolve(world, store=other)
        for number in range(limit + 30):
            tasks.start_soon(ask, (world, elsewhere)[number % 2])
    assert sum(passed) == limit
    assert await world.used("all/global/3600") == limit


async def charged_to(world, begun):
    (row,) = (await world.view(begun.step.challenge.id)).schedule
    return row.charges


async def test_any_order_of_sends_refunds_and_windows_counts_as_in_memory(world, new_world):
    oracle, seeded = new_world(), random.Random(7)
    assert isinstance(oracle.store, MemoryStore)
    held: list[list] = []
    for _ in range(400):
        if held and seeded.random() < 0.25:
            for store, (charged,) in zip((oracle.store, world.store), held.pop(), strict=True):
                await store._write(lambda rows, charged=charged: rows.refund(charged))
        else:
            answers = [await store.ask(everybody(64)) for store in (oracle, world)]
            refused = [getattr(answer, "retry_after", None) for answer in answers]
            assert refused[0] == refused[1]
            if refused[0] is None:
                held.append([await charged_to(*one) for one in zip((oracle, world), answers, strict=True)])
        if seeded.random() < 0.02:
            for one in (oracle, world):
                one.later(1700)
        assert await world.store.counters("", world.now) == await oracle.store.counters("", oracle.now)


async def test_budgets_move_and_roll_as_in_memory(world, new_world):
    oracle, seeded = new_world(), random.Random(8)
    for _ in range(200):
        used, verified = seeded.choice([(1, 0), (1, 0), (-1, 1), (-2, 1), (-3, 0)])
        if seeded.random() < 0.05:
            for one in (oracle, world):
                one.later(1700)
        for one in (oracle, world):
            move = functools.partial(_move, "BG//3600", used, verified, one.now)
            await one.store._write(move)
        assert await world.store.budgets() == await oracle.store.budgets()


def _move(key, used, verified, now, rows):
    rows.move_budget(key, used, verified, now, now + HOUR)


async def test_people_see_and_reset_one_counter(server_url, world):
    for _ in range(20):
        await world.ask(everybody(100), world.limit("phone-1/send/600", 30))
    assert count_rows(server_url, "otp_counter") == STRIPES + 1
    assert [(one.key, one.count) for one in await world.store.counters("", world.now)] == [
        ("all/global/3600", 20),
        ("phone-1/send/600", 20),
    ]
    assert await world.store.reset_counters("all/") == 1
    assert [one.key for one in await world.store.counters("", world.now)] == ["phone-1/send/600"]


async def test_a_key_that_begins_like_another_is_counted_apart(world):
    await world.ask(everybody(64, "all/global/36"), everybody(64, "all/global/360"), everybody(64))
    for _ in range(70):
        await world.ask(everybody(64, "all/global/36"))
    counted = {one.key: one.count for one in await world.store.counters("all/", world.now)}
    assert counted == {"all/global/36": 64, "all/global/360": 1, "all/global/3600": 1}


async def test_a_window_that_a_version_without_stripes_began_is_kept(server_url, world):
    execute(
        server_url,
        "INSERT INTO otp_counter VALUES ('all/global/3600', 60, :ends)",
        ends=to_microseconds(world.now + HOUR),
    )
    passed = [not hasattr(await world.ask(everybody(100)), "reason") for _ in range(60)]
    assert sum(passed) == 40
    world.later(3600)
    passed = [not hasattr(await world.ask(everybody(100)), "reason") for _ in range(110)]
    assert sum(passed) == 100


async def test_a_budget_that_a_version_without_stripes_began_is_kept(server_url, world):
    ends = world.now + HOUR
    execute(server_url, "INSERT INTO otp_budget VALUES ('BG//3600', 7, 4, 2, :ends)", ends=to_microseconds(ends))
    await world.store._write(lambda rows: rows.move_budget("BG//3600", -1, 1, world.now, ends))
    kept = BudgetRecord(key="BG//3600", used=6, verified=5, base=2, window_ends_at=ends)
    assert await world.store.budgets() == (kept,)
    world.later(3600)
    ends += HOUR
    await world.store._write(lambda rows: rows.move_budget("BG//3600", 1, 0, world.now, ends))
    assert await world.store.budgets() == (
        BudgetRecord(key="BG//3600", used=1, verified=0, base=5, window_ends_at=ends),
    )


async def test_a_small_limit_and_one_of_a_single_phone_are_one_row(server_url, world):
    await world.ask(everybody(63), world.limit("phone-1/send/600", 500))
    assert count_rows(server_url, "otp_counter") == 2


def test_what_many_senders_share_is_said_by_the_one_who_makes_the_keys():
    settings = LimitSettings(phone=("100/1d",), country=("900/1h",), global_=("9000/1h",))
    origin = Origin(e164="+359871234567", phone_key="phone-1", region="BG")
    assert {charge.key: charge.shared for charge in charges_of(origin, settings)} == {
        "phone-1/send/86400": False,
        "BG/country/3600": True,
        "all/global/3600": True,
    }


async def test_an_engine_of_the_host_serves_as_well(server_url, new_world):
    engine = create_engine(server_url)
    world = new_world()
    async with AsyncExitStack() as stack:
        world.store = SqlStore(engine)
        await world.store.start(stack)
        passed = [not hasattr(await world.ask(everybody(64)), "reason") for _ in range(70)]
        for used in (1, 1, -1):
            await world.store._write(functools.partial(_move, "BG//3600", used, 0, world.now))
        assert sum(passed) == 64
        assert [budget.used for budget in await world.store.budgets()] == [1]
        assert await world.store.wake(None, world.breaker_threshold, world.now) == 0
    engine.dispose()
