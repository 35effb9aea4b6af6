"""Contract tests of prices: what a vendor said last is kept exactly, once for each message."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest

from otpcore import models
from otpcore.errors import InvalidArgument
from otpcore.models import Outcome, ReceiptOutcome
from otpcore.prices import Price
from otpcore.stores.costs import Costs
from otpcore.stores.lists import DeliveryFilter
from otpcore.testing.stores.base import StoreBase
from otpcore.testing.stores.scenes import accepted
from otpcore.testing.stores.world import Failover, World

__all__ = ["PriceTests"]

_CENT = Price(amount=Decimal("0.01"), currency="EUR")
_MORE = Price(amount=Decimal("0.0125"), currency="EUR")
_EXACT = ("0", "0.00750", "0.1", "123456789.123456789012", "999999999.999999999999", "0.000000000001", "1E+3")


class PriceTests(StoreBase):
    """What a message costs, by the answer to its call and by its receipts."""

    @pytest.mark.parametrize("amount", _EXACT)
    async def test_price_it_is_kept_to_the_last_digit(self, world: World, amount: str) -> None:
        price = Price(amount=Decimal(amount), currency="USD")
        failover = await world.begin(world.core("mada"))
        step = await failover.answer(Outcome.ACCEPTED, reference="M1", price=price)
        assert step.delivery.price == price
        kept = await _price_of(failover)
        assert str(kept) == str(price)
        page = await world.store.list_deliveries(limit=10)
        assert [str(one.price) for one in page.items] == [str(price)]

    async def test_price_without_one_there_is_none(self, world: World) -> None:
        assert await _price_of(await accepted(world)) is None

    async def test_price_of_a_receipt_takes_the_place_of_the_answers(self, world: World) -> None:
        failover = await _charged(world)
        received = await world.delivered(reference="M1", price=_MORE)
        assert received.delivery.price == _MORE
        assert await _price_of(failover) == _MORE
        (report,) = (await failover.view()).receipts
        assert report.price == _MORE

    async def test_price_a_receipt_without_one_leaves_it(self, world: World) -> None:
        failover = await _charged(world)
        await world.delivered(reference="M1")
        assert await _price_of(failover) == _CENT

    async def test_price_of_what_did_not_arrive_is_kept_too(self, world: World) -> None:
        failover = await accepted(world)
        await world.undelivered(reference="M1", price=_CENT)
        assert await _price_of(failover) == _CENT

    async def test_price_the_same_receipt_again_changes_nothing(self, world: World) -> None:
        failover = await accepted(world)
        await world.undelivered(reference="M1", price=_CENT)
        await world.delivered(reference="M1", price=_MORE)
        again = await world.undelivered(reference="M1", price=_CENT)
        assert again.outcome is ReceiptOutcome.REPLAYED
        assert await _price_of(failover) == _MORE

    async def test_price_of_a_receipt_outlasts_an_answer_that_comes_later(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        await world.delivered(delivery_id=failover.delivery.id, reference="M1", price=_MORE)
        await failover.answer(Outcome.ACCEPTED, reference="M1", price=_CENT)
        assert await _price_of(failover) == _MORE

    async def test_price_of_a_failure_that_overtook_the_answer_is_heeded_with_it(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        early = await world.undelivered(delivery_id=failover.delivery.id, reference="M1", price=_MORE)
        assert early.outcome is ReceiptOutcome.EARLY
        assert await _price_of(failover) is None
        await failover.answer(Outcome.ACCEPTED, reference="M1", price=_CENT)
        assert await _price_of(failover) == _MORE

    async def test_price_of_a_receipt_that_knows_the_reference_first_waits_for_it(self, world: World) -> None:
        failover = await world.begin(world.core("mada"))
        unknown = await world.delivered(reference="M1", price=_MORE)
        assert unknown.outcome is ReceiptOutcome.UNKNOWN
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        assert await _price_of(failover) == _MORE

    @pytest.mark.parametrize("denial", ["", "no"], ids=["progress", "question"])
    async def test_price_progress_and_questions_bring_one_too(self, world: World, denial: str) -> None:
        failover = await world.begin(world.core("mada"))
        delivery_id = failover.delivery.id
        received = await world.receive(None, delivery_id=delivery_id, denial=denial, price=_CENT)
        assert received.outcome is ReceiptOutcome.APPLIED
        assert (received.challenge is not None) is bool(denial), "only a question asks whether it may go on"
        again = await world.receive(None, delivery_id=delivery_id, denial=denial, price=_CENT)
        assert again.outcome is ReceiptOutcome.IGNORED
        await failover.answer(Outcome.ACCEPTED, reference="M1")
        assert await _price_of(failover) == _CENT, "an answer without a price does not take it away"
        assert (await failover.view()).receipts == ()

    @pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.UNAVAILABLE])
    async def test_price_what_was_not_sent_costs_nothing(self, world: World, outcome: Outcome) -> None:
        failover = await world.begin(world.core("mada"))
        await world.receive(None, delivery_id=failover.delivery.id, denial="no", price=_CENT)
        await failover.answer(outcome)
        assert await _price_of(failover) is None

    async def test_price_nobody_prices_the_message_of_another_account(self, world: World) -> None:
        failover = await _charged(world)
        for names in ({"instance": "backup"}, {"reference": "M2"}):
            told = {"reference": "", "delivery_id": failover.answered.id, **names}
            assert (await world.receive(None, price=_MORE, **told)).contradicts
            assert (await world.delivered(price=_MORE, **told)).contradicts
        assert await _price_of(failover) == _CENT

    async def test_price_one_message_is_charged_once_though_two_tries_stand_for_it(self, world: World) -> None:
        failover = await world.with_retries().begin(world.core("mada"))
        await failover.answer(Outcome.AMBIGUOUS)
        first = failover.answered.id
        world.later(1)
        repeat = await world.claim_next(world.core("mada"))
        assert repeat.step.repeat == first
        await repeat.answer(Outcome.ACCEPTED, reference="M1")
        await world.delivered(delivery_id=first, reference="M1", price=_CENT)
        prices = [one.price for one in (await failover.view()).deliveries]
        assert sorted(map(str, prices)) == ["0.01 EUR", "None"]

    async def test_price_sums_are_exact_and_of_each_currency(self, world: World) -> None:
        largest = "999999999.999999999999"
        for number, (amount, currency) in enumerate(
            [(largest, "EUR"), (largest, "EUR"), ("0.000000000001", "EUR"), ("1E+3", "USD"), ("0", "SEK")]
        ):
            await _sent(world, number, Price(amount=Decimal(amount), currency=currency))
        (cost,) = (await world.store.cost()).items
        assert {currency: f"{amount:f}" for currency, amount in cost.sums.items()} == {
            "EUR": "1999999999.999999999999",
            "SEK": "0",
            "USD": "1000",
        }
        assert (cost.priced, cost.unpriced, cost.day, cost.instance) == (5, 0, None, None)

    async def test_price_sums_count_what_may_have_left_without_one(self, world: World) -> None:
        assert (await world.store.cost()) == Costs(items=(), is_whole=True)
        await _sent(world, 0, _CENT)
        await _sent(world, 1, None)
        for number, outcome in enumerate((Outcome.AMBIGUOUS, Outcome.THROTTLED, Outcome.BLOCKED), 2):
            await (await world.begin(world.core("mada"), phone=f"phone-{number}")).answer(outcome)
        await world.begin(world.core("mada"), phone="phone-5")
        (cost,) = (await world.store.cost()).items
        assert (cost.sums, cost.priced, cost.unpriced) == ({"EUR": Decimal("0.01")}, 1, 3)

    async def test_price_sums_are_told_apart_and_filtered(self, world: World) -> None:
        for number, (instance, price) in enumerate([("mada", _CENT), ("backup", _MORE), ("mada", _CENT)]):
            await _sent(world, number, price, instance)
            world.later(86_400)
        days = [world.at(86_400 * day).date() for day in range(3)]
        found = await world.store.cost(apart_by=("instance", "day"))
        assert [(one.day, one.instance, one.sums["EUR"], one.channel) for one in found.items] == [
            (days[0], "mada", _CENT.amount, None),
            (days[1], "backup", _MORE.amount, None),
            (days[2], "mada", _CENT.amount, None),
        ]
        (mada,) = (await world.store.cost(DeliveryFilter(instance="mada"), apart_by=["channel", "prefix"])).items
        assert (mada.channel, mada.prefix, mada.sums["EUR"], mada.priced) == ("sms", "", Decimal("0.02"), 2)
        (latest,) = (await world.store.cost(DeliveryFilter(since=world.at(2 * 86_400)))).items
        assert latest.priced == 1

    async def test_price_sums_go_through_every_page_and_stop_where_they_are_told_to(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("otpcore.stores.list_commands._SUMMED", 2)
        for number in range(5):
            await _sent(world, number, _CENT)
        for limit, priced, is_whole in ((None, 5, True), (5, 5, True), (3, 3, False), (1, 1, False), (9, 5, True)):
            found = await world.store.cost(limit=limit)
            assert ([one.priced for one in found.items], found.is_whole) == ([priced], is_whole)

    async def test_price_sums_are_of_one_world(self, world: World) -> None:
        there = attrs.evolve(world, store=world.store.within(models.World.SANDBOX))
        await _sent(world, 0, _CENT)
        assert (await there.store.cost()).items == ()

    @pytest.mark.parametrize("wrong", [{"apart_by": ["country"]}, {"limit": 0}])
    async def test_price_sums_refuse_what_cannot_be_meant(self, world: World, wrong: dict[str, Any]) -> None:
        with pytest.raises(InvalidArgument):
            await world.store.cost(**wrong)


async def _sent(world: World, number: int, price: Price | None, instance: str = "mada") -> None:
    """A message to somebody of their own."""
    failover = await world.begin(world.core(instance), phone=f"phone-{number}")
    await failover.answer(Outcome.ACCEPTED, reference=f"M{number}", price=price)


async def _price_of(failover: Failover) -> object:
    """Of the only delivery, as it is kept."""
    (delivery,) = (await failover.view()).deliveries
    return delivery.price


async def _charged(world: World) -> Failover:
    """A send whose price the provider said at once."""
    failover = await world.begin(world.core("mada", "backup"))
    await failover.answer(Outcome.ACCEPTED, reference="M1", price=_CENT)
    return failover
