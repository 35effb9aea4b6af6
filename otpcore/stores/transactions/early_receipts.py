"""What receipts say about a delivery whose call has just been answered: they may be faster than the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from otpcore.models import ChallengeState, Outcome, ReceiptStatus, UnsendableReason
from otpcore.stores.changes import Change
from otpcore.stores.lifecycle import after_receipt, in_force, into, sending_over, why_refused
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, ReceiptRecord, changed
from otpcore.stores.rows import Rows
from otpcore.stores.transactions.changes import note


def heard_of(
    rows: Rows, delivery: DeliveryRecord, early: Sequence[ReceiptRecord] | None = None
) -> Sequence[ReceiptRecord]:
    """All receipts about a delivery, also those that came before anybody knew its reference.

    Not those that contradict it: that name it under another reference, or another send's delivery under its reference.

    Args:
        early: What ``receipts_of`` found, where that has been looked up.
    """
    early = rows.receipts_of(delivery.id, delivery.reference) if early is None else early
    found = [one for one in early if one.instance == delivery.instance]
    own = [one for one in found if one.reference in ("", delivery.reference or one.reference)]
    return [one for one in own if one.delivery_id in ("", delivery.id) or _of_same_send(rows, one, delivery)]


def _of_same_send(rows: Rows, receipt: ReceiptRecord, delivery: DeliveryRecord) -> bool:
    """It was about an earlier try whose message this delivery took over."""
    named = rows.delivery(receipt.delivery_id)
    return named is not None and named.send_id == delivery.send_id


def heed(
    rows: Rows, delivery: DeliveryRecord, heard: Sequence[ReceiptRecord], known: DeliveryRecord | None
) -> DeliveryRecord:
    """Let them count, whatever the answer was; the delivery as it is now. ``known``: as it was before the answer."""
    is_told = known is not None and known.outcome is Outcome.UNDELIVERED
    for one in heard:
        if not one.applied:
            rows.apply_receipt(one, delivery.id)
    for one in sorted(heard, key=lambda one: one.status is ReceiptStatus.DELIVERED):  # which is final
        delivery = write_receipt(rows, delivery, one, is_told=is_told)
    return delivery


def write_receipt(
    rows: Rows, delivery: DeliveryRecord, receipt: ReceiptRecord, *, is_told: bool = False
) -> DeliveryRecord:
    """Write what one receipt says to its delivery. ``is_told``: the outbox has been told that it did not arrive."""
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
    elif outcome is Outcome.UNDELIVERED and delivery.outcome is not outcome and not is_told:
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


def taken_back(
    rows: Rows, before: ChallengeRecord | None, challenge: ChallengeRecord, delivery: DeliveryRecord
) -> ChallengeRecord:
    """An acceptance that is known to have come to nothing, though the state says ``sent`` already.

    ``before``: the challenge as it was before the answer. Its end, if that had come, was told then.
    """
    changes: dict[str, Any] = {"state": into(challenge, ChallengeState.UNDELIVERED), "confirmed": False}
    if not rows.schedules(challenge.id):
        deliveries = in_force(challenge, rows.deliveries(challenge.id))
        if any(one.outcome is Outcome.ACCEPTED for one in deliveries):
            return challenge
        of_this = [one for one in deliveries if one.send_id == delivery.send_id]
        state, changes["reason"] = sending_over(of_this, refused_by(rows, of_this), other_row=False)
        changes["state"] = into(challenge, state)
    rows.update_challenge(challenge.id, **changes)
    had_ended = before is not None and before.state is ChallengeState.UNSENDABLE
    if changes["state"] is ChallengeState.UNSENDABLE and not had_ended:
        note(rows, Change.ENDED, challenge.id, state=ChallengeState.UNSENDABLE)
    return changed(challenge, **changes)
