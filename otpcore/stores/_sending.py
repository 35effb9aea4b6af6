"""Transactions of a walk (DESIGN §6, §8), written once over the rows of any store; a send and its retries go through them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from otpcore.lifecycle import (
    ERASED,
    NOT_SENT,
    STOPS,
    forbids,
    is_living,
    is_spent,
    left_out,
    nothing_sent,
    sending_over,
    unresolved,
)
from otpcore.models import ChallengeState, Channel, CodeOwner, Outcome, UnsendableReason
from otpcore.records import ChallengeRecord, DeliveryRecord, ReceiptRecord, ScheduleRecord, changed
from otpcore.stores._heard import has_arrived, heard_of, heed
from otpcore.stores._limits import use_budget
from otpcore.stores._slots import held_until, holds_slot, release_slot, take_slot
from otpcore.stores.rows import EndedRow, Rows
from otpcore.walks import CallResult, Candidate, PutOff, Step, StepKind, WalkPlan, WalkRef

_FOR_EACH_PROBE = 10
"""So many of those that wait for a breaker come for one probe, in case one does not."""

_BREAKER_FAILURES = frozenset({Outcome.UNAVAILABLE, Outcome.AMBIGUOUS})


def record(
    rows: Rows, walk: WalkRef, delivery: DeliveryRecord, result: CallResult, plan: WalkPlan, now: datetime | None
) -> Step:
    """Write a provider's answer and go on."""
    moment = rows.now(now)
    sent = rows.accept(walk.challenge_id, moment) if result.outcome is Outcome.ACCEPTED else None
    challenge = sent or rows.challenge(walk.challenge_id)
    answer: dict[str, Any] = {
        "outcome": result.outcome,
        "reference": result.reference,
        "provider_code": result.provider_code,
        "not_before": moment + timedelta(seconds=result.retry_after) if result.retry_after else None,
    }
    if not rows.answer_delivery(delivery.id, **answer) or challenge is None:
        return Step(kind=StepKind.STOPPED, challenge=challenge)
    delivery = changed(delivery, **answer)
    heard = heard_of(rows, delivery)
    if result.outcome is Outcome.ACCEPTED and not has_arrived(heard):  # else its receipt was charged
        use_budget(rows, plan.budget_rule, challenge, moment)
    opened, closed = _note_breaker(rows, plan, delivery, moment)
    if heard:
        step = _overruled(rows, walk, sent, heed(rows, delivery, heard), heard, plan, moment)
    elif sent is not None:
        step = accepted(rows, challenge, delivery)
    else:
        step = _recorded(rows, walk, challenge, delivery, plan, moment)
    return changed(step, opened=opened, closed=closed) if opened or closed else step


def clear_mark(rows: Rows, walk: WalkRef, scope: str, now: datetime | None) -> bool:
    """The marked verification is cancelled, if this walk still owns its row."""
    challenge = rows.challenge(walk.challenge_id)
    if challenge is None or not is_living(challenge, rows.now(now)) or own_row(rows, walk) is None:
        return False
    slot = rows.slot(scope, challenge.phone_key)
    if slot is None or slot.holder != challenge.id:
        return False
    return rows.take_slot(changed(slot, mark=None), slot.holder)


def close(rows: Rows, challenge: ChallengeRecord, state: ChallengeState) -> ChallengeRecord:
    """The challenge is over: what was sealed goes, and so do its schedule rows."""
    rows.update_challenge(challenge.id, **ERASED, state=state)
    return closed(rows, challenge, state)


def closed(rows: Rows, challenge: ChallengeRecord, state: ChallengeState) -> ChallengeRecord:
    """The rest of it, where the challenge's own row says so already."""
    for row in rows.end_schedules(challenge.id):
        refund(rows, row)
    return changed(challenge, **ERASED, state=state)


def stop_sending(
    rows: Rows, challenge: ChallengeRecord, row: ScheduleRecord, reason: UnsendableReason
) -> ChallengeRecord:
    """The send of this row ended without acceptance."""
    sent = of_send(rows, challenge.id, row.send_id)
    rows.delete_schedule(row.challenge_id, row.channel)
    refund(rows, row, sent)
    state, why = sending_over(sent, reason, other_row=bool(rows.schedules(challenge.id)))
    changes: dict[str, Any] = {
        "state": state,
        "reason": why,
        "confirmed": False,
        **without_cooldown(row.channel, sent),
    }
    rows.update_challenge(challenge.id, **changes)
    return changed(challenge, **changes)


@attrs.frozen(kw_only=True)
class Choice:
    """The instance to call next; else when those that could be tried later come free, and why they could not now.

    Args:
        probe_was: The call is the probe of an open breaker, which had been due then; None: it is none.
        opened: The instances that an open breaker kept back.
    """

    candidate: Candidate | None = None
    probe_was: datetime | None = None
    waits: tuple[tuple[datetime, PutOff], ...] = ()
    opened: tuple[str, ...] = ()

    @property
    def is_probe(self) -> bool:
        return self.probe_was is not None

    @property
    def first(self) -> tuple[datetime, PutOff] | None:
        """When the first of them comes free, and why it is not yet."""
        return min(self.waits, default=None)

    @property
    def waits_for(self) -> str | None:
        """As in the schedule row."""
        return _waits_for(self.opened)


def choose(
    rows: Rows, challenge: ChallengeRecord, plan: WalkPlan, sent: Sequence[DeliveryRecord], now: datetime
) -> Choice:
    untried = [candidate for candidate in plan.untried if not left_out(candidate.instance, sent)]
    if not untried:
        return Choice()
    opened = {breaker.instance: breaker.probe_at for breaker in rows.breakers(plan.breaker.threshold)}
    next_probe = probe_due(plan, now)
    waits: list[tuple[datetime, PutOff]] = []
    kept_back: list[str] = []
    for candidate in untried:
        if (wait := _not_before(candidate.instance, sent)) and wait > now:
            waits.append((wait, PutOff.THROTTLED))
        elif candidate.scope and (held := held_until(rows, candidate.scope, challenge, now)):
            waits.append((max(held, now + plan.call_lease), PutOff.PROVIDER_BUSY))
        elif candidate.instance in opened and not rows.win_probe(candidate.instance, now, next_probe):
            waits.append((next_probe, PutOff.BREAKER_OPEN))
            kept_back.append(candidate.instance)
        else:
            return Choice(candidate=candidate, probe_was=opened.get(candidate.instance))
    return Choice(waits=tuple(waits), opened=tuple(kept_back))


def put_off_until(
    rows: Rows, challenge: ChallengeRecord, choice: Choice, plan: WalkPlan, now: datetime
) -> tuple[datetime, PutOff]:
    """When a walk that could call nobody looks again, and why it could not.

    Of those that wait for one breaker a few come for each probe: what all of them could do is done by the first, and when
    it succeeds the others are woken. They stand aside for as long as a retry waits at most, but not beyond their useful life.
    """
    due_at, why = min(choice.waits)
    if why is not PutOff.BREAKER_OPEN or choice.waits_for is None or plan.retry is None:
        return due_at, why
    if rows.waiting(choice.waits_for, due_at, _FOR_EACH_PROBE) < _FOR_EACH_PROBE:
        return due_at, why
    aside = timedelta(seconds=plan.retry.max_delay * (1 + plan.retry.chance()) / 2)  # never all of them at once
    others = [free_at for free_at, kept_by in choice.waits if kept_by is not PutOff.BREAKER_OPEN]
    return max(due_at, min(now + aside, challenge.expires_at - plan.min_useful_life, *others)), why


def _waits_for(opened: Sequence[str]) -> str | None:
    if not opened:
        return None
    return opened[0] if len(opened) == 1 else ""


def _recorded(
    rows: Rows,
    walk: WalkRef,
    challenge: ChallengeRecord,
    delivery: DeliveryRecord,
    plan: WalkPlan,
    now: datetime,
    *,
    stops: bool = False,
) -> Step:
    """What follows from an answer that is written to its delivery. ``stops``: a receipt forbids to go on."""
    if delivery.scope and delivery.outcome in NOT_SENT:
        release_slot(rows, challenge, delivery.scope)
    if not is_living(challenge, now):
        if delivery.outcome not in NOT_SENT and delivery.reference and holds_slot(rows, challenge, delivery.scope):
            return Step(kind=StepKind.CANCEL_LATE, challenge=challenge, delivery=delivery)
        return Step(kind=StepKind.STOPPED, challenge=challenge)
    own = own_row(rows, walk)
    if own is None:
        return Step(kind=StepKind.STOPPED, challenge=challenge)
    if delivery.outcome in STOPS or stops:
        return end_walk(rows, challenge, own, UnsendableReason.PERMANENT)
    return walk_on(rows, challenge, own, plan, now)


def _overruled(
    rows: Rows,
    walk: WalkRef,
    sent: ChallengeRecord | None,
    delivery: DeliveryRecord,
    heard: Sequence[ReceiptRecord],
    plan: WalkPlan,
    now: datetime,
) -> Step:
    """What follows where receipts came before the answer; ``sent``: the answer was an acceptance."""
    fresh = tuple(changed(one, delivery_id=delivery.id, applied=True) for one in heard if not one.applied)
    if delivery.outcome is Outcome.ACCEPTED and (taken := sent or rows.accept(walk.challenge_id, now)):
        return changed(accepted(rows, taken, delivery), receipts=fresh)
    challenge = sent or rows.challenge(walk.challenge_id)
    if challenge is None:
        return Step(kind=StepKind.STOPPED, receipts=fresh)
    if sent is not None:
        challenge = _taken_back(rows, sent, delivery)
    stops = any(forbids(one.kind) for one in heard)
    return changed(_recorded(rows, walk, challenge, delivery, plan, now, stops=stops), receipts=fresh)


def _taken_back(rows: Rows, challenge: ChallengeRecord, delivery: DeliveryRecord) -> ChallengeRecord:
    """An acceptance that is known to have come to nothing, though the state says ``sent`` already."""
    changes: dict[str, Any] = {"state": ChallengeState.UNDELIVERED, "confirmed": False}
    if not rows.schedules(challenge.id):
        deliveries = rows.deliveries(challenge.id)
        if any(one.outcome is Outcome.ACCEPTED for one in deliveries):
            return challenge
        of_this = [one for one in deliveries if one.send_id == delivery.send_id]
        changes["state"], changes["reason"] = sending_over(of_this, UnsendableReason.FAILED, other_row=False)
    rows.update_challenge(challenge.id, **changes)
    return changed(challenge, **changes)


def accepted(rows: Rows, challenge: ChallengeRecord, delivery: DeliveryRecord) -> Step:
    """Whatever the token: the person has a message, so sending is over on every channel."""
    if challenge.provider != delivery.instance:  # another walk recorded a delivery since
        rows.update_challenge(challenge.id, provider=delivery.instance)
        challenge = changed(challenge, provider=delivery.instance)
    for row in rows.end_schedules(challenge.id):
        if row.send_id != delivery.send_id:
            refund(rows, row)
    return Step(kind=StepKind.ACCEPTED, challenge=challenge, delivery=delivery)


def walk_on(rows: Rows, challenge: ChallengeRecord, row: ScheduleRecord, plan: WalkPlan, now: datetime) -> Step:
    """The next delivery of this walk, a retry, or the end of sending."""
    sent = of_send(rows, challenge.id, row.send_id)
    if is_spent(challenge):
        return end_walk(rows, challenge, row, UnsendableReason.MAX_ATTEMPTS)
    too_late = challenge.expires_at - now < plan.min_useful_life
    if not (plan.is_retry and too_late):
        choice = choose(rows, challenge, plan, sent, now)
        if choice.candidate is not None:
            return record_delivery(rows, challenge, row, choice, plan, sent, now, {})
    again = [candidate.instance for candidate in plan.route if not left_out(candidate.instance, sent)]
    if not again:
        return end_walk(rows, challenge, row, UnsendableReason.PERMANENT)
    if plan.retry is None:
        return end_walk(rows, challenge, row, UnsendableReason.FAILED)
    backoff = now + timedelta(seconds=plan.retry.delay(row.attempts))
    due_at = min(max(backoff, _not_before(instance, sent) or backoff) for instance in again)
    if challenge.expires_at - due_at < plan.min_useful_life:
        return end_walk(rows, challenge, row, UnsendableReason.EXPIRED)
    opened = {breaker.instance for breaker in rows.breakers(plan.breaker.threshold)}
    waits_for = _waits_for([instance for instance in again if instance in opened])
    return queue(rows, challenge, row, due_at, without_cooldown(row.channel, sent), waits_for=waits_for)


def record_delivery(
    rows: Rows,
    challenge: ChallengeRecord,
    row: ScheduleRecord,
    choice: Choice,
    plan: WalkPlan,
    sent: Sequence[DeliveryRecord],
    now: datetime,
    changes: dict[str, Any],
) -> Step:
    """The next delivery of a challenge that exists."""
    candidate = choice.candidate
    if candidate is None:
        raise RuntimeError("a delivery needs an instance")
    changes = {**changes, **begun_by(challenge, row.channel, candidate, plan, now)}
    rows.update_challenge(challenge.id, **changes)
    challenge = changed(challenge, **changes)
    return write_delivery(rows, challenge, row, candidate, plan, sent, now, is_probe=choice.is_probe)


def begun_by(
    challenge: ChallengeRecord, channel: Channel, candidate: Candidate, plan: WalkPlan, now: datetime
) -> dict[str, Any]:
    """How recording a delivery changes its challenge."""
    return {
        "provider": candidate.instance,
        "core_recorded": challenge.core_recorded or candidate.owner is CodeOwner.CORE,
        f"{channel}_cooldown": now + plan.cooldown,
    }


def write_delivery(
    rows: Rows,
    challenge: ChallengeRecord,
    row: ScheduleRecord,
    candidate: Candidate,
    plan: WalkPlan,
    sent: Sequence[DeliveryRecord],
    now: datetime,
    *,
    is_probe: bool,
) -> Step:
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
        prefix=candidate.prefix,
        is_retry=plan.is_retry,
        recorded_at=now,
        lease_until=lease_until,
    )
    mark = take_slot(rows, challenge, candidate.scope, now) if candidate.scope else None
    rows.insert_delivery(delivery, challenge.phone_key)
    rows.put_schedule(
        row if row.leased and row.due_at == lease_until else changed(row, due_at=lease_until, leased=True)
    )
    return Step(
        kind=StepKind.CALL,
        challenge=challenge,
        delivery=delivery,
        mark=mark,
        repeat=unresolved(candidate.instance, sent),
        is_probe=is_probe,
    )


def queue(
    rows: Rows,
    challenge: ChallengeRecord,
    row: ScheduleRecord,
    due_at: datetime,
    changes: dict[str, Any],
    why: PutOff | None = None,
    waits_for: str | None = None,
) -> Step:
    changes = {**changes, "state": ChallengeState.QUEUED}
    rows.update_challenge(challenge.id, **changes)
    return put_off(rows, changed(challenge, **changes), row, due_at, why, waits_for)


def put_off(
    rows: Rows,
    challenge: ChallengeRecord,
    row: ScheduleRecord,
    due_at: datetime,
    why: PutOff | None,
    waits_for: str | None,
) -> Step:
    rows.put_schedule(changed(row, due_at=due_at, leased=False, waits_for=waits_for))
    return Step(kind=StepKind.QUEUED, challenge=challenge, due_at=due_at, put_off=why)


def probe_due(plan: WalkPlan, now: datetime) -> datetime:
    return now + timedelta(seconds=plan.breaker.probe_every)


def end_walk(rows: Rows, challenge: ChallengeRecord, row: ScheduleRecord, reason: UnsendableReason) -> Step:
    return Step(kind=StepKind.ENDED, challenge=stop_sending(rows, challenge, row, reason))


def refund(rows: Rows, row: EndedRow, sent: Sequence[DeliveryRecord] | None = None) -> None:
    """The send of this row is over: give back what it was charged, if certainly nothing left."""
    if row.charges and nothing_sent(of_send(rows, row.challenge_id, row.send_id) if sent is None else sent):
        for charged in row.charges:
            rows.refund(charged)


def own_row(rows: Rows, walk: WalkRef) -> ScheduleRecord | None:
    row = rows.schedule(walk.challenge_id, walk.channel)
    return row if row is not None and row.token == walk.token else None


def of_send(rows: Rows, challenge_id: str, send_id: str) -> tuple[DeliveryRecord, ...]:
    return tuple(delivery for delivery in rows.deliveries(challenge_id) if delivery.send_id == send_id)


def _note_breaker(rows: Rows, plan: WalkPlan, delivery: DeliveryRecord, now: datetime) -> tuple[str | None, str | None]:
    """Count failures in a row; the instance whose breaker this opened, and the one it closed."""
    if delivery.outcome is Outcome.ACCEPTED:
        before = rows.close_breaker(delivery.instance)
        return None, delivery.instance if before >= plan.breaker.threshold else None
    if delivery.outcome in _BREAKER_FAILURES and rows.count_breaker(delivery.instance) == plan.breaker.threshold:
        rows.open_breaker(delivery.instance, now, probe_due(plan, now))
        return delivery.instance, None
    return None, None


def _not_before(instance: str, sent: Sequence[DeliveryRecord]) -> datetime | None:
    return next((d.not_before for d in reversed(sent) if d.instance == instance), None)


def without_cooldown(channel: Channel, sent: Sequence[DeliveryRecord]) -> dict[str, Any]:
    """The cooldown runs only if something may have left."""
    return {f"{channel}_cooldown": None} if nothing_sent(sent) else {}
