"""A sandbox and a real service in one process and on one store: neither touches what is the other's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from otp_redis.store import RedisStore
from redis_servers import redis_server

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryError,
    ErrorKind,
    ObstacleKind,
    RateLimited,
    VerificationStatus,
)
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.sql.store import SqlStore
from otpcore.testing import Outbox

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name

PHONE = "+359871234567"
DOWN = "+12025550116"  # the sandbox: each instance is down for its first two tries
RETRYING = {"sms": {"retry": True, "max_retries": 20}, "retry": {"runner": "background", "jitter": 0}}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(params=["memory", "sqlite", "postgres", "mariadb", "redis"])
def store(request, tmp_path):
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        return SqlStore(f"sqlite:///{tmp_path / 'otp.sqlite3'}", synchronous="NORMAL")
    if request.param == "redis":
        return RedisStore(f"{request.getfixturevalue('redis_url')}?tag={tmp_path.name}")
    url = request.getfixturevalue(f"{request.param}_url")
    empty(url)
    return SqlStore(url)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@contextlib.asynccontextmanager
async def both(outbox: Outbox, store, **settings) -> AsyncIterator[tuple[AsyncOTPService, AsyncOTPService]]:
    """A real service and a sandbox; nobody runs their retries but the test."""
    merged = {name: {**RETRYING.get(name, {}), **settings.get(name, {})} for name in {*RETRYING, *settings}}
    sandboxed = {**merged, "sms": {**merged["sms"], "sandbox": True}}
    async with (
        outbox.service(merged, store=store, runner=Nobody()) as real,
        outbox.service(sandboxed, store=store, runner=Nobody()) as sandbox,
    ):
        yield real, sandbox


class Nobody:
    """A runner that runs nothing."""

    async def start(self, exit_stack, host):
        pass

    async def submit(self, job):
        pass


async def run_due(otp: AsyncOTPService) -> int:
    """What a runner does in one round."""
    claims = await otp._retries.claim(100)
    for claim in claims:
        await otp._retries.run(claim)
    return len(claims)


async def test_neither_takes_up_the_others_retries(otp_outbox: Outbox, store):
    async with both(otp_outbox, store) as (real, sandbox):
        otp_outbox.fail(ErrorKind.UNAVAILABLE)
        to_people, to_nobody = await real.send_sms(PHONE), await sandbox.send_sms(DOWN)
        assert (to_people.state, to_nobody.state) == (ChallengeState.QUEUED, ChallengeState.QUEUED)
        otp_outbox.clock.advance(1)
        assert [await run_due(real), await run_due(real)] == [1, 0]
        assert [message.phone.e164 for message in otp_outbox.messages] == [PHONE]
        assert not sandbox.sandbox_inbox()
        assert await run_due(sandbox) == 1
        otp_outbox.clock.advance(2)
        assert [await run_due(real), await run_due(sandbox)] == [0, 1]
        assert [message.phone.e164 for message in sandbox.sandbox_inbox()] == [DOWN]
        assert await real.verify(challenge_id=to_people.id, code=otp_outbox.code)
        assert await sandbox.verify(challenge_id=to_nobody.id, code=sandbox.sandbox_inbox()[0].code)


async def test_the_same_phone_has_a_challenge_in_each(otp_outbox: Outbox, store):
    async with both(otp_outbox, store) as (real, sandbox):
        one, other = await real.send_sms(PHONE), await sandbox.send_sms(PHONE)
        assert one.id != other.id
        code, sandboxed = otp_outbox.code, sandbox.sandbox_inbox()[0].code
        for otp, wrong_world in ((real, other), (sandbox, one)):
            found = await otp.verify(challenge_id=wrong_world.id, code=code)
            assert found.status is VerificationStatus.NOT_FOUND
            assert not await otp.cancel(wrong_world.id)
        assert await real.verify(PHONE, code)
        assert await sandbox.verify(PHONE, sandboxed)


async def test_limits_locks_and_status_are_apart(otp_outbox: Outbox, store):
    limits = {"phone": ["1/1h"], "global": ["1/1h"], "lock_after": 1}
    async with both(otp_outbox, store, limits=limits) as (real, sandbox):
        for otp in (sandbox, real):
            await otp.send_sms(PHONE)
            with pytest.raises(RateLimited):
                await otp.send_sms(PHONE, purpose="other")
        await sandbox.verify(PHONE, "000000")
        with pytest.raises(RateLimited, match="locked"):
            await sandbox.verify(PHONE, "000000")
        assert await real.verify(PHONE, otp_outbox.code)
        for otp in (sandbox, real):
            assert sum(route.accepted for route in (await otp.status()).routes) == 1


async def test_a_breaker_that_opens_in_the_sandbox_stops_no_real_send(otp_outbox: Outbox, store):
    async with both(otp_outbox, store, retry={"breaker_threshold": 1}, sms={"retry": False}) as (real, sandbox):
        with pytest.raises(DeliveryError):
            await sandbox.send_sms(DOWN)
        with pytest.raises(DeliveryError, match="breaker_open"):
            await sandbox.send_sms(PHONE)
        assert (await real.send_sms(PHONE)).state is ChallengeState.SENT


async def test_each_sweeps_and_purges_its_own_and_a_person_is_erased_from_both(otp_outbox: Outbox, store):
    async with both(otp_outbox, store) as (real, sandbox):
        await real.send_sms(PHONE)
        await sandbox.send_sms(PHONE)
        otp_outbox.clock.advance(20 * 60)
        assert (await sandbox.purge()).challenges == 0
        otp_outbox.clock.advance(2 * 24 * 3600)
        assert (await sandbox.purge()).challenges == 1
        assert (await real.purge()).challenges == 1
        await real.send_sms(PHONE)
        await sandbox.send_sms(PHONE)
        assert (await real.purge(phone=PHONE)).challenges == 2
        assert (await sandbox.verify(PHONE, "000000")).status is VerificationStatus.NOT_FOUND


async def test_what_is_in_the_way_and_who_works_is_told_of_ones_own_world(otp_outbox: Outbox, store):
    limits, retry = {"client": ["20/1h"]}, {"runner": "worker"}
    async with both(otp_outbox, store, limits=limits, retry=retry) as (real, sandbox):
        otp_outbox.fail(ErrorKind.UNAVAILABLE)
        await real.send_sms(PHONE)
        await sandbox.send_sms(DOWN, client="203.0.113.9")
        await sandbox._retries.upkeep(kind="worker")
        seen = {name: await otp.status() for name, otp in (("real", real), ("sandbox", sandbox))}
        kinds = {name: [one.kind for one in status.obstacles] for name, status in seen.items()}
        assert kinds == {
            "real": [ObstacleKind.NO_WORKER, ObstacleKind.NO_CLIENT],
            "sandbox": [ObstacleKind.WAITING, ObstacleKind.SANDBOX],
        }
        assert seen["real"].workers == ()
        assert [one.name.partition("-")[0] for one in seen["sandbox"].workers] == ["worker"]


@pytest.mark.parametrize("portion", [1, 500])
async def test_what_a_sandbox_that_is_gone_left_behind_is_tidied_up_by_the_real_one(
    otp_outbox: Outbox, store, monkeypatch: pytest.MonkeyPatch, portion: int
):
    """All of it, however small the portions are."""
    monkeypatch.setattr("otpcore.service.upkeep._PURGE_LIMIT", portion)
    async with both(otp_outbox, store) as (real, sandbox):
        for phone in (PHONE, "+359881234567"):
            await sandbox.send_sms(phone)
        otp_outbox.clock.advance(3 * 24 * 3600)
        await real._retries.upkeep()
        assert (await sandbox.purge()).challenges == 0
