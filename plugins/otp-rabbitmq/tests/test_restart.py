"""A broker of the test's own is killed and comes back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio.to_thread
import pytest

from .rabbit_node import SERVER, Node
from .rig import Gateway, eventually, phone
from .test_trouble import told

pytestmark = pytest.mark.anyio


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    if SERVER is None:
        pytest.skip("rabbitmq-server is not installed here")
    one = Node(tmp_path_factory.mktemp("rabbitmq"))
    try:
        if not one.start():
            pytest.skip("rabbitmq-server does not start here")
        yield one
    finally:
        one.kill()


async def test_a_broker_is_killed_and_comes_back_and_nothing_is_lost(
    opened: Callable[..., Any], gateway: Gateway, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "otpcore")
    gateway.failures = 5
    async with opened({"url": node.url}) as otp:
        for number in range(20):
            await otp.send_sms(phone(number))
        await eventually(lambda: sum(map(len, gateway.tries.values())) > 30)
        node.kill()
        await eventually(lambda: told(caplog, "broker_away"))
        assert await anyio.to_thread.run_sync(node.start)
        began = time.monotonic()
        await eventually(lambda: told(caplog, "broker_connected") == 2)
        assert time.monotonic() - began < 10
        await otp.send_sms(phone(20))
        await eventually(lambda: len(gateway.sent) == 21, 40)
    assert set(gateway.sent.values()) == {1}
