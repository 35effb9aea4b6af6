"""Around ``parse_receipt``: what is proven before it is called, and what it answered, checked and in one form."""

from __future__ import annotations

import re
from typing import Any

import attrs

from otpcore.errors import ReceiptFault, ReceiptRefused
from otpcore.models import Receipt
from otpcore.providers.addresses import ReceiptAddresses
from otpcore.providers.guard import reference_problem
from otpcore.providers.requests import ProviderInfo, ReceiptAnswer, ReceiptRequest

__all__ = ["UnusableAnswerError", "as_answer", "price_in", "proven"]

_OK, _NO_CONTENT, _FIRST_REDIRECT = 200, 204, 300
_JSON = "application/json"
_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?charset=[a-zA-Z0-9-]+)?")


class UnusableAnswerError(Exception):
    """The plugin answered what no vendor can be answered, or what is about no message. The text quotes nothing of it."""


def proven(
    request: ReceiptRequest, instance: str, info: ProviderInfo, addresses: ReceiptAddresses | None
) -> ReceiptRequest:
    """The request for the plugin: with the delivery whose address it was sent to, where that is all the proof there is.

    Raises:
        ReceiptRefused: The vendor signs nothing, and it was sent to no address of this instance's.
    """
    if info.signs_receipts:
        return attrs.evolve(request, delivery_id="")
    delivery_id = "" if addresses is None else addresses.proven(instance, request.url)
    if not delivery_id:
        raise ReceiptRefused(ReceiptFault.SIGNATURE, "it was sent to no address that this instance was given", instance)
    return attrs.evolve(request, delivery_id=delivery_id)


def as_answer(read: Any, instance: str, delivery_id: str) -> ReceiptAnswer:
    """One receipt, a list of them or a whole answer, checked and in plain values; but for the prices, which are as they came.

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


def price_in(answer: Any) -> Any:
    """What a plugin answered as the price, whatever it is; it loses no receipt, not even by code that raises."""
    try:
        return answer.price
    except Exception as error:  # noqa: BLE001 - the attributes of a subclass may be code
        return error


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
        price=price_in(one),
    )
    for name in (receipt.reference, receipt.delivery_id):
        if problem := reference_problem(name):
            raise UnusableAnswerError(problem)
    if not all(type(text) is str for text in (receipt.provider_code, receipt.answer, receipt.denial)):
        raise UnusableAnswerError("answered a receipt whose code or answers are no text")
    return receipt
