"""Which instance is tried next, and until when those that could not be are waited for: behind breakers, and vendors' slots.

A breaker opens when an instance fails again and again; who waits for it is woken when it closes.

A slot says who may use a vendor's account for one phone, where the vendor keys its codes on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from otpcore.events import EventType
from otpcore.models import Outcome
from otpcore.stores.lifecycle import NOT_SENT, is_living, left_out, mark_of
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, Mark, SlotRecord, Waits, changed
from otpcore.stores.rows import OutrunError, Rows
from otpcore.stores.steps import Candidate, FailoverPlan, PutOff

PROBE_EVERY = timedelta(seconds=1)
"""How often an instance whose breaker is open is tried."""

_BREAKER_FAILURES = frozenset({Outcome.UNAVAILABLE, Outcome.AMBIGUOUS})
_CODE, _WORDS = 80, 200  # characters of a vendor's code, and of a provider's words, that are kept
_FOR_EACH_PROBE = 10
"""So many of those that wait for a breaker come for one probe, in case one does not."""


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
        """Whether this try only finds out if an instance has come back."""
        return self.probe_was is not None

    @property
    def first(self) -> tuple[datetime, PutOff] | None:
        """When the first of them comes free, and why it is not yet."""
        return min(self.waits, default=None)


def choose(
    rows: Rows, challenge: ChallengeRecord, plan: FailoverPlan, sent: Sequence[DeliveryRecord], now: datetime
) -> Choice:
    """Who is tried next, in the order of the plan, and what was passed over on the way."""
    untried = [candidate for candidate in plan.untried if not left_out(candidate.instance, sent)]
    if not untried:
        return Choice()
    opened = {breaker.instance: breaker.probe_at for breaker in rows.breakers(plan.breaker_threshold)}
    next_probe = now + PROBE_EVERY
    waits: list[tuple[datetime, PutOff]] = []
    kept_back: list[str] = []
    for candidate in untried:
        if (wait := not_before(candidate.instance, sent)) and wait > now:
            waits.append((wait, PutOff.THROTTLED))
        elif candidate.scope and (held := held_until(rows, candidate.scope, challenge, now)):
            waits.append((max(held, now + plan.call_lease), PutOff.PROVIDER_BUSY))
        elif candidate.instance in opened and not rows.win_probe(candidate.instance, now, next_probe):
            waits.append((next_probe, PutOff.BREAKER_OPEN))
            kept_back.append(candidate.instance)
        else:
            return Choice(candidate=candidate, probe_was=opened.get(candidate.instance))
    return Choice(waits=tuple(waits), opened=tuple(kept_back))


def note_answer(
    rows: Rows, plan: FailoverPlan, delivery: DeliveryRecord, words: str, now: datetime
) -> tuple[EventType, ...]:
    """Keep what is wrong with the instance, or that nothing is any more; what changed by that."""
    instance, code, words = delivery.instance, delivery.provider_code[:_CODE], words[:_WORDS]
    if delivery.outcome is Outcome.ACCEPTED:
        before = rows.close_breaker(instance)
        if before is None:
            return ()
        news = {
            EventType.BREAKER_CLOSED: before.failures >= plan.breaker_threshold,
            EventType.INSTANCE_RESTORED: before.misconfigured_at is not None,
        }
        return tuple(event for event, is_so in news.items() if is_so)
    if delivery.outcome is Outcome.MISCONFIGURED:
        return (EventType.INSTANCE_MISCONFIGURED,) if rows.note_misconfigured(instance, code, words, now) else ()
    if delivery.outcome in _BREAKER_FAILURES and rows.count_breaker(instance, code, words) == plan.breaker_threshold:
        rows.open_breaker(instance, now, now + PROBE_EVERY)
        return (EventType.BREAKER_OPENED,)
    return ()


def wake(
    rows: Rows, closed: str | None, breaker_threshold: int, limit: int, late: timedelta, now: datetime | None
) -> int:
    """Make due what waits for a breaker that is closed: at most so many rows, and ``late`` after now; how many."""
    due_at = rows.now(now) + late
    opened = {breaker.instance for breaker in rows.breakers(breaker_threshold)}
    woken = 0
    for waits, waits_for in rows.waited_for():
        is_closed = waits_for not in opened if waits is Waits.BREAKER else closed is not None or not opened
        if is_closed and woken < limit:
            woken += rows.wake(waits, waits_for, due_at, limit - woken)
    return woken


def put_off_until(
    rows: Rows, challenge: ChallengeRecord, choice: Choice, plan: FailoverPlan, now: datetime
) -> tuple[datetime, PutOff]:
    """When a failover that could call nobody looks again, and why it could not.

    Of those that wait for one breaker a few come for each probe: what all of them could do is done by the first, and when
    it succeeds the others are woken. They stand aside for as long as a retry waits at most, but not beyond their useful life.
    """
    due_at, why = min(choice.waits)
    waits, waits_for = waits_of(choice.opened)
    if why is not PutOff.BREAKER_OPEN or waits is None or plan.retry is None:
        return due_at, why
    if rows.waiting(waits, waits_for, due_at, _FOR_EACH_PROBE) < _FOR_EACH_PROBE:
        return due_at, why
    aside = timedelta(seconds=plan.retry.max_delay * (1 + plan.retry.chance()) / 2)  # never all of them at once
    others = [free_at for free_at, kept_by in choice.waits if kept_by is not PutOff.BREAKER_OPEN]
    return max(due_at, min(now + aside, challenge.expires_at - plan.min_useful_life, *others)), why


def waits_of(opened: Sequence[str]) -> tuple[Waits | None, str]:
    """``waits`` and ``waits_for`` of a row that waits for the breakers of these instances."""
    if not opened:
        return None, ""
    return (Waits.BREAKER, opened[0]) if len(opened) == 1 else (Waits.BREAKERS, "")


def not_before(instance: str, sent: Sequence[DeliveryRecord]) -> datetime | None:
    """Until when the instance asked not to be tried again; None: it did not."""
    return next((d.not_before for d in reversed(sent) if d.instance == instance), None)


def held_until(rows: Rows, scope: str, challenge: ChallengeRecord, now: datetime) -> datetime | None:
    """Until when the slot may not be used: another holder lives, or a call of the holder may still be under way.

    A message that was only relayed holds up nobody: what the vendor keeps of it verifies nothing, and may be cancelled.

    The latter holds up another failover of the same challenge only while the slot is marked by recipient: the cancelling
    of the one could end the verification that the other has just started.
    """
    slot = rows.slot(scope, challenge.phone_key)
    if slot is None or not slot.holder:
        return None
    if slot.holder == challenge.id:
        if slot.mark is None or slot.mark.reference:
            return None
    elif (holder := rows.peek(slot.holder)) is not None and is_living(holder, now) and holder.verifiable:
        return holder.expires_at
    calling = [d.lease_until for d in rows.deliveries(slot.holder) if d.scope == scope and d.outcome is Outcome.OPEN]
    return max((until for until in calling if until > now), default=None)


def take_slot(rows: Rows, challenge: ChallengeRecord, scope: str, now: datetime) -> Mark | None:
    """Hold a slot that was found free; what must be cancelled at the vendor before a start."""
    slot = rows.slot(scope, challenge.phone_key)
    if slot is not None and held_until(rows, scope, challenge, now) is not None:  # taken since it was found free
        raise OutrunError("the slot changed hands")
    if slot is not None and slot.holder == challenge.id:
        return slot.mark
    old = slot.mark if slot is not None else None
    if slot is not None and slot.holder and old is None:
        old = mark_of(scope, rows.deliveries(slot.holder))
    taken = SlotRecord(scope=scope, phone_key=challenge.phone_key, holder=challenge.id, mark=old)
    if not rows.take_slot(taken, None if slot is None else slot.holder):
        raise OutrunError("the slot changed hands")
    return old


def release_slot(rows: Rows, challenge: ChallengeRecord, scope: str) -> None:
    """A slot whose only deliveries were certainly not sent is free again; its mark stays."""
    if any(d.scope == scope and d.outcome not in NOT_SENT for d in rows.deliveries(challenge.id)):
        return
    slot = rows.slot(scope, challenge.phone_key)
    if slot is not None and slot.holder == challenge.id:
        rows.take_slot(changed(slot, holder=""), challenge.id)


def mark_slots(rows: Rows, challenge: ChallengeRecord, now: datetime) -> None:
    """Another code is to go out: the verifications that run in this challenge's slots are cancelled before the next start there.

    Not where a call may still be under way: what it starts, the cancelling could miss or come too late for.
    """
    deliveries = rows.deliveries(challenge.id)
    for scope in sorted({one.scope for one in deliveries if one.scope}):
        slot = rows.slot(scope, challenge.phone_key)
        if slot is None or slot.holder != challenge.id or slot.mark is not None:
            continue
        of_scope = [one for one in deliveries if one.scope == scope]
        if not any(one.outcome is Outcome.OPEN and one.lease_until > now for one in of_scope):
            rows.take_slot(changed(slot, mark=mark_of(scope, of_scope)), challenge.id)


def holds_slot(rows: Rows, challenge: ChallengeRecord, scope: str) -> bool:
    """Whether the vendor's slot for this phone is this challenge's."""
    slot = rows.slot(scope, challenge.phone_key) if scope else None
    return slot is not None and slot.holder == challenge.id
