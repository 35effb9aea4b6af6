"""Upkeep and an operator's commands, on every store: sweeping, purging, settings, what people see."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.records import CounterRecord, ReservationStatus, StepKind


async def sweep(world, retried=(), limit=100):
    return await world.store.sweep(retried=retried, limit=limit, now=world.now)


async def purge(world, *, challenges=None, deliveries=None, phone_key=None):
    never = world.now - timedelta(days=365)
    return await world.store.purge(
        challenges_before=challenges or never, deliveries_before=deliveries or never, phone_key=phone_key, now=world.now
    )


async def kept_slots(world):
    return await world.store._read(lambda rows: int(rows.slot("twilio:VA1", "phone-1") is not None))


class TestSweeping:
    """What nobody ended is ended."""

    async def test_an_expired_challenge_is_closed_and_its_sealed_code_erased(self, world):
        world.with_retries()
        walk = await world.begin(charges=await world.charge(seconds=3600))
        await walk.answer(Outcome.THROTTLED)
        world.later(300)
        (ended,) = await sweep(world, retried=(Channel.SMS,))
        view = await walk.view()
        assert ended.challenge == view.challenge
        assert (view.challenge.state, view.challenge.code_sealed, view.schedule) == (ChallengeState.EXPIRED, None, ())
        assert await world.used() == 0
        assert await sweep(world) == ()

    async def test_not_a_moment_too_early(self, world):
        await world.begin()
        world.later(299.999999)
        assert await sweep(world, retried=tuple(Channel)) == ()

    async def test_a_send_that_died_half_way_is_interrupted_where_nothing_is_retried(self, world):
        walk = await world.begin(charges=await world.charge())
        world.later(9.999999)
        assert await sweep(world) == ()
        world.later(0.000001)
        (ended,) = await sweep(world)
        assert (ended.channel, ended.challenge.state) == (Channel.SMS, ChallengeState.UNSENDABLE)
        assert ended.challenge.reason is UnsendableReason.INTERRUPTED
        assert await world.used() == 1
        assert (await walk.answer(Outcome.UNAVAILABLE)).kind is StepKind.STOPPED

    async def test_what_is_retried_is_left_to_the_retries(self, world):
        await world.begin()
        world.later(20)
        assert await sweep(world, retried=(Channel.SMS,)) == ()
        assert len((await world.claim()).claims) == 1

    async def test_a_code_that_may_have_arrived_still_verifies(self, world):
        await world.begin()
        world.later(20)
        await sweep(world)
        assert (await world.reserve()).status is ReservationStatus.RESERVED

    async def test_no_more_than_asked_the_longest_expired_first(self, world):
        walks = []
        for number in range(3):
            walks.append(await world.begin(phone=f"phone-{number}"))
            world.later(1)
        world.later(300)
        ended = await sweep(world, retried=tuple(Channel), limit=2)
        assert [one.challenge.id for one in ended] == [walk.id for walk in walks[:2]]

    async def test_of_two_sweepers_each_challenge_is_ended_by_one(self, world):
        for number in range(10):
            await world.begin(phone=f"phone-{number}")
        world.later(300)
        ended = []

        async def one():
            ended.extend(await sweep(world, limit=6))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(one)
        assert len(ended) == len({one.challenge.id for one in ended}) == 10


class TestPurging:
    """Nothing is kept longer than it should be, and one person can be erased."""

    async def test_challenges_go_some_time_after_their_end_and_deliveries_later(self, world):
        walk = await world.begin(world.vendor())
        await world.store.cancel(walk.id, world.now)
        world.later(301)
        count = await purge(world, challenges=world.at(301))
        assert (count.challenges, count.deliveries) == (1, 0)
        assert await world.store.latest("phone-1/login") is None
        assert (await world.begin(world.vendor())).step.mark is None
        count = await purge(world, deliveries=world.at(1))
        assert count.deliveries == 1

    async def test_what_is_not_over_or_not_old_enough_stays(self, world):
        living = await world.begin()
        over = await world.begin(phone="phone-2")
        await world.store.cancel(over.id, world.now)
        world.later(300)
        count = await purge(world, challenges=world.at(300))
        assert count.challenges == 0
        assert await world.store.view(challenge_id=living.id)
        assert await world.store.view(challenge_id=over.id)

    async def test_counters_of_windows_that_ended_go(self, world):
        await world.charge("short", seconds=10)
        await world.charge("long", seconds=100)
        world.later(10)
        assert (await purge(world)).counters == 1
        assert await world.used("long") == 1

    async def test_slots_that_nobody_holds_go(self, world):
        walk = await world.begin(world.vendor())
        await walk.answer(Outcome.UNAVAILABLE)
        assert await kept_slots(world) == 1
        await purge(world, challenges=world.at(-1))
        assert await kept_slots(world) == 0

    async def test_a_mark_stays_as_long_as_the_challenge_whose_verification_it_is(self, world):
        old = await world.begin(world.vendor())
        await old.answer(Outcome.ACCEPTED, reference="VE1")
        await world.store.cancel(old.id, world.now)
        walk = await world.begin(world.vendor())
        await walk.answer(Outcome.UNAVAILABLE)
        await purge(world, challenges=world.at(-1))
        assert await kept_slots(world) == 1
        world.later(400)
        await purge(world, challenges=world.now)
        assert await kept_slots(world) == 0

    async def test_one_person_is_erased_at_once(self, world):
        world.with_retries()
        walk = await world.begin(world.vendor(), charges=await world.charge())
        await walk.answer(Outcome.THROTTLED)
        await world.reserve(client="c")
        other = await world.begin(phone="phone-10")
        count = await purge(world, phone_key="phone-1")
        assert (count.challenges, count.deliveries, count.counters) == (1, 1, 3)
        assert await world.store.view(phone_key="phone-1") == ()
        assert [row.challenge_id for row, _ in await world.store.retries(10)] == [other.id]
        assert (await world.reserve()).status is ReservationStatus.NOT_FOUND
        assert (await other.view()).deliveries != ()

    async def test_deliveries_of_a_person_go_too_when_their_challenge_is_gone_already(self, world):
        walk = await world.begin()
        await world.store.cancel(walk.id, world.now)
        world.later(400)
        await purge(world, challenges=world.now)
        assert (await purge(world, phone_key="phone-1")).deliveries == 1

    async def test_a_send_whose_challenge_was_erased_stops(self, world):
        walk = await world.begin(world.core("mada", "backup"))
        await purge(world, phone_key="phone-1")
        assert (await walk.answer(Outcome.UNAVAILABLE)).kind is StepKind.STOPPED
        assert not await world.store.clear_mark(walk.ref, "scope", world.now)

    async def test_a_verification_whose_challenge_was_erased_fails(self, world):
        await world.begin()
        reservation = await world.reserve()
        await purge(world, phone_key="phone-1")
        assert not await world.store.approve(reservation, settled=(), now=world.now)
        assert await world.store.settle(reservation, give_back=True, gone=(), now=world.now) is None


class TestCancelling:
    """The host ends a living challenge."""

    async def test_it_says_what_is_to_be_cancelled_at_the_vendor(self, world):
        walk = await world.with_retries().begin(world.vendor())
        await walk.answer(Outcome.ACCEPTED, reference="VE1")
        view = await world.store.cancel(walk.id, world.now)
        assert (view.challenge.state, view.challenge.code_sealed) == (ChallengeState.CANCELLED, None)
        assert [delivery.reference for delivery in view.deliveries] == ["VE1"]
        assert await world.store.next_due() is None

    async def test_only_once_and_only_while_it_lives(self, world):
        walk = await world.begin()
        views = []

        async def cancel():
            views.append(await world.store.cancel(walk.id, world.now))

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


class TestOperators:
    """Retries, counters and settings by hand."""

    async def test_retries_are_listed_the_earliest_due_first(self, world):
        world.with_retries()
        for number in (1, 2, 3):
            walk = await world.begin(phone=f"phone-{number}")
            await walk.answer(Outcome.THROTTLED, retry_after=40 - 10 * number)
        listed = await world.store.retries(2)
        assert [(row.due_at, challenge.phone_key) for row, challenge in listed] == [
            (world.at(10), "phone-3"),
            (world.at(20), "phone-2"),
        ]

    async def test_requeue_makes_waiting_retries_due_now(self, world):
        world.with_retries()
        walk = await world.begin()
        await walk.answer(Outcome.THROTTLED, retry_after=60)
        world.later(5)
        assert await world.store.requeue(walk.id, world.now) == 1
        assert len((await world.claim()).claims) == 1

    async def test_requeue_leaves_a_try_under_way_alone(self, world):
        walk = await world.begin()
        assert await world.store.requeue(walk.id, world.now) == 0
        assert await world.store.requeue("unknown", world.now) == 0
        assert (await walk.view()).schedule[0].due_at == world.at(10)

    async def test_drop_ends_sending_and_verifying_goes_on(self, world):
        world.with_retries()
        walk = await world.begin(charges=await world.charge())
        await walk.answer(Outcome.THROTTLED)
        ended = await world.store.drop(walk.id, world.now)
        assert (ended.challenge.state, ended.challenge.reason) == (ChallengeState.UNSENDABLE, UnsendableReason.FAILED)
        assert (await walk.view()).schedule == ()
        assert await world.used() == 0
        assert (await world.reserve()).status is ReservationStatus.RESERVED

    async def test_drop_of_nothing_says_so(self, world):
        walk = await world.begin()
        await walk.answer(Outcome.ACCEPTED)
        assert await world.store.drop(walk.id, world.now) is None
        assert await world.store.drop("unknown", world.now) is None

    async def test_counters_are_listed_by_the_beginning_of_their_key(self, world):
        for key in ("phone-1/a", "phone-1/b", "PHONE-1/a", "phone-10/a", "phone%1/a", "phone_1/a"):
            await world.charge(key)
        assert await world.store.counters("phone-1/", world.now) == tuple(
            CounterRecord(key=key, count=1, window_ends_at=world.at(600)) for key in ("phone-1/a", "phone-1/b")
        )
        world.later(600)
        assert await world.store.counters("", world.now) == ()

    @pytest.mark.parametrize("prefix", ["phone_1", "phone%1", "phone-1/"])
    async def test_counters_are_reset_by_the_beginning_of_their_key(self, world, prefix):
        for key in ("phone-1/a", "phone-10/a", "phone%1/a", "phone_1/a"):
            await world.charge(key)
        assert await world.store.reset_counters(prefix) == 1
        assert len(await world.store.counters("", world.now)) == 3

    async def test_settings_are_written_read_and_removed(self, world):
        await world.store.write_setting("otp_sms_provider", "Twilio;Mada:+35987")
        await world.store.write_setting("otp_sms_provider", "Twilio")
        await world.store.write_setting("paused", "yes")
        assert dict(await world.store.settings()) == {"otp_sms_provider": "Twilio", "paused": "yes"}
        await world.store.write_setting("paused", None)
        await world.store.write_setting("never there", None)
        assert dict(await world.store.settings()) == {"otp_sms_provider": "Twilio"}

    async def test_doctor_is_told_which_store_it_is(self, world):
        facts = await world.store.diagnose()
        assert facts["store"] in ("memory", "sql")
        assert all(isinstance(value, str) for value in facts.values())
