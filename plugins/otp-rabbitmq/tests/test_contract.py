"""The contract of every retry runner, over a real broker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from otp_rabbitmq import RabbitMQRunner, RabbitMQSettings

from otpcore.testing import RetryRunnerContract

from .rig import Proxy


class TestRabbitMQ(RetryRunnerContract):
    latest = 6.0  # what no message tells of is found half a second past due, by a sweep every 1 to 2 s

    @pytest.fixture
    def new_runner(self, proxy: Proxy, shared_prefix: str) -> RabbitMQRunner:
        return RabbitMQRunner(RabbitMQSettings(url=proxy.url, prefix=shared_prefix), grace=0.5)

    @pytest.fixture
    def broker_trouble(self, proxy: Proxy) -> Callable[[], AbstractContextManager[None]]:
        @contextlib.contextmanager
        def away() -> Iterator[None]:
            proxy.break_off()
            try:
                yield
            finally:
                proxy.mend()

        return away
