"""Numbers that protect somebody: each test shows whom, and fails when its number is changed."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import anyio
import attrs
import pytest
import trio
import trio.testing

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
    hookimpl,
)
from otpcore.errors import SettingsError, StoreError
from otpcore.models import ChallengeState, Channel, RetryJob
from otpcore.runners.background import BackgroundRunner
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.sql.store import SqlStore
from otpcore.testing import Outbox

PHONE = "+359871234567"
RETRIED = {"sms": {"retry": True}, "retry": {"first_delay": 0.5, "jitter": 0.0}}


@attrs.define(eq=False)
class Vendor:
    """Does what the test says, and counts how often it was called."""

    answer: Callable[[DeliveryRequest], Awaitable[None]]
    calls: int = 0

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.calls += 1
        await self.answer(request)
        return DeliveryReceipt()


class SlowStore(MemoryStore):
    """A store that takes a moment for what the test names, as every database does."""

    def __init__(self, *slow: str) -> None:
        super().__init__()
        for name in slow:
            setattr(self, name, self._slowly(getattr(self, name)))

    @staticmethod
    def _slowly(verb: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def slow(*arguments: object, **more: object) -> object:
            await anyio.sleep(0.01)
            return await verb(*arguments, **more)

        return slow


class Nobody:
    """A runner elsewhere."""

    async def start(self, exit_stack: AsyncExitStack, host: object) -> None:
        """Runs nothing."""

    async def submit(self, job: RetryJob) -> None:
        """Runs nothing."""


async def down(_: DeliveryRequest) -> None:
    raise ProviderError(ErrorKind.UNAVAILABLE)


async def taken(_: DeliveryRequest) -> None:
    """It accepts."""


async def outcomes(otp: AsyncOTPService) -> list[str]:
    """Of all deliveries to the phone."""
    views = await otp._service.store.view(phone_key=otp._service.keys.phone_key(PHONE))
    return [str(delivery.outcome) for view in views for delivery in view.deliveries]


async def test_a_cancelled_call_is_recorded_so_that_nobody_takes_it_for_a_call_under_way(otp_outbox: Outbox) -> None:
    async def hang(_: DeliveryRequest) -> None:
        started.set()
        await anyio.sleep_forever()

    started = anyio.Event()
    providers = {"slow": Vendor(hang), "next": Vendor(taken)}
    async with otp_outbox.service(providers=providers, store=SlowStore("record")) as otp:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(otp.send_sms, PHONE)
            await started.wait()
            tasks.cancel_scope.cancel()
        assert await outcomes(otp) == ["ambiguous"], "nobody is there to call the next one"


@attrs.define(eq=False)
class Owner:
    """A vendor that makes the codes; its first cancelling fails, and the next one hangs."""

    hangs: anyio.Event = attrs.field(factory=anyio.Event)
    cancelled: int = 0

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Owner", code_owner=CodeOwner.PROVIDER, code_scope="owner:1")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return DeliveryReceipt(reference=request.delivery_id)

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        return CheckResult.INCORRECT

    @hookimpl
    async def cancel(self, request: CancelRequest) -> None:
        self.cancelled += 1
        if self.cancelled == 1:
            raise ProviderError(ErrorKind.UNAVAILABLE, "away")
        self.hangs.set()
        await anyio.sleep_forever()


async def test_a_call_that_is_cancelled_before_the_vendor_heard_of_it_is_not_in_doubt(otp_outbox: Outbox) -> None:
    """It was still ending the verification that had been there before: nobody may wait for a message of the new one."""
    owner = Owner()
    async with otp_outbox.service(providers={"owner": owner}) as otp:
        first = await otp.send_sms(PHONE, purpose="login")
        await otp.cancel(first.id)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(otp.send_sms, PHONE, purpose="payment"))
            await owner.hangs.wait()
            tasks.cancel_scope.cancel()
        assert await outcomes(otp) == ["unavailable", "accepted"]


@pytest.mark.parametrize(
    ("answer", "what"), [("taken", "what it said could not be recorded"), ("down", "no provider took the message")]
)
async def test_what_could_not_be_recorded_in_time_is_said_for_what_it_is(
    otp_outbox: Outbox, answer: str, what: str
) -> None:
    """A message that was taken arrives; one that nobody took does not."""

    class Hanging(MemoryStore):
        async def record(self, *_: Any) -> Any:
            await anyio.sleep_forever()

    vendor = Vendor({"taken": taken, "down": down}[answer])
    settings = {"otp": {"provider_timeout": 0.2, "send_timeout": 0.5}}
    async with otp_outbox.service(settings, providers={"vendor": vendor}, store=Hanging()) as otp:
        with pytest.raises(StoreError, match=what):
            await otp.send_sms(PHONE)


async def test_a_text_of_the_hosts_is_in_the_language_that_the_host_named(otp_outbox: Outbox) -> None:
    """Ours may have to be served in another one."""

    async def note(request: DeliveryRequest) -> None:
        locales.append(request.locale)

    locales: list[str] = []
    async with otp_outbox.service(providers={"vendor": Vendor(note)}) as otp:
        await otp.send_sms(PHONE, locale="xh", message="Ikhowudi: {code}")
        await otp.send_sms("+359887654321", locale="xh")
    assert locales == ["xh", "en"]


async def test_what_a_retry_sends_is_known_for_that(otp_outbox: Outbox) -> None:
    async with otp_outbox.service(RETRIED, runner=Nobody()) as otp:
        otp_outbox.fail("unavailable")
        challenge = await otp.send_sms(PHONE)
        otp_outbox.clock.advance(1)
        await otp.run_retry(RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=otp_outbox.clock()))
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        assert [(one.outcome, one.is_retry) for one in view.deliveries] == [("unavailable", False), ("accepted", True)]


async def test_a_call_that_could_not_end_in_time_is_not_begun(otp_outbox: Outbox) -> None:
    """Its message might leave although the person was told that nothing was sent."""
    first, second = Vendor(down), Vendor(taken)
    settings = {"otp": {"provider_timeout": 0.2, "send_timeout": 0.4}}
    async with otp_outbox.service(settings, providers={"first": first, "second": second}) as otp:
        with pytest.raises(DeliveryError):
            await otp.send_sms(PHONE)
    assert (first.calls, second.calls) == (1, 0)


async def test_a_call_that_can_end_in_time_is_begun(otp_outbox: Outbox) -> None:
    settings = {"otp": {"provider_timeout": 1.4, "send_timeout": 1.4}}
    async with otp_outbox.service(settings, providers={"first": Vendor(down), "second": Vendor(taken)}) as otp:
        assert (await otp.send_sms(PHONE)).provider == "second"


@pytest.mark.parametrize(("later", "messages"), [(9.5, 1), (10.5, 2)])
async def test_nobody_takes_over_a_send_whose_call_may_only_just_have_ended(
    otp_outbox: Outbox, later: float, messages: int
) -> None:
    """The person would get two messages. A call of five seconds is given five more to be recorded in."""

    async def meanwhile(request: DeliveryRequest) -> None:
        if len(sent) == 0:
            sent.append(request)
            otp_outbox.clock.advance(later)
            job = RetryJob(challenge_id=request.challenge_id, channel=Channel.SMS, due_at=otp_outbox.clock())
            await another.run_retry(job)
        else:
            sent.append(request)

    sent: list[DeliveryRequest] = []
    vendor, store = {"vendor": Vendor(meanwhile)}, MemoryStore()
    settings = {**RETRIED, "otp": {"provider_timeout": 5}}
    async with (
        otp_outbox.service(settings, providers=vendor, store=store) as otp,
        otp_outbox.service(settings, providers=vendor, store=store) as another,
    ):
        await otp.send_sms(PHONE)
    assert len(sent) == messages


async def test_who_waits_for_a_vendor_that_is_back_is_served_at_once(otp_outbox: Outbox) -> None:
    store = SlowStore("wake")
    async with otp_outbox.service(RETRIED, store=store, runner=Nobody()) as otp:
        otp_outbox.fail("unavailable", times=5)
        for number in range(5):
            await otp.send_sms(f"+35987123450{number}")
        for number in range(10, 25):  # ten are due with each probe
            assert (await otp.send_sms(f"+3598712345{number}")).state is ChallengeState.QUEUED
        otp_outbox.clock.advance(1)
        assert (await otp.send_sms(PHONE)).state is ChallengeState.SENT  # the probe
        waiting = await store.retries(50)
        assert len(waiting) == 20
        assert max(schedule.due_at for schedule, _ in waiting) <= otp_outbox.clock() + timedelta(seconds=0.5)


def test_a_store_that_is_away_is_not_asked_without_a_pause() -> None:
    """By a clock of its own: thousands of questions a second would keep it from coming back."""

    class Away(MemoryStore):
        asked = 0

        async def next_due(self) -> None:
            self.asked += 1
            if self.asked > 100:
                await trio.sleep(1)  # a clock that jumps would wait for ever
            raise StoreError("away")

    async def main() -> None:
        async with outbox.service(RETRIED, store=store, runner=BackgroundRunner(poll=0.25)):
            await trio.sleep(10)

    outbox, store = Outbox(), Away()
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))
    assert 8 <= store.asked <= 12


def test_a_store_that_cannot_record_is_asked_again_less_and_less_often() -> None:
    """By a clock of its own: soon at first, as a lock is short, and then not more than once a second."""

    class Away(MemoryStore):
        asked: ClassVar[list[float]] = []

        async def record(self, *args: Any) -> Any:
            self.asked.append(trio.current_time())
            if len(self.asked) < 9:
                raise StoreError("away")
            return await super().record(*args)

    async def main() -> None:
        async with Outbox().service(store=Away()) as otp:
            assert (await otp.send_sms(PHONE)).state is ChallengeState.SENT

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))
    pauses = [after - before for before, after in itertools.pairwise(Away.asked)]
    wanted = [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert all(0.5 <= pause / want <= 1.5 for pause, want in zip(pauses, wanted, strict=True)), pauses


async def test_a_runner_that_ends_takes_back_its_sign_of_life_however_slow_the_store(otp_outbox: Outbox) -> None:
    store = SlowStore("leave")
    runner = BackgroundRunner(poll=0.05)
    with anyio.fail_after(20):
        async with otp_outbox.service(RETRIED, store=store, runner=runner):
            while not (await store.status(otp_outbox.clock(), None)).workers:
                await anyio.sleep(0.01)
        assert not (await store.status(otp_outbox.clock(), None)).workers


async def test_production_takes_a_store_that_survives_and_no_other(otp_outbox: Outbox, tmp_path: Path) -> None:
    """Else a restart would forget who used which code."""
    production = {"environment": "production"}
    with pytest.raises(SettingsError, match="needs a store that survives"):
        async with otp_outbox.service(production, store=MemoryStore()):
            pass
    async with otp_outbox.service(production, store=SqlStore(f"sqlite:///{tmp_path / 'otp.sqlite3'}")) as otp:
        assert (await otp.send_sms(PHONE)).state is ChallengeState.SENT
