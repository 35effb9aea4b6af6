"""Delivery receipts, on every store: each counts once, knows more than the answer to a call, and lets a send go on."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from otpcore.errors import ErrorKind
from otpcore.models import ChallengeState, Channel, Outcome, ReceiptOutcome, UnsendableReason
from otpcore.records import StepKind


async def accepted(world, route=None, reference="M1", **more):
    """A send that its first provider took."""
    walk = await world.begin(route or world.core("mada", "backup"), **more)
    await walk.answer(Outcome.ACCEPTED, reference=reference)
    return walk


async def state_of(walk):
    challenge = (await walk.view()).challenge
    return challenge.state, challenge.confirmed, challenge.reason


async def outcomes_of(walk):
    return [delivery.outcome for delivery in (await walk.view()).deliveries]


class TestDelivered:
    async def test_an_accepted_message_is_confirmed_once(self, world):
        walk = await accepted(world)
        received = await world.delivered(reference="M1")
        assert received.outcome is ReceiptOutcome.APPLIED
        assert received.challenge.state is ChallengeState.SENT
        assert (await world.delivered(reference="M1")).outcome is ReceiptOutcome.REPLAYED
        assert await state_of(walk) == (ChallengeState.SENT, True, None)

    @pytest.mark.parametrize("outcome", [Outcome.AMBIGUOUS, Outcome.UNAVAILABLE])
    async def test_it_resolves_a_delivery_whose_answer_was_lost_and_ends_the_retries(self, world, outcome):
        walk = await world.with_retries().begin(world.core("mada"))
        await walk.answer(outcome)
        assert (await walk.view()).schedule
        await world.delivered(delivery_id=walk.answered.id, reference="M1")
        view = await walk.view()
        assert (view.challenge.state, view.challenge.confirmed, view.schedule) == (ChallengeState.SENT, True, ())
        assert [(one.outcome, one.reference) for one in view.deliveries] == [(Outcome.ACCEPTED, "M1")]

    async def test_an_unsendable_challenge_is_sent_after_all(self, world):
        walk = await world.begin(world.core("mada"))
        step = await walk.answer(Outcome.UNAVAILABLE)
        assert step.challenge.state is ChallengeState.UNSENDABLE
        await world.delivered(delivery_id=walk.answered.id)
        assert await state_of(walk) == (ChallengeState.SENT, True, None)

    async def test_it_may_come_while_the_call_is_under_way_and_whatever_the_answer_is(self, world):
        walk = await world.with_retries().begin(world.core("mada", "backup"))
        received = await world.delivered(delivery_id=walk.delivery.id, reference="M1")
        assert received.outcome is ReceiptOutcome.APPLIED
        step = await walk.answer(Outcome.AMBIGUOUS)
        assert step.kind is StepKind.ACCEPTED
        assert (await walk.view()).deliveries[0].reference == "M1"
        assert await state_of(walk) == (ChallengeState.SENT, True, None)

    async def test_it_is_final(self, world):
        walk = await accepted(world)
        await world.delivered(reference="M1")
        assert (await world.undelivered(reference="M1")).outcome is ReceiptOutcome.IGNORED
        assert await state_of(walk) == (ChallengeState.SENT, True, None)
        assert await outcomes_of(walk) == [Outcome.ACCEPTED]

    async def test_after_undelivered_it_stops_the_walk_that_went_on(self, world):
        walk = await accepted(world)
        going_on = await world.go_on(await world.undelivered(reference="M1"), world.core("mada", "backup"))
        assert going_on.delivery.instance == "backup"
        await world.delivered(reference="M1")
        assert await state_of(walk) == (ChallengeState.SENT, True, None)
        assert (await going_on.answer(Outcome.UNAVAILABLE)).kind is StepKind.STOPPED

    @pytest.mark.parametrize("end", ["cancel", "expire", "approve"])
    async def test_a_challenge_that_is_over_stays_over(self, world, end):
        walk = await accepted(world)
        if end == "cancel":
            await world.store.cancel(walk.id, world.now)
        elif end == "expire":
            world.later(300)
            await world.store.sweep(retried=(), limit=10, now=world.now)
        else:
            assert await world.store.approve(await world.reserve(), settled=(), now=world.now)
        before = await state_of(walk)
        for receipt in (world.undelivered, world.delivered):
            received = await receipt(reference="M1")
            assert (received.outcome, received.walk) == (ReceiptOutcome.APPLIED, None)
        assert await state_of(walk) == before


class TestUndelivered:
    async def test_the_next_instance_tries_and_the_first_is_left_out(self, world):
        walk = await accepted(world)
        received = await world.undelivered(reference="M1")
        assert received.challenge.state is ChallengeState.UNDELIVERED
        assert not received.challenge.confirmed
        assert await outcomes_of(walk) == [Outcome.UNDELIVERED]
        going_on = await world.go_on(received, world.core("mada", "backup"))
        assert going_on.delivery.instance == "backup"
        assert (await walk.view()).challenge.state is ChallengeState.UNDELIVERED
        await going_on.answer(Outcome.ACCEPTED, reference="B1")
        assert await state_of(walk) == (ChallengeState.SENT, True, None)

    async def test_the_code_verifies_all_the_while(self, world):
        await accepted(world)
        await world.undelivered(reference="M1")
        assert await world.store.approve(await world.reserve(), settled=(), now=world.now)

    async def test_with_nobody_left_it_is_unsendable_and_nothing_is_refunded(self, world):
        walk = await accepted(world, world.core("mada"), charges=await world.charge())
        going_on = await world.go_on(await world.undelivered(reference="M1"), world.core("mada"))
        assert going_on.step.kind is StepKind.ENDED
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.PERMANENT)
        assert await world.used() == 1

    async def test_where_retries_are_on_it_is_queued_for_the_instances_that_are_left(self, world):
        walk = await accepted(world.with_retries())
        going_on = await world.go_on(await world.undelivered(reference="M1"), world.core("mada", "backup"))
        step = await going_on.answer(Outcome.UNAVAILABLE)
        assert (step.kind, step.challenge.state) == (StepKind.QUEUED, ChallengeState.QUEUED)
        retry = await world.claim_next(world.core("mada", "backup"), key_ids=frozenset({"key-1"}))
        assert retry.delivery.instance == "backup"
        assert (await walk.view()).challenge.state is ChallengeState.QUEUED

    @pytest.mark.parametrize("kind", [ErrorKind.REJECTED_NUMBER, ErrorKind.BLOCKED])
    async def test_a_refusal_by_the_person_or_the_number_ends_the_send(self, world, kind):
        walk = await accepted(world.with_retries())
        received = await world.undelivered(reference="M1", kind=kind, retried=tuple(Channel))
        assert (received.ended, received.walk) == (True, None)
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.PERMANENT)

    async def test_such_a_refusal_ends_the_retries_of_its_own_send(self, world):
        walk = await world.with_retries().begin(world.core("mada", "backup"))
        unresolved = walk.delivery.id
        await walk.answer(Outcome.AMBIGUOUS)
        await walk.answer(Outcome.UNAVAILABLE)
        received = await world.undelivered(delivery_id=unresolved, kind=ErrorKind.BLOCKED)
        assert received.ended
        assert (await walk.view()).schedule == ()

    async def test_with_too_little_life_left_it_is_unsendable(self, world):
        walk = await accepted(world)
        world.later(271)
        assert (await world.undelivered(reference="M1")).ended
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.EXPIRED)

    async def test_without_attempts_left_it_is_unsendable(self, world):
        walk = await accepted(world)
        for _ in range(5):
            await world.reserve()
        assert (await world.undelivered(reference="M1")).ended
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.MAX_ATTEMPTS)

    async def test_a_process_without_the_key_leaves_it_to_one_that_has_it(self, world):
        walk = await accepted(world)
        received = await world.undelivered(reference="M1", key_ids=frozenset(), retried=tuple(Channel))
        assert (received.due_at, received.walk) == (world.now, None)
        assert await state_of(walk) == (ChallengeState.QUEUED, False, None)

    async def test_a_process_without_the_forced_instances_and_without_workers_gives_up(self, world):
        walk = await accepted(world, world.core("mada"), forced=("mada", "in_house"))
        assert (await world.undelivered(reference="M1")).ended
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)

    async def test_a_process_that_dies_after_it_leaves_a_lease_that_runs_out(self, world):
        await accepted(world.with_retries())
        await world.undelivered(reference="M1")
        world.later(14)
        assert (await world.claim(key_ids=frozenset({"key-1"}))).claims == ()
        world.later(1)
        (claim,) = (await world.claim(key_ids=frozenset({"key-1"}))).claims
        assert (await world.begin_retry(claim, world.core("mada", "backup"))).delivery.instance == "backup"

    async def test_retries_that_were_used_up_stay_used_up(self, world):
        walk = await world.with_retries().begin(world.core("mada"))
        await walk.answer(Outcome.UNAVAILABLE)
        retry = await world.claim_next()
        await retry.answer(Outcome.ACCEPTED, reference="M1")
        await world.undelivered(reference="M1")
        (row,) = (await walk.view()).schedule
        assert row.attempts == 1

    async def test_it_does_not_count_against_the_instance(self, world):
        for number in range(6):
            await accepted(world, reference=f"M{number}", phone=f"phone-{number}")
            await world.undelivered(reference=f"M{number}")
        assert await world.store.breakers() == ()

    async def test_a_vendors_verification_stays_checkable_and_its_slot_held(self, world):
        walk = await accepted(world, world.vendor() + world.core("mada"), reference="VE1")
        await world.go_on(await world.undelivered(reference="VE1", instance="twilio"), world.core("mada"))
        reservation = await world.reserve()
        assert (reservation.deliveries[0].reference, reservation.marked) == ("VE1", frozenset())
        other = await world.begin(world.vendor(), "payment")
        assert other.step is None
        assert walk.id == reservation.challenge.id


class TestInDoubt:
    """A delivery whose answer was lost: the walk went on from it then, so there is nothing more to try now."""

    async def test_a_send_that_ended_in_doubt_turns_out_unsendable(self, world):
        walk = await world.begin(world.core("mada"))
        await walk.answer(Outcome.AMBIGUOUS)
        assert await state_of(walk) == (ChallengeState.SENT, False, None)
        received = await world.undelivered(delivery_id=walk.answered.id)
        assert (received.ended, received.walk) == (True, None)
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)

    async def test_while_another_delivery_is_in_doubt_it_stays_sent_unconfirmed(self, world):
        walk = await world.begin(world.core("mada", "backup"))
        first = walk.delivery.id
        await walk.answer(Outcome.AMBIGUOUS)
        await walk.answer(Outcome.AMBIGUOUS)
        await world.undelivered(delivery_id=first)
        assert await state_of(walk) == (ChallengeState.SENT, False, None)

    async def test_what_an_operator_ended_does_not_begin_again(self, world):
        walk = await world.with_retries().begin(world.core("mada", "backup"))
        first = walk.delivery.id
        await walk.answer(Outcome.AMBIGUOUS)
        await walk.answer(Outcome.UNAVAILABLE)
        await world.store.drop(walk.id, world.now)
        await world.undelivered(delivery_id=first)
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)


class TestEarlyAndUnknown:
    """A callback may overtake our record of the acceptance."""

    async def test_undelivered_waits_for_the_answer_and_then_the_walk_goes_on(self, world):
        walk = await world.begin(world.core("mada", "backup"))
        early = await world.undelivered(delivery_id=walk.delivery.id, reference="M1")
        assert (early.outcome, early.walk) == (ReceiptOutcome.EARLY, None)
        step = await walk.answer(Outcome.ACCEPTED, reference="M1")
        assert (step.kind, step.delivery.instance) == (StepKind.CALL, "backup")
        assert [receipt.status for receipt in step.receipts] == ["undelivered"]
        assert step.challenge.state is ChallengeState.UNDELIVERED
        assert (await world.undelivered(reference="M1")).outcome is ReceiptOutcome.REPLAYED
        await walk.answer(Outcome.ACCEPTED, reference="B1")
        assert await state_of(walk) == (ChallengeState.SENT, True, None)

    async def test_a_reference_that_nobody_knows_yet_is_kept_for_the_answer(self, world):
        walk = await world.begin(world.core("mada", "backup"))
        for _ in range(2):
            assert (await world.undelivered(reference="M1")).outcome is ReceiptOutcome.UNKNOWN
        step = await walk.answer(Outcome.ACCEPTED, reference="M1")
        assert (step.kind, step.delivery.instance) == (StepKind.CALL, "backup")
        assert [receipt.delivery_id for receipt in step.receipts] == [(await walk.view()).deliveries[0].id]

    async def test_delivered_for_such_a_reference_changes_nothing_more(self, world):
        walk = await world.begin(world.core("mada"))
        await world.delivered(reference="M1")
        assert (await walk.answer(Outcome.ACCEPTED, reference="M1")).kind is StepKind.ACCEPTED
        assert (await world.undelivered(reference="M1")).outcome is ReceiptOutcome.IGNORED

    async def test_a_refusal_that_comes_early_ends_the_send(self, world):
        walk = await world.with_retries().begin(world.core("mada", "backup"))
        await world.undelivered(delivery_id=walk.delivery.id, kind=ErrorKind.BLOCKED)
        step = await walk.answer(Outcome.ACCEPTED, reference="M1")
        assert step.kind is StepKind.ENDED
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.PERMANENT)

    async def test_a_failure_that_the_answer_told_already_is_no_news(self, world):
        walk = await world.begin(world.core("mada"), charges=await world.charge())
        await world.undelivered(delivery_id=walk.delivery.id)
        assert (await walk.answer(Outcome.UNAVAILABLE)).challenge.reason is UnsendableReason.FAILED
        assert await outcomes_of(walk) == [Outcome.UNAVAILABLE]
        assert await world.used() == 0

    async def test_where_the_sender_died_it_counts_at_once(self, world):
        walk = await world.with_retries().begin(world.core("mada", "backup"))
        world.later(11)
        received = await world.undelivered(delivery_id=walk.delivery.id)
        assert received.outcome is ReceiptOutcome.APPLIED
        assert await outcomes_of(walk) == [Outcome.UNDELIVERED]
        assert received.walk is None, "the row of the send is there, and its lease has run out"

    async def test_after_a_resend_took_over_an_early_failure_leaves_the_resend_alone(self, world):
        walk = await world.begin(world.core("mada"), plan=world.plan(world.core("mada"), cooldown=timedelta(0)))
        await world.undelivered(delivery_id=walk.delivery.id)
        resend = await world.resend(walk.id, world.core("backup"))
        assert (await walk.answer(Outcome.ACCEPTED, reference="M1")).kind is StepKind.STOPPED
        assert (await walk.view()).challenge.state is ChallengeState.UNDELIVERED
        assert (await resend.answer(Outcome.ACCEPTED)).kind is StepKind.ACCEPTED

    async def test_after_the_operator_ended_the_send_an_early_failure_leaves_it_unsendable(self, world):
        walk = await world.begin(world.core("mada"))
        await world.undelivered(delivery_id=walk.delivery.id)
        await world.store.drop(walk.id, world.now)
        await walk.answer(Outcome.ACCEPTED, reference="M1")
        assert await state_of(walk) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)

    async def test_nobody_reports_on_the_delivery_of_another_instance(self, world):
        walk = await accepted(world)
        delivery_id = (await walk.view()).deliveries[0].id
        for receipt in ({"reference": "M1"}, {"delivery_id": delivery_id}):
            assert (await world.undelivered(instance="backup", **receipt)).outcome is ReceiptOutcome.UNKNOWN
        assert (await world.undelivered(reference="M2", delivery_id=delivery_id)).outcome is ReceiptOutcome.UNKNOWN
        assert await outcomes_of(walk) == [Outcome.ACCEPTED]

    async def test_progress_changes_nothing(self, world):
        walk = await accepted(world)
        assert (await world.receive(None, reference="M1")).outcome is ReceiptOutcome.IGNORED
        assert await state_of(walk) == (ChallengeState.SENT, True, None)


class TestWhatCountsMore:
    async def test_a_newer_acceptance_wins(self, world):
        walk = await accepted(world)
        world.later(31)
        resend = await world.resend(walk.id, world.core("backup"))
        await resend.answer(Outcome.ACCEPTED, reference="B1")
        received = await world.undelivered(reference="M1")
        assert (received.outcome, received.walk) == (ReceiptOutcome.APPLIED, None)
        assert await state_of(walk) == (ChallengeState.SENT, True, None)
        assert await outcomes_of(walk) == [Outcome.UNDELIVERED, Outcome.ACCEPTED]

    async def test_a_resend_under_way_is_left_alone(self, world):
        walk = await accepted(world)
        world.later(31)
        resend = await world.resend(walk.id, world.core("backup"))
        assert (await world.undelivered(reference="M1")).walk is None
        assert (await walk.view()).challenge.state is ChallengeState.SENDING
        assert (await resend.answer(Outcome.ACCEPTED)).kind is StepKind.ACCEPTED

    async def test_a_resend_takes_the_send_over_that_goes_on(self, world):
        walk = await accepted(world)
        received = await world.undelivered(reference="M1")
        world.later(31)
        resend = await world.resend(walk.id, world.core("backup"))
        going_on = await world.go_on(received, world.core("mada", "backup"))
        assert going_on.step.kind is StepKind.STOPPED
        assert (await resend.answer(Outcome.ACCEPTED)).kind is StepKind.ACCEPTED

    async def test_a_repeat_and_its_first_try_are_one_message(self, world):
        walk = await world.with_retries().begin(world.core("mada"))
        first = walk.delivery.id
        await walk.answer(Outcome.AMBIGUOUS)
        retry = await world.claim_next()
        await retry.answer(Outcome.ACCEPTED, reference="M1")  # the vendor found the first try's message
        await world.undelivered(delivery_id=first, reference="M1")
        assert await outcomes_of(walk) == [Outcome.UNDELIVERED, Outcome.UNDELIVERED]

    async def test_what_may_have_arrived_by_another_provider_leaves_it_sent_unconfirmed(self, world):
        walk = await world.begin(world.core("backup", "mada"))
        await walk.answer(Outcome.AMBIGUOUS)
        await walk.answer(Outcome.ACCEPTED, reference="M1")
        going_on = await world.go_on(await world.undelivered(reference="M1"), world.core("mada"))
        assert going_on.step.kind is StepKind.ENDED
        assert await state_of(walk) == (ChallengeState.SENT, False, None)


class TestRaces:
    async def test_of_many_equal_receipts_at_once_one_counts(self, world):
        await accepted(world)
        found = []

        async def receive():
            found.append(await world.undelivered(reference="M1"))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(receive)
        assert sum(received.walk is not None for received in found) == 1
        assert {received.outcome for received in found} == {ReceiptOutcome.APPLIED, ReceiptOutcome.REPLAYED}

    async def test_against_the_answer_the_failure_is_never_lost(self, world):
        for number in range(10):
            walk = await world.begin(world.core("mada", "backup"), phone=f"phone-{number}")
            delivery, found = walk.delivery.id, []

            async def receive(delivery=delivery, found=found, reference=f"M{number}"):
                found.append(await world.undelivered(delivery_id=delivery, reference=reference))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                tasks.start_soon(lambda walk=walk, number=number: walk.answer(Outcome.ACCEPTED, reference=f"M{number}"))
            if found[0].walk is not None:
                walk = await world.go_on(found[0], world.core("mada", "backup"))
            assert walk.delivery.instance == "backup", found
            assert (await walk.view()).challenge.state is ChallengeState.UNDELIVERED

    async def test_against_a_right_code_nothing_goes_on(self, world):
        for number in range(10):
            walk = await accepted(world, reference=f"M{number}", phone=f"phone-{number}")
            reservation, found, approved = await world.reserve(phone=f"phone-{number}"), [], []

            async def receive(found=found, reference=f"M{number}"):
                received = await world.undelivered(reference=reference)
                found.append(await world.go_on(received, world.core("backup")) if received.walk else None)

            async def approve(approved=approved, reservation=reservation):
                approved.append(await world.store.approve(reservation, settled=(), now=world.now))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                tasks.start_soon(approve)
            view = await walk.view()
            assert approved == [True]
            assert (view.challenge.state, view.schedule) == (ChallengeState.APPROVED, ())

    async def test_against_a_resend_one_walk_remains(self, world):
        for number in range(10):
            walk = await accepted(world, reference=f"M{number}", phone=f"phone-{number}")
            world.later(31)
            found = []

            async def receive(found=found, reference=f"M{number}"):
                received = await world.undelivered(reference=reference)
                if received.walk is not None:
                    found.append(await world.go_on(received, world.core("backup")))

            async def resend(found=found, walk=walk):
                found.append(await world.resend(walk.id, world.core("backup")))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                tasks.start_soon(resend)
            (row,) = (await walk.view()).schedule
            assert row.token in [one.ref.token for one in found]
            calling = [one for one in found if one.step is not None and one.delivery is not None]  # or it is cooling
            steps = [await one.answer(Outcome.UNAVAILABLE) for one in calling]
            assert sum(step.kind is StepKind.ENDED for step in steps) == 1


class TestUpkeep:
    async def test_receipts_go_with_the_deliveries(self, world):
        await accepted(world)
        await world.delivered(reference="M1")
        world.later(3600)
        count = await world.store.purge(
            challenges_before=world.now, deliveries_before=world.now, phone_key=None, now=world.now
        )
        assert (count.deliveries, count.receipts) == (1, 1)

    async def test_an_erased_person_leaves_none(self, world):
        await accepted(world)
        await world.delivered(reference="M1")
        await world.store.purge(
            challenges_before=world.now, deliveries_before=world.now, phone_key="phone-1", now=world.now
        )
        assert (await world.delivered(reference="M1")).outcome is ReceiptOutcome.UNKNOWN
        walk = await world.begin()
        assert (await walk.answer(Outcome.ACCEPTED, reference="M2")).receipts == ()

    async def test_a_receipt_for_a_purged_challenge_is_kept_with_its_delivery(self, world):
        walk = await accepted(world)
        await world.store.cancel(walk.id, world.now)
        world.later(600)
        past = world.now - timedelta(days=1)
        await world.store.purge(challenges_before=world.now, deliveries_before=past, phone_key=None, now=world.now)
        received = await world.delivered(reference="M1")
        assert (received.outcome, received.challenge) == (ReceiptOutcome.APPLIED, None)
