"""Callers who leave while their unit waits or runs: what must be on record is, and what nobody heard of is undone.

On a file, where units wait for another process; on a server the same commands are tested in `tests/faults/test_deadlines.py`.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from otpcore.models import Outcome
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.records import WorkerRecord
from otpcore.stores.sql.store import SqlStore
from otpcore.stores.steps import CallResult
from otpcore.testing.stores.world import MADA, World

Act = Callable[[], Awaitable[Any]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process is writing."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


async def leave(world: World, database: Path, act: Act, *, at: int = 1, heard: bool = True) -> None:
    """Cancel the caller of a unit, while another process keeps it waiting, or when it has run and nobody heard of it yet.

    Args:
        at: Which unit of the caller.
        heard: False: it has run.
    """
    store, write, numbers = world.store, world.store._write, itertools.count(1)
    begun, release, reached = threading.Event(), threading.Event(), anyio.Event()

    async def counted(unit: Any, **more: Any) -> Any:
        if next(numbers) == at:
            lock.enter_context(locked(database))
            reached.set()
        return await write(unit, **more)

    def hold(_: object) -> None:
        begun.set()
        assert release.wait(10)

    with contextlib.ExitStack() as lock:
        async with anyio.create_task_group() as others:
            async with anyio.create_task_group() as callers:
                store._write = counted
                callers.start_soon(act)
                await reached.wait()
                await wait_all_tasks_blocked()
                store._write = write
                if not heard:
                    others.start_soon(write, hold)
                    await wait_all_tasks_blocked()
                    while store._opened()._writer._waiting:  # once both are taken they share one transaction
                        await anyio.sleep(0.001)
                    lock.close()
                    assert await anyio.to_thread.run_sync(begun.wait, 10)
                callers.cancel_scope.cancel()
            release.set()
    await write(lambda _: None)  # whatever waited before has been written


async def test_what_a_provider_said_is_recorded_though_the_caller_has_left(sql_world: World, database: Path) -> None:
    failover = await sql_world.begin()
    plan = sql_world.plan(MADA, ("mada",))
    result = CallResult(outcome=Outcome.ACCEPTED, reference="M1")
    await leave(
        sql_world,
        database,
        lambda: sql_world.store.record(failover.ref, failover.delivery, result, plan, sql_world.now),
    )
    (delivery,) = (await failover.view()).deliveries
    assert (delivery.outcome, delivery.reference) == (Outcome.ACCEPTED, "M1")


async def test_a_send_that_is_withdrawn_costs_nothing_though_the_caller_has_left(
    sql_world: World, database: Path
) -> None:
    failover = await sql_world.begin(charges=sql_world.charges())
    plan = sql_world.plan(MADA, delivery_id=failover.delivery.id)
    await leave(sql_world, database, lambda: sql_world.store.withdraw(failover.ref, plan, sql_world.now))
    assert (await sql_world.used(), (await failover.view()).schedule) == (0, ())


async def test_a_receipt_counts_though_the_vendor_has_hung_up(sql_world: World, database: Path) -> None:
    failover = await sql_world.begin()
    delivery = failover.delivery.id
    await failover.answer(Outcome.AMBIGUOUS)
    await leave(sql_world, database, lambda: sql_world.delivered(delivery_id=delivery))
    assert (await failover.view()).challenge.confirmed


async def test_an_attempt_is_given_back_though_the_caller_has_left(sql_world: World, database: Path) -> None:
    failover = await sql_world.begin(sql_world.vendor())
    await failover.answer(Outcome.ACCEPTED)
    reservation = await sql_world.reserve()
    await leave(
        sql_world,
        database,
        lambda: sql_world.store.settle(reservation, give_back=True, gone=(), now=sql_world.now),
    )
    assert (await failover.view()).challenge.attempts == 0


async def test_a_code_that_a_vendor_approved_is_used_up_though_the_caller_has_left(
    sql_world: World, database: Path
) -> None:
    failover = await sql_world.begin(sql_world.vendor())
    settled = (failover.delivery.id,)
    await failover.answer(Outcome.ACCEPTED)
    reservation = await sql_world.reserve()
    await leave(
        sql_world,
        database,
        lambda: sql_world.store.approve(reservation, settled=settled, now=sql_world.now),
    )
    assert (await failover.view()).challenge.state == "approved"


async def test_a_worker_that_leaves_is_gone_though_it_does_not_wait(sql_world: World, database: Path) -> None:
    worker = WorkerRecord(name="w", kind="worker", started_at=sql_world.now, seen_at=sql_world.now)
    await sql_world.store.beat(worker, sql_world.now - sql_world.at(-60), sql_world.now)
    await leave(sql_world, database, lambda: sql_world.store.leave("w"))
    assert (await sql_world.store.status(sql_world.now, None)).workers == ()


@pytest.fixture(params=["together", "apart"])
async def world(request: pytest.FixtureRequest, database: Path) -> AsyncIterator[World]:
    """A store that charges a send in the transaction that begins it, or in one before, as on a server."""
    store = SqlStore(f"sqlite:///{database}", synchronous="NORMAL")
    store._charges_apart = request.param == "apart"
    async with contextlib.AsyncExitStack() as stack:
        await store.start(stack)
        yield World(store=store)


@pytest.mark.parametrize(("at", "heard"), [(1, True), (1, False), (2, False)])
async def test_a_send_of_which_nobody_heard_costs_nothing_and_holds_nobody_up(
    world: World, database: Path, at: int, *, heard: bool
) -> None:
    await world.charge()  # somebody's send that counts
    send = world.new_send(world.challenge(), MADA, charges=world.charges())
    at = at if world.store._charges_apart else 1
    await leave(world, database, lambda: world.store.begin(send, world.now), at=at, heard=heard)
    assert await world.used() == 1
    assert not any(view.schedule for view in await world.store.view(phone_key="phone-1"))


@pytest.mark.parametrize("at", [1, 2])
async def test_a_refusal_of_which_nobody_heard_gives_back_once(world: World, database: Path, at: int) -> None:
    """Else who asks and breaks off would never meet a limit."""
    await world.begin(charges=world.charges())
    await world.charge()
    again = world.new_send(world.challenge(), MADA, charges=world.charges())
    full = world.new_send(world.challenge("other"), MADA, charges=world.charges(limit=2))
    at = at if world.store._charges_apart else 1
    await leave(world, database, lambda: world.store.begin(again, world.now), at=at, heard=False)
    assert await world.used() == 2
    await leave(world, database, lambda: world.store.begin(full, world.now), heard=False)
    assert await world.used() == 2


async def test_on_a_file_a_send_is_charged_and_begun_in_one_transaction(sql_world: World) -> None:
    """A process that dies between the two would leave somebody charged for nothing."""
    writer = sql_world.store._opened()._writer
    statements: list[str] = []
    await writer.run(lambda rows: rows._connection.connection.driver_connection.set_trace_callback(statements.append))
    await sql_world.begin(charges=sql_world.charges())
    assert sum(one.startswith("BEGIN") for one in statements) == 1
    assert await sql_world.used() == 1


async def test_where_units_never_wait_for_one_another_a_send_is_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would be two chances to die between charging and beginning."""
    store, units = MemoryStore(), list[object]()
    write = store._write

    async def counted(unit: Any, **more: Any) -> Any:
        units.append(unit)
        return await write(unit, **more)

    monkeypatch.setattr(store, "_write", counted)
    world = World(store=store)
    await world.begin(charges=world.charges())
    assert len(units) == 1
    assert await world.used() == 1


async def test_in_a_crowd_only_a_new_send_waits_behind_what_has_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's connections serve it last; what a provider has said by then is recorded first."""
    waits, write = list[bool](), world.store._write

    async def watched(unit: Any, **more: Any) -> Any:
        waits.append(more.get("last", False))
        return await write(unit, **more)

    monkeypatch.setattr(world.store, "_write", watched)
    failover = await world.begin(charges=world.charges())
    await failover.answer(Outcome.ACCEPTED)
    assert waits == ([True, False, False] if world.store._charges_apart else [True, False])
