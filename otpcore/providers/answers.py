"""What a plugin answers of messages and receipts: checked, in one form and in plain values, and quoting nothing secret."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs

from otpcore.errors import ReceiptFault, ReceiptRefused
from otpcore.events import fields
from otpcore.models import Receipt
from otpcore.prices import Price
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ReceiptAnswer
from otpcore.rate_limits.clients import client_address

__all__ = ["Answers", "UnusableAnswerError", "quotes", "secrets_of"]

_logger = logging.getLogger("otpcore.plugins")

_OK, _NO_CONTENT, _FIRST_REDIRECT = 200, 204, 300
_JSON = "application/json"
_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?charset=[a-zA-Z0-9-]+)?")
_LONGEST_REFERENCE = 255
_LONG_NUMBER = 7  # digits that stand together by chance in no text
_SHORT_WORD = 4  # characters; shorter metadata stand in a text by chance


class UnusableAnswerError(Exception):
    """The plugin answered what no vendor can be answered, or what is about no message. The text quotes nothing of it."""


@attrs.define(eq=False)
class Answers:
    """Checks answers. A message that was sent is not lost over a price: one that is none is left out, and told once.

    Args:
        instance: Whose answers they are.
    """

    instance: str
    _has_told: bool = attrs.field(default=False, init=False)

    def taken(self, answer: Any, request: DeliveryRequest) -> DeliveryReceipt:
        """The acceptance of a message, in plain values.

        Raises:
            UnusableAnswerError: Its reference cannot be kept.
        """
        reference, price = _reference_in(answer), self._price(_price_in(answer))
        if problem := _reference_problem(reference):
            raise UnusableAnswerError(problem)
        if quotes(reference, secrets_of(request)):
            _logger.error(
                "provider %s: its reference quotes the number, the code or what the host said, so it is not kept",
                self.instance,
                extra=fields("reference_not_kept", instance=self.instance),
            )
            return DeliveryReceipt(price=price)
        return DeliveryReceipt(reference=reference, price=price)

    def reported(self, read: Any, delivery_id: str) -> ReceiptAnswer:
        """Receipts, in plain values.

        Args:
            read: What the plugin answered.
            delivery_id: The only delivery that they may be about; empty: any.

        Raises:
            UnusableAnswerError: They cannot be used.
            ReceiptRefused: One is about another delivery.
        """
        answer = _as_answer(read, self.instance, delivery_id)
        priced = (attrs.evolve(one, price=self._price(one.price)) for one in answer.receipts)
        return attrs.evolve(answer, receipts=tuple(priced))

    def _price(self, said: object) -> Price | None:
        price = _kept(said)
        if said is not None and price is None and not self._has_told:
            self._has_told = True
            _logger.error(
                "provider %s: it answered a price that is no Price, so it is not kept",
                self.instance,
                extra=fields("price_not_kept", instance=self.instance),
            )
        return price


def secrets_of(request: object, *, in_parts: bool = False) -> tuple[str, ...]:
    """What nothing that comes back may show: the number, and where the request has them the code, the client and metadata.

    Args:
        in_parts: The client's address on its own too; that takes a moment, and words may quote it.
    """
    recipient, code = getattr(request, "recipient", None), getattr(request, "code", None)
    known = (recipient.digits if recipient is not None else "", code or "")
    return (
        *(text for text in known if text),
        *(text for text in _said_in(request, in_parts) if len(text) >= _SHORT_WORD),
    )


def _said_in(request: object, in_parts: bool) -> Iterator[str]:
    """What the host said, as far as the plugin has left it alone."""
    client, metadata = getattr(request, "client", None), getattr(request, "metadata", None)
    if isinstance(client, str):
        yield client
        if in_parts:
            yield client_address(client)
    if isinstance(metadata, Mapping):
        yield from (text for text in metadata.values() if isinstance(text, str))


def quotes(text: str, secrets: Collection[str]) -> bool:
    """Whether one of the secrets stands in the text: a long one anywhere, a short one as a word of its own."""
    return any(secret in text and _stands_out(secret, text) for secret in secrets)


def _stands_out(secret: str, text: str) -> bool:
    if len(secret) >= _LONG_NUMBER:
        return True
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(secret)}(?![0-9A-Za-z])", text) is not None


def _reference_problem(reference: object) -> str:
    """Why no store could keep this as a vendor's reference; empty: it can."""
    if not isinstance(reference, str):
        return f"answered a reference of type {type(reference).__name__} instead of str"
    if len(reference) > _LONGEST_REFERENCE or not reference.isprintable():
        return f"answered a reference that is longer than {_LONGEST_REFERENCE} characters or not printable"
    return ""


def _reference_in(answer: Any) -> Any:
    """A plugin may answer a subclass whose attributes are code."""
    try:
        return answer.reference
    except Exception:  # noqa: BLE001 - as everywhere around plugins
        return None


def _kept(said: object) -> Price | None:
    """The price, if it is one."""
    if type(said) is not Price:
        return None
    try:
        return Price(amount=said.amount, currency=said.currency)  # it may have been made without its checks
    except (AttributeError, TypeError, ValueError):
        return None


def _price_in(answer: Any) -> Any:
    """What a plugin answered as the price, whatever it is; it loses no receipt, not even by code that raises."""
    try:
        return answer.price
    except Exception as error:  # noqa: BLE001 - the attributes of a subclass may be code
        return error


def _as_answer(read: Any, instance: str, delivery_id: str) -> ReceiptAnswer:
    """One receipt, a list of them or a whole answer, checked and in plain values; the prices are as they came.

    Args:
        read: What the plugin answered.
        instance: Whose it is, for the error.
        delivery_id: The only delivery that it may be about; empty: any.

    Raises:
        UnusableAnswerError: It is none of them, or cannot be used.
        ReceiptRefused: It is about another delivery.
    """
    try:
        answer = _in_one_form(read)
        return attrs.evolve(answer, receipts=tuple(_about(one, instance, delivery_id) for one in answer.receipts))
    except (UnusableAnswerError, ReceiptRefused):
        raise
    except Exception as error:  # noqa: BLE001 - the attributes of a subclass may be code
        problem = f"answered a receipt that raised {type(error).__name__}"
    raise UnusableAnswerError(problem)


def _about(receipt: Receipt, instance: str, delivery_id: str) -> Receipt:
    if receipt.status is not None and not (receipt.reference or receipt.delivery_id or delivery_id):
        raise UnusableAnswerError("answered a receipt without reference and delivery id")
    if receipt.delivery_id not in ("", delivery_id or receipt.delivery_id):
        raise ReceiptRefused(ReceiptFault.CONTRADICTION, "it is about another delivery than its address", instance)
    return attrs.evolve(receipt, delivery_id=delivery_id or receipt.delivery_id)


def _in_one_form(read: Any) -> ReceiptAnswer:
    if issubclass(type(read), Receipt):  # isinstance would believe what the answer says of itself
        return _alone(_plain(read))
    if issubclass(type(read), ReceiptAnswer):
        return _whole(read)
    if not issubclass(type(read), list | tuple):
        raise UnusableAnswerError(f"answered {type(read).__name__} instead of Receipt")
    return ReceiptAnswer(receipts=_together(read), status=_NO_CONTENT, content_type="")


def _alone(receipt: Receipt) -> ReceiptAnswer:
    """A receipt by itself: 204 is enough, unless it brings the JSON that its vendor waits for."""
    if receipt.answer:
        return ReceiptAnswer(receipts=(receipt,), status=_OK, text=receipt.answer, content_type=_JSON)
    return ReceiptAnswer(receipts=(receipt,), status=_NO_CONTENT, content_type="")


def _whole(answer: ReceiptAnswer) -> ReceiptAnswer:
    status, text, content_type = answer.status, answer.text, answer.content_type
    if type(status) is not int or not _OK <= status < _FIRST_REDIRECT or (status == _NO_CONTENT and text):
        raise UnusableAnswerError("answered a status that is none of 200 to 299, or 204 with a body")
    if type(text) is not str or type(content_type) is not str:
        raise UnusableAnswerError("answered a body or a content type that is no text")
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise UnusableAnswerError("answered a content type that is none")
    return ReceiptAnswer(
        receipts=_together(answer.receipts), status=status, text=text, content_type=content_type if text else ""
    )


def _together(receipts: Any) -> tuple[Receipt, ...]:
    """Receipts beside which there is one answer, so that none of them has one of its own, nor asks."""
    if not issubclass(type(receipts), list | tuple):
        raise UnusableAnswerError("answered receipts that are no list")
    plain = tuple(map(_plain, receipts))
    if any(one.answer or one.denial for one in plain):
        raise UnusableAnswerError("answered a list with a receipt that has an answer of its own, which comes alone")
    return plain


def _plain(one: Any) -> Receipt:
    if not issubclass(type(one), Receipt):
        raise UnusableAnswerError(f"answered {type(one).__name__} instead of Receipt")
    receipt = Receipt(
        status=one.status,
        reference=one.reference,
        delivery_id=one.delivery_id,
        provider_code=one.provider_code,
        kind=one.kind,
        answer=one.answer,
        denial=one.denial,
        price=_price_in(one),
    )
    for name in (receipt.reference, receipt.delivery_id):
        if problem := _reference_problem(name):
            raise UnusableAnswerError(problem)
    if not all(type(text) is str for text in (receipt.provider_code, receipt.answer, receipt.denial)):
        raise UnusableAnswerError("answered a receipt whose code or answers are no text")
    return receipt
