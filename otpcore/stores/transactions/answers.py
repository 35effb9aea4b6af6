"""What a provider's answer says of its instance: whether anything is wrong with it."""

from __future__ import annotations

from datetime import datetime

from otpcore.events import EventType
from otpcore.models import Outcome
from otpcore.stores.failover import FailoverPlan
from otpcore.stores.records import DeliveryRecord
from otpcore.stores.rows import Rows
from otpcore.stores.transactions.choosing import PROBE_EVERY

_CODE, _WORDS = 80, 200  # characters of a vendor's code, and of a provider's words, that are kept
_BREAKER_FAILURES = frozenset({Outcome.UNAVAILABLE, Outcome.AMBIGUOUS})


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
