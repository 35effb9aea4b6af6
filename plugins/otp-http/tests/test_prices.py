"""Prices, exactly as the gateway wrote them."""

from __future__ import annotations

import pytest
from otp_http.answers import Judge
from otp_http.prices import price_in
from otp_http.sections import Answer, PriceAt

from otpcore.http import HttpAnswer
from otpcore.providers import DeliveryReceipt


@pytest.mark.parametrize(
    ("said", "how", "price"),
    [
        ({"cost": "0.03330000"}, PriceAt(amount="cost", currency="EUR"), "0.03330000 EUR"),
        ({"cost": {"a": "1", "c": "usd"}}, PriceAt(amount="cost.a", currency="=cost.c"), "1 USD"),
        ({"cost": "KES 0.8000"}, PriceAt(amount="cost", currency="=cost"), "0.8000 KES"),
        ({"cost": "0"}, PriceAt(amount="cost", currency="=cost"), "None"),
        ({}, PriceAt(amount="cost", currency="EUR"), "None"),
        ({"cost": None}, PriceAt(amount="cost", currency="EUR"), "None"),
        ({"cost": "9" * 30}, PriceAt(amount="cost", currency="EUR"), "None"),
        ({"cost": "1"}, None, "None"),
    ],
)
def test_a_price_is_read_where_it_is(said, how, price):
    assert str(price_in(said, how)) == price


def test_a_number_of_json_is_exact():
    judge = Judge.of(Answer(reference="id", price=PriceAt(amount="cost", currency="USD")))
    for written in ("0.1", "0.10", "0.123456789012", "7"):
        answer = HttpAnswer(status=200, body=f'{{"id": "m1", "cost": {written}}}'.encode())
        assert str(judge.receipt(answer).price) == f"{written} USD"


def test_a_price_that_cannot_be_kept_loses_no_message():
    judge = Judge.of(Answer(reference="id", price=PriceAt(amount="cost", currency="USD")))
    for written in ("1e999", "-1e400", "-0.05", "[]", '"nonsense"', '"1.2.3"', '"0.05 or so"'):
        answer = HttpAnswer(status=200, body=f'{{"id": "m1", "cost": {written}}}'.encode())
        assert judge.receipt(answer) == DeliveryReceipt(reference="m1")
