"""Every change of state is told: which event, with which reason."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import anyio
import attrs
import pytest

import otpcore
from otpcore import (
    CancelRequest,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    EventType,
    ProviderError,
    ProviderInfo,
    RateLimited,
    RetryOver,
    hookimpl,
)
from otpcore.models import ChallengeState
from otpcore.runners.background import BackgroundRunner
from otpcore.stores.records import WorkerRecord
from otpcore.testing import EventRecorder, FakeClock, Outbox, wrong_code

PHONE = "+359871234567"
RETRY = {"sms": {"retry": True}, "retry": {"runner": "inline", "first_delay": 0.01, "max_delay": 0.02}}


@attrs.define(eq=False)
class Vendor:
    """A vendor that owns its codes, and answers or not."""

    answers: bool = True

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor", code_owner=CodeOwner.PROVIDER, code_scope="vendor:1")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return DeliveryReceipt(reference=request.delivery_id)

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        return self._answer(CheckResult.INCORRECT)

    @hookimpl
    async def cancel(self, request: CancelRequest) -> None:
        self._answer(CheckResult.GONE)

    def _answer(self, result: CheckResult) -> CheckResult:
        if not self.answers:
            raise ProviderError(ErrorKind.UNAVAILABLE, "down", provider_code="503")
        return result


@pytest.fixture
def recorder() -> EventRecorder:
    return EventRecorder()


# Sending.


async def test_a_resend_and_a_call_within_the_cooldown_are_told_apart(
    otp_outbox: Outbox, recorder: EventRecorder
) -> None:
    async with otp_outbox.service(observers=[recorder]) as otp:
        challenge = await otp.send_sms(PHONE)
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(31)
        await otp.send_sms(PHONE)
    first, second = recorder.of(EventType.SEND_STARTED)
    assert (first.reason, second.reason) == ("", "resend")
    skipped = recorder.one(EventType.SEND_SKIPPED)
    assert (skipped.reason, skipped.challenge_id, skipped.channel) == ("cooldown", challenge.id, "sms")


async def test_an_expired_challenge_is_told_by_whoever_finds_it_first(
    otp_outbox: Outbox, recorder: EventRecorder
) -> None:
    async with otp_outbox.service(observers=[recorder]) as otp:
        old = await otp.send_sms(PHONE)
        otp_outbox.clock.advance(301)
        new = await otp.send_sms(PHONE)
        assert recorder.one(EventType.EXPIRED).challenge_id == old.id
        otp_outbox.clock.advance(301)
        assert await otp.cancel(new.id) is False
        assert [event.challenge_id for event in recorder.of(EventType.EXPIRED)] == [old.id, new.id]
        assert not recorder.of(EventType.CANCELLED)


async def test_each_retry_is_told_with_its_number(otp_outbox: Outbox, recorder: EventRecorder) -> None:
    otp_outbox.fail(ErrorKind.THROTTLED, times=2)
    async with otp_outbox.service(RETRY, observers=[recorder]) as otp:
        await otp.send_sms(PHONE)
    assert [event.detail for event in recorder.of(EventType.RETRY_STARTED)] == ["number 1", "number 2"]
    assert len(recorder.of(EventType.RETRY_SCHEDULED)) == 2
    assert not recorder.of(EventType.RETRY_PUT_OFF)


async def test_a_send_that_waits_for_a_breaker_and_the_probe_that_ends_it(
    otp_outbox: Outbox, recorder: EventRecorder
) -> None:
    otp_outbox.fail(ErrorKind.UNAVAILABLE)
    settings = {"sms": {"retry": True}, "retry": {"breaker_threshold": 1}}
    held = Held()
    async with otp_outbox.service(settings, runner=held, observers=[recorder]) as otp:
        await otp.send_sms(PHONE)
        assert recorder.one(EventType.BREAKER_OPENED).instance == "outbox"
        waiting = await otp.send_sms("+359881234567")
        put_off = recorder.one(EventType.RETRY_PUT_OFF)
        assert (put_off.challenge_id, put_off.reason) == (waiting.id, "breaker_open")
        otp_outbox.clock.advance(2)
        assert await held.run_all() == 2
        probe = recorder.one(EventType.BREAKER_PROBED)
        assert (probe.instance, probe.channel) == ("outbox", "sms")
        assert recorder.one(EventType.BREAKER_CLOSED).instance == "outbox"


async def test_all_that_wait_for_a_breaker_go_out_once_a_send_has_closed_it(otp_outbox: Outbox) -> None:
    otp_outbox.fail(ErrorKind.UNAVAILABLE)
    settings = {"sms": {"retry": True}, "retry": {"breaker_threshold": 1}}
    held = Held()
    async with otp_outbox.service(settings, runner=held) as otp:
        for number in range(20):
            assert (await otp.send_sms(f"+3598712345{number:02}")).state is ChallengeState.QUEUED
        otp_outbox.clock.advance(1)
        assert (await otp.send_sms("+359881234567")).confirmed
        claims = await held.host.claim(50)
        assert len(claims) == 20
        for claim in claims:
            await held.host.run(claim)
    assert len(otp_outbox.messages) == 21


@attrs.define
class Held:
    """A runner that runs retries when the test says so."""

    jobs: list = attrs.field(factory=list)
    host: object = None

    async def start(self, exit_stack, host) -> None:
        self.host = host

    async def submit(self, job) -> None:
        self.jobs.append(job)

    async def run_all(self) -> int:
        for job in self.jobs:
            assert await self.host.run_retry(job) == RetryOver()
        return len(self.jobs)


# Vendors, verifying, limits.


async def test_what_became_of_a_verification_at_the_vendor_is_told(otp_outbox: Outbox, recorder: EventRecorder) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}, observers=[recorder]) as otp:
        first = await otp.send_sms(PHONE)
        await otp.cancel(first.id)
        cancelled = recorder.one(EventType.VENDOR_CANCELLED)
        assert (cancelled.challenge_id, cancelled.instance) == (first.id, "vendor")
        vendor.answers = False
        second = await otp.send_sms("+359881234567")
        await otp.cancel(second.id)
        kept = recorder.one(EventType.VENDOR_NOT_CANCELLED)
        assert (kept.challenge_id, kept.reason, kept.provider_code) == (second.id, "unavailable", "503")


async def test_an_attempt_that_is_given_back_is_told_at_most_three_times(
    otp_outbox: Outbox, recorder: EventRecorder
) -> None:
    silent = Vendor(answers=False)
    async with otp_outbox.service(providers={"vendor": silent}, observers=[recorder]) as otp:
        challenge = await otp.send_sms(PHONE)
        for _ in range(4):
            with pytest.raises(ProviderError):
                await otp.verify(PHONE, "123456")
    given_back = recorder.of(EventType.ATTEMPT_GIVEN_BACK)
    assert [event.challenge_id for event in given_back] == [challenge.id] * 3
    failed = recorder.of(EventType.VERIFY_FAILED)
    assert [(event.reason, event.instance) for event in failed] == [("provider_error", "vendor")] * 4


async def test_the_wrong_code_that_locks_a_phone_is_told(otp_outbox: Outbox, recorder: EventRecorder) -> None:
    settings = {"limits": {"phone": [], "lock_after": 2}}
    async with otp_outbox.service(settings, observers=[recorder]) as otp:
        challenge = await otp.send_sms(PHONE)
        for _ in range(2):
            await otp.verify(PHONE, wrong_code(otp_outbox.code))
        locked = recorder.one(EventType.PHONE_LOCKED)
        assert (locked.challenge_id, locked.reason) == (challenge.id, "until_time")
        assert locked.detail == "until 2030-01-01T12:00:30+00:00"
        with pytest.raises(RateLimited):
            await otp.verify(PHONE, otp_outbox.code)
        assert len(recorder.of(EventType.PHONE_LOCKED)) == 1
        assert recorder.events[-1].reason == "locked"


async def test_the_right_code_at_the_last_moment_locks_nobody(otp_outbox: Outbox, recorder: EventRecorder) -> None:
    async with otp_outbox.service({"limits": {"phone": [], "lock_after": 1}}, observers=[recorder]) as otp:
        await otp.send_sms(PHONE)
        assert await otp.verify(PHONE, otp_outbox.code)
    assert not recorder.of(EventType.PHONE_LOCKED)


async def test_what_a_purge_removed_is_told_and_nothing_is_not(otp_outbox: Outbox, recorder: EventRecorder) -> None:
    async with otp_outbox.service(observers=[recorder]) as otp:
        await otp.purge()
        assert not recorder.of(EventType.PURGED)
        await otp.send_sms(PHONE)
        await otp.purge(phone=PHONE)
        erased = recorder.one(EventType.PURGED)
        assert (erased.reason, erased.phone) == ("erased", "+3598******67")
        assert "1 challenges" in erased.detail


# Workers.


async def test_a_runner_tells_when_it_starts_and_stops_and_who_was_lost(
    otp_outbox: Outbox, recorder: EventRecorder
) -> None:
    clock = otp_outbox.clock
    async with otp_outbox.service({"retry": {"runner": "background"}}, observers=[recorder]) as otp:
        await recorder.wait_for(EventType.WORKER_STARTED)
        started = recorder.one(EventType.WORKER_STARTED)
        assert started.reason == "background"
        (worker,) = (await otp.status()).workers
        assert (worker.name, worker.kind, worker.running) == (started.detail, "background", 0)
        dead = WorkerRecord(name="worker-dead", kind="worker", started_at=clock(), seen_at=clock())
        await otp._service.store.beat(dead, timedelta(minutes=1), clock())
        clock.advance(61)
        await recorder.wait_for(EventType.WORKER_LOST)
        lost = recorder.one(EventType.WORKER_LOST)
        assert (lost.detail, lost.reason) == ("worker-dead", "worker")
        store = otp._service.store
    assert recorder.one(EventType.WORKER_STOPPED).detail == started.detail
    assert (await store.status(clock(), clock())).workers == ()


@attrs.define
class Host:
    """A retry host with one claim, which ends when its loop has said that it runs."""

    signs: list[tuple[str, int]] = attrs.field(factory=list)
    claimed: bool = False
    said: anyio.Event = attrs.field(factory=anyio.Event)
    left: bool = False

    async def upkeep(self, *, kind: str = "background", running: int = 0) -> None:
        self.signs.append((kind, running))
        if running:
            self.said.set()

    async def next_due(self):
        return None if self.claimed else self.now()

    async def claim(self, limit):
        self.claimed = True
        return ["claim"]

    async def run(self, claim):
        await self.said.wait()

    async def leave(self) -> None:
        self.left = True

    def now(self):
        return FakeClock()()


async def test_a_runner_says_how_many_retries_it_runs_and_when_it_ends() -> None:
    host, runner = Host(), BackgroundRunner(poll=0.01, kind="worker")
    async with AsyncExitStack() as stack:
        await runner.start(stack, host)
        with anyio.fail_after(30):
            await host.said.wait()
        assert not host.left
    assert {kind for kind, _ in host.signs} == {"worker"}
    assert {running for _, running in host.signs} >= {0, 1}
    assert host.left


async def test_a_store_that_is_away_stops_no_runner_from_ending(otp_outbox: Outbox, recorder: EventRecorder) -> None:
    clock = FakeClock()
    async with otp_outbox.service(runner=BackgroundRunner(), observers=[recorder], clock=clock) as otp:
        await recorder.wait_for(EventType.WORKER_STARTED)

        async def away(name: str) -> None:
            raise otpcore.StoreError("away")

        otp._service.store.leave = away
    assert recorder.of(EventType.WORKER_STOPPED)
