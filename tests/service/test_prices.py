"""Prices through the service: kept with the delivery, told to observers and operators, and never in the way of a send."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    EventType,
    Price,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptAnswer,
    ReceiptOutcome,
    ReceiptRequest,
    ReceiptStatus,
    hookimpl,
)
from otpcore.providers.provider import provider_from_object
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"
CENT = Price(amount=Decimal("0.00750"), currency="USD")
MORE = Price(amount=Decimal("0.0125"), currency="USD")


class SlyReceipt(DeliveryReceipt):
    def __getattribute__(self, name: str) -> Any:
        if name == "price":
            raise RuntimeError(PHONE)
        return super().__getattribute__(name)


class SlyReport(Receipt):
    def __getattribute__(self, name: str) -> Any:
        if name == "price":
            raise RuntimeError(PHONE)
        return super().__getattribute__(name)


def unchecked(amount: Any, currency: Any) -> Price:
    """A price that was made without its checks."""
    price = object.__new__(Price)
    object.__setattr__(price, "amount", amount)
    object.__setattr__(price, "currency", currency)
    return price


@attrs.define(eq=False)
class Gateway:
    """A provider that answers and reports what a test says."""

    answer: Any = attrs.field(factory=lambda: DeliveryReceipt(reference="M1"))
    report: Any = None
    question: Receipt | None = None
    otp: AsyncOTPService | None = None

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Gateway")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        if self.question is not None and self.otp is not None:
            self.report = attrs.evolve(self.question, delivery_id=request.delivery_id)
            assert (await self.otp.handle_receipt("gateway", said())).text == "yes"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return] # whatever it is

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Any:
        return self.report


def said() -> ReceiptRequest:
    return ReceiptRequest(url="https://example.com/receipts/gateway")


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def seen() -> EventRecorder:
    return EventRecorder()


@pytest.fixture
def otp(gateway: Gateway, seen: EventRecorder) -> AsyncOTPService:
    return Outbox().service(providers={"gateway": gateway}, observers=[seen])


async def price_of(otp: AsyncOTPService) -> Price | None:
    """Of the only delivery, as operators see it."""
    (listed,) = (await otp.operator.deliveries.list()).items
    (shown,) = await otp.operator.challenges.show(PHONE)
    assert [one.price for one in shown.deliveries] == [listed.price]
    assert [one.price for one in shown.timeline if one.what == "delivery"] == [listed.price]
    return listed.price


async def test_the_price_of_the_answer_is_told_and_that_of_a_receipt_takes_its_place(
    otp: AsyncOTPService, gateway: Gateway, seen: EventRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="otpcore.events")
    gateway.answer = DeliveryReceipt(reference="M1", price=CENT)
    async with otp:
        await otp.send_sms(PHONE)
        assert await price_of(otp) == CENT
        gateway.report = Receipt(status=ReceiptStatus.DELIVERED, reference="M1", price=MORE)
        await otp.handle_receipt("gateway", said())
        assert await price_of(otp) == MORE
        (shown,) = await otp.operator.challenges.show(PHONE)
    assert [event.price for event in seen.of(EventType.DELIVERY_ACCEPTED)] == ["0.00750 USD"]
    assert [event.price for event in seen.of(EventType.DELIVERY_CONFIRMED)] == ["0.0125 USD"]
    logged = [getattr(record, "otp_price", "") for record in caplog.records]
    assert [price for price in logged if price] == ["0.00750 USD", "0.0125 USD"]
    assert [one.price for one in shown.timeline if one.what == "receipt"] == [MORE]
    plain = shown.to_dict()
    assert plain["deliveries"][0]["price"] == {"amount": "0.0125", "currency": "USD"}
    json.dumps(plain)


async def test_a_message_without_a_price_has_none_anywhere(
    otp: AsyncOTPService, gateway: Gateway, seen: EventRecorder
) -> None:
    gateway.report = Receipt(status=ReceiptStatus.UNDELIVERED, reference="M1")
    async with otp:
        await otp.send_sms(PHONE)
        await otp.handle_receipt("gateway", said())
        assert await price_of(otp) is None
    assert {event.price for event in seen.events} == {""}


@pytest.mark.parametrize("price", [CENT, None])
async def test_a_report_of_progress_asks_the_store_only_where_it_says_a_price(
    otp: AsyncOTPService, gateway: Gateway, price: Price | None
) -> None:
    gateway.report = [Receipt(reference="M1", price=price)] * 2
    async with otp:
        await otp.send_sms(PHONE)
        result = await otp.handle_receipt("gateway", said())
        assert await price_of(otp) == price
    new = ReceiptOutcome.IGNORED if price is None else ReceiptOutcome.APPLIED
    assert result.outcomes == (new, ReceiptOutcome.IGNORED)


@pytest.mark.parametrize("refused", [False, True])
async def test_the_price_in_a_question_is_kept_unless_nothing_is_sent(
    otp: AsyncOTPService, gateway: Gateway, refused: bool
) -> None:
    gateway.question, gateway.otp = Receipt(answer="yes", denial="no", price=CENT), otp
    async with otp:
        if refused:
            gateway.answer = ProviderError(ErrorKind.BLOCKED)
            with pytest.raises(DeliveryError):
                await otp.send_sms(PHONE)
        else:
            await otp.send_sms(PHONE)
        assert await price_of(otp) == (None if refused else CENT)


ODD = {
    "text": "0.0075 USD",
    "float": 0.0075,
    "decimal": Decimal("0.0075"),
    "dict": {"amount": "0.0075", "currency": "USD"},
    "look-alike": SimpleNamespace(amount=Decimal("0.0075"), currency="USD"),
    "unchecked float": unchecked(0.0075, "USD"),
    "below zero": unchecked(Decimal(-1), "USD"),
    "no currency": unchecked(Decimal(1), None),
    "empty": object.__new__(Price),
}


def loggers(records: list[logging.LogRecord]) -> list[tuple[str, str]]:
    """What was said of odd prices."""
    said = [record for record in records if getattr(record, "otp_event", "") == "price_not_kept"]
    return [(record.levelname, getattr(record, "otp_instance", "")) for record in said]


@pytest.mark.parametrize("price", ODD.values(), ids=ODD)
async def test_an_odd_price_loses_no_send_and_no_receipt_and_is_told_once(
    otp: AsyncOTPService, gateway: Gateway, price: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.answer = DeliveryReceipt(reference="M1", price=price)
    report = Receipt(status=ReceiptStatus.DELIVERED, reference="M1", price=price)
    gateway.report = ReceiptAnswer(receipts=[report], text="OK")
    async with otp:
        challenge = await otp.send_sms(PHONE)
        assert (challenge.state, challenge.confirmed, challenge.provider) == (ChallengeState.SENT, True, "gateway")
        result = await otp.handle_receipt("gateway", said())
        assert (result.outcomes, result.text) == ((ReceiptOutcome.APPLIED,), "OK")
        assert await price_of(otp) is None
    assert loggers(caplog.records) == [("ERROR", "gateway")]


async def test_a_price_that_cannot_even_be_looked_at_is_only_left_out(
    otp: AsyncOTPService, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.answer = SlyReceipt(reference="M1")
    gateway.report = SlyReport(status=ReceiptStatus.DELIVERED, reference="M1")
    async with otp:
        assert (await otp.send_sms(PHONE)).confirmed
        assert (await otp.handle_receipt("gateway", said())).outcomes == (ReceiptOutcome.APPLIED,)
        assert await price_of(otp) is None
    assert loggers(caplog.records) == [("ERROR", "gateway")]
    assert PHONE not in caplog.text


async def test_each_instance_tells_its_own_odd_prices(caplog: pytest.LogCaptureFixture) -> None:
    report = Receipt(status=ReceiptStatus.DELIVERED, reference="M1", price="free")  # type: ignore[arg-type] # as in a plugin
    for name in ("one", "two"):
        provider = provider_from_object(name, Gateway(report=[report, report]))
        for _ in range(2):
            answer = await provider.parse_receipt(said(), 5)
            assert [(one.reference, one.price) for one in answer.receipts] == [("M1", None)] * 2
    assert loggers(caplog.records) == [("ERROR", "one"), ("ERROR", "two")]
