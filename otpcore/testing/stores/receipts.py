"""Contract tests of delivery receipts: each counts once, and lets a send go on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from otpcore.errors import ErrorKind
from otpcore.models import ChallengeState, Outcome, ReceiptOutcome, UnsendableReason
from otpcore.stores.steps import Accepted, Ended, Queued, Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import accepted, outcomes_of, state_of
from otpcore.testing.stores.world import CHANNELS, World

__all__ = ["DeliveredTests", "ReceiptUpkeepTests", "UndeliveredTests"]


class DeliveredTests(StoreBase):
    """The message reached the person."""

    async def test_delivered_an_accepted_message_is_confirmed_once(self, world: World) -> None:
        failover = await accepted(world)
        received = await world.delivered(reference="M1")
        assert received.outcome is ReceiptOutcome.APPLIED
        assert received.challenge.state is ChallengeState.SENT
        assert (await world.delivered(reference="M1")).outcome is ReceiptOutcome.REPLAYED
        assert await state_of(failover) == (ChallengeState.SENT, True, None)

    @pytest.mark.parametrize("outcome", [Outcome.AMBIGUOUS, Outcome.UNAVAILABLE])
    async def test_delivered_it_resolves_a_delivery_whose_answer_was_lost_and_ends_the_retries(
        self, world: World, outcome: Outcome
    ) -> None:
        failover = await world.with_retries().begin(world.core("mada"))
        await failover.answer(outcome)
        assert (await failover.view()).schedule
        await world.delivered(delivery_id=failover.answered.id, reference="M1")
        view = await failover.view()
        assert (view.challenge.state, view.challenge.confirmed, view.schedule) == (ChallengeState.SENT, True, ())
        assert [(one.outcome, one.reference) for one in view.deliveries] == [(Outcome.ACCEPTED, "M1")]

    async def test_delivered_an_unsendable_challenge_is_sent_after_all(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        step = await failover.answer(Outcome.UNAVAILABLE)
        assert step.challenge.state is ChallengeState.UNSENDABLE
        await world.delivered(delivery_id=failover.answered.id)
        assert await state_of(failover) == (ChallengeState.SENT, True, None)

    async def test_delivered_it_may_come_while_the_call_is_under_way_and_whatever_the_answer_is(
        self, world: World
    ) -> None:
        failover = await world.with_retries().begin(world.core("mada", "backup"))
        received = await world.delivered(delivery_id=failover.delivery.id, reference="M1")
        assert received.outcome is ReceiptOutcome.APPLIED
        step = await failover.answer(Outcome.AMBIGUOUS)
        assert isinstance(step, Accepted)
        assert (await failover.view()).deliveries[0].reference == "M1"
        assert await state_of(failover) == (ChallengeState.SENT, True, None)

    async def test_delivered_it_is_final(self, world: World) -> None:
        failover = await accepted(world)
        await world.delivered(reference="M1")
        assert (await world.undelivered(reference="M1")).outcome is ReceiptOutcome.IGNORED
        assert await state_of(failover) == (ChallengeState.SENT, True, None)
        assert await outcomes_of(failover) == [Outcome.ACCEPTED]

    async def test_delivered_after_undelivered_it_stops_the_failover_that_went_on(self, world: World) -> None:
        failover = await accepted(world)
        going_on = await world.go_on(await world.undelivered(reference="M1"), world.core("mada", "backup"))
        assert going_on.delivery.instance == "backup"
        await world.delivered(reference="M1")
        assert await state_of(failover) == (ChallengeState.SENT, True, None)
        assert isinstance(await going_on.answer(Outcome.UNAVAILABLE), Stopped)

    @pytest.mark.parametrize("end", ["cancel", "expire", "approve"])
    async def test_delivered_a_challenge_that_is_over_stays_over(self, world: World, end: str) -> None:
        failover = await accepted(world)
        if end == "cancel":
            await world.store.cancel(failover.id, world.now)
        elif end == "expire":
            world.later(300)
            await world.store.sweep(unretried=CHANNELS, limit=10, now=world.now)
        else:
            assert await world.store.approve(await world.reserve(), settled=(), now=world.now)
        before = await state_of(failover)
        for receipt in (world.undelivered, world.delivered):
            received = await receipt(reference="M1")
            assert (received.outcome, received.follows) == (ReceiptOutcome.APPLIED, None)
        assert await state_of(failover) == before


class UndeliveredTests(StoreBase):
    """It did not, and the send goes on or is over."""

    async def test_undelivered_the_next_instance_tries_and_the_first_is_left_out(self, world: World) -> None:
        failover = await accepted(world)
        received = await world.undelivered(reference="M1")
        assert received.challenge.state is ChallengeState.UNDELIVERED
        assert not received.challenge.confirmed
        assert await outcomes_of(failover) == [Outcome.UNDELIVERED]
        going_on = await world.go_on(received, world.core("mada", "backup"))
        assert going_on.delivery.instance == "backup"
        assert (await failover.view()).challenge.state is ChallengeState.UNDELIVERED
        await going_on.answer(Outcome.ACCEPTED, reference="B1")
        assert await state_of(failover) == (ChallengeState.SENT, True, None)

    async def test_undelivered_the_code_verifies_all_the_while(self, world: World) -> None:
        await accepted(world)
        await world.undelivered(reference="M1")
        assert await world.store.approve(await world.reserve(), settled=(), now=world.now)

    @pytest.mark.parametrize(
        ("kind", "reason"),
        [
            (None, UnsendableReason.FAILED),
            (ErrorKind.UNAVAILABLE, UnsendableReason.FAILED),
            (ErrorKind.MISCONFIGURED, UnsendableReason.MISCONFIGURED),
            (ErrorKind.LIMIT_REACHED, UnsendableReason.LIMIT_REACHED),
        ],
    )
    async def test_undelivered_with_nobody_left_it_is_unsendable_and_nothing_is_refunded(
        self, world: World, kind: ErrorKind | None, reason: UnsendableReason
    ) -> None:
        failover = await accepted(world, world.core("mada"), charges=world.charges())
        going_on = await world.go_on(await world.undelivered(reference="M1", kind=kind), world.core("mada"))
        assert isinstance(going_on.step, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, reason)
        assert await world.used() == 1

    async def test_undelivered_what_the_next_instance_answers_counts_beside_it(self, world: World) -> None:
        failover = await accepted(world)
        received = await world.undelivered(reference="M1", kind=ErrorKind.LIMIT_REACHED)
        going_on = await world.go_on(received, world.core("mada", "backup"))
        step = await going_on.answer(Outcome.MISCONFIGURED)
        assert isinstance(step, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.LIMIT_REACHED)

    async def test_undelivered_after_a_failover_that_ended_in_doubt_the_kind_says_why(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        in_doubt = failover.delivery.id
        await failover.answer(Outcome.AMBIGUOUS)
        received = await world.undelivered(delivery_id=in_doubt, kind=ErrorKind.MISCONFIGURED)
        assert isinstance(received.follows, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.MISCONFIGURED)

    async def test_undelivered_where_retries_are_on_it_is_queued_for_the_instances_that_are_left(
        self, world: World
    ) -> None:
        failover = await accepted(world.with_retries())
        going_on = await world.go_on(await world.undelivered(reference="M1"), world.core("mada", "backup"))
        step = await going_on.answer(Outcome.UNAVAILABLE)
        assert (type(step), step.challenge.state) == (Queued, ChallengeState.QUEUED)
        retry = await world.claim_next(world.core("mada", "backup"), key_ids=frozenset({"key-1"}))
        assert retry.delivery.instance == "backup"
        assert (await failover.view()).challenge.state is ChallengeState.QUEUED

    @pytest.mark.parametrize("kind", [ErrorKind.REJECTED_NUMBER, ErrorKind.BLOCKED])
    async def test_undelivered_a_refusal_by_the_person_or_the_number_ends_the_send(
        self, world: World, kind: ErrorKind
    ) -> None:
        failover = await accepted(world.with_retries())
        received = await world.undelivered(reference="M1", kind=kind, retried=CHANNELS)
        assert isinstance(received.follows, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.PERMANENT)

    async def test_undelivered_such_a_refusal_ends_the_retries_of_its_own_send(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada", "backup"))
        unresolved = failover.delivery.id
        await failover.answer(Outcome.AMBIGUOUS)
        await failover.answer(Outcome.UNAVAILABLE)
        received = await world.undelivered(delivery_id=unresolved, kind=ErrorKind.BLOCKED)
        assert isinstance(received.follows, Ended)
        assert (await failover.view()).schedule == ()

    async def test_undelivered_with_too_little_life_left_it_is_unsendable(self, world: World) -> None:
        failover = await accepted(world)
        world.later(271)
        assert isinstance((await world.undelivered(reference="M1")).follows, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.EXPIRED)

    async def test_undelivered_without_attempts_left_it_is_unsendable(self, world: World) -> None:
        failover = await accepted(world)
        for _ in range(5):
            await world.reserve()
        assert isinstance((await world.undelivered(reference="M1")).follows, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.MAX_ATTEMPTS)

    async def test_undelivered_a_process_without_the_key_leaves_it_to_one_that_has_it(self, world: World) -> None:
        failover = await accepted(world)
        received = await world.undelivered(reference="M1", key_ids=frozenset(), retried=CHANNELS)
        assert (type(received.follows), received.follows.due_at) == (Queued, world.now)
        assert await state_of(failover) == (ChallengeState.QUEUED, False, None)

    async def test_undelivered_a_process_without_the_forced_instances_and_without_workers_gives_up(
        self, world: World
    ) -> None:
        failover = await accepted(world, world.core("mada"), forced=("mada", "in_house"))
        assert isinstance((await world.undelivered(reference="M1")).follows, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)

    async def test_undelivered_a_process_that_dies_after_it_leaves_a_lease_that_runs_out(self, world: World) -> None:
        await accepted(world.with_retries())
        await world.undelivered(reference="M1")
        world.later(14)
        assert (await world.claim(key_ids=frozenset({"key-1"}))).claims == ()
        world.later(1)
        (claim,) = (await world.claim(key_ids=frozenset({"key-1"}))).claims
        assert (await world.begin_retry(claim, world.core("mada", "backup"))).delivery.instance == "backup"

    async def test_undelivered_retries_that_were_used_up_stay_used_up(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada"))
        await failover.answer(Outcome.UNAVAILABLE)
        retry = await world.claim_next()
        await retry.answer(Outcome.ACCEPTED, reference="M1")
        await world.undelivered(reference="M1")
        (row,) = (await failover.view()).schedule
        assert row.attempts == 1

    async def test_undelivered_it_does_not_count_against_the_instance(self, world: World) -> None:
        for number in range(6):
            await accepted(world, reference=f"M{number}", phone=f"phone-{number}")
            await world.undelivered(reference=f"M{number}")
        assert await world.breakers() == ()

    async def test_undelivered_a_vendors_verification_stays_checkable_and_its_slot_held(self, world: World) -> None:
        failover = await accepted(world, world.vendor() + world.core("mada"), reference="VE1")
        await world.go_on(await world.undelivered(reference="VE1", instance="twilio"), world.core("mada"))
        reservation = await world.reserve()
        assert (reservation.deliveries[0].reference, reservation.marked) == ("VE1", frozenset())
        other = await world.begin(world.vendor(), "payment")
        assert other.step is None
        assert failover.id == reservation.challenge.id


class ReceiptUpkeepTests(StoreBase):
    """Receipts go with the deliveries they are about."""

    async def test_upkeep_receipts_go_with_the_deliveries(self, world: World) -> None:
        await accepted(world)
        await world.delivered(reference="M1")
        world.later(3600)
        count = await world.store.purge(
            challenges_before=world.now, deliveries_before=world.now, phone_key=None, now=world.now
        )
        assert (count.deliveries, count.receipts) == (1, 1)

    async def test_upkeep_an_erased_person_leaves_none(self, world: World) -> None:
        await accepted(world)
        await world.delivered(reference="M1")
        await world.store.purge(
            challenges_before=world.now, deliveries_before=world.now, phone_key="phone-1", now=world.now
        )
        assert (await world.delivered(reference="M1")).outcome is ReceiptOutcome.UNKNOWN
        failover = await world.begin()
        assert (await failover.record(Outcome.ACCEPTED, reference="M2")).receipts == ()

    async def test_upkeep_a_receipt_for_a_purged_challenge_is_kept_with_its_delivery(self, world: World) -> None:
        failover = await accepted(world)
        await world.store.cancel(failover.id, world.now)
        world.later(600)
        past = world.now - timedelta(days=1)
        await world.store.purge(challenges_before=world.now, deliveries_before=past, phone_key=None, now=world.now)
        received = await world.delivered(reference="M1")
        assert (received.outcome, received.challenge) == (ReceiptOutcome.APPLIED, None)
