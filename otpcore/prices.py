"""What a vendor charges for one message or call: exact, as it says itself; no I/O."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import attrs

__all__ = ["Price"]

_CURRENCY = re.compile(r"[A-Z]{3}")
_WRITTEN = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,12})?")
_MOST_DIGITS, _MOST_PLACES = 9, 12
_BEYOND = Decimal(10**_MOST_DIGITS)


def _is_exact(_: Price, __: attrs.Attribute[Decimal], value: Any) -> None:
    if type(value) is not Decimal:
        raise TypeError("amount: must be a Decimal, since a float is not exact")
    exponent = value.as_tuple().exponent
    is_plain = isinstance(exponent, int) and -_MOST_PLACES <= exponent <= _MOST_DIGITS  # 0E+999999 is long to write
    if not is_plain or value.is_signed() or value >= _BEYOND:
        raise ValueError("amount: must be 0 or more, less than a billion, and have at most 12 decimal places")


def _is_currency(_: Price, __: attrs.Attribute[str], value: Any) -> None:
    if type(value) is not str:
        raise TypeError("currency: must be text")
    if not _CURRENCY.fullmatch(value):
        raise ValueError("currency: must be three capital letters of ISO 4217, such as EUR")


@attrs.frozen(kw_only=True)
class Price:
    """What a vendor charges for one message or call.

    Args:
        amount: 0 or more, less than a billion, with at most 12 decimal places; exact, and never a float.
        currency: Three capital letters of ISO 4217, such as ``EUR``.

    Raises:
        TypeError: The amount is no ``Decimal``, or the currency no text.
        ValueError: One of them cannot be meant.
    """

    amount: Decimal = attrs.field(validator=_is_exact)
    currency: str = attrs.field(validator=_is_currency)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    @classmethod
    def read(cls, amount: object, currency: object) -> Price | None:
        """What a vendor's answer says; never an error, since the message has been sent, whatever the price.

        Args:
            amount: Digits with or without a decimal point, a whole number, or a ``Decimal``. Where a vendor writes what
                it charges below zero, the plugin turns it round first. JSON numbers are exact where
                ``HttpAnswer.json()`` or ``json.loads(…, parse_float=Decimal)`` has read them.
            currency: Letters in any case.

        Returns:
            None: it says no price, or none that can be kept.
        """
        if not isinstance(amount, str | int | Decimal) or isinstance(amount, bool) or not isinstance(currency, str):
            return None
        if isinstance(amount, str) and not _WRITTEN.fullmatch(amount):
            return None
        try:
            return cls(amount=Decimal(amount), currency=currency.upper())
        except ValueError:
            return None
