"""OpenTelemetry with the real SDK: what is counted, measured and traced, and that nothing of it can be read."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import anyio
import attrs
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from otpcore import (
    AsyncOTPService,
    CancelRequest,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    ProviderError,
    ProviderInfo,
    RateLimited,
    hookimpl,
)
from otpcore.testing import Outbox, wrong_code

PHONE = "+359871234567"
ON = {"telemetry": {"opentelemetry": True}}
RETRY = {"sms": {"retry": True}, "retry": {"runner": "inline", "first_delay": 0.01, "max_delay": 0.02}}


@attrs.define
class Seen:
    """What the SDK got since it was looked at last."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    _data: list[Any] = attrs.field(factory=list)

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """The points of one metric by the values of their attributes, in the order of the names."""
        data = self.reader.get_metrics_data()
        if data is not None:
            self._data.append(data)
        return {
            tuple(value for _, value in sorted(point.attributes.items())): point
            for found in self._data
            for resource in found.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def counts(self, name: str) -> dict[tuple[Any, ...], int]:
        return {key: point.value for key, point in self.points(name).items()}

    def everything(self) -> str:
        self.points("")
        return "\n".join([*(span.to_json() for span in self.exporter.get_finished_spans()), *map(repr, self._data)])


@pytest.fixture(scope="module")
def sdk() -> Seen:
    """The process's providers, which may be set once."""
    exporter = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    reader = InMemoryMetricReader({Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA})
    metrics.set_meter_provider(MeterProvider([reader]))
    return Seen(exporter, reader)


@pytest.fixture
def seen(sdk: Seen) -> Seen:
    sdk.exporter.clear()
    sdk.reader.get_metrics_data()
    return Seen(sdk.exporter, sdk.reader)


async def test_a_send_and_its_provider_call_are_one_trace_of_the_caller(otp_outbox: Outbox, seen: Seen) -> None:
    async with otp_outbox.service(ON) as otp:
        with trace.get_tracer("host").start_as_current_span("request") as request:
            challenge = await otp.send_sms(PHONE)
    spans = seen.spans()
    send, call = spans["otpcore.send"], spans["send_sms outbox"]
    assert send.parent is not None
    assert send.parent.span_id == request.get_span_context().span_id
    assert call.parent is not None
    assert call.parent.span_id == send.context.span_id
    assert (send.kind, call.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert dict(send.attributes) == {
        "otpcore.channel": "sms",
        "otpcore.challenge_id": challenge.id,
        "otpcore.outcome": "sent",
    }
    assert dict(call.attributes) == {
        "otpcore.operation": "send_sms",
        "otpcore.instance": "outbox",
        "otpcore.channel": "sms",
    }


def test_the_blocking_service_joins_the_trace_of_its_caller(otp_outbox: Outbox, seen: Seen) -> None:
    with (
        otp_outbox.blocking_service(ON) as otp,
        trace.get_tracer("host").start_as_current_span("request") as request,
    ):
        otp.send_sms(PHONE)
    send = seen.spans()["otpcore.send"]
    assert send.context.trace_id == request.get_span_context().trace_id


async def test_what_happens_is_counted(otp_outbox: Outbox, seen: Seen) -> None:
    otp_outbox.fail(ErrorKind.THROTTLED)
    async with otp_outbox.service({**RETRY, **ON, "limits": {"phone": ["1/1d"]}}) as otp:
        await otp.send_sms(PHONE)
        await otp.verify(PHONE, wrong_code(otp_outbox.code))
        await otp.verify(PHONE, otp_outbox.code)
        with pytest.raises(RateLimited):
            await otp.send_sms(PHONE)
    assert seen.counts("otpcore.sends") == {("sms", False): 1}
    assert seen.counts("otpcore.deliveries") == {
        ("sms", "outbox", "throttled"): 1,
        ("sms", "outbox", "accepted"): 1,
    }
    assert seen.counts("otpcore.retries") == {("sms",): 1}
    assert seen.counts("otpcore.verifications") == {("incorrect",): 1, ("approved",): 1}
    assert seen.counts("otpcore.refusals") == {("sms", "phone"): 1}


async def test_failures_and_breakers_are_counted(otp_outbox: Outbox, seen: Seen) -> None:
    otp_outbox.fail(ErrorKind.UNAVAILABLE, times=2)
    clock = otp_outbox.clock
    async with otp_outbox.service({"retry": {"runner": "inline", "breaker_threshold": 2}, **ON}) as otp:
        for number in range(2):
            with pytest.raises(DeliveryError):
                await otp.send_sms(f"+35987123456{number}")
        clock.advance(2)
        await otp.send_sms(PHONE)
    assert seen.counts("otpcore.send.failures") == {("failed", "sms"): 2}
    assert seen.counts("otpcore.breaker.transitions") == {("outbox", "open"): 1, ("outbox", "closed"): 1}


async def test_durations_are_in_seconds_in_buckets_that_fit(otp_outbox: Outbox, seen: Seen) -> None:
    otp_outbox.fail(ErrorKind.BLOCKED)
    async with otp_outbox.service(ON) as otp:
        with pytest.raises(DeliveryError):
            await otp.call(PHONE)
        await otp.send_sms("+359881234567")
    calls = seen.points("otpcore.provider.call.duration")
    assert set(calls) == {("blocked", "call", "outbox", "call"), ("sms", "outbox", "send_sms")}
    sends = seen.points("otpcore.send.duration")
    assert set(sends) == {("permanent", "call"), ("sms", "sent")}
    for point in (*calls.values(), *sends.values()):
        assert point.count == 1
        assert 0 < point.sum < 5
        assert point.explicit_bounds[0] < 0.01


async def test_an_error_is_named_by_its_kind_and_not_by_its_text(otp_outbox: Outbox, seen: Seen) -> None:
    otp_outbox.fail(ErrorKind.REJECTED_NUMBER)
    async with otp_outbox.service(ON) as otp:
        with pytest.raises(DeliveryError):
            await otp.send_sms(PHONE)
    spans = seen.spans()
    for name, kind in (("send_sms outbox", "rejected_number"), ("otpcore.send", "permanent")):
        assert spans[name].attributes["error.type"] == kind
        assert spans[name].status.status_code is StatusCode.ERROR
        assert spans[name].status.description is None
        assert spans[name].events == ()


async def test_a_cancelled_send_says_so(otp_outbox: Outbox, seen: Seen) -> None:
    with anyio.CancelScope() as scope:
        silent = SilentProvider(scope)
        async with otp_outbox.service(ON, providers={"silent": silent}) as otp:
            await otp.send_sms(PHONE)
    for name in ("otpcore.send", "send_sms silent"):
        assert seen.spans()[name].attributes["error.type"] == "cancelled"


async def test_a_retry_is_a_trace_of_its_own(otp_outbox: Outbox, seen: Seen) -> None:
    otp_outbox.fail(ErrorKind.UNAVAILABLE)
    async with otp_outbox.service({**RETRY, **ON}) as otp:
        with trace.get_tracer("host").start_as_current_span("request"):
            challenge = await otp.send_sms(PHONE)
    retry = seen.spans()["otpcore.retry"]
    assert retry.parent is None
    assert not retry.links
    assert dict(retry.attributes) == {
        "otpcore.channel": "sms",
        "otpcore.attempt": 1,
        "otpcore.challenge_id": challenge.id,
    }


async def test_a_check_at_the_vendor_is_a_call(seen: Seen) -> None:
    vendor = CheckingVendor()
    outbox = Outbox()
    async with AsyncOTPService({**outbox.settings, **ON}, providers={"vendor": vendor}, clock=outbox.clock) as otp:
        challenge = await otp.send_sms(PHONE)
        with pytest.raises(ProviderError):
            await otp.verify(PHONE, "123456")
        await otp.cancel(challenge.id)
    spans = seen.spans()
    assert spans["check_code vendor"].attributes["error.type"] == "unavailable"
    assert spans["check_code vendor"].kind is SpanKind.CLIENT
    assert spans["cancel vendor"].kind is SpanKind.CLIENT
    assert spans["otpcore.verify"].attributes["error.type"] == "unavailable"


async def test_nothing_can_be_read_and_metrics_have_few_values(otp_outbox: Outbox, seen: Seen) -> None:
    otp_outbox.fail(ErrorKind.UNAVAILABLE)
    codes, ids = [], []
    async with otp_outbox.service({**RETRY, **ON}) as otp:
        for number in range(10):
            challenge = await otp.send_sms(
                f"+35987123450{number}", purpose=f"secret purpose {number}", client="203.0.113.7"
            )
            ids.append(challenge.id)
            codes.append(otp_outbox.code)
            await otp.verify(f"+35987123450{number}", otp_outbox.code, purpose=f"secret purpose {number}")
    everything = seen.everything()
    for readable in (*codes, "35987", "712345", "secret purpose", "203.0.113.7"):
        assert f'"{readable}' not in everything
        assert f"'{readable}" not in everything
    assert "7123450" not in everything  # five digits stand in some time or id now and then
    for name in ("otpcore.sends", "otpcore.deliveries", "otpcore.verifications", "otpcore.send.duration"):
        assert 1 <= len(seen.points(name)) <= 2, name
    assert not [one for one in ids if one in "".join(map(repr, seen._data))]


async def test_it_measures_nothing_unless_it_is_asked_to(otp_outbox: Outbox, seen: Seen) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        await otp.verify(PHONE, otp_outbox.code)
        assert otp._service.telemetry is None
    assert not seen.spans()
    assert seen.counts("otpcore.sends") == {}


def test_the_library_is_not_imported_unless_it_is_asked_for() -> None:
    program = """
import sys
from otpcore.testing import Outbox, wrong_code
outbox = Outbox()
with outbox.blocking_service() as otp:
    otp.send_sms("+359871234567")
print(*(name for name in sys.modules if name.startswith("opentelemetry")))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == ""


def test_without_the_library_the_setting_says_what_to_install() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
from otpcore import SettingsError
from otpcore.testing import Outbox, wrong_code
try:
    Outbox().blocking_service({"telemetry": {"opentelemetry": True}}).send_sms("+359871234567")
except SettingsError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "pip install 'otpcore[otel]'" in ran.stdout


@attrs.define(eq=False)
class SilentProvider:
    """Never answers; its caller loses patience."""

    patience: anyio.CancelScope

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Silent")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.patience.cancel()
        await anyio.sleep_forever()
        raise AssertionError


@attrs.define(eq=False)
class CheckingVendor:
    """A vendor that owns its codes and does not answer checks."""

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor", code_owner=CodeOwner.PROVIDER, code_scope="vendor:1")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return DeliveryReceipt(reference="V1")

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        raise ProviderError(ErrorKind.UNAVAILABLE, "down")

    @hookimpl
    async def cancel(self, request: CancelRequest) -> None:
        return None
