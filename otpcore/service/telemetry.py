"""OpenTelemetry, through its API alone: counters from events, spans and durations around sends, retries, checks and calls.

Names follow the semantic conventions: dots and lower case under ``otpcore.``, seconds, ``error.type``. Nothing readable is
in an attribute, and metrics have none whose values are not few: no challenge, no purpose.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import attrs
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode

from otpcore.errors import DeliveryError, ProviderError, RateLimited
from otpcore.events import Event, EventType, Work
from otpcore.providers.hooks import hookimpl

_SCOPE = "otpcore"
# Those that the semantic conventions advise for durations of calls; an SDK's defaults are made for milliseconds.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

# Name: unit and meaning.
_COUNTERS = {
    "otpcore.sends": ("{send}", "Sends and resends that were recorded."),
    "otpcore.deliveries": ("{delivery}", "Messages and calls handed to a provider, by what came of it."),
    "otpcore.retries": ("{retry}", "Retries that were started."),
    "otpcore.send.failures": ("{send}", "Sends that ended without success."),
    "otpcore.refusals": ("{send}", "Sends that were refused before anything was sent."),
    "otpcore.verifications": ("{verification}", "Codes that were checked, by the answer."),
    "otpcore.breaker.transitions": ("{transition}", "Instances left out for failing too often, and taken back."),
}
_DURATIONS = {
    Work.SEND: ("otpcore.send.duration", "Time that one send took its caller."),
    Work.CALL: ("otpcore.provider.call.duration", "Time that one call to a provider took."),
}
_OF_METRICS = ("otpcore.operation", "otpcore.instance", "otpcore.channel", "otpcore.outcome", "error.type")


def _counted(event: Event) -> tuple[str, dict[str, str | bool]] | None:
    """The counter of an event, and its attributes; None: it is not counted."""
    match event.type:
        case EventType.SEND_STARTED:
            return "otpcore.sends", {"otpcore.channel": event.channel, "otpcore.resend": event.reason == "resend"}
        case EventType.DELIVERY_ACCEPTED | EventType.DELIVERY_FAILED:
            outcome = "accepted" if event.type is EventType.DELIVERY_ACCEPTED else event.reason
            about = {"otpcore.instance": event.instance, "otpcore.channel": event.channel}
            return "otpcore.deliveries", {**about, "otpcore.outcome": outcome}
        case EventType.RETRY_STARTED:
            return "otpcore.retries", {"otpcore.channel": event.channel}
        case EventType.UNSENDABLE:
            return "otpcore.send.failures", {"otpcore.channel": event.channel, "error.type": event.reason}
        case EventType.SEND_REFUSED:
            return "otpcore.refusals", {"otpcore.channel": event.channel, "otpcore.reason": event.reason}
        case EventType.VERIFY_APPROVED | EventType.VERIFY_FAILED:
            status = "approved" if event.type is EventType.VERIFY_APPROVED else event.reason
            return "otpcore.verifications", {"otpcore.status": status}
        case EventType.BREAKER_OPENED | EventType.BREAKER_CLOSED:
            state = "open" if event.type is EventType.BREAKER_OPENED else "closed"
            return "otpcore.breaker.transitions", {"otpcore.instance": event.instance, "otpcore.state": state}
    return None


class OpenTelemetry:
    """Measures through the providers that the host's process has set up; without any it measures nothing.

    It is an observer too: what is counted are events.
    """

    def __init__(self) -> None:
        meter = metrics.get_meter(_SCOPE)
        self._tracer = trace.get_tracer(_SCOPE)
        self._counters = {
            name: meter.create_counter(name, unit=unit, description=meaning)
            for name, (unit, meaning) in _COUNTERS.items()
        }
        self._durations = {
            work: meter.create_histogram(
                name, unit="s", description=meaning, explicit_bucket_boundaries_advisory=_BUCKETS
            )
            for work, (name, meaning) in _DURATIONS.items()
        }

    @hookimpl
    def otp_event(self, event: Event) -> None:
        """Count it."""
        found = _counted(event)
        if found is not None:
            name, attributes = found
            self._counters[name].add(1, attributes)

    def span(self, work: Work, **attributes: str | int) -> OpenSpan:
        """A span of this work, not begun."""
        return OpenSpan(
            work=work, tracer=self._tracer, duration=self._durations.get(work), attributes=_named(attributes)
        )


@attrs.define(eq=False, kw_only=True)
class OpenSpan:
    """One span, with its duration where the work has one."""

    work: Work
    tracer: trace.Tracer
    duration: metrics.Histogram | None
    attributes: dict[str, str | int]
    _current: Any = None
    _span: trace.Span = trace.INVALID_SPAN
    _began: float = 0.0

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        self._current = self.tracer.start_as_current_span(
            self._name,
            # A retry belongs to nobody's request: it runs in whichever process claims it.
            context=Context() if self.work is Work.RETRY else None,
            kind=SpanKind.CLIENT if self.work is Work.CALL else SpanKind.INTERNAL,
            attributes=self.attributes,
            record_exception=False,  # its text and its trace are not ours to publish
            set_status_on_exception=False,
        )
        self._span = self._current.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if error is not None:
            self.note(error_type=_error_type(error))
            self._span.set_status(StatusCode.ERROR)
        if self.duration is not None:
            few = {name: value for name, value in self.attributes.items() if name in _OF_METRICS}
            self.duration.record(time.perf_counter() - self._began, few)
        self._current.__exit__(None, None, None)

    def note(self, **attributes: str | int) -> None:
        """What turned out meanwhile."""
        named = _named(attributes)
        self.attributes.update(named)
        self._span.set_attributes(named)

    @property
    def _name(self) -> str:
        if self.work is Work.CALL:
            return f"{self.attributes['otpcore.operation']} {self.attributes['otpcore.instance']}"
        return str(self.work)


def _named(attributes: dict[str, str | int]) -> dict[str, str | int]:
    """Under their full names; what is empty is not said."""
    return {
        "error.type" if name == "error_type" else f"otpcore.{name}": str(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value != ""
    }


def _error_type(error: BaseException) -> str:
    """A class of error with few values, as ``error.type`` wants it."""
    if isinstance(error, ProviderError):
        return error.kind.value
    if isinstance(error, DeliveryError | RateLimited):
        return str(error.reason)
    return type(error).__name__ if isinstance(error, Exception) else "cancelled"
