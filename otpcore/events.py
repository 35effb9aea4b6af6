"""Events: what happened, with everything masked, and the observer that logs them."""

from __future__ import annotations

import enum
import logging
from datetime import datetime

import attrs

from otpcore._logs import fields

__all__ = ["Event", "EventLog", "EventType"]


class EventType(enum.StrEnum):
    """Every change of state that somebody may want to count or be told about."""

    SEND_STARTED = "send_started"
    SEND_SKIPPED = "send_skipped"
    SEND_REFUSED = "send_refused"
    DELIVERY_ACCEPTED = "delivery_accepted"
    DELIVERY_FAILED = "delivery_failed"
    DELIVERY_CONFIRMED = "delivery_confirmed"
    UNDELIVERED = "undelivered"
    RECEIPT_REFUSED = "receipt_refused"
    RETRY_SCHEDULED = "retry_scheduled"
    RETRY_PUT_OFF = "retry_put_off"
    RETRY_STARTED = "retry_started"
    SENT_UNCONFIRMED = "sent_unconfirmed"
    UNSENDABLE = "unsendable"
    VENDOR_CANCELLED = "vendor_cancelled"
    VENDOR_NOT_CANCELLED = "vendor_not_cancelled"
    LIMIT_NOTED = "limit_noted"
    VERIFY_APPROVED = "verify_approved"
    VERIFY_FAILED = "verify_failed"
    ATTEMPT_GIVEN_BACK = "attempt_given_back"
    PHONE_LOCKED = "phone_locked"
    LIMITS_RESET = "limits_reset"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    PURGED = "purged"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_PROBED = "breaker_probed"
    BREAKER_CLOSED = "breaker_closed"
    RULES_CHANGED = "rules_changed"
    RULES_REFUSED = "rules_refused"
    SWITCHES_CHANGED = "switches_changed"
    WORKER_STARTED = "worker_started"
    WORKER_STOPPED = "worker_stopped"
    WORKER_LOST = "worker_lost"


_WARNINGS = frozenset(
    {
        EventType.DELIVERY_FAILED,
        EventType.UNDELIVERED,
        EventType.RECEIPT_REFUSED,
        EventType.UNSENDABLE,
        EventType.BREAKER_OPENED,
        EventType.SENT_UNCONFIRMED,
        EventType.VENDOR_NOT_CANCELLED,
        EventType.PHONE_LOCKED,
        EventType.WORKER_LOST,
        EventType.SWITCHES_CHANGED,
    }
)
_ERRORS = frozenset({EventType.RULES_REFUSED})


@attrs.frozen(kw_only=True)
class Event:
    """One thing that happened. Nothing in it is readable: the phone is masked, codes never enter.

    Args:
        type: What happened.
        at: Aware UTC.
        challenge_id: Whose, or empty.
        phone: Masked, or empty.
        channel: ``sms``, ``call`` or empty.
        purpose: Of the challenge, or empty.
        instance: The provider instance concerned, or empty.
        reason: Machine-readable; the reference says which words each type has.
        provider_code: The vendor's error code, or empty.
        detail: Our own words, or empty.
    """

    type: EventType
    at: datetime
    challenge_id: str = ""
    phone: str = ""
    channel: str = ""
    purpose: str = ""
    instance: str = ""
    reason: str = ""
    provider_code: str = ""
    detail: str = ""


class EventLog:
    """Writes every event to the logger ``otpcore.events``; an operator's own errors at ERROR level."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("otpcore.events")

    def wants(self, kind: EventType) -> bool:
        """Whether an event of this type may be logged: most processes log no INFO, and each send tells of several."""
        return self._logger.isEnabledFor(logging.ERROR if kind in _WARNINGS else _level(kind, ""))

    def write(self, event: Event) -> None:
        """Log one event on one line."""
        level = _level(event.type, event.reason)
        if not self._logger.isEnabledFor(level):
            return
        named = attrs.asdict(event, filter=lambda field, value: field.name not in {"type", "at"} and bool(value))
        self._logger.log(
            level,
            "%s %s",
            event.type,
            " ".join(f"{name}={value}" for name, value in named.items()),
            extra=fields(event.type, **named),
        )


def _level(kind: EventType, reason: str) -> int:
    if kind in _ERRORS or reason == "misconfigured":
        return logging.ERROR
    return logging.WARNING if kind in _WARNINGS else logging.INFO
