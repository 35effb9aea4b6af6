"""The transaction that begins a send (DESIGN §6, §11), written once over the rows of any store."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from otpcore.admission import Asked
from otpcore.lifecycle import FOREVER, OVER, failure_keys, is_living, is_spent
from otpcore.models import ChallengeState
from otpcore.records import ChallengeRecord, Charged, ScheduleRecord, changed
from otpcore.stores._limits import Admitted, charge, note, note_refusal
from otpcore.stores._sending import (
    Choice,
    begun_by,
    choose,
    close,
    probe_due,
    put_off,
    put_off_until,
    queue,
    record_delivery,
    refund,
    write_delivery,
)
from otpcore.stores.rows import Rows
from otpcore.verbs import Begun, ChargeRefused, NewSend, Refusal
from otpcore.walks import PutOff

_ALL_OPEN = PutOff.BREAKER_OPEN  # a send that may wait does so for a breaker; anything else refuses it
_NEEDLESS = frozenset({Refusal.COOLDOWN, Refusal.CONFLICT})
"""Nobody had to send."""


def begin(rows: Rows, send: NewSend, now: datetime | None) -> Begun:
    """Charge a send, then write its challenge, schedule row and first delivery."""
    moment = rows.now(now)
    admitted = charge(rows, send, moment)
    if isinstance(admitted, ChargeRefused):
        return Begun(over_limit=admitted)
    return begin_charged(rows, send, admitted, moment)


def begin_charged(rows: Rows, send: NewSend, admitted: Admitted, now: datetime | None) -> Begun:
    """The rest of it, once the send is charged."""
    moment = rows.now(now)
    begin_it = _resend if send.is_resend else _start
    begun = begin_it(rows, send, admitted.charges, moment)
    if begun.refusal is None:
        noted = note(rows, send, admitted, moment)
        return changed(begun, noted=noted) if noted else begun
    needless = begun.refusal in _NEEDLESS
    for charged in (*admitted.marks, *admitted.charges, *(admitted.tolls if needless else ())):
        rows.refund(charged)
    if not needless:
        note_refusal(rows, Asked.SEND, begun.refusal, send.challenge, send.channel, moment)
    return begun


def _start(rows: Rows, send: NewSend, charges: tuple[Charged, ...], now: datetime) -> Begun:
    """A new challenge with its first delivery, unless its subject has a living one."""
    choice, refused = _admit(rows, send, now + send.life, now)
    if refused is not None:
        holder = rows.peek_latest(send.challenge.subject)
        in_the_way = holder is not None and is_living(holder, now)
        return Begun(refusal=Refusal.CONFLICT, challenge=holder) if in_the_way else refused
    candidate = choice.candidate
    changes: dict[str, Any] = {"state": ChallengeState.QUEUED}
    if candidate is not None:
        changes = begun_by(send.challenge, send.channel, candidate, send.plan, now)
    challenge = changed(
        send.challenge,
        first_sent_at=now,
        expires_at=now + send.life,
        message_sealed=send.message_sealed,
        forced=send.forced,
        budget=send.asked.budget,
        **changes,
    )
    holder, expired = _insert(rows, challenge, now)
    if holder is not None:
        if candidate is not None and choice.probe_was is not None:  # as it was: a refusal changes nothing
            rows.win_probe(candidate.instance, probe_due(send.plan, now), choice.probe_was)
        return Begun(refusal=Refusal.CONFLICT, challenge=holder, expired=expired)
    row = _row(send, charges, now)
    if candidate is None:
        due_at, _ = put_off_until(rows, challenge, choice, send.plan, now)
        step = put_off(rows, challenge, row, due_at, _ALL_OPEN, choice.waits_for)
        return Begun(step=step, expired=expired)
    step = write_delivery(rows, challenge, row, candidate, send.plan, (), now, is_probe=choice.is_probe)
    return Begun(step=step, expired=expired)


def _insert(
    rows: Rows, challenge: ChallengeRecord, now: datetime
) -> tuple[ChallengeRecord | None, ChallengeRecord | None]:
    """Write a new challenge, freeing an expired holder of its subject.

    The living holder that is in the way, if any; and the expired one that was ended, if any.
    """
    if rows.insert_challenge(challenge):
        return None, None
    holder = rows.peek_latest(challenge.subject)
    if holder is not None and is_living(holder, now):
        return holder, None
    expired = None
    holder = rows.latest(challenge.subject)
    if holder is not None and holder.state not in OVER and not is_living(holder, now):
        expired = close(rows, holder, ChallengeState.EXPIRED)
    return None if rows.insert_challenge(challenge) else rows.peek_latest(challenge.subject), expired


def _resend(rows: Rows, send: NewSend, charges: tuple[Charged, ...], now: datetime) -> Begun:
    """The living challenge again: it takes the channel's row over and ends the older send."""
    challenge = rows.challenge(send.challenge.id)
    if challenge is None or not is_living(challenge, now):
        return Begun(refusal=Refusal.CONFLICT)
    left = _seconds(challenge.expires_at - now)
    if is_spent(challenge):
        return Begun(refusal=Refusal.MAX_ATTEMPTS, retry_after=left, challenge=challenge)
    cooldown = challenge.cooldown(send.channel)
    if cooldown and cooldown > now:
        return Begun(refusal=Refusal.COOLDOWN, retry_after=_seconds(cooldown - now), challenge=challenge)
    expires_at = min(now + send.life, challenge.first_sent_at + send.cap)
    if expires_at - now < send.renewal:
        return Begun(refusal=Refusal.RENEWAL, retry_after=left, challenge=challenge)
    choice, refused = _admit(rows, send, expires_at, now)
    if refused is not None:
        return changed(refused, challenge=challenge)
    if older := rows.schedule(challenge.id, send.channel):
        refund(rows, older)
    renewed: dict[str, Any] = {
        "state": ChallengeState.SENDING,
        "reason": None,
        "confirmed": False,
        "expires_at": expires_at,
        "message_sealed": send.message_sealed,
        "locale": send.locale,
        "forced": send.forced,
        "budget": send.asked.budget,
    }
    row = _row(send, charges, now)
    if choice.candidate is None:
        due_at, _ = put_off_until(rows, changed(challenge, expires_at=expires_at), choice, send.plan, now)
        return Begun(step=queue(rows, challenge, row, due_at, renewed, _ALL_OPEN, choice.waits_for))
    return Begun(step=record_delivery(rows, challenge, row, choice, send.plan, (), now, renewed))


def _admit(rows: Rows, send: NewSend, expires_at: datetime, now: datetime) -> tuple[Choice, Begun | None]:
    """The instance to begin with, or why a send whose code lives that long may not begin."""
    locked = _locked_until(rows, send)
    if locked is not None and locked >= expires_at:
        wait = None if locked >= FOREVER else _seconds(locked - now)
        return Choice(), Begun(refusal=Refusal.LOCKED, retry_after=wait)
    choice = choose(rows, send.challenge, send.plan, (), now)
    return choice, None if choice.candidate else _nobody(choice, send, now)


def _locked_until(rows: Rows, send: NewSend) -> datetime | None:
    # Not locked: whoever verifies holds the challenge, which we may have to wait for, before it locks what it counts.
    failed = rows.peek_failures(failure_keys(send.challenge.phone_key, send.client))
    return max((record.locked_until for record in failed if record.locked_until), default=None)


def _nobody(choice: Choice, send: NewSend, now: datetime) -> Begun | None:
    """Why a send cannot begin though its route is not empty; None: it may wait for a breaker."""
    if choice.opened:
        return None if send.plan.retry is not None else Begun(refusal=Refusal.BREAKER_OPEN)
    wait = _seconds(choice.first[0] - now) if choice.first else None
    return Begun(refusal=Refusal.PROVIDER_BUSY, retry_after=wait)


def _row(send: NewSend, charges: tuple[Charged, ...], now: datetime) -> ScheduleRecord:
    """The schedule row of a new send, born leased."""
    return ScheduleRecord(
        challenge_id=send.challenge.id,
        channel=send.channel,
        send_id=send.send_id,
        token=send.token,
        due_at=now + send.plan.call_lease,
        leased=True,
        charges=charges,
        key_id=send.challenge.key_id,
        forced=send.forced,
    )


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
