"""Transactions of limits, written once over the rows of any store: charge, refund, refuse, budget, record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import attrs

from otpcore.models import ChallengeState, Channel, Outcome
from otpcore.rate_limits.admission import (
    Admission,
    Asked,
    Barrier,
    BudgetRule,
    Charge,
    LimitReason,
    RefusalRecord,
    budget_key,
    overdrawn,
)
from otpcore.stores.commands import CoolingDown, NewSend, Refused
from otpcore.stores.lifecycle import is_living, nothing_sent
from otpcore.stores.records import ChallengeRecord, Charged, DeliveryRecord, whole_key
from otpcore.stores.rows import EndedRow, Rows
from otpcore.stores.steps import FailoverPlan, FailoverRef

_REFILL_EVERY = timedelta(days=1)
_REFUSALS = Charge(key="refusals/60", limit=100, window=timedelta(minutes=1), reason="refusals", shared=True)
"""So many rows of refusals a minute name their phone; what comes on top is told together, so that a flood fills no disk."""
_MEMORY_OF_GIVING_BACK = timedelta(minutes=10)
"""Longer than anybody tries to give back what a send was charged."""


@attrs.frozen(kw_only=True)
class Admitted:
    """What a send was charged to.

    Args:
        charges: To be refunded with it.
        tolls: For good: given back only where nobody had to send (a cooldown, a faster caller).
        marks: What its number leaves among its neighbours, once in a window; given back where the send does not begin.
        is_overdrawn: Its budget is used up, and only records that.
    """

    charges: tuple[Charged, ...]
    tolls: tuple[Charged, ...]
    marks: tuple[Charged, ...]
    is_overdrawn: bool


def charge(rows: Rows, send: NewSend, now: datetime) -> Admitted | Refused | CoolingDown:
    """All counters or none; nothing at all is charged where a barrier stands or an enforced budget is used up."""
    asked = send.asked
    barrier = asked.barrier if stands(rows, asked.barrier, send.challenge.phone_key) else None
    if barrier is not None:
        wait = None if barrier.ends_at is None else _seconds(barrier.ends_at - now)
        return _refused(rows, send, barrier.reason, wait, now)
    beyond = overdrawn_until(rows, asked.budget_rule, asked.budget, now)
    if beyond is not None and asked.budget_rule.enforce:
        return _refused(rows, send, LimitReason.UNVERIFIED, _seconds(beyond - now), now)
    marks = [mark for mark, _ in asked.neighbours]
    wanted = sorted((*asked.charges, *marks), key=lambda one: one.key)  # two sends never wait for each other crosswise
    done = {whole_key(one.key): one for one in rows.charge(wanted, now)}
    full = [one for one in asked.charges if one.key not in done]
    if full:
        for charged in done.values():
            rows.refund(charged)
        reason, wait = max((_fullness(rows, one, now) for one in full), key=lambda found: found[1])
        return _refused(rows, send, reason, wait, now)
    return Admitted(
        charges=tuple(done[one.key] for one in asked.charges if one.refundable),
        tolls=tuple(done[one.key] for one in asked.charges if not one.refundable),
        marks=tuple(done[mark.key] for mark in marks if mark.key in done),
        is_overdrawn=beyond is not None,
    )


def refund(rows: Rows, row: EndedRow, sent: Sequence[DeliveryRecord] | None = None) -> None:
    """The send of this row is over: give back what it was charged, if certainly nothing left."""
    if row.charges and nothing_sent(of_send(rows, row.challenge_id, row.send_id) if sent is None else sent):
        for charged in row.charges:
            rows.refund(charged)


def end_sends(rows: Rows, challenge_id: str) -> None:
    """Every send of a challenge is over: its schedule rows go."""
    for row in rows.end_schedules(challenge_id):
        refund(rows, row)


def give_back_late(rows: Rows, ref: FailoverRef, plan: FailoverPlan, now: datetime) -> None:
    """Nothing left in the last delivery that was open either: whoever ended the send could not know, and left its charge."""
    row = rows.schedule(ref.challenge_id, ref.channel)
    goes_on = row is not None and row.send_id == ref.send_id
    if plan.charges and not goes_on and nothing_sent(of_send(rows, ref.challenge_id, ref.send_id)):
        give_back(rows, ref.send_id, plan.charges, now)


def is_open(rows: Rows, delivery_id: str) -> bool:
    """Nobody has recorded yet what became of it."""
    delivery = rows.delivery(delivery_id)
    return delivery is not None and delivery.outcome is Outcome.OPEN


def of_send(rows: Rows, challenge_id: str, send_id: str) -> tuple[DeliveryRecord, ...]:
    """The deliveries of one send, in the order in which they were recorded."""
    return tuple(delivery for delivery in rows.deliveries(challenge_id) if delivery.send_id == send_id)


def give_back(rows: Rows, send_id: str, charged: Iterable[Charged], now: datetime) -> None:
    """What the send was charged, once: whoever loses the connection at the commit does not know whether it took place."""
    once = Charge(key=f"given_back/{send_id}", limit=1, window=_MEMORY_OF_GIVING_BACK, reason="given_back")
    if rows.charge([once], now):
        for one in charged:
            rows.refund(one)


def note(rows: Rows, send: NewSend, admitted: Admitted, now: datetime) -> tuple[LimitReason, ...]:
    """Record of a send that began which limits, that only record, would have refused it."""
    noted = [LimitReason.UNVERIFIED] if admitted.is_overdrawn else []
    if _among_neighbours(rows, send.asked, admitted, now):
        noted.append(LimitReason.NEIGHBOURS)
    for reason in noted:
        note_refusal(rows, Asked.SEND, reason, send.challenge, send.channel, now, enforced=False)
    return tuple(noted)


def stands(rows: Rows, barrier: Barrier | None, phone_key: str) -> bool:
    """The barrier holds for this phone."""
    return barrier is not None and not (barrier.unless_verified and rows.verified(phone_key) is not None)


def overdrawn_until(rows: Rows, rule: BudgetRule, budget: str, now: datetime) -> datetime | None:
    """When the budget's used-up window ends; None: something is left."""
    if not budget or not rule.windows:
        return None
    beyond = overdrawn(rule, budget, rows.budgets(f"{budget}/"), now)
    return None if beyond is None else beyond[1]


def use_budget(rows: Rows, rule: BudgetRule, challenge: ChallengeRecord, now: datetime) -> None:
    """One more accepted send that has not verified; one that comes after the right code has."""
    if challenge.budget and challenge.state is not ChallengeState.APPROVED:
        for window in rule.windows:
            rows.move_budget(budget_key(challenge.budget, window), 1, 0, now, now + window.length)


def note_verified(rows: Rows, rule: BudgetRule, challenge: ChallengeRecord, now: datetime) -> None:
    """The phone has verified: its accepted sends no longer count, and once a day it raises the budget."""
    is_first_today = rows.note_verified(challenge.phone_key, now, now - _REFILL_EVERY)
    if not challenge.budget or not rule.windows:
        return
    accepted = rows.count_taken(challenge.id)
    for window in rule.windows:
        rows.move_budget(budget_key(challenge.budget, window), -accepted, int(is_first_today), now, now + window.length)


def note_refusal(
    rows: Rows,
    asked: Asked,
    reason: str,
    challenge: ChallengeRecord,
    channel: Channel | None,
    now: datetime,
    *,
    enforced: bool = True,
) -> None:
    """Record what was refused of a challenge, or with ``enforced`` false only would have been."""
    refusal = RefusalRecord.of(
        asked,
        str(reason),
        now,
        phone_key=challenge.phone_key,
        phone_masked=challenge.phone_masked,
        channel=str(channel or ""),
        purpose=challenge.purpose,
        enforced=enforced,
    )
    _put(rows, refusal, now)


def _refused(rows: Rows, send: NewSend, reason: str, retry_after: float | None, now: datetime) -> Refused | CoolingDown:
    """A refusal, unless the same request has just sent: then nothing has to be sent, and nothing is refused."""
    # Not `latest`, which locks: a send that ends holds its challenge when it gives back what it was charged, and waits for us.
    living = rows.peek_latest(send.challenge.subject)
    if living is not None and is_living(living, now):
        cooldown = living.cooldown(send.channel)
        if cooldown is not None and cooldown > now:
            return CoolingDown(challenge=living)
    note_refusal(rows, Asked.SEND, reason, send.challenge, send.channel, now)
    return Refused(reason=reason, retry_after=retry_after)


def _fullness(rows: Rows, full: Charge, now: datetime) -> tuple[str, float]:
    """The reason of a full counter, and the seconds until its window ends."""
    found = rows.counters(full.key, now)
    ends_at = next((one.window_ends_at for one in found if one.key == full.key), now)
    return full.reason, _seconds(ends_at - now)


def _among_neighbours(rows: Rows, asked: Admission, admitted: Admitted, now: datetime) -> bool:
    """Whether this number is one of too many of its block; one that had left its mark before does not count again."""
    marked = {whole_key(one.key) for one in admitted.marks}
    blocks = sorted((block for mark, block in asked.neighbours if mark.key in marked), key=lambda one: one.key)
    return len(rows.charge(blocks, now)) < len(blocks)


def _put(rows: Rows, refusal: RefusalRecord, now: datetime) -> None:
    """Count it with those that are identical, or begin a row; without its phone where the minute has too many rows."""
    if rows.count_refusal(refusal.key, now):
        return
    if not rows.charge([_REFUSALS], now):
        refusal = RefusalRecord.of(
            refusal.asked, refusal.reason, now, enforced=refusal.enforced, channel=refusal.channel
        )
    rows.put_refusal(refusal)


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
