"""Contract tests of vendor slots: one living challenge a vendor account and phone, and nobody inherits an old code."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from otpcore.models import ChallengeState, Channel, Outcome, UnsendableReason
from otpcore.stores.commands import Refusal, ReservationStatus
from otpcore.stores.records import Mark
from otpcore.stores.steps import CallInstance, CancelLate, Ended, Queued, Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.world import World

__all__ = ["LateAcceptanceTests", "SlotRetryTests", "SlotTests", "TakingOverTests"]


class SlotTests(StoreBase):
    """One living challenge a vendor account and phone."""

    async def test_a_living_challenge_keeps_the_account_from_another_purpose(self, world: World) -> None:
        await world.begin(world.vendor(), "login")
        charges = world.charges()
        refused = await world.begin(world.vendor(), "payment", charges=charges)
        assert (refused.reason, refused.begun.retry_after) == (Refusal.PROVIDER_BUSY, 300.0)
        assert await world.used() == 0

    async def test_the_other_purpose_goes_by_another_instance(self, world: World) -> None:
        await world.begin(world.vendor(), "login")
        failover = await world.begin(world.vendor() + world.core("mada"), "payment")
        assert failover.delivery.instance == "mada"

    async def test_another_phone_or_another_account_is_free(self, world: World) -> None:
        await world.begin(world.vendor(), "login")
        assert (await world.begin(world.vendor(), "login", "phone-2")).step is not None
        assert (await world.begin(world.vendor("sinch", "sinch:app"), "payment")).step is not None

    async def test_two_instances_of_one_account_share_the_slot_of_their_challenge(self, world: World) -> None:
        failover = await world.begin(world.vendor("twilio") + world.vendor("sinch"))
        step = await failover.answer(Outcome.UNAVAILABLE)
        assert (type(step), step.delivery.instance, step.mark) == (CallInstance, "sinch", None)

    async def test_of_many_purposes_at_once_one_gets_the_slot(self, world: World) -> None:
        failovers: list[Any] = []

        async def begin(number: int) -> None:
            failovers.append(await world.begin(world.vendor(), f"purpose-{number}"))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(begin, number)
        assert sum(failover.step is not None for failover in failovers) == 1
        assert {failover.reason for failover in failovers} == {None, Refusal.PROVIDER_BUSY}

    async def test_a_slot_whose_only_delivery_was_certainly_not_sent_is_free_again(self, world: World) -> None:
        failover = await world.with_retries().begin(world.vendor(), "login")
        await failover.answer(Outcome.UNAVAILABLE)
        other = await world.begin(world.vendor(), "payment")
        assert isinstance(other.step, CallInstance)
        assert other.step.mark is None

    async def test_a_slot_with_a_delivery_in_doubt_stays_held(self, world: World) -> None:
        failover = await world.begin(world.vendor() + world.vendor("sinch"), "login")
        await failover.answer(Outcome.AMBIGUOUS)
        await failover.answer(Outcome.UNAVAILABLE)
        assert (await world.begin(world.vendor(), "payment")).reason is Refusal.PROVIDER_BUSY

    async def test_a_slot_that_was_lost_counts_as_marked_for_the_old_holder(self, world: World) -> None:
        failover = await world.begin(world.vendor() + world.core("mada"), "login")
        await failover.answer(Outcome.UNAVAILABLE)
        await world.begin(world.vendor(), "payment")
        reservation = await world.reserve("login")
        assert reservation.status is ReservationStatus.RESERVED
        assert reservation.marked == {"twilio:VA1"}


class TakingOverTests(StoreBase):
    """The old holder is over: its verification must be cancelled at the vendor before a new one starts."""

    async def test_taking_over_it_is_marked_with_the_old_reference(self, world: World) -> None:
        old = await _ended(world)
        failover = await world.begin(world.vendor(), "payment")
        assert failover.step.mark == Mark(
            scope="twilio:VA1",
            challenge_id=old.id,
            delivery_id=(await old.view()).deliveries[0].id,
            channel=Channel.SMS,
            reference="VE1",
        )

    async def test_taking_over_it_is_marked_by_recipient_where_no_reference_is_known(self, world: World) -> None:
        await _ended(world, Outcome.AMBIGUOUS, "")
        failover = await world.begin(world.vendor(), "payment")
        assert failover.step.mark.reference == ""

    async def test_taking_over_one_delivery_without_reference_among_others_means_by_recipient(
        self, world: World
    ) -> None:
        old = await world.begin(world.vendor() + world.vendor("sinch"), "login")
        await old.answer(Outcome.AMBIGUOUS)
        await old.answer(Outcome.ACCEPTED, reference="VE2")
        await world.store.cancel(old.id, world.now)
        failover = await world.begin(world.vendor(), "payment")
        assert failover.step.mark.reference == ""

    async def test_taking_over_a_verification_that_is_gone_or_approved_needs_no_cancelling(self, world: World) -> None:
        old = await world.begin(world.vendor(), "login")
        await old.answer(Outcome.ACCEPTED, reference="VE1")
        reservation = await world.reserve("login")
        settled = [delivery.id for delivery in reservation.deliveries]
        assert await world.store.approve(reservation, settled=settled, now=world.now)
        failover = await world.begin(world.vendor(), "payment")
        assert failover.step.mark is None

    async def test_taking_over_not_while_a_call_of_the_old_holder_may_be_under_way(self, world: World) -> None:
        old = await world.begin(world.vendor(), "login")
        await world.store.cancel(old.id, world.now)
        refused = await world.begin(world.vendor(), "payment")
        assert (refused.reason, refused.begun.retry_after) == (Refusal.PROVIDER_BUSY, 10.0)
        world.later(10)
        failover = await world.begin(world.vendor(), "payment")
        assert failover.step.mark.reference == ""

    async def test_taking_over_nothing_is_checked_by_recipient_while_the_mark_stands(self, world: World) -> None:
        await _ended(world)
        failover = await world.begin(world.vendor(), "payment")
        await failover.answer(Outcome.AMBIGUOUS)
        assert (await world.reserve("payment")).marked == {"twilio:VA1"}
        again = await world.with_retries().resend(failover.id, world.vendor(), channel=Channel.CALL)
        assert await world.store.clear_mark(again.ref, "twilio:VA1", world.now)
        assert (await world.reserve("payment")).marked == frozenset()

    async def test_taking_over_every_failover_sees_the_mark_until_it_is_cleared(self, world: World) -> None:
        await _ended(world)
        failover = await world.with_retries().begin(world.vendor(), "payment")
        await failover.answer(Outcome.UNAVAILABLE)
        retry = await world.claim_next(world.vendor())
        assert retry.step.mark.reference == "VE1"
        assert await world.store.clear_mark(retry.ref, "twilio:VA1", world.now)
        world.later(30)
        again = await world.resend(failover.id, world.vendor())
        assert again.step.mark is None

    async def test_taking_over_the_mark_passes_on_to_the_next_holder(self, world: World) -> None:
        await _ended(world)
        failover = await world.begin(world.vendor(), "payment")
        await failover.answer(Outcome.UNAVAILABLE)
        third = await world.begin(world.vendor(), "transfer")
        assert third.step.mark.reference == "VE1"

    async def test_taking_over_an_old_mark_wins_over_a_newer_holder_that_never_started(self, world: World) -> None:
        await _ended(world)
        second = await world.begin(world.vendor(), "payment")
        await second.answer(Outcome.AMBIGUOUS)
        await world.store.cancel(second.id, world.now)
        third = await world.begin(world.vendor(), "transfer")
        assert third.step.mark.reference == "VE1"

    async def test_taking_over_a_failover_that_lost_its_row_may_not_clear_the_mark(self, world: World) -> None:
        await _ended(world)
        failover = await world.begin(world.vendor(), "payment")
        world.later(30)
        again = await world.resend(failover.id, world.vendor())
        assert not await world.store.clear_mark(failover.ref, "twilio:VA1", world.now)
        assert await world.store.clear_mark(again.ref, "twilio:VA1", world.now)

    @pytest.mark.parametrize("ending", ["cancelled", "expired"])
    async def test_taking_over_nor_may_a_failover_whose_challenge_is_over(self, world: World, ending: str) -> None:
        await _ended(world)
        failover = await world.begin(world.vendor(), "payment")
        if ending == "cancelled":
            await world.store.cancel(failover.id, world.now)
        else:
            world.later(300)
        assert not await world.store.clear_mark(failover.ref, "twilio:VA1", world.now)


class SlotRetryTests(StoreBase):
    """A retry waits for a slot, uncounted, and gives up when it comes free too late."""

    async def test_retrying_it_waits_for_the_end_of_the_old_holders_call(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(world.vendor(), "login")
        await failover.answer(Outcome.UNAVAILABLE)
        other = await world.begin(world.vendor(), "payment")
        await world.store.cancel(other.id, world.now)
        retry = await world.claim_next(world.vendor())
        assert (type(retry.step), retry.step.due_at) == (Queued, world.at(11))
        assert (await failover.view()).schedule[0].attempts == 0

    async def test_retrying_it_ends_as_expired_when_the_holder_lives_longer_than_its_code(self, world: World) -> None:
        world.with_retries()
        failover = await world.begin(world.vendor(), "login")
        await failover.answer(Outcome.UNAVAILABLE)
        await world.begin(world.vendor(), "payment")
        retry = await world.claim_next(world.vendor())
        assert isinstance(retry.step, Ended)
        assert retry.step.challenge.reason is UnsendableReason.EXPIRED


class LateAcceptanceTests(StoreBase):
    """The vendor took the message for a challenge that is over meanwhile."""

    async def test_late_acceptance_it_is_to_be_cancelled_at_the_vendor(self, world: World) -> None:
        failover = await world.begin(world.vendor())
        await world.store.cancel(failover.id, world.now)
        step = await failover.answer(Outcome.ACCEPTED, reference="VE9")
        assert (type(step), step.delivery.reference) == (CancelLate, "VE9")
        assert (await failover.view()).challenge.state is ChallengeState.CANCELLED

    async def test_late_acceptance_but_not_once_somebody_else_holds_the_slot(self, world: World) -> None:
        failover = await world.begin(world.vendor())
        await world.store.cancel(failover.id, world.now)
        world.later(10)
        await world.begin(world.vendor(), "payment")
        assert isinstance(await failover.answer(Outcome.ACCEPTED, reference="VE9"), Stopped)

    async def test_late_acceptance_and_not_by_recipient(self, world: World) -> None:
        failover = await world.begin(world.vendor())
        await world.store.cancel(failover.id, world.now)
        assert isinstance(await failover.answer(Outcome.AMBIGUOUS), Stopped)


async def _ended(world: World, outcome: Outcome = Outcome.ACCEPTED, reference: str = "VE1") -> Any:
    old = await world.begin(world.vendor(), "login")
    await old.answer(outcome, reference=reference)
    await world.store.cancel(old.id, world.now)
    return old
