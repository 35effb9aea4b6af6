"""Payments that a code confirms: to whom and how much, as the person is told and as the code is bound to it; pure."""

from __future__ import annotations

import re
from typing import Any

import attrs

from otpcore.errors import InvalidArgument
from otpcore.messages.carrying import lookup_tags
from otpcore.messages.wordings import WORDINGS

__all__ = ["Payment", "payment_text"]

_LONGEST_PAYEE = 70  # characters, as in SEPA
_PLACE = re.compile(r"[{}]|_CODE_")
_AMOUNT = re.compile(r"[0-9]{1,15}(?:[.,][0-9]{1,4})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_LAST_RESORT = "en"


def _good_payee(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_PAYEE or value != value.strip():
        raise InvalidArgument(f"payee: is text of 1 to {_LONGEST_PAYEE} characters, without spaces around it")
    if not value.isprintable() or _PLACE.search(value):
        raise InvalidArgument("payee: holds braces, _CODE_, or characters that nobody sees")


def _good_amount(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise InvalidArgument('amount: is text such as "49.90", without a currency')


def _good_currency(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise InvalidArgument("currency: is three capitals, such as EUR (ISO 4217)")


@attrs.frozen(kw_only=True)
class Payment:
    """A payment that a code confirms, and it alone: what PSD2 calls dynamic linking (Regulation (EU) 2018/389, article 5).

    Two are the same if all of it is, letter for letter.

    Args:
        payee: Who is paid, as the person is to read it: 1 to 70 characters.
        amount: How much, as the person is to read it, such as ``49.90``.
        currency: ISO 4217, such as ``EUR``.

    Raises:
        InvalidArgument: One of them is no such text. It is never quoted.
    """

    payee: str = attrs.field(repr=False, validator=_good_payee)
    amount: str = attrs.field(repr=False, validator=_good_amount)
    currency: str = attrs.field(repr=False, validator=_good_currency)

    @property
    def said(self) -> tuple[str, str, str]:
        """What a code is bound to."""
        return self.payee, self.amount, self.currency


def payment_text(payment: Payment, *, is_spoken: bool, app: str, locale: str, default_locale: str) -> tuple[str, str]:
    """The text that says what a code confirms, with places for ``{code}`` and ``{app}``; and the tag of its language.

    Args:
        payment: The payment.
        is_spoken: It is for a call.
        app: Name the person knows the host by, or empty.
        locale: BCP 47 tag of the person's language, or empty.
        default_locale: Tag to fall back to.
    """
    own = tuple(lookup_tags(locale)) if locale else ()
    found = next(tag for tag in (*own, *lookup_tags(default_locale), _LAST_RESORT) if tag in WORDINGS)
    wording = WORDINGS[found]
    values = {"payee": payment.payee, "amount": f"{payment.amount} {payment.currency}"}
    said = re.sub(r"\{(payee|amount)\}", lambda place: values[place[1]], wording.payment)
    if is_spoken:
        text = (wording.call if app else wording.call_without_app) + said
    else:
        text = (wording.sms if app else wording.sms_without_app) + said + wording.warning
    return text, locale if found in own else found
