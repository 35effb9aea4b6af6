"""Contract tests of receipts that come in an order nobody expects."""

from __future__ import annotations

from datetime import timedelta

import pytest

from otpcore.errors import ErrorKind
from otpcore.models import ChallengeState, Outcome, ReceiptOutcome, UnsendableReason
from otpcore.stores.steps import Accepted, CallInstance, Ended, Stopped
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import accepted, outcomes_of, state_of
from otpcore.testing.stores.world import World

__all__ = ["EarlyReceiptTests", "InDoubtTests", "NewerMessageTests"]


class InDoubtTests(StoreBase):
    """A delivery whose answer was lost: the failover went on from it then, so there is nothing more to try now."""

    async def test_in_doubt_a_send_that_ended_in_doubt_turns_out_unsendable(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        await failover.answer(Outcome.AMBIGUOUS)
        assert await state_of(failover) == (ChallengeState.SENT, False, None)
        received = await world.undelivered(delivery_id=failover.answered.id)
        assert isinstance(received.follows, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)

    async def test_in_doubt_while_another_delivery_is_in_doubt_it_stays_sent_unconfirmed(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        first = failover.delivery.id
        await failover.answer(Outcome.AMBIGUOUS)
        await failover.answer(Outcome.AMBIGUOUS)
        await world.undelivered(delivery_id=first)
        assert await state_of(failover) == (ChallengeState.SENT, False, None)

    async def test_in_doubt_what_an_operator_ended_does_not_begin_again(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada", "backup"))
        first = failover.delivery.id
        await failover.answer(Outcome.AMBIGUOUS)
        await failover.answer(Outcome.UNAVAILABLE)
        await world.store.drop(failover.id, world.now)
        await world.undelivered(delivery_id=first)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)


class EarlyReceiptTests(StoreBase):
    """A callback may overtake our record of the acceptance."""

    async def test_early_and_unknown_undelivered_waits_for_the_answer_and_then_the_failover_goes_on(
        self, world: World
    ) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        early = await world.undelivered(delivery_id=failover.delivery.id, reference="M1")
        assert (early.outcome, early.follows) == (ReceiptOutcome.EARLY, None)
        recorded = await failover.record(Outcome.ACCEPTED, reference="M1")
        step = recorded.step
        assert (type(step), step.delivery.instance) == (CallInstance, "backup")
        assert [receipt.status for receipt in recorded.receipts] == ["undelivered"]
        assert step.challenge.state is ChallengeState.UNDELIVERED
        assert (await world.undelivered(reference="M1")).outcome is ReceiptOutcome.REPLAYED
        await failover.answer(Outcome.ACCEPTED, reference="B1")
        assert await state_of(failover) == (ChallengeState.SENT, True, None)

    async def test_early_and_unknown_a_reference_that_nobody_knows_yet_is_kept_for_the_answer(
        self, world: World
    ) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        for _ in range(2):
            assert (await world.undelivered(reference="M1")).outcome is ReceiptOutcome.UNKNOWN
        recorded = await failover.record(Outcome.ACCEPTED, reference="M1")
        step = recorded.step
        assert (type(step), step.delivery.instance) == (CallInstance, "backup")
        assert [receipt.delivery_id for receipt in recorded.receipts] == [(await failover.view()).deliveries[0].id]

    async def test_early_and_unknown_delivered_for_such_a_reference_changes_nothing_more(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        await world.delivered(reference="M1")
        assert isinstance(await failover.answer(Outcome.ACCEPTED, reference="M1"), Accepted)
        assert (await world.undelivered(reference="M1")).outcome is ReceiptOutcome.IGNORED

    async def test_early_and_unknown_a_refusal_that_comes_early_ends_the_send(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada", "backup"))
        await world.undelivered(delivery_id=failover.delivery.id, kind=ErrorKind.BLOCKED)
        step = await failover.answer(Outcome.ACCEPTED, reference="M1")
        assert isinstance(step, Ended)
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.PERMANENT)

    async def test_early_and_unknown_a_failure_that_the_answer_told_already_is_no_news(self, world: World) -> None:
        failover = await world.begin(world.core("mada"), charges=world.charges())
        await world.undelivered(delivery_id=failover.delivery.id)
        assert (await failover.answer(Outcome.UNAVAILABLE)).challenge.reason is UnsendableReason.FAILED
        assert await outcomes_of(failover) == [Outcome.UNAVAILABLE]
        assert await world.used() == 0

    async def test_early_and_unknown_where_the_sender_died_it_counts_at_once(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada", "backup"))
        world.later(11)
        received = await world.undelivered(delivery_id=failover.delivery.id)
        assert received.outcome is ReceiptOutcome.APPLIED
        assert await outcomes_of(failover) == [Outcome.UNDELIVERED]
        assert received.follows is None, "the row of the send is there, and its lease has run out"

    async def test_early_and_unknown_after_a_resend_took_over_an_early_failure_leaves_the_resend_alone(
        self, world: World
    ) -> None:
        failover = await world.begin(world.core("mada"), plan=world.plan(world.core("mada"), cooldown=timedelta(0)))
        await world.undelivered(delivery_id=failover.delivery.id)
        resend = await world.resend(failover.id, world.core("backup"))
        assert isinstance(await failover.answer(Outcome.ACCEPTED, reference="M1"), Stopped)
        assert (await failover.view()).challenge.state is ChallengeState.UNDELIVERED
        assert isinstance(await resend.answer(Outcome.ACCEPTED), Accepted)

    async def test_early_and_unknown_after_the_operator_ended_the_send_an_early_failure_leaves_it_unsendable(
        self, world: World
    ) -> None:
        failover = await world.begin(world.core("mada"))
        await world.undelivered(delivery_id=failover.delivery.id)
        await world.store.drop(failover.id, world.now)
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        assert await state_of(failover) == (ChallengeState.UNSENDABLE, False, UnsendableReason.FAILED)

    async def test_early_and_unknown_nobody_reports_on_the_delivery_of_another_instance(self, world: World) -> None:
        failover = await accepted(world)
        delivery_id = (await failover.view()).deliveries[0].id
        for receipt in ({"reference": "M1"}, {"delivery_id": delivery_id}):
            assert (await world.undelivered(instance="backup", **receipt)).outcome is ReceiptOutcome.UNKNOWN
        assert await outcomes_of(failover) == [Outcome.ACCEPTED]

    async def test_early_and_unknown_progress_changes_nothing(self, world: World) -> None:
        failover = await accepted(world)
        assert (await world.receive(None, reference="M1")).outcome is ReceiptOutcome.IGNORED
        assert await state_of(failover) == (ChallengeState.SENT, True, None)


class NewerMessageTests(StoreBase):
    """A receipt about one message does not undo what a newer one did."""

    async def test_what_counts_more_a_newer_acceptance_wins(self, world: World) -> None:
        failover = await accepted(world)
        world.later(31)
        resend = await world.resend(failover.id, world.core("backup"))
        await resend.answer(Outcome.ACCEPTED, reference="B1")
        received = await world.undelivered(reference="M1")
        assert (received.outcome, received.follows) == (ReceiptOutcome.APPLIED, None)
        assert await state_of(failover) == (ChallengeState.SENT, True, None)
        assert await outcomes_of(failover) == [Outcome.UNDELIVERED, Outcome.ACCEPTED]

    async def test_what_counts_more_a_resend_under_way_is_left_alone(self, world: World) -> None:
        failover = await accepted(world)
        world.later(31)
        resend = await world.resend(failover.id, world.core("backup"))
        assert (await world.undelivered(reference="M1")).follows is None
        assert (await failover.view()).challenge.state is ChallengeState.SENDING
        assert isinstance(await resend.answer(Outcome.ACCEPTED), Accepted)

    async def test_what_counts_more_a_resend_takes_the_send_over_that_goes_on(self, world: World) -> None:
        failover = await accepted(world)
        received = await world.undelivered(reference="M1")
        world.later(31)
        resend = await world.resend(failover.id, world.core("backup"))
        going_on = await world.go_on(received, world.core("mada", "backup"))
        assert isinstance(going_on.step, Stopped)
        assert isinstance(await resend.answer(Outcome.ACCEPTED), Accepted)

    @pytest.mark.parametrize("kind", [None, ErrorKind.REJECTED_NUMBER])
    async def test_what_counts_more_an_earlier_message_that_arrived_since_leaves_nothing_to_do(
        self, world: World, kind: ErrorKind | None
    ) -> None:
        failover = await accepted(world)
        world.later(31)
        resend = await world.resend(failover.id, world.core("backup"))
        await resend.answer(Outcome.ACCEPTED, reference="B1")
        await world.delivered(reference="M1")
        received = await world.undelivered(reference="B1", instance="backup", kind=kind)
        assert (received.outcome, received.follows) == (ReceiptOutcome.APPLIED, None)
        assert await state_of(failover) == (ChallengeState.SENT, True, None)
        assert await outcomes_of(failover) == [Outcome.ACCEPTED, Outcome.UNDELIVERED]

    async def test_what_counts_more_who_asks_again_after_a_message_arrived_gets_another(self, world: World) -> None:
        failover = await accepted(world)
        await world.delivered(reference="M1")
        world.later(31)
        resend = await world.resend(failover.id, world.core("backup"))
        await resend.answer(Outcome.ACCEPTED, reference="B1")
        received = await world.undelivered(reference="B1", instance="backup")
        assert isinstance((await world.go_on(received, world.core("mada", "backup"))).step, CallInstance)

    async def test_what_counts_more_a_repeat_and_its_first_try_are_one_message(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada"))
        first = failover.delivery.id
        await failover.answer(Outcome.AMBIGUOUS)
        retry = await world.claim_next()
        await retry.answer(Outcome.ACCEPTED, reference="M1")  # the vendor found the first try's message
        await world.undelivered(delivery_id=first, reference="M1")
        assert await outcomes_of(failover) == [Outcome.UNDELIVERED, Outcome.UNDELIVERED]

    async def test_what_counts_more_what_may_have_arrived_by_another_provider_leaves_it_sent_unconfirmed(
        self, world: World
    ) -> None:
        failover = await world.begin(world.core("backup", "mada"))
        await failover.answer(Outcome.AMBIGUOUS)
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        going_on = await world.go_on(await world.undelivered(reference="M1"), world.core("mada"))
        assert isinstance(going_on.step, Ended)
        assert await state_of(failover) == (ChallengeState.SENT, False, None)
