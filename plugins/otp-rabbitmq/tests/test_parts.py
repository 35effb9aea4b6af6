"""Steps, messages and settings: what needs no broker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otp_rabbitmq import RabbitMQSettings
from otp_rabbitmq.link import queue_arguments
from otp_rabbitmq.messages import decoded, encoded
from otp_rabbitmq.steps import STEPS, step_for

from otpcore.runners import Channel, RetryJob, SettingsError, structure

JOBS = st.builds(
    RetryJob,
    challenge_id=st.text("0123456789abcdef", min_size=1, max_size=40),
    channel=st.sampled_from([Channel.SMS, Channel.CALL, Channel("whatsapp")]),
    due_at=st.datetimes(datetime(1970, 1, 1), datetime(2900, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis wants naive bounds
)


@given(wait=st.floats(-10, 700))
def test_a_wait_never_goes_beyond_its_due_time_and_takes_few_steps(wait: float) -> None:
    taken, remaining = [], wait
    while (step := step_for(remaining)) is not None:
        taken.append(step)
        remaining -= step / 1000 + 0.008  # a step with what it takes on the way
    assert remaining <= 0.059  # the rest is waited for by the process
    assert remaining >= min(wait, 0) - 1e-9
    assert len(taken) <= 6 + wait / 25


def test_steps_are_two_a_doubling() -> None:
    assert STEPS[:4] == (50, 70, 100, 140)
    assert STEPS[-1] == 25_600
    assert list(STEPS) == sorted(set(STEPS))


@given(job=JOBS)
def test_a_job_comes_back_as_it_went(job: RetryJob) -> None:
    assert decoded(encoded(job)) == job


@given(body=st.binary() | JOBS.map(encoded).map(lambda body: body[:-3]))
def test_any_other_bytes_are_refused_without_being_quoted(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a retry job: "):
        decoded(body)


def test_every_queue_is_replicated_and_loses_nothing() -> None:
    queues = queue_arguments("acme")
    assert len(queues) == len(STEPS) + 1
    assert {arguments["x-queue-type"] for arguments in queues.values()} == {"quorum"}
    assert {arguments["x-overflow"] for arguments in queues.values()} == {"reject-publish"}
    waits = {name: arguments for name, arguments in queues.items() if "x-message-ttl" in arguments}
    assert {arguments["x-dead-letter-strategy"] for arguments in waits.values()} == {"at-least-once"}
    assert {arguments["x-dead-letter-routing-key"] for arguments in waits.values()} == {"acme.retries"}
    assert waits["acme.retries.wait.50ms"]["x-message-ttl"] == 50


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "retry.options.url: is required"),
        ({"url": "http://secret@host"}, "retry.options.url: must be the URL of the broker"),
        ({"url": "amqp://secret:secret@host:0/"}, "retry.options.url: must be the URL of the broker"),
        ({"url": "amqp://"}, "retry.options.url: must be the URL of the broker"),
        ({"url": "amqp://secret:secret@[broken"}, "retry.options.url: must be the URL of the broker"),
        ({"url": "amqp://host", "prefix": "amq.mine"}, "retry.options.prefix: must begin"),
        ({"url": "amqp://host", "prefx": "x"}, "retry.options.prefx: unknown key; did you mean retry.options.prefix"),
    ],
)
def test_what_is_wrong_is_named(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        structure(options, RabbitMQSettings, prefix="retry.options")
    assert str(caught.value).startswith(problem)
    assert "secret" not in str(caught.value)


def test_an_address_has_a_heartbeat_and_a_place_has_no_password() -> None:
    settings = RabbitMQSettings(url="amqps://user:hidden@rabbit.example.com/otp?cafile=/etc/ca.pem")
    assert settings.address.query == {"heartbeat": "5", "cafile": "/etc/ca.pem"}
    assert RabbitMQSettings(url="amqp://host?heartbeat=30").address.query["heartbeat"] == "30"
    assert settings.place == "rabbit.example.com:5671/otp"
    assert "hidden" not in repr(settings)
