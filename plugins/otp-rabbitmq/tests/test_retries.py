"""Retries over a real broker and a real store: when they come, how often, and what the queues hold."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs
import pytest
from aio_pika import Message
from otp_rabbitmq import RabbitMQRunner, RabbitMQSettings
from otp_rabbitmq.broker import Delivery
from otp_rabbitmq.link import queue_names
from otp_rabbitmq.messages import encoded
from otp_rabbitmq.steps import step_for
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from otpcore.models import ChallengeState
from otpcore.runners import Channel, Claim, RetryJob
from otpcore.stores.sql.store import upgrade

from .rig import Gateway, eventually, on_channel, phone

pytestmark = pytest.mark.anyio

Opened = Callable[..., Any]


@attrs.define(eq=False)
class Told:
    """What a runner ran, and who told it to."""

    to_wait: set[RetryJob] = attrs.field(factory=set)
    by_message: list[tuple[RetryJob, str]] = attrs.field(factory=list)  # ... and what the broker had kept it back for
    by_sweep: list[Claim] = attrs.field(factory=list)
    early: list[timedelta] = attrs.field(factory=list)


class Watched(RabbitMQRunner):
    """Takes no message for lost while there is a connection: then nothing runs of which no message tells."""

    def __init__(self, settings: RabbitMQSettings, told: Told) -> None:
        super().__init__(settings, grace=3600.0)
        self.told = told

    def _wait_for(self, job: RetryJob) -> float:
        wait = super()._wait_for(job)
        if step_for(wait) is not None:
            self.told.to_wait.add(job)
        return wait

    async def _run(self, delivery: Delivery) -> None:
        job, now = delivery.job, self._host.now()
        deaths: Any = delivery.message.headers.get("x-death") or [{"reason": ""}]
        self.told.by_message.append((job, deaths[0]["reason"]))
        if job.due_at > now:
            self.told.early.append(job.due_at - now)
        await super()._run(delivery)

    async def _run_claim(self, claim: Claim) -> None:
        self.told.by_sweep.append(claim)
        await super()._run_claim(claim)


async def test_retries_come_by_the_broker_when_they_are_due_and_not_before(
    opened: Opened, gateway: Gateway, broker_url: str, prefix: str
) -> None:
    """Each waits in a queue until its time to live is over. How late they are is the benchmark's to say."""
    gateway.failures, told = 3, Told()
    due: set[tuple[str, datetime]] = set()
    async with opened(runner=Watched(RabbitMQSettings(url=broker_url, prefix=prefix), told)) as otp:
        challenges = [await otp.send_sms(phone(number)) for number in range(20)]
        with anyio.fail_after(60):
            while len(gateway.sent) < 20:
                for challenge in challenges:
                    (view,) = await otp._service.store.view(challenge_id=challenge.id)
                    due |= {(challenge.id, row.due_at) for row in view.schedule if row.lease_until is None}
                await anyio.sleep(0.05)
        assert await otp.verify(phone(0), gateway.codes[phone(0)])
    assert set(gateway.sent.values()) == {1}
    assert told.by_sweep == []
    assert Counter(job.challenge_id for job, _ in told.by_message) == {one.id: 3 for one in challenges}
    assert told.early == []
    assert due
    assert due <= {(job.challenge_id, job.due_at) for job, _ in told.by_message}
    assert told.to_wait
    assert {job for job, reason in told.by_message if reason == "expired"} == told.to_wait


async def test_the_same_job_three_times_sends_once(
    opened: Opened, gateway: Gateway, broker_url: str, prefix: str
) -> None:
    gateway.failures, gateway.takes = 1, 0.2
    async with opened(first_delay=1.0, jitter=0) as otp:
        challenge = await otp.send_sms(phone(1))
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        job = RetryJob(challenge_id=challenge.id, channel=Channel.SMS, due_at=view.schedule[0].due_at)
        work, _ = queue_names(prefix)

        async def publish(channel: Any) -> None:
            for _ in range(3):
                await channel.default_exchange.publish(Message(encoded(job)), work)

        await on_channel(broker_url, publish)
        await eventually(lambda: gateway.sent[phone(1)])
        await _until_empty(broker_url, prefix)
    assert gateway.sent == {phone(1): 1}
    assert len(gateway.tries[phone(1)]) == 2


async def test_what_cannot_be_read_is_dropped_and_stops_nothing(
    opened: Opened, gateway: Gateway, broker_url: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.failures = 1
    work, _ = queue_names(prefix)
    garbled = (
        b"",
        b"\xff\x00",
        b"[]",
        b'{"challenge": "x"}',
        b'{"challenge": 1, "channel": "sms", "due": 0}',
        b"9" * 99,
    )
    unknown = encoded(RetryJob(challenge_id="nobody's", channel=Channel.SMS, due_at=_long_ago()))
    far = b'{"challenge": "x", "channel": "sms", "due": 99999999999999999}'

    async def publish(channel: Any) -> None:
        for body in (*garbled, unknown, far):
            await channel.default_exchange.publish(Message(body), work)

    async with opened() as otp:
        await on_channel(broker_url, publish)
        await otp.send_sms(phone(2))
        await eventually(lambda: gateway.sent[phone(2)])
        await _until_empty(broker_url, prefix)
    dropped = [record for record in caplog.records if getattr(record, "otp_event", "") == "message_dropped"]
    assert len(dropped) == len(garbled) + 1
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_messages_hold_a_name_and_a_time_and_nothing_else(
    opened: Opened, gateway: Gateway, broker_url: str, prefix: str
) -> None:
    gateway.down = True
    async with opened(first_delay=1.0, jitter=0) as otp:
        challenge = await otp.send_sms(phone(3))
        _, waits = queue_names(prefix)
        bodies: list[Any] = []

        async def look(channel: Any) -> None:
            for name in waits.values():
                queue = await channel.get_queue(name)
                if message := await queue.get(fail=False):
                    bodies.append((message.body, message.headers, message.properties.message_id))
                    await message.reject(requeue=True)

        for _ in range(100):
            await on_channel(broker_url, look)
            if bodies:
                break
    assert {tuple(sorted(json.loads(body))) for body, _, _ in bodies} == {("challenge", "channel", "due")}
    assert json.loads(bodies[0][0])["challenge"] == challenge.id
    assert phone(3)[1:] not in repr(bodies)
    assert gateway.codes[phone(3)] not in json.loads(bodies[0][0]).values()


async def test_a_resend_or_a_verified_person_leaves_messages_that_do_nothing(
    opened: Opened, gateway: Gateway, broker_url: str, prefix: str
) -> None:
    gateway.failures = 1
    async with opened(first_delay=0.5) as otp:
        challenge = await otp.send_sms(phone(4))
        assert await otp.verify(phone(4), gateway.codes[phone(4)])
        await _until_empty(broker_url, prefix)
        assert (await otp._service.store.view(challenge_id=challenge.id))[0].schedule == ()
    assert len(gateway.tries[phone(4)]) == 1


async def test_retries_end_when_they_are_used_up(opened: Opened, settings: dict[str, Any], gateway: Gateway) -> None:
    settings["sms"] = {"retry": True, "max_retries": 3}
    gateway.down = True
    async with opened(first_delay=0.05) as otp:
        challenge = await otp.send_sms(phone(5))

        async def ended() -> bool:
            (view,) = await otp._service.store.view(challenge_id=challenge.id)
            return view.challenge.state is ChallengeState.UNSENDABLE

        with anyio.fail_after(20):
            while not await ended():
                await anyio.sleep(0.05)
    assert len(gateway.tries[phone(5)]) == 4


async def test_it_works_over_postgresql(opened: Opened, settings: dict[str, Any], gateway: Gateway) -> None:
    url = os.environ.get("OTPCORE_TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
    schema = f"otpcore_test_{secrets.token_hex(4)}"
    try:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
    except (ImportError, OperationalError):
        pytest.skip("no PostgreSQL answers; set OTPCORE_TEST_POSTGRES_URL to run this on one")
    own = make_url(url).update_query_dict({"options": f"-csearch_path={schema}"})
    try:
        settings["storage"] = {"url": own.render_as_string(hide_password=False)}
        upgrade(settings["storage"]["url"])
        gateway.failures = 3
        async with opened(first_delay=0.05) as otp:
            for number in range(10):
                await otp.send_sms(phone(number))
            await eventually(lambda: len(gateway.sent) == 10)
        assert {len(tries) for tries in gateway.tries.values()} == {4}
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()


async def _until_empty(url: str, prefix: str) -> None:
    """Until no message is ready in any queue, three times in a row: one may have been on its way from one to the next."""
    work, waits = queue_names(prefix)

    async def watch(channel: Any) -> None:
        empty = 0
        while empty < 3:
            queues = [await channel.declare_queue(name, passive=True) for name in (work, *waits.values())]
            empty = 0 if any(queue.declaration_result.message_count for queue in queues) else empty + 1
            await asyncio.sleep(0.1)

    await on_channel(url, lambda channel: asyncio.wait_for(watch(channel), 30))


def _long_ago() -> datetime:
    return datetime(2020, 1, 1, tzinfo=UTC)
