"""Transactions of retrying (DESIGN §8): claim what is due, and begin the walk of a claimed retry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from otpcore.admission import Asked, LimitReason
from otpcore.lifecycle import is_living, is_spent
from otpcore.models import ChallengeState, UnsendableReason
from otpcore.records import ChallengeRecord, ScheduleRecord, changed
from otpcore.stores._limits import note_refusal, overdrawn_until, stands
from otpcore.stores._sending import (
    choose,
    close,
    end_walk,
    of_send,
    own_row,
    put_off_until,
    queue,
    record_delivery,
    stop_sending,
    without_cooldown,
)
from otpcore.stores.rows import Rows
from otpcore.verbs import Claim, ClaimBatch, ClaimRule, EndedSend
from otpcore.walks import BreakerRule, PutOff, Step, StepKind, WalkPlan, WalkRef


def claim(rows: Rows, rule: ClaimRule, limit: int, now: datetime | None) -> ClaimBatch:
    """Claim due retries; end those that have nothing left to try for."""
    moment = rows.now(now)
    claims: list[Claim] = []
    ended: list[EndedSend] = []
    for number, row in enumerate(_due(rows, rule, limit, moment)):
        challenge = rows.challenge_if_free(row.challenge_id)
        current = rows.schedule(row.challenge_id, row.channel)
        if challenge is None or current is None or current.token != row.token:
            continue
        reason = None
        if not is_living(challenge, moment):
            ended.append(EndedSend(challenge=close(rows, challenge, ChallengeState.EXPIRED)))
            continue
        if is_spent(challenge):
            reason = UnsendableReason.MAX_ATTEMPTS
        elif challenge.expires_at - moment < rule.min_useful_life:
            reason = UnsendableReason.EXPIRED
        elif row.attempts >= rule.max_retries[row.channel]:
            reason = UnsendableReason.MAX_RETRIES
        if reason is not None:
            ended.append(EndedSend(challenge=stop_sending(rows, challenge, row, reason), channel=row.channel))
            continue
        claimed = changed(
            row,
            token=f"{rule.token}.{number}",
            due_at=moment + rule.lease,
            leased=True,
            attempts=row.attempts + 1,
            waits_for=None,
        )
        rows.put_schedule(claimed)
        walk = WalkRef(challenge_id=row.challenge_id, channel=row.channel, send_id=row.send_id, token=claimed.token)
        claims.append(
            Claim(
                challenge=challenge,
                walk=walk,
                due_at=min(row.due_at, moment + rule.ahead),
                attempts=claimed.attempts,
                deliveries=of_send(rows, challenge.id, row.send_id),
            )
        )
    return ClaimBatch(claims=tuple(claims), ended=tuple(ended))


def begin_retry(rows: Rows, walk: WalkRef, plan: WalkPlan, now: datetime | None) -> Step:
    """Record the first delivery of a claimed retry, or put it off uncounted."""
    moment = rows.now(now)
    moment = max(moment, plan.not_before or moment)
    challenge = rows.challenge(walk.challenge_id)
    row = own_row(rows, walk)
    if challenge is None or row is None or not is_living(challenge, moment):
        return Step(kind=StepKind.STOPPED, challenge=challenge)
    sent = of_send(rows, challenge.id, row.send_id)
    if is_spent(challenge):
        return end_walk(rows, challenge, row, UnsendableReason.MAX_ATTEMPTS)
    if challenge.expires_at - moment < plan.min_useful_life:
        return end_walk(rows, challenge, row, UnsendableReason.EXPIRED)
    if ended := end_if_denied(rows, challenge, row, plan, moment):
        return ended
    waits_for = None
    if why := held_by(rows, challenge, plan, moment):
        due_at = moment + plan.hold
    else:
        choice = choose(rows, challenge, plan, sent, moment)
        if choice.candidate is not None:
            return record_delivery(rows, challenge, row, choice, plan, sent, moment, {})
        if choice.first is None:
            return end_walk(rows, challenge, row, UnsendableReason.PERMANENT)
        due_at, why = put_off_until(rows, challenge, choice, plan, moment)
        waits_for = choice.waits_for
    if challenge.expires_at - due_at < plan.min_useful_life:
        return end_walk(rows, challenge, row, UnsendableReason.EXPIRED)
    uncounted = changed(row, attempts=max(row.attempts - 1, 0))
    return queue(rows, challenge, uncounted, due_at, without_cooldown(walk.channel, sent), why, waits_for)


def wake(rows: Rows, closed: str | None, rule: BreakerRule, limit: int, late: timedelta, now: datetime | None) -> int:
    """Make due what waits for a breaker that is closed: at most so many rows, and ``late`` after now; how many."""
    due_at = rows.now(now) + late
    opened = {breaker.instance for breaker in rows.breakers(rule.threshold)}
    woken = 0
    for waits_for in rows.waited_for():
        is_closed = waits_for not in opened if waits_for else closed is not None or not opened
        if is_closed and woken < limit:
            woken += rows.wake(waits_for, due_at, limit - woken)
    return woken


def end_if_denied(
    rows: Rows, challenge: ChallengeRecord, row: ScheduleRecord, plan: WalkPlan, now: datetime
) -> Step | None:
    """Nothing more is sent to a number that is denied by now; None: it is not."""
    barrier = plan.barrier
    if barrier is None or barrier.reason is not LimitReason.DENIED or not stands(rows, barrier, challenge.phone_key):
        return None
    note_refusal(rows, Asked.RETRY, LimitReason.DENIED, challenge, row.channel, now)
    return end_walk(rows, challenge, row, UnsendableReason.PERMANENT)


def held_by(rows: Rows, challenge: ChallengeRecord, plan: WalkPlan, now: datetime) -> PutOff | None:
    """Why nothing is sent for the moment: a pause, or an enforced budget that is used up; None: it may be."""
    if plan.barrier is not None and plan.barrier.reason is LimitReason.PAUSED:
        return PutOff.PAUSED
    rule = plan.budget_rule
    if rule.enforce and overdrawn_until(rows, rule, challenge.budget, now) is not None:
        return PutOff.UNVERIFIED
    return None


def _due(rows: Rows, rule: ClaimRule, limit: int, now: datetime) -> Sequence[ScheduleRecord]:
    if rule.job is None:
        until = now + rule.ahead
        found = rows.due(until, limit, channels=rule.max_retries, key_ids=rule.key_ids, instances=rule.instances)
        return [row for row in found if row.due_at <= now or not row.leased]
    row = rows.schedule(rule.job.challenge_id, rule.job.channel)
    # The job is believed about a wait, whatever the clocks of two machines say; a lease ends by the store's clock alone.
    ready_at = now if row is not None and row.leased else max(now, rule.job.due_at)
    ready = row is not None and row.due_at <= ready_at and row.channel in rule.max_retries
    able = row is not None and row.key_id in rule.key_ids and rule.instances.issuperset(row.forced or ())
    return [row] if row is not None and ready and able else []
