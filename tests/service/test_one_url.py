"""One application on every engine: only ``storage.url`` differs, or the name of the retry runner."""

from __future__ import annotations

import secrets

import aio_pika
import anyio
import pytest
from otp_mada.simulator import MadaSimulator
from otp_rabbitmq.link import queue_arguments
from redis_servers import redis_server

from otpcore import AsyncOTPService, ChallengeState
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.simulators.exchange import Fault
from otpcore.stores.sql.store import upgrade
from otpcore.testing import wrong_code

from ..own_servers import postgres_server  # noqa: TID252 - tests are no package that could be imported by name
from ..servers import mariadb_database, rabbitmq_url  # noqa: TID252 - the same

PHONE = "+359871234567"


@pytest.fixture
def anyio_backend():
    return "asyncio"  # each engine on its own is tested on both event loops


@pytest.fixture
def url(request, tmp_path):
    match request.param:
        case "sqlite":
            yield f"sqlite:///{tmp_path / 'otp.sqlite3'}"
        case "redis":
            with redis_server(tmp_path) as server:
                yield server.url
        case server:
            with {"postgres": postgres_server, "mariadb": mariadb_database}[server]() as url:
                upgrade(url)  # otp db upgrade
                yield url


@pytest.fixture
async def retries(request):
    """``retry.*`` of a runner; a broker's queues go with the test."""
    if request.param == "background":
        yield {"runner": "background"}
        return
    url, prefix = rabbitmq_url(), f"otpcore-test-{secrets.token_hex(4)}"
    yield {"runner": request.param, "options": {"url": url, "prefix": prefix}}
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for queue in queue_arguments(prefix):
            await channel.queue_delete(queue)


async def application(settings, mada):
    """Asks for a code during an outage, types a wrong one and the right one when it has come, and the right one again."""
    async with AsyncOTPService(settings) as otp:
        mada.fail(Fault.HTTP_503, times=2)
        challenge = await otp.send_sms(PHONE)
        assert challenge.state is ChallengeState.QUEUED
        with anyio.fail_after(30):
            while not mada.inbox:
                await anyio.sleep(0.02)
        code = mada.inbox[-1].code
        wrong = wrong_code(code)
        said = [await otp.verify(challenge_id=challenge.id, code=typed) for typed in (wrong, code, code)]
        assert [str(one.status) for one in said] == ["incorrect", "approved", "not_found"]
        with anyio.fail_after(30):  # the person may be quicker than the record of the vendor's answer
            while not (routes := (await otp.status()).routes) or not routes[0].accepted:
                await anyio.sleep(0.02)
    return [(one.instance, one.accepted, one.verified) for one in routes]


ENGINES = [
    *((url, "background") for url in ("sqlite", "postgres", "mariadb", "redis")),
    *((url, "rabbitmq") for url in ("postgres", "redis")),
]


@pytest.mark.parametrize(("url", "retries"), ENGINES, indirect=True)
async def test_the_same_application_on_every_engine(url, retries):
    keys = generate_keys(utc_now())
    with MadaSimulator() as mada:
        settings = {
            "otp_sms_provider": "mada",
            "sms": {"retry": True},
            "retry": {"first_delay": 0.1, **retries},
            "providers": {"mada": mada.provider_settings()},
            "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
            "storage": {"url": url},
        }
        assert await application(settings, mada) == [("mada", 1, 1)]
        assert len(mada.inbox) == 1
