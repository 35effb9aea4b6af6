"""Transactions of a failover, written once over the rows of any store: of a send, its retries and its receipts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from otpcore.models import ChallengeState, Channel, CodeOwner, Outcome, UnsendableReason
from otpcore.stores.changes import Change
from otpcore.stores.lifecycle import (
    ERASED,
    NOT_SENT,
    STOPS,
    earlier_tries,
    forbids,
    in_force,
    into,
    is_living,
    is_spent,
    left_out,
    nothing_sent,
    sending_over,
    unresolved,
)
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, ReceiptRecord, ScheduleRecord, changed
from otpcore.stores.rows import Rows
from otpcore.stores.steps import (
    Accepted,
    CallInstance,
    CallResult,
    CancelLate,
    Candidate,
    Ended,
    FailoverPlan,
    FailoverRef,
    PutOff,
    Queued,
    Recorded,
    Step,
    Stopped,
)
from otpcore.stores.transactions.changes import note
from otpcore.stores.transactions.choosing import (
    Choice,
    choose,
    holds_slot,
    not_before,
    note_answer,
    release_slot,
    take_slot,
    waits_of,
)
from otpcore.stores.transactions.early_receipts import has_arrived, heard_of, heed, refused_by, taken_back
from otpcore.stores.transactions.limits import end_sends, give_back_late, is_open, of_send, refund, use_budget
from otpcore.stores.wanted import Wanted


def record(
    rows: Rows, ref: FailoverRef, delivery: DeliveryRecord, result: CallResult, plan: FailoverPlan, now: datetime | None
) -> Recorded:
    """Write a provider's answer and go on."""
    wanted = Wanted(challenge_id=ref.challenge_id, delivery_id=delivery.id, reference=result.reference, breakers=True)
    rows.prefetch(wanted, now)
    moment = rows.now(now)
    before, known = rows.challenge(ref.challenge_id), rows.delivery(delivery.id)
    accepts = result.outcome is Outcome.ACCEPTED
    sent = rows.accept(ref.challenge_id, delivery.code_number, moment) if accepts else None
    challenge = sent or rows.challenge(ref.challenge_id)
    answer: dict[str, Any] = {
        "outcome": result.outcome,
        "reference": result.reference,
        "provider_code": result.provider_code,
        "answered_at": moment,
        "not_before": moment + timedelta(seconds=result.retry_after) if result.retry_after else None,
        # What was not sent costs nothing; else an answer without a price leaves what a report has said.
        **({"price": result.price} if result.price is not None or result.outcome in NOT_SENT else {}),
    }
    own = own_row(rows, ref) if sent is None else None
    is_owed = own is None and result.outcome in NOT_SENT and is_open(rows, delivery.id)
    if not rows.answer_delivery(delivery.id, **answer) or challenge is None:
        return Recorded(step=Stopped(challenge=challenge))
    if is_owed:
        give_back_late(rows, ref, plan, moment)
    delivery = changed(known or delivery, **answer)
    early = rows.receipts_of(delivery.id, delivery.reference)
    heard = heard_of(rows, delivery, early) if early else ()
    if accepts and not (heard and has_arrived(heard)):  # else its receipt was charged
        use_budget(rows, plan.budget_rule, challenge, moment)
    news = note_answer(rows, plan, delivery, result.words, moment) if result.is_asked else ()
    if heard:
        delivery = heed(rows, delivery, heard, known)
        step = _overruled(rows, ref, before, sent, delivery, heard, plan, moment)
    elif sent is not None:
        step = accepted(rows, challenge, delivery)
    else:
        step = _recorded(rows, own, challenge, delivery, plan, moment)
    fresh = tuple(changed(one, delivery_id=delivery.id, applied=True) for one in heard if not one.applied)
    return Recorded(step=step, news=news, receipts=fresh)


def clear_mark(rows: Rows, ref: FailoverRef, scope: str, now: datetime | None) -> bool:
    """The marked verification is cancelled, if this failover still owns its row."""
    challenge = rows.challenge(ref.challenge_id)
    if challenge is None or not is_living(challenge, rows.now(now)) or own_row(rows, ref) is None:
        return False
    slot = rows.slot(scope, challenge.phone_key)
    if slot is None or slot.holder != challenge.id:
        return False
    return rows.take_slot(changed(slot, mark=None), slot.holder)


def withdraw(
    rows: Rows, ref: FailoverRef, plan: FailoverPlan, now: datetime | None, *, is_counted: bool = True
) -> bool:
    """The failover does nothing more, and the delivery of the plan, if it was recorded, was not handed over to its provider.

    A first send is over, and what it was charged is given back. A retry waits again, is due now, and does not count.

    Args:
        is_counted: Its retry was counted when it was claimed.

    Returns:
        The failover still owned its row.
    """
    moment = rows.now(now)
    challenge = rows.challenge(ref.challenge_id)
    delivery = rows.delivery(plan.delivery_id)
    was_open = delivery is not None and delivery.outcome is Outcome.OPEN
    if delivery is not None and was_open:
        rows.answer_delivery(delivery.id, outcome=Outcome.UNAVAILABLE)
        if challenge is not None and delivery.scope:
            release_slot(rows, challenge, delivery.scope)
    row = own_row(rows, ref)
    if challenge is None or row is None:
        if was_open:
            give_back_late(rows, ref, plan, moment)
        return False
    if not plan.is_retry:
        stop_sending(rows, challenge, row, UnsendableReason.FAILED)
    elif row.lease_until is not None:
        sent = of_send(rows, challenge.id, row.send_id)
        uncounted = changed(row, attempts=max(row.attempts - is_counted, 0))
        queue(rows, challenge, uncounted, moment, without_cooldown(challenge, row.channel, sent))
    return True


def close(rows: Rows, challenge: ChallengeRecord, state: ChallengeState) -> ChallengeRecord:
    """The challenge is over: what was sealed goes, and so do its schedule rows."""
    rows.update_challenge(challenge.id, **ERASED, state=into(challenge, state))
    note(rows, Change.ENDED, challenge.id, state=state)
    end_sends(rows, challenge.id)
    return changed(challenge, **ERASED, state=state)


def stop_sending(
    rows: Rows, challenge: ChallengeRecord, row: ScheduleRecord, reason: UnsendableReason
) -> ChallengeRecord:
    """The send of this row ended without acceptance."""
    sent = of_send(rows, challenge.id, row.send_id)
    rows.delete_schedule(row.challenge_id, row.channel)
    refund(rows, row, sent)
    state, why = sending_over(in_force(challenge, sent), reason, other_row=bool(rows.schedules(challenge.id)))
    changes: dict[str, Any] = {
        "state": into(challenge, state),
        "reason": why,
        "confirmed": False,
        **without_cooldown(challenge, row.channel, sent),
    }
    rows.update_challenge(challenge.id, **changes)
    if state is ChallengeState.UNSENDABLE:
        note(rows, Change.ENDED, challenge.id, state=state)
    return changed(challenge, **changes)


def _recorded(
    rows: Rows,
    own: ScheduleRecord | None,
    challenge: ChallengeRecord,
    delivery: DeliveryRecord,
    plan: FailoverPlan,
    now: datetime,
    *,
    stops: bool = False,
) -> Step:
    """What follows from an answer that is written to its delivery. ``stops``: a receipt forbids to go on."""
    if delivery.scope and delivery.outcome in NOT_SENT:
        release_slot(rows, challenge, delivery.scope)
    if not is_living(challenge, now):
        if delivery.outcome not in NOT_SENT and delivery.reference and holds_slot(rows, challenge, delivery.scope):
            return CancelLate(challenge=challenge, delivery=delivery)
        return Stopped(challenge=challenge)
    if own is None:
        return Stopped(challenge=challenge)
    if delivery.outcome in STOPS or stops:
        return end_failover(rows, challenge, own, UnsendableReason.PERMANENT)
    return next_step(rows, challenge, own, plan, now)


def _overruled(
    rows: Rows,
    ref: FailoverRef,
    before: ChallengeRecord | None,
    sent: ChallengeRecord | None,
    delivery: DeliveryRecord,
    heard: Sequence[ReceiptRecord],
    plan: FailoverPlan,
    now: datetime,
) -> Step:
    """What follows where receipts came before the answer; ``sent``: the answer was an acceptance. ``before``: both."""
    if delivery.outcome is Outcome.ACCEPTED and (
        taken := sent or rows.accept(ref.challenge_id, delivery.code_number, now)
    ):
        return accepted(rows, taken, delivery)
    challenge = sent or rows.challenge(ref.challenge_id)
    if challenge is None:
        return Stopped(challenge=None)
    if sent is not None:
        challenge = taken_back(rows, before, sent, delivery)
    stops = any(forbids(one.kind) for one in heard)
    return _recorded(rows, own_row(rows, ref), challenge, delivery, plan, now, stops=stops)


def accepted(rows: Rows, challenge: ChallengeRecord, delivery: DeliveryRecord) -> Accepted:
    """Whatever the token: the person has a message, so sending is over on every channel."""
    if challenge.provider != delivery.instance:  # another failover recorded a delivery since
        rows.update_challenge(challenge.id, provider=delivery.instance)
        challenge = changed(challenge, provider=delivery.instance)
    for row in rows.end_schedules(challenge.id):
        if row.send_id != delivery.send_id:
            refund(rows, row)
    if rows.keeps_outbox and delivery.delivered_at is None:  # else that is what is told
        note(rows, Change.SENT, challenge.id, delivery.id)
    return Accepted(challenge=challenge, delivery=delivery)


def next_step(rows: Rows, challenge: ChallengeRecord, row: ScheduleRecord, plan: FailoverPlan, now: datetime) -> Step:
    """The next delivery of this failover, a retry, or the end of sending."""
    sent = of_send(rows, challenge.id, row.send_id)
    if is_spent(challenge):
        return end_failover(rows, challenge, row, UnsendableReason.MAX_ATTEMPTS)
    too_late = challenge.expires_at - now < plan.min_useful_life
    if not (plan.is_retry and too_late):
        choice = choose(rows, challenge, plan, sent, now)
        if choice.candidate is not None:
            return record_delivery(rows, challenge, row, choice, plan, sent, now, {})
    again = [candidate.instance for candidate in plan.route if not left_out(candidate.instance, sent)]
    if not again:
        return end_failover(rows, challenge, row, refused_by(rows, sent))
    if plan.retry is None:
        return end_failover(rows, challenge, row, UnsendableReason.FAILED)
    if row.attempts >= plan.retry.max_retries:  # nothing is due that nobody may claim
        return end_failover(rows, challenge, row, UnsendableReason.MAX_RETRIES)
    backoff = now + timedelta(seconds=plan.retry.delay(row.attempts))
    due_at = min(max(backoff, not_before(instance, sent) or backoff) for instance in again)
    if challenge.expires_at - due_at < plan.min_useful_life:
        return end_failover(rows, challenge, row, UnsendableReason.EXPIRED)
    opened = {breaker.instance for breaker in rows.breakers(plan.breaker_threshold)}
    kept_back = [instance for instance in again if instance in opened]
    return queue(rows, challenge, row, due_at, without_cooldown(challenge, row.channel, sent), opened=kept_back)


def record_delivery(
    rows: Rows,
    challenge: ChallengeRecord,
    row: ScheduleRecord,
    choice: Choice,
    plan: FailoverPlan,
    sent: Sequence[DeliveryRecord],
    now: datetime,
    changes: dict[str, Any],
) -> CallInstance:
    """The next delivery of a challenge that exists."""
    candidate = choice.candidate
    if candidate is None:
        raise RuntimeError("a delivery needs an instance")
    changes = {**changes, **begun_by(challenge, row.channel, candidate, plan, now)}
    rows.update_challenge(challenge.id, **changes)
    challenge = changed(challenge, **changes)
    return write_delivery(rows, challenge, row, candidate, plan, sent, now, is_probe=choice.is_probe)


def begun_by(
    challenge: ChallengeRecord, channel: Channel, candidate: Candidate, plan: FailoverPlan, now: datetime
) -> dict[str, Any]:
    """How recording a delivery changes its challenge."""
    return {
        "provider": candidate.instance,
        "core_recorded": challenge.core_recorded or candidate.owner is CodeOwner.CORE,
        "cooldowns": {**challenge.cooldowns, channel: now + plan.cooldown},
    }


def write_delivery(
    rows: Rows,
    challenge: ChallengeRecord,
    row: ScheduleRecord,
    candidate: Candidate,
    plan: FailoverPlan,
    sent: Sequence[DeliveryRecord],
    now: datetime,
    *,
    is_probe: bool,
) -> CallInstance:
    """Write the delivery before the network call, with its lease and the vendor's slot."""
    lease_until = now + plan.call_lease
    delivery = DeliveryRecord(
        id=plan.delivery_id,
        challenge_id=challenge.id,
        send_id=row.send_id,
        instance=candidate.instance,
        channel=row.channel,
        owner=candidate.owner,
        scope=candidate.scope,
        code_number=challenge.code_number,
        prefix=candidate.prefix,
        is_retry=plan.is_retry,
        recorded_at=now,
        lease_until=lease_until,
    )
    repeat = unresolved(candidate.instance, in_force(challenge, sent))
    earlier = earlier_tries(rows.deliveries(challenge.id), candidate.instance, row.channel, now) if repeat else ()
    mark = take_slot(rows, challenge, candidate.scope, now) if candidate.scope else None
    rows.insert_delivery(delivery, challenge.phone_key)
    rows.put_schedule(row if row.lease_until == lease_until else changed(row, lease_until=lease_until))
    return CallInstance(
        challenge=challenge,
        delivery=delivery,
        mark=mark,
        repeat=repeat,
        earlier=earlier,
        is_probe=is_probe,
        charges=row.charges,
    )


def queue(
    rows: Rows,
    challenge: ChallengeRecord,
    row: ScheduleRecord,
    due_at: datetime,
    changes: dict[str, Any],
    why: PutOff | None = None,
    opened: Sequence[str] = (),
) -> Queued:
    """Schedule the next try of a send, which has failed for now, with what else changes in its challenge."""
    changes = {**changes, "state": into(challenge, ChallengeState.QUEUED)}
    rows.update_challenge(challenge.id, **changes)
    return put_off(rows, changed(challenge, **changes), row, due_at, why, opened)


def put_off(
    rows: Rows,
    challenge: ChallengeRecord,
    row: ScheduleRecord,
    due_at: datetime,
    why: PutOff | None,
    opened: Sequence[str],
) -> Queued:
    """Leave a retry in the schedule until something that blocks it may be over. ``opened``: whose breaker is in its way."""
    waits, waits_for = waits_of(opened)
    rows.put_schedule(changed(row, due_at=due_at, lease_until=None, waits=waits, waits_for=waits_for))
    return Queued(challenge=challenge, due_at=due_at, put_off=why)


def end_failover(rows: Rows, challenge: ChallengeRecord, row: ScheduleRecord, reason: UnsendableReason) -> Ended:
    """Nobody is left to be tried: the send ends."""
    return Ended(challenge=stop_sending(rows, challenge, row, reason))


def own_row(rows: Rows, ref: FailoverRef) -> ScheduleRecord | None:
    """The schedule row of this failover, or None where another process has it by now."""
    row = rows.schedule(ref.challenge_id, ref.channel)
    return row if row is not None and row.token == ref.token else None


def without_cooldown(challenge: ChallengeRecord, channel: Channel, sent: Sequence[DeliveryRecord]) -> dict[str, Any]:
    """The cooldown runs only if something may have left."""
    if channel not in challenge.cooldowns or not nothing_sent(sent):
        return {}
    return {"cooldowns": {one: until for one, until in challenge.cooldowns.items() if one != channel}}
