"""Transactions of delivery receipts (DESIGN §5, §6): take one in, once, and go on where a message was not delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import attrs

from otpcore.lifecycle import TAKEN, forbids, is_living, is_spent, superseded
from otpcore.models import ChallengeState, Outcome, Receipt, ReceiptOutcome, ReceiptStatus, UnsendableReason
from otpcore.records import ChallengeRecord, DeliveryRecord, ReceiptRecord, ScheduleRecord, changed
from otpcore.stores._heard import has_arrived, heard_of, write_receipt
from otpcore.stores._limits import use_budget
from otpcore.stores._retrying import end_if_denied, held_by
from otpcore.stores._sending import accepted, end_walk, own_row, queue, stop_sending, walk_on
from otpcore.stores.rows import Rows
from otpcore.verbs import ReceiptRule, Received
from otpcore.walks import Step, StepKind, WalkPlan, WalkRef


def receive(rows: Rows, instance: str, receipt: Receipt, rule: ReceiptRule, now: datetime | None) -> Received:
    """Write one receipt and what follows from it; the same one again changes nothing."""
    moment = rows.now(now)
    if receipt.status is None:
        return Received(outcome=ReceiptOutcome.IGNORED)
    record = ReceiptRecord(
        instance=instance,
        reference=receipt.reference,
        delivery_id="",
        status=receipt.status,
        kind=receipt.kind,
        provider_code=receipt.provider_code,
        received_at=moment,
        applied=False,
    )
    found = _find(rows, instance, receipt)
    if found is None:
        if not receipt.delivery_id:  # a delivery has its id before the vendor is called; its reference comes later
            rows.insert_receipt(record)
        return Received(outcome=ReceiptOutcome.UNKNOWN)
    challenge = rows.challenge(found.challenge_id)
    delivery = rows.delivery(found.id) or found  # again: now that the challenge is locked, nobody else changes it
    early = record.status is ReceiptStatus.UNDELIVERED and _is_under_way(delivery, moment)
    record = changed(record, delivery_id=delivery.id, applied=not early)
    if not rows.insert_receipt(record):
        return Received(outcome=ReceiptOutcome.REPLAYED, challenge=challenge)
    if early:
        return Received(outcome=ReceiptOutcome.EARLY, challenge=challenge)
    if record.status is ReceiptStatus.UNDELIVERED and has_arrived(heard_of(rows, delivery)):
        return Received(outcome=ReceiptOutcome.IGNORED, challenge=challenge)
    return _apply(rows, challenge, delivery, record, receipt.delivery_id, rule)


def go_on(rows: Rows, walk: WalkRef, plan: WalkPlan, now: datetime | None) -> Step:
    """The next delivery of a send whose message was not delivered."""
    moment = rows.now(now)
    challenge = rows.challenge(walk.challenge_id)
    row = own_row(rows, walk)
    if challenge is None or row is None or not is_living(challenge, moment):
        return Step(kind=StepKind.STOPPED, challenge=challenge)
    if challenge.expires_at - moment < plan.min_useful_life:
        return end_walk(rows, challenge, row, UnsendableReason.EXPIRED)
    if ended := end_if_denied(rows, challenge, row, plan, moment):
        return ended
    held = held_by(rows, challenge, plan, moment)
    return walk_on(rows, challenge, row, changed(plan, untried=()) if held else plan, moment)


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
        """What follows: the send goes on, waits, is over, or had gone on without this delivery."""
        challenge, delivery = self.challenge, self.delivery
        under_way = rows.schedules(challenge.id)
        if forbids(self.receipt.kind):
            own = next((row for row in under_way if row.send_id == delivery.send_id), None)
            if own is not None:
                return self._end(rows, own, UnsendableReason.PERMANENT)
        deliveries = rows.deliveries(challenge.id)
        ids = [one.id for one in deliveries]
        if under_way or superseded(delivery, deliveries[ids.index(delivery.id) + 1 :]):
            return self._received(challenge)
        row = self._row(deliveries)
        if self.was is not Outcome.ACCEPTED:  # the walk went on from it when its answer was lost, and has ended since
            if challenge.state is not ChallengeState.SENT:
                return self._received(challenge)
            permanent = forbids(self.receipt.kind)
            return self._end(rows, row, UnsendableReason.PERMANENT if permanent else UnsendableReason.FAILED)
        if reason := self._hopeless(row):
            return self._end(rows, row, reason)
        if not self._able(row):
            step = queue(rows, challenge, row, self.now, {"confirmed": False})
            return changed(self._received(step.challenge or challenge), due_at=self.now)
        unsent = {"state": ChallengeState.UNDELIVERED, "confirmed": False}
        rows.update_challenge(challenge.id, **unsent)
        rows.put_schedule(row)
        walk = WalkRef(challenge_id=row.challenge_id, channel=row.channel, send_id=row.send_id, token=row.token)
        return changed(self._received(changed(challenge, **unsent)), walk=walk)

    def _row(self, deliveries: Sequence[DeliveryRecord]) -> ScheduleRecord:
        """The row under which the same send goes on. The acceptance had removed it, and with it the count of retries.

        One walk calls an instance once, so the instance that was called most often tells how many there were.
        """
        sent = [one for one in deliveries if one.send_id == self.delivery.send_id]
        retries = Counter(one.instance for one in sent if one.is_retry)
        return ScheduleRecord(
            challenge_id=self.challenge.id,
            channel=self.delivery.channel,
            send_id=self.delivery.send_id,
            token=self.rule.token,
            due_at=self.now + self.rule.lease,
            leased=True,
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
        return changed(self._received(stop_sending(rows, self.challenge, row, reason)), ended=True)

    def _received(self, challenge: ChallengeRecord) -> Received:
        return Received(outcome=ReceiptOutcome.APPLIED, challenge=challenge, delivery=self.delivery)


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
        if one.id != delivery.id and _is_same_message(one, record, named):
            write_receipt(rows, one, record)
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
    sent = rows.accept(challenge.id, now)
    if sent is not None:
        challenge = accepted(rows, sent, delivery).challenge or sent
    return Received(outcome=ReceiptOutcome.APPLIED, challenge=challenge, delivery=delivery)


def _find(rows: Rows, instance: str, receipt: Receipt) -> DeliveryRecord | None:
    """By reference first: where a repeat took the message of an earlier try over, it is the repeat's."""
    found = rows.delivery_by_reference(instance, receipt.reference) if receipt.reference else None
    if found is None and receipt.delivery_id:
        found = rows.delivery(receipt.delivery_id)
        if found is not None and not _fits(found, instance, receipt.reference):
            return None
    return found


def _fits(delivery: DeliveryRecord, instance: str, reference: str) -> bool:
    """Nobody reports on another account's delivery, or under a reference that is not its own."""
    return delivery.instance == instance and delivery.reference in ("", reference or delivery.reference)


def _is_same_message(one: DeliveryRecord, record: ReceiptRecord, named: str) -> bool:
    """Another delivery under the same reference, or the unresolved try that sent the message at first."""
    known = one.instance == record.instance and one.reference == record.reference != ""
    return known or (one.id == named and _fits(one, record.instance, record.reference))


def _is_under_way(delivery: DeliveryRecord, now: datetime) -> bool:
    """Its call is not answered yet, and the process that makes it is still expected to write the answer."""
    return delivery.outcome is Outcome.OPEN and delivery.lease_until > now
