"""Events: what happened, with everything masked, and the observer that logs them; fields of log records; spans."""

from __future__ import annotations

import enum
import logging
from collections import deque
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self

import attrs

__all__ = ["PREFIX", "UNMEASURED", "Event", "EventLog", "EventType", "Span", "Telemetry", "Work", "fields", "fields_of"]


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
    INSTANCE_MISCONFIGURED = "instance_misconfigured"
    INSTANCE_RESTORED = "instance_restored"
    RETRIES_STAND_STILL = "retries_stand_still"
    RETRIES_GO_ON = "retries_go_on"
    RULES_CHANGED = "rules_changed"
    RULES_REFUSED = "rules_refused"
    SWITCHES_CHANGED = "switches_changed"
    OPERATOR_CHANGED = "operator_changed"
    WORKER_STARTED = "worker_started"
    WORKER_STOPPED = "worker_stopped"
    WORKER_LOST = "worker_lost"


_WARNINGS = frozenset(
    {
        EventType.BREAKER_OPENED,
        EventType.BREAKER_CLOSED,
        EventType.INSTANCE_MISCONFIGURED,
        EventType.INSTANCE_RESTORED,
        EventType.RECEIPT_REFUSED,
        EventType.RETRIES_STAND_STILL,
        EventType.RETRIES_GO_ON,
        EventType.PHONE_LOCKED,
        EventType.WORKER_LOST,
        EventType.SWITCHES_CHANGED,
    }
)
"""Changes of state that an operator must hear of. What one send comes to is INFO: an outage is told once, not once a send."""

_STATE_OF = {
    EventType.BREAKER_OPENED: "breaker",
    EventType.BREAKER_CLOSED: "breaker",
    EventType.INSTANCE_MISCONFIGURED: "account",
    EventType.INSTANCE_RESTORED: "account",
    EventType.RECEIPT_REFUSED: "receipts",
}
"""What of an instance may go to and fro with every message, such as a country that the account may not send to."""

_OFTEN = 4  # changes of one state within ``_WITHIN``; what comes after them waits
_WITHIN = timedelta(minutes=1)


@attrs.frozen(kw_only=True)
class Event:
    """One thing that happened. Nothing in it is readable: the phone is masked, codes never enter.

    Args:
        type: What happened.
        at: Aware UTC.
        challenge_id: Whose, or empty.
        phone: Masked, or empty.
        channel: Such as ``sms``, or empty.
        purpose: Of the challenge, or empty.
        app: Of the host's apps, or empty.
        instance: The provider instance concerned, or empty.
        reason: Machine-readable; the reference says which words each type has.
        provider_code: The vendor's error code, or empty.
        detail: Our own words, or empty.
        price: What the vendor said that it charges, such as ``"0.0075 USD"``, or empty.
    """

    type: EventType
    at: datetime
    challenge_id: str = ""
    phone: str = ""
    channel: str = ""
    purpose: str = ""
    app: str = ""
    instance: str = ""
    reason: str = ""
    provider_code: str = ""
    detail: str = ""
    price: str = ""


class EventLog:
    """Writes every event to the logger ``otpcore.events``.

    A state that changes more often than a few times a minute is told of at INFO meanwhile; what it came to is told then.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger("otpcore.events")
        self._told: dict[tuple[str, str], deque[datetime]] = {}
        self._waiting: dict[tuple[str, str], Event] = {}

    def wants(self, kind: EventType) -> bool:
        """Whether an event of this type may be logged: most processes log no INFO, and each send tells of several."""
        return bool(self._waiting) or self._logger.isEnabledFor(_level(kind))

    def write(self, event: Event) -> None:
        """Log one event on one line."""
        for state, waiting in [*self._waiting.items()]:
            if not self._is_often(state, event.at):
                del self._waiting[state]
                if (event.type, event.instance) != (waiting.type, waiting.instance):
                    self._tell(state, waiting, event.at)
        if event.type not in _STATE_OF:
            self._log(_level(event.type), event)
            return
        state = (_STATE_OF[event.type], event.instance)
        if self._is_often(state, event.at):
            self._waiting[state] = event
            self._log(logging.INFO, event)
        else:
            self._waiting.pop(state, None)
            self._tell(state, event, event.at)

    def _is_often(self, state: tuple[str, str], now: datetime) -> bool:
        told = self._told.get(state)
        return told is not None and len(told) == _OFTEN and now - told[0] < _WITHIN

    def _tell(self, state: tuple[str, str], event: Event, now: datetime) -> None:
        self._told.setdefault(state, deque(maxlen=_OFTEN)).append(now)
        self._log(_level(event.type), event)

    def _log(self, level: int, event: Event) -> None:
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


def _level(kind: EventType) -> int:
    return logging.WARNING if kind in _WARNINGS else logging.INFO


PREFIX = "otp_"
"""Of every attribute that otpcore adds to a log record, so that none meets one of ``logging``'s or the host's own."""


def fields(event: str, **values: object) -> dict[str, str]:
    """What to pass as ``extra``: what happened, and to whom; nothing readable, and nothing that is not known."""
    said = {name: str(value) for name, value in values.items() if value is not None}
    return {f"{PREFIX}{name}": value for name, value in {"event": event, **said}.items() if value}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record, without their prefix."""
    return {name.removeprefix(PREFIX): value for name, value in vars(record).items() if name.startswith(PREFIX)}


class Work(enum.StrEnum):
    """What a span covers."""

    SEND = "otpcore.send"
    RETRY = "otpcore.retry"
    VERIFY = "otpcore.verify"
    CALL = "otpcore.provider.call"


class Span(Protocol):
    """One piece of work under way; a context manager that ends it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def note(self, **attributes: str | int) -> None:
        """What turned out meanwhile; nothing readable."""


class Telemetry(Protocol):
    """Where spans come from, when somebody wants them."""

    def span(self, work: Work, **attributes: str | int) -> Span:
        """A span of this work, not begun."""


class _Unmeasured:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def note(self, **attributes: str | int) -> None:  # noqa: ARG002 - the protocol's
        return None


UNMEASURED: Span = _Unmeasured()
"""For everybody, while nobody wants to know."""
