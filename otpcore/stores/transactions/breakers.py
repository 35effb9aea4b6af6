"""Breakers of instances: what opens and closes one, and whom a closed one wakes."""

from __future__ import annotations

from datetime import datetime, timedelta

from otpcore.events import EventType
from otpcore.models import Outcome
from otpcore.stores.records import DeliveryRecord, Waits
from otpcore.stores.rows import Rows
from otpcore.stores.steps import FailoverPlan
from otpcore.stores.transactions.choosing import PROBE_EVERY

_BREAKER_FAILURES = frozenset({Outcome.UNAVAILABLE, Outcome.AMBIGUOUS})
_CODE, _WORDS = 80, 200  # characters of a vendor's code, and of a provider's words, that are kept


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
