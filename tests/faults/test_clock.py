"""A clock that is set forwards or back while the service runs: what expires, what is sent, what is let in again."""

from __future__ import annotations

import sys
import types
from datetime import timedelta
from typing import Any

import anyio
import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryError,
    DeliveryReceipt,
    ErrorKind,
    ProviderError,
    ProviderInfo,
    RateLimited,
    VerificationStatus,
    hookimpl,
)
from otpcore.runners.worker import WorkerRunner
from otpcore.service.retries import Retries
from otpcore.testing import Outbox, wrong_code

PHONE = "+359871234567"
HOUR = 3600.0
RETRYING = {"sms": {"retry": True}}
BACK = pytest.mark.parametrize("back", [-120.0, -3 * HOUR, -30 * 24 * HOUR], ids=["minutes", "hours", "a month"])
FORTH = pytest.mark.parametrize("forth", [3 * HOUR, 400 * 24 * HOUR], ids=["hours", "a year"])


@pytest.fixture(params=["memory", "sql"])
def storage(request, tmp_path) -> dict[str, Any]:
    if request.param == "memory":
        return {"storage": {"store": "memory"}}
    return {"storage": {"store": "sql", "url": f"sqlite:///{tmp_path / 'otp.sqlite3'}", "synchronous": "NORMAL"}}


@BACK
async def test_a_code_that_was_used_stays_used(otp_outbox: Outbox, storage, back) -> None:
    async with otp_outbox.service(storage) as otp:
        challenge = await otp.send_sms(PHONE)
        assert await otp.verify(PHONE, otp_outbox.code)
        otp_outbox.clock.advance(back)
        for _ in range(2):
            assert (await otp.verify(PHONE, otp_outbox.code)).status is VerificationStatus.NOT_FOUND
            assert not await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)
            otp_outbox.clock.advance(-back)


@BACK
async def test_a_clock_that_is_set_back_ends_what_it_made_and_locks_nobody_out(
    otp_outbox: Outbox, storage, back
) -> None:
    async with otp_outbox.service(storage) as otp:
        old = await otp.send_sms(PHONE)
        old_code = otp_outbox.code
        otp_outbox.clock.advance(back)
        assert (await otp.verify(challenge_id=old.id, code=old_code)).status is VerificationStatus.EXPIRED
        new = await otp.send_sms(PHONE)  # no cooldown of hours
        assert new.id != old.id
        assert new.expires_at - otp_outbox.clock() == timedelta(minutes=5)
        assert len(otp_outbox.messages) == 2
        assert await otp.verify(PHONE, otp_outbox.code)


async def test_a_clock_that_is_corrected_by_seconds_changes_nothing(otp_outbox: Outbox, storage) -> None:
    async with otp_outbox.service(storage) as otp:
        challenge = await otp.send_sms(PHONE)
        otp_outbox.clock.advance(-40)
        assert (await otp.send_sms(PHONE)).id == challenge.id
        assert await otp.verify(PHONE, otp_outbox.code)


@pytest.mark.parametrize(("back", "lives"), [(60, True), (61, False)])
async def test_a_clock_that_is_corrected_by_up_to_a_minute_ends_nothing(
    otp_outbox: Outbox, back: int, *, lives: bool
) -> None:
    """So far the clocks of two machines may differ; beyond it a code would live for longer than anybody was told."""
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(-back)
        assert bool(await otp.verify(PHONE, otp_outbox.code)) is lives


async def test_attempts_are_counted_through_any_jump(otp_outbox: Outbox, storage) -> None:
    async with otp_outbox.service(storage) as otp:
        challenge = await otp.send_sms(PHONE)
        for jump in (-30, 60, -30, 10):
            await otp.verify(PHONE, wrong_code(otp_outbox.code))
            otp_outbox.clock.advance(jump)
        otp_outbox.clock.advance(-2 * HOUR)
        await otp.verify(PHONE, wrong_code(otp_outbox.code))
        otp_outbox.clock.advance(2 * HOUR)
        assert (await otp.verify(PHONE, wrong_code(otp_outbox.code))).attempts_left == 0
        late = await otp.verify(challenge_id=challenge.id, code=otp_outbox.code)
        assert late.status is VerificationStatus.MAX_ATTEMPTS


@FORTH
async def test_a_clock_that_is_set_forwards_expires_codes_and_the_next_send_works(
    otp_outbox: Outbox, storage, forth
) -> None:
    async with otp_outbox.service(storage) as otp:
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(forth)
        assert (await otp.verify(PHONE, otp_outbox.code)).status is VerificationStatus.EXPIRED
        await otp.send_sms(PHONE)
        assert await otp.verify(PHONE, otp_outbox.code)


@attrs.define(eq=False)
class Jumping:
    """A provider in whose call the clock jumps."""

    outbox: Outbox
    jumps: list[float]
    error: ProviderError | None = None
    calls: int = 0

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Jumping")

    @hookimpl
    async def send_sms(self, request):
        self.calls += 1
        self.outbox.clock.advance(self.jumps.pop(0) if self.jumps else 0)
        if self.error is not None:
            raise self.error
        return DeliveryReceipt(reference="j")


@FORTH
async def test_nothing_more_is_sent_when_the_code_expires_during_a_call(otp_outbox: Outbox, storage, forth) -> None:
    jumping = Jumping(otp_outbox, [forth], ProviderError(ErrorKind.UNAVAILABLE))
    async with otp_outbox.service(storage, providers={"jumping": jumping, "outbox": otp_outbox}) as otp:
        challenge = await otp.send_sms(PHONE)
        assert challenge.expires_at <= otp_outbox.clock()
        assert not otp_outbox.messages
        assert (await otp.send_sms(PHONE)).provider == "outbox"


@BACK
async def test_a_clock_that_is_set_back_during_a_call_leaves_a_send_that_can_be_made_again(
    otp_outbox: Outbox, storage, back
) -> None:
    jumping = Jumping(otp_outbox, [back])
    async with otp_outbox.service(storage, providers={"jumping": jumping}) as otp:
        first = await otp.send_sms(PHONE)
        second = await otp.send_sms(PHONE)
        assert first.id != second.id
        assert await otp.verify(PHONE, second.code)


async def run_once(otp: AsyncOTPService) -> int:
    """One round of a worker; how many retries it ran."""
    retries: Retries = otp._retries
    await retries.upkeep()
    claims = await retries.claim(10)
    for claim in claims:
        await retries.run(claim)
    return len(claims)


async def test_a_retry_of_before_the_jump_is_not_sent_hours_late(otp_outbox: Outbox, storage) -> None:
    async with otp_outbox.service({**storage, **RETRYING}, runner=WorkerRunner()) as otp:
        otp_outbox.fail(ErrorKind.UNAVAILABLE)
        challenge = await otp.send_sms(PHONE)
        assert challenge.state is ChallengeState.QUEUED
        await run_once(otp)
        otp_outbox.clock.advance(-3 * HOUR)
        assert await run_once(otp) == 0
        view = (await otp._service.store.view(challenge_id=challenge.id))[0]
        assert (view.challenge.state, view.schedule) == (ChallengeState.EXPIRED, ())
        otp_outbox.clock.advance(3 * HOUR + 1)
        assert await run_once(otp) == 0
        assert not otp_outbox.messages


@FORTH
async def test_a_retry_that_the_jump_made_late_is_not_sent(otp_outbox: Outbox, storage, forth) -> None:
    async with otp_outbox.service({**storage, **RETRYING}, runner=WorkerRunner()) as otp:
        otp_outbox.fail(ErrorKind.UNAVAILABLE)
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(forth)
        assert await run_once(otp) == 0
        assert not otp_outbox.messages


@attrs.define(eq=False)
class Overtaken(Jumping):
    """In its first call the clock goes a minute ahead, so that the lease runs out, and another worker looks for work."""

    meanwhile: Any = None
    took_over: int = 0

    @hookimpl
    async def send_sms(self, request):
        self.calls += 1
        if self.calls > 1:
            return DeliveryReceipt(reference="second")
        self.outbox.clock.advance(60)
        self.took_over = await run_once(self.meanwhile)
        raise ProviderError(ErrorKind.UNAVAILABLE)


async def test_a_lease_that_the_jump_ended_is_taken_over_once_and_the_slower_failover_stops(
    otp_outbox: Outbox, storage
) -> None:
    overtaken = Overtaken(otp_outbox, [])
    providers = {"overtaken": overtaken, "outbox": otp_outbox}
    settings = {**storage, **RETRYING}
    async with otp_outbox.service(settings, providers=providers, runner=WorkerRunner()) as otp:
        overtaken.meanwhile = otp
        challenge = await otp.send_sms(PHONE)
        assert (overtaken.took_over, overtaken.calls) == (1, 2)
        assert (challenge.state, challenge.provider) == (ChallengeState.SENT, "overtaken")
        assert not otp_outbox.messages
        assert await run_once(otp) == 0


async def test_house_is_kept_after_a_jump_back(otp_outbox: Outbox, storage) -> None:
    async with otp_outbox.service({**storage, **RETRYING}, runner=WorkerRunner()) as otp:
        await run_once(otp)
        otp_outbox.clock.advance(-5 * HOUR)
        await run_once(otp)
        old = await otp.send_sms(PHONE)
        otp_outbox.clock.advance(301)
        await run_once(otp)
        view = (await otp._service.store.view(challenge_id=old.id))[0]
        assert view.challenge.state is ChallengeState.EXPIRED


async def test_rules_are_read_again_after_a_jump_back(otp_outbox: Outbox, storage, monkeypatch) -> None:
    gateways = types.ModuleType("clock_gateways")
    gateways.one, gateways.two = (lambda _: otp_outbox), (lambda _: Outbox())
    monkeypatch.setitem(sys.modules, "clock_gateways", gateways)
    providers = {name: {"plugin": f"clock_gateways:{name}"} for name in ("one", "two")}
    settings = {**storage, "otp_sms_provider": "one", "providers": providers}
    async with AsyncOTPService({**otp_outbox.settings, **settings}, clock=otp_outbox.clock) as otp:
        assert (await otp.send_sms(PHONE)).provider == "one"
        await otp._service.store.write_setting("otp_sms_provider", "two")
        otp_outbox.clock.advance(-2 * HOUR)
        assert (await otp.send_sms("+359881234567")).provider == "two"


async def test_an_open_breaker_is_probed_after_a_jump_back(otp_outbox: Outbox, storage) -> None:
    settings = {**storage, "retry": {"breaker_threshold": 1}}
    async with otp_outbox.service(settings) as otp:
        otp_outbox.fail(ErrorKind.UNAVAILABLE)
        with pytest.raises(DeliveryError):
            await otp.send_sms(PHONE)
        with pytest.raises(DeliveryError, match="breaker_open"):
            await otp.send_sms("+359881234567")
        otp_outbox.clock.advance(-3 * HOUR)
        assert (await otp.send_sms("+359881234568")).provider == "outbox"


async def test_a_lock_never_ends_early_when_the_clock_is_set_back(otp_outbox: Outbox, storage) -> None:
    async with otp_outbox.service({**storage, "limits": {"phone": [], "lock_after": 2}}) as otp:
        await otp.send_sms(PHONE)
        for _ in range(2):
            await otp.verify(PHONE, wrong_code(otp_outbox.code))
        otp_outbox.clock.advance(-30)
        with pytest.raises(RateLimited, match="locked"):
            await otp.verify(PHONE, otp_outbox.code)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # it waits for as long as the shortest life, half a minute
async def test_a_script_that_waits_for_its_retries_never_waits_longer_than_a_code_lives(otp_outbox: Outbox) -> None:
    settings = {
        "sms": {"retry": True},
        "otp": {"life": 30, "allow_noncompliant": True, "provider_timeout": 1},
        "retry": {"runner": "inline", "min_useful_life": 1, "first_delay": 0.01},
    }
    jumping = Jumping(otp_outbox, [], ProviderError(ErrorKind.UNAVAILABLE))
    clock = SetBackAfter(otp_outbox.clock, jumping)
    service = AsyncOTPService({**otp_outbox.settings, **settings}, providers={"jumping": jumping}, clock=clock)
    with anyio.fail_after(60):
        async with service as otp:
            await otp.send_sms(PHONE)


class SetBackAfter:
    """A clock that is set back by a day once the first call is over and its retry is scheduled."""

    def __init__(self, clock, jumping) -> None:
        self.clock, self.jumping, self.reads = clock, jumping, 0

    def __call__(self):
        if self.jumping.calls:
            self.reads += 1
        return self.clock() - timedelta(days=1 if self.reads > 2 else 0)
