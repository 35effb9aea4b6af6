"""Contract tests of counts over time: each happening counts once, in its minute, for its route and in its world."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest

from otpcore import models
from otpcore.errors import InvalidArgument
from otpcore.models import Channel, Outcome
from otpcore.stores.series import DIMENSIONS, SeriesPoint
from otpcore.stores.steps import Candidate
from otpcore.stores.transactions import series as transactions
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import accepted
from otpcore.testing.stores.world import START, World

__all__ = ["SeriesTests"]

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SETTLED = 40


class SeriesTests(StoreBase):
    """What is told of each step of time."""

    async def test_series_tell_what_was_accepted_and_what_failed_and_why(self, world: World) -> None:
        await accepted(world, phone="phone-1", reference="M1")
        for number, outcome in enumerate((Outcome.THROTTLED, Outcome.THROTTLED, Outcome.BLOCKED)):
            await (await world.begin(phone=f"phone-{number + 2}")).answer(outcome)
        await world.begin(phone="phone-9")  # its process died
        assert await _series(world) == []
        await _fold(world)
        failed = {Outcome.THROTTLED: 2, Outcome.BLOCKED: 1, Outcome.OPEN: 1}
        assert await _series(world) == [SeriesPoint(starts_at=START, accepted=1, failed=failed)]

    async def test_series_tell_what_was_delivered_and_verified_and_how_long_it_took(self, world: World) -> None:
        waits = [2, 3, 4, 5, 30]
        for number, wait in enumerate(waits):
            failover = await accepted(world, phone=f"phone-{number}", reference=f"M{number}")
            world.later(wait)
            await world.delivered(reference=f"M{number}")
            world.later(4 * wait)
            assert await world.store.approve(await world.reserve(challenge_id=failover.id), settled=(), now=world.now)
            world.now = START
        world.later(180)
        await _fold(world)
        (point,) = await _series(world, step=HOUR)
        assert (point.accepted, point.delivered, point.verified) == (5, 5, 5)
        told = [point.delivery_p50, point.delivery_p95, point.verification_p50, point.verification_p95]
        assert told == [pytest.approx(wait, rel=0.125) for wait in (4, 30, 20, 150)]

    async def test_series_count_a_happening_in_its_own_minute(self, world: World) -> None:
        failover = await accepted(world, reference="M1")
        world.later(59.999999)
        await world.delivered(reference="M1")
        world.later(0.000001)
        await world.store.approve(await world.reserve(challenge_id=failover.id), settled=(), now=world.now)
        await _fold(world)
        found = [(one.starts_at, one.accepted, one.delivered, one.verified) for one in await _series(world)]
        assert found == [(START, 1, 1, 0), (START + MINUTE, 0, 0, 1)]

    async def test_series_are_told_apart_by_route(self, world: World) -> None:
        route = (Candidate(instance="mada", prefix="+35987"), Candidate(instance="backup"))
        failover = await world.begin(route)
        await failover.answer(Outcome.UNAVAILABLE)
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        await world.delivered(reference="M1", instance="backup")
        await world.store.approve(await world.reserve(challenge_id=failover.id), settled=(), now=world.now)
        await (await world.begin(phone="phone-2", channel=Channel.CALL)).answer(Outcome.ACCEPTED)
        await _fold(world)
        found = [(one.instance, one.accepted, one.verified) for one in await _series(world, by=["instance"])]
        assert found == [("backup", 1, 1), ("mada", 1, 0)]
        everything = await _series(world, by=DIMENSIONS)
        assert [(one.instance, one.prefix, one.channel) for one in everything] == [
            ("backup", "", Channel.SMS),
            ("mada", "", Channel.CALL),
            ("mada", "+35987", Channel.SMS),
        ]
        assert [(one.accepted, sum(one.failed.values()), one.delivered, one.verified) for one in everything] == [
            (1, 0, 1, 1),
            (1, 0, 0, 0),
            (0, 1, 0, 0),
        ]
        (whole,) = await _series(world)
        assert (whole.instance, whole.prefix, whole.channel) == (None, None, None)
        assert (whole.accepted, whole.failed, whole.delivered) == (2, {Outcome.UNAVAILABLE: 1}, 1)

    async def test_series_count_what_is_settled_only(self, world: World) -> None:
        failover = await world.begin()
        world.later(SETTLED)
        assert not await world.store.fold(world.now)
        assert await _series(world) == []
        await failover.answer(Outcome.ACCEPTED)
        world.later(0.000001)
        assert not await world.store.fold(world.now)
        assert [one.accepted for one in await _series(world)] == [1]

    async def test_series_count_once_however_often_and_by_however_many_it_is_done(self, world: World) -> None:
        async def counted() -> None:
            await _fold(world)

        for number in range(3):
            await accepted(world, phone=f"phone-{number}", reference=f"M{number}")
            await world.delivered(reference=f"M{number}")
            world.later(20)
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(world.store.fold, world.now)
        world.later(SETTLED)
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(counted)
        assert sum(one.accepted for one in await _series(world)) == 3
        assert sum(one.delivered for one in await _series(world)) == 3

    async def test_series_count_once_in_several_processes(self, world: World, reopen: Callable[[], Any]) -> None:
        """One has read what is to be counted when the other counts it."""
        await accepted(world, reference="M1")
        world.later(SETTLED + 1)
        async with AsyncExitStack() as stack:
            other = reopen()
            await other.start(stack)
            portion = await world.store._read(lambda rows: transactions.gather(rows, world.now))  # noqa: SLF001 - half of `fold`
            assert not await other.fold(world.now)
            assert not await world.store._write(lambda rows: transactions.add(rows, portion))  # noqa: SLF001 - the other half
            assert not await other.fold(world.now)
        assert [one.accepted for one in await _series(world)] == [1]

    async def test_series_count_a_message_once_however_often_its_end_is_reported(self, world: World) -> None:
        failover = await accepted(world, reference="M1")
        delivery = failover.answered.id
        for report in ({"reference": "M1"}, {"reference": "M1"}, {"delivery_id": delivery}):
            await world.delivered(**report)
            await world.undelivered(reference="M1")
            world.later(30)
            await _fold(world, wait=0)
        world.later(600)
        await _fold(world)
        assert [one.delivered for one in await _series(world)] == [1]

    @pytest.mark.parametrize(("back", "told"), [(SETTLED, 3), (SETTLED + 1, 2), (3600, 2)])
    async def test_series_count_nothing_twice_when_the_clock_is_set_back(
        self, world: World, back: int, told: int
    ) -> None:
        """What happens in a time that is counted already, and is lived again, is left out; nothing else is."""
        await accepted(world, phone="phone-1", reference="M1")
        world.later(3600)
        await accepted(world, phone="phone-2", reference="M2")
        world.later(1)
        await _fold(world, wait=SETTLED)
        world.later(-back)
        await accepted(world, phone="phone-3", reference="M3")
        for _ in range(3):
            await _fold(world, wait=0)
        world.later(back)
        await _fold(world)
        assert sum(one.accepted for one in await _series(world)) == told
        await accepted(world, phone="phone-4", reference="M4")
        await _fold(world)
        assert sum(one.accepted for one in await _series(world)) == told + 1

    async def test_series_count_each_of_several_verifications_of_a_phone(self, world: World) -> None:
        for number in range(3):
            failover = await accepted(world, subject=f"subject-{number}", reference=f"M{number}")
            reserved = await world.reserve(challenge_id=failover.id, purpose=f"subject-{number}")
            assert await world.store.approve(reserved, settled=(), now=world.now)
            world.later(20)
        await _fold(world, wait=0)
        await _fold(world)
        assert sum(one.verified for one in await _series(world)) == 3

    async def test_series_are_added_up_a_portion_at_a_time(self, world: World) -> None:
        for number in range(3):
            await accepted(world, phone=f"phone-{number}", reference=f"M{number}")
            world.later(36 * 3600)
        await world.delivered(reference="M0")
        world.later(SETTLED + 1)
        portions = 1
        while await world.store.fold(world.now):
            portions += 1
        assert portions == 5
        found = await world.store.series(START, world.now, HOUR)
        assert [(one.starts_at - START, one.accepted, one.delivered) for one in found] == [
            (0 * HOUR, 1, 0),
            (36 * HOUR, 1, 0),
            (72 * HOUR, 1, 0),
            (108 * HOUR, 0, 1),
        ]

    @pytest.mark.parametrize("minutes", [1, 5, 7, 15, 60, 90, 120, 1440])
    async def test_series_of_long_steps_are_the_sum_of_short_ones(self, world: World, minutes: int) -> None:
        for number in range(6):
            await accepted(world, phone=f"phone-{number}", reference=f"M{number}")
            world.later(number * 700)
        await _fold(world)
        step = minutes * MINUTE
        found = await _series(world, step=step)
        assert sum(one.accepted for one in found) == 6
        epoch = START - (START - START.replace(year=1970, month=1, day=1, hour=0))
        assert all((one.starts_at - epoch) % step == timedelta() for one in found)

    @pytest.mark.parametrize("begins", [0, 60, 300, 3600])
    async def test_series_of_one_step_are_all_there_is_from_a_minute_on(self, world: World, begins: int) -> None:
        for number in range(6):
            await accepted(world, phone=f"phone-{number}", reference=f"M{number}")
            world.later(100)
            await world.delivered(reference=f"M{number}")
            world.later(600)
        await _fold(world)
        since, until = world.at(begins), world.now
        (found,) = await world.store.series(since, until, None)
        steps = await world.store.series(since, until, MINUTE)
        assert found.starts_at == since
        assert (found.accepted, found.delivered) == (
            sum(one.accepted for one in steps),
            sum(one.delivered for one in steps),
        )
        assert found.delivery_p50 == pytest.approx(100, rel=0.125)
        apart = await world.store.series(since, until, None, by=["channel"])
        assert [(one.starts_at, one.accepted) for one in apart] == [(since, found.accepted)]

    async def test_series_begin_with_one_step_and_end_with_another(self, world: World) -> None:
        for number in range(4):
            await accepted(world, phone=f"phone-{number}", reference=f"M{number}")
            world.later(60)
        await _fold(world)
        found = await world.store.series(world.at(90), world.at(180), MINUTE)
        assert [one.starts_at for one in found] == [world.at(60), world.at(120)]
        assert await world.store.series(world.at(0), world.at(0), MINUTE) == ()

    async def test_series_go_after_their_time(self, world: World) -> None:
        await accepted(world, reference="M1")
        world.later(3600)
        await accepted(world, phone="phone-2", reference="M2")
        await _fold(world)
        count = await _purge(world, series_before=world.at(3600))
        assert count.series == 3  # a minute, five, and an hour
        assert [one.starts_at for one in await _series(world)] == [world.at(3600)]
        assert (await _purge(world)).series == 0

    async def test_series_stay_when_what_they_counted_goes(self, world: World) -> None:
        await accepted(world, reference="M1")
        await _fold(world)
        await _purge(world, phone_key="phone-1")
        await _fold(world)
        assert [one.accepted for one in await _series(world)] == [1]

    async def test_series_are_of_one_world(self, world: World) -> None:
        there = attrs.evolve(world, store=world.store.within(models.World.SANDBOX))
        await accepted(world, reference="M1")
        await world.delivered(reference="M1")
        await accepted(there, phone="phone-2", reference="M2")
        there.now = world.later(60)
        await _fold(there)
        assert await _series(world) == []
        await _fold(world)
        await _purge(there, series_before=world.at(7200))
        assert [(one.accepted, one.delivered) for one in await _series(world)] == [(1, 1)]
        assert await _series(there) == []

    @pytest.mark.parametrize("step", [timedelta(), timedelta(seconds=59), timedelta(seconds=90), -MINUTE])
    async def test_series_refuse_steps_of_no_whole_minutes(self, world: World, step: timedelta) -> None:
        with pytest.raises(InvalidArgument, match="step"):
            await _series(world, step=step)

    async def test_series_refuse_what_they_cannot_be_told_apart_by(self, world: World) -> None:
        with pytest.raises(InvalidArgument, match="instance, prefix, channel"):
            await _series(world, by=["phone_key"])


async def _fold(world: World, wait: float = SETTLED + 1) -> None:
    """Count all that has happened, once it is settled."""
    world.later(wait)
    while await world.store.fold(world.now):
        pass


async def _series(world: World, step: timedelta = MINUTE, **by: Any) -> list[SeriesPoint]:
    return list(await world.store.series(START - timedelta(days=2), START + timedelta(days=2), step, **by))


async def _purge(world: World, **more: Any) -> Any:
    long_ago = world.now - timedelta(days=365)
    return await world.store.purge(
        challenges_before=long_ago,
        deliveries_before=long_ago,
        **{"phone_key": None, "now": world.now, **more},
    )
