"""What receipts say about a delivery whose call has just been answered: they may be faster than the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from otpcore.models import Outcome, ReceiptStatus, UnsendableReason
from otpcore.stores.changes import Change
from otpcore.stores.lifecycle import after_receipt, why_refused
from otpcore.stores.records import DeliveryRecord, ReceiptRecord, changed
from otpcore.stores.rows import Rows
from otpcore.stores.transactions.changes import note


def heard_of(rows: Rows, delivery: DeliveryRecord) -> Sequence[ReceiptRecord]:
    """All receipts about a delivery, also those that came before anybody knew its reference.

    Not those that contradict it: that name it under another reference, or another send's delivery under its reference.
    """
    found = [one for one in rows.receipts_of(delivery.id, delivery.reference) if one.instance == delivery.instance]
    own = [one for one in found if one.reference in ("", delivery.reference or one.reference)]
    return [one for one in own if one.delivery_id in ("", delivery.id) or _of_same_send(rows, one, delivery)]


def _of_same_send(rows: Rows, receipt: ReceiptRecord, delivery: DeliveryRecord) -> bool:
    """It was about an earlier try whose message this delivery took over."""
    named = rows.delivery(receipt.delivery_id)
    return named is not None and named.send_id == delivery.send_id


def heed(rows: Rows, delivery: DeliveryRecord, heard: Sequence[ReceiptRecord]) -> DeliveryRecord:
    """Let them count, whatever the answer was; the delivery as it is now."""
    for one in heard:
        if not one.applied:
            rows.apply_receipt(one, delivery.id)
    for one in sorted(heard, key=lambda one: one.status is ReceiptStatus.DELIVERED):  # which is final
        delivery = write_receipt(rows, delivery, one)
    return delivery


def write_receipt(rows: Rows, delivery: DeliveryRecord, receipt: ReceiptRecord) -> DeliveryRecord:
    """Write what one receipt says to its delivery."""
    outcome = after_receipt(delivery.outcome, receipt.status)
    changes: dict[str, Any] = {"outcome": outcome, "reference": delivery.reference or receipt.reference}
    if outcome is Outcome.UNDELIVERED and receipt.provider_code:
        changes["provider_code"] = receipt.provider_code
    if receipt.price is not None:
        changes["price"] = receipt.price
    if receipt.status is ReceiptStatus.DELIVERED and delivery.delivered_at is None:
        changes["delivered_at"] = receipt.received_at
    if not rows.answer_delivery(delivery.id, **changes):
        return delivery
    if "delivered_at" in changes:
        note(rows, Change.DELIVERED, delivery.challenge_id, delivery.id)
    elif outcome is Outcome.UNDELIVERED and delivery.outcome is not outcome:
        note(rows, Change.UNDELIVERED, delivery.challenge_id, delivery.id)
    return changed(delivery, **changes)


def has_arrived(heard: Sequence[ReceiptRecord]) -> bool:
    """A receipt said so."""
    return any(one.status is ReceiptStatus.DELIVERED for one in heard)


def refused_by(rows: Rows, sent: Iterable[DeliveryRecord]) -> UnsendableReason:
    """Why nobody of the route may try again, by all that the providers answered and reported."""
    sent = tuple(sent)
    undelivered = [one for one in sent if one.outcome is Outcome.UNDELIVERED]
    reported = {one.id: {said.kind for said in heard_of(rows, one) if said.kind is not None} for one in undelivered}
    return why_refused(sent, reported)
