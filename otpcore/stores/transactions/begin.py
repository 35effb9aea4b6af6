"""The transaction that begins a send, written once over the rows of any store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from otpcore.models import ChallengeState, Outcome
from otpcore.rate_limits.admission import Asked, Charge
from otpcore.stores.commands import Beginning, Begun, CoolingDown, NewSend, Raced, Refusal, Refused
from otpcore.stores.lifecycle import FOREVER, OVER, failure_keys, into, is_living, is_spent, nothing_sent
from otpcore.stores.records import ChallengeRecord, Charged, ScheduleRecord, changed
from otpcore.stores.rows import Rows
from otpcore.stores.steps import FailoverRef, PutOff
from otpcore.stores.transactions import auditing
from otpcore.stores.transactions.choosing import PROBE_EVERY, Choice, choose, mark_slots, put_off_until
from otpcore.stores.transactions.failover import (
    begun_by,
    close,
    put_off,
    queue,
    record_delivery,
    withdraw,
    write_delivery,
)
from otpcore.stores.transactions.limits import Admitted, charge, give_back, note, note_refusal, of_send, refund
from otpcore.stores.wanted import Wanted

_ALL_OPEN = PutOff.BREAKER_OPEN  # a send that may wait does so for a breaker; anything else refuses it


def begin(rows: Rows, send: NewSend, now: datetime | None) -> tuple[Beginning, Admitted | None]:
    """Charge a send, then write its challenge, schedule row and first delivery; and what it was charged to."""
    charges = (*send.asked.charges, *(one for pair in send.asked.neighbours for one in pair))
    rows.prefetch(_wanted(send, charges), now)
    moment = rows.now(now)
    admitted = charge(rows, send, moment)
    if not isinstance(admitted, Admitted):
        return admitted, None
    return begin_charged(rows, send, admitted, moment), admitted


def charge_apart(rows: Rows, send: NewSend, now: datetime | None) -> Admitted | Refused | CoolingDown:
    """The first half of it, as a unit of its own."""
    rows.prefetch(Wanted(budget=send.asked.budget if send.asked.budget_rule.windows else ""), now)
    return charge(rows, send, rows.now(now))


def begin_apart(rows: Rows, send: NewSend, admitted: Admitted, now: datetime | None) -> Beginning:
    """The second half, as a unit of its own."""
    rows.prefetch(_wanted(send, charges=[block for _, block in send.asked.neighbours]), now)
    return begin_charged(rows, send, admitted, now)


def take_back(rows: Rows, send: NewSend, admitted: Admitted, now: datetime | None) -> None:
    """A send that was charged does not begin, or nobody heard whether it did: nothing of it is handed over to a provider.

    Where it has begun and somebody else goes on with it, the charge is theirs. Tried again, it gives nothing back twice.
    """
    moment = rows.now(now)
    ref = FailoverRef(challenge_id=send.challenge.id, channel=send.channel, send_id=send.send_id, token=send.token)
    first = rows.delivery(send.plan.delivery_id)
    was_open = first is not None and first.outcome is Outcome.OPEN
    is_refunded = withdraw(rows, ref, send.plan, now)
    if not is_refunded:
        row, sent = rows.schedule(ref.challenge_id, ref.channel), of_send(rows, ref.challenge_id, ref.send_id)
        if row is not None and row.send_id == ref.send_id:
            return
        is_owed = was_open and nothing_sent(sent)  # whoever ended it left the charge, as nobody knew what became of it
        if sent and not is_owed:
            return
    back = (*admitted.marks, *admitted.tolls, *(() if is_refunded else admitted.charges))
    give_back(rows, send.send_id, back, moment)


def begin_charged(rows: Rows, send: NewSend, admitted: Admitted, now: datetime | None) -> Beginning:
    """The rest of it, once the send is charged."""
    moment = rows.now(now)
    begin_it = _resend if send.is_resend else _start
    begun = begin_it(rows, send, admitted.charges, moment)
    if isinstance(begun, Begun):
        if send.audit is not None:
            auditing.note(rows, send.audit, about=send.challenge.phone_key)
        noted = note(rows, send, admitted, moment)
        return changed(begun, noted=noted) if noted else begun
    is_refused = isinstance(begun, Refused)  # else nobody had to send
    back = (*admitted.marks, *admitted.charges, *(() if is_refused else admitted.tolls))
    give_back(rows, send.send_id, back, moment)
    if isinstance(begun, Refused):
        note_refusal(rows, Asked.SEND, begun.reason, send.challenge, send.channel, moment)
    return begun


def _wanted(send: NewSend, charges: Iterable[Charge]) -> Wanted:
    """What a send that asks for these charges will look at."""
    asked, challenge = send.asked, send.challenge
    return Wanted(
        challenge_id=challenge.id if send.is_resend else "",
        subject="" if send.is_resend else challenge.subject,
        phone_key=challenge.phone_key,
        counters=tuple(one.key for one in charges),
        budget=asked.budget if asked.budget_rule.windows else "",
        budget_rule=asked.budget_rule,
        breakers=True,
        failures=failure_keys(challenge.phone_key, send.client),
    )


def _start(rows: Rows, send: NewSend, charges: tuple[Charged, ...], now: datetime) -> Begun | Refused | Raced:
    """A new challenge with its first delivery, unless its subject has a living one."""
    choice = _admit(rows, send, now + send.life, now)
    if isinstance(choice, Refused):
        holder = rows.peek_latest(send.challenge.subject)
        in_the_way = holder is not None and is_living(holder, now)
        return Raced(living=holder) if in_the_way else choice
    candidate = choice.candidate
    changes: dict[str, Any] = {"state": ChallengeState.QUEUED}
    if candidate is not None:
        changes = begun_by(send.challenge, send.channel, candidate, send.plan, now)
    challenge = changed(
        send.challenge,
        first_sent_at=now,
        expires_at=now + send.life,
        message_sealed=send.message_sealed,
        extras_sealed=send.extras_sealed,
        forced=send.forced,
        budget=send.asked.budget,
        **changes,
    )
    holder, expired = _insert(rows, challenge, now)
    if holder is not None:
        if candidate is not None and choice.probe_was is not None:  # as it was: a refusal changes nothing
            rows.win_probe(candidate.instance, now + PROBE_EVERY, choice.probe_was)
        return Raced(living=holder, expired=expired)
    row = _row(send, charges, now)
    if candidate is None:
        due_at, _ = put_off_until(rows, challenge, choice, send.plan, now)
        waiting = put_off(rows, challenge, row, due_at, _ALL_OPEN, choice.opened)
        return Begun(step=waiting, expired=expired)
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


def _resend(rows: Rows, send: NewSend, charges: tuple[Charged, ...], now: datetime) -> Beginning:
    """The living challenge again: it takes the channel's row over and ends the older send."""
    challenge = rows.challenge(send.challenge.id)
    if challenge is None or not is_living(challenge, now):
        return Raced()
    left = _seconds(challenge.expires_at - now)
    if is_spent(challenge):
        return Refused(reason=Refusal.MAX_ATTEMPTS, retry_after=left, challenge=challenge)
    cooldown = challenge.cooldown(send.channel)
    if cooldown and cooldown > now:
        return CoolingDown(challenge=challenge)
    expires_at = min(now + send.life, challenge.first_sent_at + send.cap)
    if expires_at - now < send.renewal:
        return Refused(reason=Refusal.RENEWAL, retry_after=left, challenge=challenge)
    if send.challenge.code_digest != challenge.code_digest:  # its sender would send a code that has been replaced
        return Raced(living=challenge)
    choice = _admit(rows, send, expires_at, now)
    if isinstance(choice, Refused):
        return changed(choice, challenge=challenge)
    replaced = _replace_code(rows, challenge, send, now)
    challenge = changed(challenge, **replaced)
    if older := rows.schedule(challenge.id, send.channel):
        refund(rows, older)
    renewed: dict[str, Any] = {
        **replaced,
        "state": into(challenge, ChallengeState.SENDING, is_resend=True),
        "reason": None,
        "confirmed": False,
        "expires_at": expires_at,
        "message_sealed": send.message_sealed,
        "extras_sealed": send.extras_sealed,
        "locale": send.locale,
        "forced": send.forced,
        "budget": send.asked.budget,
    }
    row = _row(send, charges, now)
    if choice.candidate is None:
        due_at, _ = put_off_until(rows, changed(challenge, expires_at=expires_at), choice, send.plan, now)
        resent = changed(challenge, state=renewed["state"])
        return Begun(step=queue(rows, resent, row, due_at, renewed, _ALL_OPEN, choice.opened))
    return Begun(step=record_delivery(rows, challenge, row, choice, send.plan, (), now, renewed))


def _replace_code(rows: Rows, challenge: ChallengeRecord, send: NewSend, now: datetime) -> dict[str, Any]:
    """What changes where another code takes the place of the challenge's: nothing that has the old one goes on sending.

    A retry that waits carries the new one: whoever claims it reads that. One that is under way has read the old one, so it is over.
    """
    if send.code is None:
        return {}
    for row in rows.schedules(challenge.id):
        if row.channel != send.channel and row.lease_until is not None:
            rows.delete_schedule(row.challenge_id, row.channel)
            refund(rows, row)
    mark_slots(rows, challenge, now)
    return {
        "code_digest": send.code.digest,
        "code_sealed": send.code.sealed,
        "code_number": challenge.code_number + 1,
        "core_recorded": False,
    }


def _admit(rows: Rows, send: NewSend, expires_at: datetime, now: datetime) -> Choice | Refused:
    """The instance to begin with, if it need not wait for a breaker; or why a send whose code lives that long may not begin."""
    locked = _locked_until(rows, send) if send.challenge.verifiable else None
    if locked is not None and locked >= expires_at:
        wait = None if locked >= FOREVER else _seconds(locked - now)
        return Refused(reason=Refusal.LOCKED, retry_after=wait)
    choice = choose(rows, send.challenge, send.plan, (), now)
    if choice.candidate is not None or (choice.opened and send.plan.retry is not None):
        return choice
    wait = _seconds(choice.first[0] - now) if choice.first else None
    return Refused(reason=Refusal.BREAKER_OPEN if choice.opened else Refusal.PROVIDER_BUSY, retry_after=wait)


def _locked_until(rows: Rows, send: NewSend) -> datetime | None:
    # Not locked: whoever verifies holds the challenge, which we may have to wait for, before it locks what it counts.
    failed = rows.peek_failures(failure_keys(send.challenge.phone_key, send.client))
    return max((record.locked_until for record in failed if record.locked_until), default=None)


def _row(send: NewSend, charges: tuple[Charged, ...], now: datetime) -> ScheduleRecord:
    """The schedule row of a new send, born leased."""
    return ScheduleRecord(
        challenge_id=send.challenge.id,
        channel=send.channel,
        send_id=send.send_id,
        token=send.token,
        due_at=now,
        lease_until=now + send.plan.call_lease,
        charges=charges,
        key_id=send.challenge.key_id,
        forced=send.forced,
    )


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
