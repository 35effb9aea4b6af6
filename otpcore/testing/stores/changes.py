"""Contract tests of the outbox: what changes in a challenge is told once it has, claimed by one, and goes when it is done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest

from otpcore import models
from otpcore.models import ChallengeState, Outcome, UnsendableReason
from otpcore.stores.changes import Change, ChangeRecord
from otpcore.stores.steps import CallInstance
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import accepted, state_of
from otpcore.testing.stores.world import World

__all__ = ["OutboxTests"]

LEASE = timedelta(seconds=30)


class OutboxTests(StoreBase):
    """The outbox of a store that keeps one."""

    @pytest.fixture
    def told(self, world: World) -> World:
        """A world whose store keeps an outbox."""
        world.store.keeps_outbox = True
        return world

    async def test_outbox_is_empty_unless_the_store_keeps_one(self, world: World) -> None:
        failover = await accepted(world)
        await world.store.cancel(failover.id, world.now)
        assert await _claim(world) == ()

    async def test_outbox_tells_of_a_message_that_was_sent_delivered_and_verified(self, told: World) -> None:
        failover = await accepted(told, reference="M1")
        delivery = failover.answered.id
        told.later(1)
        await told.delivered(reference="M1")
        await told.delivered(delivery_id=delivery)
        told.later(1)
        assert await told.store.approve(await told.reserve(), settled=(), now=told.now)
        assert await _kinds(told) == [
            (Change.SENT, failover.id, delivery, None, told.at(0)),
            (Change.DELIVERED, failover.id, delivery, None, told.at(1)),
            (Change.VERIFIED, failover.id, "", None, told.at(2)),
        ]

    async def test_outbox_tells_of_what_did_not_arrive_and_of_the_end_of_sending(self, told: World) -> None:
        failover = await accepted(told, reference="M1")
        delivery = failover.answered.id
        failed = await told.go_on(await told.undelivered(reference="M1"), told.core("mada"))
        assert failed.step.challenge.state is ChallengeState.UNSENDABLE
        assert [(kind, of, state) for kind, _, of, state, _ in await _kinds(told)] == [
            (Change.SENT, delivery, None),
            (Change.UNDELIVERED, delivery, None),
            (Change.ENDED, "", ChallengeState.UNSENDABLE),
        ]

    async def test_outbox_tells_of_an_end_where_an_acceptance_came_to_nothing_only_if_nobody_goes_on(
        self, told: World
    ) -> None:
        failover = await told.begin(told.core("mada", "backup"))
        for instance, goes_on in (("mada", True), ("backup", False)):
            called = failover.delivery.id
            await told.undelivered(instance=instance, delivery_id=called, reference="M1")
            step = await failover.answer(Outcome.ACCEPTED, reference="M1")
            assert isinstance(step, CallInstance) is goes_on
            ended = [] if goes_on else [(Change.ENDED, "", ChallengeState.UNSENDABLE)]
            found = [(kind, of, state) for kind, _, of, state, _ in await _kinds(told)]
            assert found == [(Change.UNDELIVERED, called, None), *ended]

    @pytest.mark.parametrize("is_swept", [False, True])
    @pytest.mark.parametrize("is_early", [False, True])
    async def test_outbox_tells_of_an_end_once_though_an_acceptance_comes_late_and_to_nothing(
        self, told: World, *, is_early: bool, is_swept: bool
    ) -> None:
        failover = await told.begin(told.core("mada"))
        called = failover.delivery.id
        report = {"delivery_id": called, "reference": "M1"}
        if is_early:
            await told.undelivered(**report)
        told.later(31)
        if not is_early:
            await told.undelivered(**report)
        if is_swept:
            await told.store.sweep(unretried=(models.Channel.SMS,), limit=10, now=told.now)
        else:
            await told.store.drop(failover.id, told.now)
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)
        found = [(kind, of, state) for kind, _, of, state, _ in await _kinds(told)]
        assert sorted(found) == [(Change.ENDED, "", ChallengeState.UNSENDABLE), (Change.UNDELIVERED, called, None)]

    async def test_outbox_tells_of_an_arrival_once_though_the_answer_comes_later(self, told: World) -> None:
        failover = await told.begin(told.core("mada"))
        called = failover.delivery.id
        await told.delivered(delivery_id=called, reference="M1")
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        assert [(kind, of) for kind, _, of, _, _ in await _kinds(told)] == [(Change.DELIVERED, called)]

    @pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.UNAVAILABLE])
    async def test_outbox_tells_that_nothing_could_be_sent(self, told: World, outcome: Outcome) -> None:
        failover = await told.begin()
        await failover.answer(outcome)
        assert await _kinds(told) == [(Change.ENDED, failover.id, "", ChallengeState.UNSENDABLE, told.now)]

    async def test_outbox_tells_how_a_challenge_ended(self, told: World) -> None:
        cancelled, expired = await told.begin(), await told.begin(phone="phone-2")
        await told.store.cancel(cancelled.id, told.now)
        told.later(300)
        await told.store.sweep(unretried=(), limit=10, now=told.now)
        assert [(one, state) for _, one, _, state, _ in await _kinds(told)] == [
            (cancelled.id, ChallengeState.CANCELLED),
            (expired.id, ChallengeState.EXPIRED),
        ]

    async def test_outbox_tells_nothing_of_what_did_not_take_place(self, told: World) -> None:
        failover = await accepted(told)
        reservation = await told.reserve()
        await _claim(told)
        assert await told.store.approve(reservation, settled=(), now=told.now)
        assert not await told.store.approve(reservation, settled=(), now=told.now)
        assert await told.store.cancel(failover.id, told.now) is None
        assert [one.kind for one in await _claim(told)] == [Change.VERIFIED]

    async def test_outbox_is_claimed_once_until_the_lease_is_over(self, told: World) -> None:
        for number in range(10):
            await accepted(told, phone=f"phone-{number}")
        claimed: list[ChangeRecord] = []

        async def claim(token: str) -> None:
            claimed.extend(await _claim(told, token, limit=4))

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(claim, f"token-{number}")
        while more := await _claim(told, "late", limit=4):  # locked rows are passed over
            claimed += more
        assert len({one.number for one in claimed}) == len(claimed) == 10
        told.later(29.999999)
        assert await _claim(told) == ()
        told.later(0.000001)
        again = await _claim(told, "again", limit=100)
        assert {one.number for one in again} == {one.number for one in claimed}
        assert {(one.tries, one.token, one.due_at) for one in again} == {(2, "again", told.now + LEASE)}

    async def test_outbox_is_finished_and_put_off_by_its_owner_only(self, told: World) -> None:
        for number in range(3):
            await accepted(told, phone=f"phone-{number}")
        numbers = [one.number for one in await _claim(told, "first")]
        told.later(30)
        assert [one.number for one in await _claim(told, "second")] == numbers
        assert await told.store.finish_changes(numbers, "first") == 0
        assert await told.store.put_off_changes(numbers, "first", told.now) == 0
        assert await told.store.finish_changes(numbers[:1], "second") == 1
        assert await told.store.put_off_changes(numbers, "second", told.at(100)) == 2
        assert await told.store.finish_changes(numbers, "second") == 0
        told.later(69.999999)
        assert await _claim(told) == ()
        told.later(0.000001)
        found = await _claim(told, "third")
        assert [(one.number, one.tries) for one in found] == [(number, 3) for number in numbers[1:]]
        assert await told.store.finish_changes(numbers, "third") == 2
        told.later(3600)
        assert await _claim(told) == ()

    async def test_outbox_a_claim_that_was_not_tried_does_not_count(self, told: World) -> None:
        await accepted(told)
        for tries in (1, 1, 1):
            (one,) = await _claim(told, "ours")
            assert one.tries == tries
            assert await told.store.put_off_changes([one.number], "theirs", told.now, untried=True) == 0
            assert await told.store.put_off_changes([one.number], "ours", told.now, untried=True) == 1
        (one,) = await _claim(told)
        await told.store.put_off_changes([one.number], one.token, told.now)
        assert [one.tries for one in await _claim(told)] == [2]

    async def test_outbox_is_claimed_the_earliest_due_first_and_no_more_than_asked(self, told: World) -> None:
        first = await accepted(told)
        (one,) = await _claim(told)
        await told.store.put_off_changes([one.number], "somebody", told.at(5))
        told.later(10)
        second = await accepted(told, phone="phone-2")
        assert [change.challenge_id for change in await _claim(told, limit=1)] == [first.id]
        assert [change.challenge_id for change in await _claim(told, limit=1)] == [second.id]

    async def test_outbox_that_nobody_works_through_is_purged(self, told: World) -> None:
        await accepted(told)
        told.later(1)
        await accepted(told, phone="phone-2")
        old = {"challenges_before": told.at(0), "deliveries_before": told.at(1)}
        count = await told.store.purge(**old, phone_key=None, now=told.now)
        assert count.changes == 1
        assert [one.happened_at for one in await _claim(told)] == [told.at(1)]

    async def test_outbox_forgets_a_person_who_is_erased(self, told: World) -> None:
        await accepted(told)
        other = await accepted(told, phone="phone-2")
        old = {"challenges_before": told.at(-60), "deliveries_before": told.at(-60)}
        assert (await told.store.purge(**old, phone_key="phone-1", now=told.now)).changes == 1
        assert [one.challenge_id for one in await _claim(told)] == [other.id]

    async def test_outbox_forgets_an_erased_person_whose_challenge_is_gone_already(self, told: World) -> None:
        failover = await accepted(told)
        await told.store.cancel(failover.id, told.now)
        told.later(400)
        never = told.at(-60)
        gone = await told.store.purge(challenges_before=told.now, deliveries_before=never, phone_key=None, now=told.now)
        assert (gone.challenges, gone.changes) == (1, 0)
        erased = await told.store.purge(
            challenges_before=never, deliveries_before=never, phone_key="phone-1", now=told.now
        )
        assert (erased.deliveries, erased.changes) == (1, 2)
        assert await _claim(told) == ()

    async def test_outbox_is_of_one_world(self, told: World) -> None:
        there = attrs.evolve(told, store=told.store.within(models.World.SANDBOX))
        here, other = await accepted(told), await accepted(there, phone="phone-2")
        assert [one.challenge_id for one in await _claim(told)] == [here.id]
        far = {"challenges_before": told.at(3600), "deliveries_before": told.at(3600)}
        assert (await told.store.purge(**far, phone_key=None, now=told.now)).changes == 1
        assert [one.challenge_id for one in await _claim(there)] == [other.id]


async def _claim(world: World, owner: str = "somebody", limit: int = 100) -> Any:
    return await world.store.claim_changes(owner, limit=limit, lease=LEASE, now=world.now)


async def _kinds(world: World) -> list[tuple[Any, ...]]:
    """What was told, in order."""
    found = sorted(await _claim(world), key=lambda one: one.number)
    return [(one.kind, one.challenge_id, one.delivery_id, one.state, one.happened_at) for one in found]
