"""Contract tests of upkeep and an operator's commands: sweeping, cancelling, settings, what people see."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.stores.commands import ReservationStatus
from otpcore.stores.records import CounterRecord, changed
from otpcore.stores.steps import Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import CHANNELS, World

__all__ = ["CancellingTests", "OperatorTests", "SweepingTests"]


_UNRETRIED = tuple(channel for channel in CHANNELS if channel != Channel.SMS)


class SweepingTests(StoreBase):
    """What nobody ended is ended."""

    async def test_sweeping_an_expired_challenge_is_closed_and_its_sealed_code_erased(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(charges=world.charges(seconds=3600), extras_sealed=b"said")
        await failover.answer(Outcome.THROTTLED)
        world.later(300)
        (ended,) = await _sweep(world, unretried=_UNRETRIED)
        view = await failover.view()
        assert ended.challenge == view.challenge
        assert (view.challenge.state, view.challenge.code_sealed, view.schedule) == (ChallengeState.EXPIRED, None, ())
        assert view.challenge.extras_sealed is None
        assert await world.used() == 0
        assert await _sweep(world) == ()

    async def test_sweeping_not_a_moment_too_early(self, world: World) -> None:
        await world.begin()
        world.later(299.999999)
        assert await _sweep(world, unretried=()) == ()

    async def test_sweeping_a_send_that_died_half_way_is_interrupted_where_nothing_is_retried(
        self, world: World
    ) -> None:
        failover = await world.begin(charges=world.charges())
        world.later(9.999999)
        assert await _sweep(world) == ()
        world.later(0.000001)
        (ended,) = await _sweep(world)
        assert (ended.channel, ended.challenge.state) == (Channel.SMS, ChallengeState.UNSENDABLE)
        assert ended.challenge.reason is UnsendableReason.INTERRUPTED
        assert await world.used() == 1
        assert isinstance(await failover.answer(Outcome.UNAVAILABLE), Stopped)

    async def test_sweeping_what_is_retried_is_left_to_the_retries(self, world: World) -> None:
        await world.begin()
        world.later(20)
        assert await _sweep(world, unretried=_UNRETRIED) == ()
        assert len((await world.claim()).claims) == 1

    async def test_sweeping_a_code_that_may_have_arrived_still_verifies(self, world: World) -> None:
        await world.begin()
        world.later(20)
        await _sweep(world)
        assert (await world.reserve()).status is ReservationStatus.RESERVED

    async def test_sweeping_no_more_than_asked_the_longest_expired_first(self, world: World) -> None:
        failovers: list[Any] = []
        for number in range(3):
            failovers.append(await world.begin(phone=f"phone-{number}"))
            world.later(1)
        world.later(300)
        ended = await _sweep(world, unretried=(), limit=2)
        assert [one.challenge.id for one in ended] == [failover.id for failover in failovers[:2]]

    async def test_sweeping_of_two_sweepers_each_challenge_is_ended_by_one(self, world: World) -> None:
        for number in range(10):
            await world.begin(phone=f"phone-{number}")
        world.later(300)
        ended: list[Any] = []

        async def one() -> None:
            ended.extend(await _sweep(world, limit=6))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(one)
        assert len(ended) >= (6 if self.passes_over else 10)
        while left := 10 - len(ended):
            await one()
            assert 10 - len(ended) == max(0, left - 6)  # by itself it passes over nothing
        assert len({one.challenge.id for one in ended}) == 10


class CancellingTests(StoreBase):
    """The host ends a living challenge."""

    async def test_cancelling_it_says_what_is_to_be_cancelled_at_the_vendor(self, world: World) -> None:
        failover = await world.with_retries().begin(world.vendor(), extras_sealed=b"said")
        await failover.answer(Outcome.ACCEPTED, reference="VE1")
        view = await world.store.cancel(failover.id, world.now)
        assert (view.challenge.state, view.challenge.code_sealed) == (ChallengeState.CANCELLED, None)
        assert view.challenge.extras_sealed is None
        assert [delivery.reference for delivery in view.deliveries] == ["VE1"]
        assert await world.store.next_due() is None

    async def test_cancelling_only_once_and_only_while_it_lives(self, world: World) -> None:
        failover = await world.begin()
        views: list[Any] = []

        async def cancel() -> None:
            views.append(await world.store.cancel(failover.id, world.now))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(cancel)
        assert sum(view is not None for view in views) == 1
        assert await world.store.cancel("unknown", world.now) is None
        late = await world.begin()
        world.later(300)
        assert (await world.store.cancel(late.id, world.now)).challenge.state is ChallengeState.EXPIRED
        assert await world.store.cancel(late.id, world.now) is None
        assert (await late.view()).challenge.state is ChallengeState.EXPIRED


class OperatorTests(StoreBase):
    """Retries, counters and settings by hand."""

    async def test_operators_retries_are_listed_the_earliest_due_first(self, world: World) -> None:
        world.with_retries()
        for number in (1, 2, 3):
            failover = await world.begin(phone=f"phone-{number}")
            await failover.answer(Outcome.THROTTLED, retry_after=40 - 10 * number)
        listed = await world.store.retries(2)
        assert [(row.due_at, challenge.phone_key) for row, challenge in listed] == [
            (world.at(10), "phone-3"),
            (world.at(20), "phone-2"),
        ]

    async def test_operators_requeue_makes_waiting_retries_due_now(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin()
        await failover.answer(Outcome.THROTTLED, retry_after=60)
        world.later(5)
        assert await world.store.requeue(failover.id, world.now) == 1
        assert len((await world.claim()).claims) == 1

    async def test_operators_requeue_leaves_a_try_under_way_alone(self, world: World) -> None:
        failover = await world.begin()
        world.later(1)
        assert await world.store.requeue(failover.id, world.now) == 0
        (row,) = (await failover.view()).schedule
        assert (row.due_at, row.lease_until) == (world.at(0), world.at(10))

    async def test_operators_requeue_of_nothing_says_so(self, world: World) -> None:
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        assert await world.store.requeue(failover.id, world.now) is None
        assert await world.store.requeue("unknown", world.now) is None

    async def test_operators_are_told_what_a_send_tried_last(self, world: World) -> None:
        world.with_retries()
        first = await world.begin(world.core("mada", "backup"))
        await first.answer(Outcome.UNAVAILABLE)
        await first.answer(Outcome.THROTTLED, retry_after=60, provider_code="20429")
        second = await world.begin(phone="phone-2")
        await second.answer(Outcome.UNAVAILABLE)
        rows = {row.challenge_id: row for row, _ in await world.store.retries(10)}
        sends = [rows[second.id], changed(rows[first.id], send_id="unknown"), rows[first.id]]
        other, none, last = await world.store.last_deliveries(sends)
        assert (other.challenge_id, none) == (second.id, None)
        assert (last.instance, last.outcome, last.provider_code) == ("backup", Outcome.THROTTLED, "20429")
        assert await world.store.last_deliveries([]) == ()

    async def test_operators_drop_ends_sending_and_verifying_goes_on(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(charges=world.charges())
        await failover.answer(Outcome.THROTTLED)
        ended = await world.store.drop(failover.id, world.now)
        assert (ended.challenge.state, ended.challenge.reason) == (ChallengeState.UNSENDABLE, UnsendableReason.FAILED)
        assert (await failover.view()).schedule == ()
        assert await world.used() == 0
        assert (await world.reserve()).status is ReservationStatus.RESERVED

    async def test_operators_drop_of_nothing_says_so(self, world: World) -> None:
        failover = await world.begin()
        await failover.answer(Outcome.ACCEPTED)
        assert await world.store.drop(failover.id, world.now) is None
        assert await world.store.drop("unknown", world.now) is None

    async def test_operators_counters_are_listed_by_the_beginning_of_their_key(self, world: World) -> None:
        for key in ("phone-1/a", "phone-1/b", "PHONE-1/a", "phone-10/a", "phone%1/a", "phone_1/a"):
            await world.charge(key)
        assert await world.store.counters("phone-1/", world.now) == tuple(
            CounterRecord(key=key, count=1, window_ends_at=world.at(600)) for key in ("phone-1/a", "phone-1/b")
        )
        world.later(600)
        assert await world.store.counters("", world.now) == ()

    @pytest.mark.parametrize("prefix", ["phone_1", "phone%1", "phone-1/"])
    async def test_operators_counters_are_reset_by_the_beginning_of_their_key(self, world: World, prefix: str) -> None:
        for key in ("phone-1/a", "phone-10/a", "phone%1/a", "phone_1/a"):
            await world.charge(key)
        assert await world.store.reset_counters(prefix) == 1
        assert len(await world.store.counters("", world.now)) == 3

    async def test_operators_settings_are_written_read_and_removed(self, world: World) -> None:
        await world.store.write_setting("otp_sms_provider", "Twilio;Mada:+35987")
        await world.store.write_setting("otp_sms_provider", "Twilio")
        await world.store.write_setting("paused", "yes")
        assert dict(await world.store.settings()) == {"otp_sms_provider": "Twilio", "paused": "yes"}
        await world.store.write_setting("paused", None)
        await world.store.write_setting("never there", None)
        assert dict(await world.store.settings()) == {"otp_sms_provider": "Twilio"}

    async def test_operators_recent_challenges_come_by_channel_the_latest_delivery_first(self, world: World) -> None:
        world.with_retries()
        first = await world.begin(world.core("mada", "backup"))
        world.later(10)
        second = await world.begin(phone="phone-2")
        await world.begin(phone="phone-3", channel=Channel.CALL)
        world.later(10)
        await first.answer(Outcome.UNAVAILABLE)  # the next instance is called now
        found = await world.store.recent(world.at(0), Channel.SMS, 10)
        assert [one.id for one in found] == [first.id, second.id]
        assert [one.id for one in await world.store.recent(world.at(0), Channel.SMS, 1)] == [first.id]
        assert [one.id for one in await world.store.recent(world.at(11), Channel.SMS, 10)] == [first.id]
        assert await world.store.recent(world.at(21), Channel.SMS, 10) == ()

    async def test_operators_doctor_is_told_which_store_it_is(self, world: World) -> None:
        facts = await world.store.diagnose()
        assert facts["store"]
        assert all(isinstance(value, str) for value in facts.values())


async def _sweep(world: World, unretried: Any = CHANNELS, limit: int = 100) -> Any:
    return await world.store.sweep(unretried=unretried, limit=limit, now=world.now)
