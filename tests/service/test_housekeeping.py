"""One turn of house-keeping ends all that is over and removes all that is old, however much there is."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from otp_redis.store import RedisStore
from redis_servers import redis_server

from otpcore.models import ChallengeState
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.sql.store import SqlStore
from otpcore.testing import Outbox

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name

MANY = 2_600
PHONE = "+359871234567"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite", "postgres", "mariadb", "redis"])
def store(request, tmp_path, tmp_path_factory):
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "sqlite":
        yield SqlStore(f"sqlite:///{tmp_path / 'otp.sqlite3'}", synchronous="NORMAL")
    elif request.param == "redis":
        with redis_server(tmp_path_factory.mktemp("redis")) as server:
            yield RedisStore(server.url)
    else:
        url = request.getfixturevalue(f"{request.param}_url")
        empty(url)
        yield SqlStore(url)


async def begin_many(store, like: ChallengeRecord) -> None:
    """As many sends as a busy hour leaves, in a few transactions."""

    def insert(numbers):
        def unit(rows):
            for number in numbers:
                one = attrs.evolve(like, id=f"one-{number}", subject=f"subject-{number}", phone_key=f"phone-{number}")
                assert rows.insert_challenge(one)

        return unit

    for first in range(0, MANY, 200):
        await store._write(insert(range(first, first + 200)))


async def test_one_turn_expires_all_that_is_over_and_purges_all_that_is_old(otp_outbox: Outbox, store):
    async with otp_outbox.service(store=store) as otp:
        sent = await otp.send_sms(PHONE)
        (view,) = await store.view(challenge_id=sent.id)
        await begin_many(store, view.challenge)
        otp_outbox.clock.advance(299)
        await otp._retries.upkeep()
        living = await store.view(challenge_id="one-0")
        assert living[0].challenge.state is ChallengeState.SENT
        otp_outbox.clock.advance(6)  # the next turn after their end
        await otp._retries.upkeep()
        now = otp_outbox.clock()
        assert await store.sweep(unretried=(), limit=1, now=now) == ()
        (view,) = await store.view(challenge_id=f"one-{MANY - 1}")
        assert (view.challenge.state, view.challenge.code_sealed) == (ChallengeState.EXPIRED, None)
        otp_outbox.clock.advance(timedelta(days=2).total_seconds())
        await otp._retries.upkeep()
        assert (await otp.purge()).challenges == 0
        assert await store.view(challenge_id=f"one-{MANY - 1}") == ()
