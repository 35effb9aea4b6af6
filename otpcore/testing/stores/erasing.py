"""Contract tests of purging, and of erasing one person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from otpcore.models import Outcome
from otpcore.stores.commands import ReservationStatus
from otpcore.stores.steps import Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import World

__all__ = ["PurgingTests"]


class PurgingTests(StoreBase):
    """Nothing is kept longer than it should be, and one person can be erased."""

    async def test_purging_challenges_go_some_time_after_their_end_and_deliveries_later(self, world: World) -> None:
        failover = await world.begin(world.vendor())
        await world.store.cancel(failover.id, world.now)
        world.later(301)
        count = await _purge(world, challenges=world.at(301))
        assert (count.challenges, count.deliveries) == (1, 0)
        assert await world.store.latest("phone-1/login") is None
        assert (await world.begin(world.vendor())).step.mark is None
        count = await _purge(world, deliveries=world.at(1))
        assert count.deliveries == 1

    async def test_purging_what_is_not_over_or_not_old_enough_stays(self, world: World) -> None:
        living = await world.begin()
        over = await world.begin(phone="phone-2")
        await world.store.cancel(over.id, world.now)
        world.later(300)
        count = await _purge(world, challenges=world.at(300))
        assert count.challenges == 0
        assert await world.store.view(challenge_id=living.id)
        assert await world.store.view(challenge_id=over.id)

    async def test_purging_counters_of_windows_that_ended_go(self, world: World) -> None:
        await world.charge("short", seconds=10)
        await world.charge("long", seconds=100)
        world.later(10)
        assert (await _purge(world)).counters == 1
        assert await world.used("long") == 1

    async def test_purging_counters_that_many_senders_share_are_one_each_however_they_are_kept(
        self, world: World
    ) -> None:
        for key in ("all/global/10", "all/sms/10"):
            await world.ask(attrs.evolve(world.limit(key, 1_000, 10), shared=True))
        await world.charge("short", seconds=10)
        world.later(10)
        counts = [(await _purge(world, limit=2)).counters for _ in range(3)]
        assert counts == [2, 1, 0]

    async def test_purging_leaves_no_part_of_a_counter_that_many_senders_share(self, world: World) -> None:
        await world.ask(attrs.evolve(world.limit("all/global/10", 1_000, 10), shared=True))
        world.later(10)
        assert [(await _purge(world)).counters for _ in range(2)] == [1, 0]
        await world.ask(attrs.evolve(world.limit("all/global/10", 1_000, 10), shared=True))
        assert await world.used("all/global/10") == 1

    async def test_purging_one_person_is_erased_at_once(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(world.vendor(), charges=world.charges())
        await failover.answer(Outcome.THROTTLED)
        await world.reserve(client="c")
        other = await world.begin(phone="phone-10")
        count = await _purge(world, phone_key="phone-1")
        assert (count.challenges, count.deliveries, count.counters) == (1, 1, 3)
        assert await world.store.view(phone_key="phone-1") == ()
        assert [row.challenge_id for row, _ in await world.store.retries(10)] == [other.id]
        assert (await world.reserve()).status is ReservationStatus.NOT_FOUND
        assert (await other.view()).deliveries != ()

    async def test_purging_deliveries_of_a_person_go_too_when_their_challenge_is_gone_already(
        self, world: World
    ) -> None:
        failover = await world.begin()
        await world.store.cancel(failover.id, world.now)
        world.later(400)
        await _purge(world, challenges=world.now)
        assert (await _purge(world, phone_key="phone-1")).deliveries == 1

    async def test_purging_a_send_whose_challenge_was_erased_stops(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        await _purge(world, phone_key="phone-1")
        assert isinstance(await failover.answer(Outcome.UNAVAILABLE), Stopped)
        assert not await world.store.clear_mark(failover.ref, "scope", world.now)

    async def test_purging_a_verification_whose_challenge_was_erased_fails(self, world: World) -> None:
        await world.begin()
        reservation = await world.reserve()
        await _purge(world, phone_key="phone-1")
        assert not await world.store.approve(reservation, settled=(), now=world.now)
        assert await world.store.settle(reservation, give_back=True, gone=(), now=world.now) is None


async def _purge(
    world: World, *, challenges: Any = None, deliveries: Any = None, phone_key: Any = None, limit: int | None = None
) -> Any:
    never = world.now - timedelta(days=365)
    return await world.store.purge(
        challenges_before=challenges or never,
        deliveries_before=deliveries or never,
        phone_key=phone_key,
        limit=limit,
        now=world.now,
    )
