"""Transactions of delivery receipts where one wrong answer would cost somebody a message; each shows whom."""

from __future__ import annotations

import pytest

from otpcore.models import Channel, Outcome, ReceiptOutcome
from otpcore.stores.steps import Accepted, CallInstance, Ended, FailoverRef
from otpcore.testing.stores.world import World


async def test_a_receipt_that_came_before_the_answer_is_told_as_applied(world: World) -> None:
    failover = await world.begin(world.core("mada", "backup"))
    await world.undelivered(delivery_id=failover.delivery.id, reference="M1")
    recorded = await failover.record(Outcome.ACCEPTED, reference="M1")
    assert [(one.delivery_id, one.applied) for one in recorded.receipts] == [(failover.answered.id, True)]


@pytest.mark.parametrize(("after", "kind"), [(270, CallInstance), (270.001, Ended)])
async def test_an_undelivered_message_is_sent_by_the_next_for_as_long_as_its_code_is_useful(
    world: World, after: float, kind: type
) -> None:
    failover = await world.with_retries().begin(world.core("mada", "backup"))
    await failover.answer(Outcome.ACCEPTED, reference="M1")
    world.now = world.at(269)
    received = await world.undelivered(reference="M1")
    world.now = world.at(after)
    assert type((await world.go_on(received, world.core("backup"))).step) is kind


@pytest.mark.parametrize(("after", "goes_on"), [(270, True), (270.001, False)])
async def test_an_undelivered_message_is_of_use_to_the_next_for_as_long_as_its_code(
    world: World, after: float, *, goes_on: bool
) -> None:
    """Its row is leased to who heard of it, so that no worker sends it too, and no retry was made yet."""
    failover = await world.with_retries().begin(world.core("mada", "backup"))
    await failover.answer(Outcome.ACCEPTED, reference="M1")
    world.now = world.at(after)
    received = await world.undelivered(reference="M1", retried=(Channel.SMS,))
    assert isinstance(received.follows, FailoverRef) is goes_on
    assert [(row.lease_until is not None, row.attempts) for row in (await failover.view()).schedule] == [
        (True, 0)
    ] * goes_on


async def test_a_receipt_without_a_reference_contradicts_none_with_one(world: World) -> None:
    failover = await world.begin()
    for reference, outcome in (("", "early"), ("M1", "early"), ("M1", "replayed")):
        received = await world.undelivered(delivery_id=failover.delivery.id, reference=reference)
        assert (received.outcome, received.contradicts) == (outcome, False)
    assert (await world.undelivered(delivery_id=failover.delivery.id, reference="M2")).contradicts


async def test_a_receipt_is_written_to_the_latest_send_under_its_reference_and_to_no_other(world: World) -> None:
    """A vendor that gives a reference to two sends reports on the message that it sent last."""
    first = await world.begin(world.core("mada", "backup"))
    await first.answer(Outcome.ACCEPTED, reference="M1")
    for instance, reference in (("backup", "M1"), ("mada", "M2"), ("mada", "M1")):
        world.later(30)
        await (await world.resend(first.id, world.core(instance))).answer(Outcome.ACCEPTED, reference=reference)
    await world.undelivered(reference="M1")
    outcomes = [str(delivery.outcome) for delivery in (await first.view()).deliveries]
    assert outcomes == ["accepted", "accepted", "accepted", "undelivered"]


@pytest.mark.parametrize(("after", "outcome"), [(9.999, ReceiptOutcome.EARLY), (10, ReceiptOutcome.APPLIED)])
async def test_a_receipt_waits_for_the_answer_for_as_long_as_the_call_has_its_lease(
    world: World, after: float, outcome: ReceiptOutcome
) -> None:
    failover = await world.begin()
    world.now = world.at(after)
    assert (await world.undelivered(delivery_id=failover.delivery.id)).outcome is outcome


@pytest.mark.parametrize("is_delivered_first", [True, False])
async def test_of_receipts_before_the_answer_the_delivery_is_final(world: World, *, is_delivered_first: bool) -> None:
    """The person has the message; nobody sends him another."""
    failover = await world.begin(world.core("mada", "backup"))
    for is_delivered in (is_delivered_first, not is_delivered_first):
        await (world.delivered if is_delivered else world.undelivered)(reference="M1")
    assert isinstance(await failover.answer(Outcome.ACCEPTED, reference="M1"), Accepted)


async def test_a_receipt_of_an_earlier_try_counts_for_the_try_that_took_its_message_over(world: World) -> None:
    failover = await world.with_retries().begin()
    await failover.answer(Outcome.AMBIGUOUS)
    retry = await world.claim_next()
    await world.undelivered(delivery_id=failover.answered.id, reference="M1")
    await retry.answer(Outcome.ACCEPTED, reference="M1")
    delivery = (await failover.view()).deliveries[-1]
    assert (delivery.outcome, delivery.provider_code) == (Outcome.UNDELIVERED, "30003")


async def test_a_receipt_is_of_every_try_under_the_reference_of_its_message(world: World) -> None:
    """The repeat found the message of the first try at the vendor: there is one message, and it did not arrive."""
    failover = await world.with_retries().begin()
    await failover.answer(Outcome.AMBIGUOUS, reference="M1")
    retry = await world.claim_next()
    await retry.answer(Outcome.ACCEPTED, reference="M1")
    await world.undelivered(reference="M1")
    assert [one.outcome for one in (await failover.view()).deliveries] == [Outcome.UNDELIVERED, Outcome.UNDELIVERED]


async def test_a_receipt_without_a_reference_is_of_its_delivery_alone(world: World) -> None:
    """Of two tries without a reference, each may have sent a message."""
    failover = await world.with_retries().begin()
    await failover.answer(Outcome.AMBIGUOUS)
    retry = await world.claim_next()
    await retry.answer(Outcome.ACCEPTED)
    await world.undelivered(delivery_id=retry.answered.id)
    assert [one.outcome for one in (await failover.view()).deliveries] == [Outcome.AMBIGUOUS, Outcome.UNDELIVERED]
