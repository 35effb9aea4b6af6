"""Much work is done in portions, between which others go on: each is small, and nothing is left over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import attrs
import pytest

from otpcore.models import Outcome
from otpcore.stores.counts import PurgeCount
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.records import SlotRecord, Waits
from otpcore.stores.rows import Rows
from otpcore.testing.stores.world import CHANNELS, World

T = TypeVar("T")
MOST = 500


class Told(MemoryStore):
    """A store that keeps what each of its units came to."""

    def __init__(self) -> None:
        super().__init__()
        self.results: list[Any] = []

    async def _write(self, unit: Callable[[Rows], T], **more: Any) -> T:
        result = await super()._write(unit, **more)
        self.results.append(result)
        return result


@pytest.fixture
def world() -> World:
    return World(store=Told()).with_retries()


@pytest.mark.parametrize("waiting", [MOST, 2 * MOST + 1])
async def test_however_many_wait_for_a_vendor_all_are_woken_a_portion_every_quarter_of_a_second(
    world: World, waiting: int
) -> None:
    failover = await world.begin()
    await failover.answer(Outcome.UNAVAILABLE)
    (row,) = (await failover.view()).schedule

    def wait(rows: Rows) -> None:
        for number in range(waiting):
            due_at = world.at(3600)
            waits = {"waits": Waits.BREAKER, "waits_for": "mada"}
            rows.put_schedule(attrs.evolve(row, challenge_id=f"one-{number}", due_at=due_at, **waits))

    await world.store._write(wait)
    world.store.results.clear()
    assert await world.store.wake("mada", world.breaker_threshold, world.now) == waiting
    assert max(world.store.results) == MOST
    due = await world.store._read(lambda rows: sorted(one.due_at for one in rows.upcoming(2 * waiting, None)))
    in_time = [one - world.now for one in due if one < world.at(60) and one != row.due_at]
    apart = timedelta(seconds=0.25)
    assert in_time == sorted(apart * (number // MOST) for number in range(waiting))


@pytest.mark.parametrize("old", [MOST, MOST + 1])
async def test_however_much_is_old_all_of_it_goes_in_portions(world: World, old: int) -> None:
    for number in range(old):
        await world.undelivered(reference=f"M{number}")
    later = world.later(1)
    world.store.results.clear()
    await world.store.purge(challenges_before=later, deliveries_before=later, phone_key=None, now=later)
    counts = [one for one in world.store.results if isinstance(one, PurgeCount)]
    assert sum(one.receipts for one in counts) == old
    assert max(one.receipts for one in counts) == MOST


@pytest.mark.parametrize(("limit", "kept"), [(None, 0), (10, 2 * MOST - 9)])
async def test_however_many_slots_nobody_holds_all_of_them_go_unless_a_limit_is_named(
    world: World, limit: int | None, kept: int
) -> None:
    scope = "twilio:VA1"

    def let_go(rows: Rows) -> None:
        for number in range(2 * MOST + 1):
            assert rows.take_slot(SlotRecord(scope=scope, phone_key=f"phone-{number}", holder=""), None)

    await world.store._write(let_go)
    await world.store.purge(
        challenges_before=world.now, deliveries_before=world.now, phone_key=None, limit=limit, now=world.now
    )
    assert len(await world.store._read(lambda rows: rows.free_slots(3 * MOST))) == kept


async def test_a_vendor_that_is_only_misconfigured_is_shown_too(world: World) -> None:
    failover = await world.begin()
    await failover.answer(Outcome.MISCONFIGURED)
    status = await world.store.status(world.now, world.now)
    assert [(one.instance, one.failures) for one in status.breakers] == [("mada", 0)]


async def test_a_sweep_ends_nothing_that_lives(world: World) -> None:
    """Unless it is told that the clock was set back, what seems to begin in an hour is another machine's."""
    failover = await world.begin()
    await failover.answer(Outcome.ACCEPTED)
    assert await world.store.sweep(unretried=CHANNELS, limit=10, now=world.now - timedelta(hours=1)) == ()


@pytest.mark.parametrize(("many", "portions"), [(5_000, 1), (5_001, 2)])
async def test_however_much_has_happened_all_of_it_is_counted_in_portions(
    world: World, many: int, portions: int
) -> None:
    failover = await world.begin()
    delivery, now = failover.delivery, world.later(3600)

    def happen(rows: Rows) -> None:
        for number in range(many - 1):
            recorded_at = world.at(1) + number * timedelta(microseconds=1)
            rows.insert_delivery(attrs.evolve(delivery, id=f"one-{number}", recorded_at=recorded_at), "phone-1")

    await world.store._write(happen)
    more = [await world.store.fold(now) for _ in range(portions)]
    assert more == [True] * (portions - 1) + [False]
    (point,) = await world.store.series(world.at(0), now, timedelta(hours=1))
    assert point.failed == {Outcome.OPEN: many}


async def test_what_happened_in_one_microsecond_holds_nothing_up(world: World) -> None:
    """However unlikely: a portion that is full in its first moment still comes to an end."""
    failover = await world.begin()
    delivery, now = failover.delivery, world.later(3600)

    def happen(rows: Rows) -> None:
        for number in range(6_000):
            rows.insert_delivery(attrs.evolve(delivery, id=f"one-{number}"), "phone-1")

    await world.store._write(happen)
    assert await world.store.fold(now)
    assert not await world.store.fold(now)
    (point,) = await world.store.series(world.at(0), now, timedelta(hours=1))
    assert point.failed == {Outcome.OPEN: 6_001}
