"""Contract tests of what receipts claim: instance, delivery id and reference name one message; and of what a vendor asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from otpcore.models import ChallengeState, Outcome, ReceiptOutcome, ReceiptStatus
from otpcore.stores.steps import Accepted, CallInstance
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.replacing import NEW
from otpcore.testing.stores.scenes import accepted, outcomes_of, state_of
from otpcore.testing.stores.world import Failover, World

__all__ = ["AgreementTests", "QuestionTests"]


class AgreementTests(StoreBase):
    """A receipt whose parts contradict each other changes nothing."""

    @pytest.mark.parametrize("status", list(ReceiptStatus), ids=str)
    async def test_agreement_the_reference_of_one_delivery_and_the_id_of_another_change_neither(
        self, world: World, status: ReceiptStatus
    ) -> None:
        one = await accepted(world, world.core("mada", "backup"), reference="M1", phone="phone-1")
        other = await accepted(world, world.core("mada", "backup"), reference="M2", phone="phone-2")
        unresolved = await world.begin(world.core("mada"), phone="phone-3")
        await unresolved.answer(Outcome.AMBIGUOUS)
        failovers = (one, other, unresolved)
        before = [await _all_of(failover) for failover in failovers]
        for reference, failover in (("M1", other), ("M1", unresolved), ("M2", one)):
            await _refused(world, status, reference=reference, delivery_id=failover.answered.id)
        await _refused(world, status, reference="M1", delivery_id="delivery-of-nobody")
        await _refused(world, status, reference="M3", delivery_id=one.answered.id)
        assert [await _all_of(failover) for failover in failovers] == before
        received = await world.receive(status, reference="M1", delivery_id=one.answered.id)
        assert received.outcome is ReceiptOutcome.APPLIED, "what was refused leaves nothing behind"

    async def test_agreement_two_deliveries_of_one_challenge_are_not_each_other(self, world: World) -> None:
        first = await accepted(world, reference="M1")
        world.later(31)
        resend = await world.resend(first.id, world.core("mada"))
        await resend.answer(Outcome.ACCEPTED, reference="M2")
        await _refused(world, ReceiptStatus.UNDELIVERED, reference="M1", delivery_id=resend.answered.id)
        await _refused(world, ReceiptStatus.UNDELIVERED, reference="M2", delivery_id=first.answered.id)
        assert await outcomes_of(first) == [Outcome.ACCEPTED, Outcome.ACCEPTED]

    @pytest.mark.parametrize("reference", ["M1", "m1", "M1 ", ""])
    async def test_agreement_another_instance_reports_on_none_of_it(self, world: World, reference: str) -> None:
        failover = await accepted(world, world.core("mada", "backup"), reference="M1")
        names = {"reference": reference, "delivery_id": failover.answered.id}
        await _refused(world, ReceiptStatus.UNDELIVERED, instance="backup", **names)
        if reference not in ("", "M1"):
            await _refused(world, ReceiptStatus.UNDELIVERED, **names)
            received = await world.undelivered(reference=reference)
            assert received.outcome is ReceiptOutcome.UNKNOWN
        assert await outcomes_of(failover) == [Outcome.ACCEPTED]

    async def test_agreement_two_vendors_may_use_the_same_reference(self, world: World) -> None:
        at_mada = await accepted(world, world.core("mada"), reference="0001", phone="phone-1")
        at_backup = await accepted(world, world.core("backup"), reference="0001", phone="phone-2")
        await _refused(
            world, ReceiptStatus.UNDELIVERED, instance="mada", reference="0001", delivery_id=at_backup.answered.id
        )
        await world.undelivered(instance="backup", reference="0001")
        assert await outcomes_of(at_mada) == [Outcome.ACCEPTED]
        assert await outcomes_of(at_backup) == [Outcome.UNDELIVERED]

    async def test_agreement_a_vendor_that_begins_to_count_anew_is_understood_by_id(self, world: World) -> None:
        older = await accepted(world, world.core("mada"), reference="0001", phone="phone-1")
        newer = await accepted(world, world.core("mada"), reference="0001", phone="phone-2")
        await world.undelivered(reference="0001", delivery_id=older.answered.id)
        assert (await outcomes_of(older), await outcomes_of(newer)) == ([Outcome.UNDELIVERED], [Outcome.ACCEPTED])

    async def test_agreement_what_was_said_of_an_older_message_is_not_said_of_a_newer_one_of_its_reference(
        self, world: World
    ) -> None:
        older = await accepted(world, world.core("mada"), reference="0001", phone="phone-1")
        await world.undelivered(reference="0001", delivery_id=older.answered.id)
        newer = await world.begin(world.core("mada", "backup"), phone="phone-2")
        recorded = await newer.record(Outcome.ACCEPTED, reference="0001")
        assert (type(recorded.step), recorded.receipts) == (Accepted, ())
        assert await state_of(newer) == (ChallengeState.SENT, True, None)

    async def test_agreement_an_early_receipt_is_dropped_when_the_answer_names_another_message(
        self, world: World
    ) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        early = await world.undelivered(delivery_id=failover.delivery.id, reference="M9")
        assert early.outcome is ReceiptOutcome.EARLY
        recorded = await failover.record(Outcome.ACCEPTED, reference="M1")
        assert (type(recorded.step), recorded.receipts) == (Accepted, ())
        assert await outcomes_of(failover) == [Outcome.ACCEPTED]

    async def test_agreement_of_two_early_receipts_the_second_cannot_name_another_message(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        assert (
            await world.undelivered(delivery_id=failover.delivery.id, reference="M1")
        ).outcome is ReceiptOutcome.EARLY
        for status in ReceiptStatus:
            await _refused(world, status, delivery_id=failover.delivery.id, reference="M2")
        step = await failover.answer(Outcome.AMBIGUOUS)
        assert (type(step), step.delivery.instance) == (CallInstance, "backup")
        assert (await failover.view()).deliveries[0].reference == "M1"


class QuestionTests(StoreBase):
    """A vendor asks before it sends: only what is being sent may go on, and asking changes nothing."""

    async def test_question_what_is_under_way_may_go_on(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        before = await failover.view()
        for _ in range(2):
            assert await _may_go(world, reference="M1", delivery_id=failover.delivery.id)
        assert await failover.view() == before
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        assert await _may_go(world, reference="M1", delivery_id=failover.answered.id), "some answer first and ask then"

    async def test_question_a_repeat_does_not_take_the_leave_of_what_it_asks_about(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada"))
        await failover.answer(Outcome.AMBIGUOUS)
        retry = await world.claim_next()
        assert retry.step.repeat == failover.answered.id
        assert await _may_go(world, reference="M1", delivery_id=failover.answered.id)

    async def test_question_what_nobody_knows_may_not(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        for unknown in ({"reference": "M1"}, {"delivery_id": "delivery-of-nobody"}, {}):
            received = await _asked(world, **unknown)
            assert (received.outcome, received.challenge) == (ReceiptOutcome.UNKNOWN, None)
        received = await _asked(world, instance="backup", delivery_id=failover.delivery.id)
        assert (received.contradicts, received.challenge) == (True, None)
        assert (await failover.record(Outcome.ACCEPTED, reference="M1")).receipts == (), "a question is not kept"

    @pytest.mark.parametrize("end", ["cancel", "expire", "approve", "attempts"])
    async def test_question_nothing_goes_out_for_a_challenge_that_is_over(self, world: World, end: str) -> None:
        failover = await world.begin(world.core("mada"))
        if end == "cancel":
            await world.store.cancel(failover.id, world.now)
        elif end == "expire":
            world.later(300)
        elif end == "approve":
            assert await world.store.approve(await world.reserve(), settled=(), now=world.now)
        else:
            for _ in range(5):
                await world.reserve()
        assert not await _may_go(world, delivery_id=failover.delivery.id)

    @pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.MISCONFIGURED, Outcome.BLOCKED])
    async def test_question_what_counts_as_not_sent_may_not_go_out_later(self, world: World, outcome: Outcome) -> None:
        failover = await world.begin(world.core("mada"))
        await failover.answer(outcome)
        assert not await _may_go(world, delivery_id=failover.answered.id)

    async def test_question_what_the_send_is_past_may_not_go_out_any_more(self, world: World) -> None:
        failover = await world.begin(world.core("mada", "backup"))
        slow = failover.delivery.id
        await failover.answer(Outcome.AMBIGUOUS)
        assert not await _may_go(world, delivery_id=slow), "the next provider is being asked"
        await failover.answer(Outcome.UNAVAILABLE)
        assert await _may_go(world, delivery_id=slow), "which certainly sent nothing"
        world.later(31)
        resend = await world.resend(failover.id, world.core("mada"), charges=())
        assert not await _may_go(world, delivery_id=slow)
        assert await _may_go(world, delivery_id=resend.delivery.id)

    async def test_question_a_code_that_was_replaced_may_not_go_out_even_if_the_new_one_did_not(
        self, world: World
    ) -> None:
        failover = await world.begin(world.core("mada"))
        slow = failover.delivery.id
        world.later(31)
        again = await world.resend(failover.id, world.core("backup"), code=NEW)
        assert not await _may_go(world, delivery_id=slow)
        await again.answer(Outcome.UNAVAILABLE)
        assert not await _may_go(world, delivery_id=slow)

    async def test_question_the_end_of_a_life_is_the_stores(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        world.later(timedelta(seconds=299).total_seconds())
        assert await _may_go(world, delivery_id=failover.delivery.id)


async def _refused(world: World, status: ReceiptStatus, **names: Any) -> None:
    received = await world.receive(status, **names)
    assert (received.outcome, received.contradicts) == (ReceiptOutcome.UNKNOWN, True)
    assert attrs.astuple(received, recurse=False)[1:3] == (None, None)


async def _asked(world: World, **names: Any) -> Any:
    return await world.receive(None, denial="no", **names)


async def _may_go(world: World, **names: Any) -> bool:
    return (await _asked(world, **names)).challenge is not None


async def _all_of(failover: Failover) -> Any:
    return await failover.view()
