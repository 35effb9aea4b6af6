"""What receipts say about a delivery whose call has just been answered: they may be faster than the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otpcore.lifecycle import after_receipt
from otpcore.models import Outcome, ReceiptStatus
from otpcore.records import DeliveryRecord, ReceiptRecord, changed
from otpcore.stores.rows import Rows


def heard_of(rows: Rows, delivery: DeliveryRecord) -> Sequence[ReceiptRecord]:
    """All receipts about a delivery, also those that came before anybody knew its reference."""
    return [one for one in rows.receipts_of(delivery.id, delivery.reference) if one.instance == delivery.instance]


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
    return changed(delivery, **changes) if rows.answer_delivery(delivery.id, **changes) else delivery


def has_arrived(heard: Sequence[ReceiptRecord]) -> bool:
    """A receipt said so."""
    return any(one.status is ReceiptStatus.DELIVERED for one in heard)
