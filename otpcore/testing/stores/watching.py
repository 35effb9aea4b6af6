"""Contract tests of what people watch: counts by instance and rule prefix, what waits, breakers, signs of life."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from otpcore.models import Outcome, ReceiptStatus
from otpcore.stores.counts import OutcomeCount, RouteCount, StoreStatus, Waiting
from otpcore.stores.records import WorkerRecord
from otpcore.stores.steps import PutOff, Queued
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import Failover, World

__all__ = ["BreakerStatusTests", "CountTests", "PuttingOffTests", "ReportedTests", "SignOfLifeTests", "WaitingTests"]

_MINUTE = timedelta(seconds=60)


class CountTests(StoreBase):
    """Deliveries and verifications of a window, by instance and rule prefix."""

    async def test_counts_an_empty_store_has_nothing_to_tell(self, world: World) -> None:
        assert await _status(world) == StoreStatus()

    async def test_counts_deliveries_are_counted_by_instance_prefix_and_outcome(self, world: World) -> None:
        bulgaria = _by_prefix("+35987", "mada", "backup", world=world)
        for number, outcome in enumerate((Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.UNAVAILABLE)):
            failover = await world.begin(bulgaria, phone=f"phone-{number}")
            await failover.answer(outcome)  # the third goes on to backup, which does not answer
        await (await world.begin(phone="phone-9")).answer(Outcome.BLOCKED)
        assert (await _status(world)).deliveries == (
            OutcomeCount(instance="backup", prefix="+35987", outcome=Outcome.OPEN, count=1),
            OutcomeCount(instance="mada", prefix="", outcome=Outcome.BLOCKED, count=1),
            OutcomeCount(instance="mada", prefix="+35987", outcome=Outcome.ACCEPTED, count=2),
            OutcomeCount(instance="mada", prefix="+35987", outcome=Outcome.UNAVAILABLE, count=1),
        )

    async def test_counts_the_window_begins_with_the_given_moment(self, world: World) -> None:
        await (await world.begin()).answer(Outcome.ACCEPTED)
        world.later(100)
        assert len((await _status(world, 100)).deliveries) == 1
        assert (await _status(world, 99.999999)).deliveries == ()

    async def test_counts_verified_counts_challenges_where_a_message_was_taken(self, world: World) -> None:
        route = _by_prefix("+35988", "mada", world=world)
        failover = await world.begin(route, phone="phone-1")
        await failover.answer(Outcome.ACCEPTED)
        world.later(31)
        again = await world.resend(failover.id, route)
        await again.answer(Outcome.ACCEPTED)  # two messages, one challenge
        await _approve(world, failover, "phone-1")
        unverified = await world.begin(route, phone="phone-2")
        await unverified.answer(Outcome.ACCEPTED)
        silent = await world.begin(phone="phone-3")
        await silent.answer(Outcome.AMBIGUOUS)
        await _approve(world, silent, "phone-3")  # it arrived, but nobody can say through whom
        assert (await _status(world)).verified == (RouteCount(instance="mada", prefix="+35988", count=1),)


class ReportedTests(StoreBase):
    """What vendors reported of a challenge's deliveries."""

    async def test_reported_each_receipt_is_told_of_once(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada"))
        await failover.answer(Outcome.AMBIGUOUS, reference="M1")
        retry = await world.claim_next()
        await retry.answer(Outcome.ACCEPTED, reference="M1")  # the same message, which the repeat took over
        await world.delivered(reference="M1")
        told = [(one.delivery_id, one.reference, one.status) for one in (await failover.view()).receipts]
        assert told == [(retry.answered.id, "M1", ReceiptStatus.DELIVERED)]

    async def test_reported_what_came_before_anybody_knew_the_reference_is_told_if_its_account_said_it(
        self, world: World
    ) -> None:
        await world.undelivered(reference="M1")
        await world.undelivered(instance="backup", reference="M1")
        failover = await world.begin(world.core("mada"))
        await world.delivered(delivery_id=failover.delivery.id, reference="M1")  # so it is called; still no answer
        told = [(one.instance, one.delivery_id, one.status) for one in (await failover.view()).receipts]
        assert sorted(told) == [
            ("mada", "", ReceiptStatus.UNDELIVERED),
            ("mada", failover.delivery.id, ReceiptStatus.DELIVERED),
        ]


class WaitingTests(StoreBase):
    """Sends that wait for their next try."""

    async def test_waiting_they_are_counted_where_they_were_tried_last(self, world: World) -> None:
        world.with_retries()
        route = _by_prefix("+35987", "mada", "backup", world=world)
        first = await world.begin(route, phone="phone-1")
        began = world.now
        world.later(1)
        second = await world.begin(route, phone="phone-2")
        for failover in (first, second):
            await failover.answer(Outcome.THROTTLED)
            await failover.answer(Outcome.THROTTLED)
        await world.begin(phone="phone-3")  # under way
        expected = Waiting(instance="backup", prefix="+35987", count=2, oldest=began)
        assert (await _status(world)).waiting == (expected,)

    async def test_waiting_a_send_whose_process_died_waits_too(self, world: World) -> None:
        world.with_retries()
        await world.begin()
        world.later(9.999999)
        assert (await _status(world)).waiting == ()
        world.later(0.000001)
        (waiting,) = (await _status(world)).waiting
        assert (waiting.instance, waiting.count) == ("mada", 1)

    async def test_waiting_one_that_has_tried_nobody_waits_under_no_name(self, world: World) -> None:
        world.with_retries()
        for number in range(5):
            await (await world.begin(phone=f"phone-{number}", route=world.core("mada"))).answer(Outcome.REJECTED_NUMBER)
            await (await world.begin(phone=f"down-{number}")).answer(Outcome.UNAVAILABLE)
        failover = await world.begin(phone="late")
        assert (type(failover.step), failover.step.put_off) == (Queued, PutOff.BREAKER_OPEN)
        assert Waiting(instance="", prefix="", count=1, oldest=world.now) in (await _status(world)).waiting


class BreakerStatusTests(StoreBase):
    """Since when an instance is left out."""

    async def test_breakers_an_open_breaker_says_since_when_and_when_it_is_probed(self, world: World) -> None:
        for number in range(4):
            await (await world.begin(phone=f"phone-{number}")).answer(Outcome.UNAVAILABLE)
        (before,) = (await _status(world)).breakers
        assert (before.failures, before.opened_at) == (4, None)
        await (await world.begin(phone="phone-5")).answer(Outcome.AMBIGUOUS)
        opened = world.now
        (after,) = (await _status(world)).breakers
        assert (after.failures, after.opened_at, after.probe_at) == (5, opened, world.at(1))
        world.later(1)
        probe = await world.begin(phone="phone-6")
        assert probe.step.is_probe
        await probe.answer(Outcome.UNAVAILABLE)
        (still,) = (await _status(world)).breakers
        assert (still.opened_at, still.probe_at) == (opened, world.at(2))
        world.later(1)
        await (await world.begin(phone="phone-7")).answer(Outcome.ACCEPTED)
        assert (await _status(world)).breakers == ()


class PuttingOffTests(StoreBase):
    """A try that could call nobody says why, and does not count."""

    async def test_putting_off_a_retry_waits_for_the_slot_of_another_purpose(self, world: World) -> None:
        world.with_retries()
        holder = await world.begin(world.vendor(), subject="payment")
        await holder.answer(Outcome.ACCEPTED, reference="VE1")
        world.later(100)
        failover = await world.begin(world.core("mada"))
        await failover.answer(Outcome.THROTTLED)
        retry = await world.claim_next(world.vendor())
        assert (type(retry.step), retry.step.put_off) == (Queued, PutOff.PROVIDER_BUSY)
        assert retry.step.due_at == world.at(300)

    async def test_putting_off_an_ordinary_retry_has_no_such_reason(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin()
        step = await failover.answer(Outcome.THROTTLED)
        assert (type(step), step.put_off) == (Queued, None)

    async def test_putting_off_an_expired_holder_comes_back_with_the_send_that_found_it(self, world: World) -> None:
        old = await world.begin()
        world.later(300)
        new = await world.begin()
        assert new.begun.expired == (await old.view()).challenge
        assert (await world.begin(phone="phone-2")).begun.expired is None


class SignOfLifeTests(StoreBase):
    """Who runs retries and upkeep."""

    async def test_signs_of_life_the_last_one_counts(self, world: World) -> None:
        await world.store.beat(_worker(world), _MINUTE, world.now)
        started = world.now
        world.later(5)
        again = attrs.evolve(_worker(world, running=3), started_at=started)
        assert await world.store.beat(again, _MINUTE, world.now) == ()
        assert (await _status(world)).workers == (again,)

    async def test_signs_of_life_whoever_stops_is_gone_at_once(self, world: World) -> None:
        for name in ("worker-2", "worker-1"):
            await world.store.beat(_worker(world, name), _MINUTE, world.now)
        assert [one.name for one in (await _status(world)).workers] == ["worker-1", "worker-2"]
        await world.store.leave("worker-2")
        await world.store.leave("nobody")
        assert [one.name for one in (await _status(world)).workers] == ["worker-1"]

    async def test_signs_of_life_one_that_died_is_removed_by_another_once(self, world: World) -> None:
        dead, living = _worker(world), _worker(world, "worker-2")
        await world.store.beat(dead, _MINUTE, world.now)
        world.later(60)
        assert await world.store.beat(living, _MINUTE, world.now) == ()
        world.later(0.000001)
        assert await world.store.beat(living, _MINUTE, world.now) == (dead,)
        assert await world.store.beat(living, _MINUTE, world.now) == ()

    async def test_signs_of_life_one_that_was_taken_for_dead_comes_back(self, world: World) -> None:
        await world.store.beat(_worker(world), _MINUTE, world.now)
        world.later(100)
        await world.store.beat(_worker(world, "worker-2"), _MINUTE, world.now)
        await world.store.beat(_worker(world), _MINUTE, world.now)
        assert len((await _status(world)).workers) == 2


def _by_prefix(prefix: str, *instances: Any, world: World) -> Any:
    return tuple(attrs.evolve(candidate, prefix=prefix) for candidate in world.core(*instances))


async def _status(world: World, seconds: float = 3600) -> Any:
    return await world.store.status(world.now - timedelta(seconds=seconds), world.now)


async def _approve(world: World, failover: Failover, phone: str) -> None:
    reservation = await world.reserve(phone=phone)
    assert reservation.challenge.id == failover.id
    assert await world.store.approve(reservation, settled=(), now=world.now)


def _worker(world: World, name: str = "worker-1", **more: Any) -> Any:
    return WorkerRecord(name=name, kind="worker", started_at=world.now, seen_at=world.now, **more)
