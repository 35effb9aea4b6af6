"""Transactions of retrying: claim what is due, and begin the failover of a claimed retry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from otpcore.models import ChallengeState, UnsendableReason
from otpcore.rate_limits.admission import Asked, LimitReason
from otpcore.stores.commands import Claim, ClaimBatch, ClaimRule, EndedSend
from otpcore.stores.lifecycle import is_living, is_spent
from otpcore.stores.records import ChallengeRecord, ScheduleRecord, changed
from otpcore.stores.rows import Rows
from otpcore.stores.steps import Ended, FailoverPlan, FailoverRef, PutOff, Step, Stopped
from otpcore.stores.transactions.choosing import choose, put_off_until
from otpcore.stores.transactions.early_receipts import refused_by
from otpcore.stores.transactions.failover import (
    close,
    end_failover,
    own_row,
    queue,
    record_delivery,
    stop_sending,
    without_cooldown,
)
from otpcore.stores.transactions.limits import note_refusal, of_send, overdrawn_until, stands
from otpcore.stores.wanted import Wanted


def claim(rows: Rows, rule: ClaimRule, limit: int, now: datetime | None) -> ClaimBatch:
    """Claim due retries; end those that have nothing left to try for."""
    rows.prefetch(_wanted(rule, limit), now)
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
            lease_until=moment + rule.lease,
            attempts=row.attempts + 1,
            waits=None,
            waits_for="",
        )
        rows.put_schedule(claimed)
        ref = FailoverRef(challenge_id=row.challenge_id, channel=row.channel, send_id=row.send_id, token=claimed.token)
        claims.append(Claim(challenge=challenge, ref=ref, attempts=claimed.attempts))
    return ClaimBatch(claims=tuple(claims), ended=tuple(ended))


def unclaim(rows: Rows, batch: ClaimBatch | None, now: datetime | None) -> None:
    """Nobody heard of these claims: they wait again, are due now, and do not count."""
    moment = rows.now(now)
    for claimed in batch.claims if batch is not None else ():
        challenge = rows.challenge(claimed.ref.challenge_id)
        row = own_row(rows, claimed.ref)
        if challenge is not None and row is not None and row.lease_until is not None:
            rows.put_schedule(changed(row, due_at=moment, lease_until=None, attempts=max(row.attempts - 1, 0)))


def begin_retry(rows: Rows, ref: FailoverRef, plan: FailoverPlan, now: datetime | None) -> Step:
    """Record the first delivery of a claimed retry, or put it off uncounted."""
    rows.prefetch(Wanted(challenge_id=ref.challenge_id, breakers=True), now)
    moment = rows.now(now)
    challenge = rows.challenge(ref.challenge_id)
    row = own_row(rows, ref)
    if challenge is None or row is None or not is_living(challenge, moment):
        return Stopped(challenge=challenge)
    sent = of_send(rows, challenge.id, row.send_id)
    if is_spent(challenge):
        return end_failover(rows, challenge, row, UnsendableReason.MAX_ATTEMPTS)
    if challenge.expires_at - moment < plan.min_useful_life:
        return end_failover(rows, challenge, row, UnsendableReason.EXPIRED)
    if ended := end_if_denied(rows, challenge, row, plan, moment):
        return ended
    opened: Sequence[str] = ()
    if why := held_by(rows, challenge, plan, moment):
        due_at = moment + plan.hold
    else:
        choice = choose(rows, challenge, plan, sent, moment)
        if choice.candidate is not None:
            return record_delivery(rows, challenge, row, choice, plan, sent, moment, {})
        if choice.first is None:
            return end_failover(rows, challenge, row, refused_by(rows, sent))
        due_at, why = put_off_until(rows, challenge, choice, plan, moment)
        opened = choice.opened
    if challenge.expires_at - due_at < plan.min_useful_life:
        return end_failover(rows, challenge, row, UnsendableReason.EXPIRED)
    uncounted = changed(row, attempts=max(row.attempts - 1, 0))
    return queue(rows, challenge, uncounted, due_at, without_cooldown(challenge, ref.channel, sent), why, opened)


def end_if_denied(
    rows: Rows, challenge: ChallengeRecord, row: ScheduleRecord, plan: FailoverPlan, now: datetime
) -> Ended | None:
    """Nothing more is sent to a number that is denied by now; None: it is not."""
    barrier = plan.barrier
    if barrier is None or barrier.reason is not LimitReason.DENIED or not stands(rows, barrier, challenge.phone_key):
        return None
    note_refusal(rows, Asked.RETRY, LimitReason.DENIED, challenge, row.channel, now)
    return end_failover(rows, challenge, row, UnsendableReason.DENIED)


def held_by(rows: Rows, challenge: ChallengeRecord, plan: FailoverPlan, now: datetime) -> PutOff | None:
    """Why nothing is sent for the moment: a pause, or an enforced budget that is used up; None: it may be."""
    if plan.barrier is not None and plan.barrier.reason is LimitReason.PAUSED:
        return PutOff.PAUSED
    rule = plan.budget_rule
    if rule.enforce and overdrawn_until(rows, rule, challenge.budget, now) is not None:
        return PutOff.UNVERIFIED
    return None


def _wanted(rule: ClaimRule, limit: int) -> Wanted:
    """What a claim will look at."""
    if rule.job is not None:
        return Wanted(challenge_id=rule.job.challenge_id)
    return Wanted(due=limit, channels=tuple(rule.max_retries), key_ids=tuple(rule.key_ids))


def _due(rows: Rows, rule: ClaimRule, limit: int, now: datetime) -> Sequence[ScheduleRecord]:
    if rule.job is None:
        return rows.due(now, limit, channels=rule.max_retries, key_ids=rule.key_ids, instances=rule.instances)
    row = rows.schedule(rule.job.challenge_id, rule.job.channel)
    if row is None or row.channel not in rule.max_retries:
        return []
    # The job is believed about a wait, whatever the clocks of two machines say; a lease ends by the store's clock alone.
    ready_at = max(now, rule.job.due_at) if row.lease_until is None else now
    able = row.key_id in rule.key_ids and rule.instances.issuperset(row.forced or ())
    return [row] if row.claimable_at <= ready_at and able else []
