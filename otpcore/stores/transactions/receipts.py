"""Transactions of delivery receipts: take one in, once, and go on where a message was not delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import attrs

from otpcore.models import ChallengeState, Outcome, Receipt, ReceiptOutcome, ReceiptStatus, UnsendableReason
from otpcore.stores.commands import ReceiptRule, Received
from otpcore.stores.lifecycle import IN_DOUBT, TAKEN, forbids, in_force, into, is_living, is_spent, superseded
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, ReceiptRecord, ScheduleRecord, changed
from otpcore.stores.rows import Rows
from otpcore.stores.steps import Ended, FailoverPlan, FailoverRef, Queued, Step, Stopped
from otpcore.stores.transactions.early_receipts import has_arrived, heard_of, refused_by, write_receipt
from otpcore.stores.transactions.failover import (
    accepted,
    end_failover,
    next_step,
    own_row,
    queue,
)
from otpcore.stores.transactions.limits import use_budget
from otpcore.stores.transactions.retry import end_if_denied, held_by
from otpcore.stores.wanted import Wanted

_MAY_LEAVE = IN_DOUBT | {Outcome.ACCEPTED}


def receive(rows: Rows, instance: str, receipt: Receipt, rule: ReceiptRule, now: datetime | None) -> Received:
    """Write one receipt and what follows from it; the same one again changes nothing."""
    if receipt.reference:
        rows.prefetch(Wanted(instance=instance, reference=receipt.reference), now)
    moment = rows.now(now)
    if receipt.status is None and not receipt.denial and receipt.price is None:
        return Received(outcome=ReceiptOutcome.IGNORED)
    found = _find(rows, instance, receipt)
    if found is None:
        if receipt.status is not None and not receipt.delivery_id:  # a delivery has its id before it has a reference
            rows.insert_receipt(_record_of(instance, receipt, receipt.status, moment))
        return Received(outcome=ReceiptOutcome.UNKNOWN)
    challenge = rows.challenge(found.challenge_id)
    delivery = rows.delivery(found.id) or found  # again: now that the challenge is locked, nobody else changes it
    if not _agree(rows, delivery, instance, receipt):
        return Received(outcome=ReceiptOutcome.UNKNOWN, contradicts=True)
    if receipt.status is None:
        outcome = ReceiptOutcome.APPLIED if _write_price(rows, delivery, receipt) else ReceiptOutcome.IGNORED
        may_go = receipt.denial and challenge is not None and _may_be_sent(rows, challenge, delivery, moment)
        return Received(outcome=outcome, challenge=challenge if may_go else None)
    record = _record_of(instance, receipt, receipt.status, moment)
    early = record.status is ReceiptStatus.UNDELIVERED and _is_under_way(delivery, moment)
    record = changed(record, delivery_id=delivery.id, applied=not early)
    if not rows.insert_receipt(record):
        return Received(outcome=ReceiptOutcome.REPLAYED, challenge=challenge)
    if early:
        return Received(outcome=ReceiptOutcome.EARLY, challenge=challenge)
    if record.status is ReceiptStatus.UNDELIVERED and has_arrived(heard_of(rows, delivery)):
        return Received(outcome=ReceiptOutcome.IGNORED, challenge=challenge)
    return _apply(rows, challenge, delivery, record, receipt.delivery_id, rule)


def go_on(rows: Rows, ref: FailoverRef, plan: FailoverPlan, now: datetime | None) -> Step:
    """The next delivery of a send whose message was not delivered."""
    rows.prefetch(Wanted(challenge_id=ref.challenge_id, breakers=True), now)
    moment = rows.now(now)
    challenge = rows.challenge(ref.challenge_id)
    row = own_row(rows, ref)
    if challenge is None or row is None or not is_living(challenge, moment):
        return Stopped(challenge=challenge)
    if challenge.expires_at - moment < plan.min_useful_life:
        return end_failover(rows, challenge, row, UnsendableReason.EXPIRED)
    if ended := end_if_denied(rows, challenge, row, plan, moment):
        return ended
    held = held_by(rows, challenge, plan, moment)
    return next_step(rows, challenge, row, changed(plan, untried=()) if held else plan, moment)


@attrs.frozen(kw_only=True)
class _Failure:
    """A delivery of a living challenge that was reported undelivered just now. ``was``: its outcome until then."""

    challenge: ChallengeRecord
    delivery: DeliveryRecord
    was: Outcome
    receipt: ReceiptRecord
    rule: ReceiptRule
    now: datetime

    def follow(self, rows: Rows) -> Received:
        """What follows: the send goes on, waits, is over, had gone on without this delivery, or is no longer needed."""
        challenge, delivery = self.challenge, self.delivery
        under_way = rows.schedules(challenge.id)
        if forbids(self.receipt.kind):
            own = next((row for row in under_way if row.send_id == delivery.send_id), None)
            if own is not None:
                return self._end(rows, own, UnsendableReason.PERMANENT)
        if delivery.code_number != challenge.code_number:  # whoever is waiting waits for another code
            return self._received(challenge)
        deliveries = rows.deliveries(challenge.id)
        ids = [one.id for one in deliveries]
        if under_way or superseded(delivery, deliveries[ids.index(delivery.id) + 1 :]):
            return self._received(challenge)
        if self._has_another(rows, deliveries):
            return self._received(challenge)
        row = self._row(deliveries)
        if (
            self.was is not Outcome.ACCEPTED
        ):  # the failover went on from it when its answer was lost, and has ended since
            if challenge.state is not ChallengeState.SENT:
                return self._received(challenge)
            return self._end(rows, row, refused_by(rows, (one for one in deliveries if one.send_id == row.send_id)))
        if reason := self._hopeless(row):
            return self._end(rows, row, reason)
        if not self._able(row):
            step = queue(rows, challenge, row, self.now, {"confirmed": False})
            return self._received(step.challenge, step)
        unsent = {"state": into(challenge, ChallengeState.UNDELIVERED), "confirmed": False}
        rows.update_challenge(challenge.id, **unsent)
        rows.put_schedule(row)
        ref = FailoverRef(challenge_id=row.challenge_id, channel=row.channel, send_id=row.send_id, token=row.token)
        return self._received(changed(challenge, **unsent), ref)

    def _has_another(self, rows: Rows, deliveries: Sequence[DeliveryRecord]) -> bool:
        """The message of an earlier send was reported as delivered after this one had begun, which ended sending.

        One that was known to have arrived before does not count: the person asked for another all the same.
        """
        began = next(one.recorded_at for one in deliveries if one.send_id == self.delivery.send_id)
        earlier = [one for one in in_force(self.challenge, deliveries) if one.send_id != self.delivery.send_id]
        return any(
            told.status is ReceiptStatus.DELIVERED and told.received_at >= began
            for one in earlier
            if one.outcome is Outcome.ACCEPTED
            for told in heard_of(rows, one)
        )

    def _row(self, deliveries: Sequence[DeliveryRecord]) -> ScheduleRecord:
        """The row under which the same send goes on. The acceptance had removed it, and with it the count of retries.

        One failover calls an instance once, so the instance that was called most often tells how many there were.
        """
        sent = [one for one in deliveries if one.send_id == self.delivery.send_id]
        retries = Counter(one.instance for one in sent if one.is_retry)
        return ScheduleRecord(
            challenge_id=self.challenge.id,
            channel=self.delivery.channel,
            send_id=self.delivery.send_id,
            token=self.rule.token,
            due_at=self.now,
            lease_until=self.now + self.rule.lease,
            attempts=max(retries.values(), default=0),
            key_id=self.challenge.key_id,
            forced=self.challenge.forced,
        )

    def _hopeless(self, row: ScheduleRecord) -> UnsendableReason | None:
        if forbids(self.receipt.kind):
            return UnsendableReason.PERMANENT
        if is_spent(self.challenge):
            return UnsendableReason.MAX_ATTEMPTS
        if self.challenge.expires_at - self.now < self.rule.min_useful_life:
            return UnsendableReason.EXPIRED
        if not self._able(row) and row.channel not in self.rule.retried:
            return UnsendableReason.FAILED
        return None

    def _able(self, row: ScheduleRecord) -> bool:
        """This process has the key of the code, and the instances of a forced list."""
        return row.key_id in self.rule.key_ids and self.rule.instances.issuperset(row.forced or ())

    def _end(self, rows: Rows, row: ScheduleRecord, reason: UnsendableReason) -> Received:
        step = end_failover(rows, self.challenge, row, reason)
        return self._received(step.challenge, step)

    def _received(self, challenge: ChallengeRecord, follows: FailoverRef | Queued | Ended | None = None) -> Received:
        return Received(outcome=ReceiptOutcome.APPLIED, challenge=challenge, delivery=self.delivery, follows=follows)


def _apply(
    rows: Rows,
    challenge: ChallengeRecord | None,
    delivery: DeliveryRecord,
    record: ReceiptRecord,
    named: str,
    rule: ReceiptRule,
) -> Received:
    """Write it to its delivery, and let the challenge follow if it lives. ``named``: the delivery id in the receipt."""
    for one in rows.deliveries(delivery.challenge_id):
        if one.id != delivery.id and one.send_id == delivery.send_id and _is_same_message(one, record, named):
            write_receipt(rows, one, changed(record, price=None))  # one message is charged once
    written = write_receipt(rows, delivery, record)
    now = record.received_at
    if challenge is not None and record.status is ReceiptStatus.DELIVERED and delivery.outcome not in TAKEN:
        use_budget(rows, rule.budget_rule, challenge, now)
    if challenge is not None and is_living(challenge, now):
        if record.status is ReceiptStatus.DELIVERED:
            return _delivered(rows, challenge, written, now)
        if written.outcome is Outcome.UNDELIVERED and delivery.outcome is not Outcome.UNDELIVERED:
            failure = _Failure(
                challenge=challenge, delivery=written, was=delivery.outcome, receipt=record, rule=rule, now=now
            )
            return failure.follow(rows)
    return Received(outcome=ReceiptOutcome.APPLIED, challenge=challenge, delivery=written)


def _delivered(rows: Rows, challenge: ChallengeRecord, delivery: DeliveryRecord, now: datetime) -> Received:
    """The person has the message: an acceptance, whatever came before."""
    sent = rows.accept(challenge.id, delivery.code_number, now)
    if sent is not None:
        challenge = accepted(rows, sent, delivery).challenge
    return Received(outcome=ReceiptOutcome.APPLIED, challenge=challenge, delivery=delivery)


def _record_of(instance: str, receipt: Receipt, status: ReceiptStatus, now: datetime) -> ReceiptRecord:
    """What is kept of a receipt while no delivery is known by it."""
    return ReceiptRecord(
        instance=instance,
        reference=receipt.reference,
        delivery_id="",
        status=status,
        kind=receipt.kind,
        provider_code=receipt.provider_code,
        received_at=now,
        applied=False,
        price=receipt.price,
    )


def _write_price(rows: Rows, delivery: DeliveryRecord, receipt: Receipt) -> bool:
    """What a question, or a report of progress, says besides; False: nothing new."""
    if receipt.price in (None, delivery.price):
        return False
    return rows.answer_delivery(delivery.id, price=receipt.price)


def _find(rows: Rows, instance: str, receipt: Receipt) -> DeliveryRecord | None:
    """By reference first: where a repeat took the message of an earlier try over, it is the repeat's.

    By id where the vendor gave the reference again, to another send.
    """
    found = rows.delivery_by_reference(instance, receipt.reference) if receipt.reference else None
    if not receipt.delivery_id or (found is not None and found.id == receipt.delivery_id):
        return found
    named = rows.delivery(receipt.delivery_id)
    if found is None or named is None or named.send_id == found.send_id:
        return found or named
    return named if (named.instance, named.reference) == (instance, receipt.reference) else found


def _agree(rows: Rows, delivery: DeliveryRecord, instance: str, receipt: Receipt) -> bool:
    """Instance, id and reference of a receipt name one message, that of this delivery.

    The id may be another's only where that is a try of the same send: a repeat took its message over.
    """
    if not _fits(delivery, instance, receipt.reference):
        return False
    if receipt.delivery_id and not delivery.reference and receipt.reference:
        told = {one.reference for one in heard_of(rows, delivery)}
        if not told <= {"", receipt.reference}:
            return False  # it was reported under another reference before
    if receipt.delivery_id in ("", delivery.id):
        return True
    named = rows.delivery(receipt.delivery_id)
    return named is not None and named.send_id == delivery.send_id and _fits(named, instance, receipt.reference)


def _fits(delivery: DeliveryRecord, instance: str, reference: str) -> bool:
    """Nobody reports on another account's delivery, or under a reference that is not its own."""
    return delivery.instance == instance and delivery.reference in ("", reference or delivery.reference)


def _may_be_sent(rows: Rows, challenge: ChallengeRecord, delivery: DeliveryRecord, now: datetime) -> bool:
    """Whether a delivery that the vendor asks about can still help: its send is not over, nor past it."""
    if not is_living(challenge, now) or is_spent(challenge) or delivery.outcome not in _MAY_LEAVE:
        return False
    if delivery.code_number != challenge.code_number:
        return False
    deliveries = rows.deliveries(challenge.id)
    later = deliveries[[one.id for one in deliveries].index(delivery.id) + 1 :]
    # A later try of the send at the same instance asks for this delivery's message first; it does not replace it.
    return not superseded(delivery, [one for one in later if not _is_repeat(one, delivery)])


def _is_repeat(one: DeliveryRecord, of: DeliveryRecord) -> bool:
    return one.send_id == of.send_id and one.instance == of.instance


def _is_same_message(one: DeliveryRecord, record: ReceiptRecord, named: str) -> bool:
    """Of one send: another delivery under the same reference, or the unresolved try that sent the message at first."""
    known = one.instance == record.instance and one.reference == record.reference != ""
    return known or (one.id == named and _fits(one, record.instance, record.reference))


def _is_under_way(delivery: DeliveryRecord, now: datetime) -> bool:
    """Its call is not answered yet, and the process that makes it is still expected to write the answer."""
    return delivery.outcome is Outcome.OPEN and delivery.lease_until > now
