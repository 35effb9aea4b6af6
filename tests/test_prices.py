"""What a price is, and what a vendor's answer is read as."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otpcore import Price

WRONG = [
    (0.01, "EUR", TypeError),
    ("0.01", "EUR", TypeError),
    (1, "EUR", TypeError),
    (Decimal("0.01"), None, TypeError),
    (Decimal("0.01"), b"EUR", TypeError),
    (Decimal("-0.01"), "EUR", ValueError),
    (Decimal("-0"), "EUR", ValueError),
    (Decimal("NaN"), "EUR", ValueError),
    (Decimal("sNaN"), "EUR", ValueError),
    (Decimal("Infinity"), "EUR", ValueError),
    (Decimal(10**9), "EUR", ValueError),
    (Decimal("0.0000000000001"), "EUR", ValueError),
    (Decimal("0E+10"), "EUR", ValueError),
    (Decimal("0.01"), "eur", ValueError),
    (Decimal("0.01"), "EURO", ValueError),
    (Decimal("0.01"), "\u0415UR", ValueError),
    (Decimal("0.01"), "", ValueError),
]


@pytest.mark.parametrize(("amount", "currency", "error"), WRONG)
def test_what_cannot_be_meant_is_refused(amount, currency, error):
    with pytest.raises(error):
        Price(amount=amount, currency=currency)


def test_it_is_written_as_it_was_said_and_compared_by_its_worth():
    price = Price(amount=Decimal("0.00750"), currency="USD")
    assert str(price) == "0.00750 USD"
    assert price == Price(amount=Decimal("0.0075"), currency="USD")
    assert price != Price(amount=Decimal("0.0075"), currency="EUR")
    assert str(Price(amount=Decimal("1E+8"), currency="USD")) == "100000000 USD"
    assert str(Price(amount=Decimal("0E+9"), currency="USD")).strip("0") == " USD"


@pytest.mark.parametrize(
    ("amount", "currency", "read"),
    [
        ("0.00750", "usd", "0.00750 USD"),
        ("12", "EUR", "12 EUR"),
        (3, "EUR", "3 EUR"),
        (Decimal("0.1"), "EUR", "0.1 EUR"),
        (0.1, "EUR", None),
        (True, "EUR", None),
        (None, "EUR", None),
        ("", "EUR", None),
        ("-1", "EUR", None),
        ("1,5", "EUR", None),
        ("1_0", "EUR", None),
        (" 1", "EUR", None),
        ("\u0661", "EUR", None),
        ("1e3", "EUR", None),
        ("NaN", "EUR", None),
        ("1.0000000000000", "EUR", None),
        (10**9, "EUR", None),
        (Decimal("1E+999999"), "EUR", None),
        ("1", "EURO", None),
        ("1", "€", None),
        ("1", None, None),
    ],
)
def test_a_vendors_answer_is_read_or_left_out(amount, currency, read):
    price = Price.read(amount, currency)
    assert (str(price) if price is not None else None) == read


@given(
    amount=st.one_of(st.text(), st.integers(), st.decimals(), st.floats(), st.none(), st.binary()), currency=st.text()
)
@example(amount=10**5000, currency="EUR")
@example(amount=Decimal("sNaN"), currency="EUR")
@example(amount=Decimal("0E+999999999"), currency="EUR")
@example(amount="1", currency="\ufb01x")
def test_reading_never_fails_and_what_is_read_is_a_price(amount, currency):
    price = Price.read(amount, currency)
    assert price is None or price == Price(amount=price.amount, currency=price.currency)
