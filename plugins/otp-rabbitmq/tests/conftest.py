"""Queues of a test's own on a real RabbitMQ, a store of its own, and a gateway that takes what it is sent."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from otp_rabbitmq import RabbitMQRunner
from otp_rabbitmq.link import queue_arguments
from otp_rabbitmq.settings import RabbitMQSettings

from otpcore import AsyncOTPService

from .rig import Gateway, Proxy, in_asyncio

KEY = "b3RwY29yZS50ZXN0aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJzISE"
_USUAL = "amqp://guest:guest@127.0.0.1:5672/"


@pytest.fixture(scope="session")
def broker_url() -> str:
    url = os.environ.get("OTPCORE_TEST_RABBITMQ_URL", _USUAL)
    address = RabbitMQSettings(url=url).address
    try:
        socket.create_connection((address.host or "", address.port or 5672), 2).close()
    except OSError:
        reason = "no RabbitMQ answers; set OTPCORE_TEST_RABBITMQ_URL to run this on one"
        if os.environ.get("OTPCORE_TEST_SERVERS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return url


@pytest.fixture
def anyio_backend() -> str:
    """The host's loop. The contract runs on both; of the other tests, those do whose rule is about the host's loop."""
    return "asyncio"


@contextlib.contextmanager
def queues_of_a_test(broker_url: str) -> Iterator[str]:
    name = f"otpcore-test-{secrets.token_hex(4)}"
    yield name

    async def delete() -> None:
        async with await aio_pika.connect(broker_url) as connection:
            channel = await connection.channel()
            for queue in queue_arguments(name):
                await channel.queue_delete(queue)

    in_asyncio(delete)


@pytest.fixture
def prefix(broker_url: str) -> Iterator[str]:
    """Of this test's queues, which are deleted afterwards."""
    with queues_of_a_test(broker_url) as name:
        yield name


@pytest.fixture(scope="module")
def shared_prefix(broker_url: str) -> Iterator[str]:
    """Of queues in which a message of an earlier test may be left: it names a retry that this test's store does not know."""
    with queues_of_a_test(broker_url) as name:
        yield name


@pytest.fixture
def settings(broker_url: str, prefix: str, tmp_path: Path) -> dict[str, Any]:
    """Retries over RabbitMQ and an SQLite file."""
    return {
        "keys": {"index": KEY, "code": {"test": KEY}, "current": "test"},
        "storage": {"url": f"sqlite:///{tmp_path}/otp.sqlite3"},
        "sms": {"retry": True},
        "otp": {"provider_timeout": 1.0, "send_timeout": 2.0},
        "limits": {"phone": []},
        "retry": {
            "runner": "rabbitmq",
            "options": {"url": broker_url, "prefix": prefix},
            "first_delay": 0.3,
            "max_delay": 2.0,
            "lease": 2.0,
        },
    }


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def opened(settings: dict[str, Any], gateway: Gateway) -> Callable[..., Any]:
    """``async with opened(**options) as otp``: a service with these settings; ``retry`` and ``options`` are merged.

    ``runner``: instead of the one that the settings name.
    """

    def open_with(
        options: dict[str, Any] | None = None, runner: RabbitMQRunner | None = None, **retry: Any
    ) -> AsyncOTPService:
        merged = {**settings["retry"], **retry}
        merged["options"] = {**merged["options"], **(options or {})}
        return AsyncOTPService({**settings, "retry": merged}, providers={"gateway": gateway}, runner=runner)

    return open_with


@pytest.fixture
def proxy(broker_url: str) -> Iterator[Proxy]:
    """Between the service and the broker; a test may cut it."""
    with Proxy(broker_url) as through:
        yield through
