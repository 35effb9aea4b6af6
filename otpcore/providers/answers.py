"""What one instance answers of messages and receipts, as far as it may be kept."""

from __future__ import annotations

import logging
from typing import Any

import attrs

from otpcore.events import fields
from otpcore.prices import Price
from otpcore.providers.guard import quotes, reference_problem, secrets_of
from otpcore.providers.receipts import UnusableAnswerError, as_answer, price_in
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ReceiptAnswer

__all__ = ["Answers"]

_logger = logging.getLogger("otpcore.plugins")


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
        reference, price = _reference_in(answer), self._price(price_in(answer))
        if problem := reference_problem(reference):
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
        answer = as_answer(read, self.instance, delivery_id)
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
