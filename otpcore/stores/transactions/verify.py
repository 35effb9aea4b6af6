"""Transactions of verifying and cancelling, written once over the rows of any store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TypeGuard

from otpcore.models import ChallengeState
from otpcore.rate_limits.admission import Asked, BudgetRule
from otpcore.stores.changes import Change
from otpcore.stores.commands import ChallengeView, LockRule, RecordedGuess, Reservation, ReservationStatus, Settled
from otpcore.stores.lifecycle import (
    ERASED,
    FOREVER,
    MAX_GIVEBACKS,
    OVER,
    failure_keys,
    in_force,
    is_living,
    is_spent,
    lock_wait,
)
from otpcore.stores.records import AuditRecord, ChallengeRecord, DeliveryRecord, FailureRecord, changed
from otpcore.stores.rows import Rows
from otpcore.stores.transactions import auditing
from otpcore.stores.transactions.changes import note
from otpcore.stores.transactions.failover import close
from otpcore.stores.transactions.limits import end_sends, note_refusal, note_verified
from otpcore.stores.wanted import Wanted


def reserve(
    rows: Rows,
    *,
    subject: str | None,
    challenge_id: str | None,
    purpose: str,
    app: str,
    locks: LockRule,
    guess: RecordedGuess | None,
    now: datetime | None,
) -> Reservation:
    """Use up one attempt, and count one failure unless the guess is what was recorded: then consume the challenge."""
    rows.prefetch(
        Wanted(
            challenge_id=challenge_id or "",
            subject="" if challenge_id is not None else subject or "",
            client=locks.client,
        ),
        now,
    )
    moment = rows.now(now)
    challenge = rows.challenge(challenge_id) if challenge_id is not None else rows.latest(subject or "")
    if not _is_meant(challenge, subject, purpose, app):
        return Reservation(status=ReservationStatus.NOT_FOUND)
    if not is_living(challenge, moment):
        return Reservation(status=ReservationStatus.EXPIRED, challenge=challenge)
    keys = failure_keys(challenge.phone_key, locks.client)
    failures = rows.failures(keys)
    if (locked := _locked(rows, challenge, failures, moment)) is not None:
        return locked
    if is_spent(challenge):
        return Reservation(status=ReservationStatus.MAX_ATTEMPTS, challenge=challenge)
    if guess is not None and guess.fits(challenge) and rows.consume(challenge.id, moment, attempts=1):
        if failures:
            rows.clear_failures(keys)
        approved = _approved(rows, changed(challenge, attempts=challenge.attempts + 1), guess.budget, moment)
        return Reservation(status=ReservationStatus.APPROVED, challenge=approved, locks=locks)
    if not rows.take_attempt(challenge.id, moment):
        return Reservation(status=ReservationStatus.MAX_ATTEMPTS, challenge=challenge)
    return _reserved(rows, challenge, keys, locks, moment)


def _reserved(
    rows: Rows, challenge: ChallengeRecord, keys: tuple[str, str], locks: LockRule, now: datetime
) -> Reservation:
    """An attempt is used up and counted: what is left to compare the code with."""
    locked_until = _count_failure(rows, keys, locks, now)
    deliveries = tuple(in_force(challenge, rows.deliveries(challenge.id)))
    return Reservation(
        status=ReservationStatus.RESERVED,
        challenge=changed(challenge, attempts=challenge.attempts + 1),
        deliveries=deliveries,
        marked=_marked(rows, challenge, deliveries),
        locked_until=locked_until,
        locks=locks,
    )


def _locked(
    rows: Rows, challenge: ChallengeRecord, failures: Sequence[FailureRecord], now: datetime
) -> Reservation | None:
    """The refusal of somebody who has to wait after wrong codes, and is told for how long."""
    until = max((failed.locked_until for failed in failures if failed.locked_until), default=now)
    if until <= now:
        return None
    note_refusal(rows, Asked.VERIFY, ReservationStatus.LOCKED, challenge, None, now)
    return Reservation(
        status=ReservationStatus.LOCKED, challenge=challenge, locked_until=None if until >= FOREVER else until
    )


def settle(
    rows: Rows, reservation: Reservation, *, give_back: bool, gone: Collection[str], now: datetime | None
) -> Settled | None:
    """An attempt that did not match."""
    reserved = reservation.challenge
    challenge = rows.challenge(reserved.id) if reserved is not None else None
    if challenge is None:
        return None
    rows.mark_gone(gone)
    given_back = (
        give_back and is_living(challenge, rows.now(now)) and rows.give_attempt_back(challenge.id, MAX_GIVEBACKS)
    )
    if given_back:
        for failed in rows.failures(failure_keys(challenge.phone_key, reservation.locks.client)):
            if failed.failures > 0:
                ours = failed.locked_until is not None and failed.locked_until == reservation.locked_until
                until = None if ours else failed.locked_until
                rows.put_failures(FailureRecord(key=failed.key, failures=failed.failures - 1, locked_until=until))
    settled = rows.challenge(challenge.id)
    return Settled(challenge=settled, given_back=given_back) if settled is not None else None


def approve(
    rows: Rows, reservation: Reservation, *, settled: Collection[str], budget: BudgetRule, now: datetime | None
) -> bool:
    """Consume a living challenge, for exactly one caller; not where another code has replaced the one that was checked."""
    reserved = reservation.challenge
    if reserved is None:
        return False
    rows.prefetch(Wanted(challenge_id=reserved.id, client=reservation.locks.client), now)
    moment = rows.now(now)
    challenge = rows.challenge(reserved.id)
    if challenge is None or challenge.code_number != reserved.code_number:
        return False
    if not rows.consume(reserved.id, moment, attempts=0):
        return False
    referenced = {delivery.id for delivery in reservation.deliveries if delivery.reference}
    rows.mark_gone(referenced.intersection(settled))  # one without may yet start, or have started, another verification
    rows.clear_failures(failure_keys(reserved.phone_key, reservation.locks.client))
    _approved(rows, reserved, budget, moment)
    return True


def cancel(
    rows: Rows, challenge_id: str, now: datetime | None, audit: AuditRecord | None = None
) -> ChallengeView | None:
    """End a living challenge."""
    challenge = rows.challenge(challenge_id)
    if challenge is None or challenge.state in OVER:
        return None
    state = ChallengeState.CANCELLED if is_living(challenge, rows.now(now)) else ChallengeState.EXPIRED
    closed = close(rows, challenge, state)
    if state is ChallengeState.CANCELLED:
        auditing.note(rows, audit, about=challenge.phone_key)
    return ChallengeView(challenge=closed, deliveries=tuple(rows.deliveries(challenge.id)), schedule=())


def _is_meant(
    challenge: ChallengeRecord | None, subject: str | None, purpose: str, app: str
) -> TypeGuard[ChallengeRecord]:
    """It is what whoever verifies speaks of, and nobody ended it."""
    return (
        challenge is not None
        and challenge.verifiable
        and (challenge.purpose, challenge.app) == (purpose, app)
        and subject in (None, challenge.subject)
        and challenge.state not in (ChallengeState.APPROVED, ChallengeState.CANCELLED)
    )


def _marked(rows: Rows, challenge: ChallengeRecord, deliveries: Sequence[DeliveryRecord]) -> frozenset[str]:
    """Scopes in which nothing may be checked by recipient: the vendor's verification may be another one."""
    scopes = {delivery.scope for delivery in deliveries if delivery.scope}
    slots = {scope: rows.slot(scope, challenge.phone_key) for scope in scopes}
    ours = (scope for scope, slot in slots.items() if slot and slot.holder == challenge.id and slot.mark is None)
    return frozenset(scopes.difference(ours))


def _approved(rows: Rows, challenge: ChallengeRecord, budget: BudgetRule, now: datetime) -> ChallengeRecord:
    """What follows once a challenge is consumed."""
    note_verified(rows, budget, challenge, now)
    if rows.keeps_outbox:
        note(rows, Change.VERIFIED, challenge.id)
    end_sends(rows, challenge.id)
    return changed(challenge, **ERASED, state=ChallengeState.APPROVED, approved_at=now)


def _count_failure(rows: Rows, keys: tuple[str, str], locks: LockRule, now: datetime) -> datetime | None:
    """Count in both counters and lock what is due; the lock that this attempt set, if any."""
    of_client, of_phone = keys
    failures, in_all = rows.count_failure(of_client), rows.count_failure(of_phone)
    if in_all >= locks.hard_limit:  # instead of a wait: whoever gets the attempt back lifts one lock
        rows.put_failures(FailureRecord(key=of_phone, failures=in_all, locked_until=FOREVER))
        return FOREVER
    wait = lock_wait(failures, locks.lock_after)
    if wait is None:
        return None
    rows.put_failures(FailureRecord(key=of_client, failures=failures, locked_until=now + wait))
    return now + wait
