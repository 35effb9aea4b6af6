"""Plugins and observers that misbehave: what the service makes of it, through its public API, beside a provider that is well."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time

import anyio
import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryError,
    DeliveryReceipt,
    ErrorKind,
    EventType,
    ProviderError,
    hookimpl,
)
from otpcore.testing import EventRecorder, Outbox

from .failures import failures
from .foreign import PHONE, QUICK, Blocking, Broken, Foreign, service


def raising(error):
    def body(_):
        raise error

    return body


both_kinds = pytest.mark.parametrize("kind", [Foreign, Blocking])


@both_kinds
@pytest.mark.parametrize(
    "error",
    [ValueError("x"), Broken("x"), asyncio.CancelledError(), StopIteration(), BaseExceptionGroup("x", [Broken()])],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_hook_raises_the_next_provider_sends(otp_outbox: Outbox, kind, error) -> None:
    recorder = EventRecorder()
    async with service(otp_outbox, kind(raising(error)), observers=[recorder]) as otp:
        challenge = await otp.send_sms(PHONE)
        assert (challenge.provider, challenge.state) == ("outbox", ChallengeState.SENT)
        assert failures(recorder) == [("foreign", "ambiguous")]
        assert await otp.verify(PHONE, otp_outbox.code)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
async def test_a_blocking_hook_cannot_end_the_process(otp_outbox: Outbox, error) -> None:
    async with service(otp_outbox, Blocking(raising(error))) as otp:
        assert (await otp.send_sms(PHONE)).provider == "outbox"


async def test_a_runner_survives_whatever_a_hook_raises(otp_outbox: Outbox) -> None:
    errors = [Broken("x"), asyncio.CancelledError(), Broken("y")]

    def body(_):
        if errors:
            raise errors.pop()
        raise ProviderError(ErrorKind.UNAVAILABLE)

    settings = {**QUICK, "sms": {"retry": True}, "retry": {"runner": "background", "first_delay": 0.01, "poll": 0.02}}
    foreign = Foreign(raising(ProviderError(ErrorKind.UNAVAILABLE)))
    providers = {"foreign": foreign, "outbox": otp_outbox}
    otp_outbox.fail(ErrorKind.UNAVAILABLE, times=3)
    service = AsyncOTPService(
        {**otp_outbox.settings, **settings}, providers=providers
    )  # the real clock: retries fall due
    async with service as otp:
        challenge = await otp.send_sms(PHONE)
        assert challenge.state is ChallengeState.QUEUED
        foreign.body = body
        with anyio.fail_after(20):
            while not otp_outbox.messages:
                await anyio.sleep(0.02)
        assert await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)


async def test_a_host_that_cancels_is_obeyed_and_the_delivery_counts_as_in_doubt(otp_outbox: Outbox) -> None:
    foreign = Foreign(lambda _: anyio.sleep_forever())
    recorder = EventRecorder()
    async with service(otp_outbox, foreign, observers=[recorder]) as otp:
        with anyio.move_on_after(0.1) as scope:
            await otp.send_sms(PHONE)
        assert scope.cancelled_caught
        assert failures(recorder) == [("foreign", "ambiguous")]
        assert not otp_outbox.messages


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancelled_asyncio_task_is_cancelled(otp_outbox: Outbox) -> None:
    async with service(otp_outbox, Foreign(lambda _: anyio.sleep_forever())) as otp:
        task = asyncio.ensure_future(otp.send_sms(PHONE))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_hook_that_swallows_its_cancellation_is_waited_for_and_believed(otp_outbox: Outbox) -> None:
    async def stubborn():
        with contextlib.suppress(anyio.get_cancelled_exc_class()):
            await anyio.sleep(30)
        return DeliveryReceipt(reference="late")

    async with service(
        otp_outbox, Foreign(lambda _: stubborn()), otp={"provider_timeout": 0.5, "send_timeout": 5}
    ) as otp:
        challenge = await otp.send_sms(PHONE)
    assert (challenge.provider, challenge.confirmed) == ("foreign", True)


async def test_a_hook_that_holds_up_the_event_loop_is_late_and_no_more(otp_outbox: Outbox) -> None:
    def body(_):
        time.sleep(0.7)
        return DeliveryReceipt(reference="slow")

    async with service(otp_outbox, Foreign(body), otp={"provider_timeout": 0.5, "send_timeout": 5}) as otp:
        challenge = await otp.send_sms(PHONE)
        assert (challenge.provider, challenge.confirmed) == ("foreign", True)
        assert await otp.verify(PHONE, challenge.code)


async def test_a_blocking_hook_that_never_ends_costs_one_thread_and_no_send(otp_outbox: Outbox) -> None:
    gate = threading.Event()
    settings = {"otp": {"provider_timeout": 0.3, "send_timeout": 5}, "plugins": {"thread_slots": 1}}
    foreign, recorder = Blocking(lambda _: gate.wait(30)), EventRecorder()
    try:
        async with service(otp_outbox, foreign, observers=[recorder], **settings) as otp:
            for last in range(3):
                assert (await otp.send_sms(f"+35988123456{last}")).provider == "outbox"
        assert failures(recorder) == [("foreign", "ambiguous"), ("foreign", "unavailable"), ("foreign", "unavailable")]
        assert foreign.calls == 1
    finally:
        gate.set()


class Sly(DeliveryReceipt):
    @property
    def reference(self):  # type: ignore[override] # what a plugin might do
        raise RuntimeError("no")


class Liar:
    __class__ = DeliveryReceipt  # type: ignore[assignment] # what a mock does


NONSENSE = {
    "none": None,
    "text": "sent",
    "liar": Liar(),
    "half a character": DeliveryReceipt(reference="\ud800"),
    "a megabyte": DeliveryReceipt(reference="x" * 1_000_000),
    "a NUL": DeliveryReceipt(reference="a\0b"),
    "bytes": DeliveryReceipt(reference=b"x"),  # type: ignore[arg-type] # what a plugin might do
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_for_an_answer_is_no_success(otp_outbox: Outbox, answer) -> None:
    recorder = EventRecorder()
    async with service(otp_outbox, Foreign(lambda _: answer), observers=[recorder]) as otp:
        assert (await otp.send_sms(PHONE)).provider == "outbox"
        assert failures(recorder) == [("foreign", "ambiguous")]


def odd(**values):
    error = ProviderError(ErrorKind.THROTTLED, "x")
    for name, value in values.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    "error",
    [
        odd(kind="nonsense"),
        odd(retry_after=1e300),
        odd(retry_after="soon"),
        odd(provider_code=["x"]),
        odd(summary=None),
    ],
    ids=["kind", "wait", "text", "code", "summary"],
)
async def test_an_error_with_odd_values_is_an_error(otp_outbox: Outbox, error) -> None:
    async with service(otp_outbox, Foreign(raising(error))) as otp:
        assert (await otp.send_sms(PHONE)).provider == "outbox"


async def test_a_request_that_a_plugin_spoils_is_its_own(otp_outbox: Outbox) -> None:
    def body(request):
        for name, value in {"code": "000000", "text": "spam", "recipient": None, "deadline": None}.items():
            object.__setattr__(request, name, value)
        raise ProviderError(ErrorKind.UNAVAILABLE)

    async with service(otp_outbox, Foreign(body)) as otp:
        challenge = await otp.send_sms(PHONE)
        assert otp_outbox.messages[0].phone.e164 == PHONE
        assert challenge.code == otp_outbox.code != "000000"
        assert otp_outbox.code in otp_outbox.messages[0].text


async def test_what_a_plugin_quotes_in_an_error_or_a_reference_is_not_passed_on(otp_outbox: Outbox, caplog) -> None:
    caplog.set_level(logging.DEBUG)

    def quoting(request):
        said = f"{request.recipient.e164} {request.code} {request.text} {request.client_address} {request.metadata}"
        raise ProviderError(ErrorKind.UNAVAILABLE, said, provider_code=request.code)

    recorder, otp_outbox_two = (
        EventRecorder(),
        Foreign(lambda request: DeliveryReceipt(reference=f"for-{request.metadata['payee']}")),
    )
    providers = {"foreign": Foreign(quoting), "other": otp_outbox_two}
    async with otp_outbox.service(QUICK, providers=providers, observers=[recorder]) as otp:
        challenge = await otp.send_sms(PHONE, client="203.0.113.7:443", metadata={"payee": "Shop"})
        assert challenge.provider == "other"
        view = (await otp._service.store.view(challenge_id=challenge.id))[0]
        said = f"{recorder.events} {view.deliveries} {caplog.text}"
    for secret in (PHONE[1:], challenge.code, "203.0.113.7", "Shop"):
        assert secret not in said
    assert "it quoted the number or the code" in said
    assert "its reference quotes the number, the code or what the host said" in caplog.text


async def test_an_observer_that_raises_anything_or_dawdles_changes_nothing(otp_outbox: Outbox, caplog) -> None:
    @attrs.define(eq=False)
    class Observer:
        error: BaseException

        @hookimpl
        def otp_event(self, event):
            time.sleep(0.01)
            raise self.error

    last = EventRecorder()
    observers = [Observer(Broken(PHONE)), Observer(asyncio.CancelledError()), last]
    async with otp_outbox.service(observers=observers) as otp:
        await otp.send_sms(PHONE)
        assert await otp.verify(PHONE, otp_outbox.code)
        otp_outbox.fail(ErrorKind.BLOCKED)
        with pytest.raises(DeliveryError):
            await otp.send_sms("+359881234567")
    assert {EventType.DELIVERY_ACCEPTED, EventType.VERIFY_APPROVED, EventType.UNSENDABLE} <= {
        e.type for e in last.events
    }
    assert PHONE not in caplog.text


async def test_text_that_is_no_text_is_answered_and_never_quoted(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE, client="\ud800")
        for typed in ("\ud800", f"{otp_outbox.code[:5]}\ud800", "\0" * 6, "x" * 1_000_000):
            assert not await otp.verify(PHONE, typed)
        assert not await otp.verify(challenge_id="\ud800", code="123456")
        assert not await otp.verify(challenge_id="x" * 100_000, code="123456")
        assert await otp.verify(PHONE, otp_outbox.code)
